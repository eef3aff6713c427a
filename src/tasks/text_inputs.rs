//! [`TextInputs`]: what tasks whose prompts are whole texts read before the weights.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::TextPromptLimits;
use crate::chat::{Chat, ChatMode};
use crate::config::{ProbeConfig, THINKING_TOKENS};
use crate::error::{Error, Result};
use crate::haystack::Haystack;
use crate::job::{ChatMeta, HaystackMeta, ModelFiles, ModelMeta, Running, TokenizerMeta};
use crate::system::digest::sha256;

/// Everything but the rows and the weights.
pub struct TextInputs {
    /// The model.
    pub model: ModelFiles,
    /// The essays that prompts were made of.
    pub haystack: Option<Haystack>,
    /// The lengths that prompts were made to, ascending.
    pub context_lengths: Vec<usize>,
    /// Files with rows that are asked.
    pub files: Vec<DataFile>,
    /// Files with wording.
    pub prompt_files: Vec<DataFile>,
    /// How prompts and answers end.
    pub limits: TextPromptLimits,
    /// Rows of each task, data set or file; `None` for all.
    pub samples: Option<usize>,
    /// Most tokens of an answer, where that was asked for.
    pub max_new_tokens: Option<usize>,
    /// How code is compared, if that plays a part.
    pub code_similarity: Option<&'static str>,
    /// Data sets whose answers end at a line break, too.
    pub line_break_ends: Vec<&'static str>,
    /// Data sets whose answers do not begin with what ends them.
    pub never_empty: Vec<&'static str>,
}

/// A file that was read.
#[derive(Debug, Serialize)]
pub struct DataFile {
    path: String,
    sha256: String,
    /// How many of its rows are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
}

impl TextInputs {
    /// With nothing but the model and its limits.
    pub fn new(model: ModelFiles, limits: TextPromptLimits) -> Self {
        Self {
            model,
            haystack: None,
            context_lengths: Vec::new(),
            files: Vec::new(),
            prompt_files: Vec::new(),
            limits,
            samples: None,
            max_new_tokens: None,
            code_similarity: None,
            line_break_ends: Vec::new(),
            never_empty: Vec::new(),
        }
    }
}

impl DataFile {
    /// A file of which `rows` rows are asked.
    ///
    /// # Errors
    /// [`Error::Data`] if it cannot be read again.
    pub fn new(path: &Path, rows: Option<usize>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("a data file cannot be read again").at(path.display()).got(e)
        })?;
        Ok(Self { path: path.display().to_string(), sha256: sha256(bytes), rows })
    }
}

/// What rows of whole texts were made of.
#[derive(Serialize)]
pub(crate) struct TextProvenance<'a> {
    model: ModelMeta<'a>,
    tokenizer: TokenizerMeta<'a>,
    /// The essays of prompts that were made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    haystack: Option<HaystackMeta<'a>>,
    data: DataMeta<'a>,
    prompt: TextPromptMeta<'a>,
    seed: u64,
    device: &'a str,
    dtype: String,
}

#[derive(Serialize)]
struct DataMeta<'a> {
    files: &'a [DataFile],
    /// Rows of each task, data set or file; `None`: all of them.
    samples: Option<usize>,
    /// Lengths that prompts were made to.
    context_lengths: &'a [usize],
}

#[derive(Serialize)]
struct TextPromptMeta<'a> {
    /// Files with wording and lengths of answers; what they do not have is headprof's own.
    wording: &'a [DataFile],
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatMeta<'a>>,
    /// `None`: prompts are not shortened.
    max_prompt_tokens: Option<usize>,
    /// `None`: every task or data set has its own.
    max_new_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_similarity: Option<&'static str>,
    stop: &'static str,
    /// Data sets whose answers end at a line break, too.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    line_break_ends: &'a [&'static str],
    /// Data sets whose first token is none of those that end an answer.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    never_empty: &'a [&'static str],
    eos_ids: &'a [u32],
    chunk_tokens: usize,
}

