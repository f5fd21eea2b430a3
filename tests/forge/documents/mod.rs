//! What the documents say is what the program does.
mod api_examples;
mod clients;
pub(crate) mod export_verifier;
mod figures;

use dbforge::config::SETTINGS;
use dbforge::data::exports::ExportBounds;
use dbforge::data::uploads::UploadBounds;
use dbforge::data::{DataConfig, SqliteConfig};
use dbforge::engine::sqlite::LIMITS;
use dbforge::http::{ErrorCode, HttpConfig};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

#[test]
fn every_route_stands_in_the_api_document() {
    let document = text("docs/API.md");
    // What another test holds against the program's own OpenAPI document.
    let operations = text("snapshots/http/operations.snap");
    let paths = operations
        .split_whitespace()
        .filter(|it| it.starts_with('/'));
    for path in paths {
        // Routes that share a beginning are headed together: `/stop`, `/start`.
        let last = path.rsplit_once('/').unwrap().1;
        let is_there = document.contains(path) || document.contains(&format!("`/{last}`"));
        assert!(is_there, "docs/API.md does not name {path}");
    }
}

#[test]
fn every_setting_stands_in_the_operations_document_with_its_default() {
    let document = text("docs/OPERATIONS.md");
    for setting in SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let row = format!("| `{}` | {default} |", setting.variable);
        assert!(document.contains(&row), "docs/OPERATIONS.md lacks: {row}");
    }
}

#[test]
fn every_limit_stands_in_the_operations_document_with_its_value() {
    let document = text("docs/OPERATIONS.md");
    let (_, table) = document.split_once("\n## Limits\n").unwrap();
    let rows: Vec<&str> = table.lines().filter(|it| it.starts_with("| `")).collect();
    let stands = |name: &str, value: &str| {
        let (name, value) = (format!("`{name}`"), format!("`{value}`"));
        let row = rows.iter().find(|it| it.contains(&name));
        let row = row.unwrap_or_else(|| panic!("docs/OPERATIONS.md lacks the limit {name}"));
        assert!(
            row.contains(&value),
            "docs/OPERATIONS.md: {name} is {value}: {row}"
        );
    };
    let no_bounds = [
        "access_log",
        "cors_origins",
        "domain",
        "exports",
        "owner",
        "slow_statement",
        "sqlite",
        "trusted_proxies",
        "uploads",
        "webhooks",
    ];
    for config in [
        format!("{:#?}", DataConfig::default()),
        format!("{:#?}", SqliteConfig::default()),
        format!("{:#?}", UploadBounds::default()),
        format!("{:#?}", ExportBounds::default()),
        format!("{:#?}", HttpConfig::default()),
    ] {
        // A field of the struct itself is one step in.
        let fields = config.lines().filter_map(|it| it.strip_prefix("    "));
        let fields = fields.filter(|it| !it.starts_with([' ', '}']));
        for (name, value) in fields.filter_map(|it| it.split_once(": ")) {
            if !no_bounds.contains(&name) {
                stands(name, value.trim_end_matches(','));
            }
        }
    }
    for (limit, value) in LIMITS {
        stands(&format!("{limit:?}"), &value.to_string());
    }
    for room in ["src/http", "src/data", "src/engine"] {
        for (name, value) in bounds_in(&Path::new(ROOT).join(room)) {
            stands(&name, &value);
        }
    }
    let variables = rows.iter().flat_map(|it| it.split('`'));
    for variable in variables.filter(|it| it.starts_with("DBFORGE_")) {
        assert!(
            SETTINGS.iter().any(|it| it.variable == variable),
            "{variable}"
        );
    }
}

/// The constants of a room that are bounds on what clients send or get: their names end so, or
/// begin so. Their values as they are written.
fn bounds_in(room: &Path) -> Vec<(String, String)> {
    let mut bounds = Vec::new();
    for entry in std::fs::read_dir(room).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            bounds.extend(bounds_in(&path));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines().filter(|it| !it.starts_with(' ')) {
            let Some((_, rest)) = line.split_once("const ") else {
                continue;
            };
            let Some((name, rest)) = rest.split_once(": ") else {
                continue;
            };
            let Some((_, value)) = rest.split_once(" = ") else {
                continue;
            };
            let is_bound = name.starts_with("MAX_")
                || matches!(
                    name,
                    "HEAD_LIMIT" | "DRAIN_BYTES" | "STATEMENT_BYTES" | "LARGEST_PRODUCT"
                );
            if is_bound {
                bounds.push((name.to_owned(), value.trim_end_matches(';').to_owned()));
            }
        }
    }
    assert!(!bounds.is_empty() || !room.ends_with("http"), "{room:?}");
    bounds
}

#[test]
fn the_table_of_codes_is_the_catalogue() {
    let document = text("docs/API.md");
    let (_, table) = document.split_once("| Code | Status | Means |\n").unwrap();
    let documented: Vec<_> = table
        .lines()
        .skip(1)
        .take_while(|it| !it.is_empty())
        .collect();
    let known = ErrorCode::ALL.iter().map(|code| {
        let meaning = code
            .meaning()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        format!("| `{code}` | {} | {meaning} |", code.status().as_u16())
    });
    assert_eq!(documented, known.collect::<Vec<_>>());
}

#[test]
fn every_code_of_the_catalogue_is_produced_somewhere() {
    for code in ErrorCode::ALL {
        let used = format!("ErrorCode::{code:?}");
        assert!(
            is_named_below(&Path::new(ROOT).join("src/http"), &used),
            "{used}"
        );
    }
}

/// Whether a source file of a folder, or of one in it, has this word.
fn is_named_below(folder: &Path, word: &str) -> bool {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|it| it.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_named_below(&path, word);
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let ends = |rest: &str| !rest.starts_with(|it: char| it.is_ascii_alphanumeric());
        source.split(word).skip(1).any(ends)
    })
}

#[test]
fn every_make_target_that_the_documents_name_exists() {
    let makefile = text("Makefile");
    for document in [
        "README.md",
        "docs/OPERATIONS.md",
        "docs/CONTRIBUTING.md",
        "docs/SECURITY.md",
    ] {
        // In code a target stands behind a backtick or at the beginning of a line.
        let document_text = text(document).replace("\nmake ", "`make ");
        for rest in document_text.split("`make ").skip(1) {
            let target: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            let exists = target.is_empty() || makefile.contains(&format!("\n{target}:"));
            assert!(exists, "{document} names `make {target}`");
        }
    }
}
