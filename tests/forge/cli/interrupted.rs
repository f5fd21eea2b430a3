//! Ctrl-C while data goes in or out: the command leaves its job, cancels it, or leaves nothing, as
//! it is told. And downloads that break off.
use crate::support::children::children;
use crate::support::cli::CliForge;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

/// It does not end by itself, so that its middle can be met.
const ENDLESS: &str = "CREATE TABLE t(a);
    INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
    SELECT count(*) FROM c;";

fn shop() -> CliForge {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    fs::write(forge.folder.path().join("endless.sql"), ENDLESS).unwrap();
    forge
}

fn file(forge: &CliForge, name: &str) -> String {
    let path = forge.folder.path().join(name);
    path.to_str().unwrap().to_owned()
}

/// The last load.
fn load(forge: &CliForge) -> Value {
    let path = "/v1/jobs?kind=load_database&order=desc&limit=1";
    let (_, jobs) = forge.gateway.get(path).unwrap();
    jobs["data"][0].clone()
}

fn is_cancelled(forge: &CliForge) -> bool {
    load(forge)["state"] == "cancelled"
}

#[test]
fn the_first_ctrl_c_says_how_to_go_on_and_the_second_leaves_the_job() {
    let forge = shop();
    let mut running = forge
        .command(&["load", "shop", &file(&forge, "endless.sql")])
        .start();
    forge
        .gateway
        .poll("a child works", || !children(&forge.gateway).is_empty());
    running.interrupt();
    running.says("the job goes on; Ctrl-C again stops waiting");
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{ended:?}");
    let id = load(&forge)["id"].as_str().unwrap().to_owned();
    assert!(
        ended.err.contains(&format!("dbforge jobs watch {id}")),
        "{ended:?}"
    );
    assert_eq!(load(&forge)["state"], "running");
    assert!(!children(&forge.gateway).is_empty(), "its child goes on");
    forge.run(&["jobs", "cancel", &id]);
    forge
        .gateway
        .poll("the job is cancelled", || is_cancelled(&forge));
}

#[test]
fn ctrl_c_cancels_the_job_where_that_was_asked_for() {
    let forge = shop();
    let args = [
        "load",
        "shop",
        &file(&forge, "endless.sql"),
        "--cancel-on-interrupt",
    ];
    let mut running = forge.command(&args).start();
    forge
        .gateway
        .poll("a child works", || !children(&forge.gateway).is_empty());
    running.interrupt();
    running.says("cancelling");
    let ended = running.ended();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("was cancelled"), "{ended:?}");
    assert!(is_cancelled(&forge));
    assert_eq!(children(&forge.gateway), [0; 0]);
}

#[test]
fn ctrl_c_while_a_file_is_sent_leaves_nothing() {
    let forge = shop();
    let args = ["import", "shop", "-", "--table", "t", "--format", "csv"];
    let mut running = forge.command(&args).start();
    // The pipe stays open: more may come.
    let input = running.input.as_mut().unwrap();
    input.write_all(b"id,name\n1,one\n").unwrap();
    let receives = || {
        let uploads = fs::read_dir(forge.folder.path().join("uploads")).unwrap();
        uploads.count() > 0
    };
    forge.gateway.poll("the file is being received", receives);
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(ended.out, "");
    forge.gateway.poll("the upload is gone", || !receives());
    let (_, jobs) = forge.gateway.get("/v1/jobs?kind=import_table").unwrap();
    assert_eq!(jobs["data"], json!([]));
}

#[test]
fn ctrl_c_while_rows_come_leaves_no_file() {
    let forge = shop();
    let out = file(&forge, "rows.csv");
    let query = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c";
    let args = ["export", "shop", "--query", query, "-o", &out];
    let running = forge.command(&args).start();
    let partial = format!("{out}.part");
    forge.gateway.poll("rows come", || {
        fs::metadata(&partial).is_ok_and(|about| about.len() > 0)
    });
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(!Path::new(&partial).exists());
    assert!(!Path::new(&out).exists());
}

/// The gateway may need an hour for a file before its first byte.
#[test]
fn ctrl_c_ends_a_command_whose_gateway_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let forge = shop();
    let running = forge
        .command(&["dump", "shop", "-o", &file(&forge, "shop.sql")])
        .setting("DBFORGE_URL", &url)
        .start();
    let (asking, _) = silent.accept().unwrap();
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.err.contains("interrupted"), "{ended:?}");
    drop(asking);
}

/// Between a command and a gateway: breaks each of the first answers off after so many bytes.
fn breaking(gateway: &str, breaks: Vec<u64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = gateway.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        let mut breaks = breaks.into_iter();
        for client in listener.incoming() {
            let client = client.unwrap();
            let most = breaks.next().unwrap_or(u64::MAX);
            let server = TcpStream::connect(&gateway).unwrap();
            relay(&client, &server, most);
        }
    });
    url
}

/// Hands one request on, and at most so many bytes of its answer.
fn relay(client: &TcpStream, server: &TcpStream, most: u64) {
    let mut head = Vec::new();
    let mut asking = BufReader::new(client);
    while !head.ends_with(b"\r\n\r\n") && asking.read_until(b'\n', &mut head).unwrap() > 0 {}
    let head = String::from_utf8(head).unwrap();
    // So that the answer has an end of its own.
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut to_server = server;
    to_server.write_all(head.as_bytes()).unwrap();
    let mut to_client = client;
    // The command may be gone by then.
    let _ = std::io::copy(&mut server.take(most), &mut to_client);
}

#[test]
fn a_dump_that_breaks_off_goes_on_where_it_was() {
    let forge = shop();
    let rows = "CREATE TABLE t AS WITH RECURSIVE c(n) AS \
                (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 40000) SELECT n, hex(n) AS h FROM c";
    forge.run(&["sql", "shop", rows]).well();
    let whole = forge.run(&["dump", "shop"]).well();
    assert!(whole.len() > 1_000_000);
    let url = breaking(&forge.gateway.url, vec![300_000, 10_000, 500_000]);
    let out = file(&forge, "shop.sql");
    let dump = |url: &str| {
        let args = ["dump", "shop", "-o", &out];
        forge.command(&args).setting("DBFORGE_URL", url).run()
    };
    dump(&url).well();
    assert!(fs::read_to_string(&out).unwrap() == whole);
    assert!(!Path::new(&format!("{out}.part")).exists());
    // Where the gateway does not answer any more, it gives up, and what was there stays.
    let url = breaking(&forge.gateway.url, vec![300_000, 0]);
    let ended = dump(&url);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(fs::read_to_string(&out).unwrap() == whole);
    assert!(!Path::new(&format!("{out}.part")).exists());
}
