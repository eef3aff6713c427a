//! How much each token's value can add to the residual stream, per query head.

use burn::prelude::*;
use burn::tensor::DType;

use super::kv_cache::KvCache;
use super::llama::Llama;
use super::ops::products;
use super::read_back;
use crate::error::Result;

/// Numbers of the residual stream that exist at a time: 64 MiB in f32.
const AT_ONCE: usize = 16 << 20;

impl Llama {
    /// `‖v_j · O_h‖₁`, `[L, H, T]`, of all values `v` that `cache` holds, where `O_h`, `[D,
    /// hidden]`, is query head `h`'s part of the output projection, without its bias.
    ///
    /// CriticalKV (Feng et al. 2025, <https://arxiv.org/abs/2502.03805>) weighs attention by it. It
    /// costs what the output projections of the prompt cost, and a pass over their results.
    ///
    /// # Errors
    /// [`crate::Error::Resources`] if the device fails.
    pub fn projected_value_norms(&self, cache: &KvCache) -> Result<Vec<f32>> {
        let c = self.config();
        let mut all = Vec::with_capacity(c.layers * c.heads * cache.len());
        for layer in 0..c.layers {
            all.extend(self.projected_norms(layer, cache.values(layer))?);
        }
        Ok(all)
    }

    /// `‖v · O_h‖₁`, `[H, n]`, of `values`, `[1, G, n, D]`, in `layer`.
    ///
    /// # Errors
    /// [`crate::Error::Resources`] if the device fails.
    pub(super) fn projected_norms(&self, layer: usize, values: Tensor<4>) -> Result<Vec<f32>> {
        let c = self.config();
        let [_, _, tokens, dim] = values.dims();
        let at_once = (AT_ONCE / c.hidden).max(1);
        let output = self.decoder().output_projection(layer);
        let mut norms = Vec::new();
        for h in 0..c.heads {
            let values = values.clone().narrow(1, h / c.group(), 1).reshape([tokens, dim]);
            let output = output.clone().narrow(0, h * dim, dim);
            norms.extend(values.split(at_once, 0).into_iter().map(|values| {
                let [projected] = products(&values, [&output]);
                projected.cast(DType::F32).abs().sum_dim(1)
            }));
        }
        read_back::floats(Tensor::cat(norms, 0), "norms of projected values")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::TensorData;

    use crate::budget::BudgetOptions;
    use crate::eviction::{EvictionOptions, ValueNorm, Wanted, by_name};
    use crate::heads::{CacheHeads, Granularity};
    use crate::model::NoRows;
    use crate::model::checkpoint::Checkpoint;
    use crate::model::export::{Precision, to_safetensors};
    use crate::model::{Compute, Llama};

    /// 4 query heads over 2 KV heads; the output projection has a bias, which must not count.
    #[test]
    fn every_query_head_projects_its_own_way() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let (ids, mut cache) = ([5, 17, 80, 3, 44], model.new_cache(7));
        model.run(&ids, &mut cache, 16, 0, &mut NoRows).unwrap();
        let got = model.projected_value_norms(&cache).unwrap();
        let (mut want, dim, hidden) = (Vec::new(), 8, 32);
        for layer in 0..2 {
            let values: Vec<f32> = cache.values(layer).into_data().try_into_vec().unwrap();
            let output = model.decoder().output_projection(layer);
            let output: Vec<f32> = output.into_data().try_into_vec_as().unwrap();
            for h in 0..4 {
                for j in 0..ids.len() {
                    let value = &values[(h / 2 * ids.len() + j) * dim..][..dim];
                    let entry = |o: usize| -> f32 {
                        (0..dim).map(|d| value[d] * output[(h * dim + d) * hidden + o]).sum()
                    };
                    want.push((0..hidden).map(|o| entry(o).abs()).sum::<f32>());
                }
            }
        }
        assert_eq!(got.len(), 2 * 4 * ids.len());
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= 1e-5 * want && *want > 0.0, "{got} {want}");
        }
    }

    /// 4 heads of 8 dimensions, a stream of 32: with the identity as output projection every head
    /// puts its value out as it is, and the scores are those of the l1 norm but for the epsilon.
    #[test]
    fn behind_the_identity_it_is_the_l1_norm() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let compute = Compute::cpu();
        let model = Llama::from_dir(&dir, &compute).unwrap();
        let (mut weights, hidden) = (model.decoder().weights(), 32);
        for (_, data) in weights.iter_mut().filter(|(name, _)| name.ends_with("o_proj.weight")) {
            let one = |i: usize| f32::from(u8::from(i / hidden == i % hidden));
            *data = TensorData::new((0..hidden * hidden).map(one).collect(), [hidden, hidden]);
        }
        let bytes = to_safetensors(weights, Precision::F32).unwrap();
        let source = Checkpoint::in_memory(bytes, "identity", &compute);
        let model = Llama::new(model.config().clone(), source.unwrap(), &compute).unwrap();
        let method = by_name("h2o+vatp").unwrap();
        let options = |value_norm| EvictionOptions {
            value_norm,
            ..EvictionOptions::new(BudgetOptions::default())
        };
        let (l1, projected) = (options(ValueNorm::L1), options(ValueNorm::Projected));
        let mut wanted = Wanted::default();
        for options in [&l1, &projected] {
            wanted.add(&method.wanted(options));
        }
        let ids: Vec<u32> = (0..30).map(|i| i * 37 % 96).collect();
        let (_, stats) = model.prefill(&ids, &mut model.new_cache(30), 16, &wanted).unwrap();
        for granularity in [Granularity::KvHead, Granularity::QueryHead] {
            let heads = CacheHeads { layers: 2, heads: 4, kv_heads: 2, granularity };
            for layer in 0..2 {
                let scores = |options| {
                    let score = method.token_score().unwrap();
                    score.scores(&stats, layer, &heads, options).unwrap()
                };
                let norms = stats.value_norms(ValueNorm::L1, layer).unwrap();
                let (plain, got) = (scores(&l1), scores(&projected));
                assert_eq!(got.len(), heads.stored() * (30 - 8));
                for (i, (plain, got)) in plain.iter().zip(&got).enumerate() {
                    let norm = norms[heads.kv_head(i / 22) * 30 + i % 22];
                    let want = plain + ValueNorm::Projected.epsilon() * norm;
                    assert!((got - want).abs() <= 1e-5 * want && norm > 0.0, "{got} {want}");
                }
            }
        }
    }
}
