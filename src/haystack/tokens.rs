//! [`HaystackTokens`]: the haystack as token ids, with the places where sentences begin.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::haystack::Haystack;
use crate::tokenizer::{Encoded, Tokenizer};

/// What stands between two files, and between the last file and the first where the text repeats.
pub(super) const BETWEEN_FILES: &str = "\n\n";

/// Longer texts are encoded in pieces of about this size: an encoding takes some thirty times the
/// memory of its text.
const PIECE_BYTES: usize = 256 * 1024;

/// A token at which a sentence begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentenceStart {
    /// Index of the token.
    pub token: usize,
    /// Whether the token itself brings the whitespace that separates it from what stands before
    /// it (`" The"`). If not (`"The"` after `".\n\n"`), the token before it does.
    pub spaced: bool,
}

/// The haystack as an endless stream of token ids: the files, joined by blank lines, over and
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaystackTokens {
    /// One cycle, `[n]`; not empty. Ends with a blank line, so that it continues with itself.
    ids: Vec<u32>,
    /// Ascending; the first is token 0.
    sentence_starts: Vec<SentenceStart>,
    /// Where each of them is in the text: the file, and the byte in it.
    places: Vec<(usize, usize)>,
}

impl Haystack {
    /// Encodes every file once, as it stands after a blank line.
    ///
    /// A sentence begins where the text so far ends in `.`, `!` or `?`, perhaps with closing
    /// quotes or brackets behind it, and whitespace follows; and at the beginning of each file.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; [`Error::Data`] if no token comes out.
    pub fn tokenise(&self, tokenizer: &Tokenizer) -> Result<HaystackTokens> {
        let files: Vec<String> =
            self.files().iter().map(|f| format!("{}{BETWEEN_FILES}", f.text())).collect();
        let pieces: Vec<(usize, Range<usize>)> = files
            .iter()
            .enumerate()
            .flat_map(|(file, text)| pieces(text, PIECE_BYTES).map(move |r| (file, r)))
            .collect();
        let encoded: Vec<(Encoded, Vec<SentenceStart>)> = pieces
            .par_iter()
            .map(|(file, range)| encode_piece(tokenizer, &files[*file], range.clone()))
            .collect::<Result<_>>()?;

        let (mut ids, mut sentence_starts, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for ((file, range), (Encoded { ids: piece, offsets }, starts)) in pieces.iter().zip(encoded)
        {
            let base = ids.len();
            places.extend(starts.iter().map(|s| (*file, range.start + offsets[s.token].0)));
            sentence_starts
                .extend(starts.iter().map(|s| SentenceStart { token: base + s.token, ..*s }));
            ids.extend(piece);
        }
        if ids.is_empty() {
            return Err(Error::data("the haystack has no tokens")
                .got(format!("{} words and not one token", self.words()))
                .expected("text that the tokenizer has tokens for"));
        }
        Ok(HaystackTokens { ids, sentence_starts, places })
    }
}

impl HaystackTokens {
    /// One cycle of token ids, `[n]`; not empty.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `n` tokens of the stream from `start` on, and how often the text was used up for them
    /// (1 = once or less).
    pub fn take(&self, start: usize, n: usize) -> (Vec<u32>, usize) {
        let start = start % self.ids.len();
        let ids = self.ids.iter().cycle().skip(start).take(n).copied().collect();
        (ids, n.div_ceil(self.ids.len()).max(1))
    }

    /// The sentence starts among the `n` tokens from `start` on and just behind them, ascending;
    /// `token` counts from `start`, 0 to `n`.
    pub fn sentence_starts_in(
        &self,
        start: usize,
        n: usize,
    ) -> impl Iterator<Item = SentenceStart> + '_ {
        let start = start % self.ids.len();
        let first = self.sentence_starts.partition_point(|s| s.token < start);
        (0..)
            .flat_map(move |cycle| {
                let from = if cycle == 0 { first } else { 0 };
                let base = cycle * self.ids.len();
                self.sentence_starts[from..]
                    .iter()
                    .map(move |s| SentenceStart { token: base + s.token - start, ..*s })
            })
            .take_while(move |s| s.token <= n)
    }

    /// Where the sentence that begins at token `start` is in the text: the file, and the byte in it.
    pub(super) fn place(&self, start: usize) -> Option<(usize, usize)> {
        let at = self.sentence_starts.binary_search_by_key(&start, |s| s.token).ok()?;
        self.places.get(at).copied()
    }

    /// The first sentence start at or after token `offset` of the stream, as an index into one
    /// cycle.
    pub fn next_sentence_start(&self, offset: usize) -> usize {
        let offset = offset % self.ids.len();
        let next = self.sentence_starts.partition_point(|s| s.token < offset);
        self.sentence_starts.get(next).map_or(0, |s| s.token)
    }
}

