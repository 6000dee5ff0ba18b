//! Sequences to rows of tokens in which what sequences share at their beginning stands once.

use std::iter::once;

use grid::domain::ModelConfig;

use super::Sequence;

/// Some texts as a forest: a token follows the one before it in its text, and several may follow one.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Token ids, each behind the one before it in its text.
    pub(super) ids: Vec<u32>,
    /// Index of the token before it in its text; `None` for the first.
    pub(super) before: Vec<Option<usize>>,
    /// How many tokens stand before it in its text.
    pub(super) depths: Vec<usize>,
    /// Log-probabilities that are asked for: index of a token, and the id that may follow it.
    pub(super) asked: Vec<(usize, u32)>,
    /// The sequences in the row.
    pub(super) members: Vec<Member>,
}

/// A sequence of the request.
#[derive(Debug)]
pub(super) struct Member {
    /// Its index in the request.
    pub(super) sequence: usize,
    /// For each scored position, the index in [`Row::asked`].
    pub(super) asked: Vec<usize>,
}

/// Row widths to choose from. The upper ones pay where long beginnings are shared by many.
const WIDTHS: [usize; 9] = [64, 96, 128, 192, 256, 384, 512, 768, 1_024];

/// What a floating-point operation of attention costs in those of a matrix product, which run several times as fast.
const ATTENTION: f64 = 2.0;

/// The part of a sequence that matters: ids behind the last scored one change nothing.
fn text(sequence: &Sequence) -> &[u32] {
    &sequence.ids[..sequence.scored.end]
}

/// Packs all sequences that have something to score, in order of their ids, so that neighbours share most.
///
/// The width of the rows is the cheapest for this model. What stands in a row is a function of the sequences and the
/// model alone: neither the number of rows of a forward pass nor the device changes it.
pub(super) fn pack(sequences: &[Sequence], config: &ModelConfig) -> Vec<Row> {
    let mut order: Vec<usize> = (0..sequences.len()).filter(|&index| !sequences[index].scored.is_empty()).collect();
    order.sort_by(|&left, &right| text(&sequences[left]).cmp(text(&sequences[right])).then(left.cmp(&right)));
    let texts: Vec<&[u32]> = order.iter().map(|&index| text(&sequences[index])).collect();
    let shared: Vec<usize> =
        once(0).chain(texts.windows(2).map(|pair| common(pair[0], pair[1]))).take(texts.len()).collect();
    let cost = |&width: &usize| cost(&texts, &shared, width, config);
    let width = WIDTHS.into_iter().min_by(|left, right| cost(left).total_cmp(&cost(right))).unwrap_or(WIDTHS[0]);

    let mut rows: Vec<Row> = vec![];
    let mut path = Path::default();
    for ((&sequence, text), &shared) in order.iter().zip(&texts).zip(&shared) {
        let fits = |row: &&mut Row| row.ids.len() + new_tokens(text, shared.min(path.tokens.len())) <= width;
        let row = match rows.last_mut().filter(fits) {
            Some(row) => {
                path.cut(shared);
                row
            }
            None => {
                path.cut(0);
                rows.push(Row::default());
                let last = rows.len() - 1;
                &mut rows[last]
            }
        };
        path.add(row, sequence, text, sequences[sequence].scored.start);
    }
    rows
}

