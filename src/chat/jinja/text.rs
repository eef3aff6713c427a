//! How values are written: `str`, `repr`, JSON, and what Python takes for white space.

use super::fault::{Fault, Fuel, Outcome};
use super::value::{Dict, Value, View};

/// `str.isspace` of one character.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str(value)`.
///
/// # Errors
/// For what is written with its place in memory, and where there is not enough fuel.
pub fn str_of(value: &Value, fuel: &Fuel) -> Outcome<String> {
    let mut out = String::new();
    match value {
        Value::Undefined(_) => {}
        Value::Str(text) | Value::Html(text) => out.push_str(text),
        other => write_repr(other, &mut out, fuel)?,
    }
    fuel.spend_bytes(out.len())?;
    Ok(out)
}

/// `repr(value)`.
///
/// # Errors
/// As [`str_of`].
pub fn repr(value: &Value, fuel: &Fuel) -> Outcome<String> {
    let mut out = String::new();
    write_repr(value, &mut out, fuel)?;
    Ok(out)
}

fn write_repr(value: &Value, out: &mut String, fuel: &Fuel) -> Outcome<()> {
    fuel.spend(1)?;
    fuel.deeper(|| write_one(value, out, fuel))
}

fn write_one(value: &Value, out: &mut String, fuel: &Fuel) -> Outcome<()> {
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Float(n) => out.push_str(&float(*n)),
        Value::Str(text) => {
            fuel.spend_bytes(text.len())?;
            quoted(text, out);
        }
        Value::Html(text) => {
            fuel.spend_bytes(text.len())?;
            out.push_str("Markup(");
            quoted(text, out);
            out.push(')');
        }
        Value::List(items) => write_items("[", &items.items, "]", out, fuel)?,
        Value::Tuple(items) if items.items.len() == 1 => {
            write_items("(", &items.items, ",)", out, fuel)?;
        }
        Value::Tuple(items) => write_items("(", &items.items, ")", out, fuel)?,
        Value::Dict(dict) => write_dict(dict, out, fuel)?,
        Value::View(view, _) => {
            out.push_str(match view {
                View::Keys => "dict_keys(",
                View::Values => "dict_values(",
                View::Items => "dict_items(",
            });
            write_items("[", &value.items(fuel)?, "])", out, fuel)?;
        }
        Value::Range(range) => {
            let step = if range.step == 1 { String::new() } else { format!(", {}", range.step) };
            out.push_str(&format!("range({}, {}{step})", range.start, range.stop));
        }
        Value::Namespace(dict) => {
            let dict = dict.try_borrow().map_err(|_| Fault::unsupported("such a namespace"))?;
            out.push_str("<Namespace ");
            write_dict(&dict, out, fuel)?;
            out.push('>');
        }
        Value::Loop(state) => {
            let (at, of) = (state.index.get() + 1, state.items.len());
            out.push_str(&format!("<LoopContext {at}/{of}>"));
        }
        Value::Macro(of) => out.push_str(&format!("<Macro '{}'>", of.body.name)),
        Value::Iterator(..)
        | Value::Cycler(_)
        | Value::Joiner(_)
        | Value::Function(_)
        | Value::Method(_) => {
            return Err(Fault::unsupported(format!("a {} as text", value.type_name())));
        }
    }
    Ok(())
}

fn write_items(
    begin: &str,
    items: &[Value],
    end: &str,
    out: &mut String,
    fuel: &Fuel,
) -> Outcome<()> {
    out.push_str(begin);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_repr(item, out, fuel)?;
    }
    out.push_str(end);
    Ok(())
}

fn write_dict(dict: &Dict, out: &mut String, fuel: &Fuel) -> Outcome<()> {
    out.push('{');
    for (i, (key, value)) in dict.pairs().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_repr(key, out, fuel)?;
        out.push_str(": ");
        write_repr(value, out, fuel)?;
    }
    out.push('}');
    Ok(())
}

/// A text in quotes, as Python writes it.
fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push(quote);
}

/// `str.isprintable` of one character. Rust escapes the same characters, and marks that combine
/// with what stands before them only where nothing does.
pub fn is_printable(c: char) -> bool {
    let escaped = format!("a{c}").escape_debug().to_string();
    matches!(c, '\\' | '\'' | '"') || escaped.len() == 1 + c.len_utf8()
}

/// `repr` of a float: the fewest digits that say which it is.
pub fn float(n: f64) -> String {
    if n.is_nan() {
        return "nan".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{n:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        e if !(-4..16).contains(&e) => {
            let sign = if e < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", e.abs())
        }
        _ => {
            let plain = format!("{n}");
            if plain.contains('.') { plain } else { plain + ".0" }
        }
    }
}

/// How JSON is laid out.
pub struct Layout {
    pub ascii: bool,
    pub indent: Option<String>,
    pub between_items: String,
    pub behind_key: String,
    pub sorted: bool,
}

/// `json.dumps(value)`.
///
/// # Errors
/// For what has no JSON.
pub fn json(value: &Value, layout: &Layout, level: usize, fuel: &Fuel) -> Outcome<String> {
    fuel.spend(1)?;
    let around = |open: char, close: char, items: Vec<String>| {
        let line = |level: usize| match &layout.indent {
            Some(indent) => format!("\n{}", indent.repeat(level)),
            None => String::new(),
        };
        let between = format!("{}{}", layout.between_items, line(level + 1));
        match items.is_empty() {
            true => format!("{open}{close}"),
            false => {
                format!("{open}{}{}{}{close}", line(level + 1), items.join(&between), line(level))
            }
        }
    };
    let text = match value {
        Value::None => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(n) => json_float(*n),
        Value::Str(text) | Value::Html(text) => json_string(text, layout.ascii),
        Value::List(items) | Value::Tuple(items) => {
            let items = items.items.iter().map(|item| json(item, layout, level + 1, fuel));
            around('[', ']', items.collect::<Outcome<_>>()?)
        }
        Value::Dict(dict) => {
            let mut pairs: Vec<&(Value, Value)> = dict.pairs().collect();
            if layout.sorted {
                let keys: Vec<Value> = dict.keys().cloned().collect();
                if keys.iter().any(|key| key.as_str().is_none()) {
                    return Err(Fault::unsupported("the order of keys that are no texts"));
                }
                pairs.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
            }
            let items = pairs.into_iter().map(|(key, value)| {
                let key = match key {
                    Value::Str(text) | Value::Html(text) => json_string(text, layout.ascii),
                    Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                        format!("\"{}\"", json(key, layout, 0, fuel)?)
                    }
                    other => {
                        let name = other.type_name();
                        return Err(Fault::raised(format!("keys must be str, not {name}")));
                    }
                };
                let value = json(value, layout, level + 1, fuel)?;
                Ok(format!("{key}{}{value}", layout.behind_key))
            });
            around('{', '}', items.collect::<Outcome<_>>()?)
        }
        other => {
            let name = other.type_name();
            let what = format!("Object of type {name} is not JSON serializable");
            return Err(Fault::raised(what));
        }
    };
    fuel.spend_bytes(text.len())?;
    Ok(text)
}

fn json_float(n: f64) -> String {
    match () {
        () if n.is_nan() => "NaN".to_owned(),
        () if n == f64::INFINITY => "Infinity".to_owned(),
        () if n == f64::NEG_INFINITY => "-Infinity".to_owned(),
        () => float(n),
    }
}

fn json_string(text: &str, ascii: bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if ascii && (c as u32) > 0x7e => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
