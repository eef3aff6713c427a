use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::{find_facts, supporting};
use crate::tasks::babilong::babi::tests::solver;
use crate::tasks::babilong::babi::{BabiTask, Story, story};

const PLACEABLE: [BabiTask; 10] = [
    BabiTask::Qa1,
    BabiTask::Qa2,
    BabiTask::Qa3,
    BabiTask::Qa4,
    BabiTask::Qa5,
    BabiTask::Qa6,
    BabiTask::Qa7,
    BabiTask::Qa8,
    BabiTask::Qa9,
    BabiTask::Qa10,
];

fn stories(task: BabiTask, number: u64) -> impl Iterator<Item = Story> {
    (0..number).map(move |seed| story(task, task.default_facts(), &mut StdRng::seed_from_u64(seed)))
}

fn found(context: &str) -> Vec<&str> {
    find_facts(context).into_iter().map(|range| &context[range]).collect()
}

/// Prose that is no fact, but nearly so.
const PROSE: [&str; 9] = [
    "The bank is north of the river. ",
    "Mary went to the market.\n",
    "“Mary is in the right,” said he. ",
    "Rosemary went to the kitchen; John is not. ",
    "The hallway is long, e. g. Mr. John\u{2019}s. ",
    "Mary and John are in the kitchen; and under the lower ",
    "Mary took the kitchen. John went to the apple. ",
    "Daniel",
    "",
];

#[test]
fn facts_are_found_among_prose() {
    for task in PLACEABLE {
        for (i, s) in stories(task, 300).enumerate() {
            let mut context = String::new();
            let mut expected = Vec::new();
            for (j, fact) in s.facts.iter().enumerate() {
                context.push_str(PROSE[(i + j) % (PROSE.len() - 2)]);
                expected.push(context.len()..context.len() + fact.len());
                context.push_str(fact);
                context.push(if j % 2 == 0 { ' ' } else { '\n' });
            }
            context.push_str(PROSE[(i + 7) % PROSE.len()]);
            assert_eq!(find_facts(&context), expected, "{context}");
        }
    }
}

#[test]
fn a_fact_may_be_broken_into_lines_and_prose_may_be_anything() {
    assert_eq!(found("Mary\nwent back\nto the kitchen. x"), ["Mary\nwent back\nto the kitchen."]);
    assert_eq!(
        found("é.Mary is either in the park or the school."),
        ["Mary is either in the park or the school."]
    );
    // Begun twice: the second is whole.
    assert_eq!(found("Mary: John put down the milk there."), ["John put down the milk there."]);
    for none in
        ["", ".", "Mary", "Mary.", "The . The", "Mary went to the kitchen", "The 🦀. Mary is"]
    {
        assert!(find_facts(none).is_empty(), "{none:?}");
    }
}

#[test]
fn the_supporting_facts_of_our_stories_follow_from_their_texts() {
    for task in PLACEABLE {
        for s in stories(task, 2_000) {
            let facts: Vec<&str> = s.facts.iter().map(String::as_str).collect();
            let placed = supporting(task, &facts, &s.question, &s.answer);
            assert_eq!(placed.as_ref(), Some(&s.supporting), "{s:?}");
            // With bAbI's space after the question mark, but not with another answer.
            let question = format!("{} ", s.question);
            assert_eq!(supporting(task, &facts, &question, &s.answer), placed);
            assert_eq!(supporting(task, &facts, &question, "cellar"), None);
        }
    }
}

