//! Expands the product of the axes into distinct cells with complete recipes.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::domain::{
    BaseModel, Cell, CellKey, DatasetSource, FinetuneSeeds, Finetuning, Grid, Milestone, Quantity, Recipe, SINGLE,
    Source, Stage, StageDataset, StagePart, Suite,
};

use super::axes::{Axes, FieldAxis};
use super::base_models::{BaseModels, UsedText};
use super::budget;
use super::combinations::{Combination, Setting, combinations, has_too_many, settings, with_setting};
use super::curricula::{Curriculum, REPLIES, RoundKeys, StageKeys, StageSchedule};
use super::document::{Document, SECTIONS, named_entries};
use super::evaluate;
use super::fields::{Fault, Fields, Scalar};
use super::models::{Model, ModelBase};
use super::names::Names;
use super::problem::{Log, Marked};
use super::resources;
use super::scalars;
use super::tables;
use super::tree::{Node, Value};

/// Decodes a whole spec; `None` only if a problem was logged.
pub(super) fn grid(root: &Node, folder: &Path, log: &Log) -> Option<Grid> {
    let mut top = Fields::of(root, "the spec", log)?;
    let name = top.required("name", "the experiment's name, such as `name: quickstart`", experiment);
    for section in SECTIONS {
        top.take(section);
    }
    let axes = Axes::decode(&mut top, &Names::of(root), log);
    let resources = resources::resources(top.take("resources"), log);
    let of_budget = top.take("budget");
    let budget = budget::budget(of_budget, log);
    let published: Vec<String> =
        root.get("reference").map_or(&[][..], Node::entries).iter().map(|(key, _)| key.text.clone()).collect();
    let (references, tables) = (top.take("reference"), top.take("tables"));
    top.finish();
    let tables = |own: &[Quantity]| {
        let references =
            named_entries("reference", references, log, |key, node| tables::reference(key, node, own, log));
        let tables = named_entries("tables", tables, log, |key, node| tables::table(key, node, &published, own, log));
        references.zip(tables)
    };
    let Some(axes) = axes.filter(|axes| !has_too_many(axes, log)) else {
        // Report the problems of the other sections too.
        Document::decode(root, folder, false, log);
        evaluate::names_only_suites(root).then(|| tables(&[]));
        return None;
    };
    let settings: Vec<(Setting, Option<Document>)> = settings(&axes)
        .into_iter()
        .map(|setting| {
            let document = Document::decode(&with_setting(root, &axes, &setting, log), folder, axes.tunes(), log);
            (setting, document)
        })
        .collect();
    let settings = settings.into_iter().map(|(setting, document)| Some((setting, document?)));
    let settings: Option<Vec<(Setting, Document)>> = settings.collect();
    let Some(settings) = settings else {
        // The names of test sets are not known.
        evaluate::names_only_suites(root).then(|| tables(&[]));
        return None;
    };
    if let (Some(node), Some(budget)) = (of_budget, &budget) {
        let text = distinct(settings.iter().flat_map(|(_, document)| &document.corpora));
        let records = distinct(settings.iter().flat_map(|(_, document)| &document.datasets));
        let text = text.iter().map(|corpus| ("corpus", corpus.name.as_str(), corpus.language.as_deref()));
        let records = records.iter().map(|dataset| ("dataset", dataset.name.as_str(), dataset.language.as_deref()));
        budget::check_languages(budget, node.mark, text.chain(records), log);
    }
    let own = settings.iter().flat_map(|(_, document)| &document.evaluations.own).map(|own| own.set.quantity());
    let tables = tables(&distinct(own.collect::<Vec<_>>().iter()));

    let combinations = combinations(&axes, &settings, log);
    let used = used_text(&combinations, &settings, log);
    let of_edition = settings.iter().any(|(_, document)| document.evaluations.of_edition);
    let mut seen = HashSet::new();
    let cells: Vec<Cell> = combinations
        .iter()
        .filter_map(|combination| cell(combination, &axes, &settings, &used, log))
        .map(|cell| if of_edition { without_impossible_suites(cell) } else { cell })
        .filter(|cell| seen.insert(canonical(cell)))
        .collect();
    check_cells(&cells, &settings, &axes, log);
    let data = distinct(settings.iter().flat_map(|(_, document)| &document.data));
    let datasets = distinct(settings.iter().flat_map(|(_, document)| &document.datasets));
    let generations = distinct(settings.iter().flat_map(|(_, document)| &document.generations));
    let combinations = combinations.len();
    let (references, tables) = tables?;
    Some(Grid { name: name?, cells, combinations, data, datasets, generations, budget, references, tables, resources })
}

