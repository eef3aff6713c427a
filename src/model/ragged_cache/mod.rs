//! [`RaggedCache`]: a cache in which every head keeps tokens of its own.
//!
//! ```text
//! one layer:  |<-- list 0 -->|<- list 1 ->|<------ list 2 ------>|      S lists, one flat store
//!              k k k k k . .   k k . .      k k k k k k k k . .         k: a token, .: room
//! ```
//!
//! What was evicted is not there: memory and time of a step follow the tokens kept. Keys stay as
//! they were rotated, at their true positions, and a new token stands at its true position behind
//! the whole prompt. A list is in ascending order of positions at all times.
//!
//! With one list per query head the keys and values of a KV head are stored once for each of its
//! query heads, as the references do, and cost that much more.

#[cfg(feature = "kernels")]
mod device;
mod host;

#[cfg(test)]
mod masked;
#[cfg(test)]
mod tests;

use burn::prelude::*;

#[cfg(feature = "kernels")]
use device::DeviceStore;
use host::HostStore;

use super::device::Compute;
use super::kv_cache::KvCache;
use crate::error::{Error, Result};
use crate::eviction::Kept;
use crate::heads::CacheHeads;

/// Keys and values of the tokens that each stored head keeps, `[L, S]` lists.
///
/// Cloning forks: what happens to one does not change the other. On the host it copies.
#[derive(Debug, Clone)]
pub struct RaggedCache {
    heads: CacheHeads,
    head_dim: usize,
    /// Of one key and one value.
    token_bytes: usize,
    seen: usize,
    layers: Vec<LayerLists>,
}

#[derive(Debug, Clone)]
struct LayerLists {
    lists: Vec<List>,
    store: Store,
}

/// One stored head's place in its layer's store, in slots of one token, and what it holds.
#[derive(Debug, Clone)]
struct List {
    kv_head: usize,
    start: usize,
    slots: usize,
    positions: Vec<u32>,
}

/// The keys and values of a layer: in host memory, or with the kernels in a device's.
#[derive(Debug, Clone)]
enum Store {
    Host(HostStore),
    #[cfg(feature = "kernels")]
    Device(Box<DeviceStore>),
}

/// One query's attention over a layer.
pub(super) struct Attended {
    /// Output, `[1, H, 1, D]`.
    pub output: Tensor<4>,
    /// Rows of each list, `[H / S, len]` in f32; no list's if they were not asked for.
    pub rows: Vec<Vec<f32>>,
}

impl List {
    fn len(&self) -> usize {
        self.positions.len()
    }

    /// The first slot that a query sees which sees positions from `oldest` on.
    fn first_seen(&self, oldest: usize) -> usize {
        self.positions.partition_point(|p| (*p as usize) < oldest)
    }
}

impl RaggedCache {
    /// The tokens of `cache` that are `kept`, with room for `room` more in every list.
    ///
    /// Takes the cache apart layer by layer: beside what is kept, one layer exists twice at most.
    /// Where the cache has been forked, the fork's memory stays.
    ///
    /// # Errors
    /// [`Error::Bug`] if `kept` belongs to another model or prompt, [`Error::Resources`] if the
    /// device fails or the room exceeds what can be counted.
    pub fn from_kept(cache: KvCache, kept: &Kept, room: usize, compute: &Compute) -> Result<Self> {
        let heads = kept.heads();
        let (held, [layers, kv_heads, head_dim]) = (cache.len(), cache.shape());
        if [heads.layers, heads.kv_heads, kept.tokens()] != [layers, kv_heads, held] {
            return Err(Error::bug("kept tokens belong to another cache")
                .got(format!(
                    "{} layers, {} KV heads, {} tokens",
                    heads.layers,
                    heads.kv_heads,
                    kept.tokens()
                ))
                .expected(format!("{layers}, {kv_heads}, {held}")));
        }
        let gather = |(layer, (keys, values))| {
            let lists = lists(kept, layer, room)?;
            #[cfg(feature = "kernels")]
            if !compute.on_host {
                let store = Store::Device(Box::new(DeviceStore::gather(&lists, keys, values)));
                return Ok(LayerLists { lists, store });
            }
            let store = Store::Host(HostStore::gather(&lists, keys, values)?);
            Ok(LayerLists { lists, store })
        };
        let layers = cache.into_layers().enumerate().map(gather).collect::<Result<_>>()?;
        let token_bytes = 2 * head_dim * compute.dtype.size();
        Ok(Self { heads, head_dim, token_bytes, seen: held, layers })
    }

