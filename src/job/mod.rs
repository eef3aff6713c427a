//! [`Job`]: the plan and all that its prompts are made of. Nothing here needs the weights.

mod inputs;
mod lengths;
mod memory;
mod placing;
mod provenance;
mod replay;
mod session;
mod source;
mod tokenised;

#[cfg(test)]
mod message_tests;

pub use inputs::{Inputs, ModelFiles, ModelShape};
pub(crate) use inputs::{check_file_name_part, check_ids};
pub(crate) use lengths::context_lengths;
pub use memory::MemoryEstimate;
pub(crate) use memory::{check as check_memory, further_bytes};
pub use placing::{FarFromDepth, Placing};
pub(crate) use provenance::{
    ChatMeta, HaystackMeta, ModelMeta, OF_WEIGHTS, Provenance, Running, TokenizerMeta, fingerprint,
    set_outcome, text_sha256, to_value,
};
pub(crate) use replay::check_replay;
pub use replay::replay;
pub use session::{Session, open};
pub use source::{ProbeSource, ProbeTexts, RowsFile, TextsOrigin};

use std::ops::Range;

use crate::config::{MaxNewTokens, ProbeConfig};
use crate::error::{Error, Result};
use crate::needle::ProbeText;
use crate::plan::{Plan, Probe};
use crate::prompt::Prompt;
use crate::prompt::reference_span::SpanRule;
use tokenised::{Around, TokenisedText};

/// Whether probes are run whose needle is known to be somewhere in the prompt, but not where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedleSpans {
    /// Only those whose needle can be scored.
    Known,
    /// All: only the answers are of interest.
    Any,
}

/// How long prompts and answers are, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Of the shortest prompt.
    pub shortest_prompt: usize,
    /// Of the longest prompt.
    pub longest_prompt: usize,
    /// Most of any answer.
    pub longest_answer: usize,
}

/// A prompt with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkPrompt {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// How many of them are not run, because the prompt before begins with them, too.
    pub reused: usize,
    /// Most tokens of an answer.
    pub new_tokens: usize,
}

/// What is run: prompts and answers, known without a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// All prompts.
    pub prompts: Vec<WorkPrompt>,
    /// Answers to every prompt; one for each setting of a comparison.
    pub answers: usize,
    /// How many prompts are answered together.
    pub batch: usize,
    /// How many threads do so at the same time.
    pub walks: usize,
    /// Bytes per prompt token beside the model's own and one cache.
    pub extra_per_token_bytes: u64,
    /// Whether attention is added up beside the prompts.
    pub statistics: bool,
    /// Whether all tokens of a prompt are of use behind the last layer, not the last one alone.
    pub followed: bool,
}

/// All probes of a run, ready to be assembled one by one.
pub struct Job {
    /// The probes.
    pub plan: Plan,
    /// Context lengths that are run, ascending; of published rows the powers of two that theirs are
    /// at most.
    pub context_lengths: Vec<usize>,
    /// Ids that end an answer, ascending.
    pub stop_ids: Vec<u32>,
    /// How many places of the grid have prompts of their own, and how near needles stand to where
    /// they were asked to be.
    pub placing: Placing,
    /// What is left out or falls together, and why.
    pub notes: Vec<String>,
    around: Around,
    needles: Vec<TokenisedText>,
    span_rule: Option<SpanRule>,
}

