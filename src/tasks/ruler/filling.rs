//! [`Filling`]: text around what is hidden, in sentences, that can be cut to any length.
//!
//! Needles stand between sentences. The last sentence is cut where the prompt is full: behind a
//! word, or in scripts without spaces behind a character, so that length and language of sentences
//! do not matter. Where a text has no end of a sentence for long, one is made.

/// Pieces after which a sentence ends in any case: needles have places at all depths of a text
/// without punctuation.
const MOST_PIECES: usize = 100;

/// Letters of a word that is not cut.
const WORD: usize = 20;

/// What ends a sentence before white space.
const ENDS: [char; 3] = ['.', '!', '?'];

/// What ends a sentence whatever follows.
const ENDS_ALONE: [char; 10] = ['。', '！', '？', '｡', '।', '۔', '؟', '።', '။', '។'];

/// What may follow these and belongs to the sentence.
const CLOSERS: [char; 8] = ['”', '’', '」', '』', '）', '】', '》', '〉'];

/// A sentence, or the begin of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Whether there is white space behind it.
    pub(super) spaced: bool,
}

/// Sentences in order; not empty.
pub(super) struct Filling<'a> {
    /// Each with the number of its pieces.
    sentences: Vec<(Part<'a>, usize)>,
}

impl<'a> Filling<'a> {
    /// The sentences of `texts`; `None` if there is none.
    pub(super) fn new(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let parts: Vec<(Part, usize)> =
            texts.into_iter().flat_map(sentences).flat_map(short_enough).collect();
        (!parts.is_empty()).then_some(Self { sentences: parts })
    }

    /// Number of sentences.
    pub(super) fn sentences(&self) -> usize {
        self.sentences.len()
    }

    /// The `n` pieces from the sentence `first` on, over and over.
    pub(super) fn take(&self, first: usize, n: usize) -> Vec<Part<'a>> {
        let (mut parts, mut left) = (Vec::new(), n);
        for &(part, pieces) in self.sentences.iter().cycle().skip(first) {
            if left <= pieces {
                let end = left.checked_sub(1).and_then(|last| piece_ends(part.text).nth(last));
                parts.extend(end.map(|end| Part { text: &part.text[..end], ..part }));
                break;
            }
            parts.push(part);
            left -= pieces;
        }
        parts
    }
}

/// `parts` as a text with the `needles` in it, each after its share of the parts, ascending, and
/// with `space` around it.
pub(super) fn insert(parts: &[Part], needles: &[(f64, String)], space: &str) -> String {
    let (mut all, mut filled): (Vec<Part>, usize) = (Vec::new(), 0);
    for (share, needle) in needles {
        let before = (share * (parts.len() + 1) as f64) as usize;
        let before = before.clamp(filled, parts.len());
        all.extend_from_slice(&parts[filled..before]);
        if let Some(last) = all.last_mut() {
            last.spaced = true;
        }
        all.push(Part { text: needle, spaced: true });
        filled = before;
    }
    all.extend_from_slice(&parts[filled..]);
    let mut text = String::new();
    for (i, part) in all.iter().enumerate() {
        text.push_str(part.text);
        text.push_str(if part.spaced && i + 1 < all.len() { space } else { "" });
    }
    text
}

/// The sentences of a text, without white space at their ends. One ends at a line break, at `.`,
/// `!` or `?` with white space behind it, and at their like in other scripts.
fn sentences(text: &str) -> Vec<Part<'_>> {
    let mut sentences = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(end) = sentence_end(rest) {
            let behind = &rest[end..];
            let spaced = behind.is_empty() || behind.starts_with(char::is_whitespace);
            sentences.push(Part { text: rest[..end].trim(), spaced });
            rest = behind;
        }
        sentences.push(Part { text: rest.trim(), spaced: true });
    }
    sentences.retain(|sentence| !sentence.text.is_empty());
    sentences
}

/// Where the first sentence of a line ends, if something ends it.
fn sentence_end(line: &str) -> Option<usize> {
    let is_end = |c: char| ENDS.contains(&c) || ENDS_ALONE.contains(&c);
    line.match_indices(is_end).find_map(|(at, mark)| {
        let end = at + mark.len();
        let behind = &line[end..];
        match mark.starts_with(ENDS) {
            true => behind.starts_with(char::is_whitespace).then_some(end),
            false => Some(line.len() - behind.trim_start_matches(CLOSERS).len()),
        }
    })
}