/// Reports cells that lack what their evaluations need.
fn check_cells(cells: &[Cell], settings: &[(Setting, Document)], axes: &Axes, log: &Log) {
    let scored =
        |cell: &Cell| !cell.recipe.base.milestones().is_empty() && !cell.recipe.milestone_evaluations.is_empty();
    let wanted = settings.iter().find_map(|(_, document)| document.evaluations.checkpoints);
    if let Some(place) = wanted.filter(|_| !cells.iter().any(scored)) {
        let hint = "add `milestones: {words: [1M, 2M]}` to `pretrain`, and the curriculum 'pretrained' to the axes";
        log.add(place, "'checkpoints' has no milestones to score", Some(hint.into()));
    }
    let place = settings.iter().find_map(|(_, document)| document.evaluations.suites);
    if let Some((place, cell)) = place.zip(cells.iter().find(|cell| lacks_curves(cell))) {
        let reason =
            format!("aoa needs at least three milestones in words, but the model '{}' has fewer", cell.key.model);
        let hint = "add `milestones: {words: [1M, 2M, 3M]}` to `pretrain`, or `revisions:` to an imported model";
        log.add(place, reason, Some(hint.into()));
    }
    let derives = |cell: &Cell| {
        let derived = |finetuning: &Finetuning| matches!(finetuning.seeds, FinetuneSeeds::Derived(_));
        cell.key.seed > FinetuneSeeds::LARGEST && cell.recipe.finetunings.iter().any(derived)
    };
    if let Some(cell) = cells.iter().find(|cell| derives(cell)) {
        let reason = format!("the seed {} is too large to derive the seeds of fine-tuning from it", cell.key.seed);
        let hint = format!(
            "use a seed of at most {}, or list the seeds: `finetune: {{seeds: [1, 2, 3]}}`",
            FinetuneSeeds::LARGEST
        );
        log.add(axes.mark, reason, Some(hint));
    }
}

/// The name of an experiment, which is also the name of its folder in the runs folder.
fn experiment(value: &Value) -> Scalar<String> {
    let name = scalars::name(value)?;
    let reserved = ["runs.db", "survey.json"]
        .iter()
        .any(|file| name.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.'])));
    match reserved || ["workers", "verify"].contains(&name.as_str()) {
        true => Err(Fault::plain(
            format!("the name '{name}' is reserved for a file or folder of grid in the runs folder"),
            format!("choose another name, such as my-{}", name.split('.').next().unwrap_or_default()),
        )),
        false => Ok(name),
    }
}

/// The distinct items, in order of first appearance.
fn distinct<'a, T: Clone + PartialEq + 'a>(all: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut distinct: Vec<T> = vec![];
    for one in all {
        if !distinct.contains(one) {
            distinct.push(one.clone());
        }
    }
    distinct
}

/// A cell whose suites were named as an edition, without the suite `aoa` if its model has too few milestones for it.
fn without_impossible_suites(mut cell: Cell) -> Cell {
    if lacks_curves(&cell) {
        cell.recipe.evaluations.retain(|evaluation| evaluation.test.suite() != Suite::Aoa);
    }
    cell
}

/// Whether the cell has the suite `aoa`, but its model has too few milestones for it.
fn lacks_curves(cell: &Cell) -> bool {
    let words = |milestone: &&Milestone| matches!(milestone, Milestone::Words(_));
    let asked = cell.recipe.evaluations.iter().any(|evaluation| evaluation.test.suite() == Suite::Aoa);
    asked
        && match &cell.recipe.base {
            base @ (BaseModel::Trained(_) | BaseModel::Imported(_)) => {
                base.milestones().iter().filter(words).count() < 3
            }
            BaseModel::Recorded(_) => false, // known once its folder is read
        }
}

/// The stages of the curriculum of a combination, and the name of the curriculum in tables.
fn stages<'a>(combination: &'a Combination, document: &Document) -> (Curriculum, &'a str) {
    let datasets = combination.dataset.clone().unwrap_or_default();
    let single = datasets.len() == 1;
    match combination.curriculum.as_str() {
        "pretrained" => (Curriculum::each(vec![]), "pretrained"),
        "merged" => (Curriculum::each(vec![StageKeys::union(datasets)]), if single { SINGLE } else { "merged" }),
        name @ ("sequential" | "sequential-whole") => {
            let stages = datasets.into_iter().map(|dataset| StageKeys::union(vec![dataset])).collect();
            let whole = name == "sequential-whole";
            let curriculum = if whole { Curriculum::whole(stages) } else { Curriculum::each(stages) };
            (curriculum, if single { SINGLE } else { name })
        }
        name => {
            let defined = document.curricula.iter().find(|(defined, _)| defined == name);
            (defined.map_or(Curriculum::each(vec![]), |(_, curriculum)| curriculum.clone()), name)
        }
    }
}

