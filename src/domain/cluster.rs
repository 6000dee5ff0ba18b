//! Clusters of evaluation items, and standard errors that account for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The group of items that share material with an item, so that their outcomes are not independent.
///
/// Files and the database hold null for [`Cluster::Unknown`], the empty string for [`Cluster::Itself`], and otherwise
/// the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum Cluster {
    /// The item was recorded before clusters were, and has not been updated since. Statistics treat it like
    /// [`Cluster::Itself`].
    #[default]
    Unknown,
    /// The item shares no material with the other items of its task.
    Itself,
    /// The key of the cluster: not empty and unique within the task. A cluster may span several subtasks.
    Shared(String),
}

impl Cluster {
    /// The cluster with this key; an empty key means the item itself.
    pub fn shared(key: impl Into<String>) -> Cluster {
        Cluster::from(Some(key.into()))
    }

    /// The key as stored in the database: `None` if unknown, `""` for the item itself.
    pub fn key(&self) -> Option<&str> {
        match self {
            Cluster::Unknown => None,
            Cluster::Itself => Some(""),
            Cluster::Shared(key) => Some(key),
        }
    }

    /// A name that is unique within the task, as in the view `v_items`: the key, or `subtask#item` for an item that is
    /// its own cluster; `None` if unknown.
    pub fn name(&self, subtask: &str, item: u32) -> Option<String> {
        match self {
            Cluster::Unknown => None,
            Cluster::Itself => Some(format!("{subtask}#{item}")),
            Cluster::Shared(key) => Some(key.clone()),
        }
    }

    /// Whether the item is known to share material with others.
    pub fn is_shared(&self) -> bool {
        matches!(self, Cluster::Shared(_))
    }
}

impl From<Option<String>> for Cluster {
    fn from(key: Option<String>) -> Cluster {
        match key {
            None => Cluster::Unknown,
            Some(key) if key.is_empty() => Cluster::Itself,
            Some(key) => Cluster::Shared(key),
        }
    }
}

impl From<Cluster> for Option<String> {
    fn from(cluster: Cluster) -> Option<String> {
        cluster.key().map(str::to_owned)
    }
}

/// The items of one subtask, whose mean enters a score with some weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Stratum<'a> {
    /// The weight of the subtask's mean in the score; 1 for the score of the subtask itself.
    pub weight: f64,
    /// The value of each item, in the unit of the score, and its cluster.
    pub items: Vec<(f64, &'a Cluster)>,
}

/// The standard error of a weighted sum of means, `sum_k w_k mean_k`, over items drawn in clusters; in the unit of the
/// values.
///
/// With `m_k` the mean, `n_k` the number of items and `G_k` the number of clusters of stratum k, and the residual
/// `e_i = w_k / n_k * sqrt(G_k / (G_k - 1)) * (x_i - m_k)` of item i,
///
/// ```text
/// SE^2 = sum over clusters c of (sum over items i in c of e_i)^2
/// ```
///
/// For one stratum of weight 1 this is the clustered standard error of Miller (2024, arXiv 2411.00640, section 2.2)
/// times the usual correction for few clusters, `sqrt(G / (G - 1))`. If each item is its own cluster, it is exactly
/// the textbook `s / sqrt(n)`. A cluster that spans strata adds the covariance of their means. Items of unknown
/// cluster count as their own clusters.
///
/// `None` if there is no stratum, or if a stratum has fewer than two clusters, whose spread is unknown.
pub fn clustered_stderr(strata: &[Stratum]) -> Option<f64> {
    let mut shared: BTreeMap<&str, f64> = BTreeMap::new();
    let mut variance = 0.0;
    for Stratum { weight, items } in strata {
        let n = items.len() as f64;
        let mean = items.iter().map(|(value, _)| value).sum::<f64>() / n;
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        let (mut alone, mut squares) = (0_usize, 0.0);
        for (value, cluster) in items {
            match cluster {
                Cluster::Shared(key) => *sums.entry(key).or_default() += value - mean,
                Cluster::Itself | Cluster::Unknown => {
                    alone += 1;
                    squares += (value - mean).powi(2);
                }
            }
        }
        let clusters = (alone + sums.len()) as f64;
        if clusters < 2.0 {
            return None;
        }
        let scale = weight / n * (clusters / (clusters - 1.0)).sqrt();
        variance += scale.powi(2) * squares;
        for (key, sum) in sums {
            *shared.entry(key).or_default() += scale * sum;
        }
    }
    variance += shared.values().map(|sum| sum.powi(2)).sum::<f64>();
    (!strata.is_empty()).then(|| variance.sqrt())
}