#[test]
fn what_cannot_be_placed_is_none() {
    let facts = ["Mary went to the kitchen."];
    assert_eq!(supporting(BabiTask::Qa1, &facts, "Where is Mary?", "kitchen"), Some(vec![0]));
    assert_eq!(supporting(BabiTask::Qa1, &facts, "Where is Mary?", "garden"), None);
    assert_eq!(supporting(BabiTask::Qa1, &facts, "Where is John?", "kitchen"), None);
    assert_eq!(supporting(BabiTask::Qa1, &facts, "Who is Mary?", "kitchen"), None);
    assert_eq!(supporting(BabiTask::Qa1, &facts, "Where is Mary", "kitchen"), None);
    assert_eq!(supporting(BabiTask::Qa2, &facts, "Where is Mary?", "kitchen"), None);
    assert_eq!(supporting(BabiTask::Qa12, &facts, "Where is Mary?", "kitchen"), None);
    assert_eq!(
        supporting(BabiTask::Qa7, &facts, "How many objects is Mary carrying?", "none"),
        None
    );
    let prose = ["Mary went to the kitchen.", "It rained."];
    assert_eq!(supporting(BabiTask::Qa1, &prose, "Where is Mary?", "kitchen"), None);
    assert_eq!(supporting(BabiTask::Qa1, &[], "Where is Mary?", "kitchen"), None);
}

/// By hand: a thing carried, put down, and carried back.
#[test]
fn supporting_facts_by_hand() {
    let facts = [
        "Mary went to the kitchen.",      // 0
        "Mary took the milk there.",      // 1
        "Mary moved to the garden.",      // 2: to the garden from the kitchen
        "Mary put down the milk.",        // 3
        "Mary journeyed to the office.",  // 4
        "John travelled to the garden.",  // 5
        "John picked up the milk there.", // 6
        "John went back to the bedroom.", // 7: to the bedroom from the garden
    ];
    let where_is = "Where is the milk?";
    assert_eq!(supporting(BabiTask::Qa2, &facts[..2], where_is, "kitchen"), Some(vec![0, 1]));
    assert_eq!(supporting(BabiTask::Qa2, &facts[..3], where_is, "garden"), Some(vec![1, 2]));
    assert_eq!(supporting(BabiTask::Qa2, &facts[..6], where_is, "garden"), Some(vec![2, 3]));
    assert_eq!(supporting(BabiTask::Qa2, &facts[..7], where_is, "garden"), Some(vec![5, 6]));
    assert_eq!(supporting(BabiTask::Qa2, &facts, where_is, "bedroom"), Some(vec![6, 7]));
    let before = |place| format!("Where was the milk before the {place}?");
    let qa3 = |place, answer| supporting(BabiTask::Qa3, &facts, &before(place), answer);
    assert_eq!(qa3("garden", "kitchen"), Some(vec![0, 1, 2]));
    assert_eq!(qa3("bedroom", "garden"), Some(vec![5, 6, 7]));
    assert_eq!(qa3("office", "garden"), None);
}

fn rows(length: &str, task: BabiTask) -> Option<Vec<Value>> {
    let [path] = crate::goldens::find([&format!("../data/babilong/{length}_{task}.jsonl")])?;
    let text = std::fs::read_to_string(path).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// BABILong's rows without prose are facts from end to end, and the same rows with prose (other
/// rows in qa3) have the same facts among it. What is found suffices for the answer.
#[test]
fn babilongs_rows() {
    for task in PLACEABLE {
        for length in ["0k", "1k", "2k"] {
            if length != "0k" && task > BabiTask::Qa5 {
                continue;
            }
            let (Some(rows), Some(bare)) = (rows(length, task), rows("0k", task)) else { return };
            assert!(!rows.is_empty() && rows.len() <= bare.len());
            let (mut placed, mut same) = (0, 0);
            for (row, bare) in rows.iter().zip(&bare) {
                let [context, question, target] =
                    ["input", "question", "target"].map(|key| row[key].as_str().unwrap());
                let facts = found(context);
                assert_eq!(solver::answer(&facts, question).as_deref(), Some(target), "{context}");
                same += usize::from(facts.join(" ") == bare["input"].as_str().unwrap().trim());
                placed += usize::from(supporting(task, &facts, question, target).is_some());
            }
            println!("{length} {task}: {placed} of {} rows placed, {same} as in 0k", rows.len());
            assert_eq!(placed, rows.len(), "{length} {task}");
            assert!(same == rows.len() || (task == BabiTask::Qa3 && length != "0k"));
        }
    }
}
