//! Text as it stands between other text: behind what begins a prompt, and before what ends it.
//!
//! ```text
//! [INST] ▏The key …▕ [/INST]
//! ```
//!
//! What a text's first token is hangs on what stands before it: of a space and a word SentencePiece
//! makes one token. So the two are encoded as one text and cut where a token ends. A token that
//! lies across a border is the message's.

use super::{Encoded, Tokenizer, encoded};
use crate::error::Result;

/// Sample first words of texts. The tokens of a lead that change with one of them are encoded
/// together with the text behind the lead.
const BEGINNINGS: [&str; 6] = ["A", "the", "1", "\"", "(", "中"];

/// The tokens of a message and of what a template puts around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Ids before the message.
    pub before: Vec<u32>,
    /// The message, offsets in its text.
    pub text: Encoded,
    /// Ids behind it.
    pub after: Vec<u32>,
}

impl Tokenizer {
    /// The token ids of a chat template's own text: what is spelled like a special token is one.
    /// Never for text that comes from elsewhere.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_markup(&self, text: &str) -> Result<Vec<u32>> {
        encoded(self.markup(), text).map(|encoding| encoding.ids)
    }

    fn markup(&self) -> &tokenizers::Tokenizer {
        self.markup.get_or_init(|| {
            let mut markup = self.inner.clone();
            markup.set_encode_special_tokens(false);
            markup
        })
    }

    /// The tokens of `text` between `before` and `after`, texts of a chat template, in which what
    /// is spelled like a special token is one; in `text` it is not.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_between(&self, before: &str, text: &str, after: &str) -> Result<Message> {
        if before.is_empty() && after.is_empty() {
            let text = self.encode_with_offsets(text)?;
            return Ok(Message { text, ..Message::default() });
        }
        if self.spells_special(text) {
            return self.encode_apart(before, text, after);
        }
        let whole = encoded(self.markup(), &format!("{before}{text}{after}"))?;
        let (begin, end) = (before.len(), before.len() + text.len());
        let first = whole.offsets.iter().take_while(|o| o.1 <= begin).count();
        let last = whole.offsets.iter().take_while(|o| o.0 < end || o.1 <= begin).count();
        let last = last.max(first);
        Ok(Message {
            before: whole.ids[..first].to_vec(),
            text: within(&whole, first..last, begin),
            after: whole.ids[last..].to_vec(),
        })
    }

    /// The same where no special token may be read from `text`: each for itself, `text` as it
    /// stands behind the last line of `before`.
    fn encode_apart(&self, before: &str, text: &str, after: &str) -> Result<Message> {
        let line = before.rfind('\n').map_or(before, |at| &before[at..]);
        let behind = if self.spells_special(line) { "" } else { line };
        Ok(Message {
            before: self.encode_markup(before)?,
            text: self.encode_after(behind, text)?,
            after: self.encode_behind_word(after)?,
        })
    }

    /// A template's `after` as it stands behind a word, which is no part of its first token.
    fn encode_behind_word(&self, after: &str) -> Result<Vec<u32>> {
        let word = BEGINNINGS[0];
        let whole = encoded(self.markup(), &format!("{word}{after}"))?;
        match whole.offsets.iter().position(|o| o.0 >= word.len()) {
            Some(first) if first > 0 && whole.offsets[first - 1].1 == word.len() => {
                Ok(whole.ids[first..].to_vec())
            }
            _ => self.encode_markup(after),
        }
    }

    /// The tokens of `text` as it stands behind a sentence and before a template's `after`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_end(&self, text: &str, after: &str) -> Result<Vec<u32>> {
        if after.is_empty() {
            return Ok(self.encode_after(".", text)?.ids);
        }
        if self.spells_special(text) {
            return Ok(
                [self.encode_after(".", text)?.ids, self.encode_behind_word(after)?].concat()
            );
        }
        let Message { before, text: inner, after: outer } =
            self.encode_between(".", text, after)?;
        match before.is_empty() {
            // The full stop is a token of its own.
            false => Ok([inner.ids, outer].concat()),
            true => {
                let Message { text, after, .. } = self.encode_between("", text, after)?;
                Ok([text.ids, after].concat())
            }
        }
    }

    /// Whether a special token would be read from `text` as markup.
    pub fn spells_special(&self, text: &str) -> bool {
        let mut specials = self.special.values().filter(|special| !special.is_empty());
        specials.any(|special| text.contains(special.as_str()))
    }
}

