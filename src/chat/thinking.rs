//! What a model thinks before it answers: `<think>…</think>`.
//!
//! Only what comes behind it is judged. Some templates begin the thinking themselves, at the end of
//! the prompt; then an answer has its end alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::tokenizer::Tokenizer;

pub(super) const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Tokens at the end of a prompt in which a template may begin the thinking.
const END: usize = 16;

/// What was thought before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinking {
    /// Generated tokens, the marks that begin and end it included.
    pub tokens: usize,
    /// Whether it came to its end. If not, there is no answer.
    pub ended: bool,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// All of it.
    pub whole: String,
    /// The answer, without what was thought before it.
    pub answer: String,
    /// What was thought; `None` where nothing was.
    pub thinking: Option<Thinking>,
}

impl Said {
    /// Takes what was thought from the ids that a model generated after `prompt`.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn new(tokenizer: &Tokenizer, prompt: &[u32], generated: &[u32]) -> Result<Self> {
        let whole = tokenizer.decode(generated)?;
        let (open, close) = (tokenizer.token_id(OPEN), tokenizer.token_id(CLOSE));
        let begun = generated.first().is_some_and(|id| Some(*id) == open)
            || whole.trim_start().starts_with(OPEN)
            || is_open(tokenizer, prompt)?;
        if !begun {
            return Ok(Self { answer: whole.clone(), whole, thinking: None });
        }
        let token = generated.iter().position(|id| Some(*id) == close).map(|at| at + 1);
        let tokens = match (token, whole.contains(CLOSE)) {
            (Some(tokens), _) => Some(tokens),
            (None, true) => Some(tokens_to_close(tokenizer, generated)?),
            (None, false) => None,
        };
        let Some(tokens) = tokens else {
            let thinking = Some(Thinking { tokens: generated.len(), ended: false });
            return Ok(Self { whole, answer: String::new(), thinking });
        };
        let answer = match whole.split_once(CLOSE) {
            Some((_, answer)) => answer.to_owned(),
            // A special token, which is not in the text.
            None => tokenizer.decode(&generated[tokens..])?,
        };
        let thinking = Some(Thinking { tokens, ended: true });
        Ok(Self { whole, answer: answer.trim_start().to_owned(), thinking })
    }

    /// The answer, if it is not all that was said.
    pub fn judged(&self) -> Option<String> {
        self.thinking.is_some().then(|| self.answer.clone())
    }
}

/// Whether `prompt` ends within the thinking.
fn is_open(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<bool> {
    let end = &prompt[prompt.len().saturating_sub(END)..];
    if let Some(marks) = Marks::of(tokenizer) {
        return Ok(marks.is_open(end));
    }
    Ok(ends_open(&tokenizer.decode(end)?))
}

/// Whether a text ends with the beginning of the thinking.
pub(super) fn ends_open(text: &str) -> bool {
    text.trim_end().ends_with(OPEN)
}

/// The fewest of `generated` whose text has the end of the thinking in it.
fn tokens_to_close(tokenizer: &Tokenizer, generated: &[u32]) -> Result<usize> {
    let (mut low, mut high) = (0, generated.len());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match tokenizer.decode(&generated[..middle])?.contains(CLOSE) {
            true => high = middle,
            false => low = middle,
        }
    }
    Ok(high)
}

/// The tokens that begin and end the thinking, and those at which an answer may end only behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    open: u32,
    close: u32,
    /// Tokens with a line break in them.
    breaks: BTreeSet<u32>,
}

