//! The machine and the terminal: whole files, hashes, signals, memory, panics, the progress bar.

pub mod atomic;
pub mod digest;
pub mod files;
pub mod interrupt;
pub mod machine;
pub mod panics;
pub mod progress;
pub mod reporter;
pub mod shell;
pub mod terminal;
pub mod text;

pub use reporter::Reporter;
