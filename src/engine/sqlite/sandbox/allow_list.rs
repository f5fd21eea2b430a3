//! What SQL of readers and writers may do: an allow-list.
//!
//! Whatever is not named here is refused, above all what SQLite reports as *unknown*: an ATTACH
//! with a computed file name arrives so.
use super::pragmas;
use super::pragmas::Ruling;
use super::role::{Refused, Role};
use rusqlite::hooks::{AuthAction, AuthContext};

/// Whether an action is on the list.
///
/// # Errors
/// Why it is not.
pub(crate) fn verdict(role: Role, context: &AuthContext<'_>) -> Result<(), Refused> {
    let not = |what: &str| Err(Refused::NotAllowed(what.to_owned()));
    let write = match role {
        Role::Writer => Ok(()),
        Role::Reader | Role::Audit(_) => Err(Refused::NeedsWriter),
    };
    // In place of the schema, ALTER TABLE tells of the column that it drops; its own is looked at
    // below.
    let alters_table = matches!(context.action, AuthAction::AlterTable { .. });
    if let Some(schema) = context.database_name
        && schema != "main"
        && !alters_table
    {
        // SQLite looks on its own into its list of temporary objects, of which there are none, and
        // renaming a column goes through that list too. A client that names it there is told by
        // SQLite that it cannot be modified.
        return match context.action {
            AuthAction::Read { .. } => Ok(()),
            AuthAction::Update { table_name, .. } if table_name == TEMPORARY_OBJECTS => write,
            _ => not("temporary objects and other databases"),
        };
    }
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Read { table_name, .. } => {
            // As the client wrote it: SQLite makes these tables under whatever spelling was asked.
            let name = table_name.to_ascii_lowercase();
            match name.strip_prefix("pragma_") {
                _ if REFUSED_TABLES.contains(&name.as_str()) => not(table_name),
                // What the table asks when it is read is judged by itself.
                Some(pragma) => match pragmas::ruling(role, pragma, None) {
                    Ruling::Refuse(refused) => Err(refused),
                    _ => Ok(()),
                },
                None => Ok(()),
            }
        }
        AuthAction::Function { function_name } => {
            // Stored SQL names some of them in capitals.
            let is = |known: &&str| known.eq_ignore_ascii_case(function_name);
            let lists = [FUNCTIONS, ROWS_FUNCTIONS, INTERNAL_FUNCTIONS];
            if lists.iter().any(|list| list.iter().any(is)) {
                Ok(())
            } else {
                not(&format!("function {function_name}"))
            }
        }
        AuthAction::Insert { .. }
        | AuthAction::Update { .. }
        | AuthAction::Delete { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Analyze { .. } => write,
        AuthAction::AlterTable {
            database_name: "main",
            ..
        } => write,
        AuthAction::CreateVtable { module_name, .. } => {
            let known = MODULES
                .iter()
                .any(|it| it.eq_ignore_ascii_case(module_name));
            if known {
                write
            } else {
                not(&format!("module {module_name}"))
            }
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => not("other databases"),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => not(
            "BEGIN, COMMIT, ROLLBACK and SAVEPOINT; every request is a transaction of its own. \
                 POST …/transactions begins one of several requests, in which SAVEPOINT works; \
                 its routes …/commit and …/rollback end it",
        ),
        _ => not("something this gateway does not know"),
    }
}

/// Virtual tables that SQL may create.
const MODULES: &[&str] = &["fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Tables that are there without having been created, and tell what is not the client's.
const REFUSED_TABLES: &[&str] = &["fts3tokenize", "sqlite_dbpage", "sqlite_stmt"];

/// SQLite's list of temporary objects.
const TEMPORARY_OBJECTS: &str = "sqlite_temp_master";

/// Functions of SQLite's own ALTER TABLE; no client can name them.
const INTERNAL_FUNCTIONS: &[&str] = &[
    "sqlite_add_constraint",
    "sqlite_drop_column",
    "sqlite_drop_constraint",
    "sqlite_fail",
    "sqlite_find_constraint",
    "sqlite_rename_column",
    "sqlite_rename_quotefix",
    "sqlite_rename_table",
    "sqlite_rename_test",
];

/// Functions by which rows routes read, which views and triggers cannot name.
const ROWS_FUNCTIONS: &[&str] = &["dbforge_hash", "dbforge_object"];

/// Every function that SQL may call.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "->", "->>", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bm25",
    "ceil", "ceiling", "changes", "char", "coalesce", "concat", "concat_ws", "cos", "cosh", "count",
    "cume_dist", "current_date", "current_time", "current_timestamp", "date", "datetime", "degrees",
    "dense_rank", "exp", "first_value", "floor", "format", "fts5_get_locale", "fts5_insttoken",
    "fts5_locale", "glob", "group_concat", "hex", "highlight", "if", "ifnull", "iif", "instr",
    "json", "json_array", "json_array_insert", "json_array_length", "json_each",
    "json_error_position", "json_extract", "json_group_array", "json_group_object", "json_insert",
    "json_object", "json_patch", "json_pretty", "json_quote", "json_remove", "json_replace",
    "json_set", "json_tree", "json_type", "json_valid", "jsonb", "jsonb_array",
    "jsonb_array_insert", "jsonb_extract", "jsonb_group_array", "jsonb_group_object",
    "jsonb_insert", "jsonb_object", "jsonb_patch", "jsonb_remove", "jsonb_replace", "jsonb_set",
    "julianday", "lag", "last_insert_rowid", "last_value", "lead", "length", "like", "likelihood",
    "likely", "ln", "log", "log10", "log2", "lower", "ltrim", "match", "max", "median", "min",
    "mod", "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "percentile",
    "percentile_cont", "percentile_disc", "pi", "pow", "power", "printf", "quote", "radians",
    "random", "randomblob", "rank", "regexp", "replace", "round", "row_number", "rtreedepth",
    "rtreenode", "rtrim", "sign", "sin", "sinh", "snippet", "soundex", "sqlite_compileoption_get",
    "sqlite_compileoption_used", "sqlite_source_id", "sqlite_version", "sqrt", "strftime",
    "string_agg", "substr", "substring", "subtype", "sum", "tan", "tanh", "time", "timediff",
    "total", "total_changes", "trim", "trunc", "typeof", "unhex", "unicode", "unistr",
    "unistr_quote", "unixepoch", "unlikely", "upper", "zeroblob",
];

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// Functions of this build that SQL must not call.
    const REFUSED_FUNCTIONS: &[&str] = &[
        "fts3_tokenizer", // takes pointers
        "fts5",           // gives pointers
        "fts5_source_id", // of FTS5 itself
        "load_extension", // runs code
        "matchinfo",      // of FTS3
        "offsets",        // of FTS3
        "optimize",       // of FTS3
        "rtreecheck",     // a whole check in one call
        "sqlite_log",     // writes to the operator's log
    ];
    /// Modules of this build that SQL must not create tables of. `dbstat` is there without that.
    const REFUSED_MODULES: &[&str] = &["dbstat", "fts3", "fts3tokenize", "fts4", "fts4aux"];

    fn names(question: &str) -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare(question).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn every_function_of_this_sqlite_is_either_allowed_or_refused_by_name() {
        for name in names("SELECT DISTINCT name FROM pragma_function_list") {
            let allowed = FUNCTIONS.contains(&name.as_str());
            let refused = REFUSED_FUNCTIONS.contains(&name.as_str());
            assert!(allowed != refused, "{name}: decide about it");
        }
    }

    #[test]
    fn every_module_of_this_sqlite_is_either_allowed_or_refused_by_name() {
        for name in names("SELECT name FROM pragma_module_list") {
            let allowed = MODULES.contains(&name.as_str()) || name.starts_with("pragma_");
            let refused = REFUSED_MODULES.contains(&name.as_str());
            assert!(allowed != refused, "{name}: decide about it");
        }
    }

    #[test]
    fn the_security_document_names_exactly_what_may_be_used() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SECURITY.md");
        let document = std::fs::read_to_string(document).unwrap();
        let names = |begins: &str, until: &str| -> Vec<String> {
            let (_, rest) = document.split_once(begins).unwrap();
            let (list, _) = rest.split_once(until).unwrap();
            let names = list.split('`').skip(1).step_by(2);
            names.map(str::to_owned).collect()
        };
        assert_eq!(names("PRAGMAs that read:", ";"), pragmas::THAT_TELL);
        assert_eq!(names("about a table:", ";"), pragmas::ABOUT_A_TABLE);
        assert_eq!(names("for writers to set:", ";"), pragmas::TO_SET);
        let settings = pragmas::SETTINGS.iter().map(|(setting, _)| *setting);
        let settings: Vec<_> = settings.collect();
        assert_eq!(names("always answering the current value:", "."), settings);
        assert_eq!(names("Virtual tables:", ", and"), MODULES);
        assert_eq!(names("own pages. Not", "."), REFUSED_TABLES);
        assert_eq!(names("   - Functions:", ". SQLite's"), FUNCTIONS);
    }

    #[test]
    fn what_sqlite_itself_calls_unknown_is_refused() {
        // An ATTACH with a computed file name: no text is known, only the code.
        let action = AuthAction::Unknown {
            code: rusqlite::ffi::SQLITE_ATTACH,
            arg1: None,
            arg2: None,
        };
        for database_name in [None, Some("main"), Some("temp")] {
            let context = AuthContext {
                action,
                database_name,
                accessor: None,
            };
            assert!(verdict(Role::Writer, &context).is_err());
            assert!(verdict(Role::Reader, &context).is_err());
        }
    }
}
