//! What is read before the weights: haystack, needles, the model's configuration and tokenizer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lengths::check_lengths;
use super::source::{ProbeSource, ProbeTexts};
use crate::chat::Chat;
use crate::config::{ModelChoice, ProbeConfig};
use crate::error::{Error, Result};
use crate::gate::{AnswerGate, Expected};
use crate::gguf::{Gguf, Place};
use crate::haystack::Haystack;
use crate::hub::{self, Origin};
use crate::model::{Compute, Llama, ModelConfig, embedded};
use crate::needle::ProbeText;
use crate::prompt::PromptTemplate;
use crate::tokenizer::Tokenizer;

/// Percentage of an embedding's rows that a tokenizer of the same model has ids for, at least.
const FEWEST_IDS: usize = 90;

/// What is known of a model without its tokenizer, which may take seconds to read, and weights.
#[derive(Debug, Clone)]
pub struct ModelShape {
    /// Its name in file names: the last part of its path.
    pub name: String,
    /// Where it is; `None` for the embedded model.
    pub place: Option<Place>,
    /// What it is on the hub, if it is from there.
    pub hub: Option<Origin>,
    /// Its shape.
    pub config: ModelConfig,
}

/// A model without its weights.
pub struct ModelFiles {
    /// Its name in file names: the last part of its path.
    pub name: String,
    /// Where it is; `None` for the embedded model.
    pub place: Option<Place>,
    /// What it is on the hub, if it is from there.
    pub hub: Option<Origin>,
    /// Its shape.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Everything read but the weights.
pub struct Inputs {
    /// The texts around what is hidden.
    pub haystack: Haystack,
    /// What is hidden and asked for.
    pub probes: ProbeTexts,
    /// Which answers count.
    pub gate: Box<dyn AnswerGate>,
    /// What makes a prompt a chat message, if it is one.
    pub chat: Option<Chat>,
    /// The model.
    pub model: ModelFiles,
}

impl Inputs {
    /// What is put around the haystack of a text: its task's template, or that of all.
    pub fn template<'a>(&'a self, text: &ProbeText, config: &'a ProbeConfig) -> &'a PromptTemplate {
        let of_task = text.task().and_then(|task| self.probes.templates.get(task.name));
        of_task.unwrap_or(&config.template)
    }

    /// What prompts begin with: the tokenizer's BOS, or that which the chat template prints.
    pub fn bos(&self) -> Option<u32> {
        self.chat.as_ref().map_or(self.model.tokenizer.bos(), |chat| chat.bos)
    }

    /// Reads texts first, then what the gate needs, then the model, its configuration before its
    /// tokenizer: of several mistakes the cheapest is told.
    ///
    /// # Errors
    /// [`Error::Data`] for haystack and texts, [`Error::Model`] for the model and for that of the
    /// gate, [`Error::Usage`] for lengths that the model is not made for.
    pub fn load(
        config: &ProbeConfig,
        source: &dyn ProbeSource,
        shape: impl FnOnce() -> Result<ModelShape>,
    ) -> Result<Self> {
        let haystack = config.haystack()?;
        let probes = source.read(config)?;
        let gate = config.gate.open()?;
        for text in &probes.texts {
            // Fails where no answer could pass, before any is generated.
            gate.check(&Expected::from(text)).map_err(|e| e.at(text.place()))?;
        }
        let shape = shape()?;
        check_lengths(config, &shape, config.max_new_tokens.least())?;
        let model = shape.files()?;
        let chat = model.chat(config)?;
        Ok(Self { haystack, probes, gate, chat, model })
    }
}

impl ModelShape {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file.
    pub fn open(choice: &ModelChoice) -> Result<Self> {
        Ok(match choice {
            ModelChoice::NeedleLlama => Self {
                name: embedded::NAME.to_owned(),
                place: None,
                hub: None,
                config: embedded::needle_llama_config()?,
            },
            ModelChoice::Dir(path) if path.is_file() => {
                // Not by its links: the cache of a program may have its files under other names.
                Self::in_file(&std::path::absolute(path).unwrap_or_else(|_| path.clone()))?
            }
            ModelChoice::Dir(dir) => {
                if !dir.is_dir() {
                    return Err(no_folder(dir));
                }
                // The last part of `.` or `..` says nothing.
                let full = dir.canonicalize().unwrap_or_else(|_| dir.clone());
                let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Self::in_folder(full, &name)?
            }
            ModelChoice::Hub(model) => {
                let snapshot = hub::fetch(model)?;
                let shape = match model.id.file() {
                    Some(_) => Self::in_file(&snapshot.path())?,
                    None => Self::in_folder(snapshot.path(), model.id.name())?,
                };
                Self { hub: Some(snapshot.origin), ..shape }
            }
        })
    }

