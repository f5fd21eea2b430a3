//! Changes of tables and indexes: statements of one transaction, made from what is asked for.
use super::error::{Asked, Failure};
use super::executor::PostgresExecutor;
use super::pool::{Lease, Purpose, Role};
use super::text::{Nature, Remains};
use super::work::{Cancelled, run_one, within};
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::executor::Call;
use crate::engine::sql::{
    Alteration, CheckDefinition, ColumnChange, ColumnDefinition, ForeignKeyDefinition, Index,
    IndexDefinition, IndexOrigin, IndexedThing, Schema, Statement, Table, TableChange,
    TableChanged, TableCommand, TableDefinition, TableError, TableKind, Target, nearest, quoted,
};

/// Most bytes of a name (`NAMEDATALEN`).
const LONGEST_NAME: usize = 63;

/// What a change of a table consists of.
struct Plan {
    statements: Vec<String>,
    /// The table's name afterwards.
    table: String,
    index: Option<String>,
}

/// Why a change did not happen.
enum Stopped {
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Cancelled for Stopped {
    fn cancelled() -> Self {
        Self::Failed(Failure::cancelled())
    }
}

impl PostgresExecutor {
    /// Changes a table, all at once or not at all.
    pub(super) async fn change(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: &TableCommand,
    ) -> Result<TableChanged, TableError> {
        let schema = self.read_schema(guard, target, call).await?;
        let plan = plan(&schema, &command.change)?;
        let pool = self.pool(guard, target)?;
        let leased = pool.lease(guard, Role::App, Purpose::Statement, call.deadline);
        let mut lease = leased.await?;
        lease.may_leave(Remains::Settings);
        let stopper = lease.stopper();
        let work = run(&mut lease, call, &plan.statements, command.is_dry_run);
        let changed = within(call.deadline, &pool, stopper, work).await;
        changed.map_err(|Stopped::Failed(failure)| failed(failure, call, &plan.table))?;
        Ok(TableChanged {
            table: plan.table,
            index: plan.index,
            statements: plan.statements,
        })
    }
}

async fn run(
    lease: &mut Lease,
    call: &Call,
    statements: &[String],
    is_dry_run: bool,
) -> Result<(), Stopped> {
    lease.session().command("BEGIN").await?;
    for sql in statements {
        let statement = Statement {
            sql: sql.as_str().into(),
            ..Statement::default()
        };
        let nature = Nature::of(sql);
        run_one(lease, &statement, &nature, &call.form).await?;
    }
    let end = if is_dry_run { "ROLLBACK" } else { "COMMIT" };
    Ok(lease.session().command(end).await?)
}

/// What the server says, in the words that changes of tables have.
fn failed(failure: Failure, call: &Call, table: &str) -> TableError {
    if let Failure::Server(error) = &failure {
        match error.sqlstate.as_str() {
            "42P07" | "42710" => return TableError::Exists(table.to_owned()),
            "2BP01" => {
                let detail = error.detail.as_deref().unwrap_or_default();
                return TableError::InUse {
                    what: format!("`{table}`"),
                    by: detail.lines().map(str::to_owned).collect(),
                };
            }
            _ => {}
        }
    }
    let asked = Asked {
        timeout: call.timeout,
        may_write: true,
        begins_like_a_read: false,
        keeps_at_once: true,
    };
    failure.for_caller(&asked).into()
}

fn plan(schema: &Schema, change: &TableChange) -> Result<Plan, TableError> {
    let one = |statement: String, table: &str, index: Option<String>| {
        Ok(Plan {
            statements: vec![statement],
            table: table.to_owned(),
            index,
        })
    };
    match change {
        TableChange::Create(definition) => {
            let statement = create(definition)?;
            if schema.find(&definition.name).is_some() {
                return Err(TableError::Exists(definition.name.clone()));
            }
            one(statement, &definition.name, None)
        }
        TableChange::Drop { table } => {
            let table = find(schema, table)?;
            refuse_internal(table)?;
            let what = match (table.kind, table.sql.starts_with("CREATE MATERIALIZED")) {
                (TableKind::View, true) => "MATERIALIZED VIEW",
                (TableKind::View, false) => "VIEW",
                _ => "TABLE",
            };
            one(
                format!("DROP {what} {}", quoted(&table.name)),
                &table.name,
                None,
            )
        }
        TableChange::Alter(alteration) => alter(find(schema, &alteration.table)?, alteration),
        TableChange::CreateIndex { table, index } => {
            let table = find(schema, table)?;
            let (name, statement) = create_index(table, index)?;
            one(statement, &table.name, Some(name))
        }
        TableChange::DropIndex { table, index } => {
            let table = find(schema, table)?;
            let found = table.indexes.iter().find(|it| it.name == *index);
            let found = found.ok_or_else(|| TableError::NotFound {
                what: "index",
                name: index.clone(),
                nearest: nearest(table.indexes.iter().map(|it| it.name.as_str()), index)
                    .map(str::to_owned),
            })?;
            if found.origin != IndexOrigin::Created {
                return Err(TableError::InUse {
                    what: format!("the index `{index}`"),
                    by: vec!["a key of its table".to_owned()],
                });
            }
            one(format!("DROP INDEX {}", quoted(index)), &table.name, None)
        }
    }
}

fn find<'s>(schema: &'s Schema, name: &str) -> Result<&'s Table, TableError> {
    schema.find(name).ok_or_else(|| TableError::NotFound {
        what: "table",
        name: name.to_owned(),
        nearest: schema.nearest(name).map(str::to_owned),
    })
}

