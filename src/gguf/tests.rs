use std::path::Path;
use std::sync::Arc;

use safetensors::SafeTensors;

use super::samples::{add_bytes, fixtures, on_disk, opened, opened_bytes, repository, sample};
use super::writer::{GgufWriter, TYPE_F16, TYPE_F32};
use super::*;
use crate::model::ModelConfig;
use crate::model::config::RopeScaling;
use crate::tokenizer::samples;

#[test]
fn configurations_are_those_of_the_folders() {
    let mut compared = 0;
    for dir in fixtures() {
        let want = ModelConfig::from_dir(&dir).unwrap();
        if !want.assumed.is_empty() || dir.ends_with("qwen2-window-above") {
            // A GGUF file says everything, and nothing of Qwen's windows.
            continue;
        }
        compared += 1;
        let mut file = GgufWriter::of_checkpoint(&dir);
        if let [eos] = want.eos[..] {
            file.number("tokenizer.ggml.eos_token_id", eos);
        }
        let got = ModelConfig::at(&Place::Gguf(Arc::new(on_disk(&file)))).unwrap();
        let name = dir.display();
        assert!((got.rms_eps - want.rms_eps).abs() < 1e-12, "{name}");
        let factors = matches!(got.rope.scaling, RopeScaling::Factors(_));
        let llama3 = matches!(want.rope.scaling, RopeScaling::Llama3 { .. });
        assert_eq!(factors, llama3, "{name}");
        let mut alike = got.clone();
        alike.rms_eps = want.rms_eps;
        alike.assumed.clone_from(&want.assumed);
        alike.max_positions = want.max_positions;
        if want.eos.len() != 1 {
            alike.eos.clone_from(&want.eos);
        }
        if llama3 {
            alike.rope = want.rope.clone();
        }
        assert_eq!(alike, want, "{name}");
    }
    assert_eq!(compared, 9);
}

/// Every type's blocks against the numbers of the gguf package, bit for bit.
#[test]
fn blocks_are_widened_to_the_numbers_of_the_gguf_package() {
    let dir = repository().join("tests/fixtures/gguf");
    let gguf = opened_bytes_of(&dir.join("blocks.gguf"));
    let raw = std::fs::read(dir.join("blocks.gguf")).unwrap();
    let want = std::fs::read(dir.join("blocks.safetensors")).unwrap();
    let want = SafeTensors::deserialize(&want).unwrap();
    assert_eq!(gguf.tensors().len(), 24);
    for (name, tensor) in gguf.tensors() {
        assert_eq!(tensor.kind.to_string(), *name);
        let (numbers, bytes) = (tensor.kind.block_size(), tensor.kind.type_size().unwrap());
        let blocks = &raw[tensor.at.start as usize..tensor.at.end as usize];
        let view = want.tensor(name).unwrap();
        assert_eq!(view.shape(), tensor.shape);
        if name == "BF16" {
            // No blocks: read as such, which tests of checkpoints see to.
            assert!(blocks.iter().copied().eq(bf16_of(view.data())), "{name}");
            continue;
        }
        let mut out = vec![0f32; blocks.len() / bytes * numbers];
        widen(tensor.kind, blocks, &mut out).unwrap();
        let out: Vec<u8> = out.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(out == view.data(), "{name}");
    }
}

/// The upper halves of numbers in f32.
fn bf16_of(wide: &[u8]) -> impl Iterator<Item = u8> {
    wide.chunks_exact(4).flat_map(|number| [number[2], number[3]])
}

