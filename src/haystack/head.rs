//! [`Heads`]: how the haystack begins where it is the first text of a prompt.
//!
//! Its stream has every sentence as it stands behind another. At the beginning of a prompt, and
//! behind a template's own text, a sentence has other first tokens: `▁The` of SentencePiece is
//! `T he` behind a blank line, and the space of `[INST] ` goes into it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::tokens::BETWEEN_FILES;
use super::{Border, BorderKind, Haystack, HaystackTokens};
use crate::error::Result;
use crate::tokenizer::{Encoded, Lead, Tokenizer, before_word};

/// Bytes of text that are encoded to find where the first tokens go over into the stream's.
const WINDOW: usize = 400;
/// Tokens that must be the stream's from there on.
const SAME: usize = 8;

/// The first tokens of a haystack.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    ids: Vec<u32>,
    /// How many tokens of the stream they stand for.
    replaces: usize,
}

/// The first tokens of a haystack by where in the stream it begins; where none are known, they are
/// the stream's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads(BTreeMap<usize, Head>);

impl Heads {
    /// Of haystacks that begin at `starts`, tokens of the stream, behind `lead`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn new(
        haystack: &Haystack,
        tokens: &HaystackTokens,
        starts: impl IntoIterator<Item = usize>,
        lead: &Lead,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        let starts: BTreeSet<usize> = starts.into_iter().collect();
        let head = |start| Ok((start, Head::new(haystack, tokens, start, lead, tokenizer)?));
        starts.into_iter().map(head).collect::<Result<_>>().map(Self)
    }

    /// `n` tokens of a haystack that begins at token `start` of the stream of `tokens`, and how
    /// often the text was used up for them.
    pub fn take(&self, tokens: &HaystackTokens, start: usize, n: usize) -> (Vec<u32>, usize) {
        let Some(Head { ids, replaces }) = self.0.get(&start) else {
            return tokens.take(start, n);
        };
        let rest = n.saturating_sub(ids.len());
        let cycles = (replaces + rest).div_ceil(tokens.ids().len()).max(1);
        let (rest, _) = tokens.take(start + replaces, rest);
        (ids.iter().copied().chain(rest).take(n).collect(), cycles)
    }

    /// As [`HaystackTokens::borders_in`], of such a haystack.
    pub fn borders_in<'a>(
        &'a self,
        tokens: &'a HaystackTokens,
        kind: BorderKind,
        start: usize,
        range: RangeInclusive<usize>,
    ) -> impl Iterator<Item = Border> + 'a {
        let (more, replaces) =
            self.0.get(&start).map_or((0, 0), |head| (head.ids.len(), head.replaces));
        // Token 0 is where the haystack begins, and the others stand behind its head.
        let moved = move |b: Border| match b.token {
            0 => Some(b),
            token if token < replaces => None,
            token => Some(Border { token: token - replaces + more, ..b }),
        };
        let (from, to) = (*range.start(), *range.end());
        let seen = if from == 0 { 0 } else { (from + replaces).saturating_sub(more) };
        let all = tokens.borders_in(kind, start, seen..=to + replaces);
        all.filter_map(moved).filter(move |b| range.contains(&b.token))
    }

    /// The last of the first `at` tokens of such a haystack before which no character is cut.
    pub fn whole_characters(&self, tokens: &HaystackTokens, start: usize, at: usize) -> usize {
        let (more, replaces) =
            self.0.get(&start).map_or((0, 0), |head| (head.ids.len(), head.replaces));
        let begins =
            |&at: &usize| at <= more || tokens.begins_character(start + replaces + at - more);
        (0..=at).rev().find(begins).unwrap_or(0)
    }

    /// Whether a sentence begins among the first `m` tokens of such a haystack, the first left out.
    pub fn has_sentences(&self, tokens: &HaystackTokens, start: usize, m: usize) -> bool {
        let inside = 1..=m.saturating_sub(1);
        self.borders_in(tokens, BorderKind::Sentence, start, inside).next().is_some()
    }
}