/// The text that the models of all combinations are trained on.
fn used_text(combinations: &[Combination], settings: &[(Setting, Document)], log: &Log) -> UsedText {
    let mut used = UsedText::default();
    for combination in combinations {
        let (_, document) = &settings[combination.setting];
        let (curriculum, _) = stages(combination, document);
        let Some(model) = document.model(&combination.model) else { continue };
        used.add_model(model, document);
        for (place, stage) in curriculum.stages.iter().enumerate() {
            let tune = model.tune(stage.own.as_ref(), place == 0, log);
            tune.iter().flat_map(|tune| &tune.teachers).for_each(|name| used.add_named(name, document));
            let pool = tune.iter().flat_map(|tune| &tune.shots).flat_map(|shots| &shots.pool);
            pool.for_each(|name| used.add_dataset(name, document));
        }
        for stage in &curriculum.stages {
            match &stage.round {
                Some(round) => used.add_sampled(&round.sampling, document),
                None => stage.datasets.iter().for_each(|name| used.add_dataset(name, document)),
            }
        }
    }
    used
}

/// The complete cell of a combination.
fn cell(
    combination: &Combination,
    axes: &Axes,
    settings: &[(Setting, Document)],
    used: &UsedText,
    log: &Log,
) -> Option<Cell> {
    let (setting, document) = &settings[combination.setting];
    let model = document.model(&combination.model)?;
    let (Curriculum { stages, schedule }, curriculum) = stages(combination, document);
    let mut names: Vec<&str> = vec![];
    for dataset in stages.iter().flat_map(|stage| &stage.datasets) {
        if !names.contains(&dataset.as_str()) {
            names.push(dataset);
        }
    }
    let key = CellKey {
        model: model.name.clone(),
        dataset: (!names.is_empty()).then(|| names.join("+")),
        curriculum: curriculum.to_owned(),
        seed: combination.seed,
        extra: {
            // A model without tuning does not depend on the seed of tuning, and an imported one on no pretraining.
            let (tuned, trained) = (!stages.is_empty(), matches!(model.base, ModelBase::Trained(_)));
            let matters =
                |axis: &FieldAxis| (tuned || !axis.varies_tune_seed()) && (trained || !axis.varies_pretraining());
            let is_kept = |name: &String| axes.fields.iter().any(|axis| axis.name == *name && matters(axis));
            setting.clone().into_iter().filter(|(name, _)| is_kept(name)).collect()
        },
    };
    let models = BaseModels { document, used, log };
    let stages = stages
        .iter()
        .enumerate()
        .map(|(place, keys)| stage(keys, place == 0, model, &models))
        .collect::<Option<Vec<Stage>>>()?;
    let stages = match schedule {
        StageSchedule::Each => stages,
        StageSchedule::Whole => whole(stages),
    };
    Some(Cell { key, recipe: recipe(model, &models, stages, combination.seed)? })
}

/// Merges stages into the parts of one stage, which has the keys of the first; data and length differ between parts.
fn whole(stages: Vec<Stage>) -> Vec<Stage> {
    let mut stages = stages.into_iter();
    let Some(first) = stages.next() else { return vec![] };
    vec![Stage { then: stages.flat_map(|stage| stage.parts()).collect(), ..first }]
}

