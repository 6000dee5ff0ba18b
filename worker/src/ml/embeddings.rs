//! Texts as vectors.

use grid::domain::Precision;
use tch::{Kind, Tensor};

use super::error::Error;
use super::models::Model;

/// The mean of the hidden states of the last layer, after its final normalization, over the tokens of each text. At
/// most `rows` rows go through the model together. A text that is longer than the positions of the model is read in
/// several rows, each of which starts without what is before it.
///
/// # Errors
/// A text without tokens; ids that the model does not know; a model that only predicts masked tokens; libtorch fails,
/// also by running out of memory.
pub fn mean_hidden_states(
    model: &Model,
    texts: &[Vec<u32>],
    precision: Precision,
    rows: usize,
) -> Result<Vec<Vec<f64>>, Error> {
    let longest = model.config().max_positions as usize;
    let windows: Vec<(usize, &[u32])> =
        texts.iter().enumerate().flat_map(|(text, ids)| ids.chunks(longest).map(move |ids| (text, ids))).collect();
    // Some models end in fewer dimensions than they have inside.
    let mut sums: Vec<Vec<f64>> = vec![vec![]; texts.len()];
    for batch in windows.chunks(rows.max(1)) {
        let ids: Vec<&[u32]> = batch.iter().map(|(_, ids)| *ids).collect();
        for ((text, _), row) in batch.iter().zip(sums_over_tokens(model, &ids, precision)?) {
            sums[*text].resize(row.len(), 0.0);
            sums[*text].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
    for (sum, ids) in sums.iter_mut().zip(texts) {
        if ids.is_empty() {
            return Err(Error::Input("a text without tokens has no mean of hidden states".to_owned()));
        }
        sum.iter_mut().for_each(|value| *value /= ids.len() as f64);
    }
    Ok(sums)
}

/// The sum of the hidden states of each row.
fn sums_over_tokens(model: &Model, rows: &[&[u32]], precision: Precision) -> Result<Vec<Vec<f64>>, Error> {
    let _no_grad = tch::no_grad_guard();
    let vocabulary = model.config().vocab_size;
    if let Some(id) = rows.iter().flat_map(|row| *row).find(|id| **id >= vocabulary) {
        return Err(Error::Input(format!("the token id {id} is not in the model's vocabulary of {vocabulary}")));
    }
    let seq = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    // Later tokens have no effect on earlier ones, so any id can be the padding on the right.
    let padded = rows.iter().flat_map(|row| row.iter().chain(std::iter::repeat_n(&0, seq - row.len())));
    let ids: Vec<i64> = padded.map(|id| i64::from(*id)).collect();
    let ids = Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, seq as i64])?.f_to_device(model.device())?;
    let hidden = model.hidden_in(&ids, None, precision)?; // [batch, seq, hidden]
    let sum = |(number, row): (usize, &&[u32])| {
        let states = hidden.f_select(0, number as i64)?.f_narrow(0, 0, row.len() as i64)?; // [token, hidden]
        let sum = states.f_sum_dim_intlist(0i64, false, Kind::Double)?;
        Ok(Vec::<f64>::try_from(sum.f_to_device(tch::Device::Cpu)?)?)
    };
    rows.iter().enumerate().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use grid::domain::Arch;
    use tch::Device;

    use super::*;
    use crate::ml::fixtures::{every_kind, masked_kinds, small};

    fn near(one: &[f64], other: &[f64]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-5)
    }

    #[test]
    fn a_text_is_the_mean_over_its_own_tokens() {
        for config in every_kind() {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            let texts = [vec![5, 9, 2], vec![7], vec![1, 2, 3, 4, 5, 6]];
            let found = mean_hidden_states(&model, &texts, Precision::F32, 2).unwrap();
            for (ids, found) in texts.iter().zip(&found) {
                let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
                let hidden = model.hidden(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap();
                let mean = hidden.squeeze_dim(0).mean_dim(0i64, false, Kind::Double);
                assert!(near(found, &Vec::<f64>::try_from(mean).unwrap()), "{config:?}");
            }
        }
    }

    #[test]
    fn a_text_beyond_the_positions_is_read_in_parts() {
        let model = Model::random(&small(Arch::Gpt2), 3, Device::Cpu).unwrap();
        let long: Vec<u32> = (0..90).map(|id| id % 11).collect();
        let parts: Vec<Vec<u32>> = long.chunks(40).map(<[u32]>::to_vec).collect();
        let whole = mean_hidden_states(&model, &[long], Precision::F32, 8).unwrap();
        let parts = mean_hidden_states(&model, &parts, Precision::F32, 8).unwrap();
        let mean = |place: usize| {
            let weighted =
                parts.iter().zip([40.0, 40.0, 10.0]).map(|(part, weight): (&Vec<f64>, f64)| part[place] * weight);
            weighted.sum::<f64>() / 90.0
        };
        assert!(near(&whole[0], &(0..whole[0].len()).map(mean).collect::<Vec<_>>()));
    }

    #[test]
    fn what_has_no_embedding_is_refused() {
        let model = Model::random(&small(Arch::Gpt2), 3, Device::Cpu).unwrap();
        let problem = |model: &Model, ids: Vec<u32>| {
            mean_hidden_states(model, &[ids], Precision::F32, 8).unwrap_err().to_string()
        };
        assert!(problem(&model, vec![]).contains("a text without tokens"));
        assert!(problem(&model, vec![100_000]).contains("the token id 100000 is not in the model's vocabulary"));
        for config in masked_kinds().into_iter().filter(|config| !matches!(config.arch, Arch::GptBert(_))) {
            let masked = Model::random(&config, 3, Device::Cpu).unwrap();
            assert!(problem(&masked, vec![1, 2]).contains("predicts masked tokens"));
        }
    }
}
