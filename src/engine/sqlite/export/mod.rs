//! What leaves a database as a file: a copy of it while others write, SQLite's own file, SQL.
mod dump;
mod error;
pub(crate) mod literals;
mod virtual_tables;

use self::error::{ExportError, is_of_the_schema};
use super::files::{self, MAIN_FILE, require_plain, sqlite_error};
use super::functions::{self, additions, fts5};
use super::sandbox::execution_limits::InterruptHandle;
use crate::engine::DataFileError;
use crate::engine::exporting::{ExportOrder, ExportReport, FileCompression, FileFormat, FileKind};
use crate::engine::sql::schema::quoted;
use crate::packed_file::PackedFile;
use crate::runtime::child::{ChildFailure, ChildFailureCode};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// The file that VACUUM writes, beside the copy.
const COMPACT_FILE: &str = "compact.db";

/// Takes one step.
///
/// # Errors
/// As [`crate::engine::Engine::export`].
pub(super) fn export(order: &ExportOrder) -> Result<ExportReport, ChildFailure> {
    let done = match order {
        ExportOrder::Copy { folder, copy } => {
            copy_database(folder, copy).map(|()| ExportReport::default())
        }
        ExportOrder::Write { copy, out, kind } => write(copy, out, *kind),
    };
    done.map_err(|error| {
        let code = match &error {
            ExportError::NoForm(_) => ChildFailureCode::Refused,
            ExportError::Data(DataFileError::Missing) => ChildFailureCode::DataMissing,
            ExportError::Data(DataFileError::DiskFull) => ChildFailureCode::DiskFull,
            ExportError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                ChildFailureCode::DiskFull
            }
            ExportError::Data(_) | ExportError::Io(_) => ChildFailureCode::Internal,
        };
        ChildFailure::new(code, error.to_string())
    })
}

fn copy_database(folder: &Path, copy: &Path) -> Result<(), ExportError> {
    let file = folder.join(MAIN_FILE);
    require_plain(&file)?;
    let copied = || -> rusqlite::Result<StepResult> {
        let from = open(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        from.busy_timeout(files::BUSY_TIMEOUT)?;
        // A connection that only reads leaves the WAL to those that write.
        from.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut to = open(&copy.join(MAIN_FILE), create)?;
        // A copy that is cut off is made anew.
        to.pragma_update(None, "synchronous", "OFF")?;
        to.pragma_update(None, "journal_mode", "OFF")?;
        // In one step: with pauses, each write in between would begin it anew.
        let step = Backup::new(&from, &mut to)?.step(-1)?;
        to.close().map_err(|(_, error)| error)?;
        Ok(step)
    };
    match copied() {
        Ok(StepResult::Done) => Ok(()),
        Ok(_) => Err(DataFileError::Busy.into()),
        Err(error) => Err(sqlite_error("copy the database", &error).into()),
    }
}

fn write(copy: &Path, out: &Path, kind: FileKind) -> Result<ExportReport, ExportError> {
    let open = |error| ExportError::of_sqlite("read the database", &error);
    let sqlite = open_copy(copy).map_err(open)?;
    drop_unfinished(&sqlite).map_err(open)?;
    match (kind.format, kind.compression) {
        (FileFormat::Native, None) => {
            compact(&sqlite, copy, out)?;
            Ok(ExportReport::default())
        }
        (FileFormat::Native, compression) => {
            let plain = copy.join(COMPACT_FILE);
            compact(&sqlite, copy, &plain)?;
            let mut packed = new_file(out, compression)?;
            io::copy(&mut File::open(&plain)?, &mut packed)?;
            packed.finish()?;
            fs::remove_file(plain)?;
            Ok(ExportReport::default())
        }
        (FileFormat::Sql, compression) => {
            let mut out = new_file(out, compression)?;
            let left_out = dump::dump(&sqlite, &mut out)?;
            out.finish()?;
            Ok(ExportReport { left_out })
        }
    }
}

/// Writes all of a database to a new file, without room that is free. Where its schema names what is
/// not there, SQLite cannot write it anew: then the file is the copy, as it is.
fn compact(sqlite: &Connection, copy: &Path, out: &Path) -> Result<(), ExportError> {
    let written = || -> rusqlite::Result<()> {
        let out = out
            .to_str()
            .ok_or(rusqlite::Error::InvalidPath(out.into()))?;
        sqlite.execute("VACUUM INTO ?1", [out])?;
        Ok(())
    };
    match written() {
        Err(error) if is_of_the_schema(&error) => {
            if out.exists() {
                fs::remove_file(out)?;
            }
            let plain = sqlite.pragma_update(None, "journal_mode", "DELETE");
            plain.map_err(|error| ExportError::of_sqlite("read the database", &error))?;
            let mut written = new_file(out, None)?;
            io::copy(&mut File::open(copy.join(MAIN_FILE))?, &mut written)?;
            Ok(written.finish()?)
        }
        other => other.map_err(|error| ExportError::of_sqlite("write the database", &error)),
    }
}

fn new_file(path: &Path, compression: Option<FileCompression>) -> io::Result<PackedFile> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    match compression {
        None => Ok(PackedFile::plain(file)),
        Some(FileCompression::Gzip) => Ok(PackedFile::gzip(file)),
        Some(FileCompression::Zstd) => PackedFile::zstd(file),
    }
}

