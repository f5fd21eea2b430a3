//! Files that are broken, or made to do harm.
use super::{brought, csv, import, refused, refused_csv, rows, run, schema_of, shop};
use serde_json::json;

#[tokio::test]
async fn a_file_that_is_broken_is_refused_with_its_line() {
    let forge = shop().await;
    let wide: String = (0..100_000).map(|n| format!("c{n},")).collect();
    let utf16: Vec<u8> = "a,b".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xff, 0xfe][..], &utf16].concat();
    for (file, says) in [
        (&b""[..], "line 1: the file is empty"),
        (&utf16, "utf-16; convert it first"),
        (b"\0a\0,\0b", "is the file utf-16?"),
        (
            b"a,b\n1,2\n3,\xff\n",
            "line 3, column `b`: the value is not utf-8",
        ),
        (
            b"a,b\n\xc3,\xa9\n",
            "line 2, column `a`: the value is not utf-8",
        ),
        (
            b"a,b\nx\0,2\n",
            "line 2, column `a`: the value has a nul byte",
        ),
        (
            b"a\n1\n\"2\n3\n",
            "line 3: a quote is opened and never closed",
        ),
        (
            b"a\n\"x\"y\n",
            "line 2: a quoted field goes on behind its closing quote",
        ),
        (b"a,A\n", "columns 1 and 2 are both named `a`"),
        (b"a,,c\n", "column 2 has no name"),
        (wide.as_bytes(), "more than 2000 columns"),
        (&[0x1f, 0x8b, 8, 0, 1, 2, 3][..], "cannot be read"),
    ] {
        let said = refused(&forge, "t/import", "text/csv", file)
            .await
            .to_lowercase();
        assert!(said.contains(says), "{said}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let job = import(
        &forge,
        "deep/import",
        "application/x-ndjson",
        deep.as_bytes(),
    )
    .await;
    assert_eq!(job["state"], "succeeded", "kept as text: {job}");
    for (line, says) in [
        (
            "{\"a\":1,\"a\":2}",
            "line 1, column `a`: the row has it twice",
        ),
        (
            "{\"a\":9223372036854775808}",
            "line 1, column `a`: the integer 9223372036854775808",
        ),
        (
            "{\"a\":1}\n{\"a\":1e400}",
            "line 2, column `a`: 1e400 is out of range",
        ),
        ("{\"a\":1}\n{\"a\":", "line 2: the row is no json object"),
        (
            "{\"a\":{\"$base64\":\"?\"}}",
            "column `a`: the text under $base64",
        ),
        ("[1,2]", "a row is a list of values"),
        ("{}", "no row names a column"),
        ("7", "line 1: the row is no json object"),
    ] {
        let said = refused(&forge, "j/import", "application/x-ndjson", line.as_bytes()).await;
        let said = said.to_lowercase();
        assert!(said.contains(says), "{line}: {said}");
    }
    assert_eq!(
        rows(
            &forge,
            "SELECT name FROM sqlite_schema WHERE name IN ('t', 'j')"
        )
        .await,
        json!([])
    );
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_however_well_it_is_packed() {
    let forge = shop().await;
    let endless = [&b"a\n"[..], &vec![b'x'; 65 << 20]].concat();
    let packed = zstd::encode_all(endless.as_slice(), 1).unwrap();
    assert!(packed.len() < 1 << 20);
    let said = refused(&forge, "t/import", "text/csv", &packed).await;
    assert!(
        said.contains("Line 2: the row is longer than 67108864 bytes"),
        "{said}"
    );
}

#[tokio::test]
async fn names_cannot_carry_sql() {
    let forge = shop().await;
    run(&forge, "CREATE TABLE secret (a)").await;
    let odd = "\"a\"\") ; DROP TABLE secret; --\",\"b'\"\n1,2\n";
    csv(&forge, "inject/import", odd).await;
    csv(&forge, "we%22ird%20%27t/import", "x\n1\n").await;
    assert_eq!(schema_of(&forge, "secret").await, "CREATE TABLE secret (a)");
    let read = rows(&forge, "SELECT * FROM \"we\"\"ird 't\"").await;
    assert_eq!(read, json!([[1]]));
    let again = csv(&forge, "inject/import", odd).await;
    assert_eq!(again["created"], false);
    let said = refused_csv(&forge, "sqlite_x/import", "a\n1\n").await;
    assert!(said.contains("reserved"), "{said}");
    run(&forge, "CREATE VIEW v AS SELECT 1 AS a").await;
    let said = refused_csv(&forge, "v/import", "a\n1\n").await;
    assert!(said.contains("is a view"), "{said}");
    run(&forge, "CREATE VIRTUAL TABLE f USING fts5(a)").await;
    brought(&forge, "f/import", "text/csv", b"a\nhello world\n").await;
    assert_eq!(
        rows(&forge, "SELECT a FROM f WHERE f MATCH 'world'").await,
        json!([["hello world"]])
    );
    let said = refused_csv(&forge, "f_data/import", "id\n1\n").await;
    assert!(said.contains("belongs to a virtual table"), "{said}");
}
