//! What is known about a run before the weights are read: its sets of heads, and its work.

use super::run::{USUAL_PROMPTS, together};
use super::{AblateConfig, Chosen, OffSet, Which, sets};
use crate::budget::refuse_all_zero;
use crate::error::{Error, Result};
use crate::head_score::{UsedFile, UsedScores};
use crate::job::{Extent, ModelFiles, Session, WorkPrompt, Workload};
use crate::model::ModelConfig;
use crate::model::ablation::How;

/// What is known about a run before the weights are read.
pub(super) struct Planned {
    /// Which heads are off together; none where each is off alone.
    pub sets: Vec<OffSet>,
    /// The file that says which are the best.
    pub head_score: Option<UsedFile>,
}

impl Planned {
    /// The sets of `config` for the model of `shape`, called `model`; warns of what does not suit
    /// it.
    ///
    /// # Errors
    /// [`Error::Data`] for scores of another model, [`Error::Usage`] for more heads than half of
    /// those that there are.
    pub fn of(config: &AblateConfig, shape: &ModelConfig, model: &str) -> Result<Self> {
        let Which::Sets { head_score, force, ks, draws } = &config.which else {
            return Ok(Self { sets: Vec::new(), head_score: None });
        };
        let (all, most) = (shape.layers * shape.heads, shape.layers * shape.heads / 2);
        if let Some(k) = ks.iter().find(|k| **k > most) {
            return Err(Error::usage("so many heads leave too few for random ones")
                .at("--k")
                .got(k)
                .expected(format!("at most {most}, half of {model}'s {all} heads")));
        }
        let read = UsedScores::read(head_score, (shape.layers, shape.heads), model, *force)?;
        read.warnings.iter().for_each(|text| config.reporter.warning(text));
        let advise = |e: Error| e.at(head_score.display()).advice("use the scores of another run");
        refuse_all_zero(&read.mean).map_err(advise)?;
        let above = read.mean.values().iter().filter(|value| **value > 0.0).count();
        if let Some(k) = ks.iter().find(|k| **k > above) {
            return Err(Error::usage("not so many heads have a score, and any other is no better")
                .at("--k")
                .got(k)
                .expected(format!("at most {above}, the heads above 0"))
                .advice("smaller numbers, or another score"));
        }
        let sets = sets::all(&read.mean, ks, *draws, config.probes.seed);
        for k in ks {
            let own = |set: &&OffSet| set.k == *k && set.chosen == Chosen::Random;
            let found = sets.iter().filter(own).count();
            if found < *draws {
                config.reporter.note(&format!(
                    "there are {found} different random sets of {k} for {draws} draws"
                ));
            }
        }
        Ok(Self { sets, head_score: UsedFile::of(head_score) })
    }
}

/// What a run would take, with the model that it would run on.
///
/// # Errors
/// All that [`super::run`] refuses before it reads the weights, except for too little memory and
/// the files to write.
pub fn workload(config: &AblateConfig, session: &Session) -> Result<(ModelFiles, Workload)> {
    let inputs = config.task.load(&config.probes, session)?;
    let files = inputs.common().model();
    let planned = Planned::of(config, &files.config, &files.name)?;
    let (layers, heads) = (files.config.layers, files.config.heads);
    let first_layers: Vec<usize> = match config.which {
        Which::Sets { .. } => {
            planned.sets.iter().filter_map(|set| set.heads.first_layer()).collect()
        }
        Which::Each => (0..layers * heads).map(|head| head / heads).collect(),
    };
    let mut prompts = Vec::new();
    let extent = {
        let task = inputs.task()?;
        session.notes(&task.notes());
        for index in 0..task.cases() {
            let case = task.case(index)?;
            let tokens = case.prompt.len();
            let new_tokens = case.max_new_tokens;
            // Of each head alone only the expected answer is run, in one pass.
            let again_new = if config.which == Which::Each { 1 } else { new_tokens };
            let before = config.when.tokens_before(tokens, case.before_question.unwrap_or(tokens));
            prompts.push(WorkPrompt { tokens, reused: 0, new_tokens });
            if config.how == How::Mean && index < USUAL_PROMPTS {
                prompts.push(WorkPrompt { tokens, reused: 0, new_tokens: 1 });
            }
            // A run from a layer on is as much work as that share of the tokens.
            prompts.extend(first_layers.iter().map(|first| {
                let again = (tokens - before) * (layers - first) / layers;
                WorkPrompt { tokens, reused: tokens - again, new_tokens: again_new }
            }));
        }
        task.extent()
    };
    let work = Workload {
        prompts,
        answers: 1,
        batch: 1,
        walks: 1,
        extra_per_token_bytes: extra_bytes(&files.config, config, extent, first_layers.len()),
        statistics: false,
        followed: false,
    };
    Ok((inputs.into_model(), work))
}

/// Bytes per prompt token beside the model's own: the states before every layer, and the caches of
/// what is answered together, of at most `sets`, behind prompts of this `extent`.
pub(super) fn extra_bytes(
    shape: &ModelConfig,
    config: &AblateConfig,
    extent: Extent,
    sets: usize,
) -> u64 {
    let states = (shape.layers as u64).saturating_mul(4 * shape.hidden as u64);
    let cache = [shape.layers, shape.kv_heads, shape.head_dim]
        .iter()
        .fold(8u64, |bytes, n| bytes.saturating_mul(*n as u64));
    let tokens = extent.longest_prompt.saturating_add(extent.longest_answer) as u64;
    // One more: that of the prompt with all heads on.
    let caches = together(config.batch, cache.saturating_mul(tokens)).min(sets.max(1)) + 1;
    states.saturating_add(cache.saturating_mul(caches as u64))
}
