//! What the documents and the crate's own pages say of the program, where it can be looked up.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use headprof::eviction;

use super::{main_scores, run};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files of Rust below a folder of the repository.
fn files_of_rust(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => walk(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// Every file of the crate that is not of tests alone: path below `src`, and text up to its tests.
pub fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut sources: Vec<(String, String)> = files_of_rust("src")
        .iter()
        .map(|path| {
            let name: Vec<_> =
                path.strip_prefix(&src).unwrap().iter().map(|p| p.to_str().unwrap()).collect();
            let text = fs::read_to_string(path).unwrap();
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            (name.join("/"), text[..end].to_owned())
        })
        .filter(|(name, _)| !name.contains("test") && !name.ends_with("samples.rs"))
        .collect();
    sources.sort();
    assert!(sources.len() > 200, "{} sources", sources.len());
    sources
}

/// Names of the sources of which a line has one of `parts`.
fn sources_with(parts: &[&str]) -> Vec<String> {
    let has = |text: &String| text.lines().any(|line| parts.iter().any(|part| line.contains(part)));
    sources().into_iter().filter(|(_, text)| has(text)).map(|(name, _)| name).collect()
}

/// "Results are written by atomic::write alone", but for journals, which grow line by line, and
/// the cache of the hub.
#[test]
fn files_are_written_in_three_places() {
    let writing = ["fs::write(", "File::create(", "OpenOptions::new(", "fs::copy(", ".persist("];
    let places = sources_with(&writing);
    assert!(places.contains(&"system/atomic.rs".to_owned()), "{places:?}");
    for place in places {
        let own = ["system/atomic.rs", "journal/mod.rs", "journal/lock.rs"];
        let known = own.contains(&place.as_str()) || place.starts_with("hub/");
        assert!(known, "{place} writes files");
    }
}

/// docs/architecture.md: one place writes what a user should know.
#[test]
fn notes_and_warnings_are_written_in_one_place() {
    assert_eq!(sources_with(&["\"note: ", "\"warning: "]), ["system/reporter.rs"]);
}

/// What is global, as the page of the crate lists it.
#[test]
fn what_is_global_is_listed() {
    let states = ["Mutex<", "OnceLock<", "LazyLock<", "Once ", "Atomic", "RefCell<"];
    let mut places = Vec::new();
    for (name, text) in sources() {
        let statics = text.lines().map(str::trim_start);
        let mut statics = statics.filter(|l| l.starts_with("static ") || l.contains(" static "));
        if statics.any(|line| line.contains(" mut ") || states.iter().any(|s| line.contains(s))) {
            places.push(name);
        }
    }
    let listed = [
        ("eviction/registry.rs", "the list of methods"),
        ("gate/runtime.rs", "ONNX Runtime"),
        ("model/cpu/amx/mod.rs", "buffers of threads"),
        ("model/cpu/amx/operands.rs", "buffers of threads"),
        ("model/cpu/amx/unit.rs", "what is known of the processor"),
        ("model/device/vulkan.rs", "the Vulkan device"),
        ("model/kernels/product.rs", "how a GPU multiplies"),
        ("plot/font.rs", "the font of the pictures"),
        ("system/panics.rs", "what the last panics said"),
    ];
    assert_eq!(places, listed.map(|(place, _)| place));
    let page = read("src/lib.rs").replace("\n//! ", " ").replace("  ", " ");
    for (place, words) in listed {
        assert!(page.contains(words), "{place}: no {words:?} in src/lib.rs");
    }
}

#[test]
fn the_readme_says_how_many_heads_of_how_many_scores_are_shown() {
    let mut lines = run().stdout.lines().skip_while(|line| !line.contains("best heads"));
    let (title, names) = (lines.next().unwrap(), lines.next().unwrap());
    let heads = lines.take_while(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
    let scores = names.split_whitespace().count();
    assert_eq!((heads, scores), (10, main_scores().len()), "{names}");
    assert!(title.contains("ten best heads"), "{title}");
    assert!(read("README.md").contains("ten best heads of each main score"));
    assert!(read("docs/scores.md").contains("the ten best of each main score"));
}

#[test]
fn the_example_of_a_utility_file_names_a_token_score() {
    let method = eviction::by_name("snapkv").unwrap();
    let name = method.token_score().unwrap().name();
    let example = format!("//!  \"model\": \"needle-llama\", \"token_score\": \"{name}\"");
    assert!(read("src/budget/utility_file.rs").contains(&example), "{example}");
}

/// Comments have the width of the code, but for tables, figures and addresses.
#[test]
fn comments_are_as_wide_as_the_code() {
    const WIDTH: usize = 100;
    let mut wide = Vec::new();
    for (name, text) in sources() {
        let mut figure = false;
        for (i, line) in text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            figure ^= comment.starts_with("```");
            let apart = figure || comment.starts_with('|') || comment.contains("://");
            if line.chars().count() > WIDTH && !apart {
                wide.push(format!("src/{name}:{}", i + 1));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for file in ["tests", "tools", "src"].into_iter().flat_map(files_of_rust) {
        let text = fs::read_to_string(file).unwrap();
        // `fn NAME(` on the line after.
        for after in text.split("#[test]\n").skip(1) {
            let name = after.trim_start().strip_prefix("fn ").and_then(|fun| fun.split_once('('));
            tests.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    assert!(tests.len() > 800, "{} tests", tests.len());
    tests
}

/// docs/faults.md: every row of its tables has a test, and every test and script is there.
#[test]
fn every_test_that_the_docs_name_is_there() {
    let docs = read("docs/faults.md");
    let tests = tests();
    // Before the first heading of its own stands the table of exit codes.
    let (_, tables) = docs.split_once("\n## ").unwrap();
    let rows: Vec<&str> = tables
        .lines()
        .filter(|line| line.strip_prefix("| ").is_some_and(|row| row.starts_with(char::is_numeric)))
        .collect();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, _, named] = cells[..] else { panic!("{} cells: {row}", cells.len()) };
        assert_eq!(number, (i + 1).to_string(), "{row}");
        // What stands between backticks is every other part.
        let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        let (scripts, names): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| name.contains('/'));
        assert!(!names.is_empty(), "no test in row {number}");
        for script in scripts {
            assert!(root().join(script).is_file(), "row {number}: there is no {script}");
        }
        for name in names {
            assert!(tests.contains(name), "row {number}: there is no test {name}");
        }
    }
}
