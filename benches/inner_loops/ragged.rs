//! A generated token over lists of unequal length, against what a rectangular tensor can hold: the
//! longest list for every head. And everything kept in lists, against the cache of a plain decoder.

use headprof::Result;
use headprof::eviction::{Kept, Wanted};
use headprof::heads::Granularity;
use headprof::model::NoRows;
use headprof::model::{Compute, KvCache, Llama, RaggedCache, embedded};

use super::ids;
use super::turns::{ROUNDS, Turns};

/// Tokens of the short lists.
const SHORT: usize = 128;
/// Tokens of a turn.
const REPEATS: usize = 4;
/// Tokens that a cache gets: those of all turns, and one to compare the logits.
const ROOM: usize = ROUNDS * REPEATS + 1;
const ID: u32 = 7;

pub fn bench(turns: &Turns) -> Result<()> {
    let unequal = |tokens| format!("token, one list of {tokens} per layer, others {SHORT}");
    let all = |tokens| format!("token, {tokens} kept by all");
    let lengths = [1024, 4096];
    if !lengths.iter().any(|t| turns.want(&unequal(*t)) || turns.want(&all(*t))) {
        return Ok(());
    }
    let model = embedded::needle_llama(&Compute::cpu())?;
    for tokens in lengths {
        let mut full = model.new_cache(tokens + ROOM);
        model.prefill(&ids(tokens), &mut full, 256, &Wanted::default())?;
        if turns.want(&unequal(tokens)) {
            let mut ours = kept(&model, &full, |s| if s == 0 { tokens } else { SHORT })?;
            let mut plain = kept(&model, &full, |_| tokens)?;
            turns.compare_repeated(
                &unequal(tokens),
                "all lists as long as the longest",
                [REPEATS; 2],
                || model.decode(ID, &mut ours, &mut NoRows),
                || model.decode(ID, &mut plain, &mut NoRows),
            );
        }
        if turns.want(&all(tokens)) {
            let mut ours = kept(&model, &full, |_| tokens)?;
            let logits = model.decode(ID, &mut ours, &mut NoRows)?;
            let expected = model.run(&[ID], &mut full, 1, 0, &mut NoRows)?;
            assert!(logits.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3));
            turns.compare_repeated(
                &all(tokens),
                "the decoder's cache",
                [REPEATS; 2],
                || model.decode(ID, &mut ours, &mut NoRows),
                || model.run(&[ID], &mut full, 1, 0, &mut NoRows),
            );
        }
    }
    Ok(())
}

/// A cache whose list `s` has the last `len(s)` tokens of `full`.
fn kept(model: &Llama, full: &KvCache, len: impl Fn(usize) -> usize) -> Result<RaggedCache> {
    let (heads, tokens) = (model.config().cache_heads(Granularity::KvHead), full.len());
    let list = |s| ((tokens - len(s)) as u32..tokens as u32).collect();
    let layer = (0..heads.stored()).map(list);
    let lists = layer.cycle().take(heads.layers * heads.stored()).collect();
    let kept = Kept::new(heads, tokens, lists)?;
    RaggedCache::from_kept(full.clone(), &kept, ROOM, model.compute())
}