fn stage(keys: &StageKeys, first: bool, model: &Model, models: &BaseModels) -> Option<Stage> {
    let log = models.log;
    let tune = model.tune(keys.own.as_ref(), first, log)?;
    let Marked { value: objective, mark } = tune.objective;
    let datasets = match &keys.round {
        None => keys.datasets.iter().map(|name| models.dataset(name)).collect::<Option<_>>()?,
        Some(RoundKeys { round, rounds, sampling }) => {
            let share = (round.number, *rounds);
            vec![models.sampled_dataset(REPLIES, sampling, share, tune.training.precision)?]
        }
    };
    if let Some(dataset) = datasets.iter().find(|dataset| dataset.format.with_replies(objective.replies()).is_none()) {
        let (needed, formats) = objective.needs();
        let reason =
            format!("the objective {} needs {needed}, but dataset '{}' has none", objective.name(), dataset.name);
        log.add(mark, reason, Some(format!("use a dataset with {formats}")));
    }
    let lacks = |dataset: &&StageDataset| tune.training.smoothing_max.is_some() && !dataset.format.has_uncertainty();
    if let Some(dataset) = datasets.iter().find(lacks) {
        let reason = format!("dataset '{}' has no uncertainty for 'label_smoothing'", dataset.name);
        let uncertainty = match &dataset.source {
            DatasetSource::Data(Source::World { .. }) => "`uncertainty: random`",
            _ => "`uncertainty: FIELD` and `format:`",
        };
        log.add(mark, reason, Some(format!("add {uncertainty} to the dataset, or give a fraction, such as 0.1")));
    }
    if let Some(RoundKeys { sampling, .. }) = &keys.round
        && let Some(piece) = sampling.piece().filter(|piece| *piece > tune.max_length.value)
    {
        let reason =
            format!("the pieces of 'sample' have {piece} tokens, but records are cut after {}", tune.max_length.value);
        log.add(tune.max_length.mark, reason, Some(format!("set `max_length: {piece}`, or use a shorter 'context'")));
    }
    let teachers = models.teachers_of_tuning(&tune, mark, model)?;
    let shots = match &tune.shots {
        None => None,
        Some(shots) => Some(shots.with_pool(match &shots.pool {
            None => None,
            Some(name) => Some(models.dataset(name)?),
        })),
    };
    Some(Stage {
        round: keys.round.as_ref().map(|keys| keys.round),
        datasets,
        shares: keys.shares.clone(),
        order: keys.order,
        replay: tune.replay,
        optimizer: tune.optimizer,
        training: tune.training,
        then: vec![],
        max_length: tune.max_length.value,
        objective,
        teachers,
        shots,
        loss: tune.loss,
    })
}

fn recipe(model: &Model, models: &BaseModels, stages: Vec<Stage>, seed: u64) -> Option<Recipe> {
    let document = models.document;
    Some(Recipe {
        base: models.of(model)?,
        tune_seed: model.tune_seed().filter(|_| !stages.is_empty()),
        held_out: document.held_out,
        milestone_evaluations: match stages.is_empty() {
            true => document.evaluations.of_milestones.clone(),
            false => vec![], // the milestones belong to the pretrained model
        },
        stages,
        evaluations: document.evaluations.of_models.clone(),
        finetunings: document.evaluations.finetunings.clone(),
        seed,
    })
}

/// The properties by which two cells are equal: model, field axes, stages and seed. The order of datasets that are shuffled
/// together does not matter. The seed does not matter if nothing is trained, as for an imported model that is only scored.
fn canonical(cell: &Cell) -> (String, BTreeMap<String, String>, Option<u64>, Vec<String>) {
    let part = |StagePart { datasets, shares, order, replay, length }: &StagePart| {
        let share = |place: usize| shares.get(place).copied();
        let mut parts: Vec<(&str, Option<f64>)> =
            datasets.iter().enumerate().map(|(place, data)| (data.name.as_str(), share(place))).collect();
        if order.is_shuffled() {
            parts.sort_by_key(|(name, _)| *name);
        }
        format!("{parts:?} {order:?} {replay:?} {length:?}")
    };
    let stage = |stage: &Stage| {
        let parts: Vec<String> = stage.parts().iter().map(part).collect();
        let Stage { optimizer, training, max_length, objective, teachers, shots, loss, .. } = stage;
        let mut teachers: Vec<&str> = teachers.iter().map(|model| model.name.as_str()).collect();
        teachers.sort_unstable();
        let shots = shots.as_ref().map(|shots| shots.with_pool(shots.pool.as_ref().map(|pool| &pool.name)));
        format!("{parts:?} {optimizer:?} {training:?} {max_length} {objective:?} {teachers:?} {shots:?} {loss:?}")
    };
    let Recipe { base, stages, .. } = &cell.recipe;
    let seed = (matches!(base, BaseModel::Trained(_)) || !stages.is_empty()).then_some(cell.key.seed);
    (cell.key.model.clone(), cell.key.extra.clone(), seed, stages.iter().map(stage).collect())
}
