//! Fuzz targets: what reads strangers' text never panics, and keeps its promises on any of it.
mod input;

use self::input::fuzz;
use super::corpus::entries;
use crate::support::http::HttpForge;
use crate::support::sql::{Sql, read_only, read_write, within};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dbforge::clock::Deadline;
use dbforge::data::{Param, Params, ParamsList, QueryError, QueryOptions};
use dbforge::domain::name::DatabaseName;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use std::time::Duration;

/// A statement that nothing stops holds its database for minutes at most.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs what answers later on a thread of its own clock.
fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn any_text_is_a_name_by_the_rule_or_none() {
    fuzz("names", Vec::new(), |text| {
        let rule = |it: &str| {
            let all = it
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
            let first = it.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
            all && first && it.len() <= 63 && it.parse::<uuid::Uuid>().is_err()
        };
        let name = DatabaseName::parse(text);
        prop_assert_eq!(name.is_ok(), rule(text));
        let Ok(name) = name else { return Ok(false) };
        prop_assert_eq!(name.as_str(), text);
        prop_assert_eq!(
            DatabaseName::parse(&name.key()).map(|it| it.key()),
            Ok(name.key())
        );
        let label = name.dns_label();
        let is_label = label
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
        prop_assert!(is_label && !label.starts_with('-') && !label.ends_with('-'));
        prop_assert!(!label.is_empty() && label.len() <= 63);
        Ok(true)
    });
}

#[test]
fn parameters_that_are_read_say_the_same_when_they_are_written() {
    fuzz("parameters", Vec::new(), |text| {
        let Ok(params) = serde_json::from_str::<Params>(text) else {
            return Ok(false);
        };
        prop_assert!(params.len() <= dbforge::data::MAX_PARAMETERS);
        let written = match &params {
            Params::None => json!([]),
            Params::Positional(values) => values.iter().map(as_json).collect(),
            Params::Named(values) => {
                let named = values.iter().map(|(name, it)| (name.clone(), as_json(it)));
                let object = Value::Object(named.collect());
                if object.as_object().map_or(0, serde_json::Map::len) < values.len() {
                    return Ok(true); // a name twice: refused when it is bound
                }
                object
            }
            Params::List(_) => unreachable!("`params` is one row"),
        };
        if let Params::Positional(values) = &params {
            // As a row of many it holds the same.
            let list: ParamsList = serde_json::from_str(&format!("[{text},{text}]")).unwrap();
            let alone: Vec<_> = values.iter().map(Param::borrowed).collect();
            prop_assert!((0..2).all(|row| list.row(row).eq(alone.iter().copied())));
        }
        let again: Params = serde_json::from_str(&written.to_string()).unwrap();
        let sorted = |params: Params| match params {
            Params::Named(values) => {
                let mut values = values.to_vec();
                values.sort_by(|a, b| a.0.cmp(&b.0));
                Params::Named(values.into())
            }
            other => other,
        };
        prop_assert_eq!(sorted(again), sorted(params));
        Ok(true)
    });
}

fn as_json(value: &Param) -> Value {
    match value {
        Param::Null => Value::Null,
        Param::Integer(it) => json!(it),
        Param::Real(it) if it.is_finite() => json!(it),
        Param::Real(it) if *it > 0.0 => json!({"$real": "Infinity"}),
        Param::Real(_) => json!({"$real": "-Infinity"}),
        Param::Text(it) => json!(it),
        Param::TextBytes(it) => json!({"$text_base64": STANDARD.encode(it)}),
        Param::Blob(it) => json!({"$base64": STANDARD.encode(it)}),
    }
}

