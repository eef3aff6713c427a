//! Prompts that are one text: their tokens, shortened in the middle where there are too many, as
//! LongBench and RULER shorten them.

use crate::chat::Chat;
use crate::error::Result;
use crate::job::Extent;
use crate::tokenizer::{Message, Tokenizer};

/// What holds for every prompt of such a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TextPromptLimits {
    /// Most tokens of a prompt, BOS included.
    pub max_prompt_tokens: usize,
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
    /// What makes a prompt a chat message, and whether also those that a benchmark gives as they
    /// are.
    pub chat: Option<(Chat, bool)>,
}

impl TextPromptLimits {
    /// The tokens of a prompt: BOS where the tokenizer has one, then `text`; at most
    /// `max_prompt_tokens` of them, by [`middle_truncate`]. Where the benchmark gives it as a chat
    /// message (`is_message`) and there is a template, that is around it and is not shortened.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn prompt(&self, tokenizer: &Tokenizer, text: &str, is_message: bool) -> Result<Vec<u32>> {
        let most = self.max_prompt_tokens;
        Ok(match self.chat(is_message) {
            None => middle_truncate(&whole_prompt(tokenizer, text)?, most),
            Some(chat) => {
                let Message { before, text, after } = chat.message(tokenizer, text)?;
                let room = most.saturating_sub(before.len() + after.len());
                [before, middle_truncate(&text.ids, room), after].concat()
            }
        })
    }

    /// Tokens of the prompt before it is shortened.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn whole_tokens(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        is_message: bool,
    ) -> Result<usize> {
        Ok(match self.chat(is_message) {
            None => whole_prompt(tokenizer, text)?.len(),
            Some(chat) => {
                let Message { before, text, after } = chat.message(tokenizer, text)?;
                before.len() + text.ids.len() + after.len()
            }
        })
    }

    /// What stands around a prompt.
    fn chat(&self, is_message: bool) -> Option<&Chat> {
        self.chat.as_ref().filter(|(_, all)| *all || is_message).map(|(chat, _)| chat)
    }
}

/// The tokens of a prompt that is no message and is not shortened.
fn whole_prompt(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> = tokenizer.bos().into_iter().collect();
    ids.extend(tokenizer.encode(text)?);
    Ok(ids)
}

/// How long the prompts of a task are together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Prompts and answers.
    pub extent: Extent,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Number of prompts.
    prompts: usize,
    /// How many of them are shortened, and to how many tokens.
    shortened: (usize, usize),
}

impl Measured {
    /// Adds a prompt, with whether it is a chat message, whose answer has at most `answer` tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn add(
        &mut self,
        tokenizer: &Tokenizer,
        (text, is_message): (&str, bool),
        limits: &TextPromptLimits,
        answer: usize,
    ) -> Result<()> {
        let most = limits.max_prompt_tokens;
        let whole = limits.whole_tokens(tokenizer, text, is_message)?;
        let tokens = whole.min(most);
        let Extent { shortest_prompt, longest_prompt, longest_answer } = self.extent;
        let shortest = if self.prompts == 0 { tokens } else { shortest_prompt };
        self.extent = Extent {
            shortest_prompt: shortest.min(tokens),
            longest_prompt: longest_prompt.max(tokens),
            longest_answer: longest_answer.max(answer),
        };
        self.prompt_tokens += tokens as u64;
        self.prompts += 1;
        self.shortened = (self.shortened.0 + usize::from(whole > most), most);
        Ok(())
    }

    /// What the user should know.
    pub fn notes(&self) -> Vec<String> {
        match self.shortened {
            (0, _) => Vec::new(),
            (n, most) => vec![format!(
                "{n} of {} prompts are shortened in the middle to {most} tokens \
                 (--max-prompt-tokens)",
                self.prompts
            )],
        }
    }
}

