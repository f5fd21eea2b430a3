//! Makes up SQL: small schemas, rows with every edge, and questions about them.
//!
//! Everything has the same few names, so that most statements fit the tables that are there, and
//! some do not: errors are compared as well.
use super::expressions::{
    PARAMETER, Piece, expression, expression_of, framed, lasting_expression, listed, literal, value,
};
use super::{Statement, Values};
use proptest::prelude::*;
use proptest::sample::select;

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

// --- schemas ------------------------------------------------------------------------------------

fn table(name: &'static str) -> impl Strategy<Value = Piece> {
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
    let ends = vec!["", "", "", "", " STRICT", " WITHOUT ROWID"];
    let columns = prop::collection::vec((select(TYPES), rule), 3);
    (select(TYPES), select(KEYS), columns, select(ends)).prop_map(move |(first, key, rest, end)| {
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
        2 => select(TRIGGERS).prop_map(Piece::of),
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
    let row_wise = (
        any::<bool>(),
        prop::collection::vec(expression(), 1..3),
        select(SOURCES),
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
    let framing = |(frame, of): (&str, Piece)| {
        let pieces = if frame.contains("{}") {
            vec![of]
        } else {
            vec![]
        };
        framed(frame, pieces)
    };
    let grouped = (
        select(AGGREGATES),
        expression(),
        select(SOURCES),
        expression(),
    )
        .prop_map(move |(aggregate, of, source, by)| {
            let of = framing((aggregate, of));
            let frame = format!("SELECT {{}}, {{}} FROM {source} GROUP BY 2 HAVING count(*) > 0");
            framed(&frame, vec![of, by])
        });
    let windowed =
        (select(WINDOWS), expression(), select(SOURCES)).prop_map(move |(window, of, source)| {
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

// --- words ---------------------------------------------------------------------------------------

/// Declared types, with every affinity.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "INTEGER", "INT", "REAL", "TEXT", "BLOB", "NUMERIC", "", "ANY", "VARCHAR(10)", "DECIMAL(5,2)",
    "BOOLEAN", "DOUBLE",
];

/// What the first column may be.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    "PRIMARY KEY", "PRIMARY KEY", "", "UNIQUE", "PRIMARY KEY DESC",
];

/// Triggers that change rows, refuse, or take a view's place.
#[rustfmt::skip]
const TRIGGERS: &[&str] = &[
    "CREATE TRIGGER g0 AFTER INSERT ON t0 BEGIN INSERT INTO t1 (a, b) VALUES (new.a, new.b); END",
    "CREATE TRIGGER g1 BEFORE UPDATE ON t0 WHEN new.b IS NULL BEGIN SELECT raise(ABORT, 'no null'); END",
    "CREATE TRIGGER g2 AFTER DELETE ON t0 BEGIN UPDATE t1 SET c = old.a WHERE a IS old.a; END",
    "CREATE TRIGGER g3 BEFORE INSERT ON t1 WHEN new.a > 5 BEGIN SELECT raise(IGNORE); END",
    "CREATE TRIGGER g4 INSTEAD OF INSERT ON v0 BEGIN INSERT INTO t0 (a) VALUES (new.a); END",
];

/// Where rows come from.
#[rustfmt::skip]
const SOURCES: &[&str] = &[
    "t0", "t0", "t1", "v0", "t0, t1", "t0 JOIN t1 ON t0.a = t1.a", "t0 LEFT JOIN t1 USING (a)",
    "t0 NATURAL JOIN t1", "t1 FULL JOIN t0 ON t0.b = t1.b", "(SELECT a, b, c FROM t0 LIMIT 3)",
    "t0 AS t1", "json_each('[1,2.5,\"x\",null]')",
];

/// Aggregates of an expression.
#[rustfmt::skip]
const AGGREGATES: &[&str] = &[
    "count(*)", "count({})", "sum({})", "total({})", "avg({})", "min({})", "max({})",
    "group_concat({}, '/')", "json_group_array({})", "count(DISTINCT {})",
    "sum({}) FILTER (WHERE a > 0)", "string_agg({}, ',' ORDER BY b)",
];

/// Windows over an expression.
#[rustfmt::skip]
const WINDOWS: &[&str] = &[
    "row_number() OVER (ORDER BY {})", "rank() OVER (PARTITION BY b ORDER BY {})",
    "sum({}) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "lag({}, 1, 'none') OVER (ORDER BY a)", "first_value({}) OVER (PARTITION BY c ORDER BY a)",
    "count({}) OVER ()", "ntile(2) OVER (ORDER BY {})", "percent_rank() OVER (ORDER BY {})",
];
