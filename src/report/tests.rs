use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

/// Two layers of four heads on two KV heads; three probes of which the second was rejected.
fn sidecar(model: &str, score: &str, ids: &[&str]) -> Value {
    json!({
        "headprof": "0.1.0",
        "command": ["headprof", "--model", "m"],
        "task": null,
        "score": {"name": score, "title": "t", "formula": "f", "source": "s"},
        "heads": {
            "mean": [[0.5, 0.25, 0.0, 0.0], [0.125, 0.0, 0.0, 0.75]],
            "std_error": null, "low_95": null, "high_95": null, "top_probability": null
        },
        "probes": {"accepted": ids.len(), "accepted_ids": ids},
        "model": {
            "name": model, "layers": 2, "heads": 4, "kv_heads": 2, "parameters": 7,
            "weights_dtype": "f32", "sha256": "abc"
        },
        "gate": {"name": "rouge", "threshold": 0.5},
        "grid": {"context_lengths": [64], "depths": [0.0, 1.0], "seed": 3},
        "run": {"created": "2026-01-01T00:00:00Z", "seconds": {"total": 180.0}, "threads": 2}
    })
}

fn probe(id: &str, depth: f64, status: &str, answer: &str) -> Value {
    json!({
        "id": id, "needle_id": "tom", "context_length": 64, "depth_asked": depth, "answer": answer,
        "gold": "2020.", "gate_value": 0.7, "status": status, "reason": null
    })
}

/// A folder with the scores of one profile.
fn folder(answer: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("head_score")).unwrap();
    write_score(&dir, "m", "inf", &["a", "c"]);
    let lines = [
        probe("a", 0.0, "accepted", answer),
        probe("b", 0.0, "rejected", "no"),
        probe("c", 1.0, "accepted", "yes"),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(dir.path().join("probes.jsonl"), lines.join("\n") + "\n").unwrap();
    dir
}

fn write_score(dir: &tempfile::TempDir, model: &str, score: &str, ids: &[&str]) {
    let stem = dir.path().join(format!("head_score/{model}_{score}_heads"));
    // Head i has i / 8 in the first probe and 1 in the others.
    let lists: Vec<String> = (0..8)
        .map(|i| {
            let values: Vec<f64> =
                (0..ids.len()).map(|p| if p == 0 { f64::from(i) / 8.0 } else { 1.0 }).collect();
            format!("\"{}-{}\": {values:?}", i / 4, i % 4)
        })
        .collect();
    std::fs::write(stem.with_extension("json"), format!("{{{}}}", lists.join(", "))).unwrap();
    let meta = sidecar(model, score, ids).to_string();
    std::fs::write(stem.with_extension("meta.json"), meta).unwrap();
}

#[test]
fn a_folder_by_hand() {
    let dir = folder("in 2020");
    let data = ReportData::of(dir.path(), None).unwrap();
    assert_eq!((data.model.name.as_str(), data.model.kv_heads), ("m", 2));
    let score = &data.scores[0];
    assert_eq!((score.name.as_str(), score.probes, score.kv), ("inf", 2, false));
    assert_eq!(score.mean, [0.5, 0.25, 0.0, 0.0, 0.125, 0.0, 0.0, 0.75]);
    assert_eq!((&score.low, &data.kinds), (&None, &None));
    let places: Vec<_> = data.places.iter().map(|p| (p.depth, p.probes, p.accepted)).collect();
    assert_eq!(places, [(Some(0.0), 2, 1), (Some(1.0), 1, 1)]);
    let by_place = score.by_place.as_ref().unwrap();
    assert_eq!((by_place.min, by_place.max), (0.0, 1.0));
    let bytes = STANDARD.decode(&by_place.values).unwrap();
    let codes: Vec<u16> = bytes.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    // An eighth of 65534 is 8191.75.
    assert_eq!(codes[..4], [0, 8192, 16384, 24575]);
    assert_eq!(codes[8..], [65534; 8]);
    assert_eq!(data.answers.len(), 3);
    assert_eq!(data.gate.as_ref().and_then(|gate| gate.threshold), Some(0.5));
    let said = |label: &str| {
        data.about.iter().find(|(known, _)| *known == label).map(|(_, text)| text.as_str())
    };
    assert_eq!(said("Time"), Some("3 min"));
    assert_eq!(said("Probes"), Some("3, 2 of them answered so that they count"));
    assert_eq!(said("Command"), Some("headprof --model m"));
}

#[test]
fn scores_of_another_run_are_left_out_and_the_model_is_chosen() {
    let dir = folder("x");
    // Of other probes of the same model: an older run.
    write_score(&dir, "m", "lazy", &["z"]);
    // Heads switched off have prompts of their own.
    write_score(&dir, "m", "ablation", &["y"]);
    let names = |data: &ReportData| data.scores.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    let data = ReportData::of(dir.path(), None).unwrap();
    assert_eq!(names(&data), ["inf", "ablation"]);
    assert!(data.scores[1].by_place.is_none());
    write_score(&dir, "n", "inf", &["q"]);
    let e = ReportData::of(dir.path(), None).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("--model"), "{e}");
    let other = ReportData::of(dir.path(), Some("n")).unwrap();
    // Nobody's answers.
    assert_eq!((other.scores.len(), other.answers.len(), other.places.len()), (1, 0, 0));
    let e = ReportData::of(dir.path(), Some("o")).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("m, n"), "{e}");
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(ReportData::of(nothing.path(), None).unwrap_err().exit_code(), 2);
}

