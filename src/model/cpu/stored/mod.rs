//! Weights in the type that they were saved in.
//!
//! Most checkpoints are saved in bf16. Widened to f32 they are the same numbers in twice the
//! memory, and what reads them all, as a step of answers does, takes twice the time; so they are
//! widened where they are multiplied, some at a time. Products of few rows and those on the tile
//! unit are the same to the bit.

#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use std::any::TypeId;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::prelude::*;
use burn::tensor::DType;
use half::{bf16, f16};
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{RowsView, held, lies_in_rows, rows};

/// Numbers that a thread widens at a time.
const PIECE: usize = 1 << 16;
/// Numbers of f32 in the largest registers that there are.
const MOST_LANES: usize = 16;

/// A type that weights are saved in.
pub(super) trait Stored: Copy + Send + Sync + 'static {
    /// The number in f32.
    fn wide(self) -> f32;

    /// The first [`Simd::F32_LANES`] of `numbers`, in f32.
    fn load<S: Simd>(simd: S, numbers: &[Self]) -> S::f32s;
}

impl Stored for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn load<S: Simd>(_: S, numbers: &[f32]) -> S::f32s {
        S::as_simd_f32s(&numbers[..S::F32_LANES]).0[0]
    }
}

impl Stored for f16 {
    /// Without a jump, as several become one of vectors: exponents are larger by 112 in f32, and
    /// those of infinity and NaN by 112 more.
    #[inline(always)]
    fn wide(self) -> f32 {
        let bits = u32::from(self.to_bits());
        let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
        let scaled = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
        let special = if rest < 0x7c00 { 0 } else { 112 << 23 };
        f32::from_bits(sign | (scaled.to_bits() + special))
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, numbers: &[f16]) -> S::f32s {
        let numbers = &numbers[..S::F32_LANES];
        #[cfg(target_arch = "x86_64")]
        if TypeId::of::<S>() == TypeId::of::<V4>() {
            // SAFETY: a V4 is proof of AVX-512, and the slice is as long as its registers.
            return unsafe { x86::f32s_of_f16(numbers.as_ptr()) };
        }
        #[cfg(target_arch = "x86_64")]
        if TypeId::of::<S>() == TypeId::of::<V3>() {
            // SAFETY: the same of AVX2.
            return unsafe { x86::eight_f32s_of_f16(numbers.as_ptr()) };
        }
        lanes(simd, numbers)
    }
}

impl Stored for bf16 {
    /// The upper half of a number of f32 is one of bf16; NaN stays what it is, too.
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, numbers: &[bf16]) -> S::f32s {
        let numbers = &numbers[..S::F32_LANES];
        #[cfg(target_arch = "x86_64")]
        if TypeId::of::<S>() == TypeId::of::<V4>() {
            // SAFETY: as above.
            return unsafe { x86::f32s_of_bf16(numbers.as_ptr()) };
        }
        lanes(simd, numbers)
    }
}

/// A register of as many numbers.
#[inline(always)]
fn lanes<S: Simd, T: Stored>(_: S, numbers: &[T]) -> S::f32s {
    let mut lanes = [0.0; MOST_LANES];
    lanes.iter_mut().zip(numbers).for_each(|(to, x)| *to = x.wide());
    S::as_simd_f32s(&lanes).0[0]
}

/// What no compiler finds by itself.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use half::{bf16, f16};

    /// 16 numbers at `from`.
    ///
    /// # Safety
    /// They must be there, the processor have AVX-512, and `R` be 64 bytes of any bits.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn f32s_of_f16<R: Copy>(from: *const f16) -> R {
        // SAFETY: as the caller says.
        unsafe {
            let wide = _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()));
            std::mem::transmute_copy(&wide)
        }
    }

    /// 8 numbers at `from`; by hand, as the instruction for it is not one of those that all
    /// processors with AVX2 have. What is below the least exponent is a number of the least steps,
    /// 2^-24.
    ///
    /// # Safety
    /// They must be there, the processor have AVX2, and `R` be 32 bytes of any bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub unsafe fn eight_f32s_of_f16<R: Copy>(from: *const f16) -> R {
        // SAFETY: as the caller says.
        let bits = unsafe { _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())) };
        let sign = _mm256_slli_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x8000)), 16);
        let rest = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff));
        let bias = _mm256_set1_epi32(112 << 23);
        let special = _mm256_cmpgt_epi32(rest, _mm256_set1_epi32(0x7bff));
        let bias = _mm256_add_epi32(bias, _mm256_and_si256(special, bias));
        let normal = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(rest, 13), bias));
        let step = _mm256_castsi256_ps(_mm256_set1_epi32((127 - 24) << 23));
        let steps = _mm256_mul_ps(_mm256_cvtepi32_ps(rest), step);
        let small = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(0x0400), rest));
        let wide = _mm256_blendv_ps(normal, steps, small);
        let wide = _mm256_or_ps(wide, _mm256_castsi256_ps(sign));
        // SAFETY: `R` is 32 bytes of any bits, as the caller says.
        unsafe { std::mem::transmute_copy(&wide) }
    }

    /// As [`f32s_of_f16`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn f32s_of_bf16<R: Copy>(from: *const bf16) -> R {
        // SAFETY: as the caller says.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            std::mem::transmute_copy(&_mm512_slli_epi32(bits, 16))
        }
    }
}

