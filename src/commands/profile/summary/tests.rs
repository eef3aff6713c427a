use super::*;

fn summary() -> Summary {
    let top = |head, mean, interval_95| TopHead {
        layer: 3,
        head,
        mean,
        std_error: None,
        interval_95,
        top_probability: None,
    };
    let statistics = ScoreStatistics {
        probes: 3,
        top: vec![top(5, 0.8125, Some([0.75, 0.875])), top(1, 0.5, None), top(0, 0.0, None)],
        split_half_spearman: Some(0.9),
        top_overlap_frac: Some(0.975),
        resamples: 1000,
    };
    Summary {
        model: "m".into(),
        layers: 4,
        heads: 8,
        device: "cpu".into(),
        probes: 4,
        unfinished: 0,
        until_stable: None,
        accepted: 3,
        rejected: 1,
        failed: 0,
        gate: "gate rouge > 0.5".into(),
        by_length: vec![LengthSummary { context_length: 512, probes: 4, accepted: 3 }],
        by_task: Vec::new(),
        rankings: Vec::new(),
        scores: vec![ScoreSummary { name: "inf", statistics }],
        head_types: vec![HeadsOfType { kind: "induction".into(), heads: vec!["3-1".into()] }],
        files: vec!["./head_score/m_inf_heads.json".into(), "./plots/m_curve.svg".into()],
        seconds: Seconds { load: 0.5, prefill: 2.0, decode: 1.0, total: 4.0 },
        peak_rss_bytes: Some(100 << 20),
        out: ".".into(),
    }
}

#[test]
fn the_table_is_for_people() {
    let text = summary().to_string();
    for line in [
        "m: 4 layers x 8 heads on cpu; 3 of 4 probes passed (gate rouge > 0.5), 0 failed",
        "passed by context length: 512 3/4 (75 %)",
        "              inf",
        "1             3-5 0.812 ±0.062",
        "2             3-1 0.500",
        "3             -",
        "split halves  rho 0.90",
        "top 10 kept   98 %",
        "kinds of heads among the best, by random tokens that come twice: induction 3-1",
        "4.0 s (load 0.5, prompts 2.0, answers 1.0), peak memory 100 MiB",
        "head_score, plots, probes.jsonl: 2 files",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
    }
}

#[test]
fn what_was_found_so_far_is_told_as_such() {
    let mut summary = summary().so_far(9);
    summary.files.clear();
    let text = summary.to_string();
    assert!(text.starts_with("so far, of 4 of 13 probes:\nm: 4 layers"), "{text}");
    assert!(!text.contains("files"), "{text}");
    assert_eq!(serde_json::to_value(&summary).unwrap()["unfinished"], 9);
    // A run that had little left to do.
    summary.seconds.total = 0.5;
    let text = summary.to_string();
    assert!(text.contains("0.5 s, after 3.0 s of probes (prompts 2.0, answers 1.0)"), "{text}");
}

#[test]
fn the_object_has_the_same_numbers() {
    let value = serde_json::to_value(summary()).unwrap();
    assert_eq!(value["accepted"], 3);
    assert_eq!(value["scores"][0]["name"], "inf");
    assert_eq!(value["scores"][0]["top"][0]["interval_95"][1], 0.875);
    assert_eq!(value["by_length"][0]["context_length"], 512);
}
