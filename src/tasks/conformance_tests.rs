//! Every registered benchmark through the same checks.

use std::collections::BTreeSet;

use super::*;
use crate::cli::{ProbeArgs, TaskArgs, TextArgs};
use crate::score::References;

/// Options of tasks that a benchmark may take.
const OPTIONS: [&str; 5] =
    ["--task-data", "--samples", "--prompts", "--code-similarity", "--max-prompt-tokens"];

/// `--task NAME`, with `--task-data` where `data`.
fn chosen(name: &str, data: bool, purpose: Purpose) -> crate::Result<Box<dyn TaskSource>> {
    let task = TaskArgs {
        name: name.to_owned(),
        task_data: data.then(|| "rows".into()),
        ..TaskArgs::default()
    };
    choose(&TaskOptions {
        task: &task,
        text: &TextArgs::default(),
        probes: &ProbeArgs { repeats: 1, ..ProbeArgs::default() },
        compat: References::default(),
        purpose,
    })
}

#[test]
fn every_benchmark_says_what_it_is() {
    let names: BTreeSet<&str> = registry().iter().map(|b| b.info().name).collect();
    assert_eq!(names.len(), registry().len());
    for info in registry().iter().map(|b| b.info()) {
        assert!(!info.title.is_empty() && info.source.contains("https://"), "{info:?}");
        assert!(info.takes.iter().all(|(option, _)| OPTIONS.contains(option)), "{info:?}");
        assert!(info.takes.iter().all(|(_, meaning)| !meaning.is_empty()), "{info:?}");
    }
    // The one that is asked where nothing is said has a place for the answer, and no label.
    let first = registry()[0].info();
    assert!(first.has_places && first.label().is_none());
    assert_eq!(TaskArgs::default().name, first.name);
}

#[test]
fn a_name_chooses_its_benchmark_or_asks_for_rows() {
    for info in registry().iter().map(|b| b.info()) {
        let with_list = format!("{}:{}", info.name, info.list);
        let name = if info.list.is_empty() { info.name } else { &with_list };
        let data = info.meaning("--task-data").is_some();
        let source = chosen(name, data, Purpose::Evaluate).unwrap();
        assert_eq!((source.info(), source.probes().is_some()), (info, info.has_places));
        match chosen(name, false, Purpose::Evaluate) {
            Ok(source) => assert_eq!(source.info(), info),
            Err(e) => assert!(data && e.to_string().contains("--task-data"), "{e}"),
        }
        match chosen(name, data, Purpose::Profile) {
            Ok(source) => assert!(info.has_places && source.probes().is_some()),
            Err(e) => {
                assert!(!info.has_places && e.exit_code() == 2, "{e}");
                assert!(e.to_string().contains("where in the prompt"), "{e}");
            }
        }
        assert!(task_help(Purpose::Evaluate).contains(name), "{name}");
        assert_eq!(task_help(Purpose::Profile).contains(name), info.has_places, "{name}");
    }
}

#[test]
fn help_names_who_takes_an_option() {
    let both = [Purpose::Profile, Purpose::Evaluate];
    for (purpose, option) in both.into_iter().flat_map(|p| OPTIONS.map(|o| (p, o))) {
        let help = option_help(option, "What it is", purpose);
        for info in registry().iter().map(|b| b.info()) {
            let usable = info.has_places || purpose == Purpose::Evaluate;
            let named = help.split([' ', ',', ':']).any(|word| word == info.name);
            assert_eq!(named, usable && info.meaning(option).is_some(), "{}: {help}", info.name);
        }
    }
}

#[test]
fn what_a_benchmark_does_not_take_is_refused_with_those_that_do() {
    for info in registry().iter().map(|b| b.info()) {
        if info.meaning("--task-data").is_some() {
            continue;
        }
        let e = chosen(info.name, true, Purpose::Evaluate).err().unwrap();
        assert!(e.exit_code() == 2 && e.to_string().contains("--task babilong"), "{e}");
    }
}

#[test]
fn every_benchmark_has_a_row_in_the_docs() {
    let docs = include_str!("../../docs/tasks.md");
    for info in registry().iter().map(|b| b.info()) {
        assert!(docs.contains(&format!("\n| `{}` | ", info.name)), "{}", info.name);
    }
}
