//! CREATE TABLE taken apart.
use super::cursor::Cursor;
use std::ops::Range;

/// A CREATE TABLE with a list of columns. Places are bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTable {
    /// The table's name, with its schema and quotes.
    pub(crate) name: Range<usize>,
    /// What is between the outermost parentheses.
    pub(crate) body: Range<usize>,
    pub(crate) columns: Vec<ColumnText>,
    /// Those of the table, behind its columns.
    pub(crate) constraints: Vec<ConstraintText>,
    pub(crate) is_strict: bool,
    pub(crate) is_without_rowid: bool,
}

/// A column's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnText {
    pub(crate) name: String,
    pub(crate) name_place: Range<usize>,
    /// Its declared type; empty, behind the name, where it has none.
    pub(crate) type_place: Range<usize>,
    pub(crate) constraints: Vec<ConstraintText>,
    /// All of it, without the comma.
    pub(crate) place: Range<usize>,
}

/// A constraint of a column or of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConstraintText {
    pub(crate) name: Option<String>,
    pub(crate) kind: ConstraintKind,
    /// All of it, its name included.
    pub(crate) place: Range<usize>,
}

/// What a constraint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConstraintKind {
    PrimaryKey {
        /// Of a table's constraint.
        columns: Vec<String>,
        is_autoincrement: bool,
    },
    NotNull,
    Null,
    Unique {
        /// Of a table's constraint.
        columns: Vec<String>,
    },
    /// Where the condition is.
    Check(Range<usize>),
    /// Where the value is.
    Default(Range<usize>),
    Collate(String),
    References {
        /// Of a table's constraint.
        columns: Vec<String>,
        to_table: String,
        is_deferred: bool,
    },
    Generated {
        is_stored: bool,
    },
    /// A name that stands alone.
    Nothing,
}

impl CreateTable {
    /// Takes a statement apart; `None` when it is none that creates a table with columns.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let is_create = cursor.pass_word("CREATE");
        let _ = cursor.pass_word("TEMP") || cursor.pass_word("TEMPORARY");
        if !is_create || !cursor.pass_word("TABLE") {
            return None;
        }
        cursor.pass_words(&["IF", "NOT", "EXISTS"]);
        let (_, mut name) = cursor.pass_name()?;
        if cursor.pass_sign(b'.') {
            name = name.start..cursor.pass_name()?.1.end;
        }
        if !cursor.pass_sign(b'(') {
            return None;
        }
        let body_begin = cursor.end();
        let mut table = Self {
            name,
            body: body_begin..body_begin,
            columns: Vec::new(),
            constraints: Vec::new(),
            is_strict: false,
            is_without_rowid: false,
        };
        while !cursor.sees_sign(b')') {
            if sees_table_constraint(&cursor) {
                let constraint = table_constraint(&mut cursor)?;
                table.constraints.push(constraint);
            } else if table.constraints.is_empty() {
                table.columns.push(column(&mut cursor)?);
            } else {
                return None;
            }
            cursor.pass_sign(b',');
        }
        table.body.end = cursor.begin();
        cursor.pass_sign(b')');
        loop {
            if cursor.pass_words(&["WITHOUT", "ROWID"]) {
                table.is_without_rowid = true;
            } else if cursor.pass_word("STRICT") {
                table.is_strict = true;
            } else if !cursor.pass_sign(b',') {
                break;
            }
        }
        cursor.pass_sign(b';');
        (cursor.is_at_end() && !table.columns.is_empty()).then_some(table)
    }

    /// Every constraint, in the order of declaration, with the column that it is of.
    pub(crate) fn all_constraints(
        &self,
    ) -> impl Iterator<Item = (Option<&ColumnText>, &ConstraintText)> {
        let of_columns = self.columns.iter().flat_map(|column| {
            let constraints = column.constraints.iter();
            constraints.map(move |constraint| (Some(column), constraint))
        });
        let of_table = self.constraints.iter();
        of_columns.chain(of_table.map(|constraint| (None, constraint)))
    }
}

/// Words that no bare column name can be.
fn sees_table_constraint(cursor: &Cursor<'_>) -> bool {
    cursor.sees_one_of(&["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"])
}

/// Words that end a column's type.
const BEGIN_CONSTRAINTS: &[&str] = &[
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "DEFERRABLE",
    "AS",
];

