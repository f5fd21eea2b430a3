//! Filters: `gte.18`, `not.in.(1,2)`, `or=(age.lt.18,and(a.eq.1,b.eq.2))`.
use super::ast::{Field, IsWord, Operator, RowCondition, Test};
use super::scan::Scanner;
use crate::data::rows::RowsError;
use crate::engine::sql::schema::nearest;

/// Most levels of `and` and `or` inside of one another.
const MAX_CONDITION_DEPTH: usize = 16;

const OPERATORS: &[(&str, Operator)] = &[
    ("eq", Operator::Eq),
    ("neq", Operator::Neq),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("like", Operator::Like),
    ("ilike", Operator::Ilike),
    ("match", Operator::Match),
    ("imatch", Operator::Imatch),
    ("isdistinct", Operator::IsDistinct),
];

const FULL_TEXT: &[&str] = &["fts", "plfts", "phfts", "wfts"];
const OF_ARRAYS: &[&str] = &["cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"];

/// Whether a value begins as a filter does.
pub(super) fn looks_like_a_filter(value: &str) -> bool {
    let value = value.strip_prefix("not.").unwrap_or(value);
    let word = value.split(['.', '(']).next().unwrap_or_default();
    value.len() > word.len()
        && (matches!(word, "in" | "is") || OPERATORS.iter().any(|(name, _)| *name == word))
}

/// What a parameter `column=text` says of the column.
pub(super) fn filter(field: Field, text: &str) -> Result<RowCondition, RowsError> {
    let mut scanner = Scanner::new(text);
    let condition = comparison(field, &mut scanner, None)?;
    if scanner.is_at_end() {
        Ok(condition)
    } else {
        Err(scanner.error("the filter ends before this"))
    }
}

/// What a parameter `or=(…)` or `and=(…)` says.
pub(super) fn tree(is_any: bool, text: &str) -> Result<RowCondition, RowsError> {
    let mut scanner = Scanner::new(text);
    let conditions = branches(&mut scanner, 1)?;
    if !scanner.is_at_end() {
        return Err(scanner.error("the condition ends before this"));
    }
    Ok(joined(is_any, conditions))
}

fn joined(is_any: bool, conditions: Vec<RowCondition>) -> RowCondition {
    if is_any {
        RowCondition::Any(conditions)
    } else {
        RowCondition::All(conditions)
    }
}

fn branches(scanner: &mut Scanner<'_>, depth: usize) -> Result<Vec<RowCondition>, RowsError> {
    if depth > MAX_CONDITION_DEPTH {
        return Err(RowsError::invalid(format!(
            "`and` and `or` are nested more than {MAX_CONDITION_DEPTH} levels deep"
        )));
    }
    scanner.skip_spaces();
    scanner.expect("(")?;
    let mut conditions = Vec::new();
    loop {
        conditions.push(branch(scanner, depth)?);
        scanner.skip_spaces();
        if scanner.eat(")") {
            return Ok(conditions);
        }
        scanner.expect(",")?;
    }
}

fn branch(scanner: &mut Scanner<'_>, depth: usize) -> Result<RowCondition, RowsError> {
    scanner.skip_spaces();
    for (word, is_any, is_negated) in [
        ("and(", false, false),
        ("or(", true, false),
        ("not.and(", false, true),
        ("not.or(", true, true),
    ] {
        if scanner.rest().starts_with(word) {
            scanner.eat(&word[..word.len() - 1]);
            let condition = joined(is_any, branches(scanner, depth + 1)?);
            return Ok(if is_negated {
                RowCondition::Not(Box::new(condition))
            } else {
                condition
            });
        }
    }
    let field = scanner.field()?;
    if !scanner.eat(".") {
        return Err(scanner.error("an operator is missing: `column.eq.value`, found its end"));
    }
    comparison(field, scanner, Some(&[',', ')']))
}

