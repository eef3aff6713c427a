//! The reduction of one attention row to [`HeadStats`], on the host: the definition.
//!
//! Implementations on a device are tested against [`head_stats`].

use std::ops::Range;

use super::HeadStats;
use crate::error::{Error, Result};

/// The needle's token positions, built once per prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct NeedleMask {
    spans: Vec<Range<usize>>,
    /// `inside[i - start]`, from the first needle position to the last.
    inside: Vec<bool>,
    start: usize,
    tokens: usize,
}

impl NeedleMask {
    /// Takes the needle's spans: ascending, not overlapping (empty ones are dropped).
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no position in them, or if they are not in order.
    pub fn new(spans: &[Range<usize>]) -> Result<Self> {
        let spans: Vec<Range<usize>> = spans.iter().filter(|s| !s.is_empty()).cloned().collect();
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return Err(Error::bug("the needle has no tokens"));
        };
        if let Some(pair) = spans.windows(2).find(|pair| pair[0].end > pair[1].start) {
            return Err(Error::bug("the spans of the needle overlap or are not in order")
                .got(format!("{:?} before {:?}", pair[0], pair[1])));
        }
        let start = first.start;
        let mut inside = vec![false; last.end - start];
        for span in &spans {
            inside[span.start - start..span.end - start].fill(true);
        }
        let tokens = spans.iter().map(|span| span.len()).sum();
        Ok(Self { spans, inside, start, tokens })
    }

    /// Whether `position` belongs to the needle. O(1); false anywhere outside the spans.
    pub fn contains(&self, position: usize) -> bool {
        position
            .checked_sub(self.start)
            .and_then(|offset| self.inside.get(offset).copied())
            .unwrap_or(false)
    }

    /// Number of needle tokens, `n`, at least 1.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// One past the last needle position.
    pub fn end(&self) -> usize {
        self.start + self.inside.len()
    }

    /// The spans that are not empty, ascending.
    pub fn spans(&self) -> &[Range<usize>] {
        &self.spans
    }
}

/// Reduces one attention row, `[N]`, of one head.
///
/// `Top_k` and `Top_n` are exact: larger weight first, then lower position; both are cut to the
/// row's length. Sums are accumulated in `f64`. One pass over the row, O(N) whatever its order.
///
/// # Errors
/// [`Error::Model`] if a weight is NaN or infinite (the caller knows which layer and head),
/// [`Error::Bug`] if the row does not reach the needle's end or if `top_k` is 0.
pub fn head_stats(row: &[f32], needle: &NeedleMask, top_k: usize) -> Result<HeadStats> {
    if row.len() < needle.end() || row.len() > u32::MAX as usize {
        return Err(Error::bug("an attention row does not cover the needle")
            .got(format!("{} keys", row.len()))
            .expected(format!("at least {} and less than 2^32", needle.end())));
    }
    if top_k == 0 {
        return Err(Error::bug("top_k is 0").expected("at least 1"));
    }
    let top = largest(row, top_k.max(needle.tokens()))?;
    let mut stats = HeadStats { argmax: top[0], ..HeadStats::default() };
    let (mut top_k_mass, mut top_k_needle_mass, mut top_n_needle_mass) = (0.0, 0.0, 0.0);
    for (rank, &position) in top.iter().enumerate() {
        let weight = f64::from(row[position as usize]);
        let in_needle = needle.contains(position as usize);
        if rank < top_k {
            top_k_mass += weight;
            if in_needle {
                stats.top_k_in_needle += 1;
                top_k_needle_mass += weight;
            }
        }
        if rank < needle.tokens() && in_needle {
            top_n_needle_mass += weight;
        }
    }
    let needle_mass: f64 =
        needle.spans().iter().flat_map(|span| &row[span.clone()]).map(|&w| f64::from(w)).sum();
    stats.top_k_mass = top_k_mass as f32;
    stats.top_k_needle_mass = top_k_needle_mass as f32;
    stats.top_n_needle_mass = top_n_needle_mass as f32;
    stats.needle_mass = needle_mass as f32;
    Ok(stats)
}

