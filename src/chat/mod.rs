//! Chat templates: what a chat model expects around a user's message.
//!
//! ```text
//! tokenizer_config.json | chat_template.jinja ─► ChatTemplate (text before and after) ─► Chat (tokens)
//! ```
//!
//! A prompt is one user message. The template is rendered once, with a mark in the message's place,
//! and what stands on both sides is turned into tokens; the message itself is put together from
//! tokens as without a template, so that needle spans stay exact.

mod jinja;
mod template;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use std::path::Path;

pub use template::ChatTemplate;

/// Stands for a message where the tokens beside it are found.
const MESSAGE: &str = "A";

/// Whether prompts are chat messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChatMode {
    /// Where the checkpoint has a template and the task is asked with one.
    #[default]
    Auto,
    /// Every prompt.
    Always,
    /// No prompt.
    Never,
}

/// What stands around a message, in the ids of one tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The template.
    pub template: ChatTemplate,
    /// The id that the template begins with, if that is the tokenizer's BOS. A template without one
    /// means a prompt without one.
    pub bos: Option<u32>,
    /// Ids between that and the message.
    pub before: Vec<u32>,
    /// Ids behind the message.
    pub after: Vec<u32>,
}

impl Chat {
    /// The chat template of the checkpoint in `dir` (`None`: the embedded model, which has none),
    /// if `mode` allows one.
    ///
    /// # Errors
    /// [`Error::Usage`] if `mode` demands a template and there is none; as
    /// [`ChatTemplate::from_dir`] and [`Tokenizer::encode_markup`].
    pub fn open(mode: ChatMode, dir: Option<&Path>, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        if mode == ChatMode::Never {
            return Ok(None);
        }
        match (dir.map(ChatTemplate::from_dir).transpose()?.flatten(), mode) {
            (Some(template), _) => Self::new(template, tokenizer).map(Some),
            (None, ChatMode::Always) => Err(Error::usage("the model has no chat template")
                .at("--chat")
                .got(match dir {
                    Some(dir) => format!("always, and no template in {}", dir.display()),
                    None => "always".to_owned(),
                })
                .expected("chat_template in tokenizer_config.json, or chat_template.jinja")
                .advice("--chat never, or a chat model")),
            (None, _) => Ok(None),
        }
    }

    /// The tokens of a template.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_markup`].
    pub fn new(template: ChatTemplate, tokenizer: &Tokenizer) -> Result<Self> {
        let mut before = ids_before(template.before(), tokenizer)?;
        let bos = tokenizer.bos().filter(|bos| before.first() == Some(bos));
        if bos.is_some() {
            before.remove(0);
        }
        let after = ids_after(template.after(), tokenizer)?;
        Ok(Self { template, bos, before, after })
    }

    /// Tokens around a message.
    pub fn tokens(&self) -> usize {
        usize::from(self.bos.is_some()) + self.before.len() + self.after.len()
    }
}

/// The tokens of `text` as they stand before a message. A space at its end may belong to the
/// message's first token: SentencePiece tokenizers put one in front of whatever they encode.
fn ids_before(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let alone = tokenizer.encode(MESSAGE)?;
    let both = tokenizer.encode_markup(&format!("{text}{MESSAGE}"))?;
    match both.strip_suffix(&alone[..]) {
        Some(before) => Ok(before.to_vec()),
        None => tokenizer.encode_markup(text),
    }
}

/// The tokens of `text` as they stand behind a message.
fn ids_after(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let alone = tokenizer.encode(MESSAGE)?;
    let both = tokenizer.encode_markup(&format!("{MESSAGE}{text}"))?;
    match both.strip_prefix(&alone[..]) {
        Some(after) => Ok(after.to_vec()),
        None => tokenizer.encode_markup(text),
    }
}

#[cfg(test)]
mod tests;
