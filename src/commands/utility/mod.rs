//! `headprof utility`: records utility curves, by which `lukv` divides budgets.
//!
//! ```text
//! probe ─► prefill ─► token scores ─┐
//!            └► full cache ─► answer ─► attention of its queries ─► worth ─┴► curve per head
//! curves of the probes whose answer passes the gate ─► mean ─► head_score/*_utility.json
//! ```
//!
//! The first query of an answer is the prompt's last token; the others are the generated tokens.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::budget::{BudgetOptions, UtilityCurves, UtilityFile};
use crate::chat::{Marks, Said};
use crate::cli::UtilityArgs;
use crate::config::{AtOption, Paths, ProbeConfig, Surroundings, eviction_options};
use crate::error::{Error, Result};
use crate::eviction::{
    self, EvictionOptions, Kept, Method, QueryRows, TokenScore, TokenStats, utility,
};
use crate::gate::Expected;
use crate::generate::compressed::{AnswerLimits, Evictor, continue_from};
use crate::generate::{Stop, guarded};
use crate::heads::{CacheHeads, Granularity, GroupReduce};
use crate::job::{self, Inputs, Job, NeedleSpans, check_memory, check_window};
use crate::model::{Llama, NewValue, RaggedCache};
use crate::plan::{Probe, check_tokens};
use crate::score::References;
use crate::system::Reporter;
use crate::system::atomic;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;
use crate::tasks::TaskSource;
use crate::tasks::needle::NeedleSource;

/// Points of a curve.
const POINTS: usize = 100;

/// The prompt's last query.
const LAST: QueryRows = QueryRows::Last(1);

/// A recording to make, without contradictions.
pub struct UtilityConfig {
    /// The probes.
    pub probes: ProbeConfig,
    /// What they hide.
    needles: NeedleSource,
    /// Whose token score puts the tokens in order.
    pub method: &'static Method,
    /// That score.
    token_score: &'static dyn TokenScore,
    /// Its constants.
    pub options: EvictionOptions,
    /// Which heads keep tokens of their own.
    granularity: Granularity,
    /// Output folder.
    pub out: PathBuf,
    /// Whom to tell.
    pub reporter: Reporter,
    /// What the user should know about the arguments.
    pub notes: Vec<String>,
}

/// What was recorded.
#[derive(Debug, Serialize)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Probes behind the curves.
    pub accepted: usize,
    /// All probes.
    pub probes: usize,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, accepted, probes } = self;
        writeln!(f, "{}: curves of {accepted} of {probes} probes", path.display())
    }
}

impl UtilityConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &UtilityArgs, surroundings: &Surroundings) -> Result<Self> {
        Paths::of_probes(&args.probes).fills("--out", &args.out.join("head_score")).check()?;
        let needles = NeedleSource { path: args.probes.needles.clone() };
        let (probes, notes) =
            ProbeConfig::new(&args.probes, needles.answers(), References::default(), surroundings)?;
        // Curves are about every budget; this one only has to hold the window.
        check_tokens("--window-size", args.selection.window_size)?;
        let capacity_tokens = args.selection.window_size + (1 << 20);
        let budget = BudgetOptions { capacity_tokens, ..BudgetOptions::default() };
        let options = eviction_options(&args.selection, budget)?;
        let method = eviction::by_name(&args.method).at_option("--method")?;
        let Some(token_score) = method.token_score() else {
            return Err(Error::usage("the method does not put tokens in order")
                .at("--method")
                .got(method.name())
                .expected("a method that evicts, such as snapkv"));
        };
        method.check(&options)?;
        Ok(Self {
            probes,
            needles,
            method,
            token_score,
            options,
            granularity: args.selection.granularity.into(),
            out: args.out.clone(),
            reporter: Reporter { quiet: args.quiet, json: false },
            notes,
        })
    }
}

