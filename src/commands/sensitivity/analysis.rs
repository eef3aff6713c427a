//! From finished profiles to what each factor does to the ranking of heads.

use std::collections::HashSet;

use serde::Serialize;

use super::factor::Factor;
use super::groups::Groups;
use super::read::{Profiled, Record, Status, Values};
use super::variants::Variant;
use super::yardstick::{self, Alike, Chance, Found, LEAST, NEEDLES_OF_A_SPLIT, mean};
use crate::error::Result;
use crate::gate::{Expected, GateConfig, GateKind};
use crate::score::HeadScore;
use crate::score::aggregate::top_heads;

/// Below this share of draws a factor matters.
const SIGNIFICANT: f64 = 0.05;

/// What one level of a factor does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelResult {
    /// Its name: that of a needle, a depth, tokens of a length, the value of an option.
    pub level: String,
    /// Probes behind its ranking.
    pub probes: usize,
    /// How alike its ranking is to that of what it is compared with.
    #[serde(flatten)]
    pub alike: Option<Alike>,
    /// The same by chance alone.
    pub chance: Option<Chance>,
    /// Share of draws that are no more alike, 0 to 1.
    pub p: Option<f64>,
    /// Whether `rho` is below the 5 % of chance.
    pub differs: Option<bool>,
    /// Why there is no `rho`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What one factor does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FactorResult {
    /// Its name.
    pub factor: &'static str,
    /// The level of the base, where the others are compared with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What its levels are compared with.
    pub against: &'static str,
    /// What was drawn for `chance`.
    pub drawn: &'static str,
    /// Of needle, depth and length, the share of draws whose levels are on average no more alike;
    /// of the others, the least of the levels times their number.
    pub p: Option<f64>,
    /// Whether `p` is below 0.05; `None` where nothing was compared.
    pub differs: Option<bool>,
    /// Why nothing was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its levels, in order.
    pub levels: Vec<LevelResult>,
}

/// What the ranking of heads by one score depends on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreSensitivity {
    /// The score.
    pub score: &'static str,
    /// Accepted probes of the base.
    pub probes: usize,
    /// The ten best heads of the base, `[layer, head]`.
    pub top: Vec<[usize; 2]>,
    /// One per factor that was to be varied.
    pub factors: Vec<FactorResult>,
}

/// A variant that was run, or that could not be.
pub(super) struct Ran {
    pub variant: Variant,
    /// The profile, or why there is none.
    pub profile: std::result::Result<Profiled, String>,
}

/// The base and its variants.
pub(super) struct Runs<'a> {
    pub base: &'a Profiled,
    pub variants: &'a [Ran],
    /// Why factors have no variants.
    pub notes: &'a [(Factor, String)],
    /// Decides the draws.
    pub seed: u64,
}

