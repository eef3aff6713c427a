//! Every registered allocator through the same properties, on random requests.

use proptest::prelude::*;

use super::testing::Case;
use super::*;
use crate::heads::{Granularity, GroupReduce};

/// The one budget that depends on the unit of the scores: its code adds a share that does.
const NOT_SCALE_FREE: &str = "dililazykv";

/// A request with everything that any allocator looks at. Token scores and curves have no equal
/// values, so that no rule about ties decides.
fn case() -> impl Strategy<Value = Case> {
    let shape = (1usize..5, 1usize..5, 1usize..4, any::<bool>(), 0usize..3);
    let budget = (0usize..9, 0usize..40, 0usize..80);
    let constants = (1.005..10.0f64, 0.3..3.0f64, 0.0..=1.0f64, 1usize..30);
    (shape, budget, constants).prop_flat_map(|(shape, budget, constants)| {
        let (layers, kv_heads, readers, own, reduce) = shape;
        let granularity = if own { Granularity::QueryHead } else { Granularity::KvHead };
        let heads = CacheHeads { layers, heads: kv_heads * readers, kv_heads, granularity };
        let (window, past, prompt) = budget;
        let stored = layers * heads.stored();
        let points = 4;
        let tokens = heads.stored() * prompt.saturating_sub(window);
        let score = prop_oneof![Just(0.0f32), 1e-6..1.0f32, 0.5..1000.0f32];
        (
            prop::collection::vec(score, layers * heads.heads),
            prop::collection::vec(prop::collection::vec(1e-6..1.0f32, tokens), layers),
            prop::collection::vec(1e-3..1.0f32, stored * points),
        )
            .prop_map(move |(mut scores, tokens, rises)| {
                scores[0] = scores[0].max(0.25);
                let mut curves = rises;
                for curve in curves.chunks_mut(points) {
                    (1..points).for_each(|k| curve[k] += curve[k - 1]);
                }
                let fractions = vec![0.125, 0.25, 0.5, 1.0];
                let utility = UtilityCurves::new(layers, heads.stored(), fractions, curves);
                let reduce = [GroupReduce::Mean, GroupReduce::Max, GroupReduce::Sum][reduce];
                let (beta, temp, alpha, pyramid_beta) = constants;
                Case {
                    heads,
                    options: BudgetOptions {
                        capacity_tokens: (window + past).max(1),
                        window_tokens: window,
                        beta,
                        temp,
                        alpha,
                        pyramid_beta,
                        reduce,
                        reference: false,
                    },
                    prompt: Some(prompt),
                    scores: Some(HeadMatrix::new(layers, heads.heads, scores).unwrap()),
                    tokens: Some(tokens),
                    utility: Some(utility.unwrap()),
                    place: None,
                }
            })
    })
}

/// Turns the heads of every layer around, of all that a request holds.
fn turned(case: &Case) -> Case {
    let mut turned = case.clone();
    let (layers, heads, stored) = (case.heads.layers, case.heads.heads, case.heads.stored());
    let scores = case.scores.as_ref().unwrap();
    let values = scores.values().chunks(heads).flat_map(|layer| layer.iter().rev().copied());
    turned.scores = Some(HeadMatrix::new(layers, heads, values.collect()).unwrap());
    let tokens = case.tokens.as_ref().unwrap().iter().map(|layer| {
        let rows = layer.chunks((layer.len() / stored).max(1));
        rows.rev().flatten().copied().collect()
    });
    turned.tokens = Some(tokens.collect());
    let curves = case.utility.as_ref().unwrap();
    let of_layer = |l| (0..stored).rev().flat_map(move |s| curves.curve(l, s).to_vec());
    let values = (0..layers).flat_map(of_layer).collect();
    let curves = UtilityCurves::new(layers, stored, curves.fractions().to_vec(), values);
    turned.utility = Some(curves.unwrap());
    turned
}

/// The same in a unit 8 times as small: a power of two, so that no bit is lost.
fn scaled(case: &Case) -> Case {
    const UNIT: f32 = 8.0;
    let mut scaled = case.clone();
    let scores = case.scores.as_ref().unwrap();
    let values = scores.values().iter().map(|v| v * UNIT).collect();
    scaled.scores = Some(HeadMatrix::new(scores.layers(), scores.heads(), values).unwrap());
    scaled.tokens.iter_mut().flatten().flatten().for_each(|score| *score *= UNIT);
    let curves = case.utility.as_ref().unwrap();
    let (layers, heads) = (curves.layers(), curves.heads());
    let of_layer = |l| (0..heads).flat_map(move |s| curves.curve(l, s).iter().map(|u| u * UNIT));
    let values = (0..layers).flat_map(of_layer).collect();
    let curves = UtilityCurves::new(layers, heads, curves.fractions().to_vec(), values);
    scaled.utility = Some(curves.unwrap());
    scaled
}

