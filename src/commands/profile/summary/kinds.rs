//! [`HeadsOfType`]: which of the best heads are of a kind that is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ScoreSummary;
use crate::heads::{HeadType, HeadTypes};

/// Heads of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadsOfType {
    /// Its name.
    pub kind: String,
    /// As `layer-head`, ascending.
    pub heads: Vec<String>,
}

impl HeadsOfType {
    /// Of each kind those that are among the best in one of `scores`.
    pub(super) fn among(scores: &[&ScoreSummary], types: Option<&HeadTypes>) -> Vec<Self> {
        let mut kinds: BTreeMap<HeadType, BTreeSet<(usize, usize)>> = BTreeMap::new();
        let best = scores.iter().flat_map(|score| &score.statistics.top);
        for top in best.filter(|top| top.mean > 0.0) {
            if let Some(kind) = types.and_then(|types| types.of(top.layer, top.head)) {
                kinds.entry(kind).or_default().insert((top.layer, top.head));
            }
        }
        let named = |heads: BTreeSet<(usize, usize)>| {
            heads.into_iter().map(|(layer, head)| format!("{layer}-{head}")).collect()
        };
        let of =
            |(kind, heads): (HeadType, _)| Self { kind: kind.to_string(), heads: named(heads) };
        kinds.into_iter().map(of).collect()
    }
}
