//! `vatp_h2o_scissorhands.json`: an attention layer of the VATP code, a prompt and four steps of
//! decoding, step by step.

use super::*;

#[derive(Deserialize)]
struct Golden {
    dims: Dims,
    x: Vec<Vec<f64>>,
    weights: Weights,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Dims {
    heads: usize,
    head_dim: usize,
    #[serde(rename = "T")]
    tokens: usize,
    decode_steps: usize,
}

#[derive(Deserialize)]
struct Weights {
    q_proj: Vec<Vec<f64>>,
    k_proj: Vec<Vec<f64>>,
    v_proj: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Case {
    h2o: bool,
    apval: bool,
    sink_len: usize,
    heavy_budget: usize,
    recent_budget: usize,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    keys_now: usize,
    scores_after: Vec<Vec<f64>>,
    keep_mask_next: Vec<Vec<u8>>,
    kept_positions_next: Lists,
    value_l1: Option<Vec<Vec<f32>>>,
}

/// The layer's queries, keys and values of all tokens, `[H][T + steps][D]`.
struct Layer {
    q: Cube,
    k: Cube,
    v: Cube,
}

impl Golden {
    fn layer(&self) -> Layer {
        let project = |weights: &Vec<Vec<f64>>, rotated: bool| -> Cube {
            let of_head = |h: usize| {
                let rows = &weights[h * self.dims.head_dim..(h + 1) * self.dims.head_dim];
                let of_token = |(t, x): (usize, &Vec<f64>)| {
                    let y = rows.iter().map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum());
                    let y: Vec<f64> = y.collect();
                    if rotated { rotate(&y, t) } else { y }
                };
                self.x.iter().enumerate().map(of_token).collect()
            };
            (0..self.dims.heads).map(of_head).collect()
        };
        let Weights { q_proj, k_proj, v_proj } = &self.weights;
        Layer { q: project(q_proj, true), k: project(k_proj, true), v: project(v_proj, false) }
    }
}

/// RoPE, base 10000, pairs half a head apart.
fn rotate(y: &[f64], position: usize) -> Vec<f64> {
    let half = y.len() / 2;
    let turn = |i: usize| {
        let angle = position as f64 * 10_000f64.powf(-((i % half) as f64) / half as f64);
        let other = if i < half { -y[i + half] } else { y[i - half] };
        y[i] * angle.cos() + other * angle.sin()
    };
    (0..y.len()).map(turn).collect()
}

fn l1(value: &[f64]) -> f32 {
    let value: Vec<f32> = value.iter().map(|entry| *entry as f32).collect();
    ValueNorm::L1.of(&value)
}

#[test]
fn step_by_step() {
    let Some(golden) = golden::<Golden>("vatp_h2o_scissorhands.json") else { return };
    let Dims { heads: h, tokens, decode_steps, .. } = golden.dims;
    let layer = golden.layer();
    let first = |cube: &Cube| cube.iter().map(|rows| rows[..tokens].to_vec()).collect::<Cube>();
    let attention = attention(&first(&layer.q), &first(&layer.k));
    let mut stats = stats_of(&attention, 1, h, &[QueryRows::All, QueryRows::Last(400)]);
    let norms: Vec<f32> = first(&layer.v).iter().flatten().map(|v| l1(v)).collect();
    stats.value_norms = Some(ValueNorms { l1: norms, l2: Vec::new(), linf: Vec::new() });
    let heads = cache_heads(1, h, h, Granularity::KvHead);
    let (mut agree, mut steps, mut sums) = (0, 0, 0);
    for case in &golden.cases {
        let suffix = if case.apval { "+vatp" } else { "" };
        let name = format!("{}{suffix}", if case.h2o { "h2o" } else { "scissorhands" });
        let method = by_name(&name).unwrap();
        // The reference's halves are shares of the prompt; here they are given as tokens.
        let mut options =
            reference_options(case.heavy_budget + case.recent_budget, case.recent_budget);
        options.sink_tokens = case.sink_len;
        let (kept, budget) = method.select(&stats, heads, None, &options).unwrap();
        assert!((0..h).all(|s| budget.past(0, s) == case.heavy_budget));
        assert_eq!(budget.window_tokens(), case.recent_budget);
        let mut eviction = DecodeEviction::new(method, &kept, &stats, &options).unwrap().unwrap();
        let mut lists: Lists = (0..h).map(|s| kept.positions(0, s).to_vec()).collect();
        assert_eq!(case.steps.len(), decode_steps + 1);
        for (i, step) in case.steps.iter().enumerate() {
            let about = format!("{name}, F = {}, step {i}", case.sink_len);
            assert_eq!(step.keys_now, tokens + i);
            let newest = step.keys_now - 1;
            for (s, list) in lists.iter_mut().enumerate() {
                if i > 0 {
                    list.push(newest as u32);
                    let keys: Vec<&[f64]> =
                        list.iter().map(|&j| layer.k[s][j as usize].as_slice()).collect();
                    let row = softmax_row(&layer.q[s][newest], &keys, keys.len());
                    let row: Vec<f32> = row.into_iter().map(|weight| weight as f32).collect();
                    eviction.observe(0, s, &row, l1(&layer.v[s][newest])).unwrap();
                    while let Some(slot) = eviction.evict(0, s) {
                        list.remove(slot);
                    }
                }
                // The reference's mask has a place for the token to come.
                let mut visible = list.clone();
                visible.push(step.keys_now as u32);
                assert_eq!(visible, step.kept_positions_next[s], "{about}, head {s}");
                let unmasked = step.keep_mask_next[s].iter().filter(|kept| **kept == 1).count();
                assert_eq!(visible.len(), unmasked);
                for (&j, &got) in list.iter().zip(eviction.scores(0, s)) {
                    let sink = (j as usize) < case.sink_len;
                    let want = step.scores_after[s][j as usize];
                    assert!(
                        sink || (f64::from(got) - want).abs() <= 1e-4 * want.abs() + 1e-6,
                        "{about}, head {s}, token {j}: {got}, expected {want}"
                    );
                    sums += usize::from(!sink);
                }
            }
            for (ours, theirs) in stats
                .value_norms(ValueNorm::L1, 0)
                .unwrap()
                .iter()
                .zip(step.value_l1.iter().flatten().flatten())
            {
                assert!((ours - theirs).abs() <= theirs * RELATIVE);
            }
            steps += 1;
        }
        agree += 1;
    }
    println!(
        "eviction golden vatp_h2o_scissorhands.json: {agree} of {} cases agree, {steps} steps, \
         {sums} sums of attention",
        golden.cases.len()
    );
    assert!(agree > 0 && steps == agree * (decode_steps + 1));
}
