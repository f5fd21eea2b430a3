//! Data in and out, beside the `sqlite3` shell doing the same with the same file.
use crate::gateway::{Gateway, passable_folder};
use crate::process_memory;
use crate::table::Table;
use dbforge::clock::Stopwatch;
use serde_json::json;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Rows that are inserted at a time to make the table.
const MAKES_AT_A_TIME: usize = 50_000;

/// Sends a table of so many rows out and in: as CSV, as SQL, and all of it as a SQLite file.
pub(crate) fn both_ways(table: &mut Table, rows: usize) {
    if !shell_is_there() {
        table.row(
            "data in and out",
            "not measured".to_owned(),
            "the sqlite3 shell is not installed".to_owned(),
        );
        return;
    }
    let folder = passable_folder();
    let data_dir = folder.path().join("db-data");
    let gateway = Gateway::start(&data_dir);
    gateway.create_ready("shop");
    make_rows(&gateway, rows);
    // The shell reads a copy of its own, which SQLite has made.
    let file = folder.path().join("shop.db");
    gateway.download("/v1/databases/shop/export?format=sqlite", &file);

    let out = folder.path().join("out");
    process_memory::forget_peak(gateway.process());
    let before = gateway.memory();
    let ours = timed(|| gateway.download("/v1/databases/shop/tables/t/export", &out));
    let grew = process_memory::peak(gateway.process()).saturating_sub(before);
    let bytes = out.metadata().unwrap().len();
    let theirs = timed(|| shell(&file, &["-csv", "-header"], "SELECT * FROM t;", &out));
    ratio(
        table,
        &format!("{rows} rows out as CSV"),
        rows,
        ours,
        theirs,
    );
    table.row(
        format!("memory for {} MB of CSV", bytes / 1_000_000),
        format!("{} KiB", grew >> 10),
        String::new(),
    );

    let sql = folder.path().join("dump.sql");
    let ours = timed(|| gateway.download("/v1/databases/shop/export?format=sql", &sql));
    let theirs = timed(|| shell(&file, &[], ".dump", &out));
    ratio(
        table,
        &format!("{rows} rows out as SQL"),
        rows,
        ours,
        theirs,
    );

    let ours = timed(|| gateway.download("/v1/databases/shop/export?format=sqlite", &out));
    let vacuumed = folder.path().join("vacuumed.db");
    let into = format!("VACUUM INTO '{}';", vacuumed.display());
    let theirs = timed(|| shell(&file, &[], &into, &folder.path().join("nothing")));
    ratio(
        table,
        &format!("{rows} rows out as a SQLite file"),
        rows,
        ours,
        theirs,
    );

    let csv = folder.path().join("rows.csv");
    shell(&file, &["-csv", "-header"], "SELECT * FROM t;", &csv);
    let made = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, note TEXT)";
    let nothing = folder.path().join("nothing");
    let import = format!("{made};\n.import --csv --skip 1 '{}' t", csv.display());
    let theirs = timed(|| shell(&folder.path().join("csv.db"), &[], &import, &nothing));
    gateway.create_ready("new");
    let path = "/v1/databases/new/tables/t/import?format=csv&types=auto";
    let ours = timed(|| gateway.upload(path, "text/csv", &csv));
    let what = format!("{rows} rows in as CSV, into a new table");
    ratio(table, &what, rows, ours, theirs);
    gateway.create_ready("copy");
    gateway.run("copy", made);
    process_memory::forget_peak(gateway.process());
    let before = gateway.memory();
    let path = "/v1/databases/copy/tables/t/import?format=csv";
    let ours = timed(|| gateway.upload(path, "text/csv", &csv));
    let grew = process_memory::peak(gateway.process()).saturating_sub(before);
    let what = format!("{rows} rows in as CSV, all or none, into a table that is there");
    ratio(table, &what, rows, ours, theirs);
    let bytes = csv.metadata().unwrap().len();
    table.row(
        format!("memory for {} MB of CSV that come in", bytes / 1_000_000),
        format!("{} KiB", grew >> 10),
        String::new(),
    );

    gateway.create_ready("loaded");
    let path = "/v1/databases/loaded/import";
    let ours = timed(|| gateway.upload(path, "application/sql", &sql));
    let read = format!(".read '{}'", sql.display());
    let theirs = timed(|| shell(&folder.path().join("sql.db"), &[], &read, &nothing));
    ratio(table, &format!("{rows} rows in as SQL"), rows, ours, theirs);
    gateway.stop();
}

fn shell_is_there() -> bool {
    let version = Command::new("sqlite3").arg("-version").output();
    version.is_ok_and(|output| output.status.success())
}

