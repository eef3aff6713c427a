//! Statements: from tokens to a tree, by jinja2's grammar.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::ast::{Expr, ExprKind, For, MacroBody, Special, Statement, StatementKind, Target};
use super::fault::{Fault, Outcome};
use super::lexer::{Kind, Token, tokens};

/// Statements or brackets within each other, at most.
const DEEPEST: usize = 100;

/// The statements of a template.
///
/// # Errors
/// For what jinja2 refuses before it renders, and for what is not supported.
pub fn parse(source: &str) -> Outcome<Parsed> {
    let tokens = tokens(source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        nested: 0,
        conditional: 0,
        loops: 0,
        reads: Special::default(),
        names: BTreeSet::new(),
    };
    let (statements, _) = parser.located(|p| p.statements(&[]))?;
    Ok(Parsed { statements, names: parser.names })
}

/// A template.
#[derive(Debug)]
pub struct Parsed {
    /// What it prints.
    pub statements: Vec<Statement>,
    /// All names that it reads.
    pub names: BTreeSet<String>,
}

/// The place in a template's tokens.
pub struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nested: usize,
    /// How many conditions the place is under: an unknown filter is an error there only when it is
    /// reached.
    pub conditional: usize,
    /// Loops that the place is directly in.
    loops: usize,
    /// The names that jinja2 fills on demand, as far as they have been read.
    pub reads: Special,
    /// All names that have been read.
    pub names: BTreeSet<String>,
}

impl Parser {
    pub fn kind(&self) -> &Kind {
        self.ahead(0)
    }

    pub fn ahead(&self, n: usize) -> &Kind {
        self.tokens.get(self.at + n).map_or(&Kind::End, |t| &t.kind)
    }

