//! What a profile reads: haystack, needles, the model's configuration and tokenizer.

use std::path::{Path, PathBuf};

use crate::chat::{Chat, ChatMode};
use crate::config::{ModelChoice, ProbeConfig, ProbeSource, PublishedRows};
use crate::error::{Error, Result};
use crate::gate::{AnswerGate, Expected};
use crate::haystack::Haystack;
use crate::hub::{self, Origin, Snapshot};
use crate::model::{Compute, Llama, ModelConfig, embedded};
use crate::needle::{Facts, Needle};
use crate::prompt::PromptTemplate;
use crate::tasks::babilong::TaskTemplates;
use crate::tasks::babilong::{Published, PublishedFile};
use crate::tokenizer::Tokenizer;

/// Percentage of an embedding's rows that a tokenizer of the same model has ids for, at least.
const FEWEST_IDS: usize = 90;

/// A model without its weights.
pub struct ModelFiles {
    /// Its name in file names: the last part of its path.
    pub name: String,
    /// Its folder; `None` for the embedded model.
    pub dir: Option<PathBuf>,
    /// What it is on the hub, if it is from there.
    pub hub: Option<Origin>,
    /// Its shape.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Everything read but the weights.
pub struct Inputs {
    /// The texts around the needles.
    pub haystack: Haystack,
    /// The needles.
    pub needles: Vec<Needle>,
    /// The files of published rows.
    pub published: Vec<PublishedFile>,
    /// What is put around stories, by task.
    pub templates: TaskTemplates,
    /// Which answers count.
    pub gate: Box<dyn AnswerGate>,
    /// What makes a prompt a chat message, if it is one.
    pub chat: Option<Chat>,
    /// What the user should know about them.
    pub notes: Vec<String>,
    /// The model.
    pub model: ModelFiles,
}

impl Inputs {
    /// What is put around the haystack of a needle: its task's template, or that of all.
    pub fn template<'a>(&'a self, needle: &Needle, config: &'a ProbeConfig) -> &'a PromptTemplate {
        needle.task().and_then(|task| self.templates.get(task)).unwrap_or(&config.template)
    }

    /// Reads texts first, then what the gate needs, then the model: of several mistakes the cheapest
    /// is told.
    ///
    /// # Errors
    /// [`Error::Data`] for haystack and needles, [`Error::Model`] for the model and for that of the
    /// gate.
    pub fn load(config: &ProbeConfig) -> Result<Self> {
        let haystack = match &config.haystack_dir {
            Some(dir) => Haystack::load_dir(dir, config.skip_bad_files)?,
            None => Haystack::bundled()?,
        };
        let templates = TaskTemplates::read(&config.prompts)?;
        let (mut notes, mut files) = (Vec::new(), Vec::new());
        let needles = match (&config.source, &config.needles) {
            (ProbeSource::Babilong(stories), _) => stories.tell(config.seed)?,
            (ProbeSource::Published(rows), _) => {
                let PublishedRows { path, tasks, samples } = rows;
                let published = Published::load(path, tasks.as_deref(), *samples)?;
                notes.extend(published.notes());
                files = published.files;
                published.needles
            }
            (ProbeSource::Needles, Some(path)) => Needle::load(path)?,
            (ProbeSource::Needles, None) => Needle::bundled()?,
        };
        let gate = config.gate.open()?;
        for needle in &needles {
            // Fails where no answer could pass, before any is generated.
            gate.check(&Expected::from(needle)).map_err(|e| match &needle.facts {
                Some(Facts::Published(context)) => e.at(&context.place),
                _ => e.at(format!("needle {}", needle.id)),
            })?;
        }
        let model = ModelFiles::open(&config.model)?;
        let chat = model.chat(config.chat)?;
        Ok(Self { haystack, needles, published: files, templates, gate, chat, notes, model })
    }
}

impl ModelFiles {
    /// Reads configuration and tokenizer.
    ///
    /// # Errors
    /// [`Error::Model`] naming the file.
    pub fn open(choice: &ModelChoice) -> Result<Self> {
        let files = match choice {
            ModelChoice::NeedleLlama => Self {
                name: embedded::NAME.to_owned(),
                dir: None,
                hub: None,
                config: embedded::needle_llama_config()?,
                tokenizer: embedded::needle_llama_tokenizer()?,
            },
            ModelChoice::Dir(dir) => {
                if !dir.is_dir() {
                    return Err(no_folder(dir));
                }
                // The last part of `.` or `..` says nothing.
                let full = dir.canonicalize().unwrap_or_else(|_| dir.clone());
                let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Self::in_folder(dir, full, &name)?
            }
            ModelChoice::Hub(model) => {
                let Snapshot { dir, origin } = hub::fetch(model)?;
                let files = Self::in_folder(&dir, dir.clone(), model.id.name())?;
                Self { hub: Some(origin), ..files }
            }
        };
        files.tokenizer.check_against(files.config.vocab)?;
        Ok(files)
    }

    /// Reads what is in `dir`, which is recorded as `full`.
    fn in_folder(dir: &Path, full: PathBuf, name: &str) -> Result<Self> {
        Ok(Self {
            name: file_name_part(name),
            dir: Some(full),
            hub: None,
            config: ModelConfig::from_dir(dir)?,
            tokenizer: Tokenizer::from_file(&dir.join("tokenizer.json"))?,
        })
    }

    /// Its chat template, if `mode` allows one.
    ///
    /// # Errors
    /// As [`Chat::open`].
    pub fn chat(&self, mode: ChatMode) -> Result<Option<Chat>> {
        Chat::open(mode, self.dir.as_deref(), &self.tokenizer)
    }

    /// What is odd about a tokenizer that has far fewer ids than the embedding has rows. Padding
    /// makes a difference of some percent; more, and it may be another model's tokenizer.
    pub fn tokenizer_warning(&self) -> Option<String> {
        let (ids, rows) = (self.tokenizer.vocab_size(), self.config.vocab);
        (ids.saturating_mul(100) < rows.saturating_mul(FEWEST_IDS)).then(|| {
            format!(
                "the tokenizer has {ids} ids and the embedding {rows} rows: does tokenizer.json \
                 belong to this checkpoint?"
            )
        })
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// [`Error::Model`] naming file and tensor.
    pub fn load(&self, compute: &Compute) -> Result<Llama> {
        match &self.dir {
            None => embedded::needle_llama(compute),
            Some(dir) => Llama::from_dir(dir, compute),
        }
    }
}

/// `dir` is no folder, and was not taken for an id either.
fn no_folder(dir: &Path) -> Error {
    Error::model("there is no such model folder")
        .at(dir.display())
        .got(if dir.exists() { "a file" } else { "nothing" })
        .expected(
            "a folder with config.json, model.safetensors and tokenizer.json, or an id of the \
             Hugging Face hub",
        )
        .advice(
            "check the path; an id is ORG/NAME or ORG/NAME@REVISION, such as \
             meta-llama/Llama-3.2-1B@main",
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
    fn a_folder_that_is_not_there_is_named() {
        let e = ModelFiles::open(&ModelChoice::Dir("no/such/folder".into())).err().unwrap();
        assert_eq!(e.exit_code(), 4);
        for part in ["no/such/folder", "config.json", "ORG/NAME@REVISION"] {
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}
