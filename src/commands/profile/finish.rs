//! From what probes came to, as journals hold it, to the files and the summary.

use std::collections::BTreeSet;
use std::time::Instant;

use super::facts::{ProfileFacts, ProfileRun};
use super::outputs::OutputDir;
use super::probed::{FinishedProbe, Probed};
use super::ranking::{self, AgainstNeedles};
use super::sidecar::{RunMeta, Written};
use super::stable::UntilStable;
use super::{Finished, Seconds, Summary, pictures, statistics};
use crate::error::{Error, Result};
use crate::journal::{Begun, Collected, Told};
use crate::report;
use crate::score::aggregate::RESAMPLES;
use crate::system::{Reporter, machine};

/// Resamples behind the summary of an interrupted run, which has to be quick.
const RESAMPLES_SO_FAR: usize = 200;

/// What a process knows of its own time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// When it began.
    pub start: Instant,
    /// Seconds for the weights.
    pub load: f64,
    /// Seconds in which it answered probes.
    pub answering: f64,
    /// Which ones, by their place in the plan.
    pub answered: BTreeSet<usize>,
    /// How many of them together, at most.
    pub batch: Option<usize>,
    /// How it came to end, where that was not the grid's end.
    pub until_stable: Option<UntilStable>,
}

impl Clock {
    /// Of a process that answered none.
    pub fn new() -> Self {
        let (start, answered) = (Instant::now(), BTreeSet::new());
        Self { start, load: 0.0, answering: 0.0, answered, batch: None, until_stable: None }
    }

    /// Where the time went. Threads work at the same time: what each measured adds up to more than
    /// has passed, by a factor that is known for this process and taken for those before it.
    fn seconds(&self, probed: &Probed) -> Seconds {
        let all = probed.seconds();
        let own = probed.records.iter().filter(|r| self.answered.contains(&r.index));
        let own: f64 = own.map(|r| r.seconds.prefill + r.seconds.decode).sum();
        let share = if own > 0.0 { self.answering / own } else { 1.0 };
        Seconds {
            load: self.load,
            prefill: all.prefill * share,
            decode: all.decode * share,
            total: self.start.elapsed().as_secs_f64(),
        }
    }

    fn written<R>(&self, collected: &Collected<R>, shards: usize, probed: &Probed) -> Written {
        Written {
            device: collected.device.clone(),
            dtype: collected.dtype.clone(),
            until_stable: self.until_stable.clone(),
            run: RunMeta {
                created: machine::utc_now(),
                seconds: self.seconds(probed),
                threads: rayon::current_num_threads(),
                batch: self.batch,
                processes: collected.processes,
                shards,
                peak_rss_bytes: machine::peak_rss_bytes(),
            },
        }
    }
}

/// Writes the files of a profile all of whose probes are finished.
///
/// # Errors
/// [`Error::Evidence`] if no answer passed the gate: then `probes.jsonl` is written and no
/// head_score. [`Error::Data`] for scores that are none, [`Error::Resources`] if a file cannot be
/// written.
pub(super) fn write(
    (facts, shards): (&ProfileFacts, usize),
    mut collected: Collected<FinishedProbe>,
    (out, plots): (&OutputDir, bool),
    reporter: &Reporter,
    clock: &Clock,
) -> Result<Finished> {
    let probed = Probed::new(facts, std::mem::take(&mut collected.done))?;
    out.write_probes(&probed.records)?;
    let results = statistics::of_scores(facts, &probed, RESAMPLES).inspect_err(|_| {
        let earlier = out.earlier_scores(facts);
        if let Some(first) = earlier.first() {
            let (n, first) = (earlier.len(), first.display());
            let page = out.root().join(report::FILE).exists();
            let page = if page { format!("; {} shows them", report::FILE) } else { String::new() };
            reporter.warning(&format!(
                "{n} score files of an earlier run are still here: {first}, ...{page}"
            ));
        }
    })?;
    let made = ProfileRun { facts, probed: &probed };
    let against = match facts.task {
        None => AgainstNeedles::default(),
        Some(_) => {
            let model = (facts.model.as_str(), facts.model_sha256.as_str());
            ranking::against_needles(&results, &out.head_score(), model, reporter)
        }
    };
    let pictures =
        if plots { pictures::draw(&made, &results, &against.needles)? } else { Vec::new() };
    let written = clock.written(&collected, shards, &probed);
    let files = out.write_scores(&made, &results, pictures, &written)?;
    let place = (out.root(), &files[..]);
    let summary = Summary::new(&made, &results, against.rankings, place, &written);
    Ok(Finished { told: Told::Results(summary), shortcoming: probed.shortcoming() })
}

/// Prints what an interrupted run has found so far; the error says where it is kept and how to go
/// on.
pub(super) fn so_far(
    begun: &Begun,
    facts: &ProfileFacts,
    reporter: &Reporter,
    clock: &Clock,
) -> Error {
    let told = || -> Result<usize> {
        let mut collected = begun.collected::<FinishedProbe>()?;
        let probed = Probed::new(facts, std::mem::take(&mut collected.done))?;
        let finished = probed.records.len();
        if probed.accepted().next().is_some() {
            let made = ProfileRun { facts, probed: &probed };
            let results = statistics::of_scores(facts, &probed, RESAMPLES_SO_FAR)?;
            let written = clock.written(&collected, begun.plan.shards, &probed);
            let place = (std::path::Path::new(""), &[][..]);
            let summary = Summary::new(&made, &results, Vec::new(), place, &written);
            let unfinished = begun.own_probes() - finished;
            reporter.result(&summary.so_far(unfinished))?;
        }
        Ok(finished)
    };
    told().map_or_else(|e| e, |finished| begun.interrupted(Some(finished), &facts.command))
}
