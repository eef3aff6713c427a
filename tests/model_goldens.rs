//! The engine against transformers: every folder of `tests/fixtures/models`, and of
//! `$HEADPROF_GOLDENS/models` where there is one, and what must hold without a reference.

#[path = "common/gguf.rs"]
#[allow(dead_code, reason = "some parts are for the library's tests alone")]
mod gguf;
#[path = "common/goldens.rs"]
mod goldens;

use std::path::{Path, PathBuf};

use headprof::Result;
use headprof::commands::verify::{self, Verification};
use headprof::job::Session;
use headprof::model::ModelConfig;
use headprof::model::NoRows;
use headprof::model::config::{Family, RopeScaling};
use headprof::model::full_rows::{FullRows, LayerRows};
use headprof::model::{Compute, Llama};
use headprof::system::Reporter;
use serde_json::json;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models")
}

/// Folders with a golden.json, sorted.
fn folders(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    all.retain(|dir| dir.join("golden.json").exists());
    all.sort();
    all
}

fn ours() -> Vec<PathBuf> {
    let all = folders(&fixtures());
    assert_eq!(all.len(), 12, "the fixtures are not all there: {all:?}");
    all
}

/// Fixtures, then goldens outside the repository.
fn everywhere() -> Vec<PathBuf> {
    let mut all = ours();
    all.extend(goldens::checkpoints());
    println!("{} checkpoints", all.len());
    all
}

/// The checkpoint in `dir` against what transformers computed for it, on the processor.
fn verify(dir: &Path, golden: Option<&Path>) -> Result<Verification> {
    let reporter = Reporter::default();
    verify::verify(dir, golden, &Session::new(Compute::cpu(), &reporter))
}

/// The same numbers out of a GGUF file, in one part and in three, as out of the folder: to the bit but
/// where factors stand for a scaling of RoPE and are rounded once more.
#[test]
fn gguf_files_compute_what_their_folders_do() {
    let mut files = 0;
    for dir in everywhere() {
        let config = ModelConfig::from_dir(&dir).unwrap();
        if !config.assumed.is_empty() || dir.ends_with("qwen2-window-above") {
            // A GGUF file says everything, and nothing of Qwen's windows.
            continue;
        }
        files += 1;
        let temp = tempfile::tempdir().unwrap();
        let file = gguf::GgufWriter::of_checkpoint(&dir);
        let whole = temp.path().join("model.gguf");
        std::fs::write(&whole, file.bytes()).unwrap();
        let parts = file.parts(3);
        let part = |i: usize| temp.path().join(format!("model-0000{i}-of-00003.gguf"));
        for (i, bytes) in parts.iter().enumerate() {
            std::fs::write(part(i + 1), bytes).unwrap();
        }
        let golden = dir.join("golden.json");
        let want = verify(&dir, None).unwrap();
        let scaled = matches!(config.rope.scaling, RopeScaling::Llama3 { .. });
        for path in [whole, part(1)] {
            let got = verify(&path, Some(&golden)).unwrap_or_else(|e| panic!("{e}"));
            assert!(got.passed, "{got}");
            let pairs = [(&got.logits, &want.logits), (&got.attention, &want.attention)];
            for (got, want) in pairs {
                let same = got.largest == want.largest;
                assert!(same || scaled, "{}: {got:?} {want:?}", dir.display());
            }
        }
    }
    assert!(files >= 9, "{files}");
}

fn prompt(model: &Llama, tokens: usize) -> Vec<u32> {
    // 37 is coprime to the vocabularies of the fixtures (96): every id occurs.
    (0..tokens).map(|i| ((i * 37 + i / 5) % model.config().vocab) as u32).collect()
}

/// Largest difference of two lists, relative to the largest entry.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = a.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(scale > 0.0 && a.iter().chain(b).all(|v| v.is_finite()));
    a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

