use std::collections::BTreeMap;

use super::super::arch::Arch;
use super::super::curriculum::{LossMask, OptimizerStart, RecordOrder, Replay};
use super::super::digest::Digest;
use super::super::finetune::{BodyDropout, Pooling, Selection};
use super::super::interaction::PromptPart;
use super::super::objective::TuneObjective;
use super::super::sampling::SamplingOptions;
use super::super::training::{Length, Precision, Schedule, Warmup};
use super::*;

fn tokenizer(vocab_size: u32) -> Job {
    let corpora = vec![(Origin::World { part: WorldPart::Speech, seed: 1, size: 1000 }, CorpusFormat::default())];
    Job::Tokenizer(TokenizerJob { vocab_size, corpora, datasets: vec![], special_tokens: vec![] })
}

#[test]
fn the_id_depends_on_the_inputs() {
    assert_eq!(tokenizer(512).id(), tokenizer(512).id());
    assert_ne!(tokenizer(512).id(), tokenizer(513).id());
}

/// A changed id makes every user recompute everything: change this form only together with a version.
#[test]
fn the_id_is_stable_across_releases() {
    assert_eq!(
        tokenizer(512).canonical(),
        r#"{"version":1,"suite_version":null,"job":{"kind":"tokenizer","vocab_size":512,"corpora":[[{"from":"world","part":"speech","seed":1,"size":1000},{"documents":"blank_line","min_words":0}]],"datasets":[]}}"#
    );
}

fn prepare(format: DatasetFormat, held_out: f64) -> PrepareJob {
    let origin = Origin::World { part: WorldPart::Chat, seed: 1, size: 50 };
    let data = Prepared::Dataset(origin, format, Formatting::separated("\n"));
    PrepareJob { tokenizer: tokenizer(512).id(), data, held_out, own_text: false, texts: false }
}

fn tune() -> TuneJob {
    let training = Training {
        schedule: Schedule::Cosine,
        warmup: Warmup::Fraction(0.05),
        clip_norm: Some(1.0),
        ..Training::plain(Length::Epochs(2), 8, 2e-5)
    };
    TuneJob {
        parent: JobId::of("parent"),
        datasets: vec![JobId::of("chat")],
        shares: vec![],
        order: RecordOrder::Shuffled,
        replay: None,
        max_length: 128,
        objective: TuneObjective::Sft,
        references: BTreeMap::new(),
        teachers: vec![],
        shots: None,
        loss: LossMask::Reply,
        training,
        then: vec![],
        further_validation: vec![],
        optimizer: OptimizerStart::Fresh,
        seed: 1,
    }
}

fn finetune() -> FinetuneJob {
    let origin = Origin::World { part: WorldPart::Evaluation, seed: 1, size: 50 };
    let recipe = FinetuneRecipe {
        pooling: Pooling::Last,
        selection: Selection::HeldOut(vec![GlueTask::Rte.official()]),
        max_length: 512,
        gradient_scale: 1,
        precision: Precision::F32,
        dropout: BodyDropout::None,
        keep: false,
    };
    FinetuneJob {
        model: JobId::of("model"),
        task: GlueTask::Rte,
        mode: Mode::FIXED,
        recipe,
        train: origin.clone(),
        valid: origin,
        seed: 1,
    }
}

