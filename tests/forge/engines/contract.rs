//! What every engine keeps: one suite, run over SQLite, over PostgreSQL, and over
//! an engine that lives in its workers.
use super::fake;
use super::fake::FakeEngine;
use super::postgres::engine_in;
use crate::support::{TempFolder, files_below};
use dbforge::domain::database::Durability;
use dbforge::engine::registry::Engines;
use dbforge::engine::{DataFile, DataFileError, Engine};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

/// An engine, and what its databases are on the disk.
struct Subject {
    engine: Arc<dyn Engine>,
    /// The files without which there is no database.
    files: &'static [&'static str],
    /// What a try leaves that was cut off.
    halves: &'static [&'static str],
}

fn for_every_engine(check: impl Fn(&Subject, &Path)) {
    let home = TempFolder::new();
    let served: Vec<Arc<dyn dbforge::engine::ServedEngine>> =
        vec![Arc::new(FakeEngine), Arc::new(engine_in(home.path()))];
    for engine in Engines::new(served).all() {
        let (files, halves): (&[_], &[_]) = match engine.name() {
            fake::NAME => (&[fake::FILE], &["lines.fake.new"]),
            "postgres" => (
                &["pgdata/PG_VERSION", "pgdata/global/pg_control"],
                &["pgdata.new/PG_VERSION"],
            ),
            _ => (
                &["main.db"],
                &["main.db.new", "main.db.new-wal", "main.db.new-journal"],
            ),
        };
        let subject = Subject {
            engine: Arc::clone(engine),
            files,
            halves,
        };
        let folder = TempFolder::new();
        check(&subject, folder.path());
    }
}

/// What lies in a folder itself.
fn entries(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn a_file_is_made_once_and_answers() {
    for_every_engine(|subject, folder| {
        let engine = &subject.engine;
        for durability in [Durability::Full, Durability::Relaxed] {
            engine.create_file(folder, durability).unwrap();
            engine.probe(folder).unwrap();
        }
        let made = files_below(folder);
        engine.create_file(folder, Durability::Full).unwrap();
        engine.checkpoint_and_close(folder).unwrap();
        assert!(files_below(folder) == made, "a second time changes nothing");
        for (name, _) in &made {
            let mode = folder.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", name.display());
        }
    });
}

#[test]
fn what_an_earlier_try_left_is_made_anew() {
    for_every_engine(|subject, folder| {
        let engine = &subject.engine;
        engine.create_file(folder, Durability::Full).unwrap();
        let whole = entries(folder);
        for name in &whole {
            let path = folder.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        for half in subject.halves {
            let half = folder.join(half);
            fs::create_dir_all(half.parent().unwrap()).unwrap();
            fs::write(half, b"half of it").unwrap();
        }
        engine.create_file(folder, Durability::Full).unwrap();
        engine.probe(folder).unwrap();
        assert_eq!(entries(folder), whole, "nothing is left of it");
    });
}

#[test]
fn a_missing_file_is_missing_and_nothing_is_put_in_its_place() {
    for_every_engine(|subject, folder| {
        let engine = &subject.engine;
        let error = engine.probe(folder).unwrap_err();
        assert_eq!(error, DataFileError::Missing);
        assert!(!error.is_transient());
        engine.checkpoint_and_close(folder).unwrap();
        assert!(entries(folder).is_empty());
    });
}

#[test]
fn what_is_no_database_or_is_anothers_is_refused_and_left_alone() {
    for_every_engine(|subject, folder| {
        let engine = &subject.engine;
        engine.create_file(folder, Durability::Full).unwrap();
        for name in subject.files {
            let file = folder.join(name);
            let other = folder.join("another's");
            fs::rename(&file, &other).unwrap();

            symlink(&other, &file).unwrap();
            assert_eq!(engine.probe(folder), Err(DataFileError::Missing), "a link");
            fs::remove_file(&file).unwrap();

            fs::hard_link(&other, &file).unwrap();
            assert_eq!(
                engine.probe(folder),
                Err(DataFileError::Missing),
                "two names"
            );
            fs::remove_file(&file).unwrap();

            let text = b"no database at all, but long enough to be one ".repeat(200);
            fs::write(&file, &text).unwrap();
            let error = engine.create_file(folder, Durability::Full).unwrap_err();
            assert!(
                matches!(error, DataFileError::NotADatabase { .. }),
                "{error}"
            );
            assert_eq!(fs::read(&file).unwrap(), text, "it was left alone");
            fs::remove_file(&file).unwrap();
            fs::rename(&other, &file).unwrap();
        }
        engine.probe(folder).unwrap();
    });
}

#[test]
fn what_lies_in_the_folder_is_told_without_opening_it() {
    for_every_engine(|subject, folder| {
        let engine = &subject.engine;
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::Missing);
        assert_eq!(engine.size_bytes(folder), 0);
        engine.create_file(folder, Durability::Full).unwrap();
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::InPlace);
        assert!(engine.size_bytes(folder) > 0);
        assert!(engine.is_empty(folder).unwrap());
        for name in subject.files {
            let (file, other) = (folder.join(name), folder.join("another's"));
            fs::hard_link(&file, &other).unwrap();
            assert_eq!(engine.data_file(folder).unwrap(), DataFile::TwoNames);
            fs::remove_file(&file).unwrap();
            symlink(&other, &file).unwrap();
            assert_eq!(engine.data_file(folder).unwrap(), DataFile::Link);
            fs::remove_file(&file).unwrap();
            fs::rename(&other, &file).unwrap();
        }
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::InPlace);
    });
}
