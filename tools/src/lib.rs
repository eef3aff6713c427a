//! What programs and tests of this package share.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod fuzz;
