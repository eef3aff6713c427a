//! [`Job`]: the plan and all that its prompts are made of. Nothing here needs the weights.

use std::ops::Range;

use super::inputs::{Inputs, ModelFiles};
use crate::error::{Error, Result};
use crate::haystack::HaystackTokens;
use crate::needle::NeedleTokens;
use crate::plan::{Plan, Probe};
use crate::prompt::{Prompt, PromptParts, ScatteredParts};
use crate::reference_span::SpanRule;
use crate::run_config::{Lengths, ProbeConfig, ProbeSource};

/// What is hidden, in tokens.
enum Hidden {
    /// A sentence, at a depth.
    Sentence(NeedleTokens),
    /// The facts of a story and which of them are the supporting ones, scattered.
    Facts(Vec<Vec<u32>>, Vec<usize>),
}

/// A needle in tokens, with its question and the limit of its answer.
struct TokenisedNeedle {
    hidden: Hidden,
    question: Vec<u32>,
    max_new_tokens: usize,
}

/// What one prompt is put together from.
enum Parts<'a> {
    Sentence(PromptParts<'a>),
    Facts(ScatteredParts<'a>),
}

/// All probes of a run, ready to be assembled one by one.
pub struct Job {
    /// The probes.
    pub plan: Plan,
    /// Context lengths that are run, ascending.
    pub context_lengths: Vec<usize>,
    /// Ids that end an answer, ascending.
    pub stop_ids: Vec<u32>,
    haystack: HaystackTokens,
    needles: Vec<TokenisedNeedle>,
    bos: Option<u32>,
    prefix: Vec<u32>,
    span_rule: Option<SpanRule>,
}

impl Job {
    /// Plans the probes of `config` and checks that each can be run.
    ///
    /// # Errors
    /// [`Error::Usage`] for a context too short for a needle or too long for the model, and the
    /// errors of [`Plan::new`] and of the tokenizer.
    pub fn new(config: &ProbeConfig, inputs: &Inputs) -> Result<Self> {
        let tokenizer = &inputs.model.tokenizer;
        let haystack = inputs.haystack.tokenise(tokenizer)?;
        let tokenised = inputs.needles.iter().map(|needle| {
            let answer_tokens = tokenizer.encode(&needle.answer)?.len();
            Ok(TokenisedNeedle {
                hidden: match &needle.story {
                    None => Hidden::Sentence(needle.tokenise(tokenizer)?),
                    Some(story) => {
                        Hidden::Facts(needle.tokenise_facts(tokenizer)?, story.supporting.clone())
                    }
                },
                question: config.template.tokenise(tokenizer, &needle.question)?,
                max_new_tokens: config.max_new_tokens.of(answer_tokens),
            })
        });
        let needles = tokenised.collect::<Result<Vec<_>>>()?;
        let longest_answer = needles.iter().map(|n| n.max_new_tokens).max().unwrap_or(0);
        let context_lengths = context_lengths(config, &inputs.model, longest_answer)?;
        let common = fingerprint(config, inputs);
        let (needles_in, lengths) = (&inputs.needles, &context_lengths);
        let (repeats, seed) = (config.repeats, config.seed);
        let plan = match config.source {
            ProbeSource::Needles => {
                Plan::new(&common, needles_in, lengths, &config.depths, repeats, seed)
            }
            ProbeSource::Babilong(_) => {
                Plan::of_stories(&common, needles_in, lengths, repeats, seed)
            }
        }?;
        let stop_ids = config.stop.ids(&inputs.model.config.eos, tokenizer);
        let bos = tokenizer.bos();
        let prefix = config.template.tokenise_prefix(tokenizer)?;
        let span_rule = config.span_rule;
        let job =
            Self { plan, context_lengths, stop_ids, haystack, needles, bos, prefix, span_rule };
        job.check_shortest(inputs)?;
        Ok(job)
    }

    /// The prompt of one probe.
    ///
    /// # Errors
    /// As [`PromptParts::assemble`].
    pub fn prompt(&self, probe: &Probe) -> Result<Prompt> {
        let offset = probe.offset(self.haystack.ids().len());
        match (self.parts(probe.needle), probe.depth) {
            (Parts::Sentence(parts), Some(depth)) => {
                parts.assemble(probe.context_length, depth, offset)
            }
            (Parts::Facts(parts), None) => {
                let depths = probe.fact_depths(parts.facts.len());
                parts.assemble(probe.context_length, &depths, offset)
            }
            _ => Err(Error::bug("a probe and its needle do not belong together").got(probe.id)),
        }
    }

    /// The needle's spans in `prompt` as the scores are to see them.
    pub fn score_spans(&self, prompt: &Prompt) -> Vec<Range<usize>> {
        match self.span_rule {
            Some(rule) => rule.spans(prompt, self.bos),
            None => prompt.needle.clone(),
        }
    }

    /// Most tokens of one probe's answer.
    pub fn max_new_tokens(&self, probe: &Probe) -> usize {
        self.needles[probe.needle].max_new_tokens
    }

    /// Most tokens of any answer.
    pub fn longest_answer(&self) -> usize {
        self.needles.iter().map(|n| n.max_new_tokens).max().unwrap_or(0)
    }

    /// Tokens of the haystack, before it repeats.
    pub fn haystack_tokens(&self) -> usize {
        self.haystack.ids().len()
    }

    /// Tokens of all prompts.
    pub fn prompt_tokens(&self) -> u64 {
        self.plan.probes.iter().map(|p| p.context_length as u64).sum()
    }

    fn parts(&self, needle: usize) -> Parts<'_> {
        let TokenisedNeedle { hidden, question, .. } = &self.needles[needle];
        let (bos, prefix, haystack) = (self.bos, &self.prefix[..], &self.haystack);
        match hidden {
            Hidden::Sentence(needle) => {
                Parts::Sentence(PromptParts { bos, prefix, haystack, needle, question })
            }
            Hidden::Facts(facts, supporting) => {
                Parts::Facts(ScatteredParts { bos, prefix, haystack, facts, supporting, question })
            }
        }
    }

    /// Every needle has room in the shortest context.
    fn check_shortest(&self, inputs: &Inputs) -> Result<()> {
        let smallest = |n: usize| match self.parts(n) {
            Parts::Sentence(parts) => parts.smallest_context_length(),
            Parts::Facts(parts) => parts.smallest_context_length(),
        };
        let worst = (0..self.needles.len()).max_by_key(|&n| smallest(n));
        let (Some(worst), Some(&shortest)) = (worst, self.context_lengths.first()) else {
            return Err(Error::bug("a plan without needles or lengths"));
        };
        let needed = smallest(worst);
        if needed <= shortest {
            return Ok(());
        }
        Err(Error::usage("needle and question do not fit into the context")
            .at(format!("needle {}", inputs.needles[worst].id))
            .got(format!("context length {shortest}"))
            .expected(format!("at least {needed} tokens"))
            .advice(format!(
                "--min-len {needed} or --lengths {needed}, or shorter needles or stories"
            )))
    }
}

