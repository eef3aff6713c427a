//! `headprof look`: where heads looked while one answer of a profile was written.
//!
//! ```text
//! DIR/journal/…/plan.json ─► the profile's command ─► ProfileConfig ─► the probe's prompt ─┐
//! DIR/probes.jsonl ─► the answer's tokens ─────────────────────────────────────────────────┴► rows ─► Look
//! ```
//!
//! Nothing is generated: the answer is known, and one pass over prompt and answer has all its rows.

mod config;
mod report;

use std::path::{Path, PathBuf};

pub use config::LookConfig;
pub use report::Looked;

use super::facts::ProfileFacts;
use super::outputs::PROBES_FILE;
use super::record::{ProbeRecord, Status};
use crate::error::{Error, Result};
use crate::head_score::{self, HeadScoreFile, named};
use crate::job::{self, Inputs, Job, NeedleSpans, OF_WEIGHTS, Running};
use crate::model::Llama;
use crate::model::capture::watch::watched;
use crate::plan::Probe;
use crate::report::{Look, LookHead, LookStep};

/// Heads that are watched where none are named.
const HEADS: usize = 3;
/// Probes that a profile looks at by itself.
const PROBES: usize = 2;
/// Tokens of their prompts, at most: a look should take no time beside the profile.
const LONGEST: usize = 4096;

/// A head to watch, and by which score it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedHead {
    pub layer: usize,
    pub head: usize,
    /// Empty where the user named it.
    pub score: String,
}

/// What looks are made of.
pub(super) struct Watching<'a> {
    pub model: &'a Llama,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    /// Tokens of a pass.
    pub chunk: usize,
}

impl Watching<'_> {
    /// Where `heads` looked while the answer of `record` was written.
    ///
    /// # Errors
    /// [`Error::Usage`] for a probe without an answer; as [`watched`] and [`Job::prompt`].
    pub fn look(&self, record: &ProbeRecord, heads: &[WatchedHead]) -> Result<Look> {
        let Some((_, fed)) = record.generated_ids.split_last() else {
            return Err(Error::usage("the probe has no answer that heads could be watched at")
                .at(record.id)
                .got(record.reason.clone().unwrap_or_default())
                .advice("choose another --probe of probes.jsonl"));
        };
        let prompt = self.job.prompt(self.probe(record)?)?;
        let tokenizer = &self.inputs.model.tokenizer;
        let vocabulary = self.inputs.model.config.vocab;
        if let Some(id) = record.generated_ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(Error::data("an answer has a token that the model does not have")
                .at(format!("{PROBES_FILE}, probe {}", record.id))
                .got(id)
                .expected(format!("ids below {vocabulary}"))
                .advice("run the profile again; the same command writes the file anew"));
        }
        let tokens = tokenizer.pieces(&prompt.ids)?;
        let said = tokenizer.pieces(&record.generated_ids)?;
        let places: Vec<(usize, usize)> = heads.iter().map(|h| (h.layer, h.head)).collect();
        let rows = watched(self.model, &prompt.ids, fed, &places, self.chunk)?;
        let of_head =
            |(WatchedHead { layer, head, score }, rows): (&WatchedHead, Vec<Vec<f32>>)| {
                let step = |(token, row): (&String, Vec<f32>)| LookStep::new(token.clone(), &row);
                LookHead {
                    layer: *layer,
                    head: *head,
                    score: score.clone(),
                    steps: said.iter().zip(rows).map(step).collect(),
                }
            };
        Ok(Look {
            model: self.inputs.model.name.clone(),
            id: record.id.to_string(),
            about: record.needle_id.clone(),
            length: record.context_length,
            depth: record.depth_asked,
            answer: record.answer.clone().unwrap_or_default(),
            tokens,
            needle: record.needle_spans.clone(),
            heads: heads.iter().zip(rows).map(of_head).collect(),
        })
    }

    fn probe(&self, record: &ProbeRecord) -> Result<&Probe> {
        let probe = self.job.plan.probes.iter().find(|probe| probe.id == record.id);
        probe.ok_or_else(|| Error::bug("a probe is not in its plan").at(record.id))
    }
}

