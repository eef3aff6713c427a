//! One panel per factor: how alike each level ranks the heads, over what chance gives.

use super::analysis::{FactorResult, ScoreSensitivity};
use crate::error::Result;
use crate::plot::{Dot, DotPanel, DotsCaption, Picture, dots};

/// The picture of a score; none where nothing was compared.
pub(super) fn draw(model: &str, of: &ScoreSensitivity) -> Result<Option<Picture>> {
    let compared = |factor: &&FactorResult| factor.levels.iter().any(|l| l.alike.is_some());
    let factors: Vec<&FactorResult> = of.factors.iter().filter(compared).collect();
    if factors.is_empty() {
        return Ok(None);
    }
    let titles: Vec<String> = factors.iter().map(|factor| title(factor)).collect();
    let both = factors.iter().zip(&titles);
    let panels: Vec<DotPanel> =
        both.map(|(factor, title)| DotPanel { title, dots: levels(factor) }).collect();
    let caption = DotsCaption {
        title: &format!("what the ranking of heads depends on — {model}, {}", of.score),
        subtitle: &format!(
            "{} accepted probes · of needle, depth and length each level against all others, else \
             against the base",
            of.probes
        ),
        y_label: "rank correlation",
        band_label: "5 % to 95 % of random probes",
        dot_labels: ["differs by more than chance", "does not"],
    };
    dots(&panels, &caption).map(Some)
}

fn title(factor: &FactorResult) -> String {
    let base = factor.base.as_ref().map_or_else(String::new, |base| format!(" (base: {base})"));
    let verdict = match factor.differs {
        Some(true) => ": matters",
        Some(false) => ": as chance",
        None => "",
    };
    format!("{}{base}{verdict}", factor.factor)
}

/// Those that were compared.
fn levels(factor: &FactorResult) -> Vec<Dot<'_>> {
    let compared = factor.levels.iter().filter_map(|level| Some((level, level.alike?)));
    let dots = compared.map(|(level, alike)| Dot {
        label: &level.level,
        y: alike.rho,
        band: level.chance.map(|chance| [chance.rho_low, chance.rho_high]),
        marked: level.differs == Some(true),
    });
    dots.collect()
}