/// A weight, `[K, N]`, that can be read where it lies, row by row.
pub(super) struct Weight(FloatTensor<Flex>);

/// Its rows.
pub(super) enum Numbers<'a> {
    F32(RowsView<'a, f32>),
    F16(RowsView<'a, f16>),
    Bf16(RowsView<'a, bf16>),
}

/// `$body` with `$w`, the rows of `$numbers`, whatever their type.
macro_rules! of_any_type {
    ($numbers:expr, $w:ident => $body:expr) => {
        match $numbers {
            $crate::model::cpu::stored::Numbers::F32($w) => $body,
            $crate::model::cpu::stored::Numbers::F16($w) => $body,
            $crate::model::cpu::stored::Numbers::Bf16($w) => $body,
        }
    };
}
pub(super) use of_any_type;

impl Weight {
    /// None if `tensor` is not in host memory, of none of these types, watched for a gradient, or
    /// would have to be copied.
    pub fn new(tensor: &Tensor<2>) -> Option<Self> {
        let stored = matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16);
        stored.then(|| held(tensor)).flatten().filter(lies_in_rows).map(Self)
    }

    pub fn numbers(&self) -> Numbers<'_> {
        let tensor = &self.0;
        match tensor.dtype() {
            DType::F16 => Numbers::F16(rows(tensor, tensor.storage(), &[])),
            DType::BF16 => Numbers::Bf16(rows(tensor, tensor.storage(), &[])),
            _ => Numbers::F32(rows(tensor, tensor.storage(), &[])),
        }
    }
}

/// `w` in the type `dtype`, for products that know no other.
pub fn widened(w: &Tensor<2>, dtype: DType) -> Tensor<2> {
    let by_library = || w.clone().cast(dtype);
    if w.dtype() == dtype || dtype != DType::F32 {
        return by_library();
    }
    let Some(weight) = Weight::new(w) else { return by_library() };
    let [inner, columns] = w.dims();
    let numbers = of_any_type!(weight.numbers(), w => all(w, inner, columns));
    Tensor::from_data(TensorData::new(numbers, [inner, columns]), (&w.device(), DType::F32))
}

/// `[K, N]` numbers, on all threads.
fn all<T: Stored>(w: RowsView<T>, inner: usize, columns: usize) -> Vec<f32> {
    let mut all = vec![0.0; inner * columns];
    let rows_at_once = PIECE.div_ceil(columns.max(1));
    all.par_chunks_mut((rows_at_once * columns).max(1)).enumerate().for_each(|(piece, out)| {
        Arch::new().dispatch(Widen { w: w.from(piece * rows_at_once), columns, out });
    });
    all
}

/// Writes the first `columns` numbers of rows to `out`, `[.., columns]`, in f32.
pub(super) struct Widen<'a, T> {
    pub w: RowsView<'a, T>,
    pub columns: usize,
    pub out: &'a mut [f32],
}

impl<T: Stored> WithSimd for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, out) in self.out.chunks_exact_mut(self.columns).enumerate() {
            let numbers = &self.w.row(i)[..self.columns];
            let (out, rest) = S::as_mut_simd_f32s(out);
            let (whole, rest_of_numbers) = numbers.split_at(out.len() * S::F32_LANES);
            for (to, numbers) in out.iter_mut().zip(whole.chunks_exact(S::F32_LANES)) {
                *to = T::load(simd, numbers);
            }
            rest.iter_mut().zip(rest_of_numbers).for_each(|(to, x)| *to = x.wide());
        }
    }
}