/// How many weights are compared with the threshold before anything else is done. A power of two
/// large enough to make one branch cheap and small enough to be skipped almost always.
const BLOCK: usize = 64;

/// Positions of the `count` largest values of `row` (all of them if there are fewer), largest
/// first, equal values by position. `row` is not empty and shorter than 2^32.
///
/// Candidates above the `count`-th largest value seen so far go to a buffer; when it has grown to
/// twice `count`, a selection cuts it back and raises the threshold. Each selection costs O(count)
/// and is paid for by `count` insertions, so the whole is O(N).
fn largest(row: &[f32], count: usize) -> Result<Vec<u32>> {
    let count = count.min(row.len());
    let capacity = 2 * count + BLOCK;
    let mut buffer: Vec<u64> = Vec::with_capacity(capacity + BLOCK);
    let mut threshold = f32::NEG_INFINITY;
    for (block_index, block) in row.chunks(BLOCK).enumerate() {
        // Written so that NaN counts as a hit: the fast path then needs no test of its own.
        let hits = block.iter().fold(false, |any, &v| any | above(v, threshold));
        if !hits {
            continue;
        }
        for (offset, &value) in block.iter().enumerate() {
            // A later value that only equals the threshold loses the tie.
            if !above(value, threshold) {
                continue;
            }
            if !value.is_finite() {
                return Err(not_finite());
            }
            buffer.push(sort_key(value, (block_index * BLOCK + offset) as u32));
        }
        if buffer.len() >= capacity {
            buffer.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
            threshold = row[position(buffer[count - 1]) as usize];
            buffer.truncate(count);
        }
    }
    if buffer.len() < count {
        // Only -infinity is not above the first threshold.
        return Err(not_finite());
    }
    buffer.sort_unstable_by(|a, b| b.cmp(a));
    buffer.truncate(count);
    Ok(buffer.into_iter().map(position).collect())
}

/// `value > threshold`, true for NaN.
#[inline]
fn above(value: f32, threshold: f32) -> bool {
    !matches!(
        value.partial_cmp(&threshold),
        Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
    )
}

fn not_finite() -> Error {
    Error::model("an attention weight is not a finite number (NaN weights)")
        .expected("finite weights")
        .advice("check the checkpoint with `headprof verify`")
}

/// Orders by value, then by lower position: the bits of a float, made monotone, above the
/// complement of the position.
#[inline]
fn sort_key(value: f32, position: u32) -> u64 {
    // -0.0 + 0.0 = 0.0: the two zeros are equal weights.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(!position)
}

