//! What SQL may do that sees a file of the forge's own through views, and nothing else of it.
use super::allow_list;
use super::role::{Refused, Role};
use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext};
use rusqlite::{Connection, Error, ffi};
use std::cell::RefCell;

/// Answers `text_of(key, field, order)`: texts that the views show and that are not in the file.
///
/// The order says nothing to it: it is there for SQLite's plans. `None` is NULL; an error is told
/// as a failure to read, and its text stays in the house.
pub type TextOf = Box<dyn FnMut(i64, &str) -> Result<Option<String>, String> + Send>;

const TEXT_OF: &str = "text_of";

/// Gives the views their function.
pub(crate) fn add_texts(connection: &Connection, text_of: TextOf) -> rusqlite::Result<()> {
    let text_of = RefCell::new(text_of);
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS; // it is a part of a view
    connection.create_scalar_function(TEXT_OF, 3, flags, move |context| {
        let (Some(key), Some(field)) = (context.get(0)?, context.get::<Option<String>>(1)?) else {
            return Ok(None);
        };
        (*text_of.borrow_mut())(key, &field).map_err(|reason| {
            tracing::error!(reason, "a text that a view shows could not be read");
            Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_READ), None)
        })
    })
}

/// The names of all tables that a statement could mean without saying in which schema: those of
/// the file, and those that are there without having been created. In small letters.
pub(crate) fn names_of_tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT lower(name) FROM main.sqlite_schema
               UNION SELECT lower(name) FROM pragma_module_list";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

/// Whether a WITH clause is read, and no column of it: `count(*)`. SQLite asks for the name alone
/// then, as it does for a table, so a WITH clause that is called like a table is not told from it.
pub(crate) fn reads_a_with_clause(names_of_tables: &[String], context: &AuthContext<'_>) -> bool {
    let AuthAction::Read {
        table_name,
        column_name: "",
    } = context.action
    else {
        return false;
    };
    let name = table_name.to_ascii_lowercase();
    context.database_name.is_none()
        && !names_of_tables.contains(&name)
        && !["sqlite_", "pragma_"].iter().any(|it| name.starts_with(it))
}

/// The views lie in the schema of temporary objects and read the tables that they stand for. What
/// a view is called says nothing about who reads: a WITH clause may use the same name.
pub(crate) fn verdict(tables: &[&str], context: &AuthContext<'_>) -> Result<(), Refused> {
    let not = |what: &str| Err(Refused::NotAllowed(what.to_owned()));
    match context.action {
        AuthAction::Read { table_name, .. } => {
            let is_visible = context.database_name == Some("temp")
                || tables.iter().any(|it| it.eq_ignore_ascii_case(table_name))
                || TABLE_FUNCTIONS.contains(&table_name);
            if is_visible {
                Ok(())
            } else {
                not(&format!(
                    "{table_name}; sqlite_temp_schema lists the tables"
                ))
            }
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let asks_for_columns = ["table_info", "table_xinfo"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(pragma_name))
                && context.database_name.is_none_or(|it| it == "temp")
                && pragma_value.is_some_and(|it| tables.contains(&it));
            if asks_for_columns {
                Ok(())
            } else {
                not(&format!("PRAGMA {pragma_name}"))
            }
        }
        AuthAction::Function {
            function_name: TEXT_OF,
        } => Ok(()),
        AuthAction::Select | AuthAction::Recursive | AuthAction::Function { .. } => {
            allow_list::verdict(Role::Reader, context)
        }
        _ if context.database_name == Some("temp") => Err(Refused::NeedsWriter),
        _ => allow_list::verdict(Role::Reader, context),
    }
}

/// Tables that are functions, and tell of nothing but what they are given; the PRAGMAs behind the
/// latter two are judged by themselves.
const TABLE_FUNCTIONS: &[&str] = &[
    "json_each",
    "json_tree",
    "pragma_table_info",
    "pragma_table_xinfo",
];
