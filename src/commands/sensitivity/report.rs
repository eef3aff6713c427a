//! What is told on the terminal, and the same as CSV.

use super::analysis::{FactorResult, LevelResult, ScoreSensitivity};
use crate::system::terminal::{aligned, wrapped};

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Levels of a factor that are told one by one; of more the least alike.
const MOST: usize = 6;
/// Rankings of which all levels are as alike as this differ a little.
const LITTLE: f64 = 0.95;
/// Letters of a level's name.
const NAME: usize = 16;

const CSV_HEADER: &str = "score,factor,level,probes,rho,top_shared,top_of,draws,chance_rho_mean,\
    chance_rho_low_5,chance_rho_high_95,chance_top_shared_mean,chance_top_shared_low_5,\
    chance_top_shared_high_95,p,differs,factor_p,factor_differs";

const LEGEND: &str = "rho: Spearman's rank correlation of all heads, top ten: how many of the ten best \
    both have; of needle, depth and length between a level and all others, of the rest between a \
    variant and the base. By chance: mean [5 %, 95 %] of 200 random groups of as many probes; of top-k, \
    rows and chat of halves of the base's needles. *: below the 5 %";

/// The point first, then the levels.
pub(super) fn terminal(of: &ScoreSensitivity) -> String {
    let mut text = String::new();
    let mut line = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            text.push_str(&wrapped(&format!("{what}: {}.", names.join(", ")), COLUMNS));
            text.push('\n');
        }
    };
    let differing = of.factors.iter().filter(|factor| factor.differs == Some(true));
    let (little, much): (Vec<&FactorResult>, Vec<&FactorResult>) =
        differing.partition(|factor| factor.least() >= LITTLE);
    let lowest = |factor: &&FactorResult| {
        let compared = factor.levels.iter().filter(|level| level.alike.is_some()).count();
        let down = if compared > 1 { "down to " } else { "" };
        format!("{} (rho {down}{})", factor.factor, number(factor.least()))
    };
    line("The ranking of heads depends on", much.iter().map(lowest).collect());
    line("A little, but more than by chance, on", little.iter().map(lowest).collect());
    let same = of.factors.iter().filter(|factor| factor.differs == Some(false));
    line("No more than by chance on", same.map(|factor| factor.factor.to_owned()).collect());
    let rest = of.factors.iter().filter(|factor| factor.differs.is_none());
    let why = |factor: &FactorResult| {
        let note = factor.note.as_deref().unwrap_or("nothing was compared");
        format!("{} ({})", factor.factor, shortened(note, 2 * COLUMNS))
    };
    line("Not compared", rest.map(why).collect());

    let header = ["factor", "level", "probes", "rho", "by chance", "top ten", "by chance"];
    let mut rows = vec![header.map(str::to_owned)];
    for factor in &of.factors {
        rows.extend(rows_of(factor));
    }
    if rows.len() > 1 {
        let based = of.factors.iter().filter(|factor| !factor.levels.is_empty());
        let base =
            |factor: &FactorResult| Some(format!("{} {}", factor.factor, factor.base.as_ref()?));
        let bases: Vec<String> = based.filter_map(base).collect();
        let bases =
            if bases.is_empty() { String::new() } else { format!("; base: {}", bases.join(", ")) };
        let legend = wrapped(&format!("{LEGEND}{bases}"), COLUMNS);
        text.push_str(&format!("\n{}\n{legend}\n", aligned(&rows)));
    }
    text
}

/// The levels of a factor: all, or the least alike of many and the range of the others. The first
/// has the name of the factor.
fn rows_of(factor: &FactorResult) -> Vec<[String; 7]> {
    let mut order: Vec<&LevelResult> = factor.levels.iter().collect();
    let mut rest = Vec::new();
    if order.len() > MOST {
        let rho = |level: &LevelResult| level.alike.map_or(f64::INFINITY, |alike| alike.rho);
        // Stable: of equal ones the first.
        order.sort_by(|a, b| rho(a).total_cmp(&rho(b)));
        rest = order.split_off(MOST - 1);
    }
    let name = |i: usize| if i == 0 { factor.factor } else { "" };
    let mut rows: Vec<[String; 7]> =
        order.iter().enumerate().map(|(i, level)| row(name(i), level)).collect();
    if !rest.is_empty() {
        let last = rest.iter().rev().find_map(|level| level.alike);
        let most = last.map_or_else(|| "-".to_owned(), |last| format!("to {}", number(last.rho)));
        let more = format!("{} more", rest.len());
        rows.push(["", &more, "", &most, "", "", ""].map(str::to_owned));
    }
    rows
}

fn row(factor: &str, level: &LevelResult) -> [String; 7] {
    let star = if level.differs == Some(true) { "*" } else { "" };
    let alike = level.alike;
    let chance = level.chance;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        factor.to_owned(),
        shortened(&level.level, NAME),
        level.probes.to_string(),
        or_none(alike.map(|alike| format!("{}{star}", number(alike.rho)))),
        or_none(chance.map(|c| {
            format!("{} [{}, {}]", number(c.rho_mean), number(c.rho_low), number(c.rho_high))
        })),
        or_none(alike.map(|alike| format!("{}/{}", alike.top_shared, alike.top_of))),
        or_none(chance.map(|c| format!("{:.1}", c.top_shared_mean))),
    ]
}

/// One line per level, numbers in full. Needles have names that other people gave them: one that is
/// more than a word of ASCII letters, digits, `_`, `.` and `-` has its place among the levels
/// instead, from 0.
pub(super) fn csv(scores: &[ScoreSensitivity]) -> String {
    let mut text = format!("{CSV_HEADER}\n");
    for of in scores {
        for factor in &of.factors {
            for (place, level) in factor.levels.iter().enumerate() {
                let (alike, chance) = (level.alike, level.chance);
                let own = !["needle"].contains(&factor.factor) || is_word(&level.level);
                let cells = [
                    of.score.to_owned(),
                    factor.factor.to_owned(),
                    if own { level.level.clone() } else { place.to_string() },
                    level.probes.to_string(),
                    cell(alike.map(|a| a.rho)),
                    cell(alike.map(|a| a.top_shared)),
                    cell(alike.map(|a| a.top_of)),
                    cell(chance.map(|c| c.draws)),
                    cell(chance.map(|c| c.rho_mean)),
                    cell(chance.map(|c| c.rho_low)),
                    cell(chance.map(|c| c.rho_high)),
                    cell(chance.map(|c| c.top_shared_mean)),
                    cell(chance.map(|c| c.top_shared_low)),
                    cell(chance.map(|c| c.top_shared_high)),
                    cell(level.p),
                    cell(level.differs),
                    cell(factor.p),
                    cell(factor.differs),
                ];
                text.push_str(&cells.join(","));
                text.push('\n');
            }
        }
    }
    text
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// `0.93`; what would be 1 and is not with as many digits as that takes, four at most.
fn number(rho: f64) -> String {
    let decimals = (2..4).find(|&n| format!("{rho:.n$}") != format!("{:.n$}", 1.0)).unwrap_or(4);
    if rho >= 1.0 { "1".to_owned() } else { format!("{rho:.decimals$}") }
}

/// `text` with an ellipsis where it is longer than `most` letters.
fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

impl FactorResult {
    /// The lowest correlation of its levels.
    fn least(&self) -> f64 {
        let all = self.levels.iter().filter_map(|level| level.alike);
        all.map(|alike| alike.rho).fold(1.0, f64::min)
    }
}
