//! The files of a run. Each is made in memory and written whole, after every probe is done.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Seconds;
use super::meta::{Made, Meta};
use super::record::{ProbeRecord, Status};
use super::statistics::ScoreResult;
use crate::atomic;
use crate::error::{Error, Result};
use crate::head_matrix::HeadMatrix;
use crate::head_score;
use crate::plot::{
    CurveMeta, DepthLengthCell, DepthLengthMeta, HeatmapMeta, Picture, depth_length, head_heatmap,
    score_curve,
};
use crate::score::registry;

/// The scores of the curve and the table: the first of the registry; the rest are counts.
pub(super) const MAIN_SCORES: usize = 5;

/// Whether a score is one of the main ones.
pub(super) fn is_main(name: &str) -> bool {
    registry().iter().take(MAIN_SCORES).any(|score| score.name() == name)
}

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

    /// The pictures of a run, with the paths that they will have.
    ///
    /// # Errors
    /// [`Error::Bug`] if a picture cannot be drawn.
    pub(super) fn draw(&self, made: &Made, results: &[ScoreResult]) -> Result<Vec<NamedBytes>> {
        let mut files = Vec::new();
        let mut add = |stem: String, picture: Picture| {
            let path = |extension| self.root.join("plots").join(format!("{stem}.{extension}"));
            files.push((path("png"), picture.png));
            files.push((path("svg"), picture.svg.into_bytes()));
        };
        let model = &made.inputs.model.name;
        for result in results {
            add(format!("{model}_{}_heads", result.score.name()), heatmap(made, result)?);
        }
        add(format!("{model}_answers"), answers(made)?);
        let is_main = |r: &&ScoreResult| is_main(r.score.name());
        let main: Vec<(&str, &HeadMatrix)> =
            results.iter().filter(is_main).map(|r| (r.score.name(), &r.mean)).collect();
        if !main.is_empty() {
            let meta = CurveMeta {
                title: &format!("head scores, sorted — {model}"),
                subtitle: &subtitle(made),
                score_label: "score (mean per head)",
            };
            add(format!("{model}_curve"), score_curve(&main, &meta)?);
        }
        Ok(files)
    }

    /// Score files of `model` that an earlier run left here.
    pub(super) fn earlier_scores(&self, model: &str) -> Vec<PathBuf> {
        let folder = self.root.join("head_score");
        let names = registry().iter().map(|s| head_score::file_name(model, s.name()));
        names.map(|name| folder.join(name)).filter(|path| path.exists()).collect()
    }

    /// `head_score/` and the `pictures`; returns the paths of all files of the run.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub(super) fn write_scores(
        &self,
        made: &Made,
        results: &[ScoreResult],
        pictures: Vec<NamedBytes>,
        seconds: Seconds,
        peak_rss_bytes: Option<u64>,
    ) -> Result<Vec<PathBuf>> {
        let mut files = pictures;
        for result in results {
            let name = head_score::file_name(&made.inputs.model.name, result.score.name());
            let path = self.root.join("head_score").join(name);
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

fn subtitle(made: &Made) -> String {
    let probed = made.probed;
    let lengths = &made.job.context_lengths;
    let (first, last) = (lengths.first().unwrap_or(&0), lengths.last().unwrap_or(&0));
    let lengths = match lengths.len() {
        1 => format!("length {first}"),
        _ => format!("lengths {first}–{last}"),
    };
    format!(
        "{} of {} probes · {lengths} · mean per head",
        probed.count(Status::Accepted),
        probed.records.len()
    )
}

fn heatmap(made: &Made, result: &ScoreResult) -> Result<Picture> {
    let name = result.score.name();
    head_heatmap(
        &result.mean,
        &HeatmapMeta {
            title: &format!("{name} — {}", made.inputs.model.name),
            subtitle: &subtitle(made),
            score_label: name,
        },
    )
}

/// Depth × length: the mean value of the gate, over probes with an answer.
fn answers(made: &Made) -> Result<Picture> {
    let probed = made.probed;
    let mut cells = Vec::new();
    for &depth in &made.config.probes.depths {
        for &length in &made.job.context_lengths {
            let here = |r: &&ProbeRecord| r.context_length == length && r.depth_asked == depth;
            let values: Vec<f64> =
                probed.records.iter().filter(here).filter_map(|r| r.gate_value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            cells.push(DepthLengthCell {
                depth,
                length,
                value: (!values.is_empty()).then_some(mean),
                probes: values.len(),
            });
        }
    }
    depth_length(
        &cells,
        &DepthLengthMeta {
            title: &format!("answers — {}", made.inputs.model.name),
            subtitle: &format!(
                "{} · {} of {} probes passed",
                probed.gate_text(),
                probed.count(Status::Accepted),
                probed.records.len()
            ),
            value_label: "mean gate value",
        },
    )
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

    #[test]
    fn the_main_scores_are_the_published_five() {
        let main: Vec<&str> =
            registry().iter().map(|s| s.name()).filter(|name| is_main(name)).collect();
        assert_eq!(main, ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]);
    }
}
