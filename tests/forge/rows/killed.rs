//! A long value in the running program, which is killed while it is written.
use crate::support::TempFolder;
use crate::support::children::{children, kill_children};
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::io::Read as _;

const SIZE: usize = 48 << 20;

fn put(gateway: &GatewayProcess, byte: u8) -> Option<u16> {
    let path = "/v1/databases/shop/tables/files/rows/1/content";
    let sent = ureq::put(format!("{}{path}", gateway.url))
        .header("X-API-Key", &gateway.token)
        .header("Content-Type", "application/octet-stream")
        .config()
        .http_status_as_error(false)
        .build()
        .send(&vec![byte; SIZE][..]);
    sent.ok().map(|answer| answer.status().as_u16())
}

/// The byte that the value is of, from its beginning to its end.
fn value(gateway: &GatewayProcess) -> u8 {
    let path = "/v1/databases/shop/tables/files/rows/1/content";
    let mut answer = ureq::get(format!("{}{path}", gateway.url))
        .header("X-API-Key", &gateway.token)
        .call()
        .unwrap();
    let mut bytes = Vec::new();
    let mut body = answer.body_mut().with_config().limit(1 << 30).reader();
    body.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), SIZE);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a value");
    bytes[0]
}

fn sql(gateway: &GatewayProcess, sql: &str) -> Value {
    let query = json!({"sql": sql});
    let (status, answer) = gateway.post("/v1/databases/shop/query", &query).unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_long_value_is_old_or_new_wherever_the_gateway_or_its_child_was_killed() {
    let folder = TempFolder::new();
    let mut gateway = GatewayProcess::start(folder.path());
    gateway.post("/v1/databases", &json!({"name": "shop"}));
    gateway.poll("shop is ready", || {
        let shop = gateway.get("/v1/databases/shop");
        shop.is_some_and(|(_, it)| it["state"] == "ready")
    });
    sql(
        &gateway,
        "CREATE TABLE files (id INTEGER PRIMARY KEY, content BLOB)",
    );
    sql(&gateway, "INSERT INTO files (id) VALUES (1)");
    assert_eq!(put(&gateway, b'a'), Some(204));
    let mut old = b'a';
    for (place, new) in (b'b'..).take(4).enumerate() {
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| put(&gateway, new));
            gateway.poll("a child writes, or has written", || {
                !children(&gateway).is_empty() || writing.is_finished()
            });
            match place % 2 {
                0 => gateway.kill_now(),
                _ => kill_children(&gateway),
            }
            let answered = writing.join().unwrap();
            assert!(matches!(answered, None | Some(204 | 503)), "{answered:?}");
        });
        if place % 2 == 0 {
            gateway.kill();
            gateway = GatewayProcess::start(folder.path());
        }
        let kept = value(&gateway);
        assert!([old, new].contains(&kept), "{kept} is neither old nor new");
        let check = sql(&gateway, "PRAGMA quick_check");
        assert_eq!(check["rows"], json!([["ok"]]));
        old = kept;
    }
    assert_eq!(put(&gateway, b'z'), Some(204));
    assert_eq!(value(&gateway), b'z');
}
