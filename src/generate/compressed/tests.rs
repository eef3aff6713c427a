use std::path::Path;

use super::*;
use crate::budget::BudgetOptions;
use crate::eviction::{EvictionOptions, Kept, Wanted, by_name};
use crate::generate::{Question, Settings, generate};
use crate::heads::{CacheHeads, Granularity};
use crate::model::Compute;
use crate::model::NoRows;

const TOKENS: usize = 40;

fn model() -> Llama {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
    Llama::from_dir(&dir, &Compute::cpu()).unwrap()
}

fn prompt() -> Vec<u32> {
    (0..TOKENS as u32).map(|i| (i * 37 + i / 5) % 96).collect()
}

/// A cache of which every list keeps the last `n` tokens, and the logits after the prompt.
fn compressed(model: &Llama, n: usize, room: usize) -> (RaggedCache, Vec<f32>) {
    let mut cache = model.new_cache(TOKENS);
    let (logits, _) = model.prefill(&prompt(), &mut cache, 16, &Wanted::default()).unwrap();
    let c = model.config();
    let heads = c.cache_heads(Granularity::KvHead);
    let last: Vec<u32> = (TOKENS as u32 - n as u32..TOKENS as u32).collect();
    let kept = Kept::new(heads, TOKENS, vec![last; c.layers * c.kv_heads]).unwrap();
    (RaggedCache::from_kept(cache, &kept, room, model.compute()).unwrap(), logits)
}

fn limits(max_new_tokens: usize, stop: &[u32]) -> AnswerLimits {
    AnswerLimits { max_new_tokens, stop: Stop::at(stop.to_vec()), open: false }
}

#[test]
fn with_everything_kept_the_answer_is_the_ordinary_one() {
    let model = model();
    let settings = Settings { stop: Stop::default(), chunk: 16, top_k: 5 };
    let mut cache = model.new_cache(TOKENS + 6);
    let (prompt, needle) = (&prompt()[..], &[10..14][..]);
    let question = Question { prompt, shared: 0, fork: 0, needle, max_new_tokens: 7 };
    let want = generate(&model, &mut cache, question, &settings).unwrap();
    let want = want.observation.generated;
    let (cache, logits) = compressed(&model, TOKENS, 6);
    let answer = |limits: &AnswerLimits| {
        let mut fork = cache.clone();
        let answer = continue_from(&model, &mut fork, &logits, limits, None).unwrap();
        // The last id is not fed back.
        assert_eq!(fork.seen(), TOKENS + answer.ids.len() - 1);
        answer
    };
    let endless = answer(&limits(7, &[]));
    assert_eq!((&endless.ids, endless.stopped), (&want, false));
    assert_eq!(endless.answer_ids(), want);
    // The first id that has not occurred before ends the answer, and is in it.
    let place = (1..7).find(|&i| !want[..i].contains(&want[i])).expect("two different tokens");
    let stopped = answer(&limits(7, &want[place..=place]));
    assert_eq!((&stopped.ids[..], stopped.stopped), (&want[..=place], true));
    assert_eq!(stopped.answer_ids(), &want[..place]);
    assert_eq!(cache.seen(), TOKENS);
}

/// Keeps a number of tokens per list, the newest, and checks what it is told.
struct Recent {
    lists: usize,
    keep: usize,
    held: Vec<usize>,
    calls: usize,
}

impl Evictor for Recent {
    fn observe(&mut self, layer: usize, list: usize, rows: &[f32], value: NewValue) -> Result<()> {
        let i = layer * self.lists + list;
        assert_eq!(self.calls % self.held.len(), i);
        self.calls += 1;
        self.held[i] += 1;
        assert_eq!((rows.len(), value.entries.len()), (2 * self.held[i], 8));
        assert!(value.projected_norms.is_empty());
        let sums = rows.chunks(self.held[i]).map(|row| row.iter().sum::<f32>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        Ok(())
    }

    fn evict(&mut self, layer: usize, list: usize) -> Option<usize> {
        let held = &mut self.held[layer * self.lists + list];
        (*held > self.keep).then(|| {
            *held -= 1;
            0
        })
    }
}

/// Evicting the oldest after each token is the same as never having had it: the cache then holds
/// `keep` tokens and the next one.
#[test]
fn an_evictor_bounds_the_cache_at_every_step() {
    let model = model();
    let (mut cache, logits) = compressed(&model, 8, 1);
    let mut recent = Recent { lists: 2, keep: 6, held: vec![8; 4], calls: 0 };
    let got = continue_from(&model, &mut cache, &logits, &limits(9, &[]), Some(&mut recent));
    let got = got.unwrap().ids;
    // 8 tokens were run, 2 layers x 2 lists each; no list ever had room for two tokens.
    assert_eq!((got.len(), recent.calls, cache.seen()), (9, 32, TOKENS + 8));
    for (layer, list) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert_eq!(cache.positions(layer, list), [42, 43, 44, 45, 46, 47]);
    }
    // By hand: 8 and the new token, then three go; afterwards one for one.
    let (mut cache, mut logits) = compressed(&model, 8, 1);
    for (i, id) in got.iter().enumerate() {
        assert_eq!(crate::generate::argmax(&logits), *id, "token {i}");
        logits = model.decode(*id, &mut cache, &mut NoRows).unwrap();
        for (layer, list) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            while cache.tokens(layer, list) > 6 {
                cache.remove(layer, list, 0).unwrap();
            }
        }
    }
}

