//! The choice of documents and records that are held out for validation.

use crate::domain::mix;

use super::ledger::Split;

/// How the held-out records of a dataset were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOut {
    /// Whole groups, or none if nothing is held out.
    Groups,
    /// This number of records at the end of the largest group, because every group is too large to be held out.
    Tail(usize),
}

/// The split of every record of groups of these sizes, in order; see [`prepare_dataset`](super::prepare_dataset). Groups
/// of one record are held out like the units of [`split_units`].
pub(super) fn split_groups(sizes: &[usize], held_out: f64) -> (Vec<Split>, HeldOut) {
    let count: usize = sizes.iter().sum();
    let wanted = held_out_count(count, held_out);
    let mut of_groups = vec![Split::Train; sizes.len()];
    let mut held = 0;
    for group in hashed_order(sizes.len()) {
        let with = held + sizes[group];
        if with < count && with.abs_diff(wanted) < wanted.abs_diff(held) {
            (of_groups[group], held) = (Split::Validation, with);
        }
    }
    let split = |(group, size): (usize, &usize)| std::iter::repeat_n(of_groups[group], *size);
    let mut splits: Vec<Split> = sizes.iter().enumerate().flat_map(split).collect();
    // The first of several groups of the same size.
    let largest = (0..sizes.len()).rev().max_by_key(|&group| sizes[group]);
    let (Some(largest), 0, 1..) = (largest, held, wanted) else { return (splits, HeldOut::Groups) };
    let tail = wanted.min(sizes[largest].saturating_sub(1));
    let end: usize = sizes[..=largest].iter().sum();
    splits[end - tail..end].fill(Split::Validation);
    (splits, HeldOut::Tail(tail))
}

/// The split of every unit: the `ceil(held_out * count)` units with the smallest hashes of their index are held out, the
/// same number as with `train_test_split` of scikit-learn and Hugging Face. Neither split is empty if that is possible.
fn split_units(count: usize, held_out: f64) -> Vec<Split> {
    let mut splits = vec![Split::Train; count];
    for index in &hashed_order(count)[..held_out_count(count, held_out)] {
        splits[*index] = Split::Validation;
    }
    splits
}

/// The number of held-out units of `count`: the share rounded up, but never all.
fn held_out_count(count: usize, held_out: f64) -> usize {
    ((held_out * count as f64).ceil() as usize).min(count.saturating_sub(1))
}

/// The indices below `count` in the order of their hashes.
fn hashed_order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| mix(mix(index as u64)));
    order
}

/// The documents with their split; see [`prepare_corpus`](super::prepare_corpus). A document may be divided.
pub(super) fn split_documents(documents: Vec<&str>, held_out: f64) -> Vec<(Split, &str)> {
    let few = held_out > 0.0 && (documents.len() as f64) < 1.0 / held_out;
    if !few {
        return split_units(documents.len(), held_out).into_iter().zip(documents).collect();
    }
    let mut units: Vec<(Split, &str)> = documents.into_iter().map(|text| (Split::Train, text)).collect();
    let total: usize = units.iter().map(|(_, text)| text.len()).sum();
    // The first of several documents of the same length.
    let longest = units.iter().enumerate().rev().max_by_key(|(_, (_, text))| text.len()).map(|(index, _)| index);
    if let Some(index) = longest {
        let whole = units[index].1;
        let tail = (total as f64 * held_out) as usize;
        if let Some((head, tail)) = divide(whole, whole.len().saturating_sub(tail)) {
            units[index].1 = head;
            units.insert(index + 1, (Split::Validation, tail));
        }
    }
    units
}

