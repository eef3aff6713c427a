//! Prompts that are one text: their tokens, shortened in the middle where there are too many, as
//! LongBench and RULER shorten them.

use std::borrow::Cow;

use crate::chat::Chat;
use crate::config::THINKING_TOKENS;
use crate::error::{Error, Result};
use crate::job::{Extent, check_ids};
use crate::tokenizer::{Message, Tokenizer};

/// What holds for every prompt of such a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TextPromptLimits {
    /// Rows of the embedding: a prompt with an id beyond them is refused.
    pub vocab: usize,
    /// Most tokens of a prompt, BOS included.
    pub max_prompt_tokens: usize,
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
    /// What makes a prompt a chat message, and whether also those that a benchmark gives as they
    /// are.
    pub chat: Option<(Chat, bool)>,
}

/// A prompt as a benchmark gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptText<'a> {
    /// The prompt without [`PromptText::answer_prefix`].
    pub text: &'a str,
    /// Whether chat models get it as a chat message.
    pub is_message: bool,
    /// How the answer begins; the model goes on from there. It is no part of a chat message, but
    /// stands behind what the template puts behind one.
    pub answer_prefix: &'a str,
    /// What stands between the two where there is no message.
    pub joint: &'static str,
}

impl<'a> PromptText<'a> {
    /// One that has the begin of the answer, if there is one, in itself.
    pub fn whole(text: &'a str, is_message: bool) -> Self {
        Self { text, is_message, answer_prefix: "", joint: "" }
    }

    /// All of it, where there is no template.
    pub fn plain(&self) -> Cow<'a, str> {
        match self.answer_prefix {
            "" => Cow::Borrowed(self.text),
            prefix => Cow::Owned([self.text, self.joint, prefix].concat()),
        }
    }
}

/// A prompt in three: only the middle is shortened.
struct Assembled {
    before: Vec<u32>,
    middle: Vec<u32>,
    after: Vec<u32>,
}

impl Assembled {
    fn tokens(&self) -> usize {
        self.before.len() + self.middle.len() + self.after.len()
    }
}

impl TextPromptLimits {
    /// The tokens of a prompt: BOS where the tokenizer has one, then its text; at most
    /// `max_prompt_tokens` of them, by [`middle_truncate`]. Where the benchmark gives it as a chat
    /// message and there is a template, that and the begin of the answer are not shortened.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn prompt(&self, tokenizer: &Tokenizer, prompt: PromptText) -> Result<Vec<u32>> {
        Ok(self.shortened(self.assemble(tokenizer, prompt)?))
    }

    /// Tokens of the prompt before it is shortened.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn whole_tokens(&self, tokenizer: &Tokenizer, prompt: PromptText) -> Result<usize> {
        Ok(self.assemble(tokenizer, prompt)?.tokens())
    }

    fn shortened(&self, Assembled { before, middle, after }: Assembled) -> Vec<u32> {
        let room = self.max_prompt_tokens.saturating_sub(before.len() + after.len());
        [before, middle_truncate(&middle, room), after].concat()
    }

    fn assemble(&self, tokenizer: &Tokenizer, prompt: PromptText) -> Result<Assembled> {
        let Some(chat) = self.chat(prompt.is_message) else {
            let mut middle: Vec<u32> = tokenizer.bos().into_iter().collect();
            middle.extend(tokenizer.encode(&prompt.plain())?);
            return Ok(Assembled { before: Vec::new(), middle, after: Vec::new() });
        };
        let Message { before, text, after } = chat.message(tokenizer, prompt.text)?;
        let begun = tokenizer.encode_after(chat.template.after(), prompt.answer_prefix)?.ids;
        Ok(Assembled { before, middle: text.ids, after: [after, begun].concat() })
    }

    /// Tokens of an answer for what the model thinks before it, where a prompt is such a message.
    pub fn room_to_think(&self, is_message: bool) -> usize {
        match self.chat(is_message).is_some_and(|chat| chat.template.thinks()) {
            true => THINKING_TOKENS,
            false => 0,
        }
    }

    /// What stands around a prompt.
    pub(super) fn chat(&self, is_message: bool) -> Option<&Chat> {
        self.chat.as_ref().filter(|(_, all)| *all || is_message).map(|(chat, _)| chat)
    }
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
    /// The row of the shortest prompt.
    shortest_place: String,
    /// How many of them are shortened, and to how many tokens.
    shortened: (usize, usize),
    /// How many have room for what the model thinks.
    thinking: usize,
}

impl Measured {
    /// Adds the prompt of the row at `place`, whose answer has at most `answer` tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; [`crate::Error::Model`] naming the row for an id that the model
    /// has not.
    pub fn add(
        &mut self,
        tokenizer: &Tokenizer,
        prompt: PromptText,
        limits: &TextPromptLimits,
        answer: usize,
        place: &str,
    ) -> Result<()> {
        let most = limits.max_prompt_tokens;
        let assembled = limits.assemble(tokenizer, prompt)?;
        let whole = assembled.tokens();
        let around = whole - assembled.middle.len();
        if around >= most {
            return Err(Error::usage("the chat template leaves no room for the prompt")
                .at(place)
                .got(format!("{most} tokens, {around} of them of the template"))
                .expected("more")
                .advice("a larger --max-prompt-tokens, or --chat never"));
        }
        check_ids(&limits.shortened(assembled), limits.vocab).map_err(|e| e.at(place))?;
        let tokens = whole.min(most);
        let Extent { shortest_prompt, longest_prompt, longest_answer } = self.extent;
        let is_shortest = self.prompts == 0 || tokens < shortest_prompt;
        if is_shortest {
            place.clone_into(&mut self.shortest_place);
        }
        self.extent = Extent {
            shortest_prompt: if is_shortest { tokens } else { shortest_prompt },
            longest_prompt: longest_prompt.max(tokens),
            longest_answer: longest_answer.max(answer),
        };
        self.prompt_tokens += tokens as u64;
        self.prompts += 1;
        self.shortened = (self.shortened.0 + usize::from(whole > most), most);
        self.thinking += usize::from(limits.room_to_think(prompt.is_message) > 0);
        Ok(())
    }

