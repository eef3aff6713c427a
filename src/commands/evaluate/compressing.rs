//! [`Compressing`]: one setting's cache in the making, layer by layer.

use std::time::Instant;

use super::setting::Setting;
use crate::error::{Error, Result};
use crate::eviction::{DecodeEviction, Decoding, HeadEvidence, Kept, Selector, TokenStats};
use crate::heads::{CacheHeads, Granularity};
use crate::model::{Compute, KvCache, RaggedCache};
use crate::tasks::Case;

/// What one setting keeps of the layers so far.
pub(super) struct Compressing<'a> {
    setting: &'a Setting,
    case: &'a Case,
    compute: &'a Compute,
    selector: Selector,
    room: usize,
    kept: Vec<Kept>,
    cache: Option<RaggedCache>,
    secs: f64,
}

/// A compressed cache of all layers, ready to go on from.
pub(super) struct Compressed {
    /// What is kept.
    pub cache: RaggedCache,
    /// What is evicted while the answer is generated, for methods that do so.
    pub eviction: Option<DecodeEviction>,
    /// Seconds to choose the tokens and to build the cache.
    pub secs: f64,
}

impl<'a> Compressing<'a> {
    /// Nothing yet of `case`.
    ///
    /// # Errors
    /// As [`Selector::new`].
    pub fn new(
        setting: &'a Setting,
        case: &'a Case,
        heads: CacheHeads,
        evidence: HeadEvidence,
        compute: &'a Compute,
    ) -> Result<Self> {
        let method = setting.method;
        // What a model without compression holds: each key and value once.
        let heads = match method.token_score() {
            Some(_) => heads,
            None => CacheHeads { granularity: Granularity::KvHead, ..heads },
        };
        let selector = Selector::new(method, case.prompt.len(), heads, evidence, &setting.options)
            .map_err(|e| within(e, setting, case))?;
        let room = room(setting, case);
        Ok(Self { setting, case, compute, selector, room, kept: vec![], cache: None, secs: 0.0 })
    }

    /// Chooses from `layer`, the next: `cache` holds this layer alone, `stats` hold it at `at`.
    ///
    /// # Errors
    /// As [`Selector::select`] and [`RaggedCache::from_kept`].
    pub fn add(
        &mut self,
        layer: usize,
        cache: KvCache,
        stats: &TokenStats,
        at: usize,
    ) -> Result<()> {
        let start = Instant::now();
        let selected = self.selector.select(layer, stats, at);
        let (kept, _) = selected.map_err(|e| within(e, self.setting, self.case))?;
        let next = RaggedCache::from_kept(cache, &kept, self.room, self.compute)?;
        match &mut self.cache {
            None => self.cache = Some(next),
            Some(cache) => cache.append_layers(next)?,
        }
        self.kept.push(kept);
        self.secs += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Bytes of keys and values, with the room for the answer, of the layers so far.
    pub fn allocated_bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, RaggedCache::allocated_bytes)
    }

    /// Seconds so far.
    pub fn secs(&self) -> f64 {
        self.secs
    }

    /// The cache of all layers; `stats` are of all of them.
    ///
    /// # Errors
    /// [`Error::Bug`] if there were no layers; as [`DecodeEviction::new`].
    pub fn finish(self, stats: &TokenStats) -> Result<Compressed> {
        let start = Instant::now();
        let kept = Kept::of_layers(self.kept)?;
        let cache = self.cache.ok_or_else(|| Error::bug("a compressed cache without layers"))?;
        let Setting { method, options, .. } = self.setting;
        let eviction = DecodeEviction::new(method, &kept, stats, options)?;
        Ok(Compressed { cache, eviction, secs: self.secs + start.elapsed().as_secs_f64() })
    }
}

fn within(e: Error, setting: &Setting, case: &Case) -> Error {
    e.within(format!("{}, prompt {}", setting.compared(&[]).label(), case.id))
}

/// Tokens that a list may grow by. The last token of an answer is not fed back. Where each new
/// token evicts one, a list is at its budget before and one above it for a moment.
pub(super) fn room(setting: &Setting, case: &Case) -> usize {
    let answer = case.max_new_tokens.saturating_sub(1);
    match setting.method.decoding() {
        Decoding::Append => answer,
        Decoding::Accumulate | Decoding::Recency => {
            let spare = setting.options.budget.capacity_tokens.saturating_sub(case.prompt.len());
            answer.min(spare + 1)
        }
    }
}
