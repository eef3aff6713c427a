//! A template as a tree.

use std::rc::Rc;

/// An expression.
#[derive(Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub line: usize,
    /// Expressions within each other, itself included.
    pub depth: usize,
}

/// What an expression is.
#[derive(Debug)]
pub enum ExprKind {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<str>),
    Name(String),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// `then if test else other`.
    If(Box<(Expr, Expr, Option<Expr>)>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Arithmetic(&'static str, Box<(Expr, Expr)>),
    /// `a ~ b ~ c`.
    Concat(Vec<Expr>),
    /// `a < b <= c`.
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    Attribute(Box<Expr>, String),
    Item(Box<(Expr, Expr)>),
    /// `value[start:stop:step]`.
    Slice(Box<Expr>, Vec<Option<Expr>>),
    Call(Box<Expr>, Args),
    /// `value | name(args)`; the value of a block's filter is the block.
    Filter(Option<Box<Expr>>, String, Args),
    /// `value is name(args)`.
    Test(Box<Expr>, String, Args),
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub struct Args {
    pub positional: Vec<Expr>,
    pub named: Vec<(String, Expr)>,
    /// `*list`.
    pub list: Option<Box<Expr>>,
    /// `**dict`.
    pub dict: Option<Box<Expr>>,
}

impl Args {
    fn depth(&self) -> usize {
        let all = self.positional.iter().chain(self.named.iter().map(|(_, e)| e));
        let all = all.chain(self.list.as_deref()).chain(self.dict.as_deref());
        deepest(all)
    }
}

fn deepest<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> usize {
    expressions.into_iter().map(|e| e.depth).max().unwrap_or(0)
}

impl ExprKind {
    /// Expressions within each other below it.
    pub fn depth(&self) -> usize {
        use ExprKind::*;
        match self {
            None | Bool(_) | Int(_) | Float(_) | Str(_) | Name(_) => 0,
            List(items) | Tuple(items) | Concat(items) => deepest(items),
            Dict(pairs) => deepest(pairs.iter().flat_map(|(k, v)| [k, v])),
            If(parts) => deepest([&parts.0, &parts.1].into_iter().chain(&parts.2)),
            And(two) | Or(two) | Arithmetic(_, two) | Item(two) => deepest([&two.0, &two.1]),
            Not(one) | Negative(one) | Positive(one) | Attribute(one, _) => one.depth,
            Compare(first, rest) => first.depth.max(deepest(rest.iter().map(|(_, e)| e))),
            Slice(value, parts) => value.depth.max(deepest(parts.iter().flatten())),
            Call(value, args) | Test(value, _, args) => value.depth.max(args.depth()),
            Filter(value, _, args) => deepest(value.as_deref()).max(args.depth()),
        }
    }
}

/// What is assigned to.
#[derive(Debug)]
pub enum Target {
    Name(String),
    Tuple(Vec<Target>),
    /// `namespace.attribute`.
    Attribute(String, String),
}

/// A statement, and the line it is in.
#[derive(Debug)]
pub struct Statement {
    pub kind: StatementKind,
    pub line: usize,
}

/// What a statement is.
#[derive(Debug)]
pub enum StatementKind {
    Data(String),
    Print(Expr),
    /// Each with its condition; the last may have none.
    If(Vec<(Option<Expr>, Vec<Statement>)>),
    For(Rc<For>),
    Set(Target, Expr),
    /// `{% set x | filter %}…{% endset %}`.
    SetBlock(Target, Option<Expr>, Vec<Statement>),
    With(Vec<(Target, Expr)>, Vec<Statement>),
    Macro(Rc<MacroBody>),
    /// `{% call(args) macro() %}…{% endcall %}`.
    Call(Expr, Rc<MacroBody>),
    Filter(Expr, Vec<Statement>),
    /// `{% generation %}`: a scope of its own that prints what is in it.
    Generation(Vec<Statement>),
    Break,
    Continue,
}

/// `{% for target in iterable if filter recursive %}`.
#[derive(Debug)]
pub struct For {
    pub target: Target,
    pub iterable: Expr,
    pub filter: Option<Expr>,
    pub recursive: bool,
    pub body: Vec<Statement>,
    pub otherwise: Vec<Statement>,
}

/// A macro, or what a call block hands to one.
#[derive(Debug)]
pub struct MacroBody {
    pub name: String,
    pub parameters: Vec<(String, Option<Expr>)>,
    pub body: Vec<Statement>,
    /// Which of the names that jinja2 fills on demand the body reads.
    pub reads: Special,
}

/// `varargs`, `kwargs` and `caller`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Special {
    pub varargs: bool,
    pub kwargs: bool,
    pub caller: bool,
}
