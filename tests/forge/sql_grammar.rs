//! Makes up SQL: small schemas, rows with every edge, and questions about them.
//!
//! Everything has the same few names, so that most statements fit the tables that are there, and
//! some do not: errors are compared as well.
use crate::sql_oracle::{Statement, Value, Values};
use proptest::prelude::*;
use proptest::sample::select;

/// Stands in a piece where a parameter will be.
const PARAMETER: char = '\u{1}';

/// A part of a statement with the values of its parameters, in their order.
#[derive(Debug, Clone)]
struct Piece {
    sql: String,
    values: Vec<Value>,
}

impl Piece {
    fn of(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }
}

/// Puts pieces into the places `{}` of a frame.
fn framed(frame: &str, pieces: Vec<Piece>) -> Piece {
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

fn listed(pieces: Vec<Piece>) -> Piece {
    framed(&vec!["{}"; pieces.len()].join(", "), pieces)
}

/// A session: a schema, then statements about it.
pub(crate) fn session() -> impl Strategy<Value = Vec<Statement>> {
    let objects = prop::collection::vec(object(), 0..4);
    let others = prop::collection::vec(statement(), 4..14);
    (table("t0"), table("t1"), objects, others).prop_map(|(t0, t1, objects, others)| {
        // What the session before this one left.
        let old = [
            "VIEW IF EXISTS v0",
            "TABLE IF EXISTS t1",
            "TABLE IF EXISTS t0",
        ];
        let old = old.map(|it| Piece::of(format!("DROP {it}")));
        let schema = old.into_iter().chain([t0, t1]).chain(objects);
        let schema = schema.map(|it| finished(it, Style::Plain));
        let end = ["t0", "t1"].map(|it| Piece::of(format!("SELECT * FROM {it}")));
        let end = end.into_iter().map(|it| finished(it, Style::Plain));
        schema.chain(others).chain(end).collect()
    })
}

#[derive(Debug, Clone, Copy)]
enum Style {
    Plain,
    Numbered,
    Named,
}

/// Writes the parameters in one of SQLite's ways.
fn finished(piece: Piece, style: Style) -> Statement {
    let mut sql = String::new();
    let mut names = Vec::new();
    for part in piece.sql.split_inclusive(PARAMETER) {
        let Some(text) = part.strip_suffix(PARAMETER) else {
            sql += part;
            continue;
        };
        let place = names.len() + 1;
        let name = match style {
            Style::Plain => "?".to_owned(),
            Style::Numbered => format!("?{place}"),
            Style::Named => format!("{}p{place}", [':', '@', '$'][place % 3]),
        };
        sql += text;
        sql += &name;
        names.push(name);
    }
    let values = match style {
        Style::Plain | Style::Numbered => Values::Positional(piece.values),
        Style::Named => Values::Named(names.into_iter().zip(piece.values).collect()),
    };
    Statement { sql, values }
}

fn statement() -> impl Strategy<Value = Statement> {
    let style = select(vec![Style::Plain, Style::Numbered, Style::Named]);
    let piece = prop_oneof![
        8 => insert(),
        3 => update(),
        2 => delete(),
        10 => query(),
        1 => alter(),
        1 => object(),
    ];
    (piece, style).prop_map(|(piece, style)| finished(piece, style))
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
    let texts = vec![
        "",
        "a",
        "A",
        "b",
        "é",
        "𝄞",
        "0",
        "1",
        "1.0",
        " 1",
        "1e3",
        "0x10",
        "-9223372036854775808",
        "9223372036854775808",
        "a\0b",
        "\"",
        "\\",
        "'",
        "\u{7f}\n\t",
        "{\"a\":[1,2.5,null]}",
        "[3,\"x\"]",
        "2024-02-29",
        "null",
        "%",
        "a_",
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
        5 => select(texts).prop_map(|it| Value::Text(it.to_owned())),
        1 => "\\PC{0,6}".prop_map(Value::Text),
        3 => prop::collection::vec(select(vec![0_u8, b'a', 0x80, 0xff]), 0..4)
            .prop_map(Value::Blob),
    ]
}

/// A value, written down or as a parameter.
fn value() -> impl Strategy<Value = Piece> {
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
fn literal() -> impl Strategy<Value = Piece> {
    cell().prop_map(|it| Piece::of(written(&it).replace('\0', "")))
}

fn written(cell: &Value) -> String {
    match cell {
        Value::Null => "NULL".to_owned(),
        Value::Integer(i64::MIN) => "-0x8000000000000000".to_owned(),
        Value::Integer(it) => it.to_string(),
        Value::Real(it) if it.is_finite() => format!("{it:?}"),
        Value::Real(it) => if *it > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        Value::Text(it) => format!("'{}'", it.replace('\'', "''")),
        Value::Blob(it) => format!("x'{}'", hex::encode(it)),
    }
}

// --- expressions --------------------------------------------------------------------------------

fn column() -> impl Strategy<Value = Piece> {
    let names = vec![
        "a", "b", "c", "d", "a", "b", "t0.a", "t0.b", "t1.a", "t1.c", "rowid", "\"a\"", "e",
    ];
    select(names).prop_map(Piece::of)
}

/// An expression about at most these leaves.
fn expression_of(leaf: BoxedStrategy<Piece>) -> BoxedStrategy<Piece> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        let one = select(vec![
            "-({})",
            "~({})",
            "NOT ({})",
            "+({})",
            "({}) IS NULL",
            "({}) NOTNULL",
            "CAST({} AS INTEGER)",
            "CAST({} AS REAL)",
            "CAST({} AS TEXT)",
            "CAST({} AS BLOB)",
            "CAST({} AS NUMERIC)",
            "typeof({})",
            "quote({})",
            "hex({})",
            "length({})",
            "octet_length({})",
            "upper({})",
            "lower({})",
            "abs({})",
            "round({})",
            "sign({})",
            "unicode({})",
            "char({})",
            "trim({})",
            "json({})",
            "json_valid({})",
            "json_type({})",
            "json_array({}, 1)",
            "json_quote({})",
            "({}) ->> '$.a'",
            "({}) -> 0",
            "date({})",
            "julianday({})",
            "unixepoch({})",
            "strftime('%Y %j %W', {})",
            "unhex({})",
            "zeroblob(min(8, {}))",
            "likely({})",
            "({}) COLLATE NOCASE",
            "soundex({})",
            "({}) IS TRUE",
            "json_extract({}, '$.a[1]')",
            "CASE WHEN {} THEN 'yes' END",
        ]);
        let two = select(vec![
            "({} + {})",
            "({} - {})",
            "({} * {})",
            "({} / {})",
            "({} % {})",
            "({} || {})",
            "({} = {})",
            "({} <> {})",
            "({} < {})",
            "({} >= {})",
            "({} IS {})",
            "({} IS NOT {})",
            "({} AND {})",
            "({} OR {})",
            "({} & {})",
            "({} | {})",
            "({} << {})",
            "({} >> {})",
            "({} LIKE {})",
            "({} GLOB {})",
            "coalesce({}, {})",
            "ifnull({}, {})",
            "nullif({}, {})",
            "min({}, {})",
            "max({}, {})",
            "instr({}, {})",
            "round({}, {})",
            "substr({}, {})",
            "printf('%s|%d', {}, {})",
            "format('%g %.3f', {}, {})",
            "printf('%x %c', {}, {})",
            "trim({}, {})",
            "ltrim({}, {})",
            "concat({}, {})",
            "concat_ws('-', {}, {})",
            "json_object('k', {}, 'l', {})",
            "json_patch({}, {})",
            "json_set({}, '$.z', {})",
            "strftime({}, {})",
            "timediff({}, {})",
            "({} IN ({}))",
            "({} COLLATE NOCASE = {})",
            "unhex({}, {})",
            "(({}, 1) = ({}, 1))",
            "json_insert({}, '$[#]', {})",
        ]);
        let three = select(vec![
            "iif({}, {}, {})",
            "replace({}, {}, {})",
            "substr({}, {}, {})",
            "({} BETWEEN {} AND {})",
            "({} IN ({}, {}))",
            "({} NOT IN ({}, {}))",
            "CASE {} WHEN {} THEN {} ELSE 'else' END",
            "coalesce({}, {}, {})",
            "({} LIKE {} ESCAPE {})",
        ]);
        prop_oneof![
            2 => inner.clone(),
            5 => (one, inner.clone()).prop_map(|(frame, a)| framed(frame, vec![a])),
            5 => (two, inner.clone(), inner.clone())
                .prop_map(|(frame, a, b)| framed(frame, vec![a, b])),
            2 => (three, inner.clone(), inner.clone(), inner)
                .prop_map(|(frame, a, b, c)| framed(frame, vec![a, b, c])),
        ]
    })
    .boxed()
}