/// Of one prompt there is no interval, and a gate without a threshold has none.
#[test]
fn what_has_no_interval_has_none_on_the_page() {
    let dir = folder("x");
    let alone = json!({"name": "accuracy", "mean": 1.0, "interval_95": null});
    let row = json!({
        "method": "snapkv", "budget_tokens": 8, "prompts": 1, "metrics": [alone],
        "against_full": alone, "against_snapkv": null, "kv_share": 0.5
    });
    let mut evaluation = sidecar("m", "inf", &[]);
    evaluation["gate"] = json!({"name": "exact", "threshold": 1.0});
    let own = json!({"task": "needle", "accuracy": "a", "prompts": 1, "rows": [row]});
    evaluation.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    std::fs::write(dir.path().join("evaluate.json"), evaluation.to_string()).unwrap();
    let data = ReportData::of(dir.path(), None).unwrap();
    let row = &data.evaluations[0].rows[0];
    assert_eq!((row.accuracy, row.low, row.high), (1.0, None, None));
    assert_eq!(row.against_full, Some((1.0, None, None)));
    std::fs::remove_dir_all(dir.path().join("head_score")).unwrap();
    let data = ReportData::of(dir.path(), None).unwrap();
    let gate = data.gate.unwrap();
    assert_eq!((gate.rule().as_str(), gate.threshold), ("exact", None));
    assert!(data.scores.is_empty() && data.answers.is_empty());
}

/// A look that a page could not show is refused; one of another answer is left out.
#[test]
fn looks_are_of_this_answer_and_whole() {
    let dir = folder("in 2020");
    let path = dir.path().join("look/m_a.json");
    let look = |answer: &str, weights: &str| Look {
        model: "m".into(),
        id: "a".into(),
        about: "tom".into(),
        length: 64,
        depth: None,
        answer: answer.into(),
        tokens: vec!["a".into(), "b".into()],
        needle: vec![[0, 1]],
        heads: vec![LookHead {
            layer: 0,
            head: 1,
            score: String::new(),
            steps: vec![LookStep { token: "x".into(), max: 0.5, weights: weights.into() }],
        }],
    };
    let whole = STANDARD.encode([255, 0]);
    assert_eq!(look("in 2020", &whole).write(dir.path()).unwrap(), path);
    let looks = || ReportData::of(dir.path(), None).map(|data| data.looks.len());
    assert_eq!(looks().unwrap(), 1);
    look("in 1999", &whole).write(dir.path()).unwrap();
    assert_eq!(looks().unwrap(), 0);
    let none = Look { heads: Vec::new(), ..look("in 2020", &whole) };
    let beyond = Look { needle: vec![[1, 3]], ..look("in 2020", &whole) };
    for broken in [look("in 2020", &STANDARD.encode([1])), none, beyond] {
        broken.write(dir.path()).unwrap();
        let e = looks().unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains("m_a.json"), "{e}");
    }
    assert_eq!(LookStep::new(String::new(), &[0.0, 0.0]).weights, STANDARD.encode([0, 0]));
    let step = LookStep::new(String::new(), &[0.25, 0.5]);
    assert_eq!((step.max, step.weights), (0.5, STANDARD.encode([128, 255])));
}

/// The page goes by the model's numbers of layers and heads.
#[test]
fn scores_of_another_shape_are_left_out() {
    let dir = folder("x");
    let path = dir.path().join("head_score/m_lazy_heads.meta.json");
    let mut meta = sidecar("m", "lazy", &["a", "c"]);
    meta["heads"]["mean"] = json!([[0.5, 0.25]]);
    std::fs::write(&path, meta.to_string()).unwrap();
    let data = ReportData::of(dir.path(), None).unwrap();
    assert_eq!(data.scores.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["inf"]);
    // A sidecar of the right shape beside a file of another.
    std::fs::write(&path, sidecar("m", "lazy", &["a", "c"]).to_string()).unwrap();
    std::fs::write(dir.path().join("head_score/m_lazy_heads.json"), "{\"0-0\": [1, 2]}").unwrap();
    let e = ReportData::of(dir.path(), None).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("m_lazy_heads.json"), "{e}");
}

#[test]
fn a_file_that_is_none_of_ours_is_named() {
    let dir = folder("x");
    let path = dir.path().join("evaluate.json");
    std::fs::write(&path, "{\"rows\": 1}").unwrap();
    let e = ReportData::of(dir.path(), None).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("evaluate.json"), "{e}");
    let reporter = Reporter { quiet: true, json: false };
    assert_eq!(write_behind(dir.path(), "m", &reporter), None);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(dir.path().join("my-budget.json"), "[]").unwrap();
    assert_eq!(write_behind(dir.path(), "m", &reporter), Some(dir.path().join(FILE)));
    std::fs::write(dir.path().join("probes.jsonl"), "{}\n").unwrap();
    let e = write(dir.path(), None).unwrap_err();
    assert!(e.to_string().contains("probes.jsonl") && e.to_string().contains("line 1"), "{e}");
}

/// Nothing of the data can end a script or begin one, and placeholders in it stay text.
#[test]
fn strings_of_the_data_stay_strings() {
    let hostile = "</script><script>alert(1)</script><!-- {{script}} \u{2028} & \"";
    let dir = folder(hostile);
    write_score(&dir, "<img src=x>", "inf", &["a", "c"]);
    let html = page::html(&ReportData::of(dir.path(), Some("<img src=x>")).unwrap()).unwrap();
    assert!(!html.contains("alert(1)</script>") && !html.contains("<img src"));
    assert!(html.contains("&lt;img src=x&gt; · headprof"));
    let begin = html.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let data = &html[begin..][..html[begin..].find("</script>").unwrap()];
    let data: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!(data["answers"][0]["answer"], hostile);
    assert_eq!(data["model"]["name"], "<img src=x>");
    assert_eq!(html.matches("{{").count(), 1, "the one of the answer");
}
