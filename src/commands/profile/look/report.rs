//! [`Looked`]: what a look tells, for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::report::{Look, LookStep};
use crate::system::terminal::aligned;

/// Tokens that are named for each step.
const NAMED: usize = 3;

/// A probe that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Looked {
    /// Where its heads looked.
    #[serde(flatten)]
    pub look: Look,
    /// The files written.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Look { model, id, about, tokens, depth, answer, .. } = &self.look;
        let depth = depth.map(|depth| format!(", depth {depth}")).unwrap_or_default();
        writeln!(f, "{model} · probe {id} about {about}, {} tokens{depth}", tokens.len())?;
        writeln!(f, "answered {answer:?}")?;
        for head in &self.look.heads {
            let by = match head.score.as_str() {
                "" => String::new(),
                score => format!(", of the best by {score}"),
            };
            writeln!(f, "\nhead {}-{}{by}", head.layer, head.head)?;
            let rows = head.steps.iter().map(|step| self.row(step));
            let rows: Vec<([String; 2], String)> = rows.collect();
            let mut lines = vec![["writes", "on the needle"].map(str::to_owned)];
            lines.extend(rows.iter().map(|(numbers, _)| numbers.clone()));
            let tokens =
                std::iter::once("looks most at").chain(rows.iter().map(|(_, t)| t.as_str()));
            for (line, tokens) in aligned(&lines).lines().zip(tokens) {
                writeln!(f, "{line}  {tokens}")?;
            }
        }
        writeln!(f)?;
        self.files.iter().try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}

impl Looked {
    /// The token with the needle's share, and the tokens that get most.
    fn row(&self, step: &LookStep) -> ([String; 2], String) {
        let row = step.row();
        let in_needle =
            |i: &usize| self.look.needle.iter().any(|[from, to]| (from..to).contains(&i));
        let on_needle: f64 = (0..row.len()).filter(in_needle).map(|i| row[i]).sum();
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let named = order.iter().take(NAMED).filter(|&&i| row[i] > 0.0).map(|&i| {
            let text = self.look.tokens.get(i).map_or("", String::as_str);
            format!("{text:?} {:.0} %", 100.0 * row[i])
        });
        let named: Vec<String> = named.collect();
        let numbers = [format!("{:?}", step.token), format!("{:.0} %", 100.0 * on_needle)];
        (numbers, named.join("  "))
    }
}
