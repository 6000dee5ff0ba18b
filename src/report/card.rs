//! The model card: what a model is, what it was trained on, what it was made from, and its scores.

use std::fmt::Write;

use super::human::grouped;
use crate::domain::{
    ConfigFile, Distillation, ImportJob, Job, JobId, JobKind, Milestone, Origin, PrepareJob, Prepared, Score, Training,
    TuneObjective,
};

/// The content of a model card.
#[derive(Debug, Clone)]
pub struct Card<'a> {
    /// The name of the model.
    pub name: &'a str,
    /// The architecture and the format of the weights.
    pub config: &'a ConfigFile,
    /// The jobs the model was made by, parents first; the last one produced it.
    pub lineage: &'a [CardJob],
    /// The milestone of the training for which this copy was kept; `None` for the model at its end.
    pub milestone: Option<Milestone>,
    /// The scores of the model.
    pub scores: &'a [Score],
    /// The version of grid.
    pub version: &'a str,
}

/// A job that contributed to a model.
#[derive(Debug, Clone)]
pub struct CardJob {
    /// The id of the job.
    pub id: JobId,
    /// The name shown to people, without the kind.
    pub label: String,
    /// The full description of the work.
    pub job: Job,
    /// The words of a prepared text, or the words trained on, counted again in every epoch.
    pub words: Option<u64>,
    /// The same in tokens.
    pub tokens: Option<u64>,
}

