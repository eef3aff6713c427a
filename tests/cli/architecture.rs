//! The order of the rooms, as docs/architecture.md lists them: a room imports what stands above it
//! in that list, never what stands below; no command imports another.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::claims::{read, root, sources};

/// The folders and files directly in `src/` in the order of docs/architecture.md.
fn rooms() -> Vec<String> {
    let docs = read("docs/architecture.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `src/"));
    rows.map(|row| row.split(['/', '.', '`']).next().unwrap().to_owned()).collect()
}

/// What follows `prefix` in the code of a file, comments apart: the first name behind it.
fn named<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(move |line| line.split(prefix).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn the_list_of_rooms_is_complete() {
    let entries = std::fs::read_dir(root().join("src")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let there: BTreeSet<String> = entries.map(|e| stem(e.unwrap().path())).collect();
    let listed = rooms();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(listed.len(), there.len(), "a room is listed twice");
    // The crate's own page names them, too.
    let page = read("src/lib.rs");
    for room in listed.iter().filter(|room| !["lib", "main"].contains(&room.as_str())) {
        let named = [format!("[`{room}`]"), format!("[`mod@{room}`]")];
        assert!(named.iter().any(|name| page.contains(name)), "{room}");
    }
}

#[test]
fn no_room_imports_one_that_stands_below_it() {
    let rooms = rooms();
    let place = |room: &str| rooms.iter().position(|r| r == room);
    let mut arrows = BTreeSet::new();
    let mut upward = Vec::new();
    for (file, code) in sources() {
        let room = file.split(['/', '.']).next().unwrap().to_owned();
        if room == "lib" {
            continue;
        }
        let prefix = if room == "main" { "headprof::" } else { "crate::" };
        for other in named(&code, prefix) {
            // What is no room is a name of the crate's own page.
            let Some(there) = place(other).filter(|_| other != room) else { continue };
            arrows.insert((room.clone(), other.to_owned()));
            if there > place(&room).unwrap() {
                upward.push(format!("src/{file} imports {other}"));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    println!("{} rooms, {} arrows between them", rooms.len(), arrows.len());
    assert!(arrows.len() > 100);
}

#[test]
fn no_command_imports_another() {
    let mut seen = 0;
    let entries = std::fs::read_dir(root().join("src/commands")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let commands: Vec<String> = entries.map(|e| stem(e.unwrap().path())).collect();
    assert!(commands.iter().any(|c| c == "profile"), "{commands:?}");
    for (file, code) in sources() {
        let Some(inside) = file.strip_prefix("commands/") else { continue };
        let command = inside.split(['/', '.']).next().unwrap();
        assert!(!code.contains("crate::{") && !code.contains("crate::commands::{"), "src/{file}");
        // A command in one file has its siblings above it, one in a folder two above.
        let up = if inside.contains('/') { "super::super::" } else { "super::" };
        for other in named(&code, "crate::commands::").chain(named(&code, up)) {
            let is_command = commands.iter().any(|c| c == other) && other != command;
            assert!(!is_command, "src/{file} imports the command {other}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} files");
}

/// `unsafe` stands in the processor's kernels and in the files of this list, nowhere else; that each
/// block says why it is sound, clippy checks.
#[test]
fn unsafe_code_stands_where_it_is_listed() {
    const KERNELS: [&str; 2] = ["model/cpu/", "model/kernels/"];
    const OTHERS: [&str; 4] = [
        // The memory map; numbers that threads have written.
        "model/weights_file.rs",
        "model/transposed.rs",
        // Whether the libraries of CUDA are there.
        "model/device/cuda.rs",
        // A setting of GNU's allocator.
        "system/machine.rs",
    ];
    let mut others = BTreeSet::new();
    let mut kernels = 0;
    for (file, code) in sources() {
        let words = |line: &str| line.split("//").next().is_some_and(|c| c.contains("unsafe "));
        if !code.lines().any(words) {
            continue;
        }
        match KERNELS.iter().any(|folder| file.starts_with(folder)) {
            true => kernels += 1,
            false => drop(others.insert(file)),
        }
    }
    assert!(kernels > 3, "{kernels}");
    assert_eq!(others, OTHERS.map(str::to_owned).into());
}
