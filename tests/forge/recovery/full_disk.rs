//! A disk that is full, or fails, under the real program.
use crate::support::gateway_process::{GatewayProcess, passable_folder};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A filesystem in memory that is soon full; unmounted when the test is done with it.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn of_megabytes(size: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size}m"))
            .arg("dbforge-small-disk")
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "this test mounts a tmpfs, which takes root"
        );
        Self(folder)
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.0.path().join("db-data")
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut filler = File::create(&path).unwrap();
        for size in [64 << 10, 4 << 10, 1] {
            while filler.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn ready(gateway: &GatewayProcess, name: &str) {
    let (_, job) = gateway
        .post("/v1/databases", &json!({ "name": name }))
        .unwrap();
    ended(gateway, &job, "succeeded");
}

fn ended(gateway: &GatewayProcess, job: &Value, state: &str) {
    let id = job["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no job: {job}"));
    gateway.poll("the job ends", || {
        let (_, job) = gateway.get(&format!("/v1/jobs/{id}")).unwrap();
        job["state"] == state
    });
}

fn query(gateway: &GatewayProcess, name: &str, sql: &str) -> (u16, Value) {
    let path = format!("/v1/databases/{name}/query");
    gateway.post(&path, &json!({ "sql": sql })).unwrap()
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_takes_what_makes_room() {
    let disk = SmallDisk::of_megabytes(32);
    let gateway = GatewayProcess::start(&disk.data_dir());
    for name in ["big", "small"] {
        ready(&gateway, name);
        let (status, answer) = query(&gateway, name, "CREATE TABLE t(x)");
        assert_eq!(status, 200, "{answer}");
    }
    let (status, _) = query(&gateway, "small", "INSERT INTO t VALUES (1)");
    assert_eq!(status, 200);
    let mut rows = 0;
    loop {
        let (status, answer) = query(&gateway, "big", "INSERT INTO t VALUES (randomblob(500000))");
        if status != 200 {
            assert_eq!(
                (status, &answer["code"]),
                (507, &json!("disk_full")),
                "{answer}"
            );
            break;
        }
        rows += 1;
    }
    assert!(rows > 3, "{rows} rows fitted");
    disk.fill();

    let mut acknowledged = vec!["big".to_owned(), "small".to_owned()];
    for n in 0..10 {
        let name = format!("more-{n}");
        let (status, answer) = gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        match status {
            202 => acknowledged.push(name),
            507 => assert_eq!(answer["code"], "disk_full", "{answer}"),
            other => panic!("{other}: {answer}"),
        }
    }
    assert!(acknowledged.len() < 12, "the disk was full");
    let (status, answer) = query(&gateway, "small", "SELECT x FROM t");
    assert_eq!((status, &answer["rows"]), (200, &json!([[1]])), "{answer}");
    let (status, answer) = query(&gateway, "big", "SELECT count(*) FROM t");
    assert_eq!(
        (status, &answer["rows"]),
        (200, &json!([[rows]])),
        "{answer}"
    );

    let (status, job) = gateway.delete("/v1/databases/big?purge=true").unwrap();
    assert_eq!(status, 202, "what makes room is taken: {job}");
    ended(&gateway, &job, "succeeded");
    gateway.poll("there is room again", || {
        let name = format!("again-{}", acknowledged.len());
        let (status, _) = gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        status == 202
    });
    gateway.kill();

    let gateway = GatewayProcess::start(&disk.data_dir());
    for name in acknowledged.iter().filter(|it| *it != "big") {
        let (status, answer) = gateway.get(&format!("/v1/databases/{name}")).unwrap();
        assert_eq!(status, 200, "`{name}` was acknowledged: {answer}");
    }
    let (status, answer) = query(&gateway, "small", "SELECT x FROM t");
    assert_eq!((status, &answer["rows"]), (200, &json!([[1]])), "{answer}");
    assert!(gateway.stop());
    assert_verifies(&disk.data_dir());
}

#[test]
fn writers_that_fill_the_disk_leave_reads_lists_and_purges_to_others() {
    let disk = SmallDisk::of_megabytes(64);
    let gateway = GatewayProcess::start(&disk.data_dir());
    let writers = ["one", "two", "three", "four"];
    for name in writers.iter().chain(&["quiet"]) {
        ready(&gateway, name);
        for sql in ["CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"] {
            let (status, answer) = query(&gateway, name, sql);
            assert_eq!(status, 200, "{answer}");
        }
    }
    assert!(gateway.stop());

    // Nothing is open that is not used.
    let gateway = GatewayProcess::start(&disk.data_dir());
    std::thread::scope(|scope| {
        for name in writers {
            let gateway = &gateway;
            scope.spawn(move || {
                let sql = "INSERT INTO t VALUES (randomblob(100000))";
                let (status, answer) = (0..)
                    .map(|_| query(gateway, name, sql))
                    .find(|(status, _)| *status != 200)
                    .unwrap();
                assert_eq!(
                    (status, &answer["code"]),
                    (507, &json!("disk_full")),
                    "{answer}"
                );
            });
        }
    });
    // What the writers left is taken by others who know no bounds.
    let filler = disk.fill();
    for name in writers.iter().chain(&["quiet"]) {
        for _ in 0..2 {
            let (status, answer) = query(&gateway, name, "SELECT count(*) > 0 FROM t");
            assert_eq!(
                (status, &answer["rows"]),
                (200, &json!([[1]])),
                "{name}: {answer}"
            );
        }
    }
    let (status, answer) = query(&gateway, "quiet", "INSERT INTO t VALUES (2)");
    assert_eq!(
        (status, &answer["code"]),
        (507, &json!("disk_full")),
        "{answer}"
    );
    let (status, list) = gateway.get("/v1/databases?limit=10").unwrap();
    assert_eq!(status, 200, "{list}");
    let (status, readiness) = gateway.get("/readyz").unwrap();
    assert_eq!(
        (status, &readiness["checks"]["disk"]["ok"]),
        (503, &json!(false))
    );
    let (status, answer) = gateway
        .post("/v1/databases", &json!({ "name": "more" }))
        .unwrap();
    assert_eq!(
        (status, &answer["code"]),
        (507, &json!("disk_full")),
        "{answer}"
    );

    for name in ["one", "two"] {
        let path = format!("/v1/databases/{name}?purge=true");
        let (status, job) = gateway.delete(&path).unwrap();
        assert_eq!(status, 202, "{job}");
        ended(&gateway, &job, "succeeded");
    }
    gateway.poll("the gateway is ready again by itself", || {
        gateway
            .get("/readyz")
            .is_some_and(|(status, _)| status == 200)
    });
    std::fs::remove_file(filler).unwrap();
    ready(&gateway, "more");
    for name in ["three", "quiet"] {
        let (status, answer) = query(&gateway, name, "INSERT INTO t VALUES (3)");
        assert_eq!(status, 200, "{answer}");
        let (_, answer) = query(&gateway, name, "SELECT count(*) FROM t WHERE x = 3");
        assert_eq!(answer["rows"], json!([[1]]), "{answer}");
    }
    assert!(gateway.stop());
    assert_verifies(&disk.data_dir());
}

#[test]
fn a_purge_ends_on_a_full_disk_whose_reserve_is_used_up_and_the_lists_say_that_they_stay_behind() {
    let disk = SmallDisk::of_megabytes(32);
    let gateway = GatewayProcess::start(&disk.data_dir());
    for name in ["big", "small"] {
        ready(&gateway, name);
        let (status, answer) = query(&gateway, name, "CREATE TABLE t(x)");
        assert_eq!(status, 200, "{answer}");
    }
    // So much that the WAL cannot be brought into the file on what is left.
    while query(&gateway, "big", "INSERT INTO t VALUES (randomblob(500000))").0 == 200 {}
    gateway.kill();
    std::fs::remove_file(disk.data_dir().join(".forge/reserve")).unwrap();
    disk.fill();

    let program = Command::new(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let gateway = GatewayProcess::try_start(program, &disk.data_dir(), &settings);
    let gateway = gateway.expect("it starts on a full disk");
    let (status, answer) = query(&gateway, "small", "SELECT count(*) FROM t");
    assert_eq!((status, &answer["rows"]), (200, &json!([[0]])), "{answer}");
    let (status, readiness) = gateway.get("/readyz").unwrap();
    assert_eq!(
        (status, &readiness["checks"]["disk"]["ok"]),
        (503, &json!(false)),
        "{readiness}"
    );
    let doctor = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["doctor", "--data-dir"])
        .arg(disk.data_dir())
        .env("DBFORGE_RUNTIME", "process")
        .output()
        .unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    let line = said.lines().find(|it| it[6..].starts_with("disk")).unwrap();
    assert!(line.starts_with("fail"), "{said}");

    let (status, job) = gateway.delete("/v1/databases/big?purge=true").unwrap();
    assert_eq!(status, 202, "{job}");
    let (status, readiness) = gateway.get("/readyz").unwrap();
    let lists = &readiness["checks"]["lists"]["ok"];
    let (listed, answer) = gateway.get("/v1/databases?limit=1").unwrap();
    assert!(status == 503 || listed == 200, "{readiness} {answer}");
    assert!(
        lists == &json!(false) || listed == 200,
        "{readiness} {answer}"
    );
    ended(&gateway, &job, "succeeded");
    gateway.poll("lists follow again, and commands are taken", || {
        gateway
            .get("/readyz")
            .is_some_and(|(status, _)| status == 200)
    });
    let (status, list) = gateway.get("/v1/databases?limit=10").unwrap();
    assert_eq!(status, 200, "{list}");
    assert!(gateway.stop());
    assert_verifies(&disk.data_dir());
}

#[test]
fn a_disk_that_fails_a_sync_turns_the_log_read_only_and_acknowledges_nothing() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    ready(&gateway, "shop");
    query(&gateway, "shop", "CREATE TABLE t(x)");
    assert!(gateway.stop());

    let journal = folder.path().join(".forge/journal/00000001.journal");
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-qqq", "-o", "/dev/null", "--signal=none"])
        .args([
            "--trace=fdatasync",
            "--inject=fdatasync:error=EIO:when=1+",
            "-P",
        ])
        .arg(&journal)
        .arg(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let gateway = GatewayProcess::try_start(strace, folder.path(), &settings).unwrap();
    for name in ["lost-1", "lost-2"] {
        let (status, answer) = gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!("log_read_only")),
            "{answer}"
        );
    }
    let (status, answer) = query(&gateway, "shop", "INSERT INTO t VALUES (1)");
    assert_eq!(status, 200, "SQL goes on: {answer}");
    let (_, answer) = gateway.get("/readyz").unwrap();
    assert!(answer.to_string().contains("read"), "{answer}");
    gateway.stop();

    let gateway = GatewayProcess::start(folder.path());
    let (status, _) = gateway.get("/v1/databases/shop").unwrap();
    assert_eq!(status, 200);
    ready(&gateway, "after");
    let (_, answer) = query(&gateway, "shop", "SELECT count(*) FROM t");
    assert_eq!(answer["rows"], json!([[1]]));
    assert!(gateway.stop());
    assert_verifies(folder.path());
}