/// Cuts a text before whitespace into pieces of `bytes` or a little more.
pub(crate) fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut begin = 0;
    std::iter::from_fn(move || {
        if begin == text.len() {
            return None;
        }
        let wanted = text.ceil_char_boundary((begin + bytes).min(text.len()));
        // Not inside a run of whitespace: the run is one token, or at least one border.
        let mut before = text[..wanted].chars().next_back();
        let end = text[wanted..]
            .char_indices()
            .find(|&(_, c)| {
                let cut = c.is_whitespace() && before.is_some_and(|b| !b.is_whitespace());
                before = Some(c);
                cut
            })
            .map_or(text.len(), |(i, _)| wanted + i);
        let piece = begin..end;
        begin = end;
        Some(piece)
    })
}

/// The tokens of one piece of a file's text as they stand after what precedes them, and the
/// sentences that begin in it.
fn encode_piece(
    tokenizer: &Tokenizer,
    text: &str,
    piece: Range<usize>,
) -> Result<(Encoded, Vec<SentenceStart>)> {
    let first = piece.start == 0;
    // What stands before a later piece is a word; any will do.
    let anchor = if first { BETWEEN_FILES } else { "." };
    let encoded = tokenizer.encode_after(anchor, &text[piece.clone()])?;
    let mut starts = sentence_starts(text, piece.start, &encoded);
    if first && starts.first().is_none_or(|s| s.token > 0) && !encoded.ids.is_empty() {
        starts.insert(0, SentenceStart { token: 0, spaced: false });
    }
    Ok((encoded, starts))
}

/// The tokens at which sentences begin, of a piece that starts at byte `base` of `text`.
fn sentence_starts(text: &str, base: usize, encoded: &Encoded) -> Vec<SentenceStart> {
    let mut starts = Vec::new();
    // Where the sentence ended that the last start follows: a run of whitespace between two
    // sentences may be several tokens, and counts once.
    let mut last_end = None;
    for (token, &(begin, end)) in encoded.offsets.iter().enumerate() {
        let (Some(head), Some(own)) =
            (text.get(..base + begin), text.get(base + begin..base + end))
        else {
            continue;
        };
        let said = head.trim_end();
        let spaced = own.starts_with(char::is_whitespace);
        if (spaced || said.len() < head.len())
            && last_end != Some(said.len())
            && ends_sentence(said)
        {
            last_end = Some(said.len());
            starts.push(SentenceStart { token, spaced });
        }
    }
    starts
}

