//! [`Ranking`]: whether the heads that reason are the heads that retrieve.

use std::path::Path;

use serde::Serialize;

use super::outputs::is_main;
use super::statistics::ScoreResult;
use crate::babilong::BabiTask;
use crate::error::Result;
use crate::head_score::{self, HeadScoreFile, Likeness};

/// A score over stories against the same score over needles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking {
    /// The task of the stories; `None` for all of them.
    pub task: Option<BabiTask>,
    /// The score.
    pub score: &'static str,
    /// How alike the two rank the heads.
    #[serde(flatten)]
    pub likeness: Likeness,
}

/// Compares the main scores among `results` with the files that a profile with needles left in
/// `folder`, where there are such.
///
/// # Errors
/// [`crate::Error::Data`] for a file there that is no head_score file of this model.
pub(super) fn against_needles(
    results: &[ScoreResult],
    folder: &Path,
    model: &str,
) -> Result<Vec<Ranking>> {
    let mut rankings = Vec::new();
    for result in results.iter().filter(|r| is_main(r.score.name())) {
        let score = result.score.name();
        let path = folder.join(head_score::file_name(model, score));
        if path.exists() {
            let shape = (result.mean.layers(), result.mean.heads());
            let needles = HeadScoreFile::read(&path, Some(shape))?.file.mean();
            let likeness = Likeness::of(&result.mean, &needles)?;
            rankings.push(Ranking { task: result.task, score, likeness });
        }
    }
    Ok(rankings)
}
