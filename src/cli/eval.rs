//! `grid eval`.

use std::path::{Path, PathBuf};

use super::args::{Cli, EvalArgs};
use super::database;
use super::failure::{Exit, Failure, store_failure};
use super::models::one_model;
use super::report::form;
use super::run;
use super::workspace::SpecText;
use crate::data::Survey;
use crate::domain::remote::is_repository;
use crate::domain::{CellRow, Digest, JobId, Mode, Origin, ScoreRow, Size, Source, Suite};
use crate::report::{Columns, pivot};

/// What stands for the path of its spec: nothing in it is relative to its folder.
const SPEC: &str = "/(grid eval)";
/// What tables say of the curriculum of models that are scored as they come.
const AS_IT_IS: &str = "as it is";

/// What `--suite` calls all zero-shot suites whose data is there.
const ZERO_SHOT: &str = "zero-shot";

/// `grid eval`: an experiment of one cell per model, run and recorded like any other.
pub async fn eval(cli: &Cli, args: &EvalArgs) -> Result<Exit, Failure> {
    let models = models(cli, &args.models).await?;
    let size = if args.fast { Size::Fast } else { Size::Full };
    let data = std::path::absolute(&args.data)
        .map_err(|error| Failure::text(Exit::Environment, format!("grid: {}: {error}", args.data.display())))?;
    let suites = suites(cli, &args.suite, &data, size)?;
    let text = text(&models, &suites, &args.mode, &data, size);
    let digest = Digest::of(text.as_bytes()).to_string();
    let name = args.name.clone().unwrap_or_else(|| format!("eval-{}", &digest[..10]));
    let spec = SpecText {
        path: PathBuf::from(SPEC),
        text: format!("name: {}\n{text}", quoted(&name)).into_bytes(),
        overrides: vec![],
    };
    let grid = spec.grid()?;
    let exit = run::go(cli, &spec, grid, &args.drive).await?;
    if exit == Exit::Interrupted {
        return Ok(exit);
    }
    let store = database::existing(cli).await?;
    let mut cells = store.cells(&name).await.map_err(store_failure)?;
    let mut scores = store.scores(&name).await.map_err(store_failure)?;
    store.close().await;
    if scores.is_empty() {
        return Ok(exit); // why, has been said of each job that failed
    }
    as_they_come(&spec.path, &mut cells, &mut scores);
    print!("{}", form(&pivot(&name, &cells, &scores, Columns::Aggregates, &[]), args.format));
    Ok(exit)
}

/// Whether a spec is one that `grid eval` made.
pub(super) fn wrote(spec: &Path) -> bool {
    spec == Path::new(SPEC)
}

/// Of models that `grid eval` has scored nobody knows here how they were trained, so tables must not name a curriculum.
pub(super) fn as_they_come(spec: &Path, cells: &mut [CellRow], scores: &mut [ScoreRow]) {
    if wrote(spec) {
        cells.iter_mut().for_each(|cell| AS_IT_IS.clone_into(&mut cell.curriculum));
        scores.iter_mut().for_each(|row| AS_IT_IS.clone_into(&mut row.curriculum));
    }
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A folder, or an id on the hub.
    Elsewhere(String),
    /// A job left it.
    Job(JobId),
}

/// A model and what the table calls it.
struct Named {
    name: String,
    place: Place,
}