impl Runs<'_> {
    /// What `factors` do to the ranking by `score`, whose `values` in the base are these.
    ///
    /// # Errors
    /// As gates judge.
    pub fn of_score(
        &self,
        factors: &[Factor],
        score: &dyn HeadScore,
        values: &Values,
    ) -> Result<ScoreSensitivity> {
        let own: Vec<&Record> = self.base.accepted().collect();
        let best = mean(values, |_| true).map(|mean| top_heads(&mean));
        let mut top = best.unwrap_or_default();
        top.sort_unstable();
        let factor = |&factor: &Factor| match factor {
            Factor::Needle | Factor::Depth | Factor::Length => {
                Ok(self.grouped(factor, &own, values))
            }
            Factor::Gate => self.gate(score),
            _ => Ok(self.varied(factor, score, values)),
        };
        Ok(ScoreSensitivity {
            score: score.name(),
            probes: own.len(),
            top: top.into_iter().map(|i| [i / values.heads, i % values.heads]).collect(),
            factors: factors.iter().map(factor).collect::<Result<_>>()?,
        })
    }

    fn lengths(&self) -> &[usize] {
        self.base.meta.as_ref().map_or(&[][..], |meta| &meta.grid.context_lengths[..])
    }

    fn grouped(&self, factor: Factor, own: &[&Record], values: &Values) -> FactorResult {
        let groups = Groups::of(factor, own, self.lengths());
        let mut result = FactorResult::empty(factor, None);
        if let [only] = &groups.names[..] {
            let without = own.iter().all(|record| record.depth_asked.is_none());
            result.note = Some(match (factor, without) {
                (Factor::Depth, true) => "facts are scattered: there are no depths".to_owned(),
                _ => format!("one {} ({only}): nothing to compare", factor.name()),
            });
            return result;
        }
        let found = yardstick::levels(values, &groups.level, &groups.strata, self.seed);
        if !found.stratified {
            result.drawn = "as many random probes of all, against the rest";
        }
        let sizes = groups.sizes();
        for ((name, probes), found) in groups.names.into_iter().zip(sizes).zip(&found.levels) {
            let beside = own.len() - probes;
            result.levels.push(LevelResult::of(name, probes, beside, found));
        }
        result.judged(found.p)
    }

    fn gate(&self, score: &dyn HeadScore) -> Result<FactorResult> {
        let of_base =
            self.base.meta.as_ref().map(|meta| (&meta.gate.name[..], meta.gate.threshold));
        let label = of_base.map(|(name, threshold)| gate_name(name, threshold));
        let mut result = FactorResult::empty(Factor::Gate, label);
        let run = self.variants.iter().find(|ran| ran.variant.factor == Factor::Gate);
        let pool = match run.map(|ran| &ran.profile) {
            Some(Ok(profile)) => profile,
            Some(Err(why)) => {
                result.note = Some(why.clone());
                return Ok(result);
            }
            // Of a base whose gate lets everything through, all scores are there.
            None if self.base.count(Status::Rejected) == 0 => self.base,
            None => {
                result.note = Some(not_run(Factor::Gate));
                return Ok(result);
            }
        };
        let Some(values) = pool.values(score) else {
            result.note = Some(format!("{} is not in {}", score.name(), pool.folder.display()));
            return Ok(result);
        };
        let answered: Vec<&Record> = pool.accepted().collect();
        let passed: HashSet<&str> = self.base.accepted().map(|r| r.id.as_str()).collect();
        let in_base: Vec<bool> = answered.iter().map(|r| passed.contains(r.id.as_str())).collect();
        for kind in [GateKind::None, GateKind::Rouge, GateKind::F1, GateKind::Exact] {
            let config = GateConfig::new(kind, None)?;
            if of_base == Some((kind.name(), config.threshold)) {
                continue;
            }
            let name = gate_name(kind.name(), config.threshold);
            let Some(passes) = judged(&config, &answered)? else {
                result.levels.push(LevelResult::without(name, 0, "cannot judge these answers"));
                continue;
            };
            let probes = passes.iter().filter(|passes| **passes).count();
            if passes == in_base {
                let why = "the same probes as the base's";
                result.levels.push(LevelResult::without(name, probes, why));
                continue;
            }
            let pairs = passes.iter().zip(&in_base).map(|(own, base)| [*own, *base]);
            let found = yardstick::choices(values, &pairs.collect::<Vec<_>>(), self.seed);
            result.levels.push(LevelResult::of(name, probes, passed.len(), &found));
        }
        Ok(result.judged_by_levels())
    }

    fn varied(&self, factor: Factor, score: &dyn HeadScore, values: &Values) -> FactorResult {
        let base = self.base.meta.as_ref().map(|meta| match factor {
            Factor::TopK => meta.score.top_k_infscore.to_string(),
            Factor::Rows => meta.score.score_rows.clone(),
            _ if meta.prompt.chat.is_some() => "always".to_owned(),
            _ => "never".to_owned(),
        });
        let mut result = FactorResult::empty(factor, base);
        if factor != Factor::Chat && !score.info().strong {
            result.note = Some(format!("{} does not depend on it", score.name()));
            return result;
        }
        if let Some((_, why)) = self.notes.iter().find(|(known, _)| *known == factor) {
            result.note = Some(why.clone());
            return result;
        }
        let own: Vec<&Record> = self.base.accepted().collect();
        let needles = Groups::of(Factor::Needle, &own, self.lengths());
        if needles.names.len() < NEEDLES_OF_A_SPLIT {
            result.drawn = "one random half of the base's probes against the other";
        }
        let halves = yardstick::halves(values, &needles.level, self.seed);
        let all = mean(values, |_| true);
        for ran in self.variants.iter().filter(|ran| ran.variant.factor == factor) {
            let level = ran.variant.level.clone();
            let profile = match &ran.profile {
                Ok(profile) => profile,
                Err(why) => {
                    result.levels.push(LevelResult::without(level, 0, why));
                    continue;
                }
            };
            let probes = profile.accepted().count();
            let Some(theirs) = profile.values(score) else {
                let why = format!("{} was not computed", score.name());
                result.levels.push(LevelResult::without(level, probes, &why));
                continue;
            };
            let alike = mean(theirs, |_| true)
                .zip(all.as_ref())
                .and_then(|(theirs, all)| Alike::of(&theirs, all));
            let found = Found::beside(alike, &halves);
            result.levels.push(LevelResult::of(level, probes, own.len(), &found));
        }
        if result.levels.is_empty() {
            result.note = Some(not_run(factor));
        }
        result.judged_by_levels()
    }
}

