//! `'{}'.format(value)`.

use super::access::{attribute_of, item_of};
use super::fault::{Fault, Fuel, Outcome};
use super::format::{Spec, aligned, digits, floating, integer};
use super::given::Given;
use super::text::{repr, str_of};
use super::value::Value;

/// `text.format(given)`.
///
/// # Errors
/// As in Python; for what is not supported.
pub fn format_braces(text: &str, given: &Given, fuel: &Fuel) -> Outcome<String> {
    let (mut out, mut rest) = (String::new(), text);
    let mut counted = 0;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = behind;
            continue;
        }
        if brace == "}" {
            return Err(Fault::raised("Single '}' encountered in format string"));
        }
        let end = rest.find(['{', '}']).ok_or_else(|| Fault::raised("expected '}'"))?;
        if rest[end..].starts_with('{') {
            return Err(Fault::unsupported("a brace within braces in format"));
        }
        let (field, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        let (field, conversion) = match field.split_once('!') {
            Some((field, conversion)) => (field, Some(conversion)),
            None => (field, None),
        };
        rest = &rest[end + 1..];
        let value = field_value(field, given, &mut counted, fuel)?;
        let value = match conversion {
            None => value,
            Some("s") => Value::str(str_of(&value, fuel)?),
            Some("r") => Value::str(repr(&value, fuel)?),
            Some(other) => {
                return Err(Fault::unsupported(format!("the conversion !{other} in format")));
            }
        };
        out.push_str(&braced(&value, spec, fuel)?);
        fuel.spend_bytes(out.len())?;
    }
    out.push_str(rest);
    Ok(out)
}

fn field_value(field: &str, given: &Given, counted: &mut usize, fuel: &Fuel) -> Outcome<Value> {
    let name_end = field.find(['.', '[']).unwrap_or(field.len());
    let name = &field[..name_end];
    let index = match name {
        "" => {
            *counted += 1;
            Some(*counted - 1)
        }
        name => name.parse::<usize>().ok(),
    };
    if !name.is_empty() && index.is_some() && *counted > 0 {
        return Err(Fault::raised("fields are numbered by hand and by themselves"));
    }
    let value = match index {
        Some(i) => given.positional.get(i),
        None => given.named.iter().find(|(n, _)| n == name).map(|(_, v)| v),
    };
    let missing = || Fault::raised(format!("format() has no value for {{{name}}}"));
    let mut value = value.ok_or_else(missing)?.clone();
    let mut rest = &field[name_end..];
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('.') {
            let end = behind.find(['.', '[']).unwrap_or(behind.len());
            value = attribute_of(&value, &behind[..end], fuel)?;
            rest = &behind[end..];
        } else {
            let inner = rest.strip_prefix('[').and_then(|r| r.split_once(']'));
            let (key, behind) = inner.ok_or_else(|| Fault::raised("Missing ']'"))?;
            let key = match key.parse::<i128>() {
                Ok(n) if !key.starts_with(['-', '+']) => Value::Int(n),
                _ => Value::str(key),
            };
            value = item_of(&value, &key, fuel)?;
            rest = behind;
        }
    }
    Ok(value)
}

fn braced(value: &Value, text: &str, fuel: &Fuel) -> Outcome<String> {
    if text.is_empty() {
        return str_of(value, fuel);
    }
    let mut spec = braces_spec(text)?;
    let unknown = |kind: char| {
        let of = value.type_name();
        Err(Fault::raised(format!("Unknown format code '{kind}' for object of type '{of}'")))
    };
    match value {
        Value::Str(text) => {
            if let Some(kind) = spec.kind.filter(|k| *k != 's') {
                return unknown(kind);
            }
            if spec.sign.is_some() || spec.comma || spec.align == Some('=') {
                return Err(Fault::raised("a format of numbers for a text"));
            }
            if spec.zero {
                (spec.fill, spec.zero) = (spec.fill.or(Some('0')), false);
            }
            spec.align = spec.align.or(Some('<'));
            let most = spec.precision.unwrap_or(usize::MAX);
            Ok(aligned(text.chars().take(most).collect(), "", &spec))
        }
        Value::Bool(_) | Value::Int(_) => match (value.as_int(), spec.kind) {
            (Some(n), None | Some('d' | 'x' | 'X' | 'o' | 'b')) if spec.precision.is_none() => {
                if matches!(value, Value::Bool(_)) && spec.kind.is_none() {
                    return Err(Fault::unsupported("the layout of a truth value"));
                }
                spec.zero &= spec.align.is_none();
                integer(n, &spec)
            }
            (Some(n), Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%')) => {
                spec.zero &= spec.align.is_none();
                floating(n as f64, &spec)
            }
            (_, kind) => unknown(kind.unwrap_or('.')),
        },
        Value::Float(n) => match spec.kind {
            Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%') => {
                spec.zero &= spec.align.is_none();
                floating(*n, &spec)
            }
            None => Err(Fault::unsupported("a layout of a float without a letter")),
            Some(kind) => unknown(kind),
        },
        Value::Html(_) => Err(Fault::unsupported("a text of HTML in format")),
        other => {
            let of = other.type_name();
            Err(Fault::raised(format!("unsupported format string passed to {of}.__format__")))
        }
    }
}

fn braces_spec(text: &str) -> Outcome<Spec> {
    let mut spec = Spec::default();
    let mut rest = text;
    let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(fill), Some(align)) if is_align(align) => {
            (spec.fill, spec.align) = (Some(fill), Some(align));
            rest = chars.as_str();
        }
        (Some(align), _) if is_align(align) => {
            spec.align = Some(align);
            rest = &text[1..];
        }
        _ => {}
    }
    if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')) {
        spec.sign = Some(sign);
        rest = &rest[1..];
    }
    if let Some(behind) = rest.strip_prefix('#') {
        (spec.alternate, rest) = (true, behind);
    }
    spec.zero = rest.starts_with('0');
    (spec.width, rest) = digits(rest)?;
    if let Some(behind) = rest.strip_prefix(',') {
        (spec.comma, rest) = (true, behind);
    }
    if let Some(behind) = rest.strip_prefix('.') {
        let (n, end) = digits(behind)?;
        if end.len() == behind.len() {
            return Err(Fault::raised("Format specifier missing precision"));
        }
        (spec.precision, rest) = (Some(n), end);
    }
    let mut chars = rest.chars();
    spec.kind = chars.next();
    if spec.comma && spec.zero {
        return Err(Fault::unsupported("zeros and commas in one format"));
    }
    match chars.next() {
        None => Ok(spec),
        Some(_) => Err(Fault::raised(format!("Invalid format specifier '{text}'"))),
    }
}
