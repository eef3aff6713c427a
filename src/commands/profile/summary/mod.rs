//! What a run tells at its end: a table for people, or the same as one JSON object.

mod kinds;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use kinds::HeadsOfType;

use super::Seconds;
use super::facts::ProfileRun;
use super::ranking::Ranking;
use super::record::Status;
use super::sidecar::Written;
use super::stable::UntilStable;
use super::statistics::{ScoreResult, ScoreStatistics, TopHead, pooled};
use crate::needle::SubTask;
use crate::report;
use crate::score::is_main;

/// The results in short.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Where it ran.
    pub device: String,
    /// All probes.
    pub probes: usize,
    /// Probes that the run has not come to; none at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub unfinished: usize,
    /// How the run came to end before its grid did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_stable: Option<UntilStable>,
    /// Probes that feed the scores.
    pub accepted: usize,
    /// Probes whose answer did not pass the gate.
    pub rejected: usize,
    /// Probes without an answer or a score.
    pub failed: usize,
    /// What answers had to reach.
    pub gate: String,
    /// How many passed at each context length.
    pub by_length: Vec<LengthSummary>,
    /// How many passed of each task; empty for needles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_task: Vec<TaskSummary>,
    /// The scores against those of needles that were found beside them; empty for needles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rankings: Vec<Ranking>,
    /// Every score, in the order of the registry.
    pub scores: Vec<ScoreSummary>,
    /// Which of the best heads of the table are of a kind that is known, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub head_types: Vec<HeadsOfType>,
    /// What was written.
    pub files: Vec<PathBuf>,
    /// Where the time went.
    pub seconds: Seconds,
    /// Largest resident memory; `None` where the system does not say.
    pub peak_rss_bytes: Option<u64>,
    /// The folder of the files.
    #[serde(skip)]
    out: PathBuf,
}

/// Whether there are none.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The probes of one context length.
#[derive(Debug, Clone, Serialize)]
pub struct LengthSummary {
    /// Tokens.
    pub context_length: usize,
    /// All of them.
    pub probes: usize,
    /// Those that passed.
    pub accepted: usize,
}

/// The probes of one task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskSummary {
    /// Which.
    pub task: SubTask,
    /// All of them.
    pub probes: usize,
    /// Those that passed.
    pub accepted: usize,
}

/// One score.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreSummary {
    /// Its name.
    pub name: &'static str,
    /// Its best heads and how sure they are.
    #[serde(flatten)]
    pub statistics: ScoreStatistics,
}

impl Summary {
    pub(super) fn new(
        made: &ProfileRun,
        results: &[ScoreResult],
        rankings: Vec<Ranking>,
        (out, files): (&Path, &[PathBuf]),
        written: &Written,
    ) -> Self {
        let ProfileRun { facts, probed } = made;
        let by_length = facts.context_lengths.iter().map(|&context_length| {
            let mut here = LengthSummary { context_length, probes: 0, accepted: 0 };
            for record in probed
                .records
                .iter()
                .filter(|r| facts.length_group(r.context_length) == context_length)
            {
                here.probes += 1;
                here.accepted += usize::from(record.status == Status::Accepted);
            }
            here
        });
        let by_task = made.tasks().into_iter().map(|task| {
            let own = || probed.records.iter().filter(move |r| r.task == Some(task));
            let accepted = own().filter(|r| r.status == Status::Accepted).count();
            TaskSummary { task, probes: own().count(), accepted }
        });
        let scores: Vec<ScoreSummary> = pooled(results)
            .map(|r| ScoreSummary { name: r.score.name(), statistics: r.statistics.clone() })
            .collect();
        Self {
            model: facts.model.clone(),
            layers: facts.layers,
            heads: facts.heads,
            device: written.device.clone(),
            probes: probed.records.len(),
            until_stable: written.until_stable.clone(),
            unfinished: 0,
            accepted: probed.count(Status::Accepted),
            rejected: probed.count(Status::Rejected),
            failed: probed.count(Status::Failed),
            gate: probed.gate_rule.clone(),
            by_task: by_task.collect(),
            rankings,
            by_length: by_length.collect(),
            head_types: HeadsOfType::among(&columns(&scores), facts.head_types.as_ref()),
            scores,
            files: files.to_vec(),
            seconds: written.run.seconds,
            peak_rss_bytes: written.run.peak_rss_bytes,
            out: out.to_owned(),
        }
    }

