//! How many probes are answered at the same time: together, for the sake of the weights, and side
//! by side, for the sake of the threads.
//!
//! A step of answers reads the weights once for all that take it together, and each one's own
//! cache. It pays as long as caches are small beside weights. Threads walk through probes of their
//! own as long as what each of them needs is little; where it is not, products are large enough to
//! be shared.

use crate::error::{Error, Result};
use crate::job::MemoryEstimate;

/// The most that are taken together without being asked to.
const MOST: usize = 8;
/// What the second and further threads may always take, all together.
const LITTLE: u64 = 256 << 20;

/// How many probes are answered at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batching {
    /// In one pass.
    pub batch: usize,
    /// By threads beside one another, so many each.
    pub walks: usize,
}

/// What one probe takes, the longest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub estimate: MemoryEstimate,
    /// Bytes of a further one beside it, [`further_bytes`].
    pub further: u64,
    /// Tokens of it.
    pub tokens: usize,
}

impl Sizes {
    /// Probes that are answered together: `asked`, or as many as pay; no more than the `probes`
    /// that there are, and than fit into what is `available`, if that is known.
    ///
    /// # Errors
    /// [`Error::Resources`] with the largest number that fits, if `asked` is more.
    pub fn batch(
        &self,
        asked: Option<usize>,
        probes: usize,
        available: Option<u64>,
    ) -> Result<usize> {
        let pay = 1 + self.estimate.weight_bytes / 2 / self.further.max(1);
        let wanted = asked.unwrap_or(MOST.min(pay as usize)).clamp(1, probes.max(1));
        let Some(available) = available else { return Ok(wanted) };
        // Whether one fits, others say.
        let room = available.saturating_sub(self.estimate.bytes(self.tokens));
        let fits = 1 + usize::try_from(room / self.further.max(1)).unwrap_or(usize::MAX - 1);
        match asked {
            Some(_) if fits < wanted => Err(Error::resources("there is not enough memory")
                .at(format!("--batch {}", asked.unwrap_or(wanted)))
                .got(format!("{} MiB available", available >> 20))
                .expected(format!("about {} MiB with as many caches", self.with(wanted) >> 20))
                .advice(format!("--batch {fits}"))),
            _ => Ok(wanted.min(fits)),
        }
    }

    /// Threads, of as many as there are, that answer `batch` probes each at the same time. It
    /// changes no number.
    pub fn walks(&self, batch: usize, threads: usize, available: Option<u64>) -> usize {
        let each =
            self.further.saturating_mul(batch as u64).saturating_add(self.estimate.pass_bytes);
        let room = available.map_or(u64::MAX, |bytes| bytes.saturating_sub(self.with(batch)));
        let room = room.min(self.estimate.weight_bytes.max(LITTLE));
        let further = usize::try_from(room / each.max(1)).unwrap_or(usize::MAX);
        threads.max(1).min(further.saturating_add(1))
    }

    /// Bytes with `n` caches.
    fn with(&self, n: usize) -> u64 {
        let further = self.further.saturating_mul(n.saturating_sub(1) as u64);
        self.estimate.bytes(self.tokens).saturating_add(further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Weights and a cache of so many MiB.
    fn sizes(weights: u64, cache: u64) -> Sizes {
        let estimate = MemoryEstimate {
            weight_bytes: weights * MIB,
            fixed_bytes: (weights + 10) * MIB,
            pass_bytes: 5 * MIB,
            per_token_bytes: cache * MIB / 1024,
        };
        Sizes { estimate, further: cache * MIB, tokens: 1024 }
    }

    #[test]
    fn together_as_many_as_pay_and_fit() {
        // Half of the weights is 100 MiB for further caches.
        let batch = |cache, asked, probes| sizes(200, cache).batch(asked, probes, None).unwrap();
        assert_eq!([1, 10, 20, 40, 101].map(|cache| batch(cache, None, 90)), [8, 8, 6, 3, 1]);
        assert_eq!((batch(1, None, 3), batch(101, Some(5), 90), batch(1, Some(50), 9)), (3, 5, 9));
        // One takes 250 MiB, every further one 40.
        let fit = |asked, available: u64| sizes(200, 40).batch(asked, 90, Some(available * MIB));
        assert_eq!([250, 291, 330, 900].map(|free| fit(None, free).unwrap()), [1, 2, 3, 3]);
        // Too little even for one: told elsewhere.
        assert_eq!((fit(None, 0), fit(Some(1), 0)), (Ok(1), Ok(1)));
        assert_eq!(fit(Some(4), 371), Ok(4));
        let e = fit(Some(5), 371).unwrap_err();
        assert_eq!(e.exit_code(), 5);
        for part in ["--batch 5", "371 MiB available", "about 410 MiB", "--batch 4"] {
            assert!(e.to_string().contains(part), "{e}");
        }
    }

    #[test]
    fn side_by_side_where_that_takes_little() {
        // 45 MiB each: 256 are 5 of them beside the first.
        let walks = |sizes: Sizes, available: Option<u64>| sizes.walks(1, 16, available);
        assert_eq!(walks(sizes(20, 40), None), 6);
        assert_eq!(sizes(20, 40).walks(2, 16, None), 4);
        assert_eq!((sizes(20, 40).walks(1, 2, None), sizes(20, 40).walks(1, 0, None)), (2, 1));
        // As much as the weights, where they are more.
        assert_eq!(walks(sizes(4000, 295), None), 14);
        // One takes 70 MiB.
        assert_eq!(
            [0, 70, 116, 900].map(|free| walks(sizes(20, 40), Some(free * MIB))),
            [1, 1, 2, 6]
        );
    }
}
