//! Reading what headprof wrote into a folder.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::data::Triple;
use crate::error::{Error, Result};
use crate::system::text::without_bom;

/// A mean with its interval, as results have it.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Estimate {
    pub mean: f64,
    #[serde(default)]
    pub interval_95: Option<[f64; 2]>,
}

impl Estimate {
    /// Mean, low, high.
    pub fn triple(self) -> Triple {
        let ends = self.interval_95.map_or([None; 2], |ends| ends.map(Some));
        (self.mean, ends[0], ends[1])
    }
}

/// The JSON in `path`; `None` where there is no such file.
///
/// # Errors
/// [`Error::Data`] for a file that cannot be read or holds something else.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(path, &e.to_string())),
        Ok(bytes) => bytes,
    };
    let value = serde_json::from_slice(without_bom(&bytes));
    value.map(Some).map_err(|e| unreadable(path, &e.to_string()))
}

/// The error about a file that is not what headprof writes.
pub(super) fn unreadable(path: &Path, why: &str) -> Error {
    Error::data("a result cannot be read")
        .at(path.display())
        .got(why)
        .expected("a file as this headprof writes it")
        .advice("run its command again, or move the file elsewhere")
}

/// `value` with five significant digits, as many as a page shows.
pub(super) fn short(value: f32) -> f64 {
    let value = f64::from(value);
    if value == 0.0 {
        return 0.0;
    }
    let scale = 10f64.powi(4 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_digits_are_left() {
        for (value, expected) in [
            (0.381_925_02, "0.38193"),
            (0.0, "0.0"),
            (-1.234_567, "-1.2346"),
            (98_765.4, "98765.0"),
            (1.0e-7, "1e-7"),
        ] {
            assert_eq!(format!("{:?}", short(value)), expected);
        }
    }
}