fn column(cursor: &mut Cursor<'_>) -> Option<ColumnText> {
    let (name, name_place) = cursor.pass_name()?;
    let name = name.into_owned();
    let mut type_place = name_place.end..name_place.end;
    let ends_type = |cursor: &Cursor<'_>| {
        cursor.sees_one_of(BEGIN_CONSTRAINTS) || cursor.sees_words(&["GENERATED", "ALWAYS"])
    };
    while !ends_type(cursor) {
        let Some((_, word)) = cursor.pass_name() else {
            break;
        };
        if type_place.is_empty() {
            type_place.start = word.start;
        }
        type_place.end = word.end;
    }
    if !type_place.is_empty() && cursor.pass_parentheses().is_some() {
        type_place.end = cursor.end();
    }
    let mut constraints: Vec<ConstraintText> = Vec::new();
    while !cursor.sees_sign(b',') && !cursor.sees_sign(b')') {
        constraints.push(column_constraint(cursor)?);
    }
    Some(ColumnText {
        name,
        place: name_place.start..cursor.end(),
        name_place,
        type_place,
        constraints: with_deferral(constraints),
    })
}

fn column_constraint(cursor: &mut Cursor<'_>) -> Option<ConstraintText> {
    let begin = cursor.begin();
    let name = constraint_name(cursor)?;
    let none = Vec::new();
    let kind = if cursor.pass_words(&["PRIMARY", "KEY"]) {
        let _ = cursor.pass_word("ASC") || cursor.pass_word("DESC");
        pass_conflict_clause(cursor);
        ConstraintKind::PrimaryKey {
            columns: none,
            is_autoincrement: cursor.pass_word("AUTOINCREMENT"),
        }
    } else if cursor.pass_words(&["NOT", "NULL"]) {
        pass_conflict_clause(cursor);
        ConstraintKind::NotNull
    } else if cursor.pass_word("NULL") {
        pass_conflict_clause(cursor);
        ConstraintKind::Null
    } else if cursor.pass_word("UNIQUE") {
        pass_conflict_clause(cursor);
        ConstraintKind::Unique { columns: none }
    } else if cursor.pass_word("CHECK") {
        let condition = cursor.pass_parentheses()?;
        pass_conflict_clause(cursor);
        ConstraintKind::Check(condition)
    } else if cursor.pass_word("DEFAULT") {
        ConstraintKind::Default(default_value(cursor)?)
    } else if cursor.pass_word("COLLATE") {
        ConstraintKind::Collate(cursor.pass_name()?.0.into_owned())
    } else if cursor.sees_word("REFERENCES") {
        references(cursor, none)?
    } else if let Some(is_deferred) = deferral(cursor) {
        // It belongs to what stands before it.
        ConstraintKind::References {
            columns: none,
            to_table: String::new(),
            is_deferred,
        }
    } else if cursor.pass_words(&["GENERATED", "ALWAYS", "AS"]) || cursor.pass_word("AS") {
        cursor.pass_parentheses()?;
        let is_stored = cursor.pass_word("STORED");
        let _ = is_stored || cursor.pass_word("VIRTUAL");
        ConstraintKind::Generated { is_stored }
    } else if name.is_some() {
        ConstraintKind::Nothing
    } else {
        return None;
    };
    Some(ConstraintText {
        name,
        kind,
        place: begin..cursor.end(),
    })
}

/// Adds to a reference what is said of its deferral behind it.
fn with_deferral(constraints: Vec<ConstraintText>) -> Vec<ConstraintText> {
    let mut joined: Vec<ConstraintText> = Vec::new();
    for constraint in constraints {
        if let ConstraintKind::References {
            to_table,
            is_deferred: deferred,
            ..
        } = &constraint.kind
            && to_table.is_empty()
            && let Some(last) = joined.last_mut()
            && let ConstraintKind::References { is_deferred, .. } = &mut last.kind
        {
            *is_deferred = *deferred;
            last.place.end = constraint.place.end;
            continue;
        }
        joined.push(constraint);
    }
    joined
}