impl<'a> TextProvenance<'a> {
    /// Of a run of `model` over `texts`.
    pub fn new(probes: &'a ProbeConfig, texts: &'a TextInputs, model: Running<'a>) -> Self {
        let compute = model.compute;
        let most = texts.limits.max_prompt_tokens;
        Self {
            model: ModelMeta::new(&texts.model, model),
            tokenizer: TokenizerMeta::new(&texts.model),
            haystack: texts.haystack.as_ref().map(|h| HaystackMeta::new(probes, h)),
            data: DataMeta {
                files: &texts.files,
                samples: texts.samples,
                context_lengths: &texts.context_lengths,
            },
            prompt: TextPromptMeta {
                wording: &texts.prompt_files,
                chat: texts.limits.chat.as_ref().map(|(chat, _)| ChatMeta::new(&chat.template)),
                max_prompt_tokens: Some(most).filter(|most| *most < usize::MAX),
                max_new_tokens: texts.max_new_tokens,
                code_similarity: texts.code_similarity,
                stop: probes.stop_rule(texts.limits.chat.is_some()).name(),
                line_break_ends: &texts.line_break_ends,
                never_empty: &texts.never_empty,
                eos_ids: &model.config.eos,
                chunk_tokens: probes.chunk_tokens(compute),
            },
            seed: probes.seed,
            device: &compute.name,
            dtype: compute.dtype.name().to_owned(),
        }
    }
}

/// There is no row to ask.
pub(super) fn no_rows(path: &Path, which: &str) -> Error {
    Error::data("there is nothing to ask")
        .at(path.display())
        .got(format!("no row {which}"))
        .expected("at least one")
        .advice("another name behind the colon of --task, or another --task-data")
}

/// What the user should know of `files` of a folder that are not read because their paths do not
/// have the name that says what they are.
pub(super) fn without_name(files: &[PathBuf], name: &str) -> Option<String> {
    let first = files.first()?.display();
    Some(match files.len() {
        1 => format!("{first} is left out: its path has no name {name}"),
        n => format!("{n} files are left out, such as {first}: their paths have no name {name}"),
    })
}

/// What holds for prompts that are shortened: `asked` tokens, or as many as the model has room for
/// beside `longest_answer`; with `--allow-extrapolation` they are not, unless asked for.
///
/// # Errors
/// [`Error::Usage`] if there is no room.
pub(super) fn limits(
    probes: &ProbeConfig,
    model: &ModelFiles,
    asked: Option<usize>,
    longest_answer: usize,
) -> Result<TextPromptLimits> {
    let positions = model.config.max_positions;
    let chat = chat(probes, model)?;
    let thinks = chat.as_ref().is_some_and(|(chat, _)| chat.template.thinks());
    let longest_answer = longest_answer + if thinks { THINKING_TOKENS } else { 0 };
    let room = positions.saturating_sub(longest_answer);
    let most = match (asked, probes.allow_extrapolation) {
        (Some(tokens), true) => tokens,
        (None, true) => usize::MAX,
        (asked, false) => asked.unwrap_or(room),
    };
    if !probes.allow_extrapolation && (most > room || room == 0) {
        return Err(Error::usage("the model has no room for prompt and answer")
            .at("--max-prompt-tokens")
            .got(format!("{most} tokens of prompt and up to {longest_answer} of answer"))
            .expected(format!("at most max_position_embeddings = {positions} of {}", model.name))
            .advice("fewer tokens, or --allow-extrapolation"));
    }
    let stop_ids = probes.stop_rule(chat.is_some()).ids(&model.config.eos, &model.tokenizer);
    Ok(TextPromptLimits { vocab: model.config.vocab, max_prompt_tokens: most, stop_ids, chat })
}

/// What makes prompts chat messages, and whether all of them are.
///
/// # Errors
/// As [`ModelFiles::chat`].
pub(super) fn chat(probes: &ProbeConfig, model: &ModelFiles) -> Result<Option<(Chat, bool)>> {
    let all = probes.chat == ChatMode::Always;
    Ok(model.chat(probes)?.map(|chat| (chat, all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelChoice;

    /// needle-llama has 4096 positions.
    #[test]
    fn prompts_have_the_room_beside_the_answer() {
        let mut probes = ProbeConfig::new(
            &crate::cli::ProbeArgs { repeats: 1, ..Default::default() },
            crate::config::AnswerDefaults::default(),
            crate::score::References::default(),
            &crate::config::Surroundings::default(),
        )
        .unwrap()
        .0;
        let model = ModelFiles::open(&ModelChoice::NeedleLlama).unwrap();
        let most = |probes: &ProbeConfig, asked, answer| {
            limits(probes, &model, asked, answer).map(|limits| limits.max_prompt_tokens)
        };
        assert_eq!(most(&probes, None, 96).unwrap(), 4000);
        assert_eq!(most(&probes, Some(9), 96).unwrap(), 9);
        for (asked, answer) in [(Some(4001), 96), (None, 4096)] {
            let e = most(&probes, asked, answer).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains("4096 of needle-llama"), "{e}");
        }
        probes.allow_extrapolation = true;
        assert_eq!(most(&probes, None, 96).unwrap(), usize::MAX);
        assert_eq!(most(&probes, Some(5000), 96).unwrap(), 5000);
    }
}
