//! What the library would not come back from, found in the tags of a template before it reads them.
//!
//! - It follows every operator of an expression by calling itself, `-----1` five times, and looks
//!   at what is below again at each: a long expression costs its length squared, and a stack as
//!   deep as it is long.
//! - It prints a namespace with all that is in it: one that holds itself has no end.
//!
//! Where a tag ends is decided as the library decides it.

use std::collections::BTreeSet;

/// Bytes of a tag besides its quoted texts, at most. Those of published templates have a few
/// hundred.
const LONGEST: usize = 4 << 10;

/// A tag, `{{ ... }}` or `{% ... %}`.
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    /// Its line, from 1.
    line: usize,
    /// What stands in it; of quoted texts the quotes alone.
    code: String,
}

/// That no tag of `source` is longer than any real one, and that no namespace can come to hold
/// itself.
///
/// # Errors
/// What and where.
pub(super) fn check(source: &str) -> Result<(), String> {
    let tags = tags(source);
    for Tag { line, code } in &tags {
        if code.len() > LONGEST {
            return Err(format!(
                "a tag with {} bytes besides its quoted texts; at most {LONGEST} are read (line \
                 {line})",
                code.len()
            ));
        }
    }
    let tags: Vec<(usize, Vec<&str>)> =
        tags.iter().map(|tag| (tag.line, tokens(&tag.code))).collect();
    // Where no attribute is ever set nothing can come to hold itself.
    if !tags.iter().any(|(_, tokens)| sets_attribute(tokens)) {
        return Ok(());
    }
    let namespaces: BTreeSet<&str> =
        tags.iter().filter_map(|(_, tokens)| made_namespace(tokens)).collect();
    for (line, tokens) in &tags {
        // Behind `set N = namespace`.
        let begin = if made_namespace(tokens).is_some() { 4 } else { 0 };
        for at in begin..tokens.len() {
            let (token, next) = (tokens[at], tokens.get(at + 1).copied().unwrap_or(""));
            let attribute = at > 0 && tokens[at - 1] == ".";
            let read = token != "namespace" && [".", "[", "="].contains(&next);
            if (namespaces.contains(token) || token == "namespace") && !attribute && !read {
                return Err(format!(
                    "{token} is used as a value: of a namespace only attributes can be read, as \
                     it could hold itself (line {line})"
                ));
            }
        }
    }
    Ok(())
}

/// The name of the namespace that a tag makes, `set N = namespace(...)`.
fn made_namespace<'a>(tokens: &[&'a str]) -> Option<&'a str> {
    match tokens {
        ["set", name, "=", "namespace", "(", ..] => Some(name),
        _ => None,
    }
}

/// Whether a tag sets an attribute, `set N.a = ...`, or may do so.
fn sets_attribute(tokens: &[&str]) -> bool {
    let target = |end: &str| tokens.split(|token| *token == end).next().unwrap_or_default();
    match tokens.first() {
        Some(&"set") => target("=").contains(&"."),
        Some(&"for") => target("in").contains(&"."),
        _ => false,
    }
}

/// Names and numbers as they are, `==` as one, all else sign by sign.
fn tokens(code: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = code.trim_start_matches(['-', '+']).trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            '=' if rest.starts_with("==") => 2,
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        all.push(token);
        rest = after.trim_start();
    }
    all
}

/// The tags of `source`.
fn tags(source: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(next) = source[at..].find('{') {
        line += source[at..at + next].matches('\n').count();
        at += next;
        let rest = &source[at..];
        let length = match rest.as_bytes().get(1) {
            // A comment that does not end is the library's to name.
            Some(b'#') => rest.find("#}").map_or(rest.len(), |end| end + 2),
            Some(b'{' | b'%') => {
                let end = if rest.starts_with("{{") { "}}" } else { "%}" };
                let (length, code) = tag(&rest[2..], end);
                tags.push(Tag { line, code });
                2 + length
            }
            _ => 1,
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tags
}

/// The bytes of a tag that ends with `end`, that included, and its code.
fn tag(text: &str, end: &str) -> (usize, String) {
    let (mut code, mut open, mut quote, mut escaped) = (String::new(), 0i64, None, false);
    for (at, c) in text.char_indices() {
        if let Some(mark) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == mark => {
                    quote = None;
                    code.push(c);
                }
                _ => (),
            }
            continue;
        }
        if open == 0 && text[at..].starts_with(end) {
            return (at + end.len(), code);
        }
        code.push(c);
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open -= 1,
            _ => (),
        }
    }
    (text.len(), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_as_long_as_they_stand_there() {
        assert_eq!(tag(" x }}b", "}}"), (5, " x ".to_owned()));
        assert_eq!(tag("'}}' + \"%}\" %}b", "%}"), (14, "'' + \"\" ".to_owned()));
        // The first pair of braces ends a map within a map.
        assert_eq!(tag(" {'a': {}} }}b", "}}"), (13, " {'': {}} ".to_owned()));
        assert_eq!(tag(r"'\'}}' }}", "}}"), (9, "'' ".to_owned()));
        assert_eq!(tag("a", "}}"), (1, "a".to_owned()));
        assert_eq!(tag("'a\\", "}}"), (3, "'".to_owned()));
    }

    #[test]
    fn every_tag_is_found_with_its_line() {
        let found =
            tags("a {b\n{{- é -}}{# {{ no }}\n #}{%\nset x = 1 %}{ {{ {'}}': 1}\n }}{{ 'end");
        let found: Vec<(usize, &str)> = found.iter().map(|tag| (tag.line, &*tag.code)).collect();
        let code = [(2, "- é -"), (3, "\nset x = 1 "), (4, " {'': 1}\n "), (5, " '")];
        assert_eq!(found, code);
        assert_eq!(
            tokens("- set ns.x = a==b['']-"),
            ["set", "ns", ".", "x", "=", "a", "==", "b", "[", "'", "'", "]", "-"]
        );
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

    #[test]
    fn a_namespace_is_no_value() {
        let made = "{%- set ns = namespace(n=0, ns=1) -%}";
        for fine in [
            "{{ ns.n }}{% set ns.n = ns.n + 1 %}{{ m.ns }}{{ ns['n'] }}{{ f(ns=1) }}",
            "{% if ns.n == 'ns' %}ns{% endif %}{{ m.namespace }}{# ns #}",
        ] {
            assert_eq!(check(&format!("{made}{fine}")), Ok(()));
        }
        for wrong in [
            "{% set ns.n = ns %}",
            "{% set ns.n = [ns] %}",
            "{% set m = ns %}",
            "{{ f(ns) }}",
            "{{ ns }}",
            "{{ ns == 1 }}",
            "{% for n in (ns,) %}",
            "{% set f = namespace %}",
            "{{ f(namespace()) }}",
            "{% for ns.n in [ns] %}",
            "{% set a, b = namespace(), 1 %}",
            "{% set a = namespace(n=ns) %}",
            "{% set a = namespace(n=namespace()) %}",
        ] {
            let set = "{% set ns.n = 1 %}";
            let error = check(&format!("{set}{made}\n{wrong}")).unwrap_err();
            assert!(error.ends_with("(line 2)"), "{wrong}: {error}");
            let alone = check(&format!("{made}{wrong}"));
            assert_eq!(alone.is_err(), wrong.contains(" ns.n "), "{wrong}");
        }
    }
}
