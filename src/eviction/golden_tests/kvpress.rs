//! `kvpress_presses.json`: the presses of kvpress that are methods here too. Their budgets are
//! shares of the prompt, so the numbers of tokens are taken from the golden.

use super::*;

#[derive(Deserialize)]
struct Golden {
    attentions: Cube,
    keys: Cube,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    press: String,
    scores: Option<Vec<Vec<f32>>>,
    kept_in_cache_order: Option<Lists>,
    masked_positions_per_kv_head: Option<Lists>,
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
        let stats = stats_of(&golden.attentions, 1, kv_heads, &[Rows::Last(window)]);
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
            "ObservedAttention" | "Knorm" | "CriticalKV" | "TOVA" => other_methods += 1,
            other => panic!("{other}"),
        }
    }
    let rest = format!(
        "{scores_compared} lists of scores agree; {other_methods} cases are of presses that are no \
         methods here"
    );
    tally.report("kvpress_presses.json", golden.cases.len(), &rest);
    assert_eq!(tally.cases + other_methods, golden.cases.len());
}
