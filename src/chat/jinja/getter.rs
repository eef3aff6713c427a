//! [`Getter`]: what `attribute=` of a filter looks at.

use super::access::item_of;
use super::eval::Interpreter;
use super::fault::Outcome;
use super::value::Value;

/// What a filter looks at in an item.
pub struct Getter {
    /// One path for each attribute asked for; none: the item itself.
    pub paths: Vec<Vec<Value>>,
    pub default: Option<Value>,
    /// Whether `a` and `A` are the same.
    pub ignores_case: bool,
    /// Whether the keys are a list, one for each path.
    pub several: bool,
}

impl Getter {
    /// Of an attribute such as `a.0.b`.
    pub fn new(attribute: Option<Value>) -> Self {
        let paths = attribute.into_iter().filter(|a| !matches!(a, Value::None)).map(|a| path(&a));
        Self { paths: paths.collect(), default: None, ignores_case: false, several: false }
    }

    /// Of several, with commas between them.
    pub fn several(attribute: Option<Value>) -> Self {
        let paths = match &attribute {
            Some(Value::Str(names)) => names.split(',').map(|n| path(&Value::str(n))).collect(),
            _ => Self::new(attribute).paths,
        };
        Self { paths, default: None, ignores_case: false, several: true }
    }
}

fn path(attribute: &Value) -> Vec<Value> {
    let part = |part: &str| match part.parse::<i128>() {
        Ok(n) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(n),
        _ => Value::str(part),
    };
    match attribute {
        Value::Str(names) => names.split('.').map(part).collect(),
        other => vec![other.clone()],
    }
}

impl Interpreter<'_> {
    /// What `getter` finds at one of its paths.
    ///
    /// # Errors
    /// Where there is nothing to look at.
    pub fn get(&mut self, getter: &Getter, path: &[Value], item: &Value) -> Outcome<Value> {
        let mut value = item.clone();
        for part in path {
            value = item_of(&value, part, self.fuel)?;
            if let (Value::Undefined(_), Some(default)) = (&value, &getter.default) {
                value = default.clone();
            }
        }
        Ok(match &value {
            Value::Str(text) if getter.ignores_case => {
                self.fuel.spend_bytes(text.len())?;
                Value::str(text.to_lowercase())
            }
            _ => value,
        })
    }

    /// What `getter` finds at its only path.
    ///
    /// # Errors
    /// As [`Interpreter::get`].
    pub fn get_one(&mut self, getter: &Getter, item: &Value) -> Outcome<Value> {
        let path = getter.paths.first().map_or(&[][..], Vec::as_slice);
        self.get(getter, path, item)
    }
}
