//! What is done with each PRAGMA.
//!
//! Tools send many when they connect. Those that tell are run. One that would change how the
//! connection is set up changes nothing, and is answered with the value that holds.
use super::authorizer::{Refused, Role};

/// What becomes of a PRAGMA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// SQLite runs it.
    Run,
    /// SQLite leaves it undone, and this SQL is run in its place.
    Instead(&'static str),
    /// It asks for what is so already.
    Nothing,
    /// It fails.
    Refuse(Refused),
}

/// Judges `PRAGMA name = value`, or `PRAGMA name` without a value.
pub(super) fn ruling(role: Role, name: &str, value: Option<&str>) -> Ruling {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    let write = match role {
        Role::Writer => Ruling::Run,
        Role::Reader | Role::Viewer(_) => Ruling::Refuse(Refused::NeedsWriter),
    };
    let setting = SETTINGS.iter().find(|(setting, _)| *setting == name);
    match (value, setting) {
        (None, _) if name == "database_list" => Ruling::Instead(DATABASE_LIST),
        (Some(_), Some((_, holds))) => Ruling::Instead(holds),
        (Some(value), _) if name == "foreign_keys" => {
            let is_on = ON.iter().any(|on| value.eq_ignore_ascii_case(on));
            if is_on {
                Ruling::Nothing
            } else {
                Ruling::Refuse(Refused::ForeignKeysOff)
            }
        }
        // It makes statistics where they pay; who cannot write has none to make.
        (_, _) if name == "optimize" && role != Role::Writer => Ruling::Nothing,
        (_, _) if name == "optimize" => write,
        (Some(_), _) if TO_SET.contains(&name) => write,
        (Some(_), _) if ABOUT_A_TABLE.contains(&name) => Ruling::Run,
        (None, Some(_)) => Ruling::Run,
        (None, None)
            if THAT_TELL.contains(&name)
                || ABOUT_A_TABLE.contains(&name)
                || TO_SET.contains(&name) =>
        {
            Ruling::Run
        }
        _ => Ruling::Refuse(Refused::NotAllowed(format!("PRAGMA {name}"))),
    }
}

/// Without a value. FTS5 asks `data_version` itself, R*Tree asks `page_size`.
pub(super) const THAT_TELL: &[&str] = &[
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "page_count",
    "page_size",
    "schema_version",
    "table_list",
];

/// The value names what is asked about, and changes nothing.
pub(super) const ABOUT_A_TABLE: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Whether a PRAGMA describes a table or an index, and looks at no row.
pub(super) fn describes(name: &str) -> bool {
    let looks_at_rows = ["foreign_key_check", "integrity_check", "quick_check"];
    let is = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
    is(ABOUT_A_TABLE) && !is(&looks_at_rows)
}

/// Numbers in the file's header that belong to the user, a switch that ends with its transaction,
/// and what makes statistics.
pub(super) const TO_SET: &[&str] = &[
    "application_id",
    "defer_foreign_keys",
    "optimize",
    "user_version",
];

/// How the connection is set up, each with what asks for it.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("busy_timeout", "PRAGMA busy_timeout"),
    ("cache_size", "PRAGMA cache_size"),
    ("journal_mode", "PRAGMA journal_mode"),
    ("journal_size_limit", "PRAGMA journal_size_limit"),
    ("mmap_size", "PRAGMA mmap_size"),
    ("synchronous", "PRAGMA synchronous"),
    ("temp_store", "PRAGMA temp_store"),
];

/// SQLite's own tells the path of the file; the table of this name is ours.
const DATABASE_LIST: &str = "SELECT seq, name, file FROM pragma_database_list";

/// Other words SQLite takes for *off*, `256` among them.
const ON: &[&str] = &["1", "on", "true", "yes"];

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn only_the_listed_pragmas_pass_and_only_a_writer_sets_one() {
        let connection = Connection::open_in_memory().unwrap();
        let mut names = connection
            .prepare("SELECT name FROM pragma_pragma_list")
            .unwrap();
        let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for name in names.map(Result::unwrap) {
            let name = name.as_str();
            let is_setting = SETTINGS.iter().any(|(setting, _)| *setting == name);
            let is_to_set = TO_SET.contains(&name);
            let is_listed = THAT_TELL.contains(&name)
                || ABOUT_A_TABLE.contains(&name)
                || is_setting
                || is_to_set;
            let needs_writer = Ruling::Refuse(Refused::NeedsWriter);
            let asked = ruling(Role::Reader, name, None);
            match name {
                "optimize" => assert_eq!(asked, Ruling::Nothing),
                "database_list" => assert_eq!(asked, Ruling::Instead(DATABASE_LIST)),
                _ => assert_eq!(asked == Ruling::Run, is_listed, "{name}"),
            }
            let set = ruling(Role::Writer, name, Some("1"));
            match name {
                "foreign_keys" => assert_eq!(set, Ruling::Nothing),
                _ if is_setting => assert!(matches!(set, Ruling::Instead(_)), "{name}"),
                _ => assert_eq!(
                    set == Ruling::Run,
                    is_to_set || ABOUT_A_TABLE.contains(&name),
                    "{name} = 1"
                ),
            }
            if is_to_set && name != "optimize" {
                assert_eq!(ruling(Role::Reader, name, Some("1")), needs_writer);
            }
        }
        for off in ["OFF", "0", "256", "no", "x"] {
            assert_eq!(
                ruling(Role::Writer, "Foreign_Keys", Some(off)),
                Ruling::Refuse(Refused::ForeignKeysOff),
                "{off}"
            );
        }
    }
}
