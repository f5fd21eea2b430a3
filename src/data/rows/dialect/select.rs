//! `select`: `id,full_name:name,total:amount.sum(),orders!inner(*,items(*))`.
use super::ast::{Aggregate, Cast, Embed, Level, SelectItem, SelectedColumn};
use super::scan::Scanner;
use crate::data::rows::RowsError;

/// Most levels of tables inside of one another.
const MAX_EMBED_DEPTH: usize = 5;

const AGGREGATES: &[(&str, Aggregate)] = &[
    ("count", Aggregate::Count),
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
];

const CASTS: &[(&str, Cast)] = &[
    ("text", Cast::Text),
    ("varchar", Cast::Text),
    ("int", Cast::Integer),
    ("integer", Cast::Integer),
    ("int2", Cast::Integer),
    ("int4", Cast::Integer),
    ("int8", Cast::Integer),
    ("bigint", Cast::Integer),
    ("smallint", Cast::Integer),
    ("real", Cast::Real),
    ("float", Cast::Real),
    ("float4", Cast::Real),
    ("float8", Cast::Real),
    ("double precision", Cast::Real),
    ("numeric", Cast::Numeric),
    ("decimal", Cast::Numeric),
    ("json", Cast::Json),
    ("jsonb", Cast::Json),
];

/// The parts of `select`.
pub(super) fn select(text: &str) -> Result<Vec<SelectItem>, RowsError> {
    let mut scanner = Scanner::new(text);
    let items = items(&mut scanner, 0)?;
    if scanner.is_at_end() {
        Ok(items)
    } else {
        Err(scanner.error("`select` ends before this"))
    }
}

/// Parts up to the end, or up to the bracket that closes them.
fn items(scanner: &mut Scanner<'_>, depth: usize) -> Result<Vec<SelectItem>, RowsError> {
    let mut items = Vec::new();
    scanner.skip_spaces();
    if scanner.is_at_end() || scanner.rest().starts_with(')') {
        return Ok(items);
    }
    loop {
        items.push(item(scanner, depth)?);
        scanner.skip_spaces();
        if !scanner.eat(",") {
            return Ok(items);
        }
    }
}

fn item(scanner: &mut Scanner<'_>, depth: usize) -> Result<SelectItem, RowsError> {
    scanner.skip_spaces();
    if scanner.eat("*") {
        return Ok(SelectItem::All);
    }
    let is_spread = scanner.eat("...");
    let is_quoted = scanner.rest().starts_with('"');
    let mut name = scanner.name()?;
    let mut alias = None;
    let mut is_name_quoted = is_quoted;
    if scanner.rest().starts_with(':') && !scanner.rest().starts_with("::") {
        scanner.eat(":");
        scanner.skip_spaces();
        is_name_quoted = scanner.rest().starts_with('"');
        alias = Some(std::mem::replace(&mut name, scanner.name()?));
    }
    let path = scanner.json_path()?;
    let is_table = path.is_empty() && scanner.rest().starts_with(['(', '!']);
    if is_table && !is_name_quoted && name == "count" && scanner.eat("()") {
        let cast = cast(scanner)?;
        return Ok(SelectItem::Count { alias, cast });
    }
    if is_table {
        return embed(scanner, name, alias, is_spread, depth);
    }
    if is_spread {
        return Err(scanner.error("`...` spreads a table: `...table(column)`, missing its columns"));
    }
    let cast_before = cast(scanner)?;
    let aggregate = match scanner.eat(".") {
        true => Some((aggregate(scanner)?, cast(scanner)?)),
        false => None,
    };
    Ok(SelectItem::Column(SelectedColumn {
        field: super::ast::Field { column: name, path },
        alias,
        cast: cast_before,
        aggregate,
    }))
}

