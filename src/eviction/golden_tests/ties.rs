//! `tie_rules_torch_cpu.json`: what torch makes of equal values, and what is made of them here.

use super::*;
use crate::eviction::top_k::top_k;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    values: Option<Vec<f32>>,
    topk_indices: Vec<u32>,
    sort_desc_stable: Option<Vec<u32>>,
}

#[test]
fn equal_values() {
    let Some(golden) = golden::<Golden>("tie_rules_torch_cpu.json") else { return };
    let mut agree = 0;
    for case in &golden.cases {
        // The last case is described in words: 300 values, 1 at multiples of 7, else 0.
        let sevenths = || (0..300).map(|i| if i % 7 == 0 { 1.0 } else { 0.0 }).collect();
        let values = case.values.clone().unwrap_or_else(sevenths);
        let ours = top_k(&values, case.topk_indices.len());
        let taken = |list: &[u32]| {
            let mut taken: Vec<f32> = list.iter().map(|&i| values[i as usize]).collect();
            taken.sort_by(f32::total_cmp);
            taken
        };
        assert_eq!(taken(&ours), taken(&case.topk_indices));
        // Of equal values the first: what a stable sort gives, and torch's top-k does not.
        if let Some(stable) = &case.sort_desc_stable {
            let mut first = stable[..ours.len()].to_vec();
            first.sort_unstable();
            assert_eq!(ours, first);
        }
        agree += 1;
    }
    println!(
        "eviction golden tie_rules_torch_cpu.json: {agree} of {} cases agree",
        golden.cases.len()
    );
    assert!(agree > 0);
}
