//! Rows that were written for one model, with its chat template in their text.
//!
//! RULER's `prepare.py` puts the template of `--model_template_type` around every prompt. Text is
//! never read as special tokens here, so that such a prompt would be another one.

use super::rows::RulerRow;
use crate::chat::Chat;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Characters at both ends of a prompt in which a template is looked for.
const ENDS: usize = 200;

/// Refuses a row that begins or ends with special tokens of the model, and one that ends as
/// `chat`, which would be put around it once more.
///
/// # Errors
/// [`Error::Data`] naming the row; as [`Tokenizer::encode`].
pub(super) fn refuse(row: &RulerRow, tokenizer: &Tokenizer, chat: Option<&Chat>) -> Result<()> {
    let text = &row.input;
    let head = text.char_indices().nth(ENDS).map_or(text.len(), |(at, _)| at);
    let tail = text.char_indices().rev().nth(ENDS).map_or(0, |(at, _)| at);
    for end in [&text[..head], &text[tail..]] {
        if tokenizer.encode(end)? != tokenizer.encode_markup(end)? {
            return Err(templated(row, "special tokens of the model in the text"));
        }
    }
    let after = chat.map_or("", |chat| chat.template.after().trim());
    match !after.is_empty() && text.trim_end().ends_with(after) {
        true => Err(templated(row, "the model's template in the text, and --chat always")),
        false => Ok(()),
    }
}

fn templated(row: &RulerRow, got: &str) -> Error {
    Error::data("a row has a chat template around its prompt already")
        .at(&row.place)
        .got(got)
        .expected("rows that were prepared with --model_template_type base")
        .advice("--chat always puts the model's own template around such rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatTemplate;
    use crate::tokenizer::samples;

    fn refused(input: &str, chat: Option<&Chat>) -> Option<String> {
        let row = RulerRow {
            line: 1,
            input: input.to_owned(),
            joint: "",
            answer_prefix: String::new(),
            outputs: vec!["1".to_owned()],
            place: "rows.jsonl:1".to_owned(),
        };
        refuse(&row, samples::byte_level(), chat).err().map(|e| e.to_string())
    }

    #[test]
    fn templates_are_found_at_both_ends() {
        let long = "One two, three. ".repeat(40);
        for text in [&long, "x", "a < b | c > d"] {
            assert_eq!(refused(text, None), None, "{text}");
        }
        for text in [format!("<|bos|>{long}"), format!("{long}<|bos|> ")] {
            let e = refused(&text, None).unwrap();
            assert!(e.contains("rows.jsonl:1") && e.contains("special tokens"), "{e}");
        }
        let template = "[INST] {{ messages[0].content }} [/INST]";
        let chat = ChatTemplate::of_source(template).unwrap();
        let chat = Chat::new(chat, samples::byte_level()).unwrap();
        assert_eq!(refused("[INST] Which? [/INST]", None), None);
        assert_eq!(refused("Which?", Some(&chat)), None);
        let e = refused("[INST] Which? [/INST]", Some(&chat)).unwrap();
        assert!(e.contains("--chat always"), "{e}");
    }
}
