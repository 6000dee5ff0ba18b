//! The columns of a file that are read.

/// Which fields of a file with columns are read.
#[derive(Clone, Copy)]
pub(in super::super) enum Columns<'a> {
    /// These, all of which must exist.
    All(&'a [&'a str]),
    /// Those of these that exist.
    Existing(&'a [&'a str]),
    /// Every one.
    Every,
}

impl Columns<'_> {
    /// Whether a column of this name is read. `data.prompt` reads the column `data`.
    pub(super) fn wants(self, name: &str) -> bool {
        match self {
            Columns::Every => true,
            Columns::All(fields) | Columns::Existing(fields) => fields
                .iter()
                .any(|field| *field == name || field.split_once('.').is_some_and(|(column, _)| column == name)),
        }
    }

    /// The first field that must exist and is not among these names.
    pub(super) fn missing<'n>(self, mut names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
        let Columns::All(fields) = self else { return None };
        let found = |field: &&&str| {
            let column = field.split_once('.').map_or(**field, |(column, _)| column);
            names.clone().any(|name| name == **field || name == column)
        };
        let missing = fields.iter().find(|field| !found(field))?;
        let known = listed(names.by_ref());
        Some(format!("'{missing}'; there are {known}"))
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
