//! The data sets of LongBench, facts of its configuration as a table; and what a benchmark has to
//! say that is asked and scored like it.

use std::path::Path;

use super::rows::LongBenchRow;
use super::version_2;
use crate::error::{Error, Result};
use crate::tasks::BenchmarkInfo;

/// A benchmark whose rows have LongBench's form and are scored as LongBench's are.
#[derive(Debug)]
pub struct Suite {
    /// Its constants.
    pub info: &'static BenchmarkInfo,
    /// What its authors call it.
    pub title: &'static str,
    /// Its data sets that can be scored, in the order in which they are listed.
    pub datasets: &'static [LongBenchDataset],
    /// Those of its data sets that are scored by words of a language that is written without
    /// spaces; the reference tells these apart with a segmenter.
    pub segmented: &'static [&'static str],
    /// What other files of the benchmark are called, whose rows are not asked.
    pub foreign: &'static [&'static str],
    /// Reads the rows of one file; what the user should know goes to the list.
    pub read: fn(&Path, &Suite, &mut Vec<String>) -> Result<Vec<LongBenchRow>>,
    /// Whether there is code to be compared.
    pub has_code: bool,
}

impl PartialEq for Suite {
    fn eq(&self, other: &Self) -> bool {
        self.info == other.info
    }
}

impl Eq for Suite {}

impl Suite {
    /// The names of its data sets that can be scored.
    pub fn names(&self) -> Vec<&'static str> {
        self.datasets.iter().map(|d| d.name).collect()
    }

    /// The data set of that name.
    ///
    /// # Errors
    /// [`Error::Data`] with all names; also for those that need a segmenter.
    pub fn find(&self, name: &str) -> Result<&'static LongBenchDataset> {
        self.named(name, |what| Error::data(what))
    }

    /// The same for a name that the user typed.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`Suite::find`].
    pub fn parse(&self, name: &str) -> Result<&'static LongBenchDataset> {
        self.named(name, |what| Error::usage(what))
    }

    /// Whether a data set is not here because its words would have to be told apart.
    pub fn needs_segmenter(&self, name: &str) -> bool {
        self.segmented.contains(&name)
    }

    /// Whether a data set has that name, also one that cannot be scored.
    pub fn knows(&self, name: &str) -> bool {
        self.datasets.iter().any(|d| d.name == name) || self.needs_segmenter(name)
    }

    fn named(&self, name: &str, error: fn(&str) -> Error) -> Result<&'static LongBenchDataset> {
        self.datasets.iter().find(|d| d.name == name).ok_or_else(|| {
            let what = match self.needs_segmenter(name) {
                true => {
                    "a data set is scored by Chinese words, which cannot be told apart here".into()
                }
                false => format!("there is no such data set in {}", self.title),
            };
            error(&what).got(name).expected(self.names().join(", "))
        })
    }
}

/// What an answer is scored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongBenchMetric {
    /// F1 of words: [`crate::metrics::f1::token_f1`].
    QaF1,
    /// [`crate::metrics::rouge_l_summary`].
    RougeL,
    /// [`crate::metrics::classification`].
    Classification,
    /// The number of a paragraph: [`crate::metrics::numbers::retrieval_score`].
    Retrieval,
    /// The same in Chinese.
    RetrievalZh,
    /// [`crate::metrics::numbers::count_score`].
    Count,
    /// A line of code: [`crate::metrics::code_sim`].
    CodeSim,
    /// One of four choices: [`crate::metrics::choice`].
    Choice,
}

impl LongBenchMetric {
    /// The reference's name of it; that of choices has none.
    pub fn name(self) -> &'static str {
        match self {
            Self::QaF1 => "qa_f1_score",
            Self::RougeL => "rouge_score",
            Self::Classification => "classification_score",
            Self::Retrieval => "retrieval_score",
            Self::RetrievalZh => "retrieval_zh_score",
            Self::Count => "count_score",
            Self::CodeSim => "code_sim_score",
            Self::Choice => "choice_score",
        }
    }
}

/// One data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongBenchDataset {
    /// Its name in rows and files.
    pub name: &'static str,
    /// What its answers are scored by.
    pub metric: LongBenchMetric,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Whether chat models get its prompts as a chat message. Prompts that are a series of examples
    /// or code to be continued are given as they are.
    pub chat_template: bool,
    /// Whether an answer ends at the end of its first line, before it is scored: models continue
    /// the series of examples.
    pub first_line_only: bool,
    /// Whether a line break ends the answer while it is generated.
    pub stop_at_line_break: bool,
    /// Whether the first token of an answer is none that ends it ([`crate::generate::Stop`]).
    pub never_empty: bool,
    /// Whether LongBench-E has rows of it.
    pub in_longbench_e: bool,
}

