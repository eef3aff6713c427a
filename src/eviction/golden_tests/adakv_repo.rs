//! `adakv_repo.json`: the AdaKV repository, on the queries and keys of `kvfactory_evict.json`.

use super::*;
use crate::budget::LayerPlace;
use crate::budget::ada_pyramidkv::AdaPyramidKv;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    #[serde(default)]
    layer: usize,
    gqa_support: Option<bool>,
    gqa_func: Option<String>,
    floor_alpha: Option<f64>,
    normalize: Option<bool>,
    /// Tokens before the window that a head of this layer keeps on average.
    layer_base_capacity: Option<usize>,
    params: Params,
    kept_in_cache_order: Lists,
}

#[derive(Deserialize)]
struct Params {
    window: Option<usize>,
    #[serde(alias = "base", alias = "max_capacity_prompt")]
    cap: usize,
    kernel: Option<usize>,
    beta: Option<usize>,
    layers: Option<usize>,
}

#[test]
fn selections() {
    let Some(golden) = golden::<Golden>("adakv_repo.json") else { return };
    let inputs: kvfactory::Golden = super::golden("kvfactory_evict.json").unwrap();
    let (h, g) = (inputs.q.len(), inputs.k.len());
    let attention = attention(&inputs.q, &inputs.k);
    let mut tally = Tally::default();
    let (mut competitions, mut as_long, mut pyramids) = (0, 0, 0);
    for case in &golden.cases {
        let layers = case.params.layers.unwrap_or(1);
        let window = case.params.window.unwrap_or(12);
        let stats = stats_of(&attention, layers, g, &[QueryRows::Last(window)]);
        let by_kv_head = case.gqa_support == Some(true);
        let granularity = if by_kv_head { Granularity::KvHead } else { Granularity::QueryHead };
        let heads = cache_heads(layers, h, g, granularity);
        let mut options = reference_options(case.params.cap, window);
        options.kernel_size = case.params.kernel.unwrap_or(7);
        options.budget.pyramid_beta = case.params.beta.unwrap_or(20);
        if let Some(how) = &case.gqa_func {
            options.budget.reduce = group_reduce(how);
        }
        let theirs = &case.kept_in_cache_order;
        let about = format!("{}, layer {}, {:?}", case.method, case.layer, case.gqa_func);
        match case.method.as_str() {
            "SnapKV" | "PyramidKV" => {
                tally.select(&case.method, &stats, heads, &options, case.layer, theirs);
            }
            "StreamingLLM(AdaKV repo)" => {
                options.budget.reference = false;
                tally.select("StreamingLLM", &stats, heads, &options, 0, theirs);
            }
            "Ada-SnapKV" | "Ada-PyramidKV" => {
                let past = case.layer_base_capacity.unwrap();
                options.budget.alpha = case.floor_alpha.unwrap();
                let normalize = case.normalize.unwrap_or(false);
                let token_score = by_name("adakv").unwrap().token_score().unwrap();
                let scores = token_score.scores(&stats, 0, &heads, &options).unwrap();
                let lengths =
                    assert_adakv_lengths(&scores, heads, past, &options, normalize, theirs);
                let lists = lengths.iter().zip(theirs);
                as_long += usize::from(lists.clone().all(|(n, list)| n + window == list.len()));
                if case.method == "Ada-PyramidKV" {
                    // The layer's share of the pyramid is the golden's, and so is who wins it.
                    let competing = match normalize {
                        true => normalized(scores, heads.stored(), past),
                        false => scores,
                    };
                    let budget = AdaPyramidKv.allocate(&Request {
                        heads: CacheHeads { layers: 1, ..heads },
                        prompt_tokens: Some(stats.tokens),
                        options: &options.budget,
                        head_scores: None,
                        token_scores: Some(&[competing]),
                        utility: None,
                        place: Some(LayerPlace { layer: case.layer, layers }),
                    });
                    let budget = budget.unwrap();
                    let got = (0..heads.stored()).map(|s| budget.past(0, s));
                    assert_eq!(got.collect::<Vec<_>>(), lengths, "{about}");
                    if !normalize {
                        let method = by_name(&case.method).unwrap();
                        let (_, budget) = method.select(&stats, heads, None, &options).unwrap();
                        let got = (0..heads.stored()).map(|s| budget.past(case.layer, s));
                        assert_eq!(got.collect::<Vec<_>>(), lengths, "{about}");
                    }
                    pyramids += 1;
                }
                competitions += 1;
                tally.select_as_many(&stats, heads, &options, theirs, &about);
            }
            other => panic!("{other}"),
        }
    }
    let rest = format!(
        "0 are left out; of {competitions} competitions, {pyramids} under Ada-Pyramid, {as_long} give \
         every list the same number of tokens, the rest up to equal scores"
    );
    tally.report("adakv_repo.json", golden.cases.len(), &rest);
    assert_eq!(tally.cases, golden.cases.len());
    assert_eq!(pyramids, golden.cases.iter().filter(|c| c.method == "Ada-PyramidKV").count());
}