fn expression() -> BoxedStrategy<Piece> {
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
fn lasting_expression() -> BoxedStrategy<Piece> {
    let column = select(vec!["a", "b", "c"]).prop_map(Piece::of);
    expression_of(prop_oneof![literal(), column].boxed())
}

// --- schemas ------------------------------------------------------------------------------------

fn table(name: &'static str) -> impl Strategy<Value = Piece> {
    let types = vec![
        "INTEGER",
        "INT",
        "REAL",
        "TEXT",
        "BLOB",
        "NUMERIC",
        "",
        "ANY",
        "VARCHAR(10)",
        "DECIMAL(5,2)",
        "BOOLEAN",
        "DOUBLE",
    ];
    let rule = prop_oneof![
        8 => Just(Piece::of("")),
        2 => Just(Piece::of("NOT NULL")),
        2 => Just(Piece::of("UNIQUE")),
        1 => Just(Piece::of("COLLATE NOCASE")),
        1 => Just(Piece::of("UNIQUE ON CONFLICT REPLACE")),
        2 => literal().prop_map(|it| framed("DEFAULT ({})", vec![it])),
        1 => lasting_expression().prop_map(|it| framed("CHECK ({})", vec![it])),
        1 => lasting_expression().prop_map(|it| framed("AS ({}) STORED", vec![it])),
        1 => lasting_expression().prop_map(|it| framed("AS ({})", vec![it])),
        1 => Just(Piece::of("REFERENCES t0(a) ON DELETE CASCADE")),
        1 => Just(Piece::of("REFERENCES t0(a) DEFERRABLE INITIALLY DEFERRED")),
    ];
    let keys = vec![
        "PRIMARY KEY",
        "PRIMARY KEY",
        "",
        "UNIQUE",
        "PRIMARY KEY DESC",
    ];
    let ends = vec!["", "", "", "", " STRICT", " WITHOUT ROWID"];
    let columns = prop::collection::vec((select(types.clone()), rule), 3);
    (select(types), select(keys), columns, select(ends)).prop_map(move |(first, key, rest, end)| {
        let mut columns = vec![Piece::of(format!("a {first} {key}"))];
        for ((kind, rule), name) in rest.into_iter().zip(["b", "c", "d"]) {
            columns.push(framed(&format!("{name} {kind} {{}}"), vec![rule]));
        }
        framed(
            &format!("CREATE TABLE {name} ({{}}){end}"),
            vec![listed(columns)],
        )
    })
}

/// An index, a trigger or a view.
fn object() -> impl Strategy<Value = Piece> {
    let index = (any::<bool>(), lasting_expression(), lasting_expression()).prop_map(
        |(is_unique, of, only)| {
            let unique = if is_unique { "UNIQUE " } else { "" };
            let frame = format!("CREATE {unique}INDEX IF NOT EXISTS i0 ON t0 ({{}}) WHERE {{}}");
            framed(&frame, vec![of, only])
        },
    );
    let triggers = vec![
        "CREATE TRIGGER g0 AFTER INSERT ON t0 BEGIN INSERT INTO t1 (a, b) VALUES (new.a, new.b); END",
        "CREATE TRIGGER g1 BEFORE UPDATE ON t0 WHEN new.b IS NULL BEGIN SELECT raise(ABORT, 'no null'); END",
        "CREATE TRIGGER g2 AFTER DELETE ON t0 BEGIN UPDATE t1 SET c = old.a WHERE a IS old.a; END",
        "CREATE TRIGGER g3 BEFORE INSERT ON t1 WHEN new.a > 5 BEGIN SELECT raise(IGNORE); END",
        "CREATE TRIGGER g4 INSTEAD OF INSERT ON v0 BEGIN INSERT INTO t0 (a) VALUES (new.a); END",
    ];
    let view = prop_oneof![
        lasting_expression()
            .prop_map(|it| framed("CREATE VIEW v0 AS SELECT a, {} AS x, b FROM t0", vec![it])),
        Just(Piece::of(
            "CREATE VIEW v0 (a, x, b) AS SELECT t0.a, count(*), t1.b FROM t0 LEFT JOIN t1 USING (a) GROUP BY t0.a"
        )),
    ];
    prop_oneof![
        2 => index,
        1 => Just(Piece::of("CREATE INDEX i1 ON t1 (b, c DESC)")),
        2 => select(triggers).prop_map(Piece::of),
        2 => view,
    ]
}

fn alter() -> impl Strategy<Value = Piece> {
    select(vec![
        "ALTER TABLE t0 ADD COLUMN e DEFAULT 7",
        "ALTER TABLE t0 RENAME COLUMN b TO e",
        "ALTER TABLE t0 DROP COLUMN d",
        "ALTER TABLE t1 ADD COLUMN e NOT NULL",
        "CREATE TABLE t1 AS SELECT 1",
        "DROP INDEX IF EXISTS i0",
        "DROP TRIGGER g0",
        "REINDEX",
        "PRAGMA user_version",
        "PRAGMA table_xinfo(t0)",
        "PRAGMA foreign_key_check",
        "EXPLAIN SELECT nothing FROM t0",
    ])
    .prop_map(Piece::of)
}

// --- rows ---------------------------------------------------------------------------------------

fn target() -> impl Strategy<Value = &'static str> {
    select(vec!["t0", "t0", "t0", "t1", "t1", "v0"])
}

