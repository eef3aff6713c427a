//! GGUF files.

use headprof::chat::{ChatOptions, ChatTemplate};
use headprof::gguf::Place;
use headprof::model::checkpoint::Checkpoint;
use headprof::model::{Compute, ModelConfig};
use headprof::tokenizer::Tokenizer;
use safetensors::tensor::Dtype;

use super::model::runs;
use super::seeds::{config, weights};
use super::tokenizer::used;
use crate::fuzz::Target;
use crate::fuzz::target::alone;

#[path = "../../../../tests/common/gguf.rs"]
#[allow(dead_code, reason = "some parts are for tests of the library alone")]
mod writer;

use writer::GgufWriter;

/// `model.gguf`: of what is accepted everything is read, and the model is run.
pub static GGUF: Target = Target {
    name: "gguf",
    reads: "model.gguf",
    seeds: || {
        let pieces = ["<unk>", "<s>", "</s>", "a", "▁", "t", "h", "e", "th", "▁the"];
        let mut llama = GgufWriter::of_model(&config(), &[weights(Dtype::F32)]);
        llama.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", &pieces);
        llama.floats("tokenizer.ggml.scores", &[0., 0., 0., 0., -4., -5., -6., -7., -2., -1.]);
        llama.numbers("tokenizer.ggml.token_type", &[2, 3, 3, 1, 1, 1, 1, 1, 1, 1]);
        llama.number("tokenizer.ggml.bos_token_id", 1).number("tokenizer.ggml.eos_token_id", 2);
        let template = "{{ bos_token }}[{{ messages[0].content }}]";
        llama.text("tokenizer.chat_template", template);
        // A matrix in three blocks of Q8_0, and factors of frequencies.
        let block = [&[0x1f, 0x21][..], &[7; 32]].concat();
        llama.tensor("blk.0.ffn_gate.weight", &[12, 8], 8, block.repeat(3));
        llama.tensor("rope_freqs.weight", &[2], 0, 1.5f32.to_le_bytes().repeat(2));
        let mut bytes = GgufWriter::of_model(&config(), &[weights(Dtype::BF16)]);
        let tokens = ["t", "h", "e", "Ġ", "th", "the", "Ġthe", "<|im_end|>", "1", "a"];
        bytes.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
        bytes.texts("tokenizer.ggml.tokens", &tokens);
        bytes.texts("tokenizer.ggml.merges", &["t h", "th e", "Ġ the"]);
        bytes.numbers("tokenizer.ggml.token_type", &[1, 1, 1, 1, 1, 1, 1, 3, 1, 1]);
        bytes.number("tokenizer.ggml.eos_token_id", 7);
        vec![llama.bytes(), bytes.bytes()]
    },
    beside: alone,
    read: |folder, input| {
        let place = Place::open(&folder.put("model.gguf", input))?;
        let config = ModelConfig::at(&place)?;
        ChatTemplate::at(&place, &ChatOptions::new())?;
        used(&Tokenizer::at(&place)?)?;
        let compute = Compute::cpu();
        runs(config, Checkpoint::at(&place, &compute)?, &compute)
    },
};