/// An English data set that LongBench-E has too, with a chat message.
pub const fn dataset(
    name: &'static str,
    metric: LongBenchMetric,
    max_new_tokens: usize,
) -> LongBenchDataset {
    LongBenchDataset {
        name,
        metric,
        max_new_tokens,
        chat_template: true,
        first_line_only: false,
        stop_at_line_break: false,
        never_empty: false,
        in_longbench_e: true,
    }
}

impl LongBenchDataset {
    /// The same; LongBench-E has no rows of it.
    pub const fn not_in_e(self) -> Self {
        Self { in_longbench_e: false, ..self }
    }

    /// The same; no answer is empty.
    pub const fn never_empty(self) -> Self {
        Self { never_empty: true, ..self }
    }

    const fn plain(self) -> Self {
        Self { chat_template: false, ..self }
    }

    const fn first_line(self) -> Self {
        Self { first_line_only: true, ..self }
    }
}

/// Scored by F1 or ROUGE of words that the reference segments with `jieba`.
pub(super) const SEGMENTED: [&str; 3] = ["multifieldqa_zh", "dureader", "vcsum"];

/// LongBench's English data sets in the order of the paper, the Chinese ones that can be scored,
/// and LongBench v2.
pub(super) const DATASETS: &[LongBenchDataset] = {
    use LongBenchMetric::{
        Choice, Classification, CodeSim, Count, QaF1, Retrieval, RetrievalZh, RougeL,
    };
    let mut samsum = dataset("samsum", RougeL, 128).plain().first_line().never_empty();
    samsum.stop_at_line_break = true;
    &[
        dataset("narrativeqa", QaF1, 128).not_in_e(),
        dataset("qasper", QaF1, 128),
        dataset("multifieldqa_en", QaF1, 64),
        dataset("hotpotqa", QaF1, 32),
        dataset("2wikimqa", QaF1, 32),
        dataset("musique", QaF1, 32).not_in_e(),
        dataset("gov_report", RougeL, 512),
        dataset("qmsum", RougeL, 512).not_in_e(),
        dataset("multi_news", RougeL, 512),
        dataset("trec", Classification, 64).plain().first_line(),
        dataset("triviaqa", QaF1, 32).plain().first_line(),
        samsum,
        dataset("passage_count", Count, 32),
        dataset("passage_retrieval_en", Retrieval, 32),
        dataset("lcc", CodeSim, 64).plain(),
        dataset("repobench-p", CodeSim, 64).plain(),
        dataset("lsht", Classification, 64).not_in_e().plain().first_line(),
        dataset("passage_retrieval_zh", RetrievalZh, 32).not_in_e(),
        dataset(version_2::NAME, Choice, 128).not_in_e(),
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::LONGBENCH;
    use super::*;
    use crate::tasks::loogle::LOOGLE;

    #[test]
    fn sixteen_english_sets_and_thirteen_of_longbench_e() {
        assert_eq!((LONGBENCH.names().len(), LOOGLE.names().len()), (19, 4));
        assert_eq!(DATASETS.iter().filter(|d| d.in_longbench_e).count(), 13);
        for suite in [&LONGBENCH, &LOOGLE] {
            let names: BTreeSet<&str> = suite.names().into_iter().collect();
            assert_eq!(names.len(), suite.datasets.len());
            for dataset in suite.datasets {
                assert_eq!(suite.find(dataset.name).unwrap(), dataset);
            }
        }
    }

    #[test]
    fn an_unknown_set_and_one_that_needs_words_are_refused_apart() {
        let text = |suite: &Suite, name| {
            let e = suite.find(name).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            e.to_string()
        };
        let unknown = text(&LONGBENCH, "hotpot");
        assert!(unknown.contains("no such data set") && unknown.contains("hotpotqa"), "{unknown}");
        let chinese = text(&LONGBENCH, "vcsum");
        assert!(chinese.contains("Chinese words"), "{chinese}");
        let other = text(&LOOGLE, "hotpotqa");
        assert!(other.contains("LooGLE") && other.contains("timeline_reorder"), "{other}");
    }

    /// The published configuration, where it is there.
    #[test]
    fn the_table_is_the_published_configuration() {
        let found = crate::goldens::find(["../data/longbench/prompts_and_maxgen.json"]);
        let Some([path]) = found else { return };
        let text = std::fs::read_to_string(&path).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let listed = |key: &str, name: &str| {
            config[key].as_array().unwrap().iter().any(|v| v.as_str() == Some(name))
        };
        let first = || DATASETS.iter().filter(|d| d.name != version_2::NAME);
        for d in first() {
            assert_eq!(config["max_gen"][d.name].as_u64(), Some(d.max_new_tokens as u64), "{d:?}");
            assert_eq!(listed("no_chat_template", d.name), !d.chat_template, "{d:?}");
            assert_eq!(listed("first_line_only", d.name), d.first_line_only, "{d:?}");
        }
        let all = config["max_gen"].as_object().unwrap().len();
        let ours = first().count();
        assert_eq!(all, ours + SEGMENTED.len());
        println!("golden prompts_and_maxgen.json: {ours} of {ours} data sets agree");
    }
}