/// Folders as they are, then jobs, and anything else as the id of a model on the hub.
async fn models(cli: &Cli, texts: &[String]) -> Result<Vec<Named>, Failure> {
    let store = database::if_any(cli).await?;
    let mut models: Vec<(Vec<String>, Place)> = vec![];
    for text in texts {
        let path = Path::new(text);
        let job = match &store {
            Some(store) if !path.is_dir() => store.model_jobs(text).await.map_err(store_failure)?,
            _ => vec![],
        };
        models.push(match &job[..] {
            [] => {
                if !path.is_dir() {
                    on_the_hub(cli, text)?;
                }
                let folder = std::path::absolute(path).ok().filter(|folder| folder.is_dir());
                let parts = folder.as_deref().unwrap_or(path).components().rev();
                let parts = parts.filter_map(|part| part.as_os_str().to_str()).map(fit).collect();
                (parts, Place::Elsewhere(folder.map_or_else(|| text.clone(), |folder| folder.display().to_string())))
            }
            _ => {
                let job = one_model(text, job)?;
                (vec![fit(&job.label)], Place::Job(job.id))
            }
        });
    }
    if let Some(store) = store {
        store.close().await;
    }
    Ok(distinct(models))
}

/// Fails for what cannot be the id of a model on the hub, and says of the others that they are taken for one.
fn on_the_hub(cli: &Cli, text: &str) -> Result<(), Failure> {
    let id = text.split_once('@').map_or(text, |(id, _)| id);
    if !is_repository(id) {
        let help = "`grid status EXPERIMENT` lists jobs; a model of the Hugging Face hub is ORGANISATION/NAME";
        let message = format!("grid: no folder and no job is called '{text}'\n  help: {help}");
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    if !cli.quiet {
        eprintln!("{text}: no folder or job here is called so; it is taken for a model of the Hugging Face hub");
    }
    Ok(())
}

/// What is left of a text in a name that a spec may use.
fn fit(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    text.chars().map(kept).collect::<String>().trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Names each model by the last part of where it is, and where two would have one name by more parts.
fn distinct(models: Vec<(Vec<String>, Place)>) -> Vec<Named> {
    let named = |parts: &[String], depth: usize| {
        let mut parts: Vec<&str> =
            parts.iter().take(depth).map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.reverse();
        let name = parts.join("-");
        // A name has a letter in it.
        if name.contains(|c: char| c.is_ascii_alphabetic()) { name } else { format!("model-{name}") }
    };
    let deepest = models.iter().map(|(parts, _)| parts.len()).max().unwrap_or(1);
    let mut names: Vec<Named> = vec![];
    for (index, (parts, place)) in models.iter().enumerate() {
        let others = || models.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, (parts, _))| parts);
        let depth = (1..=deepest).find(|&depth| others().all(|other| named(other, depth) != named(parts, depth)));
        let mut name = named(parts, depth.unwrap_or(deepest));
        if names.iter().any(|known| known.name == name) {
            name.push_str(&format!("-{}", index + 1));
        }
        names.push(Named { name, place: place.clone() });
    }
    names
}

/// The suites to run: those named, or all zero-shot ones whose data is there; the others are told of.
fn suites(cli: &Cli, names: &[String], data: &Path, size: Size) -> Result<Vec<Suite>, Failure> {
    let mut suites: Vec<Suite> = vec![];
    let mut survey = Survey::open(&cli.runs_dir.join("survey.json"));
    for name in names {
        if name != ZERO_SHOT {
            let suite = Suite::ALL.into_iter().find(|suite| suite.name() == name).ok_or_else(|| {
                let known: Vec<&str> = Suite::ALL.iter().map(|suite| suite.name()).collect();
                let message =
                    format!("grid: no suite is called '{name}'; there are {ZERO_SHOT} and {}", known.join(", "));
                Failure::text(Exit::Usage, message)
            })?;
            suites.push(suite);
            continue;
        }
        for suite in Suite::ALL.into_iter().filter(|suite| suite.is_zero_shot()) {
            let folder = data.join(suite.folder(size));
            let found = survey.locate(&Source::Folder(folder.clone()));
            match found.map_err(|error| Failure::new(Exit::Environment, error))?.origin {
                Origin::Missing { .. } if !cli.quiet => {
                    eprintln!("left out: {suite}, nothing at {}\n  it needs {}", folder.display(), suite.download());
                }
                Origin::Missing { .. } => {}
                Origin::World { .. } | Origin::Content { .. } => suites.push(suite),
            }
        }
    }
    suites.sort();
    suites.dedup();
    if suites.is_empty() {
        let (wanted, other, option) = match size {
            Size::Full => ("full", Size::Fast, "add `--fast`"),
            Size::Fast => ("fast", Size::Full, "leave `--fast` out"),
        };
        let mut zero_shot = Suite::ALL.into_iter().filter(|suite| suite.is_zero_shot());
        let help = match zero_shot.any(|suite| data.join(suite.folder(other)).is_dir()) {
            true => format!("that of the other size is there: {option}"),
            false => "name the official folder evaluation_data with `--data DIR` or GRID_DATA; it can be downloaded \
                      from https://osf.io/ryjfm/"
                .to_owned(),
        };
        let message = format!("grid: no {wanted} evaluation data at {}\n  help: {help}", data.display());
        return Err(Failure::text(Exit::Environment, message));
    }
    Ok(suites)
}

