//! The planted model's claims: what each head attends to, what the scores say, what ablation does.

use std::collections::BTreeSet;
use std::ops::Range;

use burn::tensor::DType;

use super::codes::SplitMix64;
use super::*;
use crate::generate::{Generation, Question, Settings, Stop, generate};
use crate::haystack::{BorderKind, Haystack, Heads};
use crate::heads::HeadMatrix;
use crate::model::KvCache;
use crate::model::{NoRows, RowSink};
use crate::needle::Needle;
use crate::prompt::{PromptParts, PromptTemplate};
use crate::score::{self, ScoreOptions};
use crate::tokenizer::{Lead, Tokenizer};

/// Tokens of a needle, and how many of them a prompt ends with.
const NEEDLE: usize = 24;
const BEGINNING: usize = 4;

/// A probe in ids.
struct Probe {
    ids: Vec<u32>,
    /// Where the tokens stand that are to be copied.
    answer_span: Range<usize>,
    answer: Vec<u32>,
}

/// `count` different ids that have a code, in random order.
fn different_ids(random: &mut SplitMix64, count: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (2..VOCAB as u32).collect();
    (0..count).map(|_| ids.swap_remove(random.below(ids.len()))).collect()
}

/// One context with a needle at each of `depths`, and per needle the probe of `length` tokens that
/// asks for it: BOS, haystack and needles, the needle's beginning.
///
/// The haystack is random and uses the needles' tokens too, but none of their pairs of neighbours.
fn probes(length: usize, depths: &[f64], seed: u64) -> Vec<Probe> {
    let mut random = SplitMix64(seed);
    let all = different_ids(&mut random, NEEDLE * depths.len());
    let needles: Vec<&[u32]> = all.chunks(NEEDLE).collect();
    let pairs: BTreeSet<(u32, u32)> =
        needles.iter().flat_map(|n| n.windows(2)).map(|p| (p[0], p[1])).collect();
    let mut haystack: Vec<u32> = Vec::new();
    while haystack.len() < length - 1 - all.len() - BEGINNING {
        let id = 2 + random.below(VOCAB - 2) as u32;
        if haystack.last().is_none_or(|last| !pairs.contains(&(*last, id))) {
            haystack.push(id);
        }
    }
    let (mut context, mut taken, mut starts) = (vec![BOS], 0, vec![]);
    for (needle, depth) in needles.iter().zip(depths) {
        let before = (depth * haystack.len() as f64).round() as usize;
        context.extend(&haystack[taken..before]);
        starts.push(context.len());
        context.extend(*needle);
        taken = before;
    }
    context.extend(&haystack[taken..]);
    let probe = |(needle, start): (&&[u32], usize)| {
        let ids = [&context, &needle[..BEGINNING]].concat();
        assert_eq!(ids.len(), length);
        // Every needle once, and the first pairs of this one at the end.
        let found = ids.windows(2).filter(|p| pairs.contains(&(p[0], p[1]))).count();
        assert_eq!(found, pairs.len() + BEGINNING - 1);
        Probe {
            ids,
            answer_span: start + BEGINNING..start + NEEDLE,
            answer: needle[BEGINNING..].to_vec(),
        }
    };
    needles.iter().zip(starts).map(probe).collect()
}

fn settings(stop: Vec<u32>) -> Settings {
    let stop = Stop::at(stop);
    Settings { stop, chunk: 256, top_k: 10 }
}

/// Answers a probe with a cache that may hold a part of it.
fn run(model: &Llama, mut cache: KvCache, probe: &Probe) -> Generation {
    let needle = std::slice::from_ref(&probe.answer_span);
    let (shared, max_new_tokens) = (cache.len(), probe.answer.len());
    let question = Question { prompt: &probe.ids, shared, fork: 0, needle, max_new_tokens };
    generate(model, &mut cache, question, &settings(vec![])).unwrap()
}

fn empty_cache(model: &Llama, probe: &Probe) -> KvCache {
    model.new_cache(probe.ids.len() + probe.answer.len())
}