/// Names a slot that is not there, or fails.
struct Broken {
    slot: usize,
    fails: bool,
}

impl Evictor for Broken {
    fn observe(&mut self, _: usize, _: usize, _: &[f32], _: NewValue) -> Result<()> {
        match self.fails {
            true => Err(Error::data("no use for these rows")),
            false => Ok(()),
        }
    }

    fn evict(&mut self, _: usize, _: usize) -> Option<usize> {
        Some(self.slot)
    }
}

/// Of everything and of little, alone and together, as without compression: the first token is not
/// one that ends the answer.
#[test]
fn no_answer_is_empty_where_the_first_token_is_barred() {
    let model = model();
    let (whole, logits) = compressed(&model, TOKENS, 6);
    let few = compressed(&model, 8, 6).0;
    let first = crate::generate::argmax(&logits);
    let stop = Stop { not_first: true, ..Stop::at(vec![first]) };
    let limits = AnswerLimits { max_new_tokens: 6, stop: stop.clone(), open: false };
    let mut caches = [whole.clone(), few.clone()];
    let together = caches.iter_mut().map(|cache| Continuing { cache, evictor: None }).collect();
    let together = continue_batch(&model, together, &logits, &limits).unwrap();
    for (cache, both) in [whole, few].iter_mut().zip(&together) {
        let alone = continue_from(&model, cache, &logits, &limits, None).unwrap();
        assert_eq!((&alone.ids, alone.stopped), (&both.ids, both.stopped));
        assert!(alone.ids[0] != first && !alone.answer_ids().is_empty());
    }
    let settings = Settings { stop, chunk: 16, top_k: 5 };
    let (prompt, needle) = (&prompt()[..], &[10..14][..]);
    let question = Question { prompt, shared: 0, fork: 0, needle, max_new_tokens: 6 };
    let mut cache = model.new_cache(TOKENS + 5);
    let want = generate(&model, &mut cache, question, &settings).unwrap();
    assert_eq!(want.observation.generated, together[0].ids);
}

#[test]
fn what_cannot_go_on_is_an_error() {
    let model = model();
    let fails = |tokens: usize, logits: &[f32], evictor: Option<&mut dyn Evictor>| {
        let (mut cache, _) = compressed(&model, 8, 2);
        let limits = limits(tokens, &[]);
        let e = continue_from(&model, &mut cache, logits, &limits, evictor).unwrap_err();
        (e.exit_code(), e.to_string())
    };
    let (_, logits) = compressed(&model, 8, 2);
    assert!(fails(4, &logits, None).1.contains("room for 2"));
    assert!(fails(0, &logits, None).1.contains("nothing is to be generated"));
    assert_eq!(fails(2, &[], None).0, 1);
    let (code, text) = fails(2, &logits, Some(&mut Broken { slot: 9, fails: false }));
    assert!(code == 1 && text.contains("slot 9"), "{text}");
    // Slot 0 is there until the list is empty.
    let (code, text) = fails(2, &logits, Some(&mut Broken { slot: 0, fails: false }));
    assert!(code == 1 && text.contains("no such token"), "{text}");
    assert_eq!(fails(2, &logits, Some(&mut Broken { slot: 0, fails: true })).0, 3);
}

/// In lists that never fill up, prompt and answer are worth in the end what a prompt of both is.
#[test]
fn new_tokens_are_weighed_like_those_of_a_prompt() {
    let model = model();
    let c = model.config();
    let method = by_name("h2o+vatp").unwrap();
    let token_score = method.token_score().unwrap();
    let budget =
        BudgetOptions { capacity_tokens: 100, window_tokens: 1, ..BudgetOptions::default() };
    for value_norm in [ValueNorm::L1, ValueNorm::Projected, ValueNorm::Off] {
        let options = EvictionOptions { value_norm, ..EvictionOptions::new(budget.clone()) };
        let wanted = method.wanted(&options);
        for granularity in [Granularity::KvHead, Granularity::QueryHead] {
            let (layers, heads, kv_heads) = (c.layers, c.heads, c.kv_heads);
            let heads = CacheHeads { layers, heads, kv_heads, granularity };
            let mut cache = model.new_cache(TOKENS);
            let (logits, stats) = model.prefill(&prompt(), &mut cache, 16, &wanted).unwrap();
            let (kept, _) = method.select(&stats, heads, None, &options).unwrap();
            let eviction = DecodeEviction::new(method, &kept, &stats, &options).unwrap();
            let mut eviction = eviction.unwrap();
            let mut cache = RaggedCache::from_kept(cache, &kept, 5, model.compute()).unwrap();
            let answer =
                continue_from(&model, &mut cache, &logits, &limits(6, &[]), Some(&mut eviction));
            let whole = [&prompt()[..], &answer.unwrap().ids[..5]].concat();
            let mut cache = model.new_cache(whole.len());
            let (_, stats) = model.prefill(&whole, &mut cache, 16, &wanted).unwrap();
            let mut all = options.clone();
            all.budget.window_tokens = 0;
            for layer in 0..layers {
                let want = token_score.scores(&stats, layer, &heads, &all).unwrap();
                for (s, want) in want.chunks(whole.len()).enumerate() {
                    let got = eviction.scores(layer, s);
                    assert_eq!(got.len(), want.len());
                    for (got, want) in got.iter().zip(want) {
                        let near = (got - want).abs() <= 1e-4 * want.max(0.01);
                        assert!(near, "{value_norm}, {granularity:?}: {got} {want}");
                    }
                }
            }
        }
    }
}

