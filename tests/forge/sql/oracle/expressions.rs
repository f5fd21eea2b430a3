//! Makes up expressions: values of every type, and what SQL says of them.
use super::Value;
use proptest::prelude::*;
use proptest::sample::select;

/// Stands in a piece where a parameter will be.
pub(crate) const PARAMETER: char = '\u{1}';

/// A part of a statement with the values of its parameters, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Piece {
    pub(crate) fn of(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }
}

/// Puts pieces into the places `{}` of a frame.
pub(crate) fn framed(frame: &str, pieces: Vec<Piece>) -> Piece {
    let mut parts = frame.split("{}");
    let mut whole = Piece::of(parts.next().unwrap());
    let mut pieces = pieces.into_iter();
    for part in parts {
        let piece = pieces.next().unwrap();
        whole.sql += &piece.sql;
        whole.sql += part;
        whole.values.extend(piece.values);
    }
    assert!(pieces.next().is_none(), "{frame}");
    whole
}

pub(crate) fn listed(pieces: Vec<Piece>) -> Piece {
    framed(&vec!["{}"; pieces.len()].join(", "), pieces)
}

// --- values -------------------------------------------------------------------------------------

/// Values of every type, the edges more often than the middle.
fn cell() -> impl Strategy<Value = Value> {
    let integers = vec![
        0,
        1,
        -1,
        2,
        255,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        -(1 << 53) - 1,
        i64::from(i32::MAX) + 1,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
        i64::MIN + 1,
    ];
    let reals = vec![
        0.0,
        -0.0,
        0.1,
        1.0,
        -1.5,
        1e15,
        123_456_789_012_345_680.0,
        9_007_199_254_740_993.0,
        9.223_372_036_854_775e18,
        -9.223_372_036_854_776e18,
        1e22,
        1e23,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    prop_oneof![
        2 => Just(Value::Null),
        6 => select(integers).prop_map(Value::Integer),
        2 => any::<i64>().prop_map(Value::Integer),
        2 => (-9i64..10).prop_map(Value::Integer),
        4 => select(reals).prop_map(Value::Real),
        2 => any::<u64>().prop_map(|it| {
            let real = f64::from_bits(it);
            // SQLite knows no NaN.
            if real.is_nan() { Value::Null } else { Value::Real(real) }
        }),
        5 => select(TEXTS).prop_map(|it| Value::Text(it.to_owned())),
        1 => "\\PC{0,6}".prop_map(Value::Text),
        3 => prop::collection::vec(select(vec![0_u8, b'a', 0x80, 0xff]), 0..4)
            .prop_map(Value::Blob),
    ]
}

/// A value, written down or as a parameter.
pub(crate) fn value() -> impl Strategy<Value = Piece> {
    (cell(), any::<bool>()).prop_map(|(cell, is_written)| {
        // A text with a NUL cannot be written: the statement would end there.
        let nul = matches!(&cell, Value::Text(it) if it.contains('\0'));
        if is_written && !nul {
            Piece::of(written(&cell))
        } else {
            Piece {
                sql: PARAMETER.to_string(),
                values: vec![cell],
            }
        }
    })
}

/// A value with nothing but its text: schemas have no parameters.
pub(crate) fn literal() -> impl Strategy<Value = Piece> {
    cell().prop_map(|it| Piece::of(written(&it).replace('\0', "")))
}

fn written(cell: &Value) -> String {
    match cell {
        Value::Null => "NULL".to_owned(),
        Value::Integer(it) => it.to_string(),
        Value::Real(it) if it.is_finite() => format!("{it:?}"),
        Value::Real(it) => if *it > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        Value::Text(it) => format!("'{}'", it.replace('\'', "''")),
        Value::TextBytes(it) => format!("CAST(x'{}' AS TEXT)", hex::encode(it)),
        Value::Blob(it) => format!("x'{}'", hex::encode(it)),
    }
}

// --- expressions --------------------------------------------------------------------------------

pub(crate) fn column() -> impl Strategy<Value = Piece> {
    let names = vec![
        "a", "b", "c", "d", "a", "b", "c", "d", "a", "b", "c", "t0.a", "t0.b", "rowid", "\"a\"",
        "e",
    ];
    select(names).prop_map(Piece::of)
}

/// An expression about at most these leaves.
pub(crate) fn expression_of(leaf: BoxedStrategy<Piece>) -> BoxedStrategy<Piece> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            2 => inner.clone(),
            5 => (select(OF_ONE), inner.clone()).prop_map(|(frame, a)| framed(frame, vec![a])),
            5 => (select(OF_TWO), inner.clone(), inner.clone())
                .prop_map(|(frame, a, b)| framed(frame, vec![a, b])),
            2 => (select(OF_THREE), inner.clone(), inner.clone(), inner)
                .prop_map(|(frame, a, b, c)| framed(frame, vec![a, b, c])),
        ]
    })
    .boxed()
}

