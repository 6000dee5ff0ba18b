//! The hyper-parameters of models, as a table with a row for each stage, or as a sheet for each model.

use super::table::{Cell, Table};
use crate::domain::{FormStage, Length, Schedule, Training, Warmup};

/// What is asked for, and how it is found in a stage.
type Field = (&'static str, fn(&FormStage) -> Cell);

/// What is asked for of a stage.
const FIELDS: [Field; 25] = [
    ("parameters", |stage| of_config(stage, |config| Cell::Count(config.parameters()))),
    ("vocabulary", |stage| of_config(stage, |config| Cell::Count(config.vocab_size.into()))),
    ("architecture", |stage| of_config(stage, |config| Cell::Label(config.arch.name().to_owned()))),
    ("words seen", |stage| count(stage.words)),
    ("words seen so far", |stage| count(stage.words_so_far)),
    ("epochs", epochs),
    ("steps", |stage| count(stage.steps.or_else(|| planned_steps(stage)))),
    ("tokens", |stage| count(stage.tokens)),
    ("tokens/s", |stage| stage.tokens_per_second.map_or(Cell::Missing, |speed| Cell::Number(speed, 0))),
    ("FLOPs", |stage| stage.flops.map_or(Cell::Missing, |flops| Cell::Label(format!("{flops:.3e}")))),
    ("objective", |stage| stage.recipe.as_ref().map_or(Cell::Missing, |one| Cell::Label(one.objective.clone()))),
    ("optimizer", |stage| of_training(stage, |_| Cell::Label("AdamW".to_owned()))),
    ("learning rate", |stage| of_training(stage, |training| real(training.learning_rate))),
    ("schedule", |stage| of_training(stage, |training| Cell::Label(schedule(training)))),
    ("warm-up", |stage| of_training(stage, |training| Cell::Label(warmup(training)))),
    ("beta 1", |stage| of_training(stage, |training| real(training.betas[0]))),
    ("beta 2", |stage| of_training(stage, |training| real(training.betas[1]))),
    ("epsilon", |stage| of_training(stage, |training| real(training.epsilon))),
    ("weight decay", |stage| of_training(stage, |training| real(training.weight_decay))),
    ("largest gradient norm", |stage| of_training(stage, |training| training.clip_norm.map_or(Cell::Missing, real))),
    ("batch size", |stage| of_training(stage, |training| Cell::Count(training.batch_size.into()))),
    ("sequence length", |stage| {
        stage.recipe.as_ref().map_or(Cell::Missing, |one| Cell::Count(one.sequence_length.into()))
    }),
    ("precision", |stage| of_training(stage, |training| Cell::Label(training.precision.name().to_owned()))),
    ("seed", |stage| stage.recipe.as_ref().map_or(Cell::Missing, |one| Cell::Count(one.seed))),
    ("job", |stage| Cell::Label(stage.job.to_string())),
];

/// What the numbers mean.
const NOTES: [&str; 3] = [
    "words and tokens are counted again in every epoch; those that were read while the model was validated are not counted",
    "tokens/s are those of whole jobs, with validations and checkpoints",
    "FLOPs: 6 for each weight in a matrix product and token, and those of attention in pretraining (Chowdhery et al. 2022, \
     appendix B); teachers add a third of their own",
];

/// A table with a row for each stage of each model.
pub fn form(experiment: &str, stages: &[FormStage]) -> Table {
    let row = |stage: &FormStage| {
        let labels = [&stage.model, &stage.stage].map(|label| Cell::Label(label.clone()));
        labels.into_iter().chain(FIELDS.iter().map(|(_, field)| field(stage))).collect()
    };
    Table {
        title: format!("{experiment}: hyper-parameters"),
        heads: ["model", "stage"].into_iter().chain(FIELDS.iter().map(|(head, _)| *head)).map(str::to_owned).collect(),
        labels: 2,
        rows: stages.iter().map(row).collect(),
        notes: NOTES.map(str::to_owned).into(),
        ..Table::default()
    }
}

/// A sheet for each model, with a column for each of its stages.
pub fn form_sheets(experiment: &str, stages: &[FormStage]) -> Vec<Table> {
    let sheets = stages.chunk_by(|one, other| one.model == other.model).map(|stages| {
        let row = |(head, field): &Field| {
            std::iter::once(Cell::Label((*head).to_owned())).chain(stages.iter().map(field)).collect()
        };
        Table {
            title: format!("{experiment}: {}", stages[0].model),
            heads: std::iter::once(String::new()).chain(stages.iter().map(|stage| stage.stage.clone())).collect(),
            labels: 1,
            rows: FIELDS.iter().map(row).collect(),
            ..Table::default()
        }
    });
    let mut sheets: Vec<Table> = sheets.collect();
    if let Some(last) = sheets.last_mut() {
        last.notes = NOTES.map(str::to_owned).into();
    }
    sheets
}

fn count(number: Option<u64>) -> Cell {
    number.map_or(Cell::Missing, Cell::Count)
}

/// A number as the spec has it, which a fixed number of decimals could round to another one.
fn real(number: f64) -> Cell {
    Cell::Label(if number != 0.0 && number.abs() < 1e-2 { format!("{number:e}") } else { number.to_string() })
}

fn of_config(stage: &FormStage, field: impl FnOnce(&crate::domain::ModelConfig) -> Cell) -> Cell {
    stage.config.as_ref().map_or(Cell::Missing, field)
}

fn of_training(stage: &FormStage, field: impl FnOnce(&Training) -> Cell) -> Cell {
    stage.recipe.as_ref().map_or(Cell::Missing, |recipe| field(&recipe.training))
}

/// The epochs of each part: `10`, or `3 + 2`; missing if one of them is not known.
fn epochs(stage: &FormStage) -> Cell {
    let one = |epochs: &Option<f64>| epochs.map(|epochs| ((epochs * 100.0).round() / 100.0).to_string());
    match stage.epochs.iter().map(one).collect::<Option<Vec<String>>>() {
        Some(parts) if !parts.is_empty() => Cell::Label(parts.join(" + ")),
        _ => Cell::Missing,
    }
}

/// The steps that the recipe asks for, if it counts steps and nothing stops it early.
fn planned_steps(stage: &FormStage) -> Option<u64> {
    let training = &stage.recipe.as_ref()?.training;
    let stops_early = training.validation.is_some_and(|one| one.early_stopping.is_some());
    match training.length {
        Length::Steps(steps) if !stops_early && stage.epochs.len() == 1 => Some(steps),
        Length::Steps(_) | Length::Epochs(_) => None,
    }
}

fn schedule(training: &Training) -> String {
    let end = match training.min_learning_rate_ratio {
        0.0 => String::new(),
        ratio => format!(", to {ratio} of the peak"),
    };
    match training.schedule {
        Schedule::Constant => "constant".to_owned(),
        Schedule::Linear => format!("linear{end}"),
        Schedule::Cosine => format!("cosine{end}"),
        Schedule::CosineWithRestarts { cycles } => format!("cosine with {cycles} cycles{end}"),
        Schedule::Wsd { decay } => format!("constant, then a linear decay in the last {decay} of the steps{end}"),
    }
}

fn warmup(training: &Training) -> String {
    match training.warmup {
        Warmup::Steps(steps) => format!("{steps} steps"),
        Warmup::Fraction(share) => format!("{share} of the steps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FormRecipe;

    fn stage(stage: &str, epochs: Vec<Option<f64>>) -> FormStage {
        let training = Training { weight_decay: 0.1, ..Training::plain(Length::Steps(60), 8, 3e-4) };
        FormStage {
            model: "tiny/pretrained/seed1".to_owned(),
            stage: stage.to_owned(),
            job: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            config: None,
            recipe: Some(FormRecipe { objective: "next token".to_owned(), training, sequence_length: 128, seed: 1 }),
            epochs,
            words: None,
            words_so_far: None,
            tokens: None,
            steps: None,
            tokens_per_second: None,
            flops: Some(1.5e12),
        }
    }

    #[test]
    fn unknown_numbers_are_blank() {
        let stages = [stage("pretrain tiny", vec![Some(2.0)]), stage("tune tiny/a", vec![Some(3.0), Some(0.333_333)])];
        let csv = form("x", &stages).csv();
        let line = csv.lines().find(|line| line.contains("tune tiny/a")).unwrap();
        assert!(
            line.contains("tune tiny/a,,,,,,3 + 0.33,,,,1.500e12,next token,AdamW,3e-4,constant,0 steps,"),
            "{csv}"
        );
        let sheets = form_sheets("x", &stages);
        let [sheet] = &sheets[..] else { panic!("{sheets:?}") };
        let text = sheet.markdown();
        let row = |head: &str| text.lines().find(|line| line.starts_with(&format!("| {head} "))).unwrap().to_owned();
        let cells = |head: &str| row(head).split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(cells("steps"), ["", "steps", "60", "—", ""], "{text}");
        assert_eq!(cells("words seen"), ["", "words seen", "—", "—", ""]);
        assert_eq!(cells("weight decay"), ["", "weight decay", "0.1", "0.1", ""]);
    }
}
