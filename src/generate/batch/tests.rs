use std::path::Path;

use super::*;
use crate::generate::generate;
use crate::model::Compute;

fn piece(question: usize, tokens: Range<usize>) -> PromptPart {
    PromptPart { question, tokens }
}

/// Passes of prompts, `(shared, tokens)`, on a GPU.
fn passes(prompts: &[(usize, usize)], chunk: usize, block: usize) -> Vec<Vec<PromptPart>> {
    let prompt = |&(shared, tokens): &(usize, usize)| Stretches { shared, fork: 0, tokens };
    let prompts: Vec<_> = prompts.iter().map(prompt).collect();
    super::passes(&prompts, Pace { chunk, block, alone: false })
}

#[test]
fn passes_end_where_the_next_prompt_forks_off() {
    let stretches = |shared, fork, tokens| Stretches { shared, fork, tokens };
    let all = [stretches(0, 20, 40), stretches(20, 20, 30), stretches(20, 12, 25)];
    let alone = super::passes(&all, Pace { chunk: 16, block: 1, alone: true });
    let pieces = [
        piece(0, 0..16),
        piece(0, 16..20),
        piece(0, 20..36),
        piece(0, 36..40),
        piece(1, 20..30),
        piece(2, 20..25),
    ];
    assert_eq!(alone, pieces.clone().map(|piece| vec![piece]));
    // On a GPU the second shares the first's last pass; for the third there is no room.
    let together = super::passes(&all, Pace { chunk: 16, block: 1, alone: false });
    assert_eq!(together.len(), 5);
    assert_eq!((&together[3][..], &together[4][..]), (&pieces[3..5], &pieces[5..]));
}

#[test]
fn ends_share_passes_where_what_they_fork_from_has_been_run() {
    assert_eq!(
        passes(&[(0, 40)], 16, 1),
        [[piece(0, 0..16)], [piece(0, 16..32)], [piece(0, 32..40)]]
    );
    // b forks from tokens of a's only pass, c from what b forked: c joins b.
    let siblings = [(0, 100), (60, 100), (60, 90)];
    assert_eq!(
        passes(&siblings, 128, 1),
        [vec![piece(0, 0..100)], vec![piece(1, 60..100), piece(2, 60..90)]]
    );
    // a's first pass holds all that b needs: b joins the second. For c there is no room.
    assert_eq!(
        passes(&siblings, 76, 1),
        [
            vec![piece(0, 0..76),],
            vec![piece(0, 76..100), piece(1, 60..100)],
            vec![piece(2, 60..90)]
        ]
    );
    // A chain: every one forks behind what the one before has run by then.
    let chain = [(0, 20), (15, 30), (25, 40)];
    assert_eq!(passes(&chain, 64, 1), [[piece(0, 0..20)], [piece(1, 15..30)], [piece(2, 25..40)]]);
    // Nothing shared: all in one. Whole blocks first: those of one prompt in passes of their own.
    assert_eq!(passes(&[(0, 5), (0, 6), (0, 7)], 64, 1).len(), 1);
    assert_eq!(
        passes(&[(0, 10), (0, 3)], 16, 4),
        [vec![piece(0, 0..8)], vec![piece(0, 8..10), piece(1, 0..3)]]
    );
    assert_eq!(passes(&[(0, 2), (1, 2)], 0, 128).len(), 3);
}

fn load(name: &str, compute: &Compute) -> Llama {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
    Llama::from_dir(&dir, compute).unwrap()
}

/// Its window is 12 tokens.
fn model() -> Llama {
    load("mistral-window", &Compute::cpu())
}

/// A trunk that is left at three places; the last prompt shares nothing with the one before.
fn prompts() -> Vec<Vec<u32>> {
    let leaving = |at: u32, to: u32, n: usize| -> Vec<u32> {
        let trunk = (0..at).map(|i| (i * 37 + i / 5) % 96);
        trunk.chain((0..n as u32).map(|i| (i * 29 + to) % 96)).collect()
    };
    vec![
        leaving(30, 2, 20),
        leaving(30, 11, 9),
        leaving(30, 50, 33),
        leaving(41, 7, 4),
        vec![9; 12],
    ]
}

fn shared(prompts: &[Vec<u32>]) -> Vec<usize> {
    let alike =
        |pair: &[Vec<u32>]| pair[0].iter().zip(&pair[1]).take_while(|(a, b)| a == b).count();
    [0].into_iter().chain(prompts.windows(2).map(alike)).collect()
}