/// Divides a text at the first white space from `position` on, or else at the last one before it. The white space belongs
/// to neither part. `None` if a part would be blank.
fn divide(text: &str, position: usize) -> Option<(&str, &str)> {
    let parts = |space: usize| {
        let (head, tail) = (text[..space].trim_end(), text[space..].trim_start());
        (!head.trim().is_empty() && !tail.is_empty()).then_some((head, tail))
    };
    let spaces = text.match_indices(char::is_whitespace).map(|(space, _)| space);
    let (before, after): (Vec<usize>, Vec<usize>) = spaces.partition(|&space| space < position);
    after.into_iter().chain(before.into_iter().rev()).find_map(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_share_is_held_out_and_the_training_part_is_not_empty(count in 1usize..3000, held_out in 0.0f64..0.5) {
            let splits = split_units(count, held_out);
            let held = splits.iter().filter(|&&split| split == Split::Validation).count();
            prop_assert!(held < count);
            prop_assert_eq!(held > 0, held_out > 0.0 && count > 1 );
            let expected = count as f64 * held_out;
            prop_assert!((held as f64 - expected).abs() <= 5.0 * expected.sqrt() + 1.0, "{held} of {expected}");
        }

        #[test]
        fn groups_of_one_record_are_held_out_like_units(count in 0usize..500, held_out in 0.0f64..0.9) {
            prop_assert_eq!(split_groups(&vec![1; count], held_out), (split_units(count, held_out), HeldOut::Groups));
        }

        #[test]
        fn whole_groups_are_held_out_or_the_end_of_the_largest(
            sizes in prop::collection::vec(1usize..60, 1..40), held_out in 0.01f64..0.5,
        ) {
            let (splits, chosen) = split_groups(&sizes, held_out);
            let count: usize = sizes.iter().sum();
            let wanted = held_out_count(count, held_out);
            let held = splits.iter().filter(|&&split| split == Split::Validation).count();
            prop_assert_eq!(splits.len(), count);
            prop_assert!(held < count && (held > 0 || count == 1));
            let mut start = 0;
            for &size in &sizes {
                let group = &splits[start..start + size];
                match chosen {
                    HeldOut::Groups => prop_assert!(group.iter().all(|split| split == &group[0])),
                    // No training record follows a held-out one.
                    HeldOut::Tail(_) => prop_assert!(group.is_sorted_by_key(|&split| split == Split::Validation)),
                }
                start += size;
            }
            if let HeldOut::Tail(tail) = chosen {
                prop_assert_eq!((held, tail), (wanted, wanted));
            }
            prop_assert!(held.abs_diff(wanted) < wanted.max(1), "{held} of {wanted}");
        }
    }

    #[test]
    fn small_groups_are_held_out_whole_and_large_ones_in_part() {
        let held = |sizes: &[usize], held_out| {
            let (splits, chosen) = split_groups(sizes, held_out);
            (splits.iter().filter(|&&split| split == Split::Validation).count(), chosen)
        };
        assert_eq!(held(&[7; 100], 0.1), (70, HeldOut::Groups));
        assert_eq!(held(&[50], 0.1), (5, HeldOut::Tail(5)));
        assert_eq!(held(&[20, 60, 60], 0.05), (7, HeldOut::Tail(7)));
        assert_eq!(held(&[20, 60, 60], 0.1), (20, HeldOut::Groups));
        assert_eq!(held(&[50, 3], 0.0), (0, HeldOut::Groups));
        let (splits, _) = split_groups(&[4, 9, 5], 0.1);
        let held: Vec<usize> = (0..splits.len()).filter(|&record| splits[record] == Split::Validation).collect();
        assert_eq!(held, [11, 12], "the end of the largest group");
    }

    #[test]
    fn the_end_of_the_longest_of_few_documents_is_held_out() {
        let documents = vec!["a b c", "d e f g h i j k l m", "n"];
        let expected = [
            (Split::Train, "a b c"),
            (Split::Train, "d e f g h i j k l"),
            (Split::Validation, "m"),
            (Split::Train, "n"),
        ];
        assert_eq!(split_documents(documents.clone(), 0.1), expected);
        assert_eq!(split_documents(documents, 0.0).len(), 3);
        assert_eq!(split_documents(vec!["word"], 0.1), [(Split::Train, "word")]);
        assert_eq!(
            split_documents(vec!["a verylongwordattheend"], 0.1),
            [(Split::Train, "a"), (Split::Validation, "verylongwordattheend")]
        );
    }
}
