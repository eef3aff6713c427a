//! The loop over all probes: prompt → answer → gate → scores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::answering::{Answering, PreparedProbe, ProbeAnswer, of_one_probe};
use super::probe_cache::ProbeCaches;
use super::record::{ProbeRecord, ProbeSeconds, Status};
use crate::chat::{Marks, Said, Thinking};
use crate::commands::profile::ProfileConfig;
use crate::commands::profile::batching::Batching;
use crate::commands::profile::parts::ScheduledProbe;
use crate::commands::profile::schedule::PrefixSchedule;
use crate::error::{Error, Result};
use crate::gate::Expected;
use crate::generate::{Settings, Stop};
use crate::heads::HeadMatrix;
use crate::job::Inputs;
use crate::job::Job;
use crate::model::Llama;
use crate::plan::Probe;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;

/// Answers shown where none passed.
const SAMPLES: usize = 3;

/// All probes, answered.
pub struct Probed {
    /// One per probe, in the order of the plan.
    pub records: Vec<ProbeRecord>,
    /// Per score of [`ProfileConfig::scores`]: one `[L, H]` per accepted probe, in the order of the
    /// plan.
    pub scores: Vec<Vec<HeadMatrix>>,
    /// Seconds that passed, the prompts' share of them.
    pub prefill_secs: f64,
    /// The answers' share of them.
    pub decode_secs: f64,
    /// How many were answered together, at most.
    pub batch: usize,
    /// What answers had to reach, in words.
    pub gate_rule: String,
}

/// What every probe of a run is answered and judged with.
pub(super) struct Run<'a> {
    pub config: &'a ProfileConfig,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    pub model: &'a Llama,
    /// How many are answered together, and by how many threads at the same time.
    pub batching: Batching,
    pub interrupt: &'a Interrupt,
}

/// What became of the probes so far; threads share it.
struct ProbeOutcomes {
    /// In the order of the plan.
    done: Vec<Option<(ProbeRecord, Vec<HeadMatrix>)>>,
    progress: Progress,
    /// Why no probe goes on.
    failed: Option<Error>,
}

/// Ends the other walks, too, when one panics.
struct EndOthers<'a>(&'a Mutex<ProbeOutcomes>);

impl Drop for EndOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            locked(self.0).failed.get_or_insert_with(|| Error::bug("a probe panicked"));
        }
    }
}