/// The spec of such an experiment, without its name.
fn text(models: &[Named], suites: &[Suite], mode: &Mode, data: &Path, size: Size) -> String {
    let mut text = "models:\n".to_owned();
    for Named { name, place } in models {
        let place = match place {
            Place::Elsewhere(location) => format!("hf: {}", quoted(location)),
            Place::Job(id) => format!("job: {}", quoted(&id.to_string())),
        };
        text.push_str(&format!("  {}: {{{place}}}\n", quoted(name)));
    }
    let suites: Vec<&str> = suites.iter().map(|suite| suite.name()).collect();
    let size = if size == Size::Fast { "fast" } else { "full" };
    // `fixed+ties=first` is `{base: fixed, ties: first}` in a spec.
    let mode = format!("{{base: {}}}", mode.to_string().replace('+', ", ").replace('=', ": "));
    text.push_str(&format!(
        "evaluate: {{data: {}, size: {size}, mode: {mode}, suites: [{}]}}\n",
        quoted(&data.display().to_string()),
        suites.join(", ")
    ));
    text
}

/// A YAML scalar that is this text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BaseModel;

    fn names(paths: &[&str]) -> Vec<String> {
        let parts = |path: &&str| (path.rsplit('/').map(fit).collect::<Vec<_>>(), Place::Elsewhere((*path).to_owned()));
        distinct(paths.iter().map(parts).collect()).into_iter().map(|named| named.name).collect()
    }

    #[test]
    fn models_are_called_by_as_much_of_their_path_as_tells_them_apart() {
        assert_eq!(names(&["/m/llama-a/model", "/m/x"]), ["model", "x"]);
        assert_eq!(names(&["/m/llama-a/model", "/m/gpt2-b/model"]), ["llama-a-model", "gpt2-b-model"]);
        assert_eq!(names(&["org/name@chck_1M", "org/name@chck_2M"]), ["name-chck_1M", "name-chck_2M"]);
        assert_eq!(names(&["/m/a", "/m/a", "/m/100"]), ["m-a", "m-a-2", "model-100"]);
    }

    #[test]
    fn the_spec_is_one() {
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let models = [
            Named { name: "a".into(), place: Place::Elsewhere("/models/a \"quoted\" ü".into()) },
            Named { name: "b".into(), place: Place::Job(id) },
        ];
        let text = text(&models, &[Suite::Blimp, Suite::Reading], &Mode::COMPAT, Path::new("/data"), Size::Fast);
        let spec =
            SpecText { path: "/x.yaml".into(), text: format!("name: eval\n{text}").into_bytes(), overrides: vec![] };
        let grid = spec.grid().unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(grid.cells.len(), 2);
        assert_eq!(grid.cells[1].recipe.base, BaseModel::Recorded(id));
        let evaluations = &grid.cells[0].recipe.evaluations;
        assert!(evaluations.iter().all(|evaluation| evaluation.mode == Mode::COMPAT));
        assert_eq!(evaluations[1].source, Source::Folder("/data/fast_eval/reading".into()));
    }
}
