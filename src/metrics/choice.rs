//! One of four choices, as LongBench v2 reads it from an answer (Bai et al. 2024).

/// What stands before the letter.
const BEFORE: &str = "The correct answer is ";

/// 1 if the answer names the letter `gold`, in the form that it is asked for; else 0. Asterisks do
/// not count. The first letter in brackets decides, or else the first without.
pub fn choice_score(answer: &str, gold: &str) -> f64 {
    let answer = answer.replace('*', "");
    let in_brackets = |behind: &str| letter(behind.strip_prefix('(')?, ")");
    let named = first(&answer, in_brackets).or_else(|| first(&answer, |behind| letter(behind, "")));
    f64::from(u8::from(named.is_some_and(|letter| gold == letter.to_string())))
}

/// The first thing that is found behind [`BEFORE`].
fn first(answer: &str, found: impl Fn(&str) -> Option<char>) -> Option<char> {
    answer.match_indices(BEFORE).find_map(|(at, _)| found(&answer[at + BEFORE.len()..]))
}

/// A letter from A to D, with `end` behind it.
fn letter(text: &str, end: &str) -> Option<char> {
    let letter = text.chars().next().filter(|c| ('A'..='D').contains(c))?;
    text[letter.len_utf8()..].starts_with(end).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_by_hand() {
        for (answer, named) in [
            ("The correct answer is (B).", Some("B")),
            ("So **The correct answer is (B)**", Some("B")),
            ("The correct answer is B", Some("B")),
            ("The correct answer is A. The correct answer is (B)", Some("B")),
            ("The correct answer is (E). The correct answer is (C) or (B)", Some("C")),
            ("The correct answer is (B", None),
            ("the correct answer is (B)", None),
            ("B", None),
            ("The correct answer is ", None),
        ] {
            for gold in ["A", "B", "C", "D"] {
                let expected = if named == Some(gold) { 1.0 } else { 0.0 };
                assert_eq!(choice_score(answer, gold), expected, "{answer}, {gold}");
            }
        }
    }
}
