//! The trainable tensors of a model, under the names that Hugging Face gives them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Kind, Tensor};

use super::error::Error;

/// How a tensor looks before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Drawn from a normal distribution around zero with this standard deviation.
    Normal(f64),
    /// The same number everywhere.
    Constant(f32),
    /// Drawn evenly from the numbers between minus this and this.
    Uniform(f64),
}

/// A named slice of a weight: so many rows (elements of the first axis).
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The name in a Hugging Face file.
    pub name: String,
    /// Where it starts.
    pub start: i64,
    /// How many rows it has.
    pub rows: i64,
    /// Its values before training.
    pub initial: Initial,
}

/// One trainable float32 tensor, made of one or more named parts.
///
/// Matrices that multiply the same input (query, key and value; gate and up) are parts of one weight: one product
/// instead of three, while files and optimiser state keep the published names.
#[derive(Debug)]
pub struct Weight {
    /// The values.
    pub tensor: Tensor,
    /// The parts, in order; together they are all of it.
    pub parts: Vec<Part>,
}

/// All trainable tensors of a model, in the order in which the forward pass meets them.
#[derive(Debug)]
pub struct Weights {
    list: Vec<Weight>,
    device: Device,
}

impl Weights {
    /// None yet.
    pub fn new(device: Device) -> Self {
        Self { list: Vec::new(), device }
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The tensors.
    pub fn list(&self) -> &[Weight] {
        &self.list
    }

    /// The tensors without their names.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.list.iter().map(|weight| &weight.tensor)
    }

    /// Adds a matrix of `columns` whose rows are these parts (name, rows, standard deviation): `[sum of rows, columns]`.
    pub fn matrix(&mut self, parts: &[(String, u32, f64)], columns: u32) -> Result<Tensor, Error> {
        let parts: Vec<_> =
            parts.iter().map(|(name, rows, std)| (name.clone(), i64::from(*rows), Initial::Normal(*std))).collect();
        self.add(parts, Some(i64::from(columns)))
    }

    /// Adds a vector with the same value everywhere.
    pub fn vector(&mut self, name: String, length: u32, value: f32) -> Result<Tensor, Error> {
        self.add(vec![(name, i64::from(length), Initial::Constant(value))], None)
    }

    /// Adds a linear layer as PyTorch begins one, weight `[outputs, inputs]` and bias `[outputs]` even within
    /// `1 / sqrt(inputs)`.
    pub fn linear(&mut self, name: &str, inputs: u32, outputs: u32) -> Result<(Tensor, Tensor), Error> {
        let initial = Initial::Uniform(1.0 / f64::from(inputs).sqrt());
        let part = |part: &str| vec![(format!("{name}.{part}"), i64::from(outputs), initial)];
        Ok((self.add(part("weight"), Some(i64::from(inputs)))?, self.add(part("bias"), None)?))
    }

    /// These weights, but not the one of this name, then the others; all of them shared, none copied.
    pub fn without_then(&self, name: &str, others: &Weights) -> Weights {
        let kept = self.list.iter().filter(|weight| weight.parts.iter().all(|part| part.name != name));
        let share = |weight: &Weight| Weight { tensor: weight.tensor.shallow_clone(), parts: weight.parts.clone() };
        Weights { list: kept.chain(&others.list).map(share).collect(), device: self.device }
    }

    fn add(&mut self, parts: Vec<(String, i64, Initial)>, columns: Option<i64>) -> Result<Tensor, Error> {
        let mut start = 0;
        let mut named = Vec::with_capacity(parts.len());
        for (name, rows, initial) in parts {
            named.push(Part { name, start, rows, initial });
            start += rows;
        }
        let shape: Vec<i64> = [start].into_iter().chain(columns).collect();
        let tensor = Tensor::f_zeros(&shape, (Kind::Float, self.device))?.set_requires_grad(true);
        let handle = tensor.shallow_clone();
        self.list.push(Weight { tensor, parts: named });
        Ok(handle)
    }

    /// Every part by name, as a view of the values (without history).
    pub fn named(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let values: Vec<Tensor> = self.tensors().map(Tensor::detach).collect();
        self.named_like(&values)
    }

    /// The same names over tensors of the same shapes, such as the moments of an optimiser.
    pub fn named_like(&self, tensors: &[Tensor]) -> Result<Vec<(String, Tensor)>, Error> {
        let mut named = Vec::new();
        for (weight, tensor) in self.list.iter().zip(tensors) {
            for part in &weight.parts {
                named.push((part.name.clone(), tensor.f_narrow(0, part.start, part.rows)?));
            }
        }
        Ok(named)
    }

    /// Fills every part with its values before training: a function of the seed and the name alone.
    pub fn initialise(&self, seed: u64) -> Result<(), Error> {
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

/// Numbers spread evenly over (0, 1], never zero, that depend on nothing but these arguments.
///
/// The generator is seeded with the digest of seed and name, so that a tensor's values depend neither on the order
/// of the tensors nor on which others there are.
fn uniform(seed: u64, name: &str) -> impl FnMut() -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key("grid initial weights 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    move || ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Normally distributed numbers that depend on nothing but these arguments (Box and Muller 1958).
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
    fn initial_values_are_normal_and_depend_on_seed_and_name_only() {
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
    fn parts_are_views_of_one_tensor() {
        let mut weights = Weights::new(Device::Cpu);
        let parts = [("q".to_owned(), 2, 1.0), ("k".to_owned(), 3, 1.0)];
        let _ = weights.matrix(&parts, 4).unwrap();
        let _ = weights.vector("norm".to_owned(), 4, 1.0).unwrap();
        weights.initialise(1).unwrap();
        let named = weights.named().unwrap();
        let shapes: Vec<_> = named.iter().map(|(name, view)| (name.as_str(), view.size())).collect();
        assert_eq!(shapes, [("q", vec![2, 4]), ("k", vec![3, 4]), ("norm", vec![4])]);
        let whole: Vec<f32> = Vec::try_from(weights.list()[0].tensor.detach().flatten(0, -1)).unwrap();
        assert_eq!(whole, [normal(1, "q", 8, 1.0), normal(1, "k", 12, 1.0)].concat());
    }
}
