//! Which heads keep a cache of their own, and how query heads share one.

use crate::error::{Error, Result};

/// Which heads decide for themselves what they keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Granularity {
    /// One list of tokens per KV head: `S = G`. A grouped-query cache stays as small as it is.
    #[default]
    KvHead,
    /// One list per query head: `S = H`, as the references store it, `H / G` times as many bytes.
    QueryHead,
}

impl Granularity {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::KvHead, Self::QueryHead].into_iter().find(|granularity| granularity.name() == name)
    }
}

/// How the scores of the query heads that share a KV head become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GroupReduce {
    /// Their mean.
    #[default]
    Mean,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
}

/// The heads of a cache: `S` lists of tokens per layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheHeads {
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// KV heads per layer, `G`; divides `H`.
    pub kv_heads: usize,
    /// Which of them keep tokens of their own.
    pub granularity: Granularity,
}

impl Granularity {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::KvHead => "kv_head",
            Self::QueryHead => "query_head",
        }
    }
}

impl GroupReduce {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Sum => "sum",
        }
    }

    /// One value of several; 0 of none.
    pub fn of(self, values: impl ExactSizeIterator<Item = f32>) -> f32 {
        let n = values.len();
        match self {
            Self::Max => values.reduce(f32::max).unwrap_or(0.0),
            Self::Sum => values.sum(),
            Self::Mean => values.sum::<f32>() / n.max(1) as f32,
        }
    }
}

impl CacheHeads {
    /// Lists per layer, `S`.
    pub fn stored(&self) -> usize {
        match self.granularity {
            Granularity::KvHead => self.kv_heads,
            Granularity::QueryHead => self.heads,
        }
    }

    /// Query heads that read one list: `H / S`. Query head `h` reads list `h / (H / S)`.
    pub fn readers(&self) -> usize {
        self.heads / self.stored()
    }

    /// The KV head whose keys and values stored list `s` holds.
    pub fn kv_head(&self, s: usize) -> usize {
        s * self.kv_heads / self.stored()
    }

    /// Rows of all query heads of a layer, `[H, T]`, as rows of the stored heads, `[S, T]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if `rows` are not `H` rows of `tokens`.
    pub fn reduce(&self, rows: &[f32], tokens: usize, how: GroupReduce) -> Result<Vec<f32>> {
        if rows.len() != self.heads * tokens {
            return Err(Error::bug("rows of another shape")
                .got(rows.len())
                .expected(format!("{} heads x {tokens} tokens", self.heads)));
        }
        let readers = self.readers();
        if readers == 1 {
            return Ok(rows.to_vec());
        }
        let mut all = Vec::with_capacity(self.stored() * tokens);
        for group in rows.chunks(readers * tokens) {
            all.extend((0..tokens).map(|j| how.of((0..readers).map(|h| group[h * tokens + j]))));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_heads_share_lists_in_order() {
        let heads =
            CacheHeads { layers: 1, heads: 4, kv_heads: 2, granularity: Granularity::KvHead };
        assert_eq!((heads.stored(), heads.readers()), (2, 2));
        // Heads 0 and 1 share: means of 1 and 3, of 2 and 6; heads 2 and 3: of 5 and 7, of 8 and 0.
        let rows = [1., 2., 3., 6., 5., 8., 7., 0.];
        assert_eq!(heads.reduce(&rows, 2, GroupReduce::Mean).unwrap(), [2., 4., 6., 4.]);
        assert_eq!(heads.reduce(&rows, 2, GroupReduce::Max).unwrap(), [3., 6., 7., 8.]);
        assert_eq!(heads.reduce(&rows, 2, GroupReduce::Sum).unwrap(), [4., 8., 12., 8.]);
        let own = CacheHeads { granularity: Granularity::QueryHead, ..heads };
        assert_eq!((own.stored(), own.readers()), (4, 1));
        assert_eq!([0, 1, 2, 3].map(|s| own.kv_head(s)), [0, 0, 1, 1]);
        assert_eq!(own.reduce(&rows, 2, GroupReduce::Mean).unwrap(), rows);
        assert!(own.reduce(&rows, 3, GroupReduce::Mean).is_err());
    }
}
