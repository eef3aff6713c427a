//! Matrix products and row-wise operations over slices, each with its derivative.

use rayon::prelude::*;

/// Rows per parallel task.
const ROWS: usize = 32;

/// A matrix in a slice: element `(i, j)` at `i * rows + j * columns`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix with `width` columns.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Self { data, row: width, column: 1 }
    }

    /// Its transpose.
    pub fn t(self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }

    fn covers(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row + (columns - 1) * self.column < self.data.len()
    }
}

/// `c (+)= a · b` with `c` row-major, `[m, n]`, and `k` the shared dimension.
pub fn matmul(c: &mut [f32], [m, k, n]: [usize; 3], a: Mat, b: Mat, add: bool, parallel: bool) {
    assert!(c.len() >= m * n && a.covers(m, k) && b.covers(k, n), "matrix shapes {m} {k} {n}");
    let parallelism = if parallel { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: the assertion above bounds every element that `gemm` touches; `c` is borrowed
    // mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `e^x` to about 2 ulp by range reduction and a polynomial; written so that it vectorises.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    let magic = 12_582_912.0f32;
    let shifted = x * std::f32::consts::LOG2_E + magic;
    let n = shifted - magic;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Compiles a function once for every processor and once for AVX-512, and chooses at run time:
/// the loops below are bound by how many lanes the compiler may use.
macro_rules! widest {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        pub fn $name($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,fma")]
                fn wide($($arg: $type),*) $(-> $out)? {
                    body($($arg),*)
                }
                let here = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("fma");
                if here {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

/// Lanes of the partial sums and maxima, which the strict order of float addition would forbid.
const LANES: usize = 16;

#[inline(always)]
fn lanes(values: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut all = [start; LANES];
    for chunk in chunks {
        for (a, v) in all.iter_mut().zip(chunk) {
            *a = f(*a, *v);
        }
    }
    let rest = rest.iter().fold(start, |a, v| f(a, *v));
    all.iter().fold(rest, |a, v| f(a, *v))
}

widest! {
    /// Replaces a row of scores by the softmax of `scale * row`; returns the log of the sum.
    pub fn softmax(row: &mut [f32], scale: f32) -> f32 {
        let top = scale * lanes(row, f32::MIN, |a, b| if a > b { a } else { b });
        for w in row.iter_mut() {
            *w = exp(*w * scale - top);
        }
        let sum = lanes(row, 0.0, |a, b| a + b);
        let inverse = 1.0 / sum;
        for w in row.iter_mut() {
            *w *= inverse;
        }
        top + sum.ln()
    }
}

widest! {
    /// Turns scores `p` back into weights, given the log of their sum, and their gradient `dp` into
    /// that of the scores, given `delta`, the product of weights and gradient.
    pub fn softmax_back(p: &mut [f32], dp: &mut [f32], scale: f32, log_sum: f32, delta: f32) {
        for (p, dp) in p.iter_mut().zip(dp) {
            *p = exp(*p * scale - log_sum);
            *dp = *p * (*dp - delta) * scale;
        }
    }
}

widest! {
    /// One row of [`swiglu`].
    pub fn swiglu_row(gate: &[f32], up: &[f32], act: &mut [f32]) {
        for ((act, gate), up) in act.iter_mut().zip(gate).zip(up) {
            *act = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

widest! {
    /// One row of [`swiglu_back`]; `dgate` holds the gradient of the output on entry.
    pub fn swiglu_row_back(gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        for (((dgate, dup), gate), up) in dgate.iter_mut().zip(dup).zip(gate).zip(up) {
            let (d, s) = (*dgate, 1.0 / (1.0 + exp(-gate)));
            *dup = d * gate * s;
            *dgate = d * up * s * (1.0 + gate * (1.0 - s));
        }
    }
}

widest! {
    /// `sum(a * b)`.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut all = [0f32; LANES];
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                all[i] += a[i] * b[i];
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        all.iter().sum::<f32>() + rest
    }
}

/// `h = x / rms(x) ⊙ w`, rows of length `w.len()`; `inverse` receives `1 / rms` per row.
pub fn rms_norm(x: &[f32], w: &[f32], eps: f32, h: &mut [f32], inverse: &mut [f32]) {
    let d = w.len();
    let rows = x.par_chunks(d * ROWS).zip(h.par_chunks_mut(d * ROWS));
    rows.zip(inverse.par_chunks_mut(ROWS)).for_each(|((x, h), inverse)| {
        for ((x, h), inverse) in x.chunks(d).zip(h.chunks_mut(d)).zip(inverse) {
            let mean = dot(x, x) / d as f32;
            *inverse = 1.0 / (mean + eps).sqrt();
            for ((h, x), w) in h.iter_mut().zip(x).zip(w) {
                *h = x * *inverse * w;
            }
        }
    });
}

/// Adds to `dx` and `dw` what `dh` sends back through [`rms_norm`].
pub fn rms_norm_back(
    x: &[f32],
    w: &[f32],
    inverse: &[f32],
    dh: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
) {
    let d = w.len();
    let rows = x.par_chunks(d * ROWS).zip(dh.par_chunks(d * ROWS));
    let rows = rows.zip(dx.par_chunks_mut(d * ROWS)).zip(inverse.par_chunks(ROWS));
    let parts: Vec<Vec<f32>> = rows
        .map(|(((x, dh), dx), inverse)| {
            let (mut dw, mut scaled) = (vec![0f32; d], vec![0f32; d]);
            let rows = x.chunks(d).zip(dh.chunks(d)).zip(dx.chunks_mut(d)).zip(inverse);
            for (((x, dh), dx), r) in rows {
                for i in 0..d {
                    scaled[i] = dh[i] * w[i];
                    dw[i] += dh[i] * x[i] * r;
                }
                let back = dot(&scaled, x) * r * r * r / d as f32;
                for i in 0..d {
                    dx[i] += scaled[i] * r - x[i] * back;
                }
            }
            dw
        })
        .collect();
    for part in parts {
        dw.iter_mut().zip(part).for_each(|(a, b)| *a += b);
    }
}

/// `act = silu(gate) ⊙ up` where a row of `gu` is `gate` then `up`, `f` numbers each.
pub fn swiglu(gu: &[f32], f: usize, act: &mut [f32]) {
    gu.par_chunks(2 * f * ROWS).zip(act.par_chunks_mut(f * ROWS)).for_each(|(gu, act)| {
        for (gu, act) in gu.chunks(2 * f).zip(act.chunks_mut(f)) {
            let (gate, up) = gu.split_at(f);
            swiglu_row(gate, up, act);
        }
    });
}

/// Writes to `dgu` what `dact` sends back through [`swiglu`].
pub fn swiglu_back(gu: &[f32], f: usize, dact: &[f32], dgu: &mut [f32]) {
    let rows = gu.par_chunks(2 * f * ROWS).zip(dact.par_chunks(f * ROWS));
    rows.zip(dgu.par_chunks_mut(2 * f * ROWS)).for_each(|((gu, dact), dgu)| {
        let rows = gu.chunks(2 * f).zip(dact.chunks(f)).zip(dgu.chunks_mut(2 * f));
        for ((gu, dact), dgu) in rows {
            let ((gate, up), (dgate, dup)) = (gu.split_at(f), dgu.split_at_mut(f));
            dgate.copy_from_slice(dact);
            swiglu_row_back(gate, up, dgate, dup);
        }
    });
}
