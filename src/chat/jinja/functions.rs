//! What can be called: globals, methods, macros and `loop`.

use std::cell::Cell;
use std::rc::Rc;

use super::ast::{Expr, ExprKind};
use super::compare::is_among;
use super::date::strftime;
use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::given::{Given, text, whole};
use super::str_methods;
use super::text::str_of;
use super::value::{Dict, Loop, Range, Value, View};

/// The globals of jinja2, and those of transformers.
pub const NAMES: [&str; 8] =
    ["cycler", "dict", "joiner", "lipsum", "namespace", "raise_exception", "range", "strftime_now"];

/// Items of a range, at most: the sandbox's limit.
const LONGEST_RANGE: usize = 100_000;

impl Interpreter<'_> {
    /// `callee(given)`.
    ///
    /// # Errors
    /// As in jinja2; for what is not supported.
    pub fn call(&mut self, callee: &Value, given: Given) -> Outcome<Value> {
        match callee {
            Value::Function(name) => self.function(name, given),
            Value::Method(of) => self.method(&of.0, of.1, given),
            Value::Macro(called) => self.call_macro(called, given),
            Value::Loop(state) => self.call_loop(state, given),
            Value::Joiner(state) => {
                given.nothing("joiner")?;
                let first = !state.1.replace(true);
                Ok(if first { Value::str("") } else { state.0.clone() })
            }
            Value::Undefined(why) => Err(Fault::raised(&**why)),
            other => Err(Fault::raised(format!("'{}' object is not callable", other.type_name()))),
        }
    }

    /// The call of a call block: that of a macro that is handed `caller`.
    ///
    /// # Errors
    /// As [`Interpreter::call`].
    pub fn call_with(&mut self, call: &Expr, caller: Value, scope: usize) -> Outcome<Value> {
        let ExprKind::Call(callee, args) = &call.kind else {
            return Err(Fault::raised("a call block without a call"));
        };
        let callee = self.eval(callee, scope)?;
        let mut given = self.given(args, scope)?;
        given.named.push(("caller".to_owned(), caller));
        self.call(&callee, given)
    }

    fn function(&mut self, name: &str, given: Given) -> Outcome<Value> {
        match name {
            "range" => {
                let [a, b, step] = given.bind(name, ["/start", "/stop", "/step"], 1)?;
                let number = |n: Option<Value>, other| n.map_or(Ok(other), |n| whole(&n, name));
                let (a, step) = (number(a, 0)?, number(step, 1)?);
                let (start, stop) = match b {
                    Some(b) => (a, whole(&b, name)?),
                    None => (0, a),
                };
                let sane = |n: i128| i64::try_from(n).is_ok();
                if step == 0 {
                    return Err(Fault::raised("range() arg 3 must not be zero"));
                }
                let range = Range { start, stop, step };
                match [start, stop, step].into_iter().all(sane) && range.len() <= LONGEST_RANGE {
                    true => Ok(Value::Range(range)),
                    false => Err(Fault::raised(format!(
                        "Range too big. The sandbox blocks ranges larger than {LONGEST_RANGE}"
                    ))),
                }
            }
            "dict" => Ok(Value::Dict(Rc::new(self.dict(given)?))),
            "namespace" => {
                let dict = self.dict(given)?;
                if dict.keys().filter_map(Value::as_str).any(|name| name.starts_with('_')) {
                    return Err(Fault::raised("a namespace takes no name that begins with _"));
                }
                Ok(self.namespace(dict))
            }
            "cycler" if given.named.is_empty() => match given.positional.is_empty() {
                true => Err(Fault::raised("at least one item has to be provided")),
                false => Ok(Value::Cycler(Rc::new((given.positional, Cell::new(0))))),
            },
            "joiner" => {
                let [sep] = given.bind(name, ["sep"], 0)?;
                let sep = sep.unwrap_or_else(|| Value::str(", "));
                Ok(Value::Joiner(Rc::new((sep, Cell::new(false)))))
            }
            "raise_exception" => {
                let [message] = given.bind(name, ["message"], 1)?;
                let message = message.unwrap_or(Value::None);
                Err(Fault::raised(str_of(&message, self.fuel)?))
            }
            "strftime_now" => {
                let [format] = given.bind(name, ["format"], 1)?;
                strftime(&text(&format.unwrap_or(Value::None), name)?).map(Value::str)
            }
            "lipsum" => Err(Fault::unsupported("lipsum(), which is random,")),
            _ => Err(Fault::raised(format!("{name}() got an unexpected keyword argument"))),
        }
    }

    /// `dict(given)`.
    fn dict(&mut self, given: Given) -> Outcome<Dict> {
        let fuel = self.fuel;
        if given.positional.len() > 1 {
            return Err(Fault::raised("dict expected at most 1 argument"));
        }
        let mut dict = Dict::default();
        match given.positional.first() {
            None => {}
            Some(Value::Dict(of)) => {
                for (key, value) in of.pairs() {
                    dict.insert(key.clone(), value.clone(), fuel)?;
                }
            }
            Some(pairs) => {
                for pair in pairs.items(fuel)? {
                    match &pair.items(fuel)?[..] {
                        [key, value] => dict.insert(key.clone(), value.clone(), fuel)?,
                        _ => return Err(Fault::raised("dict() takes pairs")),
                    }
                }
            }
        }
        for (name, value) in given.named {
            dict.insert(Value::str(name), value, fuel)?;
        }
        Ok(dict)
    }

    fn method(&mut self, own: &Value, name: &str, given: Given) -> Outcome<Value> {
        let fuel = self.fuel;
        match own {
            Value::Str(text) => str_methods::call(text, name, given, fuel),
            Value::Dict(dict) if name == "get" => {
                let [key, other] = given.bind(name, ["/key", "/default"], 1)?;
                let found = dict.get(&key.unwrap_or(Value::None), fuel)?.cloned();
                Ok(found.or(other).unwrap_or(Value::None))
            }
            Value::Dict(dict) => {
                given.nothing(name)?;
                Ok(match name {
                    "keys" => Value::View(View::Keys, Rc::clone(dict)),
                    "values" => Value::View(View::Values, Rc::clone(dict)),
                    "items" => Value::View(View::Items, Rc::clone(dict)),
                    _ => Value::Dict(Rc::clone(dict)),
                })
            }
            Value::List(_) if name == "copy" => {
                given.nothing(name)?;
                Value::list(own.items(fuel)?)
            }
            Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                let [item] = given.bind(name, ["/item"], 1)?;
                let item = [item.unwrap_or(Value::None)];
                let mut found = Vec::new();
                for (i, other) in own.items(fuel)?.iter().enumerate() {
                    if is_among(other, &item, fuel)? {
                        found.push(i);
                    }
                }
                match (name, found.first()) {
                    ("count", _) => Ok(Value::Int(found.len() as i128)),
                    (_, Some(i)) => Ok(Value::Int(*i as i128)),
                    (_, None) => Err(Fault::raised("the item is not in the list")),
                }
            }
            Value::Float(n) => {
                given.nothing(name)?;
                Ok(Value::Bool(n.fract() == 0.0))
            }
            Value::Loop(state) => self.loop_method(state, name, given),
            Value::Cycler(state) => {
                given.nothing(name)?;
                let at = state.1.get();
                if name == "reset" {
                    state.1.set(0);
                    return Ok(Value::None);
                }
                state.1.set((at + 1) % state.0.len());
                Ok(state.0[at].clone())
            }
            other => {
                Err(Fault::unsupported(format!("the method {name} of a {}", other.type_name())))
            }
        }
    }

    fn loop_method(&mut self, state: &Loop, name: &str, given: Given) -> Outcome<Value> {
        if !given.named.is_empty() {
            return Err(Fault::raised(format!("{name}() takes no keyword arguments")));
        }
        let items = given.positional;
        if name == "cycle" {
            return match items.len() {
                0 => Err(Fault::raised("no items for cycling given")),
                n => Ok(items[state.index.get() % n].clone()),
            };
        }
        let same = match self.changed.get(&state.id) {
            Some(last) if last.len() == items.len() => {
                let mut same = true;
                for (a, b) in last.iter().zip(&items) {
                    same &= super::compare::equal(a, b, self.fuel)?;
                }
                same
            }
            _ => false,
        };
        self.changed.insert(state.id, items);
        Ok(Value::Bool(!same))
    }

    fn call_loop(&mut self, state: &Loop, given: Given) -> Outcome<Value> {
        let [items] = given.bind("loop", ["/iterable"], 1)?;
        let Some((parts, around)) = &state.recursive else {
            let what = "The loop must have the 'recursive' marker to be called recursively.";
            return Err(Fault::raised(what));
        };
        let mut out = String::new();
        let (level, items) = (state.level + 1, items.unwrap_or(Value::None));
        let fuel = self.fuel;
        fuel.deeper(|| self.for_(parts, &items, *around, level, &mut out))?;
        Ok(Value::str(out))
    }
}
