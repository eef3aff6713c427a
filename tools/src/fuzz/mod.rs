//! A fuzzer of every reader of outside files: bounded, in one process, on stable Rust.
//!
//! ```text
//! seeds of a target ─► Mutator (by seed and number of the run) ─► input ─► the reader ─► Outcome
//! ```
//!
//! A reader takes an input or refuses it with exit code 2, 3 or 4. Everything else is a fault: a
//! panic, another exit code, memory beyond [`most_bytes`], more time than [`SLOWEST`]. What
//! cannot be caught, an overflow of the stack or an endless loop, ends the process, and the input
//! is still in the worker's folder.
//!
//! A new reader is a line in [`targets::registry`].

mod campaign;
pub mod heap;
mod mutator;
mod random;
mod target;
pub mod targets;

pub use campaign::{Campaign, Fault, SLOWEST, Tally, most_bytes, run_one};
pub use mutator::Mutator;
pub use random::Random;
pub use target::{Folder, Target};

/// The stack of a thread that runs readers: what headprof's own threads have.
pub const STACK_BYTES: usize = 8 << 20;
