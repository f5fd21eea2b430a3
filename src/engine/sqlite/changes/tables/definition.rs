//! Definitions as SQL. Names are quoted; pieces of SQL have to stay in their place.
use crate::engine::sql::{
    CheckDefinition, ColumnDefinition, ForeignKeyDefinition, Generated, IndexDefinition,
    IndexedThing, Table, TableChange, TableDefinition, TableError, TableKind, quoted,
};
use crate::engine::sqlite::syntax::piece::{is_expression, is_type};

/// Refuses what makes no table, before anything waits for it.
pub(super) fn refuse_wrong(change: &TableChange) -> Result<(), TableError> {
    match change {
        TableChange::Create(definition) => create_table(definition).map(drop),
        TableChange::Alter(change) => {
            let new_columns = change.add_columns.iter();
            new_columns
                .map(|it| column(it, false))
                .collect::<Result<Vec<_>, _>>()?;
            let new_keys = change.add_foreign_keys.iter();
            new_keys.map(foreign_key).collect::<Result<Vec<_>, _>>()?;
            let new_checks = change.add_checks.iter();
            new_checks.map(check).collect::<Result<Vec<_>, _>>()?;
            let mut names = change.rename_columns.iter().map(|(_, to)| to);
            if change.rename.as_ref().is_some_and(String::is_empty) || names.any(String::is_empty) {
                return invalid("a table and its columns have names");
            }
            Ok(())
        }
        TableChange::CreateIndex { index, .. } if index.columns.is_empty() => {
            invalid("an index has at least one column or expression")
        }
        TableChange::CreateIndex { .. }
        | TableChange::Drop { .. }
        | TableChange::DropIndex { .. } => Ok(()),
    }
}

pub(super) fn create_table(table: &TableDefinition) -> Result<String, TableError> {
    if table.name.is_empty() {
        return invalid("a table has a name");
    }
    if table.columns.is_empty() {
        return invalid("a table has at least one column");
    }
    let key_alone = match table.primary_key.as_slice() {
        [key] => Some(key),
        _ => None,
    };
    let mut parts = Vec::new();
    for defined in &table.columns {
        let is_key = key_alone.is_some_and(|key| key.eq_ignore_ascii_case(&defined.name));
        parts.push(column(defined, is_key)?);
    }
    for name in &table.primary_key {
        let is_there = |column: &ColumnDefinition| column.name.eq_ignore_ascii_case(name);
        if !table.columns.iter().any(is_there) {
            return invalid(format!(
                "the primary key names the column `{name}`, which is none"
            ));
        }
    }
    if key_alone.is_none() && !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", names(&table.primary_key)));
    }
    parts.extend(table.unique.iter().map(|columns| unique(columns)));
    for key in &table.foreign_keys {
        parts.push(foreign_key(key)?);
    }
    for condition in &table.checks {
        parts.push(check(condition)?);
    }
    Ok(format!(
        "CREATE TABLE {} ({}){}",
        quoted(&table.name),
        parts.join(", "),
        options(table.is_strict, table.is_without_rowid)
    ))
}

/// What stands behind the parentheses of a table.
pub(super) fn options(is_strict: bool, is_without_rowid: bool) -> &'static str {
    match (is_strict, is_without_rowid) {
        (false, false) => "",
        (true, false) => " STRICT",
        (false, true) => " WITHOUT ROWID",
        (true, true) => " STRICT, WITHOUT ROWID",
    }
}

/// A column; `is_key`: it is the primary key alone.
pub(super) fn column(column: &ColumnDefinition, is_key: bool) -> Result<String, TableError> {
    let name = &column.name;
    if name.is_empty() {
        return invalid("a column has a name");
    }
    let mut sql = quoted(name);
    let mut add = |words: &str| {
        sql.push(' ');
        sql.push_str(words);
    };
    if !column.declared_type.is_empty() {
        add(declared_type(&column.declared_type, name)?);
    }
    if is_key {
        // Only here INTEGER PRIMARY KEY becomes the row's own number.
        add("PRIMARY KEY");
        if column.is_autoincrement {
            add("AUTOINCREMENT");
        }
    } else if column.is_autoincrement {
        return invalid(format!(
            "`{name}` can count up only as the one column of the primary key, of the type INTEGER"
        ));
    }
    if column.not_null {
        add("NOT NULL");
    }
    if column.unique {
        add("UNIQUE");
    }
    if let Some(value) = &column.default {
        add(&default(value, name)?);
    }
    if let Some(collation) = &column.collation {
        add(&format!("COLLATE {}", quoted(collation)));
    }
    if let Some(condition) = &column.check {
        add(&format!(
            "CHECK ({})",
            expression(condition, "the check", name)?
        ));
    }
    if let Some((value, kept)) = &column.generated {
        let value = expression(value, "the expression", name)?;
        let kept = match kept {
            Generated::Virtual => "VIRTUAL",
            Generated::Stored => "STORED",
        };
        add(&format!("AS ({value}) {kept}"));
    }
    Ok(sql)
}

