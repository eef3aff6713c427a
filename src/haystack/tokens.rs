//! [`HaystackTokens`]: the haystack as token ids, with the places where it may be cut.

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::haystack::Haystack;
use crate::haystack::borders::{Border, BorderKind, Borders, Gap, borders};
use crate::tokenizer::{Encoded, Tokenizer, before_word};

/// What stands between two files, and between the last file and the first where the text repeats.
pub(super) const BETWEEN_FILES: &str = "\n\n";

/// Longer texts are encoded in pieces of about this size: an encoding takes some thirty times the
/// memory of its text.
const PIECE_BYTES: usize = 256 * 1024;

/// Tokens within which a prompt that begins somewhere in the haystack looks for a better beginning:
/// more than any sentence has.
const NEAR_START: usize = 256;

/// The haystack as an endless stream of token ids: the files, joined by blank lines, over and
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaystackTokens {
    /// One cycle, `[n]`; not empty. Ends with a blank line, so that it continues with itself.
    ids: Vec<u32>,
    /// Of one cycle. Sentences have at least one, token 0.
    borders: Borders,
    /// Where each token begins in the text: the file, and the byte in it, `[n]`.
    places: Vec<(u32, u32)>,
}

impl Haystack {
    /// Encodes every file once, as it stands after a blank line.
    ///
    /// A sentence begins where the text so far ends in a mark such as `.`, `!` or `?`, perhaps with
    /// closing quotes or brackets behind it, and whitespace follows; behind `。` also without; and
    /// at the beginning of each file.
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
        let encoded: Vec<(Encoded, Borders)> = pieces
            .par_iter()
            .map(|(file, range)| encode_piece(tokenizer, &files[*file], range.clone()))
            .collect::<Result<_>>()?;

        let (mut ids, mut borders, mut places) = (Vec::new(), Borders::default(), Vec::new());
        for ((file, range), (Encoded { ids: piece, offsets }, of_piece)) in
            pieces.iter().zip(encoded)
        {
            for (all, own) in borders.iter_mut().zip(of_piece) {
                all.extend(own.iter().map(|b| Border { token: ids.len() + b.token, ..*b }));
            }
            places.extend(offsets.iter().map(|o| (*file as u32, (range.start + o.0) as u32)));
            ids.extend(piece);
        }
        if ids.is_empty() {
            return Err(Error::data("the haystack has no tokens")
                .got(format!("{} words and not one token", self.words()))
                .expected("text that the tokenizer has tokens for"));
        }
        Ok(HaystackTokens { ids, borders, places })
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

