//! Prompts whose context is published with its facts in it.
//!
//! ```text
//! [BOS] prefix context question part
//! ```

use std::ops::Range;

use super::Prompt;
use crate::error::{Error, Result};
use crate::needle::{PublishedContext, overlapping};
use crate::tokenizer::Tokenizer;

/// A published context in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextTokens {
    ids: Vec<u32>,
    supporting: Vec<Range<usize>>,
    distractors: Vec<Range<usize>>,
}

impl ContextTokens {
    /// Encodes a context as one text; a token that shares a byte with a fact is the fact's.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn of(context: &PublishedContext, tokenizer: &Tokenizer) -> Result<Self> {
        let text = context.text.trim();
        let encoded = tokenizer.encode_with_offsets(text)?;
        let lead = context.text.len() - context.text.trim_start().len();
        let tokens = |facts: &[Range<usize>]| -> Vec<Range<usize>> {
            let bytes = facts.iter().map(|r| r.start - lead..r.end - lead);
            bytes.filter_map(|r| overlapping(&encoded.offsets, &r)).collect()
        };
        let (supporting, distractors) = (tokens(&context.supporting), tokens(&context.distractors));
        Ok(Self { ids: encoded.ids, supporting, distractors })
    }
}

/// The parts of a prompt with a published context.
#[derive(Debug, Clone, Copy)]
pub struct ContextParts<'a> {
    /// [`Tokenizer::bos`].
    pub bos: Option<u32>,
    /// [`super::PromptTemplate::tokenise_prefix`].
    pub prefix: &'a [u32],
    /// The context.
    pub context: &'a ContextTokens,
    /// [`super::PromptTemplate::tokenise`], `[q]`.
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
        let tokens = ContextTokens::of(&context, tokenizer).unwrap();
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
