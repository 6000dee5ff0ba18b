//! Overrides `-S path.to.key=value`: changes to the tree before it is decoded.

use super::problem::{Log, Mark};
use super::tree::Node;

/// Applies overrides in order; a later one wins. Decoding then reports unknown paths.
pub(super) fn apply(root: &mut Node, overrides: &[String], log: &Log) {
    for text in overrides {
        let source = log.source(text);
        let mark = Mark { source, line: 1, column: 1, length: text.chars().count() as u32 };
        let parts = text.split_once('=').map(|(path, value)| (path.trim(), path.chars().count() as u32 + 1, value));
        let Some((path, skipped, value)) = parts.filter(|(path, ..)| path.split('.').all(|part| !part.is_empty()))
        else {
            let hint = "such as -S tune.epochs=3 or -S 'axes.seed=[1, 2, 3]'";
            log.add(mark, "an override must have the form path.to.key=value", Some(hint.into()));
            continue;
        };
        let shift =
            |inner: Mark| Mark { source, column: inner.column + if inner.line == 1 { skipped } else { 0 }, ..inner };
        let Some(value) = Node::read(value, shift, log) else { continue };
        let key = Mark { length: skipped - 1, ..mark };
        if let Err(blocked) = root.set(path, key, value) {
            log.add(
                key,
                format!("'{blocked}' is not a mapping, so it has no keys to set"),
                Some(format!("set '{blocked}' itself, or correct the path")),
            );
        }
    }
}
