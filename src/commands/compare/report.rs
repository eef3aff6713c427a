//! [`Comparison`]: what a comparison tells, for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::agreement::{Agreement, Moved, Shared};
use super::inputs::Compared;
use crate::plot::furniture::number;
use crate::system::terminal::{aligned, wrapped};

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// Head scores beside each other.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The files, in the order asked for.
    pub files: Vec<Compared>,
    /// Each with each.
    pub pairs: Vec<Pair>,
    /// The pictures written.
    pub pictures: Vec<PathBuf>,
}

/// Two of the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The place of one in [`Comparison::files`].
    pub first: usize,
    /// The place of the other.
    pub second: usize,
    /// How alike they are.
    #[serde(flatten)]
    pub agreement: Agreement,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, letter) in self.files.iter().zip(letters()) {
            let values = match file.values {
                [1, 1] => "one value per head".to_owned(),
                [fewest, most] if fewest == most => format!("{most} values per head"),
                [fewest, most] => format!("{fewest} to {most} values per head"),
            };
            let Compared { name, layers, heads, .. } = file;
            writeln!(f, "{letter}  {name}: {layers} layers x {heads} heads, {values}")?;
        }
        writeln!(f)?;
        self.write_pairs(f)?;
        for (file, letter) in self.files.iter().zip(letters()) {
            if let Some(moved) = file.by_position {
                let text = format!(
                    "{letter} by position, as tools read it that go by the order in the file: other \
                     heads, correlation {} with the scores where they belong, {} of the ten best \
                     heads are still among them",
                    coefficient(moved.pearson),
                    moved.top_10_shared
                );
                writeln!(f, "\n{}", wrapped(&text, COLUMNS))?;
            }
        }
        if let [pair] = &self.pairs[..] {
            write_moved(f, &pair.agreement.moved)?;
        }
        for picture in
            self.pictures.iter().filter(|path| path.extension().is_some_and(|e| e == "png"))
        {
            writeln!(f, "{}", picture.display())?;
        }
        Ok(())
    }
}

impl Comparison {
    fn write_pairs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |i: usize| letters().nth(i).unwrap_or_default();
        let tops = self.pairs.iter().take(1).flat_map(|pair| &pair.agreement.shared);
        let mut header = vec!["".to_owned()];
        header.extend(["Pearson", "Spearman", "Kendall"].map(str::to_owned));
        header.extend(tops.map(|shared| format!("of the {} best", shared.top)));
        let mut lines = vec![header];
        for Pair { first, second, agreement } in &self.pairs {
            let mut line = vec![format!("{} {}", letter(*first), letter(*second))];
            let Agreement { pearson, spearman, kendall, shared, .. } = agreement;
            line.extend([pearson, spearman, kendall].map(|value| coefficient(*value)));
            line.extend(shared.iter().map(in_short));
            lines.push(line);
        }
        write!(f, "{}", aligned(&lines))?;
        let mut legend = "of the best: heads that both have".to_owned();
        // Where a file has few heads above 0, its pairs have numbers of their own.
        let chance = |pair: &Pair| -> Vec<String> {
            pair.agreement.shared.iter().map(|shared| number(shared.by_chance)).collect()
        };
        let first = self.pairs.first().map(chance).unwrap_or_default();
        if self.pairs.iter().all(|pair| chance(pair) == first) {
            let numbers = first.join(", ");
            legend.push_str(&format!("; rankings that have nothing in common share {numbers}"));
        }
        if self.pairs.iter().flat_map(|p| &p.agreement.shared).any(|s| s.interval_95.is_some()) {
            legend.push_str(
                "; in brackets: how many two other runs would share, with other probes each (95 %)",
            );
        }
        write!(f, "\n{}", wrapped(&legend, COLUMNS))?;
        writeln!(f)
    }
}

/// `9 [7, 10]`.
fn in_short(shared: &Shared) -> String {
    match shared.interval_95 {
        Some([low, high]) => format!("{} [{low}, {high}]", shared.heads),
        None => shared.heads.to_string(),
    }
}

fn write_moved(f: &mut fmt::Formatter<'_>, moved: &[Moved]) -> fmt::Result {
    if moved.is_empty() {
        return Ok(());
    }
    let mut lines =
        vec![["moved most", "rank in A", "in B", "score in A", "in B"].map(str::to_owned)];
    lines.extend(moved.iter().map(|Moved { layer, head, ranks, scores }| {
        let [first, second] = scores.map(|score| number(f64::from(score)));
        let name = format!("{layer}-{head}");
        [name, ranks[0].to_string(), ranks[1].to_string(), first, second]
    }));
    writeln!(f, "\n{}", aligned(&lines))
}

/// Three decimals.
fn coefficient(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.3}"))
}

/// What files are called in a table: A, B, ... Z, A2, ...
fn letters() -> impl Iterator<Item = String> {
    (1..).flat_map(|round: usize| {
        ('A'..='Z').map(move |letter| match round {
            1 => letter.to_string(),
            _ => format!("{letter}{round}"),
        })
    })
}