    /// Reads what is in `dir`.
    fn in_folder(dir: PathBuf, name: &str) -> Result<Self> {
        let config = ModelConfig::from_dir(&dir)?;
        let place = Some(Place::Folder(dir));
        Ok(Self { name: file_name_part(name), place, hub: None, config })
    }

    /// Reads the header of the file at `path`.
    fn in_file(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let name = file_name_part(&gguf.name());
        let place = Place::Gguf(Arc::new(gguf));
        Ok(Self { name, config: ModelConfig::at(&place)?, place: Some(place), hub: None })
    }

    /// Reads the tokenizer.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file.
    pub fn files(self) -> Result<ModelFiles> {
        let Self { name, place, hub, config } = self;
        let mut tokenizer = match &place {
            None => embedded::needle_llama_tokenizer()?,
            Some(place) => Tokenizer::at(place)?,
        };
        tokenizer.keep_from_text(&config.eos)?;
        Ok(ModelFiles { name, place, hub, config, tokenizer })
    }
}

impl ModelFiles {
    /// Reads configuration and tokenizer.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file.
    pub fn open(choice: &ModelChoice) -> Result<Self> {
        ModelShape::open(choice)?.files()
    }

    /// Its chat template, if `config` allows one.
    ///
    /// # Errors
    /// As [`Chat::open`].
    pub fn chat(&self, config: &ProbeConfig) -> Result<Option<Chat>> {
        Chat::open(config.chat, &config.chat_options, self.place.as_ref(), &self.tokenizer)
    }

    /// What is odd about a tokenizer that has more ids than the embedding has rows, such as one
    /// that was added for padding, or far fewer. Padding of the embedding makes a difference of
    /// some percent; more, and it may be another model's tokenizer.
    pub fn tokenizer_warning(&self) -> Option<String> {
        let (ids, rows) = (self.tokenizer.vocab_size(), self.config.vocab);
        if ids > rows {
            return Some(format!(
                "the tokenizer has {ids} ids and the embedding {rows} rows: a prompt with an id from \
                 {rows} on is refused"
            ));
        }
        (ids.saturating_mul(100) < rows.saturating_mul(FEWEST_IDS)).then(|| {
            format!(
                "the tokenizer has {ids} ids and the embedding {rows} rows: does the \
                 tokenizer belong to this checkpoint?"
            )
        })
    }

