//! `kvfactory_evict.json`: KVCache-Factory, by query head and by KV head.

use super::*;

#[derive(Deserialize)]
pub(super) struct Golden {
    pub(super) q: Cube,
    pub(super) k: Cube,
    window_scores: WindowScores,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct WindowScores {
    maxpool7_mean_query_head: Vec<Vec<f32>>,
    maxpool7_mean_kv_head_meanagg: Vec<Vec<f32>>,
    avgpool5_mean_query_head: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    params: Params,
    granularity: String,
    kept_in_cache_order: Lists,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    window_size: usize,
    max_capacity_prompt: usize,
    kernel_size: Option<usize>,
    pooling: Option<String>,
    gqa_score_agg: Option<String>,
    #[serde(default)]
    layer_idx: usize,
    num_hidden_layers: Option<usize>,
    beta: Option<usize>,
    floor: Option<f64>,
    normalize: Option<bool>,
    head_capacity: Option<Vec<Vec<u32>>>,
}

impl Params {
    fn options(&self) -> EvictionOptions {
        let mut options = reference_options(self.max_capacity_prompt, self.window_size);
        if let Some(how) = &self.gqa_score_agg {
            options.budget.reduce = group_reduce(how);
        }
        options.budget.pyramid_beta = self.beta.unwrap_or(20);
        options.budget.alpha = self.floor.unwrap_or(0.2);
        let pooling = self.pooling.as_deref().unwrap_or("none");
        pooled(options, self.kernel_size.unwrap_or(1), pooling)
    }
}

const WINDOW: usize = 8;

fn granularity(name: &str) -> Granularity {
    let all = [Granularity::KvHead, Granularity::QueryHead];
    all.into_iter().find(|granularity| granularity.name() == name).unwrap()
}

#[test]
fn selections() {
    let Some(golden) = golden::<Golden>("kvfactory_evict.json") else { return };
    let attention = attention(&golden.q, &golden.k);
    let rows = [QueryRows::Last(WINDOW), QueryRows::All];
    let mut tally = Tally::default();
    let mut other_methods = 0;
    for case in &golden.cases {
        let layers = case.params.num_hidden_layers.unwrap_or(1);
        let stats = stats_of(&attention, layers, golden.k.len(), &rows);
        let heads =
            cache_heads(layers, golden.q.len(), golden.k.len(), granularity(&case.granularity));
        let options = case.params.options();
        let theirs = &case.kept_in_cache_order;
        let about = format!("{} {}", case.method, case.granularity);
        match case.method.as_str() {
            "SnapKV"
            | "PyramidKV"
            | "H2O"
            | "StreamingLLM"
            | "SnapKV_compress_when_qlen_eq_cap" => {
                let method = case.method.split('_').next().unwrap();
                tally.select(method, &stats, heads, &options, case.params.layer_idx, theirs);
            }
            "SnapKV_no_compress_when_qlen_lt_cap" => {
                let (kept, _) =
                    by_name("snapkv").unwrap().select(&stats, heads, None, &options).unwrap();
                assert_eq!(kept, Kept::all(heads, stats.tokens));
                assert!(theirs.iter().all(|list| list == kept.positions(0, 0)));
                tally.cases += 1;
            }
            "AdaKV" => {
                let past = options.budget.capacity_tokens - WINDOW;
                let token_score = by_name("adakv").unwrap().token_score().unwrap();
                let scores = token_score.scores(&stats, 0, &heads, &options).unwrap();
                let normalize = case.params.normalize.unwrap_or(false);
                assert_adakv_lengths(&scores, heads, past, &options, normalize, theirs);
                tally.select_as_many(&stats, heads, &options, theirs, &about);
            }
            "HeadKV" => {
                let given = &case.params.head_capacity.as_ref().unwrap()[case.params.layer_idx];
                let of_list = |group: &[u32]| {
                    let mean = f64::from(group.iter().sum::<u32>()) / group.len() as f64;
                    (mean.round_ties_even() as usize).min(stats.tokens - WINDOW)
                };
                let past: Vec<usize> = given.chunks(heads.readers()).map(of_list).collect();
                let lengths: Vec<usize> = theirs.iter().map(|list| list.len() - WINDOW).collect();
                assert_eq!(past, lengths, "{about}");
                tally.select_as_many(&stats, heads, &options, theirs, &about);
            }
            "L2Norm" => other_methods += 1,
            other => panic!("{other}"),
        }
    }
    tally.report(
        "kvfactory_evict.json",
        golden.cases.len(),
        &format!("{other_methods} are of L2Norm"),
    );
    assert_eq!(tally.cases + other_methods, golden.cases.len());
}

#[test]
fn window_scores() {
    let Some(golden) = golden::<Golden>("kvfactory_evict.json") else { return };
    let stats =
        stats_of(&attention(&golden.q, &golden.k), 1, golden.k.len(), &[QueryRows::Last(WINDOW)]);
    let token_score = by_name("snapkv").unwrap().token_score().unwrap();
    let given = &golden.window_scores;
    let cases = [
        (Granularity::QueryHead, 7, "maxpool", &given.maxpool7_mean_query_head),
        (Granularity::KvHead, 7, "maxpool", &given.maxpool7_mean_kv_head_meanagg),
        (Granularity::QueryHead, 5, "avgpool", &given.avgpool5_mean_query_head),
    ];
    for (granularity, kernel_size, pooling, expected) in cases {
        let heads = cache_heads(1, golden.q.len(), golden.k.len(), granularity);
        let options = pooled(reference_options(16, WINDOW), kernel_size, pooling);
        let scores = token_score.scores(&stats, 0, &heads, &options).unwrap();
        let expected = expected.concat();
        assert_eq!(scores.len(), expected.len());
        for (got, want) in scores.iter().zip(&expected) {
            assert!((got - want).abs() <= want * RELATIVE, "{pooling}: {got}, expected {want}");
        }
    }
    println!("eviction golden kvfactory_evict.json: 3 of 3 sets of window scores agree");
}
