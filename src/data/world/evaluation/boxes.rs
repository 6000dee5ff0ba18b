//! Entity tracking: the contents of a box after some operations.

use serde::Serialize;

use super::super::chance::Chance;
use super::super::lexicon::{Kind, NOUNS};
use super::items::json_line;

/// A line of an entity-tracking file.
#[derive(Serialize)]
struct Row {
    sample_id: u64,
    numops: u64,
    input_prefix: String,
    options: Vec<String>,
    example_id: String,
}

/// The number of boxes in a scene, and the largest number of operations.
const BOXES: usize = 4;
const OPERATIONS: u64 = 5;
/// The number of options in a row.
const OPTIONS: usize = 5;

type Contents = [Vec<&'static str>; BOXES];

/// One file, `regular`, with this number of items for each number of operations. As in the official file, option 0 is the
/// correct one, rows are sorted by the number of operations, and the prefix ends with a space.
pub(super) fn files(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let rows = (0..=OPERATIONS).flat_map(|operations| (0..items).map(move |index| (operations, index)));
    let line =
        |(operations, index)| json_line(&row(operations, index, &mut Chance::new(("boxes", operations), seed, index)));
    vec![("regular.jsonl".to_owned(), rows.flat_map(line).collect())]
}

fn row(operations: u64, index: u64, chance: &mut Chance) -> Row {
    let things: Vec<&'static str> = NOUNS
        .iter()
        .filter(|noun| noun.kind == Kind::Thing && noun.singular != "box")
        .map(|noun| noun.singular)
        .collect();
    let mut contents = Contents::default();
    let mut used: Vec<&'static str> = vec![];
    for held in &mut contents {
        for _ in 0..chance.below(3) {
            held.push(unused(chance, &things, &mut used));
        }
    }
    let full: Vec<String> =
        (0..BOXES).map(|number| format!("Box {number} contains {}", list(&contents[number]))).collect();
    let mut text = format!("{}.", full.join(", "));
    for _ in 0..operations {
        text.push(' ');
        text.push_str(&operate(chance, &things, &mut contents, &mut used));
    }
    let asked = chance.below(BOXES as u32) as usize;
    text.push_str(&format!(" Box {asked} contains "));
    let mut lists = vec![contents[asked].clone()];
    while lists.len() < OPTIONS {
        let mentioned = if used.is_empty() { &things } else { &used };
        let mut wrong = match chance.below(3) {
            0 => contents[chance.below(BOXES as u32) as usize].clone(),
            1 => vec![*chance.one_of(mentioned)],
            _ => vec![*chance.one_of(mentioned), *chance.one_of(&things)],
        };
        wrong.dedup();
        let same = |known: &Vec<&str>| known.len() == wrong.len() && known.iter().all(|thing| wrong.contains(thing));
        if !lists.iter().any(same) {
            lists.push(wrong);
        }
    }
    let options = lists.iter().map(|things| format!("{}.", list(things))).collect();
    let example_id = format!("{index}_{operations}");
    Row { sample_id: index, numops: operations, input_prefix: text, options, example_id }
}

/// Moves, removes or adds a thing, and describes the operation.
fn operate(
    chance: &mut Chance,
    things: &[&'static str],
    contents: &mut Contents,
    used: &mut Vec<&'static str>,
) -> String {
    let from = chance.below(BOXES as u32) as usize;
    if contents[from].is_empty() {
        let thing = unused(chance, things, used);
        contents[from].push(thing);
        return format!("Put the {thing} into Box {from}.");
    }
    let place = chance.below(contents[from].len() as u32) as usize;
    let thing = contents[from].remove(place);
    let to = chance.below(BOXES as u32) as usize;
    if to == from {
        return format!("Remove the {thing} from Box {from}.");
    }
    contents[to].push(thing);
    format!("Move the {thing} from Box {from} to Box {to}.")
}

fn unused(chance: &mut Chance, things: &[&'static str], used: &mut Vec<&'static str>) -> &'static str {
    loop {
        let thing = *chance.one_of(things);
        if !used.contains(&thing) {
            used.push(thing);
            return thing;
        }
    }
}

/// `the cup and the ball`, `nothing`.
fn list(things: &[&'static str]) -> String {
    match things {
        [] => "nothing".to_owned(),
        things => things.iter().map(|thing| format!("the {thing}")).collect::<Vec<_>>().join(" and "),
    }
}
