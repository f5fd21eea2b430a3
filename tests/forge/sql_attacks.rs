//! Hostile SQL, entry by entry: whatever it tries, nobody else notices.
use crate::sql_support::{Sql, create, read_only, soon, within};
use dbforge::clock::Stopwatch;
use dbforge::data::{Params, QueryError, QueryOptions, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the longest statement that nothing stops may take on a machine that is busy otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

/// Every statement of the corpus has this long.
const DEADLINE: Duration = Duration::from_secs(1);

/// What the corpus means, for one entry.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) input: String,
    params: Params,
    options: QueryOptions,
}

/// The entries about SQL.
pub(crate) fn entries() -> Vec<Entry> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attack-corpus.json");
    let corpus: Vec<BTreeMap<String, String>> =
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    corpus
        .into_iter()
        .filter(|it| it["kind"].starts_with("sql."))
        .filter(|it| it["id"] != "SQL-104") // about a socket: there is none here
        .map(|it| {
            let reads = it["input"].contains("READ-scoped token");
            // What follows is about how it is sent.
            let input = it["input"].split(" -- ").next().unwrap();
            let input = input.split("  -- ").next().unwrap();
            let params = if input.contains("?1") {
                r#"["{OUT}/x.db"]"#
            } else {
                "[]"
            };
            Entry {
                id: it["id"].clone(),
                kind: it["kind"].clone(),
                input: repeated(input),
                params: serde_json::from_str(params).unwrap(),
                options: QueryOptions {
                    timeout: Some(DEADLINE),
                    ..if reads { read_only() } else { within(DEADLINE) }
                },
            }
        })
        .collect()
}

/// `{{rep:TEXT:N}}` is TEXT, N times.
fn repeated(input: &str) -> String {
    let Some((before, rest)) = input.split_once("{{rep:") else {
        return input.to_owned();
    };
    let (inside, after) = rest.split_once("}}").unwrap();
    let (text, times) = inside.rsplit_once(':').unwrap();
    let text = text.repeat(times.parse().unwrap());
    format!("{before}{text}{}", repeated(after))
}

