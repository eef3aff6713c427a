//! The head_score file: the contract with the tools that spend a KV cache by head.
//!
//! One line of JSON, `{"layer-head": [value per accepted probe], ...}` in row-major order and a
//! newline: what Retrieval_Head, HeadKV, KVCache-Factory and DiliLazyKV write, and read again with
//! `json.loads(file.readline())` and a mean over each list. Written by
//! [`HeadScoreFile::to_json_line`]; read by [`HeadScoreFile::read`], which also takes the variants
//! that are in circulation.

mod layout;
pub mod named;
mod parse;
mod reader;
pub mod sidecar;
mod signed;
mod used;

pub use crate::score::likeness::Likeness;
pub use used::{UsedFile, UsedScores};

#[cfg(test)]
mod golden_tests;

use std::path::Path;

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::system::text::utf8_text;

/// The values of one score, for every head one per accepted probe.
///
/// Invariants: `layers * heads` lists in row-major order, none of them empty, every value finite
/// and not negative.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadScoreFile {
    layers: usize,
    heads: usize,
    values: Vec<Vec<f32>>,
}

/// A file that was read, and what is unusual about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadHeadScore {
    /// The content.
    pub file: HeadScoreFile,
    /// Sentences for the user, without the path; empty for a file as headprof writes it.
    pub warnings: Vec<String>,
    /// Where the keys are not in row-major order, the head of each place in the file, row-major.
    pub file_order: Option<Vec<usize>>,
}

impl ReadHeadScore {
    /// The means as a tool has them that goes by the order in the file, `[L, H]`, where that is
    /// another than the keys'.
    pub fn by_position(&self) -> Option<HeadMatrix> {
        let (order, mean) = (self.file_order.as_ref()?, self.file.mean());
        let values = order.iter().map(|&head| mean.values()[head]).collect();
        HeadMatrix::new(mean.layers(), mean.heads(), values).ok()
    }
}

/// The file name of a score: `<model>_<score>_heads.json`.
pub fn file_name(model: &str, score: &str) -> String {
    format!("{model}_{score}_heads.json")
}

impl HeadScoreFile {
    /// Takes `values`, `[layers * heads]` lists in row-major order.
    ///
    /// # Errors
    /// [`Error::Bug`] if the [invariants](Self) do not hold; files from outside are checked while
    /// they are read.
    pub fn new(layers: usize, heads: usize, values: Vec<Vec<f32>>) -> Result<Self> {
        if values.len() != layers * heads || values.is_empty() {
            return Err(Error::bug("a head_score has the wrong number of heads")
                .got(values.len())
                .expected(format!("{layers} layers x {heads} heads, at least one")));
        }
        let valid =
            |list: &Vec<f32>| !list.is_empty() && list.iter().all(|v| v.is_finite() && *v >= 0.0);
        if let Some(i) = values.iter().position(|list| !valid(list)) {
            return Err(Error::bug("a head_score has no value, or one that is not a score")
                .at(format!("layer {}, head {}", i / heads, i % heads))
                .got(format!("{:?}", values[i]))
                .expected("finite numbers, not negative, at least one"));
        }
        Ok(Self { layers, heads, values })
    }

    /// One value per probe and head, in the order of the probes, each `[L, H]`.
    ///
    /// # Errors
    /// [`Error::Evidence`] without probes, [`Error::Bug`] if their shapes differ.
    pub fn from_probes(probes: &[HeadMatrix]) -> Result<Self> {
        let Some(first) = probes.first() else {
            return Err(Error::evidence("no accepted probe: there is no head_score to write"));
        };
        let (layers, heads) = (first.layers(), first.heads());
        if probes.iter().any(|p| (p.layers(), p.heads()) != (layers, heads)) {
            return Err(Error::bug("the probes of one score differ in shape"));
        }
        let of_head = |i: usize| probes.iter().map(|probe| probe.values()[i]).collect();
        Self::new(layers, heads, (0..layers * heads).map(of_head).collect())
    }

