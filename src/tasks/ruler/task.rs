//! RULER as a task: rows of its generator, or of [`super::RulerGenerator`], which are whole
//! prompts.

use crate::error::{Error, Result};
use crate::generate::Stop;
use crate::job::Extent;
use crate::metrics::string_match::{
    string_match_all, string_match_any, without_control_characters,
};
use crate::tasks::ruler;
use crate::tasks::ruler::rows::RulerRow;
use crate::tasks::ruler::templated;
use crate::tasks::{Case, Measured, Metric, Part, Task, TextPromptLimits};
use crate::tokenizer::Tokenizer;

pub(super) const METRICS: &[Metric] = &[
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

/// Rows of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulerSet {
    /// The task: `niah_multikey_3`.
    pub task: String,
    /// What the ids of the rows begin with, before their lines.
    pub name: String,
    /// The length that they were made to; `None` for published rows.
    pub tokens: Option<usize>,
    /// The rows.
    pub rows: Vec<RulerRow>,
}

/// Rows of one or several of RULER's tasks.
pub struct RulerTask<'a> {
    /// Each with its set and its name.
    rows: Vec<(&'a RulerSet, String, &'a RulerRow)>,
    tokenizer: &'a Tokenizer,
    limits: TextPromptLimits,
    max_new_tokens: Option<usize>,
    measured: Measured,
}

impl<'a> RulerTask<'a> {
    /// The rows of `sets` in their order. Without `max_new_tokens` every task has RULER's own;
    /// KVCache-Factory takes 64 everywhere.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no rows, and naming a published row that has a chat template
    /// in its text already; as [`Tokenizer::encode`].
    pub fn new(
        sets: &'a [RulerSet],
        tokenizer: &'a Tokenizer,
        limits: TextPromptLimits,
        max_new_tokens: Option<usize>,
    ) -> Result<Self> {
        let of_set = |set: &'a RulerSet| {
            set.rows.iter().map(move |row| (set, format!("{}-{}", set.name, row.line), row))
        };
        let rows: Vec<_> = sets.iter().flat_map(of_set).collect();
        if rows.is_empty() {
            return Err(Error::data("there are no rows of RULER"));
        }
        let mut measured = Measured::default();
        for (set, _, row) in &rows {
            let answer = max_new_tokens.unwrap_or_else(|| ruler::max_new_tokens(&set.task));
            if set.tokens.is_none() {
                templated::refuse(row, tokenizer, limits.chat(false))?;
            }
            measured.add(tokenizer, row.prompt(), &limits, answer, &row.place)?;
        }
        Ok(Self { rows, tokenizer, limits, max_new_tokens, measured })
    }
}

