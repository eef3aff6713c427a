//! The normalisation of answers that SQuAD and, after it, LongBench and HeadKV-R2 use.

/// Lower case; ASCII punctuation dropped (not replaced: `can't` → `cant`); the whole words `a`,
/// `an` and `the` removed; runs of white space collapsed to one space.
///
/// Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016
/// (`normalize_answer` of its evaluation script).
pub fn normalize_answer(text: &str) -> String {
    let mut text = text.to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation());
    words(&without_articles(&text)).join(" ")
}

/// The words of a normalised text.
pub(super) fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Puts a space in place of every whole word `a`, `an`, `the`. A word is a run of letters and
/// digits, so that in `l’a` or `the—end`, whose marks are not ASCII, the article is one as well.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_bytes = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_bytes);
        kept.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        let gap_bytes = after.find(char::is_alphanumeric).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_bytes);
        kept.push_str(gap);
        rest = next;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_as_squad() {
        let cases = [
            ("The  Answer,\nis: an apple!", "answer is apple"),
            ("He can't ride high-school horses.", "he cant ride highschool horses"),
            ("theatre ban analysis a-the", "theatre ban analysis athe"), // no whole words
            ("the—end, l’a", "—end l’"), // marks outside ASCII stay and bound words
            ("A. The. An?", ""),
            ("Ärger über 東京", "ärger über 東京"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize_answer(text), expected, "{text}");
        }
    }
}
