//! Jinja, as transformers renders chat templates with it: minijinja, with what Python's jinja2 and
//! transformers have and it has not, or has otherwise.
//!
//! Where minijinja and jinja2 are known to differ is in docs/chat.md.

mod functions;
mod json;
mod methods;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::template::ChatOptions;
use crate::system::panics::caught;
use crate::system::text::universal_newlines;

/// Steps of a template; real ones take a few hundred.
const FUEL: u64 = 1_000_000;

/// Bytes of a template, at most; those of real ones are a few thousand.
const LONGEST: usize = 128 << 10;
/// The stack that a template is read and rendered on. The library calls itself for each operator of
/// an expression and each `elif` of a condition, without a limit: [`tags`] sees to the first.
const STACK_BYTES: usize = 256 << 20;

type Outcome<T> = Result<T, Error>;

fn refused(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// What `source` prints where it is told `context`.
///
/// # Errors
/// Why it does not render, with the line.
pub(super) fn render(source: &str, context: &ChatOptions) -> Result<String, String> {
    with_room(source, |env, source| {
        let template = env.template_from_str(source)?;
        let context = context.iter().map(|(name, value)| (name.clone(), value.clone()));
        let context: Value = context.collect::<BTreeMap<_, _>>().into();
        template.render(context)
    })
}

/// The names that `source` reads.
///
/// # Errors
/// Why it is no template.
pub(super) fn names(source: &str) -> Result<BTreeSet<String>, String> {
    with_room(source, |env, source| {
        let template = env.template_from_str(source)?;
        Ok(template.undeclared_variables(false).into_iter().collect())
    })
}

/// What `body` makes of `source` on a stack that is deep enough for it.
fn with_room<T: Send>(
    source: &str,
    body: impl FnOnce(&Environment, &str) -> Outcome<T> + Send,
) -> Result<T, String> {
    if source.len() > LONGEST {
        return Err(format!("{} bytes of template; at most {LONGEST} are read", source.len()));
    }
    let source = prepared(source);
    tags::check(&source)?;
    let read = || body(&environment()?, &source);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        // minijinja panics where a template does what none does: `loop.cycle()`.
        let thread = thread.spawn_scoped(scope, || caught(read)).map_err(|e| e.to_string())?;
        thread.join().unwrap_or_else(|_| Err("a template ended its thread".to_owned()))
    })?
    .map_err(told)
}

fn environment() -> Outcome<Environment<'static>> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_fuel(Some(FUEL));
    functions::add_to(&mut env);
    Ok(env)
}

fn told(e: Error) -> String {
    match e.line() {
        Some(line) => format!("{e:#} (line {line})"),
        None => format!("{e:#}"),
    }
}

/// `source` with one kind of line ends, which jinja2 sees to, and without the tags that
/// transformers adds to Jinja.
fn prepared(source: &str) -> String {
    without_generation_marks(&universal_newlines(source))
}

/// `source` with blocks that do nothing in the place of `{% generation %}` and `{% endgeneration
/// %}`, with which transformers marks what an assistant says. Blocks, since a tag may also take the
/// spaces beside it away.
fn without_generation_marks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let tag = rest[at..].find("%}").map(|end| &rest[at..at + end + 2]);
        let Some(tag) = tag else { break };
        let name = tag.trim_matches(['{', '}', '%', '-', '+']).trim();
        text.push_str(&rest[..at]);
        text.push_str(&match name {
            "generation" => tag.replace(name, "if true"),
            "endgeneration" => tag.replace(name, "endif"),
            _ => tag.to_owned(),
        });
        rest = &rest[at + tag.len()..];
    }
    text + rest
}

#[cfg(test)]
mod tests;
