use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::commands::profile::parts::Cut;
use crate::config::Surroundings;
use crate::job::{ModelShape, NeedleSpans};
use crate::model::Compute;
use crate::score::{HeadScore, Observation, ScoreInfo, ScoreOptions};

/// A score with a bug: it panics the first time.
struct Broken(AtomicUsize);

impl HeadScore for Broken {
    fn info(&self) -> &ScoreInfo {
        crate::score::registry()[0].info()
    }

    fn score(&self, observation: &Observation, _: &ScoreOptions) -> Result<HeadMatrix> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "broken");
        Ok(HeadMatrix::zeros(observation.layers, observation.heads))
    }
}

#[test]
fn a_panic_ends_the_other_walks() {
    static BROKEN: Broken = Broken(AtomicUsize::new(0));
    let line = "headprof --quiet --lengths 100 --repeats 4 --gate none --max-new-tokens 1";
    let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let cli = Cli::try_parse_from(&args).unwrap();
    let config = ProfileConfig {
        scores: vec![&BROKEN],
        ..ProfileConfig::new(&cli.profile, &Surroundings::default()).unwrap()
    };
    let inputs = Inputs::load(&config.probes, config.source().unwrap(), || {
        ModelShape::open(&config.probes.model)
    })
    .unwrap();
    let job = Job::new(&config.probes, &inputs, NeedleSpans::Known).unwrap();
    let model = inputs.model.load(&Compute::cpu()).unwrap();
    let cut = Cut { batch: 1, work: &|tokens| tokens as f64 };
    let schedule = PrefixSchedule::of_job(&job, false).unwrap();
    let all: Vec<usize> = (0..schedule.steps.len()).collect();
    let remaining = schedule.remaining(&all, Some(cut));
    assert!(job.plan.probes.len() >= 40 && remaining.parts.len() >= 4);
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::in_folder(dir.path());
    let (batching, interrupt) = (Batching { batch: 1, walks: 2 }, Interrupt::default());
    let extra = ExtraWork::of(&config, &inputs).unwrap();
    let run = Run {
        config: &config,
        inputs: &inputs,
        job: &job,
        extra: &extra,
        model: &model,
        types: None,
        schedule: &schedule,
        batching,
        journal: &journal,
        interrupt: &interrupt,
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| threads.install(|| run.probes(&remaining))));
    let panic = ended.map(|_| "no panic").unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken"));
    // The other walk ends with the probe it is at; else it would have run all.
    let scored = BROKEN.0.load(Ordering::SeqCst);
    assert!(scored < job.plan.probes.len() / 2, "{scored} of {}", job.plan.probes.len());
}