/// All prompts, `chunk` tokens at a time, each for at most as many tokens as it has in `most`.
fn together(model: &Llama, chunk: usize, most: &[usize]) -> Vec<Observation> {
    let prompts = prompts();
    let shared = shared(&prompts);
    let needle = [3..7, 9..11];
    let questions: Vec<Question> = prompts
        .iter()
        .zip(shared)
        .zip(most)
        .map(|((prompt, shared), &max_new_tokens)| Question {
            prompt,
            shared,
            fork: 0,
            needle: &needle,
            max_new_tokens,
        })
        .collect();
    // What caches hold from before is of no matter.
    let mut caches: Vec<KvCache> = prompts.iter().map(|_| model.new_cache(80)).collect();
    model.run(&[5; 60], &mut caches[2], 16, 0, &mut crate::model::NoRows).unwrap();
    let settings = Settings { stop: Stop::default(), chunk, top_k: 5 };
    let mut passes = 0;
    let mut proceed = || {
        passes += 1;
        Ok(())
    };
    let all = generate_batch(model, &mut caches, &questions, &settings, &mut proceed).unwrap();
    assert!(passes >= *most.iter().max().unwrap());
    for ((cache, prompt), most) in caches.iter().zip(&prompts).zip(most) {
        assert_eq!(cache.len(), prompt.len() + most - 1);
    }
    assert!(all.iter().all(|g| g.prefill_secs > 0.0));
    all.into_iter().map(|g| g.observation).collect()
}

#[test]
fn each_gets_what_it_gets_alone_on_every_device() {
    for compute in Compute::every_device() {
        let cases =
            [("mistral-window", 7), ("llama-biases", 64), ("mistral-window", 64), ("qwen3", 16)];
        // GPUs in software take half a minute each.
        let cases = if compute.on_host { &cases[..] } else { &cases[..2] };
        for (name, chunk) in cases {
            equal_to_alone(name, *chunk, &compute);
        }
    }
}

/// Answers together on `compute` have the numbers of answers alone on the processor.
fn equal_to_alone(name: &str, chunk: usize, compute: &Compute) {
    let within = if compute.on_host { 1e-5 } else { 1e-4 };
    let most = [6, 1, 4, 6, 2];
    let all = together(&load(name, compute), chunk, &most);
    let model = load(name, &Compute::cpu());
    for ((prompt, most), got) in prompts().iter().zip(most).zip(&all) {
        let question =
            Question { prompt, shared: 0, fork: 0, needle: &[3..7, 9..11], max_new_tokens: most };
        let settings = Settings { stop: Stop::default(), chunk: 16, top_k: 5 };
        let alone = generate(&model, &mut model.new_cache(80), question, &settings).unwrap();
        let alone = alone.observation;
        assert_eq!((&got.prompt, &got.needle), (prompt, &alone.needle));
        assert_eq!(got.generated, alone.generated, "{name} on {}", compute.name);
        assert_eq!(got.rows.len(), most);
        for (row, want) in got.rows.iter().zip(&alone.rows) {
            assert_eq!((row.keys, row.heads.len()), (want.keys, want.heads.len()));
            for (a, b) in row.heads.iter().zip(&want.heads) {
                assert!((a.needle_mass - b.needle_mass).abs() < within);
                assert!((a.top_k_mass - b.top_k_mass).abs() < within);
            }
        }
    }
}

/// A question that goes on from a beginning that was run again has, to the bit, what it had behind
/// the questions before it, and beside others.
#[test]
fn what_is_run_again_is_the_same_to_the_bit() {
    for name in ["mistral-window", "qwen3", "llama-biases"] {
        let model = load(name, &Compute::cpu());
        let (prompts, settings) =
            (prompts(), Settings { stop: Stop::default(), chunk: 7, top_k: 5 });
        let shared = shared(&prompts);
        let forks: Vec<usize> = shared[1..].iter().copied().chain([0]).collect();
        let question = |i: usize| Question {
            prompt: &prompts[i],
            shared: shared[i],
            fork: forks[i],
            needle: &[3..7],
            max_new_tokens: 5,
        };
        let questions: Vec<Question> = (0..prompts.len()).map(question).collect();
        let cache = || model.new_cache(80);
        let mut caches: Vec<KvCache> = prompts.iter().map(|_| cache()).collect();
        let all = generate_batch(&model, &mut caches, &questions, &settings, &mut || Ok(()));
        let all: Vec<Observation> = all.unwrap().into_iter().map(|g| g.observation).collect();
        for (i, want) in all.iter().enumerate() {
            let mut cache = cache();
            // All share the first's beginning; the fourth forks off behind the third, at 30 too.
            if shared[i] > 0 {
                let beginning =
                    Beginning { prompt: &prompts[0], shared: 0, fork: forks[0], until: shared[i] };
                assert!(beginning.reach(&settings, &model) >= shared[i]);
                run_beginning(&model, &mut cache, &beginning, &settings, &mut || Ok(())).unwrap();
                assert_eq!(cache.len(), shared[i]);
            }
            let mut own = [cache];
            let alone = generate_batch(&model, &mut own, &[question(i)], &settings, &mut || Ok(()));
            assert_eq!(alone.unwrap()[0].observation, *want, "{name}, question {i}");
        }
    }
}