/// A sentence in parts of at most [`MOST_PIECES`], each with their number.
fn short_enough(sentence: Part<'_>) -> Vec<(Part<'_>, usize)> {
    let ends: Vec<usize> = piece_ends(sentence.text).collect();
    let mut begin = 0;
    let part = |ends: &[usize]| {
        let end = ends.last().copied().unwrap_or(begin);
        let (text, behind) = (&sentence.text[begin..end], &sentence.text[end..]);
        begin = end;
        let spaced = match behind.chars().next() {
            Some(next) => next.is_whitespace(),
            None => sentence.spaced,
        };
        (Part { text: text.trim_start(), spaced }, ends.len())
    };
    ends.chunks(MOST_PIECES).map(part).collect()
}

/// Where the pieces of a text end: its words, and the characters of what is no word of a script
/// whose words are known to be short.
fn piece_ends(text: &str) -> impl Iterator<Item = usize> {
    let words = text.split_whitespace().map(move |word| {
        let from = word.as_ptr() as usize - text.as_ptr() as usize;
        (from, word)
    });
    words.flat_map(|(from, word)| {
        let is_whole = word.is_ascii() && word.len() <= WORD;
        let ends = word.char_indices().map(move |(at, c)| from + at + c.len_utf8());
        ends.filter(move |end| !is_whole || *end == from + word.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(parts: &[Part<'a>]) -> Vec<&'a str> {
        parts.iter().map(|part| part.text).collect()
    }

    #[test]
    fn sentences_by_hand() {
        let text = "One. Two costs 3.50! Three?\n\n Four\nU.S. five";
        let found = sentences(text);
        assert_eq!(texts(&found), ["One.", "Two costs 3.50!", "Three?", "Four", "U.S.", "five"]);
        assert!(found.iter().all(|part| part.spaced));
        assert_eq!(sentences(" \n"), []);
        // No white space between sentences, and none is made.
        let found = sentences("他说：“好。”走了！ Is it? 是");
        assert_eq!(texts(&found), ["他说：“好。”", "走了！", "Is it?", "是"]);
        let spaced: Vec<bool> = found.iter().map(|part| part.spaced).collect();
        assert_eq!(spaced, [false, true, true, true]);
        assert_eq!(texts(&sentences("क ख। ग")), ["क ख।", "ग"]);
    }

    #[test]
    fn pieces_by_hand() {
        let pieces = |text: &str| piece_ends(text).collect::<Vec<_>>();
        assert_eq!(pieces("a bc, d"), [1, 5, 7]);
        assert_eq!(pieces("水 b火"), [3, 5, 8]);
        assert_eq!(pieces(&"x".repeat(20)), [20]);
        assert_eq!(pieces(&"x".repeat(21)).len(), 21);
    }

    /// The last sentence is cut, and the text begins again when it is used up.
    #[test]
    fn texts_are_cut_at_pieces() {
        let filling = Filling::new(["One two. Three four five."]).unwrap();
        let take = |first, n| texts(&filling.take(first, n));
        assert_eq!(take(0, 0), [""; 0]);
        assert_eq!(take(0, 1), ["One"]);
        assert_eq!(take(0, 2), ["One two."]);
        assert_eq!(take(1, 4), ["Three four five.", "One"]);
        assert_eq!(take(0, 7), ["One two.", "Three four five.", "One two."]);
        assert!(Filling::new([" \n"]).is_none());
    }

    /// 250 words are no sentence in which nothing can be hidden; neither are as many letters.
    #[test]
    fn long_sentences_are_divided() {
        let words = "word ".repeat(250);
        let filling = Filling::new([&*words]).unwrap();
        let all = filling.take(0, 250);
        assert_eq!((all.len(), all[0].spaced), (3, true));
        assert_eq!(insert(&all, &[], " "), words.trim());
        let letters = "x".repeat(250);
        let filling = Filling::new([&*letters]).unwrap();
        let all = filling.take(0, 250);
        assert_eq!((all.len(), all[0].spaced), (3, false));
        assert_eq!(insert(&all, &[], " "), letters);
    }

    #[test]
    fn needles_stand_between_sentences() {
        let filling = Filling::new(["A b. C d. 水。火。"]).unwrap();
        let parts = filling.take(0, 8);
        let needles =
            |shares: &[f64]| shares.iter().map(|s| (*s, "N.".to_owned())).collect::<Vec<_>>();
        assert_eq!(insert(&parts, &needles(&[]), " "), "A b. C d. 水。火。");
        assert_eq!(insert(&parts, &needles(&[0.0, 0.3]), " "), "N. A b. N. C d. 水。火。");
        assert_eq!(insert(&parts, &needles(&[0.7, 0.99]), " "), "A b. C d. 水。 N. 火。 N.");
        assert_eq!(insert(&[], &needles(&[0.5, 0.9]), "\n"), "N.\nN.");
    }
}
