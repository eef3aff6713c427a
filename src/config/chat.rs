//! `--chat-option KEY=VALUE`.

use crate::chat::{ChatOptions, TemplateValue};
use crate::error::{Error, Result};

/// Names that no option may have: what a template is told by the program.
const TOLD: [&str; 2] = ["messages", "add_generation_prompt"];

/// The variables of chat templates that `args`, each `KEY=VALUE`, name.
///
/// # Errors
/// [`Error::Usage`] for what is no option, or one twice.
pub(super) fn chat_options(args: &[String]) -> Result<ChatOptions> {
    let mut options = ChatOptions::new();
    for arg in args {
        let wrong = |what: &str| {
            Error::usage(what)
                .at("--chat-option")
                .got(arg)
                .expected("KEY=VALUE, such as enable_thinking=true")
        };
        let (key, value) = arg.split_once('=').ok_or_else(|| wrong("an option has no value"))?;
        let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if !key.chars().all(word) || key.is_empty() || key.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(wrong("the name of an option is no name of a variable"));
        }
        if TOLD.contains(&key) {
            return Err(wrong("an option is what every template is told"));
        }
        // As Python and as JSON spell them; else a text, which would be true, whatever it says.
        let json = match value {
            "True" => TemplateValue::from(true),
            "False" => TemplateValue::from(false),
            "None" => TemplateValue::from(()),
            _ => serde_json::from_str(value).unwrap_or_else(|_| TemplateValue::from(value)),
        };
        if options.insert(key.to_owned(), json).is_some() {
            return Err(wrong("an option is there twice"));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<ChatOptions> {
        chat_options(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_json_or_else_texts() {
        let options = parsed(&["enable_thinking=true", "effort=low", "n=-2", "x=a=b", "y="]);
        let options = options.unwrap();
        let text = |text: &str| TemplateValue::from(text);
        assert_eq!(options["enable_thinking"], TemplateValue::from(true));
        assert_eq!(options["effort"], text("low"));
        assert_eq!(options["n"], TemplateValue::from(-2));
        let python = parsed(&["enable_thinking=False", "thinking=True", "mood=None"]).unwrap();
        assert_eq!(python["enable_thinking"], TemplateValue::from(false));
        assert_eq!(python["thinking"], TemplateValue::from(true));
        assert_eq!(python["mood"], TemplateValue::from(()));
        assert_eq!((&options["x"], &options["y"]), (&text("a=b"), &text("")));
        // Keys stay in their order.
        let map = &parsed(&[r#"m={"b": [1.5, null], "a": "x"}"#]).unwrap()["m"];
        assert_eq!(serde_json::to_string(map).unwrap(), r#"{"b":[1.5,null],"a":"x"}"#);
    }

    #[test]
    fn what_is_no_option_is_named() {
        for args in [
            &["thinking"][..],
            &["=1"],
            &["a-b=1"],
            &["1a=2"],
            &["messages=[]"],
            &["add_generation_prompt=false"],
            &["a=1", "a=1"],
        ] {
            let e = parsed(args).unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains("--chat-option"), "{args:?}: {e}");
        }
    }
}
