//! sqllogictest files run through the HTTP API: our own, and any that somebody points at.
//!
//! `DBFORGE_SLT_FILES='a.slt b.slt'` (`make slt FILES='a.slt b.slt'`) names others.
use crate::sql_logic_files::{Tally, run_file};
use std::path::{Path, PathBuf};

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
    let files = files();
    assert!(!files.is_empty(), "no file was named");
    let mut failures = Vec::new();
    for file in &files {
        match run_file(file).await {
            Ok(Tally { records, skipped }) => {
                assert!(records > 0, "{} has no record", file.display());
                eprintln!(
                    "{}: {records} records hold, {skipped} are for others",
                    file.display()
                );
            }
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The runner can fail: a wrong number of values, a wrong value, a wrong hash, a wrong error.
#[tokio::test]
async fn a_record_that_does_not_hold_is_told_with_its_place() {
    let folder = tempfile::TempDir::new().unwrap();
    for (number, record) in [
        "query I\nSELECT 1\n----\n2\n",
        "query II\nSELECT 1\n----\n1\n",
        "query I rowsort\nSELECT 1 UNION SELECT 2\n----\n2 values hashing to 00000000000000000000000000000000\n",
        "statement ok\nSELECT nothing\n",
        "statement error\nSELECT 1\n",
        "query I nosort same\nSELECT 1\n----\n1\n\nquery I nosort same\nSELECT 2\n----\n2\n",
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("wrong{number}.slt"));
        std::fs::write(&file, record).unwrap();
        let failure = run_file(&file).await.unwrap_err();
        assert!(failure.contains(&format!("wrong{number}.slt:")), "{record}: {failure}");
    }
}
