//! The filters that compare items: `sort`, `dictsort`, `groupby`, `unique`, `min` and `max`.

use std::cmp::Ordering;

use super::compare::{equal, is_among, order};
use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::getter::Getter;
use super::given::{Given, text};
use super::value::{Value, View, check_hashable};

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

    /// The filters that compare items.
    ///
    /// # Errors
    /// As in jinja2.
    pub fn ordered(&mut self, name: &str, value: &Value, given: Given) -> Outcome<Value> {
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
}
