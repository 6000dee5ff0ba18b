//! The names that a spec defines, collected before anything is decoded.

use super::tree::Node;

/// The curricula that need no definition.
pub(super) const BUILT_IN_CURRICULA: [&str; 4] = ["pretrained", "merged", "sequential", "sequential-whole"];

/// The names that a spec defines, right or wrong otherwise, so that one bad entry does not make its name unknown.
pub(super) struct Names {
    pub corpora: Vec<String>,
    pub datasets: Vec<String>,
    pub models: Vec<String>,
    pub curricula: Vec<String>,
}

impl Names {
    /// Collects them.
    pub fn of(root: &Node) -> Names {
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
