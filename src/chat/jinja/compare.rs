//! Which values are equal, which comes first, and what is in what.

use std::cmp::Ordering;
use std::rc::Rc;

use super::fault::{Fault, Fuel, Outcome};
use super::value::{Dict, Value, View};

/// `left == right`.
///
/// # Errors
/// Where there is not enough fuel.
pub fn equal(left: &Value, right: &Value, fuel: &Fuel) -> Outcome<bool> {
    fuel.spend(1)?;
    Ok(match (left, right) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(a) | Value::Html(a), Value::Str(b) | Value::Html(b)) => a == b,
        (Value::Bool(_) | Value::Int(_), Value::Bool(_) | Value::Int(_)) => {
            left.as_int() == right.as_int()
        }
        (
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
        ) => numbers(left, right) == Some(Ordering::Equal),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            all_equal(&a.items, &b.items, fuel)?
        }
        (Value::Dict(a), Value::Dict(b)) => dicts(a, b, fuel)?,
        (Value::Range(a), Value::Range(b)) => a.items().eq(b.items()),
        (Value::View(View::Keys | View::Items, _), Value::View(View::Keys | View::Items, _)) => {
            let (a, b) = (left.items(fuel)?, right.items(fuel)?);
            a.len() == b.len() && a.iter().map(|x| is_among(x, &b, fuel)).try_all()?
        }
        (Value::Iterator(a, _), Value::Iterator(b, _)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
        (Value::Cycler(a), Value::Cycler(b)) => Rc::ptr_eq(a, b),
        (Value::Joiner(a), Value::Joiner(b)) => Rc::ptr_eq(a, b),
        (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::Method(_), Value::Method(_)) => {
            return Err(Fault::unsupported("whether two methods are equal"));
        }
        _ => false,
    })
}

/// Whether all of some answers are yes.
trait TryAll {
    fn try_all(self) -> Outcome<bool>;
}

impl<I: Iterator<Item = Outcome<bool>>> TryAll for I {
    fn try_all(mut self) -> Outcome<bool> {
        let no = self.find(|answer| !matches!(answer, Ok(true)));
        no.unwrap_or(Ok(true))
    }
}

fn all_equal(a: &[Value], b: &[Value], fuel: &Fuel) -> Outcome<bool> {
    Ok(a.len() == b.len() && a.iter().zip(b).map(|(a, b)| equal(a, b, fuel)).try_all()?)
}

fn dicts(a: &Dict, b: &Dict, fuel: &Fuel) -> Outcome<bool> {
    let same = |(key, value): &(Value, Value)| match b.get(key, fuel)? {
        Some(other) => equal(value, other, fuel),
        None => Ok(false),
    };
    Ok(a.len() == b.len() && a.pairs().map(same).try_all()?)
}

/// Whether a value is one of some.
///
/// # Errors
/// As [`equal`].
pub fn is_among(value: &Value, items: &[Value], fuel: &Fuel) -> Outcome<bool> {
    for item in items {
        if equal(value, item, fuel)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which of two numbers is larger; `None` where one is not a number.
fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        return Some(a.cmp(&b));
    }
    let (a, b) = (left.as_float()?, right.as_float()?);
    // Whole numbers beyond 2^53 are compared as such.
    match (a.partial_cmp(&b)?, left.as_int(), right.as_int()) {
        (Ordering::Equal, Some(a), _) if b.abs() < 1e38 => Some(a.cmp(&(b as i128))),
        (Ordering::Equal, _, Some(b)) if a.abs() < 1e38 => Some((a as i128).cmp(&b)),
        (order, ..) => Some(order),
    }
}

/// Which comes first; `None` for what is neither before nor behind, such as not-a-number.
///
/// # Errors
/// For what Python does not compare.
pub fn order(left: &Value, right: &Value, op: &str, fuel: &Fuel) -> Outcome<Option<Ordering>> {
    fuel.spend(1)?;
    match (left, right) {
        (
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
        ) => Ok(numbers(left, right)),
        (Value::Str(a) | Value::Html(a), Value::Str(b) | Value::Html(b)) => {
            fuel.spend_bytes(a.len().min(b.len()))?;
            Ok(Some(a.cmp(b)))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (x, y) in a.items.iter().zip(&b.items) {
                if !equal(x, y, fuel)? {
                    return order(x, y, op, fuel);
                }
            }
            Ok(Some(a.items.len().cmp(&b.items.len())))
        }
        (Value::Undefined(why), _) | (_, Value::Undefined(why)) => Err(Fault::raised(&**why)),
        (Value::View(..), Value::View(..)) => Err(Fault::unsupported("an order of views of dicts")),
        _ => Err(Fault::raised(format!(
            "'{op}' not supported between instances of '{}' and '{}'",
            left.type_name(),
            right.type_name()
        ))),
    }
}

/// `left op right` for `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` and `not in`.
///
/// # Errors
/// For what Python does not compare.
pub fn holds(op: &str, left: &Value, right: &Value, fuel: &Fuel) -> Outcome<bool> {
    Ok(match op {
        "==" => equal(left, right, fuel)?,
        "!=" => !equal(left, right, fuel)?,
        "in" => contains(right, left, fuel)?,
        "not in" => !contains(right, left, fuel)?,
        "<" => order(left, right, op, fuel)? == Some(Ordering::Less),
        ">" => order(left, right, op, fuel)? == Some(Ordering::Greater),
        "<=" => matches!(order(left, right, op, fuel)?, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(order(left, right, op, fuel)?, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// `item in value`.
///
/// # Errors
/// Where `value` holds nothing, or no such thing.
pub fn contains(value: &Value, item: &Value, fuel: &Fuel) -> Outcome<bool> {
    match value {
        Value::Str(text) | Value::Html(text) => match item.as_str() {
            Some(part) => {
                fuel.spend_bytes(text.len())?;
                Ok(text.contains(part))
            }
            None => Err(Fault::raised(format!(
                "'in <string>' requires string as left operand, not {}",
                item.type_name()
            ))),
        },
        Value::Dict(dict) | Value::View(View::Keys, dict) => Ok(dict.get(item, fuel)?.is_some()),
        Value::Iterator(items, _) => {
            // What stands before the item, and the item, are used up.
            loop {
                let next = items.borrow_mut().pop_front();
                match next {
                    Some(next) if equal(&next, item, fuel)? => return Ok(true),
                    Some(_) => {}
                    None => return Ok(false),
                }
            }
        }
        Value::List(items) | Value::Tuple(items) => is_among(item, &items.items, fuel),
        other if other.is_iterable() => is_among(item, &other.items(fuel)?, fuel),
        other => {
            Err(Fault::raised(format!("argument of type '{}' is not iterable", other.type_name())))
        }
    }
}
