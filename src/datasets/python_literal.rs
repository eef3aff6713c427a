//! Python literals: some data sets keep lists of dictionaries as the text that Python prints.

use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};

/// Lists in lists; no data set has more than three.
const DEEPEST: usize = 16;

/// The value of a text such as `[{'Q': "Who's there?", 'S': []}]`: lists, tuples, dictionaries with
/// strings for keys, strings, numbers, `True`, `False` and `None`. Nothing is evaluated.
///
/// # Errors
/// [`Error::Data`] with the byte where something else stands.
pub fn parse(text: &str) -> Result<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next character that is no white space, which is passed over.
    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn wrong(&self, expected: &str) -> Error {
        let got = match self.text[self.at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some(c) => format!("{c:?}"),
        };
        Error::data("a text is not a list as Python prints it")
            .at(format!("byte {}", self.at))
            .got(got)
            .expected(expected)
    }

    /// Passes `c`, if it comes next.
    fn passes(&mut self, c: char) -> bool {
        let here = self.peek() == Some(c);
        self.at += if here { c.len_utf8() } else { 0 };
        here
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(self.wrong(&format!("at most {DEEPEST} lists in one another")));
        }
        match self.peek() {
            Some('[') => Ok(Value::Array(self.items(']', depth)?)),
            Some('(') => Ok(Value::Array(self.items(')', depth)?)),
            Some('{') => self.dictionary(depth),
            Some('\'' | '"') => Ok(Value::String(self.string()?)),
            _ => self.word(),
        }
    }

    fn items(&mut self, close: char, depth: usize) -> Result<Vec<Value>> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.passes(close) {
            items.push(self.value(depth + 1)?);
            if !self.passes(',') && self.peek() != Some(close) {
                return Err(self.wrong(&format!("a comma or {close}")));
            }
        }
        Ok(items)
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value> {
        self.at += 1;
        let mut fields = Map::new();
        while !self.passes('}') {
            if !matches!(self.peek(), Some('\'' | '"')) {
                return Err(self.wrong("a key in quotes"));
            }
            let key = self.string()?;
            if !self.passes(':') {
                return Err(self.wrong("a colon"));
            }
            fields.insert(key, self.value(depth + 1)?);
            if !self.passes(',') && self.peek() != Some('}') {
                return Err(self.wrong("a comma or }"));
            }
        }
        Ok(Value::Object(fields))
    }

    /// A string in single or double quotes; the quote comes next.
    fn string(&mut self) -> Result<String> {
        let mut rest = self.text[self.at..].chars();
        let quote = rest.next();
        let mut string = String::new();
        loop {
            let c = rest.next();
            self.at = self.text.len() - rest.as_str().len();
            match c {
                None => return Err(self.wrong("the end of a string")),
                c if c == quote => return Ok(string),
                Some('\\') => {
                    self.escape(&mut string)?;
                    rest = self.text[self.at..].chars();
                }
                Some(c) => string.push(c),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, string: &mut String) -> Result<()> {
        let Some(c) = self.text[self.at..].chars().next() else {
            return Err(self.wrong("the rest of an escape"));
        };
        self.at += c.len_utf8();
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = self.text.get(self.at..self.at + digits);
            let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok());
            let Some(c) = code.and_then(char::from_u32) else {
                return Err(self.wrong(&format!("{digits} digits of a character")));
            };
            self.at += digits;
            string.push(c);
            return Ok(());
        }
        match c {
            'n' => string.push('\n'),
            't' => string.push('\t'),
            'r' => string.push('\r'),
            '\\' | '\'' | '"' => string.push(c),
            '\n' => {}
            // Python keeps a backslash that begins no escape.
            other => string.extend(['\\', other]),
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Value> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "+-._".contains(c)));
        let word = &rest[..end.unwrap_or(rest.len())];
        let number = || {
            let whole = word.parse::<i64>().ok().map(Number::from);
            whole.or_else(|| word.parse().ok().and_then(Number::from_f64))
        };
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            _ => Value::Number(number().ok_or_else(|| self.wrong("a value"))?),
        };
        self.at += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_python_prints() {
        let text = r#"[{'Q': "Who's it?", 'A': 'a \'b\' "c"\n\xe9\u00e9', 'S': ['x', ],}, (1, -2.5), {}, [], True, None, False, 'C:\d']"#;
        let expected = json!([
            {"Q": "Who's it?", "A": "a 'b' \"c\"\néé", "S": ["x"]},
            [1, -2.5], {}, [], true, null, false, "C:\\d"
        ]);
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse(" 'é' ").unwrap(), json!("é"));
    }

    #[test]
    fn names_the_byte_of_anything_else() {
        for (text, byte, part) in [
            ("", 0, "the end of the text"),
            ("[1, 2", 5, "the end of the text"),
            ("[1 2]", 3, "'2'"),
            ("{'a' 1}", 5, "a colon"),
            ("{1: 2}", 1, "a key in quotes"),
            ("'ab", 3, "the end of a string"),
            (r"'\x4'", 3, "2 digits"),
            (r"'\ud800'", 3, "4 digits"),
            ("[1] 2", 4, "the end"),
            ("open('x')", 0, "a value"),
            ("nan", 0, "a value"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.contains(&format!("byte {byte}")) && e.contains(part), "{text}: {e}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().to_string().contains("at most 16"));
    }

    /// Every prefix of a literal is refused or read, never a panic.
    #[test]
    fn a_cut_text_is_refused() {
        let text = r#"[{'Q': "é\u00e9", 'S': ['x', 1.5]}]"#;
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            assert!(parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }
}
