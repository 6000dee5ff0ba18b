//! The trainable tensors of a model, under their Hugging Face names.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Kind, Tensor};

use super::error::Error;

/// How the values of a tensor are initialized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Drawn from a normal distribution with mean 0 and this standard deviation.
    Normal(f64),
    /// This number everywhere.
    Constant(f32),
    /// Drawn from the uniform distribution between minus this number and this number.
    Uniform(f64),
}

/// A named slice of a weight along its first axis.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightPart {
    /// The name of the tensor in a Hugging Face file.
    pub name: String,
    /// The first row of the slice.
    pub start: i64,
    /// The number of rows.
    pub rows: i64,
    /// How the values are initialized.
    pub initial: Initial,
}

/// The name, size and initialization of a part that is about to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct PartShape {
    /// See [`WeightPart::name`].
    pub name: String,
    /// See [`WeightPart::rows`].
    pub rows: u32,
    /// See [`WeightPart::initial`].
    pub initial: Initial,
}

impl PartShape {
    /// A part that is initialized from a normal distribution with this standard deviation.
    pub fn normal(name: String, rows: u32, std: f64) -> Self {
        Self { name, rows, initial: Initial::Normal(std) }
    }
}

/// One trainable float32 tensor, which consists of one or more named parts.
///
/// Matrices that multiply the same input (query, key and value; gate and up) are parts of one weight. The model then
/// computes one product instead of several, while files and optimizer state keep the published names.
#[derive(Debug)]
pub struct Weight {
    /// The values of all parts.
    pub tensor: Tensor,
    /// The parts in order; together they cover the whole tensor.
    pub parts: Vec<WeightPart>,
}

/// All trainable tensors of a model, in the order in which the forward pass uses them.
#[derive(Debug)]
pub struct Weights {
    list: Vec<Weight>,
    device: Device,
}

/// A model that can be trained.
pub trait Trainable {
    /// The trainable tensors; all of them are on one device.
    fn weights(&self) -> &Weights;
}

impl Weights {
    /// An empty list for tensors on this device.
    pub fn new(device: Device) -> Self {
        Self { list: Vec::new(), device }
    }

    /// The device of all tensors.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The weights, with the names of their parts.
    pub fn list(&self) -> &[Weight] {
        &self.list
    }

