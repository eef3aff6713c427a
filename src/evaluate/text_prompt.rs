//! Prompts that are one text: their tokens, shortened in the middle where there are too many, as
//! LongBench and RULER shorten them.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// What holds for every prompt of such a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPromptLimits {
    /// Most tokens of a prompt, BOS included.
    pub max_prompt_tokens: usize,
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
}

/// The tokens of a prompt: BOS where the tokenizer has one, then `text`; at most `most` of them, by
/// [`middle_truncate`].
///
/// # Errors
/// As [`Tokenizer::encode`].
pub(super) fn prompt_ids(tokenizer: &Tokenizer, text: &str, most: usize) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> = tokenizer.bos().into_iter().collect();
    ids.extend(tokenizer.encode(text)?);
    Ok(middle_truncate(&ids, most))
}

/// `ids`, if there are at most `most` of them; else the first `most / 2` and the last
/// `most - most / 2`: instructions stand at the start of a prompt and the question at its end.
///
/// The references decode both halves and encode the joined text again, so that their prompts get
/// some tokens shorter or longer than asked for, and with an odd `most` they keep one token less.
/// Here the ids are joined as they are: the length is exact, and two pieces of text that meet in the
/// middle of a word stay two.
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
    use crate::tokenizer::samples;

    #[test]
    fn bos_is_counted_and_kept() {
        let tokenizer = samples::byte_level();
        let bos = tokenizer.bos().unwrap();
        let text = "one two three four five six seven";
        let whole = prompt_ids(tokenizer, text, 1000).unwrap();
        assert_eq!(whole[0], bos);
        assert_eq!(whole[1..], tokenizer.encode(text).unwrap());
        let short = prompt_ids(tokenizer, text, 4).unwrap();
        assert_eq!(short, [&whole[..2], &whole[whole.len() - 2..]].concat());
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
