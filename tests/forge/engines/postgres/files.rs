//! Clusters: made of the host's own programs, once, and copied.
use super::engine_in;
use crate::support::TempFolder;
use dbforge::domain::database::Durability;
use dbforge::engine::postgres::{Postgres, PostgresConfig};
use dbforge::engine::{DataFile, DataFileError, Engine as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_database_is_a_copy_of_a_cluster_that_is_made_once() {
    let home = TempFolder::new();
    let engine = engine_in(home.path());
    let [shop, books] = ["shop", "books"].map(|name| home.path().join(name));
    for folder in [&shop, &books] {
        fs::create_dir(folder).unwrap();
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::Missing);
        assert_eq!(engine.probe(folder), Err(DataFileError::Missing));
        // Half of an earlier try.
        fs::create_dir(folder.join("pgdata.new")).unwrap();
        engine.create_file(folder, Durability::Full).unwrap();
        engine.create_file(folder, Durability::Full).unwrap();
        engine.probe(folder).unwrap();
        assert_eq!(engine.data_file(folder).unwrap(), DataFile::InPlace);
        assert!(engine.is_empty(folder).unwrap());
        let bytes = engine.size_bytes(folder);
        assert!((8 << 20..64 << 20).contains(&bytes), "{bytes}");
        assert!(!folder.join("pgdata.new").exists());
        engine.checkpoint_and_close(folder).unwrap();
    }
    let templates = fs::read_dir(home.path().join("templates")).unwrap();
    let templates: Vec<_> = templates.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(templates.len(), 1, "{templates:?}");
    let mode = templates[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "it is the gateway's alone");

    // Another key is other secrets, so other templates.
    fs::remove_file(home.path().join(".forge/postgres-key")).unwrap();
    let engine = engine_in(home.path());
    let third = home.path().join("third");
    fs::create_dir(&third).unwrap();
    engine.create_file(&third, Durability::Full).unwrap();
    assert!(!templates[0].exists(), "what is of no use any more goes");
}

#[test]
fn a_program_that_fails_is_told_and_leaves_no_half_a_template() {
    let home = TempFolder::new();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, script) in [
        ("postgres", "echo 'postgres (PostgreSQL) 16.3'"),
        ("initdb", "echo 'initdb: error: no room'; exit 1"),
    ] {
        let file = bin.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let engine = Postgres::new(PostgresConfig {
        data_dir: home.path().to_owned(),
        owner: None,
        bin: Some(bin),
        image: String::new(),
    });
    let folder = home.path().join("shop");
    fs::create_dir_all(home.path().join(".forge")).unwrap();
    fs::create_dir(&folder).unwrap();
    let error = engine.create_file(&folder, Durability::Full).unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("no room"), "{error}");
    let left = fs::read_dir(home.path().join("templates")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| name.to_string_lossy().starts_with(".new-")),
        "{names:?}"
    );
}
