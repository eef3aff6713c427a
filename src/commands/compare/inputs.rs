//! [`Compared`]: a head_score file of a comparison, with what is known of its means.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::agreement::shared_heads;
use crate::error::{Error, Result};
use crate::head_score::{HeadScoreFile, named, sidecar};
use crate::heads::HeadMatrix;
use crate::score::correlation::pearson;

/// A file of scores.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// What it is called here.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Which score it is, where its sidecar says so.
    pub score: Option<String>,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Values per head: the fewest and the most.
    pub values: [usize; 2],
    /// Whether it is known how sure the means are.
    pub has_errors: bool,
    /// What a tool gets that goes by the order in the file, where that is not the keys'.
    pub by_position: Option<ByPosition>,
    /// Mean of each head, `[L, H]`.
    #[serde(skip)]
    pub mean: HeadMatrix,
    /// Its standard error, `[L, H]`.
    #[serde(skip)]
    pub std_error: Option<HeadMatrix>,
    /// What is unusual about the file: sentences for the user.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// Scores that go to other heads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByPosition {
    /// Pearson's correlation with the scores where they belong.
    pub pearson: Option<f64>,
    /// How many of the ten best heads stay.
    pub top_10_shared: usize,
}

/// The files that `asked` means.
///
/// # Errors
/// As [`named::file`].
pub(super) fn resolved(asked: &[PathBuf]) -> Result<Vec<PathBuf>> {
    asked.iter().map(|asked| named::file(asked, Path::new(named::FOLDER), "compare")).collect()
}

/// The scores in `paths`, all of one shape.
///
/// # Errors
/// As [`HeadScoreFile::read`]; [`Error::Data`] for files of several shapes.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Compared>> {
    let names = names(paths);
    let files = paths.iter().zip(names).map(|(path, name)| one(path, name));
    let files = files.collect::<Result<Vec<Compared>>>()?;
    let first = &files[0];
    let shape = |file: &Compared| format!("{} layers x {} heads", file.layers, file.heads);
    match files.iter().find(|file| (file.layers, file.heads) != (first.layers, first.heads)) {
        None => Ok(files),
        Some(other) => Err(Error::data("head scores of models of two shapes cannot be compared")
            .at(other.path.display())
            .got(shape(other))
            .expected(format!("{}, as in {}", shape(first), first.path.display()))
            .advice("compare scores of one model, or of models with as many layers and heads")),
    }
}

fn one(path: &Path, name: String) -> Result<Compared> {
    let read = HeadScoreFile::read(path, None)?;
    let (file, meta) = (&read.file, sidecar::score(path));
    let fits = |m: &HeadMatrix| (m.layers(), m.heads()) == (file.layers(), file.heads());
    let heads = meta.heads.as_ref();
    // The file of a score with a sign has none: it is for tools that take shares.
    let signed = heads.and_then(|heads| heads.mean()).filter(fits);
    let signed = signed.filter(|mean| mean.values().iter().any(|v| *v < 0.0));
    let mean = signed.unwrap_or_else(|| file.mean());
    let std_error = heads.and_then(|heads| heads.std_error()).filter(fits);
    let std_error = std_error.or_else(|| errors_of_lists(file));
    let by_position = read.by_position().map(|moved| {
        let (own, moved): (Vec<f64>, Vec<f64>) = (of(&mean), of(&moved));
        ByPosition { pearson: pearson(&own, &moved), top_10_shared: shared_heads(&own, &moved, 10) }
    });
    let lengths = file.values().iter().map(Vec::len);
    Ok(Compared {
        name,
        path: path.to_owned(),
        score: meta.score.map(|score| score.name),
        layers: file.layers(),
        heads: file.heads(),
        values: [lengths.clone().min().unwrap_or(0), lengths.max().unwrap_or(0)],
        has_errors: std_error.is_some(),
        by_position,
        mean,
        std_error,
        warnings: read.warnings.iter().map(|text| format!("{}: {text}", path.display())).collect(),
    })
}

/// A matrix as numbers of double precision.
pub(super) fn of(matrix: &HeadMatrix) -> Vec<f64> {
    matrix.values().iter().map(|v| f64::from(*v)).collect()
}

/// Standard errors of the means of lists, values of a list taken as independent; `None` where a
/// list has one value.
fn errors_of_lists(file: &HeadScoreFile) -> Option<HeadMatrix> {
    let error = |list: &Vec<f32>| {
        let n = list.len() as f64;
        let mean = list.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let squares: f64 = list.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
        (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt() as f32)
    };
    let errors = file.values().iter().map(error).collect::<Option<Vec<f32>>>()?;
    HeadMatrix::new(file.layers(), file.heads(), errors).ok()
}

/// The files' names without what all score files end with; their paths where that does not tell
/// them apart.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stems = paths.iter().map(|path| named::stem(path)).collect();
    let whole = paths.iter().map(|path| path.display().to_string()).collect();
    named::telling_apart([stems, whole])
}
