//! How often a training reads each of its texts.

use super::facts::{Facts, epochs};
use crate::domain::{Job, JobId, Training, TuneJob, TunePart};

/// The texts of a training job, each with the number of passes over it in all parts; corpora before datasets.
pub(super) fn passes(facts: &Facts, job: &Job) -> Vec<(JobId, Option<f64>)> {
    match job {
        Job::Pretrain(pretrain) => {
            let Training { length, batch_size, .. } = pretrain.training;
            let epochs = epochs(length, batch_size, facts.pretrain_epoch(pretrain).rows);
            pretrain.corpora.iter().map(|id| (*id, epochs)).collect()
        }
        Job::Tune(tune) => {
            let parts = tune.parts();
            let corpora = parts.iter().flat_map(|part| passes_over_corpora(facts, tune, part));
            let datasets = parts.iter().flat_map(|part| passes_over_datasets(facts, tune, part));
            let demonstrations = parts.iter().flat_map(|part| passes_over_demonstrations(facts, tune, part));
            let mut all: Vec<(JobId, Option<f64>)> = vec![];
            for (id, passes) in corpora.chain(datasets).chain(demonstrations) {
                match all.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, before)) => *before = before.zip(passes).map(|(before, passes)| before + passes),
                    None => all.push((id, passes)),
                }
            }
            all
        }
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Eval(_)
        | Job::Finetune(_) => {
            vec![]
        }
    }
}

fn passes_over_datasets(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let epochs = epochs(part.length, tune.training.batch_size, facts.tune_epoch(tune.loss, part).rows);
    let records = |id: &JobId| facts.amounts.get(id).and_then(|amount| amount.train.units);
    let all: Option<u64> = part.datasets.iter().map(records).sum();
    let weights: f64 = part.shares.iter().sum();
    let of_dataset = |(place, id): (usize, &JobId)| {
        let share = match part.shares.get(place) {
            // An epoch has as many rows as all datasets together have records.
            Some(share) => share / weights * all? as f64 / records(id)? as f64,
            None => 1.0,
        };
        Some(epochs? * share)
    };
    part.datasets.iter().enumerate().map(|dataset| (*dataset.1, of_dataset(dataset))).collect()
}

/// The passes over the datasets of demonstrations that these make; an upper limit, because a record has fewer of them
/// if they do not fit into the maximum length, or if too few others have another prompt.
fn passes_over_demonstrations(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let Some(shots) = &tune.shots else { return vec![] };
    let records = |id: &JobId| facts.amounts.get(id).and_then(|amount| amount.train.units);
    let of_dataset = |(dataset, passes): (JobId, Option<f64>)| {
        let pool = shots.pool.unwrap_or(dataset);
        let others = records(&pool).map(|records| records.saturating_sub(u64::from(pool == dataset)));
        let passes = passes.zip(records(&dataset)).zip(records(&pool).zip(others));
        let passes = passes.map(|((passes, rows), (records, others))| {
            passes * rows as f64 * others.min(shots.k.into()) as f64 / records.max(1) as f64
        });
        (pool, passes)
    };
    passes_over_datasets(facts, tune, part).into_iter().map(of_dataset).collect()
}

fn passes_over_corpora(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let Some(replay) = &part.replay else { return vec![] };
    let epoch = facts.tune_epoch(tune.loss, part);
    let epochs = epochs(part.length, tune.training.batch_size, epoch.rows);
    let text: Option<u64> = replay.corpora.iter().map(|id| facts.amounts.get(id).map(|amount| amount.tokens())).sum();
    let windows = epoch.rows.zip(epoch.units).map(|(rows, records)| rows - records);
    let read = windows.map(|windows| windows * u64::from(replay.sequence_length));
    let share = read.zip(text).map(|(read, text)| read as f64 / text.max(1) as f64);
    let share = epochs.zip(share).map(|(epochs, share)| epochs * share);
    replay.corpora.iter().map(|id| (*id, share)).collect()
}
