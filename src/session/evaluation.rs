//! The experiments of `grid eval`: a generated spec with one cell for each model to score.

use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use super::model_job::only_model;
use super::runs_folder::{RunsFolder, survey_of};
use super::spec_text::{SpecOrigin, SpecText};
use crate::domain::remote::is_repository;
use crate::domain::{CellRow, Digest, Edition, JobId, Mode, OfficialData, Origin, ScoreRow, Size, Source, Suite};
use crate::store::Store;

/// What tables show as the curriculum of imported models.
const IMPORTED: &str = "imported";

/// The name of all zero-shot suites whose data exist.
const ZERO_SHOT: &str = "zero-shot";

/// What to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationRequest<'a> {
    /// The name of the experiment; `None` derives one from the rest.
    pub name: Option<&'a str>,
    /// Folders, jobs, or models of the Hugging Face Hub.
    pub models: &'a [String],
    /// Names of suites or editions, `zero-shot`, or YAML files that define test sets.
    pub suites: &'a [String],
    /// The official folder of evaluation data.
    pub data: &'a Path,
    /// The scoring rules; by default those of the edition that the suites name, or else the corrected ones.
    pub mode: Option<Mode>,
    /// The size of the evaluation sets.
    pub size: Size,
}

/// A generated experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationSpec {
    /// The name of the experiment.
    pub name: String,
    /// The spec.
    pub spec: SpecText,
    /// What the user should know of how the request was understood.
    pub notes: Vec<String>,
}

/// Generates the spec of an evaluation.
///
/// # Errors
/// A model or suite that does not exist; no evaluation data.
pub async fn evaluation_spec(folder: &RunsFolder, request: &EvaluationRequest<'_>) -> Result<EvaluationSpec, Failure> {
    let mut notes = vec![];
    let models = find_models(folder, request.models, &mut notes).await?;
    let data = std::path::absolute(request.data).map_err(|error| Failure::path(request.data, &error))?;
    let tests = choose_tests(folder, request.suites, &data, request.size, &mut notes)?;
    let mode = scoring_rules(request)?;
    let text = spec_text(&models, &tests, &mode, &data, request.size);
    let digest = Digest::of(text.as_bytes()).to_string();
    let name = request.name.map_or_else(|| format!("eval-{}", &digest[..10]), str::to_owned);
    let spec = SpecText::generated(format!("name: {}\n{text}", quoted(&name)));
    Ok(EvaluationSpec { name, spec, notes })
}

