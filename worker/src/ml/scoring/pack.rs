//! Packing of sequences into rows in which shared prefixes appear once.

use std::iter::once;

use grid::domain::{ModelConfig, ScoringRequest};

/// Several texts as prefix trees: each token follows a parent, and several tokens may follow the same parent.
#[derive(Debug, Default)]
pub(super) struct PackedRow {
    /// Token ids; a parent comes before its children.
    pub(super) ids: Vec<u32>,
    /// The index of the preceding token of the text; `None` for the first.
    pub(super) parents: Vec<Option<usize>>,
    /// The position of each token in its text.
    pub(super) position_ids: Vec<usize>,
    /// The requested log-probabilities.
    pub(super) targets: Vec<Target>,
    /// The sequences in the row.
    pub(super) members: Vec<Member>,
}

/// A requested log-probability: that of an id after a token of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// The index of the token.
    pub(super) token: usize,
    /// The id that may follow it.
    pub(super) id: u32,
}

/// A sequence in a row.
#[derive(Debug)]
pub(super) struct Member {
    /// The index of the request.
    pub(super) request: usize,
    /// For each scored position, the index in [`PackedRow::targets`].
    pub(super) targets: Vec<usize>,
}

/// The widths of rows to choose from. The larger ones pay off where many sequences share long prefixes.
const WIDTHS: [usize; 9] = [64, 96, 128, 192, 256, 384, 512, 768, 1_024];

/// The cost of a floating-point operation of attention relative to one of a matrix product.
const ATTENTION: f64 = 2.0;

/// The ids up to the last scored one; later ids have no effect.
fn text(request: &ScoringRequest) -> &[u32] {
    &request.ids[..request.scored.end]
}

/// Packs all requests that have a scored position, sorted by their ids, so that neighbours share long prefixes.
///
/// The width of the rows is the cheapest for this model. The content of a row is a function of the requests and the
/// model alone; it depends neither on the number of rows in a forward pass nor on the device.
pub(super) fn pack(requests: &[ScoringRequest], config: &ModelConfig) -> Vec<PackedRow> {
    let mut order: Vec<usize> = (0..requests.len()).filter(|&index| !requests[index].scored.is_empty()).collect();
    order.sort_by(|&left, &right| text(&requests[left]).cmp(text(&requests[right])).then(left.cmp(&right)));
    let texts: Vec<&[u32]> = order.iter().map(|&index| text(&requests[index])).collect();
    let shared: Vec<usize> =
        once(0).chain(texts.windows(2).map(|pair| common_prefix(pair[0], pair[1]))).take(texts.len()).collect();
    let cost = |&width: &usize| cost(&texts, &shared, width, config);
    let width = WIDTHS.into_iter().min_by(|left, right| cost(left).total_cmp(&cost(right))).unwrap_or(WIDTHS[0]);

    let mut rows: Vec<PackedRow> = vec![];
    let mut path = LastPath::default();
    for ((&request, text), &shared) in order.iter().zip(&texts).zip(&shared) {
        let fits = |row: &&mut PackedRow| row.ids.len() + new_tokens(text, shared.min(path.tokens.len())) <= width;
        let row = match rows.last_mut().filter(fits) {
            Some(row) => {
                path.truncate(shared);
                row
            }
            None => {
                path.truncate(0);
                rows.push(PackedRow::default());
                let last = rows.len() - 1;
                &mut rows[last]
            }
        };
        path.add(row, request, text, requests[request].scored.start);
    }
    rows
}

