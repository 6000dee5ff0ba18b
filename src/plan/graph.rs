//! The DAG of a plan as text for graph viewers.

use std::fmt::Write;

use super::planned::Plan;

/// The language of a graph viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// Graphviz.
    Dot,
    /// Mermaid, which Markdown viewers render.
    Mermaid,
}

impl Plan {
    /// The DAG in the language of a viewer, one node per job.
    pub fn graph(&self, format: GraphFormat) -> String {
        let mut text = String::new();
        let label = |text: &str| text.replace('\\', "\\\\").replace('"', "'");
        let (open, close) = match format {
            GraphFormat::Dot => ("digraph grid {\n  rankdir=LR; node [shape=box];\n", "}\n"),
            GraphFormat::Mermaid => ("flowchart LR\n", ""),
        };
        text.push_str(open);
        for job in self.jobs() {
            let (id, kind, name) = (job.id.short(), job.job.kind(), label(&job.label));
            // Writing to a String cannot fail.
            let _ = match format {
                GraphFormat::Dot => writeln!(text, "  \"{id}\" [label=\"{kind}\\n{name}\"];"),
                GraphFormat::Mermaid => writeln!(text, "  j{id}[\"{kind}: {name}\"]"),
            };
        }
        for (parent, child) in self.edges() {
            let (parent, child) = (parent.id.short(), child.id.short());
            let _ = match format {
                GraphFormat::Dot => writeln!(text, "  \"{parent}\" -> \"{child}\";"),
                GraphFormat::Mermaid => writeln!(text, "  j{parent} --> j{child}"),
            };
        }
        text.push_str(close);
        text
    }
}