    /// Refuses a prompt with an id that the model's embedding has no row for.
    ///
    /// # Errors
    /// [`Error::Model`] naming the id.
    pub fn check_ids(&self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.config.vocab)
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// [`Error::Model`] naming file and tensor.
    pub fn load(&self, compute: &Compute) -> Result<Llama> {
        match &self.place {
            None => embedded::needle_llama(compute),
            Some(place) => Llama::at(place, compute),
        }
    }
}

/// Refuses a prompt with an id for which an embedding of `rows` rows has none: the tokenizer has
/// more ids than that, and the text spells one of them.
///
/// # Errors
/// [`Error::Model`] naming the id.
pub(crate) fn check_ids(ids: &[u32], rows: usize) -> Result<()> {
    match ids.iter().position(|&id| id as usize >= rows) {
        None => Ok(()),
        Some(at) => Err(Error::model("a prompt has a token that the model does not know")
            .got(format!("id {} (token {at})", ids[at]))
            .expected(format!("ids below {rows}, the rows of the embedding"))
            .advice("the tokenizer of this checkpoint, or a text without that token")),
    }
}

/// `dir` is no folder, and was not taken for an id either.
fn no_folder(dir: &Path) -> Error {
    Error::model("there is no such model")
        .at(dir.display())
        .got(if dir.exists() { "neither a folder nor a file" } else { "nothing" })
        .expected(
            "a folder with config.json, model.safetensors and tokenizer.json, a GGUF file, or an \
             id of the Hugging Face hub",
        )
        .advice(
            "check the path; an id is ORG/NAME or ORG/NAME@REVISION, such as \
             meta-llama/Llama-3.2-1B@main, and with :FILE.gguf behind it one of its GGUF files",
        )
}

/// `name` with whatever is unusual in file names replaced.
fn file_name_part(name: &str) -> String {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let part: String = name.chars().map(|c| if usual(c) { c } else { '_' }).collect();
    match part.trim_start_matches('.') {
        "" => "model".to_owned(),
        visible => visible.to_owned(),
    }
}

/// Refuses a name out of a file that cannot be a part of a file's name as it is.
///
/// # Errors
/// [`Error::Data`] with the name.
pub(crate) fn check_file_name_part(name: &str) -> Result<()> {
    match file_name_part(name) == name {
        true => Ok(()),
        false => Err(Error::data("this cannot be a part of a file's name")
            .got(format!("{name:?}"))
            .expected("letters, digits, dots within, hyphens and underscores")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_are_safe_in_file_names() {
        for (name, part) in [
            ("Llama-3.2-1B", "Llama-3.2-1B"),
            ("a b:c*", "a_b_c_"),
            (".hidden", "hidden"),
            ("", "model"),
            ("日本", "__"),
        ] {
            assert_eq!(file_name_part(name), part);
            assert_eq!(check_file_name_part(name).is_ok(), name == part);
        }
    }

    #[test]
    fn a_tokenizer_with_too_few_ids_is_told() {
        let mut files = ModelFiles::open(&ModelChoice::NeedleLlama).unwrap();
        let ids = files.tokenizer.vocab_size();
        assert_eq!(files.tokenizer_warning(), None);
        // 90 % of the rows have ids, and one row more.
        files.config.vocab = ids * 10 / 9;
        assert_eq!(files.tokenizer_warning(), None);
        files.config.vocab = ids * 10 / 9 + 1;
        let told = files.tokenizer_warning().unwrap();
        assert!(told.contains(&format!("{ids} ids")), "{told}");
    }

    #[test]
    fn an_id_without_a_row_is_told_and_refused_where_a_prompt_has_it() {
        let mut files = ModelFiles::open(&ModelChoice::NeedleLlama).unwrap();
        let ids = files.tokenizer.vocab_size();
        files.config.vocab = ids;
        assert_eq!(files.tokenizer_warning(), None);
        assert!(files.check_ids(&[0, ids as u32 - 1]).is_ok());
        files.config.vocab = ids - 1;
        let told = files.tokenizer_warning().unwrap();
        assert!(told.contains(&format!("{ids} ids and the embedding {}", ids - 1)), "{told}");
        let e = files.check_ids(&[0, ids as u32 - 1]).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        for part in [format!("id {} (token 1)", ids - 1), format!("ids below {}", ids - 1)] {
            assert!(e.to_string().contains(&part), "{e}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let e = ModelFiles::open(&ModelChoice::Dir("no/such/folder".into())).err().unwrap();
        assert_eq!(e.exit_code(), 4);
        for part in ["no/such/folder", "config.json", "ORG/NAME@REVISION"] {
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}
