//! Model folders in the Hugging Face format: `config.json` and `model.safetensors`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use grid::domain::hugging_face::files::{CONFIG, INDEX};
use grid::domain::hugging_face::shards;
use grid::domain::{ConfigFile, Digest, Dropout, ModelConfig, SpecialTokens};
use tch::Device;

pub use grid::domain::hugging_face::files::WEIGHTS;

use super::names::unwrapped;
use super::tensor_file::{self, NumberFormats, Stored};
use crate::ml::error::Error;
use crate::ml::models::{Model, family};
use crate::ml::weights::Weights;

/// Writes `config.json` and `model.safetensors` into an existing folder, waits until they are on disk, and returns the
/// digest of the weights file.
///
/// Equal models give equal bytes.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, model: &Model, tokens: SpecialTokens) -> Result<Digest, Error> {
    let path = folder.join(CONFIG);
    let config =
        ConfigFile { model: model.config().clone(), tokens, dtype: "float32".to_owned(), dropout: Dropout::default() };
    let save = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        file.write_all(config.text().as_bytes())?;
        file.sync_all()
    };
    save().map_err(Error::io(&path))?;
    write_weights(&folder.join(WEIGHTS), model.weights())
}

/// Writes weights under their Hugging Face names, and returns the digest of the file.
///
/// # Errors
/// If the file cannot be written.
pub fn write_weights(path: &Path, weights: &Weights) -> Result<Digest, Error> {
    tensor_file::write(path, weights.named()?)
}

/// Reads a model folder. The weights may be in several files that an index lists.
///
/// # Errors
/// If a file cannot be read or does not fit the configuration.
pub fn read(folder: &Path, device: Device) -> Result<Model, Error> {
    let config = read_config(folder)?;
    let index = folder.join(INDEX);
    let paths = if folder.join(WEIGHTS).exists() || !index.exists() {
        vec![folder.join(WEIGHTS)]
    } else {
        let text = fs::read_to_string(&index).map_err(Error::io(&index))?;
        let names = shards(&text).map_err(|error| Error::file(&index, error.to_string()))?;
        names.iter().map(|name| folder.join(name)).collect()
    };
    check_lengths(folder, &config, &paths)?;
    let model = Model::zeros(&config, device)?;
    fill(&paths, &model)?;
    Ok(model)
}

/// Refuses files that are too short for the model, before memory for it is allocated: a damaged configuration may describe
/// one of any size.
fn check_lengths(folder: &Path, config: &ModelConfig, paths: &[PathBuf]) -> Result<(), Error> {
    /// Of the shortest number format that is read.
    const BYTES_PER_NUMBER: u64 = 2;
    let length = |path: &PathBuf| fs::metadata(path).map(|about| about.len()).map_err(Error::io(path));
    let bytes = paths.iter().map(length).sum::<Result<u64, Error>>()?;
    let parameters = config.parameters();
    match bytes / BYTES_PER_NUMBER < parameters {
        true => Err(Error::file(
            &folder.join(CONFIG),
            format!(
                "describes a model of {parameters} parameters, but its weights have only {bytes} bytes; one of both is damaged \
                 or belongs to another model"
            ),
        )),
        false => Ok(()),
    }
}

/// Reads a weights file into a model, which it must fit in all names and shapes.
///
/// Also accepts what older releases of transformers wrote: float16 and bfloat16 numbers, which are converted to float32
/// without loss; a tied head that repeats the embedding; names without the prefix `transformer.` or `model.`; constant
/// buffers. Names may contain those of wrappers, such as `_orig_mod.` of a compiled model.
///
/// # Errors
/// If the file cannot be read or does not fit the model.
pub fn read_weights(path: &Path, model: &Model) -> Result<(), Error> {
    fill(&[path.to_owned()], model)
}

