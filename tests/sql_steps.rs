//! One step of a statement ends where its time does. In a program of its own: what looks at the
//! time in the middle of a step is set when SQLite starts in a process, which the other tests share.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use dbforge::clock::Deadline;
use dbforge::domain::database::Durability;
use dbforge::engine::Engine as _;
use dbforge::engine::sql::{Form, Format, Int64Form, Shape, Statement};
use dbforge::engine::sqlite::{
    ExecutionLimits, Profile, Role, Slice, SqlError, Sqlite, SqliteConnection,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

const FORM: Form = Form {
    format: Format::Json,
    shape: Shape::Rows,
    int64: Int64Form::Number,
    max_rows: 1_000_000,
    may_truncate: false,
    max_bytes: 64 << 20,
    escapes_formulas: false,
};

fn database() -> TempDir {
    let folder = TempDir::new().unwrap();
    (Sqlite::default().create_file(folder.path(), Durability::Relaxed)).unwrap();
    folder
}

fn connection(folder: &Path, role: Role) -> SqliteConnection {
    let profile = Profile {
        role,
        durability: Durability::Relaxed,
        size_bytes: 64 << 20,
        cached_statements: 8,
    };
    SqliteConnection::open(folder, profile).unwrap()
}

fn statement(sql: &str) -> Statement {
    Statement {
        sql: sql.into(),
        ..Statement::default()
    }
}

fn limits(time: Duration, slice: Option<Slice>) -> ExecutionLimits {
    ExecutionLimits {
        deadline: Deadline::after(time),
        cancellation: None,
        slice,
        may_wait: true,
    }
}

/// The rows that it answers within `time`.
fn run(sqlite: &mut SqliteConnection, sql: &str, time: Duration) -> Result<Value, SqlError> {
    sqlite.set_limits(limits(time, None));
    let answer = sqlite.run(&statement(sql), &FORM);
    sqlite.clear_limits();
    let answer: Value = serde_json::from_slice(&answer?.body).unwrap();
    Ok(answer["rows"].clone())
}

/// 400 pages, each of them a row.
fn fill(writer: &mut SqliteConnection) {
    run(writer, "CREATE TABLE t (a)", LONG).unwrap();
    let rows = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
                WHERE i < 400) SELECT zeroblob(3000) FROM n";
    run(writer, rows, LONG).unwrap();
}

#[test]
fn one_step_that_reads_many_pages_ends_by_its_deadline() {
    let folder = database();
    fill(&mut connection(folder.path(), Role::Writer));
    for role in [Role::Reader, Role::Writer] {
        let mut sqlite = connection(folder.path(), role);
        // It knows the schema and the first row, and counts in one step.
        run(&mut sqlite, "SELECT 1 FROM t LIMIT 1", LONG).unwrap();
        let count = "SELECT count(*) FROM t";
        let interrupted = run(&mut sqlite, count, Duration::ZERO);
        assert_eq!(interrupted, Err(SqlError::Timeout), "{role:?}");
        assert!(sqlite.is_spoiled());
        assert_eq!(run(&mut sqlite, count, LONG), Ok(json!([[400]])));
    }
}

#[test]
fn one_step_over_many_pages_that_are_in_the_cache_ends_by_its_deadline() {
    let folder = database();
    fill(&mut connection(folder.path(), Role::Writer));
    let mut reader = connection(folder.path(), Role::Reader);
    let count = "SELECT count(*) FROM t";
    assert_eq!(run(&mut reader, count, LONG), Ok(json!([[400]])));
    let interrupted = run(&mut reader, count, Duration::ZERO);
    assert_eq!(interrupted, Err(SqlError::Timeout));
    assert_eq!(run(&mut reader, count, LONG), Ok(json!([[400]])));
}

#[test]
fn a_write_that_is_interrupted_while_it_reads_is_undone() {
    let folder = database();
    let mut writer = connection(folder.path(), Role::Writer);
    run(&mut writer, "CREATE TABLE t (a, b)", LONG).unwrap();
    let rows = "INSERT INTO t VALUES (1, zeroblob(4000000)), (2, zeroblob(4000000))";
    run(&mut writer, rows, LONG).unwrap();

    // It knows the beginnings of the rows, and has to read the rest.
    let mut second = connection(folder.path(), Role::Writer);
    run(&mut second, "SELECT a FROM t", LONG).unwrap();
    let change = "UPDATE t SET a = a * 2, b = substr(b, 2)";
    let interrupted = run(&mut second, change, Duration::ZERO);
    assert_eq!(interrupted, Err(SqlError::Timeout));
    let kept = run(&mut second, "SELECT a, length(b) FROM t", LONG);
    assert_eq!(kept, Ok(json!([[1, 4_000_000], [2, 4_000_000]])));
}

