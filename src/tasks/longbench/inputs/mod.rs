//! [`LongBenchInputs`]: the rows that are asked, with their wording.

use std::collections::BTreeMap;

use super::rows::LongBenchRow;
use super::task::{LongBenchTask, dataset};
use super::{LongBenchPrompts, LongBenchSource, Suite};
use crate::config::ProbeConfig;
use crate::datasets::data_files;
use crate::error::Result;
use crate::job::{ModelFiles, Session};
use crate::metrics::code_sim::Similarity;
use crate::tasks::text_inputs::{limits, no_rows};
use crate::tasks::{Common, DataFile, Task, TaskInputs, TextInputs};

/// Rows of LongBench or LooGLE with all that their prompts are made of.
pub struct LongBenchInputs {
    texts: TextInputs,
    suite: &'static Suite,
    rows: Vec<LongBenchRow>,
    prompts: LongBenchPrompts,
    similarity: Similarity,
}

impl LongBenchInputs {
    /// Reads what `source` names.
    ///
    /// # Errors
    /// As [`super::LongBenchSource::load`](crate::tasks::TaskSource::load).
    pub fn load(source: &LongBenchSource, config: &ProbeConfig, session: &Session) -> Result<Self> {
        let prompts = LongBenchPrompts::read_all(&source.prompts)?;
        let mut notes = Vec::new();
        let (rows, files) = rows(source, &mut notes)?;
        let mut longest = 0;
        for row in &rows {
            longest = longest.max(prompts.max_new_tokens(dataset(source.suite, row)?));
        }
        let model = session.model(&config.model)?;
        session.notes(&notes);
        let limits = limits(config, &model, source.max_prompt_tokens, longest)?;
        let wording = source.prompts.iter().map(|path| DataFile::new(path, None));
        Ok(Self {
            texts: TextInputs {
                files,
                prompt_files: wording.collect::<Result<_>>()?,
                samples: source.samples,
                code_similarity: source.suite.has_code.then(|| source.similarity.name()),
                ..TextInputs::new(model, limits)
            },
            suite: source.suite,
            rows,
            prompts,
            similarity: source.similarity,
        })
    }
}

impl TaskInputs for LongBenchInputs {
    fn common(&self) -> Common<'_> {
        Common::Texts(&self.texts)
    }

    fn task(&self) -> Result<Box<dyn Task + '_>> {
        let TextInputs { model, limits, .. } = &self.texts;
        Ok(Box::new(LongBenchTask::new(
            self.suite,
            &self.rows,
            &self.prompts,
            &model.tokenizer,
            limits.clone(),
            self.similarity,
        )?))
    }

    fn into_model(self: Box<Self>) -> ModelFiles {
        self.texts.model
    }
}

/// The rows that are asked, and the files that they are from.
pub(super) fn rows(
    source: &LongBenchSource,
    notes: &mut Vec<String>,
) -> Result<(Vec<LongBenchRow>, Vec<DataFile>)> {
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    // A folder as distributed has them; who names a file or a data set is told instead.
    let leave_out = source.datasets.is_none() && source.path.is_dir();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut of_dataset: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for file in data_files(&source.path)? {
        let before = rows.len();
        let read = (source.suite.read)(&file, source.suite)?;
        for row in read {
            let all = source.datasets.as_ref();
            if all.is_some_and(|sets| sets.iter().all(|set| set.name != row.dataset)) {
                continue;
            }
            if leave_out && source.suite.needs_segmenter(&row.dataset) {
                *left_out.entry(row.dataset).or_default() += 1;
                continue;
            }
            let count = of_dataset.entry((row.dataset.clone(), row.in_e)).or_default();
            if source.samples.is_none_or(|most| *count < most) {
                *count += 1;
                rows.push(row);
            }
        }
        if rows.len() > before {
            files.push(DataFile::new(&file, Some(rows.len() - before))?);
        }
    }
    notes.extend(left_out.iter().map(|(name, rows)| {
        format!("{rows} rows of {name} are left out: it is scored by Chinese words, which cannot be told apart here")
    }));
    match rows.is_empty() {
        false => Ok((rows, files)),
        true => Err(no_rows(&source.path, "of the data sets asked for")),
    }
}

#[cfg(test)]
mod tests;
