//! The methods of texts.

use super::braces::format_braces;
use super::fault::{Fault, Fuel, Outcome};
use super::given::{Given, size, text, text_or_none, whole};
use super::letters::{cased, is};
use super::text::{is_space, str_of};
use super::value::Value;

/// Those that are known.
pub const NAMES: [&str; 42] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// Those that Python has besides.
pub const OTHERS: [&str; 5] = ["encode", "expandtabs", "format_map", "maketrans", "translate"];

/// `own.name(given)`.
///
/// # Errors
/// As in Python; for what is not supported.
pub fn call(own: &str, name: &str, given: Given, fuel: &Fuel) -> Outcome<Value> {
    fuel.spend_bytes(own.len())?;
    let result = match name {
        "capitalize" | "casefold" | "lower" | "swapcase" | "title" | "upper" | "isalnum"
        | "isalpha" | "isascii" | "isdecimal" | "isdigit" | "isidentifier" | "islower"
        | "isnumeric" | "isprintable" | "isspace" | "istitle" | "isupper" => {
            given.nothing(name)?;
            if name.starts_with("is") { Value::Bool(is(own, name)?) } else { cased(own, name)? }
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = given.bind(name, ["/chars"], 0)?;
            let chars = text_or_none(chars.as_ref(), name)?;
            Value::str(stripped(own, name, chars.as_deref()))
        }
        "split" | "rsplit" => {
            let [sep, most] = given.bind(name, ["sep", "maxsplit"], 0)?;
            let most = most.map_or(Ok(-1), |n| whole(&n, name))?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let parts = match text_or_none(sep.as_ref(), name)? {
                Some(sep) if sep.is_empty() => return Err(Fault::raised("empty separator")),
                Some(sep) => split(own, name, &sep, most),
                None => split_space(own, name, most),
            };
            Value::list(parts.into_iter().map(Value::str).collect())?
        }
        "splitlines" => {
            let [keep] = given.bind(name, ["keepends"], 0)?;
            let lines = lines(own, keep.is_some_and(|k| k.is_true()));
            Value::list(lines.into_iter().map(Value::str).collect())?
        }
        "partition" | "rpartition" => {
            let [sep] = given.bind(name, ["/sep"], 1)?;
            Value::tuple(partition(own, name, &required_text(sep, name)?)?)?
        }
        "startswith" | "endswith" => affix(own, name, given, fuel)?,
        "removeprefix" | "removesuffix" => {
            let [affix] = given.bind(name, ["/affix"], 1)?;
            let affix = required_text(affix, name)?;
            let rest = match name {
                "removeprefix" => own.strip_prefix(&affix),
                _ => own.strip_suffix(&affix),
            };
            Value::str(rest.unwrap_or(own))
        }
        "replace" => {
            let [old, new, count] = given.bind(name, ["/old", "/new", "count"], 2)?;
            let (old, new) = (required_text(old, name)?, required_text(new, name)?);
            let count = count.map_or(Ok(-1), |n| whole(&n, name))?;
            Value::str(replaced(own, &old, &new, count, fuel)?)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => searched(own, name, given)?,
        "join" => {
            let [items] = given.bind(name, ["/items"], 1)?;
            let items = items.map_or(Ok(Vec::new()), |items| items.items(fuel))?;
            let of = "an item of join";
            let parts = items.iter().map(|item| text(item, of)).collect::<Outcome<Vec<_>>>()?;
            Value::str(parts.join(own))
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = given.bind(name, ["/width", "/fill"], 1)?;
            let width = width.map_or(Ok(0), |n| size(&n, name))?;
            let fill = fill.map_or(Ok(" ".to_owned()), |f| text(&f, name))?;
            let mut chars = fill.chars();
            let (Some(fill), None) = (chars.next(), chars.next()) else {
                let what = "The fill character must be exactly one character long";
                return Err(Fault::raised(what));
            };
            fuel.spend_bytes(width)?;
            Value::str(padded(own, name, width, fill))
        }
        "zfill" => {
            let [width] = given.bind(name, ["/width"], 1)?;
            let width = width.map_or(Ok(0), |n| size(&n, name))?;
            fuel.spend_bytes(width)?;
            let zeros = "0".repeat(width.saturating_sub(own.chars().count()));
            let sign = own.chars().next().filter(|c| matches!(c, '+' | '-'));
            let digits = &own[usize::from(sign.is_some())..];
            Value::str(format!("{}{zeros}{digits}", sign.map_or(String::new(), String::from)))
        }
        "format" => Value::str(format_braces(own, &given, fuel)?),
        _ => return Err(Fault::unsupported(format!("the method {name} of a text"))),
    };
    if let Value::Str(text) = &result {
        fuel.spend_bytes(text.len())?;
    }
    Ok(result)
}

fn required_text(value: Option<Value>, name: &str) -> Outcome<String> {
    text(&value.unwrap_or(Value::None), name)
}

/// `str.strip`, `str.lstrip` and `str.rstrip`.
pub fn stripped<'a>(own: &'a str, name: &str, chars: Option<&str>) -> &'a str {
    let drops = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    match name {
        "strip" => own.trim_matches(drops),
        "lstrip" => own.trim_start_matches(drops),
        _ => own.trim_end_matches(drops),
    }
}

