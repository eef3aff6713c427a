//! [`RulerInputs`]: the rows that are asked, read or made.

use super::generator::RulerGenerator;
use super::rows::RulerRow;
use super::task::{RulerSet, RulerTask};
use super::{
    GeneratedRulerRows, PublishedRulerRows, RulerRows, RulerSource, max_new_tokens, task_in,
};
use crate::chat::ChatMode;
use crate::config::ProbeConfig;
use crate::datasets::data_files;
use crate::error::{Error, Result};
use crate::job::{ModelFiles, Session, context_lengths};
use crate::tasks::text_inputs::{chat, limits, no_rows, without_name};
use crate::tasks::{Common, DataFile, PromptText, Task, TaskInputs, TextInputs, TextPromptLimits};

/// Rows of RULER.
pub struct RulerInputs {
    texts: TextInputs,
    sets: Vec<RulerSet>,
}

impl RulerInputs {
    /// Reads or makes what `source` names.
    ///
    /// # Errors
    /// As [`super::RulerSource::load`](crate::tasks::TaskSource::load).
    pub fn load(source: &RulerSource, config: &ProbeConfig, session: &Session) -> Result<Self> {
        let inputs = match &source.rows {
            RulerRows::Published(rows) => Self::read(rows, source.max_new_tokens, config, session)?,
            RulerRows::Generated(rows) => {
                Self::generate(rows, source.max_new_tokens, config, session)?
            }
        };
        let texts = TextInputs { max_new_tokens: source.max_new_tokens, ..inputs.texts };
        Ok(Self { texts, ..inputs })
    }

    fn read(
        source: &PublishedRulerRows,
        asked: Option<usize>,
        config: &ProbeConfig,
        session: &Session,
    ) -> Result<Self> {
        no_options(config)?;
        let mut notes = Vec::new();
        let (sets, files) = published(source, &mut notes)?;
        let longest = sets.iter().map(|set| asked.unwrap_or_else(|| max_new_tokens(&set.task)));
        let model = session.model(&config.model)?;
        session.notes(&notes);
        let longest = longest.max().unwrap_or(0);
        let limits = limits(config, &model, source.max_prompt_tokens, longest)?;
        let samples = source.samples;
        Ok(Self { texts: TextInputs { files, samples, ..TextInputs::new(model, limits) }, sets })
    }

    fn generate(
        source: &GeneratedRulerRows,
        asked: Option<usize>,
        config: &ProbeConfig,
        session: &Session,
    ) -> Result<Self> {
        no_options(config)?;
        let haystack = session.haystack(config)?;
        let model = session.model_for_lengths(config)?;
        let answers =
            source.kinds.iter().map(|k| asked.unwrap_or_else(|| max_new_tokens(k.name())));
        let lengths = context_lengths(config, &model, answers.max().unwrap_or(0))?;
        let chat = chat(config, &model)?;
        let limits = TextPromptLimits {
            vocab: model.config.vocab,
            max_prompt_tokens: lengths.last().copied().unwrap_or(0),
            stop_ids: config.stop_rule(chat.is_some()).ids(&model.config.eos, &model.tokenizer),
            chat,
        };
        let count =
            |text: &str| limits.whole_tokens(&model.tokenizer, PromptText::whole(text, false));
        let mut sets = Vec::new();
        for kind in &source.kinds {
            for &length in &lengths {
                let essays = haystack.files().iter().map(|file| file.text());
                let generator = RulerGenerator::new(essays, config.seed, length, &count)?;
                let rows = (0..source.samples).map(|index| generator.row(*kind, index));
                sets.push(RulerSet {
                    task: kind.name().to_owned(),
                    name: format!("{}-{length}", kind.name()),
                    tokens: Some(length),
                    rows: rows.collect::<Result<_>>()?,
                });
            }
        }
        let texts = TextInputs {
            haystack: Some(haystack),
            context_lengths: lengths,
            samples: Some(source.samples),
            ..TextInputs::new(model, limits)
        };
        Ok(Self { texts, sets })
    }
}

/// Prompts of RULER are messages of a chat template only where all prompts are.
///
/// # Errors
/// [`Error::Usage`] for an option that no template is told.
fn no_options(config: &ProbeConfig) -> Result<()> {
    match config.chat_options.keys().next() {
        Some(option) if config.chat != ChatMode::Always => {
            Err(Error::usage("no chat template is told an option")
                .at(format!("--chat-option {option}"))
                .got("--task ruler, whose prompts are no chat messages")
                .expected("--chat always")
                .advice("leave the option out, or --chat always"))
        }
        _ => Ok(()),
    }
}

impl TaskInputs for RulerInputs {
    fn common(&self) -> Common<'_> {
        Common::Texts(&self.texts)
    }

    fn task(&self) -> Result<Box<dyn Task + '_>> {
        let TextInputs { model, limits, max_new_tokens, .. } = &self.texts;
        let task = RulerTask::new(&self.sets, &model.tokenizer, limits.clone(), *max_new_tokens)?;
        Ok(Box::new(task))
    }

    fn into_model(self: Box<Self>) -> ModelFiles {
        self.texts.model
    }
}

/// The rows of each file, and the files; what the user should know goes to `notes`.
pub(super) fn published(
    source: &PublishedRulerRows,
    notes: &mut Vec<String>,
) -> Result<(Vec<RulerSet>, Vec<DataFile>)> {
    let (mut sets, mut files): (Vec<RulerSet>, _) = (Vec::new(), Vec::new());
    let is_file = !source.path.is_dir();
    let root = if is_file { source.path.parent() } else { Some(&*source.path) };
    let mut of_no_task = Vec::new();
    for file in data_files(&source.path)? {
        let asked = source.tasks.as_deref();
        let task = match (task_in(&file.to_string_lossy()), asked) {
            (Some(task), _) => task,
            (None, Some([task])) if is_file => task,
            (None, _) if !is_file => {
                of_no_task.push(file);
                continue;
            }
            (None, _) => {
                return Err(Error::data(
                    "the file does not say which task of RULER its rows are of",
                )
                .at(file.display())
                .got("no name of a task in its path")
                .expected("a path such as 4096/niah_single_1.jsonl or vt_4096.jsonl")
                .advice("--task ruler:vt, if that is what they are"));
            }
        };
        if asked.is_some_and(|tasks| !tasks.contains(&task)) {
            continue;
        }
        let mut rows = RulerRow::read(&file, notes)?;
        rows.truncate(source.samples.unwrap_or(usize::MAX));
        files.push(DataFile::new(&file, Some(rows.len()))?);
        let inside = root.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(&file);
        let name = inside.with_extension("").to_string_lossy().into_owned();
        sets.push(RulerSet { task: task.to_owned(), name, tokens: None, rows });
    }
    notes.extend(without_name(&of_no_task, "of a task of RULER"));
    let has = |task: &&&str| sets.iter().any(|set| set.task == **task);
    if let Some(missing) = source.tasks.iter().flatten().find(|task| !has(task)) {
        return Err(no_rows(&source.path, &format!("of {missing}")));
    }
    match sets.is_empty() {
        false => Ok((sets, files)),
        true => Err(no_rows(&source.path, "of a task of RULER")),
    }
}

#[cfg(test)]
mod tests;
