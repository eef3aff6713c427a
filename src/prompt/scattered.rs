//! Reason in a haystack: the facts of a story, scattered over the haystack in their order.
//!
//! ```text
//! [BOS] prefix haystack fact haystack fact fact haystack question part            T tokens
//! ```
//!
//! BABILong (Kuratov et al. 2024, arXiv 2406.10149) strews the facts of a bAbI story among the
//! sentences of a long text. The needle is what the answer follows from: the union of the spans of
//! the supporting facts. The other facts are distractors, told apart by [`Prompt::distractors`].

use std::ops::Range;

use super::{Prompt, more_bos, near_tokens};
use crate::error::{Error, Result};
use crate::haystack::{BorderKind, Gap, HaystackTokens, Heads};

/// The parts of a story's prompt, all in the ids of one tokenizer.
#[derive(Debug, Clone, Copy)]
pub struct ScatteredParts<'a> {
    /// [`crate::tokenizer::Tokenizer::bos`].
    pub bos: Option<u32>,
    /// [`crate::tokenizer::Lead::ids`] of [`super::PromptTemplate::lead`], without BOS.
    pub prefix: &'a [u32],
    /// The text around the facts.
    pub haystack: &'a HaystackTokens,
    /// How it begins.
    pub heads: &'a Heads,
    /// The facts in the order of the story, each as it stands after a full stop; none is empty.
    pub facts: &'a [Vec<u32>],
    /// Indices of the facts that the answer follows from, ascending; not empty.
    pub supporting: &'a [usize],
    /// [`super::PromptTemplate::tokenise`], `[q]`.
    pub question: &'a [u32],
}

