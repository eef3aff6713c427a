//! [`Ranking`]: whether the heads that reason are the heads that retrieve.

use std::path::Path;

use serde::Serialize;

use super::statistics::ScoreResult;
use crate::error::Result;
use crate::head_score::{self, HeadScoreFile, Likeness, sidecar};
use crate::heads::HeadMatrix;
use crate::needle::SubTask;
use crate::system::Reporter;

/// A score over stories against the same score over needles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking {
    /// The task of the stories; `None` for all of them.
    pub task: Option<SubTask>,
    /// The score.
    pub score: &'static str,
    /// How alike the two rank the heads.
    #[serde(flatten)]
    pub likeness: Likeness,
}

/// Scores over stories beside those over needles.
#[derive(Debug, Default)]
pub(super) struct AgainstNeedles {
    /// How alike they are.
    pub rankings: Vec<Ranking>,
    /// The scores over needles that could be compared, `[L, H]` each.
    pub needles: Vec<(&'static str, HeadMatrix)>,
}

/// Compares the main scores among `results` with the files that a profile of the same model with
/// needles left in `folder`, where there are such; what cannot be compared is told.
pub(super) fn against_needles(
    results: &[ScoreResult],
    folder: &Path,
    (name, model_sha256): (&str, &str),
    reporter: &Reporter,
) -> AgainstNeedles {
    let scores = results.iter().filter(|r| r.task.is_none() && r.score.info().main);
    let mut against = AgainstNeedles::default();
    for score in scores.map(|r| r.score.name()) {
        let path = folder.join(head_score::file_name(name, score));
        if !path.exists() {
            continue;
        }
        let not_compared =
            |why: &str| reporter.note(&format!("not compared with {}: {why}", path.display()));
        match sidecar::model_sha256(&path) {
            Some(sha256) if sha256 != model_sha256 => {
                not_compared("these are scores of other weights");
                continue;
            }
            _ => {}
        }
        let own: Vec<&ScoreResult> = results.iter().filter(|r| r.score.name() == score).collect();
        match compared(&own, &path) {
            Ok((needles, rankings)) => {
                against.rankings.extend(rankings);
                against.needles.push((score, needles));
            }
            Err(e) => not_compared(&e.one_line()),
        }
    }
    against
}

/// The needles' scores in a file, and how alike each of `results` is to them.
fn compared(results: &[&ScoreResult], path: &Path) -> Result<(HeadMatrix, Vec<Ranking>)> {
    let shape = results.first().map(|r| (r.mean.layers(), r.mean.heads()));
    let needles = HeadScoreFile::read(path, shape)?.file.mean();
    let ranking = |result: &&ScoreResult| {
        // As the file of the needles has it: none below 0.
        let likeness = Likeness::of(&result.file.mean(), &needles)?;
        Ok(Ranking { task: result.task, score: result.score.name(), likeness })
    };
    let rankings = results.iter().map(ranking).collect::<Result<_>>()?;
    Ok((needles, rankings))
}
