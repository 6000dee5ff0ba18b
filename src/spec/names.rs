//! The names that a spec defines, collected before its entries are decoded.

use super::tree::Node;

/// The curricula that every spec has.
pub(super) const BUILT_IN_CURRICULA: [&str; 4] = ["pretrained", "merged", "sequential", "sequential-whole"];

/// The names that a spec defines. They include invalid entries, so that references to these are not reported as well.
pub(super) struct Names {
    pub corpora: Vec<String>,
    pub datasets: Vec<String>,
    pub models: Vec<String>,
    pub curricula: Vec<String>,
}

impl Names {
    /// Collects the keys of each section.
    pub(super) fn of(root: &Node) -> Names {
        let keys = |section: &str| match root.get(section) {
            Some(node) => node.entries().iter().map(|(key, _)| key.text.clone()).collect(),
            None => vec![],
        };
        Names {
            corpora: keys("corpora"),
            datasets: keys("datasets"),
            models: keys("models"),
            curricula: keys("curricula"),
        }
    }
}
