//! How fast a device computes, and how much there is to compute.
//!
//! Two measurements, for two questions. [`Speed`] times a layer of the model's own shape, prefill
//! and decode, in a second: `--dry-run` says with it how long a run will take. [`Rates`] times
//! large products and copies, what the device does at best: `bench` says with it how near a run
//! comes to the limits of the machine.

mod estimate;
mod limits;
mod operations;

pub use estimate::Speed;
pub use limits::Rates;
pub use operations::{attention_flops, layer_weights, prompt_attention_flops, prompt_weights};
