//! Expressions: from tokens to a tree, by jinja2's grammar.

use super::ast::{Args, Expr, ExprKind};
use super::fault::{Fault, Outcome};
use super::filters::is_filter;
use super::is::is_test;
use super::lexer::Kind;
use super::parser::Parser;

/// Expressions within each other, at most, chains such as `a + b + c` counted.
const DEEPEST: usize = 250;

fn expr(line: usize, kind: ExprKind) -> Outcome<Expr> {
    let depth = kind.depth() + 1;
    match depth > DEEPEST {
        true => Err(Fault::raised("an expression is nested too deeply").at(line)),
        false => Ok(Expr { kind, line, depth }),
    }
}

impl Parser {
    /// An expression, or several with commas between them. `ends` are names that end it.
    pub fn tuple(&mut self, conditions: bool, ends: &[&str]) -> Outcome<Expr> {
        let line = self.line();
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            let end = matches!(self.kind(), Kind::BlockEnd | Kind::VariableEnd | Kind::Op(")"))
                || ends.iter().any(|end| self.is_name(end));
            if end {
                break;
            }
            items.push(self.expression(conditions)?);
            if !self.skip_op(",") {
                break;
            }
            comma = true;
        }
        match (comma, items.len()) {
            (_, 0) => Err(self.unexpected("an expression")),
            (false, _) => items.pop().ok_or_else(|| self.unexpected("an expression")),
            (true, _) => expr(line, ExprKind::Tuple(items)),
        }
    }

    /// An expression, with `if` in it unless that means something else here.
    pub fn expression(&mut self, conditions: bool) -> Outcome<Expr> {
        self.nest(|p| if conditions { p.condition() } else { p.or() })
    }

    fn condition(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let mut value = self.or()?;
        while self.skip_name("if") {
            self.conditional += 1;
            let test = self.or()?;
            let other =
                if self.skip_name("else") { Some(self.nest(Self::condition)?) } else { None };
            self.conditional -= 1;
            value = expr(line, ExprKind::If(Box::new((value, test, other))))?;
        }
        Ok(value)
    }

    fn or(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let mut left = self.and()?;
        while self.skip_name("or") {
            left = expr(line, ExprKind::Or(Box::new((left, self.and()?))))?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let mut left = self.not()?;
        while self.skip_name("and") {
            left = expr(line, ExprKind::And(Box::new((left, self.not()?))))?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Outcome<Expr> {
        let line = self.line();
        match self.skip_name("not") {
            true => expr(line, ExprKind::Not(Box::new(self.nest(Self::not)?))),
            false => self.compare(),
        }
    }

    fn compare(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let not_in = self.is_name("not") && matches!(self.ahead(1), Kind::Name(n) if n == "in");
            let op = match self.kind() {
                Kind::Op(op @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => *op,
                Kind::Name(name) if name == "in" => "in",
                _ if not_in => "not in",
                _ => break,
            };
            self.skip(if not_in { 2 } else { 1 });
            rest.push((op, self.sum()?));
        }
        match rest.is_empty() {
            true => Ok(first),
            false => expr(line, ExprKind::Compare(Box::new(first), rest)),
        }
    }

    fn sum(&mut self) -> Outcome<Expr> {
        self.chain(&["+", "-"], Self::concat)
    }

    fn concat(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let mut parts = vec![self.product()?];
        while self.skip_op("~") {
            parts.push(self.product()?);
        }
        match parts.len() {
            1 => parts.pop().ok_or_else(|| self.unexpected("an expression")),
            _ => expr(line, ExprKind::Concat(parts)),
        }
    }

    fn product(&mut self) -> Outcome<Expr> {
        self.chain(&["*", "/", "//", "%"], Self::power)
    }

    /// From left to right, unlike Python.
    fn power(&mut self) -> Outcome<Expr> {
        self.chain(&["**"], |p| p.unary(true))
    }

    fn chain(
        &mut self,
        operators: &[&'static str],
        operand: impl Fn(&mut Self) -> Outcome<Expr>,
    ) -> Outcome<Expr> {
        let line = self.line();
        let mut left = operand(self)?;
        while let Some(&op) = operators.iter().find(|op| self.is_op(op)) {
            self.skip(1);
            left = expr(line, ExprKind::Arithmetic(op, Box::new((left, operand(self)?))))?;
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Outcome<Expr> {
        let line = self.line();
        let value = if self.skip_op("-") {
            expr(line, ExprKind::Negative(Box::new(self.nest(|p| p.unary(false))?)))?
        } else if self.skip_op("+") {
            expr(line, ExprKind::Positive(Box::new(self.nest(|p| p.unary(false))?)))?
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        if with_filters { self.filter_chain(value) } else { Ok(value) }
    }

    fn primary(&mut self) -> Outcome<Expr> {
        let line = self.line();
        let kind = match self.kind().clone() {
            Kind::Name(name) => {
                self.skip(1);
                match name.as_str() {
                    "true" | "True" => ExprKind::Bool(true),
                    "false" | "False" => ExprKind::Bool(false),
                    "none" | "None" => ExprKind::None,
                    _ => {
                        self.reads.varargs |= name == "varargs";
                        self.reads.kwargs |= name == "kwargs";
                        self.reads.caller |= name == "caller";
                        self.names.insert(name.clone());
                        ExprKind::Name(name)
                    }
                }
            }
            Kind::Str(text) => {
                self.skip(1);
                let mut text = text;
                while let Kind::Str(more) = self.kind() {
                    text.push_str(more);
                    self.skip(1);
                }
                ExprKind::Str(text.into())
            }
            Kind::Int(n) => {
                self.skip(1);
                ExprKind::Int(n)
            }
            Kind::Float(n) => {
                self.skip(1);
                ExprKind::Float(n)
            }
            Kind::Op("(") => {
                self.skip(1);
                if self.skip_op(")") {
                    return expr(line, ExprKind::Tuple(Vec::new()));
                }
                let value = self.tuple(true, &[])?;
                self.expect_op(")")?;
                return Ok(value);
            }
            Kind::Op("[") => {
                self.skip(1);
                let items = self.separated("]", |p| p.expression(true))?;
                ExprKind::List(items)
            }
            Kind::Op("{") => {
                self.skip(1);
                let pairs = self.separated("}", |p| {
                    let key = p.expression(true)?;
                    p.expect_op(":")?;
                    Ok((key, p.expression(true)?))
                })?;
                ExprKind::Dict(pairs)
            }
            _ => return Err(self.unexpected("an expression")),
        };
        expr(line, kind)
    }

    /// Items with commas between them, and perhaps one behind the last.
    fn separated<T>(
        &mut self,
        end: &str,
        item: impl Fn(&mut Self) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        let mut items = Vec::new();
        while !self.is_op(end) {
            if !items.is_empty() {
                self.expect_op(",")?;
                if self.is_op(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        self.expect_op(end)?;
        Ok(items)
    }

    fn postfix(&mut self, mut value: Expr) -> Outcome<Expr> {
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
    fn filter_chain(&mut self, mut value: Expr) -> Outcome<Expr> {
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
