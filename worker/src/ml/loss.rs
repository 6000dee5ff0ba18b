//! Cross entropy of next-token prediction, without ever holding `[tokens, vocab]`.

use grid::domain::Precision;
use tch::{Device, Tensor};

use super::batch::{MicroBatch, Row, group};
use super::error::Error;
use super::model::Model;
use super::phases::{Phase, timed};
use super::shim::{self, Head};

/// Rows of the head's logits that exist at one time: on a CPU few, so that they stay in its cache.
fn chunk(device: Device) -> i64 {
    if device == Device::Cpu { 512 } else { 4096 }
}

fn scored_hidden(model: &Model, piece: &MicroBatch, precision: Precision) -> Result<Tensor, Error> {
    let hidden = model.hidden_in(&piece.ids, precision)?; // [batch, seq, hidden]
    let (batch, seq, width) = hidden.size3()?;
    let flat = hidden.f_view([batch * seq, width])?;
    // Only positions before a predicted id go on to the vocabulary.
    Ok(if piece.scored as i64 == batch * seq { flat } else { flat.f_index_select(0, &piece.positions)? })
}

fn head<'a>(model: &'a Model, hidden: &'a Tensor, piece: &'a MicroBatch, precision: Precision) -> Head<'a> {
    let (chunk, bf16) = (chunk(model.device()), precision == Precision::Bf16);
    Head { hidden, weight: model.head(), targets: &piece.targets, chunk, bf16 }
}

/// How a loss is computed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Arithmetic of the model and its head.
    pub precision: Precision,
    /// See [`grid::domain::Training::label_smoothing`].
    pub label_smoothing: f64,
    /// What gradients are multiplied with.
    pub scale: f64,
}

/// Adds the gradients of the scaled, summed loss of a piece to the weights; returns the unscaled sum (0-dim, double).
///
/// The head runs forwards and backwards chunk by chunk on detached hidden states, then the body runs backwards from
/// their gradient.
pub fn backward(model: &Model, piece: &MicroBatch, rule: Rule) -> Result<Tensor, Error> {
    let Rule { precision, label_smoothing, scale } = rule;
    let hidden = timed(Phase::Forward, || scored_hidden(model, piece, precision))?; // [scored, hidden]
    let (loss, gradient) =
        timed(Phase::Head, || shim::head_loss(head(model, &hidden, piece, precision), label_smoothing, Some(scale)))?;
    if let Some(gradient) = gradient {
        timed(Phase::Backward, || shim::backward(&hidden, &gradient))?;
    }
    Ok(loss)
}

/// Summed loss of a piece (0-dim, double), without gradients and label smoothing.
pub fn forward(model: &Model, piece: &MicroBatch, precision: Precision) -> Result<Tensor, Error> {
    let _no_grad = tch::no_grad_guard();
    let hidden = scored_hidden(model, piece, precision)?;
    Ok(shim::head_loss(head(model, &hidden, piece, precision), 0.0, None)?.0)
}

/// Summed loss in nats and number of predicted ids of these rows, `micro_batch` rows at a time.
pub fn total(model: &Model, rows: &[Row], micro_batch: u32, precision: Precision) -> Result<(f64, u64), Error> {
    let (mut sum, mut count) = (0.0, 0);
    for group in group(rows, Some(micro_batch), model.device()) {
        let Some(piece) = MicroBatch::new(&group)? else { continue };
        let piece = piece.to_device(model.device())?;
        sum += forward(model, &piece, precision)?.f_double_value(&[])?;
        count += piece.scored as u64;
    }
    Ok((sum, count))
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::small;
    use super::*;
    use grid::domain::Arch;
    use tch::{Kind, Reduction};

    /// The chunked loss against libtorch's own over whole logits: value and every gradient.
    #[test]
    fn the_chunked_loss_equals_the_plain_one() {
        for (arch, label_smoothing) in [(Arch::Llama, 0.0), (Arch::Gpt2, 0.0), (Arch::Llama, 0.1)] {
            let model = Model::random(&small(arch), 11, Device::Cpu).unwrap();
            let rows: Vec<Row> = (0..60u32)
                .map(|i| Row {
                    ids: (0..2 + (i * 7) % 30).map(|j| (i * 13 + j * 5) % 61).collect(),
                    loss_from: i as usize % 4,
                })
                .collect();
            let piece = MicroBatch::new(&rows.iter().collect::<Vec<_>>()).unwrap().unwrap();
            assert!(piece.ids.numel() > piece.scored, "the gathering has something to leave out");

            let rule = Rule { precision: Precision::F32, label_smoothing, scale: 0.5 };
            let loss = backward(&model, &piece, rule).unwrap().double_value(&[]);
            let chunked: Vec<Tensor> = model.weights().tensors().map(Tensor::grad).collect();
            shim::clear_gradients(model.weights().tensors()).unwrap();

            let hidden = model.hidden(&piece.ids).unwrap().flatten(0, 1).index_select(0, &piece.positions);
            let logits = hidden.matmul(&model.head().tr());
            let plain =
                logits.cross_entropy_loss(&piece.targets, None::<Tensor>, Reduction::Sum, -100, label_smoothing);
            (&plain * 0.5).backward();
            assert!((loss - plain.double_value(&[])).abs() < 1e-5 * loss, "{arch:?}: {loss} {plain:?}");
            for (weight, gradient) in model.weights().list().iter().zip(chunked) {
                let wanted = weight.tensor.grad();
                let error = (&gradient - &wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]);
                assert!(error < 1e-5, "{arch:?} {:?}: {error}", weight.parts);
            }
            let (sum, count) = total(&model, &rows, 7, Precision::F32).unwrap();
            assert_eq!(count, piece.scored as u64);
            assert_eq!((sum - loss).abs() < 1e-5 * loss, label_smoothing == 0.0, "{sum} {loss}");
        }
    }

    /// Chunk borders inside the rows change nothing but rounding.
    #[test]
    fn chunks_add_up() {
        let hidden = Tensor::arange(50 * 8, (Kind::Float, Device::Cpu)).sin().view([50, 8]);
        let targets = Tensor::arange(50, (Kind::Int64, Device::Cpu)).remainder(13);
        let run = |chunk| {
            let weight = Tensor::arange(13 * 8, (Kind::Float, Device::Cpu)).cos().view([13, 8]).set_requires_grad(true);
            let head = Head { hidden: &hidden, weight: &weight, targets: &targets, chunk, bf16: false };
            let (loss, gradient) = shim::head_loss(head, 0.1, Some(1.0)).unwrap();
            (loss.double_value(&[]), gradient.unwrap(), weight.grad())
        };
        let (whole, parts) = (run(1000), run(7));
        assert!((whole.0 - parts.0).abs() < 1e-4);
        assert!((&whole.1 - &parts.1).abs().max().double_value(&[]) < 1e-5);
        assert!((&whole.2 - &parts.2).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn bf16_stays_near_float32() {
        for arch in [Arch::Llama, Arch::Gpt2] {
            let model = Model::random(&small(arch), 11, Device::Cpu).unwrap();
            let rows = [Row { ids: (0..30).collect(), loss_from: 0 }, Row { ids: (20..60).collect(), loss_from: 5 }];
            let full = total(&model, &rows, 2, Precision::F32).unwrap();
            let half = total(&model, &rows, 2, Precision::Bf16).unwrap();
            assert_eq!(full.1, half.1);
            assert_ne!(full.0, half.0, "bfloat16 was not used");
            assert!((full.0 / half.0 - 1.0).abs() < 0.01, "{arch:?}: {full:?} {half:?}");
        }
    }
}