/// One of them stops early, one forgets, all hold other tokens: together each gets what it gets
/// alone, to the bit on the processor.
#[test]
fn answers_together_are_those_alone_on_every_device() {
    for compute in Compute::every_device() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama-biases");
        let model = Llama::from_dir(&dir, &compute).unwrap();
        let caches: Vec<(RaggedCache, Vec<f32>)> =
            [40, 3, 8, 17].iter().map(|&n| compressed(&model, n, 8)).collect();
        let first = &caches[0].1;
        let recent = || Recent { lists: 2, keep: 6, held: vec![8; 4], calls: 0 };
        let alone = |stop: &[u32]| -> Vec<Continuation> {
            let answer = |(i, (cache, _)): (usize, &(RaggedCache, Vec<f32>))| {
                let (mut fork, mut recent) = (cache.clone(), recent());
                let evictor = (i == 2).then_some(&mut recent as &mut dyn Evictor);
                continue_from(&model, &mut fork, first, &limits(8, stop), evictor).unwrap()
            };
            caches.iter().enumerate().map(answer).collect()
        };
        // An id at which some answers end early and others do not.
        let free = alone(&[]);
        let mut ids = free.iter().flat_map(|answer| &answer.ids[1..7]);
        let ends = |answers: &[Continuation]| -> Vec<usize> {
            answers.iter().map(|answer| answer.ids.len()).collect()
        };
        let mixed = |stop: &&u32| {
            let ends = ends(&alone(&[**stop]));
            ends.contains(&8) && ends.iter().any(|n| *n < 8)
        };
        let stop = [*ids.find(mixed).expect("answers that differ")];
        let want = alone(&stop);
        let mut forks: Vec<RaggedCache> = caches.iter().map(|(cache, _)| cache.clone()).collect();
        let mut recent = recent();
        let mut evictor = Some(&mut recent as &mut dyn Evictor);
        let answers = forks.iter_mut().enumerate().map(|(i, cache)| Continuing {
            cache,
            evictor: if i == 2 { evictor.take() } else { None },
        });
        let got = continue_batch(&model, answers.collect(), first, &limits(8, &stop)).unwrap();
        for ((got, want), fork) in got.iter().zip(&want).zip(&forks) {
            assert_eq!((&got.ids, got.stopped), (&want.ids, want.stopped));
            assert!(got.secs > 0.0 || got.ids.len() == 1);
            assert_eq!(fork.seen(), TOKENS + got.ids.len() - 1);
        }
    }
}

/// Numbers, not only ids: a pass of several tokens gives each the logits of a pass of its own.
#[test]
fn a_pass_of_several_tokens_has_the_logits_of_one_on_every_device() {
    for compute in Compute::every_device() {
        let dir =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/mistral-window");
        let model = Llama::from_dir(&dir, &compute).unwrap();
        let caches = [40, 3, 17].map(|n| compressed(&model, n, 1).0);
        let alone: Vec<Vec<f32>> = caches
            .iter()
            .zip([5, 77, 30])
            .map(|(cache, id)| model.decode(id, &mut cache.clone(), &mut NoRows).unwrap())
            .collect();
        let mut forks = caches.clone();
        let mut observers = [NoRows, NoRows, NoRows];
        let mut steps: Vec<RaggedStep> = forks
            .iter_mut()
            .zip(&mut observers)
            .zip([5, 77, 30])
            .map(|((cache, observer), id)| RaggedStep { id, cache, observer, attention_secs: 0.0 })
            .collect();
        let together = model.decode_together(&mut steps).unwrap();
        for (got, want) in together.iter().zip(&alone) {
            if compute.on_host {
                assert_eq!(got, want);
            }
            let scale = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-4 * scale));
        }
        assert_eq!(model.decode_together(&mut []).unwrap_err().exit_code(), 1);
    }
}
