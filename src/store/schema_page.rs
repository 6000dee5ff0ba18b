//! The page `docs/schema.md`: the layout of an opened database, with a description of every column.

use std::collections::BTreeMap;

use sqlx::Connection;

use super::descriptions::{RELATIONS, Relation};
use super::error::StoreError;
use super::layout::{self, Column};

/// An example query and the question that it answers.
struct Example {
    question: &'static str,
    query: &'static str,
}

const EXAMPLES: [Example; 5] = [
    Example {
        question: "The mean and the range over seeds",
        query: "SELECT model, dataset, curriculum, task, count(*) AS seeds, avg(value) AS mean, min(value), max(value)
FROM v_scores
WHERE experiment = 'quickstart' AND subtask IS NULL AND metric = 'accuracy'
GROUP BY model, dataset, curriculum, task;",
    },
    Example {
        question: "Does tuning help? The difference from the pretrained model, for each seed",
        query: "SELECT model, seed, dataset_b AS dataset, curriculum_b AS curriculum, task, difference
FROM v_compare
WHERE experiment = 'quickstart' AND curriculum_a = 'pretrained';",
    },
    Example {
        question: "The items that a model answers correctly only after tuning",
        query: "SELECT tuned.cell, tuned.task, tuned.subtask, tuned.item
FROM v_items AS base
JOIN v_items AS tuned USING (experiment, model, seed, suite, mode, task, subtask, item)
WHERE base.curriculum = 'pretrained' AND tuned.curriculum <> 'pretrained'
  AND base.correct = 0 AND tuned.correct = 1
LIMIT 20;",
    },
    Example {
        question: "The jobs that failed, and why",
        query: "SELECT experiment, label, attempts, message FROM v_jobs WHERE state = 'failed';",
    },
    Example {
        question: "Learning curves",
        query: "SELECT job.label, metric.step, metric.value
FROM metric JOIN job ON job.id = metric.job
WHERE metric.name = 'validation_loss'
ORDER BY job.label, metric.step;",
    },
];

/// The page `docs/schema.md`: views, tables, columns and example queries.
///
/// # Errors
/// Those of SQLite, which creates a database in memory to describe it.
pub async fn schema_markdown() -> Result<String, StoreError> {
    let mut connection = layout::in_memory().await?;
    let columns = layout::columns(&mut connection).await?;
    connection.close().await?;
    let by_relation: BTreeMap<&str, &[Column]> = columns
        .chunk_by(|one, next| one.relation == next.relation)
        .map(|columns| (columns[0].relation.as_str(), columns))
        .collect();
    let mut page = format!(
        "# The database\n\n\
         `runs/runs.db` is a SQLite database that you can query yourself: `sqlite3 -readonly runs/runs.db`. This page \
         describes layout {}, the number of the newest file in `migrations/`. A change of layout is a new file in that \
         folder; grid applies it when it opens the database.\n\n\
         Prefer the views (`v_...`), whose columns are kept stable. Times are in milliseconds since 1970 UTC unless the \
         description of a column says otherwise. Folders inside `runs/` are stored relative to it, so that the folder \
         can be moved.\n\n\
         This page is generated from the newest layout and from `src/store/descriptions.rs`. After a change, \
         `GRID_UPDATE_DOCS=1 cargo test schema_page` regenerates it.\n\n",
        layout::newest()
    );
    for (title, views) in [("Views", true), ("Tables", false)] {
        page.push_str(&format!("## {title}\n\n"));
        for relation in RELATIONS {
            let columns = by_relation.get(relation.name).copied().unwrap_or_default();
            if columns.first().is_some_and(|column| column.is_view == views) {
                page.push_str(&section(relation, columns, views));
            }
        }
    }
    page.push_str("## Example queries\n");
    for Example { question, query } in EXAMPLES {
        page.push_str(&format!("\n{question}:\n\n```sql\n{query}\n```\n"));
    }
    Ok(page)
}

/// The section of one table or view.
fn section(relation: &Relation, columns: &[Column], is_view: bool) -> String {
    let mut text = format!("### {}\n\n{}\n\n", relation.name, relation.description);
    text.push_str(if is_view {
        "| column | description |\n|---|---|\n"
    } else {
        "| column | type | description |\n|---|---|---|\n"
    });
    for column in columns {
        let sql_type = match (is_view, column.not_null) {
            (true, _) => String::new(),
            (false, true) => format!("{} | ", column.sql_type),
            (false, false) => format!("{} or NULL | ", column.sql_type),
        };
        let description = relation.description_of(&column.name).unwrap_or_default().replace('|', "\\|");
        text.push_str(&format!("| `{}` | {sql_type}{description} |\n", column.name));
    }
    text.push('\n');
    text
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
        assert!(page == written, "docs/schema.md is out of date: run `GRID_UPDATE_DOCS=1 cargo test schema_page`");
    }

    #[tokio::test]
    async fn every_column_of_an_opened_database_is_described() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        let columns = layout::columns(&mut store.pool.acquire().await.unwrap()).await.unwrap();
        let columns: Vec<String> =
            columns.into_iter().map(|column| format!("{}.{}", column.relation, column.name)).collect();
        let described: Vec<String> = RELATIONS
            .iter()
            .flat_map(|relation| relation.columns.iter().map(|(name, _)| format!("{}.{name}", relation.name)))
            .collect();
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|name| !those.contains(name)).cloned().collect()
        };
        let file = "src/store/descriptions.rs";
        assert_eq!(without(&columns, &described), [""; 0], "columns without a description in {file}");
        assert_eq!(without(&described, &columns), [""; 0], "{file} describes columns that do not exist");
    }

    #[tokio::test]
    async fn the_example_queries_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        for Example { question, query } in EXAMPLES {
            sqlx::query(query).fetch_all(&store.pool).await.unwrap_or_else(|error| panic!("{question}: {error}"));
        }
    }
}
