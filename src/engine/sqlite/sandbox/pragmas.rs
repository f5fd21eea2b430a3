//! What is done with each PRAGMA.
//!
//! Tools send many when they connect. Those that tell are run. One that would change how the
//! connection is set up changes nothing, and is answered with the value that holds.
use super::role::{Refused, Role};

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
        Role::Reader | Role::Audit(_) => Ruling::Refuse(Refused::NeedsWriter),
    };
    let setting = SETTINGS.iter().find(|(setting, _)| *setting == name);
    let fixed = FIXED.iter().find(|(fixed, ..)| *fixed == name);
    match (value, setting) {
        (None, Some((_, holds))) if !holds.starts_with("PRAGMA") => Ruling::Instead(holds),
        (None, _) if name == "database_list" => Ruling::Instead(DATABASE_LIST),
        (None, _) if name == "query_only" => Ruling::Instead(QUERY_ONLY),
        (Some(_), Some((_, holds))) => Ruling::Instead(holds),
        (Some(value), _) if let Some((_, holds, answer)) = fixed => {
            let is_so = holds.iter().any(|it| value.eq_ignore_ascii_case(it));
            match name {
                _ if is_so => answer.clone(),
                "foreign_keys" => Ruling::Refuse(Refused::ForeignKeysOff),
                _ => Ruling::Refuse(Refused::NotAllowed(format!("PRAGMA {name}"))),
            }
        }
        // SQLite has no way to ask for it.
        (None, _) if name == "case_sensitive_like" => Ruling::Nothing,
        (None, _) if fixed.is_some() => Ruling::Run,
        // It makes statistics where they pay; a reader cannot write any.
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

/// Switches that stay as they are: the words for what they are, and what SQLite answers when they
/// are set to it. Set to anything else, they would change what statements mean.
const FIXED: &[(&str, &[&str], Ruling)] = &[
    ("case_sensitive_like", OFF, Ruling::Nothing),
    ("cell_size_check", ON, Ruling::Nothing),
    ("count_changes", OFF, Ruling::Nothing),
    ("empty_result_callbacks", OFF, Ruling::Nothing),
    ("foreign_keys", ON, Ruling::Nothing),
    ("full_column_names", OFF, Ruling::Nothing),
    ("ignore_check_constraints", OFF, Ruling::Nothing),
    ("legacy_alter_table", OFF, Ruling::Nothing),
    (
        "locking_mode",
        &["normal"],
        Ruling::Instead("PRAGMA locking_mode"),
    ),
    ("recursive_triggers", OFF, Ruling::Nothing),
    ("reverse_unordered_selects", OFF, Ruling::Nothing),
    ("short_column_names", ON, Ruling::Nothing),
    ("trusted_schema", OFF, Ruling::Nothing),
    (
        "wal_autocheckpoint",
        &["1000"],
        Ruling::Instead("PRAGMA wal_autocheckpoint"),
    ),
];

/// Without a value. FTS5 asks `data_version` itself, R*Tree asks `page_size`.
pub(super) const THAT_TELL: &[&str] = &[
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "freelist_count",
    "function_list",
    "hard_heap_limit",
    "module_list",
    "page_count",
    "pragma_list",
    "query_only",
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
    ("analysis_limit", "PRAGMA analysis_limit"),
    ("auto_vacuum", "PRAGMA auto_vacuum"),
    ("automatic_index", "PRAGMA automatic_index"),
    ("busy_timeout", "PRAGMA busy_timeout"),
    ("cache_size", "PRAGMA cache_size"),
    ("cache_spill", "PRAGMA cache_spill"),
    ("checkpoint_fullfsync", "PRAGMA checkpoint_fullfsync"),
    ("encoding", "PRAGMA encoding"),
    ("fullfsync", "PRAGMA fullfsync"),
    ("journal_mode", "PRAGMA journal_mode"),
    ("journal_size_limit", "PRAGMA journal_size_limit"),
    ("max_page_count", "PRAGMA max_page_count"),
    ("mmap_size", "PRAGMA mmap_size"),
    ("page_size", "PRAGMA page_size"),
    ("read_uncommitted", "PRAGMA read_uncommitted"),
    ("secure_delete", "PRAGMA secure_delete"),
    ("soft_heap_limit", "PRAGMA soft_heap_limit"),
    ("synchronous", "PRAGMA synchronous"),
    // One that writes has another than one that reads: the table of this name is ours.
    ("temp_store", "SELECT temp_store FROM pragma_temp_store"),
    ("threads", "PRAGMA threads"),
];

/// Whether it acts while it is prepared, be it for EXPLAIN or to be run.
pub(super) fn acts_when_prepared(name: &str) -> bool {
    let in_the_file = ["application_id", "user_version"];
    !in_the_file.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// SQLite's own tells the path of the file; the table of this name is ours.
const DATABASE_LIST: &str = "SELECT seq, name, file FROM pragma_database_list";
const QUERY_ONLY: &str = "SELECT query_only FROM pragma_query_only";

/// Other words SQLite takes for *off*, `256` among them.
const ON: &[&str] = &["1", "on", "true", "yes"];
const OFF: &[&str] = &["0", "off", "false", "no"];

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
            let is_fixed = FIXED.iter().any(|(fixed, ..)| *fixed == name);
            let is_to_set = TO_SET.contains(&name);
            let is_listed = THAT_TELL.contains(&name)
                || ABOUT_A_TABLE.contains(&name)
                || is_setting
                || is_fixed
                || is_to_set;
            let needs_writer = Ruling::Refuse(Refused::NeedsWriter);
            let asked = ruling(Role::Reader, name, None);
            match name {
                "optimize" | "case_sensitive_like" => assert_eq!(asked, Ruling::Nothing),
                "database_list" | "query_only" | "temp_store" => {
                    assert!(matches!(asked, Ruling::Instead(_)), "{name}");
                }
                _ => assert_eq!(asked == Ruling::Run, is_listed, "{name}"),
            }
            for value in ["1", "0", "7"] {
                let set = ruling(Role::Writer, name, Some(value));
                let runs = is_to_set || ABOUT_A_TABLE.contains(&name);
                assert_eq!(set == Ruling::Run, runs, "{name} = {value}");
                assert!(!is_setting || matches!(set, Ruling::Instead(_)), "{name}");
                if value == "7" && is_fixed {
                    assert!(matches!(set, Ruling::Refuse(_)), "{name}");
                }
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
