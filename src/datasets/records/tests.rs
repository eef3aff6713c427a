use super::*;

fn texts(bytes: &[u8]) -> Vec<(String, String)> {
    let rows = parse(bytes, "rows").unwrap();
    rows.iter().map(|r| (r.text("a").unwrap().to_owned(), r.place().to_owned())).collect()
}

fn error(bytes: &[u8]) -> String {
    let e = parse(bytes, "rows").unwrap_err();
    assert_eq!(e.exit_code(), 3, "{e}");
    e.to_string()
}

#[test]
fn the_format_is_found_by_content() {
    let listed = [("x", "rows: row 1"), ("y", "rows: row 2")];
    let same = |bytes: &[u8], expected: [(&str, &str); 2]| {
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(texts(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    };
    same(b"[{\"a\":\"x\"},\n {\"a\":\"y\"}]", listed);
    let in_data = [("x", "rows: data: row 1"), ("y", "rows: data: row 2")];
    same(b"{\"v\":1,\"data\":[{\"a\":\"x\"},{\"a\":\"y\"}]}", in_data);
    // Lines are counted with the empty ones; a BOM and CRLF do no harm.
    let lines = [("x", "rows:1"), ("y", "rows:3")];
    same(b"{\"a\":\"x\"}\n\n{\"a\":\"y\"}\n", lines);
    same(b"\xef\xbb\xbf{\"a\":\"x\"}\r\n\r\n{\"a\":\"y\"}\r\n", lines);
    // A single line is an object and a JSON text.
    assert_eq!(texts(b"{\"a\":\"x\"}\n"), [("x".to_owned(), "rows:1".to_owned())]);
    let numbers: Vec<usize> =
        parse(b"{\"a\":1}\n\n{\"a\":2}", "rows").unwrap().iter().map(Record::line).collect();
    assert_eq!(numbers, [1, 3]);
    // One line whose column is called data, without a list in it.
    assert_eq!(texts(b"{\"a\":\"x\",\"data\":1}\n").len(), 1);
}

#[test]
fn bad_files_are_named_with_the_place() {
    for bytes in [&b""[..], b"\n \n", b"[]", b"{\"data\":[]}"] {
        let text = error(bytes);
        assert!(text.contains("no rows") && text.contains("rows"), "{text}");
    }
    let cases: [(&[u8], &[&str]); 9] = [
        (b"{\"a\":\"x\"}\n{\"a\":", &["not JSON", "rows:2: column"]),
        (b"{\"a\":\"x\"}\n3\n", &["not an object", "rows:2", "a number"]),
        (b"[{\"a\":\"x\"}, null]", &["not an object", "rows: row 2", "null"]),
        (b"[{\"a\":\"x\"},", &["not JSON", "rows:1"]),
        (b"{\"data\":[1]}", &["not an object", "rows: data: row 1"]),
        (b"question,target\nx,y\n", &["not JSON", "rows:1"]),
        (b"PAR1....", &["Parquet", "to_json"]),
        (b"\x1f\x8b\x08", &["gzip"]),
        (b"{\"a\":\"\xff\"}", &["UTF-8", "rows: byte 6"]),
    ];
    for (bytes, parts) in cases {
        let text = error(bytes);
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
    // A thousand brackets are refused and not followed.
    error("[".repeat(1000).as_bytes());
    let e = read_records(Path::new("no/such/rows.jsonl")).unwrap_err();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("no/such/rows.jsonl"), "{e}");
}

#[test]
fn columns_that_are_missing_or_wrong_are_named() {
    let line =
        br#"{"a":"x","n":3,"half":1.5,"list":["p","q"],"mixed":["p",1],"none":[],"null":null,"blank":" \n"}"#;
    let row = &parse(line, "rows").unwrap()[0];
    assert_eq!(row.text("a").unwrap(), "x");
    assert_eq!(row.number("n").unwrap(), 3);
    assert_eq!(row.texts("list").unwrap(), ["p", "q"]);
    assert_eq!(row.texts("none").unwrap(), [""; 0]);
    assert!(row.has("a") && !row.has("null") && !row.has("b"));
    let message = |e: Error| {
        assert_eq!(e.exit_code(), 3);
        e.to_string()
    };
    let missing = message(row.text("b").unwrap_err());
    assert!(
        missing.contains("no column b") && missing.contains("a, blank, half, list"),
        "{missing}"
    );
    for (text, parts) in [
        (message(row.text("n").unwrap_err()), ["rows:1: n", "the number 3"]),
        (message(row.number("half").unwrap_err()), ["rows:1: half", "1.5"]),
        (message(row.number("a").unwrap_err()), ["rows:1: a", "a string"]),
        (message(row.texts("a").unwrap_err()), ["rows:1: a", "a list of strings"]),
        (message(row.texts("mixed").unwrap_err()), ["rows:1: mixed[1]", "the number 1"]),
        (message(row.gold_texts("none").unwrap_err()), ["column none", "an empty list"]),
        (message(row.text("null").unwrap_err()), ["rows:1: null", "null"]),
        (message(row.filled_text("blank").unwrap_err()), ["column blank", "rows:1"]),
    ] {
        assert!(parts.iter().all(|p| text.contains(p)), "{text}");
    }
}

#[test]
fn an_id_twice_names_both_rows() {
    unique([("a", "f:1"), ("b", "f:2")].into_iter()).unwrap();
    let e = unique([("a", "f:1"), ("b", "f:2"), ("a", "f:3")].into_iter()).unwrap_err();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("f:1 and f:3"), "{e}");
}

/// Columns of any row that are not read are told, those that are read are not.
#[test]
fn columns_that_nobody_reads_are_told_once() {
    let rows = parse(b"{\"a\":1,\"b\":2}\n{\"a\":1,\"c\":2}\n{\"b\":3}", "rows").unwrap();
    let told = unread_columns(Path::new("rows"), &rows, &["a"]).unwrap();
    assert!(told.contains("rows: nothing is read from the columns b, c;"), "{told}");
    assert_eq!(unread_columns(Path::new("rows"), &rows, &["a", "b", "c"]), None);
}
