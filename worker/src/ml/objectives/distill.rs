//! Distillation from the mean logits of teachers (BabyLlama, Timiryasov and Tastet 2023, arXiv 2308.02019).
//!
//! The teachers read the rows of the model and run without gradients, in its precision. Their hidden states are held for
//! all positions of a micro-batch, but their logits, like those of the model, only for a chunk of rows at a time.

use std::sync::{Arc, Mutex, PoisonError};

use grid::domain::Distill;
use tch::{Device, Kind, Tensor};

use super::language_modeling::{LanguageModeling, TokenBatch, TrainingSequence};
use super::objective::{BatchLimits, Objective, Purpose};
use crate::ml::error::Error;
use crate::ml::models::Model;
use crate::ml::phases::{Phase, timed};
use crate::ml::shim;

/// The cross entropy of the text beside the divergence from teachers.
#[derive(Debug, Clone)]
pub struct Distillation {
    text: LanguageModeling,
    settings: Distill,
    /// Never changed; the thread that prepares batches has a clone of the objective, but no use for the models.
    teachers: Arc<Mutex<Vec<Model>>>,
}

impl Distillation {
    /// The objective of a model, beside teachers on its device that have its vocabulary. `text` does not smooth labels; its
    /// noise on embeddings is for the model alone.
    ///
    /// # Panics
    /// Without a teacher.
    pub fn new(text: LanguageModeling, settings: Distill, teachers: Vec<Model>) -> Self {
        assert!(!teachers.is_empty(), "a distillation has a teacher");
        Self { text, settings, teachers: Arc::new(Mutex::new(teachers)) }
    }

    /// The losses of a micro-batch and, if a scale is given, the gradient of the hidden states of the model.
    fn head(
        &self,
        model: &Model,
        hidden: &Tensor,
        micro_batch: &TokenBatch,
        scale: Option<f64>,
    ) -> Result<(HeadLosses, Option<Tensor>), Error> {
        let teachers = self.teachers.lock().unwrap_or_else(PoisonError::into_inner);
        let _no_grad = tch::no_grad_guard();
        let of_teacher = |teacher: &Model| {
            let hidden = timed(Phase::Forward, || self.text.hidden_without_noise(teacher, micro_batch))?;
            Ok::<_, Error>(Head { hidden, weight: teacher.head().f_detach()? })
        };
        let teachers = teachers.iter().map(of_teacher).collect::<Result<Vec<_>, _>>()?;
        let head = self.text.head(model, hidden, micro_batch);
        let pass = HeadPass {
            student: Head { hidden: hidden.f_detach()?, weight: head.weight.f_detach()? },
            teachers,
            targets: head.targets,
            settings: self.settings,
            // There are several copies of the logits of a chunk.
            chunk: if model.device() == Device::Cpu { 512 } else { 1024 },
            kind: if head.bf16 { Kind::BFloat16 } else { Kind::Float },
        };
        let (losses, gradients) = timed(Phase::Head, || pass.run(scale))?;
        let Some([of_hidden, of_weight]) = gradients else { return Ok((losses, None)) };
        shim::backward(head.weight, &of_weight)?;
        Ok((losses, Some(of_hidden)))
    }

    /// `loss` and the metrics; see [`Objective::backward`].
    fn numbers(loss: &Tensor, losses: &HeadLosses, count: i64) -> Result<Tensor, Error> {
        let count = Tensor::f_full([], count, (Kind::Double, loss.device()))?;
        Ok(Tensor::f_stack(&[loss, &losses.cross_entropy, &count, &losses.divergence, &count], 0)?)
    }
}

impl Objective for Distillation {
    type Model = Model;
    type Example = TrainingSequence;
    type MicroBatch = TokenBatch;

    fn tokens(&self, example: &TrainingSequence) -> usize {
        self.text.tokens(example)
    }

    fn terms(&self, example: &TrainingSequence) -> usize {
        self.text.terms(example)
    }

    fn micro_batches(
        &self,
        examples: &[TrainingSequence],
        purpose: Purpose,
        limits: BatchLimits,
    ) -> Result<Vec<TokenBatch>, Error> {
        self.text.micro_batches(examples, purpose, limits)
    }

    /// The cross entropy, and KL(q, p) without the factor T².
    fn metrics(&self) -> &'static [&'static str] {
        &["cross_entropy", "teacher_kl"]
    }

    fn backward(&self, model: &Model, micro_batch: &TokenBatch, scale: f64) -> Result<Tensor, Error> {
        let hidden = timed(Phase::Forward, || self.text.hidden(model, micro_batch))?; // [predicted, hidden]
        let (losses, gradient) = self.head(model, &hidden, micro_batch, Some(scale))?;
        if let Some(gradient) = gradient {
            timed(Phase::Backward, || shim::backward(&hidden, &gradient))?;
        }
        let _no_grad = tch::no_grad_guard();
        let Distill { temperature, hard_weight } = self.settings;
        let hard = losses.cross_entropy.f_mul_scalar(hard_weight)?;
        let soft = losses.divergence.f_mul_scalar((1.0 - hard_weight) * temperature * temperature)?;
        Self::numbers(&hard.f_add(&soft)?, &losses, hidden.size()[0])
    }

    /// The plain cross entropy, so that it can be compared with that of other objectives.
    fn loss(&self, model: &Model, micro_batch: &TokenBatch) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let hidden = self.text.hidden(model, micro_batch)?;
        let (losses, _) = self.head(model, &hidden, micro_batch, None)?;
        Self::numbers(&losses.cross_entropy, &losses, hidden.size()[0])
    }
}