impl FactorResult {
    fn empty(factor: Factor, base: Option<String>) -> Self {
        Self {
            factor: factor.name(),
            base,
            against: factor.against(),
            drawn: factor.chance(),
            p: None,
            differs: None,
            note: None,
            levels: Vec::new(),
        }
    }

    /// With its `p`; where no level could be compared, that is why.
    fn judged(mut self, p: Option<f64>) -> Self {
        self.p = p;
        self.differs = p.map(|p| p < SIGNIFICANT);
        if p.is_none() && self.note.is_none() {
            let first = self.levels.first().and_then(|level| level.note.as_deref());
            self.note = Some(first.unwrap_or("nothing was drawn").to_owned());
        }
        self
    }

    /// The same by the least `p` of its levels, times their number (Bonferroni).
    fn judged_by_levels(self) -> Self {
        let all: Vec<f64> = self.levels.iter().filter_map(|level| level.p).collect();
        let least = all.iter().copied().reduce(f64::min);
        self.judged(least.map(|p| (p * all.len() as f64).min(1.0)))
    }
}

impl LevelResult {
    /// Of `probes` that were compared with `beside` others.
    fn of(level: String, probes: usize, beside: usize, found: &Found) -> Self {
        let note = match found.alike {
            Some(_) => None,
            None if probes < LEAST => Some(format!("fewer than {LEAST} accepted probes")),
            None if beside < LEAST => Some(format!("fewer than {LEAST} others to compare with")),
            None => Some("all heads are equal".to_owned()),
        };
        let Found { alike, chance, p } = *found;
        Self { level, probes, alike, chance, p, differs: found.differs(), note }
    }

    fn without(level: String, probes: usize, why: &str) -> Self {
        let note = Some(why.to_owned());
        Self { level, probes, alike: None, chance: None, p: None, differs: None, note }
    }
}

/// Which of `answered` pass a gate; `None` where it finds nothing to compare with in one of them.
fn judged(config: &GateConfig, answered: &[&Record]) -> Result<Option<Vec<bool>>> {
    let gate = config.open()?;
    let pass = |record: &&Record| {
        let expected = Expected { gold: &record.gold, question: "", labels: &[] };
        gate.check(&expected).ok()?;
        let answer = record.judged.as_deref().or(record.answer.as_deref()).unwrap_or_default();
        gate.value(answer, &expected).ok().map(|value| gate.passes(value))
    };
    Ok(answered.iter().map(pass).collect())
}

fn gate_name(name: &str, threshold: f64) -> String {
    match name {
        "none" | "exact" | "label" => name.to_owned(),
        _ => format!("{name} > {threshold}"),
    }
}

fn not_run(factor: Factor) -> String {
    format!("not run: --vary {} without --from runs it", factor.name())
}