fn matrix(name: &str, generation: &Generation) -> HeadMatrix {
    let score = score::by_name(name).unwrap();
    score.score(&generation.observation, &ScoreOptions::default()).unwrap()
}

/// `(layer, head, value)` of every head but one.
fn all_but(matrix: &HeadMatrix, one: (usize, usize)) -> Vec<(usize, usize, f32)> {
    matrix.top(LAYERS * HEADS).into_iter().filter(|(l, h, _)| (*l, *h) != one).collect()
}

/// The answer is exact, the retrieval head has it all, the others have nothing.
fn check(roles: &Roles, probe: &Probe, generation: &Generation, depth: f64) {
    let place = format!("{} tokens, depth {depth}", probe.ids.len());
    let retrieval_head = roles.retrieval;
    assert_eq!(generation.observation.generated, probe.answer, "{place}");
    for name in ["retrieval", "dili", "lazy", "inf"] {
        let value = matrix(name, generation).get(retrieval_head.0, retrieval_head.1);
        assert!(value >= 0.95, "{place}: {name} {value}");
    }
    for (layer, head, value) in all_but(&matrix("retrieval", generation), retrieval_head) {
        assert!(value <= 0.05, "{place}: retrieval {value} in layer {layer}, head {head}");
    }
    for (layer, head, value) in all_but(&matrix("inf", generation), retrieval_head) {
        // Of equal weights the ten first positions are the largest. At depth 0 the span is 5..25:
        // 5 of its 20 positions are in 0..10, dili = 5 / 10, lazy = 5 / 20, inf = 0.25 / 0.75.
        let diffuse = roles.diffuse.contains(&(layer, head));
        let expected = if diffuse && depth == 0.0 { 1.0 / 3.0 } else { 0.0 };
        let off = (value - expected).abs();
        assert!(off < 1e-4, "{place}: inf {value} in layer {layer}, head {head}");
    }
}

const DEPTHS: [f64; 3] = [0.0, 0.5, 1.0];

fn check_length(length: usize, compute: &Compute) {
    let planted = build(1).unwrap();
    let model = planted.load(compute).unwrap();
    for (i, depth) in DEPTHS.into_iter().enumerate() {
        let probe = &probes(length, &[depth], (length + i) as u64)[0];
        check(&planted.roles, probe, &run(&model, empty_cache(&model, probe), probe), depth);
    }
}

#[test]
fn the_retrieval_head_alone_retrieves_at_256() {
    check_length(256, &Compute::cpu());
}

#[test]
fn the_retrieval_head_alone_retrieves_at_1024() {
    check_length(1024, &Compute::cpu());
}

#[test]
fn the_retrieval_head_alone_retrieves_at_4096() {
    check_length(4096, &Compute::cpu());
}

/// Three needles in one context, which is run once; each probe continues a fork of its cache.
#[test]
fn the_retrieval_head_alone_retrieves_at_16384() {
    let planted = build(1).unwrap();
    let model = planted.load(&Compute::cpu()).unwrap();
    let probes = probes(16_384, &DEPTHS, 16_384);
    let context = &probes[0].ids[..16_384 - BEGINNING];
    let mut cache = empty_cache(&model, &probes[0]);
    let chunk = settings(vec![]).chunk;
    model.run(context, &mut cache, chunk, 0, &mut NoRows).unwrap();
    for (probe, depth) in probes.iter().zip(DEPTHS) {
        check(&planted.roles, probe, &run(&model, cache.clone(), probe), depth);
    }
}

/// As on a GPU: the few bits of a bf16 are enough for codes, angles and scores.
#[test]
fn the_retrieval_head_alone_retrieves_in_bf16() {
    let compute = Compute { dtype: DType::BF16, ..Compute::cpu() };
    check_length(256, &compute);
    check_length(1024, &compute);
}

