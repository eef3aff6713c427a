//! Attention on the first tokens and the length of their values, for every head: VATP's observation
//! as numbers.
//!
//! ```text
//! S_h[j]   = sum over i = F..T-1 of a_h[i, j]
//! share(h) = sum over j < F of S_h[j] / (T - F)
//! norm(h)  = sum over j < F of S_h[j] · ‖v[j]‖ / sum over j < F of S_h[j]
//! ```
//!
//! The first `F` queries see nothing but the sinks and do not count. Of the first tokens often one
//! alone, BOS, is the sink: each token's norm counts as much as the attention that it gets, where a
//! median over all of them would be that of tokens which are none. It is compared with the median
//! of all tokens of the context.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::eviction::{QueryRows, TokenStats, ValueNorm};
use crate::generate::argmax;

/// One query head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadSinks {
    /// Layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// The KV head that it reads.
    pub kv_head: usize,
    /// Part of the attention of the queries behind the sinks that is on the sinks, 0 to 1.
    pub sink_share: f64,
    /// Norm of the sinks' values, weighted by the attention that each of them gets; the plain mean
    /// where they get none.
    pub sink_norm: f64,
    /// Median norm of all values.
    pub median_norm: f64,
    /// The one over the other; `None` where the values of most tokens are 0.
    pub norm_ratio: Option<f64>,
    /// The token of the whole context that gets the most attention from these queries.
    pub top_token: usize,
    /// Part of their attention that it gets, 0 to 1.
    pub top_share: f64,
}

/// What all heads together say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SinkSummary {
    /// Query heads, `L * H`.
    pub heads: usize,
    /// Those with more than half of their attention on the sinks.
    pub on_sinks: usize,
    /// Those of the latter whose sinks have a norm below the median of all values.
    pub on_sinks_below_median: usize,
    /// The share of a head that looks at everything alike.
    pub even_share: f64,
}

/// The rows that [`head_sinks`] needs the sums of.
pub fn rows_behind(sinks: usize, tokens: usize) -> QueryRows {
    QueryRows::Last(tokens.saturating_sub(sinks))
}

/// Every head's sinks, the first `sinks` tokens; layer by layer.
///
/// # Errors
/// [`Error::Bug`] if sums over [`rows_behind`] them or norms were not recorded, or there is no
/// token behind the sinks.
pub fn head_sinks(stats: &TokenStats, sinks: usize, norm: ValueNorm) -> Result<Vec<HeadSinks>> {
    let (tokens, group) = (stats.tokens, stats.heads / stats.kv_heads.max(1));
    if sinks == 0 || sinks >= tokens {
        return Err(Error::bug("sinks are some of the tokens")
            .got(format!("{sinks} sinks, {tokens} tokens")));
    }
    let mut all = Vec::with_capacity(stats.layers * stats.heads);
    for layer in 0..stats.layers {
        let sums = stats.row_sums(rows_behind(sinks, tokens), layer)?;
        let norms = stats.value_norms(norm, layer)?;
        let medians: Vec<f64> = norms.chunks(tokens).map(median).collect();
        for (head, sums) in sums.chunks(tokens).enumerate() {
            let kv_head = head / group;
            let of_sinks = &norms[kv_head * tokens..][..sinks];
            let on_sinks: f64 = sums[..sinks].iter().map(|s| f64::from(*s)).sum();
            let weight = |sum: f32| match on_sinks > 0.0 {
                true => f64::from(sum) / on_sinks,
                false => 1.0 / sinks as f64,
            };
            let sink_norm =
                of_sinks.iter().zip(sums).map(|(n, s)| f64::from(*n) * weight(*s)).sum();
            let median_norm = medians[kv_head];
            // Sums in f32 round.
            let share = |sum: f64| (sum / (tokens - sinks) as f64).clamp(0.0, 1.0);
            let top_token = argmax(sums) as usize;
            all.push(HeadSinks {
                layer,
                head,
                kv_head,
                sink_share: share(on_sinks),
                sink_norm,
                median_norm,
                norm_ratio: (median_norm > 0.0).then(|| sink_norm / median_norm),
                top_token,
                top_share: share(f64::from(sums[top_token])),
            });
        }
    }
    Ok(all)
}

