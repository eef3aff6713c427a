//! LongBench as a task, and LooGLE: rows that the user has, in the wording of the user's file or
//! our own.
//!
//! A chat model gets the prompts of most data sets as chat messages, as LongBench does it
//! ([`LongBenchDataset::chat_template`]).

use crate::datasets::unique;
use crate::error::{Error, Result};
use crate::generate::Stop;
use crate::job::Extent;
use crate::metrics::code_sim::Similarity;
use crate::tasks::longbench::rows::LongBenchRow;
use crate::tasks::longbench::{LongBenchDataset, LongBenchMetric, LongBenchPrompts, Suite, score};
use crate::tasks::{Case, Measured, Metric, PromptText, Task, TextPromptLimits};
use crate::tokenizer::Tokenizer;

/// What answers to LongBench and LooGLE are measured by.
pub const METRICS: &[Metric] = &[Metric {
    name: "score",
    title: "LongBench's metric of the data set, the best over the expected answers",
    highest: 1.0,
}];

/// Rows of one or several data sets.
pub struct LongBenchTask<'a> {
    rows: &'a [LongBenchRow],
    /// Per row.
    datasets: Vec<&'static LongBenchDataset>,
    /// Per row: its name.
    ids: Vec<String>,
    prompts: &'a LongBenchPrompts,
    tokenizer: &'a Tokenizer,
    limits: TextPromptLimits,
    similarity: Similarity,
    measured: Measured,
}

impl<'a> LongBenchTask<'a> {
    /// The task of `rows`, in their order. Every prompt is encoded once, to know its length.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no rows, if a row is of a data set that is not known or cannot
    /// be scored, if a classification has no classes or a row lacks the question that is asked, and
    /// if two rows of a data set have one id; as [`Tokenizer::encode`].
    pub fn new(
        suite: &'static Suite,
        rows: &'a [LongBenchRow],
        prompts: &'a LongBenchPrompts,
        tokenizer: &'a Tokenizer,
        limits: TextPromptLimits,
        similarity: Similarity,
    ) -> Result<Self> {
        let datasets: Vec<&'static LongBenchDataset> =
            rows.iter().map(|row| dataset(suite, row)).collect::<Result<_>>()?;
        let ids: Vec<String> = rows.iter().map(|r| format!("{}-{}", group(r), r.id)).collect();
        unique(ids.iter().zip(rows).map(|(id, row)| (id.as_str(), row.place.as_str())))?;
        if rows.is_empty() {
            return Err(Error::data(format!("there are no rows of {}", suite.title)));
        }
        let mut measured = Measured::default();
        for (row, dataset) in rows.iter().zip(&datasets) {
            let may_lack = dataset.metric == LongBenchMetric::CodeSim || !prompts.ask(dataset);
            if row.input.trim().is_empty() && !may_lack {
                return Err(Error::data("a row has no question")
                    .at(format!("{}: input", row.place))
                    .got("an empty text")
                    .expected(format!("what rows of {} ask", dataset.name)));
            }
            let text = prompts.render(dataset, row);
            let prompt = PromptText::whole(&text, dataset.chat_template);
            let answer =
                prompts.max_new_tokens(dataset) + limits.room_to_think(dataset.chat_template);
            measured.add(tokenizer, prompt, &limits, answer, &row.place)?;
        }
        Ok(Self { rows, datasets, ids, prompts, tokenizer, limits, similarity, measured })
    }
}

/// What a row is counted under: its data set, `hotpotqa_e` for those of LongBench-E.
fn group(row: &LongBenchRow) -> String {
    format!("{}{}", row.dataset, if row.in_e { "_e" } else { "" })
}

/// The data set of a row that can be scored.
///
/// # Errors
/// [`Error::Data`] naming the row.
pub(crate) fn dataset(
    suite: &'static Suite,
    row: &LongBenchRow,
) -> Result<&'static LongBenchDataset> {
    let dataset = suite.find(&row.dataset).map_err(|e| {
        e.at(&row.place).advice(format!(
            "--task {}:LIST with the data sets to be asked, without it",
            suite.info.name
        ))
    })?;
    match dataset.metric == LongBenchMetric::Classification && row.all_classes.is_empty() {
        true => Err(Error::data("a row of a classification has no classes")
            .at(format!("{}: all_classes", row.place))
            .expected("a list of class names")),
        false => Ok(dataset),
    }
}

