//! What files become: separators, quotes, types, NULL, the forms of JSON.
use super::{brought, csv, refused, rows, run, schema_of, shop};
use serde_json::json;

#[tokio::test]
async fn a_table_is_made_with_types_under_which_every_value_stays_the_same() {
    let forge = shop().await;
    let file = "id,price,mixed,code,day,big,word\r\n\
                1,1.5,1,007,2024-01-02,9223372036854775808,\"Ann \"\"A\"\"\nof B\"\r\n\
                -2,-0.25,2.5,1e5,x,1,\r\n\
                30,2.75,,+1,NaN,2,\"\"\r\n";
    let told = csv(&forge, "t/import", file).await;
    assert_eq!(
        told,
        json!({"created": true, "rows": 3, "written": 3, "skipped": 0, "errors": [], "notes": []})
    );
    assert_eq!(
        schema_of(&forge, "t").await,
        r#"CREATE TABLE "t" ("id" INTEGER, "price" REAL, "mixed" NUMERIC, "code" TEXT, "day" TEXT, "big" TEXT, "word" TEXT)"#
    );
    assert_eq!(
        rows(&forge, "SELECT * FROM t").await,
        json!([
            [
                1,
                1.5,
                1,
                "007",
                "2024-01-02",
                "9223372036854775808",
                "Ann \"A\"\nof B"
            ],
            [-2, -0.25, 2.5, "1e5", "x", "1", null],
            [30, 2.75, null, "+1", "NaN", "2", ""],
        ])
    );
    csv(&forge, "texts/import?types=text", "a,b\n1,2.5\n").await;
    assert_eq!(
        rows(&forge, "SELECT * FROM texts").await,
        json!([["1", "2.5"]])
    );
}

#[tokio::test]
async fn separators_are_found_or_named_and_a_header_may_be_missing() {
    let forge = shop().await;
    for (table, parameters, kind, file) in [
        ("a", "", "text/csv", "\u{feff}x;y\n1;\"a,b;c\"\n"),
        ("b", "", "text/tab-separated-values", "x\ty\n1\ta,b;c\n"),
        ("c", "?delimiter=%7C", "text/csv", "x|y\r1|\"a,b;c\"\r"),
        ("d", "?delimiter=tab", "text/csv", "x\ty\n1\t\"a,b;c\""),
    ] {
        let path = format!("{table}/import{parameters}");
        brought(&forge, &path, kind, file.as_bytes()).await;
        let read = rows(&forge, &format!("SELECT x, y FROM {table}")).await;
        assert_eq!(read, json!([[1, "a,b;c"]]), "{table}");
    }
    csv(&forge, "e/import?header=false", "1,x\n2,y\n").await;
    assert_eq!(
        rows(&forge, "SELECT c1, c2 FROM e").await,
        json!([[1, "x"], [2, "y"]])
    );
    let told = csv(&forge, "f/import", "only,header").await;
    assert_eq!((&told["created"], &told["rows"]), (&json!(true), &json!(0)));
    csv(&forge, "e/import?header=false", "3,z\n").await;
    assert_eq!(
        rows(&forge, "SELECT c1 FROM e").await,
        json!([[1], [2], [3]])
    );
}

#[tokio::test]
async fn null_is_told_from_the_empty_text_and_formulas_are_escaped_on_request() {
    let forge = shop().await;
    csv(&forge, "n/import?null=NULL", "a,b\nNULL,\n\"NULL\",x\n").await;
    assert_eq!(
        rows(&forge, "SELECT * FROM n").await,
        json!([[null, ""], ["NULL", "x"]])
    );
    csv(&forge, "one/import", "a\nx\n\n\"\"\n").await;
    assert_eq!(
        rows(&forge, "SELECT a FROM one").await,
        json!([["x"], [null], [""]])
    );
    let file = "a\n=1+1\n@x\n+cmd\n-5\n\"\tx\"\nplain\n";
    csv(&forge, "kept/import", file).await;
    csv(&forge, "escaped/import?formulas=escape", file).await;
    assert_eq!(
        rows(&forge, "SELECT * FROM kept").await,
        json!([["=1+1"], ["@x"], ["+cmd"], ["-5"], ["\tx"], ["plain"]])
    );
    assert_eq!(
        rows(&forge, "SELECT * FROM escaped").await,
        json!([["'=1+1"], ["'@x"], ["'+cmd"], ["-5"], ["'\tx"], ["plain"]])
    );
}

