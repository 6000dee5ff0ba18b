//! Controls for confounds, and nested seeds, from the spec to the planned jobs. No job is run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grid::domain::{Job, JobId, JobKind, TuneJob, tuning_seed};
use grid::plan::{Plan, PlannedJob, expand};

const SPEC: &str = "\
name: demo
corpora:
  speech: {world: speech, words: 1k}
datasets:
  chat: {world: chat, records: 100}
  questions: {world: questions, records: 100}
tokenizer: {vocab_size: 512}
models:
  tiny: {hidden: 64, layers: 2, heads: 2}
pretrain: {sequence_length: 64, epochs: 1}
tune: {epochs: 2}
axes:
  dataset: [[chat, questions]]
  curriculum: [pretrained, merged, sequential]
  seed: [1, 2]
evaluate: {data: world, items: 20, suites: [blimp, glue]}
finetune: {tasks: [rte]}
";

fn plan(text: &str, overrides: &[&str]) -> Plan {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let grid = grid::spec::parse(Path::new("x.yaml"), text.as_bytes(), &overrides);
    expand(&grid.unwrap_or_else(|problems| panic!("{problems}")), &BTreeMap::new(), &BTreeMap::new())
}

fn of_kind(plan: &Plan, kind: JobKind) -> Vec<&PlannedJob> {
    plan.jobs().filter(|job| job.job.kind() == kind).collect()
}

fn labels(plan: &Plan, kind: JobKind) -> String {
    of_kind(plan, kind).iter().map(|job| job.label.as_str()).collect::<Vec<_>>().join("\n")
}

fn tunings(plan: &Plan) -> Vec<(&str, &TuneJob)> {
    let tuning = |job| match job {
        &PlannedJob { ref label, job: Job::Tune(ref tune), .. } => Some((label.as_str(), tune)),
        _ => None,
    };
    plan.jobs().filter_map(tuning).collect()
}

/// Every job depends on the tokenizer, so a dataset that is only defined must not be a part of it.
#[test]
fn a_dataset_that_no_cell_uses_changes_no_job() {
    let ids = |text: &str, overrides: &[&str]| -> BTreeSet<JobId> {
        plan(text, overrides).jobs().map(|job| job.id).collect()
    };
    let before = ids(SPEC, &[]);
    let explicit = ["tokenizer.corpora=[speech]", "tokenizer.datasets=[chat, questions]"];
    assert_eq!(ids(SPEC, &explicit), before, "the same as all text that the spec defines");
    let more = SPEC.replace("datasets:\n", "datasets:\n  later: {world: chat, records: 7}\n");
    assert_eq!(ids(&more, &[]), before);
    assert!(ids(&more, &["tokenizer.datasets=[chat, questions, later]"]).is_disjoint(&before));
}