fn returning() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => Just(Piece::of("")),
        1 => Just(Piece::of(" RETURNING *")),
        1 => expression().prop_map(|it| framed(" RETURNING a, {} AS r", vec![it])),
    ]
}

fn insert() -> impl Strategy<Value = Piece> {
    let verbs = vec![
        "INSERT",
        "INSERT",
        "INSERT",
        "INSERT OR IGNORE",
        "INSERT OR REPLACE",
        "REPLACE",
        "INSERT OR ABORT",
    ];
    let columns = vec!["", " (a, b, c)", " (a, b, c)", " (b, a, c)", " (b, c, a)"];
    let rows = prop::collection::vec(prop::collection::vec(value(), 3), 1..5);
    let ends = vec![
        "",
        "",
        "",
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT (a) DO UPDATE SET b = excluded.b",
        " ON CONFLICT (a) DO UPDATE SET c = c + 1 WHERE b IS NOT excluded.b",
    ];
    let values = (
        select(verbs),
        target(),
        select(columns),
        rows,
        select(ends),
        returning(),
    );
    let values = values.prop_map(|(verb, table, columns, rows, end, returning)| {
        let rows = rows.into_iter().map(|mut row| {
            if columns.is_empty() {
                row.push(Piece::of("'d'"));
            }
            framed("({})", vec![listed(row)])
        });
        let frame = format!("{verb} INTO {table}{columns} VALUES {{}}{end}{{}}");
        framed(&frame, vec![listed(rows.collect()), returning])
    });
    let copied = (target(), query(), returning()).prop_map(|(table, query, returning)| {
        framed(
            &format!("INSERT INTO {table} (b) {{}}{{}}"),
            vec![query, returning],
        )
    });
    prop_oneof![
        8 => values,
        1 => copied,
        1 => Just(Piece::of("INSERT INTO t1 DEFAULT VALUES")),
    ]
}

