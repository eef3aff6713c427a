use burn::tensor::DType;

use super::*;
use crate::heads::HeadSet;
use crate::model::ablation::Ablation;
use crate::model::embedded::{needle_llama, needle_llama_tokenizer};
use crate::model::packed::{NoRows, PackedSequence};
use crate::model::token_stats::tests::{fixtures, prompt};
use crate::model::{Compute, Llama};

/// How much more and less than by 1 outputs are scaled for a difference; exact in f32. Half of it
/// doubles what rounding does to a slope, twice as much makes curvature up to 0.2 % of it.
const STEP: f32 = 1.0 / 64.0;

/// A prompt that was run, and an answer behind it.
struct Case<'a> {
    model: &'a Llama,
    prompt: &'a [u32],
    answer: &'a [u32],
    cache: KvCache,
}

impl<'a> Case<'a> {
    fn new(model: &'a Llama, prompt: &'a [u32], answer: &'a [u32]) -> Self {
        let mut cache = model.new_cache(prompt.len() + answer.len());
        model.run(prompt, &mut cache, 16, 0, &mut NoRows).unwrap();
        Self { model, prompt, answer, cache }
    }

    fn attributed(&self) -> Attributed {
        self.model.attributed(self.prompt, self.answer, &self.cache).unwrap()
    }

    /// The log-probability of the answer where the outputs of `heads` are scaled in its rows, by
    /// the way up that everything else takes.
    fn log_probability(&self, heads: &HeadSet, factor: f32) -> f64 {
        let (config, compute) = (self.model.config(), self.model.compute());
        let scaled = Ablation::scaled(heads, factor, config, compute);
        let (last, fed) = (self.prompt.len() - 1, self.answer.len() - 1);
        let ids = [&self.prompt[last..], &self.answer[..fed]].concat();
        let mut cache = self.cache.clone();
        cache.rewind(last);
        let mut sequence = [PackedSequence {
            ids: &ids,
            cache: &mut cache,
            followed: ids.len(),
            captured: 0,
            sink: &mut NoRows,
            ablation: Some(&scaled),
        }];
        let mut sum = 0.0;
        let mut visit = |row: usize, logits: &[f32]| {
            let all: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            sum += f64::from(logits[self.answer[row] as usize]) - all.ln();
            Ok(())
        };
        self.model.each_followed(&mut sequence, &mut visit).unwrap();
        sum
    }

    /// How steeply the log-probability rises with a factor at the outputs of `heads`: central
    /// differences over a step and over two, of which the errors by curvature cancel each other
    /// (Richardson).
    fn slope(&self, heads: &HeadSet) -> f64 {
        let difference = |step: f32| {
            let [more, less] = [1.0 + step, 1.0 - step].map(|f| self.log_probability(heads, f));
            (more - less) / f64::from(2.0 * step)
        };
        (4.0 * difference(STEP) - difference(2.0 * STEP)) / 3.0
    }

    /// The largest error of any head's attribution against its slope, as a part of the largest
    /// attribution; and that of their sum against the slope of all heads at the same time.
    fn errors(&self) -> [f64; 2] {
        let Attributed { log_probability, heads } = self.attributed();
        let as_it_is = self.log_probability(&HeadSet::default(), 1.0);
        assert!((log_probability - as_it_is).abs() < 1e-4, "{log_probability} {as_it_is}");
        let most = heads.values().iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        let all = || (0..heads.layers()).flat_map(|l| (0..heads.heads()).map(move |h| (l, h)));
        let error = |(layer, head)| {
            let slope = self.slope(&HeadSet::from_iter([(layer, head)]));
            (slope - f64::from(heads.get(layer, head))).abs() / most
        };
        let worst = all().map(error).fold(0.0, f64::max);
        let sum: f64 = heads.values().iter().map(|v| f64::from(*v)).sum();
        [worst, (self.slope(&all().collect()) - sum).abs() / most]
    }
}

