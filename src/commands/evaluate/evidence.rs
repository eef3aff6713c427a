//! [`Evidence`]: the files that methods of a comparison follow.

use std::path::Path;

use super::{EvaluateConfig, Setting};
use crate::budget::{UtilityCurves, UtilityFile, refuse_all_zero};
use crate::error::{Error, Result};
use crate::eviction::HeadEvidence;
use crate::head_score::{UsedFile, UsedScores, sidecar};
use crate::heads::{CacheHeads, Granularity, HeadMatrix};
use crate::job::ModelShape;

/// Head scores and utility curves, where the user named such files.
#[derive(Default)]
pub struct Evidence {
    scores: Vec<HeadMatrix>,
    utility: Option<UtilityCurves>,
    /// The files with the scores, for the record.
    pub head_score_files: Vec<Option<UsedFile>>,
    /// The file with the curves.
    pub utility_file: Option<UsedFile>,
}

impl Evidence {
    /// Reads what `config` names for a model of `shape`, which is asked for if there is anything;
    /// warns of what does not suit it.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file; those of `shape`.
    pub fn read(
        config: &EvaluateConfig,
        shape: impl FnOnce() -> Result<ModelShape>,
    ) -> Result<Self> {
        if config.head_scores.is_empty() && config.utility.is_none() {
            return Ok(Self::default());
        }
        let shape = &shape()?;
        let heads = shape.config.cache_heads(config.granularity);
        Ok(Self {
            scores: config
                .head_scores
                .files()
                .map(|p| head_scores(p, config, shape))
                .collect::<Result<_>>()?,
            utility: utility(config, &shape.name, &heads)?,
            head_score_files: config.head_scores.files().map(UsedFile::of).collect(),
            utility_file: config.utility.as_deref().and_then(UsedFile::of),
        })
    }

    /// What the method of `setting` looks at.
    pub fn of(&self, setting: &Setting) -> HeadEvidence<'_> {
        let scores = setting.head_score.and_then(|i| self.scores.get(i));
        HeadEvidence { scores, utility: self.utility.as_ref() }
    }
}

/// The head scores in the file at `path`.
fn head_scores(path: &Path, config: &EvaluateConfig, shape: &ModelShape) -> Result<HeadMatrix> {
    let expected = (shape.config.layers, shape.config.heads);
    let UsedScores { mean, warnings } =
        UsedScores::read(path, expected, &shape.name, config.force)?;
    warnings.iter().for_each(|text| config.reporter.warning(text));
    let advise = |e: Error| e.at(path.display()).advice("use the scores of another run");
    refuse_all_zero(&mean).map_err(advise)?;
    Ok(mean)
}

/// The utility curves of the file that `config` names.
fn utility(
    config: &EvaluateConfig,
    model: &str,
    heads: &CacheHeads,
) -> Result<Option<UtilityCurves>> {
    let Some(path) = &config.utility else { return Ok(None) };
    let file = UtilityFile::read(path)?;
    let mut warnings = Vec::new();
    sidecar::check_model(path, &file.model, Some(model), config.force, &mut warnings)?;
    let follower = config.settings.iter().find(|s| s.method.needs_utility());
    let order = follower.and_then(|s| s.method.token_score()).map_or("", |score| score.name());
    if file.token_score != order && follower.is_some() {
        let text = format!("{} orders tokens by {order}", path.display());
        if !config.force {
            return Err(Error::data("utility curves are of another order of tokens")
                .at(path.display())
                .got(&file.token_score)
                .expected(order)
                .advice("record them with `headprof utility --method snapkv`, or --force"));
        }
        warnings.push(format!("{text}, its curves by {}", file.token_score));
    }
    warnings.iter().for_each(|text| config.reporter.warning(text));
    let found = (file.granularity, file.curves.layers(), file.curves.heads());
    let wanted = (heads.granularity, heads.layers, heads.stored());
    if found != wanted {
        let text = |(granularity, layers, heads): (Granularity, usize, usize)| {
            format!("{layers} layers x {heads} of {}", granularity.name())
        };
        return Err(Error::data("utility curves are of other heads")
            .at(path.display())
            .got(text(found))
            .expected(text(wanted))
            .advice("use the curves that were made for this model and --granularity"));
    }
    Ok(Some(file.curves))
}
