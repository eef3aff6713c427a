//! Answers to some probes at a time, and what happens where there is no room for them.

use std::ops::Range;
use std::time::Instant;

use super::probe_cache::ProbeCaches;
use super::schedule::PrefixSchedule;
use crate::error::{Error, Result};
use crate::generate::batch::{Beginning, run_beginning};
use crate::generate::{Generation, Question, Settings, generate_batch, guarded};
use crate::heads::HeadMatrix;
use crate::job::Job;
use crate::model::capture::looks::looks;
use crate::model::capture::replay::{Replay, replayed};
use crate::model::capture::weighed::weighed_rows;
use crate::model::{KvCache, Llama};
use crate::prompt::Prompt;
use crate::score::{Extras, NeedleMask, QuestionRows, Weighing};
use crate::system::Reporter;

/// What is run for scores that look at more than the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct ExtraPasses {
    /// The question part where nothing is asked.
    pub nothing_asked: Option<Vec<u32>>,
    /// By which lengths of values the answer's rows are weighed.
    pub weighings: Vec<Weighing>,
    /// The expected answer, for its gradients.
    pub expected: Option<Vec<u32>>,
    /// How all before the question is replayed.
    pub replay: Option<Replay>,
    /// What kind of heads the model has: nothing is left to be run.
    pub induction: Option<HeadMatrix>,
}

/// A probe as the model gets it.
pub(super) struct PreparedProbe {
    /// Its place in the order.
    place: usize,
    pub prompt: Prompt,
    /// Where what counts is in the prompt.
    spans: Vec<Range<usize>>,
    max_new_tokens: usize,
    /// What is run behind the answer, for scores that are about it.
    pub extra: ExtraPasses,
    /// Tokens that the prompt before begins with, too.
    shared: usize,
    /// Tokens that the next prompt begins with, too.
    fork: usize,
}

impl PreparedProbe {
    /// The probe of `job` at `place` of its order.
    ///
    /// # Errors
    /// As [`Job::prompt`].
    pub fn new(job: &Job, schedule: &PrefixSchedule, place: usize) -> Result<Self> {
        let step = schedule.steps[place];
        let probe = &job.plan.probes[step.probe];
        let prompt = job.prompt(probe)?;
        let (spans, max_new_tokens) = (job.score_spans(&prompt), job.max_new_tokens(probe));
        let (shared, fork) = (step.shared, step.fork);
        Ok(Self {
            place,
            spans,
            max_new_tokens,
            extra: ExtraPasses::default(),
            shared,
            fork,
            prompt,
        })
    }

    fn question(&self) -> Question<'_> {
        Question {
            prompt: &self.prompt.ids,
            shared: self.shared,
            fork: self.fork,
            needle: &self.spans,
            max_new_tokens: self.max_new_tokens,
        }
    }

    fn tokens(&self) -> usize {
        let before = self.prompt.before_question;
        let nothing = self.extra.nothing_asked.as_ref().map_or(0, Vec::len);
        let replay = self.extra.replay.as_ref().map_or(0, |replay| replay.room(before));
        let answered = self.prompt.ids.len().saturating_add(self.max_new_tokens);
        answered.max(before + nothing).max(before + replay)
    }
}

/// Whether other probes may well go on after this error.
pub(super) fn of_one_probe(e: &Error) -> bool {
    matches!(e, Error::Resources(_) | Error::Evidence(_))
}

/// What the model said.
pub(super) struct ProbeAnswer {
    pub generation: Generation,
    /// Tokens of the prompt that were not run.
    pub reused_tokens: usize,
}