pub(crate) fn expression() -> BoxedStrategy<Piece> {
    let subquery = (column(), column()).prop_map(|(a, b)| {
        framed(
            "(SELECT {} FROM t1 WHERE {} IS NOT NULL LIMIT 1)",
            vec![a, b],
        )
    });
    let exists = column().prop_map(|it| framed("EXISTS (SELECT 1 FROM t1 WHERE {})", vec![it]));
    expression_of(prop_oneof![5 => value(), 5 => column(), 1 => subquery, 1 => exists].boxed())
}

/// An expression that may stand in a schema.
pub(crate) fn lasting_expression() -> BoxedStrategy<Piece> {
    let column = select(vec!["a", "b", "c"]).prop_map(Piece::of);
    expression_of(prop_oneof![literal(), column].boxed())
}

/// What is said of one expression.
#[rustfmt::skip]
const OF_ONE: &[&str] = &[
    "-({})", "~({})", "NOT ({})", "+({})", "({}) IS NULL", "({}) NOTNULL", "CAST({} AS INTEGER)",
    "CAST({} AS REAL)", "CAST({} AS TEXT)", "CAST({} AS BLOB)", "CAST({} AS NUMERIC)",
    "typeof({})", "quote({})", "hex({})", "length({})", "octet_length({})", "upper({})",
    "lower({})", "abs({})", "round({})", "sign({})", "unicode({})", "char({})", "trim({})",
    "json({})", "json_valid({})", "json_type({})", "json_array({}, 1)", "json_quote({})",
    "({}) ->> '$.a'", "({}) -> 0", "date({})", "julianday({})", "unixepoch({})",
    "strftime('%Y %j %W', {})", "unhex({})", "zeroblob(min(8, {}))", "likely({})",
    "({}) COLLATE NOCASE", "soundex({})", "({}) IS TRUE", "json_extract({}, '$.a[1]')",
    "CASE WHEN {} THEN 'yes' END",
];

/// What is said of two.
#[rustfmt::skip]
const OF_TWO: &[&str] = &[
    "({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} % {})", "({} || {})", "({} = {})",
    "({} <> {})", "({} < {})", "({} >= {})", "({} IS {})", "({} IS NOT {})", "({} AND {})",
    "({} OR {})", "({} & {})", "({} | {})", "({} << {})", "({} >> {})", "({} LIKE {})",
    "({} GLOB {})", "coalesce({}, {})", "ifnull({}, {})", "nullif({}, {})", "min({}, {})",
    "max({}, {})", "instr({}, {})", "round({}, {})", "substr({}, {})", "printf('%s|%d', {}, {})",
    "format('%g %.3f', {}, {})", "printf('%x %c', {}, {})", "trim({}, {})", "ltrim({}, {})",
    "concat({}, {})", "concat_ws('-', {}, {})", "json_object('k', {}, 'l', {})",
    "json_patch({}, {})", "json_set({}, '$.z', {})", "strftime({}, {})", "timediff({}, {})",
    "({} IN ({}))", "({} COLLATE NOCASE = {})", "unhex({}, {})", "(({}, 1) = ({}, 1))",
    "json_insert({}, '$[#]', {})",
];

/// What is said of three.
#[rustfmt::skip]
const OF_THREE: &[&str] = &[
    "iif({}, {}, {})", "replace({}, {}, {})", "substr({}, {}, {})", "({} BETWEEN {} AND {})",
    "({} IN ({}, {}))", "({} NOT IN ({}, {}))", "CASE {} WHEN {} THEN {} ELSE 'else' END",
    "coalesce({}, {}, {})", "({} LIKE {} ESCAPE {})",
];

/// Texts that look like something else, or have to be quoted.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "", "a", "A", "b", "é", "𝄞", "0", "1", "1.0", " 1", "1e3", "0x10", "-9223372036854775808",
    "9223372036854775808", "a\0b", "\"", "\\", "'", "\u{7f}\n\t", "{\"a\":[1,2.5,null]}",
    "[3,\"x\"]", "2024-02-29", "null", "%", "a_",
];
