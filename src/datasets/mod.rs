//! The rows of published benchmarks, read from files that the user has.
//!
//! ```text
//! file ─► records (JSON lines, JSON, Arrow; found by content) ─► LongBenchRow, BabilongRow, RulerRow
//! ```
//!
//! Every error names the file and the row. No model is needed here.

pub mod python_literal;

mod arrow;
mod files;
mod flatbuffer;
mod records;

pub use files::{data_files, files_below};
pub(crate) use records::unique;
pub use records::{Record, read_records};
