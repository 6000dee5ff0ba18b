use serde_json::json;

use super::*;
use crate::domain::{ExamplePool, Layout};

fn rule(text: &str) -> RowRule {
    RowRule::FieldOrTemplate(text.to_owned())
}

/// A task with questions and lettered answers.
fn task() -> MultipleChoice {
    MultipleChoice {
        layout: Layout::Json,
        doc_to_text: rule("Question: {{question}}\nAnswer:"),
        doc_to_target: rule("{{choices.label.index(answerKey)}}"),
        doc_to_choice: ChoiceRule::FieldOrTemplate("{{choices.text}}".to_owned()),
        description: String::new(),
        target_delimiter: " ".to_owned(),
        examples: None,
        metrics: vec![ChoiceMetric::Acc, ChoiceMetric::AccNorm],
    }
}

fn row(question: &str, answers: [&str; 2], key: &str) -> Value {
    json!({"question": question, "choices": {"text": answers, "label": ["A", "B"]}, "answerKey": key})
}

fn examples(count: u32, sampler: ExampleSampler) -> Option<Examples> {
    Some(Examples {
        count,
        pool: ExamplePool::ScoredRows,
        sampler,
        without_scored_row: true,
        doc_to_text: rule("Q: {{question}}"),
        doc_to_target: rule("{{choices.label.index(answerKey)}}"),
        doc_to_choice: Some(ChoiceRule::FieldOrTemplate("{{choices.text}}".to_owned())),
        target_delimiter: " A: ".to_owned(),
        delimiter: "\n\n".to_owned(),
    })
}

fn read(task: &MultipleChoice, rows: &[Value], pool: &[Value]) -> Result<Vec<Item>, String> {
    let mut reader = TaskReader::new("mine", task, pool.to_vec())?;
    rows.iter().try_for_each(|row| reader.read(row))?;
    Ok(reader.finish())
}

#[test]
fn questions_and_answers_become_candidates() {
    let items = read(&task(), &[row("Is it?", ["yes", "no, never"], "B")], &[]).unwrap();
    let candidate = &items[0].candidates[1];
    assert_eq!((candidate.context(), candidate.scored()), ("Question: Is it?\nAnswer:", " no, never"));
    let Truth::Answers(answers) = &items[0].truth else { panic!("{:?}", items[0].truth) };
    assert_eq!(
        (answers.right.as_slice(), answers.texts.as_slice()),
        (&[1][..], &["yes".into(), "no, never".into()][..])
    );
}

#[test]
fn white_space_at_the_end_of_the_question_is_scored() {
    let task = MultipleChoice { doc_to_text: rule("{{question}} \n"), target_delimiter: String::new(), ..task() };
    let items = read(&task, &[row("Is it?", ["yes", "no"], "A")], &[]).unwrap();
    assert_eq!((items[0].candidates[0].context(), items[0].candidates[0].scored()), ("Is it?", " \nyes"));
}

