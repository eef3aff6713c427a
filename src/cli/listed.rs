//! Help texts that name what is registered: scores, allocators, methods.

use crate::budget::{self, Allocator, BudgetOptions, Constant, Needs};
use crate::eviction::{self, EvictionOptions};
use crate::score::{self, Extra, ScoreInfo};

/// `a, b or c`, with `last` for the "or".
fn listed<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Names of the allocators that `which` takes, as `a, b or c`.
fn allocators(which: impl Fn(&dyn Allocator) -> bool, last: &str) -> String {
    listed(budget::registry().iter().filter(|a| which(**a)).map(|a| a.name()), last)
}

/// Names of the allocators that read the constant of `option`, as `a, b`.
fn readers(option: &str) -> String {
    let readers = budget::registry().iter().filter(|a| a.info().reads(option));
    readers.map(|a| a.name()).collect::<Vec<_>>().join(", ")
}

/// `--scores`.
pub(super) fn scores() -> String {
    let names = |which: &dyn Fn(&ScoreInfo) -> bool| {
        let chosen = score::registry().iter().filter(|score| which(score.info()));
        chosen.map(|score| score.name()).collect::<Vec<_>>().join(", ")
    };
    let usual = |info: &ScoreInfo| info.extra == Extra::Nothing;
    format!(
        "Scores to compute; those with a pass of their own: {} (the question, twice), {} (the answer), {} \
         (the context), {} (the expected answer and its gradients), {} (no prompt at all) [default: {} and the counts {}]",
        names(&|info| info.extra == Extra::Question),
        names(&|info| matches!(info.extra, Extra::Values(_))),
        names(&|info| info.extra == Extra::Replay),
        names(&|info| info.extra == Extra::Gradients),
        names(&|info| info.extra == Extra::Kinds),
        names(&|info| info.main && usual(info)),
        names(&|info| !info.main && usual(info)),
    )
}

/// `allocate --head-choice`.
pub(super) fn head_choice() -> String {
    let word = |score: &&dyn score::HeadScore| match score.info().aliases {
        [] => score.name().to_owned(),
        [alias, ..] => format!("{alias} ({})", score.name()),
    };
    let main = score::registry().iter().filter(|s| s.info().main);
    let words: Vec<String> = main.map(word).collect();
    format!("{} of --model, or a file", listed(words.iter().map(String::as_str), "or"))
}

/// `allocate --method`: without a prompt there are no token scores.
pub(super) fn allocator() -> String {
    let names = allocators(|a| a.needs() != Needs::TokenScores, "or");
    format!("{names}, or a reference's name for it")
}

/// `--beta`.
pub(super) fn beta() -> String {
    let own = |allocator: &&dyn Allocator| {
        allocator.info().constants.iter().find_map(|constant| match constant {
            Constant::Beta { default } => Some((*default, allocator.name())),
            Constant::Temp | Constant::Alpha | Constant::PyramidBeta => None,
        })
    };
    let defaults: Vec<(f64, &str)> = budget::registry().iter().filter_map(own).collect();
    let defaults: Vec<String> = defaults
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            format!("{} for {}", same[0].0, listed(same.iter().map(|(_, name)| *name), "and"))
        })
        .collect();
    format!(
        "{}: one beta-th of the budget is shared by score; larger is more even [default: {}]",
        readers("--beta"),
        defaults.join(", ")
    )
}

/// `--temp`.
pub(super) fn temp() -> String {
    format!("{}: exponent of the scores", readers("--temp"))
}

/// `--alpha`.
pub(super) fn alpha() -> String {
    format!("{}: share of the budget that is the same for all heads", readers("--alpha"))
}

/// `allocate --pyramid-beta`.
pub(super) fn pyramid_beta() -> String {
    let reads =
        |a: &dyn Allocator| a.info().reads("--pyramid-beta") && a.needs() != Needs::TokenScores;
    format!("{}: the last layer gets the mean divided by this", allocators(reads, "and"))
}

/// `evaluate --head-score`.
pub(super) fn head_score() -> String {
    format!(
        "Head scores that {} follow: a file, or the name of a model with scores in \
         head_score/, such as smollm2-135m-instruct or smollm2-135m-instruct:inf; several with \
         commas between them, to compare budgets by each",
        allocators(|a| a.needs() == Needs::HeadScores, "and")
    )
}

/// `--utility`.
pub(super) fn utility() -> String {
    format!("{}: a file of utility curves", allocators(|a| a.needs() == Needs::Utility, "and"))
}

/// `evaluate --methods`.
pub(super) fn methods() -> String {
    let names = |follow_scores: bool| {
        let defaults = eviction::registry().iter().filter(|m| m.is_default());
        defaults.filter(move |m| m.needs_head_scores() == follow_scores).map(|m| m.name())
    };
    format!(
        "Methods to compare [default: {} and, with --head-score, {}]; +vatp behind a name weighs \
         attention by the values",
        names(false).collect::<Vec<_>>().join(", "),
        listed(names(true), "and")
    )
}

/// `utility --method`.
pub(super) fn token_scores() -> String {
    let named = |vatp: bool| {
        let options = EvictionOptions::new(BudgetOptions::default());
        let scores = eviction::token_scores().iter().filter(|s| !s.wanted(&options).replay);
        let scores = scores.map(|score| score.info());
        listed(scores.filter(|i| !vatp || i.vatp_formula.is_some()).map(|i| i.method), "or")
    };
    format!(
        "Method whose token score puts the tokens in order: {}; or {} with +vatp",
        named(false),
        named(true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_last_word() {
        assert_eq!(listed([], "or"), "");
        assert_eq!(listed(["a"], "or"), "a");
        assert_eq!(listed(["a", "b", "c"], "or"), "a, b or c");
    }

    #[test]
    fn what_is_registered_is_named() {
        let scores = scores();
        score::registry().iter().for_each(|s| assert!(scores.contains(s.name()), "{scores}"));
        let (without_prompt, methods) = (allocator(), methods());
        for allocator in budget::registry() {
            let named = without_prompt.split([',', ' ']).any(|word| word == allocator.name());
            assert_eq!(named, allocator.needs() != Needs::TokenScores, "{without_prompt}");
        }
        for method in eviction::registry() {
            let named = methods.split([',', ' ', ']']).any(|word| word == method.name());
            assert_eq!(named, method.is_default(), "{methods}: {}", method.name());
        }
        assert!(beta().contains("1.5 for headkv"), "{}", beta());
        assert!(head_choice().starts_with("copy (retrieval), reason (retrieval_reasoning), "));
        assert!(temp().starts_with("headkv, ") && alpha().starts_with("adakv, "));
        assert!(utility().starts_with("lukv") && head_score().contains("headkv"));
        assert!(pyramid_beta().starts_with("pyramidkv"));
        assert!(token_scores().contains("streaming_llm") && token_scores().ends_with("+vatp"));
    }
}
