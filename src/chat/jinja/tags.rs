//! How long the tags of a template are.
//!
//! The library follows every operator of an expression by calling itself, `-----1` five times, and
//! looks at what is below again at each: a long expression costs its length squared, and a stack as
//! deep as it is long. Where a tag ends is decided as the library decides it.

/// Bytes of a tag besides its quoted texts, at most. Those of published templates have a few
/// hundred.
const LONGEST: usize = 4 << 10;

/// That no tag of `source` is longer than any real one.
///
/// # Errors
/// Where one begins that is.
pub(super) fn check(source: &str) -> Result<(), String> {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        let end: &[u8] = match &bytes[at..at + 2] {
            b"{{" => b"}}",
            b"{%" => b"%}",
            b"{#" => {
                // A comment that does not end is the library's to name.
                at = source[at..].find("#}").map_or(bytes.len(), |end| at + end + 2);
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        let (length, code) = tag(&bytes[at + 2..], end);
        if code > LONGEST {
            let line = source[..at].matches('\n').count() + 1;
            return Err(format!(
                "a tag with {code} bytes besides its quoted texts; at most {LONGEST} are read \
                 (line {line})"
            ));
        }
        at += 2 + length;
    }
    Ok(())
}

/// The bytes of a tag that ends with `end`, that included, and how many of them stand outside of
/// quotes.
fn tag(bytes: &[u8], end: &[u8]) -> (usize, usize) {
    let (mut at, mut code, mut open) = (0, 0, 0i64);
    let mut quote = None;
    while at < bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(_) if byte == b'\\' => at += 1,
            Some(mark) if byte == mark => quote = None,
            Some(_) => (),
            None if open == 0 && bytes[at..].starts_with(end) => return (at + end.len(), code),
            None => {
                code += 1;
                match byte {
                    b'"' | b'\'' => quote = Some(byte),
                    b'(' | b'[' | b'{' => open += 1,
                    b')' | b']' | b'}' => open -= 1,
                    _ => (),
                }
            }
        }
        at += 1;
    }
    (at.min(bytes.len()), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_as_long_as_they_stand_there() {
        let of = |text: &str, end: &str| tag(text.as_bytes(), end.as_bytes());
        assert_eq!(of(" x }}b", "}}"), (5, 3));
        assert_eq!(of("'}}' + \"%}\" %}b", "%}"), (14, 6));
        // The first pair of braces ends a map within a map.
        assert_eq!(of(" {'a': {}} }}b", "}}"), (13, 9));
        assert_eq!(of(r"'\'}}' }}", "}}"), (9, 2));
        assert_eq!(of("a", "}}"), (1, 1));
        assert_eq!(of("'a\\", "}}"), (3, 1));
    }

    #[test]
    fn long_texts_are_no_long_tags() {
        let (long, text) = ("-".repeat(LONGEST + 1), "-".repeat(9 * LONGEST));
        for short in [
            format!("{text}{{{{ '{text}' }}}}{{# {text} #}}{{% if x == \"{text}\" %}}{text}"),
            format!("{{{{ {}1 }}}}", &long[4..]),
            "{{ x }}".repeat(LONGEST),
            "{".to_owned(),
            String::new(),
        ] {
            assert_eq!(check(&short), Ok(()));
        }
        for end in [" }}", " %}", "", "}", ")}}"] {
            for begin in ["{{", "{%", "{{ x }}\n{{ {'a': {}}", "{% (", "{# #}\n{{ '\\'' "] {
                let error = check(&format!("{begin}{long}{end}")).unwrap_err();
                let line = begin.matches('\n').count() + 1;
                assert!(error.ends_with(&format!("(line {line})")), "{begin} {end}: {error}");
            }
        }
    }
}
