//! The house has floors, and each outside crate one door.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "architecture/imports.rs"]
mod imports;

use imports::{Imports, Module};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Ground floor first. A room uses rooms on lower floors only.
const FLOORS: &[&[&str]] = &[
    &["locks"],
    &["clock"],
    &["config"],
    &[
        "open_files",
        "packed_file",
        "telemetry",
        "unpacked_file",
        "whole_file",
    ],
    &["domain"],
    &["shares"],
    &["event_log", "runtime"],
    &["engine", "projections"],
    &["control", "data", "worker"],
    &["jobs"],
    &["service"],
    &["http"],
    &["app"],
    &["cli"],
    &["main"],
];

/// Outside crates that are met in one place, and where.
const DOORS: &[(&str, &[&str])] = &[
    ("sled", &["event_log/"]),
    ("bincode", &["event_log/codec.rs"]),
    ("bollard", &["runtime/docker/"]),
    ("postgres_protocol", &["engine/postgres/"]),
    ("rusqlite", &["engine/sqlite/", "projections/control_db/"]),
    ("tokio_cron_scheduler", &["jobs/ticker.rs"]),
    ("axum", &["http/"]),
    ("prometheus_client", &["http/metrics/exposition.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("clap_complete", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("parquet", &["data/exports/parquet.rs"]),
    ("ed25519_dalek", &["event_log/checkpoints/"]),
    ("zeekstd", &["event_log/journal/compressed.rs"]),
    ("flate2", &["packed_file.rs", "unpacked_file.rs"]),
    ("zstd", &["packed_file.rs", "unpacked_file.rs"]),
    ("anyhow", &["cli/", "main.rs"]),
];

/// Longer than this, and a file is no longer read in one sitting.
const LONGEST_FILE: usize = 600;

/// More than this, and a folder has rooms of its own.
const MOST_FILES: usize = 12;

#[test]
fn a_folder_has_at_most_twelve_files() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for (path, _) in source_files() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    folders.retain(|_, files| *files > MOST_FILES);
    assert!(folders.is_empty(), "divide these folders: {folders:?}");
}

#[test]
fn no_two_files_import_each_other() {
    // Events and states of the domain belong together.
    let mut loops = Imports::of(&source_files()).loops("domain");
    loops.extend(Imports::of(&files_below("benches/forge")).loops(""));
    let shown: Vec<String> = loops.iter().map(shown).collect();
    assert!(shown.is_empty(), "loops:\n{}", shown.join("\n"));
}

/// Each resource can be read, changed and removed alone.
#[test]
fn no_protocol_calls_a_route_and_no_route_another() {
    let imports = Imports::of(&source_files());
    let resource = |module: &Module| match module.as_slice() {
        [http, routes, resource, ..] if http == "http" && routes == "routes" => {
            Some(resource.clone())
        }
        _ => None,
    };
    let mut calls = Vec::new();
    for (module, used) in imports.iter() {
        // The list of all routes names each of them.
        if module.join("/") == "http/routes" {
            continue;
        }
        let own = resource(module);
        for route in used
            .iter()
            .filter(|it| resource(it).is_some_and(|it| Some(it) != own))
        {
            calls.push(format!("{} uses {}", module.join("::"), route.join("::")));
        }
    }
    assert!(calls.is_empty(), "{}", calls.join("\n"));
}

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in source_files() {
        for line in text.lines().map(str::trim_start) {
            let mut words = line.split(|it: char| !it.is_alphanumeric() && it != '_');
            let is_type = words.next() == Some("pub")
                && matches!(words.next(), Some("struct" | "enum" | "trait" | "type"));
            // A macro's `$name` is no name yet.
            let name = words.next().filter(|it| !it.is_empty());
            if let (true, Some(name)) = (is_type, name) {
                places
                    .entry(name.to_owned())
                    .or_default()
                    .push(path.clone());
            }
        }
    }
    assert!(places.len() > 100, "types are found");
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

fn shown(round: &BTreeSet<Module>) -> String {
    let names: Vec<String> = round.iter().map(|it| it.join("::")).collect();
    names.join(" <-> ")
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let mut climbs = Vec::new();
    for (path, text) in source_files() {
        let room = room_of(&path);
        let Some(floor) = floor_of(&room) else {
            continue;
        };
        for used in rooms_named_in(&text) {
            if used != room && floor_of(used).is_some_and(|it| it >= floor) {
                climbs.push(format!("{path} ({room}) uses {used}"));
            }
        }
    }
    assert!(
        climbs.is_empty(),
        "a room uses a room on its own floor or above:\n{}",
        climbs.join("\n")
    );
}

/// What SQLite does is asked for through the registry, so that databases of other engines cannot
/// reach it.
#[test]
fn sqlite_is_named_in_its_own_folder_and_in_the_registry_alone() {
    let mut named = Vec::new();
    for (path, text) in source_files() {
        let may = path.starts_with("engine/sqlite/") || path == "engine/registry.rs";
        let is_named = text.contains("engine::sqlite")
            || path.starts_with("engine/") && text.contains("sqlite::");
        if is_named && !may {
            named.push(path);
        }
    }
    assert!(named.is_empty(), "engine::sqlite is named in {named:?}");
}

#[test]
fn every_room_has_a_floor() {
    for (path, _) in source_files() {
        let room = room_of(&path);
        let known = floor_of(&room).is_some() || room == "lib";
        assert!(known, "give `{room}` a floor in FLOORS");
    }
}

#[test]
fn each_outside_crate_is_met_in_one_place() {
    let mut strays = Vec::new();
    for (path, text) in source_files() {
        for (krate, doors) in DOORS {
            let uses = format!("use {krate}::");
            let names = format!("{krate}::");
            let is_met = text.contains(&uses)
                || text.match_indices(&names).any(|(at, _)| {
                    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
            if is_met && !doors.iter().any(|door| path.starts_with(door)) {
                strays.push(format!("{path} meets {krate}, whose door is {doors:?}"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn a_lock_that_a_panic_left_is_taken_in_one_way() {
    // The others wait for news under their lock, which the standard library alone can do.
    let places = ["locks.rs", "data/exports/spill.rs", "engine/sql/pipe.rs"];
    let mut strays: Vec<_> = source_files();
    strays.retain(|(path, text)| text.contains("PoisonError") && !places.contains(&path.as_str()));
    let strays: Vec<_> = strays.into_iter().map(|(path, _)| path).collect();
    assert!(strays.is_empty(), "use crate::locks: {strays:?}");
}

/// SQLite takes the bounds of a process before its first use there; a test that comes first must
/// have set them, whichever tests run beside it.
#[test]
fn tests_open_sqlite_behind_its_bounds() {
    const OPENINGS: &[&str] = &["Connection::open", "set_up_process", "ControlDb::open"];
    let mut strays = files_below("tests/forge");
    assert!(strays.len() > 100, "tests are found");
    strays.retain(|(path, text)| {
        path != "support/sqlite.rs" && OPENINGS.iter().any(|opening| text.contains(opening))
    });
    let strays: Vec<_> = strays.into_iter().map(|(path, _)| path).collect();
    assert!(strays.is_empty(), "use support::sqlite: {strays:?}");
}

/// Clean-up calls end what nobody asked them to end: other people's containers, stopped workers.
#[test]
fn no_prune_call_of_the_engine_is_ever_made() {
    const CALLS: &[&str] = &["containers", "images", "networks", "volumes", "build"];
    let mut prunes = Vec::new();
    for (path, text) in source_files() {
        // What the original API calls prune, and we call stop, is another thing.
        let is_call = CALLS.iter().any(|it| text.contains(&format!("prune_{it}")));
        if is_call || path.starts_with("runtime/") && text.contains("prune") {
            prunes.push(path);
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = [
        "Makefile",
        ".ci/run",
        "docker/setup.sh",
        "docker/images.sh",
        "compose/stack.sh",
    ];
    for script in scripts {
        let text = std::fs::read_to_string(root.join(script)).unwrap();
        let is_comment = |line: &&str| line.trim_start().starts_with('#');
        if text
            .lines()
            .filter(|it| !is_comment(it))
            .any(|it| it.contains("prune"))
        {
            prunes.push(script.to_owned());
        }
    }
    assert!(prunes.is_empty(), "a prune call in {prunes:?}");
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for (path, text) in source_files() {
        assert!(
            text.starts_with("//! "),
            "{path} lacks a `//!` opening line"
        );
    }
}

/// Of two schemas with one name the description keeps one, and answers no longer fit the other.
#[test]
fn every_schema_of_the_description_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in source_files() {
        for (at, _) in text.match_indices("ToSchema)]") {
            let declared = &text[at..];
            let head = &declared[..declared.find(['{', ';']).unwrap()];
            let words: Vec<&str> = head.split_whitespace().collect();
            let after = |word: &str| {
                let before = words.iter().position(|found| *found == word)?;
                Some(words[before + 1].trim_matches(|c: char| !c.is_alphanumeric()))
            };
            let name = after("#[schema(as").map(|_| after("=").unwrap());
            let name = name.or_else(|| after("struct")).or_else(|| after("enum"));
            // A macro's `$name` is no name yet; those that it is given stand in one file each.
            if name == Some("name") {
                continue;
            }
            places
                .entry(name.unwrap().to_owned())
                .or_default()
                .push(path.clone());
        }
    }
    assert!(places.len() > 50, "schemas are found");
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    for (path, text) in source_files() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{path} has {lines} lines");
    }
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn room_of(path: &str) -> String {
    let first = path.split('/').next().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Rooms named as `crate::room`, as `dbforge::room`, or inside `crate::{room, …}`.
fn rooms_named_in(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split("crate::").skip(1);
    let outside = text.split("dbforge::").skip(1);
    inside.chain(outside).flat_map(|rest| {
        let list = match rest.strip_prefix('{') {
            Some(inside) => inside.split(';').next().unwrap(),
            None => first_word(rest),
        };
        list.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| floor_of(word).is_some())
    })
}

fn first_word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// Every source file: its path below `src/`, and its text.
fn source_files() -> Vec<(String, String)> {
    files_below("src")
}

/// Every Rust file below a folder: its path there, and its text.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let below = path.strip_prefix(&source).unwrap().to_str().unwrap();
                files.push((below.to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
