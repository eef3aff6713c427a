//! How a model is asked to write what it has read once more, for whatever looks at that (KVzip).

use super::inputs::ModelFiles;
use crate::chat::Chat;
use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::model::capture::replay::Replay;

/// The request of KVzip (Kim et al. 2025) in our words: for all of it, and from some of its tokens
/// on.
const AGAIN: &str =
    "\n\nNow write out the text above once more, word for word, from the beginning.";
const FURTHER: [&str; 2] =
    ["\n\nNow go on to write out the text above, word for word, behind \"", "\"."];

/// The tokens that ask `model` for a replay of what its prompts, messages of `chat` if it has one,
/// have before their questions.
///
/// # Errors
/// As [`crate::tokenizer::Tokenizer::encode`].
pub fn replay(model: &ModelFiles, chat: Option<&Chat>) -> Result<Replay> {
    let (after, tokenizer) = (chat.map_or("", |chat| chat.template.after()), &model.tokenizer);
    // Without a template the text itself comes next, on a line of its own.
    let end = if after.is_empty() { "\n\n" } else { "" };
    Ok(Replay {
        from_the_start: tokenizer.encode_end(&format!("{AGAIN}{end}"), after)?,
        going_on: [
            tokenizer.encode_end(FURTHER[0], "")?,
            tokenizer.encode_end(&format!("{}{end}", FURTHER[1]), after)?,
        ],
    })
}

/// Refuses contexts of up to `longest` tokens whose replay, which `asked` wants, would be at
/// positions that `model` was not made for.
///
/// # Errors
/// [`Error::Usage`] with both numbers.
pub(crate) fn check_replay(
    replay: &Replay,
    longest: usize,
    asked: &str,
    config: &ProbeConfig,
    model: &ModelFiles,
) -> Result<()> {
    let (needed, room) = (longest + replay.room(longest), model.config.max_positions);
    if config.allow_extrapolation || needed <= room {
        return Ok(());
    }
    Err(Error::usage("a replay of the longest context is longer than the model has positions for")
        .at(asked)
        .got(format!("{needed} tokens"))
        .expected(format!("at most {room}, the model's max_position_embeddings"))
        .advice("shorter --lengths, or --allow-extrapolation"))
}