    /// The borders of one kind among the tokens `range` from `start` on, ascending; `token` counts
    /// from `start`.
    pub fn borders_in(
        &self,
        kind: BorderKind,
        start: usize,
        range: RangeInclusive<usize>,
    ) -> impl Iterator<Item = Border> + '_ {
        let n = self.ids.len();
        let start = start % n;
        let (from, to) = (start + range.start(), start + range.end());
        let borders = &self.borders[kind as usize];
        let first = borders.partition_point(|b| b.token < from % n);
        (from / n..=to / n)
            .flat_map(move |cycle| {
                let skipped = if cycle == from / n { first } else { 0 };
                borders[skipped..].iter().map(move |b| Border { token: cycle * n + b.token, ..*b })
            })
            .take_while(move |b| b.token <= to)
            .map(move |b| Border { token: b.token - start, ..b })
    }

    /// Whether token `at` of the stream begins a character: none that stands for a part of one that
    /// an earlier token begins.
    pub fn begins_character(&self, at: usize) -> bool {
        let at = at % self.ids.len();
        at == 0 || self.places[at] != self.places[at - 1]
    }

    /// Where token `start` begins in the text: the file, and the byte in it.
    pub(super) fn place(&self, start: usize) -> Option<(usize, usize)> {
        self.places.get(start).map(|&(file, byte)| (file as usize, byte as usize))
    }

    /// Where a prompt begins that is to begin at token `offset` of the stream, as an index into one
    /// cycle: at the first sentence from there on, or line, or word, if one begins within
    /// 256 tokens; else at `offset`.
    pub fn beginning(&self, offset: usize) -> usize {
        let near = |kind| self.borders_in(kind, offset, 0..=NEAR_START).next();
        let found = BorderKind::ALL.into_iter().find_map(near).map(|border| border.token);
        let character = || (0..self.ids.len()).find(|more| self.begins_character(offset + more));
        (offset + found.or_else(character).unwrap_or(0)) % self.ids.len()
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

/// The tokens of one piece of a file's text as they stand after what precedes them, and the borders
/// among them.
fn encode_piece(
    tokenizer: &Tokenizer,
    text: &str,
    piece: Range<usize>,
) -> Result<(Encoded, Borders)> {
    let first = piece.start == 0;
    // What stands before a later piece is a word; any will do.
    let anchor = if first { BETWEEN_FILES } else { "." };
    let encoded = match piece.end == text.len() {
        // The blank line at its end stands before the next file.
        true => before_word(&text[piece.clone()], |text| tokenizer.encode_after(anchor, text))?,
        false => tokenizer.encode_after(anchor, &text[piece.clone()])?,
    };
    let mut borders = borders(text, piece.start, &encoded);
    let sentences = &mut borders[BorderKind::Sentence as usize];
    if first && sentences.first().is_none_or(|s| s.token > 0) && !encoded.ids.is_empty() {
        sentences.insert(0, Border { token: 0, gap: Gap::Before });
    }
    Ok((encoded, borders))
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

    fn sentences(h: &HaystackTokens) -> &[Border] {
        &h.borders[BorderKind::Sentence as usize]
    }

    /// The first two letters of what each sentence begins with.
    fn begins(t: &Tokenizer, h: &HaystackTokens) -> Vec<String> {
        let text = |b: &Border| t.decode(&h.ids()[b.token..]).unwrap();
        sentences(h).iter().map(|b| text(b).trim_start().chars().take(2).collect()).collect()
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
    fn the_gap_says_who_brings_the_whitespace() {
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
            sentences(&tokens),
            [
                Border { token: 0, gap: Gap::Before },
                Border { token: 5, gap: Gap::Own },
                Border { token: 8, gap: Gap::Own },
            ]
        );
    }

    #[test]
    fn a_blank_line_in_one_token_with_the_full_stop_is_before_the_sentence() {
        let t = byte_level();
        let tokens = haystack(&["The wall.\n\nThe boat."]).tokenise(t).unwrap();
        let end = t.token_id(".ĊĊ").unwrap();
        let at = tokens.ids().iter().position(|&id| id == end).unwrap() + 1;
        assert_eq!(sentences(&tokens)[1], Border { token: at, gap: Gap::Before });
        assert_eq!(sentences(&tokens).len(), 2);
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
            let found = |range| -> Vec<usize> {
                tokens.borders_in(BorderKind::Sentence, start, range).map(|b| b.token).collect()
            };
            assert_eq!(found(0..=n), expected, "{start} {n}");
            let later: Vec<usize> = expected.into_iter().filter(|&i| i >= n / 2).collect();
            assert_eq!(found(n / 2..=n), later, "{start} {n}");
        }
        let next: Vec<usize> = (0..12).map(|o| tokens.beginning(o)).collect();
        assert_eq!(next, [0, 5, 5, 5, 5, 5, 8, 8, 8, 0, 0, 5]);
    }

    #[test]
    fn the_stream_decodes_to_the_files() {
        let bundled = Haystack::bundled().unwrap();
        let tokens = bundled.tokenise(byte_level()).unwrap();
        let text: String = bundled.files().iter().map(|f| format!("{}\n\n", f.text())).collect();
        assert_eq!(byte_level().decode(tokens.ids()).unwrap(), text);
        // Prose has a sentence every 10 to 40 words.
        let per_start = bundled.words() / sentences(&tokens).len();
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
        let all = 2 * long.len() / sentence.len();
        let found = sentences(&tokens).len();
        assert!((all..=all + 1).contains(&found), "{found} of {all}");
        // No whitespace at all: one piece.
        assert_eq!(pieces(&"é".repeat(PIECE_BYTES), PIECE_BYTES).count(), 1);
    }

    /// What stands behind each border of one kind, up to the next.
    fn cut(t: &Tokenizer, h: &HaystackTokens, kind: BorderKind) -> Vec<String> {
        let ends = h.borders[kind as usize].iter().skip(1).map(|b| b.token).chain([h.ids().len()]);
        let begins = h.borders[kind as usize].iter().map(|b| b.token);
        begins.zip(ends).map(|(b, e)| t.decode(&h.ids()[b..e]).unwrap()).collect()
    }

    #[test]
    fn chinese_sentences_begin_without_whitespace() {
        let t = byte_level();
        let h = haystack(&["春天来了。他说：「去吧！」夏天呢？3.5 米。"]).tokenise(t).unwrap();
        let found = cut(t, &h, BorderKind::Sentence);
        assert_eq!(found[..3], ["春天来了。", "他说：「去吧！」", "夏天呢？"]);
        assert!(found[3].starts_with("3.5 米。"), "{found:?}");
        assert_eq!(sentences(&h)[1].gap, Gap::None);
    }

    #[test]
    fn lines_and_words_are_borders_where_there_are_no_sentences() {
        let t = llama2();
        let h = haystack(&["the wall\nthe boat of\n\nthe wall"]).tokenise(t).unwrap();
        assert_eq!(sentences(&h), [Border { token: 0, gap: Gap::Before }]);
        let lines = cut(t, &h, BorderKind::Line);
        assert_eq!(lines.iter().map(|l| l.trim()).collect::<Vec<_>>(), ["the boat of", "the wall"]);
        assert!(h.borders[BorderKind::Line as usize].iter().all(|b| b.gap == Gap::Before));
        let words = cut(t, &h, BorderKind::Word);
        assert_eq!(words.len(), 4, "{words:?}");
        assert!(words[0].starts_with("wall") && words[2].starts_with("of"), "{words:?}");
    }

    #[test]
    fn a_prompt_begins_at_the_next_border_or_where_it_was_asked_to() {
        let words = "boat wall and the of ".repeat(100);
        let h = haystack(&[&words]).tokenise(llama2()).unwrap();
        // Words are tokens: it begins where it was asked to, unless the text soon begins anew.
        assert_eq!(h.beginning(0), 0);
        assert_eq!(h.beginning(100), 100);
        assert_eq!(h.beginning(h.ids().len() - NEAR_START), 0);
        // One word without end: no border at all.
        let h = haystack(&[&"boat".repeat(800)]).tokenise(llama2()).unwrap();
        assert!(h.ids().len() > 2 * NEAR_START);
        assert_eq!(h.beginning(7), 7);
    }
}
