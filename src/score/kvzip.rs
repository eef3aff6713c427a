//! `kvzip`: how hard a head looks at any one token of a context while the model writes it again.
//!
//! Source: Kim et al. 2025, "KVzip: Query-Agnostic KV Cache Compression with Context
//! Reconstruction", <https://arxiv.org/abs/2505.23416>. No needle is looked for, nothing is asked
//! and no answer judged: a head that no token of the context needs for its reconstruction can do
//! with a short cache. All query heads that share a KV head have its score.

use super::{Extra, HeadScore, Observation, Reference, ScoreInfo, ScoreOptions};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// The score.
pub struct KvZip;

static INFO: ScoreInfo = ScoreInfo {
    name: "kvzip",
    aliases: &[],
    title: "the most that the KV head's queries give to one token of the context while it is replayed",
    formula: "max over tokens j of the context, rows of its replay and query heads of the KV head of a[j]",
    source: "Kim et al. 2025, KVzip, https://arxiv.org/abs/2505.23416",
    reference: Reference::RetrievalHead,
    range: 0.0..=1.0,
    main: true,
    extra: Extra::Replay,
    strong: false,
};

impl HeadScore for KvZip {
    fn info(&self) -> &ScoreInfo {
        &INFO
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        observation.check()?;
        let replayed = observation.extras.replayed()?;
        let (layers, heads) = (observation.layers, observation.heads);
        let kv_heads = replayed.most.len() / (layers * replayed.tokens).max(1);
        if kv_heads == 0 || heads % kv_heads != 0 {
            return Err(Error::bug("a replay is of other heads").got(kv_heads).expected(heads));
        }
        let most: Vec<f32> = replayed
            .most
            .chunks_exact(replayed.tokens)
            .map(|tokens| tokens.iter().copied().fold(0.0, f32::max))
            .collect();
        let of = |i: usize| most[i / heads * kv_heads + i % heads / (heads / kv_heads)];
        HeadMatrix::new(layers, heads, (0..layers * heads).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Extras, HeadStats, ReplayedTokens, RowStats};

    /// Two layers of four query heads over two KV heads, three tokens.
    #[test]
    fn by_hand() {
        let most = vec![0.1, 0.3, 0.2, 0.0, 0.0, 0.9, 0.5, 0.4, 0.4, 0.05, 0.06, 0.0];
        let observation = Observation {
            layers: 2,
            heads: 4,
            rows: vec![RowStats { keys: 4, heads: vec![HeadStats::default(); 8] }],
            extras: Extras {
                replayed: Some(ReplayedTokens { tokens: 3, most }),
                ..Extras::default()
            },
            ..Observation::small()
        };
        let score = KvZip.score(&observation, &ScoreOptions::default()).unwrap();
        assert_eq!(score.values(), [0.3, 0.3, 0.9, 0.9, 0.5, 0.5, 0.06, 0.06]);
    }
}
