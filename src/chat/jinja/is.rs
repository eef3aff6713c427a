//! Tests: `value is name(args)`.

use std::rc::Rc;

use super::arithmetic::arithmetic;
use super::compare::{contains, equal, holds};
use super::fault::{Fault, Fuel, Outcome};
use super::filters::is_filter;
use super::given::Given;
use super::str_methods;
use super::text::str_of;
use super::value::Value;

const NAMES: [&str; 39] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// Whether jinja2 has the test.
pub fn is_test(name: &str) -> bool {
    NAMES.contains(&name)
}

/// `value is name(given)`.
///
/// # Errors
/// As in jinja2; for what is not supported.
pub fn is(value: &Value, name: &str, given: Given, fuel: &Fuel) -> Outcome<bool> {
    let compared = match name {
        "==" | "eq" | "equalto" => "==",
        "!=" | "ne" => "!=",
        "<" | "lt" | "lessthan" => "<",
        "<=" | "le" => "<=",
        ">" | "gt" | "greaterthan" => ">",
        ">=" | "ge" => ">=",
        _ => "",
    };
    match name {
        _ if !is_test(name) => return Err(Fault::raised(format!("there is no test {name}"))),
        _ if !compared.is_empty() => {
            let other = one(given, name)?;
            return holds(compared, value, &other, fuel);
        }
        "divisibleby" => {
            let remainder = arithmetic("%", value, &one(given, name)?, fuel)?;
            return equal(&remainder, &Value::Int(0), fuel);
        }
        "in" => return contains(&one(given, name)?, value, fuel),
        "sameas" => return same(value, &one(given, name)?, fuel),
        _ => given.nothing(name)?,
    }
    Ok(match name {
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "string" => value.as_str().is_some(),
        "escaped" => matches!(value, Value::Html(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "iterable" => value.is_iterable(),
        "sequence" => value.len().is_some() && !matches!(value, Value::View(..) | Value::Loop(_)),
        "callable" => matches!(
            value,
            Value::Undefined(_)
                | Value::Loop(_)
                | Value::Joiner(_)
                | Value::Macro(_)
                | Value::Function(_)
                | Value::Method(_)
        ),
        "odd" | "even" => {
            let remainder = arithmetic("%", value, &Value::Int(2), fuel)?;
            equal(&remainder, &Value::Int(i128::from(name == "odd")), fuel)?
        }
        "lower" | "upper" => {
            let text = str_of(value, fuel)?;
            let method = if name == "lower" { "islower" } else { "isupper" };
            str_methods::call(&text, method, Given::default(), fuel)?.is_true()
        }
        "filter" => value.as_str().is_some_and(is_filter),
        _ => value.as_str().is_some_and(is_test),
    })
}

fn one(given: Given, name: &str) -> Outcome<Value> {
    let [other] = given.bind(name, ["other"], 1)?;
    Ok(other.unwrap_or(Value::None))
}

/// `value is other` as Python has it, where that does not hang on how it keeps values.
fn same(value: &Value, other: &Value, fuel: &Fuel) -> Outcome<bool> {
    Ok(match (value, other) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        // Python has each of these once.
        (Value::Int(a), Value::Int(b)) if a == b && (-5..=256).contains(a) => true,
        (Value::List(a), Value::List(b)) if Rc::ptr_eq(a, b) => true,
        (Value::Dict(a), Value::Dict(b)) if Rc::ptr_eq(a, b) => true,
        (Value::List(_), Value::List(_)) | (Value::Dict(_), Value::Dict(_)) => false,
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        _ if value.type_name() != other.type_name() || !equal(value, other, fuel)? => false,
        _ => return Err(Fault::unsupported(format!("\"sameas\" of two {}", value.type_name()))),
    })
}