/// Multiple heads and grouped ones, biases, norms of queries and keys, windows, scalings of the
/// rotation, output layers of their own and shared ones, all types of weights; answers of one
/// token, of some, and of so many that products go another way.
#[test]
fn attributions_are_the_slopes_of_the_way_up() {
    let ids = prompt(60);
    for dir in fixtures() {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        for on_host in [true, false] {
            let compute = Compute { on_host, ..Compute::cpu() };
            let model = Llama::from_dir(&dir, &compute).unwrap();
            for answer in [1, 6, 20] {
                let case = Case::new(&model, &ids[..40], &ids[40..40 + answer]);
                let [worst, sum] = case.errors();
                println!("{name}, on host {on_host}, {answer} rows: {worst:.1e}, sum {sum:.1e}");
                assert!(worst < 1e-3 && sum < 1e-3, "{name}, {answer} rows: {worst} {sum}");
            }
        }
    }
}

/// A model that was trained, whose heads look at a few tokens only.
#[test]
fn attributions_of_a_trained_model_are_slopes() {
    let model = needle_llama(&Compute::cpu()).unwrap();
    let tokenizer = needle_llama_tokenizer().unwrap();
    let encode = |text: &str| tokenizer.encode(text).unwrap();
    let text = "The river was wide. The secret number of Paris is 4821. The boat was old.\nBased on \
                the content of the book, Question: What is the secret number of Paris?\nAnswer:";
    let prompt = [tokenizer.bos().into_iter().collect(), encode(text)].concat();
    let answer = encode(" 4821");
    let [worst, sum] = Case::new(&model, &prompt, &answer).errors();
    println!("needle-llama, {} rows: {worst:.1e}, sum {sum:.1e}", answer.len());
    assert!(worst < 1e-3 && sum < 1e-3, "{worst} {sum}");
}

#[test]
fn what_is_in_the_cache_behind_the_prompt_does_not_matter() {
    let ids = prompt(60);
    let model = Llama::from_dir(&fixtures()[0], &Compute::cpu()).unwrap();
    let mut case = Case::new(&model, &ids[..40], &ids[40..44]);
    let want = case.attributed();
    assert_eq!(case.attributed(), want, "again");
    model.run(&ids[50..54], &mut case.cache, 16, 0, &mut NoRows).unwrap();
    assert_eq!((case.attributed(), case.cache.len()), (want.clone(), 44));
    case.cache.rewind(39);
    assert_eq!(case.attributed(), want);
}

#[test]
fn nothing_is_attributed_to_a_prompt_that_was_not_run() {
    let ids = prompt(60);
    let model = Llama::from_dir(&fixtures()[0], &Compute::cpu()).unwrap();
    let case = Case::new(&model, &ids[..20], &ids[40..44]);
    let code = |prompt: &[u32], answer: &[u32]| {
        model.attributed(prompt, answer, &case.cache).unwrap_err().exit_code()
    };
    assert_eq!(code(&ids[..20], &[]), 1);
    assert_eq!(code(&ids[..22], &ids[..2]), 1);
    assert_eq!(code(&ids[..1], &ids[..2]), 1);
    assert_eq!(code(&ids[..20], &[3, 96]), 4);
}

/// Two logits of which one is by ln 3 larger: 3 against 1.
#[test]
fn the_gradient_of_a_log_probability_by_hand() {
    let mut logits = [0.5, 0.5 + 3f32.ln()];
    let log_probability = to_gradient(&mut logits, 1);
    assert!((log_probability - 0.75f64.ln()).abs() < 1e-6);
    assert!((logits[0] + 0.25).abs() < 1e-6 && (logits[1] - 0.25).abs() < 1e-6, "{logits:?}");
}

/// But for its epsilon, which is little beside these numbers, a norm does not change along `x`: nor
/// has its gradient a part that lies there.
#[test]
fn norms_do_not_see_the_length_of_their_input() {
    let dir = &fixtures()[0];
    let model = Llama::from_dir(dir, &Compute::cpu()).unwrap();
    let width = model.config().hidden;
    let row = |f: fn(usize) -> f32| {
        let numbers: Vec<f32> = (0..width).map(f).collect();
        let data = TensorData::new(numbers, [1, width]);
        Tensor::<2>::from_data(data, (&model.compute().device, DType::F32))
    };
    let x = row(|i| 30.0 + i as f32);
    let (_, norm) = NormRun::new(Some(&model.decoder().norm), x.clone());
    let back = norm.back(row(|i| (i * 7 % 5) as f32 - 2.0));
    let along: f32 = (back.clone() * x).sum().into_scalar();
    let most: f32 = back.abs().max().into_scalar();
    assert!(along.abs() < 1e-3 * most && most > 1e-3, "{along} {most}");
}
