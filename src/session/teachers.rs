//! Whether the teachers of imported models have their tokens, as far as the files are on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::failure::{Exit, Failure};
use crate::data::Tokenizer;
use crate::domain::{BaseModel, Grid, LocatedSource, Source};

/// Refuses an imported teacher with other tokens than its imported student. What is not known here is checked when the
/// training starts.
pub(super) fn check(grid: &Grid, located: &BTreeMap<Source, LocatedSource>) -> Result<(), Failure> {
    let mut compared: BTreeSet<[&Path; 2]> = BTreeSet::new();
    for cell in &grid.cells {
        for teacher in cell.recipe.stages.iter().flat_map(|stage| &stage.teachers) {
            let folders = [&cell.recipe.base, &teacher.base].map(|base| folder(base, located));
            let [Some(own), Some(other)] = folders else { continue };
            if own == other || !compared.insert([own, other]) {
                continue;
            }
            // A tokenizer that cannot be read is reported by the job that imports it.
            let (Ok(student), Ok(tokenizer)) = (Tokenizer::load(own), Tokenizer::load(other)) else { continue };
            if let Some(difference) = student.difference(&tokenizer) {
                let [first, second] = &difference.tokens;
                let message = format!(
                    "grid: the teacher {} has another tokenizer than its student {}: the token {} is {second}, not {first}\n  \
                     help: use a teacher with the tokenizer of the student",
                    teacher.name, cell.key.model, difference.id
                );
                return Err(Failure::text(Exit::Usage, message));
            }
        }
    }
    Ok(())
}

/// The folder of an imported model that is on this machine.
fn folder<'a>(base: &BaseModel, located: &'a BTreeMap<Source, LocatedSource>) -> Option<&'a Path> {
    let BaseModel::Imported(base) = base else { return None };
    located.get(&Source::Model(base.model.clone()))?.files.first()?.path.parent()
}
