//! [`ChatTemplate`]: a Jinja template, rendered around one user message.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Value, context};

use super::jinja;
use super::thinking::{OPEN, ends_open};
use crate::error::{Error, Result, json_kind};
use crate::gguf::{FileTemplate, Place};
use crate::system::digest::sha256;
use crate::system::text::utf8_text;

/// Where a checkpoint may have its template, in the order of transformers.
const JINJA: &str = "chat_template.jinja";
const JSON: &str = "chat_template.json";
const CONFIG: &str = "tokenizer_config.json";
const MAP: &str = "special_tokens_map.json";
const KEY: &str = "chat_template";
/// The key of a GGUF file.
const GGUF: &str = "tokenizer.chat_template";

/// Stands for the message: characters that no template has.
const MARK: &str = "\u{e000}message\u{e001}";
/// A message in which a template that escapes or rewrites anything leaves nothing as it is.
const HARD: &str = "\u{e000}\"a\\b\"\n  <c> & 'd'\t{{ e }}\u{e001}";
/// The special tokens that templates are told.
const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The special tokens that transformers' class `LlamaTokenizer` has where no file names them.
const LLAMA_CLASS: [(&str, &str); 3] =
    [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")];

/// The variable that turns the thinking of many models on and off.
const ENABLE_THINKING: &str = "enable_thinking";
/// Others that turn it on.
const THINKING: [&str; 2] = [ENABLE_THINKING, "thinking"];

/// Variables that a template is told by the user, by their names.
pub type ChatOptions = BTreeMap<String, Value>;

/// Names that every template is told.
const GIVEN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// What a template makes of one user message and the beginning of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatTemplate {
    before: String,
    after: String,
    trims: bool,
    file: &'static str,
    sha256: String,
    options: ChatOptions,
}

/// A template's source, and where it is from.
struct Source {
    text: String,
    file: &'static str,
    special: BTreeMap<&'static str, String>,
}

