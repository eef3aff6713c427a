//! Writes a Llama with planted heads to a folder, with text to profile it with.
//!
//! ```text
//! cargo run --release --example planted -- DIR
//!
//! DIR/config.json, tokenizer.json, model.safetensors    the checkpoint
//! DIR/haystack/planted.txt                              20,000 made-up words
//! DIR/needles.jsonl                                     three sentences to hide
//! ```
//!
//! The model continues a sentence that it has seen, so the prompt has to end with the question, a
//! needle's beginning: the prompt template is `{question}`. docs/planted.md says what the profile
//! must show.

use std::path::PathBuf;

use anyhow::Context;
use headprof::model::planted;
use headprof::system::atomic;

/// Seed of the codes, the haystack and the first needle.
const SEED: u64 = 1;
const HAYSTACK_WORDS: usize = 20_000;
const NEEDLES: u64 = 3;

fn main() -> anyhow::Result<()> {
    let dir: PathBuf = std::env::args_os().nth(1).context("give the folder to write to")?.into();
    let planted = planted::build(SEED)?;
    planted.save(&dir)?;

    let haystack = dir.join("haystack");
    std::fs::create_dir_all(&haystack).with_context(|| format!("making {}", haystack.display()))?;
    let text = planted::haystack_text(SEED, HAYSTACK_WORDS);
    atomic::write(&haystack.join("planted.txt"), text.as_bytes())?;

    let needles = (SEED..SEED + NEEDLES).map(|seed| {
        let (beginning, rest) = planted::needle_text(seed);
        let needle = format!("{beginning} {rest}.");
        let line = serde_json::json!({
            "id": format!("planted-{seed}"),
            "needle": needle,
            "real_needle": rest,
            "question": beginning,
            "answer": rest,
        });
        format!("{line}\n")
    });
    atomic::write(&dir.join("needles.jsonl"), needles.collect::<String>().as_bytes())?;

    println!("{}", dir.display());
    println!("retrieval head (layer, head): {:?}", planted.roles.retrieval);
    Ok(())
}