/// A copy with the functions that its schema may call. Nothing in it is run but for that.
fn open_copy(copy: &Path) -> rusqlite::Result<Connection> {
    let sqlite = open(&copy.join(MAIN_FILE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    sqlite.pragma_update(None, "synchronous", "OFF")?;
    functions::replace_in(&sqlite)?;
    fts5::replace_in(&sqlite)?;
    additions::add_to(&sqlite, &Arc::new(InterruptHandle::default()))?;
    Ok(sqlite)
}

/// Drops what an import that goes on has beside the tables: it is no part of the database yet.
fn drop_unfinished(sqlite: &Connection) -> rusqlite::Result<()> {
    let mut list = sqlite.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND
            (name GLOB '_dbforge_import_*' OR name GLOB '_dbforge_position_*')",
    )?;
    let names = list.query_map([], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
    drop(list);
    for name in names {
        sqlite.execute_batch(&format!("DROP TABLE {}", quoted(&name)))?;
    }
    Ok(())
}

fn open(file: &Path, how: OpenFlags) -> rusqlite::Result<Connection> {
    super::process::set_up_process();
    let flags = how | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Connection::open_with_flags(file, flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use tempfile::TempDir;

    /// Everything that is easily lost on the way.
    const EVERYTHING: &str = r#"
        PRAGMA application_id = 77;
        PRAGMA user_version = 7;
        CREATE TABLE plain (a, b TEXT, c REAL, d BLOB);
        INSERT INTO plain VALUES
            (1, 'it''s' || char(10) || 'two', 0.1, x'00ff'),
            (NULL, '', 1e999, x''),
            (-9223372036854775808, 'a' || char(13, 10) || 'b', -1e999, zeroblob(3)),
            (1.0, CAST(x'610062' AS TEXT), 5e-324, 'text'),
            (9223372036854775807, CAST(x'ff' AS TEXT), 1.7976931348623157e308, NULL);
        CREATE TABLE "o""dd 'name" ("select" INTEGER PRIMARY KEY, "a b" /* , */ TEXT, [c,d]);
        INSERT INTO "o""dd 'name" VALUES (5, 'x', 1), (9, 'y', 2);
        CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
        INSERT INTO numbered (v) VALUES (1), (2), (3);
        DELETE FROM numbered WHERE id > 1;
        CREATE TABLE gaps (v);
        INSERT INTO gaps (rowid, v) VALUES (10, 'ten'), (20, 'twenty');
        CREATE TABLE without (k TEXT, n INT, v, PRIMARY KEY (k, n)) WITHOUT ROWID;
        INSERT INTO without VALUES ('a', 1, 2), ('b', 1, NULL);
        CREATE TABLE strict (i INTEGER, a ANY, t TEXT) STRICT;
        INSERT INTO strict VALUES (1, x'01', 't'), (2, '2', NULL);
        CREATE TABLE computed (a, v AS (a + 1), s AS (a * 2) STORED, b);
        INSERT INTO computed (a, b) VALUES (1, 2), (3, 4);
        CREATE TABLE child (id INTEGER PRIMARY KEY, up REFERENCES parent (id));
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        INSERT INTO parent VALUES (1);
        INSERT INTO child VALUES (1, 1);
        CREATE VIEW seen AS SELECT a FROM plain -- to the end
        ;
        CREATE UNIQUE INDEX by_v ON gaps (v DESC) WHERE v <> '';
        CREATE TABLE log (t);
        CREATE TRIGGER logs AFTER INSERT ON gaps BEGIN
            INSERT INTO log VALUES (new.v || ';');
        END;
        CREATE TRIGGER through INSTEAD OF INSERT ON seen BEGIN SELECT 1; END;
        CREATE VIRTUAL TABLE words USING fts5(title, body, tokenize = 'porter');
        INSERT INTO words (words, rank) VALUES ('pgsz', 100);
        INSERT INTO words (rowid, title, body) VALUES (3, 'running', 'far'), (8, 'walked', NULL);
        CREATE VIRTUAL TABLE of_gaps USING fts5(v, content = 'gaps', content_rowid = rowid);
        INSERT INTO of_gaps (of_gaps) VALUES ('rebuild');
        CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, +label);
        INSERT INTO boxes VALUES (4, 0.1, 0.3, 'first'), (6, -1e10, 7, NULL);
    "#;

    /// Every value of everything, with its type.
    const QUESTIONS: &[&str] = &[
        "SELECT type, name, tbl_name, sql FROM sqlite_schema
            WHERE NOT (name GLOB 'of_gaps_*' OR name GLOB 'words_*' OR name GLOB 'boxes_*')
            ORDER BY type, name",
        "SELECT rowid, quote(a), typeof(a), hex(b), typeof(b), c, typeof(c), hex(d), typeof(d) FROM plain",
        "SELECT * FROM \"o\"\"dd 'name\"",
        "SELECT * FROM numbered",
        "SELECT * FROM sqlite_sequence",
        "SELECT rowid, v FROM gaps",
        "SELECT * FROM without",
        "SELECT i, quote(a), t FROM strict",
        "SELECT * FROM computed",
        "SELECT * FROM child, parent, log",
        "SELECT rowid, title, body FROM words ORDER BY rowid",
        "SELECT rowid FROM words WHERE words MATCH 'run'",
        "SELECT * FROM words_config WHERE k <> 'version'",
        "SELECT rowid FROM of_gaps WHERE of_gaps MATCH 'twenty'",
        "SELECT * FROM boxes",
        "SELECT application_id FROM pragma_application_id",
        "SELECT user_version FROM pragma_user_version",
        "SELECT integrity_check FROM pragma_integrity_check",
    ];

    fn contents(sqlite: &Connection) -> Vec<String> {
        let answers = QUESTIONS.iter().map(|question| {
            let mut question = sqlite.prepare(question).unwrap();
            let columns = question.column_count();
            let rows = question.query_map([], |row| {
                let values = (0..columns).map(|place| row.get::<_, rusqlite::types::Value>(place));
                values
                    .map(|value| value.map(|it| format!("{it:?}")))
                    .collect::<Result<Vec<_>, _>>()
            });
            format!(
                "{:?}",
                rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
            )
        });
        answers.collect()
    }

    struct Scene {
        home: TempDir,
        original: Vec<String>,
        _open: Connection,
    }

    impl Scene {
        /// A database that is open elsewhere, with all of its rows in the WAL, and its copy.
        fn new(sql: &str) -> Self {
            let home = TempDir::new().unwrap();
            let [folder, copy] = ["folder", "copy"].map(|name| home.path().join(name));
            fs::create_dir(&folder).unwrap();
            fs::create_dir(&copy).unwrap();
            let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let sqlite = open(&folder.join(MAIN_FILE), create).unwrap();
            sqlite.pragma_update(None, "journal_mode", "WAL").unwrap();
            sqlite.execute_batch(sql).unwrap();
            copy_database(&folder, &copy).unwrap();
            let original = match sql == EVERYTHING {
                true => contents(&sqlite),
                false => Vec::new(),
            };
            Self {
                home,
                original,
                _open: sqlite,
            }
        }

        fn written(
            &self,
            name: &str,
            format: FileFormat,
            compression: Option<FileCompression>,
        ) -> Result<ExportReport, ChildFailure> {
            export(&ExportOrder::Write {
                copy: self.home.path().join("copy"),
                out: self.home.path().join(name),
                kind: FileKind {
                    format,
                    compression,
                },
            })
        }

        fn sql(&self) -> (String, Vec<String>) {
            let out = self.written("dump.sql", FileFormat::Sql, None);
            let report = out.unwrap();
            let sql = fs::read_to_string(self.home.path().join("dump.sql"));
            (sql.unwrap(), report.left_out)
        }
    }

    #[test]
    fn sql_of_a_database_makes_an_equal_one() {
        let scene = Scene::new(EVERYTHING);
        let (sql, left_out) = scene.sql();
        assert!(left_out.is_empty(), "{left_out:?}");
        let loaded = Connection::open_in_memory().unwrap();
        loaded
            .execute_batch(&sql)
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
        for (loaded, original) in contents(&loaded).iter().zip(&scene.original) {
            assert_eq!(loaded, original, "{sql}");
        }
    }

    #[test]
    fn the_shell_loads_the_sql_of_a_database() {
        let scene = Scene::new(EVERYTHING);
        let file = scene.home.path().join("loaded.db");
        let shell = Command::new("sqlite3")
            .arg("-bail")
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut shell) = shell else {
            return; // this machine has none
        };
        let (sql, _) = scene.sql();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(sql.as_bytes())
            .unwrap();
        assert!(shell.wait().unwrap().success());
        let loaded = open(&file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        for (loaded, original) in contents(&loaded).iter().zip(&scene.original) {
            assert_eq!(loaded, original);
        }
    }

    #[test]
    fn a_file_of_a_database_is_equal_and_compact_and_needs_no_other_file() {
        let scene = Scene::new(EVERYTHING);
        scene.written("out.db", FileFormat::Native, None).unwrap();
        let out = scene.home.path().join("out.db");
        let written = open(&out, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        for (written, original) in contents(&written).iter().zip(&scene.original) {
            assert_eq!(written, original);
        }
        let mode: String = written
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "delete");
        let free: i64 = written
            .pragma_query_value(None, "freelist_count", |row| row.get(0))
            .unwrap();
        assert_eq!(free, 0);
    }

    #[test]
    fn what_an_import_has_not_finished_is_left_out() {
        let scene = Scene::new(
            "CREATE TABLE t (a); INSERT INTO t VALUES (1);
             CREATE TABLE _dbforge_import_0a1b (a); INSERT INTO _dbforge_import_0a1b VALUES (2);
             CREATE TABLE _dbforge_position_0a1b (a);",
        );
        let (sql, _) = scene.sql();
        assert!(!sql.contains("_dbforge_"), "{sql}");
        scene.written("out.db", FileFormat::Native, None).unwrap();
        let out = scene.home.path().join("out.db");
        let written = open(&out, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let tables: i64 = written
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_table_whose_rows_are_nowhere_is_left_out_by_name() {
        let scene = Scene::new(
            "CREATE VIRTUAL TABLE \"in\"\"dex\" USING fts5(a, content = '');
             INSERT INTO \"in\"\"dex\" (rowid, a) VALUES (1, 'word');
             CREATE TABLE t (a);",
        );
        let (sql, left_out) = scene.sql();
        assert_eq!(left_out, ["in\"dex"]);
        let loaded = Connection::open_in_memory().unwrap();
        loaded.execute_batch(&sql).unwrap();
        assert!(loaded.table_exists(None, "t").unwrap());
    }

    #[test]
    fn a_schema_that_names_what_is_not_there_is_written_as_it_is() {
        for (odd, left_out) in [
            (
                "INSERT INTO sqlite_schema VALUES
                    ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING no_such(a)')",
                ["odd"].as_slice(),
            ),
            (
                "UPDATE sqlite_schema SET sql = replace(sql, 'abs', 'no_such')",
                &[],
            ),
            (
                "UPDATE sqlite_schema SET sql = replace(sql, 'nocase', 'no_such')",
                &[],
            ),
            ("UPDATE sqlite_schema SET sql = CAST(sql AS BLOB)", &[]),
        ] {
            let scene = Scene::new(&format!(
                "CREATE TABLE t (a COLLATE nocase, b AS (abs(a)));
                 INSERT INTO t VALUES ('kept'); PRAGMA writable_schema = ON; {odd}"
            ));
            let (sql, said) = scene.sql();
            assert_eq!(said, left_out, "{odd}");
            assert!(sql.contains("VALUES('kept');"), "{sql}");
            scene
                .written("out.db", FileFormat::Native, None)
                .unwrap_or_else(|error| panic!("{odd}: {error}"));
            let out = scene.home.path().join("out.db");
            let written = open(&out, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let kept: String = written
                .query_row("SELECT a FROM t", [], |row| row.get(0))
                .unwrap();
            assert_eq!(kept, "kept", "{odd}");
        }
    }

    #[test]
    fn what_is_damaged_is_told_and_nothing_panics() {
        let scene = Scene::new("CREATE TABLE t (a); INSERT INTO t VALUES (hex(zeroblob(100000)));");
        let copy = scene.home.path().join("copy");
        let file = copy.join(MAIN_FILE);
        let mut bytes = fs::read(&file).unwrap();
        for byte in bytes.iter_mut().skip(4096).step_by(3) {
            *byte ^= 0x5a;
        }
        fs::write(&file, bytes).unwrap();
        for format in [FileFormat::Sql, FileFormat::Native] {
            assert!(scene.written("out", format, None).is_err());
            let _ = fs::remove_file(scene.home.path().join("out"));
        }
    }
}
