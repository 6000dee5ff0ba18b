//! Tokenize a corpus or dataset.

use grid::data::{self, Formatter, HeldOut, Tokenizer};
use grid::domain::{Event, Formatting, PrepareJob, Prepared};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};

/// Writes the token files and `ledger.json`.
pub(super) fn run(job: &PrepareJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let folder = inputs.tokenizer(&job.tokenizer)?;
    let tokenizer = Tokenizer::load(folder)?;
    for message in tokenizer.warnings().to_vec() {
        attempt.emit(Event::Warning { message })?;
    }
    let output = attempt.output().to_owned();
    let ledger = match &job.data {
        Prepared::Corpus(origin, format) => {
            let documents = data::documents(&inputs.read_origin(origin)?, format)?;
            data::prepare_corpus(&tokenizer, &documents, job.held_out, &output)?
        }
        Prepared::Dataset(origin, format, formatting) => {
            let groups = data::record_groups(&inputs.read_origin(origin)?, format)?;
            let formatter =
                Formatter::new(formatting, &tokenizer, folder)?.mark_own_text(job.own_text).keep_texts(job.texts);
            let (ledger, held_out) =
                data::prepare_dataset(&tokenizer, &groups, format.replies(), &formatter, job.held_out, &output)?;
            let (across, records) = [ledger.train, ledger.validation]
                .iter()
                .fold((0, 0), |(across, records), split| (across + split.across, records + split.units));
            // A continuation has no border that could be set by a separator.
            if across > 0 && !matches!(formatting, Formatting::Continuation { .. }) {
                let message = format!(
                    "in {across} of {records} records, one token contains both the end of a prompt and the beginning of its \
                     reply, and it is trained on; separate them with a space or a line break"
                );
                attempt.emit(Event::Warning { message })?;
            }
            if let HeldOut::Tail(records) = held_out {
                let message = format!(
                    "no dialogue or paragraph is small enough to be held out as a whole: the last {records} records of \
                     the largest one are held out"
                );
                attempt.emit(Event::Warning { message })?;
            }
            ledger
        }
    };
    if ledger.train.words + ledger.validation.words == 0 {
        return Err(JobError::failed(
            "it contains no text: are the files complete, and are the fields and filters right?",
        ));
    }
    for (name, value) in [("words", ledger.train.words), ("tokens", ledger.train.tokens)] {
        attempt.emit(Event::Metric { name: name.to_owned(), step: 0, value: value as f64 })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grid::domain::{DatasetFormat, Job, Origin, WorldPart};

    use super::*;
    use crate::jobs::fixtures::{NEVER, journal, pretrain_job, pretraining, submit};
    use crate::ml::runtime;

    /// If a dataset is a single dialogue, its end is held out.
    #[test]
    fn holding_out_part_of_a_dialogue_gives_a_warning() {
        runtime::configure(1).unwrap();
        let runs = tempfile::tempdir().unwrap();
        let (job, parents) = pretraining(runs.path());
        let tokenizer = pretrain_job(job).tokenizer;
        let warnings = |across: bool| {
            let origin = Origin::World { part: WorldPart::Dialogues, seed: 1, size: 3_000 };
            let format = DatasetFormat::Dialogue { min_words: 0, across, remove: String::new() };
            let data = Prepared::Dataset(origin, format, Formatting::separated("\n"));
            let job = Job::Prepare(PrepareJob { tokenizer, data, held_out: 0.1, own_text: false, texts: false });
            let attempt = submit(&runs.path().join(format!("across-{across}")), "t", &job, &parents, &NEVER);
            let warning = |event| match event {
                Event::Warning { message } => Some(message),
                _ => None,
            };
            journal(&attempt).into_iter().filter_map(warning).collect::<Vec<String>>()
        };
        assert_eq!(warnings(false), [] as [String; 0]);
        let [warning] = &warnings(true)[..] else { panic!("one warning") };
        assert_eq!(
            warning,
            "no dialogue or paragraph is small enough to be held out as a whole: the last 26 records of the largest one \
             are held out"
        );
    }
}
