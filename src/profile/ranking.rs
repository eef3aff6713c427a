//! [`Ranking`]: whether the heads that reason are the heads that retrieve.

use std::path::Path;

use serde::Serialize;

use super::outputs::is_main;
use super::statistics::ScoreResult;
use crate::babilong::BabiTask;
use crate::head_score::{self, HeadScoreFile, Likeness, sidecar};
use crate::model::Llama;

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

/// Compares the main scores among `results` with the files that a profile of the same model with
/// needles left in `folder`, where there are such; what cannot be compared is told.
pub(super) fn against_needles(
    results: &[ScoreResult],
    folder: &Path,
    model: &Llama,
    name: &str,
    tell: &dyn Fn(&str),
) -> Vec<Ranking> {
    let scores = results.iter().filter(|r| r.task.is_none() && is_main(r.score.name()));
    let mut rankings = Vec::new();
    for score in scores.map(|r| r.score.name()) {
        let path = folder.join(head_score::file_name(name, score));
        if !path.exists() {
            continue;
        }
        let not_compared =
            |why: &str| tell(&format!("note: not compared with {}: {why}", path.display()));
        match sidecar::model_sha256(&path) {
            Some(sha256) if sha256 != model.sha256() => {
                not_compared("these are scores of other weights");
                continue;
            }
            _ => {}
        }
        for result in results.iter().filter(|r| r.score.name() == score) {
            let shape = (result.mean.layers(), result.mean.heads());
            let needles = HeadScoreFile::read(&path, Some(shape)).map(|read| read.file.mean());
            match needles.and_then(|needles| Likeness::of(&result.mean, &needles)) {
                Ok(likeness) => rankings.push(Ranking { task: result.task, score, likeness }),
                Err(e) => {
                    not_compared(&e.one_line());
                    break;
                }
            }
        }
    }
    rankings
}
