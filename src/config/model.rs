//! `--model`: which checkpoint is meant.

use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::cli::{HubArgs, ModelArgs};
use crate::error::{Error, Result};
use crate::hub::{Contents, HubId, HubModel};
use crate::model::embedded;

/// Which model is profiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// [`embedded`].
    NeedleLlama,
    /// A checkpoint folder, or a GGUF file.
    Dir(PathBuf),
    /// A checkpoint of the Hugging Face hub.
    Hub(HubModel),
}

impl ModelChoice {
    /// What `args` name.
    ///
    /// # Errors
    /// As [`ModelChoice::new`].
    pub fn of(args: &ModelArgs, surroundings: &Surroundings) -> Result<Self> {
        Self::new(args.name.as_deref(), &args.hub, surroundings)
    }

    /// What `--model` names; nothing or [`embedded::NAME`] is the embedded model. What exists is a
    /// folder or a file; of the rest, what looks like `ORG/NAME`, `ORG/NAME@REVISION` or either
    /// with `:FILE.gguf` is an id.
    ///
    /// # Errors
    /// [`Error::Usage`] for an empty name.
    pub fn new(name: Option<&str>, hub: &HubArgs, surroundings: &Surroundings) -> Result<Self> {
        match name {
            None | Some(embedded::NAME) => Ok(Self::NeedleLlama),
            Some("") => {
                Err(Error::usage("there is no model of an empty name").at("--model").expected(
                    "the folder of a checkpoint, a GGUF file, or an id of the hub (ORG/NAME)",
                ))
            }
            Some(text) => Ok(match HubId::parse(text).filter(|id| is_id(text, id)) {
                Some(id) => Self::Hub(HubModel {
                    id,
                    contents: Contents::Checkpoint,
                    environment: surroundings.hub.clone(),
                    offline: hub.offline,
                    quiet: surroundings.quiet,
                    weights: true,
                }),
                None => Self::Dir(PathBuf::from(text)),
            }),
        }
    }
}

/// Whether `text`, which could be `id`, is no path: that of a file that is not there is none.
fn is_id(text: &str, id: &HubId) -> bool {
    !Path::new(text).exists() && (id.file().is_some() || !text.ends_with(".gguf"))
}
