//! [`UtilityFacts`]: what curves are about, and [`FinishedCurves`], those of one probe.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{POINTS, UtilityConfig};
use crate::error::{Error, Result};
use crate::heads::{CacheHeads, Granularity};
use crate::job::{self, Inputs, Job, Provenance, Running};
use crate::journal::Finished;

/// What a recording is about, as its plan keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UtilityFacts {
    /// The command line of whoever began it.
    pub command: Vec<String>,
    /// The model's name.
    pub model: String,
    /// Which order of tokens the curves are of.
    pub token_score: String,
    /// Which heads keep tokens of their own.
    pub granularity: String,
    /// Layers, query heads and KV heads.
    pub shape: [usize; 3],
    /// How tokens are put in order.
    pub selection: Value,
    /// What prompts and answers were made of.
    pub provenance: Value,
}

impl UtilityFacts {
    /// Of a recording that is about to be made.
    ///
    /// # Errors
    /// [`Error::Bug`] if the provenance has no form in JSON.
    pub(super) fn new(
        config: &UtilityConfig,
        inputs: &Inputs,
        job: &Job,
        model: Running,
    ) -> Result<Self> {
        let (shape, options) = (model.config, &config.options);
        Ok(Self {
            command: config.command.clone(),
            model: inputs.model.name.clone(),
            token_score: config.token_score.name().to_owned(),
            granularity: config.granularity.name().to_owned(),
            shape: [shape.layers, shape.heads, shape.kv_heads],
            selection: json!({
                "method": config.method.name(),
                "window_size": options.budget.window_tokens,
                "reduce": options.budget.reduce.name(),
                "kernel_size": options.kernel_size,
                "pooling": options.pooling.to_string(),
                "value_norm": options.value_norm.name(),
                "sink_len": options.sink_tokens,
                "scissorhands_rows": options.scissorhands_rows,
            }),
            provenance: job::to_value(&Provenance::new(&config.probes, inputs, job, model))?,
        })
    }

    /// All that decides about the results.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn fingerprint(&self) -> Result<Value> {
        let mut all = job::fingerprint(&self.provenance)?;
        all["headprof"] = env!("CARGO_PKG_VERSION").into();
        all["selection"] = self.selection.clone();
        all["granularity"] = json!(self.granularity);
        Ok(all)
    }

    /// Whose tokens the curves are about.
    ///
    /// # Errors
    /// [`Error::Data`] for a granularity that there is not, or a shape that no model has.
    pub(super) fn cache_heads(&self) -> Result<CacheHeads> {
        let bad = || {
            Error::data("the plan of the run is about heads that there cannot be")
                .got(format!("{:?} of {}", self.shape, self.granularity))
        };
        let granularity = Granularity::named(&self.granularity).ok_or_else(bad)?;
        let [layers, heads, kv_heads] = self.shape;
        let sizes = [layers, heads, POINTS].iter().try_fold(1usize, |n, &m| n.checked_mul(m));
        let fits = sizes.is_some_and(|n| n <= 1 << 32) && kv_heads <= heads;
        match fits && kv_heads > 0 && heads % kv_heads == 0 {
            true => Ok(CacheHeads { layers, heads, kv_heads, granularity }),
            false => Err(bad()),
        }
    }
}

/// The curves of one probe in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedCurves {
    /// `[L, S, K]` in base64, eight bytes each, little-endian; none if the answer does not pass.
    pub curves: Option<String>,
    /// Why there are none, if the probe failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl FinishedCurves {
    /// Of `curves`, `[L, S, K]`, of an answer that passes.
    pub(super) fn new(curves: Option<&[f64]>) -> Self {
        let text = |curves: &[f64]| {
            let bytes: Vec<u8> = curves.iter().flat_map(|v| v.to_le_bytes()).collect();
            STANDARD.encode(bytes)
        };
        Self { curves: curves.map(text), reason: None }
    }

    /// Of a probe that failed because of `error`.
    pub(super) fn failed(error: &Error) -> Self {
        Self { curves: None, reason: Some(error.one_line()) }
    }

    /// The `n` numbers; `None` if the answer does not pass.
    ///
    /// # Errors
    /// [`Error::Data`] if it is another number of them, or one is not finite.
    pub(super) fn curves(&self, n: usize) -> Result<Option<Vec<f64>>> {
        let Some(text) = &self.curves else { return Ok(None) };
        let bad = |got: String| {
            Error::data("these are no curves of heads")
                .got(got)
                .expected(format!("{n} finite numbers of f64 in base64"))
        };
        let bytes = STANDARD.decode(text).map_err(|e| bad(e.to_string()))?;
        let (values, rest) = bytes.as_chunks::<8>();
        if values.len() != n || !rest.is_empty() {
            return Err(bad(format!("{} bytes", bytes.len())));
        }
        let values: Vec<f64> = values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(bad(value.to_string())),
            None => Ok(Some(values)),
        }
    }
}

impl Finished for FinishedCurves {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_the_same_to_the_bit() {
        let curves = [0.1, 1.0 / 3.0, f64::MIN_POSITIVE / 8.0];
        let finished = FinishedCurves::new(Some(&curves));
        assert_eq!(finished.curves(3), Ok(Some(curves.to_vec())));
        assert_eq!(finished.curves(4).unwrap_err().exit_code(), 3);
        assert_eq!(FinishedCurves::new(None).curves(3), Ok(None));
        let nan = FinishedCurves::new(Some(&[f64::NAN]));
        assert_eq!(nan.curves(1).unwrap_err().exit_code(), 3);
        let text = FinishedCurves { curves: Some("*".to_owned()), reason: None };
        assert_eq!(text.curves(1).unwrap_err().exit_code(), 3);
    }
}