    /// The same of a run that has not come to `unfinished` of its probes.
    pub(super) fn so_far(self, unfinished: usize) -> Self {
        Self { unfinished, ..self }
    }

    fn table(&self) -> Vec<Vec<String>> {
        let columns = columns(&self.scores);
        let row = |label: String, cell: &dyn Fn(&ScoreSummary) -> String| {
            std::iter::once(label).chain(columns.iter().map(|c| cell(c))).collect::<Vec<String>>()
        };
        let mut rows = vec![row(String::new(), &|c| c.name.to_owned())];
        let ranks = columns.iter().map(|c| c.statistics.top.len()).max().unwrap_or(0);
        for rank in 0..ranks {
            rows.push(row(format!("{}", rank + 1), &|c| {
                c.statistics.top.get(rank).map_or_else(String::new, head_cell)
            }));
        }
        rows.push(row("split halves".into(), &|c| {
            c.statistics.split_half_spearman.map_or("-".into(), |r| format!("rho {r:.2}"))
        }));
        rows.push(row("top 10 kept".into(), &|c| {
            let best = c.statistics.top.first().map_or(0.0, |t| t.mean);
            let kept = c.statistics.top_overlap_frac.filter(|_| best > 0.0);
            kept.map_or("-".into(), |f| format!("{:.0} %", f * 100.0))
        }));
        rows
    }

    /// One row for all tasks and one for each, one column per score.
    fn ranking_table(&self) -> Vec<Vec<String>> {
        let mut scores: Vec<&str> = Vec::new();
        let mut tasks: Vec<Option<SubTask>> = Vec::new();
        for ranking in &self.rankings {
            if !scores.contains(&ranking.score) {
                scores.push(ranking.score);
            }
            if !tasks.contains(&ranking.task) {
                tasks.push(ranking.task);
            }
        }
        let cell = |task, score| {
            let found = self.rankings.iter().find(|r| (r.task, r.score) == (task, score));
            found.map_or("-".to_owned(), |Ranking { likeness, .. }| {
                let rho = likeness.spearman.map_or("-".into(), |r| format!("rho {r:.2}"));
                let heads = likeness.top_heads;
                let same = likeness
                    .top_overlap_frac
                    .map_or("-".into(), |share| format!("{:.0} of {heads}", share * heads as f64));
                format!("{rho}, {same}")
            })
        };
        let names = scores.iter().map(|&score| score.to_owned());
        let mut rows = vec![std::iter::once(String::new()).chain(names).collect::<Vec<_>>()];
        for task in tasks {
            let name = task.map_or("all tasks".to_owned(), |task| task.to_string());
            let cells = scores.iter().map(|score| cell(task, *score));
            rows.push(std::iter::once(name).chain(cells).collect());
        }
        rows
    }
}

/// The table's columns: one per main score, or all scores where none is a main one.
fn columns(scores: &[ScoreSummary]) -> Vec<&ScoreSummary> {
    let main: Vec<&ScoreSummary> = scores.iter().filter(|s| is_main(s.name)).collect();
    if main.is_empty() { scores.iter().collect() } else { main }
}

/// Rows of equally many cells, in columns.
fn write_table(f: &mut fmt::Formatter<'_>, table: &[Vec<String>]) -> fmt::Result {
    let columns = table.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|c| table.iter().map(|row| row[c].chars().count()).max().unwrap_or(0))
        .collect();
    for row in table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// `512 3/4 (75 %)`.
fn share(of: &dyn fmt::Display, accepted: usize, probes: usize) -> String {
    let percent = 100.0 * accepted as f64 / probes.max(1) as f64;
    format!("{of} {accepted}/{probes} ({percent:.0} %)")
}

