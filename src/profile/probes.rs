//! The loop over all probes: prompt → answer → gate → scores.

use super::inputs::Inputs;
use super::job::Job;
use super::probe_cache::ProbeCache;
use super::record::{ProbeRecord, ProbeSeconds, Status};
use super::reuse::Reuse;
use crate::error::{Error, Result};
use crate::gate::Expected;
use crate::generate::{Settings, generate};
use crate::head_matrix::HeadMatrix;
use crate::interrupt::Interrupt;
use crate::model::{Compute, KvCache, Llama};
use crate::panics::caught;
use crate::plan::Probe;
use crate::progress::Progress;
use crate::prompt::Prompt;
use crate::run_config::RunConfig;

/// Answers shown where none passed.
const SAMPLES: usize = 3;

/// All probes, answered.
pub struct Probed {
    /// One per probe, in the order of the plan.
    pub records: Vec<ProbeRecord>,
    /// Per score of [`RunConfig::scores`]: one `[L, H]` per accepted probe, in the order of the
    /// plan.
    pub scores: Vec<Vec<HeadMatrix>>,
    /// Seconds for all prompts.
    pub prefill_secs: f64,
    /// Seconds for all answers.
    pub decode_secs: f64,
    /// What answers had to reach, in words.
    pub gate_rule: String,
}

/// Runs every probe of `job` in the order of `reuse`; the results are in that of the plan.
///
/// A probe that needs more memory than there is, that the GPU fails at, or whose answer leaves nothing to score, has
/// failed; the others go on.
///
/// # Errors
/// [`Error::Interrupted`], and every error that the next probe would meet again: numbers that are
/// not finite, a tokenizer that cannot decode, a bug.
pub(super) fn run(
    config: &RunConfig,
    inputs: &Inputs,
    job: &Job,
    model: &Llama,
    reuse: &Reuse,
    interrupt: &Interrupt,
) -> Result<Probed> {
    let mut probed = Probed {
        records: Vec::with_capacity(job.plan.probes.len()),
        scores: vec![Vec::new(); config.scores.len()],
        prefill_secs: 0.0,
        decode_secs: 0.0,
        gate_rule: inputs.gate.rule(),
    };
    let mut progress = Progress::new(job.plan.probes.len(), reuse.run_tokens, config.quiet);
    let chunk = config.probes.chunk_tokens(model.compute());
    let extent = job.extent();
    let most = extent.longest_prompt.saturating_add(extent.longest_answer);
    let mut caches = ProbeCache::new(model, most);
    let mut done: Vec<Option<(ProbeRecord, Vec<HeadMatrix>)>> =
        job.plan.probes.iter().map(|_| None).collect();
    for step in &reuse.steps {
        interrupt.check()?;
        let probe = &job.plan.probes[step.probe];
        let prompt = job.prompt(probe)?;
        let needle = &inputs.needles[probe.needle];
        let mut record = ProbeRecord::new(probe, needle, &prompt);
        let attempt = Attempt { config, inputs, job, model, chunk };
        let needed = prompt.ids.len().saturating_add(job.max_new_tokens(probe));
        let mut answer = |caches: &mut ProbeCache| {
            guarded(model.compute(), || {
                let mut cache = caches.take(needed, step.shared);
                record.reused_tokens = cache.len();
                let scores = attempt.answer(probe, &prompt, &mut cache, &mut record)?;
                caches.put(cache);
                Ok(scores)
            })
        };
        let mut answered = answer(&mut caches);
        if matches!(answered, Err(Error::Resources(_))) && caches.tighten(needed) {
            answered = answer(&mut caches);
        }
        let scores = match answered {
            Ok(scores) => scores,
            Err(e @ (Error::Resources(_) | Error::Evidence(_))) => {
                record.fail(&e);
                Vec::new()
            }
            Err(e) => return Err(e),
        };
        let run = record.prompt_tokens - step.shared;
        progress.advance(run, record.status == Status::Accepted);
        done[step.probe] = Some((record, scores));
    }
    progress.finish();
    for (record, scores) in done.into_iter().flatten() {
        probed.prefill_secs += record.seconds.prefill;
        probed.decode_secs += record.seconds.decode;
        for (all, one) in probed.scores.iter_mut().zip(scores) {
            all.push(one);
        }
        probed.records.push(record);
    }
    Ok(probed)
}

/// Runs `body`; on a GPU a panic, as of a library that finds no memory left, is an error of this
/// probe alone. On the processor it is a bug and goes on.
pub(crate) fn guarded<T>(compute: &Compute, body: impl FnOnce() -> Result<T>) -> Result<T> {
    if compute.on_host {
        return body();
    }
    caught(body).unwrap_or_else(|panic| {
        Err(Error::resources("the GPU failed, perhaps for lack of memory")
            .at(&compute.name)
            .got(panic)
            .advice("shorter contexts, a smaller --chunk, or --device cpu"))
    })
}

/// What one probe needs.
struct Attempt<'a> {
    config: &'a RunConfig,
    inputs: &'a Inputs,
    job: &'a Job,
    model: &'a Llama,
    chunk: usize,
}

