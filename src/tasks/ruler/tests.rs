//! Outputs are read back from the text alone, by a reader that knows nothing of the generator.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const ESSAY: &str = "Ships came in at dawn. Nobody asked why! Was it the fog? The bell rang twice.\n\
    Bread was sold on the quay, at 3.50 a loaf. It was warm.";

/// Four characters are a token.
fn count(text: &str) -> Result<usize> {
    Ok(text.chars().count().div_ceil(4))
}

fn generator(seed: u64, tokens: usize) -> RulerGenerator<'static> {
    RulerGenerator::new([ESSAY], seed, tokens, &count).unwrap()
}

fn sorted<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    texts.into_iter().collect()
}

/// What stands in `text` between `from` and `to`, every time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let parts = text.split(from).skip(1);
    parts.map(|part| part.split(to).next().unwrap()).collect()
}

/// Instruction, context and question.
fn parts(input: &str) -> [&str; 3] {
    let mut parts = input.split("\n\n");
    let found = [parts.next(), parts.next(), parts.next()].map(Option::unwrap);
    assert_eq!(parts.next(), None, "{input}");
    found
}

/// Names with their values, as the context has them.
fn values_of(context: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut values = BTreeMap::<&str, Vec<&str>>::new();
    for thing in ["The number of ", "The code of "] {
        for sentence in between(context, thing, ".") {
            let (name, value) = sentence.split_once(" is ").unwrap();
            values.entry(name).or_default().push(value);
        }
    }
    values
}

fn answer_to_needles<'a>(
    input: &'a str,
    names: &mut usize,
    asked: &mut usize,
) -> BTreeSet<&'a str> {
    let [_, context, question] = parts(input);
    let values = values_of(context);
    *names = values.len();
    let (_, after) = question.split_once(" of ").unwrap();
    let wanted: Vec<&str> = after.split('?').next().unwrap().split(", ").collect();
    *asked = wanted.len();
    wanted.iter().flat_map(|name| values[name].iter().copied()).collect()
}

/// Names that stand for the value that the question names.
fn answer_to_variables(input: &str) -> BTreeSet<&str> {
    let [_, context, question] = parts(input);
    let value = question.split("the value ").nth(1).unwrap().split(' ').next().unwrap();
    let mut known = BTreeMap::new();
    for line in between(context, "LET ", ".") {
        let (name, source) = line.split_once(" = ").unwrap();
        let value = known.get(source).copied().unwrap_or(source);
        assert_eq!(known.insert(name, value), None, "{name} is given twice");
    }
    known.into_iter().filter(|(_, v)| *v == value).map(|(name, _)| name).collect()
}

/// The `n` words that stand most often in the context, and how often the last of them and the next
/// one do.
fn most_frequent(input: &str, n: usize) -> (BTreeSet<&str>, usize, usize) {
    let [_, context, _] = parts(input);
    let mut times = BTreeMap::<&str, usize>::new();
    let is_word = |w: &&str| w.chars().all(char::is_alphabetic);
    context.split(' ').filter(is_word).for_each(|word| *times.entry(word).or_default() += 1);
    let mut by_times: Vec<(usize, &str)> = times.into_iter().map(|(w, n)| (n, w)).collect();
    by_times.sort_unstable_by(|a, b| b.cmp(a));
    let next = by_times.get(n).map_or(0, |(times, _)| *times);
    (by_times[..n].iter().map(|(_, word)| *word).collect(), by_times[n - 1].0, next)
}

#[test]
fn outputs_are_what_the_text_says() {
    for (kind, seed, tokens) in RulerKind::ALL
        .iter()
        .flat_map(|k| (0..3).flat_map(move |s| [700, 4096, 9000].map(move |t| (*k, s, t))))
    {
        let row = generator(seed, tokens).row(kind, 5).unwrap();
        let outputs = sorted(row.outputs.iter().map(String::as_str));
        assert_eq!(outputs.len(), row.outputs.len(), "{kind:?}: an output twice");
        let (mut names, mut asked) = (0, 0);
        let input = row.input.as_str();
        let read = match kind {
            RulerKind::VariableTracking => answer_to_variables(input),
            RulerKind::CommonWords => {
                let (words, last, next) = most_frequent(input, 10);
                assert!(last >= 10 * next, "{last} and {next}");
                words
            }
            RulerKind::FrequentWords => {
                let (words, last, next) = most_frequent(input, 3);
                assert!(last > next, "{last} and {next}");
                words
            }
            _ => answer_to_needles(input, &mut names, &mut asked),
        };
        assert_eq!(read, outputs, "{kind:?}");
        // The numbers of RULER's configuration.
        let expected = match kind {
            RulerKind::NiahMultivalue | RulerKind::NiahMultiquery => 4,
            RulerKind::VariableTracking => 5,
            RulerKind::CommonWords => 10,
            RulerKind::FrequentWords => 3,
            _ => 1,
        };
        assert_eq!(outputs.len(), expected, "{kind:?}");
        match kind {
            RulerKind::NiahMultikey1 => assert_eq!((names, asked), (4, 1)),
            RulerKind::NiahMultiquery => assert_eq!((names, asked), (4, 4)),
            RulerKind::NiahMultikey2 | RulerKind::NiahMultikey3 => {
                assert!(names > 10 && asked == 1)
            }
            RulerKind::VariableTracking | RulerKind::CommonWords | RulerKind::FrequentWords => {}
            _ => assert_eq!((names, asked), (1, 1)),
        }
    }
}

