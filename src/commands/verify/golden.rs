//! `golden.json`: what transformers computed for a checkpoint, checked before it is believed.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::system::text::without_bom;

/// The contents of `golden.json`; `T` prompt tokens, `S + 1` rows. Every length and every id fits
/// the model, every number is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// The version of transformers.
    pub transformers: Option<String>,
    /// The prompt, `[T]`.
    pub input_ids: Vec<u32>,
    /// Greedy ids, `[S + 1]`.
    pub generated: Vec<u32>,
    /// Logits that predict `generated[s]`, `[S + 1][V]`.
    pub logits_last: Vec<Vec<f32>>,
    /// Weights of the query that produced row `s`, `[S + 1][L][H][t]`: `t = T + s` keys, or the
    /// layer's window.
    pub attention: Vec<Vec<Vec<Vec<f32>>>>,
    /// Greedy id after every token of the prompt, `[T]`.
    pub logits_all_argmax: Vec<u32>,
    /// What rounding of a score is relative to: the largest `Σ |q_i k_i| / √D` of any key,
    /// `[S + 1][L][H]`. Files written before 2026-11 have none.
    pub score_size: Option<Vec<Vec<Vec<f32>>>>,
    /// How far transformers in f32 is from these numbers, which are of f64.
    pub torch_f32: Option<TorchError>,
}

/// How far transformers in f32 is from itself in f64, at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TorchError {
    /// Logits, relative to the largest |logit|.
    pub logits: f32,
    /// Attention weights of each layer, absolute, `[L]`.
    pub attention: Vec<f32>,
}

impl Golden {
    /// The largest [`Golden::score_size`] up to each layer, `[L]`: what rounding there is hands on.
    pub fn largest_scores(&self) -> Vec<f32> {
        let mut sizes = vec![0f32; self.attention.first().map_or(0, Vec::len)];
        for row in self.score_size.iter().flatten() {
            for (size, heads) in sizes.iter_mut().zip(row) {
                *size = heads.iter().fold(*size, |m, v| m.max(*v));
            }
        }
        for layer in 1..sizes.len() {
            sizes[layer] = sizes[layer].max(sizes[layer - 1]);
        }
        sizes
    }

    /// Reads and checks the file for a model of shape `config`.
    ///
    /// # Errors
    /// [`Error::Data`] naming the key.
    pub fn read(path: &Path, config: &ModelConfig) -> Result<Self> {
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("the golden file cannot be read")
                .at(&place)
                .got(e)
                .expected("what scripts/make_golden.py writes for a checkpoint")
                .advice("python3 scripts/make_golden.py DIR")
        })?;
        Self::parse(&bytes, config, &place)
    }

    /// Parses the file's bytes; `place` names it in errors.
    ///
    /// # Errors
    /// [`Error::Data`] naming the key whose value is not as it should be.
    pub fn parse(bytes: &[u8], config: &ModelConfig, place: &str) -> Result<Self> {
        let parts: Parts = serde_json::from_slice(without_bom(bytes)).map_err(|e| {
            Error::data("the golden file does not have the layout of scripts/make_golden.py")
                .at(place)
                .got(e)
                .expected("an object of ids and finite numbers")
        })?;
        let missing = |key: &str| {
            Error::data("the golden file lacks a key")
                .at(format!("{place}: {key}"))
                .advice("write it again with scripts/make_golden.py")
        };
        let golden = Self {
            transformers: parts.transformers,
            input_ids: parts.input_ids.ok_or_else(|| missing("input_ids"))?,
            generated: parts.generated.ok_or_else(|| missing("generated"))?,
            logits_last: parts.logits_last.ok_or_else(|| missing("logits_last"))?,
            attention: parts.attention.ok_or_else(|| missing("attention"))?,
            logits_all_argmax: parts
                .logits_all_argmax
                .ok_or_else(|| missing("logits_all_argmax"))?,
            score_size: parts.score_size,
            torch_f32: parts.torch_f32,
        };
        golden.check(config, place)?;
        Ok(golden)
    }

    fn check(&self, config: &ModelConfig, place: &str) -> Result<()> {
        let check = Check { place };
        let (prompt, rows) = (self.input_ids.len(), self.generated.len());
        for (key, ids) in [
            ("input_ids", &self.input_ids),
            ("generated", &self.generated),
            ("logits_all_argmax", &self.logits_all_argmax),
        ] {
            if ids.is_empty() {
                return Err(check.length(key, 0, "at least 1 id"));
            }
            check.ids(key, ids, config.vocab)?;
        }
        check.equal("logits_all_argmax", self.logits_all_argmax.len(), prompt, "input_ids")?;
        check.equal("logits_last", self.logits_last.len(), rows, "generated")?;
        check.equal("attention", self.attention.len(), rows, "generated")?;
        for (s, logits) in self.logits_last.iter().enumerate() {
            let key = format!("logits_last[{s}]");
            check.equal(&key, logits.len(), config.vocab, "vocab_size")?;
        }
        for (s, layers) in self.attention.iter().enumerate() {
            let key = format!("attention[{s}]");
            check.equal(&key, layers.len(), config.layers, "num_hidden_layers")?;
            for (l, heads) in layers.iter().enumerate() {
                let key = format!("{key}[{l}]");
                check.equal(&key, heads.len(), config.heads, "num_attention_heads")?;
                let keys = prompt + s;
                let window = config.sliding_window[l].map_or(keys, |w| w.min(keys));
                for (h, row) in heads.iter().enumerate() {
                    let key = format!("{key}[{h}]");
                    if row.len() != keys && row.len() != window {
                        let expected = match window == keys {
                            true => format!("{keys} keys"),
                            false => format!("{keys} keys, or the last {window}"),
                        };
                        return Err(check.length(&key, row.len(), &expected));
                    }
                }
            }
        }
        for (s, layers) in self.score_size.iter().flatten().enumerate() {
            let key = format!("score_size[{s}]");
            check.equal(&key, layers.len(), config.layers, "num_hidden_layers")?;
            for (l, heads) in layers.iter().enumerate() {
                let key = format!("{key}[{l}]");
                check.equal(&key, heads.len(), config.heads, "num_attention_heads")?;
            }
        }
        if let Some(error) = &self.torch_f32 {
            let key = "torch_f32.attention";
            check.equal(key, error.attention.len(), config.layers, "num_hidden_layers")?;
        }
        match &self.score_size {
            Some(sizes) => check.equal("score_size", sizes.len(), rows, "generated"),
            None => Ok(()),
        }
    }
}

