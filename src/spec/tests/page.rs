//! docs/spec.md, which is for people, against the decoders.

use super::{GOOD, broken};
use crate::domain::Mode;

/// Every key that a decoder knows, as it lists them for a key that it does not know, and every rule of scoring.
#[test]
fn the_page_of_the_spec_has_every_key() {
    let page = include_str!("../../../docs/spec.md");
    let text = GOOD
        .replace("{", "{zz: 1, ")
        .replace("chat: {zz: 1, world: chat", "chat: {zz: 1, build: {zz: 1}, files: x")
        + "curricula: {mine: [{zz: 1, datasets: chat}], whole: {zz: 1, stages: [chat]}}\nevaluate: {zz: 1, checkpoints: {zz: 1}}\nbudget: {zz: 1}\n\
           finetune: {zz: 1}\nreference: {a: {zz: 1}}\ntables: {b: {zz: 1}}\nresources: {zz: 1, slurm: {zz: 1}}\n";
    let complaint = broken(&text, &[]);
    let lists: Vec<&str> =
        complaint.lines().filter_map(|line| line.trim().strip_prefix("help: known keys here: ")).collect();
    assert!(lists.len() > 14, "{complaint}");
    let keys = lists.into_iter().flat_map(|list| list.split(", ")).chain(Mode::SWITCHES.iter().map(|(rule, _)| *rule));
    let missing: Vec<&str> = keys.filter(|key| !page.contains(&format!("{key}:"))).collect();
    assert_eq!(missing, [] as [&str; 0]);
}
