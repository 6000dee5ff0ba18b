//! Tests of opening, locking and moving a database.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_folder_of_runs_can_be_moved() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let job = world.evals[0].id();
    let store = Store::open(&folder.path().join("here"), None).await.unwrap();
    world.begin(&store, "x", &both()).await;
    store.record_all(&Reporter { store: &store, job, token: "t", attempt: "a" }.success(1.0), 1).await.unwrap();
    store.close().await;
    std::fs::rename(folder.path().join("here"), folder.path().join("there")).unwrap();
    let store = Store::open_existing(&folder.path().join("there"), None).await.unwrap();
    let history = store.history(&[job]).await.unwrap().remove(&job).unwrap();
    assert_eq!(
        history.attempt,
        Some(folder.path().join("there/x").join(format!("job-{}", &job.to_string()[..16])).join("a"))
    );
}

#[tokio::test]
async fn a_missing_a_newer_a_foreign_and_a_locked_database() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Store::open_existing(folder.path(), None).await.unwrap_err();
    assert!(matches!(absent, StoreError::Absent { .. }));

    let store = Store::open(folder.path(), None).await.unwrap();
    let writing = store.write().await.unwrap();
    let other = Store::open_with(folder.path(), None, Duration::from_millis(20)).await.unwrap();
    let error = other.begin(&experiment("x"), &[], &[], &invocation()).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    // Readers and writers do not block each other.
    assert_eq!(other.experiments().await.unwrap(), []);
    drop(writing);

    let version = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (9999, '', 1, x'00', 0)";
    sqlx::query(version).execute(&store.pool).await.unwrap();
    let error = Store::open(folder.path(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 9999").execute(&store.pool).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&store.pool).await.unwrap();
    let error = Store::open_existing(folder.path(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { version: 1, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_can_create_a_database_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = tokio::join!(Store::open(folder.path(), None), Store::open(folder.path(), None));
    let (one, two) = (one.unwrap(), two.unwrap());
    let world = World::new();
    let cells = both();
    let (a, b) = tokio::join!(world.begin(&one, "x", &cells), world.begin(&two, "y", &cells));
    assert_ne!(a, b);
    assert_eq!(one.experiments().await.unwrap().len(), 2);
    assert_eq!(two.job_rows("x").await.unwrap().len(), 3);
}

/// As in an archive, or in a folder of another user.
#[tokio::test]
async fn a_database_that_cannot_be_written_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), None).await.unwrap();
    World::new().begin(&store, "x", &both()).await;
    store.close().await;
    let reader = Store::open_read_only(folder.path(), None).await.unwrap();
    assert_eq!(reader.experiments().await.unwrap().len(), 1);
    let error = reader.begin(&experiment("y"), &[], &[], &invocation()).await.unwrap_err();
    assert!(error.is_unwritable(), "{error}");
}