impl ScatteredParts<'_> {
    /// The smallest context length that has room for BOS, facts, question part and one token of
    /// haystack.
    pub fn smallest_context_length(&self) -> usize {
        self.around() + 1
    }

    /// The prompt of `context_length` tokens whose fact `i` stands near depth `depths[i]` of the
    /// haystack.
    ///
    /// The haystack begins where [`HaystackTokens::beginning`] says for `offset`. A fact stands at
    /// the nearest border between two sentences of one paragraph, or at the haystack's end; several
    /// facts at one border follow each other. Where no such border is near (64 tokens, or a
    /// hundredth of the haystack), a fact stands between two words, and exactly at its depth where
    /// no word is near either. The story's order is kept: `depths` ascend.
    ///
    /// # Errors
    /// [`Error::Usage`] if `context_length` is below
    /// [`ScatteredParts::smallest_context_length`]; [`Error::Bug`] if `depths` are not one per
    /// fact, ascending from 0 to 1, or if an invariant of [`Prompt`] does not hold.
    pub fn assemble(&self, context_length: usize, depths: &[f64], offset: usize) -> Result<Prompt> {
        let smallest = self.smallest_context_length();
        if context_length < smallest {
            return Err(Error::usage("story and question do not fit into the context")
                .at(format!("context length {context_length}"))
                .got(format!("{} tokens of facts, question and BOS", self.around()))
                .expected(format!("a context length of at least {smallest}"))
                .advice(format!("--lengths {smallest} or more, or tasks with shorter stories")));
        }
        let ascending = depths.windows(2).all(|d| d[0] <= d[1]);
        let fractions = depths.iter().all(|d| (0.0..=1.0).contains(d));
        if depths.len() != self.facts.len() || !ascending || !fractions {
            return Err(Error::bug("the depths of a story's facts are wrong")
                .got(format!("{depths:?} for {} facts", self.facts.len())));
        }
        let start = self.haystack.beginning(offset);
        let m = context_length - self.around();
        let (haystack, haystack_cycles) = self.heads.take(self.haystack, start, m);
        let before = self.places(start, m, depths);

        let mut ids: Vec<u32> = self.bos.iter().chain(self.prefix).copied().collect();
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(self.facts.len());
        let mut taken = 0;
        for (fact, &before) in self.facts.iter().zip(&before) {
            ids.extend(&haystack[taken..before]);
            taken = before;
            spans.push(ids.len()..ids.len() + fact.len());
            ids.extend(fact);
        }
        ids.extend(&haystack[taken..]);
        ids.extend(self.question);

        let depth = |&fact: &usize| before[fact] as f64 / m as f64;
        let depth_reached =
            self.supporting.iter().map(depth).sum::<f64>() / self.supporting.len() as f64;
        let (needle, distractors): (Vec<_>, Vec<_>) =
            spans.into_iter().enumerate().partition(|(i, _)| self.supporting.contains(i));
        let spans = |of: Vec<(usize, Range<usize>)>| of.into_iter().map(|(_, s)| s).collect();
        let prompt = Prompt {
            before_question: ids.len() - self.question.len(),
            ids,
            needle: spans(needle),
            distractors: spans(distractors),
            depth_asked: None,
            depth_reached,
            haystack_cycles,
        };
        self.check(&prompt, context_length)?;
        Ok(prompt)
    }

    /// Tokens that are not haystack.
    fn around(&self) -> usize {
        let facts: usize = self.facts.iter().map(Vec::len).sum();
        self.bos.as_slice().len() + self.prefix.len() + facts + self.question.len()
    }

    /// How many of the `m` tokens of haystack from `start` on stand before each fact; ascending, as
    /// `depths` are.
    fn places(&self, start: usize, m: usize, depths: &[f64]) -> Vec<usize> {
        let (near, sentences) = (near_tokens(m), self.heads.has_sentences(self.haystack, start, m));
        let place = |depth: &f64| {
            let wanted = depth * m as f64;
            let exact = (wanted.round() as usize).max(1);
            let window = exact.saturating_sub(near).max(1)..=(exact + near).min(m - 1);
            let nearest = |kind| {
                // Only where the next sentence brings its own space, or has none: a fact brings
                // one, so that neither paragraphs nor words run together.
                let borders = self.heads.borders_in(self.haystack, kind, start, window.clone());
                let borders = borders.filter(|b| b.gap != Gap::Before).map(|b| b.token);
                let ends = sentences && kind == BorderKind::Sentence && m - exact <= near;
                let distance = |token: &usize| (*token as f64 - wanted).abs();
                // Of two as near, the earlier.
                borders.chain(ends.then_some(m)).min_by(|a, b| distance(a).total_cmp(&distance(b)))
            };
            let whole = || self.heads.whole_characters(self.haystack, start, exact).max(1);
            [BorderKind::Sentence, BorderKind::Word]
                .into_iter()
                .find_map(nearest)
                .unwrap_or_else(whole)
        };
        let mut places: Vec<usize> = depths.iter().map(place).collect();
        // One fact may find a sentence where the one before found but a word.
        for i in 1..places.len() {
            places[i] = places[i].max(places[i - 1]);
        }
        places
    }

    /// The invariants of [`Prompt`], on what came out.
    fn check(&self, prompt: &Prompt, context_length: usize) -> Result<()> {
        let at = |spans: &[Range<usize>]| -> Vec<u32> {
            spans.iter().flat_map(|s| prompt.ids[s.clone()].iter().copied()).collect()
        };
        let supporting: Vec<u32> =
            self.supporting.iter().flat_map(|&i| self.facts[i].iter().copied()).collect();
        let broken = if prompt.ids.len() != context_length {
            "the length"
        } else if at(&prompt.needle) != supporting {
            "a span of the needle"
        } else if more_bos(self.bos, &prompt.ids, [self.prefix, self.question]) {
            "the number of BOS tokens"
        } else {
            return Ok(());
        };
        Err(Error::bug(format!("{broken} of a prompt is wrong"))
            .got(format!("{} tokens, needle at {:?}", prompt.ids.len(), prompt.needle))
            .expected(format!("{context_length} tokens")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haystack::Haystack;
    use crate::tokenizer::samples::llama2;

    /// Ten words in five sentences; with `▁` for the space that a token brings:
    /// T h e ▁wall . ▁The ▁boat . ▁The ▁wall . …
    fn haystack() -> HaystackTokens {
        let dir = tempfile::tempdir().unwrap();
        let text = "The wall. The boat. The wall. The boat. The wall.";
        std::fs::write(dir.path().join("a.txt"), text).unwrap();
        Haystack::load_dir(dir.path(), false).unwrap().tokenise(llama2()).unwrap()
    }

    /// Haystacks that begin as their stream does.
    fn no_heads() -> &'static Heads {
        static NONE: std::sync::OnceLock<Heads> = std::sync::OnceLock::new();
        NONE.get_or_init(Heads::default)
    }

    fn parts<'a>(haystack: &'a HaystackTokens, facts: &'a [Vec<u32>]) -> ScatteredParts<'a> {
        ScatteredParts {
            bos: Some(1),
            prefix: &[],
            haystack,
            heads: no_heads(),
            facts,
            supporting: &[0, 2],
            question: &[900, 901],
        }
    }

    #[test]
    fn facts_stand_at_borders_in_order_and_the_length_is_exact() {
        let haystack = haystack();
        let facts = [vec![500, 501], vec![600], vec![700, 701]];
        let p = parts(&haystack, &facts);
        // 1 + 5 + 2 around; 17 tokens of haystack, where sentences begin at 5, 8, 11 and 14.
        let starts: Vec<usize> =
            haystack.borders_in(BorderKind::Sentence, 0, 1..=17).map(|b| b.token).collect();
        assert_eq!(starts, [5, 8, 11, 14, 17]);
        // 0.1 * 17 = 1.7 → 5; 0.4 * 17 = 6.8 → 8; 0.99 * 17 = 16.8 → the end, 17.
        let prompt = p.assemble(25, &[0.1, 0.4, 0.99], 0).unwrap();
        assert_eq!(prompt.ids.len(), 25);
        assert_eq!(prompt.needle, [6..8, 21..23]);
        assert_eq!(prompt.distractors, [11..12]);
        assert_eq!(prompt.ids[6..8], [500, 501]);
        assert_eq!(prompt.ids[21..], [700, 701, 900, 901]);
        // Without the facts the haystack is whole.
        let mut rest = prompt.ids.clone();
        for span in [21..23, 11..12, 6..8] {
            rest.drain(span);
        }
        assert_eq!(rest[1..18], haystack.take(0, 17).0);
        // 5/17 and 17/17.
        assert!((prompt.depth_reached - (5.0 + 17.0) / 34.0).abs() < 1e-12);
        assert_eq!(prompt.depth_asked, None);
    }

    #[test]
    fn facts_at_one_border_follow_each_other() {
        let haystack = haystack();
        let facts = [vec![500, 501], vec![600], vec![700, 701]];
        let prompt = parts(&haystack, &facts).assemble(25, &[0.3, 0.3, 0.3], 0).unwrap();
        assert_eq!(prompt.ids[6..11], [500, 501, 600, 700, 701]);
        assert_eq!((prompt.needle, prompt.distractors), (vec![6..8, 9..11], vec![8..9]));
    }

    #[test]
    fn without_a_sentence_facts_stand_between_words_or_where_they_were_asked_to() {
        let haystack = haystack();
        let facts = [vec![500], vec![600], vec![700]];
        // 1 + 3 + 2 around; 4 tokens of haystack, T h e ▁wall, are inside the first sentence.
        let prompt = parts(&haystack, &facts).assemble(10, &[0.0, 0.5, 1.0], 0).unwrap();
        let h = haystack.take(0, 4).0;
        assert_eq!(prompt.ids, [1, h[0], h[1], h[2], 500, 600, 700, h[3], 900, 901]);
        // 3 tokens are inside the first word.
        let prompt = parts(&haystack, &facts).assemble(9, &[0.0, 0.5, 1.0], 0).unwrap();
        assert_eq!(prompt.ids, [1, h[0], 500, h[1], 600, h[2], 700, 900, 901]);
    }

    #[test]
    fn too_short_a_context_and_wrong_depths_are_told() {
        let haystack = haystack();
        let facts = [vec![500], vec![600], vec![700]];
        let p = parts(&haystack, &facts);
        assert_eq!(p.smallest_context_length(), 7);
        let e = p.assemble(6, &[0.0, 0.5, 1.0], 0).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("at least 7"), "{e}");
        p.assemble(7, &[0.0, 0.5, 1.0], 0).unwrap();
        for depths in [&[0.0, 0.5][..], &[0.5, 0.4, 0.6], &[0.0, 0.5, 1.1]] {
            assert_eq!(p.assemble(9, depths, 0).unwrap_err().exit_code(), 1, "{depths:?}");
        }
    }
}
