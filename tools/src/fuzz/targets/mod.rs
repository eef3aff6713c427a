//! The readers that are fuzzed, by what they read.

use super::Target;

mod chat;
mod gguf;
mod journal;
mod model;
mod profiles;
mod report;
mod rows;
mod scores;
mod seeds;
mod texts;
mod tokenizer;

/// To add one, write its [`Target`] and name it here.
static REGISTRY: &[&Target] = &[
    &model::CHECKPOINT,
    &gguf::GGUF,
    &model::SHARD_INDEX,
    &model::CONFIG,
    &model::GENERATION_CONFIG,
    &model::GOLDEN,
    &tokenizer::TOKENIZER,
    &tokenizer::TOKENIZER_CLASS,
    &chat::TOKENIZER_CONFIG,
    &chat::TEMPLATE,
    &texts::NEEDLES,
    &texts::HAYSTACK,
    &texts::ANSWERS,
    &texts::GRID,
    &scores::HEAD_SCORE,
    &scores::SIDECAR,
    &scores::UTILITY,
    &profiles::RECORDS,
    &profiles::META,
    &report::ANSWERS,
    &report::SCORE,
    &report::TABLE,
    &report::CURVE,
    &report::TOKENS,
    &report::ROWS,
    &journal::PLAN,
    &journal::JOURNAL,
    &journal::SEALED,
    &rows::BABILONG,
    &rows::LONGBENCH_ROWS,
    &rows::LOOGLE_ROWS,
    &rows::RULER,
    &rows::ARROW,
    &rows::PYTHON,
    &rows::PROMPTS,
];

/// All of them.
pub fn registry() -> &'static [&'static Target] {
    REGISTRY
}

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    registry().iter().copied().find(|target| target.name == name)
}
