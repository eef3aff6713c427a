//! `headprof ls`: everything that has a name on the command line, out of the registries.

use std::fmt;

use serde::Serialize;

use crate::budget;
use crate::cli::{LsArg, LsArgs};
use crate::eviction;
use crate::gate::GateKind;
use crate::score::{self, Extra};
use crate::system::terminal::wrapped;
use crate::tasks;

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Columns before the words of an entry.
const INDENT: usize = 4;

/// What there is of some kinds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// One per kind.
    pub lists: Vec<List>,
}

/// What there is of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct List {
    /// What they are.
    pub name: &'static str,
    /// The option that takes them.
    pub option: &'static str,
    /// They.
    pub entries: Vec<Entry>,
}

/// Something that has a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where it comes from; empty for what is nobody's.
    pub source: String,
    /// Whether it is taken where none is named.
    pub default: bool,
}

/// Lists what `args` ask for, or everything.
pub fn run(args: &LsArgs) -> Listed {
    const ALL: [LsArg; 5] =
        [LsArg::Tasks, LsArg::Scores, LsArg::Gates, LsArg::Methods, LsArg::Allocators];
    let wanted = |kind: &LsArg| args.what.is_empty() || args.what.contains(kind);
    Listed { lists: ALL.into_iter().filter(wanted).map(list).collect() }
}

fn list(kind: LsArg) -> List {
    let entry = |name: &str, title: &str, source: &str, default: bool| Entry {
        name: name.to_owned(),
        title: title.to_owned(),
        source: source.to_owned(),
        default,
    };
    let (name, option, entries) = match kind {
        LsArg::Tasks => {
            let tasks = tasks::registry().iter().map(|task| task.info()).enumerate();
            let entries = tasks.map(|(i, info)| entry(info.name, info.title, info.source, i == 0));
            ("tasks", "--task", entries.collect())
        }
        LsArg::Scores => {
            let infos = score::registry().iter().map(|score| score.info());
            let entries = infos.map(|info| {
                entry(info.name, info.title, info.source, info.extra == Extra::Nothing)
            });
            ("scores", "--scores", entries.collect())
        }
        LsArg::Gates => {
            let gates = GateKind::ALL.into_iter();
            let entries =
                gates.map(|gate| entry(gate.name(), gate.title(), "", gate == GateKind::Rouge));
            ("gates", "--gate", entries.collect())
        }
        LsArg::Methods => {
            let entries = eviction::registry().iter();
            let entries = entries.map(|m| entry(m.name(), m.title(), m.source(), m.is_default()));
            ("methods", "evaluate --methods", entries.collect())
        }
        LsArg::Allocators => {
            let infos = budget::registry().iter().map(|allocator| allocator.info());
            let entries = infos.map(|info| entry(info.name, info.title, info.source, false));
            ("allocators", "allocate --method", entries.collect())
        }
    };
    List { name, option, entries }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, list) in self.lists.iter().enumerate() {
            let space = if i > 0 { "\n" } else { "" };
            writeln!(f, "{space}{} ({})", list.name, list.option)?;
            for Entry { name, title, source, default } in &list.entries {
                let default = if *default { " (default)" } else { "" };
                writeln!(f, "  {name}{default}")?;
                for text in [title, source].into_iter().filter(|text| !text.is_empty()) {
                    for line in wrapped(text, COLUMNS - INDENT).lines() {
                        writeln!(f, "{:INDENT$}{line}", "")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_listed_once_and_fits_a_terminal() {
        let all = run(&LsArgs { what: Vec::new(), json: false });
        let names: Vec<&str> = all.lists.iter().map(|list| list.name).collect();
        assert_eq!(names, ["tasks", "scores", "gates", "methods", "allocators"]);
        for list in &all.lists {
            let mut names: Vec<&str> = list.entries.iter().map(|e| e.name.as_str()).collect();
            let n = names.len();
            names.sort_unstable();
            names.dedup();
            assert!(n > 4 && names.len() == n, "{}", list.name);
            assert!(list.entries.iter().all(|entry| !entry.title.is_empty()));
        }
        let text = all.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS || line.contains("://")));
        let scores = run(&LsArgs { what: vec![LsArg::Scores], json: false });
        assert_eq!((scores.lists.len(), scores.lists[0].option), (1, "--scores"));
        assert!(scores.to_string().contains("\n  induction\n    share of attention"));
        assert!(scores.to_string().contains("  retrieval (default)\n"));
    }
}
