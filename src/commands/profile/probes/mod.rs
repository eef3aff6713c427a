//! The loop over all probes: prompt → answer → gate → scores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::answering::{Answering, PreparedProbe, ProbeAnswer, of_one_probe};
use super::extra::ExtraWork;
use super::probe_cache::ProbeCaches;
use super::probed::FinishedProbe;
use super::record::{ProbeRecord, ProbeSeconds, Status};
use crate::chat::{Marks, Said, Thinking};
use crate::commands::profile::ProfileConfig;
use crate::commands::profile::batching::Batching;
use crate::commands::profile::schedule::{PrefixSchedule, Remaining};
use crate::error::{Error, Result};
use crate::gate::Expected;
use crate::generate::{Settings, Stop};
use crate::heads::{HeadMatrix, HeadTypes};
use crate::job::{Inputs, Job};
use crate::journal::{Done, Journal};
use crate::model::Llama;
use crate::plan::Probe;
use crate::prompt::Prompt;
use crate::prompt::expected::expected_ids;
use crate::score::Extra;
use crate::system::interrupt::Interrupt;
use crate::system::progress::Progress;

/// What every probe of a run is answered and judged with.
pub(super) struct Run<'a> {
    pub config: &'a ProfileConfig,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    /// What is run beside answers.
    pub extra: &'a ExtraWork,
    pub model: &'a Llama,
    /// What kinds of heads it has, where that is known.
    pub types: Option<&'a HeadTypes>,
    /// The order of all probes.
    pub schedule: &'a PrefixSchedule,
    /// How many are answered together, and by how many threads at the same time.
    pub batching: Batching,
    /// Where what is finished goes.
    pub journal: &'a Journal,
    pub interrupt: &'a Interrupt,
}

/// How far the probes are; threads share it.
struct ProbeOutcomes {
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
    /// Runs the remaining probes, parts of them side by side, and journals each when it is
    /// finished.
    ///
    /// A probe that needs more memory than there is, that the GPU fails at, or whose answer leaves
    /// nothing to score, has failed; the others go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and every error that the next probe would meet again: numbers that
    /// are not finite, a tokenizer that cannot decode, a bug.
    pub fn probes(&self, remaining: &Remaining) -> Result<()> {
        let quiet = self.config.reporter.quiet;
        let progress = Progress::new(remaining.probes(), remaining.run_tokens, quiet);
        let outcome = Mutex::new(ProbeOutcomes { progress, failed: None });
        // The largest parts first, so that no thread is left alone with one at the end.
        let mut parts: Vec<&[usize]> = remaining.parts.iter().map(Vec::as_slice).collect();
        let tokens = |part: &[usize]| {
            let steps = part.iter().map(|&place| self.schedule.steps[place]);
            steps.map(|s| s.tokens - s.shared).sum::<usize>()
        };
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
        outcome.failed.map_or(Ok(()), Err)
    }

    /// Takes one of `parts` after the other, the one at `next` first, until none is left or
    /// something failed.
    fn walk(&self, parts: &[&[usize]], next: &AtomicUsize, outcome: &Mutex<ProbeOutcomes>) {
        let proceed = || {
            self.interrupt.check()?;
            match locked(outcome).failed {
                Some(_) => Err(Error::interrupted("another probe failed")),
                None => Ok(()),
            }
        };
        let extent = self.extra.extent(self.job);
        let most = extent.longest_prompt.saturating_add(extent.longest_answer);
        let prompt = |probe: usize| Ok(self.job.prompt(&self.job.plan.probes[probe])?.ids);
        let mut answering = Answering {
            model: self.model,
            schedule: self.schedule,
            prompt: &prompt,
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
            reporter: self.config.reporter,
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
        mut places: &[usize],
        answering: &mut Answering,
        outcome: &Mutex<ProbeOutcomes>,
    ) -> Result<()> {
        while !places.is_empty() {
            // Those that are answered together go on from one another.
            let next = places.chunk_by(|a, b| a + 1 == *b).next().map_or(0, <[usize]>::len);
            let (now, later) = places.split_at(answering.batch.min(next));
            places = later;
            let asked = now.iter().map(|&place| self.prepared(place));
            let asked = asked.collect::<Result<Vec<_>>>()?;
            let answers = now.iter().zip(&asked).zip(answering.answers(&asked)?);
            let (mut finished, mut fatal) = (Vec::with_capacity(now.len()), None);
            for ((&place, asked), answer) in answers {
                match self.finished(self.schedule.steps[place].probe, asked, answer) {
                    Ok(done) => finished.push(done),
                    Err(e) => {
                        fatal = Some(e);
                        break;
                    }
                }
            }
            // What was answered is on disk before anything else is done, or told.
            self.journal.append(&finished)?;
            let mut outcome = locked(outcome);
            for (&place, done) in now.iter().zip(&finished) {
                let step = self.schedule.steps[place];
                let passed = done.result.record.status == Status::Accepted;
                outcome.progress.advance(step.tokens - step.shared, passed);
            }
            fatal.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// The probe at `place` of the order, with what the scores want to see of it.
    ///
    /// # Errors
    /// As [`Job::prompt`], [`Job::nothing_asked`] and [`expected_ids`].
    fn prepared(&self, place: usize) -> Result<PreparedProbe> {
        let mut prepared = PreparedProbe::new(self.job, self.schedule, place)?;
        let probe = &self.job.plan.probes[self.schedule.steps[place].probe];
        for score in &self.config.scores {
            let extra = &mut prepared.extra;
            match score.info().extra {
                Extra::Nothing => {}
                Extra::Question => {
                    let nothing = self.job.nothing_asked(probe, &self.config.probes, self.inputs);
                    extra.nothing_asked = Some(nothing?);
                }
                Extra::Values(by) if extra.weighings.contains(&by) => {}
                Extra::Values(by) => extra.weighings.push(by),
                Extra::Replay => extra.replay.clone_from(&self.extra.replay),
                Extra::Gradients => extra.expected = Some(self.expected(probe, &prepared.prompt)?),
                Extra::Kinds => {
                    extra.induction = self.types.map(HeadTypes::induction_scores).transpose()?;
                }
            }
        }
        Ok(prepared)
    }

    /// The expected answer of `probe` as it stands behind its prompt.
    fn expected(&self, probe: &Probe, prompt: &Prompt) -> Result<Vec<u32>> {
        let (tokenizer, text) = (&self.inputs.model.tokenizer, &self.inputs.probes.texts);
        let ids = expected_ids(tokenizer, &prompt.ids, text[probe.needle].answer());
        ids.map_err(|e| e.within(format!("probe {}", probe.id)))
    }

    /// The probe of this number with its answer and scores, or why it has none.
    ///
    /// # Errors
    /// Those that the next probe would meet again.
    fn finished(
        &self,
        probe: usize,
        asked: &PreparedProbe,
        answer: Result<ProbeAnswer>,
    ) -> Result<Done<FinishedProbe>> {
        let probe = &self.job.plan.probes[probe];
        let text = &self.inputs.probes.texts[probe.needle];
        let mut record = ProbeRecord::new(probe, text, &asked.prompt);
        let judged = answer.and_then(|answer| self.judged(probe, answer, &mut record));
        let (scores, again) = match judged {
            Err(e) if of_one_probe(&e) => {
                record.fail(&e);
                // Another time there may be memory enough.
                (Vec::new(), matches!(e, Error::Resources(_)))
            }
            judged => (judged?, false),
        };
        Ok(FinishedProbe::new(record, &scores, &self.config.scores).done(again))
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

#[cfg(test)]
mod tests;
