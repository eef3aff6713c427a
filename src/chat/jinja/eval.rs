//! [`Interpreter`]: expressions, and the scopes that names are looked up in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::access::{attribute_of, item_of, slice};
use super::arithmetic::arithmetic;
use super::ast::{Args, Expr, ExprKind};
use super::compare::holds;
use super::fault::{Fault, Fuel, Outcome};
use super::functions;
use super::given::Given;
use super::text::str_of;
use super::value::{Dict, Value};

/// The scope of what a template is rendered with.
const CONTEXT: usize = 0;
/// The scope of the template itself.
pub const ROOT: usize = 1;

/// Names, and the scope around them.
#[derive(Debug, Default)]
pub struct Scope {
    pub names: HashMap<String, Value>,
    around: Option<usize>,
}

/// A template that is being rendered.
pub struct Interpreter<'f> {
    pub fuel: &'f Fuel,
    /// By number; none is dropped before the end, since macros keep theirs.
    pub scopes: Vec<Scope>,
    /// All that were made, so that none drops another that drops another.
    namespaces: Vec<Rc<RefCell<Dict>>>,
    /// The last value of `changed`, by the loop's number.
    pub changed: HashMap<usize, Vec<Value>>,
    /// Loops that were begun.
    pub loops: usize,
}

impl Drop for Interpreter<'_> {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            drop(namespace.take());
        }
    }
}

impl<'f> Interpreter<'f> {
    pub fn new(context: Vec<(String, Value)>, fuel: &'f Fuel) -> Self {
        let context = Scope { names: context.into_iter().collect(), around: None };
        let root = Scope { names: HashMap::new(), around: Some(CONTEXT) };
        Self {
            fuel,
            scopes: vec![context, root],
            namespaces: Vec::new(),
            changed: HashMap::new(),
            loops: 0,
        }
    }

    /// A new scope within `around`.
    ///
    /// # Errors
    /// Where there is not enough fuel.
    pub fn scope(&mut self, around: usize) -> Outcome<usize> {
        self.fuel.spend(2)?;
        self.scopes.push(Scope { names: HashMap::new(), around: Some(around) });
        Ok(self.scopes.len() - 1)
    }

    pub fn namespace(&mut self, dict: Dict) -> Value {
        let namespace = Rc::new(RefCell::new(dict));
        self.namespaces.push(Rc::clone(&namespace));
        Value::Namespace(namespace)
    }