/// Whether a text ends in `.`, `!` or `?`, perhaps with closing quotes or brackets behind it.
fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']', '}']).ends_with(['.', '!', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::samples::{byte_level, llama2};

    fn haystack(files: &[&str]) -> Haystack {
        let dir = tempfile::tempdir().unwrap();
        for (i, text) in files.iter().enumerate() {
            std::fs::write(dir.path().join(format!("{i:02}.txt")), text).unwrap();
        }
        Haystack::load_dir(dir.path(), false).unwrap()
    }

    /// The first two letters of what each sentence start begins with.
    fn begins(t: &Tokenizer, h: &HaystackTokens) -> Vec<String> {
        let text = |s: &SentenceStart| t.decode(&h.ids()[s.token..]).unwrap();
        h.sentence_starts.iter().map(|s| text(s).trim_start().chars().take(2).collect()).collect()
    }

    #[test]
    fn sentences_begin_after_full_stops_and_at_files() {
        let h = haystack(&["One a. Two \"b!\" Three (c?) 3.5 d", "Four.\n\nFive e.\n"]);
        // "3.5" has no whitespace behind its point, "d" no full stop; the second file begins
        // all the same. The blank line behind "Four." belongs to the next sentence if it is a
        // token of its own, and to "Four" if it is one token with the full stop.
        for t in [byte_level(), llama2()] {
            let tokens = h.tokenise(t).unwrap();
            let found = begins(t, &tokens);
            assert_eq!(found[..6], ["On", "Tw", "Th", "3.", "Fo", "Fi"]);
            // A blank line of its own at the very end begins the next cycle's first sentence.
            assert!(found[6..].iter().all(|b| b.is_empty()) && found.len() <= 7, "{found:?}");
        }
    }

    #[test]
    fn spaced_says_who_brings_the_whitespace() {
        let t = llama2();
        let tokens = haystack(&["The wall. The boat."]).tokenise(t).unwrap();
        let id = |s: &str| t.token_id(s).unwrap();
        let newline = id("<0x0A>");
        // "The" without "▁": it follows a blank line.
        let expected = [
            id("T"),
            id("h"),
            id("e"),
            id("▁wall"),
            id("."),
            id("▁The"),
            id("▁boat"),
            id("."),
            newline,
            newline,
        ];
        assert_eq!(tokens.ids(), expected);
        assert_eq!(
            tokens.sentence_starts,
            [
                SentenceStart { token: 0, spaced: false },
                SentenceStart { token: 5, spaced: true },
                SentenceStart { token: 8, spaced: true },
            ]
        );
    }

    #[test]
    fn a_blank_line_in_one_token_with_the_full_stop_is_before_the_sentence() {
        let t = byte_level();
        let tokens = haystack(&["The wall.\n\nThe boat."]).tokenise(t).unwrap();
        let end = t.token_id(".ĊĊ").unwrap();
        let at = tokens.ids().iter().position(|&id| id == end).unwrap() + 1;
        assert_eq!(tokens.sentence_starts[1], SentenceStart { token: at, spaced: false });
        assert_eq!(tokens.sentence_starts.len(), 2);
    }

    #[test]
    fn the_stream_cycles_with_its_sentences() {
        let tokens = haystack(&["The wall. The boat."]).tokenise(llama2()).unwrap();
        let one = tokens.ids().to_vec();
        assert_eq!(one.len(), 10);
        for (start, n) in [(0, 0), (0, 10), (3, 10), (7, 25), (25, 4), (0, 101)] {
            let (ids, cycles) = tokens.take(start, n);
            let expected: Vec<u32> = (0..n).map(|i| one[(start + i) % 10]).collect();
            assert_eq!(ids, expected);
            assert_eq!(cycles, n.div_ceil(10).max(1), "{start} {n}");
            // Starts 0, 5 and 8 of each cycle, seen from `start`, up to n.
            let expected: Vec<usize> =
                (0..=n).filter(|i| [0, 5, 8].contains(&((start + i) % 10))).collect();
            let found: Vec<usize> = tokens.sentence_starts_in(start, n).map(|s| s.token).collect();
            assert_eq!(found, expected, "{start} {n}");
        }
        let next: Vec<usize> = (0..12).map(|o| tokens.next_sentence_start(o)).collect();
        assert_eq!(next, [0, 5, 5, 5, 5, 5, 8, 8, 8, 0, 0, 5]);
    }

    #[test]
    fn the_stream_decodes_to_the_files() {
        let bundled = Haystack::bundled().unwrap();
        let tokens = bundled.tokenise(byte_level()).unwrap();
        let text: String = bundled.files().iter().map(|f| format!("{}\n\n", f.text())).collect();
        assert_eq!(byte_level().decode(tokens.ids()).unwrap(), text);
        // Prose has a sentence every 10 to 40 words.
        let per_start = bundled.words() / tokens.sentence_starts.len();
        assert!((10..40).contains(&per_start), "{per_start}");
    }

    #[test]
    fn long_texts_are_cut_before_whitespace_and_lose_nothing() {
        let sentence = "The boats lie along the wall.\n\nIs that so? ";
        let long = sentence.repeat(2 * PIECE_BYTES / sentence.len() + 7);
        let cut: Vec<Range<usize>> = pieces(&long, PIECE_BYTES).collect();
        assert_eq!(cut.len(), 3);
        let together: String = cut.iter().map(|r| &long[r.clone()]).collect();
        assert_eq!(together, long);
        for r in &cut[1..] {
            assert!(long[r.start..].starts_with([' ', '\n']));
            assert!(!long[..r.start].ends_with([' ', '\n']));
        }
        let h = haystack(&[&long]);
        let tokens = h.tokenise(byte_level()).unwrap();
        let decoded = byte_level().decode(tokens.ids()).unwrap();
        assert!(decoded == format!("{}\n\n", long.trim()), "the pieces do not join");
        // Two sentences per repetition; the end may count as one more.
        let sentences = 2 * long.len() / sentence.len();
        let found = tokens.sentence_starts.len();
        assert!((sentences..=sentences + 1).contains(&found), "{found} of {sentences}");
        // No whitespace at all: one piece.
        assert_eq!(pieces(&"é".repeat(PIECE_BYTES), PIECE_BYTES).count(), 1);
    }

    #[test]
    fn ends_of_sentences() {
        for yes in ["a.", "a!", "a?", "a.\"", "a?')", "a.”", "a...", "(a.)]"] {
            assert!(ends_sentence(yes), "{yes}");
        }
        for no in ["", "a", "a,", "a:\"", "\"", ")", "a. b"] {
            assert!(!ends_sentence(no), "{no}");
        }
    }
}
