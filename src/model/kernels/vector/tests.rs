use super::*;
use crate::model::Compute;
use burn::tensor::DType;

fn number(i: usize) -> f32 {
    ((i * 29 + 7) % 31) as f32 / 16.0 - 0.9375
}

/// `x · w` in f64, row by row.
fn by_hand(x: &[f32], w: &[f32], [input, out]: [usize; 2]) -> Vec<f64> {
    let entry = |x: &[f32], o: usize| -> f64 {
        x.iter().enumerate().map(|(i, x)| f64::from(*x) * f64::from(w[i * out + o])).sum()
    };
    x.chunks(input).flat_map(|x| (0..out).map(move |o| entry(x, o))).collect()
}

fn check(got: Tensor<2>, want: &[f64], within: f64, about: &str) {
    let got: Vec<f32> = got.cast(DType::F32).try_into_vec_as().unwrap();
    assert_eq!(got.len(), want.len(), "{about}");
    for (got, want) in got.iter().zip(want) {
        let off = (f64::from(*got) - want).abs();
        assert!(off <= within * want.abs().max(1.0), "{about}: {got} {want}");
    }
}

/// Fewer inputs than units share and more, fewer columns than a cube has and more; numbers are
/// exact in all types.
#[test]
fn kernel_products_of_a_few_rows_equal_the_formula() {
    let Some(compute) = Compute::of_kernels() else { return };
    let types = [(DType::F32, 1e-5), (DType::F16, 1e-3), (DType::BF16, 8e-3)];
    for (dtype, within) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t)) {
        for (rows, input, outs) in [
            (1, 1, [8, 16, 8]),
            (2, 30, [40, 8, 24]),
            (1, 64, [32, 32, 32]),
            (1, 777, [136, 64, 72]),
            (8, 300, [64, 16, 8]),
        ] {
            let about = format!("{dtype:?}, {rows} x {input} to {outs:?}");
            let x: Vec<f32> = (0..rows * input).map(number).collect();
            let weight = |out: usize| -> Vec<f32> {
                (0..input * out).map(|i| number(i * 3 + out)).collect()
            };
            let there = |numbers: &[f32], shape: [usize; 2]| {
                let data = TensorData::new(numbers.to_vec(), shape);
                Tensor::<2>::from_data(data, (&compute.device, dtype))
            };
            let row = there(&x, [rows, input]);
            let weights = outs.map(weight);
            let tensors: [Tensor<2>; 3] =
                std::array::from_fn(|i| there(&weights[i], [input, outs[i]]));
            assert!(suits(&row, tensors.each_ref()));
            let wanted: [Vec<f64>; 3] =
                std::array::from_fn(|i| by_hand(&x, &weights[i], [input, outs[i]]));
            let three = products(row.clone(), tensors.clone());
            for (got, want) in three.into_iter().zip(&wanted) {
                check(got, want, within, &about);
            }
            let [a, _, _] = &tensors;
            check(product(row.clone(), a.clone(), None), &wanted[0], within, &about);
            let add: Vec<f32> = (0..rows * outs[0]).map(|i| number(i * 5)).collect();
            let sum: Vec<f64> =
                wanted[0].iter().zip(&add).map(|(y, add)| y + f64::from(*add)).collect();
            let added = product(row.clone(), a.clone(), Some(there(&add, [rows, outs[0]])));
            check(added, &sum, within, &about);
            let up = weight(outs[0] + 1).into_iter().take(input * outs[0]).collect::<Vec<_>>();
            let up = (there(&up, [input, outs[0]]), by_hand(&x, &up, [input, outs[0]]));
            let silu = |gate: f64| gate / (1.0 + (-gate).exp());
            let want: Vec<f64> =
                wanted[0].iter().zip(&up.1).map(|(gate, up)| silu(*gate) * up).collect();
            check(gated(row, a.clone(), up.0), &want, within, &about);
        }
    }
}

#[test]
fn kernel_products_take_no_weight_whose_rows_are_no_whole_loads() {
    let Some(compute) = Compute::of_kernels() else { return };
    let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, (&compute.device, DType::F32));
    assert!(suits(&zeros([1, 3]), [&zeros([3, 4])]));
    assert!(!suits(&zeros([1, 3]), [&zeros([3, 6])]));
    assert!(!suits(&zeros([9, 3]), [&zeros([3, 4])]));
    assert!(!suits(&Tensor::zeros([1, 3], &Device::flex()), [&zeros([3, 4])]));
}

#[test]
fn kernel_products_with_rows_equal_the_formula() {
    let Some(compute) = Compute::of_kernels() else { return };
    let types = [(DType::F32, 1e-5), (DType::F16, 1e-3), (DType::BF16, 8e-3)];
    for (dtype, within) in types.into_iter().filter(|(t, _)| compute.device.supports_dtype(*t)) {
        for [rows, input, out] in [[1, 8, 1], [1, 64, 50], [3, 776, 17], [8, 264, 64]] {
            let x: Vec<f32> = (0..rows * input).map(number).collect();
            let e: Vec<f32> = (0..out * input).map(|i| number(i * 3 + 1)).collect();
            let there = |numbers: &[f32], shape: [usize; 2]| {
                let data = TensorData::new(numbers.to_vec(), shape);
                Tensor::<2>::from_data(data, (&compute.device, dtype))
            };
            let (x_there, e_there) = (there(&x, [rows, input]), there(&e, [out, input]));
            assert!(suits_transposed(&x_there, &e_there));
            let product = |x: &[f32], e: &[f32]| -> f64 {
                x.iter().zip(e).map(|(x, e)| f64::from(*x) * f64::from(*e)).sum()
            };
            let want: Vec<f64> =
                x.chunks(input).flat_map(|x| e.chunks(input).map(move |e| product(x, e))).collect();
            let about = format!("{dtype:?}, {rows} x {input} x {out}");
            check(transposed(x_there, e_there), &want, within, &about);
        }
    }
    let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, (&compute.device, DType::F32));
    assert!(!suits_transposed(&zeros([9, 8]), &zeros([4, 8])));
    assert!(!suits_transposed(&zeros([1, 6]), &zeros([4, 6])));
}