/// A reader of small rows, three values of a megabyte, and what indexes and searches them.
fn reader_of_much() -> (TempDir, SqliteConnection) {
    let folder = database();
    let mut writer = connection(folder.path(), Role::Writer);
    for sql in [
        "CREATE TABLE small (id INTEGER PRIMARY KEY, a INT, b TEXT, c TEXT COLLATE NOCASE)",
        "INSERT INTO small WITH RECURSIVE n(i) AS
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
         SELECT i, i % 100, 'text ' || i, 'Name ' || i FROM n",
        "CREATE INDEX by_a ON small (a)",
        "CREATE TABLE big (a TEXT, b TEXT COLLATE NOCASE)",
        "INSERT INTO big SELECT hex(zeroblob(500000)), hex(zeroblob(500000)) FROM small LIMIT 3",
        "CREATE INDEX of_big ON big (a)",
        "CREATE VIRTUAL TABLE words USING fts5(body)",
        "INSERT INTO words SELECT b FROM small",
        "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
        "INSERT INTO boxes SELECT id, id, id FROM small",
    ] {
        run(&mut writer, sql, LONG).unwrap();
    }
    let mut reader = connection(folder.path(), Role::Reader);
    reader.widen_page_cache().unwrap();
    (folder, reader)
}

/// Runs it within its bounds, under a slice that is over when the first look comes.
fn run_short(reader: &mut SqliteConnection, sql: &str) -> Option<Result<(), SqlError>> {
    let bounds = reader.bounds_of(sql)?;
    // What it reads is in the page cache then, as far as there is room.
    let _ = run(reader, sql, LONG);
    reader.set_limits(limits(LONG, Some(Slice::of(Duration::ZERO))));
    let result = reader.run_within(bounds, &statement(sql), &FORM);
    reader.clear_limits();
    Some(result.map(|_| ()))
}

#[test]
fn usual_short_statements_are_bounded_and_end_before_the_first_look() {
    let (_folder, mut reader) = reader_of_much();
    for sql in [
        "SELECT * FROM small WHERE id = 7",
        "SELECT id, b FROM small WHERE a = 5 LIMIT 3",
        "SELECT s.b, t.b FROM small s JOIN small t ON t.id = s.id + 1 WHERE s.id = 9",
        "SELECT max(id), count(nullif(b, 'x')) FROM small WHERE id < 3",
        "SELECT 1 + 2, datetime('now'), coalesce(NULL, 'a') || 'b'",
        "SELECT * FROM small WHERE c = 'NAME 7' AND id = 7",
        "SELECT b FROM small WHERE id = 3 OR id = 4;",
    ] {
        assert_eq!(run_short(&mut reader, sql), Some(Ok(())), "{sql}");
    }
}

#[test]
fn a_bounded_statement_that_goes_on_is_cut_wherever_it_is() {
    let (_folder, mut reader) = reader_of_much();
    for sql in [
        "SELECT count(*) FROM small",
        "SELECT CASE WHEN 1 THEN (SELECT count(*) FROM small) + (SELECT count(*) FROM big) END",
        "SELECT sum(a) FROM small",
        "SELECT max(b) FROM small",
        "SELECT * FROM small ORDER BY b",
        "SELECT a, count(*) FROM small GROUP BY a ORDER BY 2",
        "SELECT count(nullif(a, 'x')) FROM big",
        "SELECT a FROM big LIMIT 1",
        "SELECT abs(a) FROM big",
        "SELECT 1 FROM small JOIN big ON big.a = small.b WHERE small.b > 'x'",
        "SELECT max(a) FROM big",
        "SELECT * FROM small WHERE c = 'NAME 7'",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000)
         SELECT max(i) FROM n",
        "SELECT row_number() OVER (ORDER BY b) FROM small",
        "SELECT count(*) FROM small a, small b WHERE a.b = b.c",
    ] {
        match run_short(&mut reader, sql) {
            Some(Err(SqlError::SliceOver)) => {}
            Some(Err(SqlError::Sql { message, .. })) => {
                assert_eq!(message, "string or blob too big", "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn what_may_take_long_between_two_looks_is_not_bounded() {
    let (_folder, reader) = reader_of_much();
    let much = format!("SELECT {}", vec!["abs(?1)"; 900].join(", "));
    for sql in [
        "SELECT group_concat(b) FROM small",
        "SELECT json_group_array(b) FROM small",
        "SELECT json_extract(a, '$.x') FROM big",
        "SELECT * FROM small WHERE b LIKE '%a%b%'",
        "SELECT * FROM small WHERE b GLOB '*a*b*'",
        "SELECT hex(a), upper(a), replace(a, '0', '00') FROM big",
        "SELECT instr(a, 'x'), trim(a, '0') FROM big",
        "SELECT randomblob(1000000)",
        "SELECT printf('%1000000d', 1)",
        "SELECT * FROM words WHERE words MATCH 'text'",
        "SELECT * FROM boxes WHERE x0 < 5",
        "SELECT * FROM json_each('[1]')",
        "SELECT * FROM pragma_table_info('small')",
        "SELECT c FROM small ORDER BY c",
        "PRAGMA quick_check",
        "PRAGMA table_info(small)",
        "SELECT * FROM nothing",
        &much,
    ] {
        assert_eq!(reader.bounds_of(sql), None, "{sql}");
    }
}

#[test]
fn to_ask_for_the_bounds_of_a_statement_does_nothing_of_it() {
    let (_folder, mut reader) = reader_of_much();
    let setting = |reader: &mut SqliteConnection| run(reader, "PRAGMA synchronous", LONG);
    let before = setting(&mut reader).unwrap();
    for sql in [
        "PRAGMA synchronous = OFF",
        "/* */ PRAGMA main.synchronous('OFF')",
    ] {
        assert_eq!(reader.bounds_of(sql), None, "{sql}");
        assert_eq!(setting(&mut reader).unwrap(), before, "{sql}");
    }
}