fn table_constraint(cursor: &mut Cursor<'_>) -> Option<ConstraintText> {
    let begin = cursor.begin();
    let name = constraint_name(cursor)?;
    let kind = if cursor.pass_words(&["PRIMARY", "KEY"]) {
        let (columns, is_autoincrement) = key_columns(cursor)?;
        pass_conflict_clause(cursor);
        ConstraintKind::PrimaryKey {
            columns,
            is_autoincrement,
        }
    } else if cursor.pass_word("UNIQUE") {
        let (columns, _) = key_columns(cursor)?;
        pass_conflict_clause(cursor);
        ConstraintKind::Unique { columns }
    } else if cursor.pass_word("CHECK") {
        let condition = cursor.pass_parentheses()?;
        pass_conflict_clause(cursor);
        ConstraintKind::Check(condition)
    } else if cursor.pass_words(&["FOREIGN", "KEY"]) {
        let (columns, _) = key_columns(cursor)?;
        let mut kind = references(cursor, columns)?;
        if let ConstraintKind::References { is_deferred, .. } = &mut kind
            && let Some(deferred) = deferral(cursor)
        {
            *is_deferred = deferred;
        }
        kind
    } else if name.is_some() {
        ConstraintKind::Nothing
    } else {
        return None;
    };
    Some(ConstraintText {
        name,
        kind,
        place: begin..cursor.end(),
    })
}

fn constraint_name(cursor: &mut Cursor<'_>) -> Option<Option<String>> {
    if !cursor.pass_word("CONSTRAINT") {
        return Some(None);
    }
    Some(Some(cursor.pass_name()?.0.into_owned()))
}

fn pass_conflict_clause(cursor: &mut Cursor<'_>) {
    if cursor.pass_words(&["ON", "CONFLICT"]) {
        cursor.next();
    }
}

/// The names in a key's parentheses; an expression has none. Whether AUTOINCREMENT stands there.
fn key_columns(cursor: &mut Cursor<'_>) -> Option<(Vec<String>, bool)> {
    if !cursor.pass_sign(b'(') {
        return None;
    }
    let (mut names, mut is_autoincrement) = (Vec::new(), false);
    loop {
        if let Some((name, _)) = cursor.pass_name() {
            names.push(name.into_owned());
        }
        while !cursor.sees_sign(b',') && !cursor.sees_sign(b')') {
            is_autoincrement |= cursor.sees_word("AUTOINCREMENT");
            if cursor.pass_parentheses().is_none() {
                cursor.next()?;
            }
        }
        if cursor.pass_sign(b')') {
            return Some((names, is_autoincrement));
        }
        cursor.pass_sign(b',');
    }
}

fn references(cursor: &mut Cursor<'_>, columns: Vec<String>) -> Option<ConstraintKind> {
    if !cursor.pass_word("REFERENCES") {
        return None;
    }
    let (to_table, _) = cursor.pass_name()?;
    if cursor.sees_sign(b'(') {
        cursor.pass_parentheses()?;
    }
    loop {
        if cursor.pass_word("MATCH") {
            cursor.next()?;
        } else if cursor.sees_word("ON") {
            cursor.next();
            cursor.next()?; // DELETE, UPDATE or INSERT
            if !cursor.pass_words(&["NO", "ACTION"]) && !cursor.pass_word("SET") {
                cursor.next()?; // CASCADE or RESTRICT
            } else if cursor.sees_one_of(&["NULL", "DEFAULT"]) {
                cursor.next();
            }
        } else {
            break;
        }
    }
    Some(ConstraintKind::References {
        columns,
        to_table: to_table.into_owned(),
        is_deferred: false,
    })
}

/// `[NOT] DEFERRABLE [INITIALLY …]`: whether it makes the check wait for the end of the transaction.
fn deferral(cursor: &mut Cursor<'_>) -> Option<bool> {
    let is_not = cursor.pass_words(&["NOT", "DEFERRABLE"]);
    if !is_not && !cursor.pass_word("DEFERRABLE") {
        return None;
    }
    let is_deferred = cursor.pass_words(&["INITIALLY", "DEFERRED"]);
    let _ = is_deferred || cursor.pass_words(&["INITIALLY", "IMMEDIATE"]);
    Some(is_deferred && !is_not)
}

