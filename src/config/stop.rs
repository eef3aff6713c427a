//! [`StopRule`]: what ends an answer.

use std::collections::BTreeSet;

use crate::tokenizer::Tokenizer;

/// The line break of vocabularies with byte fallback, at which two references stop.
const NEWLINE_TOKEN: &str = "<0x0A>";

/// What ends an answer before its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRule {
    /// The model's end-of-sequence tokens.
    Eos,
    /// These, and every token with a line break in it.
    EosOrLineBreak,
    /// The token `<0x0A>` alone, and nothing where the vocabulary has none, as in Retrieval_Head.
    NewlineToken,
    /// That and the end-of-sequence tokens, as in HeadKV's R2.
    EosOrNewlineToken,
}

impl StopRule {
    /// What ends answers where nothing is asked for: chat models end their turn themselves and may
    /// answer in a list; of others a line break ends it, too.
    pub fn usual(chat: bool) -> Self {
        if chat { Self::Eos } else { Self::EosOrLineBreak }
    }

    /// The rule in one word, for the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::EosOrLineBreak => "eos-or-line-break",
            Self::NewlineToken => "newline-token",
            Self::EosOrNewlineToken => "eos-or-newline-token",
        }
    }

    /// The ids after which an answer ends, ascending.
    pub fn ids(self, eos: &[u32], tokenizer: &Tokenizer) -> Vec<u32> {
        let mut ids = BTreeSet::new();
        if self != Self::NewlineToken {
            ids.extend(eos);
        }
        match self {
            Self::Eos => {}
            Self::EosOrLineBreak => ids.extend(tokenizer.newline_ids()),
            Self::NewlineToken | Self::EosOrNewlineToken => {
                ids.extend(tokenizer.token_id(NEWLINE_TOKEN));
            }
        }
        ids.into_iter().collect()
    }
}
