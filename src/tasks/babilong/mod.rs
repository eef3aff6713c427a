//! BABILong.

pub mod babi;
pub mod prompts;
pub mod rows;
pub mod task;

mod published;
mod stories;

pub use prompts::TaskTemplates;
pub use published::{Published, PublishedContext, PublishedFile};
pub use stories::{Stories, parse_tasks};
pub use task::BabilongTask;
