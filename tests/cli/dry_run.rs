//! `headprof --dry-run`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{fails, files_in, headprof, needles, stderr, text};

fn dry(args: &[&str]) -> Value {
    let output = headprof(&[&["--dry-run", "--json"][..], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// 18 needles x 2 lengths x 3 depths; keys and values of 6 layers x 4 heads x 32 numbers in f32;
/// weights in f16, as saved.
#[test]
fn the_grid_and_the_memory_of_the_shape() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let told = dry(&["--lengths", "256,512", "--depths", "0,0.5,1", "--out", text(&out)]);
    assert_eq!(told["probes"], 108);
    assert_eq!(told["prompt_tokens"], 54 * (256 + 512));
    assert_eq!(told["longest_answer"], 32);
    assert_eq!(told["kv_cache_bytes"], 2 * 6 * 4 * 32 * 4 * (512 + 32));
    assert_eq!(told["weight_bytes"], told["parameters"].as_u64().unwrap() * 2);
    assert_eq!(told["fits"], true);
    for key in ["prefill_secs", "decode_secs_at_most", "prefill_flops", "peak_bytes"] {
        assert!(told[key].as_f64().unwrap() > 0.0, "{key}: {told}");
    }
    // Nothing is written, not even the folder.
    assert!(!out.exists());
    // What prompts begin alike with is run once.
    assert!(told["run_tokens"].as_u64().unwrap() < 54 * (256 + 512) * 3 / 4, "{told}");
    let whole = |extra: &[&str]| {
        let grid = ["--lengths", "256,512", "--depths", "0,0.5,1", "--prefix-reuse", "off"];
        dry(&[&grid[..], extra].concat())
    };
    let (once, twice) = (whole(&[]), whole(&["--repeats", "2"]));
    assert_eq!(once["run_tokens"], once["prompt_tokens"]);
    let flops = |told: &Value| told["prefill_flops"].as_f64().unwrap();
    assert!(flops(&told) < 0.75 * flops(&once));
    let ratio = flops(&twice) / flops(&once);
    assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
}

/// The weights of this model are not there; a context beyond any memory is told with the longest
/// that fits.
#[test]
fn no_weight_is_read_and_what_does_not_fit_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/needle-llama");
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(own.join(file), dir.path().join(file)).unwrap();
    }
    assert_eq!(files_in(dir.path()).len(), 2);
    let model = ["--model", text(dir.path()), "--depths", "0.5"];
    assert_eq!(dry(&[&model[..], &["--lengths", "1k"]].concat())["context_lengths"][0], 1024);
    let long = ["--dry-run", "--lengths", "16000k", "--allow-extrapolation"];
    let needles = needles(dir.path());
    let args = [&model[..], &long, &["--needles", text(&needles)]].concat();
    fails(&args, 5, &["there would not be enough memory", "lengths up to"]);
    let output = headprof(&args);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("does NOT fit; up to length"), "{table}");
    fails(&["--dry-run", "--depths", "2"], 2, &["--depths"]);
}

/// 2 needles x 1 length x 2 depths under 1 + 2 x 2 settings.
#[test]
fn a_comparison_tells_its_prompts_and_answers() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let grid = ["--lengths", "256", "--depths", "0,1", "--needles", text(&needles)];
    let out = dir.path().join("out");
    let methods = ["--methods", "full,snapkv,h2o", "--budgets", "16,64", "--out", text(&out)];
    let args = [&["evaluate", "--dry-run", "--json"][..], &grid, &methods].concat();
    let output = headprof(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["probes"], &told["answers_per_probe"]), (&4.into(), &5.into()));
    assert_eq!(told["prompt_tokens"], 4 * 256);
    assert!(!out.exists());
    // The compressed caches and the statistics come on top of the profile's.
    let profile = dry(&[&grid[..], &["--batch", "1", "--threads", "1"]].concat());
    assert_eq!((&profile["answers_per_probe"], &profile["caches"]), (&1.into(), &1.into()));
    let peak = |told: &Value| told["peak_bytes"].as_u64().unwrap();
    assert!(peak(&told) > peak(&profile));
    // Every further probe at the same time has a cache of its own, as long as prompt and answer,
    // and logits.
    let three = dry(&[&grid[..], &["--batch", "3", "--threads", "1"]].concat());
    assert_eq!(three["caches"], 3);
    let further = three["kv_cache_bytes"].as_u64().unwrap() + 12 * 2048;
    assert_eq!(peak(&three) - peak(&profile), 2 * further);
    // As many as fit into what is allowed.
    let little = dry(&[&grid[..], &["--threads", "2", "--memory", "67MiB"]].concat());
    assert_eq!((&little["available_bytes"], &little["caches"]), (&(67 << 20).into(), &2.into()));
    let side_by_side = dry(&[&grid[..], &["--batch", "3", "--threads", "2"]].concat());
    let caches = side_by_side["caches"].as_u64().unwrap();
    assert!((3..=6).contains(&caches) && peak(&side_by_side) >= peak(&three), "{side_by_side}");
    let table = headprof(&[&["evaluate", "--dry-run"][..], &grid, &methods].concat());
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("4 at lengths 256, 5 answers each"), "{table}");
    fails(&["evaluate", "--dry-run", "--head-score", "/no/such.json"], 3, &["/no/such.json"]);
}

/// The window of the fixture is 12 tokens.
#[test]
fn sliding_windows_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = root.join("tests/fixtures/models/mistral-window/config.json");
    let config =
        fs::read_to_string(fixture).unwrap().replace("\"vocab_size\": 96", "\"vocab_size\": 2048");
    fs::write(dir.path().join("config.json"), config).unwrap();
    let tokenizer = root.join("models/needle-llama/tokenizer.json");
    fs::copy(tokenizer, dir.path().join("tokenizer.json")).unwrap();
    let told = dry(&["--model", text(dir.path()), "--lengths", "256", "--depths", "0.5"]);
    let window = told["window"].as_str().unwrap();
    assert!(window.contains("all 2 layers see the last 12 tokens alone"), "{window}");
}
