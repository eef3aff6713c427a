//! Chat templates: what a chat model expects around a user's message.
//!
//! ```text
//! tokenizer_config.json | chat_template.jinja ─► ChatTemplate (text before and after) ─► tokens
//! ```
//!
//! A prompt is one user message. The template is rendered once, with a mark in the message's place.
//! What stands on both sides is turned into tokens together with the text of the message that
//! touches it; the rest of a message may be put together from tokens, so that needle spans stay
//! exact.

mod jinja;
mod template;
mod thinking;

use crate::error::{Error, Result};
use crate::gguf::Place;
use crate::tokenizer::{Message, Tokenizer};

pub use minijinja::Value as TemplateValue;
pub use template::{ChatOptions, ChatTemplate};
pub use thinking::{Marks, Said, Thinking};

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

/// What makes a prompt a chat message, for one tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The template.
    pub template: ChatTemplate,
    /// The id that the template begins with, if that is the tokenizer's BOS. A template without one
    /// means a prompt without one.
    pub bos: Option<u32>,
}

impl Chat {
    /// The chat template of the checkpoint at `place` (`None`: the embedded model, which has none),
    /// if `mode` allows one. It is told `options`.
    ///
    /// # Errors
    /// [`Error::Usage`] if `mode` demands a template and there is none, and for options that no
    /// template is told; as [`ChatTemplate::at`] and [`Tokenizer::encode_markup`].
    pub fn open(
        mode: ChatMode,
        options: &ChatOptions,
        place: Option<&Place>,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>> {
        let template = match mode {
            ChatMode::Never => None,
            _ => place.map(|place| ChatTemplate::at(place, options)).transpose()?.flatten(),
        };
        let folder = match place {
            Some(place) => format!("no template in {}", place.path().display()),
            None => "no template".to_owned(),
        };
        match (template, mode, options.keys().next()) {
            (Some(template), ..) => Self::new(template, tokenizer).map(Some),
            (None, ChatMode::Always, _) => Err(Error::usage("the model has no chat template")
                .at("--chat")
                .got(format!("always, and {folder}"))
                .expected(
                    "chat_template in tokenizer_config.json, chat_template.jinja, or \
                     tokenizer.chat_template in a GGUF file",
                )
                .advice("--chat never, or a chat model")),
            (None, _, Some(option)) => Err(Error::usage("no chat template is told an option")
                .at(format!("--chat-option {option}"))
                .got(if mode == ChatMode::Never { "--chat never".to_owned() } else { folder })
                .expected("a chat template")
                .advice("leave the option out, or another --chat")),
            (None, ..) => Ok(None),
        }
    }

    /// A template with the tokens of `tokenizer`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_markup`].
    pub fn new(template: ChatTemplate, tokenizer: &Tokenizer) -> Result<Self> {
        let before = tokenizer.encode_markup(template.before())?;
        let bos = tokenizer.bos().filter(|bos| before.first() == Some(bos));
        Ok(Self { template, bos })
    }

    /// The tokens of `message` and around it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_between`].
    pub fn message(&self, tokenizer: &Tokenizer, message: &str) -> Result<Message> {
        let message = if self.template.trims() { message.trim() } else { message };
        tokenizer.encode_between(self.template.before(), message, self.template.after())
    }
}

#[cfg(test)]
mod tests;