fn split<'a>(own: &'a str, name: &str, sep: &str, most: usize) -> Vec<&'a str> {
    let pieces = most.saturating_add(1);
    match name {
        "split" => own.splitn(pieces, sep).collect(),
        _ => {
            let mut parts: Vec<&str> = own.rsplitn(pieces, sep).collect();
            parts.reverse();
            parts
        }
    }
}

fn split_space<'a>(own: &'a str, name: &str, most: usize) -> Vec<&'a str> {
    let mut parts = Vec::new();
    if name == "split" {
        let mut rest = own.trim_start_matches(is_space);
        while !rest.is_empty() {
            if parts.len() == most {
                parts.push(rest);
                break;
            }
            let end = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(is_space);
        }
        return parts;
    }
    let mut rest = own.trim_end_matches(is_space);
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        let space = rest.char_indices().rev().find(|(_, c)| is_space(*c));
        let begin = space.map_or(0, |(i, c)| i + c.len_utf8());
        parts.push(&rest[begin..]);
        rest = rest[..begin].trim_end_matches(is_space);
    }
    parts.reverse();
    parts
}

/// `str.splitlines`.
pub fn lines(own: &str, keep: bool) -> Vec<&str> {
    let ends = |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}'..='\u{2029}');
    let (mut lines, mut rest) = (Vec::new(), own);
    while !rest.is_empty() {
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        let length = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..if keep { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    lines
}

fn partition(own: &str, name: &str, sep: &str) -> Outcome<Vec<Value>> {
    if sep.is_empty() {
        return Err(Fault::raised("empty separator"));
    }
    let parts = match name {
        "partition" => own.split_once(sep).map_or([own, "", ""], |(a, b)| [a, sep, b]),
        _ => own.rsplit_once(sep).map_or(["", "", own], |(a, b)| [a, sep, b]),
    };
    Ok(parts.map(Value::str).to_vec())
}

/// The part of `own` between two indices, as a slice in Python has them.
fn between<'a>(
    own: &'a str,
    start: Option<&Value>,
    end: Option<&Value>,
) -> Outcome<(usize, &'a str)> {
    let length = own.chars().count() as i128;
    let index = |value: Option<&Value>, default: i128| match value {
        None | Some(Value::None) => Ok(default),
        Some(value) => {
            let n = whole(value, "an index")?;
            Ok(if n < 0 { (n + length).max(0) } else { n })
        }
    };
    let (start, end) = (index(start, 0)?, index(end, length)?.min(length));
    let byte = |n: i128| {
        own.char_indices().nth(usize::try_from(n).unwrap_or(usize::MAX)).map_or(own.len(), |c| c.0)
    };
    match start > end {
        // Not even an empty text is found there.
        true => Ok((usize::MAX, "")),
        false => Ok((start as usize, &own[byte(start)..byte(end)])),
    }
}

fn affix(own: &str, name: &str, given: Given, fuel: &Fuel) -> Outcome<Value> {
    let [affix, start, end] = given.bind(name, ["/affix", "/start", "/end"], 1)?;
    let (at, part) = between(own, start.as_ref(), end.as_ref())?;
    let affixes = match affix {
        Some(Value::Tuple(items)) => items.items.clone(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    fuel.spend(affixes.len())?;
    for affix in affixes {
        let affix = text(&affix, name)?;
        let found = match name {
            "startswith" => part.starts_with(&affix),
            _ => part.ends_with(&affix),
        };
        if found && at < usize::MAX {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn searched(own: &str, name: &str, given: Given) -> Outcome<Value> {
    let [part, start, end] = given.bind(name, ["/sub", "/start", "/end"], 1)?;
    let part = required_text(part, name)?;
    let (at, inner) = between(own, start.as_ref(), end.as_ref())?;
    if name == "count" {
        let count = if at == usize::MAX { 0 } else { inner.matches(&*part).count() };
        return Ok(Value::Int(count as i128));
    }
    let found = if name.starts_with('r') { inner.rfind(&part) } else { inner.find(&part) };
    match found.filter(|_| at < usize::MAX) {
        Some(i) => Ok(Value::Int((at + inner[..i].chars().count()) as i128)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(Fault::raised("substring not found")),
    }
}

/// `str.replace`; a negative `count` is all.
///
/// # Errors
/// Where there is not enough fuel.
pub fn replaced(own: &str, old: &str, new: &str, count: i128, fuel: &Fuel) -> Outcome<String> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let found = own.matches(old).take(count).count();
    fuel.spend_bytes(own.len() + found * new.len())?;
    Ok(own.replacen(old, new, count))
}

fn padded(own: &str, name: &str, width: usize, fill: char) -> String {
    let missing = width.saturating_sub(own.chars().count());
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // Python's choice for an odd number.
        _ => missing / 2 + (missing & width & 1),
    };
    let fill = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    format!("{}{own}{}", fill(left), fill(missing - left))
}

/// `str(value)` of what a filter takes for a text.
///
/// # Errors
/// For a text of HTML, which would have other methods.
pub fn soft(value: &Value, of: &str, fuel: &Fuel) -> Outcome<String> {
    match value {
        Value::Html(_) => Err(Fault::unsupported(format!("a text of HTML in {of}"))),
        other => str_of(other, fuel),
    }
}
