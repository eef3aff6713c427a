//! [`HeadView`]: one head, token by token.

use crate::error::{Error, Result};
use crate::eviction::{QueryRows, TokenStats, ValueNorm};

/// The norms of a view, from the largest to the smallest.
pub const NORMS: [ValueNorm; 3] = [ValueNorm::L1, ValueNorm::L2, ValueNorm::LInf];

/// What each token is to one head; all `[T]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadView {
    /// Attention that it receives: mean over the queries that see it.
    pub attention: Vec<f64>,
    /// The norms of its value, as [`NORMS`].
    pub norms: [Vec<f64>; 3],
    /// Attention times one of the norms, as a share of the sum over all tokens; empty where all
    /// products are 0.
    pub weighted: Vec<f64>,
}

impl HeadView {
    /// Query head `head` of layer `layer`, whose queries see the last `window` keys; `norm` goes
    /// with the attention.
    ///
    /// VATP multiplies by the *sum* that a token receives, which favours early tokens: they are
    /// seen by more queries. The mean is the same for a token wherever it stands.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no such head, or sums over all rows or norms were not recorded.
    pub fn new(
        stats: &TokenStats,
        (layer, head): (usize, usize),
        window: Option<usize>,
        norm: ValueNorm,
    ) -> Result<Self> {
        let tokens = stats.tokens;
        let row = |all: &[f32], i: usize| -> Result<Vec<f64>> {
            let row = all.get(i * tokens..(i + 1) * tokens);
            let row = row.ok_or_else(|| Error::bug("there is no such head").got(head))?;
            Ok(row.iter().map(|v| f64::from(*v)).collect())
        };
        let kv_head = head / (stats.heads / stats.kv_heads.max(1)).max(1);
        let norms_of = |norm| row(stats.value_norms(norm, layer)?, kv_head);
        let mut attention = row(stats.row_sums(QueryRows::All, layer)?, head)?;
        for (j, sum) in attention.iter_mut().enumerate() {
            *sum /= seen_by(j, tokens, window) as f64;
        }
        let lengths = norms_of(norm)?;
        let products: Vec<f64> = attention.iter().zip(&lengths).map(|(a, n)| a * n).collect();
        let total: f64 = products.iter().sum();
        let weighted = match total > 0.0 {
            true => products.iter().map(|p| p / total).collect(),
            false => Vec::new(),
        };
        let [l1, l2, linf] = NORMS;
        let norms = [norms_of(l1)?, norms_of(l2)?, norms_of(linf)?];
        Ok(Self { attention, norms, weighted })
    }
}

/// How many queries see the key at position `j`, at least 1.
fn seen_by(j: usize, tokens: usize, window: Option<usize>) -> usize {
    window.map_or(tokens - j, |w| w.min(tokens - j)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::ValueNorms;

    /// Three tokens, two query heads on one KV head. Token 0 is seen by three queries, 1 by two and
    /// 2 by itself; in a window of two, 0 by two.
    #[test]
    fn a_view_by_hand() {
        let stats = TokenStats {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            tokens: 3,
            row_sums: [(QueryRows::All, vec![1.0, 1.0, 1.0, 2.4, 0.4, 0.2])].into(),
            value_norms: Some(ValueNorms {
                l1: vec![1.0, 4.0, 10.0],
                l2: vec![0.0; 3],
                linf: vec![0.5, 2.0, 4.0],
            }),
            projected_norms: None,
            replayed: None,
        };
        let close = |got: &[f64], want: [f64; 3]| {
            assert_eq!(got.len(), 3);
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6), "{got:?} {want:?}");
        };
        let view = HeadView::new(&stats, (0, 1), None, ValueNorm::L1).unwrap();
        close(&view.attention, [0.8, 0.2, 0.2]);
        // 0.8 x 1, 0.2 x 4, 0.2 x 10: of 3.6.
        close(&view.weighted, [8.0 / 36.0, 8.0 / 36.0, 20.0 / 36.0]);
        close(&view.norms[0], [1.0, 4.0, 10.0]);
        close(&view.norms[2], [0.5, 2.0, 4.0]);
        let windowed = HeadView::new(&stats, (0, 1), Some(2), ValueNorm::L1).unwrap();
        close(&windowed.attention, [1.2, 0.2, 0.2]);
        let nothing = HeadView::new(&stats, (0, 1), None, ValueNorm::L2).unwrap();
        assert!(nothing.weighted.is_empty());
        assert_eq!(HeadView::new(&stats, (0, 2), None, ValueNorm::L1).unwrap_err().exit_code(), 1);
    }
}
