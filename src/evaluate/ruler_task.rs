//! RULER as a task: rows of its generator, or of [`super::ruler`], which are whole prompts.

use super::data::{RulerRow, unique};
use super::task::{Case, Metric, Task};
use super::text_prompt::{TextPromptLimits, prompt_ids};
use crate::error::{Error, Result};
use crate::text::string_match::{string_match_all, string_match_any, without_control_characters};
use crate::tokenizer::Tokenizer;

const METRICS: &[Metric] = &[
    Metric {
        name: "string_match",
        title: "share of the expected texts in the answer (qa: whether there is one)",
        highest: 1.0,
    },
    Metric {
        name: "string_match_kvpress",
        title: "the same after control characters are removed, line breaks among them (kvpress)",
        highest: 1.0,
    },
    Metric { name: "all_found", title: "share of answers with all expected texts", highest: 1.0 },
];

/// How the names of the tasks begin in which one of the expected texts is enough.
const ANY: &str = "qa";

/// Rows of one or several of RULER's tasks.
pub struct RulerTask<'a> {
    /// With the name of its task, and its own.
    rows: Vec<(String, String, RulerRow)>,
    tokenizer: &'a Tokenizer,
    limits: TextPromptLimits,
    max_new_tokens: usize,
    prompt_tokens: u64,
}

impl<'a> RulerTask<'a> {
    /// The rows of `sets`, each with the name of its task (`niah_multikey_3`), in their order.
    /// KVCache-Factory takes 64 as `max_new_tokens` everywhere.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no rows, or if two rows of a set have one index; as
    /// [`Tokenizer::encode`].
    pub fn new(
        sets: Vec<(String, Vec<RulerRow>)>,
        tokenizer: &'a Tokenizer,
        limits: TextPromptLimits,
        max_new_tokens: usize,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        for (name, of_set) in sets {
            let named = |row: RulerRow| (name.clone(), format!("{name}-{}", row.index), row);
            rows.extend(of_set.into_iter().map(named));
        }
        if rows.is_empty() {
            return Err(Error::data("there are no rows of RULER"));
        }
        unique(rows.iter().map(|(_, id, row)| (id.as_str(), row.place.as_str())))?;
        let mut task = Self { rows, tokenizer, limits, max_new_tokens, prompt_tokens: 0 };
        for index in 0..task.rows.len() {
            task.prompt_tokens += task.prompt(index)?.len() as u64;
        }
        Ok(task)
    }

    fn prompt(&self, index: usize) -> Result<Vec<u32>> {
        prompt_ids(self.tokenizer, &self.rows[index].2.input, self.limits.max_prompt_tokens)
    }
}

impl Task for RulerTask<'_> {
    fn name(&self) -> &str {
        "ruler"
    }

    fn metrics(&self) -> &'static [Metric] {
        METRICS
    }

    fn judged_by(&self) -> String {
        "share of the expected texts that are in the answer".to_owned()
    }

    fn cases(&self) -> usize {
        self.rows.len()
    }

    fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    fn case(&self, index: usize) -> Result<Case> {
        let (name, id, row) = &self.rows[index];
        Ok(Case {
            id: id.clone(),
            group: name.clone(),
            prompt: self.prompt(index)?,
            depth: None,
            gold: row.outputs.join(" | "),
            haystack_cycles: 0,
            max_new_tokens: self.max_new_tokens,
            stop_ids: self.limits.stop_ids.clone(),
        })
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let (name, _, row) = &self.rows[index];
        let found = |answer: &str| match name.starts_with(ANY) {
            true => string_match_any(answer, &row.outputs),
            false => string_match_all(answer, &row.outputs),
        };
        let all = string_match_all(answer, &row.outputs) == 1.0;
        let clean = without_control_characters(answer);
        Ok(vec![found(answer), found(&clean), f64::from(u8::from(all))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::samples;

    fn row(index: usize) -> RulerRow {
        RulerRow {
            index,
            input: "The number is 12, and 34. Which numbers? They are".to_owned(),
            outputs: vec!["12".to_owned(), "34".to_owned()],
            length: 20,
            place: format!("rows.jsonl:{index}"),
        }
    }

    fn task<'a>(
        tokenizer: &'a Tokenizer,
        sets: Vec<(&str, Vec<RulerRow>)>,
    ) -> Result<RulerTask<'a>> {
        let sets = sets.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
        let limits = TextPromptLimits { max_prompt_tokens: 10, stop_ids: vec![1] };
        RulerTask::new(sets, tokenizer, limits, 64)
    }

    #[test]
    fn cases_and_values() {
        let tokenizer = samples::byte_level();
        let sets = vec![("niah_multivalue", vec![row(0), row(7)]), ("qa_1", vec![row(0)])];
        let mut task = task(tokenizer, sets).unwrap();
        let case = task.case(1).unwrap();
        assert_eq!(
            (case.id.as_str(), case.group.as_str()),
            ("niah_multivalue-7", "niah_multivalue")
        );
        assert_eq!((case.prompt.len(), case.max_new_tokens), (10, 64));
        assert_eq!((task.cases(), task.prompt_tokens()), (3, 30));
        // One of two is half a point, and enough for a question of qa.
        assert_eq!(task.values(0, "12").unwrap(), [0.5, 0.5, 0.0]);
        assert_eq!(task.values(2, "12").unwrap(), [1.0, 1.0, 0.0]);
        assert_eq!(task.values(0, "1\n2 34").unwrap(), [0.5, 1.0, 0.0]);
        assert_eq!(task.values(0, "34, 12").unwrap(), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn rows_with_one_index_are_refused() {
        let tokenizer = samples::byte_level();
        let e = task(tokenizer, vec![("vt", vec![row(3), row(3)])]).err().unwrap();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("vt-3 twice"), "{e}");
        assert_eq!(task(tokenizer, Vec::new()).err().unwrap().exit_code(), 3);
    }
}