/// Checks of one file, with errors that name the key.
struct Check<'a> {
    place: &'a str,
}

impl Check<'_> {
    fn length(&self, key: &str, got: usize, expected: &str) -> Error {
        Error::data("the golden file does not fit the checkpoint")
            .at(format!("{}: {key}", self.place))
            .got(format!("{got} entries"))
            .expected(expected)
            .advice("write it for this very checkpoint: scripts/make_golden.py DIR")
    }

    fn equal(&self, key: &str, got: usize, expected: usize, source: &str) -> Result<()> {
        if got == expected {
            return Ok(());
        }
        Err(self.length(key, got, &format!("{expected}, as many as {source}")))
    }

    fn ids(&self, key: &str, ids: &[u32], vocab: usize) -> Result<()> {
        match ids.iter().position(|id| *id as usize >= vocab) {
            None => Ok(()),
            Some(i) => Err(Error::data("the golden file holds an id beyond the vocabulary")
                .at(format!("{}: {key}[{i}]", self.place))
                .got(ids[i])
                .expected(format!("below vocab_size = {vocab}"))),
        }
    }
}

/// The keys as they come; errors in a value name its key.
#[derive(Default)]
struct Parts {
    transformers: Option<String>,
    input_ids: Option<Vec<u32>>,
    generated: Option<Vec<u32>>,
    logits_last: Option<Vec<Vec<f32>>>,
    attention: Option<Vec<Vec<Vec<Vec<f32>>>>>,
    logits_all_argmax: Option<Vec<u32>>,
    score_size: Option<Vec<Vec<Vec<f32>>>>,
    torch_f32: Option<TorchError>,
}

impl<'de> serde::Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with input_ids, generated, logits_last, attention")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Parts, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "transformers" => value(&mut map, &key, &mut parts.transformers)?,
                "input_ids" => value(&mut map, &key, &mut parts.input_ids)?,
                "generated" => value(&mut map, &key, &mut parts.generated)?,
                "logits_last" => value(&mut map, &key, &mut parts.logits_last)?,
                "attention" => value(&mut map, &key, &mut parts.attention)?,
                "logits_all_argmax" => value(&mut map, &key, &mut parts.logits_all_argmax)?,
                "score_size" => value(&mut map, &key, &mut parts.score_size)?,
                "torch_f32" => value(&mut map, &key, &mut parts.torch_f32)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