impl Job {
    /// Plans the probes of `config` and puts each prompt together once: those that are the same are
    /// one probe.
    ///
    /// # Errors
    /// [`Error::Usage`] for a context too short for a needle or too long for the model,
    /// [`Error::Model`] for a prompt with an id that the model has not, and the errors of
    /// [`Plan::new`] and of the tokenizer.
    pub fn new(config: &ProbeConfig, inputs: &Inputs, spans: NeedleSpans) -> Result<Self> {
        let tokenizer = &inputs.model.tokenizer;
        let around = Around { bos: inputs.bos(), haystack: inputs.haystack.tokenise(tokenizer)? };
        let texts = &inputs.probes.texts;
        let tokenised = |text: &ProbeText| TokenisedText::new(text, config, inputs);
        let mut needles = texts.iter().map(tokenised).collect::<Result<Vec<_>>>()?;
        let longest_answer = needles.iter().map(|n| n.max_new_tokens).max().unwrap_or(0);
        let common = common_inputs(config, inputs);
        let (repeats, seed) = (config.repeats, config.seed);
        let mut notes = thinking_note(config, inputs, longest_answer);
        let (plan, context_lengths) = if inputs.probes.are_contexts() {
            let lengths: Vec<usize> =
                needles.iter().map(|n| n.smallest_context_length(&around)).collect();
            let rows = ContextRows { config, inputs, lengths: &lengths, longest_answer, spans };
            let chosen = rows.chosen(&mut notes)?;
            let mut rounded: Vec<usize> =
                chosen.iter().map(|&row| lengths[row].next_power_of_two()).collect();
            rounded.sort_unstable();
            rounded.dedup();
            let rows: Vec<(usize, usize)> =
                chosen.into_iter().map(|row| (row, lengths[row])).collect();
            (Plan::of_contexts(&common, texts, &rows), rounded)
        } else {
            let lengths = context_lengths(config, &inputs.model, longest_answer)?;
            let plan = match inputs.probes.have_depths() {
                true => Plan::new(&common, texts, &lengths, &config.depths, repeats, seed),
                false => Plan::of_stories(&common, texts, &lengths, repeats, seed),
            };
            check_shortest(&lengths, &needles, &around, inputs)?;
            (plan?, lengths)
        };
        for (i, needle) in needles.iter_mut().enumerate() {
            needle.open(plan.probes.iter().filter(|p| p.needle == i), &around, inputs)?;
        }
        let stop = config.stop_rule(inputs.chat.is_some());
        let stop_ids = stop.ids(&inputs.model.config.eos, tokenizer);
        let span_rule = config.span_rule;
        let prompt = |probe: &Probe| {
            let prompt = needles[probe.needle].prompt(probe, &around)?;
            let refused = |e: Error| e.at(format!("needle {}", texts[probe.needle].id()));
            inputs.model.check_ids(&prompt.ids).map_err(refused)?;
            Ok(prompt)
        };
        let (plan, placing) = placing::place(plan, prompt)?;
        notes.extend(placing.notes());
        Ok(Self { plan, context_lengths, stop_ids, placing, notes, around, needles, span_rule })
    }

    /// The prompt of one probe.
    ///
    /// # Errors
    /// As [`crate::prompt::PromptParts::assemble`] and its like.
    pub fn prompt(&self, probe: &Probe) -> Result<Prompt> {
        self.needles[probe.needle].prompt(probe, &self.around)
    }

    /// What stands behind the haystack of `probe`'s prompt where nothing is asked; `config` and
    /// `inputs` are the job's.
    ///
    /// # Errors
    /// As [`crate::tokenizer::Tokenizer::encode`].
    pub fn nothing_asked(
        &self,
        probe: &Probe,
        config: &ProbeConfig,
        inputs: &Inputs,
    ) -> Result<Vec<u32>> {
        TokenisedText::nothing_asked(&inputs.probes.texts[probe.needle], config, inputs)
    }

    /// The one of [`Job::context_lengths`] that a probe is counted under.
    pub fn length_group(&self, context_length: usize) -> usize {
        length_group(&self.context_lengths, context_length)
    }

    /// The needle's spans in `prompt` as the scores are to see them.
    pub fn score_spans(&self, prompt: &Prompt) -> Vec<Range<usize>> {
        match self.span_rule {
            Some(rule) => rule.spans(prompt, self.around.bos),
            None => prompt.needle.clone(),
        }
    }

    /// Most tokens of one probe's answer.
    pub fn max_new_tokens(&self, probe: &Probe) -> usize {
        self.needles[probe.needle].max_new_tokens
    }

    /// How long prompts and answers are.
    pub fn extent(&self) -> Extent {
        let lengths = || self.plan.probes.iter().map(|p| p.context_length);
        Extent {
            shortest_prompt: lengths().min().unwrap_or(0),
            longest_prompt: lengths().max().unwrap_or(0),
            longest_answer: self.needles.iter().map(|n| n.max_new_tokens).max().unwrap_or(0),
        }
    }

    /// The name of the shortest probe, the first of equal ones.
    pub fn shortest_probe(&self) -> String {
        let shortest = self.plan.probes.iter().min_by_key(|p| p.context_length);
        shortest.map(|probe| probe.id.to_string()).unwrap_or_default()
    }

    /// Tokens of the haystack, before it repeats.
    pub fn haystack_tokens(&self) -> usize {
        self.around.haystack.ids().len()
    }

    /// Tokens of all prompts.
    pub fn prompt_tokens(&self) -> u64 {
        self.plan.probes.iter().map(|p| p.context_length as u64).sum()
    }
}

/// The one of `lengths`, ascending, that a probe of `context_length` tokens is counted under.
pub(crate) fn length_group(lengths: &[usize], context_length: usize) -> usize {
    let group = lengths.iter().find(|&&length| length >= context_length);
    group.copied().unwrap_or(context_length)
}

