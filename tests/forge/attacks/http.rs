//! The corpus's attacks on HTTP itself: names, bodies, the protocol, races; those of callers who
//! are not who they say are in `attack_callers.rs`.
use super::callers;
use super::client::{Answer, PATIENCE, read_answer};
use super::corpus::Entry;
use super::scene::{Scene, query};
use dbforge::clock::Stopwatch;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// What runs an entry, by its id or its kind.
pub(crate) fn attack_for(entry: &Entry) -> Option<fn(&Scene, &Entry)> {
    Some(match entry.id.as_str() {
        "FILE-219" => a_link_in_place_of_the_file,
        "HTTP-180" => callers::no_token_and_a_wrong_one,
        "HTTP-181" => callers::a_thousand_wrong_tokens,
        "HTTP-184" => callers::a_reader_that_manages,
        "HTTP-185" => callers::a_revoked_token,
        "HTTP-190" => callers::other_spellings_of_a_path,
        "HTTP-191" => callers::headers_that_claim,
        "HTTP-192" => callers::a_form_of_another_site,
        "HTTP-193" => callers::a_preflight_of_another_site,
        "HTTP-197" => deep_json,
        "HTTP-199" => numbers_that_are_none,
        "HTTP-200" => bodies_of_another_shape,
        "HTTP-201" => bodies_that_are_no_utf8,
        "HTTP-202" => heads_that_trickle_in,
        "HTTP-205" => http_2_frames,
        "HTTP-206" => long_heads,
        "HTTP-208" => two_hundred_clients_on_one_database,
        "HTTP-210" => one_key_for_two_requests,
        "HTTP-211" => twenty_who_create_and_delete,
        "HTTP-212" => callers::hosts_of_others,
        "HTTP-214" => markup_in_names,
        "HTTP-215" => line_breaks_for_the_trace,
        _ if entry.kind == "http.name" => a_name,
        _ => return None,
    })
}

/// Nothing came of it: no 5xx, no path, nothing new on the disk, nobody next door noticed.
pub(crate) fn without_effect(scene: &Scene, entry: &Entry, attack: impl FnOnce()) {
    let nowhere = PathBuf::new();
    let before = scene.files_outside(&nowhere);
    attack();
    scene.nobody_noticed(&entry.id, &before, &nowhere);
}

pub(crate) fn is_one_of(scene: &Scene, entry: &Entry, answer: &Answer, statuses: &[u16]) {
    scene.check(&entry.id, &entry.input, answer);
    let is_fine = statuses.contains(&answer.status);
    assert!(is_fine, "{}: not of {statuses:?}: {answer:.400?}", entry.id);
}

