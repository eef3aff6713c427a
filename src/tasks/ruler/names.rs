//! What RULER calls its tasks, and how long it lets answers be.

/// All tasks with the most tokens of an answer: RULER's `tokens_to_generate`.
const TASKS: [(&str, usize); 13] = [
    ("niah_single_1", 128),
    ("niah_single_2", 128),
    ("niah_single_3", 128),
    ("niah_multikey_1", 128),
    ("niah_multikey_2", 128),
    ("niah_multikey_3", 128),
    ("niah_multivalue", 128),
    ("niah_multiquery", 128),
    ("vt", 30),
    ("cwe", 120),
    ("fwe", 50),
    ("qa_1", 32),
    ("qa_2", 32),
];

/// The names of all tasks, also of those that are not made here.
pub fn task_names() -> impl Iterator<Item = &'static str> {
    TASKS.iter().map(|(name, _)| *name)
}

/// The last name of a task in a path: `4096/vt.jsonl`, `niah_single_1_4096.jsonl`.
pub fn task_in(path: &str) -> Option<&'static str> {
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    let found = task_names().flat_map(|name| {
        let ends = path.match_indices(name).map(move |(at, _)| (at, at + name.len()));
        ends.map(move |(from, to)| (from, to, name))
    });
    let whole = found.filter(|&(from, to, _)| {
        apart(path[..from].chars().next_back()) && apart(path[to..].chars().next())
    });
    whole.max_by_key(|(_, to, _)| *to).map(|(_, _, name)| name)
}

/// Most tokens of an answer to a task; of one that is not RULER's, those of its needles.
pub fn max_new_tokens(task: &str) -> usize {
    TASKS.iter().find(|(name, _)| *name == task).map_or(TASKS[0].1, |(_, tokens)| *tokens)
}

#[cfg(test)]
mod tests {
    use super::super::RulerKind;
    use super::*;

    #[test]
    fn every_task_that_is_made_has_a_name_here() {
        assert!(RulerKind::ALL.iter().all(|kind| task_names().any(|name| name == kind.name())));
        assert_eq!((max_new_tokens("vt"), max_new_tokens("niah_multiquery")), (30, 128));
    }

    #[test]
    fn tasks_in_paths() {
        for (path, task) in [
            ("niah_multikey_3_4096_20.jsonl", Some("niah_multikey_3")),
            ("ruler/4096/vt.jsonl", Some("vt")),
            ("qa_1/validation.jsonl", Some("qa_1")),
            ("niah_single_1/data/fwe-x.jsonl", Some("fwe")),
            ("niah_single_12.jsonl", None),
            ("vtx/rows.jsonl", None),
        ] {
            assert_eq!(task_in(path), task, "{path}");
        }
    }
}
