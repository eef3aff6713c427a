//! The key/value cache of one sequence.

use burn::prelude::*;
use burn::tensor::DType;

use super::config::ModelConfig;
use super::device::Compute;
#[cfg(feature = "kernels")]
use super::kernels;

/// Keys and values of the tokens seen so far, per layer `[1, G, capacity, D]`.
///
/// Cloning forks: both caches share storage until one of them writes, which then copies. A probe
/// on a fork cannot disturb the cache it started from.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<(Tensor<4>, Tensor<4>)>,
    len: usize,
    capacity: usize,
}

/// What a layer holds: the first `tokens` of its stores. They are not copied.
#[derive(Debug, Clone)]
pub(super) struct Held {
    keys: Tensor<4>,
    values: Tensor<4>,
    tokens: usize,
}

impl Held {
    /// All of a store.
    #[cfg(test)]
    pub fn all(keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [_, _, tokens, _] = keys.dims();
        Self { keys, values, tokens }
    }

    /// What one KV head holds.
    pub fn of_head(&self, head: usize) -> Self {
        let one = |store: &Tensor<4>| store.clone().narrow(1, head, 1);
        Self { keys: one(&self.keys), values: one(&self.values), tokens: self.tokens }
    }

    /// The first `tokens` of them.
    pub fn first(self, tokens: usize) -> Self {
        Self { tokens, ..self }
    }

    /// Tokens, `t`.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// `[G, D]`.
    #[cfg(feature = "kernels")]
    pub fn shape(&self) -> [usize; 2] {
        let [_, kv_heads, _, dim] = self.keys.dims();
        [kv_heads, dim]
    }

    /// The stores of keys and values, `[1, G, capacity, D]`.
    #[cfg(feature = "kernels")]
    pub fn stores(self) -> [Tensor<4>; 2] {
        [self.keys, self.values]
    }

    /// The keys, `[1, G, t, D]`; a copy on most GPUs, a view on the host.
    pub fn keys(&self) -> Tensor<4> {
        self.keys.clone().narrow(2, 0, self.tokens)
    }

    /// The values, `[1, G, t, D]`; a copy on most GPUs, a view on the host.
    pub fn values(&self) -> Tensor<4> {
        self.values.clone().narrow(2, 0, self.tokens)
    }
}

impl KvCache {
    /// Room for `capacity` tokens of a model of shape `config`, every layer on its device.
    pub fn new(config: &ModelConfig, capacity: usize, compute: &Compute) -> Self {
        let layer = |layer| Self::new_layer(config, layer, capacity, compute).layers;
        Self { layers: (0..config.layers).flat_map(layer).collect(), len: 0, capacity }
    }

    /// Room for `capacity` tokens of one layer.
    pub(super) fn new_layer(
        config: &ModelConfig,
        layer: usize,
        capacity: usize,
        compute: &Compute,
    ) -> Self {
        let shape = [1, config.kv_heads, capacity, config.head_dim];
        let device = compute.layer_device(layer, config.layers);
        let zeros = || Tensor::zeros(shape, (device, compute.dtype));
        Self { layers: vec![(zeros(), zeros())], len: 0, capacity }
    }

    /// Bytes of a cache of `capacity` tokens; `u64::MAX` if they are more than that.
    pub fn bytes(config: &ModelConfig, capacity: usize, dtype: DType) -> u64 {
        let sizes = [config.layers, config.kv_heads, config.head_dim, dtype.size(), capacity];
        sizes.iter().fold(2u64, |bytes, n| bytes.saturating_mul(*n as u64))
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes the keys and values, `[1, G, n, D]`, of the next `n` tokens of one layer and returns
    /// all of that layer, `len + n` tokens. [`KvCache::advance`] follows after the last layer.
    pub(super) fn append(&mut self, layer: usize, keys: Tensor<4>, values: Tensor<4>) -> Held {
        let [_, heads, n, dim] = keys.dims();
        let (from, to) = (self.len, self.len + n);
        #[cfg(feature = "kernels")]
        if kernels::run_on(&keys.device()) {
            // What is left in the stores' place holds no reference to them: they are written where
            // they lie.
            let in_place = (keys.clone(), values.clone());
            let stores = std::mem::replace(&mut self.layers[layer], in_place);
            self.layers[layer] = kernels::append::append(stores, (keys, values), from);
            let (k, v) = &self.layers[layer];
            return Held { keys: k.clone(), values: v.clone(), tokens: to };
        }
        let range = [0..1, 0..heads, from..to, 0..dim];
        // `inplace` hands over the only reference, so that the write does not copy the cache.
        let (k, v) = &mut self.layers[layer];
        k.inplace(|k| k.slice_assign(range.clone(), keys));
        v.inplace(|v| v.slice_assign(range, values));
        Held { keys: k.clone(), values: v.clone(), tokens: to }
    }

    /// Becomes a copy of the first `len` tokens of `other`, a cache of the same model that holds as
    /// many; what it held is forgotten. Unlike a clone it has storage of its own.
    pub(crate) fn fork(&mut self, other: &Self, len: usize) {
        if len > 0 {
            for ((k, v), (other_k, other_v)) in self.layers.iter_mut().zip(&other.layers) {
                let [batch, heads, _, dim] = k.dims();
                let range = [0..batch, 0..heads, 0..len, 0..dim];
                let first = |x: &Tensor<4>| x.clone().narrow(2, 0, len);
                k.inplace(|k| k.slice_assign(range.clone(), first(other_k)));
                v.inplace(|v| v.slice_assign(range, first(other_v)));
            }
        }
        self.len = len;
    }

    /// What one layer holds of the first `tokens`, of which there are as many.
    pub(super) fn held(&self, layer: usize, tokens: usize) -> Held {
        let (keys, values) = &self.layers[layer];
        Held { keys: keys.clone(), values: values.clone(), tokens }
    }

    /// Values of one layer's tokens, `[1, G, len, D]`.
    pub(super) fn values(&self, layer: usize) -> Tensor<4> {
        self.layers[layer].1.clone().narrow(2, 0, self.len)
    }

    /// `[L, G, D]`.
    pub(super) fn shape(&self) -> [usize; 3] {
        let [_, kv_heads, _, dim] = self.layers.first().map_or([0; 4], |(k, _)| k.dims());
        [self.layers.len(), kv_heads, dim]
    }

    /// Bytes that its keys and values take, with the room for further tokens.
    pub fn allocated_bytes(&self) -> u64 {
        let bytes = |t: &Tensor<4>| t.dims().into_iter().product::<usize>() * t.dtype().size();
        self.layers.iter().map(|(k, v)| (bytes(k) + bytes(v)) as u64).sum()
    }

    /// One cache per layer, so that a layer can be freed before the next is looked at.
    pub fn into_single_layers(self) -> impl Iterator<Item = Self> {
        let (len, capacity) = (self.len, self.capacity);
        self.layers.into_iter().map(move |layer| Self { layers: vec![layer], len, capacity })
    }

    /// Keys and values layer by layer, `[1, G, capacity, D]` each, so that a layer can be freed
    /// before the next is looked at.
    pub(super) fn into_layers(self) -> impl Iterator<Item = (Tensor<4>, Tensor<4>)> {
        self.layers.into_iter()
    }

    /// Forgets all but the first `len` tokens; a longer `len` than the cache's changes nothing.
    pub fn rewind(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Counts `n` tokens that every layer has appended.
    pub(super) fn advance(&mut self, n: usize) {
        self.len += n;
    }
}
