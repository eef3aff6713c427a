use super::*;

fn tensor<const D: usize>(numbers: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), shape), &Device::flex())
}

fn vec_of<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as().unwrap()
}

/// `n` numbers from -`most` to `most`, up and down.
fn numbers(n: usize, most: f32) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 1009) as f32 / 504.0 * most - most).collect()
}

#[test]
fn norm_by_hand() {
    // Row 1: mean square (9 + 16 + 0 + 0 + 0) / 5 = 5; with eps = 4 the root is 3.
    let x = tensor(&[3.0, -4.0, 0.0, 0.0, 0.0, 6.0, 6.0, 6.0, 6.0, 6.0], [2, 5]);
    let weight = tensor(&[1.0, 1.5, 2.0, 3.0, 1.0], [5]);
    let got = vec_of(rms_norm(&x, &weight, 4.0).unwrap());
    let second = 6.0 / 40f32.sqrt();
    let expected =
        [1.0, -2.0, 0.0, 0.0, 0.0, second, 1.5 * second, 2.0 * second, 3.0 * second, second];
    let off = got.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off < 1e-6, "{got:?}");
}

#[test]
fn norm_of_long_rows() {
    // More rows than one thread takes; a width that no register divides.
    let (rows, width) = (300, 333);
    let (x, weight) = (numbers(rows * width, 2.0), numbers(width, 1.0));
    let got =
        vec_of(rms_norm(&tensor(&x, [1, rows, width]), &tensor(&weight, [width]), 1e-5).unwrap());
    for (x, got) in x.chunks(width).zip(got.chunks(width)) {
        let square = |x: &f32| f64::from(*x).powi(2);
        let root = (x.iter().map(square).sum::<f64>() / width as f64 + 1e-5).sqrt();
        for ((x, weight), got) in x.iter().zip(&weight).zip(got) {
            let expected = f64::from(*x) / root * f64::from(*weight);
            assert!((f64::from(*got) - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn gate_is_silu_times_up() {
    let (rows, width) = (70, 301);
    let mut gate = numbers(rows * width, 30.0);
    gate[..6].copy_from_slice(&[0.0, -0.0, 100.0, -100.0, 1e30, -1e30]);
    let up = numbers(rows * width, 3.0);
    let got = vec_of(gated(&tensor(&gate, [rows, width]), &tensor(&up, [rows, width])).unwrap());
    for ((gate, up), got) in gate.iter().zip(&up).zip(&got) {
        let x = f64::from(*gate);
        let expected = x / (1.0 + (-x).exp()) * f64::from(*up);
        let off = (f64::from(*got) - expected).abs() / expected.abs().max(1e-3);
        assert!(off < 1e-6, "{gate} {up}: {got}, expected {expected}");
    }
}

#[test]
fn damage_shows() {
    let row = [f32::NAN, 1.0, 1.0];
    let x = tensor(&row, [1, 3]);
    assert!(vec_of(rms_norm(&x, &tensor(&[1.0; 3], [3]), 1e-5).unwrap())[2].is_nan());
    assert!(vec_of(gated(&x, &tensor(&[1.0; 3], [1, 3])).unwrap())[0].is_nan());
    assert!(vec_of(gated(&tensor(&[1.0; 3], [1, 3]), &x).unwrap())[0].is_nan());
}

#[test]
fn a_quarter_turn() {
    // Two heads of two tokens, D = 4: token 0 stays, token 1 turns by 90 degrees: (a, b) -> (-b,
    // a). The heads lie side by side in each token's numbers, as they come from a projection.
    let of_tokens = tensor(&numbers(16, 1.0), [1, 2, 2, 4]);
    let x = of_tokens.swap_dims(1, 2);
    let (cos, sin) =
        (tensor(&[1.0, 1.0, 0.0, 0.0], [1, 1, 2, 2]), tensor(&[0.0, 0.0, 1.0, 1.0], [1, 1, 2, 2]));
    let (got, before) = (vec_of(rotated(&x, &cos, &sin).unwrap()), vec_of(x));
    for head in 0..2 {
        let rows = head * 8..head * 8 + 8;
        let (got, before) = (&got[rows.clone()], &before[rows]);
        assert_eq!(got[..4], before[..4]);
        assert_eq!(got[4..], [-before[6], -before[7], before[4], before[5]]);
    }
}

#[test]
fn others_are_left_to_the_caller() {
    let x = tensor(&[1.0; 4], [2, 2]);
    assert!(gated(&x.clone().cast(DType::F16), &x).is_none());
    // A batch has angles for each of its sequences.
    let [x, angles] = [tensor(&[1.0; 8], [2, 1, 2, 2]), tensor(&[1.0; 4], [2, 1, 2, 1])];
    assert!(rotated(&x, &angles, &angles).is_none());
}
