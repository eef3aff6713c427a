//! Statements: what a template prints.

use std::cell::Cell;
use std::rc::Rc;

use super::ast::{For, MacroBody, Statement, StatementKind, Target};
use super::eval::Interpreter;
use super::fault::{Fault, Outcome};
use super::given::Given;
use super::text::str_of;
use super::value::{Dict, Loop, Macro, Value, depth_of};

/// Whether a loop goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    On,
    Break,
    Continue,
}

impl Interpreter<'_> {
    /// Runs statements and prints to `out`.
    ///
    /// # Errors
    /// As in jinja2; for what is not supported.
    pub fn run(&mut self, body: &[Statement], scope: usize, out: &mut String) -> Outcome<Flow> {
        let fuel = self.fuel;
        for statement in body {
            fuel.spend(1)?;
            let before = out.len();
            let flow = fuel.deeper(|| self.statement(statement, scope, out));
            let flow = flow.map_err(|e| e.at(statement.line))?;
            fuel.spend_bytes(out.len() - before)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// What statements print in a scope of their own.
    fn captured(&mut self, body: &[Statement], around: usize) -> Outcome<String> {
        let scope = self.scope(around)?;
        let mut out = String::new();
        self.run(body, scope, &mut out)?;
        Ok(out)
    }

    fn statement(
        &mut self,
        statement: &Statement,
        scope: usize,
        out: &mut String,
    ) -> Outcome<Flow> {
        match &statement.kind {
            StatementKind::Data(text) => out.push_str(text),
            StatementKind::Print(value) => {
                let value = self.eval(value, scope)?;
                out.push_str(&str_of(&value, self.fuel)?);
            }
            StatementKind::If(branches) => {
                for (test, body) in branches {
                    let holds = match test {
                        Some(test) => self.eval(test, scope)?.is_true(),
                        None => true,
                    };
                    if holds {
                        return self.run(body, scope, out);
                    }
                }
            }
            StatementKind::For(parts) => {
                let iterable = self.eval(&parts.iterable, scope)?;
                self.for_(parts, &iterable, scope, 0, out)?;
            }
            StatementKind::Set(target, value) => {
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            StatementKind::SetBlock(target, filters, body) => {
                let text = Value::str(self.captured(body, scope)?);
                let value = match filters {
                    Some(filters) => self.filter_block(filters, text, scope)?,
                    None => text,
                };
                self.assign(target, value, scope)?;
            }
            StatementKind::With(values, body) => {
                let inner = self.scope(scope)?;
                for (target, value) in values {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, inner)?;
                }
                return self.run(body, inner, out);
            }
            StatementKind::Macro(body) => {
                let value = Value::Macro(Rc::new(Macro { body: Rc::clone(body), scope }));
                self.scopes[scope].names.insert(body.name.clone(), value);
            }
            StatementKind::Call(call, body) => {
                let caller = Value::Macro(Rc::new(Macro { body: Rc::clone(body), scope }));
                let value = self.call_with(call, caller, scope)?;
                out.push_str(&str_of(&value, self.fuel)?);
            }
            StatementKind::Filter(filters, body) => {
                let text = Value::str(self.captured(body, scope)?);
                let value = self.filter_block(filters, text, scope)?;
                out.push_str(&str_of(&value, self.fuel)?);
            }
            StatementKind::Generation(body) => out.push_str(&self.captured(body, scope)?),
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, target: &Target, value: Value, scope: usize) -> Outcome<()> {
        match target {
            Target::Name(name) => {
                self.scopes[scope].names.insert(name.clone(), value);
                Ok(())
            }
            Target::Tuple(targets) => {
                let items = value.items(self.fuel)?;
                if items.len() != targets.len() {
                    let (n, m) = (items.len(), targets.len());
                    return Err(Fault::raised(format!("{n} values for {m} names")));
                }
                let mut pairs = targets.iter().zip(items);
                pairs.try_for_each(|(target, item)| self.assign(target, item, scope))
            }
            Target::Attribute(name, attribute) => match self.name(name, scope)? {
                Value::Namespace(_) if attribute.starts_with('_') => {
                    Err(Fault::raised(format!("a namespace takes no attribute {attribute}")))
                }
                Value::Namespace(namespace) => {
                    let key = Value::str(attribute.as_str());
                    // The value may be the namespace itself, which is looked at.
                    let mut dict = namespace.take();
                    let set = dict.insert(key, value, self.fuel);
                    *namespace.borrow_mut() = dict;
                    set
                }
                _ => Err(Fault::raised("cannot assign attribute on non-namespace object")),
            },
        }
    }

    /// Runs a loop over `iterable`. What stands behind its `else` is run where no round came to
    /// its end.
    ///
    /// # Errors
    /// As [`Interpreter::run`].
    pub fn for_(
        &mut self,
        parts: &Rc<For>,
        iterable: &Value,
        around: usize,
        level: usize,
        out: &mut String,
    ) -> Outcome<()> {
        let mut items = Vec::new();
        for item in iterable.items(self.fuel)? {
            if self.passes(parts, &item, around)? {
                items.push(item);
            }
        }
        let depth = depth_of(&items)?;
        self.loops += 1;
        let recursive = parts.recursive.then(|| (Rc::clone(parts), around));
        let index = Cell::new(0);
        let state = Rc::new(Loop { items, index, level, recursive, id: self.loops, depth });
        let mut finished = false;
        for (i, item) in state.items.iter().enumerate() {
            // jinja2 asks when the round begins, and what the loop does may have changed it.
            if parts.filter.is_some() && !self.passes(parts, item, around)? {
                return Err(Fault::unsupported("a loop that changes its own filter"));
            }
            state.index.set(i);
            let scope = self.scope(around)?;
            self.assign(&parts.target, item.clone(), scope)?;
            self.scopes[scope].names.insert("loop".to_owned(), Value::Loop(Rc::clone(&state)));
            match self.run(&parts.body, scope, out)? {
                Flow::On => finished = true,
                Flow::Continue => {}
                Flow::Break => break,
            }
        }
        if !finished {
            let scope = self.scope(around)?;
            self.run(&parts.otherwise, scope, out)?;
        }
        Ok(())
    }

    fn passes(&mut self, parts: &For, item: &Value, around: usize) -> Outcome<bool> {
        let Some(filter) = &parts.filter else { return Ok(true) };
        let scope = self.scope(around)?;
        self.assign(&parts.target, item.clone(), scope)?;
        Ok(self.eval(filter, scope)?.is_true())
    }

    /// Calls a macro.
    ///
    /// # Errors
    /// For values that it does not take; those of its body.
    pub fn call_macro(&mut self, called: &Macro, given: Given) -> Outcome<Value> {
        let MacroBody { name, parameters, body, reads } = &*called.body;
        let Given { mut positional, mut named } = given;
        let further = positional.split_off(positional.len().min(parameters.len()));
        let scope = self.scope(called.scope)?;
        let mut positional = positional.into_iter();
        let mut values = Vec::new();
        for (parameter, _) in parameters {
            values.push(match positional.next() {
                Some(value) => Some(value),
                None => take(&mut named, parameter),
            });
        }
        if reads.caller {
            let none = || Value::undefined("No caller defined");
            let caller = take(&mut named, "caller").unwrap_or_else(none);
            self.scopes[scope].names.insert("caller".to_owned(), caller);
        }
        if let (false, Some((other, _))) = (reads.kwargs, named.first()) {
            let what = format!("macro '{name}' takes no keyword argument '{other}'");
            return Err(Fault::raised(what));
        }
        if !reads.varargs && !further.is_empty() {
            let most = parameters.len();
            let what = format!("macro '{name}' takes not more than {most} argument(s)");
            return Err(Fault::raised(what));
        }
        if reads.kwargs {
            let kwargs = Value::Dict(Rc::new(Dict::of(named)?));
            self.scopes[scope].names.insert("kwargs".to_owned(), kwargs);
        }
        if reads.varargs {
            let varargs = Value::tuple(further)?;
            self.scopes[scope].names.insert("varargs".to_owned(), varargs);
        }
        for ((parameter, default), value) in parameters.iter().zip(values) {
            let value = match (value, default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.eval(default, scope)?,
                (None, None) => {
                    Value::undefined(format!("parameter '{parameter}' was not provided"))
                }
            };
            self.scopes[scope].names.insert(parameter.clone(), value);
        }
        let mut out = String::new();
        self.run(body, scope, &mut out)?;
        Ok(Value::str(out))
    }
}

fn take(named: &mut Vec<(String, Value)>, name: &str) -> Option<Value> {
    let at = named.iter().position(|(n, _)| n == name)?;
    Some(named.remove(at).1)
}