/// `not.eq.value`. Inside of a tree, `ends` end the value.
fn comparison(
    field: Field,
    scanner: &mut Scanner<'_>,
    ends: Option<&[char]>,
) -> Result<RowCondition, RowsError> {
    let whole = scanner.rest();
    let is_negated = scanner.eat("not.");
    let test = test(&field, whole, scanner, ends)?;
    let condition = RowCondition::Compare { field, test };
    Ok(if is_negated {
        RowCondition::Not(Box::new(condition))
    } else {
        condition
    })
}

fn test(
    field: &Field,
    whole: &str,
    scanner: &mut Scanner<'_>,
    ends: Option<&[char]>,
) -> Result<Test, RowsError> {
    let word_ends = match ends {
        None => &['.', '('][..],
        Some(_) => &['.', '(', ',', ')'],
    };
    let word = scanner.until(word_ends);
    if word == "in" && scanner.rest().starts_with('(') {
        return Err(RowsError::Operator {
            message: "`in` is followed by a dot and its list".to_owned(),
            hint: "`in` takes a list: `in.(1,2,\"a,b\")`".to_owned(),
        });
    }
    if word == "in" && scanner.eat(".") {
        let values = scanner.list("(", ')').map_err(|error| match error {
            RowsError::Invalid { message, .. } => {
                RowsError::with_hint(message, "`in` takes a list: `in.(1,2,\"a,b\")`")
            }
            other => other,
        })?;
        return Ok(Test::In(values));
    }
    if word == "is" && scanner.eat(".") {
        let word = match ends {
            None => std::mem::replace(scanner, Scanner::new("")).rest(),
            Some(ends) => scanner.until(ends),
        };
        return is_word(word).map(Test::Is);
    }
    let known = OPERATORS.iter().find(|(name, _)| *name == word);
    let (Some((_, operator)), true) = (known, !scanner.is_at_end()) else {
        return Err(no_operator(field, whole, word));
    };
    let quantifier = [("(any)", false), ("(all)", true)];
    let quantifier = quantifier.into_iter().find(|(text, _)| scanner.eat(text));
    if quantifier.is_none() && scanner.rest().starts_with('(') {
        return Err(RowsError::Operator {
            message: format!("`{word}` is followed by something else than `(any)` or `(all)`"),
            hint: format!("write `{word}.value`, or `{word}(any).{{1,2}}`"),
        });
    }
    if !scanner.eat(".") {
        return Err(no_operator(field, whole, word));
    }
    if let Some((text, all)) = quantifier {
        if matches!(operator, Operator::Neq | Operator::IsDistinct) {
            return Err(RowsError::invalid(format!("`{word}` takes no `{text}`")));
        }
        let values = scanner.list("{", '}')?;
        return Ok(Test::Several {
            operator: *operator,
            values,
            all,
        });
    }
    let value = match ends {
        // A parameter of its own is taken as it is, quotes included.
        None => std::mem::replace(scanner, Scanner::new(""))
            .rest()
            .to_owned(),
        Some(ends) => scanner.value(ends)?,
    };
    Ok(Test::One(*operator, value))
}

fn is_word(word: &str) -> Result<IsWord, RowsError> {
    match word.to_ascii_lowercase().as_str() {
        "null" | "unknown" => Ok(IsWord::Null),
        "not_null" => Ok(IsWord::NotNull),
        "true" => Ok(IsWord::True),
        "false" => Ok(IsWord::False),
        _ => Err(RowsError::with_hint(
            format!("`is.{word}` is not a condition"),
            "use is.null, is.not_null, is.true or is.false; `eq.` compares values",
        )),
    }
}

