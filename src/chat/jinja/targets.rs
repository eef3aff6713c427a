//! What is assigned to.

use super::ast::Target;
use super::fault::{Fault, Outcome};
use super::lexer::Kind;
use super::parser::Parser;

impl Parser {
    /// What is assigned to: names, in brackets or with commas between them, or an attribute.
    ///
    /// # Errors
    /// As jinja2's parser.
    pub fn targets(&mut self, ends: &[&str]) -> Outcome<Target> {
        let mut targets = vec![self.target()?];
        let mut tuple = false;
        while self.skip_op(",") {
            tuple = true;
            let end = matches!(self.kind(), Kind::BlockEnd | Kind::Op("="))
                || ends.iter().any(|end| self.is_name(end));
            if end {
                break;
            }
            targets.push(self.target()?);
        }
        match (tuple, targets.pop()) {
            (false, Some(target)) => Ok(target),
            (_, last) => Ok(Target::Tuple(targets.into_iter().chain(last).collect())),
        }
    }

    fn target(&mut self) -> Outcome<Target> {
        if self.skip_op("(") {
            let mut targets = Vec::new();
            while !self.is_op(")") {
                targets.push(self.nest(Self::target)?);
                if !self.skip_op(",") {
                    break;
                }
            }
            self.expect_op(")")?;
            return Ok(Target::Tuple(targets));
        }
        let name = self.name()?;
        if self.skip_op(".") {
            return Ok(Target::Attribute(name, self.name()?));
        }
        match name.as_str() {
            "true" | "false" | "none" | "True" | "False" | "None" => {
                Err(Fault::raised(format!("{name} cannot be assigned to")))
            }
            _ => Ok(Target::Name(name)),
        }
    }
}

impl Target {
    /// The names that it is of.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Name(name) => Box::new(std::iter::once(name.as_str())),
            Self::Tuple(targets) => Box::new(targets.iter().flat_map(Self::names)),
            Self::Attribute(..) => Box::new(std::iter::empty()),
        }
    }
}