/// The database under attack, another one beside it, and how everything was before.
struct Scene {
    sql: Sql,
    victim: Target,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Scene {
    async fn new() -> Self {
        let sql = Sql::new();
        for question in [
            "CREATE TABLE t (a, b)",
            "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c \
             LIMIT 1000) SELECT x, x FROM c",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "CREATE TABLE witness (n)",
        ] {
            sql.ask(question).await.unwrap();
        }
        let victim = create(&sql.plane);
        for question in [
            "CREATE TABLE secrets (s)",
            "INSERT INTO secrets VALUES ('top-secret')",
        ] {
            sql.ask_of(&victim, question).await.unwrap();
        }
        // Everything of the victim's is in its main file now, which can be compared.
        drop(sql.plane.take(victim.database, soon()).await.unwrap());
        let before = outside(&sql);
        Self {
            sql,
            victim,
            before,
        }
    }

    /// The corpus names files; these are ours.
    fn with_our_paths(&self, input: &str) -> String {
        let victim = self.sql.plane.folders().living(self.victim.database);
        let victim = victim.to_str().unwrap();
        let home = self.sql.home.path().to_str().unwrap();
        input
            .replace("{DATA}/victim.db", &format!("{victim}/main.db"))
            .replace("{DATA}/vic'||'tim.db", &format!("{victim}/ma'||'in.db"))
            .replace("{DATA}", &format!("{home}/data"))
            .replace("{OUT}", home)
    }

    async fn send(&self, entry: &Entry, input: &str) -> Result<String, QueryError> {
        let params = match &entry.params {
            Params::Positional(_) => {
                let home = self.sql.home.path().to_str().unwrap();
                serde_json::from_str(&format!("[\"{home}/x.db\"]")).unwrap()
            }
            other => other.clone(),
        };
        let started = Stopwatch::start();
        let result = self
            .sql
            .request(&self.sql.target, input, params, entry.options)
            .await;
        let took = started.elapsed();
        assert!(
            took < DEADLINE + Duration::from_secs(1),
            "{}: answered after {took:?}",
            entry.id
        );
        let result = result.map(|it| String::from_utf8(it.body.to_vec()).unwrap());
        let told = match &result {
            Ok(body) => body.clone(),
            Err(error) => format!("{error:?} {error} {:?}", error.hint()),
        };
        // A statement that itself says a path may get it back; nothing else may.
        if !input.contains(self.sql.home.path().to_str().unwrap()) {
            assert!(!told.contains("/dbforge-"), "{}: {told}", entry.id);
        }
        assert!(!told.contains("top-secret"), "{}: {told}", entry.id);
        result
    }

    /// Waits until the database takes requests: one that a statement holds is benched for a while.
    async fn settle(&self, entry: &Entry) {
        let started = Stopwatch::start();
        loop {
            match self.sql.ask("SELECT 1").await {
                Ok(_) => return,
                Err(QueryError::Benched { .. }) => {
                    assert!(
                        started.elapsed() < PATIENCE,
                        "{}: still on the bench",
                        entry.id
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{}: {error}", entry.id),
            }
        }
    }

    /// What a second client sees, here and next door.
    async fn is_sane(&self, entry: &Entry) {
        let id = &entry.id;
        self.settle(entry).await;
        let ask = |question: &'static str| async move {
            let answer = self.sql.ask(question).await;
            answer.unwrap_or_else(|it| panic!("{id}: {question}: {it}"))["rows"].take()
        };
        ask("INSERT INTO witness VALUES (1)").await;
        assert_eq!(
            ask("SELECT count(*) FROM witness").await,
            json!([[1]]),
            "{id}"
        );
        assert_eq!(ask("SELECT 'a' LIKE 'A'").await, json!([[1]]), "{id}");
        assert_eq!(ask("PRAGMA quick_check").await, json!([["ok"]]), "{id}");
        if entry.kind != "sql.legit" {
            assert_eq!(ask("SELECT count(*) FROM t").await, json!([[1000]]), "{id}");
            ask("INSERT INTO t VALUES (1, 2)").await;
            assert_eq!(ask("PRAGMA user_version").await, json!([[0]]), "{id}");
        }
        let wal = self.sql.plane.folders().living(self.sql.target.database);
        let header = fs::read(wal.join("main.db")).unwrap();
        assert_eq!(header[18..20], [2, 2], "{id}: it is in WAL mode");
        drop(
            self.sql
                .plane
                .take(self.victim.database, soon())
                .await
                .unwrap(),
        );
        let after = outside(&self.sql);
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            self.before.keys().collect::<Vec<_>>(),
            "{id}: files outside of the database's folder"
        );
        assert!(after == self.before, "{id}: another database's bytes");
    }
}

/// Every file but those of the database under attack.
fn outside(sql: &Sql) -> BTreeMap<PathBuf, Vec<u8>> {
    let own = sql.plane.folders().living(sql.target.database);
    let mut files = BTreeMap::new();
    let mut folders = vec![sql.home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.canonicalize().unwrap() == own {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Asks the other database all the while; the longest it had to wait.
async fn neighbour(sql: &Sql, victim: &Target, until: impl Future<Output = ()>) -> Duration {
    let mut worst = Duration::ZERO;
    let asking = async {
        loop {
            let started = Stopwatch::start();
            let rows = sql.ask_of(victim, "SELECT s FROM secrets").await.unwrap();
            assert_eq!(rows["row_count"], 1);
            worst = worst.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = until => {}
        () = asking => unreachable!("it asks for ever"),
    }
    worst
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_corpus_reaches_slows_or_breaks_what_is_not_its_own() {
    for entry in entries() {
        let scene = Scene::new().await;
        let input = scene.with_our_paths(&entry.input);
        let attack = async {
            let result = scene.send(&entry, &input).await;
            judge(&entry, &result);
            // Sent as several requests, it is no better.
            if input.contains(';') && entry.kind != "sql.legit" && !input.contains("BEGIN SELECT") {
                for part in input.split(';').filter(|it| !it.trim().is_empty()) {
                    if part.contains("DROP TABLE t") {
                        continue; // on its own it is a client's good right
                    }
                    scene.settle(&entry).await;
                    let _ = scene.send(&entry, part).await;
                }
                scene.settle(&entry).await;
                undo_parts(&scene).await;
            }
        };
        let worst = neighbour(&scene.sql, &scene.victim, attack).await;
        assert!(
            worst < Duration::from_millis(500),
            "{}: the neighbour waited {worst:?}",
            entry.id
        );
        scene.is_sane(&entry).await;
    }
}

/// The rows that parts of an entry may rightly add are taken out again.
async fn undo_parts(scene: &Scene) {
    for question in ["DELETE FROM t WHERE rowid > 1000", "DELETE FROM witness"] {
        scene.sql.ask(question).await.unwrap();
    }
}

/// Whether the whole entry, sent as one statement, came out safely.
fn judge(entry: &Entry, result: &Result<String, QueryError>) {
    let id = &entry.id;
    let told = match result {
        Ok(body) => &body[..body.len().min(200)],
        Err(error) => &error.to_string(),
    };
    let refused = matches!(
        result,
        Err(QueryError::NotAllowed { .. }
            | QueryError::ReadOnly
            | QueryError::InvalidRequest { .. }
            | QueryError::PayloadTooLarge { .. }
            | QueryError::Sql { .. })
    );
    match entry.kind.as_str() {
        "sql.legit" => assert!(result.is_ok(), "{id}: {told}"),
        "sql.escape" | "sql.leak" | "sql.integrity" | "sql.poison" | "sql.mem" => {
            assert!(refused, "{id}: {told}");
        }
        "sql.parse" => assert!(refused, "{id}: {told}"),
        "sql.scope" => assert!(
            refused || told.contains("rows_affected\":0"),
            "{id}: {told}"
        ),
        "sql.result" => {
            let too_large = matches!(result, Err(QueryError::ResultTooLarge { .. }));
            assert!(too_large, "{id}: {told}");
        }
        "sql.disk" => {
            let full = matches!(
                result,
                Err(QueryError::QuotaExceeded | QueryError::Timeout { .. })
            );
            assert!(full, "{id}: {told}");
        }
        "sql.cpu" => {
            let timeout = matches!(result, Err(QueryError::Timeout { .. }));
            assert!(timeout || refused, "{id}: {told}");
        }
        // Refused, cut, or fast: `send` measured it.
        "sql.cpu.uninterruptible" | "sql.cpu.prepare" => {}
        other => panic!("{id}: what is {other}?"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_nothing_stops_is_answered_contained_and_seen() {
    let sql = Sql::new();
    for question in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f SELECT replace(hex(zeroblob(60000)), '00', 'a ')",
    ] {
        sql.ask(question).await.unwrap();
    }
    let other = create(&sql.plane);
    sql.ask_of(&other, "CREATE TABLE t (a)").await.unwrap();
    let stuck = format!(
        "SELECT count(*) FROM f WHERE f MATCH 'NEAR({},10)'",
        "a ".repeat(200)
    );
    for question in [stuck.clone(), format!("INSERT INTO f {stuck}")] {
        let started = Stopwatch::start();
        let timeout = Duration::from_millis(200);
        let error = sql.ask_as(&question, within(timeout)).await.unwrap_err();
        assert_eq!(error, QueryError::Timeout { timeout_ms: 200 });
        let took = started.elapsed();
        assert!(took < Duration::from_millis(800), "answered after {took:?}");

        assert_eq!(sql.plane.health().stuck_threads, 1, "it is seen");
        let error = sql.ask("SELECT 1").await.unwrap_err();
        assert!(matches!(error, QueryError::Benched { .. }), "{error}");
        assert!(error.is_retryable());
        sql.ask_of(&other, "INSERT INTO t VALUES (1)")
            .await
            .unwrap();
        let taken = sql.plane.take(
            sql.target.database,
            dbforge::clock::Deadline::after(Duration::from_millis(50)),
        );
        taken.await.expect_err("nobody moves a file that SQL is on");

        while sql.plane.health().stuck_threads > 0 {
            assert!(started.elapsed() < PATIENCE, "it ends at last");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sql.ask("SELECT 1").await.expect("it takes requests again");
    }
    let rows: Value = sql.rows("SELECT count(*) FROM f").await;
    assert_eq!(
        rows,
        json!([[1]]),
        "what was answered as failed was not kept"
    );
}

#[tokio::test]
async fn a_trigger_or_view_that_calls_what_nobody_may_is_not_made() {
    let sql = Sql::new();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    for question in [
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT load_extension('x'); END",
        "CREATE TRIGGER x BEFORE UPDATE OF a ON t BEGIN SELECT load_extension('x'); END",
        "CREATE TRIGGER x AFTER DELETE ON t BEGIN SELECT fts3_tokenizer('x'); END",
        "CREATE VIEW x AS SELECT load_extension('x')",
        "CREATE VIEW x AS SELECT * FROM dbstat",
    ] {
        let result = sql.ask(question).await;
        let refused = matches!(result, Err(QueryError::NotAllowed { .. }));
        assert!(refused, "{question}: {result:?}");
    }
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    sql.ask("CREATE VIEW later AS SELECT * FROM not_there_yet")
        .await
        .expect("what is merely not there yet may be named");
    assert_eq!(
        sql.rows("SELECT name FROM sqlite_schema WHERE name = 'x'")
            .await,
        json!([])
    );
}

#[tokio::test]
async fn the_schema_and_the_insides_of_an_index_cannot_be_written_as_rows() {
    let sql = Sql::new();
    sql.ask("CREATE VIRTUAL TABLE f USING fts5(x)")
        .await
        .unwrap();
    for question in [
        "UPDATE f_data SET block = x'00'",
        "DELETE FROM f_content",
        "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 2, 'CREATE TABLE x (a)')",
        "UPDATE sqlite_schema SET sql = ''",
    ] {
        let error = sql.ask(question).await.unwrap_err();
        assert!(error.to_string().contains("may not be modified"), "{error}");
    }
    sql.ask("INSERT INTO f VALUES ('a word')").await.unwrap();
    let found = sql.rows("SELECT x FROM f WHERE f MATCH 'word'").await;
    assert_eq!(found, json!([["a word"]]));
}

#[tokio::test]
async fn no_value_is_longer_than_a_whole_answer() {
    let sql = Sql::new();
    sql.ask("SELECT length(zeroblob(4194304))").await.unwrap();
    let error = sql.ask("SELECT length(zeroblob(4194305))").await;
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "SQL Error: string or blob too big");
}

#[tokio::test]
async fn ten_thousand_statements_in_one_are_refused_without_a_stack_to_overflow() {
    let sql = Sql::new();
    for many in ["SELECT 1;".repeat(11_000), "SELECT 1;;".repeat(9_000)] {
        let error = sql.ask(&many).await.unwrap_err();
        assert!(
            matches!(error, QueryError::InvalidRequest { .. }),
            "{error}"
        );
    }
    for one in ["SELECT 1; ; ;\n", "SELECT ';'", "SELECT 1 -- ; SELECT 2"] {
        sql.ask(one).await.unwrap();
    }
}
