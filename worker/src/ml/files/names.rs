//! The names of tensors in files that other programs wrote.

use std::collections::BTreeSet;

/// The names under which wrappers hold the model that they wrap: of `torch.compile`, of fully sharded training, of
/// activation checkpointing, and of DeepSpeed and Lightning.
const WRAPPERS: [&str; 4] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];

/// The name under which distributed training holds the model, in front of all other names.
const DISTRIBUTED: &str = "module";

/// The name of a tensor in the model itself, without the names of wrappers.
pub(super) fn unwrapped(name: &str) -> String {
    let segments = name.split('.').filter(|segment| !WRAPPERS.contains(segment));
    segments.skip_while(|segment| *segment == DISTRIBUTED).collect::<Vec<_>>().join(".")
}

/// A clause about some names, of which at most three are listed.
pub(super) fn listed(names: &[String], singular: &str, plural: &str) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("{one} {singular}")),
        [rest @ .., last] if rest.len() < 3 => Some(format!("{} and {last} {plural}", rest.join(", "))),
        [one, two, three, rest @ ..] => Some(format!("{one}, {two}, {three} and {} more {plural}", rest.len())),
        _ => unreachable!("more than one name"),
    }
}

/// The prefix that all of the surplus names share and without which most of them are missing ones; it ends with a dot.
pub(super) fn surplus_prefix<'a>(surplus: &[&'a str], missing: &BTreeSet<&str>) -> Option<&'a str> {
    let first = surplus.first()?;
    let found = |prefix: &str| {
        let rest = |name: &&&str| name.strip_prefix(prefix).is_some_and(|rest| missing.contains(rest));
        surplus.iter().all(|name| name.starts_with(prefix)) && 2 * surplus.iter().filter(rest).count() > surplus.len()
    };
    first.match_indices('.').map(|(at, _)| &first[..=at]).find(|prefix| found(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_wrappers_are_left_out() {
        for name in [
            "model.norm.weight",
            "_orig_mod.model.norm.weight",
            "module.model.norm.weight",
            "module._orig_mod.model.norm.weight",
            "_orig_mod.module.module.model.norm.weight",
            "_fsdp_wrapped_module.model._checkpoint_wrapped_module.norm.weight",
        ] {
            assert_eq!(unwrapped(name), "model.norm.weight");
        }
        assert_eq!(unwrapped("base.module.weight"), "base.module.weight", "only in front");
    }

    #[test]
    fn at_most_three_names_are_listed() {
        let names = |count: usize| (0..count).map(|n| format!("'{n}'")).collect::<Vec<_>>();
        let listed = |count| listed(&names(count), "is missing", "are missing");
        assert_eq!(listed(0), None);
        assert_eq!(listed(1).unwrap(), "'0' is missing");
        assert_eq!(listed(3).unwrap(), "'0', '1' and '2' are missing");
        assert_eq!(listed(39).unwrap(), "'0', '1', '2' and 36 more are missing");
    }

    #[test]
    fn a_prefix_of_all_surplus_names_is_found() {
        let missing = BTreeSet::from(["a.b", "a.c", "d"]);
        assert_eq!(surplus_prefix(&["x.y.a.b", "x.y.a.c", "x.y.d"], &missing), Some("x.y."));
        assert_eq!(surplus_prefix(&["x.a.b", "a.c"], &missing), None);
        assert_eq!(surplus_prefix(&["e.f"], &missing), None);
        assert_eq!(surplus_prefix(&[], &missing), None);
    }
}