/// The length of the prefix that two texts share.
fn common_prefix(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The number of tokens that a text adds to a row with which it shares this many; its last id is only predicted.
fn new_tokens(text: &[u32], shared: usize) -> usize {
    (text.len() - 1).saturating_sub(shared)
}

/// The cost of packing into rows of this width, in millions of floating-point operations of a matrix product.
fn cost(texts: &[&[u32]], shared: &[usize], width: usize, config: &ModelConfig) -> f64 {
    let (mut rows, mut used, mut previous, mut longest) = (0usize, 0, 0, 0);
    for (text, &shared) in texts.iter().zip(shared) {
        let more = new_tokens(text, shared.min(previous));
        if rows > 0 && used + more <= width {
            used += more;
        } else {
            rows += 1;
            used = text.len() - 1;
        }
        previous = text.len() - 1;
        longest = longest.max(used);
    }
    let tokens = (rows * width.min(longest)) as f64;
    let number = |size: u32| f64::from(size);
    let attention = number(config.heads * config.head_dim * config.layers) * 4.0 * width.min(longest) as f64;
    let body = 2.0 * (config.parameters() as f64 - number(config.vocab_size) * number(config.hidden));
    tokens * (body + ATTENTION * attention) / 1e6
}

/// The last sequence of a row, as indices in the row.
#[derive(Debug, Default)]
struct LastPath {
    /// The index of each of its tokens.
    tokens: Vec<usize>,
    /// The index of the target after each of its tokens, where there is one.
    targets: Vec<Option<usize>>,
}

impl LastPath {
    /// Keeps the first `shared` tokens. The target after the last of them is removed, too, because its id is not shared.
    fn truncate(&mut self, shared: usize) {
        self.tokens.truncate(shared);
        self.targets.truncate(shared.saturating_sub(1));
    }

    /// Adds a text to the row, from where it departs from this path. The path is then that of the text.
    fn add(&mut self, row: &mut PackedRow, request: usize, text: &[u32], scored_from: usize) {
        let (known, inputs) = (self.tokens.len(), &text[..text.len() - 1]);
        for (position, &id) in inputs.iter().enumerate().skip(known) {
            row.parents.push(self.tokens.last().copied());
            row.position_ids.push(position);
            row.ids.push(id);
            self.tokens.push(row.ids.len() - 1);
        }
        self.targets.resize(text.len() - 1, None);
        let mut target_at = |position: usize| {
            *self.targets[position - 1].get_or_insert_with(|| {
                row.targets.push(Target { token: self.tokens[position - 1], id: text[position] });
                row.targets.len() - 1
            })
        };
        let targets = (scored_from..text.len()).map(&mut target_at).collect();
        row.members.push(Member { request, targets });
    }
}

#[cfg(test)]
mod tests {
    use grid::domain::Arch;
    use proptest::prelude::*;

    use super::*;
    use crate::ml::fixtures::small;

    fn request(ids: &[u32], scored: std::ops::Range<usize>) -> ScoringRequest {
        ScoringRequest::new(ids.to_vec(), scored)
    }

    #[test]
    fn a_shared_prefix_appears_once() {
        let requests = [
            request(&[5, 6, 7, 8], 1..4),
            request(&[5, 6, 9, 8], 2..4),
            request(&[5, 6, 7, 8, 2], 4..5),
            request(&[5, 6, 7, 8], 3..4),
            request(&[5, 6], 0..0),
        ];
        let rows = pack(&requests, &small(Arch::Llama));
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!(row.ids, [5, 6, 7, 8, 9]);
        assert_eq!(row.parents, [None, Some(0), Some(1), Some(2), Some(1)]);
        assert_eq!(row.position_ids, [0, 1, 2, 3, 2]);
        let targets: Vec<_> = row.targets.iter().map(|target| (target.token, target.id)).collect();
        assert_eq!(targets, [(0, 6), (1, 7), (2, 8), (3, 2), (1, 9), (4, 8)]);
        let members: Vec<_> = row.members.iter().map(|member| (member.request, member.targets.clone())).collect();
        assert_eq!(members, [(0, vec![0, 1, 2]), (3, vec![2]), (2, vec![3]), (1, vec![4, 5])]);
    }

    #[test]
    fn long_shared_prefixes_make_wide_rows() {
        let prefix: Vec<u32> = (0..300).map(|i| i % 61).collect();
        let requests: Vec<ScoringRequest> = (0..200u32)
            .map(|i| {
                let ids = [&prefix[..], &[i % 61, i / 61, 3]].concat();
                ScoringRequest::new(ids, 300..303)
            })
            .collect();
        let rows = pack(&requests, &small(Arch::Llama));
        let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
        assert!(tokens < 1_500, "{tokens} tokens for a prefix of 300 and 200 suffixes of two");
    }

    proptest! {
        #[test]
        fn every_row_contains_its_members(
            texts in prop::collection::vec((prop::collection::vec(0u32..3, 2..90), 0usize..90), 1..60)
        ) {
            let requests: Vec<ScoringRequest> = texts
                .into_iter()
                .map(|(ids, from)| {
                    let scored = 1 + from % ids.len()..ids.len();
                    ScoringRequest::new(ids, scored)
                })
                .collect();
            let rows = pack(&requests, &small(Arch::Llama));
            let mut seen = vec![0; requests.len()];
            for row in &rows {
                for member in &row.members {
                    let ScoringRequest { ids, scored, .. } = &requests[member.request];
                    seen[member.request] += 1;
                    prop_assert_eq!(member.targets.len(), scored.len());
                    for (position, &target) in scored.clone().zip(&member.targets) {
                        let Target { mut token, id } = row.targets[target];
                        prop_assert_eq!(id, ids[position]);
                        for earlier in (0..position).rev() {
                            prop_assert_eq!((row.ids[token], row.position_ids[token]), (ids[earlier], earlier));
                            token = row.parents[token].unwrap_or(usize::MAX);
                        }
                        prop_assert_eq!(token, usize::MAX);
                    }
                }
            }
            let wanted: Vec<i32> = requests.iter().map(|request| i32::from(!request.scored.is_empty())).collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