fn default_value(cursor: &mut Cursor<'_>) -> Option<Range<usize>> {
    let begin = cursor.begin();
    if cursor.sees_sign(b'(') {
        cursor.pass_parentheses()?;
    } else {
        let _ = cursor.pass_sign(b'-') || cursor.pass_sign(b'+');
        cursor.next()?;
    }
    Some(begin..cursor.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> CreateTable {
        CreateTable::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_table_is_taken_apart_into_its_columns_and_constraints() {
        let text = "CREATE TABLE \"a\"\"b\" (id INTEGER CONSTRAINT pk PRIMARY KEY ON CONFLICT FAIL \
            AUTOINCREMENT, -- the key, (id\n [x y] VARCHAR ( 10 , 2 ) NOT NULL DEFAULT 'a,b)' \
            COLLATE nocase CHECK (x > ')'), z REFERENCES o(id) ON DELETE SET NULL DEFERRABLE \
            INITIALLY DEFERRED UNIQUE, g INT GENERATED ALWAYS AS (id * 2) STORED, w, \
            CONSTRAINT c CHECK (z <> ','), FOREIGN KEY (z, w) REFERENCES p ON UPDATE NO ACTION \
            NOT DEFERRABLE INITIALLY DEFERRED UNIQUE (z COLLATE binary, w DESC)) STRICT, WITHOUT ROWID";
        let table = parsed(text);
        assert_eq!(&text[table.name.clone()], "\"a\"\"b\"");
        assert!(table.is_strict && table.is_without_rowid);
        let names: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["id", "x y", "z", "g", "w"]);
        let kinds = |at: usize| -> Vec<&ConstraintKind> {
            let constraints = table.columns[at].constraints.iter();
            constraints.map(|it| &it.kind).collect()
        };
        assert!(matches!(
            kinds(0)[..],
            [ConstraintKind::PrimaryKey {
                is_autoincrement: true,
                ..
            }]
        ));
        assert_eq!(table.columns[0].constraints[0].name.as_deref(), Some("pk"));
        let second = &table.columns[1];
        assert_eq!(&text[second.type_place.clone()], "VARCHAR ( 10 , 2 )");
        assert!(matches!(
            kinds(1)[..],
            [
                ConstraintKind::NotNull,
                ConstraintKind::Default(_),
                ConstraintKind::Collate(_),
                ConstraintKind::Check(_)
            ]
        ));
        assert!(matches!(
            kinds(2)[..],
            [
                ConstraintKind::References {
                    is_deferred: true,
                    ..
                },
                ConstraintKind::Unique { .. }
            ]
        ));
        assert_eq!(&text[table.columns[3].type_place.clone()], "INT");
        assert!(table.columns[4].type_place.is_empty());
        assert!(matches!(
            &table.constraints[1].kind,
            ConstraintKind::References { columns, to_table, is_deferred: false }
                if columns == &["z", "w"] && to_table == "p"
        ));
        assert!(matches!(
            &table.constraints[2].kind,
            ConstraintKind::Unique { columns } if columns == &["z", "w"]
        ));
    }

    #[test]
    fn odd_tables_that_sqlite_takes_are_taken_apart() {
        for text in [
            "CREATE TABLE t(a,b)",
            "CREATE TABLE IF NOT EXISTS main.t('a' 'long' \"type\" (1), CHECK(a)CHECK(a))",
            "CREATE TABLE t(a DEFAULT -1 NOT NULL, b DEFAULT +1.5, c DEFAULT (1+(2)), d DEFAULT CURRENT_TIMESTAMP)",
            "CREATE TABLE t(a CONSTRAINT x NOT NULL CONSTRAINT y, b)",
            "CREATE TABLE t(a, CONSTRAINT x)",
            "CREATE TABLE t(z, a AS (1), b INT AS (a) VIRTUAL)",
            "CREATE TABLE t(a PRIMARY KEY DESC, b) WITHOUT ROWID;",
            "CREATE TABLE t(a INTEGER, PRIMARY KEY (a AUTOINCREMENT))",
            "CREATE TABLE t(key, abort, fail, generated int, always, rowid)",
            "CREATE TABLE t(a INT,b INT NOT DEFERRABLE, c NULL UNIQUE ON CONFLICT IGNORE)",
        ] {
            let sqlite = rusqlite::Connection::open_in_memory().unwrap();
            sqlite.execute_batch(text).unwrap();
            let count: i64 = sqlite
                .query_row("SELECT count(*) FROM pragma_table_xinfo('t')", [], |row| {
                    row.get(0)
                })
                .unwrap();
            assert_eq!(parsed(text).columns.len() as i64, count, "{text}");
        }
        for other in [
            "CREATE VIEW v AS SELECT 1",
            "CREATE TABLE t AS SELECT 1",
            "CREATE TABLE t(a",
            "",
        ] {
            assert_eq!(CreateTable::parse(other), None, "{other}");
        }
    }
}
