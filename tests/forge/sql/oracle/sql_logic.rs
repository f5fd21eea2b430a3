//! sqllogictest files run through the HTTP API: our own, and any that somebody points at.
//!
//! `DBFORGE_SLT_FILES='a.slt b.slt'` (`make slt FILES='a.slt b.slt'`) names others.
use super::sql_logic_files::{Tally, run_file};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Files that are run.
fn files() -> Vec<PathBuf> {
    if let Some(named) = named_files() {
        return named;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/slt");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    files
}

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of this test, not of the program"
)]
fn named_files() -> Option<Vec<PathBuf>> {
    let named = std::env::var("DBFORGE_SLT_FILES").ok()?;
    Some(named.split_whitespace().map(PathBuf::from).collect())
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "who points at a file wants to hear how much of it was run"
)]
async fn every_record_of_every_file_holds() {
    let ours = named_files().is_none();
    let files = files();
    assert!(!files.is_empty(), "no file was named");
    let mut failures = Vec::new();
    for file in &files {
        let name = file.display();
        match run_file(file).await {
            Ok(tally) => {
                assert!(tally.records > 0, "{name} has no record");
                let Tally {
                    records,
                    skipped,
                    contradicted,
                    refused,
                } = tally;
                eprintln!(
                    "{name}: {records} records run, {skipped} are for other engines; \
                     SQLite itself contradicts {}, and {} hold a statement that is not allowed here",
                    contradicted.len(),
                    refused.len()
                );
                for failure in contradicted.iter().chain(&refused) {
                    eprintln!("{failure}");
                }
                if ours {
                    failures.extend(contradicted);
                    failures.extend(refused);
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn written(folder: &TempDir, name: &str, record: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, record).unwrap();
    file
}

/// A wrong number of values, a wrong value, a wrong hash, a wrong error, a wrong label.
#[tokio::test]
async fn a_record_that_does_not_hold_is_told_with_its_place() {
    let folder = TempDir::new().unwrap();
    for record in [
        "query I\nSELECT 1\n----\n2\n",
        "query II\nSELECT 1\n----\n1\n",
        "query I rowsort\nSELECT 1 UNION SELECT 2\n----\n2 values hashing to 00000000000000000000000000000000\n",
        "statement ok\nSELECT nothing\n",
        "statement error\nSELECT 1\n",
        "query I nosort same\nSELECT 1\n----\n1\n\nquery I nosort same\nSELECT 2\n----\n2\n",
    ] {
        let file = written(&folder, "wrong.slt", record);
        let tally = run_file(&file).await.unwrap();
        assert_eq!(tally.contradicted.len(), 1, "{record}");
        let told = &tally.contradicted[0];
        assert!(told.contains("wrong.slt:"), "{record}: {told}");
    }
}

#[tokio::test]
async fn what_holds_for_sqlite_and_not_here_is_a_failure() {
    let folder = TempDir::new().unwrap();
    // A wanted difference: no result has so many columns here.
    let long = format!("query I\nSELECT {}1\n----\n1\n", "1, ".repeat(1_000));
    let text = format!("{long}\n{long}");
    let failure = run_file(&written(&folder, "long.slt", &text))
        .await
        .unwrap_err();
    for place in ["long.slt:1", "long.slt:6"] {
        assert!(failure.contains(place), "{place}: {failure}");
    }
}

#[tokio::test]
async fn a_statement_that_nobody_may_run_here_is_told_and_the_file_goes_on_without_it() {
    let folder = TempDir::new().unwrap();
    let text = "statement ok\nCREATE TEMP VIEW v AS SELECT 1\n\n\
                statement error\nSELECT * FROM v\n\nquery I\nSELECT 2\n----\n2\n";
    let tally = run_file(&written(&folder, "temp.slt", text)).await.unwrap();
    assert_eq!(tally.refused.len(), 1, "{tally:?}");
    assert!(tally.refused[0].contains("temp.slt:1"), "{tally:?}");
    assert_eq!((tally.records, tally.contradicted.len()), (3, 0));
}

#[tokio::test]
async fn a_condition_of_a_halt_is_looked_at() {
    let folder = TempDir::new().unwrap();
    for (condition, records) in [
        ("skipif sqlite", 2),
        ("onlyif sqlite # here", 1),
        ("skipif mysql", 1),
    ] {
        let text =
            format!("statement ok\nSELECT 1\n\n{condition}\nhalt\n\nquery I\nSELECT 2\n----\n2\n");
        let tally = run_file(&written(&folder, "halt.slt", &text))
            .await
            .unwrap();
        assert_eq!((tally.records, tally.skipped), (records, 0), "{condition}");
    }
}
