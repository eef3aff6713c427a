//! The filters over items.

use super::arithmetic::arithmetic;
use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::getter::Getter;
use super::given::{Given, size, text};
use super::text::str_of;
use super::value::Value;

impl Interpreter<'_> {
    /// The filters whose value is a list, an iterator or one of its items.
    ///
    /// # Errors
    /// As in jinja2; for what is not supported.
    pub fn list_filter(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
        let fuel = self.fuel;
        match name {
            "map" | "select" | "reject" | "selectattr" | "rejectattr" => {
                self.chosen(name, value, given)
            }
            "sort" | "unique" | "min" | "max" | "groupby" | "dictsort" => {
                self.ordered(name, value, given)
            }
            "length" | "count" => {
                given.nothing(name)?;
                let what = format!("object of type '{}' has no len()", value.type_name());
                let length = value.len().ok_or_else(|| Fault::raised(what))?;
                fuel.spend_bytes(length)?;
                Ok(Value::Int(length as i128))
            }
            "list" => {
                given.nothing(name)?;
                Value::list(value.items(fuel)?)
            }
            "first" => {
                given.nothing(name)?;
                let first = match value {
                    Value::Iterator(items, _) => items.borrow_mut().pop_front(),
                    other => other.items(fuel)?.into_iter().next(),
                };
                let none = || Value::undefined("No first item, sequence was empty.");
                Ok(first.unwrap_or_else(none))
            }
            "last" | "reverse" => {
                given.nothing(name)?;
                self.backwards(name, value)
            }
            "items" => {
                given.nothing(name)?;
                match value {
                    Value::Undefined(_) => Value::iterator(Vec::new()),
                    Value::Dict(dict) => {
                        let pairs =
                            dict.pairs().map(|(k, v)| Value::tuple(vec![k.clone(), v.clone()]));
                        Value::iterator(pairs.collect::<Outcome<_>>()?)
                    }
                    _ => Err(Fault::raised("Can only get item pairs from a mapping.")),
                }
            }
            "join" => {
                let [between, attribute] = given.bind(name, ["d", "attribute"], 0)?;
                let between = between.map_or(Ok(String::new()), |d| str_of(&d, fuel))?;
                let getter = Getter::new(attribute);
                let mut texts = Vec::new();
                for item in value.items(fuel)? {
                    texts.push(str_of(&self.get_one(&getter, &item)?, fuel)?);
                }
                fuel.spend_bytes(texts.len() * between.len())?;
                Ok(Value::str(texts.join(&between)))
            }
            "sum" => {
                let [attribute, start] = given.bind(name, ["attribute", "start"], 0)?;
                let getter = Getter::new(attribute);
                let mut sum = start.unwrap_or(Value::Int(0));
                if sum.as_str().is_some() {
                    return Err(Fault::raised("sum() can't sum strings"));
                }
                for item in value.items(fuel)? {
                    let item = self.get_one(&getter, &item)?;
                    sum = arithmetic("+", &sum, &item, fuel)?;
                }
                match sum {
                    // Python adds floats without the rounding errors that would show here.
                    Value::Float(n) if n.fract() != 0.0 => {
                        Err(Fault::unsupported("a sum of fractions"))
                    }
                    sum => Ok(sum),
                }
            }
            _ => self.portions(name, value, given),
        }
    }

    fn backwards(&mut self, name: &str, value: &Value) -> Outcome<Value> {
        let fuel = self.fuel;
        match (name, value) {
            ("reverse", Value::Str(text)) => {
                return Ok(Value::str(text.chars().rev().collect::<String>()));
            }
            ("reverse", Value::Html(_)) => {
                return Err(Fault::unsupported("a text of HTML in reverse"));
            }
            ("last", Value::Iterator(..)) | (_, Value::Loop(_)) => {
                let what = format!("'{}' object is not reversible", value.type_name());
                return Err(Fault::raised(what));
            }
            _ => {}
        }
        let mut items = value.items(fuel)?;
        if name == "last" {
            let none = || Value::undefined("No last item, sequence was empty.");
            return Ok(items.pop().unwrap_or_else(none));
        }
        items.reverse();
        match value {
            Value::Iterator(..) => Value::list(items),
            _ => Value::iterator(items),
        }
    }

    fn chosen(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
        let Given { mut positional, mut named } = given;
        if !value.is_true() {
            return Value::iterator(Vec::new());
        }
        let mut out = Vec::new();
        if name == "map" && positional.is_empty() {
            let mut take = |name: &str| {
                let at = named.iter().position(|(n, _)| n == name)?;
                Some(named.remove(at).1)
            };
            let (attribute, default) = (take("attribute"), take("default"));
            let default = default.filter(|d| !matches!(d, Value::None));
            if attribute.is_none() || !named.is_empty() {
                return Err(Fault::raised("map requires a filter argument"));
            }
            let getter = Getter { default, ..Getter::new(attribute) };
            for item in value.items(self.fuel)? {
                out.push(self.get_one(&getter, &item)?);
            }
            return Value::iterator(out);
        }
        let getter = match name.ends_with("attr") {
            true if positional.is_empty() => {
                return Err(Fault::raised("Missing parameter for attribute name"));
            }
            true => Some(Getter::new(Some(positional.remove(0)))),
            false => None,
        };
        let inner = match positional.is_empty() {
            true => None,
            false => Some(text(&positional.remove(0), "the name of a filter or test")?),
        };
        for item in value.items(self.fuel)? {
            let given = Given { positional: positional.clone(), named: named.clone() };
            let looked_at = match &getter {
                Some(getter) => self.get_one(getter, &item)?,
                None => item.clone(),
            };
            let fuel = self.fuel;
            match (&inner, name) {
                (Some(filter), "map") => {
                    out.push(fuel.deeper(|| self.filter(filter, &looked_at, given))?);
                    continue;
                }
                _ => {}
            }
            let holds = match &inner {
                Some(test) => super::is::is(&looked_at, test, given, fuel)?,
                None => looked_at.is_true(),
            };
            if holds == name.starts_with("select") {
                out.push(item);
            }
        }
        Value::iterator(out)
    }

    /// `batch` and `slice`.
    fn portions(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
        let names = [if name == "batch" { "linecount" } else { "slices" }, "fill_with"];
        let [count, fill] = given.bind(name, names, 1)?;
        let count = size(&count.unwrap_or(Value::None), name)?;
        let fill = fill.filter(|fill| !matches!(fill, Value::None));
        if count == 0 {
            return Err(Fault::unsupported(format!("{name} of no items")));
        }
        let items = value.items(self.fuel)?;
        self.fuel.spend(count)?;
        let mut out = Vec::new();
        if name == "batch" {
            for portion in items.chunks(count) {
                let mut portion = portion.to_vec();
                if let Some(fill) = &fill {
                    portion.resize(count, fill.clone());
                }
                out.push(Value::list(portion)?);
            }
            return Value::iterator(out);
        }
        let (each, more) = (items.len() / count, items.len() % count);
        let mut rest = &items[..];
        for i in 0..count {
            let (portion, behind) = rest.split_at(each + usize::from(i < more));
            rest = behind;
            let fill = fill.iter().filter(|_| i >= more).cloned();
            out.push(Value::list(portion.iter().cloned().chain(fill).collect())?);
        }
        Value::iterator(out)
    }
}
