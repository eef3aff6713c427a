//! How much there is to compute: operations of attention, weights that a token meets.

use crate::model::config::ModelConfig;
use crate::model::layout::Projection;

/// Operations of attention over a prompt of `tokens`, all layers: two products of `D` numbers for
/// every query head and every token that a token sees, in its layer's window.
pub fn attention_flops(config: &ModelConfig, tokens: usize) -> f64 {
    let pairs = |window: &Option<usize>| {
        let seen = window.unwrap_or(tokens).min(tokens) as f64;
        seen * (seen + 1.0) / 2.0 + (tokens as f64 - seen) * seen
    };
    let layers = config.sliding_window.iter().take(config.layers);
    4.0 * (config.heads * config.head_dim) as f64 * layers.map(pairs).sum::<f64>()
}

/// The same of a prompt whose last token alone is followed behind the last layer; that one's own
/// are left out.
pub fn prompt_attention_flops(config: &ModelConfig, tokens: usize) -> f64 {
    let layers = config.layers.saturating_sub(1);
    attention_flops(&ModelConfig { layers, ..config.clone() }, tokens)
}

/// Weights that every token of such a prompt meets: those of all layers, but of the last those for
/// keys and values alone.
pub fn prompt_weights(config: &ModelConfig) -> f64 {
    let keys_and_values = Projection::Key.numbers(config) + Projection::Value.numbers(config);
    config.layers.saturating_sub(1) as f64 * layer_weights(config) + keys_and_values as f64
}

/// Weights of one layer's products.
pub fn layer_weights(config: &ModelConfig) -> f64 {
    Projection::ALL.iter().map(|projection| projection.numbers(config) as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embedded::needle_llama_config;

    /// 3 tokens see 1 + 2 + 3 tokens; 8 heads of 32 numbers; two products of 2 operations each; 6
    /// layers. In a window of 2 they see 1 + 2 + 2.
    #[test]
    fn operations_by_hand() {
        let mut config = needle_llama_config().unwrap();
        assert_eq!(attention_flops(&config, 3), (6 * 4 * 8 * 32 * 6) as f64);
        config.sliding_window[1] = Some(2);
        config.sliding_window[2] = Some(3);
        assert_eq!(attention_flops(&config, 3), ((5 * 6 + 5) * 4 * 8 * 32) as f64);
        // q 256·256, k and v 256·128 each, o 256·256, gate, up and down 256·640 each.
        let weights = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 640;
        assert_eq!(layer_weights(&config), weights as f64);
    }

    /// Five layers whole, of the sixth keys and values alone.
    #[test]
    fn the_last_layer_has_keys_and_values_for_all_tokens() {
        let config = needle_llama_config().unwrap();
        assert_eq!(prompt_weights(&config), 5.0 * layer_weights(&config) + 2.0 * 256.0 * 128.0);
        let five = ModelConfig { layers: 5, ..config.clone() };
        assert_eq!(prompt_attention_flops(&config, 3), attention_flops(&five, 3));
    }
}
