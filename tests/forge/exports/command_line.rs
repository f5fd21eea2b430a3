//! Data in and out by the commands of `dbforge`.
use crate::support::cli::CliForge;
use crate::support::sqlite;
use rusqlite::Connection;
use std::fs;
use tempfile::TempDir;

fn shop() -> (CliForge, TempDir) {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let sql = "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, photo BLOB)";
    forge.run(&["sql", "shop", sql]).well();
    let sql = "INSERT INTO goods (name, photo) VALUES ('tea', x'00ff'), ('=1', NULL)";
    forge.run(&["sql", "shop", sql]).well();
    (forge, TempDir::new().unwrap())
}

#[test]
fn rows_are_exported_to_a_pipe_and_to_files_by_their_suffixes() {
    let (forge, folder) = shop();
    let csv = "id,name,photo\r\n1,tea,AP8=\r\n2,=1,\r\n";
    assert_eq!(forge.run(&["export", "shop", "goods"]).well(), csv);
    let escaped = forge.run(&["export", "shop", "goods", "--escape-formulas"]);
    assert!(escaped.well().contains("'=1"));
    let made = "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, photo BLOB);\n";
    assert_eq!(forge.run(&["schema", "shop"]).well(), made);
    let query = "SELECT name FROM goods WHERE id = 1";
    let lines = forge.run(&["export", "shop", "--query", query, "--format", "ndjson"]);
    assert_eq!(lines.well(), "{\"name\":\"tea\"}\n");

    let file = folder.path().join("goods.csv");
    let name = file.to_str().unwrap();
    let ended = forge.run(&["export", "shop", "goods", "-o", name]);
    assert!(ended.err.contains("wrote"), "{ended:?}");
    assert_eq!(ended.well(), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), csv);
    let packed = folder.path().join("goods.json.gz");
    let ended = forge.run(&[
        "export",
        "shop",
        "goods",
        "-o",
        packed.to_str().unwrap(),
        "--json",
    ]);
    let said: serde_json::Value = serde_json::from_str(&ended.well()).unwrap();
    let bytes = fs::read(&packed).unwrap();
    assert_eq!(said["bytes"], bytes.len());
    assert_eq!(bytes[..2], [0x1f, 0x8b]);

    // What fails leaves the file that was there.
    let ended = forge.run(&["export", "shop", "gods", "-o", name]);
    assert!(ended.badly(1).contains("goods"));
    assert_eq!(fs::read_to_string(&file).unwrap(), csv);
    assert!(!folder.path().join("goods.csv.part").exists());
    forge.run(&["export", "shop"]).badly(2);
    forge
        .run(&["export", "shop", "goods", "--query", "SELECT 1"])
        .badly(2);
}