#[test]
fn computes_what_transformers_computes() {
    let (mut families, mut failures) = (Vec::new(), Vec::new());
    for dir in everywhere() {
        let report = verify(&dir, None).unwrap_or_else(|e| panic!("{e}"));
        println!(
            "{:<30} logits {:.1e}  attention {:.1e}  greedy {}/{}  argmax {}/{}",
            dir.file_name().unwrap().to_string_lossy(),
            report.logits.largest,
            report.attention.largest,
            report.greedy.equal,
            report.greedy.total,
            report.argmax.equal,
            report.argmax.total,
        );
        assert!(report.rows >= 2 && report.prompt_tokens >= 48, "{report}");
        // Nothing is exact between two programs: a difference of 0 means nothing was compared.
        assert!(report.logits.largest > 0.0 && report.attention.largest > 0.0, "{report}");
        if !report.passed() || report.greedy.equal != report.greedy.total {
            failures.push(report.to_string());
        }
        families.push(report.family);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    for family in [Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3] {
        assert!(families.iter().any(|f| f == family.name()), "{}", family.name());
    }
}

/// The tolerances can fail: each kind of number, a little off, is noticed and named.
#[test]
fn verify_notices_what_differs() {
    let dir = fixtures().join("mistral-window");
    let text = std::fs::read(dir.join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.json");
    let check = |pointer: &str, change: &dyn Fn(f64) -> f64| {
        let mut changed = golden.clone();
        let slot = changed.pointer_mut(pointer).unwrap();
        let value = change(slot.as_f64().unwrap());
        *slot = match slot.is_u64() {
            true => json!(value as u64),
            false => json!(value),
        };
        std::fs::write(&path, changed.to_string()).unwrap();
        verify(&dir, Some(&path)).unwrap()
    };
    let good = check("/logits_last/2/5", &|v| v);
    assert!(good.passed(), "{good}");
    assert_eq!(good.golden, path.display().to_string());

    let bad = check("/logits_last/2/5", &|v| v + 0.01);
    assert!(!bad.passed());
    assert_eq!(bad.logits.place, "row 2, token id 5");
    // Row 3 holds the last 12 of 48 + 3 keys: its entry 4 is key 39 + 4.
    let bad = check("/attention/3/1/2/4", &|v| v + 1e-4);
    assert!(!bad.passed());
    assert_eq!(bad.attention.place, "row 3, layer 1, head 2, key 43");
    // After scores that are sums of large products, by what torch is off in f32; before, as ever.
    let judged = |size: f64, torch: f64| {
        let mut large = golden.clone();
        let slot = large.pointer_mut("/attention/3/1/2/4").unwrap();
        *slot = json!(slot.as_f64().unwrap() + 1e-4);
        *large.pointer_mut("/score_size/0/0/3").unwrap() = json!(size);
        *large.pointer_mut("/torch_f32/attention/1").unwrap() = json!(torch);
        std::fs::write(&path, large.to_string()).unwrap();
        verify(&dir, Some(&path)).unwrap()
    };
    let good = judged(1000.0, 3e-5);
    assert!(good.passed() && (good.attention.tolerance - 1.2e-4).abs() < 1e-9, "{good}");
    assert!(good.to_string().contains("transformers in f32 is off by"), "{good}");
    for (size, torch, tolerance) in
        [(40.0, 9e-6, 1e-5), (1000.0, 2e-5, 8e-5), (40.0, 1.1e-5, 4.4e-5)]
    {
        let bad = judged(size, torch);
        assert!(!bad.passed() && (bad.attention.tolerance - tolerance).abs() < 1e-9, "{bad}");
    }
    // A golden in f32 cannot say how far f32 is off.
    let mut single = golden.clone();
    single.as_object_mut().unwrap().remove("torch_f32");
    *single.pointer_mut("/score_size/0/0/3").unwrap() = json!(1000.0);
    *single.pointer_mut("/attention/3/1/2/4").unwrap() = json!(0.5);
    std::fs::write(&path, single.to_string()).unwrap();
    let bad = verify(&dir, Some(&path)).unwrap();
    assert!(!bad.passed() && bad.to_string().contains("as large as 1000"), "{bad}");

    let bad = check("/generated/4", &|v| (v + 1.0) % 96.0);
    assert!(!bad.passed());
    assert_eq!((bad.greedy.equal, bad.greedy.tied, bad.greedy.total), (4, 0, 5));
    let bad = check("/logits_all_argmax/7", &|v| (v + 1.0) % 96.0);
    assert!(!bad.passed());
    assert_eq!(bad.argmax.equal, 47);
    assert!(bad.to_string().contains("DIFFERS") && bad.to_string().contains("NOT"), "{bad}");
    let json = serde_json::to_value(&bad).unwrap();
    assert_eq!((&json["passed"], &json["argmax"]["equal"]), (&false.into(), &47.into()));
}

/// Every option that the fixtures are there for changes their numbers: without it, they differ.
#[test]
fn an_option_of_the_configuration_that_is_ignored_is_noticed() {
    for (name, pointer, value) in [
        ("llama-mha", "/rope_theta", json!(20000.0)),
        ("llama-mha", "/rms_norm_eps", json!(0.1)),
        ("llama3-scaling-old-dialect", "/rope_scaling", json!(null)),
        ("llama3-scaling-old-dialect", "/rope_scaling/low_freq_factor", json!(2.0)),
        ("llama3-scaling-new-dialect", "/rope_parameters/rope_type", json!("default")),
        ("llama3-scaling-new-dialect", "/rope_parameters/rope_theta", json!(10000.0)),
        ("llama-linear-tied-f16", "/rope_scaling/factor", json!(2.0)),
        ("llama-biases", "/attention_bias", json!(false)),
        ("llama-biases", "/mlp_bias", json!(false)),
        ("mistral-window", "/sliding_window", json!(13)),
        ("mistral-window", "/sliding_window", json!(null)),
        ("qwen2-window-above", "/max_window_layers", json!(0)),
        ("qwen2-window-above", "/use_sliding_window", json!(false)),
    ] {
        let (from, to) = (fixtures().join(name), tempfile::tempdir().unwrap());
        for entry in std::fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
        }
        let path = to.path().join("config.json");
        let text = std::fs::read(&path).unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert!(verify(to.path(), None).unwrap().passed(), "{name}");
        *config.pointer_mut(pointer).unwrap() = value;
        std::fs::write(&path, config.to_string()).unwrap();
        match verify(to.path(), None) {
            Ok(report) => assert!(!report.passed(), "{name} {pointer}: {report}"),
            // Another window gives rows of another length.
            Err(e) => assert!(e.to_string().contains("attention["), "{name} {pointer}: {e}"),
        }
    }
}

/// Logits and the rows of the last `captured` tokens.
fn run(model: &Llama, ids: &[u32], chunk: usize, captured: usize) -> (Vec<f32>, Vec<LayerRows>) {
    let mut cache = model.new_cache(ids.len());
    let mut sink = FullRows::default();
    let logits = model.run(ids, &mut cache, chunk, captured, &mut sink).unwrap();
    assert_eq!(cache.len(), ids.len());
    (logits, sink.take())
}

/// All at once, 600 x 600 scores per head are enough for the backend's tiled attention; the chunks
/// go through its plain form, and chunks of one through our own product.
#[test]
fn chunk_size_changes_nothing_but_rounding() {
    const TOKENS: usize = 600;
    for dir in everywhere() {
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids = prompt(&model, TOKENS);
        let (logits, rows) = run(&model, &ids, ids.len(), 1);
        assert_eq!(rows.len(), model.config().layers);
        for (layer, rows) in rows.iter().enumerate() {
            assert_eq!((rows.heads, rows.queries, rows.keys), (model.config().heads, 1, TOKENS));
            let seen = model.config().sliding_window[layer].unwrap_or(TOKENS).min(TOKENS);
            for head in 0..rows.heads {
                let row = rows.row(head, 0);
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                assert!(row[..TOKENS - seen].iter().all(|w| *w == 0.0), "{}", dir.display());
                assert!(row[TOKENS - seen..].iter().all(|w| *w > 0.0), "{}", dir.display());
            }
        }
        for chunk in [1, 7, 64] {
            let (other_logits, other_rows) = run(&model, &ids, chunk, 1);
            let place = format!("{} in chunks of {chunk}", dir.display());
            assert!(relative(&logits, &other_logits) < 1e-5, "{place}");
            for (a, b) in rows.iter().zip(&other_rows) {
                assert!(relative(&a.values, &b.values) < 1e-5, "{place}");
            }
        }
    }
}

/// The rows of a window of queries are the rows that each query has alone.
#[test]
fn a_window_of_rows_equals_its_queries_one_by_one() {
    for dir in ours() {
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids = prompt(&model, 60);
        let (_, together) = run(&model, &ids, 64, 5);
        for query in 0..5 {
            let end = 56 + query;
            let (_, alone) = run(&model, &ids[..end], 64, 1);
            for (many, one) in together.iter().zip(&alone) {
                assert_eq!((many.queries, many.keys, one.keys), (5, 60, end));
                for head in 0..many.heads {
                    let (many, one) = (many.row(head, query), one.row(head, 0));
                    assert!(relative(one, &many[..end]) < 1e-5, "{}", dir.display());
                    assert!(many[end..].iter().all(|w| *w == 0.0), "a query sees the future");
                }
            }
        }
    }
}

#[test]
fn logits_after_every_token_are_those_of_its_prefix() {
    let model = Llama::from_dir(&fixtures().join("qwen2-window-above"), &Compute::cpu()).unwrap();
    let ids = prompt(&model, 40);
    let mut seen = 0;
    model
        .each_logits(&ids, 16, &mut |i, logits| {
            let (alone, _) = run(&model, &ids[..=i], 64, 0);
            assert!(relative(&alone, logits) < 1e-5, "token {i}");
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 40);
}

#[test]
fn a_probe_on_a_fork_leaves_the_original_cache_alone() {
    for dir in ours() {
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids = prompt(&model, 60);
        let (shared, rest) = ids.split_at(40);
        let prefill = || {
            let mut cache = model.new_cache(64);
            model.run(shared, &mut cache, 16, 0, &mut NoRows).unwrap();
            cache
        };
        let go_on = |cache: &mut headprof::model::KvCache, ids: &[u32]| {
            let mut sink = FullRows::default();
            let mut out = vec![model.run(ids, cache, 16, 1, &mut sink).unwrap()];
            out.extend(sink.take().into_iter().map(|rows| rows.values));
            out
        };
        let undisturbed = go_on(&mut prefill(), rest);

        let mut original = prefill();
        let mut fork = original.clone();
        let other: Vec<u32> = rest.iter().rev().copied().collect();
        let on_fork = go_on(&mut fork, &other);
        assert_eq!((original.len(), fork.len()), (40, 60));
        // A fork of the fork, written to while both others live.
        fork.rewind(50);
        go_on(&mut fork.clone(), &other[..5]);
        assert_eq!(go_on(&mut original, rest), undisturbed, "{}", dir.display());
        assert_ne!(on_fork, undisturbed);
        // The other way round: what the original wrote is not in the fork.
        fork.rewind(40);
        assert_eq!(go_on(&mut fork, &other), on_fork, "{}", dir.display());
    }
}