#[test]
fn the_claims_do_not_hang_on_the_seed() {
    for seed in [0, 2, 3] {
        let planted = build(seed).unwrap();
        let model = planted.load(&Compute::cpu()).unwrap();
        let probe = &probes(512, &[0.5], seed)[0];
        check(&planted.roles, probe, &run(&model, empty_cache(&model, probe), probe), 0.5);
    }
    let files = |seed| build(seed).unwrap().safetensors;
    assert!(files(2) == files(2) && files(2) != files(3));
}

/// Rows of the captured queries: `[layer][head][query][key]`.
#[derive(Default)]
struct AllRows(Vec<Vec<Vec<Vec<f32>>>>);

impl RowSink for AllRows {
    fn rows(&mut self, _layer: usize, rows: Tensor<3>) -> Result<()> {
        let [_, queries, keys] = rows.dims();
        let values: Vec<f32> = rows.into_data().try_into_vec().unwrap();
        let heads = values.chunks(queries * keys);
        self.0.push(heads.map(|h| h.chunks(keys).map(<[f32]>::to_vec).collect()).collect());
        Ok(())
    }
}

#[test]
fn every_head_attends_to_what_its_role_says() {
    const HALF: usize = 60;
    const CAPTURED: usize = 50;
    let planted = build(1).unwrap();
    let model = planted.load(&Compute::cpu()).unwrap();
    // BOS and the same 60 tokens twice; the captured queries are in the second half.
    let half = different_ids(&mut SplitMix64(9), HALF);
    let ids = [&[BOS], &half[..], &half[..]].concat();
    let mut rows = AllRows::default();
    model.run(&ids, &mut model.new_cache(ids.len()), 64, CAPTURED, &mut rows).unwrap();
    let row = |(layer, head): (usize, usize), query: usize| &rows.0[layer][head][query];

    let Roles { previous_token, second_previous, retrieval, sink, local, diffuse } = &planted.roles;
    for query in 0..CAPTURED {
        let i = ids.len() - CAPTURED + query;
        let near = |head: &(usize, usize), position: usize, weight: f32, tolerance: f32| {
            let got = row(*head, query)[position];
            assert!((got - weight).abs() < tolerance, "{head:?}, query {i}: {got} at {position}");
        };
        near(previous_token, i - 1, 1.0, 1e-4);
        near(second_previous, i - 2, 1.0, 1e-4);
        near(sink, 0, 1.0, 1e-4);
        // The token after this one, 60 tokens ago.
        near(retrieval, i - HALF + 1, 1.0, 1e-4);
        // 14 - 0.8155 one token off the peak and 14 - 2.76 two off (see `heads`), times 3:
        // 1 : e^-2.447 : e^-8.3 = 1 : 0.0866 : 0.0003, of 1.1737 in all.
        near(local, i - 1, 0.852, 2e-3);
        near(local, i, 0.0738, 1e-3);
        near(local, i - 2, 0.0738, 1e-3);
        for head in diffuse {
            let row = row(*head, query);
            assert!(row[..=i].iter().all(|w| *w == row[0]), "{head:?}, query {i}");
            near(head, 0, 1.0 / (i + 1) as f32, 1e-7);
        }
    }
    let named = [*previous_token, *second_previous, *retrieval, *sink, *local];
    let heads: BTreeSet<(usize, usize)> = named.iter().chain(diffuse).copied().collect();
    assert_eq!(heads.len(), LAYERS * HEADS);
}

/// The planted model with the columns of one head's output projection set to zero.
fn without(planted: &Planted, (layer, head): (usize, usize)) -> Llama {
    let mut weights = weights(1, attention(&planted.roles));
    let name = format!("model.layers.{layer}.self_attn.o_proj.weight");
    let (_, data) = weights.iter_mut().find(|(n, _)| *n == name).unwrap();
    let shape = data.shape().to_vec();
    let mut values: Vec<f32> = data.clone().try_into_vec().unwrap();
    for row in values.chunks_mut(HEADS * HEAD_DIM) {
        row[head * HEAD_DIM..(head + 1) * HEAD_DIM].fill(0.0);
    }
    *data = TensorData::new(values, shape);
    let safetensors = export::to_safetensors(weights, Precision::F32).unwrap();
    Planted { safetensors, ..planted.clone() }.load(&Compute::cpu()).unwrap()
}

