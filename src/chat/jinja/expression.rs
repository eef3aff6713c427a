//! Expressions: from tokens to a tree, by jinja2's grammar.

use super::ast::{Expr, ExprKind};
use super::fault::{Fault, Outcome};
use super::lexer::Kind;
use super::parser::Parser;

/// Expressions within each other, at most, chains such as `a + b + c` counted.
const DEEPEST: usize = 250;

/// An expression, unless it is nested too deeply.
///
/// # Errors
/// Where it is.
pub fn expr(line: usize, kind: ExprKind) -> Outcome<Expr> {
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

    /// A name, a literal, or what is in brackets.
    ///
    /// # Errors
    /// Where there is none.
    pub fn primary(&mut self) -> Outcome<Expr> {
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
}
