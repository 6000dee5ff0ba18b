//! The description of a plan as text for a terminal.

use std::collections::BTreeSet;
use std::fmt::{Result, Write};

use super::decide::Decision;
use super::describe::{Description, JobLine, KindCount, ModelLine, StageLine};
use super::ledger::{Ledger, ModelAccount, StageReading, TextRole};
use super::sampled::SampledLine;
use crate::domain::{JobKind, counted, grouped};

/// Plans with more jobs than this have one line for all jobs that differ only in the seed or in the scored model.
const MAX_JOB_LINES: usize = 100;

/// Lays out a table of text. It is given the heads, the number of columns that are aligned to the left (the others are
/// aligned to the right), and the rows.
pub type TableLayout<'a> = &'a dyn Fn(&[&str], usize, &[Vec<String>]) -> String;

impl Description {
    /// The text for a terminal.
    pub fn text(&self, layout: TableLayout) -> String {
        let mut text = Text { out: String::new(), layout };
        // Writing to a String cannot fail.
        let _ = text.write(self);
        text.out
    }

    /// The jobs with equal kinds, groups and decisions, in order of first appearance.
    fn groups(&self) -> Vec<JobGroup> {
        let mut groups: Vec<JobGroup> = vec![];
        for job in &self.jobs {
            let decision = short_decision(&job.decision);
            let same =
                |group: &&mut JobGroup| group.kind == job.kind && group.name == job.group && group.decision == decision;
            match groups.iter_mut().find(same) {
                Some(group) => group.jobs += 1,
                None => groups.push(JobGroup { kind: job.kind, name: job.group.clone(), decision, jobs: 1 }),
            }
        }
        groups
    }
}

/// Jobs that share a line.
struct JobGroup {
    kind: JobKind,
    name: String,
    decision: String,
    jobs: usize,
}

/// The text so far.
struct Text<'a> {
    out: String,
    layout: TableLayout<'a>,
}