/// Replaces the curriculum of models that `grid eval` scored, because nobody here knows how they were trained.
pub fn hide_curricula(spec: &SpecOrigin, cells: &mut [CellRow], scores: &mut [ScoreRow]) {
    if *spec == SpecOrigin::Generated {
        cells.iter_mut().for_each(|cell| IMPORTED.clone_into(&mut cell.curriculum));
        scores.iter_mut().for_each(|row| IMPORTED.clone_into(&mut row.curriculum));
    }
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ModelSource {
    /// A folder, or an id on the Hugging Face Hub.
    External(String),
    /// The job that produced it.
    Job(JobId),
}

/// A model that was found, with the parts of its path from the last to the first.
struct FoundModel {
    parts: Vec<String>,
    source: ModelSource,
}

/// A model and its name in the table.
struct NamedModel {
    name: String,
    source: ModelSource,
}

/// Finds each model as a folder, then as a job, and otherwise takes its name for the id of a model on the hub.
async fn find_models(
    folder: &RunsFolder,
    texts: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<NamedModel>, Failure> {
    let store = folder.open_if_present().await?;
    let mut models = vec![];
    for text in texts {
        models.push(find_model(store.as_ref(), text, notes).await?);
    }
    if let Some(store) = store {
        store.close().await;
    }
    Ok(name_models(&models))
}

async fn find_model(store: Option<&Store>, text: &str, notes: &mut Vec<String>) -> Result<FoundModel, Failure> {
    let path = Path::new(text);
    let jobs = match store {
        Some(store) if !path.is_dir() => store.model_jobs(text).await?,
        _ => vec![],
    };
    if !jobs.is_empty() {
        let job = only_model(text, jobs)?;
        return Ok(FoundModel { parts: vec![name_part(&job.label)], source: ModelSource::Job(job.id) });
    }
    if !path.is_dir() {
        check_hub_id(text)?;
        notes.push(format!("{text}: no such folder or job; trying the Hugging Face Hub"));
    }
    let folder = std::path::absolute(path).ok().filter(|folder| folder.is_dir());
    let parts = folder.as_deref().unwrap_or(path).components().rev();
    let parts = parts.filter_map(|part| part.as_os_str().to_str()).map(name_part).collect();
    let location = folder.map_or_else(|| text.to_owned(), |folder| folder.display().to_string());
    Ok(FoundModel { parts, source: ModelSource::External(location) })
}

/// Fails for a text that cannot be the id of a model on the hub.
fn check_hub_id(text: &str) -> Result<(), Failure> {
    let id = text.split_once('@').map_or(text, |(id, _)| id);
    if is_repository(id) {
        return Ok(());
    }
    let help = "`grid status EXPERIMENT` lists jobs; a model of the Hugging Face Hub is ORGANIZATION/NAME";
    let message = format!("grid: there is no folder and no job '{text}'\n  help: {help}");
    Err(Failure::text(Exit::NothingMatches, message))
}

/// A text with the characters that a name in a spec may have.
fn name_part(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    text.chars().map(allowed).collect::<String>().trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Names each model by the last part of its path, or by as many parts as tell the models apart.
fn name_models(models: &[FoundModel]) -> Vec<NamedModel> {
    let joined = |parts: &[String], depth: usize| {
        let mut parts: Vec<&str> =
            parts.iter().take(depth).map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.reverse();
        let name = parts.join("-");
        // A spec requires a letter in a name.
        if name.contains(|c: char| c.is_ascii_alphabetic()) { name } else { format!("model-{name}") }
    };
    let deepest = models.iter().map(|model| model.parts.len()).max().unwrap_or(1);
    let mut names: Vec<NamedModel> = vec![];
    for (index, FoundModel { parts, source }) in models.iter().enumerate() {
        let others = || models.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, model)| &model.parts);
        let depth = (1..=deepest).find(|&depth| others().all(|other| joined(other, depth) != joined(parts, depth)));
        let mut name = joined(parts, depth.unwrap_or(deepest));
        if names.iter().any(|known| known.name == name) {
            name.push_str(&format!("-{}", index + 1));
        }
        names.push(NamedModel { name, source: source.clone() });
    }
    names
}

/// The rules by which models are scored.
fn scoring_rules(request: &EvaluationRequest<'_>) -> Result<Mode, Failure> {
    let mut editions: Vec<Edition> = request.suites.iter().filter_map(|name| Edition::of_set(name)).collect();
    editions.dedup();
    match (request.mode, &editions[..]) {
        (Some(mode), _) => Ok(mode),
        (None, []) => Ok(Mode::FIXED),
        (None, [edition]) => Ok(edition.mode()),
        (None, [one, other, ..]) => {
            let message = format!(
                "grid: {one} and {other} are scored by different rules\n  help: choose them with `--mode`, such as \
                 `--mode fixed`"
            );
            Err(Failure::text(Exit::Usage, message))
        }
    }
}

/// What to score models on.
#[derive(Default)]
struct ChosenTests {
    suites: Vec<Suite>,
    /// The files of test sets of the user's own.
    files: Vec<PathBuf>,
}

/// The suites to run: the named ones, or all zero-shot suites whose data exist. Notes say which were skipped.
fn choose_tests(
    folder: &RunsFolder,
    names: &[String],
    data: &Path,
    size: Size,
    notes: &mut Vec<String>,
) -> Result<ChosenTests, Failure> {
    let ChosenTests { mut suites, mut files } = ChosenTests::default();
    let mut survey = survey_of(&folder.path, None);
    for name in names {
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            let file = std::path::absolute(name).map_err(|error| Failure::path(Path::new(name), &error))?;
            files.push(file);
            continue;
        }
        let edition = Edition::of_set(name);
        if name != ZERO_SHOT && edition.is_none() {
            suites.push(suite_named(name)?);
            continue;
        }
        if let Some(edition) = edition.filter(|edition| edition.has(Suite::Aoa)) {
            let reason = "it needs checkpoints of one training, as a spec has them with `milestones:`";
            notes.push(format!("skipping {} of {edition}: {reason}", Suite::Aoa));
        }
        let is_asked = |suite: Suite| match edition {
            Some(edition) => edition.has(suite) && suite != Suite::Aoa,
            None => suite.is_zero_shot(),
        };
        for official in OfficialData::all().filter(|official| is_asked(official.suite)) {
            let (suite, folder) = (official.suite, data.join(official.folder(size)));
            match survey.locate(&Source::Folder(folder.clone()))?.origin {
                Origin::Missing { .. } => notes.push(format!(
                    "skipping {suite}: there is no data in {}\n  it needs {}",
                    folder.display(),
                    official.download
                )),
                Origin::World { .. } | Origin::Content { .. } | Origin::Output { .. } => suites.push(suite),
            }
        }
    }
    suites.sort();
    suites.dedup();
    if suites.is_empty() && files.is_empty() { Err(no_data(data, size)) } else { Ok(ChosenTests { suites, files }) }
}

