use super::*;
use crate::domain::Cluster;

fn file(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.as_bytes().to_vec())
}

fn error(suite: Suite, files: &[(String, Vec<u8>)]) -> String {
    read(suite, Mode::FIXED, files).expect_err("an error").to_string()
}

const PAIR: &str = r#"{"sentence_good": "It sat.", "sentence_bad": "It sit.", "field": "syntax_semantics"}"#;

#[test]
fn files_are_sorted_and_other_files_are_skipped() {
    let files = [
        file("._b.jsonl", "\0\0"),
        file("data/b.v1.jsonl", &format!("{PAIR}\r\n\n{PAIR}")),
        file("README.md", "words"),
        file("a.jsonl", "{\"sentence_good\": \"α β\", \"sentence_bad\": \"b\\nc\"}\n"),
    ];
    let items = read(Suite::Blimp, Mode::COMPAT, &files).expect("items");
    let names: Vec<_> = items.iter().map(|item| (item.subtask.as_str(), item.index, item.group.as_str())).collect();
    assert_eq!(names, [("a", 0, "supplement"), ("b.v1", 0, "syntax/semantics"), ("b.v1", 1, "syntax/semantics")]);
    assert_eq!(items[0].candidates, [Candidate::whole("α β"), Candidate::whole("b\nc")]);
    assert_eq!(items[0].task, "blimp");
}

