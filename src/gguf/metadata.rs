//! Typed access to the metadata of a [`Gguf`], with errors that name file and key.

use anamnesis::{GgufMetadataArray, GgufMetadataValue};

use super::Gguf;
use crate::error::{Error, Result};

/// A whole number of any type, not negative.
pub(super) fn whole(value: &GgufMetadataValue) -> Option<u64> {
    use GgufMetadataValue::*;
    match *value {
        U8(n) => Some(n.into()),
        U16(n) => Some(n.into()),
        U32(n) => Some(n.into()),
        U64(n) => Some(n),
        I8(n) => n.try_into().ok(),
        I16(n) => n.try_into().ok(),
        I32(n) => n.try_into().ok(),
        I64(n) => n.try_into().ok(),
        _ => None,
    }
}

impl Gguf {
    pub(super) fn get(&self, key: &str) -> Option<&GgufMetadataValue> {
        self.metadata.get(key)
    }

    /// The key of this model's own kind: `llama.block_count`.
    pub(super) fn own(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    /// The error for a value that cannot be used.
    pub(super) fn wrong(&self, key: &str, expected: impl std::fmt::Display) -> Error {
        let error = Error::model("a value in the model file cannot be used").at(self.place(key));
        let error = match self.get(key) {
            Some(value) => error.got(shown(value)),
            None => Error::model("the model file lacks a key").at(self.place(key)).got("nothing"),
        };
        error.expected(expected)
    }

    /// A text that has to be there.
    pub(super) fn text(&self, key: &str) -> Result<&str> {
        self.text_or_none(key)?.ok_or_else(|| self.wrong(key, "a text"))
    }

    pub(super) fn text_or_none(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_string().map(Some).ok_or_else(|| self.wrong(key, "a text")),
        }
    }

    /// A whole number from 0 on.
    pub(super) fn whole(&self, key: &str) -> Result<Option<u64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => {
                whole(value).map(Some).ok_or_else(|| self.wrong(key, "a whole number from 0 on"))
            }
        }
    }

    /// The same of a number that may be given for each layer, and then must be one for all.
    pub(super) fn whole_for_all_layers(&self, key: &str) -> Result<Option<u64>> {
        let Some(GgufMetadataValue::Array(all)) = self.get(key) else { return self.whole(key) };
        let wrong = || self.wrong(key, "the same whole number for every layer");
        let numbers: Vec<u64> = match &**all {
            GgufMetadataArray::U32(all) => all.iter().map(|n| u64::from(*n)).collect(),
            GgufMetadataArray::I32(all) => all
                .iter()
                .map(|n| u64::try_from(*n).ok())
                .collect::<Option<_>>()
                .ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        match numbers.first().filter(|first| numbers.iter().all(|n| n == *first)) {
            Some(first) => Ok(Some(*first)),
            None => Err(wrong()),
        }
    }

    /// A number.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = match self.get(key) {
            None => return Ok(None),
            Some(GgufMetadataValue::F32(x)) => Some(f64::from(*x)),
            Some(GgufMetadataValue::F64(x)) => Some(*x),
            Some(value) => whole(value).map(|n| n as f64),
        };
        number.filter(|x| x.is_finite()).map(Some).ok_or_else(|| self.wrong(key, "a finite number"))
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(GgufMetadataValue::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A list of texts that has to be there.
    pub(super) fn texts(&self, key: &str) -> Result<&[String]> {
        let array = self.get(key).and_then(GgufMetadataValue::as_array);
        array
            .and_then(GgufMetadataArray::as_string_slice)
            .ok_or_else(|| self.wrong(key, "a list of texts"))
    }

    /// A list of numbers in f32 that has to be there, `[n]`.
    pub(super) fn floats(&self, key: &str, n: usize) -> Result<&[f32]> {
        let array = self.get(key).and_then(GgufMetadataValue::as_array);
        let floats = array.and_then(GgufMetadataArray::as_f32_slice).filter(|all| all.len() == n);
        floats
            .filter(|all| all.iter().all(|x| x.is_finite()))
            .ok_or_else(|| self.wrong(key, format!("{n} finite numbers in f32")))
    }

    /// A list of whole numbers in i32, `[n]`.
    pub(super) fn ints(&self, key: &str, n: usize) -> Result<Option<&[i32]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let ints = value.as_array().and_then(GgufMetadataArray::as_i32_slice);
        match ints.filter(|all| all.len() == n) {
            Some(ints) => Ok(Some(ints)),
            None => Err(self.wrong(key, format!("{n} whole numbers in i32"))),
        }
    }
}

/// A value for an error: short, whatever it is.
fn shown(value: &GgufMetadataValue) -> String {
    match value {
        GgufMetadataValue::Array(all) => format!("a list of {}", all.len()),
        GgufMetadataValue::String(text) => {
            let head: String = text.chars().take(60).collect();
            format!("{head:?}")
        }
        other => {
            let text = format!("{other:?}");
            // `U32(3)`: the number alone.
            let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
            inner.map_or(text.clone(), str::to_owned)
        }
    }
}