impl Task for LongBenchTask<'_> {
    fn judged_by(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for dataset in &self.datasets {
            let wording = match self.prompts.wording(dataset) {
                "headprof" => "headprof's own wording".to_owned(),
                file => format!("wording of {file}"),
            };
            let part = format!("{} ({}, {wording})", dataset.name, dataset.metric.name());
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts.join(", ")
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
        self.ids[index].clone()
    }

    fn case(&self, index: usize) -> Result<Case> {
        let (row, dataset) = (&self.rows[index], self.datasets[index]);
        let mut stop = Stop::at(self.limits.stop_ids.clone());
        stop.not_first = dataset.never_empty;
        if dataset.stop_at_line_break {
            // As the reference: of a line break in several tokens the last, and no other token that
            // has a line break in it.
            stop.ids.extend(self.tokenizer.encode("\n")?.last());
            stop.ids.sort_unstable();
            stop.ids.dedup();
        }
        let text = self.prompts.render(dataset, row);
        let prompt = PromptText::whole(&text, dataset.chat_template);
        Ok(Case {
            id: self.ids[index].clone(),
            group: group(row),
            about: self.ids[index].clone(),
            part: row.part,
            prompt: self.limits.prompt(self.tokenizer, prompt)?,
            before_question: None,
            depths: Vec::new(),
            gold: row.answers.join(" | "),
            haystack_cycles: 0,
            max_new_tokens: self.prompts.max_new_tokens(dataset)
                + self.limits.room_to_think(dataset.chat_template),
            stop,
        })
    }

    fn values(&mut self, index: usize, answer: &str) -> Result<Vec<f64>> {
        Ok(vec![score(self.datasets[index], &self.rows[index], answer, self.similarity)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::LONGBENCH;
    use super::*;
    use crate::tasks::Part;
    use crate::tasks::longbench::LENGTH_GROUPS;
    use crate::tokenizer::samples;

    fn row(dataset: &str, id: &str) -> LongBenchRow {
        LongBenchRow {
            id: id.to_owned(),
            input: "Who left?".to_owned(),
            context: "Anna left the house. ".repeat(20),
            answers: vec!["Anna".to_owned(), "she".to_owned()],
            dataset: dataset.to_owned(),
            all_classes: Vec::new(),
            in_e: false,
            part: None,
            place: format!("rows.jsonl:{id}"),
        }
    }

    fn task<'a>(
        tokenizer: &'a Tokenizer,
        rows: &'a [LongBenchRow],
        prompts: &'a LongBenchPrompts,
    ) -> Result<LongBenchTask<'a>> {
        let limits = TextPromptLimits {
            vocab: usize::MAX,
            max_prompt_tokens: 60,
            stop_ids: vec![1],
            chat: None,
        };
        LongBenchTask::new(&LONGBENCH, rows, prompts, tokenizer, limits, Similarity::default())
    }

    #[test]
    fn cases_are_the_rows_in_order() {
        let tokenizer = samples::byte_level();
        let rows = [row("qasper", "1"), row("samsum", "2")];
        let prompts = LongBenchPrompts::own();
        let mut task = task(tokenizer, &rows, &prompts).unwrap();
        let (first, second) = (task.case(0).unwrap(), task.case(1).unwrap());
        assert_eq!((first.id.as_str(), first.group.as_str()), ("qasper-1", "qasper"));
        assert_eq!((first.max_new_tokens, first.gold.as_str()), (128, "Anna | she"));
        assert_eq!((first.prompt.len(), first.prompt[0]), (60, tokenizer.bos().unwrap()));
        assert_eq!(first.stop, Stop::at(vec![1]));
        // samsum also ends at a line break, and does not begin with an end.
        let mut ids = vec![1, *tokenizer.encode("\n").unwrap().last().unwrap()];
        ids.sort_unstable();
        assert_eq!(second.stop, Stop { not_first: true, ..Stop::at(ids) });
        assert_eq!(task.prompt_tokens(), 120);
        let extent = Extent { shortest_prompt: 60, longest_prompt: 60, longest_answer: 128 };
        assert_eq!((task.extent(), first.part), (extent, None));
        assert_eq!(task.values(0, "she").unwrap(), [1.0]);
        assert_eq!(task.values(0, "Anna and Ben").unwrap(), [0.5]);
        let judged = task.judged_by();
        assert!(judged.contains("qasper (qa_f1_score, headprof's own wording)"), "{judged}");
    }

    /// A row of both benchmarks is two rows.
    #[test]
    fn rows_of_longbench_e_are_counted_by_length() {
        let tokenizer = samples::byte_level();
        let mut rows = [row("qasper", "1"), row("qasper", "1"), row("qasper", "2")];
        for (row, class) in rows[1..].iter_mut().zip([0, 2]) {
            row.in_e = true;
            row.part = Some(Part::Class(class, LENGTH_GROUPS[class]));
        }
        let prompts = LongBenchPrompts::own();
        let task = task(tokenizer, &rows, &prompts).unwrap();
        let of = |i: usize| task.case(i).map(|c| (c.id, c.group, c.part)).unwrap();
        assert_eq!(of(0), ("qasper-1".to_owned(), "qasper".to_owned(), None));
        let (id, group, part) = of(1);
        assert_eq!((id.as_str(), group.as_str()), ("qasper_e-1", "qasper_e"));
        assert_eq!((part, of(2).2), (Some(Part::Class(0, "0-4k")), Some(Part::Class(2, "8k+"))));
        assert_eq!(of(2).2.unwrap().to_string(), "8k+");
    }

    #[test]
    fn rows_that_cannot_be_scored_are_named() {
        let tokenizer = samples::byte_level();
        for (rows, part) in [
            (vec![row("qasper", "1"), row("vcsum", "2")], "rows.jsonl:2"),
            (vec![row("trec", "1")], "rows.jsonl:1: all_classes"),
            (vec![LongBenchRow { input: "\n".to_owned(), ..row("qasper", "1") }], "jsonl:1: input"),
            (vec![row("qasper", "1"), row("qasper", "1")], "qasper-1 twice"),
            (Vec::new(), "no rows"),
        ] {
            let e = task(tokenizer, &rows, &LongBenchPrompts::own()).err().unwrap();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}