#[test]
fn a_command_is_on_the_disk_before_it_is_answered() {
    let folder = passable_folder();
    let trace = folder.path().join("trace");
    let data_dir = folder.path().join("db-data");
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-y", "-qqq", "-s", "64", "--signal=none", "-o"])
        .arg(&trace)
        .arg("--trace=fdatasync,pwrite64,writev,write,sendto,recvfrom,read")
        .arg(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let gateway = GatewayProcess::try_start(strace, &data_dir, &settings).unwrap();
    let (status, _) = gateway
        .post("/v1/databases", &json!({"name": "shop"}))
        .unwrap();
    assert_eq!(status, 202);
    assert!(gateway.stop());

    let trace = std::fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let position = |what: &str, from: usize, is_it: &dyn Fn(&str) -> bool| {
        let found = lines.iter().skip(from).position(|it| is_it(it));
        from + found.unwrap_or_else(|| panic!("no {what} in the trace behind line {from}"))
    };
    let asked = position("request", 0, &|it| it.contains("POST /v1/databases"));
    let is_journal = |it: &str| it.contains(".journal");
    let written = position("write to the journal", asked, &|it| {
        it.contains("pwrite64(") && is_journal(it)
    });
    let begun = position("sync of the journal", written, &|it| {
        it.contains("fdatasync(") && is_journal(it)
    });
    let thread = lines[begun].split(' ').next().unwrap();
    let synced = if lines[begun].contains("<unfinished") {
        position("end of that sync", begun, &|it| {
            it.starts_with(thread) && it.contains("fdatasync resumed") && it.ends_with("= 0")
        })
    } else {
        assert!(lines[begun].ends_with("= 0"), "{}", lines[begun]);
        begun
    };
    let answered = position("answer", asked, &|it| it.contains("HTTP/1.1 202"));
    assert!(
        synced < answered,
        "synced at line {synced}, answered at {answered}"
    );
}

fn assert_verifies(data_dir: &Path) {
    let verified = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["log", "verify", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
}
