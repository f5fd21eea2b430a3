//! Values and errors: what comes back, exactly.
use super::{ask, rows, send, with_shop};
use serde_json::json;

#[tokio::test]
async fn every_value_comes_back_as_it_is() {
    let forge = with_shop().await;
    let answer = ask(
        &forge,
        "SELECT 9223372036854775807::int8 AS a, 12345678901234567890.123456789012345678901234567890 AS b, \
         '\\x00ff10'::bytea AS c, '2024-02-29 12:34:56.123456+02'::timestamptz AS d, \
         '{\"b\": 1, \"a\": [1.0, null]}'::jsonb AS e, '{1,NULL,3}'::int[] AS f, 0.1::float8 AS g, \
         'NaN'::numeric AS h, '6f1b2c3d-0000-4000-8000-0123456789ab'::uuid AS i, \
         '1 day 2 hours'::interval AS j, true AS k, NULL::text AS l, '2024-02-29'::date AS m, \
         '{{\"a b\",\"c\"},{NULL,\"NULL\"}}'::text[] AS n, 'x'::varchar(3) AS o, int4range(1,3) AS p",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for exact in [
        "9223372036854775807,12345678901234567890.123456789012345678901234567890,",
        r#"{"$base64":"AP8Q"},"2024-02-29T10:34:56.123456+00:00","#,
        r#"{"a": [1.0, null], "b": 1},[1,null,3],0.1,{"$real":"NaN"},"#,
        r#""6f1b2c3d-0000-4000-8000-0123456789ab","1 day 02:00:00",true,null,"2024-02-29","#,
        r#"[["a b","c"],[null,"NULL"]],"x","[1,3)"]"#,
        r#"{"name":"a","type":"int8"},{"name":"b","type":"numeric"},{"name":"c","type":"bytea"}"#,
        r#"{"name":"f","type":"int4[]"}"#,
        r#"{"name":"p","type":"int4range"}"#,
    ] {
        assert!(
            answer.text.contains(exact),
            "{exact} is not in {}",
            answer.text
        );
    }
    let text = json!({"sql": "SELECT 9223372036854775807::int8", "int64": "string"});
    let text = send(&forge, "query", text).await.json();
    assert_eq!(text["rows"], json!([["9223372036854775807"]]));
}

#[tokio::test]
async fn parameters_are_given_by_number_and_come_back_exactly() {
    let forge = with_shop().await;
    let body = json!({
        "sql": "SELECT $1::int8, $2::numeric, $3::text, $4::bytea, $5::bool, $6::float8, $7::timestamptz, $8",
        "params": [i64::MAX, "12345678901234567890.5", "é'\"", {"$base64": "AP8="}, true,
                   {"$real": "Infinity"}, "2024-01-01T00:00:00Z", null],
    });
    let answer = send(&forge, "query", body).await;
    let expected = r#"[9223372036854775807,12345678901234567890.5,"é'\"",{"$base64":"AP8="},true,{"$real":"Infinity"},"2024-01-01T00:00:00+00:00",null]"#;
    assert!(answer.text.contains(expected), "{}", answer.text);

    rows(
        &forge,
        "CREATE TABLE t (id int PRIMARY KEY, name text, data bytea)",
    )
    .await;
    let list = json!({
        "sql": "INSERT INTO t (id, name) VALUES ($1, $2) RETURNING id",
        "params_list": [[1, "a"], [2, "b"], [3, null]],
    });
    let inserted = send(&forge, "query", list).await.json();
    assert_eq!(inserted["rows"], json!([[1], [2], [3]]));
    assert_eq!(inserted["rows_affected"], 3);
    let list = json!({
        "sql": "INSERT INTO t (id, name) VALUES ($1, $2)",
        "params_list": [[4, "d"], [1, "again"], [5, "e"]],
    });
    let refused = send(&forge, "query", list).await;
    refused.problem(409, "constraint_violation");
    let refused = refused.json();
    assert_eq!(
        (&refused["params_index"], &refused["sqlstate"]),
        (&json!(1), &json!("23505"))
    );
    assert_eq!(
        rows(&forge, "SELECT count(*) FROM t").await,
        json!([[3]]),
        "none was kept"
    );

    for (body, says) in [
        (
            json!({"sql": "SELECT $1::int", "params": [1, 2]}),
            "has 1 parameters, but 2 were given",
        ),
        (
            json!({"sql": "SELECT $1::int"}),
            "has 1 parameters, but 0 were given",
        ),
        (
            json!({"sql": "SELECT $1::int", "params": {"a": 1}}),
            "have numbers",
        ),
        (
            json!({"sql": "SELECT $1::text", "params": [{"$base64": "AA=="}]}),
            "not bytes",
        ),
    ] {
        let said = send(&forge, "query", body)
            .await
            .problem(422, "parameter_mismatch");
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn errors_are_told_by_their_code_with_the_place_and_what_helps() {
    let forge = with_shop().await;
    rows(
        &forge,
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL)",
    )
    .await;
    rows(&forge, "INSERT INTO t VALUES (1, 'a')").await;
    for (sql, status, code, sqlstate, position) in [
        ("SELECT nothing FROM t", 400, "sql_error", "42703", json!(8)),
        ("SELEC 1", 400, "sql_error", "42601", json!(1)),
        ("SELECT 1/0", 400, "sql_error", "22012", json!(null)),
        (
            "INSERT INTO t VALUES (1, 'b')",
            409,
            "constraint_violation",
            "23505",
            json!(null),
        ),
        (
            "INSERT INTO t VALUES (2, NULL)",
            409,
            "constraint_violation",
            "23502",
            json!(null),
        ),
        ("SELECT * FROM nosuch", 400, "sql_error", "42P01", json!(15)),
        ("SELECT 1; SELECT 2", 400, "sql_error", "42601", json!(null)),
        (
            "ALTER SYSTEM SET work_mem = '1GB'",
            403,
            "statement_not_allowed",
            "42501",
            json!(null),
        ),
    ] {
        let answer = ask(&forge, sql).await;
        answer.problem(status, code);
        let body = answer.json();
        assert_eq!(body["sqlstate"], sqlstate, "{sql}: {body}");
        assert_eq!(body["position"], position, "{sql}: {body}");
    }
    let several = ask(&forge, "SELECT 1; SELECT 2")
        .await
        .problem(400, "sql_error");
    assert!(several.contains("/batch"), "{several}");
    for control in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "COPY t TO STDOUT",
    ] {
        ask(&forge, control)
            .await
            .problem(403, "statement_not_allowed");
    }
    // A statement that changes a table is seen by those that were prepared before.
    assert_eq!(rows(&forge, "SELECT * FROM t").await, json!([[1, "a"]]));
    rows(&forge, "ALTER TABLE t ADD COLUMN more int DEFAULT 7").await;
    assert_eq!(rows(&forge, "SELECT * FROM t").await, json!([[1, "a", 7]]));
}

#[tokio::test]
async fn answers_have_the_shapes_and_forms_that_are_asked_for() {
    let forge = with_shop().await;
    rows(&forge, "CREATE TYPE mood AS ENUM ('sad', 'ok')").await;
    rows(
        &forge,
        "CREATE TABLE t (id int, name text, m mood, ms mood[])",
    )
    .await;
    let inserted = ask(
        &forge,
        "INSERT INTO t VALUES (1, 'a,b', 'ok', '{sad,ok}'), (2, NULL, NULL, NULL)",
    )
    .await;
    let inserted = inserted.json();
    assert_eq!(inserted["rows_affected"], 2);
    assert_eq!(inserted["last_insert_rowid"], json!(null));
    let objects = json!({"sql": "SELECT * FROM t ORDER BY id", "shape": "objects"});
    let objects = send(&forge, "query", objects).await.json();
    assert_eq!(
        objects["rows"],
        json!([{"id": 1, "name": "a,b", "m": "ok", "ms": ["sad", "ok"]},
               {"id": 2, "name": null, "m": null, "ms": null}])
    );
    assert_eq!(objects["columns"][2]["type"], "mood");
    assert_eq!(objects["columns"][3]["type"], "mood[]");
    let select = json!({"sql": "SELECT id, name FROM t ORDER BY id"});
    let csv = send(&forge, "query?format=csv", select.clone()).await;
    assert_eq!(csv.text, "id,name\r\n1,\"a,b\"\r\n2,\r\n");
    let ndjson = send(&forge, "query?format=ndjson", select).await;
    let lines: Vec<&str> = ndjson.text.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ndjson.text);
    assert_eq!(lines[1], r#"[1,"a,b"]"#);

    let cut = json!({"sql": "SELECT * FROM generate_series(1, 100) AS i", "max_rows": 3});
    let cut = send(&forge, "query", cut).await.json();
    assert_eq!(
        (&cut["rows"], &cut["truncated"]),
        (&json!([[1], [2], [3]]), &json!(true))
    );
    let all = json!({"sql": "SELECT * FROM generate_series(1, 3) AS i", "max_rows": 3});
    assert_eq!(send(&forge, "query", all).await.json()["truncated"], false);
    let many = ask(&forge, "SELECT * FROM generate_series(1, 10001)").await;
    many.problem(413, "result_too_large");
    let long = ask(&forge, "SELECT repeat('x', 5000000)").await;
    long.problem(413, "result_too_large");
    assert_eq!(rows(&forge, "SELECT 1").await, json!([[1]]), "others go on");
    // What cannot be answered is not kept either.
    let returning =
        json!({"sql": "INSERT INTO t SELECT i FROM generate_series(1, 10001) i RETURNING id"});
    send(&forge, "query", returning)
        .await
        .problem(413, "result_too_large");
    assert_eq!(rows(&forge, "SELECT count(*) FROM t").await, json!([[2]]));
}

#[tokio::test]
async fn batches_and_scripts_are_kept_whole_or_not_at_all() {
    let forge = with_shop().await;
    let batch = json!({"statements": [
        {"sql": "CREATE TABLE t (id int PRIMARY KEY)"},
        {"sql": "INSERT INTO t VALUES ($1)", "params": [1]},
        {"sql": "SELECT * FROM t"},
    ]});
    let answers = send(&forge, "batch", batch).await.json();
    assert_eq!(answers["results"][2]["rows"], json!([[1]]), "{answers}");
    let failing = json!({"statements": [
        {"sql": "INSERT INTO t VALUES (2)"}, {"sql": "INSERT INTO t VALUES (1)"},
    ]});
    let failed = send(&forge, "batch", failing.clone()).await;
    failed.problem(409, "constraint_violation");
    assert_eq!(failed.json()["statement"], 1);
    assert_eq!(rows(&forge, "SELECT count(*) FROM t").await, json!([[1]]));
    let mut one_by_one = failing;
    one_by_one["transaction"] = json!("none");
    send(&forge, "batch", one_by_one)
        .await
        .problem(409, "constraint_violation");
    assert_eq!(rows(&forge, "SELECT count(*) FROM t").await, json!([[2]]));

    let script = |text: &str| {
        let ask = forge.ask("POST", "/v1/databases/shop/script");
        let ask = ask
            .token(crate::support::http::ROOT)
            .header("content-type", "text/plain");
        let text = text.to_owned();
        async move { ask.body(&text).await }
    };
    let ran = script(
        "CREATE FUNCTION double(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * i; END; $$;\n\
         CREATE TABLE u (a int CHECK (a > 0)); -- a comment;\n INSERT INTO u SELECT double(a) FROM generate_series(1, 3) a;",
    )
    .await;
    assert_eq!(ran.status, 200, "{}", ran.text);
    assert_eq!(rows(&forge, "SELECT sum(a) FROM u").await, json!([[12]]));
    let failed = script("INSERT INTO u VALUES (7);\nINSERT INTO u VALUES (-1);").await;
    failed.problem(409, "constraint_violation");
    assert_eq!(failed.json()["offset"], 26, "{}", failed.text);
    assert_eq!(rows(&forge, "SELECT sum(a) FROM u").await, json!([[12]]));
}