impl Card<'_> {
    /// The card as Markdown with the metadata that the Hugging Face Hub reads.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { name, config, version, .. } = self;
        let model = &config.model;
        let arch = model.arch.name();
        writeln!(
            out,
            "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- {arch}\n- grid\n---\n"
        )?;
        writeln!(out, "# {name}\n")?;
        writeln!(
            out,
            "A {arch} language model of {} parameters: {} layers, width {}, {} heads, a vocabulary of {}, texts of up \
             to {} tokens, weights in {}. Made with grid {version}.\n",
            grouped(model.parameters()),
            model.layers,
            grouped(model.hidden.into()),
            model.heads,
            grouped(model.vocab_size.into()),
            grouped(model.max_positions.into()),
            config.dtype,
        )?;
        if let Some(milestone) = self.milestone {
            writeln!(
                out,
                "This is the copy of the model after {} of the training below, whose recipe is that of the whole training.\n",
                milestone.label()
            )?;
        }
        let quote = "```";
        writeln!(
            out,
            "{quote}python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n\
             tokenizer = AutoTokenizer.from_pretrained(\".\")\nmodel = AutoModelForCausalLM.from_pretrained(\".\")\n\
             {quote}\n"
        )?;
        self.data(out)?;
        self.history(out)?;
        self.table_of_scores(out)
    }

    /// The texts and the number of words trained on.
    fn data(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Data and word budget\n")?;
        let texts: Vec<(&CardJob, &PrepareJob)> = (self.lineage.iter())
            .filter_map(|text| if let Job::Prepare(job) = &text.job { Some((text, job)) } else { None })
            .collect();
        if !texts.is_empty() {
            writeln!(out, "| text | words | tokens | source |\n| --- | ---: | ---: | --- |")?;
        }
        for (text, job) in &texts {
            let (Prepared::Corpus(origin, _) | Prepared::Dataset(origin, ..)) = &job.data;
            let (words, tokens) = (number(text.words), number(text.tokens));
            writeln!(out, "| {} | {words} | {tokens} | {} |", text.label, source(origin))?;
        }
        if !texts.is_empty() {
            writeln!(out, "\nHeld-out parts are not counted.\n")?;
        }
        let own = self.own_trainings();
        let trained = self.lineage.iter().filter(|job| matches!(job.job.kind(), JobKind::Pretrain | JobKind::Tune));
        let (own, of_teachers): (Vec<&CardJob>, Vec<&CardJob>) = trained.partition(|job| own.contains(&job.id));
        let sum = |jobs: &[&CardJob]| jobs.iter().filter_map(|job| job.words).sum::<u64>();
        let words = sum(&own);
        let by_teachers = match of_teachers.is_empty() {
            true => String::new(),
            false => format!("; those that its teachers read in theirs, not included: {}", grouped(sum(&of_teachers))),
        };
        let imported = self.lineage.iter().any(|job| job.job.kind() == JobKind::Import);
        let before =
            if imported { "; the words that the imported model was trained on before are not known" } else { "" };
        writeln!(
            out,
            "Words read in training, counted again in every epoch: {}{by_teachers}{before}.\n",
            grouped(words)
        )
    }

    /// The trainings of the model itself, without those of its teachers.
    fn own_trainings(&self) -> Vec<JobId> {
        let before = |job: &&CardJob| match &job.job {
            Job::Tune(tune) => self.lineage.iter().find(|parent| parent.id == tune.parent),
            _ => None,
        };
        std::iter::successors(self.lineage.last(), before).map(|job| job.id).collect()
    }

    /// An objective with its teachers.
    fn objective(&self, objective: TuneObjective, job: &Job) -> String {
        let names = job.teachers().iter().filter_map(|id| self.lineage.iter().find(|teacher| teacher.id == *id));
        let mut names: Vec<&str> = names.map(|teacher| teacher.label.as_str()).collect();
        names.sort_unstable();
        if names.is_empty() { objective.to_string() } else { format!("{objective} from {}", names.join(" and ")) }
    }

    /// The jobs that the model was made by.
    fn history(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Lineage\n")?;
        writeln!(out, "| job | name | id | words read | recipe |\n| --- | --- | --- | ---: | --- |")?;
        for job in self.lineage.iter().filter(|job| job.job.kind() != JobKind::Prepare) {
            let kind = job.job.kind();
            let recipe = match &job.job {
                Job::Import(ImportJob { folder }) => source(folder),
                Job::Pretrain(pretrain) => match &pretrain.distillation {
                    None => recipe(&pretrain.training),
                    Some(Distillation { settings, .. }) => {
                        let objective = self.objective(TuneObjective::Distill(*settings), &job.job);
                        format!("{objective}; {}", recipe(&pretrain.training))
                    }
                },
                Job::Tune(tune) if tune.objective.is_sft() => recipe(&tune.training),
                Job::Tune(tune) => {
                    format!("{}; {}", self.objective(tune.objective, &job.job), recipe(&tune.training))
                }
                Job::Tokenizer(_)
                | Job::Prepare(_)
                | Job::Logprobs(_)
                | Job::Sample(_)
                | Job::Teach(_)
                | Job::Eval(_)
                | Job::Finetune(_) => String::new(),
            };
            let words = if kind == JobKind::Import { "not known".to_owned() } else { number(job.words) };
            writeln!(out, "| {kind} | {} | {} | {words} | {recipe} |", job.label, job.id)?;
        }
        writeln!(
            out,
            "\nAn id is a hash of everything that changes the result of a job; `grid why ID` prints what it is a hash of.\n"
        )
    }

    fn table_of_scores(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Scores\n")?;
        let totals: Vec<&Score> = self.scores.iter().filter(|score| score.subtask.is_none()).collect();
        if totals.is_empty() {
            return writeln!(out, "The model has not been evaluated.");
        }
        writeln!(
            out,
            "| suite | task | metric | mode | score | standard error (clustered) | items | chance | trivial floor |"
        )?;
        writeln!(out, "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")?;
        for score in totals {
            let Score { suite, task, metric, mode, value, .. } = score;
            let optional = |value: Option<f64>| value.map_or("—".to_owned(), |value| format!("{value:.2}"));
            writeln!(
                out,
                "| {suite} | {task} | {metric} | {mode} | {value:.2} | {} | {} | {} | {} |",
                optional(score.stderr),
                grouped(score.n),
                optional(score.chance),
                optional(score.floor)
            )?;
        }
        writeln!(
            out,
            "\nMode: `fixed` stands for the corrected rules, `compat` for the rules of the official BabyLM 2025 pipeline with \
             their defects. Accuracies are in percent, correlations are multiplied by 100. The standard error is that of \
             the score of this model over items, clustered by item group; it says nothing about other training runs."
        )
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or("—".to_owned(), grouped)
}

/// Where data comes from.
fn source(origin: &Origin) -> String {
    match origin {
        Origin::World { part, .. } => {
            let part = serde_json::json!(part);
            format!("built-in toy world: {}", part.as_str().unwrap_or_default())
        }
        Origin::Content { digest } => format!("blake3 {digest}"),
        Origin::Output { job } => format!("made by job {}", job.short()),
        Origin::Missing { location } => location.clone(),
    }
}

