//! The files of a run. Each is made in memory and written whole, after every probe is done.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Seconds;
use super::meta::{Meta, ProfileRun};
use super::record::{ProbeRecord, Status};
use super::statistics::ScoreResult;
use crate::error::{Error, Result};
use crate::head_score;
use crate::heads::HeadMatrix;
use crate::needle::SubTask;
use crate::plot::{
    CurveMeta, DepthLengthCell, DepthLengthMeta, HeatmapMeta, Picture, RowAxis, depth_length,
    head_heatmap, head_heatmap_pair, score_curve,
};
use crate::score::registry;
use crate::system::atomic;
use crate::tasks::BenchmarkInfo;

/// A folder that results can be written to.
#[derive(Debug)]
pub struct OutputDir {
    root: PathBuf,
}

impl OutputDir {
    /// Creates the folder with `head_score/` and `plots/` in it, and tries each by writing to it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the folder that cannot be used.
    pub fn prepare(root: &Path) -> Result<Self> {
        for dir in [root.to_owned(), root.join("head_score"), root.join("plots")] {
            atomic::usable_folder(&dir)?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of the head_score files.
    pub(super) fn head_score(&self) -> PathBuf {
        self.root.join("head_score")
    }

    /// `probes.jsonl`: one line per probe.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn write_probes(&self, records: &[ProbeRecord]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).map_err(not_json)?;
            lines.push(b'\n');
        }
        atomic::write(&self.root.join("probes.jsonl"), &lines)
    }

