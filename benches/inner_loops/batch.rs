//! Answers to several prompts together, against one after the other: both from the same prefix.

use std::cell::RefCell;

use headprof::Result;
use headprof::generate::{Question, Settings, Stop, generate, generate_batch};
use headprof::model::{Compute, KvCache, Llama, embedded};

use super::ids;
use super::turns::Turns;

const ANSWER: usize = 16;

pub fn bench(turns: &Turns) -> Result<()> {
    let name = |prompts, tokens| format!("answers to {prompts} prompts of {tokens} tokens");
    let cases = [(2, 256), (8, 256), (2, 1024), (8, 1024)];
    if !cases.iter().any(|(prompts, tokens)| turns.want(&name(*prompts, *tokens))) {
        return Ok(());
    }
    let model = embedded::needle_llama(&Compute::cpu())?;
    for (prompts, tokens) in cases {
        let name = name(prompts, tokens);
        if !turns.want(&name) {
            continue;
        }
        let prompt = ids(tokens);
        // All but the last token of a prompt is in its cache: what is timed are answers, together
        // with the copies that make the caches of forks.
        let held = RefCell::new(held(&model, &prompt, prompts)?);
        let together = || answers(&model, &prompt, &mut held.borrow_mut(), true);
        let in_turn = || answers(&model, &prompt, &mut held.borrow_mut(), false);
        assert_eq!(together()?, in_turn()?);
        turns.compare_repeated(&name, "one after the other", [1, 1], together, in_turn);
    }
    Ok(())
}

/// A cache for each of `prompts`, with all but the last token of `prompt`.
fn held(model: &Llama, prompt: &[u32], prompts: usize) -> Result<Vec<KvCache>> {
    let mut cache = model.new_cache(prompt.len() + ANSWER);
    let before = &prompt[..prompt.len() - 1];
    model.run(before, &mut cache, 256, 0, &mut headprof::model::NoRows)?;
    Ok(vec![cache; prompts])
}

/// The ids of all answers.
fn answers(
    model: &Llama,
    prompt: &[u32],
    caches: &mut [KvCache],
    together: bool,
) -> Result<Vec<Vec<u32>>> {
    let shared = prompt.len() - 1;
    caches.iter_mut().for_each(|cache| cache.rewind(shared));
    let question = Question { prompt, shared, fork: 0, needle: &[3..9], max_new_tokens: ANSWER };
    let settings = Settings { stop: Stop::default(), chunk: 256, top_k: 10 };
    let all = match together {
        true => {
            let questions = vec![question; caches.len()];
            generate_batch(model, caches, &questions, &settings, &mut || Ok(()))?
        }
        false => {
            let one = |cache| generate(model, cache, question, &settings);
            caches.iter_mut().map(one).collect::<Result<Vec<_>>>()?
        }
    };
    Ok(all.into_iter().map(|generation| generation.observation.generated).collect())
}
