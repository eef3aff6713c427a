//! Words for the planted model's tokens: a word-level tokenizer, and text to profile it with.

use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::codes::SplitMix64;
use super::{BOS, STOP, VOCAB};
use crate::error::{Error, Result};

const UNKNOWN_TEXT: &str = "<unk>";
const BOS_TEXT: &str = "<s>";
const STOP_TEXT: &str = ".";

/// Ids below are no words.
const FIRST_WORD: usize = 3;

/// The last words of the vocabulary occur in needles only: then no pair of a needle's words is
/// anywhere else, whatever the haystack.
const NEEDLE_WORDS: usize = 100;

/// The text of token `id`; a word of two syllables for all but the first three.
pub(super) fn word(id: usize) -> String {
    const ONSETS: [char; 8] = ['b', 'd', 'f', 'l', 'm', 'r', 't', 'v'];
    const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
    const SYLLABLES: usize = ONSETS.len() * VOWELS.len();
    match id {
        0 => return UNKNOWN_TEXT.to_owned(),
        _ if id == BOS as usize => return BOS_TEXT.to_owned(),
        _ if id == STOP as usize => return STOP_TEXT.to_owned(),
        _ => {}
    }
    // 611 has no divisor in common with 40², so that different ids have different words.
    let mixed = id * 611 % (SYLLABLES * SYLLABLES);
    [mixed / SYLLABLES, mixed % SYLLABLES]
        .iter()
        .flat_map(|s| [ONSETS[s / VOWELS.len()], VOWELS[s % VOWELS.len()]])
        .collect()
}

/// `tokenizer.json`: a token per word and per full stop, BOS in front.
///
/// # Errors
/// [`Error::Bug`] if the tokenizer cannot be built.
pub(super) fn tokenizer_json() -> Result<String> {
    let bug = |what: String| Error::bug("the planted tokenizer cannot be built").got(what);
    let model = WordLevel::builder()
        .vocab((0..VOCAB).map(|id| (word(id), id as u32)).collect())
        .unk_token(UNKNOWN_TEXT.to_owned())
        .build()
        .map_err(|e| bug(e.to_string()))?;
    let with_bos = TemplateProcessing::builder()
        .try_single(format!("{BOS_TEXT} $A"))
        .map_err(|e| bug(e.to_string()))?
        .special_tokens(vec![(BOS_TEXT, BOS)])
        .build()
        .map_err(|e| bug(e.to_string()))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_pre_tokenizer(Some(Whitespace))
        .with_post_processor(Some(with_bos))
        .add_special_tokens([BOS_TEXT, UNKNOWN_TEXT].map(|text| AddedToken::from(text, true)))
        .map_err(|e| bug(e.to_string()))?;
    tokenizer.to_string(true).map_err(|e| bug(e.to_string()))
}

/// Sentences of random words, at least `words` of them, none of which a [`needle_text`] uses.
pub fn haystack_text(seed: u64, words: usize) -> String {
    let mut random = SplitMix64(seed);
    let mut text = String::new();
    let mut written = 0;
    while written < words {
        let length = 6 + random.below(15);
        let sentence: Vec<String> = (0..length)
            .map(|_| word(FIRST_WORD + random.below(VOCAB - FIRST_WORD - NEEDLE_WORDS)))
            .collect();
        text.push_str(&sentence.join(" "));
        text.push_str(if random.below(8) == 0 { ".\n\n" } else { ". " });
        written += length;
    }
    text.trim_end().to_owned()
}

/// A sentence to hide, in two parts: `(beginning, rest)`. The sentence is `"{beginning} {rest}."`,
/// of 24 different words; a probe ends with the beginning, and the model continues with the rest.
pub fn needle_text(seed: u64) -> (String, String) {
    const BEGINNING: usize = 4;
    const LENGTH: usize = 24;
    let mut random = SplitMix64(seed);
    let mut ids: Vec<usize> = (VOCAB - NEEDLE_WORDS..VOCAB).collect();
    let words: Vec<String> =
        (0..LENGTH).map(|_| word(ids.swap_remove(random.below(ids.len())))).collect();
    (words[..BEGINNING].join(" "), words[BEGINNING..].join(" "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_token_has_a_word_of_its_own() {
        let words: BTreeSet<String> = (0..VOCAB).map(word).collect();
        assert_eq!(words.len(), VOCAB);
    }

    #[test]
    fn the_tokenizer_takes_words_and_full_stops_apart() {
        let json = tokenizer_json().unwrap();
        let tokenizer =
            crate::tokenizer::Tokenizer::from_bytes(json.as_bytes(), "planted").unwrap();
        assert_eq!(tokenizer.bos(), Some(BOS));
        assert_eq!(tokenizer.vocab_size(), VOCAB);
        let text = format!("{} {}. {} unheard", word(3), word(599), word(42));
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(ids, [3, 599, STOP, 42, 0]);
        assert_eq!(
            tokenizer.decode(&ids[..4]).unwrap(),
            format!("{} {} . {}", word(3), word(599), word(42))
        );
    }

    #[test]
    fn needles_and_haystack_share_no_word() {
        let (beginning, rest) = needle_text(5);
        let needle: BTreeSet<&str> = beginning.split(' ').chain(rest.split(' ')).collect();
        assert_eq!(needle.len(), 24);
        let haystack = haystack_text(5, 2000);
        let words: Vec<&str> = haystack.split([' ', '.', '\n']).filter(|w| !w.is_empty()).collect();
        assert!((2000..2020).contains(&words.len()), "{}", words.len());
        assert!(words.iter().all(|word| !needle.contains(word)));
        assert!(haystack.matches(". ").count() > 50 && haystack.contains(".\n\n"));
    }
}