proptest! {
    #[test]
    fn the_fair_form_spends_exactly_the_budget_within_the_prompt(case in case()) {
        let tokens = case.prompt.unwrap();
        let heads = case.heads.layers * case.heads.stored();
        for allocator in registry() {
            let budget = case.allocate(*allocator).unwrap();
            let name = allocator.name();
            let mean = case.options.capacity_tokens.min(tokens);
            prop_assert_eq!(budget.total_tokens(), (heads * mean) as u64, "{}", name);
            prop_assert_eq!(budget.window_tokens(), case.options.window_tokens.min(tokens));
            let largest = budget.past_tokens().iter().max().copied().unwrap() as usize;
            prop_assert!(budget.window_tokens() + largest <= tokens, "{}", name);
            prop_assert_eq!((budget.layers(), budget.heads()), (case.heads.layers, case.heads.stored()));
            prop_assert_eq!(&case.allocate(*allocator).unwrap(), &budget, "{}", name);
        }
    }

    #[test]
    fn without_a_prompt_the_sum_is_the_budget_too(case in case()) {
        let case = Case { prompt: None, ..case };
        let total = case.heads.layers * case.heads.stored() * case.options.capacity_tokens;
        for allocator in registry() {
            if matches!(allocator.needs(), Needs::TokenScores | Needs::Utility) {
                prop_assert_eq!(case.error(*allocator), 1);
                continue;
            }
            let budget = case.allocate(*allocator).unwrap();
            prop_assert_eq!(budget.total_tokens(), total as u64, "{}", allocator.name());
        }
    }

    #[test]
    fn the_reference_form_stays_within_the_prompt(case in case()) {
        let case = case.reference();
        for allocator in registry() {
            let budget = case.allocate(*allocator).unwrap();
            let largest = budget.past_tokens().iter().max().copied().unwrap() as usize;
            prop_assert!(budget.window_tokens() + largest <= case.prompt.unwrap());
        }
    }

    #[test]
    fn turning_the_heads_of_a_layer_around_turns_the_budget_around(case in case()) {
        let turned = turned(&case);
        for allocator in registry() {
            let (one, other) = (case.allocate(*allocator).unwrap(), turned.allocate(*allocator).unwrap());
            for layer in 0..one.layers() {
                for head in 0..one.heads() {
                    let mirror = other.past(layer, one.heads() - 1 - head);
                    // Equal remainders go by index.
                    let difference = one.past(layer, head).abs_diff(mirror);
                    prop_assert!(difference <= 1, "{}: {difference}", allocator.name());
                }
            }
        }
    }

    #[test]
    fn the_unit_of_the_scores_does_not_matter(case in case()) {
        let scaled = scaled(&case);
        for allocator in registry().iter().filter(|a| a.name() != NOT_SCALE_FREE) {
            let (got, want) = (scaled.allocate(*allocator), case.allocate(*allocator));
            prop_assert_eq!(got.unwrap(), want.unwrap(), "{}", allocator.name());
        }
    }

    #[test]
    fn rounding_is_all_that_the_fair_form_changes_in_a_long_prompt(case in case()) {
        let case = Case { prompt: None, ..case };
        for name in ["headkv", "dililazykv"] {
            let allocator = by_name(name).unwrap();
            let fair = case.allocate(allocator).unwrap();
            let reference = case.clone().reference().allocate(allocator).unwrap();
            for (fair, reference) in fair.past_tokens().iter().zip(reference.past_tokens()) {
                prop_assert!(fair.abs_diff(*reference) <= 1, "{}: {} {}", name, fair, reference);
            }
        }
    }

    #[test]
    fn more_score_is_never_fewer_tokens(case in case()) {
        let case = Case { heads: CacheHeads { granularity: Granularity::QueryHead, ..case.heads }, ..case };
        for allocator in registry().iter().filter(|a| a.needs() == Needs::HeadScores) {
            let (name, budget) = (allocator.name(), case.allocate(*allocator).unwrap());
            let scores = case.scores.as_ref().unwrap();
            for layer in 0..budget.layers() {
                for (a, b) in (0..budget.heads()).flat_map(|a| (0..budget.heads()).map(move |b| (a, b))) {
                    let more = scores.get(layer, a) > scores.get(layer, b);
                    prop_assert!(!more || budget.past(layer, a) >= budget.past(layer, b), "{}", name);
                }
            }
        }
    }
}

