//! `'%s' % value`.

use super::fault::{Fault, Fuel, Outcome};
use super::format::{Spec, aligned, digits, floating, integer, prefix, radix, sign_of};
use super::text::{repr, str_of};
use super::value::Value;

/// `text % value`.
///
/// # Errors
/// As in Python; for what is not supported.
pub fn percent(text: &str, value: &Value, fuel: &Fuel) -> Outcome<String> {
    let values = match value {
        Value::Tuple(items) => items.items.clone(),
        one => vec![one.clone()],
    };
    let mapping =
        matches!(value, Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_));
    let mut next = values.into_iter();
    let mut named = false;
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut key = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner.find(')').ok_or_else(|| Fault::raised("incomplete format key"))?;
            let found = match value {
                Value::Dict(dict) => dict.text(&inner[..end]).cloned(),
                _ => return Err(Fault::raised("format requires a mapping")),
            };
            let missing = || Fault::raised(format!("KeyError: '{}'", &inner[..end]));
            key = Some(found.ok_or_else(missing)?);
            named = true;
            rest = &inner[end + 1..];
        }
        let (spec, behind) = percent_spec(rest)?;
        rest = behind;
        let kind = spec.kind.unwrap_or('%');
        if kind == '%' {
            out.push('%');
            continue;
        }
        let few = || Fault::raised("not enough arguments for format string");
        let value = key.or_else(|| next.next()).ok_or_else(few)?;
        out.push_str(&percent_value(&value, kind, spec, fuel)?);
        fuel.spend_bytes(out.len())?;
    }
    out.push_str(rest);
    if next.next().is_some() && !mapping && !named {
        return Err(Fault::raised("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn percent_spec(text: &str) -> Outcome<(Spec, &str)> {
    let mut spec = Spec { align: Some('>'), ..Spec::default() };
    let mut rest = text;
    loop {
        match rest.chars().next() {
            Some('-') => spec.align = Some('<'),
            Some('+') => spec.sign = Some('+'),
            Some(' ') => spec.sign = spec.sign.or(Some(' ')),
            Some('#') => spec.alternate = true,
            Some('0') => spec.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    (spec.width, rest) = digits(rest)?;
    if let Some(behind) = rest.strip_prefix('.') {
        let (n, behind) = digits(behind)?;
        spec.precision = Some(n);
        rest = behind;
    }
    rest = rest.trim_start_matches(['h', 'l', 'L']);
    let mut chars = rest.chars();
    spec.kind = chars.next();
    match spec.kind {
        None => Err(Fault::raised("incomplete format")),
        Some('*') => Err(Fault::unsupported("a width from the values, \"*\",")),
        Some(_) => Ok((spec, chars.as_str())),
    }
}

fn percent_value(value: &Value, kind: char, mut spec: Spec, fuel: &Fuel) -> Outcome<String> {
    let number = |value: &Value| {
        let what = format!("%{kind} format: a number is required, not {}", value.type_name());
        value.as_float().ok_or_else(|| Fault::raised(what))
    };
    match kind {
        's' | 'r' => {
            let text = if kind == 's' { str_of(value, fuel)? } else { repr(value, fuel)? };
            let text = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
            spec.zero = false;
            Ok(aligned(text, "", &spec))
        }
        'c' => match value {
            Value::Str(text) if text.chars().count() == 1 => {
                spec.zero = false;
                Ok(aligned(text.to_string(), "", &spec))
            }
            _ => Err(Fault::unsupported("%c of this")),
        },
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let whole = match (value, kind) {
                (Value::Float(n), 'd' | 'i' | 'u') if n.abs() < 1e38 => *n as i128,
                (Value::Float(_), _) => {
                    return Err(Fault::raised(format!("%{kind} format: no whole number")));
                }
                _ => value.as_int().ok_or_else(|| {
                    let name = value.type_name();
                    Fault::raised(format!("%{kind} format: a number is required, not {name}"))
                })?,
            };
            if let Some(least) = spec.precision.take() {
                let text = radix(whole.unsigned_abs(), kind);
                let zeros = "0".repeat(least.saturating_sub(text.len()));
                let sign = sign_of(whole < 0, &spec) + &prefix(kind, &spec);
                return Ok(aligned(zeros + &text, &sign, &spec));
            }
            spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
            integer(whole, &spec)
        }
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => floating(number(value)?, &spec),
        _ => Err(Fault::raised(format!("unsupported format character '{kind}'"))),
    }
}
