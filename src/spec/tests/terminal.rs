//! What a terminal shows of a broken spec.

use std::path::Path;

use super::super::parse;
use super::{GOOD, broken, load, with};

/// The problems of a spec as a terminal of 80 columns without colours shows them.
fn shown(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    parse(Path::new("x.yaml"), text.as_bytes(), &overrides).expect_err("the spec is broken").fancy(false, 80)
}

#[test]
fn every_problem_has_its_line_and_a_caret() {
    let text = with("layers: 2", "lyers: 2").replace("words: 1k", "words: many") + "exclude: [{model: tinny}]\n";
    insta::assert_snapshot!(shown(&text, &["tune.epochs=0"]), @r"
     × 'words' must be a whole number from 1 to 20000000, not 'many'
      ╭─[x.yaml:3:34]
    2 │ corpora:
    3 │   speech: {world: speech, words: many}
      ·                                  ────
    4 │ datasets:
      ╰────
     help: write digits, with k, M or G for thousands, millions or billions: 64,
           10k, 1.5M

     × unknown key 'lyers'
       ╭─[x.yaml:9:22]
     8 │ models:
     9 │   tiny: {hidden: 64, lyers: 2, heads: 2}
       ·                      ─────
    10 │ pretrain: {sequence_length: 64, epochs: 1}
       ╰────
     help: did you mean 'layers'?

     × unknown model 'tinny'
       ╭─[x.yaml:15:19]
    14 │   curriculum: [pretrained, merged]
    15 │ exclude: [{model: tinny}]
       ·                   ─────
       ╰────
     help: did you mean 'tiny'?

     × 'epochs' must be a whole number from 1 to 100000, not 0
      ╭─[command line:1:13]
    1 │ tune.epochs=0
      ·             ─
      ╰────
     help: the smallest is 1; `steps: 0` leaves the model unchanged
    ");
}

#[test]
fn a_file_without_text_has_no_excerpt() {
    insta::assert_snapshot!(shown("", &[]), @r"
    x.yaml:1:1: the spec must be a mapping, not nothing
      help: write `key: value` lines, or {key: value}
    ");
    let folder = tempfile::tempdir().unwrap();
    let problems = load(&folder.path().join("x.yaml"), &[]).unwrap_err().fancy(false, 80);
    insta::assert_snapshot!(problems.replace(&folder.path().display().to_string(), "experiments"), @r"
    experiments/x.yaml: no such spec file
      help: give the path of a YAML file
    ");
}

#[test]
fn problems_of_overrides_name_the_override() {
    let overrides = [
        "tune.epochs=0",
        "tune.learing_rate=1",
        "models.tiny.hidden.x=1",
        "nothing",
        "name=[",
        "axes.seed=[1, 1]",
        "pretrain.steps=-1",
    ];
    insta::assert_snapshot!(broken(GOOD, &overrides), @r"
    -S tune.epochs=0: 'epochs' must be a whole number from 1 to 100000, not 0
      help: the smallest is 1; `steps: 0` leaves the model unchanged
    -S tune.learing_rate=1: unknown key 'learing_rate'
      help: did you mean 'learning_rate'?
    -S models.tiny.hidden.x=1: 'models.tiny.hidden' is not a mapping, so it has no keys to set
      help: set 'models.tiny.hidden' itself, or correct the path
    -S nothing: an override must have the form path.to.key=value
      help: such as -S tune.epochs=3 or -S 'axes.seed=[1, 2, 3]'
    -S name=[: unclosed bracket '['
      help: indent with spaces, close brackets and quotes, and quote text that contains ': ' or ' #'
    -S axes.seed=[1, 1]: 'seed' lists 1 twice
      help: remove one of them
    -S pretrain.steps=-1: 'steps' must be a whole number from 0 to 1000000000, not -1
      help: the smallest is 0
    ");
}
