//! Data on other machines.

use super::{broken, good, with};
use crate::domain::{BaseModel, FileSelection, ForeignModel, HubKind, Milestone, Remote, RemoteLocation, Source};

fn source(text: &str) -> Source {
    good(&with("{world: speech, words: 1k}", text), &[]).data[0].source.clone()
}

fn remote(place: RemoteLocation, archive: Option<&str>, pick: FileSelection) -> Source {
    Source::Remote(Remote { place, archive: archive.map(str::to_owned), pick })
}

fn osf() -> RemoteLocation {
    RemoteLocation::Osf { project: "ryjfm".into() }
}

#[test]
fn files_come_from_hubs_projects_and_addresses() {
    let hub = |revision: &str| {
        let (kind, repository) = (HubKind::Datasets, "org/name".to_owned());
        RemoteLocation::Hub { kind, repository, revision: revision.into() }
    };
    let files = |text: &str| FileSelection::Files(text.into());
    assert_eq!(source("{hf: org/name, files: \"a/*.txt\"}"), remote(hub("main"), None, files("a/*.txt")));
    assert_eq!(source("{hf: org/name, revision: v1.0, files: a.txt}"), remote(hub("v1.0"), None, files("a.txt")));
    let zip = "{osf: ryjfm, archive: train_100M.zip, files: \"*/a.train\"}";
    assert_eq!(source(zip), remote(osf(), Some("train_100M.zip"), files("*/a.train")));
    let url = || RemoteLocation::Url { url: "https://x.org/a.zip?v=1".into(), sha256: None };
    assert_eq!(source("{url: \"https://x.org/a.zip?v=1\"}"), remote(url(), None, files("*")), "the file itself");
    let within = source("{url: \"https://x.org/a.zip?v=1\", files: \"*.txt\"}");
    assert_eq!(within, remote(url(), Some("a.zip"), files("*.txt")), "what is in it");
    let digest = "AB".repeat(32);
    let Source::Remote(Remote { place, .. }) = source(&format!("{{url: \"http://x.org/a\", sha256: {digest}}}")) else {
        panic!("no remote")
    };
    assert_eq!(place, RemoteLocation::Url { url: "http://x.org/a".into(), sha256: Some(digest.to_lowercase()) });
}

#[test]
fn evaluation_data_and_models_come_from_elsewhere_too() {
    let spec = "
name: a
models:
  m: {hf: org/name, revision: chck_1M, licence: MIT}
  n: {hf: org/name}
evaluate:
  data: {osf: ryjfm, archive: evaluation_data.zip, folder: evaluation_data/, licence: CC BY 4.0}
  suites: [blimp, glue]
finetune: {tasks: [rte]}
";
    let grid = good(spec, &[]);
    let BaseModel::Imported(base) = &grid.cells[0].recipe.base else { panic!("not imported") };
    assert_eq!(base.model.remote().unwrap().place.to_string(), "hf:org/name@chck_1M");
    let entries: Vec<(&str, String, Option<&str>)> = grid
        .data
        .iter()
        .map(|entry| (entry.name.as_str(), entry.source.remote().unwrap().to_string(), entry.licence.as_deref()))
        .collect();
    let data = |path: &str| format!("osf:ryjfm evaluation_data.zip evaluation_data/{path}");
    let terms = Some("CC BY 4.0");
    assert_eq!(
        entries,
        [
            ("models.m", "hf:org/name@chck_1M".to_owned(), Some("MIT")),
            ("models.n", "hf:org/name@main".to_owned(), None),
            ("evaluate.blimp", data("fast_eval/blimp_fast"), terms),
            ("evaluate.glue.rte.train", data("full_eval/glue_filtered/rte.train.jsonl"), terms),
            ("evaluate.glue.rte.valid", data("full_eval/glue_filtered/rte.valid.jsonl"), terms),
        ]
    );
}

