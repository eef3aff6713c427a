//! [`Value`]: what a template computes with, by the rules of Python.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::ast::{For, MacroBody};
use super::fault::{Fault, Fuel, Outcome};

/// Values within each other, at most.
const DEEPEST: usize = 100;

/// A value. Lists and dicts never change: jinja2's sandbox, as transformers sets it up, does not
/// let a template change them.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing: prints as an empty text, and says why it is nothing where more is asked of it.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<str>),
    /// A text of HTML, which `escape` and `safe` make.
    Html(Rc<str>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    /// What `keys()`, `values()` and `items()` of a dict are.
    View(View, Rc<Dict>),
    Range(Range),
    /// An iterator: used up by whoever looks at its items.
    Iterator(Rc<RefCell<VecDeque<Value>>>, usize),
    Namespace(Rc<RefCell<Dict>>),
    Loop(Rc<Loop>),
    Cycler(Rc<(Vec<Value>, Cell<usize>)>),
    Joiner(Rc<(Value, Cell<bool>)>),
    Macro(Rc<Macro>),
    /// A global by its name.
    Function(&'static str),
    /// A method of a value, not called yet.
    Method(Rc<(Value, &'static str)>),
}

/// The items of a list or tuple.
#[derive(Debug)]
pub struct Items {
    pub items: Vec<Value>,
    /// The names of a tuple's items, where they have names.
    pub names: &'static [&'static str],
    depth: usize,
}

/// Which view of a dict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Keys,
    Values,
    Items,
}

/// `range(start, stop, step)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: i128,
    pub stop: i128,
    pub step: i128,
}

/// Keys and values in the order in which the keys came.
#[derive(Debug, Default)]
pub struct Dict {
    pairs: Vec<(Value, Value)>,
    depth: usize,
}

/// The variable `loop`.
#[derive(Debug)]
pub struct Loop {
    pub items: Vec<Value>,
    pub index: Cell<usize>,
    pub level: usize,
    /// What `loop(…)` runs again, and the scope that it stands in.
    pub recursive: Option<(Rc<For>, usize)>,
    /// Its number, under which the last value of `changed` is kept.
    pub id: usize,
    pub depth: usize,
}

/// A macro and the scope that it was made in.
#[derive(Debug)]
pub struct Macro {
    pub body: Rc<MacroBody>,
    pub scope: usize,
}

impl Value {
    pub fn str(text: impl Into<Rc<str>>) -> Self {
        Self::Str(text.into())
    }

    /// # Errors
    /// Where lists are nested too deeply.
    pub fn list(items: Vec<Value>) -> Outcome<Self> {
        Ok(Self::List(Rc::new(Items::new(items, &[])?)))
    }

    /// # Errors
    /// Where tuples are nested too deeply.
    pub fn tuple(items: Vec<Value>) -> Outcome<Self> {
        Ok(Self::Tuple(Rc::new(Items::new(items, &[])?)))
    }

    /// # Errors
    /// Where tuples are nested too deeply.
    pub fn named_tuple(items: Vec<Value>, names: &'static [&'static str]) -> Outcome<Self> {
        Ok(Self::Tuple(Rc::new(Items::new(items, names)?)))
    }

    /// # Errors
    /// Where values are nested too deeply.
    pub fn iterator(items: Vec<Value>) -> Outcome<Self> {
        let depth = depth_of(&items)?;
        Ok(Self::Iterator(Rc::new(RefCell::new(items.into())), depth))
    }

    pub fn undefined(why: impl Into<Rc<str>>) -> Self {
        Self::Undefined(why.into())
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Html(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, `True` and `False` among them.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bool(b) => Some(i128::from(*b)),
            _ => None,
        }
    }

    /// The number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(n) => Some(*n),
            other => other.as_int().map(|n| n as f64),
        }
    }

    /// What Python calls its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Html(_) => "Markup",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Range(_) => "range",
            Self::Iterator(..) => "generator",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
            Self::Macro(_) => "Macro",
            Self::Function(_) | Self::Method(_) => "function",
        }
    }

    /// What Python takes for true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(n) => *n != 0.0,
            Self::Str(text) | Self::Html(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.items.is_empty(),
            Self::Dict(dict) | Self::View(_, dict) => dict.len() > 0,
            Self::Range(range) => range.len() > 0,
            Self::Loop(_)
            | Self::Iterator(..)
            | Self::Namespace(_)
            | Self::Cycler(_)
            | Self::Joiner(_)
            | Self::Macro(_)
            | Self::Function(_)
            | Self::Method(_) => true,
        }
    }

    /// `len(value)`; `None` where that is a `TypeError`.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Str(text) | Self::Html(text) => Some(text.chars().count()),
            Self::List(items) | Self::Tuple(items) => Some(items.items.len()),
            Self::Dict(dict) | Self::View(_, dict) => Some(dict.len()),
            Self::Range(range) => Some(range.len()),
            Self::Loop(state) => Some(state.items.len()),
            _ => None,
        }
    }

    /// Whether `iter(value)` is no error.
    pub fn is_iterable(&self) -> bool {
        matches!(self, Self::Iterator(..) | Self::Loop(_)) || self.len().is_some()
    }

    /// Its items, in order; an iterator has none afterwards.
    ///
    /// # Errors
    /// For what has no items; where there is not enough fuel for them.
    pub fn items(&self, fuel: &Fuel) -> Outcome<Vec<Value>> {
        let items = match self {
            Self::Undefined(_) => Vec::new(),
            Self::Str(text) | Self::Html(text) => {
                fuel.spend(text.len())?;
                text.chars().map(|c| Value::str(String::from(c))).collect()
            }
            Self::List(items) | Self::Tuple(items) => items.items.clone(),
            Self::Dict(dict) | Self::View(View::Keys, dict) => dict.keys().cloned().collect(),
            Self::View(View::Values, dict) => dict.pairs().map(|(_, v)| v.clone()).collect(),
            Self::View(View::Items, dict) => dict
                .pairs()
                .map(|(k, v)| Self::tuple(vec![k.clone(), v.clone()]))
                .collect::<Outcome<_>>()?,
            Self::Range(range) => range.items().map(Value::Int).collect(),
            Self::Iterator(items, _) => items.take().into(),
            Self::Loop(_) => return Err(Fault::unsupported("the items of \"loop\"")),
            other => {
                let what = format!("'{}' object is not iterable", other.type_name());
                return Err(Fault::raised(what));
            }
        };
        fuel.spend(items.len())?;
        Ok(items)
    }

    /// Values within each other, itself included.
    fn depth(&self) -> usize {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth,
            Self::Dict(dict) | Self::View(_, dict) => dict.depth,
            Self::Iterator(_, depth) => *depth,
            Self::Namespace(dict) => dict.borrow().depth,
            Self::Loop(state) => state.depth,
            Self::Cycler(state) => state.0.iter().map(Self::depth).max().unwrap_or(0) + 1,
            Self::Joiner(state) => state.0.depth() + 1,
            Self::Method(of) => of.0.depth() + 1,
            _ => 0,
        }
    }
}

