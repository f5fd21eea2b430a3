//! What every engine keeps: one suite, run over SQLite and over an engine that lives in its workers.
use super::fake::FakeEngine;
use crate::support::TempFolder;
use dbforge::domain::database::Durability;
use dbforge::engine::registry::Engines;
use dbforge::engine::{DataFile, DataFileError, Engine};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

fn for_every_engine(check: impl Fn(&dyn Engine, &Path)) {
    for engine in Engines::new(vec![Arc::new(FakeEngine)]).all() {
        let folder = TempFolder::new();
        check(engine.as_ref(), folder.path());
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|it| {
            let file = it.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_file_is_made_once_and_answers() {
    for_every_engine(|engine, folder| {
        for durability in [Durability::Full, Durability::Relaxed] {
            engine.create_file(folder, durability).unwrap();
            engine.probe(folder).unwrap();
        }
        let made = contents(folder);
        engine.create_file(folder, Durability::Full).unwrap();
        engine.checkpoint_and_close(folder).unwrap();
        assert_eq!(contents(folder), made, "a second time changes nothing");
        for name in made.keys() {
            let mode = folder.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    });
}

#[test]
fn what_an_earlier_try_left_is_made_anew() {
    for_every_engine(|engine, folder| {
        engine.create_file(folder, Durability::Full).unwrap();
        let whole = contents(folder);
        for name in whole.keys() {
            fs::remove_file(folder.join(name)).unwrap();
            for rest in ["", "-wal", "-journal"] {
                fs::write(folder.join(format!("{name}.new{rest}")), b"half of it").unwrap();
            }
        }
        engine.create_file(folder, Durability::Full).unwrap();
        engine.probe(folder).unwrap();
        let names: Vec<String> = contents(folder).into_keys().collect();
        let expected: Vec<String> = whole.into_keys().collect();
        assert_eq!(names, expected, "nothing is left of it");
    });
}

#[test]
fn a_missing_file_is_missing_and_nothing_is_put_in_its_place() {
    for_every_engine(|engine, folder| {
        let error = engine.probe(folder).unwrap_err();
        assert_eq!(error, DataFileError::Missing);
        assert!(!error.is_transient());
        engine.checkpoint_and_close(folder).unwrap();
        assert!(contents(folder).is_empty());
    });
}

#[test]
fn what_is_no_database_or_is_anothers_is_refused_and_left_alone() {
    for_every_engine(|engine, folder| {
        engine.create_file(folder, Durability::Full).unwrap();
        let names: Vec<String> = contents(folder).into_keys().collect();
        for name in &names {
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
    for_every_engine(|engine, folder| {
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::Missing);
        assert_eq!(engine.size_bytes(folder), 0);
        engine.create_file(folder, Durability::Full).unwrap();
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::InPlace);
        assert!(engine.size_bytes(folder) > 0);
        assert!(engine.is_empty(folder).unwrap());
        for name in contents(folder).keys() {
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