/// `POST /v1/databases {"name":"X"}  and  GET /v1/databases/X`.
fn a_name(scene: &Scene, entry: &Entry) {
    let (_, rest) = entry.input.split_once(r#"{"name":""#).unwrap();
    let (name, _) = rest.split_once(r#""}"#).unwrap();
    let name = super::scene::repeated(name);
    // Our rule for names, not the corpus's: these are names like others.
    let is_fine = ["victim.db", "CON", "x-journal"].contains(&&*name);
    let path = format!("/v1/databases/{name}");
    let get = scene.root.head("GET", &path, &[], 0);
    if !is_fine {
        return without_effect(scene, entry, || {
            let made = scene.root.post("/v1/databases", &json!({ "name": name }));
            is_one_of(scene, entry, &made, &[400]);
            if let Some(found) = scene.root.raw(get.as_bytes()) {
                // An empty name is the list's own path with a slash, which is no route.
                is_one_of(scene, entry, &found, &[400, 404, 414, 431]);
            }
        });
    }
    let body = json!({ "name": name }).to_string();
    let headers = [("Content-Type", "application/json"), ("Prefer", "wait=60")];
    let made = (scene.root).send("POST", "/v1/databases", &headers, body.as_bytes());
    is_one_of(scene, entry, &made, &[201]);
    let found = scene.root.raw(get.as_bytes()).unwrap();
    is_one_of(scene, entry, &found, &[200]);
    let id = found.json()["id"].as_str().unwrap().to_owned();
    let names_of_files = scene.files_outside(&scene.databases().join(&id));
    let named = (names_of_files.iter()).find(|it| it.to_string_lossy().contains(&name));
    assert_eq!(named, None, "{}: files are named by ids", entry.id);
}

fn a_link_in_place_of_the_file(scene: &Scene, entry: &Entry) {
    let neighbours = scene.with_our_paths("{DATA}/victim.db");
    for target in [neighbours.as_str(), "/etc/passwd"] {
        let on = scene.attacked();
        let file = on.folder.join("main.db");
        std::fs::rename(&file, on.folder.join("main.db-shm.aside")).unwrap();
        symlink(target, &file).unwrap();
        let answer = query(&scene.root, &on.name, "SELECT s FROM secrets");
        is_one_of(scene, entry, &answer, &[503]);
        assert_eq!(answer.code(), "data_missing");
        std::fs::remove_file(&file).unwrap();
        std::fs::hard_link(&neighbours, &file).unwrap();
        let answer = query(&scene.root, &on.name, "SELECT s FROM secrets");
        is_one_of(scene, entry, &answer, &[503]);
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(on.folder.join("main.db-shm.aside"), &file).unwrap();
        scene.is_whole(&entry.id, &on);
    }
}

fn deep_json(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let deep = "[".repeat(100_000);
        for body in [
            deep.clone(),
            format!(r#"{{"sql":"SELECT ?1","params":{deep}"#),
            format!(r#"{{"sql":"SELECT 1","x":{}"#, r#"{"a":"#.repeat(50_000)),
        ] {
            let answer = sent(scene, body.as_bytes());
            is_one_of(scene, entry, &answer, &[400]);
        }
    });
}

/// A body to the route for statements, as it is.
fn sent(scene: &Scene, body: &[u8]) -> Answer {
    let json = [("Content-Type", "application/json")];
    (scene.root).send("POST", "/v1/databases/victim/query", &json, body)
}

fn numbers_that_are_none(scene: &Scene, entry: &Entry) {
    for (number, expected) in [
        ("1e400", None),
        ("-1e400", None),
        ("NaN", None),
        ("Infinity", None),
        ("01", None),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("-0", Some(json!([[0]]))),
        ("9223372036854775807", Some(json!([[i64::MAX]]))),
        ("-9223372036854775808", Some(json!([[i64::MIN]]))),
        ("5e-324", Some(json!([[5e-324]]))),
    ] {
        let body = format!(r#"{{"sql":"SELECT ?1","params":[{number}]}}"#);
        let answer = sent(scene, body.as_bytes());
        match expected {
            None => is_one_of(scene, entry, &answer, &[400]),
            Some(rows) => {
                is_one_of(scene, entry, &answer, &[200]);
                let told = answer.json()["rows"].clone();
                let is_exact = told == rows || told == json!([[-0.0]]);
                assert!(is_exact, "{number} became {told}");
            }
        }
    }
}

fn bodies_of_another_shape(scene: &Scene, entry: &Entry) {
    let many = format!(
        r#"{{"sql":"SELECT 1","params":[{}0]}}"#,
        "0,".repeat(39_999)
    );
    for (body, named) in [
        (r#"{"sql":123}"#, "string"),
        ("[]", "array"),
        ("null", ""),
        ("7", ""),
        (r#"{"sql":"SELECT 1","reedonly":true}"#, "reedonly"),
        (r#"{"sql":"SELECT 1","sql":"DROP TABLE secrets"}"#, "sql"),
        (many.as_str(), "32766 parameters"),
        ("{}", "sql"),
        ("", "sql"),
    ] {
        let answer = sent(scene, body.as_bytes());
        is_one_of(scene, entry, &answer, &[400, 422]);
        assert!(answer.head.contains("application/problem+json"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named), "{body:.40}: {detail}");
    }
}

fn bodies_that_are_no_utf8(scene: &Scene, entry: &Entry) {
    let utf16: Vec<u8> =
        r#"{"sql":"SELECT 1"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [
        &b"{\"sql\":\"SELECT '\xff\xfe'\"}"[..],
        b"\xef\xbb\xbf{\"sql\":\"SELECT 1\"}",
        &utf16,
        b"\xff\xfe\x00\x00",
        br#"{"sql":"SELECT '\ud800'"}"#,
        br#"{"sql":"SELECT ?1","params":["\udc00\ud800"]}"#,
    ] {
        is_one_of(scene, entry, &sent(scene, body), &[400]);
    }
}

/// They stay open while the next entries are tried. That they are closed in time is told by
/// `http_serving::a_head_that_trickles_in_is_not_waited_for`.
fn heads_that_trickle_in(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let slow = (0..500).map(|_| {
            let mut stream = scene.root.connect();
            stream
                .write_all(b"GET /v1/databases HTTP/1.1\r\nX-")
                .unwrap();
            stream
        });
        scene.hold(slow.collect());
    });
}

/// HTTP/2 is not spoken: there are no streams to reset.
fn http_2_frames(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]); // SETTINGS
        for stream in 0..10_000_u32 {
            bytes.extend([0, 0, 1, 1, 4]); // HEADERS of one byte
            bytes.extend((stream * 2 + 1).to_be_bytes());
            bytes.push(0x82);
            bytes.extend([0, 0, 4, 3, 0]); // RST_STREAM
            bytes.extend((stream * 2 + 1).to_be_bytes());
            bytes.extend([0, 0, 0, 8]);
        }
        if let Some(answer) = scene.root.raw(&bytes) {
            is_one_of(scene, entry, &answer, &[400, 404, 405, 505]);
        }
    });
}

