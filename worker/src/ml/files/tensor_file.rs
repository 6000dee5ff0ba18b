//! safetensors files: deterministic writing, and reading that checks everything before it changes anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;

use grid::domain::Digest;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use super::names::{listed, surplus_prefix};
use crate::ml::error::Error;

/// A float32 tensor that is copied to bytes only when it is written, so that one copy exists at a time.
struct LazyBytes {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl View for LazyBytes {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = self.tensor.to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; self.data_len()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * size_of::<f32>()
    }
}

/// Writes float32 tensors sorted by name, waits until they are on disk, and returns the digest of the file.
///
/// Equal tensors give equal bytes on every machine.
///
/// # Errors
/// For a tensor that is not float32, or if the file cannot be written.
pub fn write(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<Digest, Error> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        if tensor.f_kind()? != Kind::Float {
            return Err(Error::file(path, format!("tensor '{name}' is not float32")));
        }
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        views.push((name, LazyBytes { tensor: tensor.detach(), shape }));
    }
    // A single key, because the order of several would be random.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // The library renames a temporary file that only its owner may read to this path. A file that exists is not truncated,
    // because it may be a link to that of a checkpoint.
    let created = File::options().create(true).append(true).open(path);
    let mode = created.and_then(|file| Ok(file.metadata()?.permissions())).map_err(Error::io(path))?;
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Error::file(path, error.to_string()))?;
    let publish = |file: File| file.set_permissions(mode).and_then(|()| file.sync_all());
    File::open(path).and_then(publish).map_err(Error::io(path))?;
    digest(path)
}

/// The digest of a file.
///
/// # Errors
/// If the file cannot be read.
pub fn digest(path: &Path) -> Result<Digest, Error> {
    File::open(path).and_then(Digest::of_reader).map_err(Error::io(path))
}

/// The number formats that a reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFormats {
    /// float32 only.
    Float32,
    /// Also float16 and bfloat16, which are converted to float32 without loss.
    UpToFloat32,
}

/// The content of one or more safetensors files.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The first file, which error messages about all of them name.
    path: &'a Path,
    tensors: BTreeMap<String, TensorView<'a>>,
}

