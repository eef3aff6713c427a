//! What runs leave behind, and shards are put together from: plans and journals.

use std::path::Path;

use headprof::commands::evaluate::{EvaluateFacts, PromptRecord};
use headprof::commands::profile::{FinishedProbe, Probed, ProfileFacts};
use headprof::commands::utility::{FinishedCurves, UtilityFacts};
use headprof::journal::{Collected, Finished, PlanFile, contents, seal};
use headprof::{HeadMatrix, Result};
use serde_json::{Value, json};

use super::seeds::bytes;
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// The hash that the journals of the seeds say their plan has.
const PLAN_HASH: &str = "ab";

/// Facts of a profile of two layers with two heads.
fn profile_facts() -> Value {
    json!({
        "command": ["headprof", "--seed", "1"], "model": "m", "layers": 2, "heads": 2,
        "model_sha256": "cd", "task": null, "scores": ["inf"], "score_rows": "all", "top_k": 10,
        "compat": "none", "seed": 0, "prefix_reuse": true, "context_lengths": [64, 128],
        "depths": [0.5], "have_depths": true, "placing": {"places": 2, "prompts": 2},
        "gate_rule": "none", "provenance": {"device": "cpu", "dtype": "f32"},
    })
}

/// A plan of two probes.
fn plan(kind: &str, facts: Value) -> Value {
    json!({
        "headprof": "0.1.0", "kind": kind, "shards": 2, "fingerprint": {"a": [1, 2]},
        "facts": facts, "probes": ["00000000000000aa", "00000000000000bb"], "shard_of": [1, 1],
    })
}

fn plans() -> Vec<Vec<u8>> {
    let evaluate = json!({
        "command": [], "model": "m", "task": "needle", "asked": "needle", "prompts": "ef", "judged_by": "gate", "batch": 1, "seed": 0,
        "reported_groups": false, "placing_caption": "", "compression": {}, "provenance": {},
        "settings": [{"method": "full", "budget_tokens": null}],
    });
    let utility = json!({
        "command": [], "model": "m", "token_score": "window", "granularity": "kv_head",
        "shape": [2, 2, 1], "selection": {}, "provenance": {},
    });
    let kinds = [("profile", profile_facts()), ("evaluate", evaluate), ("utility_window", utility)];
    kinds.map(|(kind, facts)| bytes(&plan(kind, facts))).to_vec()
}

/// `plan.json`, whatever kind of run it is of.
pub static PLAN: Target = Target {
    name: "plan",
    reads: "plan.json of a run",
    seeds: plans,
    beside: alone,
    read: |_, input| {
        let plan = PlanFile::parse(input)?;
        assert_eq!(PlanFile::parse(&plan.to_bytes()?)?, plan, "a plan reads back otherwise");
        let _ = (0..plan.probes.len()).map(|i| plan.shard_of(i)).max();
        let _ = plan.check(Path::new("plan.json"), &json!({"a": [1, 3]}), &[]);
        match plan.kind.split('_').next() {
            Some("evaluate") => plan.facts::<EvaluateFacts>()?.fingerprint().map(drop),
            Some("utility") => plan.facts::<UtilityFacts>().map(drop),
            _ => plan.facts::<ProfileFacts>()?.head_scores().map(drop),
        }
    },
};

/// Records of a journal, a line each, before they are sealed.
fn records() -> Vec<Value> {
    let scores = HeadMatrix::zeros(2, 2).to_base64();
    let probe = |index: usize, id: &str, scores: Value| {
        json!({"done": {"index": index, "id": id, "result": {
            "record": {
                "index": index, "id": id, "needle_id": "n", "context_length": 64,
                "depth_asked": 0.5, "depth_reached": 0.4, "repeat": 0, "prompt_tokens": 64,
                "reused_tokens": 0, "needle_spans": [[3, 9]], "haystack_cycles": 1,
                "answer": "x", "gold": "x", "gate_value": 1.0, "status": "accepted",
                "reason": null, "generated_ids": [5], "seconds": {"prefill": 0.5, "decode": 0.1},
            },
            "scores": scores,
        }}})
    };
    let begin = json!({"begin": {
        "headprof": "0.1.0", "plan": PLAN_HASH, "shard": "1/2", "device": "cpu", "hardware": "x", "dtype": "f32",
        "host": "h", "pid": 7, "began": "2026-01-01T00:00:00Z",
    }});
    vec![
        begin,
        probe(0, "00000000000000aa", json!({"inf": scores})),
        probe(1, "00000000000000bb", json!({"inf": scores})),
    ]
}

fn sealed(records: &[u8]) -> Vec<u8> {
    records.split(|b| *b == b'\n').filter(|line| !line.is_empty()).flat_map(seal).collect()
}

fn lines() -> Vec<u8> {
    super::seeds::lines(&records())
}

/// What a journal says of the plan of the seeds.
fn read<R: Finished>(path: &Path) -> Result<Collected<R>> {
    let plan = PlanFile::parse(&bytes(&plan("profile", profile_facts())))?;
    Collected::of(&plan, PLAN_HASH, &[(1, path.to_owned())])
}

/// A journal with its checks: nearly every edit is noticed by these.
pub static JOURNAL: Target = Target {
    name: "journal",
    reads: "a journal",
    seeds: || vec![sealed(&lines())],
    beside: alone,
    read: |folder, input| read::<FinishedProbe>(&folder.put("1-of-2.jsonl", input)).map(drop),
};

/// A journal whose lines are sealed after the edits, as if a program had written them.
pub static SEALED: Target = Target {
    name: "journal-records",
    reads: "records of a journal",
    seeds: || vec![lines()],
    beside: alone,
    read: |folder, input| {
        let path = folder.put("1-of-2.jsonl", &sealed(input));
        let _ = (contents::<PromptRecord>(&path), read::<FinishedCurves>(&path));
        let collected = read::<FinishedProbe>(&path)?;
        let plan = PlanFile::parse(&bytes(&plan("profile", profile_facts())))?;
        let probed = Probed::new(&plan.facts()?, collected.done)?;
        assert!(probed.records.len() <= plan.probes.len());
        Ok(())
    },
};
