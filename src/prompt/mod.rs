//! Needle in a haystack, as token ids: [`Prompt`], and how it is put together.
//!
//! ```text
//! [BOS] prefix haystack[..i] needle haystack[i..] question part        T = context_length tokens
//! ```
//!
//! The references cut and join token ids, decode them and encode the text again, so that lengths
//! and spans shift by a few tokens and several BOS get in. Here nothing is decoded: the length is
//! exact, and the needle's span is known by construction.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::haystack::{Border, BorderKind, Gap, HaystackTokens, Heads};
use crate::needle::{NeedleTokens, PlacedNeedle, Placement};
use crate::tokenizer::{Lead, Tokenizer};

/// The question part of Retrieval_Head and HeadKV, set off from the haystack by a line break.
const DEFAULT_TEMPLATE: &str = "\nBased on the content of the book, Question: {question}\nAnswer:";

const PLACEHOLDER: &str = "{question}";
pub(crate) const CONTEXT: &str = "{context}";

/// The input of one probe. Assembled from token ids, never by decoding and encoding again.
///
/// Invariants: `ids.len()` is the context length asked for; `ids[needle]` are the needle's tokens;
/// BOS, where the tokenizer has one, stands once, at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Token ids, `[T]`.
    pub ids: Vec<u32>,
    /// The needle: token spans in ascending order, not overlapping. One span for a needle in a
    /// haystack, several where the needle is a set of facts.
    pub needle: Vec<Range<usize>>,
    /// Facts that the answer does not follow from: token spans in ascending order, none of them
    /// overlapping another or the needle. Empty for a needle that is one sentence.
    pub distractors: Vec<Range<usize>>,
    /// How many tokens stand before the question part, with its wording and what a chat template
    /// puts behind it; less than all.
    pub before_question: usize,
    /// Where in the haystack the needle was asked to be, 0 (start) to 1 (end); `None` where it is
    /// scattered.
    pub depth_asked: Option<f64>,
    /// Where it came to stand: tokens of haystack before it over tokens of haystack; the mean over
    /// its spans.
    pub depth_reached: f64,
    /// How many times the haystack text was used up to fill the context (1 = once or less).
    pub haystack_cycles: usize,
}

/// What is put around the haystack: a text with `{question}` in it, once, and with `{context}` for
/// the haystack, once, or without it where nothing stands before the haystack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate(String);

impl Default for PromptTemplate {
    fn default() -> Self {
        Self(DEFAULT_TEMPLATE.to_owned())
    }
}

impl PromptTemplate {
    /// A template of the user's.
    ///
    /// # Errors
    /// [`Error::Usage`] unless `{question}` is in it exactly once, and `{context}` at most once and
    /// before the question.
    pub fn new(template: impl Into<String>) -> Result<Self> {
        let template = template.into();
        let wrong = |what: &str, got: String, expected: &str| {
            Err(Error::usage(what)
                .at(format!("{template:?}"))
                .got(got)
                .expected(expected)
                .advice(format!("the default is {DEFAULT_TEMPLATE:?}")))
        };
        let [questions, contexts] = [PLACEHOLDER, CONTEXT].map(|p| template.matches(p).count());
        if questions != 1 {
            return wrong(
                "the prompt template does not have one place for the question",
                format!("{PLACEHOLDER} {questions} times"),
                "{question} once",
            );
        }
        if contexts > 1 {
            return wrong(
                "the prompt template has several places for the haystack",
                format!("{CONTEXT} {contexts} times"),
                "{context} once, or not at all",
            );
        }
        if template.find(CONTEXT).is_some_and(|at| template[at..].find(PLACEHOLDER).is_none()) {
            return wrong(
                "the prompt template asks before the haystack",
                "{question} before {context}".to_owned(),
                "{context} before {question}",
            );
        }
        Ok(Self(template))
    }

