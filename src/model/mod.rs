//! The language model: the only place that touches burn tensors.
//!
//! ```text
//! config.json ─► ModelConfig ─┐
//! *.safetensors ─► Checkpoint ┴► Decoder ─► Llama ── run(ids, KvCache) ─► logits, attention rows
//!
//! Llama ── prefill(ids, KvCache) ─► logits, TokenStats
//! Llama ── prefill_by_layer(ids) ─► a KvCache of one layer and its TokenStats, layer by layer
//! Llama ── prefill_with_map(ids) ─► TokenStats, AttentionMap of one head
//! Llama ── attributed(ids, answer, KvCache) ─► what every head does for the answer, by a reverse pass
//! KvCache, Kept ─► RaggedCache ── decode(id, RaggedCache) ─► logits, attention rows
//! ```

pub mod ablation;
pub mod attention_map;
pub mod capture;
pub mod checkpoint;
pub mod config;
pub mod cpu;
pub mod decoder;
pub mod device;
pub mod embedded;
pub mod export;
pub mod full_rows;
pub mod kv_cache;
pub mod layout;
pub mod llama;
pub mod planted;
pub mod projected_norms;
pub mod ragged_cache;
pub mod ragged_decode;
pub mod reverse;
pub mod rope;
pub mod speed;
pub mod token_stats;

mod attention;
mod numbers;
pub(crate) mod ops;
pub(crate) mod packed;
pub(crate) mod pass;
pub(crate) mod read_back;
mod safetensors_error;
mod shards;
mod transposed;
mod weight_source;
mod weights_file;

#[cfg(feature = "kernels")]
mod kernel_cache;
#[cfg(feature = "kernels")]
pub(crate) mod kernels;

pub use attention_map::{AttentionMap, MapOf};
pub use config::ModelConfig;
pub use device::{Compute, DeviceChoice, Devices};
pub use kv_cache::KvCache;
pub use llama::Llama;
pub use packed::{NoRows, RowSink};
pub use ragged_cache::RaggedCache;
pub use ragged_decode::{NewValue, RaggedRows, RaggedStep};
#[cfg(feature = "hub")]
pub(crate) use shards::shard_names;
pub use weight_source::WeightSource;
