//! `headprof observe`.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use headprof::model::planted;
use serde_json::Value;

use super::{HEADS, LAYERS, fails, files_in, headprof, stderr, text};

/// One run for all tests that only look: a head and the table, 96 tokens of a file of the user's.
struct Observed {
    dir: tempfile::TempDir,
    json: Value,
}

const TOKENS: usize = 96;

fn observed() -> &'static Observed {
    static OBSERVED: OnceLock<Observed> = OnceLock::new();
    OBSERVED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let context = dir.path().join("text.txt");
        fs::write(&context, "The harbour was quiet, and the boats were not. ".repeat(40)).unwrap();
        let mut args = vec!["observe", "--layer", "2", "--head", "5", "--all", "--length", "96"];
        args.extend(["--context", text(&context), "--out", text(dir.path()), "--json"]);
        let output = headprof(&args);
        assert!(output.status.success(), "{}", stderr(&output));
        Observed { json: serde_json::from_slice(&output.stdout).unwrap(), dir }
    })
}

/// The numbers of a CSV file, line by line; nothing where a cell is empty.
fn numbers(file: &str) -> Vec<Vec<Option<f64>>> {
    let content = fs::read_to_string(observed().dir.path().join(file)).unwrap();
    let cells = |line: &str| line.split(',').map(|c| c.parse().ok()).collect();
    content.lines().skip(1).map(cells).collect()
}