#[test]
fn errors_name_file_line_and_field() {
    let broken: [&[(String, Vec<u8>)]; 8] = [
        &[file("a.jsonl", &format!("{PAIR}\n{{\"sentence_good\": \"x\"}}"))],
        &[file("a.jsonl", r#"{"sentence_good": 3, "sentence_bad": "x"}"#)],
        &[file("a.jsonl", r#"{"sentence_good": "x", "#)],
        &[("a.jsonl".to_owned(), vec![b'\n', b'"', 0xff, b'"'])],
        &[file("a.jsonl", "[1]")],
        &[file("a/x.jsonl", PAIR), file("b/x.jsonl", PAIR)],
        &[file("x.csv", "a,b")],
        &[file("x.jsonl", PAIR), file("y.jsonl", "\n")],
    ];
    let errors = broken.map(|files| error(Suite::Blimp, files)).join("\n");
    insta::assert_snapshot!(errors, @"
    a.jsonl:2: field `sentence_bad` is missing; the row has `sentence_good`
    a.jsonl:1: field `sentence_good` should be a string, not 3
    a.jsonl:1: not valid JSON at column 24: the text ends where a key in double quotes is expected; it may be cut off
    a.jsonl: line 2 is not UTF-8 at byte 2; if the file is in Latin-1 or Windows-1252, convert it: `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`
    a.jsonl:1: expected a JSON object, not a list; write one object on each line: `jq -c '.[]' FILE > NEW`
    two files are named x.jsonl; keep only one of them
    found no items of blimp in 1 file: there is no .jsonl file with rows; check that this is the right folder
    y.jsonl has no rows, and without this subtask the suite's mean would be a different number; download the file again, or remove it
    ");
}

/// The scored part of each candidate, after the part that is not.
fn parts(item: &Item) -> Vec<(String, String)> {
    let split = |candidate: &Candidate| {
        let context: String = candidate.text.chars().take(candidate.scored_from).collect();
        let scored = candidate.text.chars().skip(candidate.scored_from).collect();
        (context, scored)
    };
    item.candidates.iter().map(split).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(context, scored)| ((*context).to_owned(), (*scored).to_owned())).collect()
}

#[test]
fn entity_tracking_numbers_rows_of_each_subtask_before_it_excludes_any() {
    let rows = r#"{"input_prefix": "Böx 0 contains ", "options": ["the cup.", "nothing."], "numops": 0}
{"input_prefix": "Böx 1 contains ", "options": ["the cup.", "the hat."], "numops": 0}
{"input_prefix": "Böx 2 contains ", "options": ["a.", "b.", "c."], "numops": 1}"#;
    let files = [file("regular.jsonl", rows)];
    let names = |mode| {
        let items = read(Suite::EntityTracking, mode, &files).expect("items");
        items.into_iter().map(|item| (item.subtask, item.group, item.index)).collect::<Vec<_>>()
    };
    let name = |subtask: &str, index| (subtask.to_owned(), "regular".to_owned(), index);
    let (first, second, third) = (name("regular_0_ops", 0), name("regular_0_ops", 1), name("regular_1_ops", 0));
    assert_eq!(names(Mode::COMPAT), [first, second.clone(), third.clone()]);
    assert_eq!(names(Mode::FIXED), [second, third]);
    let items = read(Suite::EntityTracking, Mode::FIXED, &files).expect("items");
    assert_eq!(parts(&items[0]), owned(&[("Böx 1 contains ", "the cup."), ("Böx 1 contains ", "the hat.")]));
    let one = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x"], "numops": 0}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &one), @"regular.jsonl:1: field `options` should hold at least 2 strings, not 1");
    let no = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x", 3], "numops": -1}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &no), @"regular.jsonl:1: field `options` should be a list of strings, not another list");
    let no = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x", "y"], "numops": -1}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &no), @"regular.jsonl:1: field `numops` should be a non-negative integer, not -1");
}

#[test]
fn ewok_contrasts_targets_in_compat_and_contexts_in_fixed() {
    let row = r#"{"Domain": "motion", "Context1": "It fell.", "Context2": "It rose.", "Target1": "Low.", "Target2": "High."}"#;
    let files = [file("motion.jsonl", row)];
    let items = read(Suite::Ewok, Mode::COMPAT, &files).expect("items");
    assert_eq!(items[0].subtask, "motion");
    assert_eq!(parts(&items[0]), owned(&[("It fell.", " Low."), ("It fell.", " High.")]));
    let items = read(Suite::Ewok, Mode::FIXED, &files).expect("items");
    assert_eq!(parts(&items[0]), owned(&[("It fell.", " Low."), ("It rose.", " Low.")]));
}

#[test]
fn comps_scores_one_property_after_two_concepts() {
    let row = r#"{"prefix_acceptable": "A bird", "prefix_unacceptable": "A stone", "property_phrase": "can fly."}"#;
    let files = [file("comps_wugs_dist-in-between.jsonl", row), file("comps_base.jsonl", row)];
    let items = read(Suite::Comps, Mode::COMPAT, &files).expect("items");
    assert_eq!(items.iter().map(|item| item.subtask.as_str()).collect::<Vec<_>>(), ["base", "wugs_dist_in_between"]);
    assert_eq!(parts(&items[1]), owned(&[("A bird ", "can fly."), ("A stone ", "can fly.")]));
}

#[test]
fn wug_rows_hold_two_sentences_and_a_fraction() {
    let row = |sentences: &str, ratio: f64| {
        let text = serde_json::json!({"sentences": sentences, "ratio": ratio}).to_string();
        [file("wug_past_tense.jsonl", &text)]
    };
    let items = read(Suite::WugPast, Mode::COMPAT, &row("He wugged.\tHe wug.", 0.25)).expect("items");
    assert_eq!((items[0].subtask.as_str(), &items[0].truth), ("wug_past", &Truth::Share(0.25)));
    assert_eq!(parts(&items[0]), owned(&[("", "He wugged."), ("", "He wug.")]));
    let errors = [error(Suite::WugPast, &row("one", 0.5)), error(Suite::WugPast, &row("one\ttwo", 1.5))].join("\n");
    insta::assert_snapshot!(errors, @r#"
    wug_past_tense.jsonl:1: field `sentences` should hold two sentences separated by a tab
    wug_past_tense.jsonl:1: field `ratio` should be a number from 0 to 1, not 1.5
    "#);
}

/// The clusters of the items of some files, in order.
fn clusters(suite: Suite, files: &[(&str, &str)]) -> Vec<Cluster> {
    let files: Vec<_> = files.iter().map(|(name, text)| file(name, text)).collect();
    let of = |mode| -> Vec<Cluster> {
        read(suite, mode, &files).expect("items").into_iter().map(|item| item.cluster).collect()
    };
    assert_eq!(of(Mode::COMPAT), of(Mode::FIXED), "clusters do not depend on the mode");
    of(Mode::FIXED)
}

#[test]
fn an_ewok_row_and_its_swap_are_one_cluster() {
    let row = |[c1, c2, t1, t2]: [&str; 4]| {
        serde_json::json!({"Domain": "d", "Context1": c1, "Context2": c2, "Target1": t1, "Target2": t2}).to_string()
    };
    let rows = [["a", "b", "x", "y"], ["b", "a", "y", "x"], ["a", "b", "x", "z"]].map(row).join("\n");
    let found = clusters(Suite::Ewok, &[("d.jsonl", &rows)]);
    assert!(found[0] == found[1] && found[0] != found[2] && found.iter().all(Cluster::is_shared), "{found:?}");
}

#[test]
fn supplement_clusters_are_the_patterns_that_pairs_were_made_from() {
    let row = |field: &str, value: &str| {
        format!(r#"{{"sentence_good": "a", "sentence_bad": "b", "row": 1, "{field}": "{value}"}}"#)
    };
    let (first, second) = (row("contrast", "x/y"), row("contrast", "z"));
    let files = [
        ("hypernym.jsonl", &*format!("{first}\n{second}\n{first}")),
        ("qa_congruence_easy.jsonl", &first),
        ("subject_aux_inversion.jsonl", &row("template", "1_RC_ambig_1")),
        ("turn_taking.jsonl", &format!("{}\n{}", row("quad", "(('you', 'I'))"), row("other", "no quad"))),
    ];
    let keys = clusters(Suite::BlimpSupplement, &files);
    let keys: Vec<_> = keys.iter().map(|cluster| cluster.key().unwrap_or("unknown")).collect();
    let inversion = "subject_aux_inversion/1_RC_ambig_1";
    assert_eq!(keys, ["hypernym/x/y", "hypernym/z", "hypernym/x/y", "", inversion, "turn_taking/(('you', 'I'))", ""]);
    // BLiMP has no such patterns, whatever its files are called.
    assert_eq!(clusters(Suite::Blimp, &[("hypernym.jsonl", &first)]), [Cluster::Itself]);
}

#[test]
fn a_story_and_a_base_pair_cross_subtasks() {
    let boxes = |happened: &str, numops: u64| {
        let prefix = format!("Box 0 contains the hat.{happened} Box 0 contains ");
        serde_json::json!({"input_prefix": prefix, "options": ["the hat.", "a cup."], "numops": numops}).to_string()
    };
    let rows = [boxes("", 0), boxes(" Move the cup from Box 1 to Box 2.", 1), boxes("", 0).replace("hat", "pen")];
    let found = clusters(Suite::EntityTracking, &[("regular.jsonl", &rows.join("\n"))]);
    assert!(found[0] == found[1] && found[0] != found[2] && found.iter().all(Cluster::is_shared), "{found:?}");

    let comps = |prefix: &str, concept: &str| {
        serde_json::json!({
            "prefix_acceptable": format!("{prefix}dog"), "prefix_unacceptable": format!("{prefix}{concept}"),
            "acceptable_concept": "dog", "unacceptable_concept": concept, "property_phrase": "can bark.",
        })
        .to_string()
    };
    let files = [
        ("comps_base.jsonl", &*[comps("A ", "cat"), comps("A ", "cup")].join("\n")),
        ("comps_wugs.jsonl", &comps("A wug is a ", "cat")),
    ];
    let found = clusters(Suite::Comps, &files);
    assert!(found[0] == found[2] && found[0] != found[1] && found.iter().all(Cluster::is_shared), "{found:?}");
}