impl<'a> Stored<'a> {
    /// Parses the content of a safetensors file. The path is for error messages.
    ///
    /// # Errors
    /// If the file is not complete.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open([(path, bytes)].into_iter())
    }

    /// Parses the content of several files that together contain the tensors of one model.
    ///
    /// # Errors
    /// If a file is not complete, or two files contain a tensor of the same name.
    pub fn open(files: impl Iterator<Item = (&'a Path, &'a [u8])>) -> Result<Self, Error> {
        let mut stored = Self { path: Path::new(""), tensors: BTreeMap::new() };
        for (path, bytes) in files {
            let file = SafeTensors::deserialize(bytes)
                .map_err(|error| Error::file(path, format!("is not a complete safetensors file: {error}")))?;
            for (name, view) in file.tensors() {
                if stored.tensors.contains_key(&name) {
                    return Err(Error::file(path, format!("contains '{name}' a second time")));
                }
                stored.tensors.insert(name, view);
            }
            if stored.path == Path::new("") {
                stored.path = path;
            }
        }
        Ok(stored)
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The same tensors under other names.
    ///
    /// # Errors
    /// If two tensors get the same name.
    pub fn renamed(self, rename: impl Fn(&str) -> String) -> Result<Self, Error> {
        let mut tensors = BTreeMap::new();
        for (name, view) in self.tensors {
            let renamed = rename(&name);
            if tensors.contains_key(&renamed) {
                let reason = format!("contains '{renamed}' a second time, as '{name}'");
                return Err(Error::file(self.path, reason));
            }
            tensors.insert(renamed, view);
        }
        Ok(Self { path: self.path, tensors })
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Checks that two tensors are equal, if both exist.
    ///
    /// # Errors
    /// If they differ in shape, number format or bits.
    pub fn check_equal(&self, name: &str, other: &str) -> Result<(), Error> {
        let (Some(one), Some(two)) = (self.tensors.get(name), self.tensors.get(other)) else { return Ok(()) };
        match (one.dtype(), one.shape(), one.data()) == (two.dtype(), two.shape(), two.data()) {
            true => Ok(()),
            false => Err(Error::file(self.path, format!("'{name}' differs from '{other}', but the model ties them"))),
        }
    }

    /// Copies the stored tensors into the wanted ones (which may be views), if all names, shapes and number formats match.
    ///
    /// `rename` turns the name of a wanted tensor into its name in the file; `ignored` says which surplus tensors to
    /// ignore.
    ///
    /// # Errors
    /// If anything does not match, with the number of tensors and up to three names of each kind; nothing has been changed
    /// then.
    pub fn copy_into(
        &self,
        wanted: &[(String, Tensor)],
        formats: NumberFormats,
        rename: impl Fn(&str) -> String,
        ignored: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let mut rest: BTreeMap<&str, _> = self.tensors.iter().map(|(name, view)| (name.as_str(), view)).collect();
        let (mut shapes, mut kinds, mut missing) = (vec![], vec![], vec![]);
        let mut pairs = Vec::with_capacity(wanted.len());
        for (name, tensor) in wanted {
            let name = rename(name);
            let Some(view) = rest.remove(name.as_str()) else {
                missing.push(name);
                continue;
            };
            let (shape, stored) = (tensor.size(), view.shape().iter().map(|&n| n as i64).collect::<Vec<_>>());
            if shape != stored {
                shapes.push(format!("'{name}' ({stored:?} instead of {shape:?})"));
            }
            let kind = match (view.dtype(), formats) {
                (Dtype::F32, _) => Kind::Float,
                (Dtype::F16, NumberFormats::UpToFloat32) => Kind::Half,
                (Dtype::BF16, NumberFormats::UpToFloat32) => Kind::BFloat16,
                (other, _) => {
                    kinds.push(format!("'{name}' ({other})"));
                    continue;
                }
            };
            pairs.push((tensor, view, kind));
        }
        let surplus: Vec<&str> = rest.keys().copied().filter(|name| !ignored(name)).collect();
        let quoted = |names: &[&str]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        let mut wrong: Vec<String> = [
            listed(&shapes, "has another shape", "have another shape"),
            listed(&kinds, "holds other numbers than F32", "hold other numbers than F32"),
            listed(&quoted(&missing), "is missing", "are missing"),
            listed(&quoted(&surplus), "does not belong to it", "do not belong to it"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(prefix) = surplus_prefix(&surplus, &BTreeSet::from_iter(missing)) {
            wrong.push(format!("its names begin with '{prefix}', without which they fit: write them without it"));
        }
        if !wrong.is_empty() {
            return Err(Error::file(self.path, format!("does not fit the model: {}", wrong.join("; "))));
        }
        let _no_grad = tch::no_grad_guard();
        for (tensor, view, kind) in pairs {
            let source = Tensor::f_from_data_size(view.data(), &tensor.size(), kind)?;
            tensor.shallow_clone().f_copy_(&source)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sample() -> Vec<(String, Tensor)> {
        let values = Tensor::arange(6, (Kind::Float, Device::Cpu));
        vec![("b.weight".to_owned(), values.view([2, 3])), ("a.bias".to_owned(), values.narrow(0, 1, 2))]
    }

    #[test]
    fn the_mode_follows_the_umask_and_other_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write(&path, sample()).unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
        let link = folder.path().join("link");
        std::fs::hard_link(&path, &link).unwrap();
        let before = std::fs::read(&link).unwrap();
        write(&path, sample().split_off(1)).unwrap();
        assert_eq!(std::fs::read(&link).unwrap(), before);
    }

    fn zeros() -> Vec<(String, Tensor)> {
        sample().into_iter().map(|(name, tensor)| (name, tensor.zeros_like())).collect()
    }

    #[test]
    fn written_tensors_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let first = write(&one, sample()).unwrap();
        let second = write(&two, sample().into_iter().rev().collect()).unwrap();
        assert_eq!(first, second, "equal tensors give equal bytes");
        let bytes = std::fs::read(&one).unwrap();
        let wanted = zeros();
        Stored::new(&one, &bytes)
            .unwrap()
            .copy_into(&wanted, NumberFormats::Float32, str::to_owned, |_| false)
            .unwrap();
        for ((_, got), (_, put)) in wanted.iter().zip(sample()) {
            assert!(got.equal(&put));
        }
    }

    #[test]
    fn every_kind_of_mismatch_is_listed_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let stored = Stored::new(&path, &bytes).unwrap();
        let mut wanted = zeros();
        wanted[0].1 = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
        wanted[1].0 = "c".to_owned();
        let refusal =
            stored.copy_into(&wanted, NumberFormats::Float32, str::to_owned, |_| false).unwrap_err().to_string();
        assert!(
            refusal.ends_with(
                "does not fit the model: 'b.weight' ([2, 3] instead of [3, 2]) has another shape; 'c' is missing; \
                 'a.bias' does not belong to it"
            ),
            "{refusal}"
        );
        assert_eq!(wanted[0].1.abs().sum(Kind::Float).double_value(&[]), 0.0);
        let prefixed = stored.renamed(|name| format!("base_model.model.{name}")).unwrap();
        let refusal = prefixed.copy_into(&zeros(), NumberFormats::Float32, str::to_owned, |_| false).unwrap_err();
        assert!(
            refusal.to_string().ends_with(
                "begin with 'base_model.model.', without which they fit: write them \
            without it"
            ),
            "{refusal}"
        );
        let refusal = Stored::new(&path, &bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(refusal.contains("is not a complete safetensors file"), "{refusal}");
    }
}
