//! [`Recorder`]: probe by probe, what the tokens of its prompt are worth to its answer.

use std::collections::BTreeSet;

use super::facts::FinishedCurves;
use super::{POINTS, UtilityConfig, fractions};
use crate::chat::{Marks, Said};
use crate::error::{Error, Result};
use crate::eviction::{EvictionOptions, Kept, QueryRows, TokenStats, utility};
use crate::gate::Expected;
use crate::generate::compressed::{AnswerLimits, Evictor, continue_from};
use crate::generate::{Stop, guarded};
use crate::heads::{CacheHeads, GroupReduce};
use crate::job::{Inputs, Job};
use crate::journal::{Done, Journal};
use crate::model::{Llama, NewValue, RaggedCache};
use crate::plan::Probe;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;

/// The prompt's last query.
const LAST: QueryRows = QueryRows::Last(1);

/// The model and what it is asked.
pub(super) struct Recorder<'a> {
    pub config: &'a UtilityConfig,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    pub model: &'a Llama,
    pub heads: CacheHeads,
}

impl Recorder<'_> {
    /// Runs the probes at the places `todo`, and journals each when it is finished.
    ///
    /// # Errors
    /// The first of any probe.
    pub fn record(
        &self,
        todo: &BTreeSet<usize>,
        journal: &Journal,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let (config, job) = (self.config, self.job);
        let gate = &self.inputs.gate;
        let tokens = todo.iter().map(|&i| job.plan.probes[i].context_length as u64).sum();
        let mut progress = Progress::new(todo.len(), tokens, config.reporter.quiet);
        for &index in todo {
            interrupt.check()?;
            let probe = &job.plan.probes[index];
            let answered = guarded(self.model.compute(), config.reporter, || self.probe(probe));
            let (failed, result) = match answered {
                Ok((answer, curves)) => {
                    let text = &self.inputs.probes.texts[probe.needle];
                    let value = gate.value(&answer, &Expected::from(text))?;
                    (false, FinishedCurves::new(gate.passes(value).then_some(&curves[..])))
                }
                Err(e @ Error::Resources(_)) => (true, FinishedCurves::failed(&e)),
                Err(e) => return Err(e),
            };
            let passed = result.curves.is_some();
            journal.append(&[Done { index, id: probe.id.to_string(), failed, result }])?;
            progress.advance(probe.context_length, passed);
        }
        progress.finish();
        Ok(())
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
    use crate::budget::BudgetOptions;
    use crate::heads::Granularity;

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
            replayed: None,
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
}
