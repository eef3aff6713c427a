//! [`Sidecars`]: the scores in a folder, with what their sidecars say.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::about::About;
use super::answers::Answers;
use super::data::{ByPlace, Kinds, Model, Score};
use super::read::{json, short};
use crate::error::Result;
use crate::head_score::sidecar::{HeadsMeta, ScoreWords};
use crate::head_score::{HeadScoreFile, named, sidecar};
use crate::heads::{HeadMatrix, HeadTypes};
use crate::score;
use crate::system::files;

/// Bytes of numbers by place on a page, at most; the main scores come first.
const BY_PLACE_BYTES: usize = 900_000;

/// What a sidecar says, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sidecar {
    /// The task whose probes alone these are.
    #[serde(default)]
    task: Option<String>,
    score: ScoreWords,
    heads: HeadsMeta,
    #[serde(default)]
    probes: ProbesMeta,
    /// About the run.
    #[serde(flatten)]
    pub about: About,
    /// The file of scores.
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ProbesMeta {
    #[serde(default)]
    accepted: usize,
    #[serde(default)]
    accepted_ids: Vec<String>,
}

/// The sidecars of a folder.
pub(super) struct Sidecars(Vec<Sidecar>);

impl Sidecars {
    /// Those in `folder/head_score`, or in `folder` itself.
    ///
    /// # Errors
    /// As [`json`] and [`files::ending_with`].
    pub fn read(folder: &Path) -> Result<Self> {
        const END: &str = "_heads.meta.json";
        let inside = files::ending_with(&folder.join(named::FOLDER), END)?;
        let found = if inside.is_empty() { files::ending_with(folder, END)? } else { inside };
        let mut all = Vec::new();
        for path in found {
            let Some(sidecar) = json::<Sidecar>(&path)? else { continue };
            all.push(Sidecar { path: sidecar::scores_of(&path), ..sidecar });
        }
        Ok(Self(all))
    }

    /// The models that they are of.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|sidecar| sidecar.about.model.name.as_str())
    }

    /// Those of one run of `model`: the run of `answers`, or else the latest; and what switching
    /// heads off says. In the order in which scores are reported.
    pub fn of_run(self, model: &str, answers: &Answers) -> Self {
        let own = |s: &Sidecar| s.about.model.name == model && s.task.is_none();
        let mut all: Vec<Sidecar> = self.0.into_iter().filter(own).collect();
        let alone = |s: &Sidecar| s.score.name == named::ABLATION;
        let fitting = all.iter().any(|s| !alone(s) && s.is_of(answers));
        let latest = all
            .iter()
            .filter(|s| !alone(s))
            .max_by(|a, b| a.about.created().cmp(b.about.created()));
        // A run writes all its scores: they have the same probes.
        let latest = latest.map(|s| s.probes.accepted_ids.clone()).unwrap_or_default();
        all.retain(|s| {
            alone(s) || if fitting { s.is_of(answers) } else { s.probes.accepted_ids == latest }
        });
        let known: Vec<&str> = score::registry().iter().map(|s| s.name()).collect();
        let rank = |s: &Sidecar| {
            let place = known.iter().position(|name| *name == s.score.name);
            (!score::is_main(&s.score.name), place.unwrap_or(known.len()))
        };
        all.sort_by_key(rank);
        Self(all)
    }

    /// The first score.
    pub fn first(&self) -> Option<&Sidecar> {
        self.0.first()
    }

    /// Whether `answers` are of these scores' probes. Without scores they are nobody's.
    pub fn fit(&self, answers: &Answers) -> bool {
        self.0.iter().any(|sidecar| sidecar.is_of(answers))
    }

    /// Whether `answers` may well be those of another model than `model`: one that answered the
    /// same probes later.
    pub fn later_of_another(&self, model: &str, answers: &Answers) -> bool {
        let latest = |own: bool| {
            let fitting = self.0.iter().filter(|s| s.is_of(answers));
            let of = fitting.filter(|s| (s.about.model.name == model) == own);
            of.map(|s| s.about.created()).max()
        };
        latest(false) > latest(true)
    }

    /// Kinds of the heads of `model`, of the first score that knows them.
    pub fn kinds(&self, model: &Model) -> Option<Kinds> {
        let fit = |types: &&HeadTypes| types.fit(model.layers, model.heads);
        let types = self.0.iter().find_map(|sidecar| sidecar.heads.types().filter(fit))?;
        let flat = |rows: &[Vec<f32>]| rows.concat().into_iter().map(short).collect();
        Some(Kinds {
            previous_token: flat(&types.previous_token),
            duplicate_token: flat(&types.duplicate_token),
            induction: flat(&types.induction),
        })
    }

    /// The scores of `model`, with their means at the places of `answers`. One of another number of
    /// heads is left out.
    ///
    /// # Errors
    /// As [`HeadScoreFile::read`].
    pub fn scores(&self, model: &Model, answers: &Answers) -> Result<Vec<Score>> {
        let mut left = BY_PLACE_BYTES;
        let mut all = Vec::new();
        for sidecar in &self.0 {
            let Some(score) = sidecar.score(model, answers, &mut left)? else { continue };
            all.push(score);
        }
        Ok(all)
    }
}

