//! What several kernels begin or end with: where a cube's queries stand, products of some queries
//! and some keys, sums over a cube.

use cubecl::prelude::*;

/// Units of a cube, as a square of queries and keys, or queries and dimensions.
pub(super) const UNITS: usize = SIDE * SIDE;
pub(super) const SIDE: usize = 16;
/// Queries of a tile.
pub(super) const QUERIES: usize = 32;
/// Keys of a tile.
pub(super) const KEYS: usize = 64;
/// Dimensions of queries and keys that are in shared memory at a time.
const SLICE: usize = 16;
/// Numbers of a unit's products along queries and keys.
pub(super) const DOWN: usize = QUERIES / SIDE;
pub(super) const ACROSS: usize = KEYS / SIDE;
/// From row to row in shared memory: odd, so that rows begin in different banks.
const PITCH: usize = SLICE + 1;

/// Some queries of a head, and the keys that they may see.
#[derive(CubeType)]
pub(super) struct Stretch {
    /// The first query of the cube, and how many there are of all.
    pub first_query: usize,
    pub queries: usize,
    /// Position of the first query of the cube, and of the last.
    pub first: usize,
    pub last: usize,
    /// Tokens that are there, and how many of them a query sees at most.
    pub tokens: usize,
    pub window: usize,
}

#[cube]
impl Stretch {
    /// `count` queries from `first_query` on, or as many as there are, of the newest `queries`.
    pub fn new(
        first_query: usize,
        count: usize,
        queries: usize,
        tokens: usize,
        window: usize,
    ) -> Stretch {
        Stretch {
            first_query,
            queries,
            first: tokens - queries + first_query,
            last: tokens - queries + min(first_query + count, queries) - 1,
            tokens,
            window,
        }
    }

    /// The first key that the first query sees.
    pub fn first_key(&self) -> usize {
        let mut key = 0usize;
        if self.first + 1 > self.window {
            key = self.first + 1 - self.window;
        }
        key
    }

    /// Whether the cube's query `q` sees the key at position `key`.
    pub fn sees(&self, q: usize, key: usize) -> bool {
        key <= self.first + q && key + self.window > self.first + q
    }
}

/// Shared memory for [`products`].
#[derive(CubeType)]
pub(super) struct Slices {
    queries: Shared<[f32]>,
    keys: Shared<[f32]>,
}

#[cube]
impl Slices {
    pub fn new() -> Slices {
        Slices {
            queries: Shared::<[f32]>::new_slice(QUERIES * PITCH),
            keys: Shared::<[f32]>::new_slice(KEYS * PITCH),
        }
    }
}

/// Products of the cube's queries of a head, which begins at `begin_q`, and [`KEYS`] keys from
/// token `start` of the KV head that begins at `begin_k`; what is not there counts as 0.
///
/// A unit has those of the queries `down + SIDE · i` and the keys `across + SIDE · j`, at `i ·
/// ACROSS + j`. Barriers: every unit passes all, two for each slice of the dimensions.
#[cube]
#[allow(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub(super) fn products<F: Float>(
    query: &Tensor<F>,
    keys: &Tensor<F>,
    begin_q: usize,
    begin_k: usize,
    of: &Stretch,
    start: usize,
    slices: &mut Slices,
    #[comptime] dim: usize,
) -> Array<f32> {
    let unit = UNIT_POS_X as usize;
    let (down, across) = (unit / SIDE, unit % SIDE);
    let mut products = Array::<f32>::new(DOWN * ACROSS);
    #[unroll]
    for i in 0..DOWN * ACROSS {
        products[i] = f32::new(0.0);
    }
    let mut d = 0usize;
    while d < dim {
        let mut i = unit;
        while i < QUERIES * SLICE {
            let (q, at) = (i / SLICE, i % SLICE);
            let mut number = f32::new(0.0);
            if of.first_query + q < of.queries && d + at < dim {
                let place = begin_q + (of.first_query + q) * query.stride(2) + d + at;
                number = f32::cast_from(query[place]);
            }
            slices.queries[q * PITCH + at] = number;
            i += UNITS;
        }
        let mut i = unit;
        while i < KEYS * SLICE {
            let (k, at) = (i / SLICE, i % SLICE);
            let mut number = f32::new(0.0);
            if start + k < of.tokens && d + at < dim {
                number = f32::cast_from(keys[begin_k + (start + k) * keys.stride(2) + d + at]);
            }
            slices.keys[k * PITCH + at] = number;
            i += UNITS;
        }
        sync_cube();
        for at in 0..SLICE {
            let mut own = Array::<f32>::new(ACROSS);
            #[unroll]
            for j in 0..ACROSS {
                own[j] = slices.keys[(across + j * SIDE) * PITCH + at];
            }
            #[unroll]
            for i in 0..DOWN {
                let q = slices.queries[(down + i * SIDE) * PITCH + at];
                #[unroll]
                for j in 0..ACROSS {
                    products[i * ACROSS + j] += q * own[j];
                }
            }
        }
        sync_cube();
        d += SLICE;
    }
    products
}

/// The sum of every unit's `own`, the same for all; `units`, a power of two, are the cube's.
///
/// Barriers: every unit passes all. The first lets those finish who still read the sum before.
#[cube]
pub(super) fn sum_of_cube(
    shares: &mut Shared<[f32]>,
    own: f32,
    unit: usize,
    #[comptime] units: usize,
) -> f32 {
    sync_cube();
    shares[unit] = own;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            shares[unit] += shares[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    shares[0]
}
