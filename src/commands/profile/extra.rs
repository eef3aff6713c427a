//! [`ExtraWork`]: what is run and held for scores that look at more than the answer.

use super::ProfileConfig;
use super::schedule::PrefixSchedule;
use crate::error::Result;
use crate::job::{self, Extent, Inputs, Job, WorkPrompt, check_replay};
use crate::model::ModelConfig;
use crate::model::capture::replay::{CHUNK, Replay};
use crate::score::{Extra, Weighing};

/// What all probes of a run have in common of it.
pub(super) struct ExtraWork {
    /// How contexts are replayed, if a score wants it.
    pub replay: Option<Replay>,
    /// Bytes per prompt token beside caches: lengths of values, weights of a replay.
    pub per_token_bytes: u64,
}

impl ExtraWork {
    /// Of the scores of `config`.
    ///
    /// # Errors
    /// As [`job::replay`].
    pub fn of(config: &ProfileConfig, inputs: &Inputs) -> Result<Self> {
        let replay = || job::replay(&inputs.model, inputs.chat.as_ref());
        Ok(Self {
            replay: config.runs(Extra::Replay).then(replay).transpose()?,
            per_token_bytes: per_token_bytes(config, &inputs.model.config),
        })
    }

    /// Refuses contexts that cannot be replayed.
    ///
    /// # Errors
    /// As [`check_replay`].
    pub fn check(&self, config: &ProfileConfig, inputs: &Inputs, job: &Job) -> Result<()> {
        let longest = job.extent().longest_prompt;
        self.replay.iter().try_for_each(|replay| {
            check_replay(replay, longest, "--scores kvzip", &config.probes, &inputs.model)
        })
    }

    /// Tokens that are run behind a context of so many, the answer aside.
    pub fn behind(&self, context: usize) -> usize {
        self.replay.as_ref().map_or(0, |replay| replay.room(context))
    }

    /// How long prompts are, and what is run behind them: answers, or a context once more.
    pub fn extent(&self, job: &Job) -> Extent {
        let extent = job.extent();
        let longest_answer = extent.longest_answer.max(self.behind(extent.longest_prompt));
        Extent { longest_answer, ..extent }
    }

    /// The replays as prompts of which all but a part is there already.
    pub fn prompts(&self, schedule: &PrefixSchedule) -> Vec<WorkPrompt> {
        let of = |tokens: usize| {
            (0..tokens).step_by(CHUNK).map(move |start| WorkPrompt {
                tokens: tokens + CHUNK.min(tokens - start),
                reused: tokens,
                new_tokens: 1,
            })
        };
        let replays = self.replay.iter().flat_map(|_| &schedule.steps);
        replays.flat_map(|step| of(step.tokens)).collect()
    }
}

fn per_token_bytes(config: &ProfileConfig, shape: &ModelConfig) -> u64 {
    let per_layer = |heads: usize| 4 * shape.layers as u64 * heads as u64;
    let held = [
        (Extra::Values(Weighing::Projected), per_layer(shape.heads)),
        // All three norms are made at once.
        (Extra::Values(Weighing::L1), 3 * per_layer(shape.kv_heads)),
        (Extra::Replay, per_layer(shape.kv_heads)),
    ];
    held.into_iter().filter(|(extra, _)| config.runs(*extra)).map(|(_, bytes)| bytes).sum()
}