/// The value of `key` into `slot`, once.
fn value<'de, A: MapAccess<'de>, T: DeserializeOwned>(
    map: &mut A,
    key: &str,
    slot: &mut Option<T>,
) -> std::result::Result<(), A::Error> {
    if slot.is_some() {
        return Err(A::Error::custom(format!("{key} is there twice")));
    }
    let value = map.next_value().map_err(|e| A::Error::custom(format!("{key}: {e}")))?;
    *slot = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// One layer, one head, three ids; a window of two keys.
    fn config() -> ModelConfig {
        let config = json!({
            "model_type": "mistral", "num_hidden_layers": 1, "hidden_size": 2,
            "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 2,
            "vocab_size": 3, "rope_theta": 10.0, "sliding_window": 2,
        });
        ModelConfig::parse(config.to_string().as_bytes(), None, "config.json").unwrap()
    }

    /// Three prompt tokens, two rows; the second row keeps the last two of its four keys.
    fn golden() -> Value {
        json!({
            "input_ids": [0, 1, 2], "generated": [1, 0],
            "logits_last": [[0.0, 1.0, -1.0], [0.5, 0.0, 0.0]],
            "attention": [[[[0.0, 0.5, 0.5]]], [[[0.25, 0.75]]]],
            "logits_all_argmax": [1, 1, 1],
        })
    }

    fn error_of(text: &str) -> String {
        let e = Golden::parse(text.as_bytes(), &config(), "m/golden.json").unwrap_err();
        assert_eq!(e.exit_code(), 3, "{e}");
        assert!(e.to_string().contains("m/golden.json"), "{e}");
        e.to_string()
    }

    #[test]
    fn reads_the_layout_with_and_without_the_keys_before_the_window() {
        let read = |v: Value| Golden::parse(v.to_string().as_bytes(), &config(), "g");
        assert_eq!(read(golden()).unwrap().attention[1][0][0], [0.25, 0.75]);
        let mut full = golden();
        full["attention"][1][0][0] = json!([0.0, 0.0, 0.25, 0.75]);
        full["transformers"] = json!("5.0");
        full["comment"] = json!({"ignored": [1]});
        assert_eq!(read(full).unwrap().transformers.as_deref(), Some("5.0"));
    }

    #[test]
    fn every_missing_key_is_named() {
        for key in ["input_ids", "generated", "logits_last", "attention", "logits_all_argmax"] {
            let mut v = golden();
            v.as_object_mut().unwrap().remove(key);
            assert!(error_of(&v.to_string()).contains(&format!("m/golden.json: {key}")));
        }
    }

    #[test]
    fn every_wrong_shape_or_value_is_named() {
        for (pointer, value, named) in [
            ("/input_ids", json!([]), "input_ids"),
            ("/input_ids", json!([0, 1]), "logits_all_argmax"),
            ("/input_ids", json!([0, 1, 3]), "input_ids[2]"),
            ("/input_ids", json!([0, -1, 2]), "input_ids"),
            ("/input_ids", json!("012"), "input_ids"),
            ("/generated", json!([1, 9]), "generated[1]"),
            ("/generated", json!([1, 0, 0]), "logits_last"),
            ("/logits_all_argmax/0", json!(7), "logits_all_argmax[0]"),
            ("/logits_last/1", json!([0.0]), "logits_last[1]"),
            ("/logits_last/1/2", json!(1e39), "logits_last: number out of range"),
            ("/logits_last/1/2", json!(null), "logits_last"),
            ("/attention", json!([]), "attention"),
            ("/attention/0", json!([[], []]), "attention[0]"),
            ("/attention/0/0", json!([[1.0], [1.0]]), "attention[0][0]"),
            ("/attention/0/0/0", json!([0.0, 1.0, 0.0, 0.0]), "attention[0][0][0]"),
            ("/attention/1/0/0", json!([0.0, 1.0, 0.0]), "attention[1][0][0]"),
            ("/attention/1/0/0/0", json!("NaN"), "attention"),
            ("/attention/1/0/0", json!(0.5), "attention"),
        ] {
            let mut v = golden();
            *v.pointer_mut(pointer).unwrap() = value.clone();
            let e = error_of(&v.to_string());
            assert!(e.contains(named), "{pointer} = {value}: {e}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_refused_under_its_key() {
        let text = golden().to_string();
        for number in ["NaN", "Infinity", "-Infinity", "1e999"] {
            let e = error_of(&text.replace("0.75", number));
            assert!(e.contains("attention: "), "{number}: {e}");
        }
        assert!(
            error_of(&text.replace("{", "{\"generated\":[1,0],"))
                .contains("generated is there twice")
        );
        for text in ["", "[]", "nonsense", "{\"input_ids\": [1"] {
            error_of(text);
        }
        error_of(&format!("{{\"x\":{}", "[".repeat(100_000)));
    }
}