/// The standard error of a recorded score.
#[derive(Debug, Clone, PartialEq)]
pub struct Stderr {
    /// The task within its suite.
    pub task: String,
    /// The subtask; `None` for the task's official aggregate.
    pub subtask: Option<String>,
    /// The metric; see [`Score::metric`](super::Score::metric).
    pub metric: String,
    /// The standard error over items, in the unit of the score; `None` if it cannot be computed.
    pub value: Option<f64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stratum<'a>(weight: f64, items: &'a [(f64, Cluster)]) -> Stratum<'a> {
        Stratum { weight, items: items.iter().map(|(value, cluster)| (*value, cluster)).collect() }
    }

    fn key(key: &str) -> Cluster {
        Cluster::shared(key)
    }

    #[test]
    fn files_have_nothing_an_empty_text_or_a_key() {
        let clusters = [Cluster::Unknown, Cluster::Itself, key("a/1")];
        let json = serde_json::to_string(&clusters).unwrap();
        assert_eq!(json, r#"[null,"","a/1"]"#);
        assert_eq!(serde_json::from_str::<[Cluster; 3]>(&json).unwrap(), clusters);
        assert_eq!(clusters.clone().map(|cluster| Cluster::from(cluster.key().map(str::to_owned))), clusters);
        let names = clusters.map(|cluster| cluster.name("plural", 7));
        assert_eq!(names, [None, Some("plural#7".to_owned()), Some("a/1".to_owned())]);
    }

    /// Worked by hand.
    #[test]
    fn standard_errors_by_hand() {
        // Mean 2.5; residuals -1.5, -0.5, 0.5, 1.5.
        let close = |strata: &[Stratum], variance: f64| {
            let stderr = clustered_stderr(strata).unwrap();
            assert!((stderr * stderr - variance).abs() < 1e-12, "{} is not {variance}", stderr * stderr);
        };
        let alone = [1.0, 2.0, 3.0, 4.0].map(|value| (value, Cluster::Itself));
        close(&[stratum(1.0, &alone)], 5.0 / 3.0 / 4.0); // s^2 / n
        // Clusters {1, 2}, {3, 4} sum to -2 and 2: 2/1 * 8 / 16.
        let alike = [(1.0, key("a")), (2.0, key("a")), (3.0, key("b")), (4.0, key("b"))];
        close(&[stratum(1.0, &alike)], 1.0);
        // Clusters {1, 4}, {2, 3} cancel.
        let opposed = [(1.0, key("a")), (2.0, key("b")), (3.0, key("b")), (4.0, key("a"))];
        close(&[stratum(1.0, &opposed)], 0.0);
        // A cluster {1, 2} and two items alone: 3/2 * (4 + 0.25 + 2.25) / 16.
        let mixed = [(1.0, key("a")), (2.0, key("a")), (3.0, Cluster::Itself), (4.0, Cluster::Unknown)];
        close(&[stratum(1.0, &mixed)], 1.5 * 6.5 / 16.0);
        // Two subtasks at weight 1/2. In the first, clusters a and b have sums -1 and 1 over n = 2, in the second -2
        // and 2 over n = 2; each is scaled by 1/2 * 1/2 * sqrt(2). Apart: 2 * (1/8 + 4/8). Shared: 2 * (3^2 / 8).
        let (one, two) = ([(0.0, key("a")), (2.0, key("b"))], [(0.0, key("a")), (4.0, key("b"))]);
        let apart = [(0.0, key("c")), (4.0, key("d"))];
        close(&[stratum(0.5, &one), stratum(0.5, &apart)], 1.25);
        close(&[stratum(0.5, &one), stratum(0.5, &two)], 2.25);
    }

    #[test]
    fn one_cluster_says_nothing_about_the_spread() {
        let one = [(1.0, key("a")), (2.0, key("a"))];
        let two = [(1.0, key("a")), (2.0, key("b"))];
        assert_eq!(clustered_stderr(&[stratum(1.0, &one)]), None);
        assert_eq!(clustered_stderr(&[stratum(0.5, &two), stratum(0.5, &one)]), None);
        assert_eq!(clustered_stderr(&[stratum(1.0, &[])]), None);
        assert_eq!(clustered_stderr(&[]), None);
    }

    proptest! {
        /// Whatever the names of the clusters and the order of the items.
        #[test]
        fn names_and_order_do_not_matter(values in prop::collection::vec((0.0..1.0f64, 0u8..5), 3..30)) {
            let named = |prefix: &str| -> Vec<(f64, Cluster)> {
                values.iter().map(|(value, cluster)| (*value, key(&format!("{prefix}{cluster}")))).collect()
            };
            let (one, mut other) = (named("a"), named("z"));
            other.reverse();
            let (one, other) = (clustered_stderr(&[stratum(1.0, &one)]), clustered_stderr(&[stratum(1.0, &other)]));
            prop_assert_eq!(one.is_some(), other.is_some());
            prop_assert!((one.unwrap_or(0.0) - other.unwrap_or(0.0)).abs() < 1e-9);
        }
    }
}