#[test]
fn revisions_of_an_imported_model_are_milestones() {
    let spec = |keys: &str| {
        format!(
            "name: a\nmodels:\n  m: {{hf: org/name, {keys}}}\n\
             evaluate: {{data: world, suites: [blimp], checkpoints: {{items: 20}}}}\n"
        )
    };
    let revisions = |keys: &str| -> Vec<(String, String)> {
        let grid = good(&spec(keys), &[]);
        let BaseModel::Imported(base) = &grid.cells[0].recipe.base else { panic!("not imported") };
        let sources = grid.cells[0].recipe.sources();
        assert!(base.revisions.iter().all(|(_, model)| sources.contains(&Source::Model(model.clone()))));
        let shown = |(milestone, model): &(Milestone, ForeignModel)| (milestone.label(), model.name.clone());
        base.revisions.iter().map(shown).collect()
    };
    let pair = |words: &str, name: &str| (words.to_owned(), format!("org/name@{name}"));
    let two = [pair("2M words", "chck_2M"), pair("10M words", "chck_10M")];
    assert_eq!(revisions("revisions: [chck_10M, chck_2M]"), two);
    assert_eq!(revisions("milestones: {words: [10M, 2M]}"), two);
    assert_eq!(revisions("milestones: {babylm: 100M}").len(), 19);
    let named = [pair("1500 words", "early"), pair("2M words", "v2/b")];
    assert_eq!(revisions("revision: v3, revisions: {v2/b: 2M, early: 1500}"), named);
    let wrong = |keys: &str| broken(&spec(keys), &[]);
    insta::assert_snapshot!(wrong("revisions: [chck_2M, step-3]"), @r"
    x.yaml:3:42: an item of 'revisions' must be a name that gives the words seen, not 'step-3'
      help: such as chck_10M, after 10 million words; for other names write `revisions: {NAME: WORDS}`
    ");
    insta::assert_snapshot!(wrong("revisions: {a: 5k, b: 5000}"), @r"
    x.yaml:3:32: the revisions 'a' and 'b' both have seen 5k words
      help: remove one of them
    ");
    insta::assert_snapshot!(wrong("revisions: {a: 5k, ../b: 6k}"), @r"
    x.yaml:3:40: the name of a revision must be a branch, a tag or a commit, not '../b'
      help: such as main or v1.0
    ");
    insta::assert_snapshot!(wrong("milestones: {words: [1500]}"), @r"
    x.yaml:3:33: no revision is named after 1500 words
      help: names count millions of words, such as chck_2M; write `revisions: {NAME: WORDS}` for others
    ");
    insta::assert_snapshot!(wrong("milestones: {babylm: 10M}, revisions: [chck_1M]"), @r"
    x.yaml:3:33: both 'revisions' and 'milestones' are given
      help: remove one of them
    ");
    let twice = spec("revisions: [chck_1M]").replace("org/name", "org/name@v1");
    insta::assert_snapshot!(broken(&twice, &[]), @r"
    x.yaml:3:35: 'org/name@v1' already has a revision
      help: write `hf: ORGANIZATION/NAME` without it, and `revision: NAME`
    ");
}

/// What varies the pretraining has no effect on a model that is imported.
#[test]
fn an_imported_model_is_the_same_for_every_pretraining() {
    let text = with("tiny:", "theirs: {hf: a}\n  tiny:");
    let grid = good(&text, &["axes={pretrain.learning_rate: [1e-3, 2e-3], seed: [1, 2]}"]);
    let theirs: Vec<String> =
        grid.cells.iter().map(|cell| cell.key.label()).filter(|label| label.starts_with("theirs")).collect();
    assert_eq!(theirs, ["theirs/pretrained/seed1"]);
}

#[test]
fn what_is_wrong_with_them_is_said_at_its_place() {
    for (text, place, said) in [
        ("{hf: org/name}", "x.yaml:3:11", "missing key 'files'"),
        ("{hf: org/name@v1, files: a}", "x.yaml:3:16", "write the revision as a key of its own: `revision: TAG`"),
        ("{hf: https://huggingface.co/a/b, files: a}", "x.yaml:3:16", "write only ORGANIZATION/NAME"),
        ("{hf: org/name, osf: ryjfm, files: a}", "x.yaml:3:31", "both 'hf' and 'osf' are given"),
        ("{osf: ryjfm, revision: v1, files: a}", "x.yaml:3:24", "'revision' is only for `hf`"),
        ("{osf: https://osf.io/ryjfm, files: a}", "x.yaml:3:17", "the id of an OSF project"),
        ("{osf: ryjfm, archive: a.tar.gz, files: a}", "x.yaml:3:33", "the path of a zip archive"),
        ("{hf: org/name, files: ../a}", "x.yaml:3:33", "a pattern of relative paths"),
        ("{hf: org/name, revison: v1, files: a}", "x.yaml:3:26", "did you mean 'revision'?"),
        ("{url: x.org/a.zip}", "x.yaml:3:17", "such as https://example.org/corpus.zip"),
        ("{url: \"https://x.org/a\", sha256: 12ab}", "x.yaml:3:44", "64 hexadecimal digits"),
        ("{url: \"https://x.org/a.zip\", archive: a.zip}", "x.yaml:3:40", "`files` selects files in it"),
        ("{files: a.txt, revision: v1}", "x.yaml:3:26", "is only for data on another machine"),
        ("{hf: org/name, world: speech, files: a}", "x.yaml:3:26", "'world' cannot be combined"),
    ] {
        let complaint = broken(&with("{world: speech, words: 1k}", text), &[]);
        assert!(complaint.contains(place) && complaint.contains(said), "{text}\n{complaint}");
    }
    let complaint = broken("name: a\nmodels: {m: {hf: a/b@v0, revision: v1}}\n", &[]);
    assert!(complaint.contains("x.yaml:2:36: 'a/b@v0' already has a revision"), "{complaint}");
    let spec = "name: a\nmodels: {m: {hf: a/b}}\nevaluate: {suites: [blimp], data: {folder: x}}\n";
    let complaint = broken(spec, &[]);
    assert!(complaint.contains("x.yaml:3:35") && complaint.contains("missing key 'hf'"), "{complaint}");
}