/// Runs the probes of `config` and writes the mean curves of those that pass.
///
/// # Errors
/// As its stages. [`Error::Evidence`] if no answer passes the gate.
pub fn run(config: &UtilityConfig, interrupt: &Interrupt) -> Result<Recorded> {
    let probes = &config.probes;
    let session = job::open(&probes.compute, &config.notes, &config.reporter)?;
    let folder = config.out.join("head_score");
    atomic::usable_folder(&folder)?;
    let inputs = session.inputs(probes, &config.needles)?;
    let job = session.job(probes, &inputs, NeedleSpans::Any)?;
    check_window(job.extent(), &job.shortest_probe(), config.options.budget.window_tokens)?;
    let shape = &inputs.model.config;
    session.tell_window(&inputs.model, job.extent().longest_prompt);
    let heads = shape.cache_heads(config.granularity);
    // A second cache, sums of attention, scores and worth.
    let lists = (heads.layers * heads.stored()) as u64;
    let extra = lists.saturating_mul(8 * (shape.head_dim as u64).saturating_add(8));
    check_memory(probes, &inputs.model, &session.compute, job.extent(), extra)?;
    let model = session.load(&inputs.model)?;

    let recorder = Recorder { config, inputs: &inputs, job: &job, model: &model, heads };
    let (sums, accepted) = recorder.sums(interrupt)?;
    let file = UtilityFile {
        model: inputs.model.name.clone(),
        token_score: config.token_score.name().to_owned(),
        granularity: config.granularity,
        curves: mean(&heads, sums, accepted)?,
    };
    interrupt.begin_writing()?;
    let path = folder.join(file_name(&inputs.model.name, config.token_score.name()));
    atomic::write(&path, file.to_json_line()?.as_bytes())?;
    Ok(Recorded { path, accepted, probes: job.plan.probes.len() })
}

/// The file of a model's curves for a token score: `<model>_<token score>_utility.json`.
fn file_name(model: &str, token_score: &str) -> PathBuf {
    Path::new(&format!("{model}_{token_score}_utility.json")).to_owned()
}

/// The mean of `accepted` curves per head, whose `sums` are `[L, S, K]`.
fn mean(heads: &CacheHeads, sums: Vec<f64>, accepted: usize) -> Result<UtilityCurves> {
    let of = |sum: f64| (sum / accepted as f64) as f32;
    let utilities = sums.into_iter().map(of).collect();
    UtilityCurves::new(heads.layers, heads.stored(), fractions(), utilities)
}

/// 1 % to 100 %.
fn fractions() -> Vec<f32> {
    (1..=POINTS).map(|k| k as f32 / POINTS as f32).collect()
}

struct Recorder<'a> {
    config: &'a UtilityConfig,
    inputs: &'a Inputs,
    job: &'a Job,
    model: &'a Llama,
    heads: CacheHeads,
}

impl Recorder<'_> {
    /// The sums of the curves of all probes that pass, `[L, S, K]`, and how many these are.
    fn sums(&self, interrupt: &Interrupt) -> Result<(Vec<f64>, usize)> {
        let (config, job) = (self.config, self.job);
        let gate = &self.inputs.gate;
        let mut sums = vec![0.0; self.heads.layers * self.heads.stored() * POINTS];
        let mut accepted = 0;
        let probes = &job.plan.probes;
        let mut progress = Progress::new(probes.len(), job.prompt_tokens(), config.reporter.quiet);
        for probe in probes {
            interrupt.check()?;
            let (answer, curves) = guarded(self.model.compute(), || self.probe(probe))?;
            let text = &self.inputs.probes.texts[probe.needle];
            let value = gate.value(&answer, &Expected::from(text))?;
            let passed = gate.passes(value);
            if passed {
                accepted += 1;
                sums.iter_mut().zip(curves).for_each(|(sum, value)| *sum += value);
            }
            progress.advance(probe.context_length, passed);
        }
        progress.finish();
        match accepted {
            0 => Err(Error::evidence("no answer passed the gate: there are no curves to write")
                .got(format!("{} answers", probes.len()))
                .expected("at least one that passes")
                .advice("`headprof` with the same options shows the nearest answers")),
            _ => Ok((sums, accepted)),
        }
    }

    /// The answer to one probe and the curves of its heads, `[L, S, K]`.
    fn probe(&self, probe: &Probe) -> Result<(String, Vec<f64>)> {
        let prompt = self.job.prompt(probe)?.ids;
        let compute = self.model.compute();
        let mut wanted = self.config.method.wanted(&self.config.options);
        wanted.row_sums.insert(LAST);
        let mut cache = self.model.new_cache(prompt.len());
        let chunk = self.config.probes.chunk_tokens(compute);
        let (logits, stats) = self.model.prefill(&prompt, &mut cache, chunk, &wanted)?;
        let tokenizer = &self.inputs.model.tokenizer;
        let stop = Stop { thinking: Marks::of(tokenizer), ..Stop::at(self.job.stop_ids.clone()) };
        let limits = AnswerLimits {
            max_new_tokens: self.job.max_new_tokens(probe),
            open: stop.is_open(&prompt),
            stop,
        };
        let kept = Kept::all(self.heads, prompt.len());
        let room = limits.max_new_tokens;
        let mut cache = RaggedCache::from_kept(cache, &kept, room, compute)?;
        let mut worth = Worth::new(&stats, self.heads, &self.config.options)?;
        let continuation =
            continue_from(self.model, &mut cache, &logits, &limits, Some(&mut worth))?;
        let answer = Said::new(tokenizer, &prompt, continuation.answer_ids())?.answer;
        Ok((answer, self.curves(&stats, &worth)?))
    }

    fn curves(&self, stats: &TokenStats, worth: &Worth) -> Result<Vec<f64>> {
        let options = &self.config.options;
        let window = options.budget.window_tokens.min(stats.tokens);
        let past = stats.tokens - window;
        let (fractions, stored) = (fractions(), self.heads.stored());
        let mut curves = Vec::with_capacity(self.heads.layers * stored * POINTS);
        for layer in 0..self.heads.layers {
            let scores = self.config.token_score.scores(stats, layer, &self.heads, options)?;
            for (s, scores) in scores.chunks(past.max(1)).enumerate() {
                let sums = &worth.sums[layer * stored + s];
                let per_query = 1.0 / f64::from(worth.queries[layer * stored + s].max(1));
                let curve = utility::curve(scores, &sums[..past], &fractions);
                curves.extend(curve.into_iter().map(|sum| sum * per_query));
            }
        }
        Ok(curves)
    }
}

