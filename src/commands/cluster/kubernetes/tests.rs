use clap::Parser;
use serde_json::{Map, Value, json};

use super::*;
use crate::cli::{ClusterArgs, Engine};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    cluster: ClusterArgs,
}

fn printed(options: &[&str], behind: &[&str]) -> Result<String> {
    let start = ["cluster", "kubernetes", "--shards", "3", "--image", "example.org/headprof:1"];
    let words = [&start, options, &["--"], behind].concat();
    match Line::try_parse_from(words).unwrap().cluster.engine {
        Engine::Kubernetes(args) => manifest(&Job::new(&args.sharded).unwrap(), &args),
        other => panic!("{other:?}"),
    }
}

/// The part of YAML that a manifest is written in: blocks of keys and of items, and values as in
/// JSON or as plain words.
fn read(text: &str) -> Value {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let split = |line: &str| {
        let content = line.trim_start_matches(' ');
        (line.len() - content.len(), content.to_owned())
    };
    let mut lines: Vec<(usize, String)> = lines.map(split).rev().collect();
    let value = block(&mut lines);
    assert!(lines.is_empty(), "what is left: {lines:?}");
    value
}

/// The block that begins at the next line, which is the last of `lines`.
fn block(lines: &mut Vec<(usize, String)>) -> Value {
    let indent = lines.last().unwrap().0;
    let here = |lines: &Vec<(usize, String)>| lines.last().is_some_and(|line| line.0 == indent);
    if !lines.last().unwrap().1.starts_with("- ") {
        let mut map = Map::new();
        while here(lines) && !lines.last().unwrap().1.starts_with("- ") {
            let (_, line) = lines.pop().unwrap();
            let (key, rest) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
            let value = match rest {
                "" => block(lines),
                _ => scalar(rest.strip_prefix(' ').unwrap()),
            };
            let key = scalar(key).as_str().unwrap().to_owned();
            assert!(map.insert(key, value).is_none(), "{line} is there twice");
        }
        return Value::Object(map);
    }
    let mut items = Vec::new();
    while here(lines) && lines.last().unwrap().1.starts_with("- ") {
        let (_, line) = lines.pop().unwrap();
        let item = line[2..].to_owned();
        if item.starts_with('"') {
            items.push(scalar(&item));
        } else {
            lines.push((indent + 2, item));
            items.push(block(lines));
        }
    }
    Value::Array(items)
}

fn scalar(text: &str) -> Value {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/.-_".contains(&b);
    serde_json::from_str(text).unwrap_or_else(|_| {
        assert!(text.bytes().all(plain), "{text}");
        Value::from(text)
    })
}

#[test]
fn a_job_has_a_pod_for_every_shard() {
    let options = ["--gpus", "1", "--cpu", "8", "--memory", "32Gi", "--at-once", "2"];
    let text = printed(&options, &["--model", "models/m", "--out", "results"]).unwrap();
    let shards_env = json!([{"name": "HEADPROF_SHARDS", "value": "3"}]);
    let limits = json!({"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"});
    let container = json!({
        "name": "headprof",
        "image": "example.org/headprof:1",
        "workingDir": "/work",
        "command": ["headprof"],
        "args": ["--model", "models/m", "--out", "results", "--shard", "auto"],
        "env": shards_env,
        "resources": {"limits": limits},
        "volumeMounts": [{"name": "results", "mountPath": "/work"}],
    });
    let claim = json!({"claimName": "headprof"});
    let pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": [{"name": "results", "persistentVolumeClaim": claim}],
    });
    let disrupted = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let rules = json!([
        {"action": "Ignore", "onPodConditions": disrupted},
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2, 3, 4]}},
    ]);
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "headprof"},
        "spec": {
            "completionMode": "Indexed",
            "completions": 3,
            "parallelism": 2,
            "backoffLimitPerIndex": 3,
            "podFailurePolicy": {"rules": rules},
            "template": {"spec": pod},
        },
    });
    assert_eq!(read(&text), expected, "{text}");
    assert!(text.ends_with("#   headprof merge results\n"), "{text}");
    assert!(!text.contains("no --out"), "{text}");
}

#[test]
fn what_is_not_given_has_no_limit() {
    let text = printed(&["--at-once", "9", "--retries", "0"], &[]).unwrap();
    let spec = &read(&text)["spec"];
    assert_eq!(spec["parallelism"], 3);
    assert_eq!(spec["backoffLimitPerIndex"], 0);
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container.get("resources"), None);
    assert_eq!(container["args"], json!(["--shard", "auto"]));
    assert!(text.contains("# There is no --out: results go to the volume"), "{text}");
    let text = printed(&["--gpus=2", "--gpu-resource=amd.com/gpu"], &[]).unwrap();
    let container = &read(&text)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"], json!({"limits": {"amd.com/gpu": "2"}}));
}

#[test]
fn words_reach_the_program_as_they_are() {
    // Two dollars are one to Kubernetes, so that no variable is put in.
    let words = [
        ("yes", "yes"),
        ("a: b # c", "a: b # c"),
        ("- x", "- x"),
        ("\"quoted\" 'it\\s'", "\"quoted\" 'it\\s'"),
        ("two\nlines\t{[&*!|>%@`", "two\nlines\t{[&*!|>%@`"),
        ("$(HOME) $HOME $", "$$(HOME) $$HOME $$"),
        ("größe 人 😀", "größe 人 😀"),
        ("\u{1}\u{7f}\u{85}\u{2028}\u{feff}", "\u{1}\u{7f}\u{85}\u{2028}\u{feff}"),
    ];
    for (word, written) in words {
        let [program, model] = ["--program", "--model"].map(|option| format!("{option}={word}"));
        let text = printed(&[&program], &[&model]).unwrap();
        let container = &read(&text)["spec"]["template"]["spec"]["containers"][0];
        let model = format!("--model={written}");
        assert_eq!(container["args"], json!([model, "--shard", "auto"]), "{text}");
        assert_eq!(container["command"], json!([written]));
        let odd = |c: &char| matches!(c, '\u{1}' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{feff}');
        let manifest: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(manifest.chars().find(odd), None);
    }
    assert_eq!(yaml("\u{85}\u{2028}\n"), r#""\u0085\u2028\n""#);
}

#[test]
fn names_and_places_that_cannot_be_are_refused() {
    let long = "a".repeat(58);
    let bad = [
        (["--name", "Headprof"], "--name"),
        (["--name", "-a"], "--name"),
        (["--name", "a-"], "--name"),
        (["--name", "a.b"], "--name"),
        (["--name", ""], "--name"),
        (["--name", &long], "--name"),
        (["--claim", ""], "--claim"),
        (["--mount", "work"], "--mount"),
        (["--mount", "/a/../b"], "--mount"),
        (["--mount", "/a:b"], "--mount"),
    ];
    for (option, place) in bad {
        let option = [&format!("{}={}", option[0], option[1])[..]];
        let e = printed(&option, &["--out", "x"]).unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        assert!(e.to_string().contains(&format!("where     {place}\n")), "{e}");
    }
    assert!(printed(&["--name", &long[1..]], &[]).is_ok());
}

#[test]
fn results_are_on_the_volume() {
    for out in ["x", "./x/y", ".", "/data", "/data/x"] {
        printed(&["--mount", "/data"], &["--out", out]).unwrap();
    }
    for out in ["/x", "/datax", "../x", "x/../../y", "/data/../x"] {
        let e = printed(&["--mount", "/data"], &["--out", out]).unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        assert!(e.to_string().contains("gone with their pod"), "{out}: {e}");
    }
}