    /// Reads a file. `expected` is the model's `(layers, heads)`, if there is a model.
    ///
    /// Accepts several lines, single numbers in place of lists, and the whole map under one key of
    /// its own (as DiliLazyKV's `head_dili.json`). Values are placed by key, whatever the order.
    ///
    /// # Errors
    /// [`Error::Data`], naming the key, for anything that is not a finite number from 0 upwards,
    /// an empty list, a key that is missing, out of range, given twice or no `layer-head`, another
    /// size than `expected`, and deeper nesting than that.
    pub fn read(path: &Path, expected: Option<(usize, usize)>) -> Result<ReadHeadScore> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("a head_score file cannot be read").at(path.display()).got(e)
        })?;
        let place = path.display().to_string();
        parse::parse(&utf8_text(&bytes, &place)?, &place, expected)
    }

    /// Number of layers, `L`.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Number of query heads per layer, `H`.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// One list per head, `[L * H]` row-major, with one value per accepted probe.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// The importance of every head: the mean of its list, `[L, H]`.
    pub fn mean(&self) -> HeadMatrix {
        let mean = |list: &Vec<f32>| {
            let sum: f64 = list.iter().map(|&v| f64::from(v)).sum();
            (sum / list.len() as f64) as f32
        };
        let means = self.values.iter().map(mean).collect();
        HeadMatrix::new(self.layers, self.heads, means)
            .expect("the mean of finite numbers is finite and there is one per head")
    }

    /// The content of the file: one line with its newline, each number in the shortest form that
    /// reads back as the same `f32`.
    pub fn to_json_line(&self) -> String {
        let mut line = String::from("{");
        for (i, list) in self.values.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let numbers: Vec<String> = list.iter().map(|v| format!("{v:?}")).collect();
            let (layer, head) = (i / self.heads, i % self.heads);
            line.push_str(&format!("{separator}\"{layer}-{head}\": [{}]", numbers.join(", ")));
        }
        line.push_str("}\n");
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_in_row_major_order() {
        let probes = [
            HeadMatrix::new(2, 2, vec![0.1, 0.0, 1.0, 1e-12]).unwrap(),
            HeadMatrix::new(2, 2, vec![0.3, 2.0, 0.25, 0.5]).unwrap(),
        ];
        let file = HeadScoreFile::from_probes(&probes).unwrap();
        assert_eq!(
            file.to_json_line(),
            "{\"0-0\": [0.1, 0.3], \"0-1\": [0.0, 2.0], \"1-0\": [1.0, 0.25], \
             \"1-1\": [1e-12, 0.5]}\n"
        );
        assert_eq!(file.mean().values(), [0.2, 1.0, 0.625, 0.25]);
        assert_eq!(file_name("needle-llama", "retrieval"), "needle-llama_retrieval_heads.json");
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let awkward = [0.1, 1.0 / 3.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, 16_777_216.0, 0.0];
        let values: Vec<Vec<f32>> =
            (0..6).map(|i| awkward.map(|v| v / (i + 1) as f32).into()).collect();
        let file = HeadScoreFile::new(2, 3, values).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m_inf_heads.json");
        std::fs::write(&path, file.to_json_line()).unwrap();
        let read = HeadScoreFile::read(&path, Some((2, 3))).unwrap();
        assert_eq!(read.file, file);
        assert_eq!(read.warnings, Vec::<String>::new());
        let value: serde_json::Value = serde_json::from_str(&file.to_json_line()).unwrap();
        assert_eq!(value["1-2"][5].as_f64().map(|v| v as f32), Some(16_777_216.0 / 6.0));
    }

    #[test]
    fn a_file_that_is_missing_or_not_text_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent.json");
        let error = HeadScoreFile::read(&path, None).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("absent.json"));
        std::fs::write(&path, b"{\"0-0\": [1], \xff").unwrap();
        let error = HeadScoreFile::read(&path, None).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("absent.json: byte 13"), "{error}");
    }

    #[test]
    fn our_own_mistakes_are_bugs() {
        for values in
            [vec![], vec![vec![1.0]], vec![vec![1.0], vec![]], vec![vec![1.0], vec![-1.0]]]
        {
            assert_eq!(HeadScoreFile::new(1, 2, values).unwrap_err().exit_code(), 1);
        }
        assert_eq!(HeadScoreFile::from_probes(&[]).unwrap_err().exit_code(), 6);
        let mixed = [HeadMatrix::zeros(1, 2), HeadMatrix::zeros(2, 1)];
        assert_eq!(HeadScoreFile::from_probes(&mixed).unwrap_err().exit_code(), 1);
    }
}
