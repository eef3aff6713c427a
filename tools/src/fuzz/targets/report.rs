//! Folders of results, which `headprof report` makes pages of.

use headprof::report::ReportData;
use headprof::{Error, Result};
use serde_json::{Value, json};

use super::seeds::bytes;
use crate::fuzz::Target;
use crate::fuzz::target::Folder;

const PROBES: &str = "probes.jsonl";
const SCORES: &str = "head_score/m_inf_heads.json";
const SIDECAR: &str = "head_score/m_inf_heads.meta.json";
const EVALUATION: &str = "evaluate.json";
const ABLATION: &str = "ablate.json";
const BUDGET: &str = "head_score/m_budget-8.json";
const LOOK: &str = "look/m_a.json";

fn model() -> Value {
    json!({"name": "m", "layers": 2, "heads": 2, "kv_heads": 1, "weights_dtype": "f32"})
}

fn estimate() -> Value {
    json!({"name": "accuracy", "mean": 0.5, "interval_95": [0.25, 0.75]})
}

fn probes() -> Vec<u8> {
    let line = |id: &str, status: &str| {
        let line = json!({
            "id": id, "needle_id": "n", "context_length": 64, "depth_asked": 0.5, "answer": "a",
            "gold": "a", "gate_value": 1.0, "status": status, "reason": null,
        });
        format!("{line}\n")
    };
    (line("a", "accepted") + &line("b", "rejected")).into_bytes()
}

fn sidecar() -> Vec<u8> {
    let rows = json!([[0.5, 0.25], [0.0, 1.0]]);
    bytes(&json!({
        "task": null, "score": {"name": "inf", "title": "t", "formula": "f", "source": "s"},
        "heads": {
            "mean": rows, "std_error": rows, "low_95": rows, "high_95": rows,
            "top_probability": rows,
            "types": {"previous_token": rows, "duplicate_token": rows, "induction": rows},
        },
        "probes": {"accepted": 1, "accepted_ids": ["a"]}, "model": model(),
        "gate": {"name": "rouge", "threshold": 0.5}, "command": ["headprof"],
        "grid": {"context_lengths": [64], "depths": [0.5], "seed": 1},
        "run": {"created": "2026", "seconds": {"total": 1.0}, "threads": 2},
    }))
}

fn evaluation() -> Vec<u8> {
    bytes(&json!({
        "task": "needle", "accuracy": "gate", "prompts": 2, "model": model(), "rows": [{
            "method": "headkv", "head_score": "inf", "budget_tokens": 8, "prompts": 2,
            "metrics": [estimate()], "against_full": estimate(), "against_snapkv": null,
            "kv_share": 0.5,
        }],
    }))
}

fn ablation() -> Vec<u8> {
    bytes(&json!({
        "off": "zero", "when": "all", "head_score": {"path": "m_inf_heads.json"}, "prompts": 2,
        "model": model(), "rows": [{
            "chosen": "top", "k": 1, "accuracy": estimate(), "drop": estimate(), "p": 0.5,
        }],
    }))
}

fn budget() -> Vec<u8> {
    bytes(&json!({
        "method": "headkv", "capacities": [[4], [12]],
        "parameters": {"max_capacity_prompts": 8, "window_size": 2, "granularity": "kv_head"},
    }))
}

fn look() -> Vec<u8> {
    bytes(&json!({
        "model": "m", "id": "a", "about": "n", "length": 3, "depth": 0.5,
        "answer": "a", "tokens": ["a", " b", "."], "needle": [[0, 2]], "heads": [{
            "layer": 0, "head": 1, "score": "inf",
            "steps": [{"token": "a", "max": 0.5, "weights": "/wAA"}],
        }],
    }))
}

/// The folder with `input` in the place of the file called `name`.
fn read(folder: &Folder, name: &str, input: &[u8]) -> Result<()> {
    for inside in ["head_score", "look"] {
        if let Err(e) = std::fs::create_dir_all(folder.path().join(inside)) {
            panic!("the fuzzer cannot make {inside}: {e}");
        }
    }
    let scores = br#"{"0-0": [0.5], "0-1": [0.25], "1-0": [0], "1-1": [1]}"#.to_vec();
    for (file, content) in [
        (PROBES, probes()),
        (SCORES, scores),
        (SIDECAR, sidecar()),
        (EVALUATION, evaluation()),
        (ABLATION, ablation()),
        (BUDGET, budget()),
        (LOOK, look()),
    ] {
        folder.put(file, if file == name { input } else { &content });
    }
    let data = ReportData::of(folder.path(), None)?;
    let heads = data.model.layers.saturating_mul(data.model.heads);
    // What is no budget is passed over: here that counts as refused.
    if name == BUDGET && data.budgets.is_empty() {
        return Err(Error::data("no budget is shown"));
    }
    for score in &data.scores {
        assert_eq!(score.mean.len(), heads, "a score of other heads than the model's");
    }
    Ok(())
}

/// What one of the files holds.
macro_rules! target {
    ($name:ident, $called:literal, $file:ident, $seed:ident) => {
        #[doc = concat!("`", $called, "`")]
        pub static $name: Target = Target {
            name: $called,
            reads: "a folder of results, for its page",
            seeds: || vec![$seed()],
            beside: crate::fuzz::target::alone,
            read: |folder, input| read(folder, $file, input),
        };
    };
}

target!(ANSWERS, "report-probes", PROBES, probes);
target!(SCORE, "report-sidecar", SIDECAR, sidecar);
target!(TABLE, "report-evaluation", EVALUATION, evaluation);
target!(CURVE, "report-ablation", ABLATION, ablation);
target!(TOKENS, "report-budget", BUDGET, budget);
target!(ROWS, "report-look", LOOK, look);
