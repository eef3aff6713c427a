//! Answers to some probes at a time, and what happens where there is no room for them.

use std::ops::Range;

use super::probe_cache::ProbeCaches;
use crate::commands::profile::parts::ScheduledProbe;
use crate::error::{Error, Result};
use crate::generate::{Generation, Question, Settings, generate_batch, guarded};
use crate::job::Job;
use crate::model::Llama;
use crate::prompt::Prompt;

/// A probe as the model gets it.
pub(super) struct PreparedProbe {
    pub prompt: Prompt,
    /// Where what counts is in the prompt.
    spans: Vec<Range<usize>>,
    max_new_tokens: usize,
    /// Tokens that the prompt before begins with, too.
    shared: usize,
}

impl PreparedProbe {
    /// The probe of one step of `job`.
    ///
    /// # Errors
    /// As [`Job::prompt`].
    pub fn new(job: &Job, step: &ScheduledProbe) -> Result<Self> {
        let probe = &job.plan.probes[step.probe];
        let prompt = job.prompt(probe)?;
        let (spans, max_new_tokens) = (job.score_spans(&prompt), job.max_new_tokens(probe));
        Ok(Self { spans, max_new_tokens, shared: step.shared, prompt })
    }

    fn question(&self) -> Question<'_> {
        Question {
            prompt: &self.prompt.ids,
            shared: self.shared,
            needle: &self.spans,
            max_new_tokens: self.max_new_tokens,
        }
    }

    fn tokens(&self) -> usize {
        self.prompt.ids.len().saturating_add(self.max_new_tokens)
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
    pub settings: Settings,
    pub caches: ProbeCaches<'a>,
    /// Probes to be answered together; fewer after a failure for lack of memory.
    pub batch: usize,
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
        let Self { model, settings, caches, proceed, .. } = self;
        guarded(model.compute(), || {
            let needed: Vec<usize> = asked.iter().map(PreparedProbe::tokens).collect();
            let mut own = caches.take(&needed, asked.first().map_or(0, |first| first.shared));
            let mut questions: Vec<Question> = asked.iter().map(PreparedProbe::question).collect();
            if let [first, ..] = &mut questions[..] {
                // After a failure what it was to share is lost.
                first.shared = own[0].len();
            }
            let generations =
                generate_batch(model, &mut own, &questions, settings, &mut || proceed())?;
            caches.put(own);
            let answer = |(generation, question): (Generation, &Question)| ProbeAnswer {
                generation,
                reused_tokens: question.shared,
            };
            Ok(generations.into_iter().zip(&questions).map(answer).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::generate::Stop;
    use crate::model::Compute;
    use crate::model::embedded::needle_llama;
    use crate::system::panics::caught;

    /// Three prompts that begin alike, the later ones with 30 tokens of the one before.
    fn asked() -> Vec<PreparedProbe> {
        let prompt = |i: u32| -> Vec<u32> {
            (0..30).chain((0..20).map(|k| 40 + i * 20 + k)).map(|id| 10 + id * 37 % 400).collect()
        };
        let asked = |ids| Prompt {
            ids,
            needle: vec![5..9],
            distractors: vec![],
            depth_asked: None,
            depth_reached: 0.5,
            haystack_cycles: 1,
        };
        let one = |i: u32| PreparedProbe {
            prompt: asked(prompt(i)),
            spans: vec![5..9],
            max_new_tokens: 3,
            shared: if i == 0 { 0 } else { 30 },
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
        let mut answering = Answering {
            model: &model,
            settings: Settings { stop: Stop::default(), chunk: 64, top_k: 5 },
            caches: ProbeCaches::new(&model, 60),
            batch: 3,
            proceed: &proceed,
        };
        let all = answering.answers(&asked()).unwrap();
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
        // Alone, the second fails, too, and with a cache of its own; the third begins from nothing.
        let (some, _) = answers(&|pass| matches!(pass, 0 | 4 | 5));
        assert_eq!(some[0], Ok(together[0].clone()));
        assert_eq!(some[1].as_ref().unwrap_err().exit_code(), 5);
        assert_eq!(some[2], Ok((together[2].0.clone(), 0)));
    }

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