/// Tasks whose filler is no text: it has parts that cannot be cut.
const OF_PARTS: [RulerKind; 4] = [
    RulerKind::NiahMultikey2,
    RulerKind::NiahMultikey3,
    RulerKind::CommonWords,
    RulerKind::FrequentWords,
];

#[test]
fn prompts_are_as_long_as_asked_for() {
    for kind in RulerKind::ALL {
        // A word; or a needle of two codes, a word three times with its numbers, or what one more
        // of the most frequent word brings with it.
        let step = if OF_PARTS.contains(&kind) { 60 } else { 3 };
        for tokens in [700, 1000, 4096, 8192] {
            let length = count(&generator(1, tokens).row(kind, 0).unwrap().input).unwrap();
            assert!(length <= tokens && length + step > tokens, "{kind:?}: {length}");
        }
    }
}

/// Texts that have no short sentences in English fill a prompt as any other; a character is a token
/// here.
#[test]
fn every_text_fills_a_prompt() {
    let count: &dyn Fn(&str) -> Result<usize> = &|text| Ok(text.chars().count());
    let long_sentence = format!("It {}went on. ", "and on and ".repeat(900));
    let texts = [
        "河上有船，船上有人。人在看水！水里有什么？没有人知道。".repeat(20),
        "木".repeat(3000),
        "ships come in at dawn and nobody asks why ".repeat(200),
        "x".repeat(4000),
        "नदी में नाव है। नाव में लोग हैं। ".repeat(40),
        "ในแม่น้ำมีเรือ ".repeat(90),
        long_sentence,
        "One.".to_owned(),
    ];
    for text in &texts {
        for kind in RulerKind::ALL.into_iter().filter(|kind| !OF_PARTS.contains(kind)) {
            for tokens in [1500, 4096] {
                let generator = RulerGenerator::new([&**text], 1, tokens, count).unwrap();
                let row = generator.row(kind, 0).unwrap();
                let length = row.input.chars().count();
                // At most a word of nine letters with its space, of the longest of these texts.
                assert!(length <= tokens && length + 10 >= tokens, "{kind:?}: {length}: {text}");
            }
        }
    }
}

/// A text that is one sentence has needles at all depths, too.
#[test]
fn needles_stand_at_all_depths_of_a_text_without_sentences() {
    let count: &dyn Fn(&str) -> Result<usize> = &|text| Ok(text.chars().count());
    let text = "木".repeat(900);
    let generator = RulerGenerator::new([&*text], 1, 4096, count).unwrap();
    let mut quarters = [0; 4];
    for index in 0..40 {
        let row = generator.row(RulerKind::NiahSingle2, index).unwrap();
        let [_, context, _] = parts(&row.input);
        quarters[4 * context.find(&row.outputs[0]).unwrap() / context.len()] += 1;
    }
    assert!(quarters.iter().all(|n| *n >= 3), "{quarters:?}");
}

#[test]
fn a_length_without_room_is_refused() {
    for kind in RulerKind::ALL {
        let e = generator(1, 20).row(kind, 0).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains(kind.name()) && e.to_string().contains("at least"), "{e}");
    }
    let none: [&str; 1] = [" \n"];
    assert_eq!(RulerGenerator::new(none, 1, 100, &count).err().unwrap().exit_code(), 3);
}

#[test]
fn rows_depend_on_seed_task_and_index_alone() {
    let input = |seed, kind, index| generator(seed, 1000).row(kind, index).unwrap().input;
    let all: BTreeSet<String> = (0..4)
        .flat_map(|seed| (0..4).map(move |index| (seed, index)))
        .flat_map(|(s, i)| RulerKind::ALL.map(|kind| input(s, kind, i)))
        .collect();
    assert_eq!(all.len(), 4 * 4 * RulerKind::ALL.len());
    let again = generator(2, 1000);
    (0..3).rev().for_each(|i| {
        let kind = RulerKind::NiahMultikey2;
        assert_eq!(again.row(kind, i).unwrap().input, input(2, kind, i));
    });
}

#[test]
fn needles_stand_at_all_depths() {
    // Of 40 needles in as many prompts, some in every quarter.
    let generator = generator(3, 2000);
    let mut quarters = [0; 4];
    for index in 0..40 {
        let row = generator.row(RulerKind::NiahSingle2, index).unwrap();
        let [_, context, _] = parts(&row.input);
        let at = context.find(&row.outputs[0]).unwrap();
        quarters[4 * at / context.len()] += 1;
    }
    assert!(quarters.iter().all(|n| *n >= 3), "{quarters:?}");
}

#[test]
fn names_of_tasks() {
    for kind in RulerKind::ALL {
        assert_eq!(RulerKind::parse(kind.name()).unwrap(), kind);
    }
    let e = RulerKind::parse("qa_1").unwrap_err();
    assert_eq!(e.exit_code(), 2);
    assert!(e.to_string().contains("niah_single_1"), "{e}");
}
