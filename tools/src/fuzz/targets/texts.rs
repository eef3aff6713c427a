//! Needles, the haystack, answers, and lists that are typed.

use std::sync::OnceLock;

use headprof::haystack::Haystack;
use headprof::metrics;
use headprof::metrics::code_sim::{Similarity, code_sim_score};
use headprof::needle::Needle;
use headprof::plan::{parse_depths, parse_lengths};
use headprof::tokenizer::{Lead, Tokenizer};
use headprof::{Error, Result};
use serde_json::json;

use super::seeds;
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// Needles: those that are accepted become tokens.
pub static NEEDLES: Target = Target {
    name: "needles",
    reads: "needles, JSON lines",
    seeds: || {
        let first = json!({"id": "code", "needle": "The code of Ada is 7.",
            "question": "What is the code of Ada?", "answer": "7."});
        let second = json!({"needle": "Ben’s boat is red.", "question": "How is it?",
            "real_needle": "red", "extra": [1, null]});
        vec![seeds::lines(&[first.clone(), second.clone()]), seeds::bytes(&second)]
    },
    beside: alone,
    read: |folder, input| {
        let needles = Needle::load(&folder.put("needles.jsonl", input))?;
        let tokenizer = tokenizer();
        let lead = Lead::new(tokenizer, "", "")?;
        needles.iter().try_for_each(|needle| needle.tokenise(tokenizer, &lead).map(drop))
    },
};

/// A text file of the haystack.
pub static HAYSTACK: Target = Target {
    name: "haystack",
    reads: "a text of the haystack",
    seeds: || {
        let text = "The boats lay still. Nobody saw them!\n\nA second paragraph, \u{201c}quoted.\
                    \u{201d} And 3.5 more… 他们走了。\r\nEnd";
        vec![text.as_bytes().to_vec(), b"\xef\xbb\xbfOne sentence.".to_vec()]
    },
    beside: alone,
    read: |folder, input| {
        folder.put("a.txt", input);
        let haystack = Haystack::load_dir(folder.path(), false)?;
        let tokens = haystack.tokenise(tokenizer())?;
        let (taken, _) = tokens.take(0, 2 * tokens.ids().len() + 3);
        match taken.len() == 2 * tokens.ids().len() + 3 {
            true => Ok(()),
            false => Err(Error::bug("the haystack is not cycled")),
        }
    },
};

/// An answer, a NUL, and the gold answer: every metric is finite.
pub static ANSWERS: Target = Target {
    name: "answers",
    reads: "an answer and a gold answer",
    seeds: || {
        let texts = [
            "The answer is B.\0(B) the harbour",
            "Paragraph 12, then 3\0Paragraph 12",
            "def f(x):\n    return x + 1  # done\0def f(y):\n    return y",
            "段落3说,東京。 it's running\0東京 ran",
        ];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    },
    beside: alone,
    read: |_, input| {
        // As long as answers are: some metrics compare every word with every other.
        let text = String::from_utf8_lossy(&input[..input.len().min(4096)]).into_owned();
        let (answer, gold) = text.split_once('\0').unwrap_or((&text, "gold"));
        scored(answer, gold)
    },
};

fn scored(answer: &str, gold: &str) -> Result<()> {
    let golds = [gold.to_owned(), "a b".to_owned()];
    let labels = ["kitchen", "a", gold];
    let _ = metrics::babilong::official_correct(answer, gold, gold, &labels);
    let _ = metrics::babilong::corrected_correct(answer, gold, gold, &labels);
    let _ = (metrics::exact::exact_match(answer, gold), metrics::porter::stem(answer));
    let _ = metrics::string_match::without_control_characters(answer);
    for value in [
        metrics::choice::choice_score(answer, gold),
        metrics::classification::classification_score(answer, gold, &golds),
        code_sim_score(answer, gold, Similarity::default()),
        metrics::f1::token_f1(answer, gold).f1,
        metrics::needle::rouge_1_f_x10(answer, gold),
        metrics::needle::word_recall(answer, gold),
        metrics::numbers::retrieval_score(answer, gold),
        metrics::numbers::retrieval_zh_score(answer, gold),
        metrics::numbers::count_score(answer, gold),
        metrics::rouge::rouge_1(answer, gold).recall,
        metrics::rouge_l_summary::rouge_l_summary(answer, gold),
        metrics::string_match::string_match_all(answer, &golds),
        metrics::string_match::string_match_any(answer, &golds),
    ] {
        if !value.is_finite() || value < 0.0 {
            return Err(Error::bug("a metric is no score").got(value));
        }
    }
    Ok(())
}

/// Lists of lengths and of depths.
pub static GRID: Target = Target {
    name: "grid",
    reads: "lengths and depths as typed",
    seeds: || {
        let texts = ["512,1k..8k:1k", "1k..16384k", "0.1,0.5,0.9", "0 0.25 1", "2"];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    },
    beside: alone,
    read: |_, input| {
        let text = String::from_utf8_lossy(input);
        match parse_depths(&text) {
            Ok(_) => Ok(()),
            Err(_) => parse_lengths(&text).map(drop),
        }
    },
};

fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let json = seeds::bytes(&seeds::tokenizer());
        match Tokenizer::from_bytes(&json, "tokenizer.json") {
            Ok(tokenizer) => tokenizer,
            Err(e) => panic!("the fuzzer's own tokenizer: {e}"),
        }
    })
}