fn fill(paths: &[PathBuf], model: &Model) -> Result<(), Error> {
    let contents = paths.iter().map(|path| fs::read(path).map_err(Error::io(path)));
    let contents: Vec<Vec<u8>> = contents.collect::<Result<_, Error>>()?;
    let stored = Stored::open(paths.iter().map(PathBuf::as_path).zip(contents.iter().map(Vec::as_slice)))?;
    let stored = stored.renamed(unwrapped)?;
    let config = model.config();
    let family = family(config.arch);
    let head = family.head;
    // The prefix, if no tensor in the file has it.
    let omitted = family.optional_prefix.filter(|prefix| !stored.names().any(|name| name.starts_with(prefix)));
    let rename = |name: &str| omitted.and_then(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned();
    if config.tied {
        stored.check_equal(head, &rename(family.embedding))?;
    } else if !stored.contains(head) && stored.contains(&rename(family.embedding)) {
        let path = paths.first().map_or(Path::new(""), PathBuf::as_path);
        return Err(Error::file(
            path,
            format!(
                "has no '{head}': it holds the body of a model without the head that predicts tokens, and \
                 'tie_word_embeddings' is false; save the whole model (`AutoModelForCausalLM`)"
            ),
        ));
    }
    let ignored = |name: &str| {
        let name_from_root = format!(".{name}");
        family.ignored_buffers.iter().any(|buffer| name_from_root.ends_with(buffer)) || (config.tied && name == head)
    };
    stored.copy_into(&model.weights().named()?, NumberFormats::UpToFloat32, rename, ignored)
}

/// Reads the configuration of a model folder.
///
/// # Errors
/// If the file cannot be read, or the model cannot be computed here.
pub fn read_config(folder: &Path) -> Result<ModelConfig, Error> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let config = ConfigFile::parse(&text).map_err(|error| Error::file(&path, error.to_string()))?;
    Ok(config.model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::{every_kind, masked_kinds, small};
    use grid::domain::Arch;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    use tch::{Kind, Tensor};

    #[test]
    fn written_folders_can_be_read() {
        for config in every_kind().into_iter().chain(masked_kinds()) {
            for tied in [true, false] {
                if !tied && matches!(config.arch, Arch::Bert(_) | Arch::Roberta(_)) {
                    continue; // not read
                }
                let config = ModelConfig { tied, ..config.clone() };
                let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
                let model = Model::random(&config, 5, Device::Cpu).unwrap();
                let tokens = SpecialTokens { eos: Some(0), ..SpecialTokens::default() };
                let digest = write(one.path(), &model, tokens).unwrap();
                let again = read(one.path(), Device::Cpu).unwrap();
                assert_eq!(again.config(), &config);
                assert_eq!(write(two.path(), &again, tokens).unwrap(), digest);
                let configs = [&one, &two].map(|folder| fs::read_to_string(folder.path().join(CONFIG)).unwrap());
                assert_eq!(configs[0], configs[1]);
            }
        }
    }

    #[test]
    fn a_configuration_of_a_larger_model_is_refused_before_memory_is_allocated() {
        let folder = tempfile::tempdir().unwrap();
        let config = small(Arch::Llama);
        write(folder.path(), &Model::random(&config, 5, Device::Cpu).unwrap(), SpecialTokens::default()).unwrap();
        let large = ModelConfig { hidden: 65_536, layers: 1_024, ..config };
        let file = ConfigFile {
            model: large,
            tokens: SpecialTokens::default(),
            dtype: "float32".into(),
            dropout: Dropout::default(),
        };
        fs::write(folder.path().join(CONFIG), file.text()).unwrap();
        let refusal = read(folder.path(), Device::Cpu).unwrap_err().to_string();
        assert!(refusal.contains("config.json: describes a model of") && refusal.contains("only"), "{refusal}");
    }

    /// Headers of absurd lengths, flipped bits and cut files.
    #[test]
    fn damaged_weights_are_refused_or_read_but_never_panic() {
        let folder = tempfile::tempdir().unwrap();
        let config = small(Arch::Llama);
        write(folder.path(), &Model::random(&config, 5, Device::Cpu).unwrap(), SpecialTokens::default()).unwrap();
        let path = folder.path().join(WEIGHTS);
        let intact = fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(*intact.first_chunk().unwrap()) as usize;
        let mut refused = 0;
        for case in 0..400_u64 {
            let (random, mut bytes) = (grid::domain::mix(case), intact.clone());
            match case % 4 {
                0 => bytes[..8].copy_from_slice(&[0, 1, 1 << 40, u64::MAX][(random % 4) as usize].to_le_bytes()),
                1 => bytes.truncate(random as usize % intact.len()),
                2 => bytes[8 + random as usize % (header - 8)] ^= 1 << ((random >> 40) % 8),
                _ => {
                    let digits: Vec<usize> = (8..header).filter(|place| bytes[*place].is_ascii_digit()).collect();
                    bytes.splice(
                        digits[random as usize % digits.len()]..header,
                        b"99999999999999999999}".iter().copied(),
                    );
                }
            }
            fs::write(&path, &bytes).unwrap();
            refused += usize::from(read(folder.path(), Device::Cpu).is_err());
        }
        assert!(refused > 250, "{refused}");
    }

    /// A model and a folder with its weights in two files.
    fn sharded() -> (Model, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::random(&small(Arch::Llama), 5, Device::Cpu).unwrap();
        write(folder.path(), &model, SpecialTokens::default()).unwrap();
        fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
        let mut named = model.weights().named().unwrap();
        let rest = named.split_off(named.len() / 2);
        let mut map = serde_json::Map::new();
        for (file, part) in [("a.safetensors", named), ("b.safetensors", rest)] {
            map.extend(part.iter().map(|(name, _)| (name.clone(), file.into())));
            tensor_file::write(&folder.path().join(file), part).unwrap();
        }
        fs::write(folder.path().join(INDEX), serde_json::json!({"weight_map": map}).to_string()).unwrap();
        (model, folder)
    }

    fn equal(one: &Model, other: &Model) -> bool {
        let named = |model: &Model| model.weights().named().unwrap();
        named(one).iter().zip(named(other)).all(|((_, one), (_, other))| one.equal(&other))
    }

    #[test]
    fn weights_may_be_in_several_files() {
        let (model, folder) = sharded();
        assert!(equal(&read(folder.path(), Device::Cpu).unwrap(), &model));
        let file = folder.path().join("b.safetensors");
        fs::copy(folder.path().join("a.safetensors"), &file).unwrap();
        let refusal = read(folder.path(), Device::Cpu).unwrap_err().to_string();
        assert!(refusal.contains("b.safetensors: contains '") && refusal.contains("a second time"), "{refusal}");
        fs::remove_file(&file).unwrap();
        let refusal = read(folder.path(), Device::Cpu).unwrap_err().to_string();
        assert!(refusal.contains("b.safetensors: No such file"), "{refusal}");
    }

    /// Writes tensors in their own number formats.
    fn write_as_is(path: &Path, named: &[(String, Tensor)]) {
        let stored = named.iter().map(|(name, tensor)| {
            let kind = if tensor.kind() == Kind::BFloat16 { Dtype::BF16 } else { Dtype::F32 };
            let mut bytes = vec![0; tensor.numel() * kind.bitsize() / 8];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            (name.clone(), kind, tensor.size().iter().map(|&n| n as usize).collect::<Vec<_>>(), bytes)
        });
        let stored: Vec<_> = stored.collect();
        let views = stored.iter().map(|(name, kind, shape, bytes)| {
            (name, TensorView::new(*kind, shape.clone(), bytes).expect("as many bytes as the shape says"))
        });
        safetensors::serialize_to_file(views, None, path).unwrap();
    }

    #[test]
    fn names_of_a_wrapped_model_and_of_a_body_are_read() {
        for (arch, prefix) in [(Arch::Llama, "model."), (Arch::Gpt2, "transformer."), (Arch::ALL[6], "gpt_neox.")] {
            let folder = tempfile::tempdir().unwrap();
            let model = Model::random(&ModelConfig { tied: true, ..small(arch) }, 5, Device::Cpu).unwrap();
            write(folder.path(), &model, SpecialTokens::default()).unwrap();
            let path = folder.path().join(WEIGHTS);
            let renamed = |rename: &dyn Fn(&str) -> String| {
                let named = model.weights().named().unwrap().into_iter();
                tensor_file::write(&path, named.map(|(name, tensor)| (rename(&name), tensor)).collect()).unwrap();
                read(folder.path(), Device::Cpu)
            };
            assert!(equal(&renamed(&|name| format!("_orig_mod.{name}")).unwrap(), &model));
            assert!(equal(&renamed(&|name| format!("module._orig_mod.{name}")).unwrap(), &model));
            assert!(equal(&renamed(&|name| name.trim_start_matches(prefix).to_owned()).unwrap(), &model));
            let refusal = renamed(&|name| format!("policy.{name}")).unwrap_err().to_string();
            let end = format!(
                "more do not belong to it; its names begin with 'policy.{prefix}', without which they fit: write them without \
                 it"
            );
            assert!(refusal.len() < 600 && refusal.ends_with(&end), "{refusal}");
        }
    }

    #[test]
    fn a_body_without_a_head_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::random(&ModelConfig { tied: false, ..small(Arch::Llama) }, 5, Device::Cpu).unwrap();
        write(folder.path(), &model, SpecialTokens::default()).unwrap();
        let named = model.weights().named().unwrap().into_iter().filter(|(name, _)| name != "lm_head.weight").collect();
        tensor_file::write(&folder.path().join(WEIGHTS), named).unwrap();
        let refusal = read(folder.path(), Device::Cpu).unwrap_err().to_string();
        assert!(refusal.contains("has no 'lm_head.weight': it holds the body of a model"), "{refusal}");
    }

    /// The head is repeated, there is a buffer, the names have no prefix, and the numbers are bfloat16.
    #[test]
    fn files_of_older_releases_are_read_and_a_head_that_is_not_tied_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::random(&small(Arch::Gpt2), 5, Device::Cpu).unwrap();
        write(folder.path(), &model, SpecialTokens::default()).unwrap();
        let path = folder.path().join(WEIGHTS);
        let named = model.weights().named().unwrap().into_iter();
        let narrow = |(name, tensor): (String, Tensor)| {
            (name.trim_start_matches("transformer.").to_owned(), tensor.contiguous().to_kind(Kind::BFloat16))
        };
        let mut named: Vec<(String, Tensor)> = named.map(narrow).collect();
        let embedding = named.iter().find(|(name, _)| name == "wte.weight").map(|(_, tensor)| tensor.copy()).unwrap();
        named.push(("h.0.attn.bias".to_owned(), Tensor::ones([1, 1, 4, 4], (Kind::Float, Device::Cpu))));
        named.push(("lm_head.weight".to_owned(), embedding.copy()));
        write_as_is(&path, &named);
        let wide = read(folder.path(), Device::Cpu).unwrap();
        assert_eq!(wide.head().kind(), Kind::Float);
        assert!(wide.head().equal(&embedding.to_kind(Kind::Float)), "widening loses nothing");

        *named.last_mut().unwrap() = ("lm_head.weight".to_owned(), embedding + 1.0);
        write_as_is(&path, &named);
        let refusal = read(folder.path(), Device::Cpu).unwrap_err().to_string();
        assert!(refusal.contains("'lm_head.weight' differs from 'wte.weight'"), "{refusal}");
    }
}
