//! The keys of a model of `models:` that was trained elsewhere.

use std::path::Path;

use crate::domain::{DataEntry, ForeignModel, ImportedModel, Milestone, RemoteLocation, Source};

use super::fields::{self, Fault, Fields};
use super::problem::{Log, Mark};
use super::scalars::{self, count};
use super::tree::{Key, Node, Value};
use super::{data, remote, training};

/// Decodes the keys of an imported model, with the data entries of the model and of its revisions.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `hf:` | a folder, or a repository on the Hub, `ORGANIZATION/NAME` | required |
/// | `revision:` | branch, tag or commit, which the lock file pins; of a local folder a folder in it | `main` |
/// | `revisions:` | earlier revisions at which the model is scored: names such as `chck_10M`, or `{name: words}` | none |
/// | `milestones:` | instead of `revisions`: those named `chck_NM` of these milestones, as in `pretrain` | none |
/// | `licence:` | the licence | none |
pub(super) fn imported(name: &str, fields: &mut Fields, root: &Path) -> Option<(ImportedModel, Vec<DataEntry>)> {
    let place = fields.take("hf").map(|node| node.mark);
    let path = fields.required("hf", "the folder of a model, or its repository on the Hub", scalars::path);
    let revision = fields.take("revision").map(|node| node.mark);
    let main = fields.get("revision", None, |value| remote::revision(value).map(Some));
    let listed = fields.take("revisions");
    let milestones = fields.take("milestones");
    let licence = data::licence(fields);
    let log = fields.log;
    let earlier = match (listed, milestones) {
        (None, None) => Some((None, vec![])),
        (Some(node), None) => revisions(node, log).map(|earlier| (Some(node.mark), earlier)),
        (None, Some(node)) => named_by_milestones(node, log).map(|earlier| (Some(node.mark), earlier)),
        (Some(_), Some(node)) => {
            let reason = "both 'revisions' and 'milestones' are given";
            log.add(node.mark, reason, Some("remove one of them".into()));
            None
        }
    };
    let (path, (of_earlier, earlier)) = (path?, earlier?);
    let folder = root.join(&path);
    let written = path.display().to_string();
    if let (Some(mark), true) = (revision.or(of_earlier), has_revision(&written)) {
        let reason = format!("'{written}' already has a revision");
        let hint = "write `hf: ORGANIZATION/NAME` without it, and `revision: NAME`";
        log.add(mark, reason, Some(hint.into()));
        return None;
    }
    let model = |revision: Option<String>| ForeignModel {
        name: revision.as_ref().map_or(written.clone(), |revision| format!("{written}@{revision}")),
        folder: folder.clone(),
        revision,
    };
    let entry = |name: String, mark: Mark, model: &ForeignModel| DataEntry {
        name,
        place: log.place(mark),
        source: Source::Model(model.clone()),
        licence: licence.clone(),
    };
    let imported = ImportedModel {
        model: model(main),
        revisions: earlier.into_iter().map(|(milestone, revision)| (milestone, model(Some(revision)))).collect(),
    };
    let mut entries = vec![entry(format!("models.{name}"), place?, &imported.model)];
    for (milestone, model) in &imported.revisions {
        let label = format!("models.{name} at {}", milestone.label());
        entries.extend(of_earlier.map(|mark| entry(label, mark, model)));
    }
    Some((imported, entries))
}

/// Whether a name is that of a repository with its revision.
fn has_revision(name: &str) -> bool {
    name.contains('@') && RemoteLocation::model(name).is_some()
}

/// Decodes `revisions:`, in ascending order of the text that they have seen.
fn revisions(node: &Node, log: &Log) -> Option<Vec<(Milestone, String)>> {
    let mut all: Vec<(Milestone, String)> = match &node.value {
        Value::Map(entries) => {
            let one = |(key, words): &(Key, Node)| {
                let amount = |value: &Value| count(1..=i64::MAX as u64)(value).map(Milestone::Words);
                let milestone = fields::scalar(&format!("'{}'", key.text), words, log, amount);
                let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
                let name = fields::scalar("the name of a revision", &name, log, remote::revision);
                milestone.zip(name)
            };
            let decoded: Vec<Option<(Milestone, String)>> = entries.iter().map(one).collect();
            decoded.into_iter().collect::<Option<_>>()?
        }
        _ => fields::list("revisions", node, log, |value| {
            let name = remote::revision(value)?;
            let hint = "such as chck_10M, after 10 million words; for other names write `revisions: {NAME: WORDS}`";
            let milestone = Milestone::of_revision(&name)
                .ok_or_else(|| Fault::expected("a name that gives the words seen").or_hint(hint))?;
            Ok((milestone, name))
        })?,
    };
    if all.is_empty() {
        log.add(node.mark, "'revisions' is empty", Some("such as `revisions: [chck_1M, chck_2M]`".into()));
        return None;
    }
    all.sort();
    if let Some([(milestone, first), (_, second)]) = all.array_windows().find(|[one, other]| one.0 == other.0) {
        let reason = format!("the revisions '{first}' and '{second}' both have seen {}", milestone.label());
        log.add(node.mark, reason, Some("remove one of them".into()));
        return None;
    }
    Some(all)
}

/// Decodes `milestones:`, whose revisions are named as in a submission to BabyLM.
fn named_by_milestones(node: &Node, log: &Log) -> Option<Vec<(Milestone, String)>> {
    let milestones = training::milestones(node, log)?;
    let named = milestones.into_iter().map(|milestone| {
        let revision = milestone.revision();
        if revision.is_none() {
            let reason = format!("no revision is named after {}", milestone.label());
            let hint = "names count millions of words, such as chck_2M; write `revisions: {NAME: WORDS}` for others";
            log.add(node.mark, reason, Some(hint.into()));
        }
        Some((milestone, revision?))
    });
    named.collect()
}
