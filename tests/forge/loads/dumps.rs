//! SQL text that is loaded: dumps of several programs, and what is refused of others.
use super::{forge, import, refused, result, rows};
use serde_json::json;

/// As sqlite3 3.50 and later writes it, with an FTS5 and an R*Tree table; its index of FTS5 is
/// rubbish, which must not be used.
const DUMP: &str = "PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE orders(id INTEGER PRIMARY KEY, user INT REFERENCES users(id), total REAL,
  twice REAL GENERATED ALWAYS AS (total*2) STORED);
INSERT INTO orders VALUES(1,1,1.5);
CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, \"odd \"\"name;\" TEXT DEFAULT \"it's\");
INSERT INTO users VALUES(1,unistr('line\\u000abreak; --'));
INSERT INTO users VALUES(2,'it''s');
CREATE TABLE w(a TEXT, b INT, PRIMARY KEY(b,a)) WITHOUT ROWID;
INSERT INTO w VALUES(X'00ff',9223372036854775807);
PRAGMA writable_schema=ON;
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(title, tokenize=''porter'')');
CREATE TABLE IF NOT EXISTS 'f_data'(id INTEGER PRIMARY KEY, block BLOB);
INSERT INTO f_data VALUES(1,X'deadbeef');
INSERT INTO f_data VALUES(10,X'ffffffffff');
CREATE TABLE IF NOT EXISTS 'f_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS 'f_content'(id INTEGER PRIMARY KEY, c0);
INSERT INTO f_content VALUES(7,'the running man');
CREATE TABLE IF NOT EXISTS 'f_docsize'(id INTEGER PRIMARY KEY, sz BLOB);
INSERT INTO f_docsize VALUES(7,X'03');
CREATE TABLE IF NOT EXISTS 'f_config'(k PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO f_config VALUES('version',4);
INSERT INTO f_config VALUES('rank','bm25(5.0)');
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','r','r',0,'CREATE VIRTUAL TABLE r USING rtree(id,x0,x1,+label)');
CREATE TABLE IF NOT EXISTS \"r_rowid\"(rowid INTEGER PRIMARY KEY,nodeno,a0);
INSERT INTO r_rowid VALUES(5,1,'five');
CREATE TABLE IF NOT EXISTS \"r_node\"(nodeno INTEGER PRIMARY KEY,data);
INSERT INTO r_node VALUES(1,X'0000000100000000000000053f80000040000000');
CREATE TABLE IF NOT EXISTS \"r_parent\"(nodeno INTEGER PRIMARY KEY,parentnode);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('users',41);
CREATE INDEX by_user ON orders(user);
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 VALUES('orders','by_user','1 1');
CREATE TRIGGER t AFTER INSERT ON orders BEGIN
  UPDATE users SET id = CASE WHEN id > 0 THEN id ELSE 1 END; SELECT 1;
END;
CREATE VIEW v AS SELECT * FROM nowhere;
PRAGMA writable_schema=OFF;
COMMIT;
";

#[tokio::test]
async fn a_dump_of_sqlite_loads_as_it_is() {
    let forge = forge().await;
    let job = import(&forge, "", DUMP.as_bytes()).await;
    let result = result(&job);
    assert_eq!(result["form"], "sql");
    assert_eq!(result["foreign_key_violations"], 0);
    let users = rows(&forge, "SELECT * FROM users").await;
    assert_eq!(users, json!([[1, "line\nbreak; --"], [2, "it's"]]));
    let found = rows(&forge, "SELECT rowid, title FROM f WHERE f MATCH 'run'").await;
    assert_eq!(found, json!([[7, "the running man"]]));
    let config = rows(&forge, "SELECT v FROM f_config WHERE k = 'rank'").await;
    assert_eq!(config, json!([["bm25(5.0)"]]));
    let boxes = rows(&forge, "SELECT * FROM r WHERE x0 <= 1 AND x1 >= 2").await;
    assert_eq!(boxes, json!([[5, 1.0, 2.0, "five"]]));
    rows(&forge, "INSERT INTO orders(user,total) VALUES(2,3)").await;
    let orders = rows(&forge, "SELECT twice FROM orders ORDER BY id").await;
    assert_eq!(orders, json!([[3.0], [6.0]]));
    rows(&forge, "INSERT INTO users DEFAULT VALUES").await;
    let last = rows(&forge, "SELECT max(id) FROM users").await;
    assert_eq!(last, json!([[42]]), "the sequence goes on");
    let stored = rows(&forge, "SELECT a, b FROM w").await;
    assert_eq!(stored[0][1], json!(9_223_372_036_854_775_807_i64));
    let sound = rows(&forge, "PRAGMA integrity_check").await;
    assert_eq!(sound, json!([["ok"]]));
}

#[tokio::test]
async fn dumps_of_other_programs_load_as_far_as_they_are_sqlites() {
    for (program, dump) in [
        (
            "Python's iterdump",
            "BEGIN TRANSACTION;\nDELETE FROM \"sqlite_sequence\";\nINSERT INTO \"sqlite_sequence\" VALUES('t',3);\n\
             CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);\nINSERT INTO \"t\" VALUES(1,'x');\nCOMMIT;\n",
        ),
        (
            "Python's iterdump, of full text",
            "BEGIN TRANSACTION;\nPRAGMA writable_schema=ON;\nINSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(b)');\n\
             INSERT INTO \"f\" VALUES('found');\nCREATE TABLE 'f_content'(id INTEGER PRIMARY KEY, c0);\n\
             INSERT INTO \"f_content\" VALUES(9,'found');\nCREATE TABLE t(id INTEGER PRIMARY KEY, a);\n\
             INSERT INTO \"t\" SELECT id - 8, 'x' FROM f_content;\nPRAGMA writable_schema=OFF;\nCOMMIT;\n",
        ),
        (
            "sqlite3 3.53",
            "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nPRAGMA writable_schema=ON;\n\
             CREATE TABLE IF NOT EXISTS sqlite_sequence(name,seq);\nDELETE FROM sqlite_sequence;\n\
             INSERT INTO sqlite_sequence VALUES('t',7);\nPRAGMA writable_schema=OFF;\n\
             CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);\nINSERT INTO t VALUES(1,'x');\nCOMMIT;\n",
        ),
        (
            "D1",
            "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);\n\
             INSERT INTO \"t\" (\"id\",\"a\") VALUES(1,replace('x','\\n',char(10)));\n",
        ),
        (
            "libSQL's shell",
            "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE VIRTUAL TABLE f USING fts5(b);\n\
             CREATE TABLE 'f_data'(id INTEGER PRIMARY KEY, block BLOB);\nINSERT INTO f_data VALUES(1,X'00');\n\
             CREATE TABLE 'f_content'(id INTEGER PRIMARY KEY, c0);\nINSERT INTO f_content VALUES(1,'found');\n\
             CREATE TABLE t(id INTEGER PRIMARY KEY, a);\nINSERT INTO t SELECT 1,'x';\nCOMMIT",
        ),
        (
            "mysql2sqlite",
            "PRAGMA synchronous = OFF;\nPRAGMA journal_mode = MEMORY;\nBEGIN TRANSACTION;\n\
             /*!40101 SET NAMES utf8 */;\nCREATE TABLE `t` (\n  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT\n,  `a` varchar(20) DEFAULT NULL\n);\n\
             INSERT INTO `t` VALUES (1,'x');\nCREATE INDEX \"idx_t_a\" ON \"t\" (`a`);\nEND TRANSACTION;\n",
        ),
        (
            "APSW's shell",
            "PRAGMA writable_schema=ON;\nBEGIN TRANSACTION;\nDROP TABLE IF EXISTS t;\nCREATE TABLE t(id INTEGER PRIMARY KEY, a);\n\
             INSERT INTO t VALUES(1,'x');\nDELETE FROM sqlite_schema WHERE name='f' AND type='table';\n\
             INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(b)');\n\
             DROP TABLE IF EXISTS f_content;\nCREATE TABLE 'f_content'(id INTEGER PRIMARY KEY, c0);\n\
             INSERT INTO f_content VALUES(1,'found');\nCOMMIT TRANSACTION;\nPRAGMA writable_schema=OFF;\n\
             BEGIN;\nCREATE TABLE no_such_table(x);\nROLLBACK;\n",
        ),
        (
            "an editor, with a mark of byte order and CRLF",
            "\u{feff}-- ours\r\nCREATE TABLE t(id INTEGER PRIMARY KEY, a);\r\nINSERT INTO t VALUES(1,'x')",
        ),
    ] {
        let forge = forge().await;
        let job = import(&forge, "", dump.as_bytes()).await;
        result(&job);
        assert_eq!(
            rows(&forge, "SELECT * FROM t").await,
            json!([[1, "x"]]),
            "{program}"
        );
        let taken_back = "SELECT count(*) FROM sqlite_schema WHERE name = 'no_such_table'";
        assert_eq!(rows(&forge, taken_back).await, json!([[0]]), "{program}");
        if dump.contains("fts5") {
            let found = rows(&forge, "SELECT count(*) FROM f WHERE f MATCH 'found'").await;
            assert_eq!(found, json!([[1]]));
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_named_with_its_line_and_what_to_do() {
    let forge = forge().await;
    for (dump, words) in [
        (
            "SELECT 1;\n.read /etc/passwd\n",
            &["Line 2", ".read", "shell"][..],
        ),
        ("ATTACH '/etc/x' AS y;", &["Line 1", "ATTACH"]),
        (
            "CREATE TABLE t(a);\nSELECT load_extension('x');",
            &["Line 2", "not allowed"],
        ),
        (
            "CREATE VIEW v AS SELECT 1;\n\nPRAGMA temp_store_directory='/';",
            &["Line 3", "temp_store_directory"],
        ),
        (
            "BEGIN;\nCREATE TABLE t(a);\nROLLBACK; -- due to errors\n",
            &["Line 3", "errors"],
        ),
        ("BEGIN;\nCREATE TABLE t(a);\n", &["line 1", "cut off"]),
        (
            "CREATE TABLE t(a);\nINSERT INTO t VALUES('half",
            &["line 2", "ends inside"],
        ),
        (
            "\nCREATE TABLE t(id INT AUTO_INCREMENT) ENGINE=InnoDB;",
            &["Line 2", "MySQL"],
        ),
        ("INSERT INTO t VALUES('it\\'s');", &["line 1", "backslash"]),
        (
            "CREATE TABLE t(a);\nCOPY public.t (a) FROM stdin;\n1\n\\.\n",
            &["Line 2", "PostgreSQL"],
        ),
        (
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','c','c',0,'CREATE VIRTUAL TABLE c USING fts5(a, content='''')');\nCREATE TABLE 'c_data'(id INTEGER PRIMARY KEY, block BLOB);",
            &["Line 1", "`c`", "contentless"],
        ),
        (
            "CREATE VIRTUAL TABLE z USING vec0(a);",
            &["Line 1", "vec0", "`z`"],
        ),
        (
            "INSERT INTO sqlite_schema VALUES('table','t','t',2,'CREATE TABLE t(a)');",
            &["Line 1", "sqlite_schema"],
        ),
        ("DELETE FROM sqlite_schema;", &["Line 1"]),
        (
            "BEGIN;\nSAVEPOINT a;\nROLLBACK TO a;",
            &["Line 3", "ROLLBACK TO"],
        ),
        ("VACUUM INTO '/tmp/x';", &["Line 1", "VACUUM INTO"]),
        ("DROP DATABASE IF EXISTS x;", &["Line 1", "database server"]),
        (
            "CREATE TABLE t(a);\nINSERT INTO t VALUES (N'x');",
            &["Line 2", "SQL Server"],
        ),
        ("-- nothing\n", &["no statement"]),
    ] {
        let job = import(&forge, "", dump.as_bytes()).await;
        let said = refused(&job);
        for word in words {
            assert!(said.contains(word), "{dump}\n{said}");
        }
        assert_eq!(
            rows(&forge, "SELECT count(*) FROM sqlite_schema").await,
            json!([[0]])
        );
    }
    assert_eq!(forge.folders("trash"), [""; 0], "nothing was replaced");
    let left = forge.folders("databases");
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn an_error_of_a_statement_does_not_tell_its_values() {
    let forge = forge().await;
    let dump = "CREATE TABLE t(a UNIQUE);INSERT INTO t VALUES('secret'),('secret');";
    let job = import(&forge, "", dump.as_bytes()).await;
    assert!(refused(&job).contains("UNIQUE constraint failed: t.a"));
    assert!(!job.to_string().contains("secret"), "{job}");
}

#[tokio::test]
async fn statements_of_any_length_and_number_load() {
    let forge = forge().await;
    let mut dump = String::from("CREATE TABLE t(id INTEGER PRIMARY KEY, a);\n");
    dump += &format!("INSERT INTO t VALUES(0,X'{}');\n", "ab".repeat(20 << 20));
    for n in 1..=20_000 {
        dump += &format!("INSERT INTO t VALUES({n},'row; {n}');\n");
    }
    let job = import(&forge, "", dump.as_bytes()).await;
    let result = result(&job);
    assert_eq!(result["rows"], 20_001);
    assert_eq!(result["statements"], 20_002);
    let sums = rows(&forge, "SELECT count(*), sum(id), max(length(a)) FROM t").await;
    assert_eq!(sums, json!([[20_001, 200_010_000, 20 << 20]]));
}

#[tokio::test]
async fn the_limit_of_the_database_holds() {
    let forge = forge().await;
    let limits = r#"{"limits":{"size_bytes":65536}}"#;
    forge.send("PATCH", "/v1/databases/shop", limits).await;
    let dump = format!(
        "CREATE TABLE t(a);INSERT INTO t VALUES('{}');",
        "x".repeat(100_000)
    );
    let job = import(&forge, "", dump.as_bytes()).await;
    assert_eq!(job["problem"]["code"], "quota_exceeded", "{job}");
    assert_eq!(job["problem"]["status"], 507);
}

#[tokio::test]
async fn texts_that_are_no_utf8_keep_their_bytes() {
    let forge = forge().await;
    let dump = b"CREATE TABLE t(a TEXT);\nINSERT INTO t VALUES('caf\xe9 ''1''');\n";
    result(&import(&forge, "", dump).await);
    let stored = rows(&forge, "SELECT typeof(a), hex(a) FROM t").await;
    assert_eq!(stored, json!([["text", "636166E920273127"]]));
    let job = import(&forge, "?mode=insert", b"INSERT INTO \"\xe9\" VALUES(1);").await;
    assert!(refused(&job).contains("not UTF-8"));
}

#[tokio::test]
async fn texts_in_double_quotes_stay_texts_in_triggers_and_views() {
    let forge = forge().await;
    let dump = "CREATE TABLE log(m);
CREATE TABLE t(a, s CHECK(s IN (\"on\",\"off\")));
CREATE TRIGGER tr AFTER INSERT ON t WHEN new.\"s\" = \"on\" BEGIN
  INSERT INTO log VALUES(\"it's\"); END;
CREATE VIEW v AS SELECT \"lit\" AS b, \"a\" FROM t WHERE s IN (\"on\");
CREATE VIEW of_v AS SELECT \"b\", \"A\" \"c\" FROM \"v\" ORDER BY \"c\";";
    let job = import(&forge, "", dump.as_bytes()).await;
    let notes = result(&job)["notes"].to_string();
    assert!(
        notes.contains("The trigger `tr` has texts in double quotes"),
        "{notes}"
    );
    assert!(
        notes.contains("in single quotes now: 'lit', 'on'"),
        "{notes}"
    );
    rows(&forge, "INSERT INTO t VALUES (1, 'on'), (2, 'off')").await;
    let log = rows(&forge, "SELECT m FROM log").await;
    assert_eq!(log, json!([["it's"]]));
    let view = rows(&forge, "SELECT * FROM of_v").await;
    assert_eq!(view, json!([["lit", 1]]));
}
