//! The filters that make texts.

use super::fault::{Fault, Fuel, Outcome};
use super::given::{Given, size, text_or_none, whole};
use super::letters::{capitalized, is_letter};
use super::percent::percent;
use super::str_methods::{self, lines, replaced, soft, stripped};
use super::text::{Layout, is_space, json, str_of};
use super::value::{Dict, Value, View};

/// `value | name(given)`.
///
/// # Errors
/// As in jinja2; for what is not supported.
pub fn apply(name: &str, value: &Value, given: Given, fuel: &Fuel) -> Outcome<Value> {
    let result = match name {
        "upper" | "lower" => {
            given.nothing(name)?;
            return str_methods::call(&soft(value, name, fuel)?, name, Given::default(), fuel);
        }
        "capitalize" => {
            given.nothing(name)?;
            Value::str(capitalized(&soft(value, name, fuel)?)?)
        }
        "title" => {
            given.nothing(name)?;
            Value::str(title(&soft(value, name, fuel)?))
        }
        "center" => {
            let [width] = given.bind(name, ["width"], 0)?;
            let positional = vec![width.unwrap_or(Value::Int(80))];
            let given = Given { positional, named: Vec::new() };
            return str_methods::call(&soft(value, name, fuel)?, name, given, fuel);
        }
        "string" => {
            given.nothing(name)?;
            match value {
                Value::Html(_) => value.clone(),
                other => Value::str(str_of(other, fuel)?),
            }
        }
        "safe" | "e" | "escape" | "forceescape" => {
            given.nothing(name)?;
            match (name, value) {
                ("e" | "escape", Value::Html(_)) => value.clone(),
                ("safe", value) => Value::Html(str_of(value, fuel)?.into()),
                (_, value) => Value::Html(escaped(&str_of(value, fuel)?).into()),
            }
        }
        "trim" => {
            let [chars] = given.bind(name, ["chars"], 0)?;
            let chars = text_or_none(chars.as_ref(), name)?;
            Value::str(stripped(&soft(value, name, fuel)?, "strip", chars.as_deref()))
        }
        "replace" => {
            let [old, new, count] = given.bind(name, ["old", "new", "count"], 2)?;
            let part = |part: Option<Value>| str_of(&part.unwrap_or(Value::None), fuel);
            let count = match count {
                None | Some(Value::None) => -1,
                Some(count) => whole(&count, name)?,
            };
            let own = str_of(value, fuel)?;
            Value::str(replaced(&own, &part(old)?, &part(new)?, count, fuel)?)
        }
        "format" => {
            let Given { positional, named } = given;
            let values = match (positional.is_empty(), named.is_empty()) {
                (false, false) => return Err(Fault::raised("format takes values or names")),
                (_, true) => Value::tuple(positional)?,
                (true, false) => Value::Dict(std::rc::Rc::new(Dict::of(named)?)),
            };
            Value::str(percent(&soft(value, name, fuel)?, &values, fuel)?)
        }
        "indent" => {
            let [width, first, blank] = given.bind(name, ["width", "first", "blank"], 0)?;
            let is_true = |v: Option<Value>| v.is_some_and(|v| v.is_true());
            let indent = indentation(width.unwrap_or(Value::Int(4)))?;
            let own = super::given::text(value, name)?;
            Value::str(indented(&own, &indent, is_true(first), is_true(blank), fuel)?)
        }
        "truncate" => truncated(value, given, fuel)?,
        "wordcount" => {
            given.nothing(name)?;
            let own = soft(value, name, fuel)?;
            let (mut words, mut within) = (0, false);
            for c in own.chars() {
                let word = c == '_' || c.is_ascii_digit() || is_letter(c)?;
                words += i128::from(word && !within);
                within = word;
            }
            Value::Int(words)
        }
        "urlencode" => {
            given.nothing(name)?;
            match value {
                Value::Str(text) => Value::str(url(text, "/")),
                Value::Html(_) => return Err(Fault::unsupported("urlencode of a text of HTML")),
                value if value.is_iterable() => Value::str(url_pairs(value, fuel)?),
                value => Value::str(url(&str_of(value, fuel)?, "/")),
            }
        }
        _ => tojson(value, given, fuel)?,
    };
    fuel.spend_bytes(result.as_str().map_or(0, str::len))?;
    Ok(result)
}