fn long_heads(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let long = format!("/v1/databases?q={}", "a".repeat(1 << 20));
        let many: Vec<_> = (0..10_000).map(|it| format!("X-{it}")).collect();
        let many: Vec<_> = many.iter().map(|it| (it.as_str(), "x")).collect();
        let nul = scene.root.head("GET", "/healthz", &[("X-Nul", "a\0b")], 0);
        for head in [
            scene.root.head("GET", &long, &[], 0),
            scene.root.head("GET", "/healthz", &many, 0),
            nul,
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "\r\n\r\n\r\n\0\0\0".to_owned(),
        ] {
            if let Some(answer) = scene.root.raw(head.as_bytes()) {
                is_one_of(scene, entry, &answer, &[400, 414, 431]);
            }
        }
    });
}

fn two_hundred_clients_on_one_database(scene: &Scene, entry: &Entry) {
    let (other, on) = (scene.attacked(), scene.attacked());
    let slow = json!({"sql": "SELECT count(*) FROM t, t, t, t", "timeout_ms": 1_000}).to_string();
    let slow = slow.replace("t, t, t, t", "t a, t b, t c, t d");
    let path = format!("/v1/databases/{}/query", on.name);
    let json = [("Content-Type", "application/json")];
    let request = scene.root.head("POST", &path, &json, slow.len()) + &slow;
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = scene.root.connect();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..50 {
        let answer = query(&scene.root, &other.name, "SELECT b FROM t WHERE rowid = 7");
        is_one_of(scene, entry, &answer, &[200]);
    }
    for mut stream in clients {
        let answer = read_answer(&mut stream).unwrap();
        is_one_of(scene, entry, &answer, &[422, 429, 503]);
    }
    scene.is_whole(&entry.id, &on);
}

fn one_key_for_two_requests(scene: &Scene, entry: &Entry) {
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "one-key"),
        ("Prefer", "wait=60"),
    ];
    let create = |name: &str| {
        let body = json!({ "name": name }).to_string();
        (scene.root).send("POST", "/v1/databases", &headers, body.as_bytes())
    };
    is_one_of(scene, entry, &create("keyed"), &[201]);
    is_one_of(scene, entry, &create("keyed-other"), &[409, 422]);
    let missing = scene.root.get("/v1/databases/keyed-other");
    is_one_of(scene, entry, &missing, &[404]);
}