    /// Puts the layers of `next` behind these; both are of the same prompt.
    ///
    /// # Errors
    /// [`Error::Bug`] if they are not.
    pub fn append_layers(&mut self, next: Self) -> Result<()> {
        let shape = |cache: &Self| {
            (CacheHeads { layers: 0, ..cache.heads }, cache.head_dim, cache.token_bytes, cache.seen)
        };
        if shape(self) != shape(&next) {
            return Err(Error::bug("compressed layers belong to different caches"));
        }
        self.heads.layers += next.heads.layers;
        self.layers.extend(next.layers);
        Ok(())
    }

    /// Whose lists these are.
    pub fn heads(&self) -> CacheHeads {
        self.heads
    }

    /// Head dimension, `D`.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Tokens that have been run, evicted ones too: the position of the next.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Tokens that list `s` of `layer` holds.
    pub fn tokens(&self, layer: usize, s: usize) -> usize {
        self.layers[layer].lists[s].len()
    }

    /// Positions of the tokens that list `s` of `layer` holds, ascending; slot `i` holds the
    /// `i`-th.
    pub fn positions(&self, layer: usize, s: usize) -> &[u32] {
        &self.layers[layer].lists[s].positions
    }

    /// Tokens held, over all lists.
    pub fn total_tokens(&self) -> u64 {
        self.all_lists().map(|list| list.len() as u64).sum()
    }

    /// Bytes of the keys and values held.
    pub fn bytes(&self) -> u64 {
        self.total_tokens() * self.token_bytes as u64
    }

    /// The same with the room to append.
    pub fn allocated_bytes(&self) -> u64 {
        self.all_lists().map(|list| list.slots as u64).sum::<u64>() * self.token_bytes as u64
    }

    /// Tokens that every list still has room for.
    pub fn room(&self) -> usize {
        self.all_lists().map(|list| list.slots - list.len()).min().unwrap_or(0)
    }

    /// Evicts the token in slot `slot` of list `s` of `layer`. Those behind it move up by one, so
    /// that the order stays; the slot at the end becomes room.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no such token.
    pub fn remove(&mut self, layer: usize, s: usize, slot: usize) -> Result<()> {
        let held = self.layers.get_mut(layer).and_then(|layer| {
            let list = layer.lists.get_mut(s)?;
            (slot < list.len()).then_some((list, &mut layer.store))
        });
        let Some((list, store)) = held else {
            return Err(Error::bug("there is no such token to evict")
                .at(format!("layer {layer}, list {s}, slot {slot}")));
        };
        match store {
            Store::Host(store) => store.close_gap(list, slot),
            #[cfg(feature = "kernels")]
            Store::Device(store) => store.close_gap(list, slot),
        }
        list.positions.remove(slot);
        Ok(())
    }

    fn all_lists(&self) -> impl Iterator<Item = &List> {
        self.layers.iter().flat_map(|layer| &layer.lists)
    }

    /// Appends one token's `k` and `v`, `[1, G, 1, D]`, to every list of a layer, and attends to
    /// them with its `q`, `[1, H, 1, D]`, which sees the last `window` positions.
    /// [`RaggedCache::advance`] follows after the last layer.
    ///
    /// The caller has made sure of [`RaggedCache::room`].
    pub(super) fn attend(
        &mut self,
        layer: usize,
        [q, k, v]: [Tensor<4>; 3],
        window: Option<usize>,
        want_rows: bool,
    ) -> Result<Attended> {
        let LayerLists { lists, store } = &mut self.layers[layer];
        match store {
            Store::Host(store) => store.append(lists, k, v)?,
            #[cfg(feature = "kernels")]
            Store::Device(store) => store.append(lists, k, v),
        }
        lists.iter_mut().for_each(|list| list.positions.push(self.seen as u32));
        let oldest = window.map_or(0, |w| (self.seen + 1).saturating_sub(w));
        match store {
            Store::Host(store) => store.attend(lists, q, oldest, want_rows),
            #[cfg(feature = "kernels")]
            Store::Device(store) => store.attend(lists, q, oldest, want_rows),
        }
    }

    /// Counts a token that every layer has appended.
    pub(super) fn advance(&mut self) {
        self.seen += 1;
    }
}

/// The lists of one layer, one behind the other.
fn lists(kept: &Kept, layer: usize, room: usize) -> Result<Vec<List>> {
    let heads = kept.heads();
    let mut start = 0usize;
    let list = |s| {
        let positions = kept.positions(layer, s).to_vec();
        let slots = positions.len().saturating_add(room);
        let list = List { kv_head: heads.kv_head(s), start, slots, positions };
        start = start.saturating_add(slots);
        list
    };
    let lists: Vec<List> = (0..heads.stored()).map(list).collect();
    // Row numbers are `i32` on devices.
    match start > i32::MAX as usize {
        true => Err(Error::resources("a compressed cache has more slots than can be counted")
            .got(format!("room for {room} tokens"))
            .advice("generate fewer tokens")),
        false => Ok(lists),
    }
}
