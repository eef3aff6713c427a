//! Checkpoints by the id of a repository on the Hugging Face hub.
//!
//! ```text
//! ORG/NAME@REVISION ─► commit ─► listing ─► Wanted ─► files in the cache ─► Snapshot, a folder
//! ```
//!
//! With `:FILE.gguf` behind the id that file alone, and those that belong to it, are fetched.
//!
//! What is in the cache is not asked for again; what is downloaded is only used if it is what the
//! hub announced. All requests go through the crate hf-hub, behind the cargo feature `hub`.

pub mod contents;
pub mod environment;
pub mod id;

#[cfg(feature = "hub")]
mod announced;
#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod errors;
#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod view;
#[cfg(feature = "hub")]
mod wanted;

#[cfg(all(test, feature = "hub"))]
mod tests;

use std::path::PathBuf;

use serde::Serialize;

pub use contents::Contents;
pub use environment::Environment;
pub use id::HubId;

use crate::error::Result;

/// A model of the hub, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// Which.
    pub id: HubId,
    /// Of which kind.
    pub contents: Contents,
    /// From where, and where to.
    pub environment: Environment,
    /// Whether no request is sent.
    pub offline: bool,
    /// Whether nothing is printed.
    pub quiet: bool,
    /// Whether the weights are wanted, too; without them a model can be looked at.
    pub weights: bool,
}

/// The files of one commit of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Their folder.
    pub dir: PathBuf,
    /// What they are.
    pub origin: Origin,
}

impl Snapshot {
    /// The folder, or the GGUF file in it that was asked for.
    pub fn path(&self) -> PathBuf {
        match &self.origin.file {
            Some(file) => self.dir.join(file),
            None => self.dir.clone(),
        }
    }
}

/// Which files a model was loaded from, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `ORG/NAME`.
    pub id: String,
    /// The branch, tag or commit that was asked for.
    pub revision: String,
    /// The commit that it was.
    pub commit: String,
    /// The GGUF file, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The files of `model`, downloaded where the cache lacks them.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) if there is no such model, revision or file, if the hub
/// refuses it or cannot be reached, and for files that are not what it announced;
/// [`Error::Resources`](crate::Error::Resources) if the cache cannot be written to.
#[cfg(feature = "hub")]
pub fn fetch(model: &HubModel) -> Result<Snapshot> {
    fetch::fetch(model)
}

/// This build has no requests to a hub.
///
/// # Errors
/// Always [`Error::Model`](crate::Error::Model).
#[cfg(not(feature = "hub"))]
pub fn fetch(model: &HubModel) -> Result<Snapshot> {
    Err(crate::Error::model("this headprof was built without support of the Hugging Face hub")
        .at(format!("{} {}", model.contents.option(), model.id))
        .got(format!("an id of the hub: there is no folder {}", model.id))
        .expected("the folder of a model")
        .advice("download the model with other tools, or build with the cargo feature hub"))
}
