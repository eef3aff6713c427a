//! The filters over items.

use std::cmp::Ordering;

use super::access::item_of;
use super::arithmetic::arithmetic;
use super::compare::{equal, is_among, order};
use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::given::{Given, size, text};
use super::text::str_of;
use super::value::{Value, View, check_hashable};

/// What a filter looks at in an item.
struct Getter {
    /// One path for each attribute asked for; none: the item itself.
    paths: Vec<Vec<Value>>,
    default: Option<Value>,
    /// Whether `a` and `A` are the same.
    ignores_case: bool,
    /// Whether the keys are a list, one for each path.
    several: bool,
}

impl Getter {
    /// Of an attribute such as `a.0.b`.
    fn new(attribute: Option<Value>) -> Self {
        let paths = attribute.into_iter().filter(|a| !matches!(a, Value::None)).map(|a| path(&a));
        Self { paths: paths.collect(), default: None, ignores_case: false, several: false }
    }

    /// Of several, with commas between them.
    fn several(attribute: Option<Value>) -> Self {
        let paths = match &attribute {
            Some(Value::Str(names)) => names.split(',').map(|n| path(&Value::str(n))).collect(),
            _ => Self::new(attribute).paths,
        };
        Self { paths, default: None, ignores_case: false, several: true }
    }
}

fn path(attribute: &Value) -> Vec<Value> {
    let part = |part: &str| match part.parse::<i128>() {
        Ok(n) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(n),
        _ => Value::str(part),
    };
    match attribute {
        Value::Str(names) => names.split('.').map(part).collect(),
        other => vec![other.clone()],
    }
}

/// Sorted by their keys; what is not before its neighbour stays where it is.
fn merge_sorted(
    mut items: Vec<(Value, Value)>,
    before: &impl Fn(&Value, &Value) -> Outcome<bool>,
) -> Outcome<Vec<(Value, Value)>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sorted(items, before)?.into_iter().peekable();
    let mut right = merge_sorted(right, before)?.into_iter().peekable();
    let mut merged = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if before(&b.0, &a.0)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left.chain(right));
    Ok(merged)
}

