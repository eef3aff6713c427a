//! The rows of published benchmarks, read from files that the user has.
//!
//! ```text
//! file ─► records (JSON lines, JSON, Arrow; found by content) ─► LongBenchRow, BabilongRow, RulerRow
//! ```
//!
//! Every error names the file and the row. No model is needed here.

mod arrow;
mod babilong;
mod files;
mod flatbuffer;
mod longbench;
mod loogle;
mod python_literal;
mod records;
mod ruler;

pub use babilong::BabilongRow;
pub use files::{data_files, files_below};
pub use longbench::LongBenchRow;
pub(super) use loogle::read_loogle;
pub(super) use records::unique;
pub use records::{Record, read_records};
pub use ruler::RulerRow;
