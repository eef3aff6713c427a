use super::super::cases::{case, numbers, tensor, vec_of};
use super::*;
use crate::model::attention;
use crate::model::kv_cache::Held;

impl Shape {
    fn got(self) -> Vec<f32> {
        let [q, k, v] = self.inputs();
        vec_of(chunk(&q, &k, &v, self.window).unwrap())
    }
}

#[test]
fn equals_the_formula() {
    let mut cases = vec![
        // One tile, its border, several; one strip, its border, several; dimensions that no block
        // of rows divides.
        case(1, 1, 2, 2, 16),
        case(2, 1, 16, 128, 32),
        case(4, 2, 17, 129, 32),
        case(8, 4, 70, 300, 64),
        case(6, 2, 33, 40, 80),
        case(7, 1, 9, 500, 33),
        case(40, 1, 3, 130, 3),
        case(3, 3, 300, 300, 128),
    ];
    let with = |case: &Shape, window| Shape { window: Some(window), ..*case };
    cases.extend([1, 5, 127, 128, 200, usize::MAX].map(|w| with(&case(4, 2, 150, 400, 32), w)));
    for case in cases {
        let (got, expected) = (case.got(), case.expected().outputs);
        assert_eq!(got.len(), expected.len());
        let off =
            got.iter().zip(&expected).fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
        assert!(off < 2e-6, "{case:?}: off by {off}");
    }
}

#[test]
fn equals_the_backend() {
    let case = Shape { window: Some(90), ..case(8, 2, 100, 260, 32) };
    let [q, k, v] = case.inputs();
    let backend = vec_of(attention::chunk(q, Held::all(k, v), case.window, false).output);
    let off = case.got().iter().zip(backend).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off < 2e-6, "off by {off}");
}

/// To the bit: neither threads nor the queries beside a query change it.
#[test]
fn a_query_is_on_its_own() {
    for window in [None, Some(150)] {
        let case = Shape { window, ..case(4, 2, 200, 450, 32) };
        let whole = case.got();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| case.got()), whole, "{threads} threads");
        }
        // The same queries in parts, each when the keys behind it are not there yet.
        let [q, k, v] = case.inputs();
        let parts = [0..3, 3..120, 120..200].map(|part: Range<usize>| {
            let t = 250 + part.end;
            let q = q.clone().narrow(2, part.start, part.len());
            let [k, v] = [&k, &v].map(|x| x.clone().narrow(2, 0, t));
            chunk(&q, &k, &v, window).unwrap()
        });
        assert_eq!(vec_of(Tensor::cat(parts.to_vec(), 2)), whole);
    }
}

/// Views: parts of a longer cache, and heads that lie beside one another in a token's numbers.
#[test]
fn reads_views_where_they_lie() {
    let case = case(4, 2, 40, 90, 16);
    let [q, k, v] = case.inputs();
    let [_, kv_heads, _, dim] = k.dims();
    let longer = |x: Tensor<4>| {
        let more = || tensor(vec![f32::NAN; kv_heads * 7 * dim], [1, kv_heads, 7, dim]);
        Tensor::cat(vec![more(), x, more()], 2).narrow(2, 7, case.keys)
    };
    let interleaved = vec_of(q.clone().swap_dims(1, 2));
    let beside = tensor(interleaved, [1, case.queries, case.heads, dim]).swap_dims(1, 2);
    let transposed = k.clone().swap_dims(2, 3);
    let columns = tensor(vec_of(transposed), [1, kv_heads, dim, case.keys]).swap_dims(2, 3);
    for k in [longer(k), columns] {
        let got = chunk(&beside, &k, &longer(v.clone()), None).unwrap();
        assert_eq!(vec_of(got), case.got());
    }
}

/// All keys but one weigh the same, and little: a sum of one after the other drifts.
#[test]
fn many_small_shares_add_up() {
    const KEYS: usize = 1 << 15;
    let dim = 16;
    let ones = |n: usize| vec![1.0; n * dim];
    let mut k = vec![0.0; KEYS * dim];
    k[5 * dim..6 * dim].fill(1.609_438 / 4.0);
    let v: Vec<f32> = numbers(KEYS * dim, 4).into_iter().map(|x| 1.5 + x).collect();
    let shape = |n| [1, 1, n, dim];
    let [k, tensor_v] = [tensor(k, shape(KEYS)), tensor(v.clone(), shape(KEYS))];
    let got = vec_of(chunk(&tensor(ones(2), shape(2)), &k, &tensor_v, None).unwrap());
    // The one scores 16 * ln 5 / 4 / sqrt 16 = ln 5: the others weigh a fifth of it.
    for (d, got) in got[dim..].iter().enumerate() {
        let share = |key: usize| if key == 5 { 5.0 } else { 1.0 };
        let sum = (0..KEYS).map(|key| share(key) * f64::from(v[key * dim + d])).sum::<f64>();
        let off = (f64::from(*got) - sum / (KEYS + 4) as f64).abs();
        assert!(off < 2e-5, "{d}: off by {off}");
    }
}

#[test]
fn extreme_scores_stay_finite() {
    // Scores of 1e6 and -1e6: the larger takes all. Values 1, 2, 3, ...
    let dim = 4;
    let signs = |n: usize, of: &[f32]| (0..n * dim).map(|i| of[i / dim % of.len()]).collect();
    let q = tensor(signs(3, &[2e3]), [1, 1, 3, dim]);
    let k = tensor(signs(3, &[-250.0, 250.0, -250.0]), [1, 1, 3, dim]);
    let v = tensor(signs(3, &[1.0, 2.0, 3.0]), [1, 1, 3, dim]);
    let got = vec_of(chunk(&q, &k, &v, None).unwrap());
    assert_eq!(got, [1.0, 2.0, 2.0].map(|x| [x; 4]).concat());
}

/// What is not a number must be seen to be none.
#[test]
fn damage_shows() {
    let case = case(2, 1, 20, 200, 16);
    for place in 0..3 {
        let mut inputs = case.inputs();
        let [_, heads, tokens, dim] = inputs[place].dims();
        let mut damaged = vec_of(inputs[place].clone());
        damaged[3] = f32::NAN;
        inputs[place] = tensor(damaged, [1, heads, tokens, dim]);
        let [q, k, v] = inputs;
        assert!(vec_of(chunk(&q, &k, &v, None).unwrap()).iter().any(|x| x.is_nan()), "{place}");
    }
}

#[test]
fn others_are_left_to_the_caller() {
    let two = tensor(vec![1.0; 16], [2, 1, 2, 4]);
    assert!(chunk(&two, &two, &two, None).is_none());
    let [q, k, v] = case(2, 1, 4, 8, 16).inputs().map(|x| x.cast(DType::F16));
    assert!(chunk(&q, &k, &v, None).is_none());
}
