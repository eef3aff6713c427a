//! Reading a head_score file that somebody else may have written.
//!
//! A visitor rather than a tree of values: it sees duplicate keys, knows the key of every error,
//! and refuses nesting where it begins instead of following it.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::reader::{Item, Reader, shortened};
use super::{ReadHeadScore, layout};
use crate::error::Result;

/// Parses `text`; `place` is its name in errors.
///
/// # Errors
/// As [`super::HeadScoreFile::read`].
pub(super) fn parse(
    text: &str,
    place: &str,
    expected: Option<(usize, usize)>,
) -> Result<ReadHeadScore> {
    let reader = Reader::new(place);
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = Node { reader: &reader, level: Level::Document }
        .deserialize(&mut json)
        .and_then(|item| json.end().map(|()| item));
    let entries = match parsed {
        Ok(Item::Map(entries)) => entries,
        Ok(_) => return Err(reader.error("a head_score file is not a JSON object")),
        Err(syntax) => return Err(reader.failed(&syntax)),
    };
    layout::assemble(&reader, entries, expected)
}

/// Where in the file a value stands, which decides what it may be.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// The file itself: a map.
    Document,
    /// Under a key of the file: a number, a list, or a map if the key is the only one.
    Value,
    /// Under a key of that map: a number or a list.
    InnerValue,
    /// In a list: a number.
    Element,
}

#[derive(Clone, Copy)]
struct Node<'a> {
    reader: &'a Reader<'a>,
    level: Level,
}