    /// The tensors, without their names.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.list.iter().map(|weight| &weight.tensor)
    }

    /// Adds a matrix `[sum of rows, columns]` that consists of these parts.
    pub fn matrix(&mut self, parts: Vec<PartShape>, columns: u32) -> Result<Tensor, Error> {
        self.add(parts, Some(i64::from(columns)))
    }

    /// Adds a vector `[length]` that is initialized with one value.
    pub fn vector(&mut self, name: String, length: u32, value: f32) -> Result<Tensor, Error> {
        self.add(vec![PartShape { name, rows: length, initial: Initial::Constant(value) }], None)
    }

    /// Adds a vector of zeros that consists of parts with these names and lengths.
    pub fn bias(&mut self, parts: &[(String, u32)]) -> Result<Tensor, Error> {
        let zeros = Initial::Constant(0.0);
        self.add(
            parts.iter().map(|(name, rows)| PartShape { name: name.clone(), rows: *rows, initial: zeros }).collect(),
            None,
        )
    }

    /// Adds a linear layer, initialized like `torch.nn.Linear`: weight `[outputs, inputs]` and bias `[outputs]` are
    /// uniform within `1 / sqrt(inputs)`.
    pub fn linear(&mut self, name: &str, inputs: u32, outputs: u32) -> Result<(Tensor, Tensor), Error> {
        let initial = Initial::Uniform(1.0 / f64::from(inputs).sqrt());
        let part = |part: &str| vec![PartShape { name: format!("{name}.{part}"), rows: outputs, initial }];
        Ok((self.add(part("weight"), Some(i64::from(inputs)))?, self.add(part("bias"), None)?))
    }

    /// These weights except those with such names, followed by the others. All tensors are shared, none is copied.
    pub fn replacing(&self, is_replaced: impl Fn(&str) -> bool, others: &Weights) -> Weights {
        let kept = self.list.iter().filter(|weight| weight.parts.iter().all(|part| !is_replaced(&part.name)));
        let share = |weight: &Weight| Weight { tensor: weight.tensor.shallow_clone(), parts: weight.parts.clone() };
        Weights { list: kept.chain(&others.list).map(share).collect(), device: self.device }
    }

    fn add(&mut self, parts: Vec<PartShape>, columns: Option<i64>) -> Result<Tensor, Error> {
        let mut start = 0;
        let mut named = Vec::with_capacity(parts.len());
        for PartShape { name, rows, initial } in parts {
            let rows = i64::from(rows);
            named.push(WeightPart { name, start, rows, initial });
            start += rows;
        }
        let shape: Vec<i64> = [start].into_iter().chain(columns).collect();
        let tensor = Tensor::f_zeros(&shape, (Kind::Float, self.device))?.set_requires_grad(true);
        let handle = tensor.shallow_clone();
        self.list.push(Weight { tensor, parts: named });
        Ok(handle)
    }

    /// Every part by name, as a detached view of the values.
    pub fn named(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let values: Vec<Tensor> = self.tensors().map(Tensor::detach).collect();
        self.named_like(&values)
    }

    /// Views of other tensors of the same shapes under the same names, such as the moments of an optimizer.
    pub fn named_like(&self, tensors: &[Tensor]) -> Result<Vec<(String, Tensor)>, Error> {
        let mut named = Vec::new();
        for (weight, tensor) in self.list.iter().zip(tensors) {
            for part in &weight.parts {
                named.push((part.name.clone(), tensor.f_narrow(0, part.start, part.rows)?));
            }
        }
        Ok(named)
    }

    /// The parts that contain numbers that are infinite or not a number, each with the number of these and of all.
    pub fn non_finite(&self) -> Result<Vec<(String, i64, usize)>, Error> {
        let mut found = vec![];
        for (name, values) in self.named()? {
            let finite = values.f_isfinite()?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
            let count = values.numel();
            if finite < count as i64 {
                found.push((name, count as i64 - finite, count));
            }
        }
        Ok(found)
    }

    /// Initializes every part. The values are a function of the seed and the name of the part alone.
    pub fn initialize(&self, seed: u64) -> Result<(), Error> {
        let _no_grad = tch::no_grad_guard();
        for weight in &self.list {
            for part in &weight.parts {
                let mut view = weight.tensor.f_narrow(0, part.start, part.rows)?;
                match part.initial {
                    Initial::Constant(value) => {
                        let _ = view.f_fill_(f64::from(value))?;
                    }
                    Initial::Normal(std) => {
                        let drawn = normal(seed, &part.name, view.numel(), std);
                        view.f_copy_(&Tensor::f_from_slice(&drawn)?.f_view(view.size().as_slice())?)?;
                    }
                    Initial::Uniform(bound) => {
                        let mut draw = uniform(seed, &part.name);
                        let drawn: Vec<f32> =
                            (0..view.numel()).map(|_| (bound * (2.0 * draw() - 1.0)) as f32).collect();
                        view.f_copy_(&Tensor::f_from_slice(&drawn)?.f_view(view.size().as_slice())?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Uniform numbers in (0, 1], as a function of these arguments alone.
///
/// The generator is seeded with a digest of seed and name, so that the values of a tensor depend neither on the order
/// of the tensors nor on which other tensors exist.
fn uniform(seed: u64, name: &str) -> impl FnMut() -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key("grid initial weights 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    move || ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Normally distributed numbers, as a function of these arguments alone (Box and Muller 1958).
fn normal(seed: u64, name: &str, count: usize, std: f64) -> Vec<f32> {
    let mut uniform = uniform(seed, name);
    let mut drawn = Vec::with_capacity(count + 1);
    while drawn.len() < count {
        let radius = std * (-2.0 * uniform().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * uniform()).sin_cos();
        drawn.push((radius * cosine) as f32);
        drawn.push((radius * sine) as f32);
    }
    drawn.truncate(count);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_values_are_normal_and_depend_only_on_seed_and_name() {
        let drawn = normal(7, "a.weight", 200_001, 0.02);
        let mean = drawn.iter().map(|&x| f64::from(x)).sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 2e-4, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 2e-4, "{}", variance.sqrt());
        let beyond = drawn.iter().filter(|x| x.abs() > 0.04).count() as f64 / drawn.len() as f64;
        assert!((beyond - 0.0455).abs() < 0.003, "share beyond two deviations: {beyond}");
        assert_eq!(drawn[..10], normal(7, "a.weight", 10, 0.02));
        assert_ne!(drawn[..10], normal(8, "a.weight", 10, 0.02));
        assert_ne!(drawn[..10], normal(7, "b.weight", 10, 0.02));
    }

    #[test]
    fn numbers_that_are_not_finite_are_counted() {
        let mut weights = Weights::new(Device::Cpu);
        let _ = weights.vector("norm".to_owned(), 4, 1.0).unwrap();
        let broken = weights.vector("broken".to_owned(), 3, 1.0).unwrap();
        weights.initialize(1).unwrap();
        assert_eq!(weights.non_finite().unwrap(), []);
        let _no_grad = tch::no_grad_guard();
        let _ = broken.narrow(0, 0, 1).fill_(f64::NAN);
        let _ = broken.narrow(0, 2, 1).fill_(f64::INFINITY);
        assert_eq!(weights.non_finite().unwrap(), [("broken".to_owned(), 2, 3)]);
    }

    #[test]
    fn parts_are_views_of_one_tensor() {
        let mut weights = Weights::new(Device::Cpu);
        let parts = [("q", 2), ("k", 3)].map(|(name, rows)| PartShape::normal(name.to_owned(), rows, 1.0));
        let _ = weights.matrix(parts.to_vec(), 4).unwrap();
        let _ = weights.vector("norm".to_owned(), 4, 1.0).unwrap();
        weights.initialize(1).unwrap();
        let named = weights.named().unwrap();
        let shapes: Vec<_> = named.iter().map(|(name, view)| (name.as_str(), view.size())).collect();
        assert_eq!(shapes, [("q", vec![2, 4]), ("k", vec![3, 4]), ("norm", vec![4])]);
        let whole: Vec<f32> = Vec::try_from(weights.list()[0].tensor.detach().flatten(0, -1)).unwrap();
        assert_eq!(whole, [normal(1, "q", 8, 1.0), normal(1, "k", 12, 1.0)].concat());
    }
}
