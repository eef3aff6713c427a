//! The rows of published benchmarks, read from files that the user has.
//!
//! ```text
//! file ─► JSON lines, JSON or Arrow, by content ─► Record… ─► the rows of a benchmark (tasks/)
//! ```
//!
//! Every error names the file and the row. No model is needed here.

pub mod python_literal;

mod arrow;
mod files;
mod flatbuffer;
mod records;

pub use files::{data_files, files_below};
pub use records::{Record, read_records};
pub(crate) use records::{is_blank, unique, unread_columns};