impl SinkSummary {
    /// Counts `heads` of a context of `tokens` tokens.
    pub fn new(heads: &[HeadSinks], sinks: usize, tokens: usize) -> Self {
        let on_sinks = || heads.iter().filter(|h| h.sink_share > 0.5);
        Self {
            heads: heads.len(),
            on_sinks: on_sinks().count(),
            on_sinks_below_median: on_sinks().filter(|h| h.sink_norm < h.median_norm).count(),
            even_share: even_share(sinks, tokens),
        }
    }
}

/// The share of a head whose row `i` is `1 / (i + 1)` everywhere: the mean of `F / (i + 1)` over
/// `i = F..T-1`.
fn even_share(sinks: usize, tokens: usize) -> f64 {
    let sum: f64 = (sinks..tokens).map(|i| sinks as f64 / (i + 1) as f64).sum();
    sum / tokens.saturating_sub(sinks).max(1) as f64
}

/// The heads with the largest shares first; of equal shares the first heads.
pub fn by_share(heads: &[HeadSinks]) -> Vec<HeadSinks> {
    let mut sorted = heads.to_vec();
    sorted.sort_by(|a, b| {
        b.sink_share.total_cmp(&a.sink_share).then((a.layer, a.head).cmp(&(b.layer, b.head)))
    });
    sorted
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
fn median(values: &[f32]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match sorted.get(low..=high) {
        Some([one]) => *one,
        Some([a, b]) => f64::midpoint(*a, *b),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::{ValueNorms, Wanted};
    use crate::model::{Compute, planted};

    /// Two query heads on one KV head, four tokens, two sinks. Head 0: the rows behind the sinks,
    /// 2 and 3, give the first 0.6 each and the second 0.2 each: share 0.8, of which three quarters
    /// are on the first. Head 1: rows 2 and 3 look at themselves, share 0.
    #[test]
    fn shares_and_norms_by_hand() {
        let stats = TokenStats {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            tokens: 4,
            row_sums: [(rows_behind(2, 4), vec![1.2, 0.4, 0.2, 0.2, 0.0, 0.0, 1.0, 1.0])].into(),
            value_norms: Some(ValueNorms {
                l1: vec![1.0, 3.0, 8.0, 6.0],
                l2: vec![1.0; 4],
                linf: vec![0.0; 4],
            }),
            projected_norms: None,
            replayed: None,
        };
        let heads = head_sinks(&stats, 2, ValueNorm::L1).unwrap();
        assert!((heads[0].sink_share - 0.8).abs() < 1e-6, "{heads:?}");
        assert!(heads[1].sink_share.abs() < 1e-6 && heads[1].kv_head == 0);
        // 3/4 of 1 and 1/4 of 3; the median of 1, 3, 6 and 8. Where there is no attention, the
        // mean.
        assert!((heads[0].sink_norm - 1.5).abs() < 1e-6 && heads[0].median_norm == 4.5);
        assert!((heads[0].norm_ratio.unwrap() - 1.5 / 4.5).abs() < 1e-6);
        assert_eq!(heads[1].sink_norm, 2.0);
        assert_eq!((heads[0].top_token, heads[1].top_token), (0, 2));
        assert!((heads[0].top_share - 0.6).abs() < 1e-6 && (heads[1].top_share - 0.5).abs() < 1e-6);
        let summary = SinkSummary::new(&heads, 2, 4);
        assert_eq!((summary.heads, summary.on_sinks, summary.on_sinks_below_median), (2, 1, 1));
        // Rows 2 and 3 of an even head: 2/3 and 2/4 on the sinks.
        assert!((summary.even_share - 7.0 / 12.0).abs() < 1e-12);
        // Equal norms are not below.
        let even = head_sinks(&stats, 2, ValueNorm::L2).unwrap();
        assert_eq!(SinkSummary::new(&even, 2, 4).on_sinks_below_median, 0);
        let none = head_sinks(&stats, 2, ValueNorm::LInf).unwrap();
        assert_eq!((none[0].norm_ratio, none[0].sink_norm), (None, 0.0));
        for sinks in [0, 4, 5] {
            assert_eq!(head_sinks(&stats, sinks, ValueNorm::L1).unwrap_err().exit_code(), 1);
        }
    }

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!((median(&[7.0]), median(&[])), (7.0, 0.0));
    }

    #[test]
    fn larger_shares_come_first_and_equal_ones_in_order() {
        let head = |layer, head, sink_share| HeadSinks {
            layer,
            head,
            kv_head: head,
            sink_share,
            sink_norm: 1.0,
            median_norm: 1.0,
            norm_ratio: Some(1.0),
            top_token: 0,
            top_share: sink_share,
        };
        let sorted = by_share(&[head(0, 0, 0.5), head(0, 1, 0.9), head(1, 0, 0.9)]);
        let order: Vec<(usize, usize)> = sorted.iter().map(|h| (h.layer, h.head)).collect();
        assert_eq!(order, [(0, 1), (1, 0), (0, 0)]);
    }

    /// Roles by construction: the sink head has everything on BOS, a diffuse head what an even one
    /// has, and of the previous-token head only the first query behind the sinks looks at a sink.
    #[test]
    fn planted_heads_have_the_shares_of_their_roles() {
        const TOKENS: usize = 200;
        let planted = planted::build(1).unwrap();
        let model = planted.load(&Compute::cpu()).unwrap();
        let ids: Vec<u32> =
            [planted::BOS].into_iter().chain((1..TOKENS as u32).map(|i| 2 + i * 7 % 590)).collect();
        let row_sums = [1, 4, 20].map(|sinks| rows_behind(sinks, TOKENS)).into();
        let wanted = Wanted { row_sums, value_norms: true, ..Wanted::default() };
        let (_, stats) = model.prefill(&ids, &mut model.new_cache(TOKENS), 64, &wanted).unwrap();
        for sinks in [1, 4, 20] {
            let heads = head_sinks(&stats, sinks, ValueNorm::L1).unwrap();
            let of = |role: (usize, usize)| heads[role.0 * stats.heads + role.1];
            let near = |role: (usize, usize), want: f64, about: &str| {
                let share = of(role).sink_share;
                assert!((share - want).abs() < 1e-3, "{about}, {sinks} sinks: {share}, not {want}");
            };
            let roles = &planted.roles;
            near(roles.sink, 1.0, "sink");
            let even = even_share(sinks, TOKENS);
            roles.diffuse.iter().for_each(|head| near(*head, even, "diffuse"));
            near(roles.previous_token, 1.0 / (TOKENS - sinks) as f64, "previous token");
            assert_eq!(by_share(&heads)[0].sink_share, of(roles.sink).sink_share);
            assert_eq!(of(roles.sink).top_token, 0);
            // The sink head writes nothing: its values are 0, and no norm is below another.
            let summary = SinkSummary::new(&heads, sinks, TOKENS);
            assert_eq!((summary.on_sinks, summary.on_sinks_below_median), (1, 0));
            assert_eq!(of(roles.sink).norm_ratio, None);
            // BOS has no code, so that the heads that copy codes have nothing of it.
            if sinks == 1 {
                assert!(of(roles.previous_token).norm_ratio.unwrap() < 1e-6);
            }
        }
        // F = 4 of 200: 4 (H_200 - H_4) / 196 = 4 (5.8780 - 2.0833) / 196.
        assert!((even_share(4, TOKENS) - 0.077_443).abs() < 1e-5, "{}", even_share(4, TOKENS));
    }
}
