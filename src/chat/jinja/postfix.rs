//! What stands behind a value: attributes, indices, calls, filters and tests.

use super::ast::{Args, Expr, ExprKind};
use super::expression::expr;
use super::fault::{Fault, Outcome};
use super::filters::is_filter;
use super::is::is_test;
use super::lexer::Kind;
use super::parser::Parser;

impl Parser {
    /// Attributes, indices and calls behind a value.
    ///
    /// # Errors
    /// As jinja2's parser.
    pub fn postfix(&mut self, mut value: Expr) -> Outcome<Expr> {
        loop {
            let line = self.line();
            value = if self.skip_op(".") {
                match self.kind().clone() {
                    Kind::Name(name) => {
                        self.skip(1);
                        expr(line, ExprKind::Attribute(Box::new(value), name))?
                    }
                    Kind::Int(n) => {
                        self.skip(1);
                        let index = expr(line, ExprKind::Int(n))?;
                        expr(line, ExprKind::Item(Box::new((value, index))))?
                    }
                    _ => return Err(self.unexpected("a name or a number")),
                }
            } else if self.skip_op("[") {
                self.subscript(value, line)?
            } else if self.is_op("(") {
                let args = self.args()?;
                expr(line, ExprKind::Call(Box::new(value), args))?
            } else {
                return Ok(value);
            };
        }
    }

    fn subscript(&mut self, value: Expr, line: usize) -> Outcome<Expr> {
        let colon = |p: &Self| p.is_op(":");
        let mut parts: Vec<Option<Expr>> = Vec::new();
        let mut sliced = false;
        let mut part = match colon(self) {
            true => None,
            false => Some(self.expression(true)?),
        };
        while self.skip_op(":") {
            sliced = true;
            parts.push(part.take());
            if !colon(self) && !self.is_op("]") && !self.is_op(",") {
                part = Some(self.expression(true)?);
            }
        }
        if self.is_op(",") {
            return self.several(value, part.filter(|_| !sliced), line);
        }
        parts.push(part);
        self.expect_op("]")?;
        if parts.len() > 3 {
            return Err(Fault::raised("a slice of more than three parts").at(line));
        }
        if sliced {
            return expr(line, ExprKind::Slice(Box::new(value), parts));
        }
        match parts.pop().flatten() {
            Some(index) => expr(line, ExprKind::Item(Box::new((value, index)))),
            None => Err(self.unexpected("an index")),
        }
    }

    /// `value[first, …]`: a tuple as index.
    fn several(&mut self, value: Expr, first: Option<Expr>, line: usize) -> Outcome<Expr> {
        let mut items = Vec::new();
        items.extend(first);
        while self.skip_op(",") {
            items.push(self.expression(true)?);
        }
        if items.len() < 2 || self.is_op(":") {
            return Err(Fault::unsupported("an index of several parts").at(line));
        }
        self.expect_op("]")?;
        let index = expr(line, ExprKind::Tuple(items))?;
        expr(line, ExprKind::Item(Box::new((value, index))))
    }

    /// Filters, tests and calls behind a value.
    ///
    /// # Errors
    /// As jinja2's parser.
    pub fn filter_chain(&mut self, mut value: Expr) -> Outcome<Expr> {
        loop {
            let line = self.line();
            value = if self.is_op("|") {
                self.filters(Some(value), false)?
            } else if self.skip_name("is") {
                self.test(value, line)?
            } else if self.is_op("(") {
                let args = self.args()?;
                expr(line, ExprKind::Call(Box::new(value), args))?
            } else {
                return Ok(value);
            };
        }
    }

    /// `| name | name(args)`; with `inline`, the first has no `|`.
    pub fn filters(&mut self, value: Option<Expr>, inline: bool) -> Outcome<Expr> {
        let mut value = value;
        let mut first = inline;
        loop {
            let line = self.line();
            if !std::mem::take(&mut first) && !self.skip_op("|") {
                return value.ok_or_else(|| self.unexpected("a filter"));
            }
            let name = self.dotted()?;
            if !is_filter(&name) && self.conditional == 0 {
                return Err(Fault::raised(format!("there is no filter {name}")).at(line));
            }
            let args = if self.is_op("(") { self.args()? } else { Args::default() };
            let filtered = ExprKind::Filter(value.map(Box::new), name, args);
            value = Some(expr(line, filtered)?);
        }
    }

    fn dotted(&mut self) -> Outcome<String> {
        let mut name = self.name()?;
        while self.skip_op(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    fn test(&mut self, value: Expr, line: usize) -> Outcome<Expr> {
        let negated = self.skip_name("not");
        let name = self.dotted()?;
        if !is_test(&name) && self.conditional == 0 {
            return Err(Fault::raised(format!("there is no test {name}")).at(line));
        }
        let ends = ["else", "or", "and"].iter().any(|end| self.is_name(end));
        let args = match self.kind() {
            Kind::Op("(") => self.args()?,
            Kind::Name(_) if ends => Args::default(),
            Kind::Name(name) if name == "is" => {
                return Err(Fault::raised("tests cannot be chained with \"is\"").at(line));
            }
            Kind::Name(_) | Kind::Str(_) | Kind::Int(_) | Kind::Float(_) | Kind::Op("[" | "{") => {
                let arg = self.primary()?;
                Args { positional: vec![self.postfix(arg)?], ..Args::default() }
            }
            _ => Args::default(),
        };
        let test = expr(line, ExprKind::Test(Box::new(value), name, args))?;
        if negated { expr(line, ExprKind::Not(Box::new(test))) } else { Ok(test) }
    }

    fn args(&mut self) -> Outcome<Args> {
        self.expect_op("(")?;
        let mut args = Args::default();
        let mut first = true;
        while !self.is_op(")") {
            if !std::mem::take(&mut first) {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            let line = self.line();
            let out_of_order = || Err(Fault::raised("arguments are out of order").at(line));
            if self.skip_op("*") {
                if args.list.is_some() || args.dict.is_some() {
                    return out_of_order();
                }
                args.list = Some(Box::new(self.expression(true)?));
            } else if self.skip_op("**") {
                if args.dict.is_some() {
                    return out_of_order();
                }
                args.dict = Some(Box::new(self.expression(true)?));
            } else if matches!((self.kind(), self.ahead(1)), (Kind::Name(_), Kind::Op("="))) {
                if args.dict.is_some() {
                    return out_of_order();
                }
                let name = self.name()?;
                self.skip(1);
                args.named.push((name, self.expression(true)?));
            } else {
                if !args.named.is_empty() || args.list.is_some() || args.dict.is_some() {
                    return out_of_order();
                }
                args.positional.push(self.expression(true)?);
            }
        }
        self.expect_op(")")?;
        Ok(args)
    }
}
