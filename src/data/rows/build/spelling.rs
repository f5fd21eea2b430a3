//! What is spelled differently in the SQL of different engines.
use super::text::Sql;
use crate::data::Param;
use crate::engine::sql::schema::SqlDialect;

/// The words of one dialect, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) truth: &'static str,
    pub(super) falsehood: &'static str,
    /// Compares so that NULL equals NULL, and the opposite.
    pub(super) same: &'static str,
    pub(super) not_same: &'static str,
    /// Closes a subquery in FROM.
    pub(super) end_of_source: &'static str,
    /// Begins and ends an array of the values `o` of a subquery.
    pub(super) array: [&'static str; 2],
    /// What is around a value that is made JSON, or a number.
    pub(super) as_json: [&'static str; 2],
    pub(super) as_integer: &'static str,
    pub(super) as_real: &'static str,
}

/// The words of a dialect.
pub(super) fn of(dialect: SqlDialect) -> Spelling {
    match dialect {
        SqlDialect::Sqlite => Spelling {
            truth: "1",
            falsehood: "0",
            same: " IS ",
            not_same: " IS NOT ",
            end_of_source: ")",
            array: [
                "(SELECT '[' || coalesce(group_concat(o, ','), '') || ']' FROM (SELECT ",
                "))",
            ],
            as_json: ["json(", ")"],
            as_integer: " AS INTEGER)",
            as_real: " AS REAL)",
        },
        SqlDialect::Postgres => Spelling {
            truth: "true",
            falsehood: "false",
            same: " IS NOT DISTINCT FROM ",
            not_same: " IS DISTINCT FROM ",
            end_of_source: ") AS s",
            array: [
                "(SELECT coalesce(json_agg(o), '[]'::json) FROM (SELECT ",
                ") AS s)",
            ],
            as_json: ["to_json(", ")"],
            as_integer: " AS bigint)",
            as_real: " AS double precision)",
        },
    }
}

/// A LIMIT that is none.
pub(super) fn no_limit(dialect: SqlDialect) -> Param {
    match dialect {
        SqlDialect::Sqlite => Param::Integer(-1),
        SqlDialect::Postgres => Param::Null,
    }
}

/// The statement as its engine takes it: PostgreSQL has numbers for the places of values.
pub(super) fn finished(sql: Sql, dialect: SqlDialect) -> Sql {
    if dialect == SqlDialect::Sqlite {
        return sql;
    }
    Sql {
        text: with_numbers(&sql.text),
        ..sql
    }
}

/// `$1`, `$2` … for each `?` that is no part of a quoted name.
fn with_numbers(text: &str) -> String {
    let mut numbered = String::with_capacity(text.len() + 16);
    let (mut is_quoted, mut number) = (false, 0);
    for character in text.chars() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                numbered.push('"');
            }
            '?' if !is_quoted => {
                number += 1;
                numbered.push('$');
                numbered.push_str(itoa::Buffer::new().format(number));
            }
            other => numbered.push(other),
        }
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_numbers_and_names_keep_their_signs() {
        let text = r#"SELECT "a?""?" FROM "t" WHERE a = ? AND b IN (?, ?)"#;
        assert_eq!(
            with_numbers(text),
            r#"SELECT "a?""?" FROM "t" WHERE a = $1 AND b IN ($2, $3)"#
        );
    }
}
