//! `+`, `-`, `*`, `/`, `//`, `%` and `**`, by the rules of Python.

use super::fault::{Fault, Fuel, Outcome};
use super::percent::percent;
use super::value::Value;

/// `left op right`.
///
/// # Errors
/// As in Python; for whole numbers of more than 38 digits.
pub fn arithmetic(op: &str, left: &Value, right: &Value, fuel: &Fuel) -> Outcome<Value> {
    if let (Value::Str(text), "%") = (left, op) {
        return percent(text, right, fuel).map(Value::str);
    }
    for side in [left, right] {
        match side {
            Value::Undefined(why) => return Err(Fault::raised(&**why)),
            Value::Html(_) => {
                return Err(Fault::unsupported(format!("{op} with a text of HTML")));
            }
            _ => {}
        }
    }
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        return integers(op, a, b);
    }
    if let (Some(a), Some(b)) = (left.as_float(), right.as_float()) {
        return floats(op, a, b).map(Value::Float);
    }
    let unsupported = || {
        Err(Fault::raised(format!(
            "unsupported operand type(s) for {op}: '{}' and '{}'",
            left.type_name(),
            right.type_name()
        )))
    };
    match (op, left, right) {
        ("+", Value::Str(a), Value::Str(b)) => {
            fuel.spend_bytes(a.len() + b.len())?;
            Ok(Value::str(format!("{a}{b}")))
        }
        ("+", Value::List(a), Value::List(b)) => {
            fuel.spend(a.items.len() + b.items.len())?;
            Value::list([&a.items[..], &b.items].concat())
        }
        ("+", Value::Tuple(a), Value::Tuple(b)) => {
            fuel.spend(a.items.len() + b.items.len())?;
            Value::tuple([&a.items[..], &b.items].concat())
        }
        ("*", sequence, times) | ("*", times, sequence)
            if times.as_int().is_some()
                && matches!(sequence, Value::Str(_) | Value::List(_) | Value::Tuple(_)) =>
        {
            repeated(sequence, times.as_int().unwrap_or(0), fuel)
        }
        ("-" | "+", Value::View(..), _) | ("-" | "+", _, Value::View(..)) => {
            Err(Fault::unsupported(format!("{op} of views of dicts")))
        }
        _ => unsupported(),
    }
}

fn repeated(sequence: &Value, times: i128, fuel: &Fuel) -> Outcome<Value> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    match sequence {
        Value::Str(text) => {
            fuel.spend_bytes(text.len().saturating_mul(times))?;
            Ok(Value::str(text.repeat(times)))
        }
        Value::List(items) => {
            fuel.spend(items.items.len().saturating_mul(times))?;
            Value::list(copies(&items.items, times))
        }
        Value::Tuple(items) => {
            fuel.spend(items.items.len().saturating_mul(times))?;
            Value::tuple(copies(&items.items, times))
        }
        _ => Err(Fault::raised("a value that cannot be repeated")),
    }
}

fn copies(items: &[Value], times: usize) -> Vec<Value> {
    std::iter::repeat_n(items, times).flatten().cloned().collect()
}

fn integers(op: &str, a: i128, b: i128) -> Outcome<Value> {
    let zero = || Fault::raised("division by zero");
    let large = || Fault::unsupported("a whole number of more than 38 digits");
    if op == "/" {
        return if b == 0 { Err(zero()) } else { Ok(Value::Float(a as f64 / b as f64)) };
    }
    if op == "**" && b < 0 {
        return match a {
            0 => Err(Fault::raised("0 cannot be raised to a negative power")),
            _ => Ok(Value::Float((a as f64).powf(b as f64))),
        };
    }
    let n = match op {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "**" => match a {
            0 | 1 => Some(if b == 0 { 1 } else { a }),
            _ => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        },
        _ if b == 0 => return Err(zero()),
        // Towards minus infinity.
        _ => a.checked_div_euclid(b).map(|quotient| {
            let remainder = a.rem_euclid(b);
            let up = remainder != 0 && b < 0;
            let (quotient, remainder) =
                if up { (quotient - 1, remainder + b) } else { (quotient, remainder) };
            if op == "//" { quotient } else { remainder }
        }),
    };
    n.map(Value::Int).ok_or_else(large)
}

fn floats(op: &str, a: f64, b: f64) -> Outcome<f64> {
    Ok(match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "**" if a == 0.0 && b < 0.0 => {
            return Err(Fault::raised("0.0 cannot be raised to a negative power"));
        }
        "**" if a < 0.0 && b.fract() != 0.0 && b.is_finite() => {
            return Err(Fault::unsupported("a complex number"));
        }
        "**" => match a.powf(b) {
            n if n.is_infinite() && a.is_finite() && b.is_finite() => {
                return Err(Fault::raised("the result is too large"));
            }
            n => n,
        },
        _ if b == 0.0 => return Err(Fault::raised("float division by zero")),
        "/" => a / b,
        _ => {
            // As Python's `divmod`.
            let mut remainder = a % b;
            let mut quotient = (a - remainder) / b;
            if remainder != 0.0 && (b < 0.0) != (remainder < 0.0) {
                (remainder, quotient) = (remainder + b, quotient - 1.0);
            } else if remainder == 0.0 {
                remainder = 0.0_f64.copysign(b);
            }
            let floor = quotient.floor();
            let quotient = match quotient {
                0.0 => 0.0_f64.copysign(a / b),
                q if q - floor > 0.5 => floor + 1.0,
                _ => floor,
            };
            if op == "//" { quotient } else { remainder }
        }
    })
}
