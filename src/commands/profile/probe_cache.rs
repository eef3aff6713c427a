//! [`ProbeCaches`]: the caches that the probes of a run take turns with.

use crate::model::{KvCache, Llama};

/// Caches with room for the longest probe, as long as the device has that much.
pub(super) struct ProbeCaches<'a> {
    model: &'a Llama,
    /// Tokens of the longest prompt with its answer.
    most: usize,
    /// Whether the device has no room for those; every probe then gets what it needs.
    tight: bool,
    /// Those that came back, the one that the next probe goes on from first. After probes that
    /// failed all are empty: nobody knows what those left.
    held: Vec<KvCache>,
    /// The place in the order of the probe that the first of them is of.
    last: Option<usize>,
}

impl<'a> ProbeCaches<'a> {
    /// For probes of at most `most` tokens.
    pub fn new(model: &'a Llama, most: usize) -> Self {
        Self { model, most, tight: false, held: Vec::new(), last: None }
    }

    /// One cache for each of some probes that follow one another, with room for `needed` tokens
    /// each. The first holds at most the first `shared` of the tokens that the last one to come
    /// back held, nothing where that is not the probe before. They come back with
    /// [`ProbeCaches::put`], unless the probes fail.
    pub fn take(&mut self, needed: &[usize], place: usize, shared: usize) -> Vec<KvCache> {
        let follows = self.last.take().is_some_and(|last| last + 1 == place);
        let mut held = std::mem::take(&mut self.held).into_iter();
        let mut caches = Vec::with_capacity(needed.len());
        for (i, &needed) in needed.iter().enumerate() {
            // One that is too small must not stand beside the new one.
            let found = held.next().filter(|cache| cache.capacity() >= needed);
            let mut cache = found.unwrap_or_else(|| {
                self.model.new_cache(if self.tight { needed } else { needed.max(self.most) })
            });
            cache.rewind(if i == 0 && follows { shared } else { 0 });
            caches.push(cache);
        }
        self.held = held.collect();
        // Nobody goes on from these.
        self.held.iter_mut().for_each(|cache| cache.rewind(0));
        caches
    }

    /// Keeps the caches of some probes, the last of which stands at `place`, for the next.
    pub fn put(&mut self, mut caches: Vec<KvCache>, place: usize) {
        // The last probe's is the one that the next prompt begins like.
        caches.rotate_right(1);
        caches.append(&mut self.held);
        self.held = caches;
        self.last = Some(place);
    }

    /// Gives up what is held, after a failure for lack of memory.
    pub fn free(&mut self) {
        self.held.clear();
        self.last = None;
    }

    /// After a failure for lack of memory of a probe that needs `needed` tokens: whether it has a
    /// second chance, with a cache of just these.
    pub fn tighten(&mut self, needed: usize) -> bool {
        self.free();
        let second = !self.tight && needed < self.most;
        self.tight = true;
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;
    use crate::model::NoRows;
    use crate::model::embedded::needle_llama;

    #[test]
    fn room_for_the_longest_probe_until_that_fails() {
        let model = needle_llama(&Compute::cpu()).unwrap();
        let mut caches = ProbeCaches::new(&model, 300);
        let mut one = caches.take(&[100], 0, 50);
        assert_eq!((one[0].capacity(), one[0].len()), (300, 0));
        model.run(&[5; 40], &mut one[0], 64, 0, &mut NoRows).unwrap();
        caches.put(one, 0);
        assert_eq!(caches.take(&[200], 1, 30)[0].len(), 30);
        // It did not come back: the probe failed. Once there is a second chance.
        assert!(caches.tighten(200) && !caches.tighten(200));
        let one = caches.take(&[200], 1, 30);
        assert_eq!((one[0].capacity(), one[0].len()), (200, 0));
        caches.put(one, 1);
        assert_eq!(caches.take(&[150], 2, 0)[0].capacity(), 200);
        caches.put(vec![model.new_cache(200)], 2);
        assert_eq!(caches.take(&[250], 3, 10)[0].capacity(), 250);
        // The longest probe itself has none.
        assert!(!ProbeCaches::new(&model, 300).tighten(300));
    }

    #[test]
    fn the_next_probes_go_on_from_the_last_one() {
        let model = needle_llama(&Compute::cpu()).unwrap();
        let mut caches = ProbeCaches::new(&model, 100);
        let fill = |caches: &mut ProbeCaches| {
            let mut three = caches.take(&[90; 3], 0, 0);
            for (cache, n) in three.iter_mut().zip([10, 20, 30]) {
                model.run(&vec![5; n], cache, 64, 0, &mut NoRows).unwrap();
            }
            caches.put(three, 2);
        };
        let lengths = |caches: &[KvCache]| caches.iter().map(KvCache::len).collect::<Vec<_>>();
        fill(&mut caches);
        let two = caches.take(&[90; 2], 3, 25);
        assert_eq!(lengths(&two), [25, 0]);
        // Of the third nothing is left but its room, also when the two do not come back.
        assert_eq!(lengths(&caches.take(&[90; 1], 3, 25)), [0]);
        caches.put(two, 4);
        assert_eq!(lengths(&caches.take(&[90; 4], 5, 25)), [0; 4]);
        // A probe that does not follow the last one has nothing of it.
        fill(&mut caches);
        assert_eq!(lengths(&caches.take(&[90; 2], 4, 25)), [0, 0]);
    }
}