#[test]
fn fields_indices_and_lists_name_the_right_answer() {
    let fixed = ChoiceRule::Same(vec!["no".into(), "yes".into()]);
    let right = |target: Value| {
        let task = MultipleChoice { doc_to_target: rule("label"), doc_to_choice: fixed.clone(), ..task() };
        let items = read(&task, &[json!({"question": "?", "label": target})], &[])?;
        match &items[0].truth {
            Truth::Answers(answers) => Ok(answers.right.clone()),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(right(json!(1)), Ok(vec![1]));
    assert_eq!(right(json!(true)), Ok(vec![1]));
    assert_eq!(right(json!("yes")), Ok(vec![1]));
    assert_eq!(right(json!([0, 1])), Ok(vec![0, 1]));
    for wrong in [json!(2), json!(-1), json!("maybe"), json!(null), json!([]), json!(0.5), json!({"a": 1})] {
        assert!(right(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn answers_can_stand_within_the_question() {
    let task = MultipleChoice {
        doc_to_text: rule("{{answer}}"),
        doc_to_target: rule("{% set place = sentence.index('_') + 2 %}{{sentence[place:]}}"),
        doc_to_choice: ChoiceRule::FieldOrTemplate(
            "{% set place = sentence.index('_') %}{{[sentence[:place] + one, sentence[:place] + two]}}".to_owned(),
        ),
        ..task()
    };
    let row = json!({"sentence": "The _ barks loudly.", "one": "cat", "two": "dog", "answer": 1});
    let items = read(&task, &[row], &[]).unwrap();
    let shown: Vec<_> = items[0].candidates.iter().map(|one| (one.context(), one.scored())).collect();
    assert_eq!(shown, [("The cat", " barks loudly."), ("The dog", " barks loudly.")]);
    assert!(items[0].truth.is_right(1) && !items[0].truth.is_right(0));
}

#[test]
fn examples_stand_before_the_question_and_are_other_rows() {
    let rows: Vec<Value> =
        (0..5).map(|n| row(&format!("{n}?"), ["yes", "no"], "AB".get(n % 2..=n % 2).unwrap())).collect();
    let first = MultipleChoice { examples: examples(2, ExampleSampler::First), ..task() };
    let items = read(&first, &rows, &rows).unwrap();
    assert_eq!(items[1].candidates[0].context(), "Q: 0? A: yes\n\nQ: 2? A: yes\n\nQuestion: 1?\nAnswer:");
    let drawn = MultipleChoice { examples: examples(4, ExampleSampler::Random { seed: 1234 }), ..task() };
    let items = read(&drawn, &rows, &rows).unwrap();
    for (n, item) in items.iter().enumerate() {
        assert!(!item.candidates[0].context().contains(&format!("Q: {n}?")), "{}", item.candidates[0].context());
        assert_eq!(item.candidates[0].context().matches("Q: ").count(), 4);
    }
    assert!(read(&first, &rows[..1], &rows[..1]).is_err());
    let twins = [rows[0].clone(), rows[0].clone(), rows[1].clone()];
    assert!(read(&first, &twins, &twins).is_err(), "only one example is another row");
}

#[test]
fn what_is_wrong_with_a_template_is_said() {
    let good = row("Is it?", ["yes", "no"], "A");
    let with = |task: MultipleChoice, row: &Value| read(&task, std::slice::from_ref(row), &[]).unwrap_err();
    let key = |key: &str| row("Is it?", ["yes", "no"], key);
    insta::assert_snapshot!(
        [
            with(MultipleChoice { doc_to_text: rule("{{unknown}}"), ..task() }, &good),
            with(MultipleChoice { doc_to_text: rule("{{question"), ..task() }, &good),
            with(MultipleChoice { doc_to_choice: ChoiceRule::FieldOrTemplate("yes".into()), ..task() }, &good),
            with(MultipleChoice { doc_to_choice: ChoiceRule::FieldOrTemplate("question".into()), ..task() }, &good),
            with(task(), &key("C")),
            with(task(), &row("Is it?", ["yes", ""], "A")),
        ]
        .join("\n"),
        @"
        doc_to_text: `unknown` is undefined
        doc_to_text: unexpected end of input, expected end of variable block
        doc_to_choice does not give a list of texts
        doc_to_choice: field 'question' is a text, not a list
        doc_to_target: 'C' is not there
        doc_to_choice gives 2 answers, one of them empty or too few
        "
    );
}

#[test]
fn metrics_divide_by_the_length_of_the_answer() {
    let task = MultipleChoice { metrics: ChoiceMetric::ALL.into(), ..task() };
    let items = read(&task, &[row("Is it?", ["yä", "no, never"], "B")], &[]).unwrap();
    let likelihood = |sum| Likelihood { sum, tokens: 1, bytes: 1 };
    // By sum the first one wins; by character -2 / 2 < -4 / 9; by byte -2 / 3 < -4 / 9.
    let (scores, outcomes) = score(&task, Mode::FIXED, &items, &[vec![likelihood(-2.0), likelihood(-4.0)]]);
    let of_task: Vec<(&str, f64)> = scores
        .iter()
        .filter(|score| score.subtask.is_none())
        .map(|score| (score.metric.as_str(), score.value))
        .collect();
    assert_eq!(of_task, [("accuracy", 0.0), ("accuracy-per-character", 100.0), ("accuracy-per-byte", 100.0)]);
    assert_eq!((outcomes.len(), outcomes[0].chosen, outcomes[0].correct), (1, 0, false));
}
