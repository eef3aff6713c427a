//! `model.safetensors` that is cut off, too long, or lies about itself.

use std::fs::File;

use serde_json::{Value, json};

use super::tiny::{Tiny, assemble, file, parts};
use super::{load, refused};

/// The tiny checkpoint with other bytes as its weights.
fn with_weights(bytes: &[u8]) -> Result<headprof::model::Llama, headprof::Error> {
    let dir = Tiny::default().folder_without_weights();
    std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    load(dir.path())
}

/// The tiny checkpoint with a changed header.
fn with_header(change: impl FnOnce(&mut serde_json::Map<String, Value>, &mut Vec<u8>)) -> Vec<u8> {
    let (mut header, mut data) = parts(&Tiny::default().tensors);
    change(&mut header, &mut data);
    assemble(&Value::Object(header).to_string(), &data)
}

#[test]
fn a_file_cut_off_anywhere_names_its_size_and_the_size_it_should_have() {
    let whole = file(&Tiny::default().tensors);
    let header = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let size = whole.len().to_string();
    // "the last tensor" in the order of the data is the last one written.
    let last = Tiny::default().tensors.last().unwrap().name.clone();
    for (bytes, named) in [
        (0, vec!["0 bytes", "empty", "at least 8 bytes"]),
        (4, vec!["4 bytes", "at least 8 bytes"]),
        (8, vec!["8 bytes", "cut off in its header"]),
        (8 + header / 2, vec!["cut off in its header", "bytes of header"]),
        (8 + header, vec!["cut off in tensor model.embed_tokens.weight", &size]),
        (whole.len() - 1, vec!["cut off in tensor", &last, &size]),
    ] {
        let text = refused(with_weights(&whole[..bytes]), &named);
        assert!(text.contains("model.safetensors"), "{text}");
        assert!(text.contains(&bytes.to_string()), "{bytes}: {text}");
    }
    assert!(with_weights(&whole).is_ok());
}

#[test]
fn every_cut_is_refused() {
    let whole = file(&Tiny::default().tensors);
    for bytes in (0..whole.len()).step_by(97) {
        refused(with_weights(&whole[..bytes]), &["model.safetensors"]);
    }
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let mut whole = file(&Tiny::default().tensors);
    let size = whole.len().to_string();
    whole.push(0);
    let last = Tiny::default().tensors.last().unwrap().name.clone();
    refused(with_weights(&whole), &["goes on after its last tensor", &last, &size]);
}

/// Peak resident memory of this process so far, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn huge_header_lengths_are_refused_without_reading_them() {
    #[cfg(target_os = "linux")]
    let before = peak_kib();
    for length in [1u64 << 63, u64::MAX, u64::MAX - 7, 100_000_001] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        let length = length.to_string();
        refused(with_weights(&bytes), &["too large", &length, "100000000"]);
    }
    // A file that really is that long, without taking the space on disk.
    let dir = Tiny::default().folder_without_weights();
    let path = dir.path().join("model.safetensors");
    let length = 101 * 1_000_000u64;
    std::fs::write(&path, length.to_le_bytes()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(8 + length + 64).unwrap();
    refused(load(dir.path()), &["too large", "101000000 bytes of header"]);
    #[cfg(target_os = "linux")]
    assert!(peak_kib() - before < 64 * 1024, "{} KiB", peak_kib() - before);
}

#[test]
fn a_header_that_is_no_header_is_refused() {
    let nested = format!("{{\"a\":{}", "[".repeat(100_000));
    for header in ["", "[]", "null", "{\"a\":1}", "{\"a\":{\"dtype\":\"F32\"}}", "{", &nested] {
        refused(with_weights(&assemble(header, &[])), &["not a safetensors file"]);
    }
    let invalid_utf8 = [&3u64.to_le_bytes()[..], b"\xff\xfe\xfd"].concat();
    refused(with_weights(&invalid_utf8), &["not a safetensors file"]);
    // A negative size, a size beyond 64 bits, a type that does not exist.
    for (key, value) in [
        ("shape", json!([-1, 8])),
        ("shape", json!([1e30, 8])),
        ("data_offsets", json!([0])),
        ("dtype", json!("F33")),
    ] {
        let bytes = with_header(|header, _| header["lm_head.weight"][key] = value.clone());
        refused(with_weights(&bytes), &["not a safetensors file"]);
    }
}

/// `model.norm.weight`, the second tensor, has 8 f32 that begin after the embedding's 10 x 8.
#[test]
fn overlaps_and_holes_are_refused_by_name() {
    let norm = "model.norm.weight";
    for offsets in [[316, 348], [324, 356], [0, 32], [320, 316]] {
        let bytes = with_header(|header, _| {
            assert_eq!(header[norm]["data_offsets"], json!([320, 352]));
            header[norm]["data_offsets"] = json!(offsets);
        });
        refused(with_weights(&bytes), &["overlaps another or leaves a hole", "data_offsets ["]);
    }
    // A hole, and data moved to match: only the tensor after the hole is wrong.
    let bytes = with_header(|header, data| {
        for info in header.values_mut() {
            for i in 0..2 {
                let offset = info["data_offsets"][i].as_u64().unwrap();
                let moved = offset + if offset > 320 || (offset == 320 && i == 0) { 4 } else { 0 };
                info["data_offsets"][i] = json!(moved);
            }
        }
        data.splice(320..320, [0; 4]);
    });
    refused(
        with_weights(&bytes),
        &["tensor model.norm.weight overlaps", "[324, 356]", "begins at 320"],
    );
}

#[test]
fn shapes_that_do_not_fit_their_bytes_or_any_memory_are_refused_by_name() {
    let name = "model.layers.1.self_attn.v_proj.weight";
    for (shape, named) in [
        (json!([8, 9]), "288 bytes for shape [8, 9]"),
        (json!([0, 8]), "0 bytes for shape [0, 8]"),
        (json!([1u64 << 32, 1u64 << 32]), "larger than any memory"),
        (json!([u64::MAX, 2]), "larger than any memory"),
        (json!([u64::MAX]), "larger than any memory"),
        (json!([1u64 << 62]), "larger than any memory"),
    ] {
        let bytes = with_header(|header, _| header[name]["shape"] = shape);
        refused(with_weights(&bytes), &[name, named]);
    }
    // Offsets at the end of the 64-bit range do not wrap around.
    let bytes = with_header(|header, _| {
        let last = "model.layers.1.post_attention_layernorm.weight";
        let begin = header[last]["data_offsets"][0].clone();
        header[last]["data_offsets"] = json!([begin, u64::MAX]);
    });
    refused(with_weights(&bytes), &["model.layers.1.post_attention_layernorm.weight"]);
}