impl Marks {
    /// Those of `tokenizer`, if it has a token for each.
    pub fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let (open, close) = (tokenizer.token_id(OPEN)?, tokenizer.token_id(CLOSE)?);
        Some(Self { open, close, breaks: tokenizer.newline_ids().clone() })
    }

    /// Whether a prompt ends within the thinking.
    pub fn is_open(&self, prompt: &[u32]) -> bool {
        let last = prompt.iter().rev().take(END).find(|id| !self.breaks.contains(id));
        last == Some(&self.open)
    }

    /// Whether an answer does not end with its last token, though that may end one: it is a line
    /// break, and nothing has been said but thoughts. `begun`: the prompt ends within the thinking.
    pub fn hold(&self, begun: bool, generated: &[u32]) -> bool {
        if generated.last().is_none_or(|id| !self.breaks.contains(id)) {
            return false;
        }
        let said = |ids: &[u32]| ids.iter().any(|id| !self.breaks.contains(id));
        let thinks =
            begun || generated.iter().find(|id| !self.breaks.contains(id)) == Some(&self.open);
        match generated.iter().position(|id| *id == self.close) {
            Some(close) => thinks && !said(&generated[close + 1..]),
            None => thinks,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tokenizer::samples;

    /// The byte-level sample, with tokens for the marks or without.
    fn tokenizer(marks: bool, special: bool) -> Tokenizer {
        let mut json = samples::byte_level_json();
        let added = json["added_tokens"].as_array_mut().unwrap();
        for (i, mark) in [OPEN, CLOSE].into_iter().enumerate().filter(|_| marks) {
            let mut token: Value = added[0].clone();
            (token["id"], token["content"]) = (json!(600 + i), json!(mark));
            token["special"] = json!(special);
            added.push(token);
        }
        samples::load(&json).unwrap()
    }

    #[test]
    fn what_is_thought_is_taken_off() {
        for (marks, special) in [(true, false), (true, true), (false, false)] {
            let t = tokenizer(marks, special);
            let ids = |text: &str| t.encode_markup(text).unwrap();
            let said = |prompt: &str, text: &str| Said::new(&t, &ids(prompt), &ids(text)).unwrap();
            let plain = said("Where?", "On the wall.");
            assert_eq!((plain.answer.as_str(), plain.thinking), ("On the wall.", None));
            assert_eq!(plain.judged(), None);
            let thought = "<think>\nThe key, the boat.\n</think>";
            let whole = said("Where?", &format!("{thought}\n\nOn the wall.\nOr not."));
            assert_eq!(whole.answer, "On the wall.\nOr not.");
            assert_eq!(whole.judged().as_deref(), Some("On the wall.\nOr not."));
            let tokens = whole.thinking.unwrap();
            assert!(tokens.ended);
            // The tokens up to the end mark: without one of its own, the last may go on behind it.
            let alone = ids(thought).len();
            assert!((alone..=alone + 1).contains(&tokens.tokens), "{tokens:?} {alone}");
            // The template has begun it.
            let begun = said("Where?<think>\n", "The key.</think>The wall.");
            assert_eq!(begun.answer, "The wall.");
            assert!(begun.thinking.unwrap().ended);
            // It does not come to its end: no answer.
            for (prompt, text) in [("Where?", "<think>\nThe key"), ("Where?<think>", "The key")] {
                let open = said(prompt, text);
                assert_eq!(open.answer, "");
                let thinking = open.thinking.unwrap();
                assert_eq!((thinking.tokens, thinking.ended), (ids(text).len(), false));
            }
            // A template that ends it at once, and a haystack that speaks of it.
            for prompt in ["Where?<think>\n\n</think>\n\n", "The <think> tag. Where?"] {
                assert_eq!(said(prompt, "The wall.").thinking, None, "{prompt}");
            }
        }
    }

    #[test]
    fn a_line_break_ends_no_thought() {
        let t = tokenizer(true, false);
        let marks = Marks::of(&t).unwrap();
        let hold = |begun, text: &str| marks.hold(begun, &t.encode_markup(text).unwrap());
        for (begun, text, held) in [
            (false, "<think>\n", true),
            (false, "<think>\nThe key.\n", true),
            (false, "<think>\nThe key", false),
            (false, "<think>a</think>\n\n", true),
            (false, "<think>a</think>\n\nThe wall.\n", false),
            (false, "The wall.\n", false),
            (false, "The <think>\n", false),
            (true, "The key.\n", true),
            (true, "</think>\n", true),
            (true, "a</think>b\n", false),
        ] {
            assert_eq!(hold(begun, text), held, "{begun} {text:?}");
        }
        assert!(marks.is_open(&t.encode_markup("Where?<think>\n").unwrap()));
        assert!(!marks.is_open(&t.encode_markup("Where?<think>\n\n</think>\n\n").unwrap()));
        assert_eq!(Marks::of(&tokenizer(false, false)), None);
    }
}
