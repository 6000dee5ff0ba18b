//! A description as text for a terminal.

use std::fmt::{Result, Write};

use super::decide::Decision;
use super::describe::{Description, JobLine, StageLine};
use super::ledger::{Account, Reading};
use crate::domain::{JobKind, counted, grouped};

/// With more jobs than this, those that differ in the seed or in the model they score are one line.
const MOST_LINES: usize = 100;

impl Description {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> Result {
        let count = |n: usize, one: &str| counted(n as u64, one);
        write!(out, "{}: {}", self.experiment, count(self.cells, "cell"))?;
        if self.combinations > self.cells {
            write!(out, " ({} combinations, equal ones collapsed)", self.combinations)?;
        }
        writeln!(out, ", {}; unshared it would be {}\n", count(self.jobs_total, "job"), self.jobs_unshared)?;
        let kinds = self.kinds.iter().map(|kind| {
            vec![
                kind.kind.to_string(),
                kind.jobs.to_string(),
                kind.run.to_string(),
                kind.reuse.to_string(),
                kind.blocked.to_string(),
                (kind.unshared - kind.jobs).to_string(),
                kind.share.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
            ]
        });
        columns(out, &["kind", "jobs", "run", "reuse", "blocked", "saved by sharing", "of the work"], 1, kinds)?;
        let models = self.models.iter().map(|line| {
            let config = &line.config;
            vec![
                line.name.clone(),
                config.arch.name().to_owned(),
                grouped(line.parameters),
                config.layers.to_string(),
                config.hidden.to_string(),
                config.heads.to_string(),
                grouped(u64::from(config.vocab_size)),
            ]
        });
        columns(out, &["model", "family", "parameters", "layers", "hidden", "heads", "vocabulary"], 2, models)?;
        let heads =
            ["training stage", "after", "jobs", "units/epoch", "words/epoch", "tokens/epoch", "epochs", "steps/epoch"];
        columns(out, &[&heads[..], &["steps"]].concat(), 2, self.stages.iter().map(stage))?;
        self.write_words(out)?;
        let heads = ["job", "id", "what", "decision"];
        match self.jobs.len() <= MOST_LINES {
            true => {
                let line = |job: &JobLine| {
                    vec![job.kind.to_string(), job.id.short(), job.label.clone(), shortened(&job.decision)]
                };
                columns(out, &heads, 4, self.jobs.iter().map(line))?;
            }
            false => {
                columns(out, &["job", "jobs", "what", "decision"], 4, self.groups().into_iter())?;
                writeln!(out, "each job: `--format json`\n")?;
            }
        }
        for line in &self.missing {
            let by = if line.needed_by.is_empty() { "tokenizer".to_owned() } else { line.needed_by.join(", ") };
            let place = line.place.as_ref().map_or(String::new(), |place| format!(", named in {place}"));
            writeln!(out, "not found: {} ({by}){place}", line.location)?;
        }
        let mut downloads: Vec<&str> = self.missing.iter().filter_map(|line| line.download).collect();
        downloads.sort_unstable();
        downloads.dedup();
        for download in downloads {
            let suites = self.missing.iter().filter(|line| line.download == Some(download));
            let mut suites: Vec<&str> = suites.flat_map(|line| &line.needed_by).map(String::as_str).collect();
            suites.dedup();
            writeln!(out, "  for {}: {download}", suites.join(", "))?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }

    /// The word ledger.
    fn write_words(&self, out: &mut String) -> Result {
        let ledger = &self.ledger;
        if ledger.readings.is_empty() {
            return Ok(());
        }
        let heads = ["words of", "text", "words", "passes", "seen", "trained on"];
        columns(out, &heads, 2, ledger.readings.iter().map(reading))?;
        let heads = ["words of each model", "different text", "seen", "trained on"];
        columns(out, &heads, 1, ledger.accounts.iter().map(account))?;
        if let Some(budget) = ledger.budget {
            writeln!(out, "budget: {budget}: {} may be seen\n", grouped(budget.seen()))?;
        }
        let measured = self.stages.iter().all(|stage| stage.measured) && ledger.readings.iter().all(|one| one.measured);
        if !measured {
            writeln!(out, "* what the spec expects of text that is not there; nobody counted it\n")?;
        }
        Ok(())
    }

    /// The jobs by kind and decision: trainings of one stage, and the scorings of one suite or task, in one line.
    fn groups(&self) -> Vec<Vec<String>> {
        let mut groups: Vec<(JobKind, String, String, usize)> = vec![];
        for job in &self.jobs {
            let (kind, decision) = (job.kind, shortened(&job.decision));
            let known = groups.iter_mut().find(|group| (group.0, &group.1, &group.2) == (kind, &job.group, &decision));
            match known {
                Some((.., jobs)) => *jobs += 1,
                None => groups.push((kind, job.group.clone(), decision, 1)),
            }
        }
        let line = |(kind, what, decision, jobs): (JobKind, String, String, usize)| {
            vec![kind.to_string(), format!("×{jobs}"), what, decision]
        };
        groups.into_iter().map(line).collect()
    }
}

/// A decision without a list of many missing data, which stands below anyway.
fn shortened(decision: &Decision) -> String {
    match decision {
        Decision::Blocked(missing) if missing.len() > 2 => format!("Blocked ({} data not found)", missing.len()),
        decision => decision.to_string(),
    }
}

/// A number, with a mark where nobody counted it.
fn number(n: Option<u64>, measured: bool) -> String {
    let mark = if measured { "" } else { "*" };
    n.map_or("?".to_owned(), |n| format!("{}{mark}", grouped(n)))
}

fn stage(stage: &StageLine) -> Vec<String> {
    let about = |n: Option<u64>, estimated: bool| match n {
        Some(_) if estimated => format!("~{}", number(n, stage.measured)),
        _ => number(n, stage.measured),
    };
    vec![
        stage.label.clone(),
        stage.after.clone().unwrap_or_default(),
        stage.jobs.to_string(),
        number(stage.units, stage.measured),
        number(stage.words, stage.measured),
        about(stage.tokens, stage.estimated),
        stage.epochs.map_or("-".to_owned(), |epochs| epochs.to_string()),
        about(stage.steps_per_epoch, stage.steps_estimated),
        match stage.epochs {
            Some(_) => about(stage.steps, stage.steps_estimated),
            None => number(stage.steps, true),
        },
    ]
}

fn reading(reading: &Reading) -> Vec<String> {
    let passes = reading.passes.map_or("?".to_owned(), |passes| match passes.fract() == 0.0 {
        true => format!("{passes:.0}"),
        false => format!("{passes:.2}"),
    });
    vec![
        reading.stage.clone(),
        reading.text.clone(),
        number(reading.words, reading.measured),
        passes,
        number(reading.seen, reading.measured),
        number(reading.trained, reading.measured),
    ]
}

fn account(account: &Account) -> Vec<String> {
    vec![
        account.model.clone(),
        number(account.text, account.measured),
        number(account.seen, account.measured),
        number(account.trained, account.measured),
    ]
}

/// Aligned columns, the first `left` of them to the left, the others to the right; a blank line after.
fn columns(out: &mut String, heads: &[&str], left: usize, rows: impl Iterator<Item = Vec<String>>) -> Result {
    let rows: Vec<Vec<String>> =
        std::iter::once(heads.iter().map(|head| (*head).to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = (row.iter().zip(&widths).enumerate())
            .map(|(i, (text, &width))| if i < left { format!("{text:<width$}") } else { format!("{text:>width$}") })
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    writeln!(out)
}