/// One more than that of the deepest of `items`.
///
/// # Errors
/// Where that is too deep for a program that walks through them.
pub fn depth_of<'a>(items: impl IntoIterator<Item = &'a Value>) -> Outcome<usize> {
    match items.into_iter().map(Value::depth).max().unwrap_or(0) + 1 {
        depth if depth > DEEPEST => Err(Fault::raised("values are nested too deeply")),
        depth => Ok(depth),
    }
}

impl Items {
    fn new(items: Vec<Value>, names: &'static [&'static str]) -> Outcome<Self> {
        let depth = depth_of(&items)?;
        Ok(Self { items, names, depth })
    }
}

impl Range {
    pub fn len(self) -> usize {
        let span = if self.step > 0 { self.stop - self.start } else { self.start - self.stop };
        let step = self.step.abs();
        usize::try_from((span + step - 1).max(0) / step).unwrap_or(usize::MAX)
    }

    pub fn items(self) -> impl DoubleEndedIterator<Item = i128> + ExactSizeIterator {
        (0..self.len()).map(move |i| self.start + self.step * i as i128)
    }
}

impl Dict {
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = &(Value, Value)> {
        self.pairs.iter()
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.pairs.iter().map(|(key, _)| key)
    }

    /// The value of a key that is a text.
    pub fn text(&self, key: &str) -> Option<&Value> {
        self.pairs.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    fn position(&self, key: &Value, fuel: &Fuel) -> Outcome<Option<usize>> {
        check_hashable(key)?;
        fuel.spend(self.pairs.len() / 4)?;
        for (i, (k, _)) in self.pairs.iter().enumerate() {
            if super::compare::equal(k, key, fuel)? {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// For what cannot be a key.
    pub fn get(&self, key: &Value, fuel: &Fuel) -> Outcome<Option<&Value>> {
        Ok(self.position(key, fuel)?.map(|i| &self.pairs[i].1))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// For what cannot be a key; where values are nested too deeply.
    pub fn insert(&mut self, key: Value, value: Value, fuel: &Fuel) -> Outcome<()> {
        self.depth = self.depth.max(depth_of([&key, &value])?);
        match self.position(&key, fuel)? {
            Some(i) => self.pairs[i].1 = value,
            None => self.pairs.push((key, value)),
        }
        Ok(())
    }

    /// Of keys that are texts, none of them twice.
    ///
    /// # Errors
    /// Where values are nested too deeply.
    pub fn of(pairs: Vec<(String, Value)>) -> Outcome<Self> {
        let depth = depth_of(pairs.iter().map(|(_, v)| v))?;
        let pairs = pairs.into_iter().map(|(k, v)| (Value::str(k), v)).collect();
        Ok(Self { pairs, depth })
    }
}

/// # Errors
/// For a value that cannot be a key.
pub fn check_hashable(key: &Value) -> Outcome<()> {
    match key {
        Value::List(_) | Value::Dict(_) | Value::View(..) => {
            Err(Fault::raised(format!("unhashable type: '{}'", key.type_name())))
        }
        Value::Tuple(items) => items.items.iter().try_for_each(check_hashable),
        _ => Ok(()),
    }
}
