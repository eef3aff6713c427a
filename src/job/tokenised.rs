//! What the probes of a job hide, in tokens, and how a prompt is put together from it.

use super::inputs::Inputs;
use crate::chat::ChatTemplate;
use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::haystack::{HaystackTokens, Heads};
use crate::needle::{NeedleTokens, PlacedNeedle, ProbeText};
use crate::plan::Probe;
use crate::prompt::{
    AroundContext, ContextParts, ContextTokens, Prompt, PromptParts, ScatteredParts,
};
use crate::tokenizer::Lead;

/// What stands in the question's place where nothing is asked (QRHead, Zhang et al. 2025).
const NOTHING: &str = "N/A";

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
    Sentence(Box<Sentence>),
    /// The facts of a story and which of them are the supporting ones, scattered.
    Facts(Vec<Vec<u32>>, Vec<usize>, Opening),
    /// A context that has them.
    Context(ContextTokens),
}

/// A needle before the question, and anywhere else.
struct Sentence {
    last: PlacedNeedle,
    needle: NeedleTokens,
    opening: Opening,
}

/// How a haystack begins behind what stands before it.
struct Opening {
    lead: Lead,
    heads: Heads,
}

impl TokenisedText {
    pub fn new(text: &ProbeText, config: &ProbeConfig, inputs: &Inputs) -> Result<Self> {
        let (tokenizer, template) = (&inputs.model.tokenizer, inputs.template(text, config));
        let chat = inputs.chat.as_ref().map(|chat| &chat.template);
        let bos = inputs.bos();
        let (before, after) = chat.map_or(("", ""), |chat| (chat.before(), chat.after()));
        let (template, asked) = match chat.is_some_and(ChatTemplate::trims) {
            true => (&template.trimmed(), text.question().trim_end()),
            false => (template, text.question()),
        };
        let answer_tokens = tokenizer.encode(text.answer())?.len();
        let opened = |lead| Opening { lead, heads: Heads::default() };
        let (prefix, hidden, question) = match text {
            ProbeText::Needle(needle) => {
                let lead = template.lead(tokenizer, before)?;
                let last = needle.last(tokenizer, &template.render(asked), after)?;
                let needle = needle.tokenise(tokenizer, &lead)?;
                let question = template.tokenise(tokenizer, asked, after)?;
                let ids = lead.ids();
                let sentence = Sentence { last, needle, opening: opened(lead) };
                (ids, Hidden::Sentence(Box::new(sentence)), question)
            }
            ProbeText::Facts(facts) => {
                let lead = template.lead(tokenizer, before)?;
                let (tokens, supporting) = (facts.tokenise(tokenizer)?, facts.supporting.clone());
                let question = template.tokenise(tokenizer, asked, after)?;
                (lead.ids(), Hidden::Facts(tokens, supporting, opened(lead)), question)
            }
            ProbeText::Context(context) => {
                let question = template.render(asked);
                let (prefix, question) = (template.parts().0, question.as_str());
                let around = AroundContext { before, prefix, question, after };
                let (prefix, context, question) = ContextTokens::of(context, tokenizer, around)?;
                (prefix, Hidden::Context(context), question)
            }
        };
        // A template prints BOS itself.
        let own = usize::from(chat.is_some() && bos.is_some());
        let prefix = prefix[own..].to_vec();
        let thinks = chat.is_some_and(ChatTemplate::thinks);
        let max_new_tokens = config.max_new_tokens.of(answer_tokens, thinks);
        Ok(Self { hidden, prefix, question, max_new_tokens })
    }

    /// The tokens of the question part with `N/A` in the question's place: nothing is asked.
    ///
    /// # Errors
    /// As [`crate::tokenizer::Tokenizer::encode`].
    pub fn nothing_asked(
        text: &ProbeText,
        config: &ProbeConfig,
        inputs: &Inputs,
    ) -> Result<Vec<u32>> {
        let chat = inputs.chat.as_ref().map(|chat| &chat.template);
        let after = chat.map_or("", |chat| chat.after());
        let template = inputs.template(text, config);
        let tokenizer = &inputs.model.tokenizer;
        match chat.is_some_and(ChatTemplate::trims) {
            true => template.trimmed().tokenise(tokenizer, NOTHING, after),
            false => template.tokenise(tokenizer, NOTHING, after),
        }
    }

    /// Encodes how the haystack begins in `probes`, which are of this text.
    ///
    /// # Errors
    /// As [`Heads::new`].
    pub fn open<'a>(
        &mut self,
        probes: impl Iterator<Item = &'a Probe>,
        around: &Around,
        inputs: &Inputs,
    ) -> Result<()> {
        let tokens = &around.haystack;
        let starts = probes.map(|probe| tokens.beginning(probe.offset(tokens.ids().len())));
        let Opening { lead, heads } = match &mut self.hidden {
            Hidden::Sentence(sentence) => &mut sentence.opening,
            Hidden::Facts(_, _, opening) => opening,
            Hidden::Context(_) => return Ok(()),
        };
        *heads = Heads::new(&inputs.haystack, tokens, starts, lead, &inputs.model.tokenizer)?;
        Ok(())
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
            Hidden::Sentence(sentence) => PromptPieces::Sentence(PromptParts {
                bos,
                prefix,
                haystack,
                heads: &sentence.opening.heads,
                needle: &sentence.needle,
                question,
                last: Some(&sentence.last),
            }),
            Hidden::Facts(facts, supporting, Opening { heads, .. }) => {
                PromptPieces::Facts(ScatteredParts {
                    bos,
                    prefix,
                    haystack,
                    heads,
                    facts,
                    supporting,
                    question,
                })
            }
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
