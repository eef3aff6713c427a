//! The tensors of a GGUF file under the names of the Hugging Face hub, and where their numbers are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anamnesis::{F32Out, GgufFrontMatter, OutputElement, dequantize_gguf_blocks};

use crate::error::{Error, Result};

/// How numbers are packed, by the names of ggml.
pub use anamnesis::GgufType as BlockType;

/// The factors of rotary frequencies.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// A tensor in a file.
#[derive(Debug, Clone)]
pub struct BlockTensor {
    /// The place of the file among those of the model.
    pub file: usize,
    /// How its numbers are packed.
    pub kind: BlockType,
    /// As on the hub: rows first, `[out, in]`.
    pub shape: Vec<usize>,
    /// Where its bytes are.
    pub at: Range<u64>,
    /// Of how many heads its rows are, if a head's are stored in the order of Meta's files, in
    /// which the two that are rotated together lie side by side: 0, D/2, 1, D/2 + 1, ...
    pub paired_heads: Option<usize>,
}

impl BlockTensor {
    /// Numbers and bytes of one block of `kind`; `None` for types that weights do not have.
    pub fn block(kind: BlockType) -> Option<(usize, usize)> {
        use BlockType::*;
        match kind {
            // The last has a second factor, in a tensor of its own.
            F64 | I8 | I16 | I32 | I64 | NVFP4 => None,
            kind => Some((kind.block_size(), kind.type_size()?)),
        }
    }
}

/// Widens whole blocks of `kind`, one behind the other, to `out`: exactly the numbers that ggml's
/// own reference computes, in f32.
///
/// # Errors
/// [`Error::Bug`] if `blocks` are not those of `out.len()` numbers, or `kind` has none.
pub fn widen(kind: BlockType, blocks: &[u8], out: &mut [f32]) -> Result<()> {
    let mut done = 0;
    let count = out.len();
    let widened = dequantize_gguf_blocks::<F32Out, _>(blocks, kind, count, |bytes| {
        let numbers = bytes.chunks_exact(F32Out::BYTES);
        for (out, bytes) in out[done..].iter_mut().zip(numbers) {
            // The chunks are of four bytes.
            *out = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        done += bytes.len() / F32Out::BYTES;
        Ok(())
    });
    widened.map_err(|e| Error::bug("blocks of numbers cannot be widened").got(e))
}

/// Adds the tensors of `front`, the header of the file number `i` at `path` with `len` bytes, to
/// `all`.
///
/// # Errors
/// [`Error::Model`] naming the tensor if its bytes leave a hole behind another's or are followed by
/// others (that all are there and none overlap is seen to with the header); if two have one name;
/// if it has more than two dimensions and no name of a weight.
pub(super) fn add(
    all: &mut BTreeMap<String, BlockTensor>,
    front: &GgufFrontMatter,
    i: usize,
    path: &Path,
    len: u64,
) -> Result<()> {
    let wrong = |name: &str, what: &str| {
        Error::model(format!("tensor {name} {what}"))
            .at(path.display())
            .advice("download the file again; compare its size with the hub's")
    };
    let mut ranges: Vec<(Range<u64>, &str)> = Vec::with_capacity(front.tensor_infos.len());
    for info in &front.tensor_infos {
        let Some(bytes) = info.byte_len else {
            return Err(wrong(&info.name, "has a type whose size is not known").got(info.dtype));
        };
        let end = info.data_offset.checked_add(bytes).ok_or_else(|| {
            wrong(&info.name, "lies beyond every file").got(format!("{bytes} bytes"))
        })?;
        let at = info.data_offset..end;
        ranges.push((at.clone(), &info.name));
        let shape = info.shape.iter().rev().copied().collect();
        let tensor = BlockTensor { file: i, kind: info.dtype, shape, at, paired_heads: None };
        if all.insert(hub_name(&info.name), tensor).is_some() {
            return Err(wrong(&info.name, "is stored twice"));
        }
    }
    ranges.sort_by_key(|(at, _)| (at.start, at.end));
    let alignment = u64::from(front.alignment);
    let padded = |end: u64| end.next_multiple_of(alignment);
    for pair in ranges.windows(2) {
        let ((first, _), (second, name)) = (&pair[0], &pair[1]);
        if second.start > padded(first.end) {
            return Err(wrong(name, "begins behind a hole")
                .got(format!("byte {}", second.start))
                .expected(format!("byte {}", padded(first.end))));
        }
    }
    match ranges.last() {
        Some((last, name)) if len > padded(last.end) => {
            Err(Error::model("bytes follow the last tensor")
                .at(path.display())
                .got(format!("{len} bytes"))
                .expected(format!("at most {}, where tensor {name} ends", padded(last.end)))
                .advice("download the file again; compare its size with the hub's"))
        }
        _ => Ok(()),
    }
}

/// The name on the Hugging Face hub of the tensor that ggml calls `name`; the same where it has
/// none.
fn hub_name(name: &str) -> String {
    const MODEL: [(&str, &str); 3] = [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
    ];
    const LAYER: [(&str, &str); 11] = [
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ];
    let of_layer = || {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let (_, hub) = LAYER.iter().find(|(ggml, _)| *ggml == part)?;
        Some(format!("model.layers.{layer}.{hub}.{kind}"))
    };
    let of_model = MODEL.iter().find(|(ggml, _)| *ggml == name).map(|(_, hub)| (*hub).to_owned());
    of_model.or_else(of_layer).unwrap_or_else(|| name.to_owned())
}

/// Notes that query and key weights of `heads` and `kv_heads` heads are in the order of Meta's
/// files.
pub(super) fn pair(all: &mut BTreeMap<String, BlockTensor>, heads: usize, kv_heads: usize) {
    for (name, tensor) in all {
        let of = |part: &str| name.starts_with("model.layers.") && name.contains(part);
        if of(".self_attn.q_proj.") {
            tensor.paired_heads = Some(heads);
        } else if of(".self_attn.k_proj.") {
            tensor.paired_heads = Some(kv_heads);
        }
    }
}

/// `rows` of `heads` heads of an even number of rows each, `[rows, width]`, from the order of
/// Meta's files to that of the hub: 0, 1, ..., D - 1.
pub fn unpaired<T: Copy>(rows: &[T], heads: usize, width: usize) -> Vec<T> {
    let dim = rows.len() / (heads * width);
    let mut out = Vec::with_capacity(rows.len());
    for head in rows.chunks_exact(dim * width) {
        let row = |i: usize| &head[i * width..(i + 1) * width];
        for half in 0..2 {
            (0..dim / 2).for_each(|i| out.extend_from_slice(row(2 * i + half)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub() {
        for (ggml, hub) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("output.weight", "lm_head.weight"),
            ("blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias"),
            ("blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight"),
            ("blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
            ("rope_freqs.weight", "rope_freqs.weight"),
            ("blk.3.ffn_gate_exps.weight", "blk.3.ffn_gate_exps.weight"),
        ] {
            assert_eq!(hub_name(ggml), hub);
        }
    }

    /// Two heads of four rows of two numbers, by hand.
    #[test]
    fn rows_of_a_head_are_put_back_in_order() {
        let meta = [0, 0, 2, 2, 1, 1, 3, 3, 4, 4, 6, 6, 5, 5, 7, 7];
        let hub = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7];
        assert_eq!(unpaired(&meta, 2, 2), hub);
    }
}
