//! [`PromptRecord`]: one prompt and what all settings made of it.

use serde::{Deserialize, Serialize};

use crate::chat::Thinking;
use crate::journal::Finished;
use crate::tasks::{Case, Part};

/// What one setting made of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the model wrote, all of it.
    pub answer: String,
    /// What of it is judged, where the model thought before.
    pub judged: Option<String>,
    /// How long it thought, and whether to an end.
    pub thinking: Option<Thinking>,
    /// One value per metric of the task.
    pub values: Vec<f64>,
    /// Tokens held after the prompt, over all layers and stored heads.
    pub kv_tokens: u64,
    /// Bytes of their keys and values.
    pub kv_bytes: u64,
    /// Bytes held when the answer ends: its own tokens are added, and evicted by some methods.
    pub kv_bytes_end: u64,
    /// Bytes that were set aside, with the room for the answer.
    pub kv_bytes_allocated: u64,
    /// Tokens generated, the stop token included.
    pub new_tokens: usize,
    /// Seconds to choose the tokens and to build the compressed cache.
    pub compress_secs: f64,
    /// Seconds for the answer: its own attention and eviction, and its share of what was done for
    /// all that answered together.
    pub decode_secs: f64,
}

/// One prompt and what all settings made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// The prompt's name.
    pub id: String,
    /// What it is about.
    pub group: String,
    /// What it asks about: answers about the same are alike.
    pub about: String,
    /// Where it stands in the grid.
    pub place: String,
    /// Which part of that, if it has parts.
    pub part: Option<Part>,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// The depths that lead to this prompt, 0 to 1, the nearest first.
    pub depths: Vec<f64>,
    /// The expected answer.
    pub gold: String,
    /// How often the prompt used its haystack up.
    pub haystack_cycles: usize,
    /// Seconds for the prompt, the statistics of all methods included.
    pub prefill_secs: f64,
    /// Bytes of keys and values, of all settings together, that existed at a time at most while the
    /// prompt was read and compressed. What passes through an attention is not counted; what a full
    /// cache frees while the last setting takes it apart is.
    pub kv_bytes_peak: u64,
    /// One per setting; or why there are none.
    pub outcomes: std::result::Result<Vec<Outcome>, String>,
}

impl PromptRecord {
    /// `case` before it is answered.
    pub(super) fn of(case: &Case) -> Self {
        Self {
            id: case.id.clone(),
            group: case.group.clone(),
            about: case.about.clone(),
            place: case.place(),
            part: case.part,
            prompt_tokens: case.prompt.len(),
            depths: case.depths.clone(),
            gold: case.gold.clone(),
            haystack_cycles: case.haystack_cycles,
            prefill_secs: 0.0,
            kv_bytes_peak: 0,
            outcomes: Ok(Vec::new()),
        }
    }
}

impl Finished for PromptRecord {
    fn same(&self, other: &Self) -> bool {
        let timeless = |record: &Self| {
            // What existed at a time depends on how many settings answered together.
            let mut record = Self { prefill_secs: 0.0, kv_bytes_peak: 0, ..record.clone() };
            for outcome in record.outcomes.iter_mut().flatten() {
                (outcome.compress_secs, outcome.decode_secs) = (0.0, 0.0);
            }
            record
        };
        timeless(self) == timeless(other)
    }
}
