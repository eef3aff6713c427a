//! `'%s' % value` and `'{}'.format(value)`.

use super::access::{attribute_of, item_of};
use super::fault::{Fault, Fuel, Outcome};
use super::given::Given;
use super::text::{repr, str_of};
use super::value::Value;

/// Widths and digits behind the point, at most.
const MOST: usize = 1 << 16;

/// How one value is laid out.
#[derive(Debug, Default, Clone)]
struct Spec {
    fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    /// `+` or a space.
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    comma: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

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

fn digits(text: &str) -> Outcome<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text[..end].parse() {
        _ if end == 0 => Ok((0, text)),
        Ok(n) if n <= MOST => Ok((n, &text[end..])),
        _ => Err(Fault::raised("too many digits or too wide a format")),
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

fn sign_of(negative: bool, spec: &Spec) -> String {
    match negative {
        true => "-".to_owned(),
        false => spec.sign.filter(|s| *s != '-').map_or(String::new(), String::from),
    }
}

fn radix(n: u128, kind: char) -> String {
    match kind {
        'x' => format!("{n:x}"),
        'X' => format!("{n:X}"),
        'o' => format!("{n:o}"),
        'b' => format!("{n:b}"),
        _ => n.to_string(),
    }
}

fn prefix(kind: char, spec: &Spec) -> String {
    match kind {
        'x' | 'X' | 'o' | 'b' if spec.alternate => format!("0{kind}"),
        _ => String::new(),
    }
}

fn integer(n: i128, spec: &Spec) -> Outcome<String> {
    let kind = spec.kind.unwrap_or('d');
    let mut text = radix(n.unsigned_abs(), kind);
    if spec.comma {
        text = grouped(&text);
    }
    Ok(aligned(text, &(sign_of(n < 0, spec) + &prefix(kind, spec)), spec))
}

/// Commas between thousands.
fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find(['.', 'e']).unwrap_or(text.len()));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out + rest
}

fn floating(n: f64, spec: &Spec) -> Outcome<String> {
    let kind = spec.kind.unwrap_or('g');
    if spec.alternate {
        return Err(Fault::unsupported("\"#\" in the format of a number with a point"));
    }
    let digits = spec.precision.unwrap_or(6);
    let m = n.abs();
    let mut text = match kind.to_ascii_lowercase() {
        _ if !m.is_finite() => if m.is_nan() { "nan" } else { "inf" }.to_owned(),
        'f' => format!("{m:.digits$}"),
        '%' => format!("{:.digits$}%", m * 100.0),
        'e' => exponent(m, digits),
        _ => general(m, digits),
    };
    if kind.is_ascii_uppercase() {
        text = text.to_uppercase();
    }
    if spec.comma {
        text = grouped(&text);
    }
    let negative = n.is_sign_negative() && !n.is_nan();
    Ok(aligned(text, &sign_of(negative, spec), spec))
}

/// `1.5e+00`.
fn exponent(m: f64, digits: usize) -> String {
    let text = format!("{m:.digits$e}");
    let (mantissa, e) = text.split_once('e').unwrap_or((&text, "0"));
    let e: i32 = e.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
}

/// The shorter of the two, without zeros at the end.
fn general(m: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = exponent(m, digits - 1);
    let (mantissa, e) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let e: i32 = e.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match e < -4 || e >= digits as i32 {
        true => format!("{}e{}", trimmed(mantissa), &scientific[mantissa.len() + 1..]),
        false => trimmed(&format!("{m:.*}", (digits as i32 - 1 - e).max(0) as usize)),
    }
}

fn aligned(text: String, sign: &str, spec: &Spec) -> String {
    let length = text.chars().count() + sign.chars().count();
    let missing = spec.width.saturating_sub(length);
    let fill = |c: char, n: usize| std::iter::repeat_n(c, n).collect::<String>();
    if spec.zero && spec.align != Some('<') {
        return format!("{sign}{}{text}", fill('0', missing));
    }
    let c = spec.fill.unwrap_or(' ');
    match spec.align {
        Some('<') => format!("{sign}{text}{}", fill(c, missing)),
        Some('^') => {
            format!("{}{sign}{text}{}", fill(c, missing / 2), fill(c, missing - missing / 2))
        }
        Some('=') => format!("{sign}{}{text}", fill(c, missing)),
        _ => format!("{}{sign}{text}", fill(c, missing)),
    }
}

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