#[test]
fn a_database_is_dumped_as_sql_and_as_a_file() {
    let (forge, folder) = shop();
    let sql = forge.run(&["dump", "shop"]).well();
    let loaded = sqlite::in_memory();
    loaded.execute_batch(&sql).unwrap();
    let count = |sqlite: &Connection| -> i64 {
        let count = sqlite.query_row("SELECT count(*) FROM goods", [], |row| row.get(0));
        count.unwrap()
    };
    assert_eq!(count(&loaded), 2);
    let file = folder.path().join("shop.db");
    forge
        .run(&["dump", "shop", "-o", file.to_str().unwrap()])
        .well();
    assert_eq!(count(&sqlite::open(&file)), 2);
    let packed = folder.path().join("shop.sql.zst");
    forge
        .run(&["dump", "shop", "-o", packed.to_str().unwrap()])
        .well();
    assert_eq!(fs::read(&packed).unwrap()[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    let nowhere = folder.path().join("no/shop.db");
    let ended = forge.run(&["dump", "shop", "-o", nowhere.to_str().unwrap()]);
    assert!(ended.badly(2).contains("cannot write"));
    assert!(
        forge
            .run(&["dump", "shopp"])
            .badly(1)
            .contains("dbforge list")
    );
}

#[test]
fn a_dump_is_loaded_from_a_file_and_from_a_pipe() {
    let (forge, folder) = shop();
    let file = folder.path().join("shop.sql.gz");
    let name = file.to_str().unwrap();
    forge.run(&["dump", "shop", "-o", name]).well();
    forge.run(&["create", "copy"]).well();
    let said = forge.run(&["load", "copy", name]).well();
    assert!(said.contains("succeeded"), "{said}");
    let csv = forge.run(&["export", "copy", "goods"]).well();
    assert_eq!(csv, "id,name,photo\r\n1,tea,AP8=\r\n2,=1,\r\n");
    // A database that is not empty is left as it is, unless it is said what becomes of it.
    assert!(forge.run(&["load", "copy", name]).badly(1).contains("mode"));
    forge
        .run(&["load", "copy", name, "--mode", "replace"])
        .well();
    let sql = forge.run(&["dump", "shop"]).well();
    forge.run(&["create", "piped"]).well();
    let load = forge.command(&["load", "piped", "-", "--format", "sql"]);
    load.fed(&sql).well();
    let job = forge.json(&["load", "piped", name, "--mode", "replace", "--detach"]);
    assert_eq!(job["kind"], "load_database", "{job}");
    let said = forge.run(&["load", "piped", "/nowhere.sql"]).badly(3);
    assert!(said.contains("cannot read"), "{said}");
}

#[test]
fn rows_are_imported_from_files_and_from_a_pipe() {
    let (forge, folder) = shop();
    let file = folder.path().join("people.csv");
    fs::write(&file, "name,age\nAnn,7\nBob,8\n").unwrap();
    let name = file.to_str().unwrap();
    let said = forge.run(&["import", "shop", name]).well();
    assert!(said.contains("succeeded"), "{said}");
    let lines = "{\"name\":\"Cy\",\"age\":9}\n";
    let args = [
        "import", "shop", "-", "--table", "people", "--format", "ndjson",
    ];
    forge.command(&args).fed(lines).well();
    let rows = forge.run(&["export", "shop", "people"]).well();
    assert_eq!(rows, "name,age\r\nAnn,7\r\nBob,8\r\nCy,9\r\n");
    let job = forge.json(&["import", "shop", name, "--mode", "replace", "--detach"]);
    assert_eq!(job["kind"], "import_table", "{job}");

    fs::write(&file, "name,age\nAnn\n").unwrap();
    let ended = forge.run(&["import", "shop", name]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let unknown = folder.path().join("people.txt");
    fs::write(&unknown, "").unwrap();
    let said = forge.run(&["import", "shop", unknown.to_str().unwrap()]);
    assert!(said.badly(2).contains("--format"));
    let said = forge.run(&["import", "shop", "people.sql"]).badly(2);
    assert!(said.contains("dbforge load"), "{said}");
    forge
        .run(&["import", "shop", "-", "--format", "csv"])
        .badly(2);
}

#[test]
fn a_folder_of_migrations_is_applied_once() {
    let (forge, folder) = shop();
    let write = |name: &str, sql: &str| fs::write(folder.path().join(name), sql).unwrap();
    write("10_b.sql", "INSERT INTO made VALUES (2);");
    write(
        "2_a.sql",
        "CREATE TABLE made (v); INSERT INTO made VALUES (1);",
    );
    let path = folder.path().to_str().unwrap();
    let pending = forge.run(&["migrate", "shop", path, "--dry-run"]).well();
    assert_eq!(pending, "2_a\n10_b\n");
    let ended = forge.run(&["migrate", "shop", path]);
    assert!(ended.err.contains("2 applied"), "{ended:?}");
    ended.well();
    let ended = forge.run(&["migrate", "shop", path]);
    assert!(ended.err.contains("0 applied, 2 were"), "{ended:?}");
    let list = forge.run(&["migrate", "shop"]).well();
    assert_eq!(list.lines().count(), 3, "{list}");
    write("11_c.sql", "INSERT INTO gone VALUES (1);");
    let said = forge.run(&["migrate", "shop", path]).badly(1);
    assert!(
        said.contains("11_c") && said.contains("no such table"),
        "{said}"
    );
    write("2_a.sql", "SELECT 'other';");
    assert!(
        forge
            .run(&["migrate", "shop", path])
            .badly(1)
            .contains("2_a")
    );
    let empty = TempDir::new().unwrap();
    forge
        .run(&["migrate", "shop", empty.path().to_str().unwrap()])
        .badly(2);
}

#[test]
fn a_link_is_followed_and_a_pipe_or_a_device_is_written_to_and_stays() {
    let (forge, folder) = shop();
    let path = |name: &str| folder.path().join(name);
    let dump = |name: &str| {
        let out = path(name).to_str().unwrap().to_owned();
        forge.run(&["dump", "shop", "-o", &out])
    };
    let sql = forge.run(&["dump", "shop"]).well();
    fs::write(path("first.sql"), "old").unwrap();
    std::os::unix::fs::symlink("first.sql", path("latest.sql")).unwrap();
    dump("latest.sql").well();
    assert!(path("latest.sql").is_symlink());
    assert_eq!(fs::read_to_string(path("first.sql")).unwrap(), sql);
    // A link to a pipe, as /dev/stdout is one.
    let made = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("pipe", path("link.sql")).unwrap();
    let reading = std::thread::spawn({
        let pipe = path("pipe");
        move || fs::read_to_string(pipe).unwrap()
    });
    dump("link.sql").well();
    assert_eq!(reading.join().unwrap(), sql);
    assert!(path("link.sql").is_symlink());
    let left = fs::read_dir(folder.path()).unwrap();
    let parts = left.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".part")
    });
    assert_eq!(parts.count(), 0);
}
