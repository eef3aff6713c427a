use super::super::attention::Shape;
use super::super::cases::{case, tensor, vec_of};
use super::*;
use crate::model::attention::{self, Row};
use crate::model::kv_cache::Held;

fn got(case: Shape) -> [Vec<f32>; 2] {
    let [q, k, v] = case.inputs();
    let (rows, output) = attend(&q, &k, &v, case.window).unwrap();
    assert_eq!(rows.dims(), [case.heads, 1, case.keys]);
    assert_eq!(output.dims(), [1, case.heads, 1, case.dim]);
    [vec_of(rows), vec_of(output)]
}

fn off(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()))
}

#[test]
fn equals_the_formula() {
    let mut cases = vec![
        // One key; a tile, its border, several; keys that are no multiple of those read together;
        // odd dimensions; one group and many.
        case(1, 1, 1, 1, 16),
        case(2, 1, 1, 128, 32),
        case(4, 2, 1, 129, 32),
        case(8, 4, 1, 3000, 64),
        case(6, 2, 1, 43, 80),
        case(7, 1, 1, 501, 33),
        case(40, 1, 1, 130, 3),
        case(3, 3, 1, 302, 128),
    ];
    let with = |case: &Shape, window| Shape { window: Some(window), ..*case };
    cases.extend([1, 5, 127, 128, 200, usize::MAX].map(|w| with(&case(4, 2, 1, 400, 32), w)));
    for case in cases {
        let ([rows, outputs], expected) = (got(case), case.expected());
        let off = [off(&rows, &expected.rows), off(&outputs, &expected.outputs)];
        assert!(off[0] < 1e-6 && off[1] < 2e-6, "{case:?}: off by {off:?}");
        // What is hidden has no weight at all.
        assert!(rows.iter().zip(&expected.rows).all(|(got, want)| *want != 0.0 || *got == 0.0));
    }
}

#[test]
fn equals_the_backend() {
    for window in [None, Some(90)] {
        let case = Shape { window, ..case(8, 2, 1, 260, 32) };
        let [q, k, v] = case.inputs();
        let (row, output) = attention::single(q, Held::all(k, v), case.window, false, true);
        #[allow(irrefutable_let_patterns, reason = "there are scores in builds with kernels alone")]
        let Some(Row::Weights(rows)) = row else { panic!("no weights") };
        for (got, backend) in got(case).iter().zip([vec_of(rows), vec_of(output)]) {
            let off = got.iter().zip(&backend).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(got.len() == backend.len() && off < 2e-6, "off by {off}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let case = case(8, 4, 1, 2000, 32);
    let whole = got(case);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| got(case)), whole, "{threads} threads");
    }
}

/// A part of a longer cache, and heads beside one another in a token's numbers.
#[test]
fn reads_views_where_they_lie() {
    let case = case(4, 2, 1, 90, 16);
    let [q, k, v] = case.inputs();
    let longer = |x: Tensor<4>| {
        let more = || tensor(vec![f32::NAN; 2 * 7 * 16], [1, 2, 7, 16]);
        Tensor::cat(vec![more(), x, more()], 2).narrow(2, 7, case.keys)
    };
    let beside = tensor(vec_of(q), [1, 1, 4, 16]).swap_dims(1, 2);
    let (rows, output) = attend(&beside, &longer(k), &longer(v), None).unwrap();
    assert_eq!([vec_of(rows), vec_of(output)], got(case));
}

/// All values are 1: whatever the weights, so is the output, however many there are.
#[test]
fn many_small_shares_add_up() {
    const KEYS: usize = 1 << 15;
    let ones = |n: usize| tensor(vec![1.0; n * 16], [1, 1, n, 16]);
    let keys =
        tensor((0..KEYS * 16).map(|i| (i / 16 % 7) as f32 * 0.01).collect(), [1, 1, KEYS, 16]);
    let (rows, output) = attend(&ones(1), &keys, &ones(KEYS), None).unwrap();
    let sum: f64 = vec_of(rows).iter().map(|w| f64::from(*w)).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    assert!(vec_of(output).iter().all(|x| (x - 1.0).abs() < 5e-6));
}

#[test]
fn extreme_scores_stay_finite_and_damage_shows() {
    let signs = |of: &[f32]| tensor(of.iter().flat_map(|x| [*x; 4]).collect(), [1, 1, of.len(), 4]);
    let run = |keys: &[f32], values: &[f32]| {
        let (rows, output) = attend(&signs(&[2e3]), &signs(keys), &signs(values), None).unwrap();
        (vec_of(rows), vec_of(output))
    };
    assert_eq!(
        run(&[-250.0, 250.0, -250.0], &[1.0, 2.0, 3.0]),
        (vec![0.0, 1.0, 0.0], vec![2.0; 4])
    );
    let (rows, output) = run(&[-250.0, f32::NAN, -250.0], &[1.0, 2.0, 3.0]);
    assert!(rows.iter().chain(&output).any(|x| x.is_nan()));
    let (_, output) = run(&[0.5, 0.5, 0.25], &[1.0, f32::NAN, 3.0]);
    assert!(output.iter().any(|x| x.is_nan()));
}

#[test]
fn others_are_left_to_the_caller() {
    let two = tensor(vec![1.0; 8], [2, 1, 1, 4]);
    assert!(attend(&two, &two, &two, None).is_none());
    let [q, k, v] = case(2, 1, 4, 8, 16).inputs();
    assert!(attend(&q, &k, &v, None).is_none());
    let [q, k, v] = case(2, 1, 1, 8, 16).inputs().map(|x| x.cast(DType::F16));
    assert!(attend(&q, &k, &v, None).is_none());
}