#[test]
fn a_beginning_is_run_in_whole_passes_and_cut() {
    let model = model();
    let settings = Settings { stop: Stop::default(), chunk: 7, top_k: 5 };
    let prompt = &prompts()[0];
    let beginning = Beginning { prompt, shared: 0, fork: 20, until: 9 };
    // 7 and 7 of the 20: the second pass goes beyond 9, the third is of no use.
    assert_eq!(beginning.passes(&settings, &model), [0..7, 7..14]);
    assert_eq!(beginning.reach(&settings, &model), 14);
    let mut cache = model.new_cache(14);
    run_beginning(&model, &mut cache, &beginning, &settings, &mut || Ok(())).unwrap();
    assert_eq!(cache.len(), 9);
    let stop = || Err(Error::interrupted("enough"));
    let e = run_beginning(&model, &mut cache, &beginning, &settings, &mut || stop()).unwrap_err();
    assert_eq!(e.exit_code(), 130);
}

#[test]
fn who_stops_leaves_and_the_others_go_on() {
    let model = model();
    let free = together(&model, 16, &[6; 5]);
    let stop = free[0].generated[2];
    let prompts = prompts();
    let questions: Vec<Question> = prompts
        .iter()
        .zip(shared(&prompts))
        .map(|(prompt, shared)| Question {
            prompt,
            shared,
            fork: 0,
            needle: &[3..7],
            max_new_tokens: 6,
        })
        .collect();
    let mut caches: Vec<KvCache> = prompts.iter().map(|_| model.new_cache(80)).collect();
    let settings = Settings { stop: Stop::at(vec![stop]), chunk: 16, top_k: 5 };
    let stopped =
        generate_batch(&model, &mut caches, &questions, &settings, &mut || Ok(())).unwrap();
    for (got, free) in stopped.iter().zip(&free) {
        let end = free.generated.iter().position(|id| *id == stop);
        let n = end.map_or(6, |end| end + 1);
        assert_eq!(got.observation.generated, free.generated[..n]);
        assert_eq!((got.observation.stopped, got.observation.rows.len()), (end.is_some(), n));
    }
    assert!(stopped[0].observation.stopped);
}

#[test]
fn what_cannot_be_right_is_refused_and_an_interruption_is_heeded() {
    let model = model();
    let prompts = [vec![1, 2, 3, 4], vec![1, 2, 9, 4]];
    let run =
        |shared: [usize; 2], caches: &mut [KvCache], proceed: &mut dyn FnMut() -> Result<()>| {
            let question = |i: usize| Question {
                prompt: &prompts[i],
                shared: shared[i],
                fork: 0,
                needle: &[1..2],
                max_new_tokens: 2,
            };
            let questions = [question(0), question(1)];
            let settings = Settings { stop: Stop::default(), chunk: 16, top_k: 2 };
            generate_batch(&model, caches, &questions, &settings, proceed).map(|all| all.len())
        };
    let mut caches = [model.new_cache(5), model.new_cache(5)];
    let mut refused = |shared, n: usize, text: &str| {
        let e = run(shared, &mut caches[..n], &mut || Ok(())).unwrap_err();
        assert!(e.exit_code() == 1 && e.to_string().contains(text), "{e}");
    };
    refused([0, 3], 2, "do not begin alike");
    refused([1, 2], 2, "what is shared");
    refused([0, 4], 2, "nothing is left");
    refused([0, 2], 1, "needs a cache");
    let stop = || Err(Error::interrupted("enough"));
    let e = run([0, 2], &mut caches, &mut || stop()).unwrap_err();
    assert_eq!((e.exit_code(), caches[0].len()), (130, 0));
    assert_eq!(run([0, 2], &mut caches, &mut || Ok(())), Ok(2));
}
