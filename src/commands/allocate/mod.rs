//! `headprof allocate`: the tokens of every head, from a head_score file.
//!
//! ```text
//! AllocateArgs ─► checked options ─► Scores, heads ─► Allocator ─► Budget ─► Allocation (table, JSON, heatmap)
//! ```

mod inputs;
mod report;

use std::path::Path;

use crate::budget::lukv::{TABLE_ROWS, prune_table};
use crate::budget::npy::npy;
use crate::budget::{self, Allocator, Budget, BudgetOptions, Needs, Request, registry};
use crate::cli::AllocateArgs;
use crate::config::{AtOption, Depth, Paths};
use crate::error::{Error, Result};
use crate::heads::Granularity;
use crate::heads::HeadMatrix;
use crate::plot::{HeatmapCaption, head_heatmap};
use crate::system::Reporter;
use crate::system::atomic;

pub use inputs::AllocateInputs;
pub use report::{Allocation, Parameters};

/// Divides a budget. Writes the files that were asked for.
///
/// # Errors
/// [`Error::Usage`] for options that cannot be used, [`Error::Data`] for files that cannot,
/// [`Error::Resources`] if a file cannot be written.
pub fn run(args: &AllocateArgs, reporter: &Reporter) -> Result<Allocation> {
    let allocator = budget::by_name(&args.method).at_option("--method")?;
    refuse_unusable(allocator, args)?;
    let options = options(allocator, args);
    options.check()?;
    Paths::default()
        .reads("--head-score", args.head_score.as_deref(), ("json", Depth::In))
        .reads("--utility", args.utility.as_deref(), ("json", Depth::In))
        .writes("--prune-table", args.prune_table.as_deref())
        .check()?;
    let _made = args.out.as_deref().map(atomic::usable_folder).transpose()?;
    let inputs = AllocateInputs::read(allocator, args)?;
    inputs.notes.iter().for_each(|text| reporter.note(text));
    let budget = allocator.allocate(&Request {
        heads: inputs.heads,
        prompt_tokens: args.prompt_tokens,
        options: &options,
        head_scores: inputs.scores.as_ref(),
        token_scores: None,
        utility: inputs.curves.as_ref(),
        place: None,
    })?;
    let mut allocation = Allocation::new(allocator, &options, args, inputs, budget);
    if let Some(dir) = &args.out {
        allocation.files.extend(draw(&allocation, dir)?);
    }
    if let (Some(path), Some(curves)) = (&args.prune_table, &allocation.inputs.curves) {
        let shape = [TABLE_ROWS, curves.layers(), curves.heads()];
        atomic::write(path, &npy(&shape, &prune_table(curves))?)?;
        allocation.files.push(path.clone());
    }
    Ok(allocation)
}

fn options(allocator: &dyn Allocator, args: &AllocateArgs) -> BudgetOptions {
    let default = BudgetOptions::default();
    BudgetOptions {
        capacity_tokens: args.budget,
        window_tokens: args.window_size,
        beta: args.beta.unwrap_or(allocator.info().default_beta()),
        temp: args.temp.unwrap_or(default.temp),
        alpha: args.alpha.unwrap_or(default.alpha),
        pyramid_beta: args.pyramid_beta.unwrap_or(default.pyramid_beta),
        reduce: args.reduce.into(),
        reference: args.compat.is_some(),
    }
}

/// What can be said before a file is read.
fn refuse_unusable(allocator: &dyn Allocator, args: &AllocateArgs) -> Result<()> {
    if allocator.needs() == Needs::TokenScores {
        let others = names(|a| a.needs() != Needs::TokenScores);
        return Err(Error::usage(format!(
            "{} divides by the token scores of a prompt, and here is none",
            allocator.name()
        ))
        .at("--method")
        .got(&args.method)
        .expected(format!("one of {others}")));
    }
    let given = [
        ("--beta", args.beta.is_some()),
        ("--temp", args.temp.is_some()),
        ("--alpha", args.alpha.is_some()),
        ("--pyramid-beta", args.pyramid_beta.is_some()),
    ];
    let unread =
        given.into_iter().find(|(option, given)| *given && !allocator.info().reads(option));
    if let Some((option, _)) = unread {
        return Err(does_not_read(allocator, option));
    }
    if allocator.needs() != Needs::Utility && (args.utility.is_some() || args.prune_table.is_some())
    {
        let readers = names(|a| a.needs() == Needs::Utility);
        return Err(Error::usage(format!("utility curves are for the method {readers}"))
            .at("--utility, --prune-table")
            .got(format!("--method {}", args.method))
            .advice(format!("add --method {readers}, or leave the option out")));
    }
    if args.prompt_tokens == Some(0) {
        return Err(Error::usage("a prompt without tokens has nothing to keep")
            .at("--prompt-tokens")
            .got(0)
            .expected("1 or more"));
    }
    Ok(())
}

/// The error for a constant that the allocator's formula does not have.
fn does_not_read(allocator: &dyn Allocator, option: &str) -> Error {
    let reads = |a: &dyn Allocator| a.info().reads(option);
    let here = names(|a| reads(a) && a.needs() != Needs::TokenScores);
    let error = Error::usage(format!("{} does not read {option}", allocator.name()))
        .at(option)
        .got(format!("--method {}", allocator.name()));
    match here.is_empty() {
        false => error.expected(format!("--method {here}")).advice("leave the option out"),
        true => error
            .expected(format!("{}, which divide by the token scores of a prompt", names(reads)))
            .advice("leave the option out, or compare these methods with `headprof evaluate`"),
    }
}

/// Names of the allocators that `which` takes, with commas.
fn names(which: impl Fn(&dyn Allocator) -> bool) -> String {
    let names = registry().iter().filter(|a| which(**a)).map(|a| a.name());
    names.collect::<Vec<_>>().join(", ")
}

/// The heatmap of the tokens before the window.
fn draw(allocation: &Allocation, dir: &Path) -> Result<[std::path::PathBuf; 2]> {
    let budget = &allocation.budget;
    let tokens = budget.past_tokens().iter().map(|n| *n as f32).collect();
    let matrix = HeadMatrix::new(budget.layers(), budget.heads(), tokens)?;
    let name = &allocation.inputs.name;
    let method = allocation.method;
    let parameters = &allocation.parameters;
    let heads = match allocation.inputs.heads.granularity {
        Granularity::KvHead => "KV heads",
        Granularity::QueryHead => "query heads",
    };
    let meta = HeatmapCaption {
        title: &format!("{method} budget — {name}"),
        subtitle: &format!(
            "{} tokens per head on average, {} of them the window · {heads} · {}",
            parameters.max_capacity_prompts, parameters.window_size, parameters.form
        ),
        score_label: "tokens before the window",
        ends: None,
        difference: false,
    };
    head_heatmap(&matrix, &meta)?.save(&dir.join(format!("{name}_{method}_budget")))
}

/// How many tokens a head has on average, for a table.
fn mean(budget: &Budget) -> f64 {
    let total: u64 = budget.past_tokens().iter().map(|n| u64::from(*n)).sum();
    total as f64 / budget.past_tokens().len().max(1) as f64
}
