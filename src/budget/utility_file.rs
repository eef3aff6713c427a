//! The file of utility curves: how `headprof utility` hands them to an allocation.
//!
//! One JSON object, here on several lines:
//!
//! ```text
//! {"format": "headprof-utility", "version": 1,
//!  "model": "needle-llama", "token_score": "window", "granularity": "kv_head",
//!  "fractions": [0.01, 0.02, ..., 1.0],                        [K], ascending, the last 1
//!  "utilities": [[[0.31, 0.40, ..., 1.0], ...], ...]}          [L][S][K], not falling
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::UtilityCurves;
use crate::error::{Error, Result};
use crate::heads::Granularity;
use crate::system::text::without_bom;

const FORMAT: &str = "headprof-utility";
const VERSION: u32 = 1;

/// Curves, and what they were made with.
#[derive(Debug, Clone, PartialEq)]
pub struct UtilityFile {
    /// The model that was profiled.
    pub model: String,
    /// The token score whose order the curves follow, by [`crate::eviction::TokenScoreInfo::name`]:
    /// `window` for the method `snapkv`.
    pub token_score: String,
    /// Whose curves they are.
    pub granularity: Granularity,
    /// The curves.
    pub curves: UtilityCurves,
}

/// The file as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    model: String,
    token_score: String,
    granularity: String,
    fractions: Vec<f32>,
    utilities: Vec<Vec<Vec<f32>>>,
}

impl UtilityFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file for anything but the format above: other keys, another
    /// version, layers or heads of different sizes, curves that [`UtilityCurves::new`] refuses.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("a file of utility curves cannot be read").at(path.display()).got(e)
        })?;
        Self::parse(&bytes).map_err(|e| e.within(path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::data(format!("a file of utility curves {what}"));
        let document: Document = serde_json::from_slice(without_bom(bytes)).map_err(|e| {
            wrong("is not of the format").got(e).expected(format!("JSON, \"format\": \"{FORMAT}\""))
        })?;
        if (document.format.as_str(), document.version) != (FORMAT, VERSION) {
            return Err(wrong("is of another format")
                .got(format!("{:?}, version {}", document.format, document.version))
                .expected(format!("\"{FORMAT}\", version {VERSION}")));
        }
        let known = [Granularity::KvHead, Granularity::QueryHead];
        let granularity = known.into_iter().find(|g| g.name() == document.granularity);
        let granularity = granularity.ok_or_else(|| {
            wrong("has no such granularity")
                .got(format!("{:?}", document.granularity))
                .expected("kv_head or query_head")
        })?;
        let (layers, points) = (document.utilities.len(), document.fractions.len());
        let heads = document.utilities.first().map_or(0, Vec::len);
        for (l, layer) in document.utilities.iter().enumerate() {
            if layer.len() != heads || layer.iter().any(|curve| curve.len() != points) {
                return Err(wrong("has layers or curves of different sizes")
                    .at(format!("layer {l}"))
                    .expected(format!("{heads} heads with {points} points each, in all layers")));
            }
        }
        let utilities = document.utilities.into_iter().flatten().flatten().collect();
        let curves = UtilityCurves::new(layers, heads, document.fractions, utilities)?;
        let (model, token_score) = (document.model, document.token_score);
        Ok(Self { model, token_score, granularity, curves })
    }

    /// The file's content.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn to_json_line(&self) -> Result<String> {
        let curves = &self.curves;
        let of_layer = |l| (0..curves.heads()).map(|s| curves.curve(l, s).to_vec()).collect();
        crate::system::terminal::json_line(&Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            model: self.model.clone(),
            token_score: self.token_score.clone(),
            granularity: self.granularity.name().to_owned(),
            fractions: curves.fractions().to_vec(),
            utilities: (0..curves.layers()).map(of_layer).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"format": "headprof-utility", "version": 1, "model": "m",
        "token_score": "window", "granularity": "kv_head", "fractions": [0.1, 1.0],
        "utilities": [[[0.3, 0.7], [0.0, 0.1]], [[0.2, 0.2], [1e-30, 3.4e38]]]}"#;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let file = UtilityFile::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((file.curves.layers(), file.curves.heads()), (2, 2));
        assert_eq!(file.curves.curve(1, 0), [0.2, 0.2]);
        assert_eq!(file.granularity, Granularity::KvHead);
        let line = file.to_json_line().unwrap();
        assert_eq!(UtilityFile::parse(line.as_bytes()).unwrap(), file);
    }

    #[test]
    fn anything_else_is_refused() {
        for (from, to) in [
            ("headprof-utility", "other"),
            ("\"version\": 1", "\"version\": 2"),
            ("\"version\": 1", "\"version\": 1, \"version\": 1"),
            ("\"version\": 1", "\"version\": 1, \"more\": 1"),
            ("\"model\": \"m\",", ""),
            ("kv_head", "head"),
            ("[0.1, 1.0]", "[0.1, 0.9]"),
            ("[0.1, 1.0]", "[]"),
            ("0.7", "0.2"),
            ("0.7", "NaN"),
            ("0.7", "1e400"),
            ("0.7", "1e39"),
            ("0.7", "null"),
            ("0.7", "0.7, 0.8"),
            (", [0.0, 0.1]", ""),
            ("[[0.2, 0.2], [1e-30, 3.4e38]]", "[]"),
            ("}", ""),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replacen(from, to, 1);
            let error = UtilityFile::parse(text.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{text}");
        }
        for text in ["", "[]", "{}", "null"] {
            assert_eq!(UtilityFile::parse(text.as_bytes()).unwrap_err().exit_code(), 3);
        }
        let deep = GOOD.replacen("0.7", &"[".repeat(1_000_000), 1);
        assert_eq!(UtilityFile::parse(deep.as_bytes()).unwrap_err().exit_code(), 3);
        assert_eq!(UtilityFile::parse(&[0xff, 0xfe]).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn the_file_and_the_place_in_it_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.json");
        let error = UtilityFile::read(&path).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("curves.json"));
        std::fs::write(&path, GOOD.replacen("0.7", "0.2", 1)).unwrap();
        let text = UtilityFile::read(&path).unwrap_err().to_string();
        assert!(text.contains("curves.json: layer 0, head 0"), "{text}");
    }
}