fn suite_named(name: &str) -> Result<Suite, Failure> {
    Suite::official().find(|suite| suite.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Suite::official().map(Suite::name).collect();
        let message = format!(
            "grid: unknown suite '{name}'; known are {ZERO_SHOT}, {}, {}; a test set of your own is a file that ends in .yaml",
            Edition::ALL.map(Edition::set_name).join(", "),
            known.join(", ")
        );
        Failure::text(Exit::Usage, message)
    })
}

fn no_data(data: &Path, size: Size) -> Failure {
    let (wanted, other, option) = match size {
        Size::Full => ("full", Size::Fast, "add `--fast`"),
        Size::Fast => ("fast", Size::Full, "omit `--fast`"),
    };
    let mut zero_shot = OfficialData::all().filter(|official| official.suite.is_zero_shot());
    let help = match zero_shot.any(|official| data.join(official.folder(other)).is_dir()) {
        true => format!("the data of the other size are there: {option}"),
        false => "name the official folder evaluation_data with `--data DIR` or GRID_DATA; it can be downloaded from \
                  https://osf.io/ryjfm/"
            .to_owned(),
    };
    let message = format!("grid: there is no {wanted} evaluation data in {}\n  help: {help}", data.display());
    Failure::text(Exit::Environment, message)
}

/// The spec without its name.
fn spec_text(models: &[NamedModel], tests: &ChosenTests, mode: &Mode, data: &Path, size: Size) -> String {
    let mut text = "models:\n".to_owned();
    for NamedModel { name, source } in models {
        let source = match source {
            ModelSource::External(location) => format!("hf: {}", quoted(location)),
            ModelSource::Job(id) => format!("job: {}", quoted(&id.to_string())),
        };
        text.push_str(&format!("  {}: {{{source}}}\n", quoted(name)));
    }
    let suites = tests.suites.iter().map(|suite| suite.name().to_owned());
    let files = tests.files.iter().map(|file| quoted(&file.display().to_string()));
    let all: Vec<String> = suites.chain(files).collect();
    let size = if size == Size::Fast { "fast" } else { "full" };
    // `fixed+ties=first` is `{base: fixed, ties: first}` in a spec.
    let mode = format!("{{base: {}}}", mode.to_string().replace('+', ", ").replace('=', ": "));
    let data = match tests.suites.is_empty() {
        true => String::new(),
        false => format!("data: {}, size: {size}, ", quoted(&data.display().to_string())),
    };
    text.push_str(&format!("evaluate: {{{data}mode: {mode}, suites: [{}]}}\n", all.join(", ")));
    text
}

/// A text as a YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BaseModel;

    fn names(paths: &[&str]) -> Vec<String> {
        let found = |path: &&str| FoundModel {
            parts: path.rsplit('/').map(name_part).collect(),
            source: ModelSource::External((*path).to_owned()),
        };
        let models: Vec<FoundModel> = paths.iter().map(found).collect();
        name_models(&models).into_iter().map(|model| model.name).collect()
    }

    #[test]
    fn models_are_named_by_as_much_of_their_path_as_tells_them_apart() {
        assert_eq!(names(&["/m/llama-a/model", "/m/x"]), ["model", "x"]);
        assert_eq!(names(&["/m/llama-a/model", "/m/gpt2-b/model"]), ["llama-a-model", "gpt2-b-model"]);
        assert_eq!(names(&["org/name@chck_1M", "org/name@chck_2M"]), ["name-chck_1M", "name-chck_2M"]);
        assert_eq!(names(&["/m/a", "/m/a", "/m/100"]), ["m-a", "m-a-2", "model-100"]);
    }

    #[test]
    fn the_generated_spec_is_valid() {
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let models = [
            NamedModel { name: "a".into(), source: ModelSource::External("/models/a \"quoted\" ü".into()) },
            NamedModel { name: "b".into(), source: ModelSource::Job(id) },
        ];
        let tests = ChosenTests { suites: vec![Suite::Blimp, Suite::Reading], files: vec![] };
        let text = spec_text(&models, &tests, &Mode::COMPAT, Path::new("/data"), Size::Fast);
        let spec = SpecText::generated(format!("name: eval\n{text}"));
        let grid = spec.grid().unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(grid.cells.len(), 2);
        assert_eq!(grid.cells[1].recipe.base, BaseModel::Recorded(id));
        let evaluations = &grid.cells[0].recipe.evaluations;
        assert!(evaluations.iter().all(|evaluation| evaluation.mode == Mode::COMPAT));
        assert_eq!(evaluations[1].source, Source::Folder("/data/fast_eval/reading".into()));
    }
}
