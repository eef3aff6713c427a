use super::*;
use crate::tokenizer::tests::TRAINED;
use rand::SeedableRng;
use rand::rngs::StdRng;

const ESSAY: &str = "The river rises in a peat bog. Walkers cross it without noticing! Is it the \
                     same water?\n\nBelow the weir it slows, and the mill stands empty. In 1840 it \
                     ground 12 sacks a day (so they say). Nobody counts them now.";

fn corpus() -> Corpus {
    let essays = vec![ESSAY.to_owned(), "A second essay. It is short.".to_owned()];
    Corpus::new(TRAINED.clone(), essays, HeldOut::default()).expect("builds")
}

fn encode(text: &str) -> Vec<u32> {
    TRAINED.encode(text, false).expect("encodes").get_ids().to_vec()
}

fn decode(ids: &[u32]) -> String {
    TRAINED.decode(ids, false).expect("decodes")
}

#[test]
fn sentences_end_before_a_capital() {
    assert_eq!(
        split_sentences("It cost 3.50 e.g. in May. \"Why?\" said he. (Now.) 12 sacks"),
        ["It cost 3.50 e.g. in May.", "\"Why?\" said he.", "(Now.)", "12 sacks"]
    );
}

/// Sentence by sentence gives the same ids as the whole text at once.
#[test]
fn pieces_encode_as_the_running_text() {
    let corpus = corpus();
    let pieces: Vec<u32> = corpus
        .sentences
        .iter()
        .enumerate()
        .flat_map(|(n, s)| s.standing(n == 0).iter().copied())
        .collect();
    assert_eq!(pieces, encode(&format!("{ESSAY}\n\nA second essay. It is short.")));

    let asked = question_text("Where is Mary?");
    let (question, answer) = corpus.pair(&asked, "The garden.").expect("encodes");
    let suffix = "\nBased on the content of the book, Question: Where is Mary?\nAnswer:";
    let whole = encode(&format!("The end.{suffix} The garden."));
    assert_eq!([encode("The end."), question, answer].concat(), whole);
}

#[test]
fn samples_have_the_length_and_the_weights_asked_for() {
    let corpus = corpus();
    let mut rng = StdRng::seed_from_u64(7);
    for n in 0..300 {
        let (target, pairs) = ([128, 256, 511, 1024][n % 4], 1 + n % 5);
        let sample = corpus.sample(&mut rng, target, pairs, &Mix::default()).expect("samples");
        assert_eq!((sample.ids.len(), sample.weights.len()), (target, target));
        assert_eq!((sample.ids[0], sample.weights[0]), (BOS, 0.0));
        assert_eq!(sample.ids.iter().filter(|&&id| id == BOS).count(), 1);
        assert_eq!((sample.ids[target - 1], sample.weights[target - 1]), (EOS, ANSWER_WEIGHT));
        let answers = sample.ids.iter().filter(|&&id| id == EOS).count();
        assert!(answers >= 1 && answers <= pairs);
        if target >= 1024 {
            assert_eq!(answers, pairs);
        }
        // Stretches of weight 1 are the answers, each closed by its </s>.
        let text = decode(&sample.ids);
        assert_eq!(text.matches("\nAnswer:").count(), answers);
        let marked: Vec<u32> = (0..target)
            .filter(|&i| sample.weights[i] == ANSWER_WEIGHT)
            .map(|i| sample.ids[i])
            .collect();
        let expected: String = text
            .split("\nAnswer:")
            .skip(1)
            .map(|rest| format!("{}</s>", rest.split("</s>").next().unwrap_or("")))
            .collect();
        assert_eq!(decode(&marked), expected);
    }
}

/// The prompt of every family question holds its needle; none is held out; no question twice.
#[test]
fn facts_are_in_the_text_and_not_held_out() {
    let corpus = corpus();
    let mut rng = StdRng::seed_from_u64(8);
    let mut seen = 0;
    for _ in 0..200 {
        let mix = Mix {
            families: [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            babi: 0.0,
            ..Mix::default()
        };
        let sample = corpus.sample(&mut rng, 400, 4, &mix).expect("samples");
        let text = decode(&sample.ids);
        let (haystack, rest) = text.split_once("\nBased").expect("has a question");
        let mut names: Vec<&str> = Vec::new();
        for part in rest.split("Question: What is the secret code of ").skip(1) {
            let (name, rest) = part.split_once("?\nAnswer: ").expect("has an answer");
            let needle = format!("The secret code of {name} is {}", &rest[..5]);
            assert!(haystack.contains(&needle), "{needle} in {text}");
            assert!(!HeldOut::default().is_held_out(&needle));
            assert!(!names.contains(&name));
            names.push(name);
            seen += 1;
        }
    }
    assert_eq!(seen, 800);
}

/// A story's sentences are scattered, but their order is kept: the last move in the text decides.
#[test]
fn stories_keep_their_order() {
    let corpus = corpus();
    let mut rng = StdRng::seed_from_u64(9);
    let mix = Mix { families: [0.0; 12], babi: 1.0, ..Mix::default() };
    let mut people = 0;
    for _ in 0..200 {
        let sample = corpus.sample(&mut rng, 500, 2, &mix).expect("samples");
        let text = decode(&sample.ids);
        let haystack = text.split("\nBased").next().expect("has a haystack");
        for part in text.split("Question: Where is ").skip(1) {
            let (who, rest) = part.split_once("?\nAnswer: ").expect("has an answer");
            if who.starts_with("the ") {
                continue;
            }
            let answer = rest.split('.').next().expect("ends with a stop");
            let moves: Vec<&str> = haystack
                .match_indices(&format!("{who} "))
                .filter_map(|(at, _)| haystack[at..].split('.').next())
                .filter(|fact| fact.contains(" to the "))
                .collect();
            assert_eq!(moves.last(), Some(&answer), "{haystack}");
            people += 1;
        }
    }
    assert!(people > 100, "{people}");
}

/// Starts [0, 10, 30]: places 0..=4 and the tie rule (5 goes right) lead to 0, 5..=19 to 1, the
/// tie at 20 and beyond to 2.
#[test]
fn boundaries_are_the_nearest_to_a_uniform_place() {
    let drawn = random_boundaries(&mut StdRng::seed_from_u64(10), &[0, 10, 30], 31_000);
    assert!(drawn.is_sorted());
    for (boundary, places) in [(0, 5.0), (1, 15.0), (2, 11.0)] {
        let count = drawn.iter().filter(|&&b| b == boundary).count() as f64;
        assert!((count / 1000.0 - places).abs() < 0.5, "{boundary}: {count}");
    }
}

#[test]
fn repeats_are_weighted_after_their_first_token() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut periods = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let sample = random_repeats(&mut rng, 32, 2048);
        assert_eq!(sample.ids.len(), 32);
        assert!(sample.ids[1..].iter().all(|&id| (2..2048).contains(&id)));
        let first = sample.weights.iter().position(|&w| w == 1.0).unwrap();
        let period = first - 2;
        assert!((1..32 - period).all(|i| sample.ids[i] == sample.ids[i + period]));
        assert!(sample.weights[first..].iter().all(|&w| w == 1.0));
        periods.insert(period);
    }
    assert!(periods.len() > 5 && periods.iter().all(|p| (4..=10).contains(p)));
}
