use std::collections::BTreeSet;
use std::path::Path;

use super::traced::TracedPrompt;
use super::*;
use crate::error::Result;
use crate::generate::Stop;
use crate::generate::ablated::{Ablated, answers, log_probabilities};
use crate::generate::compressed::AnswerLimits;
use crate::model::checkpoint::Checkpoint;
use crate::model::packed::{NoRows, PackedSequence};
use crate::model::token_stats::tests::{fixtures, prompt};
use crate::model::{KvCache, Llama, WeightSource};

const CHUNK: usize = 16;

fn load(dir: &Path) -> Llama {
    Llama::from_dir(dir, &Compute::cpu()).unwrap()
}

fn set(heads: &[(usize, usize)]) -> HeadSet {
    heads.iter().copied().collect()
}

fn ablation(model: &Llama, heads: &[(usize, usize)], how: How) -> Ablation {
    Ablation::new(&set(heads), how, None, model.config(), model.compute())
}

/// Logits after `ids` with heads off for those from `from` on, computed from the start.
fn naive(model: &Llama, ids: &[u32], from: usize, off: Option<&Ablation>) -> (KvCache, Vec<f32>) {
    let mut cache = model.new_cache(ids.len() + 16);
    if from > 0 {
        model.run(&ids[..from], &mut cache, CHUNK, 0, &mut NoRows).unwrap();
    }
    let mut logits = Vec::new();
    for ids in model.parts(&ids[from..], CHUNK) {
        let (sink, cache) = (&mut NoRows, &mut cache);
        let sequence = PackedSequence { ids, cache, followed: 1, captured: 0, sink, ablation: off };
        logits = model.run_together(&mut [sequence], &[0]).unwrap().swap_remove(0);
    }
    (cache, logits)
}

fn traced<'a>(model: &'a Llama, ids: &[u32], from: usize) -> TracedPrompt<'a> {
    let all: BTreeSet<usize> = (0..model.config().layers).collect();
    TracedPrompt::run(model, ids, from, &all, 16, CHUNK).unwrap()
}

fn assert_near(got: &[f32], want: &[f32], about: &str) {
    assert_eq!(got.len(), want.len(), "{about}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{about}: {got} {want}");
    }
}

/// A checkpoint in which a head is off by its weights: rows or columns of zeros.
struct Without<'a> {
    checkpoint: Checkpoint,
    config: &'a ModelConfig,
    off: (usize, usize),
    how: How,
}

impl Without<'_> {
    fn is(&self, name: &str, projection: &str) -> bool {
        name.starts_with(&format!("model.layers.{}.self_attn.{projection}", self.off.0))
    }

    /// Of the head's own entries among all heads'.
    fn own(&self) -> std::ops::Range<usize> {
        let dim = self.config.head_dim;
        self.off.1 * dim..(self.off.1 + 1) * dim
    }
}

impl WeightSource for Without<'_> {
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>> {
        let matrix = self.checkpoint.matrix(name, shape, transpose)?;
        let [rows, columns] = matrix.dims();
        let range = match self.how {
            // Stored as `[in, out]`: its outputs come in, or its queries go out.
            How::Zero if self.is(name, "o_proj") => [self.own(), 0..columns],
            How::Uniform if self.is(name, "q_proj") => [0..rows, self.own()],
            _ => return Ok(matrix),
        };
        assert!(transpose);
        let zeros = matrix.clone().slice(range.clone()).zeros_like();
        Ok(matrix.slice_assign(range, zeros))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        let vector = self.checkpoint.vector(name, len)?;
        if self.how != How::Uniform || !self.is(name, "q_proj") {
            return Ok(vector);
        }
        let zeros = vector.clone().slice([self.own()]).zeros_like();
        Ok(vector.slice_assign([self.own()], zeros))
    }
}

/// A head that is off is a head whose weights are zero, in every family.
#[test]
fn heads_that_are_off_are_heads_without_weights() {
    let ids = prompt(40);
    let mut differ = 0;
    for dir in fixtures() {
        let model = load(&dir);
        let config = model.config();
        let off = (config.layers - 1, config.heads - 1);
        for how in [How::Zero, How::Uniform] {
            let mut checkpoint = Checkpoint::open(&dir, model.compute()).unwrap();
            let (config, _) = checkpoint.output_layer(config.clone()).unwrap();
            let mut source = Without { checkpoint, config: &config, off, how };
            let other = Llama::of_source(config.clone(), &mut source, model.compute()).unwrap();
            let want = other.run(&ids, &mut other.new_cache(40), CHUNK, 0, &mut NoRows).unwrap();
            let (_, got) = traced(&model, &ids, 0).without(&ablation(&model, &[off], how)).unwrap();
            assert_near(&got, &want, &format!("{} {how:?}", dir.display()));
            differ += usize::from(traced(&model, &ids, 0).as_it_is().1 != got);
        }
    }
    // Of the sliding windows one has a single token, where uniform is what attention is anyway.
    assert!(differ >= 20, "{differ} of 24 runs show that a head is off");
}

/// What does not depend on the heads that are off is not run again, and nothing else is left out:
/// the same to the bit as from the start.
#[test]
fn a_run_from_a_layer_on_is_a_run_from_the_start() {
    let ids = prompt(40);
    for dir in fixtures() {
        let model = load(&dir);
        let last = model.config().layers - 1;
        for (from, how) in [(0, How::Zero), (0, How::Uniform), (20, How::Zero), (39, How::Uniform)]
        {
            let prompt = traced(&model, &ids, from);
            for heads in [&[(0, 0)][..], &[(last, 1)], &[(0, 1), (last, 0)]] {
                let off = ablation(&model, heads, how);
                let (cache, got) = prompt.without(&off).unwrap();
                let (_, want) = naive(&model, &ids, from, Some(&off));
                let about = format!("{} from {from}, {how:?} {heads:?}", dir.display());
                assert_eq!((cache.len(), got), (40, want), "{about}");
            }
            // Runs with heads off leave the prompt as it was.
            let (_, want) = naive(&model, &ids, from, None);
            assert_eq!(prompt.as_it_is().1, want);
            assert_eq!(prompt.without(&ablation(&model, &[], how)).unwrap().1, want);
        }
    }
}

