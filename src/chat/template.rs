//! [`ChatTemplate`]: a Jinja template, rendered around one user message.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use crate::error::{Error, Result, json_kind};
use crate::system::digest::sha256;

/// Where a checkpoint may have its template, in the order of transformers.
const JINJA: &str = "chat_template.jinja";
const JSON: &str = "chat_template.json";
const CONFIG: &str = "tokenizer_config.json";
const KEY: &str = "chat_template";

/// Stands for the message: characters that no template has.
const MARK: &str = "\u{e000}message\u{e001}";
/// Steps of a template; real ones take a few hundred.
const FUEL: u64 = 1_000_000;
/// The day that templates with a date are told, so that a prompt is the same on every day.
/// Templates of Llama 3 fall back to it by themselves.
const DAY: [(&str, &str); 11] = [
    ("%d", "26"),
    ("%e", "26"),
    ("%b", "Jul"),
    ("%B", "July"),
    ("%m", "07"),
    ("%Y", "2024"),
    ("%y", "24"),
    ("%A", "Friday"),
    ("%a", "Fri"),
    ("%F", "2024-07-26"),
    ("%H:%M:%S", "12:00:00"),
];

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
fn special(config: &serde_json::Value, name: &str) -> Value {
    let token = &config[name];
    match token.as_str().or(token["content"].as_str()) {
        Some(text) => Value::from(text),
        None => Value::UNDEFINED,
    }
}

/// One user message and the head of the answer, as transformers renders them.
fn render(source: &str, config: &serde_json::Value, message: &str) -> Result<String> {
    let failed = |e: minijinja::Error| {
        let why = match e.line() {
            Some(line) => format!("{e:#} (line {line})"),
            None => format!("{e:#}"),
        };
        Error::model("the chat template cannot be rendered")
            .got(why)
            .expected("a Jinja template, as transformers has them")
            .advice("--chat never gives the prompt as it is")
    };
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(failed)?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", |text: String| -> std::result::Result<(), _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
    });
    environment.add_function("strftime_now", |format: String| {
        DAY.iter().rev().fold(format, |text, (code, value)| text.replace(code, value))
    });
    let source = without_generation_marks(source);
    let template = environment.template_from_str(&source).map_err(failed)?;
    template
        .render(context! {
            messages => [context! { role => "user", content => message }],
            add_generation_prompt => true,
            tools => (),
            documents => (),
            bos_token => special(config, "bos_token"),
            eos_token => special(config, "eos_token"),
            unk_token => special(config, "unk_token"),
            pad_token => special(config, "pad_token"),
        })
        .map_err(failed)
}

/// `source` with blocks that do nothing in the place of `{% generation %}` and `{% endgeneration
/// %}`, with which transformers marks what an assistant says. Blocks, since a tag may also take the
/// spaces beside it away.
fn without_generation_marks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let tag = rest[at..].find("%}").map(|end| &rest[at..at + end + 2]);
        let Some(tag) = tag else { break };
        let name = tag.trim_matches(['{', '}', '%', '-', '+']).trim();
        text.push_str(&rest[..at]);
        text.push_str(&match name {
            "generation" => tag.replace(name, "if true"),
            "endgeneration" => tag.replace(name, "endif"),
            _ => tag.to_owned(),
        });
        rest = &rest[at + tag.len()..];
    }
    text + rest
}