impl Sidecar {
    /// Whether it is of the probes that were accepted here.
    fn is_of(&self, answers: &Answers) -> bool {
        let here = answers.accepted.iter().map(|(id, _)| id);
        !answers.accepted.is_empty() && here.eq(&self.probes.accepted_ids)
    }

    fn score(&self, model: &Model, answers: &Answers, left: &mut usize) -> Result<Option<Score>> {
        let fits = |m: &HeadMatrix| (m.layers(), m.heads()) == (model.layers, model.heads);
        let Some(mean) = self.heads.mean().filter(fits) else { return Ok(None) };
        let flat = |m: HeadMatrix| m.values().iter().map(|v| short(*v)).collect::<Vec<f64>>();
        let by_place = match self.is_of(answers) {
            true => self.by_place(model, answers, left)?,
            false => None,
        };
        let group = (mean.heads() / model.kv_heads.max(1)).max(1);
        let kv = group > 1
            && mean.values().chunks(group).all(|heads| heads.iter().all(|v| *v == heads[0]));
        let (low, high) = (self.heads.low_95(), self.heads.high_95());
        let ends = low.filter(fits).zip(high.filter(fits));
        let (low, high) = ends.map(|(low, high)| (flat(low), flat(high))).unzip();
        let ScoreWords { name, title, formula, source } = self.score.clone();
        Ok(Some(Score {
            name,
            title,
            formula,
            source,
            probes: self.probes.accepted,
            kv,
            mean: flat(mean),
            low,
            high,
            top: self.heads.top_probability().filter(fits).map(flat),
            by_place,
        }))
    }

    /// Means at the places of `answers`; `None` where that is too much for the page, or the file
    /// has other values than probes.
    ///
    /// # Errors
    /// As [`HeadScoreFile::read`] for a model of this shape.
    fn by_place(
        &self,
        model: &Model,
        answers: &Answers,
        left: &mut usize,
    ) -> Result<Option<ByPlace>> {
        let read = HeadScoreFile::read(&self.path, Some((model.layers, model.heads)))?.file;
        let heads = read.layers() * read.heads();
        let bytes = 2 * answers.places.len() * heads;
        let whole = read.values().iter().all(|list| list.len() == answers.accepted.len());
        if bytes > *left || !whole {
            return Ok(None);
        }
        *left -= bytes;
        let mut sums = vec![0.0; answers.places.len() * heads];
        for (probe, (_, place)) in answers.accepted.iter().enumerate() {
            let sums = &mut sums[place * heads..][..heads];
            sums.iter_mut()
                .zip(read.values())
                .for_each(|(sum, list)| *sum += f64::from(list[probe]));
        }
        let means = sums.chunks(heads).zip(&answers.places).flat_map(|(sums, place)| {
            let n = place.accepted;
            sums.iter().map(move |sum| (n > 0).then(|| sum / n as f64))
        });
        Ok(packed(&means.collect::<Vec<_>>()))
    }
}

/// `values` in 16 bits each; `None` where there are none.
fn packed(values: &[Option<f64>]) -> Option<ByPlace> {
    let known = || values.iter().copied().flatten();
    let (min, max) = known()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if min > max {
        return None;
    }
    let range = if max > min { max - min } else { 1.0 };
    let code = |value: &Option<f64>| match value {
        Some(v) => ((v - min) / range * 65534.0).round() as u16,
        None => u16::MAX,
    };
    let bytes: Vec<u8> = values.iter().flat_map(|v| code(v).to_le_bytes()).collect();
    Some(ByPlace { min, max, values: STANDARD.encode(bytes) })
}
