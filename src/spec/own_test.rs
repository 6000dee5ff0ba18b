//! A test set of the user's own, after decoding.

use crate::domain::{Quantity, Source, TestSet};

use super::fields::scalar;
use super::problem::{Log, Mark};
use super::scalars::name;
use super::tree::Node;

/// A test set and its files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnTest {
    pub set: TestSet,
    pub source: Source,
    /// The files of the examples before each item, if they are others.
    pub examples: Option<Source>,
    /// The setting of the rule `length`, if the test set has one of its own.
    pub length: Option<&'static str>,
    pub licence: Option<String>,
    /// The place of the definition.
    pub place: String,
}

/// A name that no column of tables has.
pub(super) fn own_name(node: &Node, log: &Log) -> Option<String> {
    let found = scalar("'name'", node, log, name)?;
    check_name(&found, node.mark, log).then_some(found)
}

/// Reports a name that is a column of tables already.
pub(super) fn check_name(name: &str, mark: Mark, log: &Log) -> bool {
    let is_free = !Quantity::all().any(|quantity| quantity.name() == name);
    if !is_free {
        let hint = "tables have a column of this name; choose another one";
        log.add(mark, format!("a test set cannot be named '{name}'"), Some(hint.into()));
    }
    is_free
}