    /// The pictures of a run, with the paths that they will have. `needles` are scores of the same
    /// model over needles, where the run is over stories and has them.
    ///
    /// # Errors
    /// [`Error::Bug`] if a picture cannot be drawn.
    pub(super) fn draw(
        &self,
        made: &ProfileRun,
        results: &[ScoreResult],
        needles: &[(&'static str, HeadMatrix)],
    ) -> Result<Vec<NamedBytes>> {
        let mut files = Vec::new();
        let mut add = |stem: String, picture: Picture| {
            let path = |extension| self.root.join("plots").join(format!("{stem}.{extension}"));
            files.push((path("png"), picture.png));
            files.push((path("svg"), picture.svg.into_bytes()));
        };
        for result in results {
            let stem = stem(made, result.task);
            add(format!("{stem}_{}_heads", result.score.name()), heatmap(made, result)?);
        }
        let all = stem(made, None);
        add(format!("{all}_answers"), answers(made)?);
        if let Some(pair) = reasoning_beside_retrieval(made, results, needles)? {
            add(format!("{all}_beside_needles"), pair);
        }
        let main = pooled(results).filter(|r| r.score.info().main);
        let main: Vec<(&str, &HeadMatrix)> = main.map(|r| (r.score.name(), &r.mean)).collect();
        if !main.is_empty() {
            let meta = CurveMeta {
                title: &format!("head scores, sorted — {}", whose(made, None)),
                subtitle: &subtitle(made, None),
                score_label: "score (mean per head)",
            };
            add(format!("{all}_curve"), score_curve(&main, &meta)?);
        }
        Ok(files)
    }

    /// Score files of all probes that an earlier run of the same kind left here.
    pub(super) fn earlier_scores(&self, task: &BenchmarkInfo, model: &str) -> Vec<PathBuf> {
        let folder = self.head_score();
        let stem = file_stem(model, task, None);
        let names = registry().iter().map(|s| head_score::file_name(&stem, s.name()));
        names.map(|name| folder.join(name)).filter(|path| path.exists()).collect()
    }

    /// `head_score/` and the `pictures`; returns the paths of all files of the run.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub(super) fn write_scores(
        &self,
        made: &ProfileRun,
        results: &[ScoreResult],
        pictures: Vec<NamedBytes>,
        seconds: Seconds,
        peak_rss_bytes: Option<u64>,
    ) -> Result<Vec<PathBuf>> {
        let mut files = pictures;
        for result in results {
            let name = head_score::file_name(&stem(made, result.task), result.score.name());
            let path = self.head_score().join(name);
            let meta = Meta::new(made, result, seconds, peak_rss_bytes);
            files.push((meta_path(&path), pretty(&meta)?));
            files.push((path, result.file.to_json_line().into_bytes()));
        }
        for (path, bytes) in &files {
            atomic::write(path, bytes)?;
        }
        let mut paths: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
        paths.push(self.root.join("probes.jsonl"));
        paths.sort();
        Ok(paths)
    }
}

/// `<model>`, with what was probed behind it where that is not needles: `<model>_babilong`,
/// `<model>_babilong-qa1`.
fn file_stem(model: &str, task: &BenchmarkInfo, sub_task: Option<SubTask>) -> String {
    match (task.label(), sub_task) {
        (None, _) => model.to_owned(),
        (Some(task), None) => format!("{model}_{task}"),
        (Some(task), Some(sub_task)) => format!("{model}_{task}-{sub_task}"),
    }
}

fn stem(made: &ProfileRun, sub_task: Option<SubTask>) -> String {
    file_stem(&made.inputs.model.name, made.config.task.info(), sub_task)
}

/// The model and what was probed, for titles.
fn whose(made: &ProfileRun, sub_task: Option<SubTask>) -> String {
    let model = &made.inputs.model.name;
    match (made.config.task.info().label(), sub_task) {
        (None, _) => model.clone(),
        (Some(task), None) => format!("{model}, {task}"),
        (Some(_), Some(sub_task)) => format!("{model}, {sub_task}"),
    }
}

/// The results over all probes.
pub(super) fn pooled(results: &[ScoreResult]) -> impl Iterator<Item = &ScoreResult> {
    results.iter().filter(|r| r.task.is_none())
}

/// A file before it is written.
pub(super) type NamedBytes = (PathBuf, Vec<u8>);

/// `x_heads.json` → `x_heads.meta.json`.
fn meta_path(head_score: &Path) -> PathBuf {
    head_score.with_extension("meta.json")
}

fn not_json(e: serde_json::Error) -> Error {
    Error::bug("a result cannot be written as JSON").got(e)
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(not_json)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn subtitle(made: &ProfileRun, task: Option<SubTask>) -> String {
    let own = || made.probed.records.iter().filter(|r| task.is_none() || r.task == task);
    let lengths = &made.job.context_lengths;
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
        &HeatmapMeta {
            title: &format!("{name} — {}", whose(made, result.task)),
            subtitle: &subtitle(made, result.task),
            score_label: name,
        },
    )
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
    let model = &made.inputs.model.name;
    let left = HeatmapMeta {
        title: &format!("{reasoning} — {}", whose(made, None)),
        subtitle: &subtitle(made, None),
        score_label: reasoning,
    };
    let right = HeatmapMeta {
        title: &format!("{retrieval} — {model}, needles"),
        subtitle: "from the head_score file of an earlier run · mean per head",
        score_label: retrieval,
    };
    head_heatmap_pair([(&stories.mean, left), (needles, right)]).map(Some)
}

/// Depth × length, or task × length: the mean value of the gate, over probes with an answer.
fn answers(made: &ProfileRun) -> Result<Picture> {
    let probed = made.probed;
    let config = &made.config.probes;
    let have_depths = made.inputs.probes.have_depths();
    let (kinds, names): (Vec<Kind>, Vec<String>) = match have_depths {
        true => (config.depths.iter().map(|&d| Kind::Depth(d)).collect(), Vec::new()),
        false => made.job_tasks().into_iter().map(|t| (Kind::Task(t), t.to_string())).unzip(),
    };
    let mut cells = Vec::new();
    for (row, kind) in kinds.iter().enumerate() {
        for &length in &made.job.context_lengths {
            let here =
                |r: &&ProbeRecord| made.job.length_group(r.context_length) == length && kind.has(r);
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
        &DepthLengthMeta {
            title: &format!("answers — {}", whose(made, None)),
            subtitle: &format!(
                "{} · {} of {} probes passed",
                probed.gate_rule.clone(),
                probed.count(Status::Accepted),
                probed.records.len()
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
            Self::Depth(depth) => record.depth_asked == Some(*depth),
            Self::Task(task) => record.task == Some(*task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_folder_that_is_a_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results");
        std::fs::write(&file, "x").unwrap();
        for out in [file.clone(), file.join("below")] {
            let e = OutputDir::prepare(&out).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains("results"), "{e}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
        let new = dir.path().join("a/b");
        OutputDir::prepare(&new).unwrap();
        assert!(new.join("head_score").is_dir() && new.join("plots").is_dir());
        // Trying leaves nothing behind.
        assert_eq!(std::fs::read_dir(new.join("plots")).unwrap().count(), 0);
    }

    #[test]
    fn dots_in_a_models_name_stay() {
        assert_eq!(
            meta_path(Path::new("h/Llama-3.1_inf_heads.json")),
            Path::new("h/Llama-3.1_inf_heads.meta.json")
        );
    }
}
