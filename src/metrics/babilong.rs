//! BABILong's check of an answer, and a corrected one beside it.
//!
//! Y. Kuratov et al., "BABILong: Testing the Limits of LLMs with Long Context Reasoning-in-a-
//! Haystack", 2024. Both find the task's labels in the first sentence of an answer, leave out those
//! that the question mentions, and want exactly the target. They differ in what a mention is.
//!
//! The official check takes a label for mentioned wherever its letters stand: "none" has "one" in
//! it, so that the right answer "none" is never right (of 100 right answers to qa7, 54 are); "know"
//! and "not" have "no" in them, so that wrong answers to qa6 and qa9 are.

use std::collections::BTreeSet;

/// What ends an answer besides a full stop: the model goes on to text of the prompt's form.
const PROMPT_MARKS: [&str; 2] = ["<context>", "<example>"];

/// A target with a comma that is longer than this is a list of labels (qa8); shorter ones are a
/// label with a comma in it (`s,w` of qa19).
const LONGEST_COMMA_LABEL: usize = 3;

/// Whether `answer` is right by BABILong's own rules; `labels` are those of the task.
pub fn official_correct(answer: &str, target: &str, question: &str, labels: &[&str]) -> bool {
    let (answer, question) = (first_sentence(&answer.to_lowercase()), question.to_lowercase());
    let mentioned: BTreeSet<String> = labels
        .iter()
        .map(|label| label.to_lowercase())
        .filter(|label| answer.contains(label) && !question.contains(label))
        .collect();
    is_target(&mentioned, target)
}

/// Whether `answer` is right: as [`official_correct`], but a label is mentioned where it stands as
/// a whole word and is not a part of a longer label that stands there.
///
/// Besides, what follows `question:` does not count (the official check looks for `Question` with
/// a capital in a text without any), and neither does a space after a comma (`s, w`).
pub fn corrected_correct(answer: &str, target: &str, question: &str, labels: &[&str]) -> bool {
    let answer = first_sentence(&answer.to_lowercase());
    let answer = answer.split("question:").next().unwrap_or("").replace(", ", ",");
    let labels: BTreeSet<String> = labels.iter().map(|label| label.to_lowercase()).collect();
    let in_question = whole_mentions(&question.to_lowercase(), &labels);
    let mentioned: BTreeSet<String> =
        whole_mentions(&answer, &labels).difference(&in_question).cloned().collect();
    is_target(&mentioned, target)
}

/// `answer`, in lower case, up to its first full stop and the first mark of a prompt.
fn first_sentence(answer: &str) -> String {
    let sentence = answer.split('.').next().unwrap_or("");
    let end = PROMPT_MARKS.iter().filter_map(|mark| sentence.find(mark)).min();
    sentence[..end.unwrap_or(sentence.len())].to_owned()
}

/// Whether the labels mentioned are the target's: all of its list, or itself.
fn is_target(mentioned: &BTreeSet<String>, target: &str) -> bool {
    let target = target.to_lowercase();
    let expected: BTreeSet<&str> = match target.contains(',') && target.len() > LONGEST_COMMA_LABEL
    {
        true => target.split(',').collect(),
        false => [target.as_str()].into(),
    };
    expected == mentioned.iter().map(String::as_str).collect()
}

/// The labels that stand in `text` as whole words, without those that stand only inside a longer
/// one that does.
fn whole_mentions(text: &str, labels: &BTreeSet<String>) -> BTreeSet<String> {
    let mut by_length: Vec<&String> = labels.iter().filter(|label| !label.is_empty()).collect();
    by_length.sort_by_key(|label| std::cmp::Reverse(label.len()));
    let mut taken: Vec<std::ops::Range<usize>> = Vec::new();
    let mut mentioned = BTreeSet::new();
    for label in by_length {
        for (at, _) in text.match_indices(label.as_str()) {
            let span = at..at + label.len();
            let in_longer = taken
                .iter()
                .any(|t| t.len() > span.len() && t.start <= span.start && span.end <= t.end);
            if is_whole(text, &span) && !in_longer {
                mentioned.insert(label.clone());
                taken.push(span);
            }
        }
    }
    mentioned
}

/// Whether no letter or digit stands right before or right behind a part of `text`.
fn is_whole(text: &str, span: &std::ops::Range<usize>) -> bool {
    let before = text[..span.start].chars().next_back();
    let behind = text[span.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &[&str] = &["none", "one", "two", "three"];
    const YES_NO: &[&str] = &["yes", "no"];
    const ROOMS: &[&str] = &["bathroom", "garden", "office"];

    #[test]
    fn a_label_inside_a_word_is_no_mention() {
        // "none" has "one" in it, "know" and "not" have "no".
        assert!(!official_correct("None.", "none", "How many?", COUNTS));
        assert!(corrected_correct("None.", "none", "How many?", COUNTS));
        assert!(corrected_correct("one", "one", "How many?", COUNTS));
        assert!(!corrected_correct("one or none", "one", "How many?", COUNTS));
        assert!(official_correct("I know", "no", "Is he here?", YES_NO));
        assert!(!corrected_correct("I know", "no", "Is he here?", YES_NO));
        assert!(corrected_correct("No, he is not", "no", "Is he here?", YES_NO));
        // A question that has "no" in it ("know") makes "no" impossible for the official check.
        assert!(!official_correct("no", "no", "Do we know it?", YES_NO));
        assert!(corrected_correct("no", "no", "Do we know it?", YES_NO));
    }

    #[test]
    fn of_labels_in_labels_the_longest_counts() {
        let labels = ["hall", "hall way"];
        assert!(corrected_correct("the hall way", "hall way", "Where?", &labels));
        assert!(!corrected_correct("the hall way, the hall", "hall way", "Where?", &labels));
        // Labels of one length that overlap are both mentioned: the answer names two ways.
        assert!(!corrected_correct("s,w,n", "s,w", "How?", &["s,w", "w,n"]));
        assert!(corrected_correct("s, w", "s,w", "How?", &["s,w", "w,n"]));
    }

    #[test]
    fn both_want_the_target_alone_and_in_the_first_sentence() {
        for check in [official_correct, corrected_correct] {
            assert!(check("The Garden. Or the office", "garden", "Where is Mary?", ROOMS));
            assert!(!check("garden or office", "garden", "Where is Mary?", ROOMS));
            assert!(check("From the office to the garden", "garden", "After the office?", ROOMS));
            assert!(check("garden <example> office <context>", "garden", "Where?", ROOMS));
            assert!(!check("<context> garden", "garden", "Where?", ROOMS));
            assert!(!check("", "garden", "Where?", ROOMS));
            let things = ["milk", "apple", "football"];
            assert!(check("football and milk", "milk,football", "What?", &things));
            assert!(!check("milk", "milk,football", "What?", &things));
            assert!(!check("milk, apple, football", "milk,football", "What?", &things));
        }
        assert!(corrected_correct("office\nQuestion: garden", "office", "Where?", ROOMS));
    }
}