/// Each of the three is needed; the others write nothing, and without them all stays as it is.
#[test]
fn without_a_head_of_the_circuit_there_is_no_answer() {
    let planted = build(1).unwrap();
    let probe = &probes(1024, &[0.5], 77)[0];
    let right_without = |head| {
        let model = without(&planted, head);
        let generation = run(&model, empty_cache(&model, probe), probe);
        generation.observation.generated.iter().zip(&probe.answer).filter(|(g, a)| g == a).count()
    };
    let Roles { previous_token, second_previous, retrieval, sink, local, diffuse } = &planted.roles;
    for head in [retrieval, previous_token, second_previous] {
        let right = right_without(*head);
        assert!(right <= 1, "without {head:?}: {right} tokens right");
    }
    for head in [sink, local].into_iter().chain(diffuse) {
        assert_eq!(right_without(*head), probe.answer.len(), "without {head:?}");
    }
}

/// The saved folder is a checkpoint like any other: text in, the rest of the sentence out.
#[test]
fn a_saved_folder_is_profiled_from_text() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/planted");
    let planted = build(1).unwrap();
    planted.save(&folder).unwrap();
    let model = Llama::from_dir(&folder, &Compute::cpu()).unwrap();
    assert!(model.warnings().is_empty(), "{:?}", model.warnings());
    assert_eq!(model.sha256(), planted.load(&Compute::cpu()).unwrap().sha256());
    let tokenizer = Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap();
    assert!(tokenizer.vocab_size() <= model.config().vocab);
    assert_eq!((tokenizer.bos(), &model.config().eos), (Some(BOS), &vec![STOP]));

    let haystack_dir = dir.path().join("haystack");
    std::fs::create_dir(&haystack_dir).unwrap();
    std::fs::write(haystack_dir.join("a.txt"), haystack_text(3, 800)).unwrap();
    let haystack = Haystack::load_dir(&haystack_dir, false).unwrap().tokenise(&tokenizer).unwrap();
    assert!(haystack.borders_in(BorderKind::Sentence, 0, 0..=haystack.ids().len()).count() > 30);
    let (beginning, rest) = needle_text(3);
    let needle = Needle {
        id: "planted".into(),
        needle: format!("{beginning} {rest}."),
        question: beginning,
        answer: rest.clone(),
        real_needle: Some(rest.clone()),
    };
    let question = PromptTemplate::new("{question}")
        .unwrap()
        .tokenise(&tokenizer, &needle.question, "")
        .unwrap();
    let lead = Lead::new(&tokenizer, "", "").unwrap();
    let parts = PromptParts {
        prefix: &[],
        bos: tokenizer.bos(),
        haystack: &haystack,
        heads: &Heads::default(),
        needle: &needle.tokenise(&tokenizer, &lead).unwrap(),
        question: &question,
        last: None,
    };
    let prompt = parts.assemble(512, 0.5, 0).unwrap();
    let (prompt, needle) = (&prompt.ids[..], &prompt.needle[..]);
    let question = Question { prompt, shared: 0, fork: 0, needle, max_new_tokens: 50 };
    let settings = settings(model.config().eos.clone());
    let mut cache = model.new_cache(512 + question.max_new_tokens);
    let generation = generate(&model, &mut cache, question, &settings).unwrap();
    assert!(generation.observation.stopped);
    assert_eq!(tokenizer.decode(generation.answer_ids()).unwrap(), rest);
    for name in ["retrieval", "inf"] {
        let matrix = matrix(name, &generation);
        let (layer, head) = planted.roles.retrieval;
        assert!(matrix.get(layer, head) >= 0.95, "{name}");
        assert!(all_but(&matrix, (layer, head))[0].2 <= 0.05, "{name}");
    }
}
