//! How the prompts of a task are divided among processes.

use super::Task;
use crate::error::Result;
use crate::model::ModelConfig;
use crate::model::speed::{prompt_attention_flops, prompt_weights};
use crate::plan::{Cost, pieces, shard_of};

/// Which of `shards` shards each prompt of `task` is of, for a model of `shape`: stretches of them
/// with as much work each as can be. Nothing for one.
///
/// # Errors
/// As [`Task::case`].
pub fn shards(task: &dyn Task, shape: &ModelConfig, shards: usize) -> Result<Vec<usize>> {
    if shards < 2 {
        return Ok(Vec::new());
    }
    let cost = |index: usize| {
        let tokens = task.case(index)?.prompt.len();
        let own =
            2.0 * prompt_weights(shape) * tokens as f64 + prompt_attention_flops(shape, tokens);
        Ok(Cost { own, again: 0.0 })
    };
    let costs = (0..task.cases()).map(cost).collect::<Result<Vec<_>>>()?;
    Ok(shard_of(&pieces(&costs, shards), costs.len(), |place| place))
}
