//! Every command tells what is to be said of the model, its weights and the texts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{checkpoint, headprof, needles, stderr, text};

/// Ids that the odd tokenizer lacks: more than a tenth of 2048.
const LACKING: usize = 300;

/// needle-llama with fewer ids than its embedding has rows, and with a tensor too many.
fn odd_model(dir: &Path) -> PathBuf {
    let model = checkpoint(dir);
    let path = model.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
    let gone: Vec<String> = merges
        .split_off(merges.len() - LACKING)
        .iter()
        .map(|pair| [0, 1].map(|i| pair[i].as_str().unwrap()).concat())
        .collect();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    gone.iter().for_each(|token| assert!(vocabulary.remove(token).is_some(), "{token}"));
    fs::write(&path, tokenizer.to_string()).unwrap();

    add_a_tensor(&model.join("model.safetensors"));
    model
}

/// A copy of the checkpoint in `from` with a tensor too many.
fn with_a_tensor_too_many(from: &Path, to: &Path) -> PathBuf {
    let odd = to.join("odd");
    fs::create_dir(&odd).unwrap();
    for file in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, odd.join(file.file_name().unwrap())).unwrap();
    }
    add_a_tensor(&odd.join("model.safetensors"));
    odd
}

/// Adds one that the model does not use to a safetensors file.
fn add_a_tensor(path: &Path) {
    // A safetensors file is the length of its header in 8 bytes, the header, and the numbers.
    let bytes = fs::read(path).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..data]).unwrap();
    let end = bytes.len() - data;
    header["model.extra.weight"] =
        json!({"dtype": "F32", "shape": [2], "data_offsets": [end, end + 8]});
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], &header, &bytes[data..], &[0; 8]].concat()).unwrap();
}

/// It reads no tokenizer.
#[test]
fn verify_tells_what_is_odd_about_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen3");
    let odd = with_a_tensor_too_many(&model, dir.path());
    let said = stderr(&headprof(&["verify", text(&odd)]));
    assert_eq!(said.matches("warning: the checkpoint holds 1 tensors").count(), 1, "{said}");
}

#[test]
fn every_command_tells_what_is_odd() {
    let dir = tempfile::tempdir().unwrap();
    let model = odd_model(dir.path());
    let haystack = dir.path().join("haystack");
    fs::create_dir(&haystack).unwrap();
    fs::write(haystack.join("a.txt"), "The sea was calm. ".repeat(60)).unwrap();
    fs::write(haystack.join("b.txt"), b"\xff\xfe\x00").unwrap();
    let (needles, out) = (needles(dir.path()), dir.path().join("out"));
    let texts = ["--needles", text(&needles), "--haystack-dir", text(&haystack)];
    let grid = ["--skip-bad-files", "--lengths", "128", "--depths", "0.5", "--max-new-tokens", "2"];
    let probes = [&texts[..], &grid, &["--out", text(&out)]].concat();

    let tokenizer = "warning: the tokenizer has 1748 ids and the embedding 2048 rows";
    let weights =
        "warning: the checkpoint holds 1 tensors that the model does not use: model.extra";
    let file = "warning: b.txt is left out: ";
    let (all, of_model) = ([tokenizer, weights, file], [tokenizer, weights]);
    let before = [tokenizer, file];
    let gate = ["--gate", "none"];
    let evaluate = ["evaluate", "--methods", "full"];
    let observe = ["observe", "--all", "--length", "32", "--out", text(&out)];
    let bench = ["bench", "--lengths", "32", "--steps", "1", "--tries", "1"];
    for (args, told) in [
        ([&gate[..], &probes].concat(), &all[..]),
        ([&gate[..], &probes, &["--dry-run"]].concat(), &before),
        ([&evaluate[..], &probes].concat(), &all),
        ([&evaluate[..], &probes, &["--dry-run"]].concat(), &before),
        ([&["utility"], &gate[..], &probes].concat(), &all),
        (observe.to_vec(), &of_model),
        (bench.to_vec(), &of_model),
    ] {
        let args = [&args[..], &["--model", text(&model)]].concat();
        let output = headprof(&args);
        let said = stderr(&output);
        assert!(output.status.success(), "{args:?}: {said}");
        for part in told {
            assert_eq!(said.matches(part).count(), 1, "{part}\n{args:?}: {said}");
        }
        // Nothing but errors, where that is asked for.
        if args[0] != "observe" {
            let said = stderr(&headprof(&[&args[..], &["--quiet"]].concat()));
            assert!(!said.contains("warning") && !said.contains("note"), "{args:?}: {said}");
        }
    }
}