#[test]
fn a_prompt_is_kept_only_for_the_layers_asked_for() {
    let model = load(&fixtures()[0]);
    let ids = prompt(20);
    let run = |from, layers: &[usize]| {
        let layers = layers.iter().copied().collect();
        TracedPrompt::run(&model, &ids, from, &layers, 4, CHUNK)
    };
    let prompt = run(0, &[1]).unwrap();
    assert!(prompt.without(&ablation(&model, &[(1, 0)], How::Zero)).is_ok());
    let e = prompt.without(&ablation(&model, &[(0, 0)], How::Zero)).unwrap_err();
    assert_eq!(e.exit_code(), 1);
    assert_eq!(run(20, &[0]).err().unwrap().exit_code(), 1);
}

#[test]
fn outputs_by_hand() {
    let model = load(&fixtures()[0]);
    let config = model.config();
    let (heads, dim) = (config.heads, config.head_dim);
    let mut usual = UsualOutputs::new(config);
    // Of a prompt of one token every head puts out the token's value.
    usual.add(&model, &[7], CHUNK).unwrap();
    let mut cache = model.new_cache(1);
    model.run(&[7], &mut cache, CHUNK, 0, &mut NoRows).unwrap();
    let values: Vec<f32> = cache.values(1).try_into_vec_as().unwrap();
    let group = heads / config.kv_heads;
    for head in 0..heads {
        let at = head / group * dim;
        assert_near(&usual.of(1, head), &values[at..at + dim], "values");
    }
    // And of two prompts with a token each, the mean of both.
    usual.add(&model, &[9], CHUNK).unwrap();
    let mut other = UsualOutputs::new(config);
    other.add(&model, &[9], CHUNK).unwrap();
    let first_head = values.iter().zip(other.of(1, 0)).map(|(a, b)| (a + b) / 2.0);
    assert_near(&usual.of(1, 0), &first_head.take(dim).collect::<Vec<f32>>(), "mean of two");

    let device = &model.compute().device;
    let outputs = Tensor::<4>::ones([1, heads, 3, dim], (device, DType::F32));
    let off = set(&[(1, 0)]);
    let of = |how| {
        let off = Ablation::new(&off, how, Some(&usual), config, model.compute());
        let all: Vec<f32> = off.outputs(1, outputs.clone()).try_into_vec_as().unwrap();
        assert!(all[3 * dim..].iter().all(|x| *x == 1.0), "other heads are as they were");
        let other: Vec<f32> = off.outputs(0, outputs.clone()).try_into_vec_as().unwrap();
        assert!(other.iter().all(|x| *x == 1.0), "other layers are as they were");
        all[..3 * dim].to_vec()
    };
    assert_eq!(of(How::Zero), vec![0.0; 3 * dim]);
    assert_eq!(of(How::Uniform), vec![1.0; 3 * dim]);
    assert_eq!(of(How::Mean), [usual.of(1, 0), usual.of(1, 0), usual.of(1, 0)].concat());
}

/// Side by side or alone, the same answers and the same probabilities; those of the answer that was
/// given are what the logits say, step by step.
#[test]
fn answers_side_by_side_are_those_of_each_alone() {
    let ids = prompt(30);
    let limits = AnswerLimits { max_new_tokens: 6, stop: Stop::at(vec![]), open: false };
    for dir in &fixtures()[..4] {
        let model = load(dir);
        let prompt = traced(&model, &ids, 0);
        let offs: Vec<Option<Ablation>> = [None, Some((0, 0)), Some((1, 1)), Some((1, 0))]
            .map(|head| head.map(|head| ablation(&model, &[head], How::Zero)))
            .into();
        let read = |off| Ablated::read(&prompt, off).unwrap();
        let gold = [5, 17, 60];
        let mut together: Vec<Ablated> = offs.iter().map(|off| read(off.as_ref())).collect();
        let likely = log_probabilities(&model, &mut together, &gold).unwrap();
        let given = answers(&model, together, &limits).unwrap();
        for ((off, likely), given) in offs.iter().zip(&likely).zip(&given) {
            let off = off.as_ref();
            let alone = answers(&model, vec![read(off)], &limits).unwrap().swap_remove(0);
            assert_eq!((&alone.ids, alone.ids.len()), (&given.ids, 6));
            assert_eq!(log_probabilities(&model, &mut [read(off)], &gold).unwrap(), [*likely]);

            let (mut cache, mut logits) = naive(&model, &ids, 0, off);
            let mut sum = 0.0;
            for id in gold {
                let all: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
                sum += f64::from(logits[id as usize]) - all.ln();
                let (sink, cache) = (&mut NoRows, &mut cache);
                let sequence = PackedSequence {
                    ids: &[id],
                    cache,
                    followed: 1,
                    captured: 0,
                    sink,
                    ablation: off,
                };
                logits = model.run_together(&mut [sequence], &[0]).unwrap().swap_remove(0);
            }
            assert!((likely - sum).abs() < 1e-4, "{likely} {sum}");
        }
        let e = log_probabilities(&model, &mut [read(None)], &[]).unwrap_err();
        assert_eq!(e.exit_code(), 1);
        let e = log_probabilities(&model, &mut [read(None)], &[1; 40]).unwrap_err();
        assert_eq!(e.exit_code(), 1);
    }
}