#[test]
fn every_file_is_there_and_nothing_else() {
    let Observed { dir, json } = observed();
    let root = dir.path();
    assert_eq!(files_in(root), ["observe", "plots", "text.txt"]);
    let pictures = ["needle-llama_observe_L2H5.png", "needle-llama_observe_L2H5.svg"];
    assert_eq!(files_in(&root.join("plots")), pictures);
    let tables = ["needle-llama_L2H5.csv", "needle-llama_sinks.csv"];
    assert_eq!(files_in(&root.join("observe")), tables);
    let listed: Vec<&str> =
        json["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|file| Path::new(file).is_file()));
}

#[test]
fn the_table_has_every_head_once() {
    let rows = numbers("observe/needle-llama_sinks.csv");
    assert_eq!(rows.len(), LAYERS * HEADS);
    for (i, row) in rows.iter().enumerate() {
        let [layer, head, kv_head, share, sink_norm, median_norm, ratio, top, its_share] = row[..]
        else {
            panic!("{row:?}")
        };
        assert_eq!((layer, head), (Some((i / HEADS) as f64), Some((i % HEADS) as f64)));
        assert_eq!(kv_head, Some((i % HEADS / 2) as f64));
        assert!(share.is_some_and(|s| (0.0..=1.0).contains(&s)), "{row:?}");
        let (sink_norm, median_norm) = (sink_norm.unwrap(), median_norm.unwrap());
        assert!(sink_norm > 0.0 && median_norm > 0.0);
        assert!((ratio.unwrap() - sink_norm / median_norm).abs() < 1e-12);
        // One of the sinks has as much as all of them, or another token has more than a share.
        assert!(top.is_some_and(|t| t >= 0.0 && t < TOKENS as f64 && t.fract() == 0.0));
        assert!(its_share.unwrap() * 4.0 >= share.unwrap() && its_share.unwrap() <= 1.0);
    }
    let Observed { json, .. } = observed();
    assert_eq!(json["heads"].as_array().unwrap().len(), rows.len());
    let shares = || rows.iter().map(|row| row[3].unwrap());
    let summary = &json["summary"];
    assert_eq!(summary["heads"], rows.len());
    assert_eq!(summary["on_sinks"], shares().filter(|s| *s > 0.5).count());
    assert_eq!((&json["tokens"], &json["sinks"]), (&TOKENS.into(), &4.into()));
    // The same digits stand in both files; serde_json reads them a last bit off now and then.
    let digits = rows[2 * HEADS + 5][3].unwrap().to_string();
    let as_json_reads_them: f64 = serde_json::from_str(&digits).unwrap();
    assert_eq!(json["head"]["sink_share"].as_f64(), Some(as_json_reads_them));
}

#[test]
fn a_head_has_a_line_per_token() {
    let rows = numbers("observe/needle-llama_L2H5.csv");
    assert_eq!(rows.len(), TOKENS);
    // A mean times the queries that see the token is the sum; all rows together sum to T.
    let column = |c: usize| rows.iter().map(move |row| row[c].unwrap());
    let total: f64 = column(2).enumerate().map(|(j, mean)| mean * (TOKENS - j) as f64).sum();
    assert!((total - TOKENS as f64).abs() < 1e-3, "{total}");
    assert!((column(6).sum::<f64>() - 1.0).abs() < 1e-9);
    for row in &rows {
        let [l1, l2, linf] = [3, 4, 5].map(|c| row[c].unwrap());
        assert!(l1 >= l2 && l2 >= linf && linf > 0.0, "{row:?}");
    }
}

/// Roles by construction, from text to table: the sink head has all of its attention on the sinks,
/// a diffuse one its even share.
#[test]
fn a_planted_sink_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("planted");
    let planted = planted::build(1).unwrap();
    planted.save(&model).unwrap();
    let context = dir.path().join("words.txt");
    fs::write(&context, planted::haystack_text(3, 400)).unwrap();
    let mut args = vec!["observe", "--all", "--length", "256", "--model", text(&model)];
    args.extend(["--context", text(&context), "--out", text(dir.path())]);
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("1 of 8 heads have more than 50 %"), "{said}");
    let (layer, head) = planted.roles.sink;
    let first = said.lines().find(|line| line.contains(&format!(" {layer}-{head} "))).unwrap();
    assert!(first.contains("100.0"), "{said}");
    let table = fs::read_to_string(dir.path().join("observe/planted_sinks.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 8);
    for (layer, head) in planted.roles.diffuse {
        let line = table.lines().find(|l| l.starts_with(&format!("{layer},{head},"))).unwrap();
        let share: f64 = line.split(',').nth(3).unwrap().parse().unwrap();
        // 4 (H_256 - H_4) / 252 = 4 (6.12434 - 2.08333) / 252.
        assert!((share - 0.064_143).abs() < 1e-4, "{line}");
    }
    assert!(!dir.path().join("plots").exists());
}

#[test]
fn what_cannot_be_observed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refuses = |args: &[&str], code: i32, says: &[&str]| {
        fails(&[&["observe", "--out", text(dir.path())], args].concat(), code, says);
    };
    refuses(&[], 2, &["--layer"]);
    refuses(&["--layer", "1"], 2, &["--head"]);
    refuses(&["--layer", "6", "--head", "0"], 2, &["--layer", "there are 6 layers"]);
    refuses(&["--layer", "0", "--head", "8"], 2, &["--head", "there are 8 heads"]);
    refuses(&["--all", "--value-norm", "off"], 2, &["--value-norm", "linf"]);
    refuses(&["--all", "--sink-len", "64", "--length", "64"], 2, &["--sink-len"]);
    refuses(&["--all", "--length", "1000k"], 2, &["max_position_embeddings", "--allow-extrapol"]);
    refuses(&["--all", "--model", "no/such/model"], 4, &["no/such/model"]);
    let context = dir.path().join("context.txt");
    for (bytes, says) in [(&b""[..], "empty"), (b"abc\xff\xfe", "byte 3"), (b"a\0b", "NUL")] {
        fs::write(&context, bytes).unwrap();
        refuses(&["--all", "--context", text(&context)], 3, &["context.txt", says]);
    }
    refuses(&["--all", "--context", "no/such/text"], 3, &["no/such/text"]);
    assert!(files_in(&dir.path().join("observe")).is_empty());
}
