//! `--each`: every head off alone, as a score: by how much the expected answer's log-probability
//! drops.
//!
//! Prompts that are not answered right with all heads on say nothing about what their answer needs,
//! and are left out, as a profile leaves them out.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::AblateFacts;
use super::finish::{To, shortcoming};
use super::outputs::{self, RunMeta};
use super::run::{Runner, accuracy};
use super::{Ablated, FinishedAblation, best};
use crate::chat::Said;
use crate::error::{Error, Result};
use crate::generate::ablated::{Ablated as Read, answers, log_probabilities};
use crate::generate::guarded;
use crate::head_score::sidecar::{self, HeadsMeta};
use crate::head_score::{self, HeadScoreFile, named};
use crate::heads::{HeadMatrix, HeadSet};
use crate::journal::{Collected, Done, Finished, Journal, Told};
use crate::model::ablation::Ablation;
use crate::plot::{HeatmapCaption, head_heatmap};
use crate::score::aggregate::{self, Aggregate, aggregate};
use crate::score::clusters::Clusters;
use crate::system::interrupt::Interrupt;
use crate::tasks::{BenchmarkInfo, Case, Task};

const TITLE: &str = "what a head does for the expected answer: the drop without it";
/// Nats, one percent of a probability, that a head has to be worth to be counted.
const LEAST: f32 = 0.01;
const FORMULA: &str = "max(0, ln p(answer) - ln p(answer | head off))";

/// What became of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EachRecord {
    /// The prompt's name.
    pub id: String,
    /// What it is about.
    pub group: String,
    /// What it asks about: answers about the same are alike.
    pub about: String,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// Where it stands in the grid.
    pub place: String,
    /// How often the prompt used its haystack up.
    pub haystack_cycles: usize,
    /// The answer with all heads on.
    pub answer: String,
    /// The natural logarithm of the expected answer's probability with all heads on.
    pub log_probability: f64,
    /// By how much it drops without each head, `[L, H]` in base64; none where the answer is not
    /// right.
    pub drops: Option<String>,
    /// Why there are none, if the prompt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds.
    pub secs: f64,
}

impl Finished for EachRecord {
    fn same(&self, other: &Self) -> bool {
        let timeless = |record: &Self| Self { secs: 0.0, ..record.clone() };
        timeless(self) == timeless(other)
    }
}

/// The score in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EachMeta {
    /// Prompts that are answered right with all heads on.
    pub accepted: usize,
    /// All prompts.
    pub prompts: usize,
    /// Heads whose interval is above 0.01 nats: without them the answer is less likely.
    pub needed: usize,
    /// Heads whose interval is below -0.01 nats: without them it is more likely.
    pub in_the_way: usize,
    /// All heads.
    pub heads: usize,
    /// The ten best, `layer-head drop`, in nats.
    pub best: String,
}

impl fmt::Display for EachMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, prompts, needed, in_the_way, heads, best } = self;
        writeln!(
            f,
            "each head off alone, on {accepted} of {prompts} prompts that are answered right"
        )?;
        writeln!(f, "largest drop of the answer's log-probability (nats): {best}")?;
        writeln!(
            f,
            "of {heads} heads the answer needs {needed} and is more likely without {in_the_way} \
             (by at least 0.01 nats, with 95 % confidence)"
        )
    }
}

