//! What the probes of a job hide, in tokens, and how a prompt is put together from it.

use super::inputs::Inputs;
use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::haystack::HaystackTokens;
use crate::needle::{NeedleTokens, ProbeText};
use crate::plan::Probe;
use crate::prompt::{ContextParts, ContextTokens, Prompt, PromptParts, ScatteredParts};

/// What all prompts of a job have in common.
pub(super) struct Around {
    /// The tokenizer's, or the chat template's.
    pub bos: Option<u32>,
    /// The text around needles.
    pub haystack: HaystackTokens,
}

/// A probe's text in tokens, with its question and the limit of its answer.
pub(super) struct TokenisedText {
    hidden: Hidden,
    /// The tokens between BOS and haystack.
    prefix: Vec<u32>,
    question: Vec<u32>,
    pub max_new_tokens: usize,
}

enum Hidden {
    /// A sentence, at a depth.
    Sentence(NeedleTokens),
    /// The facts of a story and which of them are the supporting ones, scattered.
    Facts(Vec<Vec<u32>>, Vec<usize>),
    /// A context that has them.
    Context(ContextTokens),
}

impl TokenisedText {
    pub fn new(text: &ProbeText, config: &ProbeConfig, inputs: &Inputs) -> Result<Self> {
        let (tokenizer, template) = (&inputs.model.tokenizer, inputs.template(text, config));
        let (prefix, question) = match &inputs.chat {
            None => (
                template.tokenise_prefix(tokenizer)?,
                template.tokenise(tokenizer, text.question())?,
            ),
            Some(chat) => {
                let (template, asked) = match chat.template.trims() {
                    true => (&template.trimmed(), text.question().trim_end()),
                    false => (template, text.question()),
                };
                let prefix = template.tokenise_prefix(tokenizer)?;
                let question = template.tokenise(tokenizer, asked)?;
                ([&chat.before[..], &prefix].concat(), [&question[..], &chat.after].concat())
            }
        };
        let answer_tokens = tokenizer.encode(text.answer())?.len();
        let hidden = match text {
            ProbeText::Needle(needle) => Hidden::Sentence(needle.tokenise(tokenizer)?),
            ProbeText::Facts(facts) => {
                Hidden::Facts(facts.tokenise(tokenizer)?, facts.supporting.clone())
            }
            ProbeText::Context(context) => Hidden::Context(ContextTokens::of(context, tokenizer)?),
        };
        Ok(Self {
            hidden,
            prefix,
            question,
            max_new_tokens: config.max_new_tokens.of(answer_tokens),
        })
    }

    /// The smallest context length; of a context, which has only one, that.
    pub fn smallest_context_length(&self, around: &Around) -> usize {
        match self.parts(around) {
            PromptPieces::Sentence(parts) => parts.smallest_context_length(),
            PromptPieces::Facts(parts) => parts.smallest_context_length(),
            PromptPieces::Context(parts) => parts.context_length(),
        }
    }

    /// The prompt of a probe.
    ///
    /// # Errors
    /// As the `assemble` of its parts; [`Error::Bug`] if the probe is not of such a needle.
    pub fn prompt(&self, probe: &Probe, around: &Around) -> Result<Prompt> {
        let offset = probe.offset(around.haystack.ids().len());
        match (self.parts(around), probe.depth) {
            (PromptPieces::Sentence(parts), Some(depth)) => {
                parts.assemble(probe.context_length, depth, offset)
            }
            (PromptPieces::Facts(parts), None) => {
                let depths = probe.fact_depths(parts.facts.len());
                parts.assemble(probe.context_length, &depths, offset)
            }
            (PromptPieces::Context(parts), None) => parts.assemble(probe.context_length),
            _ => Err(Error::bug("a probe and its text do not belong together").got(probe.id)),
        }
    }

    fn parts<'a>(&'a self, around: &'a Around) -> PromptPieces<'a> {
        let Around { bos, haystack } = around;
        let (bos, prefix, question) = (*bos, &self.prefix[..], &self.question[..]);
        match &self.hidden {
            Hidden::Sentence(needle) => {
                PromptPieces::Sentence(PromptParts { bos, prefix, haystack, needle, question })
            }
            Hidden::Facts(facts, supporting) => PromptPieces::Facts(ScatteredParts {
                bos,
                prefix,
                haystack,
                facts,
                supporting,
                question,
            }),
            Hidden::Context(context) => {
                PromptPieces::Context(ContextParts { bos, prefix, context, question })
            }
        }
    }
}

/// What one prompt is put together from.
enum PromptPieces<'a> {
    Sentence(PromptParts<'a>),
    Facts(ScatteredParts<'a>),
    Context(ContextParts<'a>),
}
