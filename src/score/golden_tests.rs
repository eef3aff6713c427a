//! Scores against the reference implementations' own, where a checkout has the goldens beside it.
//!
//! The goldens hold attention rows and what the references computed from them. `decode_*.json` feed
//! `retrieval` and `retrieval_reasoning`; `infscore_*.json` feed the rest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::aggregate::aggregate;
use super::*;

/// Rows of one step, `[L][H][N]`.
type Step = Vec<Vec<Vec<f32>>>;

/// `"layer-head"` to a number.
type ByKey = BTreeMap<String, f64>;

const RELATIVE: f64 = 1e-6;
/// The references sum in f32; near 0 that leaves differences of this size.
const ABSOLUTE: f64 = 1e-7;

/// The golden `scores/NAME.json`, parsed.
fn golden<T: for<'de> Deserialize<'de>>(name: &str) -> Option<T> {
    let [path] = crate::goldens::find([&format!("scores/{name}.json")])?;
    let text = std::fs::read(path).unwrap();
    Some(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn row_stats(step: &Step, needle: &[std::ops::Range<usize>], top_k: usize) -> RowStats {
    let mask = NeedleMask::new(needle).unwrap();
    let heads = step.iter().flatten().map(|row| head_stats(row, &mask, top_k).unwrap()).collect();
    RowStats { keys: step[0][0].len(), heads }
}

fn compat(name: &str) -> ScoreOptions {
    ScoreOptions { compat: name.parse().unwrap(), ..ScoreOptions::default() }
}

fn assert_close(got: f32, want: f64, about: &str) {
    let error = (f64::from(got) - want).abs();
    assert!(error <= (RELATIVE * want.abs()).max(ABSOLUTE), "{about}: got {got}, expected {want}");
}

#[derive(Deserialize)]
struct DecodeGolden {
    layers: usize,
    heads: usize,
    prompt_ids: Vec<u32>,
    needle_span: [i64; 2],
    generated_ids_used: Vec<u32>,
    newline_token_id: u32,
    attention_rows: Vec<Step>,
    retrieval_score: Vec<Vec<f64>>,
    r2_answer_tokens_3: Option<R2Golden>,
    r2_answer_tokens_50: Option<R2Golden>,
}

#[derive(Deserialize)]
struct R2Golden {
    steps_used: usize,
    generated_ids_used: Vec<u32>,
    r2_score: Vec<Vec<f64>>,
}

impl DecodeGolden {
    fn observation(&self, steps: usize) -> Observation {
        let [start, end] = self.needle_span.map(|i| i as usize);
        let needle = vec![start..end];
        let rows = self.attention_rows[..steps].iter().map(|s| row_stats(s, &needle, 10)).collect();
        Observation {
            layers: self.layers,
            heads: self.heads,
            prompt: self.prompt_ids.clone(),
            needle,
            generated: self.generated_ids_used[..steps].to_vec(),
            stopped: self.generated_ids_used[steps - 1] == self.newline_token_id,
            rows,
            top_k: 10,
            question: None,
            attribution: None,
        }
    }
}

fn assert_matrix(got: &HeadMatrix, want: &[Vec<f64>], about: &str) {
    assert_eq!(got.layers(), want.len());
    assert_eq!(got.values().len(), want.concat().len());
    for (i, (&got, &want)) in got.values().iter().zip(&want.concat()).enumerate() {
        assert_close(got, want, &format!("{about}, head {i}"));
    }
}

#[test]
fn retrieval_and_retrieval_reasoning() {
    let (mut retrieval, mut reasoning, mut skipped) = (0, 0, 0);
    let files = ["basic", "long_answer", "newline_stop", "repeat_tokens", "needle_not_found"];
    for name in files {
        let Some(golden) = golden::<DecodeGolden>(&format!("decode_{name}")) else { return };
        if golden.needle_span[0] < 0 {
            // The reference's search did not find the needle, and it scores no position at all:
            // zeros. An observation without a needle is an error here, and the file does not
            // say which tokens were searched for, so there is nothing to run. That a needle is
            // not found is tested with the search itself (`find_needle.json`).
            assert!(golden.retrieval_score.concat().iter().all(|&score| score == 0.0), "{name}");
            skipped += 1;
            continue;
        }
        let observation = golden.observation(golden.generated_ids_used.len());
        let score = retrieval::Retrieval.score(&observation, &compat("retrieval-head")).unwrap();
        assert_matrix(&score, &golden.retrieval_score, name);
        retrieval += 1;
        // Corrected: at most 1, and never above the count over steps.
        let corrected = retrieval::Retrieval.score(&observation, &ScoreOptions::default()).unwrap();
        for (&once, &steps) in corrected.values().iter().zip(score.values()) {
            assert!(once <= steps.min(1.0), "{name}");
        }

        let cases = [(3, &golden.r2_answer_tokens_3), (50, &golden.r2_answer_tokens_50)];
        for (answer_tokens, r2) in cases {
            let Some(r2) = r2 else { continue };
            let limit =
                References::from(Reference::HeadkvR2).max_new_tokens(answer_tokens).unwrap();
            assert_eq!(r2.steps_used, limit.min(golden.generated_ids_used.len()), "{name}");
            let observation = golden.observation(r2.steps_used);
            assert_eq!(observation.generated, r2.generated_ids_used);
            let score = retrieval_reasoning::RetrievalReasoning
                .score(&observation, &compat("headkv-r2"))
                .unwrap();
            assert_matrix(&score, &r2.r2_score, name);
            reasoning += 1;
        }
    }
    println!(
        "decode goldens: {} files, retrieval {retrieval} cases, retrieval_reasoning {reasoning} \
         cases, {skipped} without a needle",
        files.len()
    );
    assert!(retrieval == files.len() - 1 && reasoning > 0 && skipped == 1);
}

#[derive(Deserialize)]
struct InfscoreGolden {
    layers: usize,
    heads: usize,
    context_len: usize,
    needle_span: [usize; 2],
    top_k: usize,
    prefill_last_row: Step,
    decode_rows: Vec<Step>,
    structure: Averages,
    causality: Averages,
    weights: BTreeMap<String, Weights>,
    improved_all_steps_mean: BTreeMap<String, AllSteps>,
}

#[derive(Deserialize)]
struct Averages {
    avg_infscore_weighted: ByKey,
    avg_precision_weighted: ByKey,
    avg_recall_weighted: ByKey,
    avg_tp_user: ByKey,
    avg_tn_user: ByKey,
    avg_fp_user: ByKey,
    avg_fn_user: ByKey,
}

#[derive(Deserialize)]
struct Weights {
    wtp: f64,
    wfp: f64,
    wfn: f64,
}

#[derive(Deserialize)]
struct AllSteps {
    dili: f64,
    lazy: f64,
    inf: f64,
}

impl InfscoreGolden {
    /// The reference cuts a span that leaves the row back into it, row by row.
    fn clamped(&self, keys: usize) -> Vec<std::ops::Range<usize>> {
        std::iter::once(self.needle_span[0].min(keys - 1)..self.needle_span[1].min(keys)).collect()
    }

    fn observation(&self) -> Observation {
        let steps = || std::iter::once(&self.prefill_last_row).chain(&self.decode_rows);
        let stats = |step: &Step| row_stats(step, &self.clamped(step[0][0].len()), self.top_k);
        let rows: Vec<RowStats> = steps().map(stats).collect();
        Observation {
            layers: self.layers,
            heads: self.heads,
            prompt: vec![0; self.context_len],
            needle: self.clamped(self.context_len),
            generated: vec![1; rows.len()],
            stopped: false,
            rows,
            top_k: self.top_k,
            question: None,
            attribution: None,
        }
    }

    /// Whether equal weights stand on both sides of the top-k boundary of row 0: which of them are
    /// counted is then a matter of the sorting algorithm.
    fn tie_at_boundary(&self, head: usize) -> bool {
        let mut row = self.prefill_last_row.concat()[head].clone();
        row.sort_by(|a, b| b.total_cmp(a));
        self.top_k < row.len() && row[self.top_k - 1] == row[self.top_k]
    }
}

fn by_key<T>(map: &BTreeMap<String, T>, heads: usize, i: usize) -> &T {
    &map[&format!("{}-{}", i / heads, i % heads)]
}

#[test]
fn dili_lazy_inf_and_the_counts() {
    let (mut compared, mut ties) = (0, 0);
    let files =
        ["basic", "span_all_outside", "span_clamped", "topk1", "topk_gt_len", "zero_needle_mass"];
    for name in files {
        let Some(golden) = golden::<InfscoreGolden>(&format!("infscore_{name}")) else { return };
        let observation = golden.observation();
        let total = golden.layers * golden.heads;
        let score = |name: &str, options: &ScoreOptions| {
            by_name(name).unwrap().score(&observation, options).unwrap()
        };
        let reference = compat("dililazykv");
        let (structure, causality) = (&golden.structure, &golden.causality);
        let expected = [
            ("inf", &structure.avg_infscore_weighted, &causality.avg_infscore_weighted),
            ("dili", &structure.avg_precision_weighted, &causality.avg_precision_weighted),
            ("lazy", &structure.avg_recall_weighted, &causality.avg_recall_weighted),
            ("diligent", &structure.avg_tp_user, &causality.avg_tp_user),
            ("distracted", &structure.avg_fp_user, &causality.avg_fp_user),
            // The two scripts swap these two names.
            ("subconscious", &structure.avg_fn_user, &causality.avg_tn_user),
            ("diffuse", &structure.avg_tn_user, &causality.avg_fn_user),
        ];
        for (score_name, structure, causality) in expected {
            let matrix = score(score_name, &reference);
            assert_eq!(structure.len(), total);
            for (i, &value) in matrix.values().iter().enumerate() {
                let count = !["inf", "dili", "lazy"].contains(&score_name);
                if count && golden.tie_at_boundary(i) {
                    ties += 1;
                    continue;
                }
                for want in [structure, causality] {
                    let want = *by_key(want, golden.heads, i);
                    assert_close(value, want, &format!("{name}: {score_name}, head {i}"));
                    compared += 1;
                }
            }
        }
        for (i, stats) in observation.rows[0].heads.iter().enumerate() {
            let want = by_key(&golden.weights, golden.heads, i);
            let about = format!("{name}: weights, head {i}");
            assert_close(stats.top_k_needle_mass, want.wtp, &about);
            assert_close(stats.top_k_mass, want.wtp + want.wfp, &about);
            assert_close(stats.needle_mass, want.wtp + want.wfn, &about);
            compared += 3;
        }
        let all = ScoreOptions::default();
        let [dili, lazy, inf] = ["dili", "lazy", "inf"].map(|name| score(name, &all));
        for i in 0..total {
            let want = by_key(&golden.improved_all_steps_mean, golden.heads, i);
            assert_close(dili.values()[i], want.dili, &format!("{name}: all rows, dili {i}"));
            assert_close(lazy.values()[i], want.lazy, &format!("{name}: all rows, lazy {i}"));
            assert_close(inf.values()[i], want.inf, &format!("{name}: all rows, inf {i}"));
            compared += 3;
        }
    }
    let cases = files.len();
    println!("infscore goldens: {cases} cases, {compared} values, {ties} left to a tie");
    assert!(compared > 100 * cases);
}

#[derive(Deserialize)]
struct AggregateGolden {
    similarities: Vec<f64>,
    per_test_dili_lazy: Vec<BTreeMap<String, [f64; 2]>>,
    kept: Vec<usize>,
    aggregate: BTreeMap<String, AllSteps>,
}

#[test]
fn inf_is_averaged_over_accepted_probes() {
    let Some(golden) = golden::<AggregateGolden>("infscore_aggregate") else { return };
    let mut compared = 0;
    let kept: Vec<usize> =
        (0..golden.similarities.len()).filter(|&i| golden.similarities[i] > 0.2).collect();
    assert_eq!(kept, golden.kept);
    let of_probes = |value: fn([f64; 2]) -> f64| {
        let probe = |&i: &usize| {
            let heads = golden.per_test_dili_lazy[i].values().map(|&pair| value(pair) as f32);
            let heads: Vec<f32> = heads.collect();
            HeadMatrix::new(1, heads.len(), heads).unwrap()
        };
        let probes: Vec<HeadMatrix> = kept.iter().map(probe).collect();
        aggregate(&probes, &super::clusters::Clusters::none(probes.len()), 0, 10).unwrap().mean
    };
    let dili = of_probes(|[dili, _]| dili);
    let lazy = of_probes(|[_, lazy]| lazy);
    let inf = of_probes(|[dili, lazy]| super::inf::harmonic_mean(dili, lazy));
    for (i, want) in golden.aggregate.values().enumerate() {
        assert_close(dili.values()[i], want.dili, "infscore_aggregate");
        assert_close(lazy.values()[i], want.lazy, "infscore_aggregate");
        assert_close(inf.values()[i], want.inf, "infscore_aggregate");
        compared += 3;
    }
    println!("infscore_aggregate golden: {compared} values");
    assert!(compared > 0);
}