/// Measures every head on the prompts of `task` at the places `todo`, in order, and journals each
/// prompt when it is finished.
///
/// # Errors
/// As [`Runner::run`].
pub(super) fn run(
    runner: &Runner,
    task: &mut dyn Task,
    todo: &BTreeSet<usize>,
    journal: &Journal,
    interrupt: &Interrupt,
) -> Result<()> {
    let (layers, heads) = (runner.model.config().layers, runner.model.config().heads);
    let alone = |i: usize| HeadSet::from_iter([(i / heads, i % heads)]);
    let sets: Vec<HeadSet> = (0..layers * heads).map(alone).collect();
    let off = runner.ablations(task, sets.iter(), todo, interrupt)?;
    runner.each_prompt(task, todo, interrupt, |task, index, case| {
        let mut record = EachRecord {
            id: case.id.clone(),
            group: case.group.clone(),
            about: case.about.clone(),
            prompt_tokens: case.prompt.len(),
            place: case.place(),
            haystack_cycles: case.haystack_cycles,
            answer: String::new(),
            log_probability: 0.0,
            drops: None,
            reason: None,
            secs: 0.0,
        };
        let start = Instant::now();
        let measured = guarded(runner.model.compute(), runner.reporter, || {
            measure(runner, task, (index, case), &off, interrupt, &mut record)
        });
        record.secs = start.elapsed().as_secs_f64();
        match measured {
            Ok(drops) => {
                let matrix = |drops| HeadMatrix::new(layers, heads, drops);
                record.drops = drops.map(matrix).transpose()?.map(|m| m.to_base64());
            }
            Err(e @ Error::Resources(_)) => record.reason = Some(e.one_line()),
            Err(e) => return Err(e),
        }
        let (id, failed) = (record.id.clone(), record.reason.is_some());
        journal.append(&[Done { index, id, failed, result: record }])?;
        Ok(!failed)
    })
}

/// The drop without each of `off`, if the answer with all heads on is right.
fn measure(
    runner: &Runner,
    task: &mut dyn Task,
    (index, case): (usize, &Case),
    off: &[Ablation],
    interrupt: &Interrupt,
    record: &mut EachRecord,
) -> Result<Option<Vec<f32>>> {
    let gold = runner.expected_ids(case)?;
    let prompt = runner.traced(case, &gold, off)?;
    let mut whole = vec![Read::read(&prompt, None)?];
    let with_all = log_probabilities(runner.model, &mut whole, &gold)?;
    let given = answers(runner.model, whole, &runner.limits(case))?;
    let (Some(with_all), Some(given)) = (with_all.first(), given.first()) else {
        return Err(Error::bug("a prompt was not answered"));
    };
    let said = Said::new(runner.tokenizer, &case.prompt, given.answer_ids())?;
    record.log_probability = *with_all;
    let right = accuracy(task, index, said.judged().as_ref().unwrap_or(&said.whole))? > 0.5;
    record.answer = said.whole;
    if !right {
        return Ok(None);
    }
    let mut drops = Vec::with_capacity(off.len());
    for off in off.chunks(runner.together(&prompt, case, &gold)) {
        let mut read = Vec::with_capacity(off.len());
        for off in off {
            interrupt.check()?;
            read.push(Read::read(&prompt, Some(off))?);
        }
        let likely = log_probabilities(runner.model, &mut read, &gold)?;
        drops.extend(likely.into_iter().map(|own| (with_all - own) as f32));
    }
    Ok(Some(drops))
}

/// The sidecar of the score.
#[derive(Serialize)]
struct Sidecar<'a> {
    headprof: &'static str,
    command: &'a [String],
    score: ScoreMeta<'a>,
    statistics: &'a EachMeta,
    /// With their signs, which the head_score file cannot have: below 0 the answer is more likely
    /// without the head.
    heads: HeadsMeta,
    probes: ProbesMeta,
    #[serde(flatten)]
    provenance: Value,
    run: &'a RunMeta,
}

#[derive(Serialize)]
struct ScoreMeta<'a> {
    name: &'static str,
    title: &'static str,
    formula: &'static str,
    source: &'static str,
    off: &'a str,
    when: &'a str,
}

#[derive(Serialize)]
struct ProbesMeta {
    accepted: usize,
    rejected: usize,
    failed: usize,
    accepted_ids: Vec<String>,
}