#[inline]
fn position(sort_key: u64) -> u32 {
    !(sort_key as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by a full sort.
    fn largest_by_sorting(row: &[f32], count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|&a, &b| {
            row[b as usize].partial_cmp(&row[a as usize]).unwrap().then(a.cmp(&b))
        });
        order.truncate(count);
        order
    }

    #[test]
    fn a_row_by_hand() {
        // position     0     1     2     3     4     5
        let row = [0.50, 0.05, 0.20, 0.10, 0.05, 0.10];
        // Needle {2, 3, 4}, n = 3. Top_2 = {0, 2}; Top_3 = {0, 2, 3}: 3 and 5 tie, 3 is lower.
        let needle = NeedleMask::new(&[2..5]).unwrap();
        let stats = head_stats(&row, &needle, 2).unwrap();
        let expected = HeadStats {
            argmax: 0,
            top_k_in_needle: 1,
            top_k_mass: 0.7,
            top_k_needle_mass: 0.2,
            top_n_needle_mass: 0.3,
            needle_mass: 0.35,
        };
        assert_eq!(stats.argmax, expected.argmax);
        assert_eq!(stats.top_k_in_needle, expected.top_k_in_needle);
        for (got, want) in [
            (stats.top_k_mass, expected.top_k_mass),
            (stats.top_k_needle_mass, expected.top_k_needle_mass),
            (stats.top_n_needle_mass, expected.top_n_needle_mass),
            (stats.needle_mass, expected.needle_mass),
        ] {
            assert!((got - want).abs() < 1e-7, "{stats:?}");
        }
    }

    #[test]
    fn several_spans_are_one_needle() {
        let needle = NeedleMask::new(&[1..2, 3..3, 4..6]).unwrap();
        assert_eq!(needle.tokens(), 3);
        assert_eq!(needle.end(), 6);
        let inside: Vec<usize> = (0..8).filter(|&i| needle.contains(i)).collect();
        assert_eq!(inside, [1, 4, 5]);
        // Top_3 of a falling row is {0, 1, 2}; only position 1 is in the needle.
        let row = [0.3, 0.25, 0.2, 0.1, 0.1, 0.05];
        let stats = head_stats(&row, &needle, 1).unwrap();
        assert_eq!(stats.top_n_needle_mass, 0.25);
        assert!((stats.needle_mass - 0.4).abs() < 1e-7);
        assert_eq!(stats.top_k_in_needle, 0);
    }

    #[test]
    fn k_beyond_the_row_takes_the_whole_row() {
        let needle = NeedleMask::new(&[0..2]).unwrap();
        let stats = head_stats(&[0.5, 0.25, 0.25], &needle, 100).unwrap();
        assert_eq!(stats.top_k_mass, 1.0);
        assert_eq!(stats.top_k_in_needle, 2);
    }

    #[test]
    fn weights_that_are_not_finite_are_refused_wherever_they_stand() {
        let needle = NeedleMask::new(&[0..2]).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            for at in [0, 1, 63, 64, 500, 999] {
                let mut row: Vec<f32> = (0..1000).map(|i| 1.0 / (i + 1) as f32).collect();
                row[at] = bad;
                let error = head_stats(&row, &needle, 10).unwrap_err();
                assert_eq!(error.exit_code(), 4, "{bad} at {at}");
            }
        }
        assert!(head_stats(&[f32::NEG_INFINITY; 4], &needle, 1).is_err());
    }

    #[test]
    fn contradictions_are_bugs_of_ours() {
        let bug = |r: Result<HeadStats>| assert_eq!(r.unwrap_err().exit_code(), 1);
        let needle = NeedleMask::new(&[1..3]).unwrap();
        bug(head_stats(&[0.5, 0.5], &needle, 1));
        bug(head_stats(&[0.5, 0.25, 0.25], &needle, 0));
        for spans in [vec![], vec![3..3], vec![1..3, 2..5], vec![4..5, 1..2]] {
            assert_eq!(NeedleMask::new(&spans).unwrap_err().exit_code(), 1, "{spans:?}");
        }
    }

    #[test]
    fn ascending_rows_and_ties_agree_with_a_full_sort() {
        let ascending: Vec<f32> = (0..5000).map(|i| i as f32 / 5000.0).collect();
        let ties: Vec<f32> = (0..5000).map(|i| (i * 7 % 11) as f32).collect();
        let zeros: Vec<f32> = (0..300).map(|i| if i % 2 == 0 { 0.0 } else { -0.0 }).collect();
        for row in [ascending, ties, zeros] {
            for count in [1, 10, 63, 64, 200, row.len()] {
                assert_eq!(largest(&row, count).unwrap(), largest_by_sorting(&row, count));
            }
        }
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_full_sort(
            row in prop::collection::vec((0..40i32).prop_map(|v| v as f32 / 16.0 - 0.5), 1..700),
            count in 1..150usize,
        ) {
            let count = count.min(row.len());
            prop_assert_eq!(largest(&row, count).unwrap(), largest_by_sorting(&row, count));
        }
    }
}
