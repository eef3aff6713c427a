//! `kvpress_presses.json`: the presses of kvpress that are methods here too. Their budgets are
//! shares of the prompt, so the numbers of tokens are taken from the golden.

use super::*;
use crate::eviction::top_k::top_k;

#[derive(Deserialize)]
struct Golden {
    attentions: Cube,
    keys: Cube,
    values: Cube,
    /// `[hidden][H * D]`.
    o_proj_weight: Vec<Vec<f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    press: String,
    compression_ratio: f64,
    scores: Option<Vec<Vec<f32>>>,
    kept_in_cache_order: Option<Lists>,
    masked_positions_per_kv_head: Option<Lists>,
}

impl Golden {
    /// `‖v_j · O_h‖₁`, `[H, T]`.
    fn projected(&self) -> Vec<f32> {
        let (heads, dim) = (self.attentions.len(), self.values[0][0].len());
        let group = heads / self.values.len();
        let norm = |h: usize, value: &Vec<f64>| {
            let entry = |row: &Vec<f64>| {
                let of_head = &row[h * dim..(h + 1) * dim];
                of_head.iter().zip(value).map(|(w, v)| w * v).sum::<f64>().abs()
            };
            self.o_proj_weight.iter().map(entry).sum::<f64>() as f32
        };
        (0..heads).flat_map(|h| self.values[h / group].iter().map(move |v| norm(h, v))).collect()
    }
}

/// CriticalKV around SnapKV. It keeps the best of SnapKV's scores for the first half of its budget,
/// which are marked by the largest number of the data type; the products of the others are ours,
/// and so is the selection under both. Returns the lists of scores compared.
fn critical(
    case: &Case,
    stats: &TokenStats,
    heads: CacheHeads,
    options: &EvictionOptions,
    theirs: &Lists,
    tally: &mut Tally,
) -> usize {
    let scores = |name: &str| {
        let token_score = by_name(name).unwrap().token_score().unwrap();
        token_score.scores(stats, 0, &heads, options).unwrap()
    };
    let (plain, mut ours) = (scores("snapkv"), scores("snapkv+vatp"));
    let (tokens, window) = (stats.tokens, options.budget.window_tokens);
    let before_window = tokens - window;
    // The window comes first, with the largest of all scores.
    let half = ((1.0 - case.compression_ratio) * tokens as f64 * 0.5) as usize;
    let first = half.saturating_sub(window);
    let given = case.scores.as_ref().unwrap();
    for (s, given) in given.iter().enumerate() {
        let of_list = s * before_window..(s + 1) * before_window;
        let best = top_k(&plain[of_list.clone()], first);
        for (j, (ours, given)) in ours[of_list].iter_mut().zip(given).enumerate() {
            // In the file with seven digits.
            let marked = *given > 0.9 * f32::MAX;
            assert_eq!(marked, best.contains(&(j as u32)), "list {s}, token {j}");
            if marked {
                *ours = f32::MAX;
            } else {
                let off = (*ours - given).abs();
                assert!(off <= given * RELATIVE, "list {s}, token {j}: {ours}, {given}");
            }
        }
    }
    if first == 0 {
        tally.select("snapkv+vatp", stats, heads, options, 0, theirs);
    } else {
        let past = vec![(theirs[0].len() - window) as u32; heads.stored()];
        let budget = Budget::new(1, heads.stored(), window, past).unwrap();
        let kept = Kept::best(heads, tokens, std::slice::from_ref(&ours), &budget, 0).unwrap();
        let kept: Lists = (0..heads.stored()).map(|s| kept.positions(0, s).to_vec()).collect();
        tally.compare(&ours, window, &kept, theirs, &case.press);
    }
    given.len()
}

#[test]
fn selections() {
    let Some(golden) = golden::<Golden>("kvpress_presses.json") else { return };
    let kv_heads = golden.keys.len();
    let heads = cache_heads(1, golden.attentions.len(), kv_heads, Granularity::KvHead);
    let tokens = golden.attentions[0].len();
    let mut tally = Tally::default();
    let (mut other_methods, mut scores_compared) = (0, 0);
    for case in &golden.cases {
        let kept_of = |masked: &Vec<u32>| -> Vec<u32> {
            (0..tokens as u32).filter(|j| !masked.contains(j)).collect()
        };
        let theirs: Lists = case.kept_in_cache_order.clone().unwrap_or_else(|| {
            case.masked_positions_per_kv_head.as_ref().unwrap().iter().map(kept_of).collect()
        });
        let name = case.press.split('(').next().unwrap();
        let window = if name == "PyramidKV" { 4 } else { 8 };
        let stats = stats_of(&golden.attentions, 1, kv_heads, &[QueryRows::Last(window)]);
        let options = pooled(reference_options(theirs[0].len(), window), 5, "avg");
        match name {
            "SnapKV" | "PyramidKV" | "AdaKV" => {
                tally.select_as_many(&stats, heads, &options, &theirs, &case.press);
                let token_score = by_name("snapkv").unwrap().token_score().unwrap();
                let ours = token_score.scores(&stats, 0, &heads, &options).unwrap();
                let before_window = tokens - window;
                for (s, theirs) in case.scores.iter().flatten().enumerate() {
                    let ours = &ours[s * before_window..(s + 1) * before_window];
                    for (got, want) in ours.iter().zip(theirs) {
                        let about = &case.press;
                        assert!((got - want).abs() <= want * RELATIVE, "{about}: {got}, {want}");
                    }
                    scores_compared += 1;
                }
            }
            "StreamingLLM" => {
                let mut options = options;
                options.budget.reference = false;
                options.budget.window_tokens = 4;
                tally.select("streaming_llm", &stats, heads, &options, 0, &theirs);
            }
            "CriticalKV" => {
                let stats = TokenStats { projected_norms: Some(golden.projected()), ..stats };
                let options =
                    EvictionOptions { value_norm: ValueNorm::Projected, sink_tokens: 0, ..options };
                scores_compared += critical(case, &stats, heads, &options, &theirs, &mut tally);
            }
            "ObservedAttention" | "Knorm" | "TOVA" => other_methods += 1,
            other => panic!("{other}"),
        }
    }
    let rest = format!(
        "{scores_compared} lists of scores agree; {other_methods} cases are of presses that are no \
         methods here"
    );
    tally.report("kvpress_presses.json", golden.cases.len(), &rest);
    assert_eq!(tally.cases + other_methods, golden.cases.len());
    assert!(scores_compared > 0);
}