/// The model and what it answers with.
pub(super) struct Answering<'a> {
    pub model: &'a Llama,
    pub schedule: &'a PrefixSchedule,
    /// The prompt of a probe of the plan.
    pub prompt: &'a (dyn Fn(usize) -> Result<Vec<u32>> + Sync),
    pub settings: Settings,
    pub caches: ProbeCaches<'a>,
    /// Probes to be answered together; fewer after a failure for lack of memory.
    pub batch: usize,
    /// Where it is told that a GPU goes on in another way.
    pub reporter: Reporter,
    /// Asked before every pass whether to go on.
    pub proceed: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Answering<'_> {
    /// The answers to `asked`, probes that follow one another: together, or where that takes too
    /// much memory one by one. A probe that needs more memory than there is has an error of its
    /// own.
    ///
    /// # Errors
    /// All that is not about memory or a GPU that fails.
    pub fn answers(&mut self, asked: &[PreparedProbe]) -> Result<Vec<Result<ProbeAnswer>>> {
        if asked.len() > 1 {
            match self.together(asked) {
                Ok(answers) => return Ok(answers.into_iter().map(Ok).collect()),
                Err(Error::Resources(_)) => self.batch = (asked.len() / 2).max(1),
                Err(e) => return Err(e),
            }
            self.caches.free();
        }
        let alone = |asked| match self.alone(asked) {
            Err(e) if !of_one_probe(&e) => Err(e),
            answer => Ok(answer),
        };
        asked.iter().map(alone).collect()
    }

    /// One answer, with a second chance where a cache for the longest probe was too large.
    fn alone(&mut self, asked: &PreparedProbe) -> Result<ProbeAnswer> {
        let asked = std::slice::from_ref(asked);
        let mut answers = self.together(asked);
        if matches!(answers, Err(Error::Resources(_))) && self.caches.tighten(asked[0].tokens()) {
            answers = self.together(asked);
        }
        answers?.pop().ok_or_else(|| Error::bug("a probe was not answered"))
    }

    fn together(&mut self, asked: &[PreparedProbe]) -> Result<Vec<ProbeAnswer>> {
        let Some(first) = asked.first() else { return Ok(Vec::new()) };
        guarded(self.model.compute(), self.reporter, || {
            let start = Instant::now();
            let needed: Vec<usize> = asked.iter().map(PreparedProbe::tokens).collect();
            let mut own = self.caches.take(&needed, first.place, first.shared);
            if own[0].len() < first.shared {
                self.run_trunk(&mut own[0], first)?;
            }
            let trunk_secs = start.elapsed().as_secs_f64();
            let questions: Vec<Question> = asked.iter().map(PreparedProbe::question).collect();
            let (model, settings) = (self.model, &self.settings);
            let mut proceed = || (self.proceed)();
            let mut generations =
                generate_batch(model, &mut own, &questions, settings, &mut proceed)?;
            generations[0].prefill_secs += trunk_secs;
            for ((generation, cache), asked) in generations.iter_mut().zip(&mut own).zip(asked) {
                let start = Instant::now();
                self.run_extra(cache, asked, generation)?;
                generation.prefill_secs += start.elapsed().as_secs_f64();
            }
            self.caches.put(own, asked.last().map_or(first.place, |last| last.place));
            let answer = |(generation, question): (Generation, &Question)| ProbeAnswer {
                generation,
                reused_tokens: question.shared,
            };
            Ok(generations.into_iter().zip(&questions).map(answer).collect())
        })
    }

    /// Runs what scores want to see beside the answer to `asked`, which `cache` holds but for its
    /// last token. Afterwards the cache holds what stands before the question, or more.
    fn run_extra(
        &self,
        cache: &mut KvCache,
        asked: &PreparedProbe,
        generation: &mut Generation,
    ) -> Result<()> {
        let (model, observation) = (self.model, &mut generation.observation);
        let mut extras = Extras { induction: asked.extra.induction.clone(), ..Extras::default() };
        if !asked.extra.weighings.is_empty() {
            (self.proceed)()?;
            let fed = &observation.generated[..observation.generated.len() - 1];
            let (prompt, needle) = (&observation.prompt[..], NeedleMask::new(&observation.needle)?);
            let (ways, of) = (&asked.extra.weighings, (&needle, observation.top_k));
            extras.weighed = weighed_rows(model, cache, (prompt, fed), ways, of)?;
        }
        if let Some(expected) = &asked.extra.expected {
            (self.proceed)()?;
            extras.attribution = Some(model.attributed(&asked.prompt.ids, expected, cache)?.heads);
        }
        // Behind what needs the whole prompt in the cache.
        if let Some(nothing) = &asked.extra.nothing_asked {
            (self.proceed)()?;
            extras.question = Some(question_rows(model, cache, asked, nothing)?);
        }
        if let Some(replay) = &asked.extra.replay {
            (self.proceed)()?;
            let context = &asked.prompt.ids[..asked.prompt.before_question];
            cache.rewind(context.len());
            extras.replayed = Some(replayed(model, cache, context, replay)?);
        }
        observation.extras = extras;
        Ok(())
    }

    /// Fills `cache` with what `probe` shares with the probe before it, which was not run here, or
    /// failed: in the passes in which it is run where the walk comes from there.
    fn run_trunk(&self, cache: &mut KvCache, probe: &PreparedProbe) -> Result<()> {
        let (model, settings, steps) = (self.model, &self.settings, &self.schedule.steps);
        let segments = self.schedule.trunk(probe.place);
        let ran = segments.iter().map(|segment| (self.prompt)(steps[segment.place].probe));
        let ran = ran.collect::<Result<Vec<_>>>()?;
        let beginning = |i: usize| {
            let step = steps[segments[i].place];
            let (prompt, until) = (&ran[i][..], segments[i].until);
            Beginning { prompt, shared: step.shared, fork: step.fork, until }
        };
        let reach = (0..ran.len()).map(|i| beginning(i).reach(settings, model)).max().unwrap_or(0);
        if cache.capacity() < reach {
            // The one that is too small must not stand beside the new one.
            *cache = model.new_cache(1);
            *cache = model.new_cache(reach.max(probe.tokens()));
        }
        cache.rewind(0);
        for i in 0..ran.len() {
            run_beginning(model, cache, &beginning(i), settings, &mut || (self.proceed)())?;
        }
        Ok(())
    }
}

