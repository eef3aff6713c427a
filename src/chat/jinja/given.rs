//! [`Given`]: the values that a call hands over, and the parameters they are for.

use super::fault::{Fault, Outcome};
use super::value::Value;

/// Arguments of a call.
#[derive(Debug, Default)]
pub struct Given {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

impl Given {
    /// The values for `names`, of which the first `required` must be there. A name that begins
    /// with `/` cannot be written in a call.
    ///
    /// # Errors
    /// For values that are too many, missing, or of another name.
    pub fn bind<const N: usize>(
        self,
        of: &str,
        names: [&str; N],
        required: usize,
    ) -> Outcome<[Option<Value>; N]> {
        if self.positional.len() > N {
            let given = self.positional.len();
            let what = format!("{of}() takes at most {N} arguments ({given} given)");
            return Err(Fault::raised(what));
        }
        let mut values = std::array::from_fn(|_| None);
        for (place, value) in values.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|n| *n == name) {
                Some(i) if values[i].is_none() => values[i] = Some(value),
                Some(_) => {
                    let what = format!("{of}() got multiple values for argument '{name}'");
                    return Err(Fault::raised(what));
                }
                None => {
                    let what = format!("{of}() got an unexpected keyword argument '{name}'");
                    return Err(Fault::raised(what));
                }
            }
        }
        match values.iter().take(required).position(Option::is_none) {
            Some(i) => {
                let name = names[i].trim_start_matches('/');
                Err(Fault::raised(format!("{of}() misses its argument '{name}'")))
            }
            None => Ok(values),
        }
    }

    /// # Errors
    /// Where anything is given.
    pub fn nothing(self, of: &str) -> Outcome<()> {
        self.bind(of, [], 0).map(|[]| ())
    }
}

/// The text that a parameter must be.
///
/// # Errors
/// For other values.
pub fn text(value: &Value, of: &str) -> Outcome<String> {
    match value {
        Value::Str(text) => Ok(text.to_string()),
        Value::Html(_) => Err(Fault::unsupported(format!("a text of HTML in {of}"))),
        Value::Undefined(why) => Err(Fault::raised(&**why)),
        other => Err(Fault::raised(format!("{of} must be str, not {}", other.type_name()))),
    }
}

/// The whole number that a parameter must be.
///
/// # Errors
/// For other values.
pub fn whole(value: &Value, of: &str) -> Outcome<i128> {
    match value {
        Value::Undefined(why) => Err(Fault::raised(&**why)),
        other => other.as_int().ok_or_else(|| {
            let name = other.type_name();
            Fault::raised(format!("'{name}' object cannot be interpreted as an integer ({of})"))
        }),
    }
}

/// The text or nothing, where `None` stands for nothing.
///
/// # Errors
/// For other values.
pub fn text_or_none(value: Option<&Value>, of: &str) -> Outcome<Option<String>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => text(value, of).map(Some),
    }
}

/// A size: a whole number, none below zero.
///
/// # Errors
/// For other values, and for sizes that no text has.
pub fn size(value: &Value, of: &str) -> Outcome<usize> {
    let n = whole(value, of)?.max(0);
    match usize::try_from(n) {
        Ok(n) if n <= 1 << 24 => Ok(n),
        _ => Err(Fault::raised(format!("{n} is too large ({of})"))),
    }
}