/// What the user should know of a model that thinks before it answers.
fn thinking_note(config: &ProbeConfig, inputs: &Inputs, longest_answer: usize) -> Vec<String> {
    let thinks = inputs.chat.as_ref().is_some_and(|chat| chat.template.thinks());
    let asked = match config.max_new_tokens {
        MaxNewTokens::Default => "--max-new-tokens for more",
        MaxNewTokens::Fixed(_) | MaxNewTokens::OfReferences(_) => "as asked for",
    };
    let note = format!(
        "the model thinks before it answers: {longest_answer} tokens for both ({asked}); only what \
         comes behind the thinking is judged"
    );
    thinks.then_some(note).into_iter().collect()
}

/// Every needle has room in the shortest context.
fn check_shortest(
    lengths: &[usize],
    needles: &[TokenisedText],
    around: &Around,
    inputs: &Inputs,
) -> Result<()> {
    let smallest = |n: usize| needles[n].smallest_context_length(around);
    let worst = (0..needles.len()).max_by_key(|&n| smallest(n));
    let (Some(worst), Some(&shortest)) = (worst, lengths.first()) else {
        return Err(Error::bug("a plan without needles or lengths"));
    };
    let needed = smallest(worst);
    if needed <= shortest {
        return Ok(());
    }
    Err(Error::usage("needle and question do not fit into the context")
        .at(format!("needle {}", inputs.probes.texts[worst].id()))
        .got(format!("context length {shortest}"))
        .expected(format!("at least {needed} tokens"))
        .advice(format!("--min-len {needed} or --lengths {needed}, or shorter needles or stories")))
}

/// Published rows with the lengths of their prompts.
struct ContextRows<'a> {
    config: &'a ProbeConfig,
    inputs: &'a Inputs,
    lengths: &'a [usize],
    longest_answer: usize,
    spans: NeedleSpans,
}

impl ContextRows<'_> {
    /// The rows that are run, by their index; what is left out is told in `notes`.
    ///
    /// # Errors
    /// [`Error::Usage`] if none is left.
    fn chosen(&self, notes: &mut Vec<String>) -> Result<Vec<usize>> {
        let positions = self.inputs.model.config.max_positions;
        let most = positions.saturating_sub(self.longest_answer);
        let placed = |row: &usize| match &self.inputs.probes.texts[*row] {
            ProbeText::Context(context) => !context.supporting.is_empty(),
            ProbeText::Needle(_) | ProbeText::Facts(_) => true,
        };
        let all = 0..self.lengths.len();
        let fits = |row: &usize| self.config.allow_extrapolation || self.lengths[*row] <= most;
        let fitting: Vec<usize> = all.clone().filter(fits).collect();
        let (found, lost): (Vec<usize>, Vec<usize>) =
            fitting.iter().partition(|row| self.spans == NeedleSpans::Any || placed(row));
        let long = all.len() - fitting.len();
        if long > 0 {
            notes.push(format!(
                "{long} of {} rows are left out: their prompts are longer than {most} tokens, what \
                 {} has room for (--allow-extrapolation runs them)",
                all.len(),
                self.inputs.model.name
            ));
        }
        if !lost.is_empty() {
            notes.push(format!(
                "{} of {} rows are left out: where their supporting facts are is not known",
                lost.len(),
                all.len()
            ));
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(Error::usage("no row can be run")
                .at("--task-data")
                .got(format!("{long} rows too long, {} without known facts", lost.len()))
                .expected(format!("prompts of at most {most} tokens whose facts can be found"))
                .advice("shorter rows, --allow-extrapolation, or tasks whose facts can be found")),
        }
    }
}

/// What the prompts of all probes have in common: haystack, templates and tokenizer.
fn common_inputs(config: &ProbeConfig, inputs: &Inputs) -> String {
    let files = inputs.haystack.files().iter().map(|file| file.sha256.as_str());
    let others = [inputs.model.tokenizer.sha256(), config.template.text()];
    let spaces = inputs.model.tokenizer.spaces();
    let prompts = inputs.probes.template_files.iter().map(|(_, sha256)| sha256.as_str());
    let chat = inputs.chat.as_ref().map(|chat| &chat.template);
    let chat = chat.into_iter().flat_map(|t| [t.before(), t.after()]);
    files.chain(others).chain(spaces).chain(prompts).chain(chat).collect::<Vec<_>>().join("\n")
}

/// Refuses a window that leaves nothing to choose from of the shortest prompt, that of `row`.
///
/// # Errors
/// [`Error::Usage`] with both numbers and the row.
pub(crate) fn check_window(extent: Extent, row: &str, window_tokens: usize) -> Result<()> {
    let shortest = extent.shortest_prompt;
    match window_tokens < shortest {
        true => Ok(()),
        false => Err(Error::usage("the window leaves no token to choose")
            .at(format!("--window-size, and {row}"))
            .got(window_tokens)
            .expected(format!("less than {shortest}, the length of the shortest prompt"))
            .advice("a smaller --window-size, or longer prompts")),
    }
}
