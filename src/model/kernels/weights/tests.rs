use super::*;
use crate::model::Compute;
use crate::model::kernels::prompt;

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const DIM: usize = 24;

/// Numbers that are exact in all types.
fn numbers(n: usize, step: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * step + 5) % 23) as f32 / 8.0 - 1.25).collect()
}

/// Weights of the newest `queries` of `tokens`, by the formula in f64: `[H, n, t]`.
fn by_hand(
    query: &[f32],
    keys: &[f32],
    queries: usize,
    tokens: usize,
    capacity: usize,
    window: usize,
) -> Vec<f64> {
    let mut all = Vec::new();
    for h in 0..HEADS {
        for q in 0..queries {
            let query = &query[(h * queries + q) * DIM..][..DIM];
            let position = tokens - queries + q;
            let exponential = |t: usize| {
                let key = &keys[(h / (HEADS / KV_HEADS) * capacity + t) * DIM..][..DIM];
                let product: f64 =
                    query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let seen = t <= position && t + window > position;
                if seen { (product / (DIM as f64).sqrt()).exp() } else { 0.0 }
            };
            let row: Vec<f64> = (0..tokens).map(exponential).collect();
            let total: f64 = row.iter().sum();
            all.extend(row.iter().map(|e| e / total));
        }
    }
    all
}

/// Rows, and sums of all queries but the first few, added to what was there; across the borders of
/// tiles, with windows, keys behind the prompt that are no numbers, in every type there is.
#[test]
fn kernel_rows_and_sums_equal_the_formula() {
    let Some(compute) = Compute::of_kernels() else { return };
    let types = [(DType::F32, 2e-6), (DType::F16, 2e-6), (DType::BF16, 2e-6)];
    for (dtype, most) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t)) {
        for (queries, tokens, window, skip) in [
            (1, 1, None, 0),
            (1, 130, None, 0),
            (5, 64, Some(3), 2),
            (33, 65, None, 32),
            (70, 200, None, 0),
            (70, 200, Some(50), 37),
            (100, 100, Some(64), 99),
        ] {
            let capacity = tokens + 3;
            let query = numbers(HEADS * queries * DIM, 7);
            let mut keys = numbers(KV_HEADS * capacity * DIM, 11);
            for head in keys.chunks_mut(capacity * DIM) {
                head[tokens * DIM..].fill(f32::NAN);
            }
            let seen = window.unwrap_or(tokens).min(tokens);
            let want = by_hand(&query, &keys, queries, tokens, capacity, seen);
            let tensor = |numbers: Vec<f32>, shape: [usize; 4]| {
                Tensor::<4>::from_data(TensorData::new(numbers, shape), (&compute.device, dtype))
            };
            let query = tensor(query, [1, HEADS, queries, DIM]);
            let keys = tensor(keys, [1, KV_HEADS, capacity, DIM]);
            let (_, totals) =
                prompt::attend(query.clone(), keys.clone(), keys.clone(), tokens, window);
            let of = Queries { query, keys, totals, tokens, window };
            let about = format!("{dtype:?}: {queries} of {tokens}, window {window:?}, skip {skip}");

            let rows: Vec<f32> = of.clone().rows().try_into_vec_as().unwrap();
            assert_eq!(rows.len(), want.len());
            for (i, (got, want)) in rows.iter().zip(&want).enumerate() {
                assert!((f64::from(*got) - want).abs() <= most, "{about}: {i}: {got} {want}");
            }

            let room = tokens + 2;
            let before = Tensor::full([HEADS, room], 0.5, (&compute.device, DType::F32));
            let sums: Vec<f32> = of.added_to(before, skip).try_into_vec_as().unwrap();
            assert_eq!(sums.len(), HEADS * room);
            for (i, got) in sums.iter().enumerate() {
                let (h, t) = (i / room, i % room);
                let weight = |q: usize| want[(h * queries + q) * tokens + t];
                let sum: f64 = if t < tokens { (skip..queries).map(weight).sum() } else { 0.0 };
                let off = (f64::from(*got) - 0.5 - sum).abs();
                assert!(off <= 10.0 * most, "{about}: {h}, {t}: {got} {sum}");
            }
        }
    }
}
