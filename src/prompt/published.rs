//! Prompts whose context is published with its facts in it.
//!
//! ```text
//! [BOS] prefix context question part
//! ```

use std::ops::Range;

use super::Prompt;
use crate::error::{Error, Result};
use crate::needle::{PublishedContext, overlapping};
use crate::tokenizer::{Encoded, Tokenizer};

/// A published context in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextTokens {
    ids: Vec<u32>,
    supporting: Vec<Range<usize>>,
    distractors: Vec<Range<usize>>,
}

/// What stands before a context and behind it, the texts of a chat template outside.
#[derive(Debug, Clone, Copy, Default)]
pub struct AroundContext<'a> {
    /// Of a chat template; what is spelled like a special token in it is one.
    pub before: &'a str,
    /// The beginning of the prompt template.
    pub prefix: &'a str,
    /// The question part.
    pub question: &'a str,
    /// Of a chat template.
    pub after: &'a str,
}

impl ContextTokens {
    /// Encodes a prompt as one text, and cuts it: the ids before the context, the context, the ids
    /// behind it. A token that shares a byte with a fact is the fact's.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn of(
        context: &PublishedContext,
        tokenizer: &Tokenizer,
        around: AroundContext,
    ) -> Result<(Vec<u32>, Self, Vec<u32>)> {
        let AroundContext { before, prefix, question, after } = around;
        let text = context.text.trim();
        let message =
            tokenizer.encode_between(before, &format!("{prefix}{text}{question}"), after)?;
        let Encoded { ids, offsets } = &message.text;
        let (begin, end) = (prefix.len(), prefix.len() + text.len());
        let first = offsets.iter().take_while(|o| o.1 <= begin).count();
        let last = first + offsets[first..].iter().take_while(|o| o.0 < end).count();
        let trimmed = context.text.len() - context.text.trim_start().len();
        let tokens = |facts: &[Range<usize>]| -> Vec<Range<usize>> {
            let moved = |r: &Range<usize>| r.start - trimmed + begin..r.end - trimmed + begin;
            let spans = facts.iter().filter_map(|r| overlapping(offsets, &moved(r)));
            spans.map(|span| span.start - first..span.end - first).collect()
        };
        let (supporting, distractors) = (tokens(&context.supporting), tokens(&context.distractors));
        let context = Self { ids: ids[first..last].to_vec(), supporting, distractors };
        let behind = [&ids[last..], &message.after].concat();
        Ok(([&message.before, &ids[..first]].concat(), context, behind))
    }
}

/// The parts of a prompt with a published context.
#[derive(Debug, Clone, Copy)]
pub struct ContextParts<'a> {
    /// [`Tokenizer::bos`].
    pub bos: Option<u32>,
    /// What stands before the context, without BOS.
    pub prefix: &'a [u32],
    /// The context.
    pub context: &'a ContextTokens,
    /// What stands behind it, `[q]`.
    pub question: &'a [u32],
}

impl ContextParts<'_> {
    /// Tokens of the prompt.
    pub fn context_length(&self) -> usize {
        self.lead() + self.context.ids.len() + self.question.len()
    }

    /// The prompt. Its needle is empty where the supporting facts are not known.
    ///
    /// # Errors
    /// [`Error::Bug`] if `context_length` is not that of the prompt.
    pub fn assemble(&self, context_length: usize) -> Result<Prompt> {
        let ContextTokens { ids, supporting, distractors } = self.context;
        let lead = self.lead();
        let shifted = |spans: &[Range<usize>]| -> Vec<Range<usize>> {
            spans.iter().map(|s| s.start + lead..s.end + lead).collect()
        };
        let depth = |span: &Range<usize>| span.start as f64 / ids.len() as f64;
        let depths = supporting.iter().map(depth).sum::<f64>();
        let prompt = Prompt {
            ids: [self.bos.as_slice(), self.prefix, ids, self.question].concat(),
            needle: shifted(supporting),
            distractors: shifted(distractors),
            before_question: lead + ids.len(),
            depth_asked: None,
            depth_reached: depths / supporting.len().max(1) as f64,
            haystack_cycles: 1,
        };
        match prompt.ids.len() == context_length {
            true => Ok(prompt),
            false => Err(Error::bug("the length of a prompt is wrong")
                .got(prompt.ids.len())
                .expected(context_length)),
        }
    }

    fn lead(&self) -> usize {
        self.bos.as_slice().len() + self.prefix.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needle::SubTask;
    use crate::tokenizer::samples::byte_level;

    #[test]
    fn spans_are_those_of_the_facts_behind_prefix_and_bos() {
        let tokenizer = byte_level();
        let text = "\n The sea. Mary went to the office. The wall. John left.";
        let at = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let context = PublishedContext {
            id: "qa1-1".to_owned(),
            task: SubTask { number: 0, name: "qa1", labels: &[] },
            place: "qa1.json:1".to_owned(),
            text: text.to_owned(),
            supporting: vec![at("Mary went to the office.")],
            distractors: vec![at("John left.")],
            question: "Where is Mary?".to_owned(),
            answer: "office".to_owned(),
        };
        let around = AroundContext::default();
        let (_, tokens, _) = ContextTokens::of(&context, tokenizer, around).unwrap();
        let parts =
            ContextParts { bos: Some(0), prefix: &[7, 8], context: &tokens, question: &[9] };
        let prompt = parts.assemble(parts.context_length()).unwrap();
        // A space before a word may be a part of the word's token.
        let said = |spans: &[Range<usize>]| {
            let text = tokenizer.decode(&prompt.ids[spans[0].clone()]).unwrap();
            text.trim_start().to_owned()
        };
        assert_eq!(said(&prompt.needle), "Mary went to the office.");
        assert_eq!(said(&prompt.distractors), "John left.");
        assert_eq!(prompt.ids[..3], [0, 7, 8]);
        assert_eq!(prompt.ids.last(), Some(&9));
        assert!((0.0..0.5).contains(&prompt.depth_reached));
        assert_eq!(parts.assemble(3).unwrap_err().exit_code(), 1);
    }
}
