//! The schema page, from the migrations themselves.

use super::open::MIGRATOR;

/// A table or a view.
struct Relation {
    name: String,
    is_view: bool,
    comment: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    /// SQL type and `NULL` where it may be missing; empty for the column of a view.
    kind: String,
    comment: String,
}

/// Questions people ask, and the queries that answer them.
pub(super) const EXAMPLES: [(&str, &str); 5] = [
    (
        "Mean and range over seeds",
        "SELECT model, dataset, curriculum, task, count(*) AS seeds, avg(value) AS mean, min(value), max(value)
FROM v_scores
WHERE experiment = 'quickstart' AND subtask IS NULL AND metric = 'accuracy'
GROUP BY model, dataset, curriculum, task;",
    ),
    (
        "Does tuning help? Differences from the pretrained model, seed by seed",
        "SELECT model, seed, dataset_b AS dataset, curriculum_b AS curriculum, task, difference
FROM v_compare
WHERE experiment = 'quickstart' AND curriculum_a = 'pretrained';",
    ),
    (
        "Items that a model gets right only after tuning",
        "SELECT tuned.cell, tuned.task, tuned.subtask, tuned.item
FROM v_items AS base
JOIN v_items AS tuned USING (experiment, model, seed, suite, mode, task, subtask, item)
WHERE base.curriculum = 'pretrained' AND tuned.curriculum <> 'pretrained'
  AND base.correct = 0 AND tuned.correct = 1
LIMIT 20;",
    ),
    ("What failed, and why", "SELECT experiment, label, attempts, message FROM v_jobs WHERE state = 'failed';"),
    (
        "A learning curve",
        "SELECT job.label, metric.step, metric.value
FROM metric JOIN job ON job.id = metric.job
WHERE metric.name = 'validation_loss'
ORDER BY job.label, metric.step;",
    ),
];

/// The page `docs/schema.md`: tables, views, columns and example queries.
pub fn schema_markdown() -> String {
    let relations = MIGRATOR.iter().flat_map(|migration| relations(migration.sql.as_str())).collect::<Vec<_>>();
    let version = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let mut page = format!(
        "# The database\n\n\
         `runs/runs.db` is a SQLite database, open to everybody: `sqlite3 -readonly runs/runs.db`. This page describes \
         layout {version}, which is that of the newest file in `migrations/`; a change of layout is a new file there, \
         applied when grid opens the database.\n\n\
         Query the views (`v_...`): they keep their columns. Times are milliseconds since 1970 UTC unless a column says \
         otherwise. Folders inside `runs/` are stored relative to it, so that it can be moved.\n\n\
         This page is made from the comments in the migrations; after changing them, \
         `GRID_UPDATE_DOCS=1 cargo test schema_page` writes it again.\n\n"
    );
    for (title, views) in [("Views", true), ("Tables", false)] {
        page.push_str(&format!("## {title}\n\n"));
        for relation in relations.iter().filter(|relation| relation.is_view == views) {
            page.push_str(&section(relation));
        }
    }
    page.push_str("## Example queries\n");
    for (question, query) in EXAMPLES {
        page.push_str(&format!("\n{question}:\n\n```sql\n{query}\n```\n"));
    }
    page
}

fn section(relation: &Relation) -> String {
    let mut text = format!("### {}\n\n{}\n\n", relation.name, relation.comment);
    text.push_str(if relation.is_view {
        "| column | meaning |\n|---|---|\n"
    } else {
        "| column | type | meaning |\n|---|---|---|\n"
    });
    for Column { name, kind, comment } in &relation.columns {
        let kind = if relation.is_view { String::new() } else { format!("{kind} | ") };
        text.push_str(&format!("| `{name}` | {kind}{comment} |\n"));
    }
    text.push('\n');
    text
}

/// The tables and views that a migration makes; it is written one column a line, each with its comment.
fn relations(sql: &str) -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    let mut comment = String::new();
    let mut open = false;
    for line in sql.lines() {
        if let Some(text) = line.strip_prefix("-- ") {
            comment = if comment.is_empty() { text.to_owned() } else { format!("{comment} {text}") };
        } else if let Some((is_view, name)) = created(line) {
            open = true;
            let comment = std::mem::take(&mut comment);
            relations.push(Relation { name: name.to_owned(), is_view, comment, columns: vec![] });
        } else if let (true, Some(relation), Some((code, comment))) =
            (open, relations.last_mut(), line.split_once(" -- "))
        {
            relation.columns.extend(column(relation.is_view, code.trim(), comment));
        }
        open &= !line.ends_with(';');
    }
    relations
}

/// Whether the statement that begins with this line makes a view, and the name of what it makes.
fn created(line: &str) -> Option<(bool, &str)> {
    let table = line.strip_prefix("CREATE TABLE ").map(|rest| (false, rest));
    let (is_view, rest) = table.or_else(|| line.strip_prefix("CREATE VIEW ").map(|rest| (true, rest)))?;
    Some((is_view, rest.split(' ').next()?))
}

fn column(is_view: bool, code: &str, comment: &str) -> Option<Column> {
    let comment = comment.replace('|', "\\|");
    let code = code.trim_end_matches(',');
    if is_view {
        let (_, name) = code.rsplit_once(" AS ")?;
        return Some(Column { name: name.to_owned(), kind: String::new(), comment });
    }
    let mut words = code.split(' ');
    let (name, kind) = (words.next()?, words.next()?);
    let kind = if code.contains("NOT NULL") { kind.to_owned() } else { format!("{kind} or NULL") };
    Some(Column { name: name.to_owned(), kind, comment })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// `GRID_UPDATE_DOCS=1` writes the page instead.
    #[test]
    fn the_schema_page_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema.md");
        if std::env::var_os("GRID_UPDATE_DOCS").is_some() {
            std::fs::write(&path, schema_markdown()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page == schema_markdown(), "docs/schema.md is old: run GRID_UPDATE_DOCS=1 cargo test schema_page");
    }

    /// What the page says is what SQLite has: every relation, every column, in order, each with a comment.
    #[tokio::test]
    async fn the_schema_page_describes_the_real_database() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        let mut described: Vec<(String, String)> = Vec::new();
        for relation in MIGRATOR.iter().flat_map(|migration| relations(migration.sql.as_str())) {
            assert!(!relation.comment.is_empty(), "{} has no comment", relation.name);
            described.extend(relation.columns.iter().map(|column| (relation.name.clone(), column.name.clone())));
        }
        let mut real: Vec<(String, String)> = sqlx::query_as(
            "SELECT s.name, c.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
             WHERE s.type IN ('table', 'view') AND s.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY s.rowid, c.cid",
        )
        .fetch_all(&store.pool)
        .await
        .unwrap();
        let order = |pairs: &mut Vec<(String, String)>| pairs.sort_by(|a, b| a.0.cmp(&b.0));
        order(&mut described);
        order(&mut real);
        assert_eq!(described, real);
    }

    #[tokio::test]
    async fn the_example_queries_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        for (question, query) in EXAMPLES {
            sqlx::query(query).fetch_all(&store.pool).await.unwrap_or_else(|error| panic!("{question}: {error}"));
        }
    }
}
