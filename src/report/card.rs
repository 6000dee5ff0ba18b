//! The model card: what a model is, what it read, what it came from, and how good it is.

use std::fmt::Write;

use serde_json::Value;

use super::human::grouped;
use crate::domain::{ConfigFile, JobId, JobKind, Score};

/// What a card tells about.
#[derive(Debug, Clone)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its shape.
    pub config: &'a ConfigFile,
    /// The jobs it came from, parents first, the one that left it last.
    pub lineage: &'a [CardJob],
    /// Its scores.
    pub scores: &'a [Score],
    /// Version of grid.
    pub version: &'a str,
}

/// A job in the history of a model.
#[derive(Debug, Clone)]
pub struct CardJob {
    /// Identity.
    pub id: JobId,
    /// Sort of work.
    pub kind: JobKind,
    /// Name for people.
    pub label: String,
    /// What is hashed into the id.
    pub canonical: Value,
    /// Words of a prepared text, or trained on, repetitions counted.
    pub words: Option<u64>,
    /// The same in tokens.
    pub tokens: Option<u64>,
}

impl Card<'_> {
    /// The card in the Markdown of the hub.
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

    /// What it read, and how much.
    fn data(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Data and word budget\n")?;
        let texts: Vec<&CardJob> = self.lineage.iter().filter(|job| job.kind == JobKind::Prepare).collect();
        if !texts.is_empty() {
            writeln!(out, "| text | words | tokens | source |\n| --- | ---: | ---: | --- |")?;
        }
        for text in &texts {
            let (words, tokens) = (number(text.words), number(text.tokens));
            writeln!(out, "| {} | {words} | {tokens} | {} |", text.label, source(&text.canonical))?;
        }
        if !texts.is_empty() {
            writeln!(out, "\nHeld-out parts are not counted.\n")?;
        }
        let trained = self.lineage.iter().filter(|job| matches!(job.kind, JobKind::Pretrain | JobKind::Tune));
        let words: u64 = trained.filter_map(|job| job.words).sum();
        let imported = self.lineage.iter().any(|job| job.kind == JobKind::Import);
        let before = if imported { "; what the imported model had read before is not known" } else { "" };
        writeln!(out, "Words read in training, repetitions counted: {}{before}.\n", grouped(words))
    }

    /// What it came from.
    fn history(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Lineage\n")?;
        writeln!(out, "| job | name | id | words read | recipe |\n| --- | --- | --- | ---: | --- |")?;
        for job in self.lineage.iter().filter(|job| job.kind != JobKind::Prepare) {
            let training = &job.canonical["job"]["training"];
            let recipe = match job.kind {
                JobKind::Import => source(&job.canonical),
                _ if training.is_null() => String::new(),
                _ => format!("`{training}`"),
            };
            let words = if job.kind == JobKind::Import { "not known".to_owned() } else { number(job.words) };
            writeln!(out, "| {} | {} | {} | {words} | {recipe} |", job.kind, job.label, job.id)?;
        }
        writeln!(out, "\nAn id is a hash of all that changes a result; `grid why ID` prints what went into it.\n")
    }

    fn table_of_scores(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Scores\n")?;
        let totals: Vec<&Score> = self.scores.iter().filter(|score| score.subtask.is_none()).collect();
        if totals.is_empty() {
            return writeln!(out, "It has not been evaluated.");
        }
        writeln!(
            out,
            "| suite | task | metric | rules | score | standard error (clustered) | items | chance | trivial floor |"
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
            "\nRules: `fixed` are the corrected ones, `compat` those of the official BabyLM 2025 pipeline, defects \
             included. Accuracies are in percent, correlations times 100. The standard error is that of this model's \
             score over items, clustered by item group; it says nothing of other trainings."
        )
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or("—".to_owned(), grouped)
}

/// Where the data of a job comes from, as far as its identity tells.
fn source(canonical: &Value) -> String {
    fn origin(value: &Value) -> Option<String> {
        match value {
            Value::Object(fields) => match fields.get("from").and_then(Value::as_str) {
                Some("world") => {
                    let part = fields.get("part").and_then(Value::as_str).unwrap_or_default();
                    Some(format!("built-in toy world: {part}"))
                }
                Some(_) => {
                    let digest = fields.get("digest").or(fields.get("location")).and_then(Value::as_str);
                    Some(format!("blake3 {}", digest.unwrap_or("unknown")))
                }
                None => fields.values().find_map(origin),
            },
            Value::Array(items) => items.iter().find_map(origin),
            _ => None,
        }
    }
    origin(&canonical["job"]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{Arch, ImportJob, Job, Mode, ModelConfig, Origin, SpecialTokens, Suite};

    fn job(kind: JobKind, label: &str, canonical: Value, words: Option<u64>) -> CardJob {
        let id = Job::Import(ImportJob { folder: Origin::Missing { location: label.to_owned() } }).id();
        CardJob { id, kind, label: label.to_owned(), canonical, words, tokens: words.map(|words| 2 * words) }
    }

    #[test]
    fn a_card_tells_data_budget_lineage_and_scores() {
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
            norm_eps: 1e-6,
            tied: false,
            init_std: 0.02,
        };
        let config = ConfigFile { model, tokens: SpecialTokens::default(), dtype: "float32".to_owned(), dropout: 0.0 };
        let lineage = [
            job(JobKind::Import, "theirs", json!({"job": {"folder": {"from": "content", "digest": "c0ffee"}}}), None),
            job(
                JobKind::Prepare,
                "dataset chat, vocabulary of theirs",
                json!({"job": {"tokenizer": "x", "data": {"dataset": [{"from": "world", "part": "chat"}, {}, "\n"]}}}),
                Some(1000),
            ),
            job(JobKind::Tune, "theirs/chat/seed1", json!({"job": {"training": {"batch_size": 8}}}), Some(2000)),
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
            classes: None,
            mode: Mode::COMPAT,
        };
        let card =
            Card { name: "theirs/chat/seed1", config: &config, lineage: &lineage, scores: &[score], version: "0.1.0" };
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

Words read in training, repetitions counted: 2,000; what the imported model had read before is not known.

## Lineage

| job | name | id | words read | recipe |
| --- | --- | --- | ---: | --- |
| import | theirs | [id] | not known | blake3 c0ffee |
| tune | theirs/chat/seed1 | [id] | 2,000 | `{"batch_size":8}` |

An id is a hash of all that changes a result; `grid why ID` prints what went into it.

## Scores

| suite | task | metric | rules | score | standard error (clustered) | items | chance | trivial floor |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| blimp | blimp | accuracy | compat | 57.01 | 0.40 | 13,400 | 50.00 | — |

Rules: `fixed` are the corrected ones, `compat` those of the official BabyLM 2025 pipeline, defects included. Accuracies are in percent, correlations times 100. The standard error is that of this model's score over items, clustered by item group; it says nothing of other trainings.
"#));
        let without = Card { scores: &[], ..card };
        assert!(without.markdown().ends_with("It has not been evaluated.\n"));
    }
}
