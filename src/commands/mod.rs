//! What headprof can be told to do: one room per command. None imports another.

pub mod allocate;
pub mod bench;
pub mod dry_run;
pub mod evaluate;
pub mod observe;
pub mod profile;
pub mod utility;
pub mod verify;
