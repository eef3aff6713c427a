//! `value.name`, `value[index]` and `value[start:stop:step]`.

use super::fault::{Fault, Fuel, Outcome};
use super::str_methods;
use super::value::{Range, Value, View};

/// Methods of lists that change them: the sandbox gives nothing for them.
const CHANGING_LISTS: [&str; 8] =
    ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
/// The same of dicts.
const CHANGING_DICTS: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];

/// An attribute that Python knows.
enum Attribute {
    Is(Value),
    Method(&'static str),
    /// One that the sandbox keeps away.
    Denied,
    Unsupported,
    Missing,
}

/// Picks `name` from the methods that are known, changing ones, and others.
fn named(name: &str, known: &[&'static str], denied: &[&str], others: &[&str]) -> Attribute {
    if let Some(found) = known.iter().find(|n| **n == name) {
        return Attribute::Method(found);
    }
    match () {
        () if denied.contains(&name) => Attribute::Denied,
        () if others.contains(&name) => Attribute::Unsupported,
        () => Attribute::Missing,
    }
}

fn attribute(value: &Value, name: &str) -> Attribute {
    use Attribute::{Is, Missing};
    match value {
        _ if name.starts_with('_') => Missing,
        Value::Str(_) => named(name, &str_methods::NAMES, &[], &str_methods::OTHERS),
        Value::Html(_) => {
            let others =
                [&str_methods::NAMES[..], &str_methods::OTHERS, &["striptags", "unescape"]];
            named(name, &[], &[], &others.concat())
        }
        Value::List(_) => named(name, &["copy", "count", "index"], &CHANGING_LISTS, &[]),
        Value::Tuple(items) => match items.names.iter().position(|n| *n == name) {
            Some(i) => Is(items.items[i].clone()),
            None => named(name, &["count", "index"], &[], &[]),
        },
        Value::Dict(_) => {
            let known = ["copy", "get", "items", "keys", "values"];
            named(name, &known, &CHANGING_DICTS, &["fromkeys"])
        }
        Value::View(view, dict) => match (view, name) {
            (_, "mapping") => Is(Value::Dict(dict.clone())),
            (View::Keys | View::Items, "isdisjoint") => Attribute::Unsupported,
            _ => Missing,
        },
        Value::Range(range) => match name {
            "start" => Is(Value::Int(range.start)),
            "stop" => Is(Value::Int(range.stop)),
            "step" => Is(Value::Int(range.step)),
            _ => named(name, &["count", "index"], &[], &[]),
        },
        Value::Bool(_) | Value::Int(_) => {
            let others = [
                "as_integer_ratio",
                "bit_count",
                "bit_length",
                "conjugate",
                "denominator",
                "from_bytes",
                "imag",
                "is_integer",
                "numerator",
                "real",
                "to_bytes",
            ];
            named(name, &[], &[], &others)
        }
        Value::Float(_) => {
            let others =
                ["as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"];
            named(name, &["is_integer"], &[], &others)
        }
        Value::Namespace(dict) => match dict.borrow().text(name) {
            Some(value) => Is(value.clone()),
            None => Missing,
        },
        Value::Loop(state) => {
            let at = state.index.get();
            let (n, near) = (state.items.len(), |i: Option<usize>, why: &str| {
                let item = i.and_then(|i| state.items.get(i)).cloned();
                Is(item.unwrap_or_else(|| Value::undefined(why)))
            });
            let int = |n: usize| Is(Value::Int(n as i128));
            match name {
                "index" => int(at + 1),
                "index0" => int(at),
                "revindex" => int(n - at),
                "revindex0" => int(n - at - 1),
                "first" => Is(Value::Bool(at == 0)),
                "last" => Is(Value::Bool(at + 1 == n)),
                "length" => int(n),
                "depth" => int(state.level + 1),
                "depth0" => int(state.level),
                "previtem" => near(at.checked_sub(1), "there is no previous item"),
                "nextitem" => near(at.checked_add(1), "there is no next item"),
                _ => named(name, &["changed", "cycle"], &[], &[]),
            }
        }
        Value::Cycler(state) => match name {
            "current" => Is(state.0[state.1.get()].clone()),
            "pos" => Is(Value::Int(state.1.get() as i128)),
            _ => named(name, &["next", "reset"], &[], &["items"]),
        },
        Value::Joiner(state) => match name {
            "sep" => Is(state.0.clone()),
            "used" => Is(Value::Bool(state.1.get())),
            _ => Missing,
        },
        Value::Macro(of) if name == "name" => Is(Value::str(of.body.name.as_str())),
        Value::Iterator(..) | Value::Macro(_) | Value::Function(_) | Value::Method(_) => {
            Attribute::Unsupported
        }
        Value::None | Value::Undefined(_) => Missing,
    }
}

fn nothing(value: &Value, name: &str) -> Value {
    Value::undefined(format!("'{}' object has no attribute '{name}'", value.type_name()))
}

fn found(value: &Value, name: &str) -> Outcome<Option<Value>> {
    match attribute(value, name) {
        Attribute::Is(value) => Ok(Some(value)),
        Attribute::Method(method) => {
            Ok(Some(Value::Method(std::rc::Rc::new((value.clone(), method)))))
        }
        Attribute::Denied => {
            let of = value.type_name();
            Ok(Some(Value::undefined(format!("access to '{name}' of '{of}' is unsafe"))))
        }
        Attribute::Unsupported => {
            let of = value.type_name();
            Err(Fault::unsupported(format!("the attribute {name} of a {of}")))
        }
        Attribute::Missing => Ok(None),
    }
}

/// `value.name`: an attribute, or else an item.
///
/// # Errors
/// Where `value` is nothing; for what is not supported.
pub fn attribute_of(value: &Value, name: &str, fuel: &Fuel) -> Outcome<Value> {
    if let Value::Undefined(why) = value {
        return Err(Fault::raised(&**why));
    }
    if let Some(found) = found(value, name)? {
        return Ok(found);
    }
    let item = item(value, &Value::str(name), fuel)?;
    Ok(item.unwrap_or_else(|| nothing(value, name)))
}

/// `value | attr(name)`: an attribute alone.
///
/// # Errors
/// Where `value` is nothing; for what is not supported.
pub fn attribute_alone(value: &Value, name: &str) -> Outcome<Value> {
    match value {
        Value::Undefined(why) => Err(Fault::raised(&**why)),
        _ => Ok(found(value, name)?.unwrap_or_else(|| nothing(value, name))),
    }
}

/// `value[index]`: an item, or else an attribute.
///
/// # Errors
/// Where `value` is nothing; for what is not supported.
pub fn item_of(value: &Value, index: &Value, fuel: &Fuel) -> Outcome<Value> {
    if let Value::Undefined(why) = value {
        return Err(Fault::raised(&**why));
    }
    if let Some(item) = item(value, index, fuel)? {
        return Ok(item);
    }
    match index.as_str() {
        Some(name) => Ok(found(value, name)?.unwrap_or_else(|| nothing(value, name))),
        None => Ok(Value::undefined(format!("'{}' object has no such item", value.type_name()))),
    }
}

/// `value[index]` as Python has it, and nothing where that is an error.
fn item(value: &Value, index: &Value, fuel: &Fuel) -> Outcome<Option<Value>> {
    let place = |length: usize| {
        let n = index.as_int()?;
        let n = if n < 0 { n + length as i128 } else { n };
        usize::try_from(n).ok().filter(|n| *n < length)
    };
    Ok(match value {
        Value::List(items) | Value::Tuple(items) => {
            place(items.items.len()).map(|i| items.items[i].clone())
        }
        Value::Str(text) | Value::Html(text) => {
            fuel.spend_bytes(text.len())?;
            let c = place(text.chars().count()).and_then(|i| text.chars().nth(i));
            match (c, value) {
                (Some(_), Value::Html(_)) => {
                    return Err(Fault::unsupported("a part of a text of HTML"));
                }
                (c, _) => c.map(|c| Value::str(String::from(c))),
            }
        }
        Value::Dict(dict) => match index {
            Value::List(_) | Value::Dict(_) | Value::View(..) => None,
            // A tuple of what cannot be a key is none either.
            Value::Tuple(_) => dict.get(index, fuel).ok().flatten().cloned(),
            _ => dict.get(index, fuel)?.cloned(),
        },
        Value::Range(range) => {
            place(range.len()).map(|i| Value::Int(range.start + range.step * i as i128))
        }
        Value::Loop(_) | Value::Macro(_) | Value::Namespace(_) => None,
        Value::Function("dict") if index.as_str().is_none() => {
            return Err(Fault::unsupported("an item of \"dict\""));
        }
        _ => None,
    })
}

/// `value[start:stop:step]`.
///
/// # Errors
/// Where `value` is nothing; for a step of zero; for what is not supported.
pub fn slice(value: &Value, parts: [Option<Value>; 3], fuel: &Fuel) -> Outcome<Value> {
    let length = match value {
        Value::Undefined(why) => return Err(Fault::raised(&**why)),
        Value::Str(_) | Value::List(_) | Value::Tuple(_) => value.len().unwrap_or(0) as i128,
        // jinja2 has an error or nothing, as it comes to it before it renders or then.
        _ => return Err(Fault::unsupported(format!("a slice of a {}", value.type_name()))),
    };
    let mut bounds = [None; 3];
    for (bound, part) in bounds.iter_mut().zip(parts) {
        *bound = match part {
            None | Some(Value::None) => None,
            Some(part) => match part.as_int() {
                Some(n) => Some(n),
                None => return Err(Fault::unsupported("a slice whose ends are no whole numbers")),
            },
        };
    }
    let (start, stop, step) = (bounds[0], bounds[1], bounds[2].unwrap_or(1));
    if step == 0 {
        return Err(Fault::raised("slice step cannot be zero"));
    }
    // Python's `slice.indices`.
    let (low, high) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let clamp = |n: Option<i128>, default: i128| match n {
        None => default,
        Some(n) if n < 0 => n.saturating_add(length).max(low),
        Some(n) => n.min(high),
    };
    let start = clamp(start, if step < 0 { high } else { low });
    let stop = clamp(stop, if step < 0 { low } else { high });
    let range = Range { start, stop, step: step.clamp(-length - 1, length + 1) };
    fuel.spend(range.len())?;
    let indices = range.items().filter_map(|i| usize::try_from(i).ok());
    match value {
        Value::List(items) => Value::list(indices.map(|i| items.items[i].clone()).collect()),
        Value::Tuple(items) => Value::tuple(indices.map(|i| items.items[i].clone()).collect()),
        _ => {
            let text = value.as_str().unwrap_or_default();
            fuel.spend_bytes(text.len())?;
            let chars: Vec<char> = text.chars().collect();
            Ok(Value::str(indices.map(|i| chars[i]).collect::<String>()))
        }
    }
}