/// What `encode` makes of `text` as it stands before a word: white space at the end of a text may
/// have other tokens than before one. Where the word is a part of the last token, what it makes of
/// `text` alone.
///
/// # Errors
/// As `encode`.
pub fn before_word(text: &str, encode: impl Fn(&str) -> Result<Encoded>) -> Result<Encoded> {
    let whole = encode(&format!("{text}{}", BEGINNINGS[0]))?;
    let inside = whole.offsets.iter().take_while(|o| o.0 < text.len()).count();
    match inside.checked_sub(1).is_some_and(|last| whole.offsets[last].1 == text.len()) {
        true => Ok(within(&whole, 0..inside, 0)),
        false => encode(text),
    }
}

/// Some tokens of `whole`, offsets from byte `begin` on.
fn within(whole: &Encoded, tokens: std::ops::Range<usize>, begin: usize) -> Encoded {
    let offset = |o: &(usize, usize)| (o.0.saturating_sub(begin), o.1.saturating_sub(begin));
    Encoded {
        ids: whole.ids[tokens.clone()].to_vec(),
        offsets: whole.offsets[tokens].iter().map(offset).collect(),
    }
}

/// What a prompt begins with, before the text that is put together from tokens: a chat template's
/// own text, and the beginning of a prompt template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// Ids of what is encoded for itself.
    apart: Vec<u32>,
    /// What is encoded together with the text behind it.
    text: String,
    /// Whether what is spelled like a special token in it is one.
    markup: bool,
    /// Its ids that are the same before any text.
    same: Vec<u32>,
}

impl Lead {
    /// `markup` is a chat template's, `prefix` is not.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn new(tokenizer: &Tokenizer, markup: &str, prefix: &str) -> Result<Self> {
        let mut lead = match tokenizer.spells_special(prefix) {
            // Its own special tokens are none.
            true => Self {
                apart: tokenizer.encode_markup(markup)?,
                text: prefix.to_owned(),
                markup: false,
                same: Vec::new(),
            },
            false => Self {
                apart: Vec::new(),
                text: format!("{markup}{prefix}"),
                markup: !markup.is_empty(),
                same: Vec::new(),
            },
        };
        let alone = lead.encode(tokenizer, "")?.ids;
        let mut same = alone.len();
        for beginning in BEGINNINGS {
            let whole = lead.encode(tokenizer, beginning)?;
            let before = whole.offsets.iter().take_while(|o| o.1 <= lead.text.len()).count();
            let pairs = alone[..same].iter().zip(&whole.ids[..before]);
            same = pairs.take_while(|(a, b)| a == b).count();
        }
        // Of a line break and of a special token nothing becomes a part of a word, whatever word.
        let closed = lead.text.ends_with('\n') || lead.ends_specially(tokenizer, &alone);
        if same == alone.len() && !closed {
            same = same.saturating_sub(1);
        }
        lead.same = alone[..same].to_vec();
        Ok(lead)
    }

    fn ends_specially(&self, tokenizer: &Tokenizer, alone: &[u32]) -> bool {
        let last = alone.last().and_then(|&id| tokenizer.inner.id_to_token(id));
        last.is_some_and(|token| self.markup && tokenizer.spells_special(&token))
    }

    /// The ids of it that are the same before any text.
    pub fn ids(&self) -> Vec<u32> {
        [&self.apart[..], &self.same].concat()
    }

    /// The tokens of `text` behind it, offsets in `text`. Before them stand those that are not in
    /// [`Lead::ids`], with offsets of no width.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn first(&self, tokenizer: &Tokenizer, text: &str) -> Result<Encoded> {
        let n = self.same.len();
        if !(self.markup && tokenizer.spells_special(text)) {
            let whole = self.encode(tokenizer, text)?;
            if whole.ids.starts_with(&self.same) {
                return Ok(within(&whole, n..whole.ids.len(), self.text.len()));
            }
        }
        // Each for itself: a special token must not be read from the text, or the end of this is
        // other tokens before it than before any other.
        let Message { before, text, .. } = match self.markup {
            true => tokenizer.encode_apart(&self.text, text, "")?,
            false => Message {
                before: tokenizer.encode(&self.text)?,
                text: tokenizer.encode_with_offsets(text)?,
                after: Vec::new(),
            },
        };
        let open = before.get(n..).unwrap_or_default();
        let none = std::iter::repeat_n((0, 0), open.len());
        let offsets = none.chain(text.offsets).collect();
        Ok(Encoded { ids: [open, &text.ids].concat(), offsets })
    }

    fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Result<Encoded> {
        let text = format!("{}{text}", self.text);
        match self.markup {
            true => encoded(tokenizer.markup(), &text),
            false => tokenizer.encode_with_offsets(&text),
        }
    }
}
