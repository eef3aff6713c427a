//! The runs besides the base: ordinary profiles of the same probes with one option changed.

use std::path::Path;

use super::factor::Factor;
use super::read::{PROBES, Profiled, Status};
use crate::cli::{ChatArg, ProfileArgs};
use crate::error::{Error, Result};
use crate::gate::GateKind;
use crate::score::{HeadScore, References, ScoreRows};

/// The folder of the base.
pub(super) const BASE: &str = "base";

/// The values of `--score-rows`.
const ROWS: [ScoreRows; 3] = [ScoreRows::LastPrompt, ScoreRows::Decode, ScoreRows::All];

/// A run with one option changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub factor: Factor,
    /// The value of the option.
    pub level: String,
}

/// What is run of the factors that need runs, and why not what is not.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub variants: Vec<Variant>,
    pub notes: Vec<(Factor, String)>,
}

impl Variant {
    fn new(factor: Factor, level: impl ToString) -> Self {
        Self { factor, level: level.to_string() }
    }

    /// The folder of the run, in the output folder.
    pub fn folder(&self) -> String {
        format!("{}-{}", self.factor.name(), self.level)
    }

    /// The option that is changed.
    pub fn option(&self) -> String {
        let option = match self.factor {
            Factor::TopK => "--top-k-infscore",
            Factor::Rows => "--score-rows",
            Factor::Chat => "--chat",
            _ => "--gate",
        };
        format!("{option} {}", self.level)
    }

    /// The options of `base` with this one changed, for the output folder `out`.
    ///
    /// # Errors
    /// [`Error::Bug`] for a level that [`planned`] does not make.
    pub fn args(&self, base: &ProfileArgs, out: &Path) -> Result<ProfileArgs> {
        let mut args = base.clone();
        args.out = out.join(self.folder());
        args.export_probes = None;
        args.no_report = true;
        let probes = &mut args.probes;
        match (self.factor, self.level.as_str()) {
            (Factor::TopK, k) => {
                args.top_k_infscore =
                    k.parse().map_err(|e| Error::bug("a top k is no number").got(e))?;
            }
            (Factor::Rows, rows) => args.score_rows = Some(rows.to_owned()),
            (Factor::Chat, "always") => probes.chat = Some(ChatArg::Always),
            (Factor::Chat, _) => {
                probes.chat = Some(ChatArg::Never);
                // There is no template to be told them.
                probes.chat_option.clear();
            }
            (_, gate) => {
                probes.gate = Some(gate.to_owned());
                (probes.gate_threshold, probes.gate_model) = (None, None);
                probes.onnxruntime = None;
            }
        }
        Ok(args)
    }
}

/// What is known of a run that is to be varied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub top_k: usize,
    pub rows: String,
    pub compat: String,
    /// Whether prompts are chat messages; `None` where that is not known yet.
    pub chat: Option<bool>,
    /// Whether all answers count; `None` where that is not known yet.
    pub all_count: Option<bool>,
}

impl Known {
    /// Of a base that has run; `None` of one without scores.
    pub fn of(base: &Profiled) -> Option<Self> {
        let meta = base.meta.as_ref()?;
        Some(Self {
            top_k: meta.score.top_k_infscore,
            rows: meta.score.score_rows.clone(),
            compat: meta.score.compat.clone(),
            chat: Some(meta.prompt.chat.is_some()),
            all_count: Some(base.count(Status::Rejected) == 0),
        })
    }

    /// As far as the options say it.
    pub fn ahead(args: &ProfileArgs) -> Self {
        let none = args.probes.gate.as_deref() == Some(GateKind::None.name());
        Self {
            top_k: args.top_k_infscore,
            rows: args.score_rows.clone().unwrap_or_else(|| ScoreRows::default().to_string()),
            compat: args.compat.as_deref().map_or_else(String::new, in_full),
            chat: None,
            all_count: none.then_some(true),
        }
    }
}

/// References as sidecars name them.
fn in_full(compat: &str) -> String {
    compat.parse().map_or_else(|_| String::new(), |references: References| references.to_string())
}

/// The runs for `factors`, where `scores` are looked at. What is not known yet is planned.
pub(super) fn planned(
    factors: &[Factor],
    scores: &[&'static dyn HeadScore],
    known: &Known,
) -> Planned {
    let mut planned = Planned::default();
    let strong = scores.iter().any(|score| score.info().strong);
    for &factor in factors.iter().filter(|factor| !factor.is_grouped()) {
        let levels: Vec<String> = match factor {
            Factor::TopK | Factor::Rows if !strong => Vec::new(),
            Factor::TopK => {
                let both = [known.top_k / 2, known.top_k.saturating_mul(2)];
                both.into_iter().filter(|&k| k > 0).map(|k| k.to_string()).collect()
            }
            Factor::Rows if known.compat.contains("dililazykv") => {
                let note = "--compat dililazykv scores the first row alone".to_owned();
                planned.notes.push((factor, note));
                Vec::new()
            }
            Factor::Rows => {
                ROWS.map(|rows| rows.to_string()).into_iter().filter(|r| *r != known.rows).collect()
            }
            Factor::Chat => match known.chat {
                Some(true) => vec!["never".to_owned()],
                Some(false) => vec!["always".to_owned()],
                None => Vec::new(),
            },
            _ if known.all_count == Some(true) => Vec::new(),
            _ => vec![GateKind::None.name().to_owned()],
        };
        planned.variants.extend(levels.into_iter().map(|level| Variant::new(factor, level)));
    }
    planned
}

/// The runs that are in `out`, in the order of factors and of their levels.
pub(super) fn found(out: &Path) -> Vec<Variant> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let variant = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        entry.path().join(PROBES).is_file().then_some(())?;
        let of = |factor: Factor| {
            let level = name.strip_prefix(factor.name())?.strip_prefix('-')?;
            let fine = match factor {
                Factor::TopK => level.parse::<usize>().is_ok_and(|k| k > 0),
                Factor::Rows => level.parse::<ScoreRows>().is_ok(),
                Factor::Chat => ["always", "never"].contains(&level),
                Factor::Gate => level == GateKind::None.name(),
                _ => false,
            };
            fine.then(|| Variant::new(factor, level))
        };
        Factor::ALL.into_iter().find_map(of)
    };
    let mut all: Vec<Variant> = entries.filter_map(variant).collect();
    // Rows by their names, in the order in which a run has them; numbers by size.
    let rows = |v: &Variant| ROWS.iter().position(|rows| rows.to_string() == v.level);
    let order = |v: &Variant| (v.factor, rows(v), v.level.parse::<usize>().ok());
    all.sort_by_key(order);
    all
}