fn make_rows(gateway: &Gateway, rows: usize) {
    gateway.run(
        "shop",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, note TEXT)",
    );
    for from in (0..rows).step_by(MAKES_AT_A_TIME) {
        let count = MAKES_AT_A_TIME.min(rows - from);
        gateway.run(
            "shop",
            &format!(
                "INSERT INTO t (name, price, note) WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL \
                 SELECT i + 1 FROM n LIMIT {count}) SELECT 'customer ' || i, i / 7.0, \
                 'a note, with a comma and ''quotes'' number ' || i FROM n"
            ),
        );
    }
}

fn shell(file: &Path, options: &[&str], input: &str, out: &Path) {
    let mut shell = Command::new("sqlite3")
        .args(options)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(File::create(out).unwrap())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    writeln!(stdin, "{input}").unwrap();
    drop(stdin);
    assert!(shell.wait().unwrap().success());
}

fn timed(work: impl FnOnce()) -> Duration {
    let watch = Stopwatch::start();
    work();
    watch.elapsed()
}

/// A speed as a part of the shell's.
fn ratio(table: &mut Table, what: &str, rows: usize, ours: Duration, theirs: Duration) {
    let rate = |time: Duration| rows as f64 / time.as_secs_f64();
    table.rate(what, rate(ours), ("the sqlite3 shell", rate(theirs)));
}

impl Gateway {
    /// Sends a file, and waits until the job that takes it in has succeeded.
    fn upload(&self, path: &str, content_type: &str, file: &Path) {
        let mut answer = ureq::post(format!("http://{}{path}", self.address()))
            .header("X-API-Key", self.token())
            .header("Content-Type", content_type)
            .header("Prefer", "wait=60")
            .send(File::open(file).unwrap())
            .expect("the gateway answers well");
        let mut job: Job = answer.body_mut().read_json().unwrap();
        while job.state != "succeeded" {
            assert!(
                ["queued", "running"].contains(&job.state.as_str()),
                "{}",
                job.state
            );
            let path = format!("/v1/jobs/{}?wait=60", job.id);
            job = serde_json::from_str(&self.get(&path)).unwrap();
        }
    }

    /// Stores an answer as it comes.
    fn download(&self, path: &str, file: &Path) {
        let answer = ureq::get(format!("http://{}{path}", self.address()))
            .header("X-API-Key", self.token())
            .header("Accept-Encoding", "identity")
            .call()
            .expect("the gateway answers well");
        let mut body = answer.into_body().into_reader();
        io::copy(&mut body, &mut File::create(file).unwrap()).unwrap();
    }
}

/// A job, as far as it is waited for.
#[derive(serde::Deserialize)]
struct Job {
    id: String,
    state: String,
}

/// Rows routes beside the same statements through `/query`: inserts of 100 rows, and pages of 100.
pub(crate) fn rows_routes(table: &mut Table, requests: usize) {
    let folder = passable_folder();
    let gateway = Gateway::start(&folder.path().join("db-data"));
    gateway.create_ready("shop");
    gateway.run(
        "shop",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL)",
    );
    let agent = ureq::Agent::new_with_defaults();
    let ask = |method: &str, path: &str, body: Option<String>| {
        let url = format!("http://{}/v1/databases/shop{path}", gateway.address());
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("X-API-Key", gateway.token())
            .header("Content-Type", "application/json")
            .body(body.unwrap_or_default())
            .unwrap();
        let mut answer = agent.run(request).expect("the gateway answers well");
        answer.body_mut().read_to_vec().unwrap();
    };
    let each = |work: &dyn Fn()| {
        let time = timed(|| (0..requests).for_each(|_| work()));
        requests as f64 / time.as_secs_f64()
    };
    let objects: Vec<_> = (0..100)
        .map(|n| json!({"name": format!("name {n}"), "price": f64::from(n) / 7.0}))
        .collect();
    let objects = json!(objects).to_string();
    let lists: Vec<_> = (0..100)
        .map(|n| json!([format!("name {n}"), f64::from(n) / 7.0]))
        .collect();
    let lists = json!({"sql": "INSERT INTO t (name, price) VALUES (?1, ?2)", "params_list": lists});
    let lists = lists.to_string();
    let routes = each(&|| ask("POST", "/tables/t/rows", Some(objects.clone())));
    let query = each(&|| ask("POST", "/query", Some(lists.clone())));
    table.rate(
        "inserts of 100 rows by the rows route",
        routes,
        ("the same by /query", query),
    );
    let page = json!({"sql": "SELECT id, name, price FROM t WHERE id >= ?1 ORDER BY id LIMIT 100",
        "params": [50], "shape": "objects"});
    let page = page.to_string();
    let path = "/tables/t/rows?id=gte.50&order=id&limit=100";
    let routes = each(&|| ask("GET", path, None));
    let query = each(&|| ask("POST", "/query", Some(page.clone())));
    table.rate(
        "pages of 100 rows by the rows route",
        routes,
        ("the same by /query", query),
    );
    gateway.stop();
}