    /// The template's text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What stands before the haystack, and what behind it.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.0.split_once(CONTEXT).unwrap_or(("", &self.0))
    }

    /// What follows the haystack, with a question in its place.
    pub fn render(&self, question: &str) -> String {
        self.parts().1.replacen(PLACEHOLDER, question, 1)
    }

    /// The same without white space at the ends of the prompt.
    pub fn trimmed(&self) -> Self {
        let text = self.0.trim_end();
        Self(if text.contains(CONTEXT) { text.trim_start() } else { text }.to_owned())
    }

    /// The tokens of the question part as they stand after the haystack and before `after`, the end
    /// of a chat template, `[q]`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn tokenise(&self, tokenizer: &Tokenizer, question: &str, after: &str) -> Result<Vec<u32>> {
        tokenizer.encode_end(&self.render(question), after)
    }

    /// What stands between BOS and the haystack, behind `before`, the beginning of a chat template.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn lead(&self, tokenizer: &Tokenizer, before: &str) -> Result<Lead> {
        Lead::new(tokenizer, before, self.parts().0)
    }
}

/// The parts of a probe's prompt, all in the ids of one tokenizer.
#[derive(Debug, Clone, Copy)]
pub struct PromptParts<'a> {
    /// [`Tokenizer::bos`].
    pub bos: Option<u32>,
    /// [`Lead::ids`] of [`PromptTemplate::lead`], without BOS.
    pub prefix: &'a [u32],
    /// The text around the needle.
    pub haystack: &'a HaystackTokens,
    /// How it begins.
    pub heads: &'a Heads,
    /// The needle.
    pub needle: &'a NeedleTokens,
    /// [`PromptTemplate::tokenise`], `[q]`.
    pub question: &'a [u32],
    /// [`crate::needle::Needle::last`]: needle and question part where nothing is between them;
    /// `None`: the one behind the other.
    pub last: Option<&'a PlacedNeedle>,
}

/// Tokens within which a border is near a place in `m` tokens of haystack: a tenth of the haystack,
/// but at least 16 and at most 64, which is a long sentence, or a hundredth of the haystack.
fn near_tokens(m: usize) -> usize {
    (m / 10).clamp(16, 64.max(m / 100))
}

/// Where the needle goes: after `before` tokens of haystack.
#[derive(Debug, Clone, Copy)]
struct Slot {
    before: usize,
    placement: Placement,
    /// Whether a blank line has to follow, because what follows brings no whitespace.
    blank_line: bool,
}

