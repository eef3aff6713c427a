//! [`ProbeCache`]: the one cache that the probes of a run take turns with.

use crate::model::{KvCache, Llama};

/// A cache with room for the longest probe, as long as the device has that much.
pub(super) struct ProbeCache<'a> {
    model: &'a Llama,
    /// Tokens of the longest prompt with its answer.
    most: usize,
    /// Whether the device has no room for those; every probe then gets what it needs.
    tight: bool,
    /// `None` before the first probe, and after one that failed: nobody knows what that left.
    held: Option<KvCache>,
}

impl<'a> ProbeCache<'a> {
    /// For probes of at most `most` tokens.
    pub fn new(model: &'a Llama, most: usize) -> Self {
        Self { model, most, tight: false, held: None }
    }

    /// A cache with room for `needed` tokens, which holds at most the first `shared` ones of what the
    /// last one held. It comes back with [`ProbeCache::put`], unless the probe fails.
    pub fn take(&mut self, needed: usize, shared: usize) -> KvCache {
        if let Some(mut cache) = self.held.take_if(|cache| cache.capacity() >= needed) {
            cache.rewind(shared);
            return cache;
        }
        // The old one must not stand beside the new.
        self.held = None;
        self.model.new_cache(if self.tight { needed } else { needed.max(self.most) })
    }

    /// Keeps `cache` for the next probe.
    pub fn put(&mut self, cache: KvCache) {
        self.held = Some(cache);
    }

    /// After a failure for lack of memory of a probe that needs `needed` tokens: whether it has a second
    /// chance, with a cache of just these.
    pub fn tighten(&mut self, needed: usize) -> bool {
        let second = !self.tight && needed < self.most;
        self.tight = true;
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use crate::model::embedded::needle_llama;
    use crate::model::llama::NoRows;

    #[test]
    fn room_for_the_longest_probe_until_that_fails() {
        let model = needle_llama(&Compute::cpu()).unwrap();
        let mut caches = ProbeCache::new(&model, 300);
        let mut cache = caches.take(100, 50);
        assert_eq!((cache.capacity(), cache.len()), (300, 0));
        model.run(&[5; 40], &mut cache, 64, 0, &mut NoRows).unwrap();
        caches.put(cache);
        assert_eq!(caches.take(200, 30).len(), 30);
        // It did not come back: the probe failed. Once there is a second chance.
        assert!(caches.tighten(200) && !caches.tighten(200));
        let cache = caches.take(200, 30);
        assert_eq!((cache.capacity(), cache.len()), (200, 0));
        caches.put(cache);
        assert_eq!(caches.take(150, 0).capacity(), 200);
        caches.put(model.new_cache(200));
        assert_eq!(caches.take(250, 10).capacity(), 250);
        // The longest probe itself has none.
        assert!(!ProbeCache::new(&model, 300).tighten(300));
    }
}
