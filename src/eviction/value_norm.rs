//! VATP: attention times the norm of the value, with the first tokens protected.
//!
//! Guo et al. 2024, *Attention Score is not All You Need for Token Importance Indicator in KV Cache
//! Reduction: Value Also Matters*, <https://arxiv.org/abs/2406.12335>.
//!
//! ```text
//! I_h[j] = S_h[j] * ||v_h[j]||_1          the first F tokens are kept whatever their I
//! ```
//!
//! A token that is attended to but has a short value adds little to the output. The attention
//! sinks at the start of the prompt are such tokens, and a model breaks without them, so they are
//! protected.
//!
//! Under grouped-query attention, where the paper stops, query heads `h` of KV head `g` share
//! `v_g`:
//!
//! ```text
//! one list per query head:  I_h[j] = S_h[j] * ||v_g[j]||
//! one list per KV head:     I_g[j] = reduce_h(S_h[j]) * ||v_g[j]||       mean, max or sum
//! ```
//!
//! The norm is the same for all of a group and not negative, so reducing before or after the
//! product is the same. The value is the value projection's output, before the output projection.
//!
//! What a value adds to the residual stream is not the same for a group: each query head `h` has
//! its own part `O_h`, `[D, hidden]`, of the output projection. [`ValueNorm::Projected`] takes that
//! norm, as CriticalKV does (Feng et al. 2025, *Identify Critical KV Cache in LLM Inference from an
//! Output Perturbation Perspective*, <https://arxiv.org/abs/2502.03805>; kvpress,
//! `CriticalKVPress`):
//!
//! ```text
//! one list per query head:  I_h[j] = (S_h[j] + 1e-4) * ||v_g[j] O_h||_1
//! one list per KV head:     I_g[j] = (reduce_h(S_h[j]) + 1e-4) * mean_h ||v_g[j] O_h||_1
//! ```
//!
//! The 1e-4 puts tokens without attention into an order. CriticalKV keeps the best of `S` alone for
//! the first half of a budget; here the product decides for all of it. With `O_h` the identity, and
//! but for the 1e-4, it is `l1`.
//!
//! Where ours differs from the reference: the sinks are a set, not a score of the largest number of
//! the data type. That number added up or multiplied overflows in half precision, and where sinks
//! outnumber the places it leaves open which of them stay; here the first ones do. In SnapKV and
//! what builds on it, to which the paper does not apply it, the product is taken before pooling: a
//! neighbour of a sink would otherwise get the sink's attention and its own, longer value.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A norm of a value vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ValueNorm {
    /// `l1`: sum of absolute entries.
    #[default]
    L1,
    /// `l2`: Euclidean length.
    L2,
    /// `linf`: largest absolute entry.
    LInf,
    /// `projected`: sum of absolute entries behind the output projection, per query head.
    Projected,
    /// `off`: none; of VATP only the protected sinks are left.
    Off,
}

impl ValueNorm {
    const NAMES: [(&'static str, Self); 5] = [
        ("l1", Self::L1),
        ("l2", Self::L2),
        ("linf", Self::LInf),
        ("projected", Self::Projected),
        ("off", Self::Off),
    ];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::LInf => "linf",
            Self::Projected => "projected",
            Self::Off => "off",
        }
    }

    /// What is added to a score before it is multiplied by the norm.
    pub fn epsilon(self) -> f32 {
        match self {
            Self::Projected => 1e-4,
            Self::L1 | Self::L2 | Self::LInf | Self::Off => 0.0,
        }
    }

    /// The norm of one value vector, `[D]`, or for `projected` of what the output projection makes
    /// of it, `[hidden]`; 1 where there is none to multiply by.
    pub fn of(self, value: &[f32]) -> f32 {
        let entries = value.iter().map(|entry| entry.abs());
        match self {
            Self::L1 | Self::Projected => entries.sum(),
            Self::L2 => entries.map(|entry| entry * entry).sum::<f32>().sqrt(),
            Self::LInf => entries.fold(0.0, f32::max),
            Self::Off => 1.0,
        }
    }
}

