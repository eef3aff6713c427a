//! How a value is laid out: the width, sign and digits of `%5.2f` and `{:>5.2f}`.

use super::fault::{Fault, Outcome};

/// Widths and digits behind the point, at most.
const MOST: usize = 1 << 16;

/// How one value is laid out.
#[derive(Debug, Default, Clone)]
pub struct Spec {
    pub fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    pub align: Option<char>,
    /// `+` or a space.
    pub sign: Option<char>,
    pub alternate: bool,
    pub zero: bool,
    pub comma: bool,
    pub width: usize,
    pub precision: Option<usize>,
    pub kind: Option<char>,
}

pub fn digits(text: &str) -> Outcome<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text[..end].parse() {
        _ if end == 0 => Ok((0, text)),
        Ok(n) if n <= MOST => Ok((n, &text[end..])),
        _ => Err(Fault::raised("too many digits or too wide a format")),
    }
}

pub fn sign_of(negative: bool, spec: &Spec) -> String {
    match negative {
        true => "-".to_owned(),
        false => spec.sign.filter(|s| *s != '-').map_or(String::new(), String::from),
    }
}

pub fn radix(n: u128, kind: char) -> String {
    match kind {
        'x' => format!("{n:x}"),
        'X' => format!("{n:X}"),
        'o' => format!("{n:o}"),
        'b' => format!("{n:b}"),
        _ => n.to_string(),
    }
}

pub fn prefix(kind: char, spec: &Spec) -> String {
    match kind {
        'x' | 'X' | 'o' | 'b' if spec.alternate => format!("0{kind}"),
        _ => String::new(),
    }
}

pub fn integer(n: i128, spec: &Spec) -> Outcome<String> {
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

pub fn floating(n: f64, spec: &Spec) -> Outcome<String> {
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

pub fn aligned(text: String, sign: &str, spec: &Spec) -> String {
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