#[test]
fn any_filter_of_the_originals_rows_finds_equals_or_is_refused() {
    let tokio = tokio();
    let forge = tokio.block_on(async {
        let forge = HttpForge::new().await;
        forge.ready("shop").await;
        for sql in [
            "CREATE TABLE t (a TEXT, b INTEGER, \"a b\" TEXT)",
            "INSERT INTO t VALUES ('x', 1, 'y'), ('%', 24, ''), ('é', NULL, '''')",
        ] {
            let body = json!({ "sql": sql }).to_string();
            assert_eq!(
                forge.post("/v1/databases/shop/query", &body).await.status,
                200
            );
        }
        forge
    });
    fuzz("filters", Vec::new(), |text| {
        let path = format!("/api/db/shop/tables/t/rows?{text}");
        let Ok(uri) = path.parse::<axum::http::Uri>() else {
            return Ok(false); // never reaches the gateway
        };
        let answer = tokio.block_on(forge.get(&uri.to_string()));
        let status = answer.status.as_u16();
        prop_assert!(
            matches!(status, 200 | 400 | 413 | 422),
            "{status}: {}",
            answer.text
        );
        if status != 200 {
            return Ok(false);
        }
        let rows = answer.json()["data"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        // What the gateway took apart, taken apart by another's rules.
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
            match (&*name, value.parse::<usize>()) {
                ("limit", Ok(limit)) => {
                    prop_assert!(rows.len() <= limit || text.matches("limit").count() > 1)
                }
                ("a" | "a b", _) => {
                    let all_equal = rows.iter().all(|it| it[&*name] == *value);
                    prop_assert!(all_equal, "{name}={value}: {rows:?}");
                }
                _ => {}
            }
        }
        Ok(true)
    });
    tokio.block_on(async move { drop(forge) });
}

#[test]
fn any_statement_is_run_or_refused_and_breaks_nothing() {
    let tokio = tokio();
    let sql = tokio.block_on(async {
        let sql = Sql::new();
        for question in [
            "CREATE TABLE t (a, b)",
            "INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, x'00')",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "INSERT INTO f VALUES ('a word')",
        ] {
            sql.ask(question).await.unwrap();
        }
        sql
    });
    let mut seeds = Vec::new();
    for corpus in ["attack-corpus.json", "attacks-of-our-own.json"] {
        let statements = entries(corpus)
            .into_iter()
            .filter(|it| it.kind.starts_with("sql."));
        let short = statements.filter(|it| !it.input.contains("{{rep:"));
        seeds.extend(short.flat_map(|it| it.input.lines().map(str::to_owned).collect::<Vec<_>>()));
    }
    let home = sql.home.path().to_str().unwrap().to_owned();
    let told = |error: &QueryError| -> Result<(), TestCaseError> {
        let broken = matches!(
            error,
            QueryError::OutcomeUnknown | QueryError::Broken { .. } | QueryError::DataMissing
        );
        prop_assert!(!broken, "{error:?}");
        prop_assert!(!format!("{error:?}").contains(&home), "{error:?}");
        Ok(())
    };
    let short = Duration::from_millis(40);
    fuzz("statements", seeds, |text| {
        tokio.block_on(async {
            // Who may only read changes nothing, whatever the words are.
            let reads = QueryOptions {
                timeout: Some(short),
                ..read_only()
            };
            let count = "SELECT count(*), total(a), (SELECT count(*) FROM sqlite_schema) FROM t";
            settle(&sql).await;
            let before = sql.rows(count).await;
            let read = sql.ask_as(text, reads).await;
            if let Err(error) = &read {
                told(error)?;
            }
            settle(&sql).await;
            prop_assert_eq!(sql.rows(count).await, before);
            // Who may write keeps a database that is sound.
            let written = sql.ask_as(text, within(short)).await;
            if let Err(error) = &written {
                told(error)?;
            }
            settle(&sql).await;
            // An FTS5 index may rightly disagree with a table that is kept elsewhere.
            let unsound = "SELECT quick_check FROM pragma_quick_check \
                           WHERE quick_check <> 'ok' AND quick_check NOT LIKE 'fts5: %'";
            prop_assert_eq!(sql.rows(unsound).await, json!([]));
            prop_assert_eq!(sql.rows("SELECT 'a' LIKE 'A'").await, json!([[1]]));
            Ok(written.is_ok())
        })
    });
    tokio.block_on(async move { drop(sql) });
}

/// Waits until the database takes requests.
async fn settle(sql: &Sql) {
    let deadline = Deadline::after(PATIENCE);
    while let Err(QueryError::Unavailable { .. }) = sql.ask_as("SELECT 1", read_write()).await {
        assert!(!deadline.has_passed(), "it rests for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
