//! [`ProbeRecord`]: what became of one probe, one line of `probes.jsonl`.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize};

use crate::chat::Thinking;
use crate::error::Error;
use crate::needle::{ProbeText, SubTask};
use crate::plan::{Probe, ProbeId, Twin};
use crate::prompt::Prompt;
use crate::tasks::babilong::babi::BabiTask;

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The answer passed the gate; the probe feeds the scores.
    Accepted,
    /// The answer did not pass.
    Rejected,
    /// There is no answer, or no score for it.
    Failed,
}

/// Seconds of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeSeconds {
    /// The prompt.
    pub prefill: f64,
    /// The answer.
    pub decode: f64,
}

/// One probe with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Its place in the plan, from 0.
    pub index: usize,
    /// Its name.
    pub id: ProbeId,
    /// The name of its needle.
    pub needle_id: String,
    /// The task of its story; `None` for a needle that is no story.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "sub_task")]
    pub task: Option<SubTask>,
    /// Context length asked for, in tokens.
    pub context_length: usize,
    /// Depth asked for, 0 to 1; `None` for facts that are scattered.
    pub depth_asked: Option<f64>,
    /// Depth of the sentence border where the needle came to stand; the mean over its spans.
    pub depth_reached: f64,
    /// Which of the repetitions, from 0.
    pub repeat: u32,
    /// The other places of the grid whose prompt is the same; only where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_prompt: Vec<Twin>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them the prompt before in the order begins with, too: where a run goes on, or
    /// threads and shards meet, they are run again for all that; elsewhere not.
    pub reused_tokens: usize,
    /// Needle spans in the prompt, `[start, end)` each: where the needle is, whatever a reference
    /// would have found.
    pub needle_spans: Vec<[usize; 2]>,
    /// Facts that the answer does not follow from, `[start, end)` each; only where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distractor_spans: Vec<[usize; 2]>,
    /// How many times the haystack was used up.
    pub haystack_cycles: usize,
    /// What the model wrote, all of it.
    pub answer: Option<String>,
    /// What of it was judged, where the model thought before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<String>,
    /// How long it thought, and whether to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// What it should have written.
    pub gold: String,
    /// How near the answer is, 0 to 1.
    pub gate_value: Option<f64>,
    /// What became of the probe.
    pub status: Status,
    /// Why it was not accepted.
    pub reason: Option<String>,
    /// Generated ids, the stop token included.
    pub generated_ids: Vec<u32>,
    /// The only values that differ from run to run.
    pub seconds: ProbeSeconds,
}

/// The task of a name, of those that there are.
fn sub_task<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SubTask>, D::Error> {
    let Some(name) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let unknown = || serde::de::Error::custom(format!("there is no task {name:?}"));
    BabiTask::known_as(&name).map(Some).ok_or_else(unknown)
}

fn spans(of: &[Range<usize>]) -> Vec<[usize; 2]> {
    of.iter().map(|s| [s.start, s.end]).collect()
}

impl ProbeRecord {
    /// A probe before its answer: failed until it has one.
    pub fn new(probe: &Probe, text: &ProbeText, prompt: &Prompt) -> Self {
        Self {
            index: probe.index,
            id: probe.id,
            needle_id: text.id().to_owned(),
            task: text.task(),
            context_length: probe.context_length,
            depth_asked: prompt.depth_asked,
            depth_reached: prompt.depth_reached,
            repeat: probe.repeat,
            same_prompt: probe.twins.clone(),
            prompt_tokens: prompt.ids.len(),
            reused_tokens: 0,
            needle_spans: spans(&prompt.needle),
            distractor_spans: spans(&prompt.distractors),
            haystack_cycles: prompt.haystack_cycles,
            answer: None,
            judged: None,
            thinking: None,
            gold: text.answer().to_owned(),
            gate_value: None,
            status: Status::Failed,
            reason: None,
            generated_ids: Vec::new(),
            seconds: ProbeSeconds::default(),
        }
    }

    /// Its place in the grid: the `length` that it is counted under, and its depth. Probes at one
    /// place are alike.
    pub fn place(&self, length: usize) -> (usize, Option<u64>) {
        (length, self.depth_asked.map(f64::to_bits))
    }

    /// The probe failed because of `error`.
    pub fn fail(&mut self, error: &Error) {
        self.status = Status::Failed;
        self.reason = Some(error.one_line());
    }
}

/// The tasks of some probes, ascending.
pub(super) fn tasks(records: &[ProbeRecord]) -> Vec<SubTask> {
    let tasks: BTreeSet<SubTask> = records.iter().filter_map(|r| r.task).collect();
    tasks.into_iter().collect()
}
