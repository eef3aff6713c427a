//! headprof: which attention heads retrieve, which reason, and how sure that is.

pub mod atomic;
pub mod error;
pub mod gate;
pub mod generate;
pub mod haystack;
pub mod head_matrix;
pub mod head_score;
pub mod model;
pub mod needle;
pub mod plan;
pub mod plot;
pub mod prompt;
pub mod score;
pub mod text;
pub mod tokenizer;
pub mod verify;

pub use error::{Error, Result};
pub use head_matrix::HeadMatrix;
