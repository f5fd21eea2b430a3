//! What SQL may do: an allow-list, asked by SQLite while it prepares a statement.
//!
//! Whatever is not named here is refused, above all what SQLite reports as *unknown*: an ATTACH
//! with a computed file name arrives so.
use super::audit_role;
use super::pragmas;
use super::pragmas::Ruling;
use crate::engine::sqlite::statement::client_savepoints::Step;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads. Everything that changes something is refused.
    Reader,
    /// Reads and writes.
    Writer,
    /// Reads the temporary views that were made for it, which stand for these tables: nothing
    /// else that is in the file is there for it.
    Viewer(&'static [&'static str]),
}

impl Role {
    /// Whether everything that changes something is refused.
    #[must_use]
    pub fn reads_only(self) -> bool {
        self != Self::Writer
    }

    /// Where the names of its tables are listed.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::Reader | Self::Writer => "sqlite_schema",
            Self::Viewer(_) => "sqlite_temp_schema",
        }
    }
}

/// What the authorizer saw since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The first thing it refused.
    pub(crate) refused: Option<Refused>,
    /// Whether a statement that changes the schema was prepared.
    pub(crate) changes_schema: bool,
    /// Whether a PRAGMA was prepared, or a table that asks one.
    pub(crate) asks_pragma: bool,
    /// Whether `changes()` was named.
    pub(crate) asks_changes: bool,
    /// The table that ALTER TABLE changes.
    pub(crate) altered: Option<String>,
    /// Whether ALTER TABLE adds a constraint, by which it compares the rows that are there.
    pub(crate) adds_constraint: bool,
    /// Whether a PRAGMA was prepared that looks into every table.
    pub(crate) checks_file: bool,
    /// Whether what is prepared is explained, and not run.
    pub(crate) explains: bool,
    /// Tables and views that are read, or take new rows.
    pub(crate) tables: Vec<String>,
    /// Triggers and views that were made, with the table of a trigger.
    pub(crate) created: Vec<Created>,
    /// Whether a statement about savepoints is being read, and not run.
    pub(crate) reads_savepoint: bool,
    /// What the statement that was read does to savepoints.
    pub(crate) savepoint: Option<Step>,
    /// What is run in place of a PRAGMA that SQLite left undone.
    pub(crate) instead: Option<&'static str>,
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    NotAllowed(String),
    NeedsWriter,
    ForeignKeysOff,
    TooDeep,
}

/// A piece of SQL that was stored, to be run by later statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    View { name: String },
    Trigger { name: String, table: String },
}

/// How many tables of one statement are remembered; one that reads more is not looked into.
const TABLES_REMEMBERED: usize = 16;

/// One connection's record of what was seen.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Seen>);

/// Bytes of the stack in which a statement may be nested. SQLite has no bound on parts of UNION in
/// views in parts of UNION, and takes some hundred bytes for each.
const NESTED_BYTES: usize = 3 << 20;

impl Recorder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was seen; from now on nothing has been.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.lock())
    }

    /// SQLite's question, answered.
    pub(crate) fn judge(
        &self,
        role: Role,
        names_of_tables: &[String],
        context: &AuthContext<'_>,
    ) -> Authorization {
        let mut seen = self.lock();
        seen.note(&context.action);
        if StatementStack::is_used_up() {
            seen.refused.get_or_insert(Refused::TooDeep);
            return Authorization::Deny;
        }
        if seen.savepoint.is_some() {
            return Authorization::Allow;
        }
        if matches!(role, Role::Viewer(_))
            && audit_role::reads_a_with_clause(names_of_tables, context)
        {
            return Authorization::Allow;
        }
        match ruling(role, context) {
            Ruling::Run => Authorization::Allow,
            Ruling::Nothing => Authorization::Ignore,
            Ruling::Instead(sql) => {
                seen.instead.get_or_insert(sql);
                Authorization::Ignore
            }
            Ruling::Refuse(Refused::NeedsWriter) if seen.explains => match context.action {
                AuthAction::Pragma { pragma_name, .. }
                    if pragmas::acts_when_prepared(pragma_name) =>
                {
                    Authorization::Ignore
                }
                _ => Authorization::Allow,
            },
            Ruling::Refuse(refused) => {
                seen.refused.get_or_insert(refused);
                Authorization::Deny
            }
        }
    }
}

