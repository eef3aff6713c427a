//! `headprof compare`: how alike the rankings of head_score files are.
//!
//! ```text
//! CompareArgs ─► Compared… (means, errors) ─► Agreement of each pair ─► table, JSON, heatmap
//! ```

mod agreement;
#[cfg(test)]
mod golden_tests;
mod inputs;
mod report;

use std::path::{Path, PathBuf};

pub use agreement::{Agreement, Moved, Shared};
pub use inputs::{ByPosition, Compared};
pub use report::{Comparison, Pair};

use crate::cli::CompareArgs;
use crate::config::{Depth, Paths};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::plot::{HeatmapCaption, head_heatmap};
use crate::system::{Reporter, atomic};

/// Characters of a file's name in that of a picture, at most.
const LONGEST_NAME: usize = 80;

/// Compares the files of `args`, each with each, and draws what the others differ by from the
/// first.
///
/// # Errors
/// [`Error::Usage`] for options that cannot be used, [`Error::Data`] for files that cannot,
/// [`Error::Resources`] if a picture cannot be written.
pub fn run(args: &CompareArgs, reporter: &Reporter) -> Result<Comparison> {
    let tops = tops(&args.top)?;
    let paths = inputs::resolved(&args.files)?;
    let read = |all: Paths, path| all.reads("FILE", Some(path), ("json", Depth::In));
    let plots = args.out.join("plots");
    let checked = paths.iter().map(PathBuf::as_path).fold(Paths::default(), read);
    checked.fills("--out", &plots).check()?;
    let files = inputs::read(&paths)?;
    let made = (!args.no_plots).then(|| atomic::usable_folders([&args.out, &plots])).transpose()?;
    files.iter().flat_map(|file| &file.warnings).for_each(|text| reporter.warning(text));
    let mut pairs = Vec::new();
    for (i, first) in files.iter().enumerate() {
        for (j, second) in files.iter().enumerate().skip(i + 1) {
            let agreement = Agreement::of(first, second, &tops, args.moved);
            pairs.push(Pair { first: i, second: j, agreement });
        }
    }
    let mut pictures = Vec::new();
    if made.is_some() {
        for (j, other) in files.iter().enumerate().skip(1) {
            pictures.extend(draw(&files[0], other, &plots.join(stem(&files, j)))?);
        }
    }
    Ok(Comparison { files, pairs, pictures })
}

/// The numbers of `--top`.
fn tops(list: &str) -> Result<Vec<usize>> {
    let number = |word: &str| {
        word.trim().parse().ok().filter(|n| *n > 0).ok_or_else(|| {
            Error::usage("a number of best heads is none")
                .at("--top")
                .got(format!("\"{word}\""))
                .expected("whole numbers from 1 upwards, such as 10,20,30")
        })
    };
    let mut tops = list.split(',').map(number).collect::<Result<Vec<usize>>>()?;
    tops.sort_unstable();
    tops.dedup();
    Ok(tops)
}

/// What the picture of the first file and number `j` is called.
fn stem(files: &[Compared], j: usize) -> String {
    let plain = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name = name.strip_suffix(".json").unwrap_or(name);
        name.chars().map(plain).take(LONGEST_NAME).collect()
    };
    let of = |j: usize| format!("{}_less_{}", plain(&files[j].name), plain(&files[0].name));
    let stem = of(j);
    match (1..j).any(|other| of(other) == stem) {
        true => format!("{stem}_{}", j + 1),
        false => stem,
    }
}

/// The heatmap of what `other` has more than `first`.
fn draw(first: &Compared, other: &Compared, stem: &Path) -> Result<[PathBuf; 2]> {
    // Scores of two kinds are on two scales.
    let same = first.score.is_some() && first.score == other.score;
    let largest = |file: &Compared| match same {
        true => 1.0,
        false => file.mean.values().iter().fold(0.0f32, |a, v| a.max(v.abs())),
    };
    let scaled = |file: &Compared| -> Vec<f32> {
        let largest = largest(file);
        file.mean.values().iter().map(|v| if largest > 0.0 { v / largest } else { *v }).collect()
    };
    let difference = scaled(other).iter().zip(scaled(first)).map(|(b, a)| b - a).collect();
    let difference = HeadMatrix::new(first.mean.layers(), first.mean.heads(), difference)?;
    let unit = match (&first.score, same) {
        (Some(score), true) => format!("difference of {score}"),
        _ => "difference of shares of each file's largest score".to_owned(),
    };
    let caption = HeatmapCaption {
        title: &format!("{} less {}", other.name, first.name),
        subtitle: &format!("red: more in {}, blue: more in {}", other.name, first.name),
        score_label: &unit,
        ends: None,
        difference: true,
    };
    head_heatmap(&difference, &caption)?.save(stem)
}
