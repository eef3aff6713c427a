//! Where the references take the needle to be: they search the prompt for it.
//!
//! headprof knows the needle's span from how the prompt was put together. With `--compat` the
//! scores see the span that the reference's search would have found in the same prompt.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::prompt::Prompt;

/// The search of one reference. Both compare the *distinct* tokens of the needle with those of a
/// window as long as the needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanRule {
    /// Retrieval_Head: the first window with more than 90 % of the needle's distinct tokens, thus
    /// often some tokens too early.
    FirstWindow,
    /// HeadKV's R2: the window with the most, the last of equal ones. Where the tokenizer has a
    /// BOS, only windows right behind one count; the reference puts one before the needle.
    BestWindow,
}

impl SpanRule {
    /// The spans that the reference's scores would see in `prompt`; `bos` is the tokenizer's.
    ///
    /// The needle is searched for as the tokens that it has in this prompt, so that it is found.
    pub fn spans(self, prompt: &Prompt, bos: Option<u32>) -> Vec<Range<usize>> {
        let ids = &prompt.ids;
        let seen = |span: &Range<usize>| {
            let needle = &ids[span.clone()];
            let found = match (self, bos) {
                (Self::FirstWindow, _) => first_window(ids, needle),
                (Self::BestWindow, None) => best_window(ids, needle, 0..ids.len()),
                // Behind the BOS of the prompt, and behind the one that stands in the reference
                // before the needle.
                (Self::BestWindow, Some(_)) => best_window(ids, needle, [1, span.start]),
            };
            found.map_or_else(|| span.clone(), |w| w.start..w.end.min(ids.len()))
        };
        prompt.needle.iter().map(seen).collect()
    }
}

/// The first window of `needle.len()` tokens with more than 90 % of the needle's distinct tokens.
pub fn first_window(prompt: &[u32], needle: &[u32]) -> Option<Range<usize>> {
    let distinct = Distinct::of(needle);
    let enough =
        |&at: &usize| distinct.in_window(prompt, at) as f64 / distinct.count() as f64 > 0.9;
    (0..prompt.len()).find(enough).map(|at| at..at + needle.len())
}

/// The window with the most of the needle's distinct tokens among those that begin at
/// `candidates`, the last of equal ones. It may reach beyond the prompt. `None` without candidates.
pub fn best_window(
    prompt: &[u32],
    needle: &[u32],
    candidates: impl IntoIterator<Item = usize>,
) -> Option<Range<usize>> {
    let distinct = Distinct::of(needle);
    // `max_by_key` takes the last of equal ones.
    let best = candidates.into_iter().max_by_key(|&at| distinct.in_window(prompt, at));
    best.map(|at| at..at + needle.len())
}

/// The distinct tokens of a needle, numbered.
struct Distinct {
    numbers: BTreeMap<u32, usize>,
    window: usize,
}

impl Distinct {
    fn of(needle: &[u32]) -> Self {
        let mut numbers = BTreeMap::new();
        for &id in needle {
            let next = numbers.len();
            numbers.entry(id).or_insert(next);
        }
        Self { numbers, window: needle.len() }
    }

    fn count(&self) -> usize {
        self.numbers.len()
    }

    /// How many of them stand in the window that begins at `at`.
    fn in_window(&self, prompt: &[u32], at: usize) -> usize {
        let mut met = vec![false; self.count()];
        for id in prompt.iter().skip(at).take(self.window) {
            if let Some(&number) = self.numbers.get(id) {
                met[number] = true;
            }
        }
        met.iter().filter(|&&m| m).count()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::goldens;

    fn prompt(ids: Vec<u32>, needle: Range<usize>) -> Prompt {
        Prompt {
            before_question: ids.len() - 1,
            ids,
            needle: vec![needle],
            distractors: Vec::new(),
            depth_asked: Some(0.5),
            depth_reached: 0.5,
            haystack_cycles: 1,
        }
    }

    #[test]
    fn the_first_window_is_early_and_the_best_one_is_late() {
        // BOS, 3 tokens of haystack, a needle of 12 tokens, 4 tokens more.
        let ids: Vec<u32> = [1, 5, 6, 7].into_iter().chain(100..112).chain([8, 9, 6, 5]).collect();
        let p = prompt(ids, 4..16);
        // Of 12 distinct tokens 11 are 91.7 %: the window one token early is enough, that two
        // early (10 of 12) is not.
        assert_eq!(SpanRule::FirstWindow.spans(&p, Some(1)), [3..15]);
        assert_eq!(SpanRule::BestWindow.spans(&p, Some(1)), [4..16]);
        assert_eq!(SpanRule::BestWindow.spans(&p, None), [4..16]);
        // 9 of 10 are not more than 90 %: a short needle is found where it is.
        assert_eq!(first_window(&p.ids, &p.ids[4..14]), Some(4..14));
        // The needle 7 7 8: both 5 7 7 8 9's window at 1 and, one later, 7 8 9 have {7, 8}.
        let twice = prompt(vec![5, 7, 7, 8, 9], 1..4);
        assert_eq!(SpanRule::BestWindow.spans(&twice, None), [2..5]);
        // The same at the end: the window reaches beyond the prompt and is cut.
        assert_eq!(SpanRule::BestWindow.spans(&prompt(vec![5, 7, 7, 8], 1..4), None), [2..4]);
        assert_eq!(first_window(&[1, 2, 3], &[7, 8]), None);
        assert_eq!(best_window(&[1, 2, 3], &[7, 8], []), None);
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        prompt_ids: Vec<u32>,
        needle_ids: Vec<u32>,
        bos_id: Option<u32>,
        rule_retrieval: [i64; 2],
        rule_r2: [i64; 2],
    }

    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[test]
    fn span_goldens() {
        let Some([path]) = goldens::find(["scores/find_needle.json"]) else { return };
        let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let pair = |found: Option<Range<usize>>| {
            found.map_or([-1, -1], |w| [w.start as i64, w.end as i64])
        };
        for c in &golden.cases {
            let first = first_window(&c.prompt_ids, &c.needle_ids);
            assert_eq!(pair(first), c.rule_retrieval, "{}", c.name);
            let behind =
                |i: &usize| c.bos_id.is_none_or(|bos| *i > 0 && c.prompt_ids[*i - 1] == bos);
            let candidates = (0..c.prompt_ids.len()).filter(behind);
            let best = best_window(&c.prompt_ids, &c.needle_ids, candidates);
            assert_eq!(pair(best), c.rule_r2, "{}", c.name);
        }
        println!("find_needle goldens: {} cases", golden.cases.len());
        assert_eq!(golden.cases.len(), 12);
    }
}