#[tokio::test]
async fn json_comes_as_lines_as_a_list_and_as_our_own_export_writes_it() {
    let forge = shop().await;
    let lines = "{\"a\":1,\"b\":\"x\"}\n\n{\"b\":{\"$base64\":\"AP8=\"},\"c\":{\"d\":[1]}}\n";
    brought(&forge, "l/import", "application/x-ndjson", lines.as_bytes()).await;
    assert_eq!(
        rows(&forge, "SELECT * FROM l").await,
        json!([[1, "x", null], [null, {"$base64": "AP8="}, "{\"d\":[1]}"]])
    );
    let list = b"[{\"a\":1.0},\n{\"A\":9007199254740993}]";
    brought(&forge, "m/import", "application/json", list).await;
    let kinds = rows(&forge, "SELECT a, typeof(a) FROM m").await;
    assert_eq!(
        kinds,
        json!([[1.0, "real"], [9_007_199_254_740_993_i64, "integer"]])
    );
    let own =
        b"{\"columns\":[{\"name\":\"i\",\"type\":\"INTEGER\"},{\"name\":\"t\",\"type\":null}]}\n\
        [1,\"x\"]\n[2,null]\n{\"row_count\":2,\"rows_affected\":0}\n";
    brought(&forge, "o/import", "application/jsonl", own).await;
    assert_eq!(
        rows(&forge, "SELECT i, t FROM o").await,
        json!([[1, "x"], [2, null]])
    );
    let broken =
        b"{\"columns\":[{\"name\":\"i\"}]}\n[1]\n{\"error\":{\"code\":\"statement_timeout\"}}\n";
    let said = refused(&forge, "p/import", "application/jsonl", broken).await;
    assert!(said.contains("ended with an error"), "{said}");
}

#[tokio::test]
async fn what_is_exported_comes_back_the_same() {
    let forge = shop().await;
    run(
        &forge,
        "CREATE TABLE source (i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, \"o d'd\" TEXT)",
    )
    .await;
    run(
        &forge,
        "INSERT INTO source VALUES (1, 0.1, 'a,\"b\"', x'00ff', 7, ''), (NULL, 9e999, NULL, NULL, 1.5, '007'), \
         (-9223372036854775808, -9e999, '', x'', NULL, 'é\n'), (4, 1e300, 'NULL', x'61', 3, '=1'), \
         (5, 0.0, 'a' || char(0) || 'b', NULL, 0, char(0))",
    )
    .await;
    let all = "SELECT *, typeof(i), typeof(r), typeof(b), typeof(n) FROM";
    let expected = rows(&forge, &format!("{all} source")).await;
    for (format, kind) in [("csv", "text/csv"), ("ndjson", "application/x-ndjson")] {
        let body = json!({"sql": "SELECT * FROM source"}).to_string();
        let path = format!("/v1/databases/shop/query?format={format}");
        let file = forge.post(&path, &body).await.text;
        run(&forge, "DROP TABLE IF EXISTS target").await;
        run(
            &forge,
            "CREATE TABLE target (i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, \"o d'd\" TEXT)",
        )
        .await;
        let told = brought(&forge, "target/import", kind, file.as_bytes()).await;
        assert_eq!(told["written"], 5, "{format}");
        assert_eq!(
            rows(&forge, &format!("{all} target")).await,
            expected,
            "{format}"
        );
    }
}

#[tokio::test]
async fn compressed_files_and_uploads_are_imported_alike() {
    let forge = shop().await;
    let file = "a\n1\n2\n";
    let packed = zstd(file.as_bytes());
    brought(&forge, "z/import", "text/csv", &packed).await;
    assert_eq!(rows(&forge, "SELECT a FROM z").await, json!([[1], [2]]));
    let upload = forge.ask("POST", "/v1/uploads").token(super::ROOT);
    let upload = upload
        .header("content-type", "text/csv; charset=utf-8")
        .body(file)
        .await;
    let id = upload.json()["id"].as_str().unwrap().to_owned();
    brought(&forge, &format!("u/import?upload={id}"), "text/csv", b"").await;
    assert_eq!(rows(&forge, "SELECT a FROM u").await, json!([[1], [2]]));
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
