//! What an answer to a row of LongBench is worth, and what is reported of many.

use super::dataset::{LongBenchDataset, LongBenchMetric};
use crate::metrics::choice::choice_score;
use crate::metrics::classification::classification_score;
use crate::metrics::code_sim::{Similarity, code_sim_score};
use crate::metrics::f1::token_f1;
use crate::metrics::numbers::{count_score, retrieval_score, retrieval_zh_score};
use crate::metrics::rouge_l_summary::rouge_l_summary;
use crate::tasks::longbench::rows::LongBenchRow;

/// LongBench-E's groups of rows by length: below 4000, below 8000, and the rest.
pub const LENGTH_GROUPS: [&str; 3] = ["0-4k", "4-8k", "8k+"];

/// The score of one answer, 0 to 1: the best over all expected answers.
pub fn score(
    dataset: &LongBenchDataset,
    row: &LongBenchRow,
    answer: &str,
    similarity: Similarity,
) -> f64 {
    let answer = match dataset.first_line_only {
        true => answer.trim_start_matches('\n').split('\n').next().unwrap_or(""),
        false => answer,
    };
    let one = |gold: &String| match dataset.metric {
        LongBenchMetric::QaF1 => token_f1(answer, gold).f1,
        LongBenchMetric::RougeL => rouge_l_summary(answer, gold),
        LongBenchMetric::Classification => classification_score(answer, gold, &row.all_classes),
        LongBenchMetric::Retrieval => retrieval_score(answer, gold),
        LongBenchMetric::RetrievalZh => retrieval_zh_score(answer, gold),
        LongBenchMetric::Count => count_score(answer, gold),
        LongBenchMetric::CodeSim => code_sim_score(answer, gold, similarity),
        LongBenchMetric::Choice => choice_score(answer, gold),
    };
    row.answers.iter().map(one).fold(0.0, f64::max)
}

/// Index in [`LENGTH_GROUPS`].
pub fn group_of_length(length: usize) -> usize {
    match length {
        0..4000 => 0,
        4000..8000 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::LONGBENCH;
    use super::*;
    use crate::tasks::mean_score;
    use crate::tasks::task::two_decimals;
    use serde_json::Value;

    /// [`mean_score`] of each of [`LENGTH_GROUPS`]; `None` for a group without rows. One score per
    /// length.
    fn mean_score_by_length(lengths: &[usize], scores: &[f64]) -> [Option<f64>; 3] {
        let mut groups: [Vec<f64>; 3] = Default::default();
        lengths
            .iter()
            .zip(scores)
            .for_each(|(length, s)| groups[group_of_length(*length)].push(*s));
        groups.map(|scores| mean_score(&scores))
    }

    fn row(answers: &[&str], classes: &[&str]) -> LongBenchRow {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        LongBenchRow {
            id: "a".to_owned(),
            input: String::new(),
            context: String::new(),
            answers: owned(answers),
            dataset: String::new(),
            all_classes: owned(classes),
            in_e: false,
            part: None,
            place: String::new(),
        }
    }

    fn of(dataset: &str, answer: &str, row: &LongBenchRow) -> f64 {
        let dataset = LONGBENCH.find(dataset).unwrap();
        score(dataset, row, answer, Similarity::default())
    }

    #[test]
    fn every_metric_is_the_one_of_its_data_set() {
        assert_eq!(of("qasper", "a red cat", &row(&["dog", "red cat"], &[])), 1.0); // the best
        assert!((of("qmsum", "x y", &row(&["x y"], &[])) - 1.0).abs() < 1e-8);
        assert_eq!(of("trec", "City or State", &row(&["City"], &["City", "State"])), 0.5);
        assert_eq!(of("passage_retrieval_en", "3 4", &row(&["Paragraph 3"], &[])), 0.5);
        assert_eq!(of("passage_retrieval_zh", "3 4", &row(&["段落3"], &[])), 0.5);
        assert_eq!(of("passage_count", "3 4", &row(&["3"], &[])), 0.5);
        assert_eq!(of("lcc", "# no\nx", &row(&["x"], &[])), 1.0);
        assert_eq!(of("longbench-v2", "The correct answer is (C).", &row(&["C"], &[])), 1.0);
    }

    #[test]
    fn the_first_line_counts_where_examples_follow() {
        // Line breaks before it do not end it; elsewhere all lines count: F = 2 * 1 / (3 + 1).
        assert_eq!(of("triviaqa", "\n\nParis\nQuestion: foo", &row(&["Paris"], &[])), 1.0);
        assert_eq!(of("qasper", "\n\nParis\nQuestion: foo", &row(&["Paris"], &[])), 0.5);
    }

    #[test]
    fn means_by_hand() {
        assert_eq!(mean_score(&[]), None);
        assert_eq!(mean_score(&[1.0, 1.0, 0.0]), Some(66.67));
        // 0.125 is exact: half to even. 1.005 is a little less than it says.
        assert_eq!(two_decimals(0.125), 0.12);
        assert_eq!(two_decimals(1.005), 1.0);
        let by_length = mean_score_by_length(&[3999, 4000, 7999], &[1.0, 0.5, 0.0]);
        assert_eq!(by_length, [Some(100.0), Some(25.0), None]);
        assert_eq!(group_of_length(8000), 2);
    }

    #[test]
    fn goldens_of_the_scorer() {
        let found = crate::goldens::find(["eviction/metrics_longbench_scorer.json"]);
        let Some([path]) = found else { return };
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let cases = file["cases"].as_array().unwrap();
        for case in cases {
            let dataset = LONGBENCH.find(case["dataset"].as_str().unwrap()).unwrap();
            let all_classes = texts(&case["all_classes"]);
            let answers = case["answers"].as_array().unwrap();
            let scores: Vec<f64> = texts(&case["preds"])
                .iter()
                .zip(answers)
                .map(|(answer, golds)| {
                    let row = LongBenchRow {
                        answers: texts(golds),
                        all_classes: all_classes.clone(),
                        ..row(&[], &[])
                    };
                    score(dataset, &row, answer, Similarity::Difflib)
                })
                .collect();
            assert_eq!(mean_score(&scores), case["scorer"].as_f64(), "{case}");
            let lengths = case["lengths"].as_array().unwrap();
            let lengths: Vec<usize> =
                lengths.iter().map(|l| l.as_u64().unwrap() as usize).collect();
            for (group, ours) in LENGTH_GROUPS.iter().zip(mean_score_by_length(&lengths, &scores)) {
                assert_eq!(ours, case["scorer_e"][group].as_f64(), "{group} of {case}");
            }
        }
        println!("golden metrics_longbench_scorer.json: {0} of {0} agree", cases.len());
    }
}