fn refuse_internal(table: &Table) -> Result<(), TableError> {
    if !table.is_internal {
        return Ok(());
    }
    Err(TableError::InUse {
        what: format!("`{}`", table.name),
        by: vec!["DB-Forge itself".to_owned()],
    })
}

fn invalid<T>(message: &str) -> Result<T, TableError> {
    Err(TableError::Invalid(message.to_owned()))
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

fn create(definition: &TableDefinition) -> Result<String, TableError> {
    if definition.columns.is_empty() {
        return invalid("a table has at least one column");
    }
    if definition.is_without_rowid {
        return invalid("`without_rowid` is SQLite's: leave it out");
    }
    let mut parts: Vec<String> = Vec::new();
    for definition in &definition.columns {
        parts.push(column(definition)?);
    }
    if !definition.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&definition.primary_key)));
    }
    let unique = definition.unique.iter();
    parts.extend(unique.map(|columns| format!("UNIQUE ({})", list(columns))));
    parts.extend(definition.foreign_keys.iter().map(foreign_key));
    parts.extend(definition.checks.iter().map(check));
    Ok(format!(
        "CREATE TABLE {} ({})",
        quoted(&definition.name),
        parts.join(", ")
    ))
}

fn column(definition: &ColumnDefinition) -> Result<String, TableError> {
    if definition.declared_type.trim().is_empty() {
        return Err(TableError::Invalid(format!(
            "the column `{}` needs a type on this engine, such as text or bigint",
            definition.name
        )));
    }
    let mut text = format!("{} {}", quoted(&definition.name), definition.declared_type);
    let mut add = |part: String| {
        text.push(' ');
        text.push_str(&part);
    };
    if let Some(collation) = &definition.collation {
        add(format!("COLLATE {}", quoted(collation)));
    }
    if definition.is_autoincrement {
        add("GENERATED BY DEFAULT AS IDENTITY".to_owned());
    }
    if definition.not_null {
        add("NOT NULL".to_owned());
    }
    if definition.unique {
        add("UNIQUE".to_owned());
    }
    if let Some(default) = &definition.default {
        add(format!("DEFAULT {default}"));
    }
    if let Some(condition) = &definition.check {
        add(format!("CHECK ({condition})"));
    }
    if let Some((expression, _)) = &definition.generated {
        add(format!("GENERATED ALWAYS AS ({expression}) STORED"));
    }
    Ok(text)
}

fn foreign_key(key: &ForeignKeyDefinition) -> String {
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}",
        list(&key.columns),
        quoted(&key.to_table)
    );
    if !key.to_columns.is_empty() {
        text += &format!(" ({})", list(&key.to_columns));
    }
    for (when, action) in [
        (" ON DELETE ", key.on_delete),
        (" ON UPDATE ", key.on_update),
    ] {
        if let Some(action) = action {
            text += when;
            text += action;
        }
    }
    if key.is_deferred {
        text += " DEFERRABLE INITIALLY DEFERRED";
    }
    text
}

fn check(check: &CheckDefinition) -> String {
    match &check.name {
        Some(name) => format!("CONSTRAINT {} CHECK ({})", quoted(name), check.expression),
        None => format!("CHECK ({})", check.expression),
    }
}

fn create_index(table: &Table, index: &IndexDefinition) -> Result<(String, String), TableError> {
    if index.columns.is_empty() {
        return invalid("an index has at least one column");
    }
    let parts = index.columns.iter().map(|part| {
        let mut text = match &part.what {
            IndexedThing::Column(name) => quoted(name),
            IndexedThing::Expression(expression) => format!("({expression})"),
        };
        if let Some(collation) = &part.collation {
            text += &format!(" COLLATE {}", quoted(collation));
        }
        if part.is_descending {
            text += " DESC";
        }
        text
    });
    let parts: Vec<String> = parts.collect();
    let name = index.name.clone().unwrap_or_else(|| {
        let words = index.columns.iter().map(|part| match &part.what {
            IndexedThing::Column(name) => name.as_str(),
            IndexedThing::Expression(_) => "expr",
        });
        let mut name = std::iter::once(table.name.as_str())
            .chain(words)
            .chain(["idx"])
            .collect::<Vec<_>>()
            .join("_");
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        name
    });
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut statement = format!(
        "CREATE {unique}INDEX {} ON {} ({})",
        quoted(&name),
        quoted(&table.name),
        parts.join(", ")
    );
    if let Some(condition) = &index.condition {
        statement += &format!(" WHERE {condition}");
    }
    Ok((name, statement))
}