impl Node<'_> {
    fn number<E: de::Error>(self, value: f64) -> std::result::Result<Item, E> {
        let small = value as f32;
        if self.level == Level::Document {
            self.refuse(value)
        } else if value < 0.0 {
            Err(self.reader.stop(
                self.reader
                    .error_here("a head score is negative")
                    .got(value)
                    .expected("a number from 0 upwards"),
            ))
        } else if !small.is_finite() {
            Err(self.reader.stop(
                self.reader
                    .error_here("a head score is too large")
                    .got(value)
                    .expected("a number that a 32-bit float can hold"),
            ))
        } else {
            // Adding 0 turns -0 into 0.
            Ok(Item::Number(small + 0.0))
        }
    }

    fn refuse<E: de::Error>(self, got: impl fmt::Display) -> std::result::Result<Item, E> {
        let (what, expected) = match self.level {
            Level::Document => ("a head_score file is not a JSON object", "{\"0-0\": [0.5], ...}"),
            Level::Element => ("a list of head scores holds something else", "numbers only"),
            _ => ("the value of a head is not a score", "a number or a list of numbers"),
        };
        Err(self.reader.stop(self.reader.error_here(what).got(got).expected(expected)))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Item, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("head scores")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> std::result::Result<Item, E> {
        self.number(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> std::result::Result<Item, E> {
        self.number(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> std::result::Result<Item, E> {
        self.number(value)
    }

    fn visit_unit<E: de::Error>(self) -> std::result::Result<Item, E> {
        self.refuse("null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> std::result::Result<Item, E> {
        self.refuse(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> std::result::Result<Item, E> {
        self.refuse(format!("the string \"{}\"", shortened(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Item, A::Error> {
        if matches!(self.level, Level::Document | Level::Element) {
            return self.refuse("a list");
        }
        let element = Node { reader: self.reader, level: Level::Element };
        let mut values = Vec::new();
        while let Some(item) = list.next_element_seed(element)? {
            if let Item::Number(value) = item {
                values.push(value);
            }
        }
        if values.is_empty() {
            return self.refuse("an empty list");
        }
        Ok(Item::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Item, A::Error> {
        let level = match self.level {
            Level::Document => Level::Value,
            Level::Value => Level::InnerValue,
            Level::InnerValue | Level::Element => return self.refuse("a map"),
        };
        let mut entries: Vec<(String, Item)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            self.reader.at_key(&key);
            if !seen.insert(key.clone()) {
                let error = self.reader.error_here("a key is given twice in a head_score file");
                return Err(self.reader.stop(error));
            }
            let item = map.next_value_seed(Node { reader: self.reader, level })?;
            entries.push((key, item));
        }
        Ok(Item::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ReadHeadScore> {
        parse(text, "h.json", None)
    }

    /// Refused with exit code 3 and every one of `parts` in the message.
    fn refused(text: &str, expected: Option<(usize, usize)>, parts: &[&str]) {
        let error = parse(text, "h.json", expected).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part:?} is not in:\n{error}");
        }
    }

    #[test]
    fn lists_numbers_lines_and_a_wrapper_are_all_the_same() {
        let plain = read(r#"{"0-0": [0.5, 1], "0-1": [0.25, 0]}"#).unwrap();
        assert_eq!(plain.file.values(), [vec![0.5, 1.0], vec![0.25, 0.0]]);
        assert_eq!((plain.file.layers(), plain.file.heads()), (1, 2));
        assert!(plain.warnings.is_empty());
        let wrapped = "{\n \"average\": {\n  \"0-0\": [0.5, 1],\n  \"0-1\": [0.25, -0.0]}}\n\n";
        assert_eq!(read(wrapped).unwrap(), plain);
        let numbers = read(r#"{"0-0": 0.5, "1-0": 0.25}"#).unwrap();
        assert_eq!(numbers.file.values(), [vec![0.5], vec![0.25]]);
        assert_eq!((numbers.file.layers(), numbers.file.heads()), (2, 1));
    }

    #[test]
    fn shuffled_keys_are_placed_by_key_with_a_warning() {
        let text = r#"{"1-1": 4, "0-1": 2, "1-0": 3, "0-0": 1}"#;
        let read = parse(text, "h.json", Some((2, 2))).unwrap();
        assert_eq!(read.file.mean().values(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(read.warnings.len(), 1);
        assert!(read.warnings[0].contains("placed by key"));
    }

    #[test]
    fn lists_of_different_lengths_are_worth_a_warning() {
        let read = read(r#"{"0-0": [1, 2], "0-1": [3]}"#).unwrap();
        assert_eq!(read.file.mean().values(), [1.5, 3.0]);
        assert!(read.warnings[0].contains("1 to 2 values"), "{:?}", read.warnings);
    }

    #[test]
    fn values_that_are_no_scores_are_refused_by_key() {
        let values = [
            "NaN",
            "Infinity",
            "-Infinity",
            "null",
            "\"0.5\"",
            "true",
            "-0.1",
            "-3",
            "[]",
            "[0.5, NaN]",
            "[Infinity]",
            "[null]",
            "[\"x\"]",
            "[0.1, -1e-9]",
            "[[0.5]]",
            "[{}]",
            "1e400",
            "1e300",
            "[1e39]",
            "",
        ];
        for value in values {
            let key = "key \"0-1\"";
            refused(&format!("{{\"0-0\": [0.5], \"0-1\": {value}}}"), None, &["h.json", key]);
            let wrapped = format!("{{\"w\": {{\"0-0\": [0.5], \"0-1\": {value}}}}}");
            refused(&wrapped, None, &["h.json", key]);
        }
    }

    #[test]
    fn keys_are_refused_by_name() {
        refused(r#"{"0-0": 1, "0-1": 2, "0-0": 1}"#, None, &["given twice", "\"0-0\""]);
        for key in
            ["0", "0-", "-0-1", "0-1-2", "0_1", "00-1", "+0-1", "0- 1", "a-b", "", "0-5000000000"]
        {
            let text = format!("{{\"0-0\": 1, \"{key}\": 2}}");
            refused(&text, None, &["does not name a head", &format!("key \"{key}\"")]);
        }
        refused(r#"{"0-0": 1, "0-1": 1, "1-1": 1}"#, None, &["missing", "\"1-0\""]);
        refused(r#"{"4000000000-4000000000": 1}"#, None, &["missing", "\"0-0\""]);
        let long = "x".repeat(100_000);
        let error = read(&format!("{{\"{long}\": 1}}")).unwrap_err();
        assert!(error.to_string().len() < 400);
    }

    #[test]
    fn the_size_must_be_the_models() {
        let two_by_two = r#"{"0-0": 1, "0-1": 1, "1-0": 1, "1-1": 1}"#;
        assert!(parse(two_by_two, "h.json", Some((2, 2))).is_ok());
        for expected in [(2, 3), (3, 2), (1, 2), (1, 4), (4, 4)] {
            refused(two_by_two, Some(expected), &["another size", "2 layers x 2 heads"]);
        }
        let one_more = r#"{"0-0": 1, "0-1": 1, "1-0": 1, "1-1": 1, "2-0": 1}"#;
        refused(one_more, Some((2, 2)), &["out of range", "\"2-0\""]);
        let one_less = r#"{"0-0": 1, "0-1": 1, "1-0": 1}"#;
        refused(one_less, Some((2, 2)), &["missing", "\"1-1\""]);
        refused(one_less, Some((3, 3)), &["missing", "\"0-2\""]);
    }

    #[test]
    fn other_documents_are_refused() {
        for text in ["", " ", "[]", "[[0.5]]", "3", "null", "\"x\"", "{", "{}", "{\"w\": {}}"] {
            refused(text, None, &["h.json"]);
        }
        refused("{\"0-0\": 1} {\"0-0\": 1}", None, &["not valid JSON"]);
        refused(r#"{"0-0": 1, "w": {"0-1": 1}}"#, None, &["map", "\"w\""]);
        refused(r#"{"a": {"b": {"0-0": 1}}}"#, None, &["\"b\""]);
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        const DEPTH: usize = 1_000_000;
        refused(&"[".repeat(DEPTH), None, &["h.json"]);
        refused(&"{\"0-0\":".repeat(DEPTH), None, &["\"0-0\""]);
        let lists = format!("{{\"0-0\": {}{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        refused(&lists, None, &["\"0-0\""]);
    }
}