/// What the prompts of all probes have in common: haystack, template and tokenizer.
fn fingerprint(config: &ProbeConfig, inputs: &Inputs) -> String {
    let files = inputs.haystack.files().iter().map(|file| file.sha256.as_str());
    let others = [inputs.model.tokenizer.sha256(), config.template.text()];
    files.chain(others).collect::<Vec<_>>().join("\n")
}

/// The lengths to run: those asked for, or of the default ones those that the model is made for.
fn context_lengths(
    config: &ProbeConfig,
    model: &ModelFiles,
    longest_answer: usize,
) -> Result<Vec<usize>> {
    let positions = model.config.max_positions;
    let fits = |length: usize| {
        config.allow_extrapolation || length.saturating_add(longest_answer) <= positions
    };
    match &config.lengths {
        Lengths::Asked(lengths) => match lengths.iter().rev().find(|&&length| !fits(length)) {
            None => Ok(lengths.clone()),
            Some(length) => Err(Error::usage("the context is longer than the model is made for")
                .at(format!("context length {length}"))
                .got(format!("{length} tokens of prompt and up to {longest_answer} of answer"))
                .expected(format!(
                    "at most max_position_embeddings = {positions} of {}",
                    model.name
                ))
                .advice(format!(
                    "lengths up to {}, or --allow-extrapolation",
                    positions.saturating_sub(longest_answer)
                ))),
        },
        Lengths::Default(lengths) => {
            let kept: Vec<usize> = lengths.iter().copied().filter(|&l| fits(l)).collect();
            match (kept.is_empty(), positions.saturating_sub(longest_answer)) {
                (false, _) => Ok(kept),
                (true, 0) => Err(Error::usage("the model has no room for a prompt")
                    .at("--max-new-tokens")
                    .got(longest_answer)
                    .expected(format!("less than max_position_embeddings = {positions}"))),
                (true, most) => Ok(vec![most]),
            }
        }
    }
}