impl fmt::Display for ValueNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ValueNorm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, norm)| *norm).ok_or_else(|| {
            Error::usage("there is no such norm of values")
                .got(format!("\"{text}\""))
                .expected("l1, l2, linf, projected or off")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetOptions;
    use crate::eviction::{EvictionOptions, Pooling, QueryRows, TokenStats, ValueNorms, by_name};
    use crate::heads::{CacheHeads, Granularity, GroupReduce};

    #[test]
    fn norms_by_hand() {
        let value = [3.0, -4.0, 0.0];
        let norms = ValueNorm::NAMES.map(|(_, norm)| norm.of(&value));
        assert_eq!(norms, [7.0, 5.0, 4.0, 7.0, 1.0]);
    }

    #[test]
    fn names_read_back() {
        for (name, norm) in ValueNorm::NAMES {
            assert_eq!(name.parse::<ValueNorm>().unwrap(), norm);
            assert_eq!(norm.to_string(), name);
        }
        assert_eq!("l3".parse::<ValueNorm>().unwrap_err().exit_code(), 2);
    }

    #[test]
    fn values_change_what_vatp_keeps() {
        // One head, W = 1, two places: attention alone keeps 0 and 1, times the norms 2 and 3.
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        let budget =
            BudgetOptions { capacity_tokens: 3, window_tokens: 1, ..BudgetOptions::default() };
        let mut options = EvictionOptions {
            sink_tokens: 0,
            pooling: Pooling::None,
            ..EvictionOptions::new(budget)
        };
        let norms = vec![0.1, 0.1, 4., 5., 1.];
        let stats = TokenStats {
            layers: 1,
            heads: 1,
            kv_heads: 1,
            tokens: 5,
            row_sums: [QueryRows::All, QueryRows::Last(1), QueryRows::Last(400)]
                .map(|rows| (rows, vec![4., 3., 2., 1., 0.]))
                .into(),
            value_norms: Some(ValueNorms { l1: norms.clone(), l2: norms, linf: vec![1.; 5] }),
            projected_norms: None,
            replayed: None,
        };
        let kept = |name: &str, options: &EvictionOptions| {
            let method = by_name(name).unwrap();
            method.select(&stats, heads, None, options).unwrap().0.positions(0, 0).to_vec()
        };
        for name in ["h2o", "scissorhands", "snapkv"] {
            let vatp = format!("{name}+vatp");
            assert_eq!(kept(name, &options), [0, 1, 4], "{name}");
            assert_eq!(kept(&vatp, &options), [2, 3, 4], "{name}");
            options.sink_tokens = 1;
            // 0 is protected, 2 has 8 against 5 of 3 and 0.3 of 1.
            assert_eq!(kept(&vatp, &options), [0, 2, 4], "{name}");
            options.sink_tokens = 0;
            for norm in [ValueNorm::LInf, ValueNorm::Off] {
                let other = EvictionOptions { value_norm: norm, ..options.clone() };
                assert_eq!(kept(&vatp, &other), [0, 1, 4], "{name}");
            }
        }
    }

    #[test]
    fn query_heads_share_the_values_of_their_kv_head() {
        // Four query heads on two KV heads; of two tokens the second is the window. The first gets
        // 1, 2, 3, 4 and its values are 10 and 100 long.
        let stats = TokenStats {
            layers: 1,
            heads: 4,
            kv_heads: 2,
            tokens: 2,
            row_sums: [(QueryRows::All, vec![1., 0., 2., 0., 3., 0., 4., 0.])].into(),
            value_norms: Some(ValueNorms { l1: vec![10., 1., 100., 1.], l2: vec![], linf: vec![] }),
            projected_norms: None,
            replayed: None,
        };
        let scores = |granularity, reduce| {
            let budget = BudgetOptions { window_tokens: 1, reduce, ..BudgetOptions::default() };
            let options = EvictionOptions::new(budget);
            let heads = CacheHeads { layers: 1, heads: 4, kv_heads: 2, granularity };
            let token_score = by_name("h2o+vatp").unwrap().token_score().unwrap();
            token_score.scores(&stats, 0, &heads, &options).unwrap()
        };
        let own = scores(Granularity::QueryHead, GroupReduce::Mean);
        assert_eq!(own, [10., 20., 300., 400.]);
        for (reduce, expected) in [
            (GroupReduce::Mean, [15., 350.]),
            (GroupReduce::Max, [20., 400.]),
            (GroupReduce::Sum, [30., 700.]),
        ] {
            assert_eq!(scores(Granularity::KvHead, reduce), expected);
        }
    }

    /// Two query heads on one KV head, D = 2; of three tokens the last is the window. Attention 8
    /// and 1 from head 0, 2 and 1 from head 1, mean 5 and 1. Values
    ///
    /// ```text
    /// v_0 = (1, 0), v_1 = (0, 2), v_2 = (1, 1)                        l1: 1 2 2
    /// O_0 = ((1, 0), (0, 1))    v O_0 = v                       projected: 1 2 2
    /// O_1 = ((0, 0), (0, 3))    (0, 0), (0, 6), (0, 3)          projected: 0 6 3      mean: .5 4 2.5
    /// ```
    ///
    /// Head 1 does not put out what token 0 holds. By l1 neither head 1 nor the group knows.
    #[test]
    fn the_output_projection_decides_per_query_head() {
        let stats = TokenStats {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            tokens: 3,
            row_sums: [(QueryRows::All, vec![8., 1., 0., 2., 1., 0.])].into(),
            value_norms: Some(ValueNorms { l1: vec![1., 2., 2.], l2: vec![], linf: vec![] }),
            projected_norms: Some(vec![1., 2., 2., 0., 6., 3.]),
            replayed: None,
        };
        let method = by_name("h2o+vatp").unwrap();
        let chosen = |granularity, value_norm| {
            let budget =
                BudgetOptions { capacity_tokens: 2, window_tokens: 1, ..BudgetOptions::default() };
            let options =
                EvictionOptions { value_norm, sink_tokens: 0, ..EvictionOptions::new(budget) };
            let heads = CacheHeads { layers: 1, heads: 2, kv_heads: 1, granularity };
            let (kept, _) = method.select(&stats, heads, None, &options).unwrap();
            let scores = method.token_score().unwrap().scores(&stats, 0, &heads, &options).unwrap();
            let first: Vec<u32> = (0..heads.stored()).map(|s| kept.positions(0, s)[0]).collect();
            (scores, first)
        };
        let (own, shared) = (Granularity::QueryHead, Granularity::KvHead);
        assert_eq!(chosen(own, ValueNorm::L1), (vec![8., 2., 2., 2.], vec![0, 0]));
        assert_eq!(chosen(shared, ValueNorm::L1), (vec![5., 2.], vec![0]));
        let e = ValueNorm::Projected.epsilon();
        for (granularity, scores, kept) in [
            (own, vec![8. + e, (1. + e) * 2., 0., (1. + e) * 6.], vec![0, 1]),
            (shared, vec![(5. + e) * 0.5, (1. + e) * 4.], vec![1]),
        ] {
            assert_eq!(chosen(granularity, ValueNorm::Projected), (scores, kept));
        }
    }
}
