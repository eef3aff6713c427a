//! Rotary embeddings: base and scaling, in both dialects of `config.json`.

use serde_json::Value;

use super::keys::Keys;
use crate::error::{Error, Result};

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Frequencies as they are.
    Default,
    /// Every frequency divided by `factor`.
    Linear {
        /// How many times as long contexts get, above 0.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// What long wavelengths are divided by, above 0.
        factor: f64,
        /// Wavelengths above `original_max_positions` over this are long.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions` over this are short.
        high_freq_factor: f64,
        /// Tokens of context that the model was made for before.
        original_max_positions: usize,
    },
    /// Each frequency divided by a factor of its own, `[D / 2]`: what GGUF files hold in place of
    /// [`RopeScaling::Llama3`].
    Factors(Vec<f32>),
}

/// Rotary position embedding: base and scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// The base θ.
    pub theta: f64,
    /// Long-context scaling.
    pub scaling: RopeScaling,
}

impl Keys<'_> {
    /// θ and scaling from either dialect; from both where they mean the same.
    pub fn rope(&self) -> Result<RopeConfig> {
        let dialects = ["rope_parameters", "rope_scaling"];
        match dialects.map(|name| self.get(name).map(|value| (name, value))) {
            [None, None] => Ok(RopeConfig {
                theta: self.positive("rope_theta", Some(10_000.0))?,
                scaling: RopeScaling::Default,
            }),
            [Some(one), None] | [None, Some(one)] => self.rope_of(one),
            [Some(new), Some(old)] => {
                let (as_new, as_old) = (self.rope_of(new)?, self.rope_of(old)?);
                if as_new == as_old {
                    return Ok(as_new);
                }
                Err(Error::model("the configuration describes RoPE twice, differently")
                    .at(self.at("rope_scaling"))
                    .got(format!("{} (rope_theta {})", old.1, as_old.theta))
                    .expected(format!("what rope_parameters says: {}", new.1))
                    .advice("remove the one that is wrong; transformers 5 follows rope_scaling"))
            }
        }
    }

    /// θ and scaling from one of the two objects.
    fn rope_of(&self, (name, value): (&str, &Value)) -> Result<RopeConfig> {
        let theta = |keys: &Keys| keys.positive("rope_theta", Some(10_000.0));
        let Value::Object(map) = value else {
            return Err(self.wrong(name, value, "an object with rope_type"));
        };
        let place = self.at(name);
        let keys = Keys { map, place: &place };
        keys.refuse_other_number("partial_rotary_factor", 1.0)?;
        let theta = if keys.get("rope_theta").is_some() { theta(&keys)? } else { theta(self)? };
        let kind = keys.get("rope_type").or_else(|| keys.get("type"));
        let scaling = match kind.map(|kind| (kind, kind.as_str())) {
            // As in transformers; but a factor without a kind cannot be meant to do nothing.
            None if keys.get("factor").is_none() => RopeScaling::Default,
            None => return Err(keys.missing("rope_type")),
            Some((_, Some("default"))) => RopeScaling::Default,
            Some((_, Some("linear"))) => {
                RopeScaling::Linear { factor: keys.positive("factor", None)? }
            }
            Some((_, Some("llama3"))) => {
                let scaling = RopeScaling::Llama3 {
                    factor: keys.positive("factor", None)?,
                    low_freq_factor: keys.positive("low_freq_factor", None)?,
                    high_freq_factor: keys.positive("high_freq_factor", None)?,
                    original_max_positions: keys.size(
                        "original_max_position_embeddings",
                        None,
                        1 << 32,
                    )?,
                };
                if keys.number("low_freq_factor", None)? >= keys.number("high_freq_factor", None)? {
                    return Err(Error::model("the llama3 frequency ramp is empty")
                        .at(keys.at("high_freq_factor"))
                        .expected("more than low_freq_factor"));
                }
                scaling
            }
            Some((kind, _)) => {
                return Err(Error::model("this kind of RoPE scaling is not supported")
                    .at(keys.at("rope_type"))
                    .got(kind)
                    .expected("default, linear or llama3"));
            }
        };
        Ok(RopeConfig { theta, scaling })
    }
}
