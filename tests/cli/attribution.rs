//! The score `attribution`: what heads do for the expected answer, by a reverse pass.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::question::{profile, score};
use super::{HEADS, LAYERS, headprof, needles, stderr, text};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// `[L * H]`, with signs.
fn means(path: &Path) -> Vec<f64> {
    let meta = json(&path.with_extension("meta.json"));
    let rows = meta["heads"]["mean"].as_array().unwrap();
    rows.iter().flat_map(|row| row.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect()
}

/// However probes are put together, and beside whatever other score: the same to the bit.
#[test]
fn attribution_does_not_depend_on_what_runs_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let needles = needles(dir.path());
    let at = |name: &str| dir.path().join(name);
    profile(&at("all"), &needles, &["--scores", "retrieval,attribution,qr,inf", "--batch", "3"]);
    profile(&at("alone"), &needles, &["--scores", "attribution", "--batch", "1"]);
    profile(&at("without"), &needles, &["--scores", "retrieval,qr,inf", "--batch", "3"]);
    let bytes = |out: &str, name| fs::read(score(&at(out), name)).unwrap();
    assert_eq!(bytes("alone", "attribution"), bytes("all", "attribution"));
    // The other scores do not see that the expected answer was run.
    for name in ["retrieval", "qr", "inf"] {
        assert_eq!(bytes("all", name), bytes("without", name), "{name}");
    }
    // The sidecar has the signs; the file has the means that are above 0, and no value below.
    let path = score(&at("all"), "attribution");
    let (signed, lists) = (means(&path), json(&path));
    assert_eq!(signed.len(), LAYERS * HEADS);
    assert!(signed.iter().any(|v| *v < 0.0) && signed.iter().any(|v| *v > 0.1), "{signed:?}");
    for (head, signed) in signed.iter().enumerate() {
        let list = lists[format!("{}-{}", head / HEADS, head % HEADS)].as_array().unwrap();
        let list: Vec<f64> = list.iter().map(|v| v.as_f64().unwrap()).collect();
        assert!((8..=12).contains(&list.len()) && list.iter().all(|v| *v >= 0.0), "{list:?}");
        let mean = list.iter().sum::<f64>() / list.len() as f64;
        assert!((mean - signed.max(0.0)).abs() < 1e-5 * (1.0 + mean), "{head}: {mean} {signed}");
    }
}

/// What it stands in for: heads switched off one by one for the answer. The two have the same best
/// head and agree over all of them, though a tangent is not the curve.
#[test]
fn attribution_is_near_what_switching_heads_off_does() {
    let dir = tempfile::tempdir().unwrap();
    let grid = ["--lengths", "256", "--depths", "0.5", "--no-plots"];
    let [profiled, ablated] = ["profiled", "ablated"].map(|name| dir.path().join(name));
    let run = |args: &[&str], out: &Path| {
        let output = headprof(&[args, &grid[..], &["--out", text(out)]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    };
    run(&["--scores", "attribution"], &profiled);
    run(&["ablate", "--each", "--off", "zero", "--when", "answer"], &ablated);
    let (a, b) = (means(&score(&profiled, "attribution")), means(&score(&ablated, "ablation")));
    let best = |of: &[f64]| (0..of.len()).max_by(|i, j| of[*i].total_cmp(&of[*j])).unwrap();
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (of_a, of_b) = (mean(&a), mean(&b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(&b).map(|(a, b)| of(a - of_a, b - of_b)).sum()
    };
    let r = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    println!("Pearson's correlation {r:.3}, the best {} and {}", best(&a), best(&b));
    assert!(r > 0.7 && best(&a) == best(&b), "{r}");
}
