//! RULER's score: how many of the expected texts an answer has in it.
//!
//! C.-P. Hsieh et al., "RULER: What's the Real Context Size of Your Long-Context Language Models?",
//! 2024. Case does not count; where in the answer a text stands, and what stands around it, does
//!       not either: `12` is found in `3124`.

/// Share of `references` that are a part of `answer`, 0 to 1; 0 if there are none. RULER's score of
/// all tasks but question answering.
pub fn string_match_all(answer: &str, references: &[String]) -> f64 {
    match references.len() {
        0 => 0.0,
        n => found(answer, references) as f64 / n as f64,
    }
}

/// 1 if one of `references` is a part of `answer`, else 0. RULER's score of question answering.
pub fn string_match_any(answer: &str, references: &[String]) -> f64 {
    f64::from(u8::from(found(answer, references) > 0))
}

fn found(answer: &str, references: &[String]) -> usize {
    let answer = answer.to_lowercase();
    references.iter().filter(|reference| answer.contains(&reference.to_lowercase())).count()
}

/// The answer as kvpress scores it: without the control characters U+0000 to U+001F, line breaks
/// and tabs among them, and without white space at its ends.
pub fn without_control_characters(answer: &str) -> String {
    let kept: String = answer.trim().chars().filter(|c| *c > '\u{1f}').collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(references: &[&str]) -> Vec<String> {
        references.iter().map(|r| (*r).to_owned()).collect()
    }

    #[test]
    fn by_hand() {
        let references = texts(&["Blue", "12", "x"]);
        assert_eq!(string_match_all("It is BLUE: 3124", &references), 2.0 / 3.0);
        assert_eq!(string_match_any("It is BLUE", &references), 1.0);
        assert_eq!(string_match_any("red", &references), 0.0);
        assert_eq!((string_match_all("a", &[]), string_match_any("a", &[])), (0.0, 0.0));
    }

    #[test]
    fn a_number_across_a_line_break_is_found_without_it() {
        let references = texts(&["1234"]);
        assert_eq!(string_match_all("12\n34", &references), 0.0);
        let clean = without_control_characters(" \u{1}12\n34\t ");
        assert_eq!(clean, "1234");
        assert_eq!(string_match_all(&clean, &references), 1.0);
    }
}
