//! The filters that make numbers: `abs`, `float`, `int` and `round`.

use super::arithmetic::arithmetic;
use super::fault::{Fault, Fuel, Outcome};
use super::given::{Given, text, whole};
use super::text::is_space;
use super::value::Value;

/// `value | name(given)`.
///
/// # Errors
/// As in jinja2; for what is not supported.
pub fn apply(name: &str, value: &Value, given: Given, fuel: &Fuel) -> Outcome<Value> {
    if let Value::Undefined(why) = value {
        return Err(Fault::raised(&**why));
    }
    match name {
        "abs" => {
            given.nothing(name)?;
            match value {
                Value::Float(n) => Ok(Value::Float(n.abs())),
                value => match value.as_int() {
                    Some(n) if n < 0 => arithmetic("-", &Value::Int(0), value, fuel),
                    Some(n) => Ok(Value::Int(n)),
                    None => {
                        let of = value.type_name();
                        Err(Fault::raised(format!("bad operand type for abs(): '{of}'")))
                    }
                },
            }
        }
        "int" => {
            let [default, base] = given.bind(name, ["default", "base"], 0)?;
            if base.is_some_and(|base| base.as_int() != Some(10)) {
                return Err(Fault::unsupported("the filter int with a base"));
            }
            let other = default.unwrap_or(Value::Int(0));
            let large = || Fault::unsupported("a whole number of more than 38 digits");
            let of_float = |n: f64| match n.is_finite() {
                true if n.abs() < 1e38 => Ok(Value::Int(n as i128)),
                true => Err(large()),
                false => Ok(other.clone()),
            };
            if matches!(value, Value::Float(n) if n.is_infinite()) {
                return Err(Fault::raised("cannot convert float infinity to integer"));
            }
            match value {
                Value::Str(text) | Value::Html(text) => match (digits(text), number(text)) {
                    (Some(digits), _) => digits.parse().map(Value::Int).map_err(|_| large()),
                    (None, Some(n)) => of_float(n),
                    (None, None) => Ok(other),
                },
                Value::Float(n) => of_float(*n),
                value => Ok(value.as_int().map_or(other, Value::Int)),
            }
        }
        "float" => {
            let [default] = given.bind(name, ["default"], 0)?;
            let parsed = match value {
                Value::Str(text) | Value::Html(text) => number(text),
                value => value.as_float(),
            };
            Ok(parsed.map(Value::Float).or(default).unwrap_or(Value::Float(0.0)))
        }
        _ => round(value, given, fuel),
    }
}

/// The digits of a whole number as Python reads it.
fn digits(own: &str) -> Option<String> {
    let own = own.trim_matches(is_space);
    let unsigned = own.strip_prefix(['-', '+']).unwrap_or(own);
    underscored(unsigned).then(|| own.replace('_', ""))
}

/// Digits with single underscores between them.
fn underscored(own: &str) -> bool {
    !own.is_empty()
        && own.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// A number as Python's `float` reads it.
fn number(own: &str) -> Option<f64> {
    let own = own.trim_matches(is_space);
    let clean = own.replace('_', "");
    let between_digits = own.char_indices().filter(|(_, c)| *c == '_').all(|(i, _)| {
        let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
        i > 0 && digit(own.as_bytes().get(i - 1)) && digit(own.as_bytes().get(i + 1))
    });
    clean.parse().ok().filter(|_| between_digits)
}

fn round(value: &Value, given: Given, fuel: &Fuel) -> Outcome<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"], 0)?;
    let precision = precision.map_or(Ok(0), |n| whole(&n, "round"))?;
    let method = method.map_or(Ok("common".to_owned()), |m| text(&m, "round"))?;
    let Ok(places) = usize::try_from(precision).map(|n| n.min(400)) else {
        return Err(Fault::unsupported("rounding before the point"));
    };
    if !matches!(method.as_str(), "common" | "ceil" | "floor") {
        return Err(Fault::raised("method must be common, ceil or floor"));
    }
    let Some(n) = value.as_float() else {
        let of = value.type_name();
        return Err(Fault::raised(format!("type {of} cannot be rounded")));
    };
    if method == "common" {
        return match value.as_int() {
            Some(n) => Ok(Value::Int(n)),
            // Both round to the nearest, and a half to the even one.
            None => {
                let rounded = format!("{n:.places$}").parse();
                rounded.map(Value::Float).map_err(|_| Fault::raised("no number to round"))
            }
        };
    }
    let power = arithmetic("**", &Value::Int(10), &Value::Int(places as i128), fuel)?;
    let scaled = arithmetic("*", value, &power, fuel)?.as_float().unwrap_or(n);
    let whole = if method == "ceil" { scaled.ceil() } else { scaled.floor() };
    if !whole.is_finite() || whole.abs() > 1e38 {
        return Err(Fault::unsupported("rounding of so large a number"));
    }
    arithmetic("/", &Value::Int(whole as i128), &power, fuel)
}
