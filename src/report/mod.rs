//! `report.html`: the results in a folder as one page that needs no network.
//!
//! ```text
//! DIR/head_score/*.json + *.meta.json ─┐
//! DIR/probes.jsonl                     ├─► ReportData ─► page ─► report.html
//! DIR/evaluate.json, ablate.json, look/… ┘
//! ```
//!
//! It is made of files alone, so that the page of a run that has just ended and that of one of last
//! year are made in the same way. What is not there is left out.

mod about;
mod answers;
mod data;
mod look;
mod page;
mod read;
mod scores;
mod tables;

use std::path::{Path, PathBuf};

pub use data::ReportData;
pub use look::{Look, LookHead, LookStep};

use crate::error::{Error, Result};
use crate::system::Reporter;
use crate::system::atomic;
use answers::Answers;
use scores::Sidecars;

/// Where the looks are.
pub const LOOKS: &str = look::FOLDER;
/// What the page is called.
pub const FILE: &str = "report.html";

/// Writes the page of the results in `folder` into it; those of `model`, where there are several.
///
/// # Errors
/// As [`ReportData::of`] and [`atomic::write`].
pub fn write(folder: &Path, model: Option<&str>) -> Result<PathBuf> {
    let path = folder.join(FILE);
    atomic::write(&path, page::html(&ReportData::of(folder, model)?)?.as_bytes())?;
    Ok(path)
}

/// The same behind a run whose results are written already: what keeps the page from being made,
/// such as a file of something else in the folder, is a warning.
pub fn write_behind(folder: &Path, model: &str, reporter: &Reporter) -> Option<PathBuf> {
    let written = write(folder, Some(model));
    written
        .inspect_err(|e| reporter.warning(&format!("no {FILE} is written: {}", e.one_line())))
        .ok()
}

impl ReportData {
    /// What `folder` holds of `model`, or of the only model that there is.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder without results, with none of `model`, or of several models;
    /// [`Error::Data`] naming a file that is not as headprof writes it.
    pub fn of(folder: &Path, model: Option<&str>) -> Result<Self> {
        let answers = Answers::read(&folder.join("probes.jsonl"))?;
        let sidecars = Sidecars::read(folder)?;
        let (evaluation, ablation) = (tables::evaluation(folder)?, tables::ablation(folder)?);
        let tables = [&evaluation, &ablation];
        let tables = tables.into_iter().flatten().map(|table| table.model());
        let found: Vec<&str> = sidecars.models().chain(tables.map(|m| m.name.as_str())).collect();
        let name = chosen(folder, model, &found)?;
        let of_model = |table: Option<tables::Table>| table.filter(|t| t.model().name == name);
        let (evaluation, ablation) = (of_model(evaluation), of_model(ablation));
        let others = sidecars.later_of_another(&name, &answers);
        let answers = if others { Answers::default() } else { answers };
        let sidecars = sidecars.of_run(&name, &answers);
        let about = sidecars.first().map(|sidecar| &sidecar.about);
        let about = about.or(evaluation.as_ref().map(tables::Table::about));
        let about = about.or(ablation.as_ref().map(tables::Table::about));
        let about = about.ok_or_else(|| nothing(folder).got("scores of single tasks alone"))?;
        // Answers of another run than that of the scores would be taken for theirs.
        let answers = if sidecars.fit(&answers) { answers } else { Answers::default() };
        let model = &about.model;
        let scores = sidecars.scores(model, &answers)?;
        Ok(Self {
            headprof: env!("CARGO_PKG_VERSION"),
            model: model.clone(),
            about: about.pairs(&answers),
            kinds: sidecars.kinds(model),
            scores,
            gate: about.gate(),
            budgets: tables::budgets(folder, model)?,
            evaluations: evaluation.into_iter().filter_map(|t| t.evaluation()).collect(),
            ablations: ablation.into_iter().filter_map(|t| t.ablation()).collect(),
            looks: Look::all(folder, &name, &answers)?,
            places: answers.places,
            answers: answers.list,
        })
    }
}

/// The model that the page is about.
fn chosen(folder: &Path, asked: Option<&str>, found: &[&str]) -> Result<String> {
    let mut names = found.to_vec();
    names.sort_unstable();
    names.dedup();
    match (asked, &names[..]) {
        (_, []) => Err(nothing(folder).got("no results")),
        (Some(asked), names) if names.contains(&asked) => Ok(asked.to_owned()),
        (Some(asked), names) => {
            Err(nothing(folder).got(format!("none of {asked}, but of {}", names.join(", "))))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(Error::usage("the folder has results of several models")
            .at(folder.display())
            .got(names.join(", "))
            .advice("name one with --model")),
    }
}

fn nothing(folder: &Path) -> Error {
    Error::usage("there is nothing to report")
        .at(folder.display())
        .expected("the --out of a profile, of evaluate or of ablate")
        .advice("run `headprof` first; what was stopped goes on with its own command")
}

#[cfg(test)]
mod tests;
