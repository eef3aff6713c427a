//! Methods of Python's texts that minijinja-contrib has not.

use minijinja::value::from_args;
use minijinja::{State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{Outcome, refused};

/// The method `name` of `value`.
///
/// # Errors
/// Where there is none, and where Python fails.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Outcome<Value> {
    let Some(text) = value.as_str() else {
        return unknown_method_callback(state, value, name, args);
    };
    match name {
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(refused("empty separator"));
            }
            let cut = match name {
                "partition" => text.split_once(separator).ok_or([text, "", ""]),
                _ => text.rsplit_once(separator).ok_or(["", "", text]),
            };
            let parts = cut.map_or_else(|whole| whole, |(head, tail)| [head, separator, tail]);
            Ok(parts.into_iter().map(Value::from).collect())
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            let Some(separator) = separator else {
                return Err(refused("rsplit without a separator is not supported here"));
            };
            let parts = match most.and_then(|n| usize::try_from(n).ok()) {
                Some(n) => text.rsplitn(n + 1, separator).collect::<Vec<_>>(),
                None => text.rsplit(separator).collect(),
            };
            Ok(parts.into_iter().rev().map(Value::from).collect())
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}