impl Interpreter<'_> {
    fn get(&mut self, getter: &Getter, path: &[Value], item: &Value) -> Outcome<Value> {
        let mut value = item.clone();
        for part in path {
            value = item_of(&value, part, self.fuel)?;
            if let (Value::Undefined(_), Some(default)) = (&value, &getter.default) {
                value = default.clone();
            }
        }
        Ok(match &value {
            Value::Str(text) if getter.ignores_case => {
                self.fuel.spend_bytes(text.len())?;
                Value::str(text.to_lowercase())
            }
            _ => value,
        })
    }

    fn get_one(&mut self, getter: &Getter, item: &Value) -> Outcome<Value> {
        let path = getter.paths.first().map_or(&[][..], Vec::as_slice);
        self.get(getter, path, item)
    }

    /// Sorts by what `getter` looks at; of equal ones, the first stays the first.
    fn sorted(&mut self, items: Vec<Value>, getter: &Getter, reverse: bool) -> Outcome<Vec<Value>> {
        let mut keyed = Vec::new();
        for item in items {
            let key = match &getter.paths[..] {
                paths @ [_, ..] if getter.several => {
                    let keys = paths.iter().map(|path| self.get(getter, path, &item));
                    Value::list(keys.collect::<Outcome<_>>()?)?
                }
                _ => self.get_one(getter, &item)?,
            };
            keyed.push((key, item));
        }
        let fuel = self.fuel;
        let less = |a: &Value, b: &Value| match order(a, b, "<", fuel)? {
            Some(order) => Ok(order == Ordering::Less),
            None => Err(Fault::unsupported("the order of what is not a number")),
        };
        let before = |a: &Value, b: &Value| if reverse { less(b, a) } else { less(a, b) };
        Ok(merge_sorted(keyed, &before)?.into_iter().map(|(_, item)| item).collect())
    }

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

    fn ordered(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
        let fuel = self.fuel;
        let is_true = |v: Option<Value>| v.is_some_and(|v| v.is_true());
        match name {
            "sort" => {
                let names = ["reverse", "case_sensitive", "attribute"];
                let [reverse, case, attribute] = given.bind(name, names, 0)?;
                let getter = Getter { ignores_case: !is_true(case), ..Getter::several(attribute) };
                let items = value.items(fuel)?;
                Value::list(self.sorted(items, &getter, is_true(reverse))?)
            }
            "unique" => {
                let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"], 0)?;
                let getter = Getter { ignores_case: !is_true(case), ..Getter::new(attribute) };
                let (mut seen, mut out) = (Vec::new(), Vec::new());
                for item in value.items(fuel)? {
                    let key = self.get_one(&getter, &item)?;
                    check_hashable(&key)?;
                    if !is_among(&key, &seen, fuel)? {
                        seen.push(key);
                        out.push(item);
                    }
                }
                Value::iterator(out)
            }
            "min" | "max" => {
                let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"], 0)?;
                let getter = Getter { ignores_case: !is_true(case), ..Getter::new(attribute) };
                let mut best: Option<(Value, Value)> = None;
                for item in value.items(fuel)? {
                    let key = self.get_one(&getter, &item)?;
                    let better = match &best {
                        None => true,
                        Some((other, _)) if name == "min" => {
                            order(&key, other, "<", fuel)? == Some(Ordering::Less)
                        }
                        Some((other, _)) => {
                            order(&key, other, ">", fuel)? == Some(Ordering::Greater)
                        }
                    };
                    if better {
                        best = Some((key, item));
                    }
                }
                let none = || Value::undefined("No aggregated item, sequence was empty.");
                Ok(best.map_or_else(none, |(_, item)| item))
            }
            "groupby" => self.groups(value, given),
            _ => {
                let [case, by, reverse] =
                    given.bind(name, ["case_sensitive", "by", "reverse"], 0)?;
                let by = by.map_or(Ok("key".to_owned()), |by| text(&by, name))?;
                let place = match by.as_str() {
                    "key" => 0,
                    "value" => 1,
                    _ => {
                        return Err(Fault::raised(
                            "You can only sort by either \"key\" or \"value\"",
                        ));
                    }
                };
                let Value::Dict(dict) = value else {
                    return Err(Fault::raised("dictsort takes a mapping"));
                };
                let pairs = Value::View(View::Items, dict.clone());
                let getter =
                    Getter { ignores_case: !is_true(case), ..Getter::new(Some(Value::Int(place))) };
                let items = pairs.items(fuel)?;
                Value::list(self.sorted(items, &getter, is_true(reverse))?)
            }
        }
    }

    fn groups(&mut self, value: &Value, given: Given) -> Outcome<Value> {
        let fuel = self.fuel;
        let names = ["attribute", "default", "case_sensitive"];
        let [attribute, default, case] = given.bind("groupby", names, 1)?;
        let default = default.filter(|d| !matches!(d, Value::None));
        let exact = case.is_some_and(|case| case.is_true());
        let named = Getter { default: default.clone(), ..Getter::new(attribute.clone()) };
        let getter = Getter { default, ignores_case: !exact, ..Getter::new(attribute) };
        let items = value.items(fuel)?;
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for item in self.sorted(items, &getter, false)? {
            let key = self.get_one(&getter, &item)?;
            match groups.last_mut() {
                Some((last, group)) if equal(last, &key, fuel)? => group.push(item),
                _ => groups.push((key, vec![item])),
            }
        }
        let mut out = Vec::new();
        for (_, group) in groups {
            let key = self.get_one(&named, &group[0])?;
            out.push(Value::named_tuple(vec![key, Value::list(group)?], &["grouper", "list"])?);
        }
        Value::list(out)
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
