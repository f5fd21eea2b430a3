//! The corpus's attacks by callers: no token, a wrong one, one of too little, claims in headers,
//! other sites.
use super::client::{Client, read_answer};
use super::corpus::Entry;
use super::http::{is_one_of, without_effect};
use super::scene::Scene;
use serde_json::json;
use std::io::Write;

pub(crate) fn no_token_and_a_wrong_one(scene: &Scene, entry: &Entry) {
    let told = |client: &Client| {
        let answer = client.get("/v1/databases");
        is_one_of(scene, entry, &answer, &[401]);
        let head = answer.head.to_ascii_lowercase();
        assert!(head.contains("\r\nwww-authenticate: bearer"), "{head}");
        let mut body = answer.json();
        body["request_id"].take();
        body
    };
    let unknown = told(&scene.root.with(Some("dbf_nobodys")));
    let wrong = told(&scene.root.with(Some(&"dbf_x".repeat(9))));
    assert_eq!(unknown, wrong, "a wrong token is told nothing more");
    told(&scene.root.with(None));
}

pub(crate) fn a_thousand_wrong_tokens(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let wrong = scene.root.with(Some("dbf_almost-the-right-one"));
        let mut pipelined = Vec::new();
        for _ in 0..1_000 {
            let head = wrong.head("GET", "/v1/databases", &[], 0);
            pipelined.extend(head.replace("Connection: close\r\n", "").into_bytes());
        }
        pipelined.extend(wrong.head("GET", "/v1/databases", &[], 0).into_bytes());
        let mut stream = wrong.connect();
        let mut reading = stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || stream.write_all(&pipelined));
        let answers = read_answer(&mut reading).unwrap();
        sending.join().unwrap().unwrap();
        let all = format!("{}\r\n\r\n{}", answers.head, answers.body);
        let refused = all.matches("HTTP/1.1 401 ").count() + all.matches("HTTP/1.1 429 ").count();
        assert_eq!((refused, all.matches("HTTP/1.1 ").count()), (1_001, 1_001));
    });
}

pub(crate) fn a_reader_that_manages(scene: &Scene, entry: &Entry) {
    let on = scene.attacked();
    let path = format!("/v1/databases/{}", on.name);
    let send = |method, path: &str| scene.reader.send(method, path, &[], b"");
    is_one_of(scene, entry, &send("DELETE", &path), &[403]);
    is_one_of(scene, entry, &send("POST", &format!("{path}/stop")), &[403]);
    let token = json!({"name": "mine", "scopes": ["admin"], "databases": ["*"]});
    let made = scene.reader.post("/v1/tokens", &token);
    is_one_of(scene, entry, &made, &[403]);
    let backups = send("POST", &format!("{path}/backups"));
    is_one_of(scene, entry, &backups, &[403, 404]);
    let sql = json!({"sql": "DELETE FROM t"});
    let written = scene.ask(&entry.id, &scene.reader, &on, &sql);
    is_one_of(scene, entry, &written, &[403]);
    scene.is_whole(&entry.id, &on);
}

pub(crate) fn a_revoked_token(scene: &Scene, entry: &Entry) {
    let body = json!({"name": "soon-revoked", "scopes": ["read"], "databases": ["*"]});
    let token = scene.root.post("/v1/tokens", &body).json();
    let client = scene.root.with(Some(token["token"].as_str().unwrap()));
    is_one_of(scene, entry, &client.get("/v1/databases"), &[200]);
    let path = format!("/v1/tokens/{}", token["id"].as_str().unwrap());
    let revoked = scene.root.send("DELETE", &path, &[], b"");
    assert!(revoked.status < 300, "{revoked:?}");
    is_one_of(scene, entry, &client.get("/v1/databases"), &[401]);
}

pub(crate) fn other_spellings_of_a_path(scene: &Scene, entry: &Entry) {
    let nobody = scene.root.with(None);
    for path in [
        "//v1/databases",
        "/v1/./databases",
        "/v1/databases/",
        "/V1/databases",
        "/v1/databases;x=1",
        "/%2fv1/databases",
        "/v1/%64atabases",
        "/healthz/../v1/databases",
        "/docs/../v1/databases",
        "/docs/..%2fv1/databases",
        "/docs//etc/passwd",
    ] {
        is_one_of(scene, entry, &nobody.get(path), &[401, 404]);
    }
}

pub(crate) fn headers_that_claim(scene: &Scene, entry: &Entry) {
    let claims = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1;host=evil.example"),
        ("X-Original-URL", "/healthz"),
        ("X-Rewrite-URL", "/healthz"),
        ("X-HTTP-Method-Override", "DELETE"),
    ];
    let on = scene.attacked();
    let path = format!("/v1/databases/{}", on.name);
    let nobody = scene.root.with(None);
    is_one_of(
        scene,
        entry,
        &nobody.send("GET", &path, &claims, b""),
        &[401],
    );
    let seen = scene.root.send("GET", &path, &claims, b"");
    is_one_of(scene, entry, &seen, &[200]);
    assert!(!seen.head.contains("evil.example") && !seen.body.contains("evil.example"));
    scene.is_whole(&entry.id, &on);
}

pub(crate) fn a_form_of_another_site(scene: &Scene, entry: &Entry) {
    without_effect(scene, entry, || {
        let nobody = scene.root.with(None);
        let cookie = format!("token={}", "dbf_x");
        let headers = [
            ("Origin", "https://evil.example"),
            ("Content-Type", "text/plain"),
            ("Cookie", cookie.as_str()),
        ];
        let body = br#"{"name":"of-another-site"}"#;
        let sent = nobody.send("POST", "/v1/databases", &headers, body);
        is_one_of(scene, entry, &sent, &[401, 403, 415]);
        let sent = scene.root.send("POST", "/v1/databases", &headers, body);
        is_one_of(scene, entry, &sent, &[415]);
    });
    let missing = scene.root.get("/v1/databases/of-another-site");
    is_one_of(scene, entry, &missing, &[404]);
}

pub(crate) fn a_preflight_of_another_site(scene: &Scene, entry: &Entry) {
    for origin in ["null", "https://evil.example"] {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "DELETE"),
        ];
        for path in ["/v1/databases", "/v1/databases/victim/query"] {
            let answer = scene.root.send("OPTIONS", path, &headers, b"");
            scene.check(&entry.id, "", &answer);
            let head = answer.head.to_ascii_lowercase();
            assert!(!head.contains("access-control-allow"), "{head}");
        }
    }
}

pub(crate) fn hosts_of_others(scene: &Scene, entry: &Entry) {
    for hosts in [
        "Host: evil.example\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: evil.example\r\n",
        "",
    ] {
        for path in ["/", "/v1/databases", "/docs", "/openapi.json"] {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
            if let Some(answer) = scene.root.raw(request.as_bytes()) {
                scene.check(&entry.id, "", &answer);
                let told = answer.head + &answer.body;
                assert!(!told.contains("evil.example"), "{}: {told:.300}", entry.id);
            }
        }
    }
}
