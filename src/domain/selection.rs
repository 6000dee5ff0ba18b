//! Text of a corpus that a dataset lacks.

use serde::{Deserialize, Serialize};

/// Which pieces of a corpus are selected, because instruction data has little text like them (AITP, arXiv 2501.09368).
///
/// The embedding of a text is the mean of the hidden states of the last layer of a model, after its final
/// normalization, over the tokens of the text. The embeddings of all pieces and records are projected onto their first
/// principal components; the density at a piece is that of a Gaussian kernel density estimate from the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PieceSelection {
    /// What a piece is.
    pub unit: PieceUnit,
    /// The length in words of the shortest piece that is considered.
    pub min_words: u32,
    /// The number of words after which longer pieces are cut.
    pub max_words: u32,
    /// The number of principal components.
    pub dims: u32,
    /// The width of the kernels.
    pub bandwidth: Bandwidth,
    /// The density below which pieces are selected.
    pub below: DensityLimit,
    /// The most pieces, which are drawn from those that could be selected; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<PieceLimit>,
}

/// What a corpus is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceUnit {
    /// Its documents.
    Document,
    /// The lines of its documents.
    Paragraph,
}

/// The width of the kernels of a density estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// Scott's rule: the covariance of a kernel is that of the n points times n^(-2 / (dims + 4)).
    Scott,
    /// The standard deviation of a kernel in every direction.
    Width(f64),
}

/// A density below which pieces are selected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DensityLimit {
    /// The density itself.
    Density(f64),
    /// The quantile, in 0..1, of the densities at the records, each estimated from the other records.
    Quantile(f64),
}

/// The most pieces that are selected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceLimit {
    /// Their number.
    Count(u32),
    /// Their share of all pieces, rounded down.
    Share(f64),
}

impl PieceLimit {
    /// The most pieces out of `pieces`.
    pub fn of(self, pieces: u64) -> u64 {
        match self {
            PieceLimit::Count(most) => pieces.min(most.into()),
            // A share such as 0.29 of 100 pieces is 28.999... in binary arithmetic.
            PieceLimit::Share(share) => (share * pieces as f64 + 1e-9).floor() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_pieces_is_rounded_down() {
        assert_eq!(PieceLimit::Share(0.29).of(100), 29);
        assert_eq!(PieceLimit::Share(0.1).of(39), 3);
        assert_eq!([PieceLimit::Count(5).of(3), PieceLimit::Count(5).of(8)], [3, 5]);
    }
}