impl Task for RulerTask<'_> {
    fn judged_by(&self) -> String {
        "share of the expected texts that are in the answer".to_owned()
    }

    fn cases(&self) -> usize {
        self.rows.len()
    }

    fn prompt_tokens(&self) -> u64 {
        self.measured.prompt_tokens
    }

    fn extent(&self) -> Extent {
        self.measured.extent
    }

    fn has_reported_groups(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        self.measured.notes()
    }

    fn shortest(&self) -> String {
        self.measured.shortest_place().to_owned()
    }

    fn id(&self, index: usize) -> String {
        self.rows[index].1.clone()
    }

    fn case(&self, index: usize) -> Result<Case> {
        let (set, id, row) = &self.rows[index];
        Ok(Case {
            id: id.clone(),
            group: set.task.clone(),
            about: id.clone(),
            part: set.tokens.map(Part::Tokens),
            prompt: self.limits.prompt(self.tokenizer, row.prompt())?,
            before_question: None,
            depths: Vec::new(),
            gold: row.outputs.join(" | "),
            haystack_cycles: 0,
            max_new_tokens: self.max_new_tokens.unwrap_or_else(|| ruler::max_new_tokens(&set.task)),
            stop: Stop::at(self.limits.stop_ids.clone()),
        })
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        let (set, _, row) = &self.rows[index];
        let found = |answer: &str| match set.task.starts_with(ANY) {
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
    use crate::chat::{Chat, ChatTemplate};
    use crate::tokenizer::samples;

    fn row(line: usize) -> RulerRow {
        RulerRow {
            line,
            input: "The number is 12, and 34. Which numbers? They are".to_owned(),
            joint: "",
            answer_prefix: String::new(),
            outputs: vec!["12".to_owned(), "34".to_owned()],
            place: format!("rows.jsonl:{line}"),
        }
    }

    fn set(task: &str, name: &str, rows: Vec<RulerRow>) -> RulerSet {
        RulerSet { task: task.to_owned(), name: name.to_owned(), tokens: None, rows }
    }

    fn task<'a>(tokenizer: &'a Tokenizer, sets: &'a [RulerSet]) -> Result<RulerTask<'a>> {
        let limits = TextPromptLimits {
            vocab: usize::MAX,
            max_prompt_tokens: 10,
            stop_ids: vec![1],
            chat: None,
        };
        RulerTask::new(sets, tokenizer, limits, None)
    }

    #[test]
    fn cases_and_values() {
        let tokenizer = samples::byte_level();
        let made = RulerSet { tokens: Some(512), ..set("qa_1", "512/qa_1", vec![row(0)]) };
        let sets = [set("niah_multivalue", "multivalue", vec![row(0), row(7)]), made];
        let mut task = task(tokenizer, &sets).unwrap();
        let (case, last) = (task.case(1).unwrap(), task.case(2).unwrap());
        assert_eq!((case.id.as_str(), case.group.as_str()), ("multivalue-7", "niah_multivalue"));
        assert_eq!((case.prompt.len(), case.max_new_tokens), (10, 128));
        assert_eq!((last.part, last.max_new_tokens), (Some(Part::Tokens(512)), 32));
        assert_eq!((task.cases(), task.prompt_tokens()), (3, 30));
        let extent = Extent { shortest_prompt: 10, longest_prompt: 10, longest_answer: 128 };
        assert_eq!(task.extent(), extent);
        // One of two is half a point, and enough for a question of qa.
        assert_eq!(task.values(0, "12").unwrap(), [0.5, 0.5, 0.0]);
        assert_eq!(task.values(2, "12").unwrap(), [1.0, 1.0, 0.0]);
        assert_eq!(task.values(0, "1\n2 34").unwrap(), [0.5, 1.0, 0.0]);
        assert_eq!(task.values(0, "34, 12").unwrap(), [1.0, 1.0, 1.0]);
    }

    /// The begin of the answer is asked with the prompt, whether or not that is a chat message.
    #[test]
    fn the_begin_of_the_answer_is_the_end_of_the_prompt() {
        let tokenizer = samples::byte_level();
        let begun = RulerRow { answer_prefix: " They are".to_owned(), ..row(1) };
        let input = "The number is 12, and 34. Which numbers?";
        let sets = [set("vt", "vt", vec![RulerRow { input: input.to_owned(), ..begun }])];
        let whole = [set("vt", "vt", vec![row(1)])];
        let ids = |sets: &[RulerSet], chat| {
            let limits = TextPromptLimits {
                vocab: usize::MAX,
                max_prompt_tokens: 99,
                stop_ids: vec![],
                chat,
            };
            RulerTask::new(sets, tokenizer, limits, None).unwrap().case(0).unwrap().prompt
        };
        assert_eq!(ids(&sets, None), ids(&whole, None));
        let template = "<|bos|>user:{{ messages[0].content.strip() }}. bot:";
        let template = ChatTemplate::of_source(template).unwrap();
        let chat = Chat::new(template, tokenizer).unwrap();
        let message = chat.message(tokenizer, input).unwrap();
        let end = tokenizer.encode_after(". bot:", " They are").unwrap().ids;
        let expected = [message.before, message.text.ids, message.after, end].concat();
        assert_eq!(ids(&sets, Some((chat, true))), expected);
    }

    #[test]
    fn no_rows_are_refused() {
        assert_eq!(task(samples::byte_level(), &[]).err().unwrap().exit_code(), 3);
    }
}
