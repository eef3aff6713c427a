//! [`ChatTemplate`]: a Jinja template, rendered around one user message.

use std::path::Path;

use super::jinja::{self, Json};
use crate::error::{Error, Result, json_kind};
use crate::system::digest::sha256;

/// Where a checkpoint may have its template, in the order of transformers.
const JINJA: &str = "chat_template.jinja";
const JSON: &str = "chat_template.json";
const CONFIG: &str = "tokenizer_config.json";
const KEY: &str = "chat_template";

/// Stands for the message: characters that no template has.
const MARK: &str = "\u{e000}message\u{e001}";
/// The special tokens that templates are told.
const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What a template makes of one user message and the beginning of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTemplate {
    before: String,
    after: String,
    trims: bool,
    file: &'static str,
    sha256: String,
}

impl ChatTemplate {
    /// The template of the checkpoint in `dir`: `chat_template.jinja`, `chat_template.json`, or
    /// `chat_template` in `tokenizer_config.json` (of several the one called `default`). `None` if
    /// it has none.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file: if it cannot be read, or the template does not render.
    pub fn from_dir(dir: &Path) -> Result<Option<Self>> {
        let config = match read(dir, CONFIG)? {
            Some(text) => parsed(&text, dir, CONFIG)?,
            None => serde_json::Value::Null,
        };
        let (source, file) = if let Some(text) = read(dir, JINJA)? {
            (text, JINJA)
        } else if let Some(text) = read(dir, JSON)? {
            let json = parsed(&text, dir, JSON)?;
            match source(&json, dir, JSON)? {
                Some(source) => (source, JSON),
                None => return Ok(None),
            }
        } else {
            match source(&config, dir, CONFIG)? {
                Some(source) => (source, CONFIG),
                None => return Ok(None),
            }
        };
        Self::new(&source, &config, file).map(Some).map_err(|e| e.at(dir.join(file).display()))
    }

    /// The template of a source that names no special tokens.
    ///
    /// # Errors
    /// A source that is no template.
    #[cfg(test)]
    pub fn of_source(source: &str) -> Result<Self> {
        Self::new(source, &serde_json::Value::Null, JINJA)
    }

    /// Renders `source`; `config` is a tokenizer_config.json, whose special tokens it may name.
    ///
    /// # Errors
    /// [`Error::Model`] if the template is none, fails, or does not have the message in it once.
    fn new(source: &str, config: &serde_json::Value, file: &'static str) -> Result<Self> {
        let rendered = render(source, config, MARK)?;
        let Some((before, after)) = rendered.split_once(MARK).filter(|(_, r)| !r.contains(MARK))
        else {
            return Err(Error::model("a chat template does not show the user's message once")
                .got(format!("{} times", rendered.matches(MARK).count()))
                .expected("once")
                .advice("--chat never"));
        };
        // A template that trims what it is given is given what is trimmed.
        let spaced = format!("\t{MARK}\t");
        let trims = !render(source, config, &spaced)?.contains(&spaced);
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            trims,
            file,
            sha256: sha256(source),
        })
    }

    /// The text before the message.
    pub fn before(&self) -> &str {
        &self.before
    }

    /// The text behind the message: its end, and the head of the answer.
    pub fn after(&self) -> &str {
        &self.after
    }

    /// Whether white space at the ends of the message is dropped.
    pub fn trims(&self) -> bool {
        self.trims
    }

    /// The file that has the template.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// SHA-256 of the template, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// A text file of the checkpoint, if it is there.
fn read(dir: &Path, file: &str) -> Result<Option<String>> {
    let path = dir.join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::model("a file of the tokenizer cannot be read")
            .at(path.display())
            .got(e)
            .expected("UTF-8 text")),
    }
}

fn parsed(text: &str, dir: &Path, file: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|e| {
        let place = format!("{}:{}:{}", dir.join(file).display(), e.line(), e.column());
        Error::model("a file of the tokenizer is not JSON").at(place).got(e)
    })
}

/// The template in a JSON file, if there is one.
fn source(json: &serde_json::Value, dir: &Path, file: &str) -> Result<Option<String>> {
    use serde_json::Value::{Array, Null, String};
    let wrong = |got: &str| {
        Err(Error::model("the chat template is no text")
            .at(format!("{}: {KEY}", dir.join(file).display()))
            .got(got)
            .expected("a string, or a list of templates with one that is named default")
            .advice("--chat never"))
    };
    match &json[KEY] {
        Null => Ok(None),
        String(text) => Ok(Some(text.clone())),
        Array(named) => {
            let default = named.iter().find(|t| t["name"] == "default");
            match default.and_then(|t| t["template"].as_str()) {
                Some(text) => Ok(Some(text.to_owned())),
                None => wrong("a list without a template named default"),
            }
        }
        other => wrong(json_kind(other)),
    }
}

/// The text of a special token, which is a string or an object with its content.
fn special<'a>(config: &'a serde_json::Value, name: &str) -> Option<&'a str> {
    let token = &config[name];
    token.as_str().or(token["content"].as_str())
}

/// One user message and the head of the answer, as transformers renders them.
fn render(source: &str, config: &serde_json::Value, message: &str) -> Result<String> {
    let text = |text: &str| Json::Text(text.to_owned());
    let message =
        Json::Map(vec![("role".to_owned(), text("user")), ("content".to_owned(), text(message))]);
    let mut context = vec![
        ("messages".to_owned(), Json::List(vec![message])),
        ("tools".to_owned(), Json::Null),
        ("documents".to_owned(), Json::Null),
        ("add_generation_prompt".to_owned(), Json::Bool(true)),
    ];
    let special = SPECIAL.iter().filter_map(|name| Some((*name, special(config, name)?)));
    context.extend(special.map(|(name, token)| (name.to_owned(), text(token))));
    jinja::render(source, &context).map_err(|fault| {
        let line = fault.line.map_or(String::new(), |line| format!(" (line {line})"));
        Error::model("the chat template cannot be rendered")
            .got(format!("{}{line}", fault.what))
            .expected("a Jinja template, as transformers has them")
            .advice("--chat never gives the prompt as it is")
    })
}
