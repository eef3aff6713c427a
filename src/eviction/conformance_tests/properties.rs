//! Properties of what is kept, and of lists while decoding.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_fair_form_spends_the_budget_exactly(sample in samples()) {
        for method in registry() {
            let (kept, budget) = sample.select(method);
            let whole = method.token_score().is_none();
            let each = if whole { sample.tokens } else { sample.capacity().min(sample.tokens) };
            let expected = (each * sample.heads.layers * sample.heads.stored()) as u64;
            prop_assert_eq!(kept.total_tokens(), expected, "{}", method.name());
            prop_assert_eq!(budget.total_tokens(), expected, "{}", method.name());
            for (layer, s) in sample.lists() {
                let expected = budget.past(layer, s) + budget.window_tokens();
                prop_assert_eq!(kept.positions(layer, s).len(), expected, "{}", method.name());
            }
        }
    }

    /// From statistics of one layer at a time, and with the budget of all layers at once where
    /// budgets follow the token scores.
    #[test]
    fn layer_by_layer_it_is_the_same(sample in samples(), reference in any::<bool>()) {
        let mut sample = sample;
        sample.options.budget.reference = reference;
        let (scores, utility) = (sample.head_scores(), sample.utility());
        let evidence = HeadEvidence { scores: Some(&scores), utility: Some(&utility) };
        let CacheHeads { layers, heads, kv_heads, .. } = sample.heads;
        for method in registry() {
            let (kept, budget) = sample.select(method);
            let stats = sample.stats(method);
            let cut = |all: &[f32], of: usize, layer: usize| -> Vec<f32> {
                all[layer * of * sample.tokens..][..of * sample.tokens].to_vec()
            };
            let of_layer = |layer: usize| TokenStats {
                layers: 1,
                row_sums: stats
                    .row_sums
                    .iter()
                    .map(|(rows, all)| (*rows, cut(all, heads, layer)))
                    .collect(),
                value_norms: stats.value_norms.as_ref().map(|norms| ValueNorms {
                    l1: cut(&norms.l1, kv_heads, layer),
                    l2: cut(&norms.l2, kv_heads, layer),
                    linf: cut(&norms.linf, kv_heads, layer),
                }),
                projected_norms: stats.projected_norms.as_ref().map(|all| cut(all, heads, layer)),
                replayed: stats.replayed.as_ref().map(|all| ReplayedTokens {
                    tokens: all.tokens,
                    most: all.most.chunks(kv_heads * all.tokens).nth(layer).unwrap().to_vec(),
                }),
                ..stats.clone()
            };
            let mut joined = of_layer(0);
            (1..layers).for_each(|layer| joined.append_layers(of_layer(layer)));
            prop_assert_eq!(&joined, &stats);
            let options = &sample.options;
            let selector =
                Selector::new(method, sample.tokens, sample.heads, evidence, options).unwrap();
            let one_by_one: Vec<Kept> = (0..layers)
                .map(|layer| selector.select(layer, &of_layer(layer), 0).unwrap().0)
                .collect();
            prop_assert_eq!(Kept::of_layers(one_by_one).unwrap(), kept, "{}", method.name());
            let (Some(score), Some(allocator)) = (method.token_score(), method.allocator()) else {
                continue;
            };
            if sample.tokens <= sample.capacity() {
                continue;
            }
            let token_scores: Vec<Vec<f32>> = (0..layers)
                .map(|layer| score.scores(&stats, layer, &sample.heads, options).unwrap())
                .collect();
            let at_once = allocator.allocate(&Request {
                heads: sample.heads,
                prompt_tokens: Some(sample.tokens),
                options: &options.budget,
                head_scores: Some(&scores),
                token_scores: Some(&token_scores),
                utility: Some(&utility),
                place: None,
            });
            prop_assert_eq!(at_once.unwrap(), budget, "{}", method.name());
        }
    }

    #[test]
    fn lists_ascend_hold_the_window_and_their_sinks(
        sample in samples(),
        reference in any::<bool>(),
    ) {
        let mut sample = sample;
        sample.options.budget.reference = reference;
        for method in registry() {
            let (kept, budget) = sample.select(method);
            let before_window = sample.tokens - sample.window();
            for (layer, s) in sample.lists() {
                let list = kept.positions(layer, s);
                prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
                let (past, window) = list.split_at(list.len() - sample.window());
                prop_assert!(window.iter().copied().eq(before_window as u32..sample.tokens as u32));
                prop_assert_eq!(past.len(), budget.past(layer, s).min(before_window));
                let sinks = match method.decoding() {
                    Decoding::Recency => sample.options.streaming_sinks,
                    _ if method.vatp() => sample.options.sink_tokens,
                    _ => 0,
                };
                let sinks = sinks.min(past.len());
                prop_assert!(past[..sinks].iter().copied().eq(0..sinks as u32), "{}", method.name());
            }
        }
    }

    #[test]
    fn what_is_kept_is_worth_no_less_than_what_is_not(sample in samples()) {
        for method in registry() {
            let Some(token_score) = method.token_score() else { continue };
            let stats = sample.stats(method);
            let (kept, _) = sample.select(method);
            let protected = if method.vatp() { sample.options.sink_tokens } else { 0 };
            let before_window = sample.tokens - sample.window();
            for layer in 0..sample.heads.layers {
                let scores =
                    token_score.scores(&stats, layer, &sample.heads, &sample.options).unwrap();
                prop_assert_eq!(scores.len(), sample.heads.stored() * before_window);
                for s in 0..sample.heads.stored() {
                    let row = &scores[s * before_window..(s + 1) * before_window];
                    let is_kept = |j: usize| kept.positions(layer, s).contains(&(j as u32));
                    let free = protected.min(before_window)..before_window;
                    let (inside, outside): (Vec<usize>, Vec<usize>) = free.partition(|&j| is_kept(j));
                    for &i in &inside {
                        for &o in &outside {
                            let first = row[i] > row[o] || (row[i] == row[o] && i < o);
                            prop_assert!(first, "{}: {i} over {o} of {row:?}", method.name());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn selecting_twice_is_selecting_once(sample in samples()) {
        for method in registry() {
            prop_assert_eq!(sample.select(method), sample.select(method), "{}", method.name());
        }
    }

    #[test]
    fn a_prompt_that_fits_is_kept_whole(sample in samples()) {
        let mut sample = sample;
        sample.options.budget.capacity_tokens =
            sample.tokens.max(sample.options.budget.window_tokens) + sample.options.sink_tokens;
        for method in registry() {
            let (kept, budget) = sample.select(method);
            prop_assert_eq!(&kept, &Kept::all(sample.heads, sample.tokens), "{}", method.name());
            prop_assert_eq!(budget.total_tokens(), kept.total_tokens());
        }
    }

    #[test]
    fn permuting_kv_heads_permutes_the_lists(sample in samples()) {
        let (heads, tokens) = (sample.heads, sample.tokens);
        let turned = |i: usize, n: usize| (i + 1) % n;
        // Group by group, so that query heads stay with their KV head.
        let group = heads.heads / heads.kv_heads;
        let turned_head = |h: usize| turned(h / group, heads.kv_heads) * group + h % group;
        let turned_list = |s: usize| match heads.granularity {
            Granularity::KvHead => turned(s, heads.kv_heads),
            Granularity::QueryHead => turned_head(s),
        };
        let rows = |all: &[f32], n: usize, width: usize, from: &dyn Fn(usize) -> usize| {
            let row = |i: usize| {
                let i = i / n * n + from(i % n);
                all[i * width..(i + 1) * width].to_vec()
            };
            (0..all.len() / width).flat_map(row).collect::<Vec<f32>>()
        };
        for method in registry() {
            let (stats, utility) = (sample.stats(method), sample.utility());
            let mut other = stats.clone();
            for sums in other.row_sums.values_mut() {
                *sums = rows(sums, heads.heads, tokens, &turned_head);
            }
            if let Some(norms) = &mut other.value_norms {
                for norm in [&mut norms.l1, &mut norms.l2, &mut norms.linf] {
                    *norm = rows(norm, heads.kv_heads, tokens, &|g| turned(g, heads.kv_heads));
                }
            }
            if let Some(norms) = &mut other.projected_norms {
                *norms = rows(norms, heads.heads, tokens, &turned_head);
            }
            if let Some(replayed) = &mut other.replayed {
                let context = replayed.tokens;
                let turned = |g| turned(g, heads.kv_heads);
                replayed.most = rows(&replayed.most, heads.kv_heads, context, &turned);
            }
            let head_scores = sample.head_scores();
            let values = rows(head_scores.values(), heads.heads, 1, &turned_head);
            let other_scores = HeadMatrix::new(heads.layers, heads.heads, values).unwrap();
            let curves: Vec<f32> =
                sample.lists().flat_map(|(l, s)| utility.curve(l, turned_list(s)).to_vec()).collect();
            let other_utility = UtilityCurves::new(
                heads.layers,
                heads.stored(),
                utility.fractions().to_vec(),
                curves,
            )
            .unwrap();
            let evidence =
                HeadEvidence { scores: Some(&other_scores), utility: Some(&other_utility) };
            let (kept, budget) = sample.select(method);
            let (other_kept, other_budget) =
                method.select_by(&other, heads, evidence, &sample.options).unwrap();
            for (layer, s) in sample.lists() {
                // Where equal claims share what cannot be divided, the lower head gets it, so
                // the budget may differ by that.
                let (past, other_past) =
                    (budget.past(layer, turned_list(s)), other_budget.past(layer, s));
                let (list, other_list) =
                    (kept.positions(layer, turned_list(s)), other_kept.positions(layer, s));
                let (short, long) =
                    if past < other_past { (list, other_list) } else { (other_list, list) };
                prop_assert!(short.iter().all(|j| long.contains(j)), "{}", method.name());
                let shared = method.allocator().is_some_and(|a| a.name() != "uniform");
                prop_assert!(past == other_past || shared, "{}", method.name());
            }
        }
    }

    #[test]
    fn decoding_keeps_lists_at_their_budget(sample in samples()) {
        for method in registry() {
            let stats = sample.stats(method);
            let (kept, _) = sample.select(method);
            let state = DecodeEviction::new(method, &kept, &stats, &sample.options).unwrap();
            prop_assert_eq!(state.is_some(), method.decoding() != Decoding::Append);
            let Some(mut state) = state else { continue };
            let mut rng = StdRng::seed_from_u64(sample.seed ^ 2);
            for (layer, s) in sample.lists() {
                let mut list = kept.positions(layer, s).to_vec();
                let sinks = match method.decoding() {
                    Decoding::Recency => sample.options.streaming_sinks,
                    _ if method.vatp() => sample.options.sink_tokens,
                    _ => 0,
                };
                let sinks: Vec<u32> =
                    list.iter().copied().filter(|j| (*j as usize) < sinks).collect();
                for newest in sample.tokens..sample.tokens + 2 * sample.capacity() {
                    list.push(newest as u32);
                    let row: Vec<f32> = list.iter().map(|_| rng.random::<f32>()).collect();
                    state.observe(layer, s, &row, rng.random::<f32>()).unwrap();
                    while let Some(slot) = state.evict(layer, s) {
                        list.remove(slot);
                    }
                    prop_assert_eq!(state.scores(layer, s).len(), list.len());
                    prop_assert!(list.len() <= sample.capacity(), "{}", method.name());
                    let latest = list[list.len() - sample.options.budget.window_tokens.min(list.len())];
                    let window = list.len().min(sample.options.budget.window_tokens) as u32;
                    prop_assert_eq!(latest, newest as u32 + 1 - window, "{}", method.name());
                }
                prop_assert_eq!(list.len(), sample.capacity(), "{}", method.name());
                let places = sample.capacity() - sample.options.budget.window_tokens;
                let left = &sinks[..sinks.len().min(places)];
                prop_assert!(list.starts_with(left), "{}: {list:?}", method.name());
            }
        }
    }
}
