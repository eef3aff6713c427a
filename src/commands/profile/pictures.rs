//! The pictures of a run: heatmaps of heads, answers over depths or tasks and lengths, curves.

use super::facts::ProfileRun;
use super::outputs::stem;
use super::record::{ProbeRecord, Status};
use super::statistics::{ScoreResult, pooled};
use crate::error::Result;
use crate::heads::HeadMatrix;
use crate::needle::SubTask;
use crate::plot::{
    CurveCaption, DepthLengthCaption, DepthLengthCell, HeatmapCaption, Picture, RowAxis,
    depth_length, head_heatmap, head_heatmap_pair, score_curve,
};

/// The pictures of a run, each with its name without an extension. `needles` are scores of the same
/// model over needles, where the run is over stories and has them.
///
/// # Errors
/// [`crate::Error::Bug`] if a picture cannot be drawn.
pub(super) fn draw(
    made: &ProfileRun,
    results: &[ScoreResult],
    needles: &[(&'static str, HeadMatrix)],
) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for result in results {
        let stem = stem(made, result.task);
        pictures.push((format!("{stem}_{}_heads", result.score.name()), heatmap(made, result)?));
    }
    let all = stem(made, None);
    pictures.push((format!("{all}_answers"), answers(made)?));
    if let Some(pair) = reasoning_beside_retrieval(made, results, needles)? {
        pictures.push((format!("{all}_beside_needles"), pair));
    }
    let main = pooled(results).filter(|r| r.score.info().main);
    let main: Vec<(&str, &HeadMatrix)> = main.map(|r| (r.score.name(), &r.mean)).collect();
    if !main.is_empty() {
        let meta = CurveCaption {
            title: &format!("head scores, sorted — {}", whose(made, None)),
            subtitle: &subtitle(made, None),
            score_label: "score (mean per head)",
        };
        pictures.push((format!("{all}_curve"), score_curve(&main, &meta)?));
    }
    Ok(pictures)
}

/// The model and what was probed, for titles.
fn whose(made: &ProfileRun, sub_task: Option<SubTask>) -> String {
    let model = &made.facts.model;
    match (&made.facts.task, sub_task) {
        (None, _) => model.clone(),
        (Some(task), None) => format!("{model}, {task}"),
        (Some(_), Some(sub_task)) => format!("{model}, {sub_task}"),
    }
}

fn subtitle(made: &ProfileRun, task: Option<SubTask>) -> String {
    let own = || made.probed.records.iter().filter(|r| task.is_none() || r.task == task);
    let lengths = &made.facts.context_lengths;
    let (first, last) = (lengths.first().unwrap_or(&0), lengths.last().unwrap_or(&0));
    let lengths = match lengths.len() {
        1 => format!("length {first}"),
        _ => format!("lengths {first}–{last}"),
    };
    format!(
        "{} of {} probes · {lengths} · mean per head",
        own().filter(|r| r.status == Status::Accepted).count(),
        own().count()
    )
}

fn heatmap(made: &ProfileRun, result: &ScoreResult) -> Result<Picture> {
    let name = result.score.name();
    head_heatmap(
        &result.mean,
        &HeatmapCaption {
            title: &format!("{name} — {}", whose(made, result.task)),
            subtitle: &subtitle(made, result.task),
            score_label: name,
            ends: ends(result),
            difference: false,
        },
    )
}

/// Ends of the heads' intervals.
fn ends(result: &ScoreResult) -> Option<[&HeadMatrix; 2]> {
    result.spread.as_ref().map(|spread| [&spread.low, &spread.high])
}

/// The heads that reason over stories beside those that retrieve needles, where both are known.
fn reasoning_beside_retrieval(
    made: &ProfileRun,
    results: &[ScoreResult],
    needles: &[(&'static str, HeadMatrix)],
) -> Result<Option<Picture>> {
    let [reasoning, retrieval] = ["retrieval_reasoning", "retrieval"];
    let stories = pooled(results).find(|r| r.score.name() == reasoning);
    let needles = needles.iter().find(|(name, _)| *name == retrieval);
    let (Some(stories), Some((_, needles))) = (stories, needles) else { return Ok(None) };
    let model = &made.facts.model;
    let left = HeatmapCaption {
        title: &format!("{reasoning} — {}", whose(made, None)),
        subtitle: &subtitle(made, None),
        score_label: reasoning,
        ends: ends(stories),
        difference: false,
    };
    let right = HeatmapCaption {
        title: &format!("{retrieval} — {model}, needles"),
        subtitle: "from the head_score file of an earlier run · mean per head",
        score_label: retrieval,
        ends: None,
        difference: false,
    };
    head_heatmap_pair([(&stories.mean, left), (needles, right)]).map(Some)
}

/// Depth × length, or task × length: the mean value of the gate, over probes with an answer.
fn answers(made: &ProfileRun) -> Result<Picture> {
    let ProfileRun { facts, probed } = made;
    let have_depths = facts.have_depths;
    let (kinds, names): (Vec<Kind>, Vec<String>) = match have_depths {
        true => (facts.depths.iter().map(|&d| Kind::Depth(d)).collect(), Vec::new()),
        false => made.tasks().into_iter().map(|t| (Kind::Task(t), t.to_string())).unzip(),
    };
    let mut cells = Vec::new();
    for (row, kind) in kinds.iter().enumerate() {
        for &length in &facts.context_lengths {
            let here =
                |r: &&ProbeRecord| facts.length_group(r.context_length) == length && kind.has(r);
            let values: Vec<f64> =
                probed.records.iter().filter(here).filter_map(|r| r.gate_value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            cells.push(DepthLengthCell {
                depth: if let Kind::Depth(depth) = kind { *depth } else { row as f64 },
                length,
                value: (!values.is_empty()).then_some(mean),
                probes: values.len(),
            });
        }
    }
    depth_length(
        &cells,
        &DepthLengthCaption {
            title: &format!("answers — {}", whose(made, None)),
            subtitle: &format!(
                "{} · {} of {} probes passed{}",
                probed.gate_rule.clone(),
                probed.count(Status::Accepted),
                probed.records.len(),
                facts.placing.caption()
            ),
            value_label: "mean gate value",
            rows: match have_depths {
                true => RowAxis::Depths,
                false => RowAxis::Kinds { axis: "task", names: &names },
            },
        },
    )
}

/// What the probes of one row have in common.
enum Kind {
    Depth(f64),
    Task(SubTask),
}

impl Kind {
    fn has(&self, record: &ProbeRecord) -> bool {
        match self {
            Self::Depth(depth) => {
                let twins = record.same_prompt.iter().map(|twin| twin.depth);
                std::iter::once(record.depth_asked).chain(twins).any(|d| d == Some(*depth))
            }
            Self::Task(task) => record.task == Some(*task),
        }
    }
}
