//! `headprof bench`.

use serde_json::Value;

use super::{fails, headprof, stderr};

#[test]
fn speeds_and_their_shares_belong_together() {
    let args = ["bench", "--lengths", "64,128", "--steps", "3", "--tries", "1"];
    let output = headprof(&[&args[..], &["--json", "--quiet"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_f64().filter(|n| *n > 0.0).expect("a positive number");
    assert_eq!((&told["model"], &told["dtype"]), (&"needle-llama".into(), &"f32".into()));
    assert_eq!(told["weights_dtype"], "f16");
    let (flops, copy) =
        (number(&told["matmul_flops_per_sec"]), number(&told["copy_bytes_per_sec"]));
    let lengths = told["lengths"].as_array().unwrap();
    assert_eq!(lengths.len(), 2);
    for (length, tokens) in lengths.iter().zip([64.0, 128.0]) {
        assert_eq!(number(&length["tokens"]), tokens);
        let secs = number(&length["prefill_secs"]);
        assert!((number(&length["prefill_tokens_per_sec"]) * secs / tokens - 1.0).abs() < 1e-6);
        // More operations than the weights of the layers alone, of which the last one's are for
        // keys and values only, but for one token; more bytes than all, in f16.
        let (weights, met) = (6.0 * 688_128.0, 5.0 * 688_128.0 + 65_536.0);
        assert!(number(&length["prefill_share"]) * secs * flops > 2.0 * met * tokens);
        let step = number(&length["decode_secs"]);
        assert!(number(&length["decode_share"]) * step * copy > 2.0 * weights);
    }
    let table = headprof(&[&args[..], &["--threads", "1"]].concat());
    let table = String::from_utf8(table.stdout).unwrap();
    for part in
        ["needle-llama · 4.7 M weights in f16 · cpu, f32, 1 threads", "matrix product", "share"]
    {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
}

#[test]
fn lengths_beyond_the_model_and_counts_of_0_are_refused() {
    fails(&["bench", "--lengths", "4096"], 2, &["--lengths", "max_position_embeddings = 4096"]);
    fails(&["bench", "--steps", "0"], 2, &["--steps"]);
    fails(&["bench", "--tries", "0"], 2, &["--tries"]);
    fails(&["bench", "--lengths", "x"], 2, &["x"]);
}