/// What [`AllocatorInfo::constants`] says is what the formula has: a budget changes with these
/// constants, and with no other.
#[test]
fn budgets_follow_the_constants_that_their_info_names() {
    // Two layers of two heads; 40 tokens before a window of 2, 10 of which a head keeps on average.
    let case = Case::scored(&[&[0.9, 0.1], &[0.4, 0.2]]).budget(12, 2).prompt(42);
    let layer: Vec<f32> =
        (0..80).map(|i| if i < 40 { 1.0 } else { 0.5 } / (i + 1) as f32).collect();
    let points = [[0.9f32, 1.0], [0.2, 0.4], [0.3, 0.3], [0.1, 0.8]].concat();
    let curves = UtilityCurves::new(2, 2, vec![0.25, 1.0], points).unwrap();
    let case = case.tokens(vec![layer; 2]).utility(curves);
    for allocator in registry() {
        let budget = case.allocate(*allocator).unwrap();
        for (option, other) in [
            ("--beta", case.clone().beta(4.0)),
            ("--temp", case.clone().temp(3.0)),
            ("--alpha", case.clone().alpha(0.9)),
            ("--pyramid-beta", case.clone().pyramid_beta(2)),
        ] {
            let changes = other.allocate(*allocator).unwrap() != budget;
            let about = format!("{} {option}", allocator.name());
            assert_eq!(changes, allocator.info().reads(option), "{about}");
        }
    }
}

#[test]
fn each_allocator_has_its_references_beta() {
    let beta = |name: &str| by_name(name).unwrap().info().default_beta();
    assert_eq!(["headkv", "dililazykv", "uniform"].map(beta), [1.5, 1.351, 1.5]);
}

#[test]
fn scores_that_say_nothing_are_refused_by_all_that_read_them() {
    let zeros = Case::scored(&[&[0.0, 0.0], &[0.0, 0.0]]);
    let negative = Case::scored(&[&[0.5, -0.1], &[0.0, 0.0]]);
    let mut another_shape = Case::scored(&[&[0.5, 0.1]]);
    another_shape.heads.layers = 2;
    for allocator in registry().iter().filter(|a| a.needs() == Needs::HeadScores) {
        for case in [&zeros, &negative] {
            assert_eq!(case.error(*allocator), 3, "{}", allocator.name());
            assert_eq!(case.clone().reference().error(*allocator), 3, "{}", allocator.name());
        }
        assert_eq!(another_shape.error(*allocator), 1, "{}", allocator.name());
        assert_eq!(Case::shaped(1, 2).error(*allocator), 1, "{}", allocator.name());
    }
}

#[test]
fn constants_out_of_range_are_refused_by_all() {
    let case = Case::scored(&[&[0.5, 0.25]]);
    let mut wrong = vec![
        case.clone().budget(0, 0),
        case.clone().budget(7, 8),
        case.clone().budget(usize::MAX, 8),
        case.clone().pyramid_beta(0),
    ];
    wrong.extend([1.0, 0.5, -2.0, f64::NAN, f64::INFINITY].map(|v| case.clone().beta(v)));
    wrong.extend([0.0, -1.0, f64::NAN, f64::INFINITY].map(|v| case.clone().temp(v)));
    wrong.extend([-0.1, 1.1, f64::NAN].map(|v| case.clone().alpha(v)));
    for allocator in registry() {
        for case in &wrong {
            assert_eq!(case.error(*allocator), 2, "{}: {:?}", allocator.name(), case.options);
        }
    }
}

#[test]
fn one_hot_and_constant_scores_are_spent_too() {
    let mut one_hot =
        Case::scored(&[&[0.0, 0.0, 0.0], &[0.0, 1.0, 0.0]]).budget(100, 10).prompt(150);
    for name in ["headkv", "dililazykv", "dililazykv_variance"] {
        let allocator = by_name(name).unwrap();
        let budget = one_hot.allocate(allocator).unwrap();
        assert_eq!((budget.total_tokens(), budget.past(1, 1)), (600, 140), "{name}");
        let constant = Case::scored(&[&[0.5; 3], &[0.5; 3]]).budget(100, 10);
        assert_eq!(constant.allocate(allocator).unwrap().past_tokens(), [90; 6], "{name}");
    }
    one_hot.heads.kv_heads = 1;
    one_hot.heads.granularity = Granularity::KvHead;
    let budget = one_hot.allocate(&headkv::HeadKv).unwrap();
    assert_eq!(budget.past_tokens(), [40, 140]);
}

#[test]
fn every_allocator_is_described_and_has_a_section_in_the_docs() {
    let docs = include_str!("../../docs/budgets.md");
    for allocator in registry() {
        let info = allocator.info();
        assert!(!info.title.is_empty() && !info.formula.is_empty());
        assert!(info.source.contains("https://"), "{}", info.name);
        assert!(info.method.is_none_or(|method| !method.title.is_empty()), "{}", info.name);
        assert!(docs.contains(&format!("\n## `{}`", info.name)), "{}", info.name);
        for alias in info.aliases {
            assert!(docs.contains(&format!("`{alias}`")), "{alias}");
        }
    }
}
