//! Special tokens never come out of text: which tokens are special, and what becomes of text that
//! spells one.

use std::sync::OnceLock;

use super::{Encoded, Tokenizer, after};
use crate::error::{Error, Result};

impl Tokenizer {
    /// Makes special tokens of those of `ids` that the file added and did not flag so: text that
    /// spells them is text.
    ///
    /// # Errors
    /// [`Error::Model`] if the tokenizer refuses it.
    pub fn keep_from_text(&mut self, ids: &[u32]) -> Result<()> {
        let added = self.inner.get_added_tokens_decoder();
        let unflagged = ids.iter().filter_map(|id| added.get(id)).filter(|token| !token.special);
        let flagged = unflagged.map(|token| token.clone().special(true)).collect::<Vec<_>>();
        self.inner.add_special_tokens(flagged).map_err(|e| {
            Error::model("a token of the tokenizer cannot be made a special one").got(e)
        })?;
        let added = self.inner.get_added_tokens_decoder();
        let special = added.into_iter().filter(|(_, token)| token.special);
        self.special = special.map(|(id, token)| (id, token.content)).collect();
        self.markup = OnceLock::new();
        Ok(())
    }

    /// `encoded`, of `text`: a special token that `text` spells becomes tokens of its characters.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(super) fn spelled_out(&self, text: &str, encoded: Encoded) -> Result<Encoded> {
        // Merges may lead to a special token, too, where all its parts are tokens.
        let spells = |id: &u32, &(begin, end): &(usize, usize)| {
            let own = self.special.get(id).filter(|own| own.chars().nth(1).is_some());
            own.is_some_and(|own| text.get(begin..end) == Some(own.as_str()))
        };
        if !encoded.ids.iter().zip(&encoded.offsets).any(|(id, at)| spells(id, at)) {
            return Ok(encoded);
        }
        let mut spelled = Encoded::default();
        for (id, at) in encoded.ids.iter().zip(encoded.offsets) {
            if !spells(id, &at) {
                spelled.ids.push(*id);
                spelled.offsets.push(at);
                continue;
            }
            for (i, c) in text[at.0..at.1].char_indices() {
                // Not spelled out once more: a token of the full stop and this has no end.
                let as_it_is = |text: &str| super::encoded(&self.inner, text);
                let of_char = after(".", c.encode_utf8(&mut [0; 4]), as_it_is)?;
                spelled.ids.extend(of_char.ids);
                let begin = at.0 + i;
                spelled.offsets.extend(of_char.offsets.iter().map(|o| (begin + o.0, begin + o.1)));
            }
        }
        Ok(spelled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{encoded, samples};
    use crate::tokenizer::samples::llama2;

    /// `.w` is one token by its merge, and special: a character of it behind a full stop is it
    /// again.
    #[test]
    fn a_special_token_that_begins_with_a_full_stop_is_spelled_out_once() {
        let mut json = samples::llama2_json();
        let id = json["model"]["vocab"].as_object().unwrap().len();
        json["model"]["vocab"][".w"] = id.into();
        json["model"]["merges"].as_array_mut().unwrap().push(serde_json::json!([".", "w"]));
        let mut token = json["added_tokens"][2].clone();
        (token["id"], token["content"]) = (id.into(), ".w".into());
        json["added_tokens"].as_array_mut().unwrap().push(token);
        let tokenizer = samples::load(&json).unwrap();
        let encoded = tokenizer.encode_with_offsets("a.wall").unwrap();
        assert!(!encoded.ids.contains(&(id as u32)), "{encoded:?}");
        let bytes = |byte| encoded.offsets.iter().any(|o| (o.0..o.1).contains(&byte));
        assert!((0..6).all(bytes), "{encoded:?}");
        assert_eq!(tokenizer.decode(&encoded.ids).unwrap().replace(' ', ""), "a.wall");
    }

    /// A file may leave the flag out, and merges may lead to a special token.
    #[test]
    fn text_that_spells_a_special_token_is_text_whatever_the_file_says() {
        let text = "a <s>b</s> <s> wall";
        let spelled = llama2().encode_with_offsets(text).unwrap();
        let mut json = samples::llama2_json();
        for token in json["added_tokens"].as_array_mut().unwrap() {
            token["special"] = false.into();
        }
        let unflagged = samples::load(&json).unwrap();
        assert_eq!(unflagged.encode_with_offsets(text).unwrap(), spelled);
        assert_eq!(unflagged.encode_markup("<s>").unwrap(), [1]);
        assert_eq!(unflagged.decode(&[1]).unwrap(), "");

        let mut json = samples::llama2_json();
        let ids = json["model"]["vocab"].as_object().unwrap().len();
        json["model"]["vocab"]["<s"] = ids.into();
        let merges = json["model"]["merges"].as_array_mut().unwrap();
        merges.extend([serde_json::json!(["<", "s"]), serde_json::json!(["<s", ">"])]);
        let merging = samples::load(&json).unwrap();
        assert!(encoded(&merging.inner, "a <s>b").unwrap().ids.contains(&1));
        let found = merging.encode_with_offsets("a <s>b").unwrap();
        assert_eq!(found, llama2().encode_with_offsets("a <s>b").unwrap());

        // An end-of-sequence token that the model names, and the file does not flag.
        let mut json = samples::llama2_json();
        json["added_tokens"][2]["special"] = false.into();
        let mut trusting = samples::load(&json).unwrap();
        assert!(trusting.encode(text).unwrap().contains(&2));
        trusting.keep_from_text(&[2, 900]).unwrap();
        assert_eq!(trusting.encode_with_offsets(text).unwrap(), spelled);
    }
}
