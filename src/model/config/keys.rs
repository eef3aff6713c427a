//! Typed access to the keys of a JSON object, with errors that name the key.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// One JSON object with the name under which errors mention it.
pub(super) struct Keys<'a> {
    pub map: &'a Map<String, Value>,
    pub place: &'a str,
}

impl Keys<'_> {
    /// How errors call a key of this object.
    pub fn at(&self, key: &str) -> String {
        format!("{}: {key}", self.place)
    }

    /// The value of a key; `null` counts as absent, as in transformers.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// The error for a value that cannot be used.
    pub fn wrong(&self, key: &str, value: &Value, expected: impl std::fmt::Display) -> Error {
        let mut got = value.to_string();
        if got.len() > 200 {
            got = format!("{}...", got.chars().take(200).collect::<String>());
        }
        Error::model("a value in the model's configuration cannot be used")
            .at(self.at(key))
            .got(got)
            .expected(expected)
    }

    /// The error for a key that is not there.
    pub fn missing(&self, key: &str) -> Error {
        Error::model("the model's configuration lacks a key")
            .at(self.at(key))
            .got("nothing")
            .advice("take config.json from the same download as the weights")
    }

    /// A whole number from 1 to `limit`.
    pub fn size(&self, key: &str, default: Option<usize>, limit: u64) -> Result<usize> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| self.missing(key));
        };
        match value.as_u64() {
            Some(n) if (1..=limit).contains(&n) => Ok(n as usize),
            _ => Err(self.wrong(key, value, format!("a whole number from 1 to {limit}"))),
        }
    }

    /// A finite number.
    pub fn number(&self, key: &str, default: Option<f64>) -> Result<f64> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| self.missing(key));
        };
        value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.wrong(key, value, "a number"))
    }

    /// A finite number above 0.
    pub fn positive(&self, key: &str, default: Option<f64>) -> Result<f64> {
        let n = self.number(key, default)?;
        if n > 0.0 { Ok(n) } else { Err(self.wrong(key, &self.map[key], "a number above 0")) }
    }

    /// True or false.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false")),
        }
    }

    /// One token id or a list of them; none if the key is absent.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        match value {
            Value::Array(list) => list.iter().map(id).collect::<Option<Vec<_>>>(),
            one => id(one).map(|n| vec![n]),
        }
        .ok_or_else(|| self.wrong(key, value, "a token id or a list of them"))
    }

    /// Refuses any text but those `allowed`; an absent key is fine.
    pub fn refuse_unless(&self, key: &str, allowed: &[&str]) -> Result<()> {
        match self.get(key) {
            Some(value) if !value.as_str().is_some_and(|s| allowed.contains(&s)) => {
                Err(self.wrong(key, value, allowed.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses the key, whatever its value.
    pub fn refuse_present(&self, key: &str, what: &str) -> Result<()> {
        match self.get(key) {
            Some(_) => Err(Error::model(format!("{what} are not supported"))
                .at(self.at(key))
                .expected("weights in f32, bf16 or f16")),
            None => Ok(()),
        }
    }

    /// Refuses any number but `only`; an absent key is fine.
    pub fn refuse_other_number(&self, key: &str, only: f64) -> Result<()> {
        match self.get(key) {
            Some(value) if value.as_f64() != Some(only) => Err(self.wrong(key, value, only)),
            _ => Ok(()),
        }
    }
}