/// The value of a filter begins with no operator.
fn no_operator(field: &Field, whole: &str, word: &str) -> RowsError {
    let column = &field.column;
    if FULL_TEXT.contains(&word) {
        return RowsError::Operator {
            message: format!("the full-text operator `{word}` is not supported"),
            hint: "search an FTS5 table with MATCH through POST …/query".to_owned(),
        };
    }
    if OF_ARRAYS.contains(&word) {
        return RowsError::Operator {
            message: format!("`{word}` compares arrays and ranges, which SQLite does not have"),
            hint: "compare members of JSON with `column->>member=eq.value`".to_owned(),
        };
    }
    let names = OPERATORS.iter().map(|(name, _)| *name).chain(["in", "is"]);
    match nearest(names, word).filter(|_| word.len() < whole.len()) {
        Some(near) => RowsError::Operator {
            message: format!("`{word}` is not a filter operator"),
            hint: format!("did you mean `{near}`? {LIST}"),
        },
        None => RowsError::Operator {
            message: format!("the filter on `{column}` has no operator"),
            hint: format!("{column}=eq.{whole} finds that value; {LIST}"),
        },
    }
}

const LIST: &str = "operators: eq, neq, gt, gte, lt, lte, like, ilike, match, imatch, in, is, \
                    isdistinct, each with `not.` in front of it to negate";

#[cfg(test)]
mod tests {
    use super::*;

    fn on(column: &str) -> Field {
        Field {
            column: column.into(),
            path: Vec::new(),
        }
    }

    #[test]
    fn a_parameters_value_is_taken_as_it_is() {
        for (text, value) in [
            ("eq.5", "5"),
            ("eq.", ""),
            ("eq.a.b,c)", "a.b,c)"),
            (r#"eq."q""#, r#""q""#),
        ] {
            let Ok(RowCondition::Compare { test, .. }) = filter(on("a"), text) else {
                panic!("{text}")
            };
            assert_eq!(test, Test::One(Operator::Eq, value.into()), "{text}");
        }
    }

    #[test]
    fn a_filter_without_an_operator_is_told_which_one_to_use() {
        for (text, says) in [
            ("24", "age=eq.24"),
            ("eqq.5", "`eq`"),
            ("3.5", "age=eq.3.5"),
            ("fts.cat", "FTS5"),
            ("cs.{1}", "->>"),
            ("eq", "age=eq.eq"),
            ("", "age=eq."),
        ] {
            let error = filter(on("age"), text).unwrap_err();
            assert!(error.hint().unwrap().contains(says), "{text}: {error:?}");
            assert!(matches!(error, RowsError::Operator { .. }), "{text}");
        }
        for text in [
            "is.nul",
            "in.5",
            "in.(1",
            "in.(1)x",
            "eq(any).5",
            "neq(any).{1}",
        ] {
            assert!(filter(on("a"), text).is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_nest() {
        let text = r#"(a.eq.1,not.and(b.in.(1,"x,y"),c.not.is.null),d.eq."p)q")"#;
        let Ok(RowCondition::Any(parts)) = tree(true, text) else {
            panic!()
        };
        assert_eq!(parts.len(), 3);
        let RowCondition::Compare { test, .. } = &parts[2] else {
            panic!()
        };
        assert_eq!(*test, Test::One(Operator::Eq, "p)q".into()));
        let deep = format!("{}a.eq.1{}", "(and".repeat(20), ")".repeat(20));
        for wrong in [
            "a.eq.1",
            "(a.eq.1",
            "(a.eq.1)x",
            "(a)",
            "()",
            "(a.eq.1,)",
            &deep,
        ] {
            assert!(tree(true, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_values_are_compared_at_once() {
        let Ok(RowCondition::Compare { test, .. }) = filter(on("a"), "like(any).{a*,\"b,c\"}")
        else {
            panic!()
        };
        let expected = Test::Several {
            operator: Operator::Like,
            values: vec!["a*".into(), "b,c".into()],
            all: false,
        };
        assert_eq!(test, expected);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in r#"[aeq"\\,.(){}not-]{0,24}"#) {
            let _ = filter(on("a"), &text);
            let _ = tree(true, &text);
        }
    }
}
