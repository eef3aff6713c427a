//! Code vectors: one unit vector per token id, no two of them alike.
//!
//! Integer draws, sums, divisions and square roots only, all of which IEEE 754 rounds in one way:
//! the same seed gives the same bits on every platform and with every version of this program.

use super::{BLOCK, VOCAB};

/// The largest cosine between the codes of two tokens. A position that shares one of two tokens
/// with what is looked for then scores at most 1.5 against 2.
pub(super) const MAX_COSINE: f64 = 0.5;

/// A code, in f64 until it is stored.
type Code = [f64; BLOCK];

/// One unit vector per id, `[VOCAB][BLOCK]`, with cosines of at most [`MAX_COSINE`].
pub(super) fn codes(seed: u64) -> Vec<[f32; BLOCK]> {
    let mut random = SplitMix64(seed);
    let mut codes: Vec<Code> = Vec::with_capacity(VOCAB);
    while codes.len() < VOCAB {
        // 600 directions this far apart fill little of 32 dimensions: at the end one draw in three
        // is still accepted.
        let code = direction(&mut random);
        if codes.iter().all(|other| dot(other, &code) <= MAX_COSINE) {
            codes.push(code);
        }
    }
    codes.iter().map(|code| code.map(|x| x as f32)).collect()
}

/// A unit vector in a random direction.
fn direction(random: &mut SplitMix64) -> Code {
    let code: Code = std::array::from_fn(|_| random.bell());
    let norm = dot(&code, &code).sqrt();
    code.map(|x| x / norm)
}

fn dot(a: &Code, b: &Code) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next 64 random bits.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number from 0 to `n - 1`; for `n` far below 2^64 as good as uniform.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next_u64() % n as u64) as usize
    }

    /// The sum of four uniform numbers around 0: nearly a normal distribution, so that
    /// [`direction`] prefers none, without the logarithm that platforms round differently.
    fn bell(&mut self) -> f64 {
        let bits = self.next_u64();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        // The mean of a 16-bit draw is 65535 / 2.
        sum as f64 - 131_070.0
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The published first outputs for the seed 1234567.
    #[test]
    fn splitmix64_is_splitmix64() {
        let mut random = SplitMix64(1_234_567);
        let got: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        assert_eq!(
            got,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn codes_are_unit_vectors_and_no_two_alike() {
        for seed in [0, 7] {
            let codes: Vec<Code> = codes(seed).iter().map(|code| code.map(f64::from)).collect();
            assert_eq!(codes.len(), VOCAB);
            let mut largest: f64 = -1.0;
            for (i, code) in codes.iter().enumerate() {
                assert!((dot(code, code) - 1.0).abs() < 1e-6, "{i}");
                for other in &codes[..i] {
                    largest = largest.max(dot(code, other));
                }
            }
            assert!(largest <= MAX_COSINE + 1e-6, "{largest}");
        }
        assert_ne!(codes(0)[0], codes(7)[0]);
    }

    /// The bits themselves, so that a planted checkpoint stays what it was.
    #[test]
    fn codes_are_the_same_everywhere() {
        let mut hash = Sha256::new();
        codes(0).iter().flatten().for_each(|x| hash.update(x.to_le_bytes()));
        let hash: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, "7607d6d1761c9cef");
    }
}
