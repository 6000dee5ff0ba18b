//! `grid export hf`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::global::Global;
use crate::data::{self, ExportedRevision};
use crate::domain::layout::MILESTONES;
use crate::domain::remote::{MAIN, is_repository};
use crate::domain::{Job, JobId, Milestone, TuneJob, counted};
use crate::report::{Card, CardJob};
use crate::session::{Exit, Failure, FinishedModel, check_model, only_model};
use crate::store::{KeptMilestone, LineageJob, Store};

/// The file with the commands that upload all revisions.
const UPLOAD: &str = "UPLOAD.txt";

/// Arguments of `export hf`.
#[derive(Debug, Args)]
pub(crate) struct HfArgs {
    /// The job that produced the model: its id or name, or that of a cell.
    pub job: String,
    /// The folder to create.
    pub dir: PathBuf,
    /// Write a folder for each milestone of the pretraining, named as BabyLM requires (`chck_1M`), and one for the model
    /// itself (`main`), with the commands that upload them as branches in UPLOAD.txt.
    #[arg(long)]
    pub branches: bool,
    /// The repository in these commands.
    #[arg(long, value_name = "ORG/NAME", requires = "branches", value_parser = repository)]
    pub repo: Option<String>,
}

fn repository(text: &str) -> Result<String, String> {
    let valid = text.contains('/') && is_repository(text);
    valid.then(|| text.to_owned()).ok_or_else(|| "must be the name of a repository, such as org/name".to_owned())
}

/// `grid export hf`.
pub(super) async fn export(global: &Global, args: &HfArgs) -> Result<Exit, Failure> {
    let store = global.runs().open_existing().await?;
    let model = only_model(&args.job, store.model_jobs(&args.job).await?)?;
    let main = Exported::last(&store, &model).await?;
    let earlier = if args.branches { milestones(&store, &model).await? } else { vec![] };
    store.close().await;
    let (label, id, dir) = (&model.label, model.id.short(), args.dir.display());
    if !args.branches {
        data::export_model(&main.from, &args.dir, &main.card()?)?;
        if !global.quiet {
            eprintln!("exported {label} ({id}) to {dir}");
        }
        return Ok(Exit::Done);
    }
    // A branch that does not exist starts with the files of main, which is therefore the last.
    let revisions: Vec<ExportedRevision> = earlier
        .into_iter()
        .chain([main])
        .map(|one| Ok(ExportedRevision { name: one.revision(), card: one.card()?, from: one.from }))
        .collect::<Result<_, Failure>>()?;
    let names: Vec<&str> = revisions.iter().map(|one| one.name.as_str()).collect();
    let commands = upload_commands(args.repo.as_deref().unwrap_or("ORG/NAME"), &names);
    data::export_revisions(&revisions, &args.dir, (UPLOAD, &commands))?;
    if !global.quiet {
        let count = counted(revisions.len() as u64, "revision");
        eprintln!("exported {count} of {label} ({id}) to {dir}; to upload them, run there:");
    }
    print!("{commands}");
    Ok(Exit::Done)
}

/// The commands that upload the folders of revisions as branches, to be run where the folders are. `hf upload` creates
/// the repository and the branch if they do not exist (huggingface_hub 1.0, `hf upload --help`).
fn upload_commands(repository: &str, revisions: &[&str]) -> String {
    let mut text = String::new();
    for revision in revisions {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "hf upload {repository} {revision} . --revision {revision}");
    }
    text
}

/// A model to export.
struct Exported {
    name: String,
    /// The milestone for which it was kept; `None` for the last model.
    milestone: Option<Milestone>,
    from: PathBuf,
    lineage: Vec<CardJob>,
    scores: Vec<crate::domain::Score>,
}

impl Exported {
    /// The last model of a job, whose files are compared with their records.
    async fn last(store: &Store, model: &FinishedModel) -> Result<Self, Failure> {
        let FinishedModel { id, label, output } = model;
        check_model(store, *id, Path::new("")).await?;
        let lineage = store.lineage(*id).await?.into_iter().map(card_job).collect();
        let scores = store.scores_of_model(*id, None).await?;
        Ok(Exported { name: label.clone(), milestone: None, from: output.clone(), lineage, scores })
    }

    /// The copy that a pretraining kept for a milestone.
    async fn kept(store: &Store, model: &FinishedModel, kept: KeptMilestone) -> Result<Self, Failure> {
        let FinishedModel { id, label, output } = model;
        let KeptMilestone { milestone, words, tokens } = kept;
        let within = Path::new(MILESTONES).join(milestone.to_string());
        check_model(store, *id, &within).await?;
        let mut lineage: Vec<CardJob> = store.lineage(*id).await?.into_iter().map(card_job).collect();
        if let Some(training) = lineage.last_mut() {
            (training.words, training.tokens) = (Some(words), Some(tokens));
        }
        let name = format!("{label} after {}", milestone.label());
        let scores = store.scores_of_model(*id, Some(milestone)).await?;
        Ok(Exported { name, milestone: Some(milestone), from: output.join(within), lineage, scores })
    }

    /// The name of the revision: that of BabyLM if there is one.
    fn revision(&self) -> String {
        let named = |milestone: Milestone| milestone.revision().unwrap_or_else(|| milestone.to_string());
        self.milestone.map_or_else(|| MAIN.to_owned(), named)
    }

    /// The model card.
    fn card(&self) -> Result<String, Failure> {
        let Exported { name, milestone, from, lineage, scores } = self;
        let config = data::model_config(from)?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(Card { name, config: &config, lineage, milestone: *milestone, scores, version }.markdown())
    }
}

fn card_job(job: LineageJob) -> CardJob {
    CardJob { id: job.id, label: job.label, job: job.job, words: job.words, tokens: job.tokens }
}

/// The copies that the pretraining of a model kept for its milestones.
async fn milestones(store: &Store, model: &FinishedModel) -> Result<Vec<Exported>, Failure> {
    let none = |reason: &str| {
        let help = "set `milestones:` in `pretrain`, such as `{babylm: 100M}`, and run the experiment";
        let label = &model.label;
        Failure::text(
            Exit::NothingMatches,
            format!("grid: {label} has no milestones to export: {reason}\n  help: {help}"),
        )
    };
    let lineage = store.lineage(model.id).await?;
    let Some((id, wanted)) = pretraining(&lineage, model.id) else {
        return Err(none("it was not pretrained by grid"));
    };
    if wanted.is_empty() {
        return Err(none("its pretraining kept none"));
    }
    let pretrained = only_model(&id.to_string(), store.model_jobs(&id.to_string()).await?)?;
    let kept = store.kept_milestones(id).await?;
    let mut exported = vec![];
    for milestone in wanted {
        let kept = kept.iter().find(|kept| kept.milestone == milestone);
        let kept = kept.ok_or_else(|| none(&format!("that of {} is not recorded", milestone.label())))?;
        exported.push(Exported::kept(store, &pretrained, *kept).await?);
    }
    Ok(exported)
}

/// The pretraining from which a model was made, and its milestones.
fn pretraining(lineage: &[LineageJob], id: JobId) -> Option<(JobId, Vec<Milestone>)> {
    match &lineage.iter().find(|job| job.id == id)?.job {
        Job::Pretrain(job) => Some((id, job.milestones.clone())),
        Job::Tune(TuneJob { parent, .. }) => pretraining(lineage, *parent),
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Eval(_)
        | Job::Finetune(_) => None,
    }
}
