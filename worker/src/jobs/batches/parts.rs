//! Rows that are numbered through several parts, such as the windows of several corpora.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The number of the first row of each part, and the number of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct PartStarts(Vec<u64>);

impl PartStarts {
    /// Parts of these lengths.
    pub(in super::super) fn new(lengths: impl Iterator<Item = u64>) -> Self {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        Self(starts)
    }

    /// The number of rows in all parts.
    pub(in super::super) fn total(&self) -> u64 {
        self.0[self.0.len() - 1]
    }

    /// The number of the first row of a part.
    pub(in super::super) fn start(&self, part: usize) -> u64 {
        self.0[part]
    }

    /// The number of rows in a part.
    pub(super) fn len(&self, part: usize) -> u64 {
        self.0[part + 1] - self.0[part]
    }

    /// The part that contains a row. A number beyond the last row belongs to the part after the last one.
    pub(in super::super) fn part_of(&self, row: u64) -> usize {
        self.0.partition_point(|start| *start <= row) - 1
    }

    /// Text that names rows by their number in the file of their part, from 0: `windows 3, 9 of a/train.bin; 0 of
    /// b/train.bin`.
    pub(super) fn describe(&self, unit: &str, rows: impl Iterator<Item = u64>, folders: &[PathBuf]) -> String {
        let mut by_part: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for row in rows {
            let part = self.part_of(row);
            by_part.entry(part).or_default().push(row - self.start(part));
        }
        let of_part = |(part, numbers): (usize, Vec<u64>)| {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!("{} of {}", numbers.join(", "), folders[part].join("train.bin").display())
        };
        format!("{unit} {}", by_part.into_iter().map(of_part).collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_their_parts_and_empty_parts_have_none() {
        let starts = PartStarts::new([3, 0, 2].into_iter());
        assert_eq!((starts.total(), [0, 1, 2].map(|part| starts.len(part))), (5, [3, 0, 2]));
        assert_eq!([0, 2, 3, 4].map(|row| starts.part_of(row)), [0, 0, 2, 2]);
    }

    #[test]
    fn descriptions_name_the_files_of_rows() {
        let starts = PartStarts::new([3, 0, 2].into_iter());
        let text = starts.describe("windows", [4, 0, 3].into_iter(), &["a", "b", "c"].map(PathBuf::from));
        assert_eq!(text, "windows 0 of a/train.bin; 1, 0 of c/train.bin");
    }
}