/// `3-5 0.812 ±0.031`: layer, head, mean, half the 95 % interval; in brackets where that reaches 0.
/// A head at 0 is not among the best of anything.
fn head_cell(top: &TopHead) -> String {
    if top.mean == 0.0 {
        return "-".to_owned();
    }
    let half = top.interval_95.map_or(String::new(), |[low, high]| {
        format!(" ±{:.3}", (f64::from(high) - f64::from(low)) / 2.0)
    });
    let cell = format!("{}-{} {:.3}{half}", top.layer, top.head, top.mean);
    match top.interval_95 {
        Some([low, _]) if low <= 0.0 => format!("({cell})"),
        _ => cell,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unfinished > 0 {
            let all = self.probes + self.unfinished;
            writeln!(f, "so far, of {} of {all} probes:", self.probes)?;
        }
        writeln!(
            f,
            "{}: {} layers x {} heads on {}; {} of {} probes passed ({}), {} failed",
            self.model,
            self.layers,
            self.heads,
            self.device,
            self.accepted,
            self.probes,
            self.gate,
            self.failed
        )?;
        let lengths: Vec<String> =
            self.by_length.iter().map(|l| share(&l.context_length, l.accepted, l.probes)).collect();
        writeln!(f, "passed by context length: {}", lengths.join(", "))?;
        if let Some(until) = &self.until_stable {
            let share = until.share();
            match (until.reached, self.probes < until.planned) {
                (true, true) => writeln!(
                    f,
                    "stable at {share} after {} of {} probes",
                    self.probes, until.planned
                )?,
                (true, false) => writeln!(f, "stable at {share} when all probes had run")?,
                (false, _) => writeln!(f, "not stable at {share} when all probes had run")?,
            }
        }
        if !self.by_task.is_empty() {
            let tasks: Vec<String> =
                self.by_task.iter().map(|t| share(&t.task, t.accepted, t.probes)).collect();
            writeln!(f, "passed by task: {}", tasks.join(", "))?;
        }
        writeln!(f)?;

        writeln!(
            f,
            "The ten best heads, layer-head: mean ± half its 95 % interval; in brackets: may be 0"
        )?;
        write_table(f, &self.table())?;
        writeln!(
            f,
            "split halves: rank correlation of all heads between random halves of the needles;\n\
             top 10 kept: share of the ten best that stay so with other needles and places"
        )?;
        if !self.head_types.is_empty() {
            let of = |t: &HeadsOfType| format!("{} {}", t.kind, t.heads.join(", "));
            let kinds: Vec<String> = self.head_types.iter().map(of).collect();
            writeln!(
                f,
                "kinds of heads among the best, by random tokens that come twice: {}",
                kinds.join("; ")
            )?;
        }
        writeln!(f)?;

        if !self.rankings.is_empty() {
            writeln!(
                f,
                "Against the needle scores of {}: rank correlation of all heads, and how many of \
                 the best tenth are the same",
                relative(&self.out.join("head_score"))
            )?;
            write_table(f, &self.ranking_table())?;
            writeln!(f)?;
        }

        let memory = self
            .peak_rss_bytes
            .map_or(String::new(), |b| format!(", peak memory {:.0} MiB", b as f64 / 1_048_576.0));
        let Seconds { load, prefill, decode, total } = self.seconds;
        match load + prefill + decode > total {
            // Most of the work was done before, or elsewhere.
            true => writeln!(
                f,
                "{total:.1} s, after {:.1} s of probes (prompts {prefill:.1}, answers \
                 {decode:.1}){memory}",
                prefill + decode
            )?,
            false => writeln!(
                f,
                "{total:.1} s (load {load:.1}, prompts {prefill:.1}, answers {decode:.1}){memory}"
            )?,
        }
        if self.files.is_empty() {
            return Ok(());
        }
        let place = |name: &str| relative(&self.out.join(name));
        let filled =
            |name: &str| self.files.iter().any(|p| p.parent().is_some_and(|d| d.ends_with(name)));
        write!(f, "{}, ", place("head_score"))?;
        for folder in ["plots", report::LOOKS].into_iter().filter(|name| filled(name)) {
            write!(f, "{}, ", place(folder))?;
        }
        write!(f, "{}", place("probes.jsonl"))?;
        if self.files.iter().any(|p| p.ends_with(report::FILE)) {
            write!(f, ", {}", place(report::FILE))?;
        }
        writeln!(f, ": {} files", self.files.len())
    }
}

/// A path without a leading `./`.
fn relative(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