    /// The row of the shortest prompt.
    pub fn shortest_place(&self) -> &str {
        &self.shortest_place
    }

    /// What the user should know.
    pub fn notes(&self) -> Vec<String> {
        let (n, most) = self.shortened;
        let shortened = (n > 0).then(|| {
            format!(
                "{n} of {} prompts are shortened in the middle to {most} tokens \
                 (--max-prompt-tokens)",
                self.prompts
            )
        });
        let thinking = (self.thinking > 0).then(|| {
            format!(
                "the model thinks before it answers {} of {} prompts: {THINKING_TOKENS} tokens more, \
                 unless --max-new-tokens says how many; only what comes behind it is judged",
                self.thinking, self.prompts
            )
        });
        shortened.into_iter().chain(thinking).collect()
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
            let limits = TextPromptLimits {
                vocab: usize::MAX,
                max_prompt_tokens,
                stop_ids: Vec::new(),
                chat: None,
            };
            limits.prompt(tokenizer, PromptText::whole(text, true)).unwrap()
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
                vocab: usize::MAX,
                max_prompt_tokens: 20,
                stop_ids: Vec::new(),
                chat: Some((chat, all)),
            }
        };
        let limits = chat(false);
        let chat_of = limits.chat.as_ref().unwrap().0.clone();
        let Message { before, text: message, after } = chat_of.message(tokenizer, text).unwrap();
        assert_eq!(before[0], tokenizer.bos().unwrap());
        let (asked, plainly) = (PromptText::whole(text, true), PromptText::whole(text, false));
        let ids = limits.prompt(tokenizer, asked).unwrap();
        assert_eq!(ids.len(), 20);
        let room = 20 - before.len() - after.len();
        assert_eq!(ids, [&before[..], &middle_truncate(&message.ids, room), &after].concat());
        let plain = [&[ids[0]][..], &tokenizer.encode(text).unwrap()].concat();
        assert_eq!(limits.prompt(tokenizer, plainly).unwrap(), middle_truncate(&plain, 20));
        assert_eq!(chat(true).prompt(tokenizer, plainly).unwrap(), ids);
        let mut measured = Measured::default();
        measured.add(tokenizer, asked, &limits, 1, "a").unwrap();
        assert_eq!((measured.prompt_tokens, measured.shortened.0), (20, 1));

        // The begin of the answer is behind all of it, and whole.
        let begun = PromptText { answer_prefix: " It is", joint: " ", ..asked };
        let behind = tokenizer.encode_after(". bot:", " It is").unwrap().ids;
        let ids = limits.prompt(tokenizer, begun).unwrap();
        assert_eq!((ids.len(), ids.ends_with(&behind)), (20, true));
        assert_eq!(ids[..20 - behind.len()], {
            let most = 20 - behind.len();
            let shorter =
                TextPromptLimits { vocab: usize::MAX, max_prompt_tokens: most, ..limits.clone() };
            shorter.prompt(tokenizer, asked).unwrap()
        });
        // Where there is no template, it is a part of the text, which is shortened as a whole.
        let limits =
            TextPromptLimits { vocab: usize::MAX, max_prompt_tokens: 100, chat: None, ..limits };
        let joined = PromptText::whole(" one two three four five six seven   It is", true);
        assert_eq!(limits.prompt(tokenizer, begun), limits.prompt(tokenizer, joined));
    }

    #[test]
    fn lengths_are_those_of_the_prompts_as_they_are_asked() {
        let tokenizer = samples::byte_level();
        let mut measured = Measured::default();
        let limits = TextPromptLimits {
            vocab: usize::MAX,
            max_prompt_tokens: 6,
            stop_ids: Vec::new(),
            chat: None,
        };
        for (text, answer, place) in
            [("one two three four five six seven", 3, "rows:1"), ("x", 9, "rows:2"), ("y", 1, "")]
        {
            let prompt = PromptText::whole(text, false);
            measured.add(tokenizer, prompt, &limits, answer, place).unwrap();
        }
        // BOS and one letter.
        let extent = Extent { shortest_prompt: 2, longest_prompt: 6, longest_answer: 9 };
        assert_eq!((measured.extent, measured.prompt_tokens), (extent, 10));
        assert_eq!(measured.shortest_place(), "rows:2");
        assert!(measured.notes()[0].contains("1 of 3 prompts"), "{:?}", measured.notes());

        // A word without a row in the embedding, in the part that is asked and in that which is cut
        // out.
        let word = samples::a_word_that_is_one_token(tokenizer);
        let limits =
            TextPromptLimits { vocab: tokenizer.encode(&word).unwrap()[0] as usize, ..limits };
        let mut add = |text: &str| {
            measured.add(tokenizer, PromptText::whole(text, false), &limits, 1, "rows:4")
        };
        let e = add(&word).unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("rows:4"), "{e}");
        add(&format!("111111{word}111111")).unwrap();
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