impl PromptParts<'_> {
    /// The smallest context length that has room for BOS, prefix, needle, question part and one
    /// token of haystack at any depth.
    pub fn smallest_context_length(&self) -> usize {
        let needle = Placement::ALL.map(|p| self.needle.placed(p).ids.len() + self.blank_line(p));
        self.around() + needle.into_iter().max().unwrap_or(0) + 1
    }

    /// The prompt of `context_length` tokens with the needle at `depth` (0 to 1).
    ///
    /// The haystack begins where [`HaystackTokens::beginning`] says for `offset`. At depth 0 the
    /// needle is the first thing after BOS and prefix, at depth 1 the last before the question
    /// part; in between it stands at the border between two sentences that is nearest to `depth ·
    /// m` (`m` tokens of haystack; of two as near, the earlier). Where none is near (64 tokens, or
    /// a hundredth of the haystack), it stands between two lines, or else two words, and exactly at
    /// its depth where none of these is near either. Where the needle is put before a word without
    /// a space, a blank line follows it and counts as haystack.
    ///
    /// # Errors
    /// [`Error::Usage`] if `context_length` is below [`PromptParts::smallest_context_length`], or
    /// if `depth` is not in 0 to 1; [`Error::Bug`] if an invariant of [`Prompt`] does not hold.
    pub fn assemble(&self, context_length: usize, depth: f64, offset: usize) -> Result<Prompt> {
        let smallest = self.smallest_context_length();
        if context_length < smallest {
            return Err(Error::usage("needle and question do not fit into the context")
                .at(format!("context length {context_length}"))
                .got(format!(
                    "{} needle tokens, {} tokens of question and BOS",
                    self.needle.placed(Placement::Sentence).ids.len(),
                    self.around()
                ))
                .expected(format!("a context length of at least {smallest}"))
                .advice(format!("--min-len {smallest} or more, or a shorter needle")));
        }
        if !(0.0..=1.0).contains(&depth) {
            return Err(Error::usage("a depth is not a fraction")
                .got(depth)
                .expected("a number from 0 (start) to 1 (end)"));
        }
        let start = self.haystack.beginning(offset);
        if let (Some(last), true) = (self.last, depth == 1.0) {
            return self.assemble_at_the_end(context_length, start, last);
        }
        let slot = self.slot(context_length, depth, start);
        let placed = match slot.blank_line {
            true => self.needle.before_blank_line(slot.placement),
            false => self.needle.placed(slot.placement),
        };
        let region = self.region(context_length, slot.placement);
        let n = context_length - self.around() - placed.ids.len();
        let (haystack, haystack_cycles) = match slot.before {
            // The needle is first, the haystack goes on behind it.
            0 => self.haystack.take(start, n),
            _ => self.heads.take(self.haystack, start, n),
        };
        let (before, after) = haystack.split_at(slot.before);

        let bos = self.bos.as_slice();
        let ids = [bos, self.prefix, before, &placed.ids, after, self.question].concat();
        let at = bos.len() + self.prefix.len() + before.len();
        let needle = at + placed.span.start..at + placed.span.end;
        let prompt = Prompt {
            before_question: ids.len() - self.question.len(),
            ids,
            needle: vec![needle],
            distractors: Vec::new(),
            depth_asked: Some(depth),
            depth_reached: before.len() as f64 / region as f64,
            haystack_cycles,
        };
        self.check(&prompt, context_length, placed)?;
        Ok(prompt)
    }

    /// The prompt whose needle stands right before the question part.
    fn assemble_at_the_end(
        &self,
        context_length: usize,
        start: usize,
        last: &PlacedNeedle,
    ) -> Result<Prompt> {
        let bos = self.bos.as_slice();
        let around = bos.len() + self.prefix.len();
        let n = context_length.saturating_sub(around + last.ids.len());
        let (before, haystack_cycles) = self.heads.take(self.haystack, start, n);
        let at = around + before.len();
        let prompt = Prompt {
            ids: [bos, self.prefix, &before, &last.ids].concat(),
            needle: vec![at + last.span.start..at + last.span.end],
            distractors: Vec::new(),
            // Behind what is scored of the needle there may be more of it.
            before_question: (context_length - self.question.len()).max(at + last.span.end),
            depth_asked: Some(1.0),
            depth_reached: 1.0,
            haystack_cycles,
        };
        self.check(&prompt, context_length, last)?;
        Ok(prompt)
    }

    /// Tokens that are neither needle nor haystack.
    fn around(&self) -> usize {
        self.bos.as_slice().len() + self.prefix.len() + self.question.len()
    }

    /// Tokens that a blank line behind the needle takes.
    fn blank_line(&self, placement: Placement) -> usize {
        let with = self.needle.before_blank_line(placement).ids.len();
        with.saturating_sub(self.needle.placed(placement).ids.len())
    }

    /// Tokens left for the haystack and a blank line after the needle, `m`; at least 1 once
    /// [`PromptParts::smallest_context_length`] is kept.
    fn region(&self, context_length: usize, placement: Placement) -> usize {
        context_length - self.around() - self.needle.placed(placement).ids.len()
    }

    /// Chooses where the needle goes in the haystack that begins at token `start`.
    fn slot(&self, context_length: usize, depth: f64, start: usize) -> Slot {
        let m = self.region(context_length, Placement::Sentence);
        let first = Placement::Start;
        let borders_in = |kind, range| self.heads.borders_in(self.haystack, kind, start, range);
        let at_border = |b: Border| match (b.token, b.gap) {
            (0, gap) => Slot { before: 0, placement: first, blank_line: gap == Gap::Before },
            (before, Gap::Own) => {
                Slot { before, placement: Placement::Sentence, blank_line: false }
            }
            (before, Gap::Before) => Slot { before, placement: Placement::Line, blank_line: true },
            (before, Gap::None) => Slot { before, placement: Placement::Joined, blank_line: false },
        };
        let exactly = |before| Slot { before, placement: Placement::Sentence, blank_line: false };
        if depth == 1.0 {
            return exactly(m);
        }
        let exact = (depth * m as f64).round() as usize;
        if exact == 0 {
            let kinds = BorderKind::ALL.into_iter();
            let border = kinds.flat_map(|kind| borders_in(kind, 0..=0)).next();
            let blank_line = border.is_some_and(|b| b.gap == Gap::Before);
            return Slot { before: 0, placement: first, blank_line };
        }
        // `m` differs by a token or two between the placements, hence the check of each.
        let fits = |slot: &Slot| {
            let blank_line = if slot.blank_line { self.blank_line(slot.placement) } else { 0 };
            slot.before + blank_line <= self.region(context_length, slot.placement)
        };
        let distance = |s: &Slot| {
            let m = self.region(context_length, s.placement) as f64;
            (s.before as f64 - depth * m).abs()
        };
        let near = near_tokens(m);
        let window = exact.saturating_sub(near)..=(exact + near).min(m);
        // `min_by` keeps the first of equals: the earlier border.
        let nearest = |kind| {
            let borders = borders_in(kind, window.clone());
            borders.map(at_border).filter(fits).min_by(|a, b| distance(a).total_cmp(&distance(b)))
        };
        let mut kinds = BorderKind::ALL.into_iter().filter(|kind| match kind {
            // Both ends of the haystack are borders of sentences, but not of any use alone.
            BorderKind::Sentence => self.heads.has_sentences(self.haystack, start, m),
            BorderKind::Line | BorderKind::Word => true,
        });
        let whole = || self.heads.whole_characters(self.haystack, start, exact);
        kinds.find_map(nearest).unwrap_or_else(|| exactly(whole()))
    }

    /// The invariants of [`Prompt`], on what came out.
    fn check(&self, prompt: &Prompt, context_length: usize, placed: &PlacedNeedle) -> Result<()> {
        let span = &prompt.needle[0];
        let broken = if prompt.ids.len() != context_length {
            "the length"
        } else if prompt.ids.get(span.clone()) != Some(&placed.ids[placed.span.clone()]) {
            "the needle's span"
        } else if more_bos(self.bos, &prompt.ids, [self.prefix, self.question]) {
            "the number of BOS tokens"
        } else {
            return Ok(());
        };
        Err(Error::bug(format!("{broken} of a prompt is wrong"))
            .got(format!("{} tokens, needle at {span:?}", prompt.ids.len()))
            .expected(format!("{context_length} tokens, {} of needle, one BOS", placed.span.len())))
    }
}

/// Whether `ids` have the token BOS more often than once at their start and in what stands `around`
/// the text, where a chat template may have it again.
fn more_bos(bos: Option<u32>, ids: &[u32], around: [&[u32]; 2]) -> bool {
    bos.is_some_and(|bos| {
        let count = |ids: &[u32]| ids.iter().filter(|&&id| id == bos).count();
        count(ids) != 1 + count(around[0]) + count(around[1])
    })
}

pub mod expected;
pub mod reference_span;

mod published;
mod scattered;

#[cfg(test)]
mod tests;

pub use published::{AroundContext, ContextParts, ContextTokens};
pub use scattered::ScatteredParts;
