//! AdamW with decoupled weight decay and clipping by the global norm (Loshchilov and Hutter 2019).

use grid::domain::Training;
use tch::{Kind, Tensor};

use crate::ml::error::Error;
use crate::ml::phases::{Phase, timed};
use crate::ml::shim::{self, AdamWStep};
use crate::ml::weights::Weights;

/// Which weights the weight decay applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// Matrices only, neither gains nor biases.
    Matrices,
    /// All, as `torch.optim.AdamW` does by default.
    All,
}

/// The optimizer and its whole state.
#[derive(Debug)]
pub struct AdamW {
    decay: Decay,
    first: Vec<Tensor>,  // first moments, shaped like the weights
    second: Vec<Tensor>, // second moments
    steps: Tensor,       // 0-dim float, shared by all weights
}

impl AdamW {
    /// The state before the first step on these weights.
    pub fn new(weights: &Weights, decay: Decay) -> Result<Self, Error> {
        let zeros = || -> Result<Vec<Tensor>, Error> {
            weights.tensors().map(|tensor| Ok(tensor.detach().f_zeros_like()?)).collect()
        };
        let steps = Tensor::f_zeros(&[] as &[i64], (Kind::Float, weights.device()))?;
        Ok(Self { decay, first: zeros()?, second: zeros()?, steps })
    }

    /// Updates the weights by their gradients, and returns the gradient norm before clipping (0-dim).
    ///
    /// Gradients are scaled by `min(1, clip_norm / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_` does. The function
    /// does not wait for the device.
    pub fn step(&mut self, weights: &Weights, training: &Training, learning_rate: f64) -> Result<Tensor, Error> {
        timed(Phase::Optimizer, || self.take_step(weights, training, learning_rate))
    }

    fn take_step(&mut self, weights: &Weights, training: &Training, learning_rate: f64) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let norm = shim::gradient_norm(weights.tensors())?;
        let divisor = match training.clip_norm {
            Some(clip_norm) => Some(norm.f_add_scalar(1e-6)?.f_div_scalar(clip_norm)?.f_clamp_min(1.0)?),
            None => None,
        };
        let _ = self.steps.f_add_scalar_(1.0)?;
        for decays in [true, false] {
            let chosen: Vec<usize> = (0..self.first.len())
                .filter(|&i| (self.decay == Decay::All || self.first[i].dim() >= 2) == decays)
                .collect();
            if chosen.is_empty() {
                continue;
            }
            let parameters: Vec<&Tensor> = chosen.iter().map(|&i| &weights.list()[i].tensor).collect();
            let first: Vec<&Tensor> = chosen.iter().map(|&i| &self.first[i]).collect();
            let second: Vec<&Tensor> = chosen.iter().map(|&i| &self.second[i]).collect();
            let hyperparameters = AdamWStep {
                learning_rate,
                betas: training.betas,
                weight_decay: if decays { training.weight_decay } else { 0.0 },
                epsilon: training.epsilon,
            };
            shim::fused_adamw(&parameters, &first, &second, &self.steps, divisor.as_ref(), hyperparameters)?;
        }
        Ok(norm)
    }

    /// The state by name: `first.<weight>`, `second.<weight>`, `steps`. These are views: writing to them changes the
    /// state.
    pub fn named(&self, weights: &Weights) -> Result<Vec<(String, Tensor)>, Error> {
        let mut named = vec![("steps".to_owned(), self.steps.shallow_clone())];
        for (prefix, list) in [("first", &self.first), ("second", &self.second)] {
            named.extend(weights.named_like(list)?.into_iter().map(|(name, view)| (format!("{prefix}.{name}"), view)));
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::weights::PartShape;
    use grid::domain::Length;
    use tch::Device;

    fn training(weight_decay: f64, clip_norm: Option<f64>) -> Training {
        Training { betas: [0.9, 0.99], weight_decay, clip_norm, ..Training::plain(Length::Steps(10), 1, 0.1) }
    }

    /// The published update of a single number, in f64.
    fn reference(training: &Training, mut weight: f64, gradients: &[f64], decays: bool) -> f64 {
        let [beta1, beta2] = training.betas;
        let (mut first, mut second) = (0.0, 0.0);
        for (t, gradient) in (1..).zip(gradients) {
            weight -= training.learning_rate * if decays { training.weight_decay } else { 0.0 } * weight;
            first = beta1 * first + (1.0 - beta1) * gradient;
            second = beta2 * second + (1.0 - beta2) * gradient * gradient;
            let (first, second) = (first / (1.0 - beta1.powi(t)), second / (1.0 - beta2.powi(t)));
            weight -= training.learning_rate * first / (second.sqrt() + training.epsilon);
        }
        weight
    }

    #[test]
    fn steps_follow_the_published_formula() {
        for (decay, vector_decays) in [(Decay::Matrices, false), (Decay::All, true)] {
            let training = training(0.3, Some(1.0));
            let mut weights = Weights::new(Device::Cpu);
            let matrix = weights.matrix(vec![PartShape::normal("m".into(), 1, 0.0)], 1).unwrap();
            let vector = weights.vector("v".into(), 1, 2.0).unwrap();
            weights.initialize(0).unwrap();
            {
                let _no_grad = tch::no_grad_guard();
                let _ = matrix.shallow_clone().fill_(2.0);
            }
            let mut optimizer = AdamW::new(&weights, decay).unwrap();
            let mut seen = [vec![], vec![]];
            for (a, b) in [(0.3, 0.4), (3.0, -4.0), (-30.0, 40.0)] {
                shim::clear_gradients(weights.tensors()).unwrap();
                (&matrix * a + &vector * b).sum(Kind::Float).backward();
                let norm = optimizer.step(&weights, &training, training.learning_rate).unwrap().double_value(&[]);
                let wanted = f64::hypot(a, b);
                assert!((norm - wanted).abs() < 1e-5 * wanted);
                let scale = (1.0 / (wanted + 1e-6)).min(1.0);
                seen[0].push(a * scale);
                seen[1].push(b * scale);
            }
            let values = [&matrix, &vector].map(|tensor| tensor.detach().sum(Kind::Float).double_value(&[]));
            assert!((values[0] - reference(&training, 2.0, &seen[0], true)).abs() < 1e-5, "{values:?}");
            assert!((values[1] - reference(&training, 2.0, &seen[1], vector_decays)).abs() < 1e-5, "{values:?}");
        }
    }

    #[test]
    fn without_a_clip_norm_gradients_are_not_scaled() {
        let mut weights = Weights::new(Device::Cpu);
        let vector = weights.vector("v".into(), 1, 2.0).unwrap();
        weights.initialize(0).unwrap();
        (&vector * 50.0).sum(Kind::Float).backward();
        let mut optimizer = AdamW::new(&weights, Decay::Matrices).unwrap();
        let _ = optimizer.step(&weights, &training(0.0, None), 0.1).unwrap();
        let moment = optimizer.named(&weights).unwrap().into_iter().find(|(name, _)| name == "first.v").unwrap().1;
        assert!((moment.double_value(&[0]) - 5.0).abs() < 1e-5);
    }
}