/// The hyperparameters as JSON.
fn recipe(training: &Training) -> String {
    format!("`{}`", serde_json::json!(training))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Arch, DatasetFormat, Digest, Dropout, Formatting, Length, Mode, ModelConfig, PretrainJob, Schedule,
        SpecialTokens, Suite, WorldPart,
    };

    fn card_job(label: &str, job: Job, words: Option<u64>) -> CardJob {
        CardJob { id: job.id(), label: label.to_owned(), job, words, tokens: words.map(|words| 2 * words) }
    }

    fn training() -> Training {
        Training { schedule: Schedule::Linear, ..Training::plain(Length::Epochs(2), 8, 0.001) }
    }

    #[test]
    fn a_card_has_data_budget_lineage_and_scores() {
        let model = ModelConfig {
            arch: Arch::Llama,
            vocab_size: 400,
            max_positions: 2048,
            hidden: 32,
            layers: 2,
            heads: 2,
            kv_heads: 2,
            head_dim: 16,
            intermediate: 128,
            rope_base: 10_000.0,
            rope_scaling: None,
            norm_eps: 1e-6,
            tied: false,
            init_std: 0.02,
        };
        let config = ConfigFile {
            model,
            tokens: SpecialTokens::default(),
            dtype: "float32".to_owned(),
            dropout: Dropout::default(),
        };
        let import = Job::Import(ImportJob { folder: Origin::Content { digest: Digest::of(b"theirs") } });
        let chat = Origin::World { part: WorldPart::Chat, seed: 1, size: 100 };
        let data = Prepared::Dataset(chat, DatasetFormat::dialogue(1), Formatting::separated("\n"));
        let text =
            Job::Prepare(PrepareJob { tokenizer: import.id(), data, held_out: 0.0, own_text: false, texts: false });
        let pretrain = Job::Pretrain(PretrainJob {
            model: config.model.clone(),
            tokenizer: import.id(),
            corpora: vec![text.id()],
            sequence_length: 64,
            training: training(),
            distillation: None,
            milestones: vec![],
            seed: 1,
        });
        let lineage = [
            card_job("theirs", import, None),
            card_job("dataset chat, vocabulary of theirs", text, Some(1000)),
            card_job("theirs/chat/seed1", pretrain, Some(2000)),
        ];
        let score = Score {
            suite: Suite::Blimp,
            task: "blimp".into(),
            subtask: None,
            metric: "accuracy".into(),
            value: 57.007,
            n: 13400,
            stderr: Some(0.4),
            chance: Some(50.0),
            floor: None,
            ties: 0,
            near_ties: 0,
            nans: 0,
            unscored: 0,
            classes: None,
            mode: Mode::COMPAT,
        };
        let card = Card {
            name: "theirs/chat/seed1",
            config: &config,
            lineage: &lineage,
            milestone: None,
            scores: &[score],
            version: "0.1.0",
        };
        let mut settings = insta::Settings::clone_current();
        settings.add_filter("[0-9a-f]{32}", "[id]");
        settings.bind(|| insta::assert_snapshot!(card.markdown(), @r#"
---
library_name: transformers
pipeline_tag: text-generation
tags:
- llama
- grid
---

# theirs/chat/seed1

A llama language model of 58,528 parameters: 2 layers, width 32, 2 heads, a vocabulary of 400, texts of up to 2,048 tokens, weights in float32. Made with grid 0.1.0.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")
```

## Data and word budget

| text | words | tokens | source |
| --- | ---: | ---: | --- |
| dataset chat, vocabulary of theirs | 1,000 | 2,000 | built-in toy world: chat |

Held-out parts are not counted.

Words read in training, counted again in every epoch: 2,000; the words that the imported model was trained on before are not known.

## Lineage

| job | name | id | words read | recipe |
| --- | --- | --- | ---: | --- |
| import | theirs | [id] | not known | blake3 [id][id] |
| pretrain | theirs/chat/seed1 | [id] | 2,000 | `{"batch_size":8,"betas":[0.9,0.999],"clip_norm":null,"epsilon":1e-8,"label_smoothing":0.0,"learning_rate":0.001,"length":{"epochs":2},"min_learning_rate_ratio":0.0,"precision":"f32","schedule":"linear","validation":null,"warmup":{"steps":0},"weight_decay":0.0}` |

An id is a hash of everything that changes the result of a job; `grid why ID` prints what it is a hash of.

## Scores

| suite | task | metric | mode | score | standard error (clustered) | items | chance | trivial floor |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| blimp | blimp | accuracy | compat | 57.01 | 0.40 | 13,400 | 50.00 | — |

Mode: `fixed` stands for the corrected rules, `compat` for the rules of the official BabyLM 2025 pipeline with their defects. Accuracies are in percent, correlations are multiplied by 100. The standard error is that of the score of this model over items, clustered by item group; it says nothing about other training runs.
"#));
        let without = Card { milestone: None, scores: &[], ..card };
        assert!(without.markdown().ends_with("The model has not been evaluated.\n"));
    }
}
