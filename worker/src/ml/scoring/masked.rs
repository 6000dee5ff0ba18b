//! Scoring of masked tokens: pseudo-log-likelihoods (Salazar et al. 2020).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use grid::domain::{ScoringBackend, ScoringRequest};
use tch::{Device, Kind, Tensor};

use crate::ml::error::Error;
use crate::ml::models::{MASKED, Model, Padding};

/// How tokens are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masking {
    /// The id of the mask token.
    pub mask: u32,
    /// The backend, which is not the causal one.
    pub backend: ScoringBackend,
}

/// A text of which a token is masked, perhaps with the rest of its word, and the predictions that are wanted of it.
#[derive(Debug)]
pub(super) struct MaskedRow {
    /// The ids, with the mask token.
    pub(super) ids: Vec<u32>,
    /// The position whose output is the prediction.
    read_at: usize,
    /// What is predicted there, and where its log-probability goes.
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    id: u32,
    request: usize,
    /// The place among the scored positions of the request.
    place: usize,
}

/// One row for each masked text, the longest first. Texts that differ in the masked token only are one row.
pub(super) fn rows(requests: &[ScoringRequest], masking: Masking) -> Vec<MaskedRow> {
    let mut rows: Vec<MaskedRow> = vec![];
    // By masked text and position.
    let mut numbers: HashMap<(Vec<u32>, usize), usize> = HashMap::new();
    for (request, ScoringRequest { ids, scored, masked_to }) in requests.iter().enumerate() {
        for (place, position) in scored.clone().enumerate() {
            let mut masked = ids.clone();
            let id = std::mem::replace(&mut masked[position], masking.mask);
            let end = masked_to.get(place).copied().unwrap_or(position + 1);
            masked[position + 1..end.max(position + 1)].fill(masking.mask);
            let read_at = if masking.backend == ScoringBackend::Mntp { position - 1 } else { position };
            let answer = Answer { id, request, place };
            match numbers.entry((masked, read_at)) {
                Entry::Occupied(known) => rows[*known.get()].answers.push(answer),
                Entry::Vacant(new) => {
                    rows.push(MaskedRow { ids: new.key().0.clone(), read_at, answers: vec![answer] });
                    new.insert(rows.len() - 1);
                }
            }
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.ids.len()));
    rows
}

/// Computes rows in one forward pass, and puts the log-probabilities into the results of their requests.
pub(super) fn forward(model: &Model, rows: &[MaskedRow], results: &mut [Vec<f32>]) -> Result<(), Error> {
    let _no_grad = tch::no_grad_guard();
    let (device, width) = (model.device(), rows.iter().map(|row| row.ids.len()).max().unwrap_or(0));
    let shape = [rows.len() as i64, width as i64];
    let (mut ids, mut mask, mut positions) =
        (vec![0i64; rows.len() * width], vec![MASKED as f32; rows.len() * width], vec![]);
    for (index, row) in rows.iter().enumerate() {
        let start = index * width;
        for (token, &id) in row.ids.iter().enumerate() {
            (ids[start + token], mask[start + token]) = (i64::from(id), 0.0);
        }
        positions.push((start + row.read_at) as i64);
    }
    let put = |numbers: &[i64]| -> Result<Tensor, Error> { Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?) };
    let mask = Tensor::f_from_slice(&mask)?.f_to_device(device)?.f_view([shape[0], 1, 1, shape[1]])?;
    let ids = put(&ids)?.f_view(shape)?;
    let hidden = model.hidden_in_whole_texts(&ids, &Padding { mask }, &put(&positions)?)?; // [row, width]
    let logits = hidden.f_linear(model.head(), model.head_bias())?;
    let normalizers = logits.f_logsumexp([1], true)?;
    let answers: Vec<(usize, &Answer)> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, masked)| masked.answers.iter().map(move |answer| (row, answer)))
        .collect();
    let of_rows: Vec<i64> = answers.iter().map(|(row, _)| *row as i64).collect();
    let targets: Vec<i64> = answers.iter().map(|(_, answer)| answer.id.into()).collect();
    let places = put(&of_rows)?.f_mul_scalar(logits.size()[1])?.f_add(&put(&targets)?)?;
    let values = logits.f_flatten(0, 1)?.f_index_select(0, &places)?;
    let values = values.f_sub(&normalizers.f_flatten(0, 1)?.f_index_select(0, &put(&of_rows)?)?)?;
    let values: Vec<f32> = Vec::try_from(values.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?)?;
    for ((_, answer), value) in answers.into_iter().zip(values) {
        results[answer.request][answer.place] = value;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[5, 6, 7, 8]`, of which 6 and 7 are one word.
    #[test]
    fn later_tokens_of_a_word_are_masked_with_it() {
        let masking = Masking { mask: 9, backend: ScoringBackend::Mlm };
        let masked = |masked_to: Vec<usize>| {
            let request = ScoringRequest { ids: vec![5, 6, 7, 8], scored: 1..4, masked_to };
            let mut rows: Vec<(Vec<u32>, usize)> =
                rows(&[request], masking).into_iter().map(|row| (row.ids, row.read_at)).collect();
            rows.sort_by_key(|(_, read_at)| *read_at);
            rows
        };
        assert_eq!(masked(vec![]), [(vec![5, 9, 7, 8], 1), (vec![5, 6, 9, 8], 2), (vec![5, 6, 7, 9], 3)]);
        assert_eq!(masked(vec![3, 3, 4]), [(vec![5, 9, 9, 8], 1), (vec![5, 6, 9, 8], 2), (vec![5, 6, 7, 9], 3)]);
    }
}
