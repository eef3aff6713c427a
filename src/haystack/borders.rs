//! Where a text may be cut: [`Border`]s between sentences, lines and words, by token.

use crate::tokenizer::Encoded;

/// Marks that end a sentence where whitespace follows: Latin, Devanagari, Arabic, Urdu, Armenian,
/// Ethiopic, Khmer, Burmese, Tibetan, and those of [`UNSPACED_ENDS`] (Unicode's
/// `Sentence_Terminal`, as far as these scripts are written today).
const SPACED_ENDS: [char; 13] = ['.', '!', '?', '।', '॥', '؟', '۔', '։', '።', '፧', '។', '။', '།'];

/// Marks that end a sentence also where none follows: Chinese and Japanese have no whitespace.
const UNSPACED_ENDS: [char; 4] = ['。', '！', '？', '｡'];

/// What may stand between the end of a sentence and the next one, and belongs to the former.
const CLOSING: [char; 20] = [
    '"', '\'', '”', '’', '»', ')', ']', '}', '」', '』', '）', '】', '》', '〉', '〕', '］', '｝',
    '›', '〗', '〞',
];

/// What stands on both sides of a border; of two as near, the earlier in this list is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BorderKind {
    /// Two sentences, or two files.
    Sentence,
    /// Two lines that are no sentences: of a list, of a poem.
    Line,
    /// Two words.
    Word,
}

impl BorderKind {
    /// From the best to the last resort.
    pub const ALL: [Self; 3] = [Self::Sentence, Self::Line, Self::Word];
}

/// Where the whitespace at a border is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The token behind the border brings it: `" The"`.
    Own,
    /// It stands before the border: `"The"` behind `".\n\n"`.
    Before,
    /// There is none: `夏` behind `。`.
    None,
}

/// A token before which a text may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Border {
    /// Index of the token.
    pub token: usize,
    /// Where the whitespace is.
    pub gap: Gap,
}

/// The borders of each [`BorderKind`], in its order; each list ascends.
pub(super) type Borders = [Vec<Border>; BorderKind::ALL.len()];

/// The borders in a piece that starts at byte `base` of `text` and is encoded as `encoded`.
pub(super) fn borders(text: &str, base: usize, encoded: &Encoded) -> Borders {
    let mut found = Borders::default();
    // Where that ended which stands before the last border: a run of whitespace may be several
    // tokens, and is one border.
    let mut last_end = [None; BorderKind::ALL.len()];
    for (token, &(begin, end)) in encoded.offsets.iter().enumerate() {
        let (Some(head), Some(own)) =
            (text.get(..base + begin), text.get(base + begin..base + end))
        else {
            continue;
        };
        let said = head.trim_end();
        let Some((kind, gap)) = border(said, &head[said.len()..], own) else { continue };
        let last_end = &mut last_end[kind as usize];
        if *last_end != Some(said.len()) {
            *last_end = Some(said.len());
            found[kind as usize].push(Border { token, gap });
        }
    }
    found
}

/// What is between `said` and the token `own`, with the whitespace `between` them.
fn border(said: &str, between: &str, own: &str) -> Option<(BorderKind, Gap)> {
    let brings = own.starts_with(char::is_whitespace);
    let gap = match (brings, between.is_empty()) {
        (true, _) => Gap::Own,
        (false, false) => Gap::Before,
        (false, true) => Gap::None,
    };
    if gap == Gap::None {
        let goes_on = own.starts_with(|c| CLOSING.contains(&c) || UNSPACED_ENDS.contains(&c));
        let ended = said.trim_end_matches(CLOSING).ends_with(UNSPACED_ENDS);
        return (ended && !goes_on && !own.is_empty()).then_some((BorderKind::Sentence, gap));
    }
    if ends_sentence(said) {
        return Some((BorderKind::Sentence, gap));
    }
    // A line begins behind its line break, where that is a token of its own.
    let word = own.trim_start();
    match gap {
        Gap::Before if between.contains('\n') => Some((BorderKind::Line, gap)),
        Gap::Own if own[..own.len() - word.len()].contains('\n') => {
            (!word.is_empty()).then_some((BorderKind::Line, gap))
        }
        Gap::Own if !between.contains('\n') => Some((BorderKind::Word, gap)),
        _ => None,
    }
}

/// Whether a text ends in a mark that ends sentences, perhaps with closing quotes or brackets
/// behind it.
fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(CLOSING);
    text.ends_with(SPACED_ENDS) || text.ends_with(UNSPACED_ENDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_sentences() {
        for yes in ["a.", "a!", "a?", "a.\"", "a?')", "a.”", "a...", "(a.)]", "क।", "他说。」"]
        {
            assert!(ends_sentence(yes), "{yes}");
        }
        for no in ["", "a", "a,", "a:\"", "\"", ")", "a. b", "他说，", "。他"] {
            assert!(!ends_sentence(no), "{no}");
        }
    }

    #[test]
    fn what_is_between_two_tokens() {
        use BorderKind::{Line, Sentence, Word};
        use Gap::{Before, Own};
        // (text before, whitespace between, the token, the border)
        let cases = [
            ("a.", "", " The", Some((Sentence, Own))),
            ("a.", "\n\n", "The", Some((Sentence, Before))),
            ("a.", "", "\n", Some((Sentence, Own))),
            ("a", "", " b", Some((Word, Own))),
            ("a", "\n", "b", Some((Line, Before))),
            ("a", "", "\nb", Some((Line, Own))),
            // The line break alone: the line begins behind it.
            ("a", "", "\n", None),
            ("a", "\n", "\n", None),
            // A word that another token separates has no whitespace to bring.
            ("a", "\t", "b", None),
            ("a", "", "b", None),
            ("3.", "", "5", None),
            ("去。", "", "夏", Some((Sentence, Gap::None))),
            ("去。」", "", "夏", Some((Sentence, Gap::None))),
            // The quote and the second mark belong to the sentence before.
            ("去。", "", "」", None),
            ("去！", "", "？", None),
            ("去，", "", "夏", None),
            ("去。", "", " The", Some((Sentence, Own))),
            ("去。", "\n", "夏", Some((Sentence, Before))),
            // A part of a character has no text of its own.
            ("去。", "", "", None),
        ];
        for (said, between, own, expected) in cases {
            assert_eq!(border(said, between, own), expected, "{said:?} {between:?} {own:?}");
        }
    }
}