impl Text<'_> {
    fn write(&mut self, plan: &Description) -> Result {
        self.write_totals(plan)?;
        self.write_models(&plan.models)?;
        self.write_stages(&plan.stages)?;
        self.write_sampled(&plan.sampled)?;
        self.write_ledger(&plan.ledger)?;
        let measured = plan.stages.iter().all(|stage| stage.measured)
            && plan.ledger.readings.iter().all(|reading| reading.measured);
        if !plan.ledger.readings.is_empty() && !measured {
            writeln!(self.out, "* expected by the spec, or at most this many, as the text is not available yet\n")?;
        }
        self.write_jobs(plan)?;
        self.write_missing(plan)?;
        for (dataset, format) in &plan.detected {
            writeln!(self.out, "dataset {dataset} has the format {format}")?;
        }
        for warning in &plan.warnings {
            writeln!(self.out, "warning: {warning}")?;
        }
        Ok(())
    }

    /// A table, with a blank line after it.
    fn write_table(&mut self, heads: &[&str], left: usize, rows: impl Iterator<Item = Vec<String>>) -> Result {
        let rows: Vec<Vec<String>> = rows.collect();
        writeln!(self.out, "{}", (self.layout)(heads, left, &rows))
    }

    /// The numbers of cells and jobs, in all and by kind.
    fn write_totals(&mut self, plan: &Description) -> Result {
        let count = |n: usize, one: &str| counted(n as u64, one);
        write!(self.out, "{}: {}", plan.experiment, count(plan.cells, "cell"))?;
        if plan.combinations > plan.cells {
            write!(self.out, " ({} combinations, equal ones merged)", plan.combinations)?;
        }
        writeln!(self.out, ", {}; {} without sharing\n", count(plan.jobs_total, "job"), plan.jobs_unshared)?;
        let row = |kind: &KindCount| {
            vec![
                kind.kind.to_string(),
                kind.jobs.to_string(),
                kind.run.to_string(),
                kind.reuse.to_string(),
                kind.blocked.to_string(),
                (kind.unshared - kind.jobs).to_string(),
                kind.share.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
            ]
        };
        let heads = ["kind", "jobs", "run", "reuse", "blocked", "saved by sharing", "of the work"];
        self.write_table(&heads, 1, plan.kinds.iter().map(row))
    }

    fn write_models(&mut self, models: &[ModelLine]) -> Result {
        let row = |line: &ModelLine| {
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
        };
        let heads = ["model", "family", "parameters", "layers", "hidden", "heads", "vocabulary"];
        self.write_table(&heads, 2, models.iter().map(row))
    }

    fn write_stages(&mut self, stages: &[StageLine]) -> Result {
        let heads = [
            "training stage",
            "after",
            "objective",
            "jobs",
            "units/epoch",
            "words/epoch",
            "tokens/epoch",
            "epochs",
            "steps/epoch",
            "steps",
        ];
        self.write_table(&heads, 3, stages.iter().map(stage_row))
    }

    /// The replies of models to prompts, if there are any.
    fn write_sampled(&mut self, lines: &[SampledLine]) -> Result {
        if lines.is_empty() {
            return Ok(());
        }
        let row = |line: &SampledLine| {
            let most = |words: Option<u64>| match words {
                Some(words) if words > 0 && !line.measured => format!("≤{}", grouped(words)),
                words => number(words, true),
            };
            let about = |n: Option<u64>| match n {
                Some(n) if n > 0 && line.at_most => format!("≤{}", grouped(n)),
                Some(n) if n > 0 && line.estimated => format!("~{}", grouped(n)),
                n => number(n, true),
            };
            vec![
                line.text.clone(),
                line.teacher.clone().unwrap_or_default(),
                line.jobs.to_string(),
                about(line.prompts),
                about(line.replies),
                about(line.requests),
                most(line.student_words),
                most(line.teacher_words),
            ]
        };
        let heads =
            ["replies to", "teacher", "jobs", "prompts", "replies", "requests", "words of students", "of the teacher"];
        self.write_table(&heads, 2, lines.iter().map(row))
    }

    fn write_ledger(&mut self, ledger: &Ledger) -> Result {
        if ledger.readings.is_empty() {
            return Ok(());
        }
        let heads = ["words of", "text", "words", "passes", "seen", "trained on"];
        self.write_table(&heads, 2, ledger.readings.iter().map(reading_row))?;
        let roles: Vec<TextRole> = match ledger.budget {
            Some(_) => {
                ledger.accounts.iter().flat_map(|account| account.sources.iter().map(|text| text.role)).collect()
            }
            None => vec![],
        };
        let roles: BTreeSet<TextRole> = roles.into_iter().collect();
        let english = ledger.budget.as_ref().is_some_and(|budget| budget.premiums.is_some());
        let mut heads = vec![if english { "English words of each model" } else { "words of each model" }];
        heads.extend(roles.iter().map(|role| role.name()));
        heads.extend(["different text", "seen", "trained on"]);
        self.write_table(&heads, 1, ledger.accounts.iter().map(|account| account_row(account, &roles)))?;
        if let Some(budget) = &ledger.budget {
            writeln!(self.out, "budget: {budget}: {} may be seen\n", grouped(budget.seen()))?;
        }
        Ok(())
    }

    /// The decision on every job.
    fn write_jobs(&mut self, plan: &Description) -> Result {
        if plan.jobs.len() <= MAX_JOB_LINES {
            let row = |job: &JobLine| {
                vec![job.kind.to_string(), job.id.short(), job.label.clone(), short_decision(&job.decision)]
            };
            return self.write_table(&["job", "id", "what", "decision"], 4, plan.jobs.iter().map(row));
        }
        let row =
            |group: JobGroup| vec![group.kind.to_string(), format!("×{}", group.jobs), group.name, group.decision];
        self.write_table(&["job", "jobs", "what", "decision"], 4, plan.groups().into_iter().map(row))?;
        writeln!(self.out, "`--format json` lists each job\n")
    }

    /// The data that was not found, and where to download it.
    fn write_missing(&mut self, plan: &Description) -> Result {
        for line in &plan.missing {
            let by = if line.needed_by.is_empty() { "tokenizer".to_owned() } else { line.needed_by.join(", ") };
            let place = line.place.as_ref().map_or(String::new(), |place| format!(", named in {place}"));
            writeln!(self.out, "not found: {} ({by}){place}", line.location)?;
        }
        let mut downloads: Vec<&str> = plan.missing.iter().filter_map(|line| line.download).collect();
        downloads.sort_unstable();
        downloads.dedup();
        for download in downloads {
            let suites = plan.missing.iter().filter(|line| line.download == Some(download));
            let mut suites: Vec<&str> = suites.flat_map(|line| &line.needed_by).map(String::as_str).collect();
            suites.dedup();
            writeln!(self.out, "  for {}: {download}", suites.join(", "))?;
        }
        Ok(())
    }
}

/// A decision in which a long list of missing data is replaced by its length; the data is listed below the jobs.
fn short_decision(decision: &Decision) -> String {
    match decision {
        Decision::Blocked(missing) if missing.len() > 2 => format!("Blocked ({} sources not found)", missing.len()),
        decision => decision.to_string(),
    }
}

/// A number, with an asterisk if it is expected and not measured.
fn number(n: Option<u64>, measured: bool) -> String {
    let mark = if measured { "" } else { "*" };
    n.map_or("?".to_owned(), |n| format!("{}{mark}", grouped(n)))
}

fn stage_row(stage: &StageLine) -> Vec<String> {
    let about = |n: Option<u64>, estimated: bool| match n {
        Some(_) if estimated => format!("~{}", number(n, stage.measured)),
        _ => number(n, stage.measured),
    };
    vec![
        stage.label.clone(),
        stage.after.clone().unwrap_or_default(),
        stage.objective.clone(),
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

fn reading_row(reading: &StageReading) -> Vec<String> {
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

/// An account, with the different text of each of these roles.
fn account_row(account: &ModelAccount, roles: &BTreeSet<TextRole>) -> Vec<String> {
    let of_role = |role: &TextRole| {
        let texts = account.sources.iter().filter(|text| text.role == *role);
        number(texts.map(|text| text.counted).sum(), account.measured)
    };
    let mut row = vec![account.model.clone()];
    row.extend(roles.iter().map(of_role));
    row.extend([account.text, account.seen, account.trained].map(|words| number(words, account.measured)));
    row
}
