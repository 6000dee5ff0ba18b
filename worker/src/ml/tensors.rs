//! safetensors files: byte-deterministic writing, and reading that compares everything before it changes anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use grid::domain::Digest;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use super::error::Error;

/// A float32 tensor that gives its bytes only when they are written, so that one copy exists at a time.
struct Lazy {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl View for Lazy {
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

/// Writes float32 tensors in order of their names and waits until they are on disk; returns the file's digest.
///
/// Equal tensors give equal bytes, on every machine.
pub fn write(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<Digest, Error> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        if tensor.f_kind()? != Kind::Float {
            return Err(Error::file(path, format!("tensor '{name}' is not float32")));
        }
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        views.push((name, Lazy { tensor: tensor.detach(), shape }));
    }
    // One key: a map of several would be written in a random order.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Error::file(path, error.to_string()))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io(path))?;
    digest(path)
}

/// The digest of a file's content.
pub fn digest(path: &Path) -> Result<Digest, Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).map_err(Error::io(path))?;
    Ok(Digest::from_hash(hasher.finalize()))
}

/// Which number formats a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// float32 only: what was written comes back bit for bit.
    Exact,
    /// Also float16 and bfloat16, which float32 holds without loss.
    Widening,
}

/// The content of one or more safetensors files, their headers read.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The first file; for messages about all of them.
    path: &'a Path,
    found: BTreeMap<String, TensorView<'a>>,
}

impl<'a> Stored<'a> {
    /// The content of a safetensors file; the path is for messages.
    ///
    /// # Errors
    /// A file that is not whole.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open([(path, bytes)].into_iter())
    }

    /// The content of several files that share the tensors of one model among them.
    ///
    /// # Errors
    /// A file that is not whole; a name that two files have.
    pub fn open(files: impl Iterator<Item = (&'a Path, &'a [u8])>) -> Result<Self, Error> {
        let mut stored = Self { path: Path::new(""), found: BTreeMap::new() };
        for (path, bytes) in files {
            let file = SafeTensors::deserialize(bytes)
                .map_err(|error| Error::file(path, format!("is not a whole safetensors file: {error}")))?;
            for (name, view) in file.tensors() {
                if stored.found.contains_key(&name) {
                    return Err(Error::file(path, format!("holds '{name}' a second time")));
                }
                stored.found.insert(name, view);
            }
            if stored.path == Path::new("") {
                stored.path = path;
            }
        }
        Ok(stored)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.found.keys().map(String::as_str)
    }

    /// Refuses a tensor that is there and differs from another.
    ///
    /// # Errors
    /// Tensors of different shape, number format or bits.
    pub fn must_agree(&self, name: &str, other: &str) -> Result<(), Error> {
        let (Some(one), Some(two)) = (self.found.get(name), self.found.get(other)) else { return Ok(()) };
        match (one.dtype(), one.shape(), one.data()) == (two.dtype(), two.shape(), two.data()) {
            true => Ok(()),
            false => Err(Error::file(self.path, format!("'{name}' differs from '{other}', but the model ties them"))),
        }
    }

    /// Copies the numbers into the wanted tensors (which may be views), after every name, shape and number format
    /// agreed. `known_extra` says which surplus names are harmless; `rename` turns a wanted name into the file's.
    ///
    /// # Errors
    /// Everything that does not agree, in one message.
    pub fn copy_into(
        &self,
        wanted: &[(String, Tensor)],
        accept: Accept,
        rename: impl Fn(&str) -> String,
        known_extra: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let mut found: BTreeMap<&str, _> = self.found.iter().map(|(name, view)| (name.as_str(), view)).collect();
        let mut wrong = Vec::new();
        let mut pairs = Vec::with_capacity(wanted.len());
        for (name, tensor) in wanted {
            let name = rename(name);
            let Some(view) = found.remove(name.as_str()) else {
                wrong.push(format!("'{name}' is missing"));
                continue;
            };
            let (shape, stored) = (tensor.size(), view.shape().iter().map(|&n| n as i64).collect::<Vec<_>>());
            if shape != stored {
                wrong.push(format!("'{name}' has the shape {stored:?} instead of {shape:?}"));
            }
            let kind = match (view.dtype(), accept) {
                (Dtype::F32, _) => Kind::Float,
                (Dtype::F16, Accept::Widening) => Kind::Half,
                (Dtype::BF16, Accept::Widening) => Kind::BFloat16,
                (other, _) => {
                    wrong.push(format!("'{name}' holds {other} numbers instead of F32"));
                    continue;
                }
            };
            pairs.push((tensor, view, kind));
        }
        wrong.extend(
            found.keys().filter(|name| !known_extra(name)).map(|name| format!("'{name}' is not of this model")),
        );
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
    use super::*;

    fn sample() -> Vec<(String, Tensor)> {
        let values = Tensor::arange(6, (Kind::Float, Device::Cpu));
        vec![("b.weight".to_owned(), values.view([2, 3])), ("a.bias".to_owned(), values.narrow(0, 1, 2))]
    }

    fn zeros() -> Vec<(String, Tensor)> {
        sample().into_iter().map(|(name, tensor)| (name, tensor.zeros_like())).collect()
    }

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let first = write(&one, sample()).unwrap();
        let second = write(&two, sample().into_iter().rev().collect()).unwrap();
        assert_eq!(first, second, "equal tensors give equal bytes");
        let bytes = std::fs::read(&one).unwrap();
        let wanted = zeros();
        Stored::new(&one, &bytes).unwrap().copy_into(&wanted, Accept::Exact, str::to_owned, |_| false).unwrap();
        for ((_, got), (_, put)) in wanted.iter().zip(sample()) {
            assert!(got.equal(&put));
        }
    }

    #[test]
    fn every_mismatch_is_listed_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let stored = Stored::new(&path, &bytes).unwrap();
        let mut wanted = zeros();
        wanted[0].1 = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
        wanted[1].0 = "c".to_owned();
        let refusal = stored.copy_into(&wanted, Accept::Exact, str::to_owned, |_| false).unwrap_err().to_string();
        assert!(
            refusal.ends_with(
                "does not fit the model: 'b.weight' has the shape [2, 3] instead of [3, 2]; 'c' is missing; \
                 'a.bias' is not of this model"
            ),
            "{refusal}"
        );
        assert_eq!(wanted[0].1.abs().sum(Kind::Float).double_value(&[]), 0.0);
        let refusal = Stored::new(&path, &bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(refusal.contains("is not a whole safetensors file"), "{refusal}");
    }
}
