//! Reads sqllogictest files as SQLite's own runner does, and runs them through the HTTP API.
//!
//! The crate speaks a younger dialect; what the original has and it has not is brought to it here:
//! remarks behind a word, values one a line, hashes of any number of values, labels, and values
//! that are written as the letter of their column says.
use super::{Oracle, Outcome, Value, plain};
use crate::support::http::HttpForge;
use crate::support::sqlite;
use async_trait::async_trait;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Location, Normalizer, QueryExpect, Record, RecordOutput,
    Runner, parse_with_name,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// How many records of a file were run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) records: usize,
    /// Those that another engine is meant by.
    pub(crate) skipped: usize,
    /// Those that do not hold for SQLite itself either, such as those of another version of it.
    pub(crate) contradicted: Vec<String>,
    /// Those with a statement that nobody may run here, such as one for a temporary table.
    pub(crate) refused: Vec<String>,
}

/// How the last statement came out, beside what SQLite itself says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Same,
    Differs,
    /// It was refused, and SQLite was not asked.
    Refused,
}

/// Runs a file against a database of its own.
///
/// # Errors
/// All that holds for SQLite itself but not here, each with the file and the line.
pub(crate) async fn run_file(file: &Path) -> Result<Tally, String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|it| format!("{name}: {it}"))?;
    let records = parse_with_name::<DefaultColumnType>(&without_remarks(&text), name.as_str())
        .map_err(|it| it.to_string())?;
    let forge = Arc::new(HttpForge::new().await);
    forge.ready("slt").await;
    let letters = Arc::<Mutex<Vec<DefaultColumnType>>>::default();
    let oracle = Arc::new(Oracle::new());
    let verdict = Arc::<Mutex<Verdict>>::default();
    let mut runner = Runner::new(|| {
        let database = Database {
            forge: forge.clone(),
            letters: letters.clone(),
            oracle: oracle.clone(),
            verdict: verdict.clone(),
        };
        async { Ok(database) }
    });
    runner.with_normalizer(Clone::clone);
    runner.with_validator(same_values);
    runner.with_column_validator(|actual, expected| actual.len() == expected.len());

    let mut tally = Tally::default();
    let mut labels = HashMap::new();
    let mut failures = Vec::new();
    for record in records {
        let mut label_here = None;
        match &record {
            Record::Halt { .. } => break,
            // Whether values are hashed is seen by what is expected.
            Record::HashThreshold { .. } => continue,
            Record::Query {
                expected:
                    QueryExpect::Results {
                        types,
                        results,
                        label,
                        ..
                    },
                loc,
                ..
            } => {
                letters.lock().unwrap().clone_from(types);
                let is_hash = results.len() == 1 && results[0].contains(" values hashing to ");
                let threshold = Record::HashThreshold {
                    loc: loc.clone(),
                    threshold: u64::from(is_hash),
                };
                runner
                    .run_async(threshold)
                    .await
                    .map_err(|it| it.to_string())?;
                label_here = label.clone().map(|it| (it, loc.clone()));
            }
            Record::Statement { .. } | Record::Query { .. } => letters.lock().unwrap().clear(),
            _ => {}
        }
        let counts = matches!(record, Record::Query { .. } | Record::Statement { .. });
        let outcome = match runner.run_async(record).await {
            Ok(RecordOutput::Nothing) => {
                tally.skipped += usize::from(counts);
                continue;
            }
            Ok(RecordOutput::Query { rows, .. }) => check_label(&mut labels, label_here, rows),
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        };
        tally.records += 1;
        if let Err(failure) = outcome {
            match *verdict.lock().unwrap() {
                Verdict::Same => tally.contradicted.push(failure),
                Verdict::Differs => failures.push(failure),
                Verdict::Refused => tally.refused.push(failure),
            }
        }
    }
    if failures.is_empty() {
        Ok(tally)
    } else {
        Err(failures.join("\n\n"))
    }
}

/// Queries with the same label have the same rows.
fn check_label(
    labels: &mut HashMap<String, Vec<Vec<String>>>,
    label: Option<(String, Location)>,
    rows: Vec<Vec<String>>,
) -> Result<(), String> {
    let Some((label, place)) = label else {
        return Ok(());
    };
    match labels.get(&label) {
        Some(earlier) if *earlier != rows => Err(format!(
            "other rows than an earlier query with the label {label}\nat {place}"
        )),
        Some(_) => Ok(()),
        None => {
            labels.insert(label, rows);
            Ok(())
        }
    }
}