/// `ids`, if there are at most `most` of them; else the first `most / 2` and the last
/// `most - most / 2`: instructions stand at the start of a prompt and the question at its end.
///
/// The references decode both halves and encode the joined text again, so that their prompts get
/// some tokens shorter or longer than asked for, and with an odd `most` they keep one token less.
/// Here the ids are joined as they are: the length is exact, and two pieces of text that meet in
/// the middle of a word stay two.
pub fn middle_truncate(ids: &[u32], most: usize) -> Vec<u32> {
    if ids.len() <= most {
        return ids.to_vec();
    }
    let first = most / 2;
    [&ids[..first], &ids[ids.len() - (most - first)..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatTemplate;
    use crate::tokenizer::samples;

    #[test]
    fn bos_is_counted_and_kept() {
        let tokenizer = samples::byte_level();
        let bos = tokenizer.bos().unwrap();
        let text = "one two three four five six seven";
        let of = |max_prompt_tokens| {
            let limits = TextPromptLimits { max_prompt_tokens, stop_ids: Vec::new(), chat: None };
            limits.prompt(tokenizer, text, true).unwrap()
        };
        let whole = of(1000);
        assert_eq!(whole[0], bos);
        assert_eq!(whole[1..], tokenizer.encode(text).unwrap());
        let short = of(4);
        assert_eq!(short, [&whole[..2], &whole[whole.len() - 2..]].concat());
    }

    /// The message is shortened, the template around it is not; a prompt that is no message has
    /// none, unless all have.
    #[test]
    fn a_template_is_around_messages() {
        let tokenizer = samples::byte_level();
        let text = " one two three four five six seven ";
        let chat = |all| {
            let template = "<|bos|>user:{{ messages[0].content.strip() }}. bot:";
            let chat = Chat::new(ChatTemplate::of_source(template).unwrap(), tokenizer).unwrap();
            TextPromptLimits {
                max_prompt_tokens: 20,
                stop_ids: Vec::new(),
                chat: Some((chat, all)),
            }
        };
        let limits = chat(false);
        let chat_of = limits.chat.as_ref().unwrap().0.clone();
        let Message { before, text: message, after } = chat_of.message(tokenizer, text).unwrap();
        assert_eq!(before[0], tokenizer.bos().unwrap());
        let ids = limits.prompt(tokenizer, text, true).unwrap();
        assert_eq!(ids.len(), 20);
        let room = 20 - before.len() - after.len();
        assert_eq!(ids, [&before[..], &middle_truncate(&message.ids, room), &after].concat());
        let plain = [&[ids[0]][..], &tokenizer.encode(text).unwrap()].concat();
        assert_eq!(limits.prompt(tokenizer, text, false).unwrap(), middle_truncate(&plain, 20));
        assert_eq!(chat(true).prompt(tokenizer, text, false).unwrap(), ids);
        let mut measured = Measured::default();
        measured.add(tokenizer, (text, true), &limits, 1).unwrap();
        assert_eq!((measured.prompt_tokens, measured.shortened.0), (20, 1));
    }

    #[test]
    fn lengths_are_those_of_the_prompts_as_they_are_asked() {
        let tokenizer = samples::byte_level();
        let mut measured = Measured::default();
        let limits = TextPromptLimits { max_prompt_tokens: 6, stop_ids: Vec::new(), chat: None };
        for (text, answer) in [("one two three four five six seven", 3), ("x", 9)] {
            measured.add(tokenizer, (text, false), &limits, answer).unwrap();
        }
        // BOS and one letter.
        let extent = Extent { shortest_prompt: 2, longest_prompt: 6, longest_answer: 9 };
        assert_eq!((measured.extent, measured.prompt_tokens), (extent, 8));
        assert!(measured.notes()[0].contains("1 of 2 prompts"), "{:?}", measured.notes());
    }

    #[test]
    fn by_hand() {
        let ids = [0, 1, 2, 3, 4, 5, 6];
        assert_eq!(middle_truncate(&ids, 7), ids);
        assert_eq!(middle_truncate(&ids, 9), ids);
        assert_eq!(middle_truncate(&ids, 6), [0, 1, 2, 4, 5, 6]);
        assert_eq!(middle_truncate(&ids, 5), [0, 1, 4, 5, 6]);
        assert_eq!(middle_truncate(&ids, 1), [6]);
        assert_eq!(middle_truncate(&ids, 0), [0; 0]);
        assert_eq!(middle_truncate(&[], 3), [0; 0]);
    }
}
