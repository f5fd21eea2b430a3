//! Imports that end early: cancelled, cut off by a crash, beside others.
use super::{left, rows, run, send, shop};
use crate::support::http::HttpForge;
use dbforge::data::imports::{ImportCall, TableImportError, discard, finish, import_rows};
use dbforge::data::{DataPlane, Target};
use dbforge::domain::import::{RowsForm, TableImport, WriteMode};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

fn table_import(table: &str, is_atomic: bool) -> TableImport {
    TableImport {
        table: table.to_owned(),
        form: RowsForm::Csv,
        creates: true,
        mode: WriteMode::Insert,
        on_conflict: Vec::new(),
        finds_types: true,
        null: None,
        delimiter: None,
        has_header: true,
        skips_errors: false,
        max_errors: 0,
        is_atomic,
        escapes_formulas: false,
    }
}

const ROWS: u64 = 3_000;

/// Imports until `stop` rows are told of, as if the process had ended there.
async fn cut_off(
    (plane, database): (&DataPlane, &Target),
    import: &TableImport,
    file: &Path,
    stop: u64,
) -> Result<u64, TableImportError> {
    let interrupted = CancellationToken::new();
    let call = ImportCall {
        plane,
        database,
        import,
        file,
        unpacked_bytes: 1 << 30,
        tag: "crash",
        interrupted: &interrupted,
    };
    let seen = AtomicU64::new(0);
    let progress = |_: u64, rows: u64| {
        seen.store(rows, Ordering::Relaxed);
        if rows >= stop {
            interrupted.cancel();
        }
    };
    import_rows(call, progress)
        .await
        .map(|summary| summary.written)
}

async fn place(forge: &HttpForge) -> (DataPlane, Target) {
    let data = forge.job_context.data.clone();
    let current = forge.control.current();
    let database = current.state.find_database("shop").unwrap();
    (DataPlane::clone(&data), data.target(database).unwrap())
}

#[tokio::test]
async fn an_import_that_was_cut_off_goes_on_and_writes_no_row_twice() {
    let forge = shop().await;
    let (plane, target) = place(&forge).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let text: String = (1..=ROWS).map(|n| format!("{n},\"row\n{n}\"\n")).collect();
    std::fs::write(&file, format!("id,text\n{text}")).unwrap();
    run(&forge, "CREATE TABLE there (id INTEGER, text TEXT)").await;
    for (table, is_atomic) in [("there", false), ("there", true), ("fresh", true)] {
        let import = table_import(table, is_atomic);
        let place = (&plane, &target);
        for stop in [1, 1_000, 2_000] {
            let ended = cut_off(place, &import, &file, stop).await;
            assert!(
                matches!(ended, Err(TableImportError::Interrupted)),
                "{table}: {ended:?}"
            );
        }
        let seen = rows(
            &forge,
            &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{table}'"),
        )
        .await;
        assert_eq!(
            seen,
            json!([[u64::from(table == "there")]]),
            "{table} is not seen before it is whole"
        );
        let written = cut_off(place, &import, &file, u64::MAX).await.unwrap();
        assert_eq!(written, ROWS);
        // The process may end before its outcome is in the log: it is told again.
        assert_eq!(
            cut_off(place, &import, &file, u64::MAX).await.unwrap(),
            ROWS
        );
        let never = CancellationToken::new();
        let call = ImportCall {
            plane: &plane,
            database: &target,
            import: &import,
            file: &file,
            unpacked_bytes: 1,
            tag: "crash",
            interrupted: &never,
        };
        finish(call).await.unwrap();
        finish(call).await.unwrap();
        let sql = format!("SELECT count(*), count(DISTINCT id), sum(id), max(text) FROM {table}");
        let sum = ROWS * (ROWS + 1) / 2;
        assert_eq!(
            rows(&forge, &sql).await,
            json!([[ROWS, ROWS, sum, "row\n999"]]),
            "{table}"
        );
        assert_eq!(left(&forge).await, json!([]));
        run(&forge, &format!("DELETE FROM {table}")).await;
    }
}

#[tokio::test]
async fn what_an_import_has_begun_is_taken_back_with_it() {
    let forge = shop().await;
    let (plane, target) = place(&forge).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let text: String = (1..=ROWS).map(|n| format!("{n}\n")).collect();
    std::fs::write(&file, format!("id\n{text}")).unwrap();
    run(&forge, "CREATE TABLE there (id INTEGER)").await;
    for (table, stop) in [("there", 600), ("fresh", 600), ("fresh", u64::MAX)] {
        let import = table_import(table, true);
        let _ = cut_off((&plane, &target), &import, &file, stop).await;
        let never = CancellationToken::new();
        let call = ImportCall {
            plane: &plane,
            database: &target,
            import: &import,
            file: &file,
            unpacked_bytes: 1,
            tag: "crash",
            interrupted: &never,
        };
        discard(call).await.unwrap();
        discard(call).await.unwrap();
        let tables = rows(&forge, "SELECT name FROM sqlite_schema").await;
        assert_eq!(tables, json!([["there"]]));
        assert_eq!(
            rows(&forge, "SELECT count(*) FROM there").await,
            json!([[0]])
        );
    }
}

#[tokio::test]
async fn an_import_that_waits_is_cancelled_and_its_file_goes() {
    let forge = shop().await;
    let answer = send(&forge, "t/import", "text/csv", b"a\n1\n").await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    forge.post(&format!("/v1/jobs/{id}/cancel"), "").await;
    forge.settle().await;
    let job = forge.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(job["state"], "cancelled");
    assert_eq!(
        rows(&forge, "SELECT name FROM sqlite_schema").await,
        json!([])
    );
    dbforge::jobs::uploads::remove_ended(&forge.control, &forge.job_context.data).await;
    assert_eq!(forge.folders("uploads"), [""; 0]);
}