fn twenty_who_create_and_delete(scene: &Scene, entry: &Entry) {
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let body = json!({"name": "contested"});
                    let made = scene.root.post("/v1/databases", &body);
                    is_one_of(scene, entry, &made, &[202, 409, 503]);
                    let path = "/v1/databases/contested";
                    let deleted = scene.root.send("DELETE", path, &[], b"");
                    is_one_of(scene, entry, &deleted, &[202, 404, 409, 410, 503]);
                }
            });
        }
    });
    let waiting = Stopwatch::start();
    while scene.metric("dbforge_unfinished_jobs{state=\"queued\"}")
        + scene.metric("dbforge_unfinished_jobs{state=\"running\"}")
        + scene.metric("dbforge_unfinished_jobs{state=\"retry_wait\"}")
        > 0.0
    {
        assert!(waiting.elapsed() < PATIENCE, "{}: jobs end", entry.id);
    }
    // The history, folded by another process, comes to the same state; every folder is somebody's.
    let state = scene.root.get("/v1/state?format=text").body;
    let data_dir = scene.databases().parent().unwrap().to_owned();
    let program = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dbforge"));
        program.args(arguments).current_dir(scene.home());
        program.output().unwrap()
    };
    let exported = program(&["log", "export", "--data-dir", data_dir.to_str().unwrap()]);
    let (log, asserted) = (
        scene.home().join("log.jsonl"),
        scene.home().join("state.txt"),
    );
    std::fs::write(&log, exported.stdout).unwrap();
    std::fs::write(&asserted, state).unwrap();
    let (log, asserted) = (log.to_str().unwrap(), asserted.to_str().unwrap());
    let replayed = program(&["replay", log, "--assert", asserted]);
    assert!(replayed.status.success(), "{}: {replayed:?}", entry.id);
    let known: BTreeSet<String> = (scene.root.get("/v1/databases?limit=1000").json()["data"])
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    for folder in std::fs::read_dir(scene.databases()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{}: {name} is nobody's", entry.id);
    }
}

fn markup_in_names(scene: &Scene, entry: &Entry) {
    const MARKUP: &str = "<script>alert(1)</script>";
    let on = scene.attacked();
    let sql = format!("SELECT * FROM \"{MARKUP}\"");
    let html = [("Accept", "text/html")];
    let encoded = MARKUP.replace('<', "%3C").replace('>', "%3E");
    let answers = [
        scene.ask(&entry.id, &scene.root, &on, &json!({ "sql": sql })),
        scene.root.post("/v1/databases", &json!({ "name": MARKUP })),
        scene.root.get(&format!("/problems/{encoded}")),
        scene
            .root
            .send("GET", &format!("/problems/{encoded}"), &html, b""),
        scene
            .root
            .send("GET", &format!("/v1/databases/{encoded}"), &html, b""),
        scene
            .root
            .send("GET", &format!("/docs/{encoded}"), &html, b""),
        scene.root.send("GET", "/problems/sql-error", &html, b""),
        scene.root.send("GET", "/docs/", &html, b""),
    ];
    for answer in &answers {
        scene.check(&entry.id, &entry.input, answer);
        let head = answer.head.to_ascii_lowercase();
        let is_page = head.contains("content-type: text/html");
        assert!(!is_page || !answer.body.contains(MARKUP), "{answer:?}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(
            !is_page || head.contains("content-security-policy: "),
            "{head}"
        );
    }
    scene.is_whole(&entry.id, &on);
}

/// The trace is looked at in the end: every line of it is one JSON object.
fn line_breaks_for_the_trace(scene: &Scene, entry: &Entry) {
    let on = scene.attacked();
    let breaks = "\r\n{\"level\":\"ERROR\"}\n\u{1b}[31mred\u{1b}[0m";
    let sql = json!({"sql": format!("SELECT '{breaks}' FROM {breaks}"), "params": ["top-secret"]});
    let answer = scene.ask(&entry.id, &scene.root, &on, &sql);
    is_one_of(scene, entry, &answer, &[400, 422]);
    let named = scene.root.post("/v1/databases", &json!({ "name": breaks }));
    is_one_of(scene, entry, &named, &[400]);
    let agent = [
        ("User-Agent", "a\u{1b}[31mb"),
        ("X-Request-Id", "\u{1b}]0;x"),
    ];
    if let Some(answer) = scene
        .root
        .raw(scene.root.head("GET", "/v1/jobs", &agent, 0).as_bytes())
    {
        is_one_of(scene, entry, &answer, &[200, 400]);
    }
    scene.is_whole(&entry.id, &on);
}