fn alter(table: &Table, change: &Alteration) -> Result<Plan, TableError> {
    refuse_internal(table)?;
    if change.is_strict == Some(false) || change.is_without_rowid == Some(true) {
        return invalid("`strict` and `without_rowid` are SQLite's: leave them out");
    }
    let own = quoted(&table.name);
    let mut statements = Vec::new();
    let mut add = |part: String| statements.push(format!("ALTER TABLE {own} {part}"));
    for (name, new_name) in &change.rename_columns {
        let (name, new_name) = (quoted(name), quoted(new_name));
        add(format!("RENAME COLUMN {name} TO {new_name}"));
    }
    // All else uses the new names, which constraints that are there do not have yet.
    let before = |columns: &[String]| -> Vec<String> {
        let old = |name: &String| {
            let mut renamed = change.rename_columns.iter();
            let renamed = renamed.find(|(_, new_name)| new_name == name);
            renamed.map_or_else(|| name.clone(), |(old, _)| old.clone())
        };
        columns.iter().map(old).collect()
    };
    for columns in &change.drop_foreign_keys {
        let known = before(columns);
        let mut keys = table.foreign_keys.iter();
        let key = keys.find(|key| key.columns == known);
        let name = key.and_then(|key| key.name.as_deref());
        add(drop_constraint(name, "foreign key", columns)?);
    }
    for columns in &change.drop_unique {
        let index = key_index(table, IndexOrigin::Unique, &before(columns));
        let name = index.map(|index| index.name.as_str());
        add(drop_constraint(name, "UNIQUE constraint", columns)?);
    }
    for name in &change.drop_checks {
        add(format!("DROP CONSTRAINT {}", quoted(name)));
    }
    if let Some(key) = &change.primary_key {
        if !table.primary_key.is_empty() {
            let index = key_index(table, IndexOrigin::PrimaryKey, &table.primary_key);
            let name = index.map(|index| index.name.as_str());
            add(drop_constraint(name, "primary key", &table.primary_key)?);
        }
        if !key.is_empty() {
            add(format!("ADD PRIMARY KEY ({})", list(key)));
        }
    }
    for name in &change.drop_columns {
        add(format!("DROP COLUMN {}", quoted(name)));
    }
    for definition in &change.add_columns {
        add(format!("ADD COLUMN {}", column(definition)?));
    }
    for changed in &change.alter_columns {
        alter_column(changed, &mut add);
    }
    for columns in &change.add_unique {
        add(format!("ADD UNIQUE ({})", list(columns)));
    }
    for key in &change.add_foreign_keys {
        add(format!("ADD {}", foreign_key(key)));
    }
    for condition in &change.add_checks {
        add(format!("ADD {}", check(condition)));
    }
    if let Some(name) = &change.rename {
        add(format!("RENAME TO {}", quoted(name)));
    }
    Ok(Plan {
        table: change.rename.clone().unwrap_or_else(|| table.name.clone()),
        statements,
        index: None,
    })
}

fn alter_column(changed: &ColumnChange, add: &mut impl FnMut(String)) {
    let name = quoted(&changed.name);
    if let Some(declared) = &changed.declared_type {
        let collation = match &changed.collation {
            Some(Some(collation)) => format!(" COLLATE {}", quoted(collation)),
            _ => String::new(),
        };
        add(format!(
            "ALTER COLUMN {name} TYPE {declared}{collation} USING {name}::{declared}"
        ));
    }
    match changed.not_null {
        Some(true) => add(format!("ALTER COLUMN {name} SET NOT NULL")),
        Some(false) => add(format!("ALTER COLUMN {name} DROP NOT NULL")),
        None => {}
    }
    match &changed.default {
        Some(Some(default)) => add(format!("ALTER COLUMN {name} SET DEFAULT {default}")),
        Some(None) => add(format!("ALTER COLUMN {name} DROP DEFAULT")),
        None => {}
    }
}

fn drop_constraint(
    name: Option<&str>,
    what: &'static str,
    columns: &[String],
) -> Result<String, TableError> {
    let name = name.ok_or_else(|| TableError::NotFound {
        what,
        name: columns.join(", "),
        nearest: None,
    })?;
    Ok(format!("DROP CONSTRAINT {}", quoted(name)))
}

/// The index of a key of these columns, whose constraint has its name.
fn key_index<'t>(table: &'t Table, origin: IndexOrigin, columns: &[String]) -> Option<&'t Index> {
    table.indexes.iter().find(|index| {
        let names = index
            .columns
            .iter()
            .filter_map(|column| column.name.as_ref());
        index.origin == origin && names.eq(columns)
    })
}
