//! The two numbers that HeadKV, KVCache-Factory and DuoAttention report for a needle.
//!
//! Neither is a share of right answers: the first compares a short answer with the whole needle, so
//! that a perfect answer to the usual needle has 7.27 of 10; the second splits at white space
//! only, so that `day.` and `day` differ.

use std::collections::HashSet;

use super::rouge::rouge_1;

/// `10 · F` of ROUGE-1 (stemmed) between the answer and the whole needle, 0 to 10: the number in
/// the references' result files.
pub fn rouge_1_f_x10(answer: &str, needle: &str) -> f64 {
    10.0 * rouge_1(answer, needle).f1
}

/// `|set(answer's words) ∩ E| / |E|` with `E` the different words of `gold`, 0 to 1; words are in
/// lower case and end at white space. The number in the references' heatmaps. 0 if `gold` is empty.
pub fn word_recall(answer: &str, gold: &str) -> f64 {
    let words = |text: &str| -> HashSet<String> {
        text.to_lowercase().split_whitespace().map(str::to_owned).collect()
    };
    let expected = words(gold);
    match expected.len() {
        0 => 0.0,
        n => words(answer).intersection(&expected).count() as f64 / n as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens;

    #[test]
    fn by_hand() {
        // Needle of 4 words, answer of 2, both in it: F = 2 * 2 / (2 + 4) = 2/3.
        assert!((rouge_1_f_x10("red door", "the red door opened") - 20.0 / 3.0).abs() < 1e-12);
        // E = {a, red, door.}: "door" is not "door.", the second "a" is the same word.
        assert_eq!(word_recall("A red door a", "a red door. a"), 2.0 / 3.0);
        assert_eq!((word_recall("", "a"), word_recall("a", " ")), (0.0, 0.0));
    }

    /// The reference's own libraries on eleven responses.
    #[test]
    fn goldens_of_the_needle_metrics() {
        let Some([path]) = goldens::find(["eviction/metrics_needle.json"]) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let needle = golden["needle"].as_str().unwrap();
        let gold = "eat a sandwich and sit in dolores park on a sunny day.";
        let cases = golden["cases"].as_array().unwrap();
        for case in cases {
            let response = case["response"].as_str().unwrap();
            let near = |name: &str, ours: f64| {
                let theirs = case[name].as_f64().unwrap();
                assert!((ours - theirs).abs() < 1e-6, "{name} of {response:?}: {ours} {theirs}");
            };
            near("rouge1_f_x10", rouge_1_f_x10(response, needle));
            near("heatmap_score", word_recall(response, gold));
        }
        println!("golden metrics_needle.json: {} of {} cases agree", cases.len(), cases.len());
    }
}
