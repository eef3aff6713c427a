//! `headkv_dili_evict.json` and `headkv_repo_other_methods.json`: the HeadKV and DiliLazyKV
//! repositories, with a small table of head scores.

use std::collections::BTreeMap;

use super::*;
use crate::heads::HeadMatrix;

const LAYERS: usize = 3;
const HEADS: usize = 4;
const TOKENS: usize = 40;

#[derive(Deserialize)]
struct Golden {
    score_table: BTreeMap<String, Vec<f64>>,
    q: Cube,
    k: Cube,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    base_capacity: usize,
    window: usize,
    beta: f64,
    temp: f64,
    layer: usize,
    /// Tokens before the window; with the first layer only.
    head_capacity_all_layers: Option<Vec<Vec<u32>>>,
    /// Of some of the cases.
    kept_in_cache_order: Option<Lists>,
}

#[test]
fn selections() {
    let Some(golden) = golden::<Golden>("headkv_dili_evict.json") else { return };
    let mean = |l: usize, h: usize| {
        let list = &golden.score_table[&format!("{l}-{h}")];
        (list.iter().sum::<f64>() / list.len() as f64) as f32
    };
    let means = (0..LAYERS * HEADS).map(|i| mean(i / HEADS, i % HEADS)).collect();
    let head_scores = HeadMatrix::new(LAYERS, HEADS, means).unwrap();
    let heads = cache_heads(LAYERS, HEADS, HEADS, Granularity::QueryHead);
    let attention = attention(&golden.q, &golden.k);
    let mut tally = Tally::default();
    let (mut budgets, mut without) = (0, 0);
    for case in &golden.cases {
        let stats = stats_of(&attention, LAYERS, HEADS, &[QueryRows::Last(case.window)]);
        let mut options = reference_options(case.base_capacity, case.window);
        (options.budget.beta, options.budget.temp) = (case.beta, case.temp);
        let method = by_name(&case.method).unwrap();
        let (kept, budget) = method.select(&stats, heads, Some(&head_scores), &options).unwrap();
        let about = format!("{}, {:?}, layer {}", case.method, options.budget, case.layer);
        if let Some(capacities) = &case.head_capacity_all_layers {
            assert_eq!(budget.past_tokens(), capacities.concat(), "{about}");
            budgets += 1;
        }
        match &case.kept_in_cache_order {
            None => without += usize::from(case.head_capacity_all_layers.is_none()),
            Some(theirs) => {
                let ours = (0..HEADS).map(|s| kept.positions(case.layer, s).to_vec()).collect();
                let token_score = method.token_score().unwrap();
                let scores = token_score.scores(&stats, case.layer, &heads, &options).unwrap();
                tally.compare(&scores, case.window, &ours, theirs, &about);
            }
        }
    }
    let rest = format!(
        "{budgets} budgets agree exactly; {without} cases have neither a budget nor positions"
    );
    tally.report("headkv_dili_evict.json", golden.cases.len() - without, &rest);
    assert!(tally.cases > 0 && budgets > 0);
    assert_eq!(tally.cases + without, golden.cases.len());
}

#[derive(Deserialize)]
struct OtherMethods {
    cases: Vec<OtherCase>,
}

#[derive(Deserialize)]
struct OtherCase {
    method: String,
    #[serde(default)]
    layer: usize,
    params: OtherParams,
    kept_in_cache_order: Lists,
}

#[derive(Deserialize)]
struct OtherParams {
    window: usize,
    #[serde(alias = "base")]
    cap: usize,
    beta: Option<usize>,
    floor: Option<f64>,
    normalize: Option<bool>,
}

#[test]
fn other_methods() {
    let Some(golden) = golden::<OtherMethods>("headkv_repo_other_methods.json") else { return };
    let inputs: Golden = super::golden("headkv_dili_evict.json").unwrap();
    let attention = attention(&inputs.q, &inputs.k);
    let heads = cache_heads(LAYERS, HEADS, HEADS, Granularity::QueryHead);
    let mut tally = Tally::default();
    for case in &golden.cases {
        let window = case.params.window;
        let stats = stats_of(&attention, LAYERS, HEADS, &[QueryRows::Last(window)]);
        assert_eq!(stats.tokens, TOKENS);
        let mut options = reference_options(case.params.cap, window);
        let theirs = &case.kept_in_cache_order;
        if let Some(beta) = case.params.beta {
            options.budget.pyramid_beta = beta;
            tally.select("pyramidkv", &stats, heads, &options, case.layer, theirs);
        } else {
            options.budget.alpha = case.params.floor.unwrap();
            let token_score = by_name("adakv").unwrap().token_score().unwrap();
            let scores = token_score.scores(&stats, 0, &heads, &options).unwrap();
            let (past, normalize) = (case.params.cap - window, case.params.normalize.unwrap());
            assert_adakv_lengths(&scores, heads, past, &options, normalize, theirs);
            tally.select_as_many(&stats, heads, &options, theirs, &case.method);
        }
    }
    tally.report("headkv_repo_other_methods.json", golden.cases.len(), "0 are left out");
    assert_eq!(tally.cases, golden.cases.len());
}
