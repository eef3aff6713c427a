//! needle-llama: the small Llama that is part of the program, trained by
//! `tools/src/bin/train_needle_llama` to find needles.

use burn::tensor::DType;

use super::checkpoint::Checkpoint;
use super::config::ModelConfig;
use super::device::Compute;
use super::llama::Llama;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Its name with `--model`, and in file names.
pub const NAME: &str = "needle-llama";

const CONFIG: &[u8] = include_bytes!("../../models/needle-llama/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../models/needle-llama/tokenizer.json");
static WEIGHTS: &[u8] = include_bytes!("../../models/needle-llama/model.safetensors");

/// Its shape.
///
/// # Errors
/// None in a build whose tests pass; the type is that of [`ModelConfig::parse`].
pub fn needle_llama_config() -> Result<ModelConfig> {
    let config = ModelConfig::parse(CONFIG, None, "needle-llama/config.json")?;
    Ok(ModelConfig { saved: DType::F16, ..config })
}

/// Its tokenizer.
///
/// # Errors
/// None in a build whose tests pass; the type is that of [`Tokenizer::from_bytes`].
pub fn needle_llama_tokenizer() -> Result<Tokenizer> {
    Tokenizer::from_bytes(TOKENIZER, "needle-llama/tokenizer.json")
}

/// The model, on `compute`.
///
/// # Errors
/// None in a build whose tests pass, unless the device fails; the type is that of [`Llama::new`].
pub fn needle_llama(compute: &Compute) -> Result<Llama> {
    let checkpoint = Checkpoint::embedded(WEIGHTS, NAME, compute)?;
    Llama::new(needle_llama_config()?, checkpoint, compute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_tokenizer_and_weights_belong_together() {
        let (config, tokenizer) =
            (needle_llama_config().unwrap(), needle_llama_tokenizer().unwrap());
        assert!(tokenizer.vocab_size() <= config.vocab);
        let model = needle_llama(&Compute::cpu()).unwrap();
        assert_eq!(model.config(), &config);
        assert!(model.warnings().is_empty(), "{:?}", model.warnings());
        assert_eq!(model.decoder().output_projection(0).dtype(), config.saved);
        // Whoever changes the shape sees what it costs: the file has two bytes per weight.
        assert!(WEIGHTS.len() <= 12 << 20, "{} bytes", WEIGHTS.len());
    }
}
