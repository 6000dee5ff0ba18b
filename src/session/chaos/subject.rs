//! The experiment under test, and its undisturbed run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::results::Results;
use super::scene::Scene;
use crate::data::world;
use crate::domain::{Backend, Grid, Job, JobId, Precision, WorldPart};
use crate::plan::PlannedJob;
use crate::session::failure::{Exit, Failure};
use crate::session::open::Session;
use crate::session::preflight;
use crate::session::spec_text::SpecText;
use crate::store::Store;

/// The shipped spec that is run without another one.
const QUICKSTART: &str = include_str!("../../../experiments/quickstart.yaml");

/// What makes it small: one model of each kind of training, in seconds. One of its corpora becomes a file, so that faults
/// can hit source data. It trains long enough for checkpoints.
const REDUCTIONS: [&str; 16] = [
    "name=chaos",
    "corpora.speech.words=6k",
    "corpora.dialogues.words=2k",
    "corpora.articles={files: articles.txt}",
    "datasets.chat.records=200",
    "datasets.questions.records=100",
    "tokenizer.vocab_size=400",
    "models.tiny={hidden: 32, layers: 2, heads: 2}",
    "pretrain.sequence_length=32",
    "pretrain.steps=1000",
    "tune.epochs=12",
    "axes={model: [tiny], dataset: [chat], curriculum: [pretrained, merged], seed: [1]}",
    "evaluate={data: world, suites: [blimp, glue], items: 20}",
    "finetune={tasks: [rte], seeds: 1, epochs: 2, batch_size: 16, learning_rate: 3e-4}",
    "resources.threads=1",
    "resources.checkpoint_every=1",
];

/// An experiment under test.
pub(super) struct Subject {
    /// The plan of its undisturbed run.
    pub session: Session,
    grid: Grid,
    /// The file of source data that faults may damage: one that belongs to the verification, never one of the user.
    pub source: Option<PathBuf>,
}

/// The undisturbed run.
pub(super) struct Baseline {
    /// What it recorded.
    pub results: Results,
    /// The journal lines that it wrote.
    pub lines: u64,
    /// How long it took.
    pub took: Duration,
}

impl Subject {
    /// The shipped quickstart at a reduced size, whose files are written into this folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(super) async fn quickstart(folder: &Path) -> Result<Self, Failure> {
        let (spec, source) = (folder.join("quickstart.yaml"), folder.join("articles.txt"));
        let write = |path: &Path, text: &str| fs::write(path, text).map_err(|error| Failure::path(path, &error));
        write(&spec, QUICKSTART)?;
        write(&source, &world::corpus(WorldPart::Articles, 1, 2_000))?;
        let mut overrides: Vec<String> = REDUCTIONS.map(str::to_owned).to_vec();
        overrides.push(format!("data_root={}", folder.display()));
        let (spec, grid) = SpecText::read(&spec, &overrides)?;
        Self::open(spec, grid, folder, Some(source)).await
    }

    /// An experiment of the user.
    ///
    /// # Errors
    /// The refusals of [`Session::open`]; missing data.
    pub(super) async fn open(
        spec: SpecText,
        mut grid: Grid,
        folder: &Path,
        source: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        grid.resources.backend = Backend::Local;
        let session = Session::open(&folder.join("undisturbed"), spec, grid.clone(), None).await?;
        preflight::missing_data(&session)?;
        Ok(Self { session, grid, source })
    }

    /// The training jobs, for which verdicts are recorded, with the format of their numbers.
    pub(super) fn trainings(&self) -> impl Iterator<Item = (&PlannedJob, Precision)> {
        self.session.plan.jobs().filter_map(|planned| match &planned.job {
            Job::Pretrain(job) => Some((planned, job.training.precision)),
            Job::Tune(job) => Some((planned, job.training.precision)),
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Finetune(_)
            | Job::Eval(_) => None,
        })
    }

    /// The files and processes of a run of it in this folder.
    pub(super) fn scene(&self, runs: &Path) -> Scene {
        Scene { runs: runs.to_owned(), tasks: self.session.tasks(runs) }
    }

    /// The arguments of `grid run`.
    pub(super) fn run_arguments(&self, runs: &Path) -> Vec<String> {
        let spec = &self.session.spec;
        let path = spec.origin.stored_path().display().to_string();
        let set = spec.overrides.iter().flat_map(|text| ["-S".to_owned(), text.clone()]);
        ["run".to_owned(), path].into_iter().chain(set).chain(Self::common_arguments(runs)).collect()
    }

    /// The arguments of `grid resume`.
    pub(super) fn resume_arguments(runs: &Path) -> Vec<String> {
        ["resume".to_owned()].into_iter().chain(Self::common_arguments(runs)).collect()
    }

    fn common_arguments(runs: &Path) -> [String; 3] {
        ["--local".to_owned(), "--runs-dir".to_owned(), runs.display().to_string()]
    }

    /// The results of a run in this folder.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn results(&self, runs: &Path) -> Result<Results, Failure> {
        let store = Store::open_existing(runs, None).await?;
        let results = Results::read(&store, &self.session.plan).await;
        store.close().await;
        results
    }

    /// Whether the plan for the data as they are now is still that of the undisturbed run. Data that are refused have no
    /// plan.
    pub(super) async fn has_same_plan(&self, runs: &Path) -> bool {
        let Ok(store) = Store::open_existing(runs, None).await else { return false };
        let session = Session::open(runs, self.session.spec.clone(), self.grid.clone(), Some(&store)).await;
        store.close().await;
        let ids = |session: &Session| session.plan.jobs().map(|job| job.id).collect::<Vec<JobId>>();
        session.is_ok_and(|session| ids(&session) == ids(&self.session))
    }

    /// The first difference between the results of two runs, with the job in which it is.
    pub(super) fn difference(&self, straight: &Results, other: &Results) -> Option<String> {
        let differences = straight.differences(other);
        // Parents come first, so that the cause is named before its consequences.
        let first = self.session.plan.jobs().find_map(|job| Some((job.id, differences.get(&job.id)?)));
        first.map(|(id, difference)| format!("{}: {difference}", self.session.job_name(&id)))
    }
}

/// The failure after an interrupt of the user.
pub(super) fn interrupted(folder: &Path) -> Failure {
    Failure::text(Exit::Interrupted, format!("grid: interrupted; {} can be removed", folder.display()))
}