fn opened_bytes_of(path: &Path) -> Gguf {
    Gguf::open(path).unwrap()
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let mut file = sample();
    file.texts("tokenizer.ggml.tokens", &["a", "b"]);
    let bytes = file.bytes();
    let gguf = opened_bytes(&bytes).unwrap();
    let end = gguf.tensors().values().map(|tensor| tensor.at.end).max().unwrap() as usize;
    let header = gguf.tensors().values().map(|tensor| tensor.at.start).min().unwrap() as usize;
    let cuts = (0..header).step_by(7).chain((header..end).step_by(4099)).chain([end - 1]);
    for cut in cuts {
        let e = opened_bytes(&bytes[..cut]).unwrap_err();
        assert_eq!(e.exit_code(), 4, "{cut}");
        let e = e.to_string();
        assert!(e.contains("model.gguf"), "{cut}: {e}");
        assert!(cut < header || e.contains(&format!("file size {cut}")), "{cut}: {e}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let e = opened_bytes(&longer).unwrap_err().to_string();
    assert!(e.contains("bytes follow the last tensor"), "{e}");
}

/// Where `of` stands in `bytes`, behind itself.
fn behind(bytes: &[u8], of: &str) -> usize {
    let at = bytes.windows(of.len()).position(|window| window == of.as_bytes()).unwrap();
    at + of.len()
}

#[test]
fn tensors_that_overlap_or_leave_holes_are_refused_by_name() {
    let mut file = GgufWriter::default();
    file.text("general.architecture", "qwen2");
    for name in ["one", "two", "three"] {
        file.tensor(name, &[8], TYPE_F32, vec![0; 32]);
    }
    let bytes = file.bytes();
    assert_eq!(opened_bytes(&bytes).unwrap().tensors().len(), 3);
    // Behind a name: the number of dimensions, one dimension, the type; then the offset.
    let offset = |name: &str| behind(&bytes, name) + 4 + 8 + 4;
    let with = |name: &str, offset_of: u64| {
        let mut bytes = bytes.clone();
        bytes[offset(name)..offset(name) + 8].copy_from_slice(&offset_of.to_le_bytes());
        opened_bytes(&bytes).unwrap_err().to_string()
    };
    assert!(with("two", 0).contains("overlap"), "{}", with("two", 0));
    assert!(with("one", 32).contains("overlap"));
    assert!(with("three", 1 << 40).contains("exceeds file size"));
    assert!(with("three", u64::MAX - 8).contains("model.gguf"));
    let mut hole = bytes.clone();
    hole[offset("three")..offset("three") + 8].copy_from_slice(&128u64.to_le_bytes());
    hole.extend([0; 64]);
    let e = opened_bytes(&hole).unwrap_err().to_string();
    assert!(e.contains("tensor three begins behind a hole"), "{e}");
    let mut longer = file.clone();
    longer.tensor("three", &[8], TYPE_F32, vec![0; 96]);
    let e = opened(&longer).unwrap_err().to_string();
    assert!(e.contains("bytes follow the last tensor") && e.contains("three"), "{e}");
    // A shape that no memory holds.
    let mut huge = bytes.clone();
    let at = behind(&bytes, "two") + 4;
    huge[at..at + 8].copy_from_slice(&(1u64 << 62).to_le_bytes());
    let e = opened_bytes(&huge).unwrap_err();
    assert!(e.exit_code() == 4 && e.to_string().contains("model.gguf"), "{e}");
    // A type that is none.
    let mut other = bytes.clone();
    other[at + 8..at + 12].copy_from_slice(&77u32.to_le_bytes());
    let e = opened_bytes(&other).unwrap_err().to_string();
    assert!(e.contains("77"), "{e}");
}

#[test]
fn what_is_no_gguf_is_refused() {
    for (bytes, part) in [
        (&b""[..], "0 bytes"),
        (b"{\"a\": 1}", "8 bytes that begin with"),
        (b"GGUF", "cut off"),
        (b"GGUF\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "version"),
        (b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0", "beyond its limit"),
    ] {
        let e = opened_bytes(bytes).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        let e = e.to_string();
        assert!(e.contains(part) && e.contains("model.gguf"), "{part}: {e}");
    }
}

/// Each key that is missing, of another type or of an impossible value is named.
#[test]
fn bad_metadata_are_named() {
    let configured = |file: &GgufWriter| opened(file).and_then(|gguf| gguf.config());
    let tokenized = |file: &GgufWriter| opened(file).and_then(|gguf| gguf.tokenizer());
    configured(&sample()).unwrap();
    tokenized(&sample()).unwrap();
    let refused = |e: Error, key: &str| {
        let text = e.to_string();
        assert!(e.exit_code() == 4 && text.contains(key) && text.contains("model.gguf"), "{text}");
    };
    let architecture = "general.architecture";
    refused(configured(sample().without(architecture)).unwrap_err(), architecture);
    refused(configured(sample().number(architecture, 1)).unwrap_err(), architecture);
    for key in [
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
    ] {
        refused(configured(sample().without(key)).unwrap_err(), key);
        refused(configured(sample().text(key, "no number")).unwrap_err(), key);
        refused(configured(sample().texts(key, &["x"])).unwrap_err(), key);
    }
    refused(configured(sample().number("llama.block_count", 0)).unwrap_err(), "llama.block_count");
    refused(
        configured(sample().number("llama.expert_count", 8)).unwrap_err(),
        "llama.expert_count",
    );
    let heads = "llama.attention.head_count";
    refused(configured(sample().numbers(heads, &[4, 2])).unwrap_err(), heads);
    let scaling = "llama.rope.scaling.type";
    // Without a kind a factor is linear, by its name of today and by an older one.
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let config = configured(sample().float(key, 4.0)).unwrap();
        assert_eq!(
            config["rope_scaling"],
            serde_json::json!({"rope_type": "linear", "factor": 4.0})
        );
        assert!(configured(sample().float(key, 1.0)).unwrap().get("rope_scaling").is_none());
    }
    refused(configured(sample().text(scaling, "yarn")).unwrap_err(), scaling);
    let rotated = "llama.rope.dimension_count";
    refused(configured(sample().number(rotated, 2)).unwrap_err(), rotated);
    let e = configured(sample().text("general.architecture", "gemma3")).unwrap_err();
    assert!(
        e.to_string().contains("gemma3") && e.to_string().contains("llama, qwen2, qwen3"),
        "{e}"
    );

    for key in ["tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores"] {
        refused(tokenized(sample().without(key)).unwrap_err(), key);
        refused(tokenized(sample().number(key, 3)).unwrap_err(), key);
    }
    for (key, n) in [("tokenizer.ggml.scores", 3), ("tokenizer.ggml.token_type", 4)] {
        let e = match n {
            3 => tokenized(sample().floats(key, &[0.0; 3])),
            _ => tokenized(sample().numbers(key, &[1; 4])),
        };
        refused(e.unwrap_err(), key);
    }
    refused(
        tokenized(sample().number("tokenizer.ggml.bos_token_id", 1 << 30)).unwrap_err(),
        "tokenizer.ggml.bos_token_id",
    );
    refused(
        tokenized(sample().texts("tokenizer.ggml.tokens", &["a", "b", "a"])).unwrap_err(),
        "tokenizer.ggml.tokens",
    );
    let mut bytes = sample();
    add_bytes(&mut bytes, &samples::byte_level_json(), "unheard-of");
    let e = tokenized(&bytes).unwrap_err();
    refused(e.clone(), "tokenizer.ggml.pre");
    assert!(e.to_string().contains("unheard-of") && e.to_string().contains("llama-bpe"), "{e}");
    bytes.text("tokenizer.ggml.pre", "qwen2").texts("tokenizer.ggml.merges", &["ab"]);
    refused(tokenized(&bytes).unwrap_err(), "tokenizer.ggml.merges");
}

/// What the reader finds when it builds the model of a file.
fn loaded(file: &GgufWriter) -> Result<()> {
    let compute = crate::model::Compute::cpu();
    crate::model::Llama::at(&Place::Gguf(Arc::new(on_disk(file))), &compute).map(drop)
}

#[test]
fn factors_and_tensors_that_are_not_understood_are_refused() {
    loaded(&sample()).unwrap();
    let dim = ModelConfig::at(&Place::Gguf(Arc::new(on_disk(&sample())))).unwrap().head_dim;
    let factors = |n: usize, value: f32| -> Vec<u8> {
        std::iter::repeat_n(value.to_le_bytes(), n).flatten().collect()
    };
    let with = |n: usize, kind: u32, bytes: Vec<u8>| {
        let mut file = sample();
        file.tensor("rope_freqs.weight", &[n], kind, bytes);
        file
    };
    loaded(&with(dim / 2, TYPE_F32, factors(dim / 2, 2.0))).unwrap();
    let mut twice = with(dim / 2, TYPE_F32, factors(dim / 2, 2.0));
    twice.float("llama.rope.scaling.factor", 2.0);
    for (file, part) in [
        (with(dim, TYPE_F32, factors(dim, 2.0)), "rope_freqs.weight"),
        (with(dim / 2, TYPE_F16, vec![0; dim]), "F16"),
        (with(dim / 2, TYPE_F32, factors(dim / 2, -1.0)), "-1"),
        (with(dim / 2, TYPE_F32, factors(dim / 2, f32::NAN)), "NaN"),
        (twice, "another scaling"),
    ] {
        let e = loaded(&file).unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains(part), "{part}: {e}");
    }
    let mut biased = sample();
    biased.tensor("blk.1.ffn_down.bias", &[2], TYPE_F32, factors(2, 1.0));
    let e = loaded(&biased).unwrap_err();
    assert!(e.exit_code() == 4 && e.to_string().contains("mlp.down_proj.bias"), "{e}");
}

#[test]
fn a_model_in_parts_is_one_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = |i: usize| dir.path().join(format!("m-0000{i}-of-00003.gguf"));
    let parts = sample().parts(3);
    for (i, part) in parts.iter().enumerate() {
        std::fs::write(path(i + 1), part).unwrap();
    }
    let whole = opened(&sample()).unwrap();
    for i in 1..=3 {
        let gguf = Gguf::open(&path(i)).unwrap();
        assert_eq!((gguf.files().len(), gguf.name()), (3, "m".to_owned()));
        assert_eq!(
            gguf.tensors().keys().collect::<Vec<_>>(),
            whole.tensors().keys().collect::<Vec<_>>()
        );
        assert_eq!(gguf.config().unwrap(), whole.config().unwrap());
    }
    // Under another name it is one file, and holds a third.
    let alone = dir.path().join("alone.gguf");
    std::fs::copy(path(1), &alone).unwrap();
    let e = Gguf::open(&alone).unwrap_err().to_string();
    assert!(e.contains("holds a part of its tensors"), "{e}");
    std::fs::copy(path(3), path(2)).unwrap();
    let e = Gguf::open(&path(1)).unwrap_err().to_string();
    assert!(e.contains("m-00002-of-00003.gguf"), "{e}");
    std::fs::remove_file(path(2)).unwrap();
    let e = Gguf::open(&path(1)).unwrap_err().to_string();
    assert!(e.contains("m-00002-of-00003.gguf") && e.contains("missing"), "{e}");
}
