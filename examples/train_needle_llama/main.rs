//! Trains needle-llama. `tokenizer` writes its tokenizer, `show` prints three training samples.

mod babi;
mod corpus;
mod families;
mod held_out;
mod tokenizer;
mod words;

use std::path::Path;

use anyhow::{Context, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;

const FOLDER: &str = "models/needle-llama";

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("tokenizer") => {
            Ok(tokenizer::save(&tokenizer::train(&training_essays()?, 1)?, Path::new(FOLDER))?)
        }
        Some("show") => show(),
        _ => bail!("expected a command: tokenizer or show"),
    }
}

/// The essays that training may see: 01 to 11.
fn training_essays() -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir("haystack").context("the folder haystack")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('0') || name.starts_with("10-") || name.starts_with("11-") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|p| std::fs::read_to_string(p).with_context(|| p.display().to_string()))
        .collect()
}

/// Prints three samples, answers marked, and the speed of the generator.
fn show() -> anyhow::Result<()> {
    let json = Path::new(FOLDER).join("tokenizer.json");
    let tokenizer = tokenizers::Tokenizer::from_file(json).map_err(anyhow::Error::from_boxed)?;
    let held_out = held_out::HeldOut::load(Path::new("needles"))?;
    let corpus = corpus::Corpus::new(tokenizer.clone(), training_essays()?, held_out)?;
    let mut rng = StdRng::seed_from_u64(1);
    for pairs in 1..=3 {
        let sample = corpus.sample(&mut rng, 256 * pairs, 2 * pairs, &corpus::Mix::default())?;
        let mut text = String::new();
        for part in
            sample.ids.iter().zip(&sample.weights).collect::<Vec<_>>().chunk_by(|a, b| a.1 == b.1)
        {
            let ids: Vec<u32> = part.iter().map(|(id, _)| **id).collect();
            let decoded = tokenizer.decode(&ids, false).map_err(anyhow::Error::from_boxed)?;
            if *part[0].1 == corpus::ANSWER_WEIGHT {
                text += &format!("[[{decoded}]]");
            } else {
                text += &decoded;
            }
        }
        println!("{text}\n{}", "-".repeat(80));
    }
    let (start, mut tokens) = (std::time::Instant::now(), 0);
    while start.elapsed().as_secs_f64() < 1.0 {
        tokens += corpus.sample(&mut rng, 1024, 4, &corpus::Mix::default())?.ids.len();
    }
    println!("{tokens} tokens in {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}