impl Seen {
    fn note(&mut self, action: &AuthAction<'_>) {
        match *action {
            AuthAction::Read { table_name, .. } if table_name.starts_with("pragma_") => {
                self.asks_pragma = true;
                self.checks_file |= checks_file(&table_name["pragma_".len()..]);
            }
            AuthAction::Read { table_name, .. } | AuthAction::Insert { table_name }
                if !self.has_many_tables() && !self.tables.iter().any(|it| it == table_name) =>
            {
                self.tables.push(table_name.to_owned());
            }
            AuthAction::Function { function_name } => {
                self.asks_changes |= function_name.eq_ignore_ascii_case("changes");
                self.adds_constraint |= function_name == "sqlite_add_constraint";
            }
            AuthAction::Pragma { pragma_name, .. } => {
                self.asks_pragma = true;
                self.checks_file |= checks_file(pragma_name);
            }
            AuthAction::Savepoint {
                operation,
                savepoint_name,
            } if self.reads_savepoint => {
                self.savepoint = Some(Step {
                    operation,
                    name: savepoint_name.to_owned(),
                });
            }
            AuthAction::CreateTrigger {
                trigger_name,
                table_name,
            } => {
                self.changes_schema = true;
                self.created.push(Created::Trigger {
                    name: trigger_name.to_owned(),
                    table: table_name.to_owned(),
                });
            }
            AuthAction::CreateView { view_name } => {
                self.changes_schema = true;
                self.created.push(Created::View {
                    name: view_name.to_owned(),
                });
            }
            AuthAction::CreateIndex { .. }
            | AuthAction::CreateTable { .. }
            | AuthAction::CreateVtable { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropTrigger { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropVtable { .. }
            | AuthAction::Reindex { .. }
            | AuthAction::Analyze { .. } => self.changes_schema = true,
            AuthAction::AlterTable { table_name, .. } => {
                self.changes_schema = true;
                self.altered = Some(table_name.to_owned());
            }
            _ => {}
        }
    }

    /// Whether reading more tables than are remembered.
    pub(crate) fn has_many_tables(&self) -> bool {
        self.tables.len() > TABLES_REMEMBERED
    }
}

thread_local! {
    /// Where this thread's stack was when its statement began.
    static BEGAN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// While it lives, statements that are prepared on this thread are held to a part of its stack.
#[derive(Debug)]
pub(crate) struct StatementStack(());

impl StatementStack {
    pub(crate) fn begin() -> Self {
        BEGAN.set(Some(place_on_the_stack()));
        Self(())
    }

    /// SQLite asks once for each part of a statement, inside of the one around it.
    fn is_used_up() -> bool {
        let began = BEGAN.get().unwrap_or_else(place_on_the_stack);
        began.saturating_sub(place_on_the_stack()) > NESTED_BYTES
    }
}

impl Drop for StatementStack {
    fn drop(&mut self) {
        BEGAN.set(None);
    }
}

/// An address in the frame of who asks; stacks grow downwards.
#[inline(never)]
fn place_on_the_stack() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

/// SQLite's question, answered.
fn ruling(role: Role, context: &AuthContext<'_>) -> Ruling {
    if let AuthAction::Pragma {
        pragma_name,
        pragma_value,
    } = context.action
        && !matches!(role, Role::Viewer(_))
    {
        match context.database_name {
            None | Some("main") => return pragmas::ruling(role, pragma_name, pragma_value),
            // There are no temporary objects, which is what SQLite answers. Tools ask for those
            // where a table is not found.
            Some("temp") if pragmas::describes(pragma_name) => return Ruling::Run,
            Some(_) => {}
        }
    }
    match verdict(role, context) {
        Ok(()) => Ruling::Run,
        Err(refused) => Ruling::Refuse(refused),
    }
}

pub(crate) fn verdict(role: Role, context: &AuthContext<'_>) -> Result<(), Refused> {
    let not = |what: &str| Err(Refused::NotAllowed(what.to_owned()));
    if let Role::Viewer(tables) = role {
        return audit_role::verdict(tables, context);
    }
    let write = match role {
        Role::Writer => Ok(()),
        Role::Reader | Role::Viewer(_) => Err(Refused::NeedsWriter),
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
            if FUNCTIONS.iter().any(is) || INTERNAL_FUNCTIONS.iter().any(is) {
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

fn checks_file(pragma: &str) -> bool {
    ["integrity_check", "quick_check"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(pragma))
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

    /// Functions of this build that nobody may call.
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
    /// Modules of this build that nobody may make a table of. `dbstat` is there without that.
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
        assert_eq!(names("PRAGMAs that tell:", ";"), pragmas::THAT_TELL);
        assert_eq!(names("about a table:", ";"), pragmas::ABOUT_A_TABLE);
        assert_eq!(names("for writers to set:", ";"), pragmas::TO_SET);
        let settings = pragmas::SETTINGS.iter().map(|(setting, _)| *setting);
        let settings: Vec<_> = settings.collect();
        assert_eq!(names("with the value that holds:", "."), settings);
        assert_eq!(names("Virtual tables:", ", and"), MODULES);
        assert_eq!(names("own pages. Not", "."), REFUSED_TABLES);
        assert_eq!(names("   - Functions:", ". Those"), FUNCTIONS);
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
