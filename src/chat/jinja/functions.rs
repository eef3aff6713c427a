//! What templates may call, and the tests and filters that differ between jinja2 and minijinja.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Enumerator, Object, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::{Outcome, json, methods, refused};

/// The day that templates with a date are told, so that a prompt is the same on every day.
/// Templates of Llama 3 fall back to it by themselves.
const DAY: [(&str, &str); 20] = [
    ("d", "26"),
    ("-d", "26"),
    ("e", "26"),
    ("b", "Jul"),
    ("B", "July"),
    ("m", "07"),
    ("-m", "7"),
    ("Y", "2024"),
    ("y", "24"),
    ("A", "Friday"),
    ("a", "Fri"),
    ("F", "2024-07-26"),
    ("H", "12"),
    ("I", "12"),
    ("M", "00"),
    ("S", "00"),
    ("p", "PM"),
    ("j", "208"),
    ("T", "12:00:00"),
    ("%", "%"),
];

/// [`DAY`] at noon, as `format` has it.
fn strftime_now(format: &str) -> Outcome<String> {
    let mut parts = format.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        // `%%` is an empty part between two marks.
        let part = if part.is_empty() { "%" } else { part };
        let found = DAY.iter().find(|(code, _)| part.starts_with(code));
        let Some((code, value)) = found else {
            let code: String = part.chars().take(2).collect();
            return Err(refused(format!("strftime_now('%{code}') is not supported here")));
        };
        text.push_str(value);
        text.push_str(&part[code.len()..]);
        if part == "%" {
            text.push_str(parts.next().unwrap_or_default());
        }
    }
    Ok(text)
}

/// Adds all of it to `env`.
pub(super) fn add_to(env: &mut Environment) {
    env.set_unknown_method_callback(methods::method);
    env.add_function("raise_exception", |text: String| -> Outcome<()> { Err(refused(text)) });
    env.add_function("strftime_now", strftime_now);
    env.add_function("cycler", |items: Rest<Value>| {
        Value::from_object(Cycler { items: items.0, at: AtomicUsize::new(0) })
    });
    env.add_function("joiner", |separator: Option<String>| {
        let separator = separator.unwrap_or_else(|| ", ".to_owned());
        Value::from_object(Joiner { separator, calls: AtomicUsize::new(0) })
    });
    env.add_function("lipsum", |_: Rest<Value>| -> Outcome<()> {
        Err(refused("lipsum is not supported here"))
    });
    let iterable = |value: &Value| {
        !matches!(value.kind(), ValueKind::Undefined | ValueKind::None) && value.try_iter().is_ok()
    };
    env.add_test("iterable", move |value: &Value| value.is_undefined() || iterable(value));
    env.add_test("sequence", |value: &Value| {
        use ValueKind::{Map, Seq, String, Undefined};
        matches!(value.kind(), Map | Seq | String | Undefined)
    });
    env.add_filter("tojson", json::tojson);
    env.add_filter("attr", |_: &State, value: &Value, name: &str| {
        // Attributes alone, not items: what a template is told has none.
        match value.kind() {
            ValueKind::Plain => value.get_attr(name),
            _ => Ok(Value::UNDEFINED),
        }
    });
}

/// `cycler(…)`.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.item(self.at.load(Ordering::Relaxed)))
    }

    fn call_method(self: &Arc<Self>, _: &mut State, name: &str, _: &[Value]) -> Outcome<Value> {
        match name {
            "next" => Ok(self.item(self.at.fetch_add(1, Ordering::Relaxed))),
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Cycler {
    fn item(&self, at: usize) -> Value {
        at.checked_rem(self.items.len()).map_or(Value::UNDEFINED, |i| self.items[i].clone())
    }
}

/// `joiner(…)`: nothing at its first call, then what separates.
#[derive(Debug)]
struct Joiner {
    separator: String,
    calls: AtomicUsize,
}

impl Object for Joiner {
    fn call(self: &Arc<Self>, _: &mut State, _: &[Value]) -> Outcome<Value> {
        let first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(Value::from(if first { "" } else { &self.separator }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}