impl Head {
    fn new(
        haystack: &Haystack,
        tokens: &HaystackTokens,
        start: usize,
        lead: &Lead,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        // The tokens of the lead's end before the stream as it is.
        let as_it_is = || Ok(Self { ids: lead.first(tokenizer, "")?.ids, replaces: 0 });
        let Some((file, byte)) = tokens.place(start) else { return as_it_is() };
        let text = haystack.files()[file].text();
        // A sentence may begin with the line break that ends the file.
        let rest = text.get(byte..).unwrap_or_default();
        let end = rest.ceil_char_boundary(WINDOW.min(rest.len()));
        let whole = if end == rest.len() { BETWEEN_FILES } else { "" };
        let inside = format!("{}{whole}", &rest[..end]);
        let first = inside.trim_start();
        let anchor = if byte == 0 { BETWEEN_FILES } else { "." };
        let stream = match whole {
            "" => tokenizer.encode_after(anchor, &inside)?,
            _ => before_word(&inside, |text| tokenizer.encode_after(anchor, text))?,
        };
        let behind = lead.first(tokenizer, first)?;
        let trimmed = inside.len() - first.len();
        match meeting(&behind, &stream, trimmed) {
            Some((own, replaces)) => {
                let seen = (replaces + SAME).min(stream.ids.len());
                // What was cut off may have been a part of the last token.
                let seen = if end == rest.len() { seen } else { seen.min(stream.ids.len() - 1) };
                match tokens.take(start, seen).0 == stream.ids[..seen] {
                    true => Ok(Self { ids: behind.ids[..own].to_vec(), replaces }),
                    false => as_it_is(),
                }
            }
            None => as_it_is(),
        }
    }
}

/// The first place where a token of both ends and the same tokens follow, as numbers of tokens
/// before it. `stream` has `trimmed` bytes of white space more in front.
fn meeting(behind: &Encoded, stream: &Encoded, trimmed: usize) -> Option<(usize, usize)> {
    let mut replaces = 0;
    for own in 0..behind.ids.len() {
        let at = behind.offsets[own].0 + trimmed;
        while stream.offsets.get(replaces).is_some_and(|o| o.0 < at) {
            replaces += 1;
        }
        let border = stream.offsets.get(replaces).is_some_and(|o| o.0 == at)
            && (replaces == 0 || stream.offsets[replaces - 1].1 <= at)
            && (own == 0 || behind.offsets[own - 1].1 + trimmed <= at);
        let same = behind.ids[own..].iter().zip(&stream.ids[replaces..]).take(SAME);
        let starts = behind.offsets[own].1 > 0;
        if border && starts && same.len() > 0 && same.clone().all(|(a, b)| a == b) {
            return Some((own, replaces));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::samples::{byte_level, llama2};

    fn haystack(text: &str) -> Haystack {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), text).unwrap();
        Haystack::load_dir(dir.path(), false).unwrap()
    }

    /// Llama 2's sample. The stream is T h e ▁wall . ▁The ▁boat . \n \n; its beginning alone is
    /// ▁The ▁wall, and behind "[INST] ", whose space is the word's, too.
    #[test]
    fn the_first_word_is_one_token_by_hand() {
        let t = llama2();
        let id = |s: &str| t.token_id(s).unwrap();
        let haystack = haystack("The wall. The boat.");
        let tokens = haystack.tokenise(t).unwrap();
        for (markup, prefix) in [("", ""), ("<s>[INST] ", ""), ("", "Text: "), ("<s>", "Text: ")] {
            let lead = Lead::new(t, markup, prefix).unwrap();
            let heads = Heads::new(&haystack, &tokens, [0, 5], &lead, t).unwrap();
            let (ids, cycles) = heads.take(&tokens, 0, 10);
            // Two tokens less than in the stream, so that the second round begins.
            assert_eq!((&ids[..3], cycles), (&[id("▁The"), id("▁wall"), id(".")][..], 2));
            assert_eq!(ids[8..], tokens.ids()[..2]);
            // The sentence in the middle brings its space, which is the lead's or that of the
            // beginning.
            assert_eq!(heads.take(&tokens, 5, 2).0, [id("▁The"), id("▁boat")]);
            let starts = |start| -> Vec<usize> {
                let borders = heads.borders_in(&tokens, BorderKind::Sentence, start, 0..=9);
                borders.map(|b| b.token).collect()
            };
            assert_eq!(starts(0), [0, 3, 6, 8]);
            assert_eq!(starts(5), [0, 3, 5]);
        }
        // Behind a line break it is the stream itself.
        let lead = Lead::new(t, "<s>user\n", "").unwrap();
        let heads = Heads::new(&haystack, &tokens, [0], &lead, t).unwrap();
        assert_eq!(heads.take(&tokens, 0, 25), tokens.take(0, 25));
    }

    /// A sentence that brings its space leaves it off where nothing stands before it.
    #[test]
    fn a_space_before_the_first_word_is_left_off() {
        let t = byte_level();
        let haystack = haystack("The wall. The boat lies there.");
        let tokens = haystack.tokenise(t).unwrap();
        let start = tokens.beginning(1);
        let lead = Lead::new(t, "", "").unwrap();
        let heads = Heads::new(&haystack, &tokens, [start], &lead, t).unwrap();
        let n = tokens.ids().len() - start;
        let text = t.decode(&heads.take(&tokens, start, n).0).unwrap();
        assert!(text.starts_with("The boat lies there"), "{text:?}");
    }
}
