//! [`ProbeSource`]: where the texts of probes come from; benchmarks of [`crate::tasks`] are such.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::ProbeConfig;
use crate::error::Result;
use crate::needle::{ProbeText, SubTask};
use crate::prompt::PromptTemplate;

/// Reads, or makes, what is hidden.
pub trait ProbeSource: fmt::Debug + Send + Sync {
    /// The texts of a run. No model is needed for them.
    ///
    /// # Errors
    /// [`crate::Error::Data`] naming file and row, [`crate::Error::Usage`] if there are not as many
    /// as asked for.
    fn read(&self, config: &ProbeConfig) -> Result<ProbeTexts>;
}

/// What the probes of a run hide and ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeTexts {
    /// The texts, all of one kind; at least one.
    pub texts: Vec<ProbeText>,
    /// Where they are from.
    pub origin: TextsOrigin,
    /// The file or folder of needles that the user named.
    pub needles: Option<PathBuf>,
    /// What is put around the haystack, by task, where the user named files with such templates.
    pub templates: BTreeMap<&'static str, PromptTemplate>,
    /// These files, with the SHA-256 of each.
    pub template_files: Vec<(PathBuf, String)>,
    /// What the user should know about them.
    pub notes: Vec<String>,
}

/// Where probe texts are from, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TextsOrigin {
    /// Sentences of a needles file.
    Needles,
    /// Stories told by headprof.
    Stories {
        /// Of these tasks, ascending.
        tasks: Vec<SubTask>,
        /// So many of each.
        samples: usize,
        /// Whether they are other stories than those that heads are scored on.
        held_out: bool,
    },
    /// Published rows.
    Published {
        /// The file or folder that was named.
        path: String,
        /// The files that rows were taken from.
        files: Vec<RowsFile>,
    },
}

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowsFile {
    /// Where it is.
    pub path: String,
    /// Hash of its content.
    pub sha256: String,
    /// Rows taken.
    pub rows: usize,
}

impl ProbeTexts {
    /// Texts with nothing else to tell of them.
    pub fn new(texts: Vec<ProbeText>, origin: TextsOrigin) -> Self {
        Self {
            texts,
            origin,
            needles: None,
            templates: BTreeMap::new(),
            template_files: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether each text stands at one depth, which is a side of the grid.
    pub fn have_depths(&self) -> bool {
        matches!(self.texts.first(), Some(ProbeText::Needle(_)))
    }

    /// Whether the texts come with all that stands around them, and so with lengths of their own.
    pub fn are_contexts(&self) -> bool {
        matches!(self.texts.first(), Some(ProbeText::Context(_)))
    }
}