/// Hidden states `[rows, hidden]` and the weight `[vocab, hidden]` of a vocabulary head, without gradients.
struct Head {
    hidden: Tensor,
    weight: Tensor,
}

impl Head {
    fn to_kind(&self, kind: Kind) -> Result<Head, Error> {
        Ok(Head { hidden: self.hidden.f_to_kind(kind)?, weight: self.weight.f_to_kind(kind)? })
    }

    /// The logits of `length` rows from `start` on, float32 `[length, vocab]`.
    fn logits(&self, start: i64, length: i64) -> Result<Tensor, Error> {
        let rows = self.hidden.f_narrow(0, start, length)?;
        Ok(rows.f_mm(&self.weight.f_tr()?)?.f_to_kind(Kind::Float)?)
    }
}

/// The summed losses of rows, 0-dim double.
struct HeadLosses {
    cross_entropy: Tensor,
    /// KL(q, p) at the temperature.
    divergence: Tensor,
}

/// One pass over the heads of the model and its teachers.
struct HeadPass<'a> {
    student: Head,
    /// At least one, each with the rows and the vocabulary of the student.
    teachers: Vec<Head>,
    /// Target ids, int64 `[rows]`.
    targets: &'a Tensor,
    settings: Distill,
    /// The number of rows whose logits exist at the same time.
    chunk: i64,
    /// The type of the matrix products.
    kind: Kind,
}

impl HeadPass<'_> {
    /// The losses and, if a scale is given, the gradients times that scale of the student's hidden states (`[rows, hidden]`
    /// of their type) and weight (float32 `[vocab, hidden]`).
    ///
    /// With logits s, p = softmax(s / T) and the teachers' q, the gradient of a row's loss in s is
    /// `hard_weight` (softmax(s) - target) + (1 - `hard_weight`) T (p - q).
    fn run(&self, scale: Option<f64>) -> Result<(HeadLosses, Option<[Tensor; 2]>), Error> {
        let device = self.student.hidden.device();
        let zero = || Tensor::f_zeros([], (Kind::Double, device));
        let (mut cross_entropy, mut divergence) = (zero()?, zero()?);
        let student = self.student.to_kind(self.kind)?;
        let teachers = self.teachers.iter().map(|head| head.to_kind(self.kind)).collect::<Result<Vec<_>, _>>()?;
        let mut gradients = match scale {
            Some(_) => Some([
                Tensor::f_empty_like(&self.student.hidden)?,
                Tensor::f_zeros(self.student.weight.size(), (Kind::Float, device))?,
            ]),
            None => None,
        };
        let Distill { temperature, hard_weight } = self.settings;
        let soft = |logits: &Tensor| logits.f_div_scalar(temperature)?.f_log_softmax(1, Kind::Float);
        let rows = student.hidden.size()[0];
        let mut start = 0;
        while start < rows {
            let length = self.chunk.min(rows - start);
            let chosen = self.targets.f_narrow(0, start, length)?.f_unsqueeze(1)?;
            let logits = student.logits(start, length)?;
            let wanted = soft(&mean_logits(&teachers, start, length)?)?; // ln q
            let given = soft(&logits)?; // ln p
            let hard = logits.f_log_softmax(1, Kind::Float)?;
            let q = wanted.f_exp()?;
            let _ = cross_entropy.f_sub_(&hard.f_gather(1, &chosen, false)?.f_sum(Kind::Double)?)?;
            let _ = divergence.f_add_(&wanted.f_sub(&given)?.f_mul(&q)?.f_sum(Kind::Double)?)?;
            if let (Some(scale), Some([of_hidden, of_weight])) = (scale, &mut gradients) {
                let mut slope = hard.f_exp()?; // [length, vocab]
                let minus_one = Tensor::f_full([length, 1], -1.0, (Kind::Float, device))?;
                let _ = slope.f_scatter_add_(1, &chosen, &minus_one)?.f_mul_scalar_(hard_weight * scale)?;
                let soft_scale = (1.0 - hard_weight) * temperature * scale;
                let _ = slope.f_add_(&given.f_exp()?.f_sub(&q)?.f_mul_scalar(soft_scale)?)?;
                let slope = slope.f_to_kind(self.kind)?;
                of_hidden.f_narrow(0, start, length)?.f_copy_(&slope.f_mm(&student.weight)?)?;
                let inputs = student.hidden.f_narrow(0, start, length)?;
                let _ = of_weight.f_add_(&slope.f_tr()?.f_mm(&inputs)?)?;
            }
            start += length;
        }
        Ok((HeadLosses { cross_entropy, divergence }, gradients))
    }
}

/// The mean logits of the teachers; see [`Head::logits`].
fn mean_logits(teachers: &[Head], start: i64, length: i64) -> Result<Tensor, Error> {
    let (first, others) = teachers.split_first().expect("a distillation has a teacher");
    let mut sum = first.logits(start, length)?;
    for teacher in others {
        let _ = sum.f_add_(&teacher.logits(start, length)?)?;
    }
    Ok(if others.is_empty() { sum } else { sum.f_div_scalar(teachers.len() as i64)? })
}

#[cfg(test)]
mod tests;
