//! The names that a spec defines, collected before its entries are decoded.

use super::fields::{Fault, Scalar};
use super::scalars::reference;
use super::tree::{Node, Value};

/// The curricula that every spec has.
pub(super) const BUILT_IN_CURRICULA: [&str; 4] = ["pretrained", "merged", "sequential", "sequential-whole"];

/// The names that a spec defines. They include invalid entries, so that references to these are not reported as well.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub corpora: Vec<String>,
    pub datasets: Vec<String>,
    pub models: Vec<String>,
    pub curricula: Vec<String>,
    /// The datasets that a model makes; see [`super::sampling`].
    pub sampled: Vec<String>,
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
            sampled: root
                .get("datasets")
                .map_or(&[][..], Node::entries)
                .iter()
                .filter(|(_, node)| {
                    node.get("build").is_some_and(|build| build.get("sample").or(build.get("select")).is_some())
                })
                .map(|(key, _)| key.text.clone())
                .collect(),
        }
    }

    /// The name of a dataset that no model of the spec makes.
    pub(super) fn given_dataset(&self, value: &Value) -> Scalar<String> {
        let name = reference("dataset", &self.datasets)(value)?;
        match self.sampled.contains(&name) {
            true => Err(Fault::plain(
                format!("dataset '{name}' does not exist before the experiment, because a model makes it"),
                "name another dataset",
            )),
            false => Ok(name),
        }
    }
}
