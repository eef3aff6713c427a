//! [`Profiled`]: a finished profile, as its folder holds it: `probes.jsonl`, scores and sidecars.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::head_score::{HeadScoreFile, named, sidecar};
use crate::score::HeadScore;
use crate::system::files;
use crate::system::text::{json_lines, without_bom};

/// One line per probe, in the folder of a profile.
pub(super) const PROBES: &str = "probes.jsonl";

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Accepted,
    Rejected,
    Failed,
}

/// A probe with its answer, as far as it is looked at here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Record {
    pub id: String,
    pub needle_id: String,
    /// The task of a story.
    #[serde(default)]
    pub task: Option<String>,
    pub context_length: usize,
    /// None for facts that are scattered.
    pub depth_asked: Option<f64>,
    pub answer: Option<String>,
    /// What of the answer counts, where the model thought before.
    #[serde(default)]
    pub judged: Option<String>,
    pub gold: String,
    pub status: Status,
}

/// What a sidecar says, as far as it is looked at here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Meta {
    /// The task whose probes alone these are.
    task: Option<String>,
    pub score: ScoreMeta,
    pub model: ModelMeta,
    pub gate: GateMeta,
    pub grid: Grid,
    pub prompt: PromptMeta,
    probes: ProbesMeta,
    /// The needles by their hashes.
    needles: Value,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ScoreMeta {
    pub score_rows: String,
    pub top_k_infscore: usize,
    pub compat: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ModelMeta {
    pub name: String,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct GateMeta {
    pub name: String,
    pub threshold: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Grid {
    pub context_lengths: Vec<usize>,
    depths: Vec<f64>,
    repeats: u32,
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PromptMeta {
    /// The chat template, where prompts are messages of one.
    #[serde(default)]
    pub chat: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ProbesMeta {
    accepted_ids: Vec<String>,
}

/// One score: for each accepted probe, in the order of `probes.jsonl`, a value per head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    /// What the names of its files begin with.
    pub stem: String,
    pub layers: usize,
    pub heads: usize,
    /// Each `[L * H]`, row-major.
    pub probes: Vec<Vec<f32>>,
}

/// What was found of a score.
enum Looked {
    Found(Box<Meta>, Values),
    /// A file of other probes than those that were accepted here.
    OfOtherProbes(PathBuf),
    Nothing,
}

/// A finished profile.
pub(super) struct Profiled {
    pub folder: PathBuf,
    pub records: Vec<Record>,
    /// Of one of its scores; the others differ in nothing that is looked at here.
    pub meta: Option<Meta>,
    /// In the order of the registry.
    pub scores: Vec<(&'static dyn HeadScore, Values)>,
}

impl Profiled {
    /// The profile in `folder`, with those of `scores` that are there. Without an accepted probe it
    /// has none.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file that is missing, cannot be read, or is of other probes than
    /// `probes.jsonl`; [`Error::Usage`] for a folder in which scores of several models are.
    pub fn read(folder: &Path, scores: &[&'static dyn HeadScore]) -> Result<Self> {
        let records = records(&folder.join(PROBES))?;
        let mut all = Self { folder: folder.to_owned(), records, meta: None, scores: Vec::new() };
        if all.accepted().next().is_none() {
            return Ok(all);
        }
        let mut of_others = None;
        for &score in scores {
            match all.score(score)? {
                Looked::Found(meta, values) => {
                    all.meta.get_or_insert(*meta);
                    all.scores.push((score, values));
                }
                Looked::OfOtherProbes(path) => of_others = of_others.or(Some(path)),
                Looked::Nothing => {}
            }
        }
        match of_others.filter(|_| all.scores.is_empty()) {
            None => Ok(all),
            Some(path) => Err(Error::data("the scores are not those of the probes")
                .at(path.display())
                .got("other accepted probes")
                .expected(format!("those of {}", folder.join(PROBES).display()))
                .advice("run the profile again; the same command writes both")),
        }
    }

    /// The probes that feed the scores, in their order.
    pub fn accepted(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.status == Status::Accepted)
    }

    /// How many probes ended like this.
    pub fn count(&self, status: Status) -> usize {
        self.records.iter().filter(|record| record.status == status).count()
    }

    /// The values of a score, if it was computed.
    pub fn values(&self, score: &dyn HeadScore) -> Option<&Values> {
        let found = self.scores.iter().find(|(known, _)| known.name() == score.name());
        found.map(|(_, values)| values)
    }

    /// The score over all accepted probes of this profile, of the files that are there.
    fn score(&self, score: &'static dyn HeadScore) -> Result<Looked> {
        let folder = self.folder.join(named::FOLDER);
        let end = format!("_{}_heads.json", score.name());
        let mut own: Vec<(PathBuf, Meta)> = Vec::new();
        let mut others = Vec::new();
        for path in files::ending_with(&folder, &end)? {
            let meta = meta(&sidecar::path_of(&path))?;
            let accepted = self.accepted().map(|record| record.id.as_str());
            match meta.task.is_none() && accepted.eq(meta.probes.accepted_ids.iter()) {
                true => own.push((path, meta)),
                false if meta.task.is_none() => others.push(path),
                false => {}
            }
        }
        match &own[..] {
            [] => Ok(others.pop().map_or(Looked::Nothing, Looked::OfOtherProbes)),
            [(path, meta)] => {
                let read = HeadScoreFile::read(path, None)?;
                let values = self.by_probe(path, &read.file)?;
                Ok(Looked::Found(Box::new(meta.clone()), values))
            }
            [(a, _), (b, _), ..] => {
                Err(Error::usage("the folder has scores of several models, or runs")
                    .at(folder.display())
                    .got(format!("{} and {}", a.display(), b.display()))
                    .expected("those of one profile")
                    .advice("move the others elsewhere"))
            }
        }
    }

    fn by_probe(&self, path: &Path, file: &HeadScoreFile) -> Result<Values> {
        let n = self.accepted().count();
        if let Some(list) = file.values().iter().find(|list| list.len() != n) {
            return Err(Error::data("a head_score file has another number of values than probes")
                .at(path.display())
                .got(list.len())
                .expected(format!("{n}, one per accepted probe of {PROBES}"))
                .advice("run the profile again; the same command writes both"));
        }
        let of = |probe: usize| file.values().iter().map(|list| list[probe]).collect();
        let probes = (0..n).map(of).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.trim_end_matches("_heads.json").to_owned();
        Ok(Values { stem, layers: file.layers(), heads: file.heads(), probes })
    }

    /// Refuses what cannot be a variant of `base`: another model, other needles, another grid.
    ///
    /// # Errors
    /// [`Error::Data`] naming what differs.
    pub fn check_variant_of(&self, base: &Self) -> Result<()> {
        let (Some(own), Some(there)) = (&self.meta, &base.meta) else { return Ok(()) };
        let differs = [
            ("model", own.model != there.model),
            ("needles", own.needles != there.needles),
            ("grid", own.grid != there.grid),
        ];
        let shape = |values: &Values| (values.layers, values.heads);
        let other_heads = self.scores.iter().any(|(score, own)| {
            base.values(*score).is_some_and(|there| shape(there) != shape(own))
        });
        let differs = differs.into_iter().chain([("number of heads", other_heads)]);
        let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) else {
            return Ok(());
        };
        Err(Error::data("this is no variant of the base")
            .at(self.folder.display())
            .got(format!("another {what}"))
            .expected(format!("the {what} of {}", base.folder.display()))
            .advice("remove the folder, or run headprof sensitivity again with --fresh"))
    }
}

fn records(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::data("the probes of a profile cannot be read")
            .at(path.display())
            .got(e)
            .expected(format!("a finished profile with its {PROBES}"))
            .advice(
                "the --out of a profile or of a sensitivity; one that was stopped goes on with \
                     its own command",
            )
    })?;
    json_lines(&text).map_err(|(line, e)| {
        Error::data("a line does not say what became of a probe")
            .at(format!("{}:{line}", path.display()))
            .got(e)
            .expected("a line as a profile writes it")
            .advice("run the profile again; the same command writes the file anew")
    })
}

fn meta(path: &Path) -> Result<Meta> {
    let bad = |e: String| {
        Error::data("the sidecar of a head_score file cannot be read")
            .at(path.display())
            .got(e)
            .expected("what a profile writes beside its scores")
            .advice("run the profile again; the same command writes the file anew")
    };
    let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_slice(without_bom(&bytes)).map_err(|e| bad(e.to_string()))
}
