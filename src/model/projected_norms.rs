//! How much each token's value can add to the residual stream, per query head.

use burn::prelude::*;
use burn::tensor::DType;

use super::kv_cache::KvCache;
use super::llama::Llama;
use super::read_back;
use crate::error::Result;

/// Numbers of the residual stream that exist at a time: 64 MiB in f32.
const AT_ONCE: usize = 16 << 20;

impl Llama {
    /// `‖v_j · O_h‖₁`, `[L, H, T]`, of all values `v` that `cache` holds, where `O_h`, `[D, hidden]`,
    /// is query head `h`'s part of the output projection, without its bias.
    ///
    /// CriticalKV (Feng et al. 2025, <https://arxiv.org/abs/2502.03805>) weighs attention by it. It
    /// costs what the output projections of the prompt cost.
    ///
    /// # Errors
    /// [`crate::Error::Resources`] if the device fails.
    pub fn projected_value_norms(&self, cache: &KvCache) -> Result<Vec<f32>> {
        let c = self.config();
        let (tokens, dim) = (cache.len(), c.head_dim);
        let at_once = (AT_ONCE / c.hidden).max(1);
        let mut all = Vec::with_capacity(c.layers * c.heads * tokens);
        for layer in 0..c.layers {
            let (values, output) = (cache.values(layer), self.decoder().output_projection(layer));
            let mut norms = Vec::new();
            for h in 0..c.heads {
                let values = values.clone().narrow(1, h / c.group(), 1).reshape([tokens, dim]);
                let output = output.clone().narrow(0, h * dim, dim);
                norms.extend(
                    values.split(at_once, 0).into_iter().map(|values| {
                        values.matmul(output.clone()).cast(DType::F32).abs().sum_dim(1)
                    }),
                );
            }
            all.extend(read_back::floats(Tensor::cat(norms, 0), "norms of projected values")?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::model::llama::NoRows;
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
            let output: Vec<f32> = output.into_data().try_into_vec().unwrap();
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
}
