//! Filters: `value | name(args)`.

use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::given::Given;
use super::text::str_of;
use super::value::Value;

/// Those of jinja2 that are here.
const NAMES: [&str; 47] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
];

/// Those that are not.
const OTHERS: [&str; 7] =
    ["filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"];

/// Whether jinja2 has the filter.
pub fn is_filter(name: &str) -> bool {
    NAMES.contains(&name) || OTHERS.contains(&name)
}

impl Interpreter<'_> {
    /// `value | name(given)`.
    ///
    /// # Errors
    /// As in jinja2; for what is not supported.
    pub fn filter(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
        match name {
            "capitalize" | "center" | "e" | "escape" | "forceescape" | "format" | "indent"
            | "lower" | "replace" | "safe" | "string" | "title" | "tojson" | "trim"
            | "truncate" | "upper" | "urlencode" | "wordcount" => {
                super::text_filters::apply(name, value, given, self.fuel)
            }
            "abs" | "float" | "int" | "round" => {
                super::number_filters::apply(name, value, given, self.fuel)
            }
            "attr" => {
                let [attribute] = given.bind(name, ["name"], 1)?;
                let attribute = str_of(&attribute.unwrap_or(Value::None), self.fuel)?;
                super::access::attribute_alone(value, &attribute)
            }
            "d" | "default" => {
                let names = ["default_value", "boolean"];
                let [other, boolean] = given.bind(name, names, 0)?;
                let missing = match boolean.is_some_and(|b| b.is_true()) {
                    true => !value.is_true(),
                    false => matches!(value, Value::Undefined(_)),
                };
                let other = other.unwrap_or_else(|| Value::str(""));
                Ok(if missing { other } else { value.clone() })
            }
            _ if NAMES.contains(&name) => self.list_filter(name, value, given),
            _ if OTHERS.contains(&name) => Err(Fault::unsupported(format!("the filter {name}"))),
            _ => Err(Fault::raised(format!("there is no filter {name}"))),
        }
    }
}