/// Writes score, sidecar and heatmap of a run all of whose prompts are finished.
///
/// # Errors
/// [`Error::Evidence`] if no answer is right; [`Error::Data`] for a journal of other heads.
pub(super) fn write(
    facts: &AblateFacts,
    to: &To,
    collected: Collected<EachRecord>,
) -> Result<FinishedAblation> {
    let Collected { done, device, dtype, .. } = collected;
    let records: Vec<EachRecord> = done.into_iter().map(|done| done.result).collect();
    let [layers, heads] = facts.shape;
    let mut drops = Vec::new();
    for record in &records {
        let Some(text) = &record.drops else { continue };
        let named = |e: Error| e.at(format!("prompt {}", record.id));
        drops.push(HeadMatrix::from_base64(layers, heads, text).map_err(named)?);
    }
    let failures = || records.iter().filter_map(|r| r.reason.as_ref().map(|why| (&r.id, why)));
    if to.failed == records.len() {
        return Err(shortcoming(failures(), records.len())
            .unwrap_or_else(|| Error::bug("a run without prompts")));
    }
    if drops.is_empty() {
        return Err(Error::evidence("no answer is right with all heads on: nothing to measure by")
            .got(format!("{} answers", records.len()))
            .expected("at least one that passes the gate")
            .advice("`headprof` with the same options shows the nearest answers"));
    }
    let measured = records.iter().filter(|record| record.drops.is_some());
    let clusters = Clusters::new(measured.map(|r| (&r.about, &r.place)));
    let all = aggregate(&drops, &clusters, facts.seed, aggregate::RESAMPLES)?;
    let statistics = meta(&all, records.len());
    let file = HeadScoreFile::from_signed_probes(&drops, &all.mean)?;
    let cycles = records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0);
    let written = to.written(device, dtype);
    let accepted = |record: &&EachRecord| record.drops.is_some();
    let sidecar = Sidecar {
        headprof: env!("CARGO_PKG_VERSION"),
        command: &facts.command,
        score: ScoreMeta {
            name: named::ABLATION,
            title: TITLE,
            formula: FORMULA,
            source: "headprof, docs/ablation.md",
            off: facts.how.name(),
            when: facts.when.name(),
        },
        statistics: &statistics,
        heads: HeadsMeta::of(&all.mean, all.spread.as_ref()),
        probes: ProbesMeta {
            accepted: drops.len(),
            rejected: records.len() - drops.len() - to.failed,
            failed: to.failed,
            accepted_ids: records.iter().filter(accepted).map(|r| r.id.clone()).collect(),
        },
        provenance: outputs::provenance(facts, cycles, &written),
        run: &written.run,
    };
    let label = BenchmarkInfo::by_name(&facts.task).and_then(BenchmarkInfo::label);
    let stem = label.map_or_else(|| facts.model.clone(), |task| format!("{}_{task}", facts.model));
    let path = to.root.join("head_score").join(head_score::file_name(&stem, named::ABLATION));
    let mut files: Vec<(PathBuf, Vec<u8>)> = vec![
        (sidecar::path_of(&path), outputs::pretty(&sidecar)?),
        (path, file.to_json_line().into_bytes()),
    ];
    if to.plots {
        let caption = HeatmapCaption {
            title: &format!("{} — {stem}", named::ABLATION),
            subtitle: &format!(
                "drop of the answer's log-probability · {} of {} prompts · {}",
                drops.len(),
                records.len(),
                facts.in_words()
            ),
            score_label: "nats",
            ends: all.spread.as_ref().map(|spread| [&spread.low, &spread.high]),
            difference: false,
        };
        let picture = head_heatmap(&all.mean, &caption)?;
        files.extend(
            picture.into_files(
                &to.root.join("plots").join(format!("{stem}_{}_heads", named::ABLATION)),
            ),
        );
    }
    let files = outputs::write_all(files)?;
    let shortcoming = shortcoming(failures(), records.len());
    let told = Told::Results(Ablated { each: Some(statistics), files, ..to.told(facts) });
    Ok(FinishedAblation { told, shortcoming })
}

/// What is told of the drops, over some of so many `prompts`.
fn meta(all: &Aggregate, prompts: usize) -> EachMeta {
    let count = |is: fn(f32, f32) -> bool| {
        all.spread.as_ref().map_or(0, |spread| {
            let ends = spread.low.values().iter().zip(spread.high.values());
            ends.filter(|(low, high)| is(**low, **high)).count()
        })
    };
    EachMeta {
        accepted: all.probes,
        prompts,
        needed: count(|low, _| low > LEAST),
        in_the_way: count(|_, high| high < -LEAST),
        heads: all.mean.values().len(),
        best: best(&all.mean, 10),
    }
}