pub(super) fn declared_type<'t>(words: &'t str, column: &str) -> Result<&'t str, TableError> {
    if is_type(words) {
        return Ok(words);
    }
    invalid(format!(
        "the type of `{column}` is no type: `{words}`; it has words and at most two numbers, such \
         as VARCHAR(20), and constraints have fields of their own"
    ))
}

/// `DEFAULT …`. Anything but a single value stands in parentheses.
pub(super) fn default(value: &str, column: &str) -> Result<String, TableError> {
    let value = expression(value, "the default", column)?;
    if is_constant(value) || value.starts_with('(') || is_moment(value) {
        return Ok(format!("DEFAULT {value}"));
    }
    Ok(format!("DEFAULT ({value})"))
}

fn is_moment(value: &str) -> bool {
    let moments = ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"];
    moments.iter().any(|it| it.eq_ignore_ascii_case(value))
}

/// Whether it is one value that is always the same.
pub(super) fn is_constant(value: &str) -> bool {
    let number = value.strip_prefix(['-', '+']).unwrap_or(value);
    let is_text = value.len() > 1
        && value.starts_with('\'')
        && !value[1..value.len() - 1].replace("''", "").contains('\'');
    let words = ["NULL", "TRUE", "FALSE"];
    is_text
        || number.starts_with(|it: char| it.is_ascii_digit()) && number.parse::<f64>().is_ok()
        || words.iter().any(|word| word.eq_ignore_ascii_case(value))
        || value.len() > 2 && value[..2].eq_ignore_ascii_case("x'") && value.ends_with('\'')
}

pub(super) fn unique(columns: &[String]) -> String {
    format!("UNIQUE ({})", names(columns))
}

pub(super) fn check(check: &CheckDefinition) -> Result<String, TableError> {
    let named = check
        .name
        .as_ref()
        .map(|name| format!("CONSTRAINT {} ", quoted(name)));
    let condition = expression(&check.expression, "a check", "the table")?;
    Ok(format!("{}CHECK ({condition})", named.unwrap_or_default()))
}

pub(super) fn foreign_key(key: &ForeignKeyDefinition) -> Result<String, TableError> {
    if key.columns.is_empty() || key.to_table.is_empty() {
        return invalid("a foreign key has columns, and a table that they refer to");
    }
    let mut sql = format!(
        "FOREIGN KEY ({}) REFERENCES {}",
        names(&key.columns),
        quoted(&key.to_table)
    );
    if !key.to_columns.is_empty() {
        sql += &format!(" ({})", names(&key.to_columns));
    }
    for (what, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
        if let Some(action) = action {
            sql += &format!(" ON {what} {action}");
        }
    }
    if key.is_deferred {
        sql += " DEFERRABLE INITIALLY DEFERRED";
    }
    Ok(sql)
}

/// The name and the statement of an index.
pub(super) fn create_index(
    table: &Table,
    index: &IndexDefinition,
) -> Result<(String, String), TableError> {
    if table.kind == TableKind::View || table.kind == TableKind::Virtual {
        return invalid(format!(
            "`{}` is no table that can have an index",
            table.name
        ));
    }
    if index.columns.is_empty() {
        return invalid("an index has at least one column or expression");
    }
    let (mut parts, mut words) = (Vec::new(), vec![table.name.clone()]);
    for part in &index.columns {
        let mut sql = match &part.what {
            IndexedThing::Column(name) => {
                let Some(column) = table.column(name) else {
                    return Err(no_column(table, name));
                };
                words.push(column.name.clone());
                quoted(&column.name)
            }
            IndexedThing::Expression(sql) => {
                words.push("expression".to_owned());
                format!("({})", expression(sql, "an expression", "the index")?)
            }
        };
        if let Some(collation) = &part.collation {
            sql += &format!(" COLLATE {}", quoted(collation));
        }
        if part.is_descending {
            sql += " DESC";
        }
        parts.push(sql);
    }
    let name = index.name.clone().unwrap_or_else(|| words.join("_"));
    let mut sql = format!(
        "CREATE {}INDEX {} ON {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quoted(&name),
        quoted(&table.name),
        parts.join(", ")
    );
    if let Some(condition) = &index.condition {
        sql += &format!(
            " WHERE {}",
            expression(condition, "the condition", "the index")?
        );
    }
    Ok((name, sql))
}

pub(super) fn no_column(table: &Table, name: &str) -> TableError {
    TableError::NotFound {
        what: "column",
        name: format!("{}.{name}", table.name),
        nearest: table.nearest_column(name).map(str::to_owned),
    }
}

fn names(columns: &[String]) -> String {
    let quoted = columns.iter().map(|name| quoted(name));
    quoted.collect::<Vec<_>>().join(", ")
}

fn expression<'e>(sql: &'e str, what: &str, of: &str) -> Result<&'e str, TableError> {
    if is_expression(sql) {
        return Ok(sql.trim());
    }
    invalid(format!(
        "{what} of `{of}` is not one expression: `{sql}`; quotes and parentheses must be closed, a \
         text is written 'it''s', and comments are not allowed"
    ))
}

pub(super) fn invalid<T>(message: impl Into<String>) -> Result<T, TableError> {
    Err(TableError::Invalid(message.into()))
}
