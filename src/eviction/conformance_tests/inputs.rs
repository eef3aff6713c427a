//! What is asked for, and what is refused.

use super::*;

#[test]
fn options_out_of_range_are_usage_errors_for_every_method() {
    let good = sample(12, 4);
    let with = |change: fn(&mut EvictionOptions)| {
        let mut options = good.options.clone();
        change(&mut options);
        options
    };
    let wrong = [
        with(|o| o.kernel_size = 4),
        with(|o| o.kernel_size = 0),
        with(|o| o.budget.window_tokens = 0),
        with(|o| o.budget.capacity_tokens = 3),
        with(|o| o.scissorhands_rows = 0),
    ];
    for method in registry() {
        for options in &wrong {
            assert_eq!(method.check(options).unwrap_err().exit_code(), 2);
            let bad = Sample { options: options.clone(), ..good.clone() };
            let error = bad.try_select(method, &good.stats(method)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{}", method.name());
        }
        let sinks = with(|o| o.sink_tokens = 9);
        assert_eq!(method.check(&sinks).is_err(), method.vatp(), "{}", method.name());
    }
}

#[test]
fn what_is_known_about_heads_is_asked_for() {
    let sample = sample(12, 4);
    for method in registry() {
        let result = method.select(&sample.stats(method), sample.heads, None, &sample.options);
        match method.needs_head_scores() || method.needs_utility() {
            true => assert_eq!(result.unwrap_err().exit_code(), 2, "{}", method.name()),
            false => assert!(result.is_ok(), "{}", method.name()),
        }
    }
    for name in ["headkv", "dililazykv", "dililazykv_variance", "headkv+vatp", "dililazykv+vatp"] {
        assert!(by_name(name).unwrap().needs_head_scores(), "{name}");
    }
    assert!(by_name("lukv").unwrap().needs_utility());
    for name in ["full", "h2o", "snapkv+vatp", "pyramidkv", "adakv"] {
        let method = by_name(name).unwrap();
        assert!(!method.needs_head_scores() && !method.needs_utility(), "{name}");
    }
}

#[test]
fn a_score_that_is_no_number_is_the_models() {
    let sample = sample(12, 4);
    for method in registry() {
        let mut stats = sample.stats(method);
        stats.row_sums.values_mut().for_each(|sums| sums[3] = f32::NAN);
        let result = sample.try_select(method, &stats);
        if stats.row_sums.is_empty() {
            assert!(result.is_ok(), "{}", method.name());
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 4, "{}", method.name());
        assert!(error.to_string().contains("layer 0, head 0"), "{error}");
        if !method.vatp() {
            continue;
        }
        for norm in [ValueNorm::L1, ValueNorm::Projected] {
            let mut sample = sample.clone();
            sample.options.value_norm = norm;
            let mut stats = sample.stats(method);
            let l1 = stats.value_norms.as_mut().map(|norms| &mut norms.l1);
            let norms = l1.or(stats.projected_norms.as_mut()).unwrap();
            norms[sample.tokens] = f32::INFINITY;
            let error = sample.try_select(method, &stats).unwrap_err();
            assert_eq!(error.exit_code(), 4, "{}", method.name());
            assert!(error.to_string().contains("layer 0, head 1"), "{error}");
        }
    }
}

#[test]
fn statistics_that_are_missing_or_foreign_are_bugs() {
    let sample = sample(12, 4);
    for method in registry() {
        let stats = sample.stats(method);
        let empty = TokenStats { row_sums: Default::default(), ..stats.clone() };
        let result = sample.try_select(method, &empty);
        let needs = !method.wanted(&sample.options).row_sums.is_empty();
        assert_eq!(result.err().map(|e| e.exit_code()), needs.then_some(1), "{}", method.name());
        if method.wanted(&sample.options).replay {
            let without = TokenStats { replayed: None, ..stats.clone() };
            let error = sample.try_select(method, &without).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{}", method.name());
        }
        if method.vatp() {
            let without = TokenStats { value_norms: None, ..stats.clone() };
            let error = sample.try_select(method, &without).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{}", method.name());
            // The plain norms do not stand in for the projected ones.
            let mut sample = sample.clone();
            sample.options.value_norm = ValueNorm::Projected;
            let error = sample.try_select(method, &stats).unwrap_err();
            assert_eq!(error.exit_code(), 1, "{}", method.name());
        }
        let foreign = TokenStats { kv_heads: 4, ..stats.clone() };
        let error = sample.try_select(method, &foreign).unwrap_err();
        assert_eq!(error.exit_code(), 1, "{}", method.name());
        if let Some(token_score) = method.token_score() {
            let result = token_score.scores(&foreign, 0, &sample.heads, &sample.options);
            assert_eq!(result.unwrap_err().exit_code(), 1, "{}", method.name());
        }
    }
}