fn escaped(own: &str) -> String {
    let mut out = String::new();
    for c in own.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// Words begin with a large letter, and have no other.
fn title(own: &str) -> String {
    let border = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::new();
    for word in own.split_inclusive(border) {
        let end = word.find(border).unwrap_or(word.len());
        let mut chars = word[..end].chars();
        out.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        out.push_str(&chars.as_str().to_lowercase());
        out.push_str(&word[end..]);
    }
    out
}

fn indentation(width: Value) -> Outcome<String> {
    match &width {
        Value::Str(text) => Ok(text.to_string()),
        width => Ok(" ".repeat(size(width, "indent")?)),
    }
}

fn indented(own: &str, indent: &str, first: bool, blank: bool, fuel: &Fuel) -> Outcome<String> {
    let text = format!("{own}\n");
    let lines = lines(&text, false);
    fuel.spend_bytes(own.len() + lines.len() * indent.len())?;
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i == 0 && first) || (i > 0 && (blank || !line.is_empty())) {
            out.push_str(indent);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn truncated(value: &Value, given: Given, fuel: &Fuel) -> Outcome<Value> {
    let names = ["length", "killwords", "end", "leeway"];
    let [length, killwords, end, leeway] = given.bind("truncate", names, 0)?;
    let number = |n: Option<Value>, other: usize| n.map_or(Ok(other), |n| size(&n, "truncate"));
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = text_or_none(end.as_ref(), "truncate")?.unwrap_or_else(|| "...".to_owned());
    let Some(room) = length.checked_sub(end.chars().count()) else {
        return Err(Fault::raised(format!("expected length >= {}", end.chars().count())));
    };
    match value.len() {
        Some(own) if own <= length + leeway => return Ok(value.clone()),
        _ => {}
    }
    let own: Vec<char> = super::given::text(value, "truncate")?.chars().collect();
    fuel.spend_bytes(own.len())?;
    let cut: String = own[..room.min(own.len())].iter().collect();
    let kept = match killwords.is_some_and(|k| k.is_true()) {
        true => cut.as_str(),
        false => cut.rsplit_once(' ').map_or(cut.as_str(), |(kept, _)| kept),
    };
    Ok(Value::str(format!("{kept}{end}")))
}

/// `key=value&…`
fn url_pairs(value: &Value, fuel: &Fuel) -> Outcome<String> {
    let pairs = match value {
        Value::Dict(dict) => Value::View(View::Items, dict.clone()).items(fuel)?,
        other => other.items(fuel)?,
    };
    let part = |value: &Value| Ok(url(&str_of(value, fuel)?, "").replace("%20", "+"));
    let pair = |pair: &Value| match &pair.items(fuel)?[..] {
        [key, value] => Ok(format!("{}={}", part(key)?, part(value)?)),
        _ => Err(Fault::raised("urlencode takes pairs")),
    };
    Ok(pairs.iter().map(pair).collect::<Outcome<Vec<_>>>()?.join("&"))
}

fn url(own: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in own.bytes() {
        match byte {
            b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            byte if safe.as_bytes().contains(&byte) => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// As transformers has it: without the escapes of HTML, and with the options of Python's `json`.
fn tojson(value: &Value, given: Given, fuel: &Fuel) -> Outcome<Value> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] = given.bind("tojson", names, 0)?;
    let is_true = |v: Option<Value>| v.is_some_and(|v| v.is_true());
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(indent) => Some(indentation(indent)?),
    };
    let (between_items, behind_key) = match separators {
        None | Some(Value::None) => {
            (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned())
        }
        Some(pair) => match &pair.items(fuel)?[..] {
            [a, b] => {
                let of = "a separator of tojson";
                (super::given::text(a, of)?, super::given::text(b, of)?)
            }
            _ => return Err(Fault::raised("separators are a pair")),
        },
    };
    let (ascii, sorted) = (is_true(ascii), is_true(sorted));
    let layout = Layout { ascii, indent, between_items, behind_key, sorted };
    json(value, &layout, 0, fuel).map(Value::str)
}