impl Run<'_> {
    /// Runs every probe in the order of `reuse`, its parts side by side; the results are in the
    /// order of the plan.
    ///
    /// A probe that needs more memory than there is, that the GPU fails at, or whose answer leaves
    /// nothing to score, has failed; the others go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and every error that the next probe would meet again: numbers that
    /// are not finite, a tokenizer that cannot decode, a bug.
    pub fn probes(&self, schedule: &PrefixSchedule) -> Result<Probed> {
        let (probes, start) = (self.job.plan.probes.len(), Instant::now());
        let outcome = Mutex::new(ProbeOutcomes {
            done: (0..probes).map(|_| None).collect(),
            progress: Progress::new(probes, schedule.run_tokens, self.config.reporter.quiet),
            failed: None,
        });
        // The largest parts first, so that no thread is left alone with one at the end.
        let mut parts: Vec<&[ScheduledProbe]> = schedule.parts.iter().map(Vec::as_slice).collect();
        let tokens =
            |part: &[ScheduledProbe]| part.iter().map(|s| s.tokens - s.shared).sum::<usize>();
        parts.sort_by_key(|part| std::cmp::Reverse(tokens(part)));
        let next = AtomicUsize::new(0);
        let walk = || self.walk(&parts, &next, &outcome);
        match self.batching.walks.min(parts.len()) {
            0 | 1 => walk(),
            // One to a thread: a walk that waited for a thread could be taken by one that waits
            // within its own, which would then stand still.
            walks => {
                rayon::broadcast(|thread| (thread.index() < walks).then(walk));
            }
        }
        let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.progress.finish();
        match outcome.failed {
            Some(e) => Err(e),
            None => Ok(self.probed(outcome.done, start.elapsed().as_secs_f64())),
        }
    }

    /// The results of a run that took `secs` seconds.
    fn probed(&self, done: Vec<Option<(ProbeRecord, Vec<HeadMatrix>)>>, secs: f64) -> Probed {
        let mut probed = Probed {
            records: Vec::with_capacity(done.len()),
            scores: vec![Vec::new(); self.config.scores.len()],
            prefill_secs: 0.0,
            decode_secs: 0.0,
            batch: self.batching.batch,
            gate_rule: self.inputs.gate.rule(),
        };
        for (record, scores) in done.into_iter().flatten() {
            probed.prefill_secs += record.seconds.prefill;
            probed.decode_secs += record.seconds.decode;
            for (all, one) in probed.scores.iter_mut().zip(scores) {
                all.push(one);
            }
            probed.records.push(record);
        }
        // Threads work at the same time: what each measured adds up to more than has passed.
        let share = secs / (probed.prefill_secs + probed.decode_secs).max(f64::MIN_POSITIVE);
        (probed.prefill_secs, probed.decode_secs) =
            (probed.prefill_secs * share, probed.decode_secs * share);
        probed
    }

    /// Takes one of `parts` after the other, the one at `next` first, until none is left or
    /// something failed.
    fn walk(
        &self,
        parts: &[&[ScheduledProbe]],
        next: &AtomicUsize,
        outcome: &Mutex<ProbeOutcomes>,
    ) {
        let proceed = || {
            self.interrupt.check()?;
            match locked(outcome).failed {
                Some(_) => Err(Error::interrupted("another probe failed")),
                None => Ok(()),
            }
        };
        let extent = self.job.extent();
        let most = extent.longest_prompt.saturating_add(extent.longest_answer);
        let mut answering = Answering {
            model: self.model,
            settings: Settings {
                stop: Stop {
                    thinking: Marks::of(&self.inputs.model.tokenizer),
                    ..Stop::at(self.job.stop_ids.clone())
                },
                chunk: self.config.probes.chunk_tokens(self.model.compute()),
                top_k: self.config.top_k,
            },
            caches: ProbeCaches::new(self.model, most),
            batch: self.batching.batch,
            proceed: &proceed,
        };
        let _end_others = EndOthers(outcome);
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(e) = self.part(part, &mut answering, outcome) {
                locked(outcome).failed.get_or_insert(e);
                return;
            }
        }
    }

    /// Runs the probes of one part, some at a time.
    fn part(
        &self,
        mut steps: &[ScheduledProbe],
        answering: &mut Answering,
        outcome: &Mutex<ProbeOutcomes>,
    ) -> Result<()> {
        while !steps.is_empty() {
            let (now, later) = steps.split_at(answering.batch.min(steps.len()));
            steps = later;
            let asked = now.iter().map(|step| PreparedProbe::new(self.job, step));
            let asked = asked.collect::<Result<Vec<_>>>()?;
            for ((step, asked), answer) in now.iter().zip(&asked).zip(answering.answers(&asked)?) {
                let probe = &self.job.plan.probes[step.probe];
                let text = &self.inputs.probes.texts[probe.needle];
                let mut record = ProbeRecord::new(probe, text, &asked.prompt);
                let judged = answer.and_then(|answer| self.judged(probe, answer, &mut record));
                let scores = match judged {
                    Err(e) if of_one_probe(&e) => {
                        record.fail(&e);
                        Vec::new()
                    }
                    judged => judged?,
                };
                let mut outcome = locked(outcome);
                outcome
                    .progress
                    .advance(step.tokens - step.shared, record.status == Status::Accepted);
                outcome.done[step.probe] = Some((record, scores));
            }
        }
        Ok(())
    }

    /// Fills in `record` from an answer and returns its scores, one of each; none if it does not
    /// pass.
    fn judged(
        &self,
        probe: &Probe,
        ProbeAnswer { generation, reused_tokens }: ProbeAnswer,
        record: &mut ProbeRecord,
    ) -> Result<Vec<HeadMatrix>> {
        let (config, inputs) = (self.config, self.inputs);
        record.reused_tokens = reused_tokens;
        record.seconds =
            ProbeSeconds { prefill: generation.prefill_secs, decode: generation.decode_secs };
        record.generated_ids = generation.observation.generated.clone();
        let (tokenizer, prompt) = (&inputs.model.tokenizer, &generation.observation.prompt);
        let said = Said::new(tokenizer, prompt, generation.answer_ids())?;
        let (text, gate) = (&inputs.probes.texts[probe.needle], &inputs.gate);
        let value = gate.value(&said.answer, &Expected::from(text))?;
        (record.judged, record.thinking) = (said.judged(), said.thinking);
        record.answer = Some(said.whole);
        record.gate_value = Some(value);
        let thought_on = said.thinking.filter(|thinking| !thinking.ended);
        if let Some(Thinking { tokens, .. }) = thought_on {
            record.status = Status::Rejected;
            record.reason = Some(format!("the thinking did not end within {tokens} tokens"));
            return Ok(Vec::new());
        }
        if !gate.passes(value) {
            record.status = Status::Rejected;
            record.reason = Some(format!("{} {value:.4} does not pass", gate.name()));
            return Ok(Vec::new());
        }
        let score = |score: &&dyn crate::score::HeadScore| {
            score.score(&generation.observation, &config.score_options)
        };
        let scores = config.scores.iter().map(score).collect::<Result<Vec<_>>>()?;
        record.status = Status::Accepted;
        Ok(scores)
    }
}

/// What threads share; whoever panicked has ended the run.
fn locked(outcome: &Mutex<ProbeOutcomes>) -> MutexGuard<'_, ProbeOutcomes> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