/// `skipif mysql # not compatible` says no more than `skipif mysql`, and `halt` may be meant for
/// some engines only.
fn without_remarks(text: &str) -> String {
    let words = ["halt", "hash-threshold ", "statement ", "query "];
    let mut whole = String::with_capacity(text.len());
    let mut conditions = Vec::new();
    // A record begins behind an empty line, and a word of the format may begin a line of SQL.
    let mut begins = true;
    for line in text.lines().map(str::trim_end) {
        let is_condition = begins && (line.starts_with("skipif ") || line.starts_with("onlyif "));
        let is_word = begins && words.iter().any(|it| line.starts_with(it));
        let line = match line.split_once('#') {
            Some((word, _)) if is_condition || is_word => word.trim_end(),
            _ => line,
        };
        begins = is_condition || line.is_empty() || begins && line.starts_with('#');
        if is_condition {
            conditions.push(line);
            continue;
        }
        let conditions = std::mem::take(&mut conditions);
        let halts = line == "halt";
        let is_meant = conditions.iter().all(|it| is_met(it));
        for kept in conditions.into_iter().chain([line]) {
            // The crate knows no condition of a halt; lines stay where they are.
            let is_dropped = halts && (kept != line || !is_meant);
            whole += if is_dropped { "" } else { kept };
            whole.push('\n');
        }
    }
    whole
}

/// Whether SQLite is meant.
fn is_met(condition: &str) -> bool {
    matches!(condition.split_once(' '), Some((word, engine)) if (word == "onlyif") == (engine.trim() == "sqlite"))
}

/// Values one a line, as the original has them, or a row a line.
fn same_values(_: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let by_value = actual.iter().flatten().eq(expected);
    by_value
        || actual
            .iter()
            .map(|it| it.join(" "))
            .eq(expected.iter().cloned())
}

/// One database behind the HTTP API.
struct Database {
    forge: Arc<HttpForge>,
    /// The letters of the columns that the query at hand expects.
    letters: Arc<Mutex<Vec<DefaultColumnType>>>,
    /// Runs everything as well.
    oracle: Arc<Oracle>,
    verdict: Arc<Mutex<Verdict>>,
}

impl Database {
    fn decide(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }
}

/// What the gateway says no with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

#[derive(Deserialize)]
struct Body<'a> {
    columns: Vec<serde::de::IgnoredAny>,
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
    rows_affected: u64,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let body = json!({
            "sql": sql, "timeout_ms": 60_000, "max_rows": 100_000, "max_bytes": 64 << 20,
        });
        let answer = self
            .forge
            .post("/v1/databases/slt/query", &body.to_string())
            .await;
        if answer.status == 403 {
            self.decide(Verdict::Refused);
            return Err(Refused(answer.json()["detail"].to_string()));
        }
        let expected = self.oracle.ask(&plain(sql));
        if answer.status != 200 {
            self.decide(match expected {
                Outcome::Answer { .. } => Verdict::Differs,
                Outcome::Failure { .. } => Verdict::Same,
            });
            return Err(Refused(answer.json()["detail"].to_string()));
        }
        let body: Body<'_> = serde_json::from_str(&answer.text).unwrap();
        let is_same = match &expected {
            Outcome::Answer { rows, .. } => same_rows(&body.rows, rows),
            Outcome::Failure { .. } => false,
        };
        self.decide(if is_same {
            Verdict::Same
        } else {
            Verdict::Differs
        });
        if body.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(body.rows_affected));
        }
        let mut types = self.letters.lock().unwrap().clone();
        // A letter more or less is a failure, which the crate tells by their number.
        types.resize(body.columns.len(), DefaultColumnType::Any);
        let writer = Writer::new();
        let write = |row: Vec<&RawValue>| {
            let values = row.iter().zip(&types);
            values
                .map(|(raw, letter)| writer.written(&Value::from_json(raw), letter))
                .collect()
        };
        Ok(DBOutput::Rows {
            rows: body.rows.into_iter().map(write).collect(),
            types,
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "sqlite"
    }
}

fn same_rows(actual: &[Vec<&RawValue>], expected: &[Vec<Value>]) -> bool {
    actual.len() == expected.len()
        && (actual.iter().flatten().zip(expected.iter().flatten()))
            .all(|(actual, expected)| Value::from_json(actual).is(expected))
}

/// Writes values as the original runner does: it asks SQLite for an integer, a real or a text,
/// whatever the value is. SQLite itself makes the one of the other here, too.
struct Writer(Connection);

impl Writer {
    fn new() -> Self {
        Self(sqlite::in_memory())
    }

    fn written(&self, value: &Value, letter: &DefaultColumnType) -> String {
        if *value == Value::Null {
            return "NULL".to_owned();
        }
        let question = match letter {
            DefaultColumnType::Integer => "SELECT CAST(CAST(?1 AS INTEGER) AS TEXT)",
            DefaultColumnType::FloatingPoint => "SELECT printf('%.3f', CAST(?1 AS REAL))",
            DefaultColumnType::Text | DefaultColumnType::Any => "SELECT CAST(?1 AS TEXT)",
        };
        let mut question = self.0.prepare_cached(question).unwrap();
        let text = question.query_row([value.as_sqlite()], |row| {
            Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned())
        });
        let text = text.unwrap();
        if text.is_empty() {
            return "(empty)".to_owned();
        }
        text.bytes()
            .map(|it| {
                if (b' '..=b'~').contains(&it) {
                    char::from(it)
                } else {
                    '@'
                }
            })
            .collect()
    }
}
