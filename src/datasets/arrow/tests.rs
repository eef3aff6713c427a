//! Files that Arrow's own library wrote (`tests/fixtures/arrow/make.py`), and damaged ones.

use super::*;
use crate::goldens;

fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrow");
    std::fs::read(folder.join(name)).unwrap()
}

fn error(bytes: &[u8]) -> String {
    let e = read(bytes).unwrap_err();
    assert_eq!(e.exit_code(), 3, "{e}");
    e.to_string()
}

fn values(row: &Map<String, Value>) -> [Option<&str>; 3] {
    ["input", "question", "target"].map(|name| row[name].as_str())
}

#[test]
fn texts_of_all_layouts_are_read() {
    for name in ["stream.arrow", "file.arrow", "large.arrow", "numbers.arrow"] {
        let bytes = fixture(name);
        assert!(is_arrow(&bytes), "{name}");
        let rows = read(&bytes).unwrap();
        // Two batches; a text that is not there; an empty one; other alphabets.
        assert_eq!(rows.len(), 3, "{name}");
        assert!(rows.iter().all(|row| row.len() == 3), "{name}: only texts");
        let first = [Some("Anna took the lamp."), Some("Where is the lamp? "), Some("attic")];
        assert_eq!(values(&rows[0]), first, "{name}");
        assert_eq!(values(&rows[1]), [Some(""), Some("Où est Anna?"), None], "{name}");
        let last = [Some("Ben left. 東京"), Some("Who left?"), Some("Ben")];
        assert_eq!(values(&rows[2]), last, "{name}");
    }
    assert_eq!(read(&fixture("empty.arrow")).unwrap(), []);
}

#[test]
fn what_is_not_read_is_named() {
    for (name, part) in [
        ("lists.arrow", "column l"),
        ("dictionary.arrow", "column target"),
        ("compressed.arrow", "compressed"),
    ] {
        let text = error(&fixture(name));
        assert!(text.contains(part) && text.contains("to_json"), "{name}: {text}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let bytes = fixture("stream.arrow");
    for end in 4..bytes.len() {
        let text = error(&bytes[..end]);
        assert!(text.contains("cut off") && text.contains(&format!("{end} bytes")), "{text}");
    }
}

#[test]
fn damage_is_an_error_or_other_texts_and_never_a_panic() {
    // Every byte of a small file set to each of a few values. What is read is then at most as much
    // as the file has, so that no row is made up.
    let bytes = fixture("stream.arrow");
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            match read(&damaged) {
                Ok(rows) => assert!(rows.len() <= bytes.len() / 4, "byte {at}"),
                Err(e) => assert_eq!(e.exit_code(), 3, "byte {at}: {e}"),
            }
        }
    }
    for text in [error(&[0xff; 64]), error(b"ARROW1\0\0PAR1PAR1")] {
        assert!(text.contains("damaged"), "{text}");
    }
}

/// The buffers of the first batch are listed from byte 304 on, as (begin, length) in its body of
/// 152 bytes.
fn with_buffer(index: usize, begin: i64, length: i64) -> Vec<u8> {
    let mut bytes = fixture("stream.arrow");
    assert_eq!(bytes[300..304], 9i32.to_le_bytes(), "nine buffers");
    let at = 304 + 16 * index;
    bytes[at..at + 8].copy_from_slice(&begin.to_le_bytes());
    bytes[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// With thousands of columns over the same bytes, a megabyte would become gigabytes.
#[test]
fn columns_that_share_their_texts_are_damage() {
    assert_eq!(read(&with_buffer(2, 16, 35)).unwrap().len(), 3, "as it is");
    for shared in [2, 5, 8] {
        let text = error(&with_buffer(shared, 0, 152));
        assert!(text.contains("damaged") && text.contains("column"), "{text}");
    }
}

/// Rows without a text need their ends, too: else a bit would be a row of each column.
#[test]
fn a_column_with_fewer_ends_than_rows_is_damage() {
    // Validity of the third column, whose second text is not there, and its ends.
    let text = error(&with_buffer(7, 128, 8));
    assert!(text.contains("damaged") && text.contains("column target"), "{text}");
}

#[test]
fn the_long_name_of_a_column_is_refused() {
    let mut bytes = fixture("stream.arrow");
    let metadata = i32::from_le_bytes(*bytes[4..].first_chunk().unwrap());
    let end = 8 + metadata as usize;
    let name = bytes.windows(5).position(|w| w == b"input").unwrap();
    bytes.splice(end..end, [b'a'; 512]);
    bytes[4..8].copy_from_slice(&(metadata + 512).to_le_bytes());
    let length = (end + 512 - name) as i32;
    bytes[name - 4..name].copy_from_slice(&length.to_le_bytes());
    let text = error(&bytes);
    assert!(text.contains(&format!("a name of {length} bytes")), "{text}");
}

/// A file as it is published: its rows are those of the same task as JSON lines.
#[test]
fn a_published_file_is_read() {
    let found =
        goldens::find(["../data/babilong/raw_0k_qa1.arrow", "../data/babilong/0k_qa1.jsonl"]);
    let Some([arrow, lines]) = found else { return };
    let rows = read(&std::fs::read(arrow).unwrap()).unwrap();
    let lines = std::fs::read_to_string(lines).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((rows.len(), lines.len()), (100, 20));
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(values(row), ["input", "question", "target"].map(|name| line[name].as_str()));
    }
    println!("golden raw_0k_qa1.arrow: 20 of 20 rows agree with 0k_qa1.jsonl, 100 rows read");
}
