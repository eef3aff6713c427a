//! [`LongBenchInputs`]: the rows that are asked, with their wording.

use std::collections::BTreeMap;
use std::path::Path;

use super::rows::{LongBenchRow, file_name};
use super::task::{LongBenchTask, dataset};
use super::{LongBenchDataset, LongBenchPrompts, LongBenchSource, Suite};
use crate::config::ProbeConfig;
use crate::datasets::{data_files, is_blank};
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
        let asked_that = |is: fn(&LongBenchDataset) -> bool| {
            let all = source.suite.datasets.iter().filter(|d| is(d)).map(|d| d.name);
            all.filter(|name| rows.iter().any(|row| row.dataset == *name)).collect()
        };
        let (line_break_ends, never_empty) =
            (asked_that(|d| d.stop_at_line_break), asked_that(|d| d.never_empty));
        let wording = source.prompts.iter().map(|path| DataFile::new(path, None));
        Ok(Self {
            texts: TextInputs {
                files,
                prompt_files: wording.collect::<Result<_>>()?,
                samples: source.samples,
                line_break_ends,
                never_empty,
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
    let mut of_others = Vec::new();
    for file in data_files(&source.path)? {
        let before = rows.len();
        if source.path.is_dir() && source.suite.foreign.contains(&&*file_name(&file).0) {
            of_others.push(file);
            continue;
        }
        let mut told = Vec::new();
        let read = match (source.suite.read)(&file, source.suite, &mut told) {
            Err(e) if !may_be_asked(source, &file) => {
                let why = match is_blank(&file) {
                    true => "there is nothing in it".to_owned(),
                    false => e.one_line(),
                };
                notes
                    .push(format!("{} is left out, nothing of it is asked: {why}", file.display()));
                continue;
            }
            read => read?,
        };
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
            notes.append(&mut told);
            files.push(DataFile::new(&file, Some(rows.len() - before))?);
        }
    }
    notes.extend(left_out.iter().map(|(name, rows)| {
        format!("{rows} rows of {name} are left out: it is scored by Chinese words, which cannot be told apart here")
    }));
    notes.extend(of_others.iter().map(|file| {
        format!("{} is left out: it is another part of {}", file.display(), source.suite.title)
    }));
    let has = |set: &&&LongBenchDataset| rows.iter().any(|row| row.dataset == set.name);
    if let Some(missing) = source.datasets.iter().flatten().find(|set| !has(set)) {
        return Err(no_rows(&source.path, &format!("of {}", missing.name)));
    }
    match rows.is_empty() {
        false => Ok((rows, files)),
        true => Err(no_rows(&source.path, "that can be scored")),
    }
}

/// Whether a file of a folder may have rows that are asked, as far as its name and whether there is
/// something in it tell.
fn may_be_asked(source: &LongBenchSource, file: &Path) -> bool {
    let (Some(asked), true) = (&source.datasets, source.path.is_dir()) else { return true };
    let (name, _) = file_name(file);
    match source.suite.knows(&name) {
        true => asked.iter().any(|set| set.name == name),
        false => !is_blank(file),
    }
}

#[cfg(test)]
mod tests;
