//! The arithmetic of the reference code, which is Python's and NumPy's.

use std::ops::Add;

/// `a // b` of two Python floats, for `a` not negative and `b` above 0: the quotient without the
/// remainder, rounded down. `(a / b).floor()` differs where `a / b` is rounded up to a whole
/// number: 2040 // 1.02 is 1999, not 2000.
pub fn floor_div(a: f64, b: f64) -> f64 {
    let quotient = (a - a % b) / b;
    let floor = quotient.floor();
    // The subtraction may have rounded to just below a whole number.
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

/// The sum in NumPy's order: halves, and in each block of up to 128 numbers eight sums side by
/// side. In `f32` the order decides the last bits.
pub fn pairwise_sum<T: Copy + Default + Add<Output = T>>(values: &[T]) -> T {
    const BLOCK: usize = 128;
    const SUMS: usize = 8;
    let n = values.len();
    if n < SUMS {
        return values.iter().fold(T::default(), |sum, v| sum + *v);
    }
    if n > BLOCK {
        let half = n / 2 - n / 2 % SUMS;
        return pairwise_sum(&values[..half]) + pairwise_sum(&values[half..]);
    }
    let blocks = values.chunks_exact(SUMS);
    let rest = blocks.remainder();
    let mut sums = [T::default(); SUMS];
    for block in blocks {
        for (sum, v) in sums.iter_mut().zip(block) {
            *sum = *sum + *v;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, v| sum + *v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_division_is_pythons() {
        // 2000 * 1.02 = 2040 in decimals, but 1.02 as a float is a little more: it fits 1999 times.
        assert_eq!(floor_div(2040.0, 1.02), 1999.0);
        assert_eq!((2040.0f64 / 1.02).floor(), 2000.0);
        // 119 * 1.005 = 119.595 <= 120 < 120.6.
        assert_eq!(floor_div(120.0, 1.005), 119.0);
        assert_eq!(floor_div(120.0, 1.5), 80.0);
        assert_eq!(floor_div(0.0, 1.5), 0.0);
        assert_eq!(floor_div(1.0, 1e300), 0.0);
    }

    #[test]
    fn the_order_of_a_sum_is_numpys() {
        // Eight sums side by side: 2^24 and 1 never meet before the eights are added up, so that
        // 16 ones that follow (two per sum) are not lost; one after the other they would be.
        let mut values = vec![1.0f32; 24];
        values[0] = 16_777_216.0;
        let one_by_one: f32 = values.iter().sum();
        assert_eq!(one_by_one, 16_777_216.0);
        // Sum 0: 2^24 + 1 + 1 = 2^24; the others 3 each: (2^24 + 3) -> 2^24 + 4 (tie to even),
        // + (3 + 3) = 2^24 + 10, + 12 = 2^24 + 22.
        assert_eq!(pairwise_sum(&values), 16_777_238.0);
        assert_eq!(pairwise_sum(&[1u32; 1000]), 1000);
        assert_eq!(pairwise_sum::<f32>(&[]), 0.0);
    }
}