/// As [`the_id_is_stable_across_releases`].
#[test]
fn plain_jobs_keep_their_ids() {
    insta::assert_snapshot!(Job::Prepare(prepare(DatasetFormat::json("q", "a"), 0.1)).canonical(), @r#"{"version":3,"suite_version":null,"job":{"kind":"prepare","tokenizer":"7c1828f126800a8e57f73e8f9f248a17","data":{"dataset":[{"from":"world","part":"chat","seed":1,"size":50},{"format":"records","prompt":"q","reply":"a"},"{prompt}\n{reply}"]},"held_out":0.1}}"#);
    insta::assert_snapshot!(Job::Tune(tune()).canonical(), @r#"{"version":1,"suite_version":null,"job":{"kind":"tune","parent":"ebdea6058df2230dc25b7a7c7b487b47","datasets":["504c1dbb87fc1cd93594bd6baad1b520"],"max_length":128,"loss":"reply","training":{"length":{"epochs":2},"batch_size":8,"learning_rate":0.00002,"schedule":"cosine","warmup":{"fraction":0.05},"min_learning_rate_ratio":0.0,"betas":[0.9,0.999],"epsilon":1e-8,"weight_decay":0.0,"clip_norm":1.0,"label_smoothing":0.0,"precision":"f32","validation":null},"seed":1}}"#);
    insta::assert_snapshot!(Job::Finetune(finetune()).canonical(), @r#"{"version":1,"suite_version":1,"job":{"kind":"finetune","model":"ccca53791b024d98ee5d8c126d923e16","task":"rte","mode":"fixed","recipe":{"pooling":"last","selection":{"held_out":[{"learning_rate":0.00003,"batch_size":32,"epochs":10}]},"max_length":512,"gradient_scale":1,"precision":"f32"},"train":{"from":"world","part":"evaluation","seed":1,"size":50},"valid":{"from":"world","part":"evaluation","seed":1,"size":50},"seed":1}}"#);
    let share = Replay::new(0.25).unwrap();
    let replay = ReplayedText { share, corpora: vec![JobId::of("speech")], sequence_length: 64 };
    let replayed = TuneJob { replay: Some(replay), ..tune() };
    // Version 1 measured the share in rows.
    insta::assert_snapshot!(Job::Tune(replayed).canonical(), @r#"{"version":2,"suite_version":null,"job":{"kind":"tune","parent":"ebdea6058df2230dc25b7a7c7b487b47","datasets":["504c1dbb87fc1cd93594bd6baad1b520"],"replay":{"share":0.25,"corpora":["bbef90dfda3f42df1f4c689f5eea2ad9"],"sequence_length":64},"max_length":128,"loss":"reply","training":{"length":{"epochs":2},"batch_size":8,"learning_rate":0.00002,"schedule":"cosine","warmup":{"fraction":0.05},"min_learning_rate_ratio":0.0,"betas":[0.9,0.999],"epsilon":1e-8,"weight_decay":0.0,"clip_norm":1.0,"label_smoothing":0.0,"precision":"f32","validation":null},"seed":1}}"#);
}

fn corpus() -> Job {
    let origin = Origin::Content { digest: Digest::of(b"text") };
    let data = Prepared::Corpus(origin, CorpusFormat::default());
    Job::Prepare(PrepareJob { data, ..prepare(DatasetFormat::json("q", "a"), 0.1) })
}

/// Data of a file, whose records may belong together.
fn prepare_file(format: DatasetFormat, held_out: f64) -> Job {
    let origin = Origin::Content { digest: Digest::of(b"text") };
    let data = Prepared::Dataset(origin, format, Formatting::separated("\n"));
    Job::Prepare(PrepareJob { data, ..prepare(DatasetFormat::json("q", "a"), held_out) })
}

/// Version 3 tokenizes prompt and reply as one text; the text of a corpus has no such border.
#[test]
fn datasets_have_another_version_than_corpora() {
    let version = |job: &Job| job.canonical()[..12].to_owned();
    assert_eq!(version(&corpus()), r#"{"version":1"#);
    for format in [DatasetFormat::dialogue(3), DatasetFormat::json("q", "a")] {
        assert_eq!(version(&prepare_file(format, 0.0)), r#"{"version":3"#);
    }
}

fn pretrain() -> PretrainJob {
    let model = ModelConfig {
        arch: Arch::Llama,
        vocab_size: 512,
        max_positions: 64,
        hidden: 8,
        layers: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 8,
        intermediate: 32,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: 1e-6,
        tied: false,
        init_std: 0.02,
    };
    PretrainJob {
        model,
        tokenizer: tokenizer(512).id(),
        corpora: vec![JobId::of("speech")],
        sequence_length: 64,
        training: Training::plain(Length::Epochs(1), 8, 1e-3),
        distillation: None,
        milestones: vec![],
        seed: 1,
    }
}

/// A job of each version of each kind, with its description in CHANGELOG.md.
fn versions() -> Vec<(&'static str, Job)> {
    let origin = Origin::World { part: WorldPart::Evaluation, seed: 1, size: 50 };
    let eval = EvalJob {
        model: JobId::of("model"),
        milestone: None,
        revisions: vec![],
        test: Suite::Blimp.into(),
        mode: Mode::FIXED,
        data: origin.clone(),
        examples: None,
    };
    let (model, dataset) = (JobId::of("model"), JobId::of("pairs"));
    let logprobs = LogprobsJob { model, dataset, max_length: 64, precision: Precision::F32 };
    let sample = SampleJob {
        model,
        prompts: Prompts::Pieces { corpus: dataset, context: 8 },
        part: PromptPart { number: 0, of: 1, most: None },
        replies: 1,
        options: SamplingOptions::greedy(8, vec![]),
        precision: Precision::F32,
        seed: 1,
    };
    let replay =
        ReplayedText { share: Replay::new(0.25).unwrap(), corpora: vec![JobId::of("speech")], sequence_length: 64 };
    vec![
        ("", tokenizer(512)),
        (" of a corpus", corpus()),
        (" of a dataset", Job::Prepare(prepare(DatasetFormat::json("q", "a"), 0.1))),
        ("", Job::Pretrain(pretrain())),
        ("", Job::Import(ImportJob { folder: origin })),
        ("", Job::Logprobs(logprobs)),
        ("", Job::Sample(sample)),
        ("", Job::Teach(TeachJob { samples: model, teacher: JobTeacher::Samples { samples: dataset } })),
        ("", Job::Tune(tune())),
        (" with `pretrain_mix` above 0", Job::Tune(TuneJob { replay: Some(replay), ..tune() })),
        ("", Job::Eval(eval)),
        ("", Job::Finetune(finetune())),
    ]
}

#[test]
fn the_changelog_states_the_versions_of_all_kinds_and_suites() {
    let versions = versions();
    let mut kinds: Vec<JobKind> = versions.iter().map(|(_, job)| job.kind()).collect();
    kinds.dedup();
    assert_eq!(kinds, JobKind::ALL);
    let jobs = versions.iter().map(|(which, job)| format!("| job `{}`{which} | {} |", job.kind(), job.version()));
    let suites = Suite::ALL.iter().map(|suite| format!("| suite `{suite}` | {} |", suite.version()));
    let expected: Vec<String> = jobs.chain(suites).collect();
    let changelog = include_str!("../../../CHANGELOG.md");
    let (_, section) = changelog.split_once("\n## Versions of job kinds and suites\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let stated: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(stated, expected);
}

#[test]
fn a_job_survives_its_own_json() {
    let job = tokenizer(512);
    let text = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
}
