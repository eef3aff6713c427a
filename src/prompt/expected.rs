//! The expected answer as token ids, as it stands behind a prompt.

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Tokens that decide how the answer behind them is cut into tokens.
const ANCHOR: usize = 16;

/// The ids of `answer` behind `prompt`, with a space between them where none stands there.
///
/// # Errors
/// [`Error::Data`] for an answer without tokens; as [`Tokenizer::encode`].
pub fn expected_ids(tokenizer: &Tokenizer, prompt: &[u32], answer: &str) -> Result<Vec<u32>> {
    let last = prompt.len().saturating_sub(ANCHOR);
    let before = tokenizer.decode(&prompt[last..])?;
    let space = if before.ends_with(char::is_whitespace) || before.is_empty() { "" } else { " " };
    let text = format!("{space}{}", answer.trim());
    let ids = tokenizer.encode_after(&before, &text)?.ids;
    match ids.is_empty() {
        false => Ok(ids),
        true => Err(Error::data("an expected answer has no tokens")
            .got(format!("{answer:?}"))
            .expected("an answer with a word in it")),
    }
}