    pub fn line(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    pub fn skip(&mut self, n: usize) {
        self.at += n;
    }

    fn located<T>(&mut self, parse: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let parsed = parse(self);
        let line = self.line();
        parsed.map_err(|e| e.at(line))
    }

    /// Parses what is one level deeper.
    pub fn nest<T>(&mut self, parse: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.nested == DEEPEST {
            return Err(Fault::raised("the template is nested too deeply"));
        }
        self.nested += 1;
        let parsed = parse(self);
        self.nested -= 1;
        parsed
    }

    pub fn is_op(&self, op: &str) -> bool {
        matches!(self.kind(), Kind::Op(o) if *o == op)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), Kind::Name(n) if n == name)
    }

    pub fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        self.at += usize::from(found);
        found
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    pub fn expect_op(&mut self, op: &str) -> Outcome<()> {
        match self.skip_op(op) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("{op:?}"))),
        }
    }

    pub fn name(&mut self) -> Outcome<String> {
        match self.kind() {
            Kind::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub fn unexpected(&self, expected: &str) -> Fault {
        let got = match self.kind() {
            Kind::Name(name) => format!("{name:?}"),
            Kind::Op(op) => format!("{op:?}"),
            Kind::Str(_) => "a string".to_owned(),
            Kind::Int(_) | Kind::Float(_) => "a number".to_owned(),
            Kind::BlockEnd | Kind::VariableEnd => "the end of the tag".to_owned(),
            Kind::Data(_) | Kind::BlockBegin | Kind::VariableBegin => "text".to_owned(),
            Kind::End => "the end of the template".to_owned(),
        };
        Fault::raised(format!("{got}, and {expected} was expected")).at(self.line())
    }

    fn block_end(&mut self) -> Outcome<()> {
        match self.kind() {
            Kind::BlockEnd => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.unexpected("the end of the tag")),
        }
    }

    /// Statements up to one of the tags `ends`, whose name comes back; the place is behind it.
    fn statements(&mut self, ends: &[&str]) -> Outcome<(Vec<Statement>, String)> {
        let mut statements = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.kind().clone() {
                Kind::End if ends.is_empty() => return Ok((statements, String::new())),
                Kind::Data(text) => {
                    self.at += 1;
                    StatementKind::Data(text)
                }
                Kind::VariableBegin => {
                    self.at += 1;
                    let value = self.tuple(true, &[])?;
                    if *self.kind() != Kind::VariableEnd {
                        return Err(self.unexpected("the end of the tag"));
                    }
                    self.at += 1;
                    StatementKind::Print(value)
                }
                Kind::BlockBegin => {
                    self.at += 1;
                    let name = self.name()?;
                    if ends.contains(&name.as_str()) {
                        return Ok((statements, name));
                    }
                    self.nest(|p| p.statement(&name))?
                }
                _ => return Err(self.unexpected(&format!("{{% {} %}}", ends.join(" or ")))),
            };
            statements.push(Statement { kind, line });
        }
    }

    /// The statements of a block whose opening tag ends here, and the end tag with its end.
    fn body(&mut self, end: &str) -> Outcome<Vec<Statement>> {
        self.skip_op(":");
        self.block_end()?;
        let (body, _) = self.statements(&[end])?;
        self.block_end()?;
        Ok(body)
    }

    /// The same where the body is a scope of its own that no loop is around.
    fn closed_body(&mut self, end: &str) -> Outcome<Vec<Statement>> {
        let outer = (std::mem::take(&mut self.loops), std::mem::take(&mut self.conditional));
        let body = self.body(end);
        (self.loops, self.conditional) = outer;
        body
    }

    fn statement(&mut self, name: &str) -> Outcome<StatementKind> {
        match name {
            "if" => return self.if_(),
            "for" => return self.for_(),
            "set" => return self.set(),
            "with" => return self.with(),
            "macro" => return self.macro_(),
            "call" => return self.call(),
            "filter" => {
                let filter = self.filters(None, true)?;
                return Ok(StatementKind::Filter(filter, self.closed_body("endfilter")?));
            }
            "generation" => {
                return Ok(StatementKind::Generation(self.closed_body("endgeneration")?));
            }
            "print" => {
                let values = self.tuple(true, &[])?;
                self.block_end()?;
                // Several are printed one behind the other.
                let kind = match values.kind {
                    ExprKind::Tuple(items) if !items.is_empty() => ExprKind::Concat(items),
                    kind => kind,
                };
                return Ok(StatementKind::Print(Expr { kind, ..values }));
            }
            "break" | "continue" if self.loops > 0 => {}
            "break" | "continue" => {
                return Err(Fault::raised(format!("{{% {name} %}} outside of a loop")));
            }
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => {
                return Err(Fault::unsupported(format!("the tag {{% {name} %}}")));
            }
            _ => return Err(Fault::raised(format!("there is no tag {{% {name} %}}"))),
        }
        self.block_end()?;
        Ok(if name == "break" { StatementKind::Break } else { StatementKind::Continue })
    }

    fn if_(&mut self) -> Outcome<StatementKind> {
        self.conditional += 1;
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, &[])?;
            self.skip_op(":");
            self.block_end()?;
            let (body, end) = self.statements(&["elif", "else", "endif"])?;
            branches.push((Some(test), body));
            match end.as_str() {
                "elif" => continue,
                "else" => branches.push((None, self.body("endif")?)),
                _ => self.block_end()?,
            }
            self.conditional -= 1;
            return Ok(StatementKind::If(branches));
        }
    }

    fn for_(&mut self) -> Outcome<StatementKind> {
        let target = self.targets(&["in"])?;
        if !self.skip_name("in") {
            return Err(self.unexpected("\"in\""));
        }
        let iterable = self.tuple(false, &["recursive"])?;
        let filter = if self.skip_name("if") { Some(self.expression(true)?) } else { None };
        let recursive = self.skip_name("recursive");
        self.skip_op(":");
        self.block_end()?;
        let outer = std::mem::take(&mut self.conditional);
        self.loops += 1;
        let (body, end) = self.statements(&["else", "endfor"])?;
        self.loops -= 1;
        let otherwise = match end.as_str() {
            "else" => self.body("endfor")?,
            _ => {
                self.block_end()?;
                Vec::new()
            }
        };
        self.conditional = outer;
        if target.names().any(|name| name == "loop") {
            return Err(Fault::raised("a loop assigns to \"loop\""));
        }
        let parts = For { target, iterable, filter, recursive, body, otherwise };
        Ok(StatementKind::For(Rc::new(parts)))
    }

    fn set(&mut self) -> Outcome<StatementKind> {
        let target = self.targets(&[])?;
        if self.skip_op("=") {
            let value = self.tuple(true, &[])?;
            self.block_end()?;
            return Ok(StatementKind::Set(target, value));
        }
        let filter = if self.is_op("|") { Some(self.filters(None, false)?) } else { None };
        Ok(StatementKind::SetBlock(target, filter, self.closed_body("endset")?))
    }

    fn with(&mut self) -> Outcome<StatementKind> {
        let mut values = Vec::new();
        while *self.kind() != Kind::BlockEnd {
            if !values.is_empty() {
                self.expect_op(",")?;
            }
            let target = Target::Name(self.name()?);
            self.expect_op("=")?;
            values.push((target, self.expression(true)?));
        }
        let outer = std::mem::take(&mut self.conditional);
        let body = self.body("endwith")?;
        self.conditional = outer;
        Ok(StatementKind::With(values, body))
    }

    fn macro_(&mut self) -> Outcome<StatementKind> {
        let name = self.name()?;
        let parameters = self.parameters()?;
        let (body, reads) = self.macro_body("endmacro")?;
        Ok(StatementKind::Macro(Rc::new(MacroBody { name, parameters, body, reads })))
    }

    fn call(&mut self) -> Outcome<StatementKind> {
        let parameters = if self.is_op("(") { self.parameters()? } else { Vec::new() };
        let call = self.expression(true)?;
        if !matches!(call.kind, ExprKind::Call(..)) {
            return Err(self.unexpected("a call"));
        }
        let (body, reads) = self.macro_body("endcall")?;
        let name = "caller".to_owned();
        Ok(StatementKind::Call(call, Rc::new(MacroBody { name, parameters, body, reads })))
    }

    /// The body of a macro, and which special names it reads; whatever it stands in reads them too.
    fn macro_body(&mut self, end: &str) -> Outcome<(Vec<Statement>, Special)> {
        let outer = std::mem::take(&mut self.reads);
        let body = self.closed_body(end)?;
        let reads = self.reads;
        self.reads = Special {
            varargs: outer.varargs | reads.varargs,
            kwargs: outer.kwargs | reads.kwargs,
            caller: outer.caller | reads.caller,
        };
        Ok((body, reads))
    }

    fn parameters(&mut self) -> Outcome<Vec<(String, Option<Expr>)>> {
        self.expect_op("(")?;
        let mut parameters: Vec<(String, Option<Expr>)> = Vec::new();
        while !self.is_op(")") {
            if !parameters.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.name()?;
            if matches!(name.as_str(), "caller" | "varargs" | "kwargs") {
                return Err(Fault::unsupported(format!("a parameter called {name}")));
            }
            let default = if self.skip_op("=") { Some(self.expression(true)?) } else { None };
            if default.is_none() && parameters.last().is_some_and(|(_, d)| d.is_some()) {
                return Err(Fault::raised("a parameter without a default behind one with"));
            }
            parameters.push((name, default));
        }
        self.expect_op(")")?;
        Ok(parameters)
    }
}
