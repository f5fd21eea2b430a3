//! SQLite files that are loaded: carried as they are, checked, or refused.
use super::{forge, import, refused, result, rows};
use crate::support::sqlite;
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use serde_json::json;
use std::fs;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// The bytes of a database that these statements made.
fn file(sql: &str) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.db");
    let sqlite = sqlite::open(&path);
    sqlite.execute_batch(sql).unwrap();
    drop(sqlite);
    fs::read(path).unwrap()
}

#[tokio::test]
async fn a_file_is_carried_as_it_is() {
    for (pragmas, question, answer) in [
        ("PRAGMA page_size=512", "PRAGMA page_size", json!([[512]])),
        (
            "PRAGMA page_size=65536",
            "PRAGMA page_size",
            json!([[65_536]]),
        ),
        (
            "PRAGMA encoding='UTF-16le'",
            "PRAGMA encoding",
            json!([["UTF-16le"]]),
        ),
        (
            "PRAGMA auto_vacuum=FULL",
            "PRAGMA auto_vacuum",
            json!([[1]]),
        ),
        (
            "PRAGMA journal_mode=WAL",
            "PRAGMA journal_mode",
            json!([["wal"]]),
        ),
        ("PRAGMA user_version=9", "PRAGMA user_version", json!([[9]])),
    ] {
        let forge = forge().await;
        let file = file(&format!(
            "{pragmas};CREATE TABLE t(a);INSERT INTO t VALUES('ä')"
        ));
        let job = import(&forge, "", &file).await;
        assert_eq!(result(&job)["form"], "file");
        assert_eq!(rows(&forge, question).await, answer, "{pragmas}");
        assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["ä"]]));
        rows(&forge, "INSERT INTO t VALUES(1)").await;
    }
}

#[tokio::test]
async fn compressed_files_are_unpacked() {
    let plain = file("CREATE TABLE t(a);INSERT INTO t VALUES(1)");
    let mut packed = [Vec::new(), Vec::new()];
    GzipEncoder::new(plain.as_slice())
        .read_to_end(&mut packed[0])
        .await
        .unwrap();
    ZstdEncoder::new(plain.as_slice())
        .read_to_end(&mut packed[1])
        .await
        .unwrap();
    for packed in packed {
        let forge = forge().await;
        result(&import(&forge, "", &packed).await);
        assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[1]]));
        let forge = super::forge().await;
        let cut = &packed[..packed.len() - 9];
        let job = import(&forge, "", cut).await;
        assert!(refused(&job).contains("cut off") || refused(&job).contains("cannot be read"));
    }
}

#[tokio::test]
async fn damaged_and_strange_files_are_refused_with_what_is_wrong() {
    let forge = forge().await;
    let whole = file("CREATE TABLE t(a);INSERT INTO t SELECT randomblob(500) FROM generate(1)".replace(
        "FROM generate(1)",
        "FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10)",
    ).as_str());
    let damaged = {
        let mut bytes = whole.clone();
        let second = 4096;
        bytes[second..second + 40].fill(0xff);
        bytes
    };
    let encrypted: Vec<u8> = (0..8192_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for (file, word) in [
        (damaged, "damaged"),
        (whole[..whole.len() - 100].to_vec(), "cut off"),
        (whole[..4096].to_vec(), "cut off"),
        (whole[..60].to_vec(), "header"),
        (encrypted, "encrypted"),
        (b"PK\x03\x04zipzipzipzipzip".to_vec(), "ZIP"),
        (b"\xff\xfeS\0E\0L\0E\0C\0T\0 \x001\0".to_vec(), "UTF-16"),
        (Vec::new(), "empty"),
    ] {
        let job = import(&forge, "", &file).await;
        let said = refused(&job);
        assert!(said.contains(word), "{word}: {said}");
        assert!(!said.contains('/'), "a host path: {said}");
    }
    assert_eq!(
        rows(&forge, "SELECT count(*) FROM sqlite_schema").await,
        json!([[0]])
    );
}

#[tokio::test]
async fn what_only_another_program_can_read_is_refused_by_name() {
    let forge = forge().await;
    // As the program that has them would leave them.
    let edited = |from: &str, to: &str| {
        file(&format!(
            "{from};PRAGMA writable_schema=ON;UPDATE sqlite_schema SET sql='{to}' \
             WHERE rowid = (SELECT max(rowid) FROM sqlite_schema WHERE sql IS NOT NULL)"
        ))
    };
    for (file, words) in [
        (
            edited(
                "CREATE TABLE t(a PRIMARY KEY)",
                "CREATE TABLE t(a COLLATE mine PRIMARY KEY)",
            ),
            &["`t`", "mine"][..],
        ),
        (
            edited("CREATE TABLE t(a)", "CREATE TABLE t(a COLLATE mine)"),
            &["`t`", "mine"],
        ),
        (
            edited(
                "CREATE TABLE t(a);CREATE INDEX i ON t(abs(a))",
                "CREATE INDEX i ON t(mine(a))",
            ),
            &["index `i`", "mine"],
        ),
        (
            edited("CREATE TABLE t(a)", "CREATE TABLE t(a, b AS (mine(a)))"),
            &["`t`", "mine"],
        ),
        (
            edited("CREATE TABLE t(a)", "create table t(a text)"),
            &["`t`", "edited"],
        ),
        (
            file(
                "CREATE TABLE t(a);PRAGMA writable_schema=ON;\
                 UPDATE sqlite_schema SET sql=CAST(sql AS BLOB)",
            ),
            &["`t`", "edited"],
        ),
        (
            file(
                "PRAGMA writable_schema=ON;INSERT INTO sqlite_schema \
                 VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING nosuch(a)')",
            ),
            &["`v`", "nosuch"],
        ),
        (
            file(
                "CREATE TABLE t(a CHECK(json(a)));PRAGMA ignore_check_constraints=ON;\
                 INSERT INTO t VALUES('{')",
            ),
            &["cannot be checked"],
        ),
    ] {
        let job = import(&forge, "", &file).await;
        let said = refused(&job);
        for word in words {
            assert!(said.contains(word), "{words:?}\n{said}");
        }
    }
    let columns: Vec<String> = (0..1_500).map(|n| format!("c{n}")).collect();
    let wide = file(&format!("CREATE TABLE t({})", columns.join(",")));
    let job = import(&forge, "", &wide).await;
    assert!(refused(&job).contains("too many columns"), "{job}");
}
