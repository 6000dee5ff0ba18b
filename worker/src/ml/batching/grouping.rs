//! Groups of sequences of similar length, so that little is padded.

use std::cmp::Reverse;
use std::iter::successors;

use tch::Device;

/// Groups items of similar length, the longest first, at the least cost on this device, at most `max_rows` to a group.
///
/// Items of equal length keep their order, and the groups are a function of the arguments.
pub fn group_by_length<T>(
    items: &[T],
    length: impl Fn(&T) -> usize,
    max_rows: Option<u32>,
    device: Device,
) -> Vec<Vec<&T>> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort_by_key(|item| Reverse(length(item)));
    let lengths: Vec<usize> = items.iter().map(|item| length(item)).collect();
    let mut rest = items.into_iter();
    group_sizes(&lengths, max_rows, device).into_iter().map(|size| rest.by_ref().take(size).collect()).collect()
}

/// The sizes of the cheapest groups of sequences with these lengths (in falling order), at most `max_rows` in each.
///
/// The cost of a group is its number of tokens with padding, plus a constant: on a CPU about 48 tokens, which the
/// addition of its gradients takes; on a GPU as many as it takes to fill the device.
pub fn group_sizes(lengths: &[usize], max_rows: Option<u32>, device: Device) -> Vec<usize> {
    let max_rows = max_rows.map_or(usize::MAX, |rows| rows as usize).max(1);
    cheapest_sizes(lengths, if device == Device::Cpu { 48 } else { 16_384 }, max_rows)
}

/// Dynamic programming over suffixes: `costs[i]` is the least cost of `lengths[i..]`, `firsts[i]` the size of the first
/// group of that solution.
fn cheapest_sizes(lengths: &[usize], constant: usize, max_rows: usize) -> Vec<usize> {
    let (mut costs, mut firsts) = (vec![0; lengths.len() + 1], vec![0; lengths.len()]);
    for start in (0..lengths.len()).rev() {
        let cost = |rows: usize| constant + rows * lengths[start] + costs[start + rows];
        let best = (1..=max_rows.min(lengths.len() - start)).map(|rows| (cost(rows), rows)).min();
        (costs[start], firsts[start]) = best.unwrap_or_default();
    }
    let starts = successors(Some(0), |&start: &usize| Some(start + firsts.get(start)?));
    starts.map_while(|start| firsts.get(start).copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_hold_items_of_similar_length() {
        let group = |items: &[&'static str], max_rows, device| -> Vec<Vec<&'static str>> {
            let groups = group_by_length(items, |item| item.len(), max_rows, device);
            groups.into_iter().map(|group| group.into_iter().copied().collect()).collect()
        };
        let items = ["a", "bbb", "c", "ddd"];
        assert_eq!(group(&items, None, Device::Cpu), [vec!["bbb", "ddd", "a", "c"]]);
        assert_eq!(group(&items, Some(2), Device::Cpu), [vec!["bbb", "ddd"], vec!["a", "c"]]);
        let long: &'static str = "0123456789".repeat(10).leak();
        let items = ["short text", long, "short text"];
        assert_eq!(group(&items, None, Device::Cpu), [vec![long], vec!["short text", "short text"]]);
        assert_eq!(group(&items, None, Device::Cuda(0)).len(), 1, "small groups would leave a GPU idle");
    }

    proptest! {
        /// Groups never cost more than a single group or groups of one, and they respect the limit.
        #[test]
        fn groups_are_cheap(
            mut lengths in prop::collection::vec(1usize..300, 1..40), constant in 0usize..200, max_rows in 1usize..50,
        ) {
            lengths.sort_by_key(|length| Reverse(*length));
            let sizes = cheapest_sizes(&lengths, constant, max_rows);
            let (mut start, mut cost) = (0, 0);
            for rows in sizes {
                prop_assert!(rows >= 1 && rows <= max_rows);
                cost += constant + rows * lengths[start];
                start += rows;
            }
            prop_assert_eq!(start, lengths.len());
            prop_assert!(cost <= lengths.iter().sum::<usize>() + constant * lengths.len());
            prop_assert!(lengths.len() > max_rows || cost <= constant + lengths.len() * lengths[0]);
        }
    }
}