fn embed(
    scanner: &mut Scanner<'_>,
    target: String,
    alias: Option<String>,
    is_spread: bool,
    depth: usize,
) -> Result<SelectItem, RowsError> {
    if depth >= MAX_EMBED_DEPTH {
        return Err(RowsError::invalid(format!(
            "tables are embedded more than {MAX_EMBED_DEPTH} levels deep"
        )));
    }
    let (mut hint, mut is_inner) = (None, false);
    while scanner.eat("!") {
        let is_quoted = scanner.rest().starts_with('"');
        let word = scanner.name()?;
        match word.as_str() {
            "inner" if !is_quoted => is_inner = true,
            "left" if !is_quoted => is_inner = false,
            _ if hint.is_none() => hint = Some(word),
            _ => return Err(scanner.error("a table has one hint, found another before this")),
        }
    }
    scanner.expect("(")?;
    let select = items(scanner, depth + 1)?;
    scanner.expect(")")?;
    Ok(SelectItem::Embed(Embed {
        target,
        alias,
        hint,
        is_inner,
        is_spread,
        level: Level {
            select,
            ..Level::default()
        },
    }))
}

fn aggregate(scanner: &mut Scanner<'_>) -> Result<Aggregate, RowsError> {
    let word = scanner.until(&['(', ',', ')', ':', '.']);
    let known = AGGREGATES.iter().find(|(name, _)| *name == word);
    match known {
        Some((_, aggregate)) if scanner.eat("()") => Ok(*aggregate),
        _ => Err(RowsError::with_hint(
            format!("`{word}` is not an aggregate"),
            "use .count(), .sum(), .avg(), .min() or .max(); put a column whose name has a dot \
             into double quotes",
        )),
    }
}

fn cast(scanner: &mut Scanner<'_>) -> Result<Option<Cast>, RowsError> {
    if !scanner.eat("::") {
        return Ok(None);
    }
    let word = scanner.until(&[',', ')', '.', ':', '(']).trim();
    let known = CASTS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    known.map(|(_, cast)| Some(*cast)).ok_or_else(|| {
        RowsError::with_hint(
            format!("`{word}` is not a type that values can be made"),
            "use text, integer, real, numeric or json",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(item: &SelectItem) -> &SelectedColumn {
        let SelectItem::Column(column) = item else {
            panic!("{item:?}")
        };
        column
    }

    #[test]
    fn columns_have_aliases_casts_paths_and_aggregates() {
        let items = select(r#"id, n:name ,"a.b",data->x->>y::int,total:amount.sum()::text"#);
        let items = items.unwrap();
        assert_eq!(column(&items[0]).field.column, "id");
        assert_eq!(column(&items[1]).alias.as_deref(), Some("n"));
        assert_eq!(column(&items[1]).field.column, "name");
        assert_eq!(column(&items[2]).field.column, "a.b");
        assert_eq!(column(&items[3]).field.path.len(), 2);
        assert_eq!(column(&items[3]).cast, Some(Cast::Integer));
        let sum = column(&items[4]);
        assert_eq!(sum.aggregate, Some((Aggregate::Sum, Some(Cast::Text))));
        assert!(matches!(
            select("count()").unwrap()[0],
            SelectItem::Count { .. }
        ));
        assert!(select("").unwrap().is_empty());
    }

    #[test]
    fn tables_are_embedded_with_hints_and_joins() {
        let items = select("*,buyer:users!user_id!inner(id,orgs(*)),...t(x),count()").unwrap();
        assert_eq!(items.len(), 4);
        let SelectItem::Embed(buyer) = &items[1] else {
            panic!()
        };
        assert_eq!(buyer.name(), "buyer");
        assert_eq!((buyer.target.as_str(), buyer.is_inner), ("users", true));
        assert_eq!(buyer.hint.as_deref(), Some("user_id"));
        assert_eq!(buyer.level.select.len(), 2);
        let SelectItem::Embed(spread) = &items[2] else {
            panic!()
        };
        assert!(spread.is_spread);
    }

    #[test]
    fn what_is_no_column_and_no_table_is_refused() {
        let deep = format!("{}x{}", "t(".repeat(20), ")".repeat(20));
        for wrong in [
            "id,", ",", "a:", "a.b", "a.sum", "a::bytea", "t(", "t(*", "t!x", "t!a!b(*)", "...t",
            "a b(c", "*x", "eq.1", &deep,
        ] {
            assert!(select(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in r#"[ab"*,.():!>sumcount -]{0,24}"#) {
            let _ = select(&text);
        }
    }
}