    pub fn name(&self, name: &str, scope: usize) -> Outcome<Value> {
        let mut place = Some(scope);
        while let Some(at) = place {
            self.fuel.spend(1)?;
            if let Some(value) = self.scopes[at].names.get(name) {
                return Ok(value.clone());
            }
            place = self.scopes[at].around;
        }
        if name == "self" {
            return Err(Fault::unsupported("\"self\""));
        }
        Ok(match functions::NAMES.iter().find(|n| **n == name) {
            Some(function) => Value::Function(function),
            None => Value::undefined(format!("'{name}' is undefined")),
        })
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// As in jinja2; for what is not supported.
    pub fn eval(&mut self, expr: &Expr, scope: usize) -> Outcome<Value> {
        self.fuel.spend(1)?;
        let fuel = self.fuel;
        fuel.deeper(|| self.eval_kind(expr, scope)).map_err(|e| e.at(expr.line))
    }

    fn eval_kind(&mut self, expr: &Expr, scope: usize) -> Outcome<Value> {
        let fuel = self.fuel;
        Ok(match &expr.kind {
            ExprKind::None => Value::None,
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Int(n) => Value::Int(*n),
            ExprKind::Float(n) => Value::Float(*n),
            ExprKind::Str(text) => Value::Str(Rc::clone(text)),
            ExprKind::Name(name) => self.name(name, scope)?,
            ExprKind::List(items) => Value::list(self.all(items, scope)?)?,
            ExprKind::Tuple(items) => Value::tuple(self.all(items, scope)?)?,
            ExprKind::Dict(pairs) => {
                let mut dict = Dict::default();
                for (key, value) in pairs {
                    let (key, value) = (self.eval(key, scope)?, self.eval(value, scope)?);
                    dict.insert(key, value, fuel)?;
                }
                Value::Dict(Rc::new(dict))
            }
            ExprKind::If(parts) => {
                let (then, test, other) = &**parts;
                match (self.eval(test, scope)?.is_true(), other) {
                    (true, _) => self.eval(then, scope)?,
                    (false, Some(other)) => self.eval(other, scope)?,
                    (false, None) => Value::undefined("an \"if\" without \"else\" was not so"),
                }
            }
            ExprKind::And(two) => {
                let left = self.eval(&two.0, scope)?;
                if left.is_true() { self.eval(&two.1, scope)? } else { left }
            }
            ExprKind::Or(two) => {
                let left = self.eval(&two.0, scope)?;
                if left.is_true() { left } else { self.eval(&two.1, scope)? }
            }
            ExprKind::Not(value) => Value::Bool(!self.eval(value, scope)?.is_true()),
            ExprKind::Negative(value) => signed("-", self.eval(value, scope)?, fuel)?,
            ExprKind::Positive(value) => signed("+", self.eval(value, scope)?, fuel)?,
            ExprKind::Arithmetic(op, two) => {
                let (left, right) = (self.eval(&two.0, scope)?, self.eval(&two.1, scope)?);
                arithmetic(op, &left, &right, fuel)?
            }
            ExprKind::Concat(parts) => {
                let parts = self.all(parts, scope)?;
                let texts = parts.iter().map(|part| str_of(part, fuel));
                Value::str(texts.collect::<Outcome<String>>()?)
            }
            ExprKind::Compare(first, rest) => {
                let mut left = self.eval(first, scope)?;
                for (op, right) in rest {
                    let right = self.eval(right, scope)?;
                    if !holds(op, &left, &right, fuel)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            ExprKind::Attribute(value, name) => {
                attribute_of(&self.eval(value, scope)?, name, fuel)?
            }
            ExprKind::Item(two) => {
                let (value, index) = (self.eval(&two.0, scope)?, self.eval(&two.1, scope)?);
                item_of(&value, &index, fuel)?
            }
            ExprKind::Slice(value, parts) => {
                let value = self.eval(value, scope)?;
                let mut bounds = [None, None, None];
                for (bound, part) in bounds.iter_mut().zip(parts) {
                    *bound = part.as_ref().map(|part| self.eval(part, scope)).transpose()?;
                }
                slice(&value, bounds, fuel)?
            }
            ExprKind::Call(callee, args) => {
                let callee = self.eval(callee, scope)?;
                let given = self.given(args, scope)?;
                self.call(&callee, given)?
            }
            ExprKind::Filter(Some(value), name, args) => {
                let value = self.eval(value, scope)?;
                let given = self.given(args, scope)?;
                self.filter(name, &value, given)?
            }
            ExprKind::Filter(None, ..) => {
                return Err(Fault::raised("a filter without a value"));
            }
            ExprKind::Test(value, name, args) => {
                let value = self.eval(value, scope)?;
                let given = self.given(args, scope)?;
                Value::Bool(super::is::is(&value, name, given, fuel)?)
            }
        })
    }

    /// The filters of a block over its text.
    ///
    /// # Errors
    /// As [`Interpreter::eval`].
    pub fn filter_block(&mut self, filters: &Expr, text: Value, scope: usize) -> Outcome<Value> {
        let ExprKind::Filter(inner, name, args) = &filters.kind else {
            return self.eval(filters, scope);
        };
        let value = match inner {
            Some(inner) => self.filter_block(inner, text, scope)?,
            None => text,
        };
        let given = self.given(args, scope)?;
        self.filter(name, &value, given).map_err(|e| e.at(filters.line))
    }

    fn all(&mut self, items: &[Expr], scope: usize) -> Outcome<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    pub fn given(&mut self, args: &Args, scope: usize) -> Outcome<Given> {
        let fuel = self.fuel;
        let mut positional = self.all(&args.positional, scope)?;
        let mut named = Vec::new();
        for (name, value) in &args.named {
            named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(list) = &args.list {
            positional.extend(self.eval(list, scope)?.items(fuel)?);
        }
        if let Some(dict) = &args.dict {
            let Value::Dict(dict) = self.eval(dict, scope)? else {
                return Err(Fault::raised("argument after ** must be a mapping"));
            };
            for (key, value) in dict.pairs() {
                let name = key.as_str().ok_or_else(|| Fault::raised("keywords must be strings"))?;
                named.push((name.to_owned(), value.clone()));
            }
        }
        let twice = |i: &usize| named[..*i].iter().any(|(name, _)| *name == named[*i].0);
        match (1..named.len()).find(twice) {
            Some(i) => Err(Fault::raised(format!("the argument {} is there twice", named[i].0))),
            None => Ok(Given { positional, named }),
        }
    }
}

fn signed(op: &str, value: Value, fuel: &Fuel) -> Outcome<Value> {
    match value {
        Value::Undefined(why) => Err(Fault::raised(&*why)),
        Value::Float(n) => Ok(Value::Float(if op == "-" { -n } else { n })),
        value if value.as_int().is_some() => arithmetic(op, &Value::Int(0), &value, fuel),
        value => {
            let name = value.type_name();
            Err(Fault::raised(format!("bad operand type for unary {op}: '{name}'")))
        }
    }
}
