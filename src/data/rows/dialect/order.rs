//! `order`: `age.desc.nullslast,name,users(city).asc`.
use super::ast::OrderTerm;
use super::scan::Scanner;
use crate::data::rows::RowsError;

/// The terms of `order`.
pub(super) fn order(text: &str) -> Result<Vec<OrderTerm>, RowsError> {
    let mut scanner = Scanner::new(text);
    let mut terms = Vec::new();
    if text.trim().is_empty() {
        return Ok(terms);
    }
    loop {
        terms.push(term(&mut scanner)?);
        scanner.skip_spaces();
        if scanner.is_at_end() {
            return Ok(terms);
        }
        scanner.expect(",")?;
    }
}

fn term(scanner: &mut Scanner<'_>) -> Result<OrderTerm, RowsError> {
    let mut field = scanner.field()?;
    let mut embed = None;
    if field.path.is_empty() && scanner.eat("(") {
        embed = Some(std::mem::take(&mut field.column));
        field = scanner.field()?;
        scanner.expect(")")?;
    }
    let mut term = OrderTerm {
        embed,
        field,
        descending: false,
        nulls_first: None,
    };
    let mut has_direction = false;
    while scanner.eat(".") {
        let word = scanner.until(&['.', ',']).trim();
        let (is_direction, is_taken) = match word {
            "asc" | "desc" => (true, has_direction || term.nulls_first.is_some()),
            "nullsfirst" | "nullslast" => (false, term.nulls_first.is_some()),
            _ => {
                return Err(RowsError::with_hint(
                    format!("`{word}` is not a direction"),
                    "write `column.asc` or `column.desc`, then `.nullsfirst` or `.nullslast`; put \
                     a column whose name has a dot into double quotes",
                ));
            }
        };
        if is_taken {
            return Err(scanner.error(format!("`{word}` comes once, and first the direction,")));
        }
        if is_direction {
            has_direction = true;
            term.descending = word == "desc";
        } else {
            term.nulls_first = Some(word == "nullsfirst");
        }
    }
    Ok(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_a_direction_and_a_place_for_null() {
        let terms = order(r#"a,b.desc,c.asc.nullsfirst,d.nullslast,"x.y".desc,t(e).desc,f->>g"#);
        let terms = terms.unwrap();
        let seen: Vec<_> = terms
            .iter()
            .map(|term| (term.descending, term.puts_nulls_first()))
            .collect();
        assert_eq!(
            seen[..4],
            [(false, false), (true, true), (false, true), (false, false)]
        );
        assert_eq!(terms[4].field.column, "x.y");
        assert_eq!(terms[5].embed.as_deref(), Some("t"));
        assert_eq!(terms[6].field.path.len(), 1);
        assert!(order("").unwrap().is_empty());
        for wrong in [
            "a.down",
            "a.asc.desc",
            "a,",
            ",a",
            "a.nullslast.asc",
            "t(a",
            "a(b)c",
        ] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }
}