impl Attempt<'_> {
    /// Lets the model answer from what `cache` holds of the prompt, fills in `record`, and returns the
    /// scores, one of each; none if the answer does not pass.
    fn answer(
        &self,
        probe: &Probe,
        prompt: &Prompt,
        cache: &mut KvCache,
        record: &mut ProbeRecord,
    ) -> Result<Vec<HeadMatrix>> {
        let settings = Settings {
            max_new_tokens: self.job.max_new_tokens(probe),
            stop: self.job.stop_ids.clone(),
            chunk: self.chunk,
            top_k: self.config.top_k,
        };
        let spans = self.job.score_spans(prompt);
        let generation = generate(self.model, cache, &prompt.ids, &spans, &settings)?;
        record.seconds =
            ProbeSeconds { prefill: generation.prefill_secs, decode: generation.decode_secs };
        record.generated_ids = generation.observation.generated.clone();
        let answer = self.inputs.model.tokenizer.decode(generation.answer_ids())?;
        let needle = &self.inputs.needles[probe.needle];
        let gate = &self.inputs.gate;
        let value = gate.value(&answer, &Expected::from(needle))?;
        record.answer = Some(answer);
        record.gate_value = Some(value);
        if !gate.passes(value) {
            record.status = Status::Rejected;
            record.reason = Some(format!("{} {value:.4} does not pass", gate.name()));
            return Ok(Vec::new());
        }
        let score = |score: &&dyn crate::score::HeadScore| {
            score.score(&generation.observation, &self.config.score_options)
        };
        let scores = self.config.scores.iter().map(score).collect::<Result<Vec<_>>>()?;
        record.status = Status::Accepted;
        Ok(scores)
    }
}

impl Probed {
    /// How many probes ended like this.
    pub fn count(&self, status: Status) -> usize {
        self.records.iter().filter(|r| r.status == status).count()
    }

    /// The accepted probes, in the order of the plan.
    pub fn accepted(&self) -> impl Iterator<Item = &ProbeRecord> {
        self.records.iter().filter(|r| r.status == Status::Accepted)
    }

    /// An error if some probes failed.
    pub fn shortcoming(&self) -> Option<Error> {
        let failed: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Failed).collect();
        let first = failed.first()?;
        Some(
            Error::evidence("some probes failed; the scores are of the others")
                .at(format!(
                    "probe {} ({}, {} tokens)",
                    first.id, first.needle_id, first.context_length
                ))
                .got(format!(
                    "{} of {} probes failed; the first: {}",
                    failed.len(),
                    self.records.len(),
                    first.reason.as_deref().unwrap_or("no reason")
                ))
                .advice("see status and reason in probes.jsonl"),
        )
    }

    /// The error of a run without an accepted probe: the gate, the best value and the best answers.
    pub fn nothing_accepted(&self) -> Error {
        let mut rejected: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Rejected).collect();
        let failed: Vec<&ProbeRecord> =
            self.records.iter().filter(|r| r.status == Status::Failed).collect();
        let failures = failed.first().map_or(String::new(), |first| {
            let reason = first.reason.as_deref().unwrap_or("no reason");
            format!("{} probes failed; the first: {reason}", failed.len())
        });
        let value = |r: &ProbeRecord| r.gate_value.unwrap_or(0.0);
        // Stable: of equal values the first of the plan.
        rejected.sort_by(|a, b| value(b).total_cmp(&value(a)));
        let Some(best) = rejected.first() else {
            return Error::evidence("every probe failed: there are no scores to write")
                .got(failures)
                .advice("see status and reason in probes.jsonl");
        };
        let samples: Vec<String> = rejected
            .iter()
            .take(SAMPLES)
            .map(|r| {
                let answer = r.answer.as_deref().unwrap_or_default();
                format!("{:.4}  {answer:?} for {:?}", value(r), r.gold)
            })
            .collect();
        Error::evidence("no answer passed the gate: there are no scores to write")
            .at(&self.gate_rule)
            .got(
                format!(
                    "{} answers, the best value {:.4}; the nearest answers:\n{}\n{failures}",
                    rejected.len(),
                    value(best),
                    samples.join("\n")
                )
                .trim_end(),
            )
            .expected("at least one answer that passes")
            .advice(
                "shorter contexts, needles that this model can answer, another --gate, or \
                 --stop-newline off if answers are empty; all answers are in probes.jsonl",
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_a_gpu_fails_the_probe_alone() {
        let mut gpu = Compute::cpu();
        gpu.on_host = false;
        assert_eq!(guarded(&gpu, || Ok(5)), Ok(5));
        assert_eq!(guarded(&gpu, || Err::<(), _>(Error::bug("x"))), Err(Error::bug("x")));
        let e = guarded(&gpu, || -> Result<()> { panic!("out of memory") }).unwrap_err();
        assert!(e.exit_code() == 5 && e.to_string().contains("out of memory"), "{e}");
        let cpu = || guarded(&Compute::cpu(), || -> Result<()> { panic!("a bug") });
        assert_eq!(caught(cpu).unwrap_err(), "a bug");
    }
}