fn update() -> impl Strategy<Value = Piece> {
    let column = select(vec!["a", "b", "c", "d"]);
    (target(), column, expression(), expression(), returning()).prop_map(
        |(table, column, to, only, returning)| {
            let frame = format!("UPDATE {table} SET {column} = {{}} WHERE {{}}{{}}");
            framed(&frame, vec![to, only, returning])
        },
    )
}

fn delete() -> impl Strategy<Value = Piece> {
    (target(), expression(), returning()).prop_map(|(table, only, returning)| {
        framed(
            &format!("DELETE FROM {table} WHERE {{}}{{}}"),
            vec![only, returning],
        )
    })
}

// --- questions ----------------------------------------------------------------------------------

fn query() -> BoxedStrategy<Piece> {
    let joined = (
        select_core(),
        select(vec!["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]),
        select_core(),
    );
    let joined =
        joined.prop_map(|(one, how, two)| framed(&format!("{{}} {how} {{}}"), vec![one, two]));
    let with = (select_core(), expression()).prop_map(|(inner, outer)| {
        framed(
            "WITH w (a) AS ({}) SELECT a, {} FROM w, t1 LIMIT 20",
            vec![inner, outer],
        )
    });
    let recursive = value().prop_map(|it| {
        framed(
            "WITH RECURSIVE n (i, x) AS (SELECT 1, {} UNION ALL SELECT i + 1, x || i FROM n WHERE i < 6) SELECT i, x, typeof(x) FROM n",
            vec![it],
        )
    });
    prop_oneof![6 => select_core(), 2 => joined, 1 => with, 1 => recursive].boxed()
}

fn select_core() -> impl Strategy<Value = Piece> {
    let sources = vec![
        "t0",
        "t0",
        "t1",
        "v0",
        "t0, t1",
        "t0 JOIN t1 ON t0.a = t1.a",
        "t0 LEFT JOIN t1 USING (a)",
        "t0 NATURAL JOIN t1",
        "t1 FULL JOIN t0 ON t0.b = t1.b",
        "(SELECT a, b, c FROM t0 LIMIT 3)",
        "t0 AS t1",
        "json_each('[1,2.5,\"x\",null]')",
    ];
    let row_wise = (
        any::<bool>(),
        prop::collection::vec(expression(), 1..3),
        select(sources.clone()),
        expression(),
        prop_oneof![
            Just(Piece::of("")),
            expression().prop_map(|it| framed(" ORDER BY {}, 1 DESC NULLS LAST", vec![it])),
            Just(Piece::of(" ORDER BY 1 LIMIT 4 OFFSET 1")),
        ],
    )
        .prop_map(|(distinct, of, source, only, end)| {
            let distinct = if distinct { "DISTINCT " } else { "" };
            let frame = format!("SELECT {distinct}{{}} FROM {source} WHERE {{}}{{}}");
            framed(&frame, vec![listed(of), only, end])
        });
    let aggregates = vec![
        "count(*)",
        "count({})",
        "sum({})",
        "total({})",
        "avg({})",
        "min({})",
        "max({})",
        "group_concat({}, '/')",
        "json_group_array({})",
        "count(DISTINCT {})",
        "sum({}) FILTER (WHERE a > 0)",
        "string_agg({}, ',' ORDER BY b)",
    ];
    let windows = vec![
        "row_number() OVER (ORDER BY {})",
        "rank() OVER (PARTITION BY b ORDER BY {})",
        "sum({}) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "lag({}, 1, 'none') OVER (ORDER BY a)",
        "first_value({}) OVER (PARTITION BY c ORDER BY a)",
        "count({}) OVER ()",
        "ntile(2) OVER (ORDER BY {})",
        "percent_rank() OVER (ORDER BY {})",
    ];
    let framing = |(frame, of): (&str, Piece)| {
        let pieces = if frame.contains("{}") {
            vec![of]
        } else {
            vec![]
        };
        framed(frame, pieces)
    };
    let grouped = (
        select(aggregates),
        expression(),
        select(sources.clone()),
        expression(),
    )
        .prop_map(move |(aggregate, of, source, by)| {
            let of = framing((aggregate, of));
            let frame = format!("SELECT {{}}, {{}} FROM {source} GROUP BY 2 HAVING count(*) > 0");
            framed(&frame, vec![of, by])
        });
    let windowed =
        (select(windows), expression(), select(sources)).prop_map(move |(window, of, source)| {
            framed(
                &format!("SELECT a, {{}} AS w FROM {source}"),
                vec![framing((window, of))],
            )
        });
    let bare = prop::collection::vec(expression_of(value().boxed()), 1..4)
        .prop_map(|it| framed("SELECT {}", vec![listed(it)]));
    let lists = prop::collection::vec(prop::collection::vec(value(), 2), 1..4).prop_map(|rows| {
        let rows = rows
            .into_iter()
            .map(|row| framed("({})", vec![listed(row)]));
        framed("VALUES {}", vec![listed(rows.collect())])
    });
    prop_oneof![5 => row_wise, 3 => grouped, 2 => windowed, 3 => bare, 1 => lists]
}