impl ChatTemplate {
    /// The template of the checkpoint in `dir`: `chat_template.jinja`, `chat_template.json`, or
    /// `chat_template` in `tokenizer_config.json` (of several the one called `default`). `None` if
    /// it has none. It is told `options`, and `enable_thinking` = false where it reads that, has
    /// marks for the thinking, and is not told otherwise.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file: if it cannot be read, or the template does not render.
    /// [`Error::Usage`] for an option that it never reads.
    pub fn from_dir(dir: &Path, options: &ChatOptions) -> Result<Option<Self>> {
        let config = match read(dir, CONFIG)? {
            Some(text) => parsed(&text, dir, CONFIG)?,
            None => serde_json::Value::Null,
        };
        let (text, file) = if let Some(text) = read(dir, JINJA)? {
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
        let map = match read(dir, MAP)? {
            Some(text) => parsed(&text, dir, MAP)?,
            None => serde_json::Value::Null,
        };
        let source = Source { text, file, special: special_tokens(&map, &config) };
        Self::new(&source, options).map(Some).map_err(|e| e.at(dir.join(file).display()))
    }

    /// The template of the checkpoint at `place`.
    ///
    /// # Errors
    /// As [`ChatTemplate::from_dir`].
    pub fn at(place: &Place, options: &ChatOptions) -> Result<Option<Self>> {
        let gguf = match place {
            Place::Folder(dir) => return Self::from_dir(dir, options),
            Place::Gguf(gguf) => gguf,
        };
        let Some(FileTemplate { text, special }) = gguf.template()? else { return Ok(None) };
        let source = Source { text, file: GGUF, special: special.into_iter().collect() };
        let at = format!("{}: {GGUF}", gguf.path().display());
        Self::new(&source, options).map(Some).map_err(|e| e.at(at))
    }

    /// The template of a source that names no special tokens.
    ///
    /// # Errors
    /// A source that is no template.
    #[cfg(test)]
    pub fn of_source(text: &str) -> Result<Self> {
        let source = Source { text: text.to_owned(), file: JINJA, special: BTreeMap::new() };
        Self::new(&source, &ChatOptions::new())
    }

    /// Renders `source`.
    ///
    /// # Errors
    /// [`Error::Model`] if the template is none, fails, or does not have the message in it once;
    /// [`Error::Usage`] for an option that it never reads.
    fn new(source: &Source, options: &ChatOptions) -> Result<Self> {
        let names = jinja::names(&source.text).map_err(unrendered)?;
        if let Some(option) = options.keys().find(|name| !names.contains(*name)) {
            let others = names.iter().filter(|name| !GIVEN.contains(&name.as_str()));
            let others: Vec<&str> = others.map(String::as_str).collect();
            return Err(Error::usage("the chat template never reads an option")
                .got(format!("--chat-option {option}"))
                .expected(format!("one of the names that it reads: {}", others.join(", ")))
                .advice("leave the option out"));
        }
        let mut options = options.clone();
        if names.contains(ENABLE_THINKING) && source.text.contains(OPEN) {
            options.entry(ENABLE_THINKING.to_owned()).or_insert(Value::from(false));
        }
        let rendered = render(source, &options, MARK)?;
        let Some((before, after)) = rendered.split_once(MARK).filter(|(_, r)| !r.contains(MARK))
        else {
            return Err(Error::model("a chat template does not show the user's message once")
                .got(format!("{} times", rendered.matches(MARK).count()))
                .expected("once")
                .advice("--chat never"));
        };
        if !render(source, &options, HARD)?.contains(HARD) {
            return Err(Error::model("a chat template changes the message")
                .got(format!("{HARD:?} comes out otherwise"))
                .expected("the message as it is")
                .advice("--chat never"));
        }
        // A template that trims what it is given is given what is trimmed.
        let spaced = format!("\t{MARK}\t");
        let trims = !render(source, &options, &spaced)?.contains(&spaced);
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            trims,
            file: source.file,
            sha256: sha256(&source.text),
            options,
        })
    }

    /// Whether the model thinks before it answers: the prompt ends within the thinking, or an
    /// option turns it on.
    pub fn thinks(&self) -> bool {
        let on = |name: &&str| self.options.get(*name) == Some(&Value::from(true));
        ends_open(&self.after) || THINKING.iter().any(on)
    }

    /// The variables that the template was told besides those of every template.
    pub fn options(&self) -> &ChatOptions {
        &self.options
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
    let unreadable = || Error::model("a file of the tokenizer cannot be read").at(path.display());
    match std::fs::read(&path) {
        Ok(bytes) => match utf8_text(&bytes, file) {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(e) => Err(unreadable().got(e.one_line()).expected("UTF-8 text")),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable().got(e).expected("UTF-8 text")),
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

/// The special tokens that have names, as transformers finds them: in `special_tokens_map.json`, in
/// `tokenizer_config.json`, or of its class.
fn special_tokens(
    map: &serde_json::Value,
    config: &serde_json::Value,
) -> BTreeMap<&'static str, String> {
    let class = config["tokenizer_class"].as_str().map(|class| class.trim_end_matches("Fast"));
    let of_class = |name: &str| {
        let named = LLAMA_CLASS.iter().find(|(n, _)| *n == name && class == Some("LlamaTokenizer"));
        named.map(|(_, token)| *token)
    };
    // Where the tokenizer's own file lists its tokens, transformers does not look into the map.
    let mapped = |name| special(map, name).filter(|_| config["added_tokens_decoder"].is_null());
    let token = |name: &'static str| {
        let token = mapped(name).or(special(config, name)).or(of_class(name));
        token.map(|token| (name, token.to_owned()))
    };
    SPECIAL.into_iter().filter_map(token).collect()
}

/// The text of a special token, which is a string or an object with its content.
fn special<'a>(config: &'a serde_json::Value, name: &str) -> Option<&'a str> {
    let token = &config[name];
    token.as_str().or(token["content"].as_str())
}

/// One user message and the head of the answer, as transformers renders them.
fn render(source: &Source, options: &ChatOptions, message: &str) -> Result<String> {
    let message = context! { role => "user", content => message };
    let mut told: ChatOptions = [
        ("messages".to_owned(), Value::from(vec![message])),
        ("tools".to_owned(), Value::from(())),
        ("documents".to_owned(), Value::from(())),
        ("add_generation_prompt".to_owned(), Value::from(true)),
    ]
    .into();
    told.extend(source.special.iter().map(|(name, token)| ((*name).to_owned(), token.into())));
    told.extend(options.clone());
    jinja::render(&source.text, &told).map_err(unrendered)
}

fn unrendered(why: String) -> Error {
    Error::model("the chat template cannot be rendered")
        .got(why)
        .expected("a Jinja template, as transformers has them")
        .advice("--chat never gives the prompt as it is")
}