/// The best heads of a profile in `folder`: of each of its main scores in turn the best that is not
/// there yet.
///
/// # Errors
/// As [`HeadScoreFile::read`].
pub(super) fn best_heads(folder: &Path, facts: &ProfileFacts) -> Result<Vec<WatchedHead>> {
    let stem = match &facts.task {
        None => facts.model.clone(),
        Some(task) => format!("{}_{task}", facts.model),
    };
    let mut lists = Vec::new();
    for score in facts.head_scores()?.iter().filter(|score| score.info().main) {
        let name = head_score::file_name(&stem, score.name());
        let file = HeadScoreFile::read(&folder.join(named::FOLDER).join(name), None)?.file;
        lists.push((score.name(), file.mean().top(HEADS)));
    }
    let mut heads: Vec<WatchedHead> = Vec::new();
    for place in 0..HEADS {
        for (score, list) in &lists {
            let Some(&(layer, head, value)) = list.get(place) else { continue };
            let known = heads.iter().any(|h| (h.layer, h.head) == (layer, head));
            if !known && value > 0.0 && heads.len() < HEADS {
                heads.push(WatchedHead { layer, head, score: (*score).to_owned() });
            }
        }
    }
    Ok(heads)
}

/// The probes that a profile looks at by itself: the shortest that were accepted, about different
/// things.
fn worth_a_look(records: &[ProbeRecord]) -> Vec<&ProbeRecord> {
    let mut accepted: Vec<&ProbeRecord> =
        records.iter().filter(|r| r.status == Status::Accepted).collect();
    accepted.retain(|record| record.prompt_tokens <= LONGEST);
    // Of equal length the surest answer, and one in the middle of the text rather than at its ends.
    let rank = |r: &ProbeRecord| {
        let gate = r.gate_value.unwrap_or(0.0);
        let off_middle = (r.depth_asked.unwrap_or(0.5) - 0.5).abs();
        (r.prompt_tokens, (-gate * 1e6) as i64, (off_middle * 1e6) as i64, r.index)
    };
    accepted.sort_by_key(|record| rank(record));
    let mut chosen: Vec<&ProbeRecord> = Vec::new();
    for record in accepted {
        if chosen.iter().all(|other| other.needle_id != record.needle_id) {
            chosen.push(record);
        }
    }
    chosen.truncate(PROBES);
    chosen
}

/// Looks at some probes of a profile that has just written its files into `folder`; returns what it
/// wrote.
///
/// # Errors
/// As [`Watching::look`] and [`Look::write`].
pub(super) fn behind(
    watching: &Watching,
    folder: &Path,
    facts: &ProfileFacts,
) -> Result<Vec<PathBuf>> {
    let heads = best_heads(folder, facts)?;
    let records = config::records(&folder.join(PROBES_FILE))?;
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let of = |record| watching.look(record, &heads)?.write(folder);
    worth_a_look(&records).into_iter().map(of).collect()
}

/// Looks at one probe, writes the file and the page of the folder.
///
/// # Errors
/// [`Error::Usage`] where the profile's own command would make other prompts now, for a head that
/// the model does not have and a probe without an answer; [`Error::Data`] for an answer that is not
/// this model's; those of the model and of files.
pub fn run(config: &LookConfig) -> Result<Looked> {
    let profile = &config.profile;
    let session = job::open(&profile.probes.compute, &profile.notes, &config.reporter)?;
    let inputs = session.inputs(&profile.probes, profile.source()?)?;
    let job = session.job(&profile.probes, &inputs, NeedleSpans::Known)?;
    let before = Running::before(&inputs.model, &session.compute);
    let known = ProfileFacts::new(profile, &inputs, &job, before)?.fingerprint()?;
    // No answer is judged: the gate is not opened, whatever it was.
    let mut known = known;
    known["gate"] = config.plan.fingerprint["gate"].clone();
    config.plan.check(&config.plan_path, &known, &OF_WEIGHTS)?;
    let heads = match &config.heads[..] {
        [] => best_heads(&config.folder, &config.facts)?,
        named => named.to_vec(),
    };
    if heads.is_empty() {
        return Err(Error::usage("no head has a score above 0, so that none is the best")
            .at(config.folder.display())
            .expected("--head LAYER-HEAD")
            .advice("name the heads to watch"));
    }
    let shape = &inputs.model.config;
    if let Some(none) = heads.iter().find(|h| h.layer >= shape.layers || h.head >= shape.heads) {
        return Err(Error::usage("the model has no such head")
            .at("--head")
            .got(format!("{}-{}", none.layer, none.head))
            .expected(format!("0-0 to {}-{}", shape.layers - 1, shape.heads - 1)));
    }
    let model = session.load(&inputs.model)?;
    let chunk = profile.probes.chunk_tokens(model.compute());
    let watching = Watching { model: &model, inputs: &inputs, job: &job, chunk };
    let look = watching.look(&config.record, &heads)?;
    let mut files = vec![look.write(&config.folder)?];
    let name = &inputs.model.name;
    files.extend(crate::report::write_behind(&config.folder, name, &config.reporter));
    Ok(Looked { look, files })
}