#[test]
fn tunings_of_one_pretrained_model_share_it_and_have_different_seeds() {
    let overrides = ["axes.tune.seed=[1, 2]", "axes.curriculum=[pretrained, merged]"];
    let nested = plan(SPEC, &overrides);
    assert_eq!(of_kind(&nested, JobKind::Pretrain).len(), 2, "one for each model seed");
    insta::assert_snapshot!(labels(&nested, JobKind::Tune), @"
    tiny/chat+questions/tune.seed=1/seed1
    tiny/chat+questions/tune.seed=1/seed2
    tiny/chat+questions/tune.seed=2/seed1
    tiny/chat+questions/tune.seed=2/seed2
    ");
    insta::assert_snapshot!(labels(&nested, JobKind::Eval), @"
    blimp tiny/seed1
    blimp tiny/seed2
    blimp tiny/chat+questions/tune.seed=1/seed1
    blimp tiny/chat+questions/tune.seed=1/seed2
    blimp tiny/chat+questions/tune.seed=2/seed1
    blimp tiny/chat+questions/tune.seed=2/seed2
    ");
    let seeds: BTreeSet<u64> = tunings(&nested).iter().map(|(_, tune)| tune.seed).collect();
    let expected = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(seed, own)| tuning_seed(seed, Some(own)));
    assert_eq!(seeds, expected.into());
    let cells: Vec<String> = nested.cells.iter().map(|cell| cell.key.label()).collect();
    insta::assert_snapshot!(cells.join("\n"), @"
    tiny/pretrained/seed1
    tiny/pretrained/seed2
    tiny/chat+questions/merged/tune.seed=1/seed1
    tiny/chat+questions/merged/tune.seed=1/seed2
    tiny/chat+questions/merged/tune.seed=2/seed1
    tiny/chat+questions/merged/tune.seed=2/seed2
    ");
    // Without `tune.seed`, a tuning has the seed of its cell.
    let plain = plan(SPEC, &[]);
    assert!(tunings(&plain).iter().all(|(label, tune)| label.ends_with(&format!("/seed{}", tune.seed))));
}

#[test]
fn finetune_seeds_are_derived_from_the_model_seed_unless_listed() {
    let only = ["axes.curriculum=[merged]"];
    insta::assert_snapshot!(labels(&plan(SPEC, &only), JobKind::Finetune), @"
    rte#101 tiny/chat+questions/seed1
    rte#102 tiny/chat+questions/seed1
    rte#103 tiny/chat+questions/seed1
    rte#201 tiny/chat+questions/seed2
    rte#202 tiny/chat+questions/seed2
    rte#203 tiny/chat+questions/seed2
    ");
    let listed = plan(SPEC, &[only[0], "finetune.seeds=[7]"]);
    insta::assert_snapshot!(labels(&listed, JobKind::Finetune), @"
    rte#7 tiny/chat+questions/seed1
    rte#7 tiny/chat+questions/seed2
    ");
    let official = plan(SPEC, &[only[0], "finetune.mode=compat"]);
    insta::assert_snapshot!(labels(&official, JobKind::Finetune), @"
    rte#42 tiny/chat+questions/seed1
    rte#42 tiny/chat+questions/seed2
    ");
}

#[test]
fn stages_with_one_schedule_are_one_job() {
    let plan = plan(SPEC, &["axes.curriculum=[sequential, sequential-whole]", "axes.seed=[1]"]);
    insta::assert_snapshot!(labels(&plan, JobKind::Tune), @"
    tiny/chat/seed1
    tiny/chat>questions/seed1
    tiny/chat>>questions/seed1
    ");
    let jobs = tunings(&plan);
    let (first, second, whole) = (jobs[0].1, jobs[1].1, jobs[2].1);
    assert_eq!((&whole.datasets, whole.parent), (&first.datasets, first.parent));
    let [then] = &whole.then[..] else { panic!("{whole:?}") };
    assert_eq!((&then.datasets, then.length), (&second.datasets, second.training.length));
    assert_eq!((&whole.training, whole.seed), (&first.training, first.seed));
    assert!(first.then.is_empty() && second.then.is_empty());
    let parents: BTreeSet<JobId> = Job::Tune(whole.clone()).parents().into_iter().collect();
    assert_eq!(parents, [whole.parent, whole.datasets[0], then.datasets[0]].into());
}

#[test]
fn the_last_stage_is_validated_on_all_held_out_parts() {
    let curricula = "axes.curriculum=[merged, sequential, sequential-whole]";
    let plan = plan(SPEC, &["axes.dataset=[chat, [chat, questions]]", curricula, "axes.seed=[1]"]);
    insta::assert_snapshot!(labels(&plan, JobKind::Tune), @"
    tiny/chat/seed1
    tiny/chat+questions/seed1
    tiny/chat>questions/seed1
    tiny/chat>>questions/seed1
    ");
    let of = |wanted: &str| tunings(&plan).into_iter().find(|(label, _)| *label == wanted).expect("a tuning").1;
    let merged = of("tiny/chat+questions/seed1");
    let (first, last) = (of("tiny/chat/seed1"), of("tiny/chat>questions/seed1"));
    let whole = of("tiny/chat>>questions/seed1");
    assert_eq!(last.further_validation, first.datasets);
    assert_eq!(last.validation_datasets(), merged.validation_datasets());
    assert_eq!(whole.validation_datasets(), merged.validation_datasets());
    // Jobs that are shared with the cell of one dataset, or that read all datasets anyway, keep their identity.
    for job in [merged, first, whole] {
        assert_eq!(job.further_validation, []);
    }
    assert_eq!(first.validation_datasets(), first.datasets);
    assert!(Job::Tune(last.clone()).parents().contains(&first.datasets[0]), "its data must be ready before it runs");
    assert!(Job::Tune(last.clone()).canonical().contains("further_validation"));
    assert!(!Job::Tune(first.clone()).canonical().contains("further_validation"));
}

#[test]
fn without_held_out_data_there_is_no_common_validation() {
    let plan = plan(SPEC, &["axes.curriculum=[sequential]", "held_out=0"]);
    assert!(tunings(&plan).iter().all(|(_, tune)| tune.further_validation.is_empty()));
}
