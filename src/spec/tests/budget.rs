use super::{GOOD, broken, good, with};
use crate::domain::{Budget, TextSize};

#[test]
fn a_budget_is_a_track_or_words_and_epochs() {
    let budget = |text: &str| good(&format!("{GOOD}budget: {text}\n"), &[]).budget;
    assert_eq!(good(GOOD, &[]).budget, None);
    let limit = |words, epochs| Some(Budget { words, epochs, premiums: None });
    assert_eq!(budget("{track: strict}"), limit(100_000_000, 10));
    assert_eq!(budget("{track: strict-small}").map(|budget| budget.seen()), Some(100_000_000));
    assert_eq!(budget("{words: 3M}"), limit(3_000_000, 10));
    assert_eq!(budget("{words: 3M, epochs: 2}"), limit(3_000_000, 2));
}

#[test]
fn a_budget_for_several_languages_needs_the_language_and_the_premium_of_each_text() {
    let text = |budget: &str| {
        GOOD.replace("words: 1k}", "words: 1k, language: nld}")
            .replace("records: 100}", "records: 100, language: zho}")
            .replace("format: squad}", "format: squad, language: eng}")
            + &format!("budget: {budget}\n")
    };
    let premiums = |budget: &str| good(&text(budget), &[]).budget.unwrap().premiums.unwrap().0;
    let of = |premiums: [(&str, f64); 3]| premiums.map(|(code, premium)| (code.to_owned(), premium)).into();
    let multilingual = premiums("{track: multilingual, premium: {zho: 0.93597}}");
    assert_eq!(multilingual, of([("eng", 1.0), ("nld", 1.05161), ("zho", 0.93597)]));
    let own = premiums("{words: 5M, premium: {zho: 1, nld: 1.2}}");
    assert_eq!(own, of([("eng", 1.0), ("nld", 1.2), ("zho", 1.0)]));
    insta::assert_snapshot!(broken(&text("{track: multilingual}"), &[]), @r"
    x.yaml:15:9: the byte premium of 'zho', the language of dataset 'chat', is not known
      help: add `premium: {zho: ...}`: the site of the challenge quotes 0.9894, its table has 0.93597 for simplified and 0.98938 for traditional characters
    ");
    let unknown = format!("{GOOD}budget: {{track: multilingual}}\n").replace("words: 1k}", "words: 1k, language: eng}");
    insta::assert_snapshot!(broken(&unknown, &[]), @r"
    x.yaml:15:9: the budget counts English words, but the language of dataset 'chat' is not known
      help: add its `language:`, such as `language: nld`
    x.yaml:15:9: the budget counts English words, but the language of dataset 'questions' is not known
      help: add its `language:`, such as `language: nld`
    ");
    insta::assert_snapshot!(broken(&text("{track: strict, premium: {nld: 1}}"), &[]), @r"
    x.yaml:15:25: 'premium' has no meaning for this track, which counts words
      help: remove it
    ");
    insta::assert_snapshot!(broken(&text("{words: 1M, premium: {Dutch: 1, nld: 0}}"), &[]), @r"
    x.yaml:15:31: a key of 'premium' must be a code of ISO 639-3, not 'Dutch'
      help: three letters, such as eng, nld or zho
    x.yaml:15:46: 'nld' must be a number above 0, not 0
      help: such as 2e-4 or 0.5
    ");
}

#[test]
fn what_is_wrong_with_a_budget() {
    let wrong = format!("{GOOD}budget: {{track: strickt, words: 1M}}\n");
    insta::assert_snapshot!(broken(&wrong, &[]), @r"
    x.yaml:15:17: 'track' must be one of strict, strict-small, multilingual, not 'strickt'
      help: did you mean 'strict'?
    x.yaml:15:26: 'words' is part of 'track'
      help: remove it
    ");
    insta::assert_snapshot!(broken(&format!("{GOOD}budget: {{epochs: 10}}\n"), &[]), @r"
    x.yaml:15:9: missing key 'words'
      help: such as `{track: strict}` or `{words: 100M, epochs: 10}`
    ");
}

#[test]
fn text_may_be_expected_before_it_is_there() {
    let text = with(
        "chat: {world: chat, records: 100}",
        "chat: {files: chat.jsonl, expect: {records: 2k, words: 9k}, new_words: 0}",
    )
    .replace("speech: {world: speech, words: 1k}", "speech: {files: a.txt, expect: {words: 1.5M}}");
    let grid = good(&text, &[]);
    let super::Recipe { stages, .. } = &grid.cells[1].recipe;
    let chat = &stages[0].datasets[0];
    assert_eq!((chat.expected, chat.new_words), (Some(TextSize { units: Some(2_000), words: 9_000 }), Some(0)));
    let corpus = &super::trained(&grid.cells[0].recipe).corpora[0];
    assert_eq!(corpus.expected, Some(TextSize { units: None, words: 1_500_000 }));
}

#[test]
fn what_is_wrong_with_an_expectation() {
    let chat =
        |expect: &str| with("chat: {world: chat, records: 100}", &format!("chat: {{files: a, expect: {expect}}}"));
    insta::assert_snapshot!(broken(&chat("{words: 5, documents: 3}"), &[]), @r"
    x.yaml:5:28: missing key 'records'
      help: such as `records: 10k`
    x.yaml:5:39: unknown key 'documents'
      help: known keys here: words, records
    ");
    insta::assert_snapshot!(broken(&chat("{word: 5, records: 3}"), &[]), @r"
    x.yaml:5:29: unknown key 'word'
      help: did you mean 'words'?
    ");
    let world = with("records: 100}", "records: 100, expect: {records: 100, words: 1}}");
    insta::assert_snapshot!(broken(&world, &[]), @r"
    x.yaml:5:37: 'expect' has no meaning for the toy world, which is always available
      help: remove it
    ");
}
