//! The day that templates with a date are told, so that a prompt is the same on every day. Those
//! of Llama 3 fall back to it by themselves.

use super::fault::{Fault, Outcome};

/// Noon of 26 July 2024: the letter of `strftime`, and what it writes.
const DAY: [(char, &str); 27] = [
    ('a', "Fri"),
    ('A', "Friday"),
    ('b', "Jul"),
    ('B', "July"),
    ('c', "Fri Jul 26 12:00:00 2024"),
    ('C', "20"),
    ('d', "26"),
    ('D', "07/26/24"),
    ('e', "26"),
    ('F', "2024-07-26"),
    ('G', "2024"),
    ('h', "Jul"),
    ('H', "12"),
    ('I', "12"),
    ('j', "208"),
    ('m', "07"),
    ('M', "00"),
    ('p', "PM"),
    ('R', "12:00"),
    ('S', "00"),
    ('T', "12:00:00"),
    ('u', "5"),
    ('w', "5"),
    ('x', "07/26/24"),
    ('X', "12:00:00"),
    ('y', "24"),
    ('Y', "2024"),
];

/// `strftime` of the day.
///
/// # Errors
/// For letters that are not supported.
pub fn strftime(format: &str) -> Outcome<String> {
    let (mut out, mut rest) = (String::new(), format);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = &rest[at + 1..];
        // `%-d` is a number without zeros before it.
        let (plain, code) = match code.strip_prefix('-') {
            Some(code) => (true, code),
            None => (false, code),
        };
        let Some(letter) = code.chars().next() else {
            return Err(Fault::unsupported("\"%\" at the end of a date's format"));
        };
        let written = DAY.iter().find(|(code, _)| *code == letter).map(|(_, text)| *text);
        match (letter, written) {
            ('%', _) => out.push('%'),
            ('n', _) => out.push('\n'),
            ('t', _) => out.push('\t'),
            // The time zone and its name: none.
            ('z' | 'Z', _) => {}
            ('f', _) => out.push_str("000000"),
            (_, Some(text)) if plain => match text.trim_start_matches('0') {
                "" => out.push('0'),
                number => out.push_str(number),
            },
            (_, Some(text)) => out.push_str(text),
            (letter, None) => {
                return Err(Fault::unsupported(format!("%{letter} in a date's format")));
            }
        }
        rest = &code[letter.len_utf8()..];
    }
    Ok(out + rest)
}
