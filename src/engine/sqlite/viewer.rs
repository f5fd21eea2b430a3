//! What SQL may do that sees a file of the forge's own through views, and nothing else of it.
use super::authorizer::{self, Refused, Role};
use rusqlite::hooks::{AuthAction, AuthContext};

/// The views lie in the schema of temporary objects and read the tables that they stand for. What
/// a view is called says nothing about who reads: a WITH clause may use the same name.
pub(super) fn verdict(tables: &[&str], context: &AuthContext<'_>) -> Result<(), Refused> {
    let not = |what: &str| Err(Refused::NotAllowed(what.to_owned()));
    match context.action {
        AuthAction::Read { table_name, .. } => {
            let is_visible = context.database_name == Some("temp")
                || tables.contains(&table_name)
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
        AuthAction::Select | AuthAction::Recursive | AuthAction::Function { .. } => {
            authorizer::verdict(Role::Reader, context)
        }
        _ if context.database_name == Some("temp") => Err(Refused::NeedsWriter),
        _ => authorizer::verdict(Role::Reader, context),
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
