//! Jinja, as transformers renders chat templates with it.
//!
//! ```text
//! source ─► lexer ─► tokens ─► parser, expression ─► tree ─► exec (statements), eval ─► text
//! ```
//!
//! Templates are written for jinja2 in Python, with `trim_blocks`, `lstrip_blocks`, loop controls,
//! the immutable sandbox and transformers' own `tojson`. Here a template comes out as there, or is
//! an error: what Python refuses is refused, and what is not supported is named. Never does it come
//! out otherwise. Values are those of Python (`value`), so are their operators (`arithmetic`,
//! `compare`), attributes (`access`) and how they are written (`text`).

mod access;
mod arithmetic;
mod ast;
mod braces;
mod compare;
mod date;
mod eval;
mod exec;
mod expression;
mod fault;
mod filters;
mod format;
mod functions;
mod getter;
mod given;
mod is;
mod json;
mod letters;
mod lexer;
mod list_filters;
mod number_filters;
mod order_filters;
mod parser;
mod percent;
mod postfix;
mod str_methods;
mod targets;
mod text;
mod text_filters;
mod value;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use json::Json;

use std::collections::BTreeSet;

use fault::{Fuel, Outcome};

/// Bytes of stack for a template that is nested as deeply as it may be.
const STACK: usize = 64 << 20;

/// What `source` prints where it is told `context`.
///
/// # Errors
/// [`Fault`] where jinja2 fails, where more than a template needs is asked for, and for what is not
/// supported.
pub fn render(source: &str, context: &[(String, Json)]) -> Result<String, Fault> {
    deeply(|| {
        let parsed = parser::parse(source)?;
        let fuel = Fuel::new();
        let values = context.iter().map(|(name, json)| Ok((name.clone(), json.value()?)));
        let mut interpreter = eval::Interpreter::new(values.collect::<Outcome<Vec<_>>>()?, &fuel);
        let mut out = String::new();
        interpreter.run(&parsed.statements, eval::ROOT, &mut out)?;
        Ok(out)
    })
}

/// The names that `source` reads.
///
/// # Errors
/// [`Fault`] where it is no template.
pub fn names(source: &str) -> Result<BTreeSet<String>, Fault> {
    deeply(|| Ok(parser::parse(source)?.names))
}

/// Runs `run` where the stack has room for it.
fn deeply<T: Send>(run: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
        let thread = thread.map_err(|e| Fault::raised(format!("no thread for a template: {e}")))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
