//! What the documents say is what the program does.
use dbforge::config::SETTINGS;

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