/// How many ids two texts share at their beginning.
fn common(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// Tokens that a text adds to a row of which it shares so many; its last id is only predicted.
fn new_tokens(text: &[u32], shared: usize) -> usize {
    (text.len() - 1).saturating_sub(shared)
}

/// Floating-point operations of rows of this width, in millions of those of a matrix product.
fn cost(texts: &[&[u32]], shared: &[usize], width: usize, config: &ModelConfig) -> f64 {
    let (mut rows, mut used, mut before, mut longest) = (0usize, 0, 0, 0);
    for (text, &shared) in texts.iter().zip(shared) {
        let more = new_tokens(text, shared.min(before));
        if rows > 0 && used + more <= width {
            used += more;
        } else {
            rows += 1;
            used = text.len() - 1;
        }
        before = text.len() - 1;
        longest = longest.max(used);
    }
    let tokens = (rows * width.min(longest)) as f64;
    let number = |size: u32| f64::from(size);
    let attention = number(config.heads * config.head_dim * config.layers) * 4.0 * width.min(longest) as f64;
    let body = 2.0 * (config.parameters() as f64 - number(config.vocab_size) * number(config.hidden));
    tokens * (body + ATTENTION * attention) / 1e6
}

/// The last sequence of a row: the index of each of its tokens, and of what is asked after each.
#[derive(Debug, Default)]
struct Path {
    tokens: Vec<usize>,
    asked: Vec<Option<usize>>,
}

impl Path {
    /// Forgets all but the first ids. What is asked after a token names the id behind it, so it goes one earlier.
    fn cut(&mut self, shared: usize) {
        self.tokens.truncate(shared);
        self.asked.truncate(shared.saturating_sub(1));
    }

    /// Puts a text into the row, from where it leaves this path, which then becomes its own.
    fn add(&mut self, row: &mut Row, sequence: usize, text: &[u32], scored_from: usize) {
        let (known, fed) = (self.tokens.len(), &text[..text.len() - 1]);
        for (place, &id) in fed.iter().enumerate().skip(known) {
            row.before.push(self.tokens.last().copied());
            row.depths.push(place);
            row.ids.push(id);
            self.tokens.push(row.ids.len() - 1);
        }
        self.asked.resize(text.len() - 1, None);
        let mut ask = |place: usize| {
            *self.asked[place - 1].get_or_insert_with(|| {
                row.asked.push((self.tokens[place - 1], text[place]));
                row.asked.len() - 1
            })
        };
        let asked = (scored_from..text.len()).map(&mut ask).collect();
        row.members.push(Member { sequence, asked });
    }
}

#[cfg(test)]
mod tests {
    use grid::domain::Arch;
    use proptest::prelude::*;

    use super::super::super::model::tests::small;
    use super::*;

    fn sequence(ids: &[u32], scored: std::ops::Range<usize>) -> Sequence {
        Sequence { ids: ids.to_vec(), scored }
    }

    #[test]
    fn what_is_shared_stands_once() {
        let sequences = [
            sequence(&[5, 6, 7, 8], 1..4),
            sequence(&[5, 6, 9, 8], 2..4),
            sequence(&[5, 6, 7, 8, 2], 4..5),
            sequence(&[5, 6, 7, 8], 3..4),
            sequence(&[5, 6], 0..0),
        ];
        let rows = pack(&sequences, &small(Arch::Llama));
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!(row.ids, [5, 6, 7, 8, 9]);
        assert_eq!(row.before, [None, Some(0), Some(1), Some(2), Some(1)]);
        assert_eq!(row.depths, [0, 1, 2, 3, 2]);
        assert_eq!(row.asked, [(0, 6), (1, 7), (2, 8), (3, 2), (1, 9), (4, 8)]);
        let members: Vec<_> = row.members.iter().map(|member| (member.sequence, member.asked.clone())).collect();
        assert_eq!(members, [(0, vec![0, 1, 2]), (3, vec![2]), (2, vec![3]), (1, vec![4, 5])]);
    }

    #[test]
    fn long_shared_beginnings_make_wide_rows() {
        let prefix: Vec<u32> = (0..300).map(|i| i % 61).collect();
        let sequences: Vec<Sequence> = (0..200u32)
            .map(|i| {
                let ids = [&prefix[..], &[i % 61, i / 61, 3]].concat();
                Sequence { scored: 300..303, ids }
            })
            .collect();
        let rows = pack(&sequences, &small(Arch::Llama));
        let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
        assert!(tokens < 1_500, "{tokens} for a beginning of 300 and 200 ends of two");
    }

    proptest! {
        #[test]
        fn every_row_spells_its_members(
            texts in prop::collection::vec((prop::collection::vec(0u32..3, 2..90), 0usize..90), 1..60)
        ) {
            let sequences: Vec<Sequence> = texts
                .into_iter()
                .map(|(ids, from)| Sequence { scored: 1 + from % ids.len()..ids.len(), ids })
                .collect();
            let rows = pack(&sequences, &small(Arch::Llama));
            let mut seen = vec![0; sequences.len()];
            for row in &rows {
                for member in &row.members {
                    let Sequence { ids, scored } = &sequences[member.sequence];
                    seen[member.sequence] += 1;
                    prop_assert_eq!(member.asked.len(), scored.len());
                    for (place, &asked) in scored.clone().zip(&member.asked) {
                        let (mut token, target) = row.asked[asked];
                        prop_assert_eq!(target, ids[place]);
                        for depth in (0..place).rev() {
                            prop_assert_eq!((row.ids[token], row.depths[token]), (ids[depth], depth));
                            token = row.before[token].unwrap_or(usize::MAX);
                        }
                        prop_assert_eq!(token, usize::MAX);
                    }
                }
            }
            let wanted: Vec<i32> = sequences.iter().map(|one| i32::from(!one.scored.is_empty())).collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