/// What the tokens of a prompt turn out to be worth, per list: the attention of the answer's
/// queries, reduced over the query heads that read the list.
struct Worth {
    heads: CacheHeads,
    reduce: GroupReduce,
    /// `[L * S]` lists, `[T]` each.
    sums: Vec<Vec<f32>>,
    /// Queries added up, `[L * S]`.
    queries: Vec<u32>,
}

impl Worth {
    /// Begins with the prompt's last query.
    fn new(stats: &TokenStats, heads: CacheHeads, options: &EvictionOptions) -> Result<Self> {
        let reduce = options.budget.reduce;
        let mut sums = Vec::with_capacity(heads.layers * heads.stored());
        for layer in 0..heads.layers {
            let rows = heads.reduce(stats.row_sums(LAST, layer)?, stats.tokens, reduce)?;
            sums.extend(rows.chunks(stats.tokens).map(<[f32]>::to_vec));
        }
        let queries = vec![1; sums.len()];
        Ok(Self { heads, reduce, sums, queries })
    }
}

/// Looks, and evicts nothing.
impl Evictor for Worth {
    fn observe(&mut self, layer: usize, list: usize, rows: &[f32], _: NewValue) -> Result<()> {
        let readers = self.heads.readers();
        let slots = rows.len() / readers;
        let i = layer * self.heads.stored() + list;
        for (j, sum) in self.sums[i].iter_mut().enumerate() {
            *sum += self.reduce.of((0..readers).map(|h| rows[h * slots + j]));
        }
        self.queries[i] += 1;
        Ok(())
    }

    fn evict(&mut self, _: usize, _: usize) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One list of two readers, a prompt of three tokens: the last query's row is the mean of the
    /// readers' rows; a new query adds its own, whose fourth slot is the new token.
    #[test]
    fn worth_adds_up_queries_over_the_prompt() {
        let heads =
            CacheHeads { layers: 1, heads: 2, kv_heads: 1, granularity: Granularity::KvHead };
        let stats = TokenStats {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            tokens: 3,
            row_sums: [(LAST, vec![0.2, 0.3, 0.5, 0.4, 0.5, 0.1])].into(),
            value_norms: None,
            projected_norms: None,
        };
        let budget = BudgetOptions { reduce: GroupReduce::Mean, ..BudgetOptions::default() };
        let mut worth = Worth::new(&stats, heads, &EvictionOptions::new(budget)).unwrap();
        let rows = [0.1, 0.2, 0.3, 0.4, 0.5, 0.2, 0.1, 0.2];
        let value = NewValue { entries: &[], projected_norms: &[] };
        worth.observe(0, 0, &rows, value).unwrap();
        for (got, expected) in worth.sums[0].iter().zip([0.6, 0.6, 0.5]) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
        assert_eq!((worth.queries[0], worth.evict(0, 0)), (2, None));
    }

    #[test]
    fn a_mean_of_curves_is_a_curve() {
        let heads =
            CacheHeads { layers: 1, heads: 1, kv_heads: 1, granularity: Granularity::KvHead };
        let sums: Vec<f64> = (1..=POINTS).map(|k| k as f64 / 25.0).collect();
        let curves = mean(&heads, sums, 4).unwrap();
        assert_eq!(curves.fractions().last(), Some(&1.0));
        assert_eq!(curves.curve(0, 0)[POINTS - 1], 1.0);
        assert_eq!(file_name("m", "window").to_str(), Some("m_window_utility.json"));
    }
}
