//! The schema page: what a new database has, with the comments of the migrations that made it.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::StoreError;
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
    /// SQL type, and `NULL` where it may be missing; means nothing for the column of a view.
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
///
/// # Errors
/// SQLite, which makes a database in memory to describe it.
pub async fn schema_markdown() -> Result<String, StoreError> {
    let relations = relations().await?;
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
    Ok(page)
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

/// The tables and views of a database with all migrations, in the order in which they were first made.
///
/// SQLite tells what there is. It does not tell why: a column that was added later has no comment in its schema, so
/// comments are read from the migrations.
async fn relations() -> Result<Vec<Relation>, StoreError> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    MIGRATOR
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| StoreError::Database(sqlx::Error::Migrate(Box::new(error))))?;
    let columns = columns(&mut connection).await?;
    connection.close().await?;
    let comments =
        MIGRATOR.iter().fold(Comments::default(), |comments, migration| comments.and(migration.sql.as_str()));
    let mut relations: Vec<Relation> = vec![];
    for (name, is_view, column, kind, required) in columns {
        if relations.last().is_none_or(|relation| relation.name != name) {
            let comment = comments.of_relations.get(&name).cloned().unwrap_or_default();
            relations.push(Relation { name: name.clone(), is_view, comment, columns: vec![] });
        }
        let comment = comments.of_columns.get(&(name, column.clone())).cloned().unwrap_or_default();
        let kind = if required { kind } else { format!("{kind} or NULL") };
        if let Some(relation) = relations.last_mut() {
            relation.columns.push(Column { name: column, kind, comment });
        }
    }
    let place = |relation: &Relation| comments.order.iter().position(|name| *name == relation.name);
    relations.sort_by_key(place);
    Ok(relations)
}

/// Relation, whether it is a view, column, SQL type, and whether it is never NULL; in order of relation and column.
type DescribedColumn = (String, bool, String, String, bool);

/// Every column of every table and view, as SQLite has them.
async fn columns(connection: &mut SqliteConnection) -> Result<Vec<DescribedColumn>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT s.name, s.type = 'view', c.name, c.type, c.\"notnull\"
         FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
         WHERE s.type IN ('table', 'view') AND s.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY s.name, c.cid",
    )
    .fetch_all(connection)
    .await?)
}

/// The comments of tables, views and columns, each that of the newest migration that defines it.
#[derive(Default)]
struct Comments {
    /// In the order in which they were first made.
    order: Vec<String>,
    of_relations: BTreeMap<String, String>,
    of_columns: BTreeMap<(String, String), String>,
}

impl Comments {
    /// With those of a later migration; it is written one column a line, each with its comment, and has the comment of
    /// a table or view in the lines above it.
    fn and(mut self, sql: &str) -> Self {
        let (mut above, mut inside) = (vec![], None);
        for line in sql.lines() {
            if let Some(text) = line.strip_prefix("-- ") {
                above.push(text);
                continue;
            }
            let (code, comment) = line.split_once(" -- ").unwrap_or((line, ""));
            if let Some(name) = created(line) {
                inside = Some(name);
                self.of_relations.insert(name.to_owned(), above.join(" "));
                self.of_columns.retain(|(relation, _), _| relation != name);
                if !self.order.iter().any(|known| known == name) {
                    self.order.push(name.to_owned());
                }
            } else if let Some((name, column)) = added(code) {
                self.of_columns.insert((name.to_owned(), column.to_owned()), cell(comment));
            } else if let (Some(name), Some(column), false) = (inside, defined(code), comment.is_empty()) {
                self.of_columns.insert((name.to_owned(), column.to_owned()), cell(comment));
            }
            above.clear();
            if code.trim_end().ends_with(';') {
                inside = None;
            }
        }
        self
    }
}

/// A comment within a table of Markdown.
fn cell(comment: &str) -> String {
    comment.replace('|', "\\|")
}

/// The table or view that the statement that begins with this line makes.
fn created(line: &str) -> Option<&str> {
    line.strip_prefix("CREATE TABLE ").or_else(|| line.strip_prefix("CREATE VIEW "))?.split(' ').next()
}

/// The table and the column that a statement adds to it.
fn added(code: &str) -> Option<(&str, &str)> {
    let (table, rest) = code.strip_prefix("ALTER TABLE ")?.split_once(" ADD COLUMN ")?;
    Some((table, rest.split(' ').next()?))
}

/// The column that a line of a statement defines: the last word of `... AS name` in a view, the first of a table.
fn defined(code: &str) -> Option<&str> {
    let code = code.trim().trim_end_matches(',');
    match code.rsplit_once(" AS ") {
        Some((_, name)) => Some(name),
        None => code.split(' ').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// `GRID_UPDATE_DOCS=1` writes the page instead.
    #[tokio::test]
    async fn the_schema_page_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema.md");
        let page = schema_markdown().await.unwrap();
        if std::env::var_os("GRID_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(page == written, "docs/schema.md is old: run GRID_UPDATE_DOCS=1 cargo test schema_page");
    }

    /// Every relation and every column of a database that was opened stands on the page, in order, with a comment.
    #[tokio::test]
    async fn the_schema_page_describes_the_real_database() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        let real = columns(&mut store.pool.acquire().await.unwrap()).await.unwrap();
        let mut described = vec![];
        for Relation { name, comment, columns, .. } in relations().await.unwrap() {
            assert!(!comment.is_empty(), "{name} has no comment");
            for column in columns {
                assert!(!column.comment.is_empty(), "{name}.{} has no comment", column.name);
                described.push((name.clone(), column.name));
            }
        }
        described.sort_by(|a, b| a.0.cmp(&b.0));
        let real: Vec<(String, String)> = real.into_iter().map(|(name, _, column, ..)| (name, column)).collect();
        assert_eq!(described, real);
    }

    #[test]
    fn the_newest_comment_counts() {
        let first = "-- Old.\nCREATE VIEW v AS\nSELECT\n    a AS x, -- old x\n    b AS y -- old y\nFROM t;\n\
                     -- T.\nCREATE TABLE t (\n    a TEXT -- a of t\n) STRICT;\nCREATE INDEX i ON t (a);\n";
        let second = "ALTER TABLE t ADD COLUMN b TEXT; -- b | c\n-- Of an index.\nCREATE INDEX j ON t (b);\n\n\
                      DROP VIEW v;\n-- New,\n-- newer.\nCREATE VIEW v AS\nSELECT\n    a AS x -- new x\nFROM t;\n";
        let comments = Comments::default().and(first).and(second);
        assert_eq!(comments.order, ["v", "t"]);
        let of_relations: Vec<_> = comments.of_relations.values().map(String::as_str).collect();
        assert_eq!(of_relations, ["T.", "New, newer."]);
        let of_columns = comments.of_columns.iter();
        let of_columns = of_columns.map(|((relation, column), comment)| format!("{relation}.{column}: {comment}"));
        assert_eq!(of_columns.collect::<Vec<_>>(), ["t.a: a of t", "t.b: b \\| c", "v.x: new x"]);
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
