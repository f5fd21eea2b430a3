//! The authorizer, asked by SQLite while it prepares a statement, and its record of what it saw.
use super::pragmas::Ruling;
use super::role::{Refused, Role, Step};
use super::{allow_list, audit_role, pragmas};
use crate::locks::Mutex;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::cell::Cell;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

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
pub(crate) struct Recorder {
    seen: Mutex<Seen>,
    /// Whether anything was, which a statement from the cache does not bring about: it is asked
    /// more often than it is so.
    is_used: AtomicBool,
}

/// What a statement that was prepared asks for.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) changes_schema: bool,
    pub(crate) asks_pragma: bool,
    pub(crate) asks_changes: bool,
    pub(crate) checks_file: bool,
    pub(crate) adds_constraint: bool,
    /// See [`Seen::instead`].
    pub(crate) instead: Option<&'static str>,
}

/// Bytes of the stack in which a statement may be nested. SQLite has no bound on parts of UNION in
/// views in parts of UNION, and takes some hundred bytes for each.
const NESTED_BYTES: usize = 3 << 20;

impl Recorder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.is_used.store(true, Ordering::Relaxed);
        self.seen.lock()
    }

    /// What was seen; from now on nothing has been.
    pub(crate) fn take(&self) -> Seen {
        if !self.is_used.load(Ordering::Relaxed) {
            return Seen::default();
        }
        let seen = std::mem::take(&mut *self.lock());
        self.is_used.store(false, Ordering::Relaxed);
        seen
    }

    /// What the statement that was prepared asks for.
    pub(crate) fn found(&self) -> Found {
        if !self.is_used.load(Ordering::Relaxed) {
            return Found::default();
        }
        let seen = self.lock();
        Found {
            changes_schema: seen.changes_schema,
            asks_pragma: seen.asks_pragma,
            asks_changes: seen.asks_changes,
            checks_file: seen.checks_file,
            adds_constraint: seen.adds_constraint,
            instead: seen.instead,
        }
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
        if matches!(role, Role::Audit(_))
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

/// An address in the caller's stack frame; stacks grow downwards.
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
        && !matches!(role, Role::Audit(_))
    {
        match context.database_name {
            None | Some("main") => return pragmas::ruling(role, pragma_name, pragma_value),
            // There are no temporary objects, which is what SQLite answers. Tools ask for those
            // where a table is not found.
            Some("temp") if pragmas::describes(pragma_name) => return Ruling::Run,
            Some(_) => {}
        }
    }
    let verdict = match role {
        Role::Audit(tables) => audit_role::verdict(tables, context),
        Role::Reader | Role::Writer => allow_list::verdict(role, context),
    };
    match verdict {
        Ok(()) => Ruling::Run,
        Err(refused) => Ruling::Refuse(refused),
    }
}

fn checks_file(pragma: &str) -> bool {
    ["integrity_check", "quick_check"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(pragma))
}