/// What heads look at while they read the question of `asked`, whose prompt `cache` holds, and
/// where `nothing` is asked. The cache then holds what stands before the question.
fn question_rows(
    model: &Llama,
    cache: &mut KvCache,
    asked: &PreparedProbe,
    nothing: &[u32],
) -> Result<QuestionRows> {
    let Prompt { ids, needle, distractors, before_question, .. } = &asked.prompt;
    let spans = [&needle[..], distractors].concat();
    let mut tokens = 0;
    let mut places: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in &spans {
        places.push(tokens..tokens + span.len());
        tokens += span.len();
    }
    cache.rewind(*before_question);
    let null = looks(model, cache, nothing, &spans)?;
    let asked = looks(model, cache, &ids[*before_question..], &spans)?;
    let distractors = places.split_off(needle.len());
    Ok(QuestionRows { facts: places, distractors, tokens, asked, null })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::commands::profile::schedule::ScheduledProbe;
    use crate::generate::Stop;
    use crate::model::Compute;
    use crate::model::embedded::needle_llama;

    /// Three prompts that begin alike, the later ones with 30 tokens of the one before.
    fn asked() -> Vec<PreparedProbe> {
        let prompt = |i: u32| -> Vec<u32> {
            (0..30).chain((0..20).map(|k| 40 + i * 20 + k)).map(|id| 10 + id * 37 % 400).collect()
        };
        let asked = |ids| Prompt {
            ids,
            needle: vec![5..9],
            distractors: vec![],
            before_question: 48,
            depth_asked: None,
            depth_reached: 0.5,
            haystack_cycles: 1,
        };
        let one = |i: u32| PreparedProbe {
            place: i as usize,
            prompt: asked(prompt(i)),
            spans: vec![5..9],
            max_new_tokens: 3,
            extra: ExtraPasses::default(),
            shared: if i == 0 { 0 } else { 30 },
            fork: if i == 2 { 0 } else { 30 },
        };
        (0..3).map(one).collect()
    }

    /// Generated ids, and how many tokens of the prompt were reused.
    type Told = (Vec<u32>, usize);

    /// Answers to `asked` where the passes that `fails` says fail for lack of memory, and what is
    /// left of the batch.
    fn answers(fails: &(dyn Fn(usize) -> bool + Sync)) -> (Vec<Result<Told>>, usize) {
        let model = needle_llama(&Compute::cpu()).unwrap();
        let pass = AtomicUsize::new(0);
        let proceed = || match fails(pass.fetch_add(1, Ordering::Relaxed)) {
            true => Err(Error::resources("no memory")),
            false => Ok(()),
        };
        let (asked, prompt) = (asked(), |probe: usize| Ok(asked()[probe].prompt.ids.clone()));
        let step = |p: &PreparedProbe| ScheduledProbe {
            probe: p.place,
            tokens: p.prompt.ids.len(),
            shared: p.shared,
            fork: p.fork,
        };
        let schedule = PrefixSchedule { steps: asked.iter().map(step).collect() };
        let mut answering = Answering {
            model: &model,
            schedule: &schedule,
            prompt: &prompt,
            settings: Settings { stop: Stop::default(), chunk: 64, top_k: 5 },
            caches: ProbeCaches::new(&model, 60),
            batch: 3,
            reporter: Reporter::default(),
            proceed: &proceed,
        };
        let all = answering.answers(&asked).unwrap();
        let told = |answer: Result<ProbeAnswer>| {
            answer.map(|a| (a.generation.observation.generated, a.reused_tokens))
        };
        (all.into_iter().map(told).collect(), answering.batch)
    }

    #[test]
    fn what_fails_together_is_tried_alone() {
        let (together, batch) = answers(&|_| false);
        let together: Vec<Told> = together.into_iter().map(Result::unwrap).collect();
        let reused: Vec<usize> = together.iter().map(|answer| answer.1).collect();
        assert_eq!((reused, batch), (vec![0, 30, 30], 3));
        // The second pass of all fails; then each is alone, with what the one before left.
        let (alone, batch) = answers(&|pass| pass == 1);
        let alone: Vec<Told> = alone.into_iter().map(Result::unwrap).collect();
        assert_eq!((alone, batch), (together.clone(), 1));
        // Alone, the second fails, too, and with a cache of its own; what the third shares with it
        // is run again.
        let (some, _) = answers(&|pass| matches!(pass, 0 | 5 | 6));
        assert_eq!(some[0], Ok(together[0].clone()));
        assert_eq!(some[1].as_ref().unwrap_err().exit_code(), 5);
        assert_eq!(some[2], Ok(together[2].clone()));
    }
}
