//! [`Allocation`]: a budget as a table for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::inputs::AllocateInputs;
use super::mean;
use crate::budget::{Allocator, Budget, BudgetOptions, Needs};
use crate::cli::AllocateArgs;
use crate::error::Result;

/// How many heads are listed.
const LISTED: usize = 10;

/// What a budget was divided by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameters {
    /// Tokens per head on average, with the window.
    pub max_capacity_prompts: usize,
    /// The last tokens, which every head keeps.
    pub window_size: usize,
    /// Of headkv and dililazykv.
    pub beta: f64,
    /// Of headkv and dililazykv.
    pub temp: f64,
    /// Of pyramidkv.
    pub pyramid_beta: usize,
    /// `fair` or `reference`.
    pub form: &'static str,
    /// Tokens of the prompt, if limited.
    pub prompt_tokens: Option<usize>,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`; with utility curves, the heads that have one.
    pub heads: usize,
    /// KV heads per layer, `G`, if known.
    pub kv_heads: Option<usize>,
    /// `kv_head` or `query_head`.
    pub granularity: &'static str,
    /// How query heads' scores become one of their KV head.
    pub reduce: &'static str,
    /// The file of scores or curves.
    pub file: Option<String>,
}

/// A budget that was divided.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// The method's name.
    pub method: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// What it was divided by.
    pub parameters: Parameters,
    /// The constants that the method uses, in words.
    pub constants: Option<String>,
    /// What was read.
    pub inputs: AllocateInputs,
    /// The tokens of every head.
    pub budget: Budget,
    /// The files written.
    pub files: Vec<PathBuf>,
}

/// Capacities as the references count them: without the window.
#[derive(Debug, Serialize)]
struct Json<'a> {
    method: &'static str,
    parameters: &'a Parameters,
    capacities: Vec<&'a [u32]>,
    sum: u64,
    window: usize,
}

impl Allocation {
    pub(super) fn new(
        allocator: &dyn Allocator,
        options: &BudgetOptions,
        args: &AllocateArgs,
        inputs: AllocateInputs,
        budget: Budget,
    ) -> Self {
        let heads = inputs.heads;
        let parameters = Parameters {
            max_capacity_prompts: options.capacity_tokens,
            window_size: options.window_tokens,
            beta: options.beta,
            temp: options.temp,
            pyramid_beta: options.pyramid_beta,
            form: if options.reference { "reference" } else { "fair" },
            prompt_tokens: args.prompt_tokens,
            layers: heads.layers,
            heads: heads.heads,
            kv_heads: inputs.kv_heads_known.then_some(heads.kv_heads),
            granularity: heads.granularity.name(),
            reduce: options.reduce.name(),
            file: inputs.path.as_ref().map(|path| path.display().to_string()),
        };
        let mut constants: Vec<String> = allocator
            .info()
            .constants
            .iter()
            .map(|c| format!("{} {}", c.option().trim_start_matches('-'), c.value(options)))
            .collect();
        if allocator.needs() == Needs::HeadScores && heads.readers() > 1 {
            constants.push(format!("the {} of query heads", options.reduce.name()));
        }
        Self {
            method: allocator.name(),
            title: allocator.info().title,
            parameters,
            constants: (!constants.is_empty()).then(|| constants.join(", ")),
            inputs,
            budget,
            files: Vec::new(),
        }
    }

    /// One JSON object: `method`, `parameters`, `capacities` `[L][S]` without the window, their
    /// `sum`, and the `window`.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if it has no form in JSON.
    pub fn json(&self) -> Result<String> {
        crate::system::terminal::json_line(&Json {
            method: self.method,
            parameters: &self.parameters,
            capacities: self.rows().collect(),
            sum: self.past(),
            window: self.budget.window_tokens(),
        })
    }

    fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.budget.past_tokens().chunks(self.budget.heads())
    }

    fn past(&self) -> u64 {
        self.budget.past_tokens().iter().map(|n| u64::from(*n)).sum()
    }

    /// What all heads would hold with the same number each.
    fn even(&self) -> u64 {
        let tokens = self.parameters.max_capacity_prompts;
        let tokens = self.parameters.prompt_tokens.map_or(tokens, |t| t.min(tokens));
        self.budget.past_tokens().len() as u64 * tokens as u64
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.parameters;
        writeln!(f, "method    {} ({}): {}", self.method, p.form, self.title)?;
        if let Some(constants) = &self.constants {
            writeln!(f, "with      {constants}")?;
        }
        if let Some(file) = &p.file {
            writeln!(f, "file      {file}")?;
        }
        let kv = p.kv_heads.map_or(String::new(), |n| format!(", {n} KV heads"));
        writeln!(
            f,
            "heads     {} layers x {} heads{kv}; one budget per {}",
            p.layers, p.heads, p.granularity
        )?;
        writeln!(
            f,
            "budget    {} tokens per head on average, {} of them the window",
            p.max_capacity_prompts,
            self.budget.window_tokens()
        )?;
        if let Some(tokens) = p.prompt_tokens {
            writeln!(f, "prompt    {tokens} tokens")?;
        }
        writeln!(f, "\nTokens before the window\n")?;
        writeln!(f, "{:>5} {:>9} {:>11} {:>9} {:>11}", "layer", "min", "mean", "max", "sum")?;
        for (layer, row) in self.rows().enumerate() {
            let sum: u64 = row.iter().map(|n| u64::from(*n)).sum();
            let (min, max) = (row.iter().min(), row.iter().max());
            let mean = sum as f64 / row.len().max(1) as f64;
            let (min, max) = (min.copied().unwrap_or(0), max.copied().unwrap_or(0));
            writeln!(f, "{layer:>5} {min:>9} {mean:>11.1} {max:>9} {sum:>11}")?;
        }
        let all = self.budget.past_tokens();
        let (min, max) = (all.iter().min(), all.iter().max());
        let (min, max) = (min.copied().unwrap_or(0), max.copied().unwrap_or(0));
        writeln!(
            f,
            "{:>5} {min:>9} {:>11.1} {max:>9} {:>11}",
            "all",
            mean(&self.budget),
            self.past()
        )?;
        self.write_most(f)?;
        let (total, even) = (self.budget.total_tokens(), self.even());
        writeln!(f, "\nheld      {total} tokens with the windows; the even budget is {even}")?;
        let difference = i128::from(total) - i128::from(even);
        match difference {
            0 => writeln!(f, "          exactly the same")?,
            n => {
                let percent = 100.0 * n as f64 / even.max(1) as f64;
                writeln!(f, "          {n:+} tokens, {percent:+.2} %")?;
            }
        }
        self.files.iter().try_for_each(|path| writeln!(f, "wrote     {}", path.display()))
    }
}

impl Allocation {
    fn write_most(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layers, heads) = (self.budget.layers(), self.budget.heads());
        let mut order: Vec<usize> = (0..layers * heads).collect();
        let past = self.budget.past_tokens();
        order.sort_by(|&a, &b| past[b].cmp(&past[a]).then(a.cmp(&b)));
        writeln!(f, "\n{:>5} {:>9} {:>9}", "head", "tokens", "x mean")?;
        let mean = mean(&self.budget).max(f64::MIN_POSITIVE);
        for i in order.into_iter().take(LISTED) {
            let head = format!("{}-{}", i / heads, i % heads);
            writeln!(f, "{head:>5} {:>9} {:>9.2}", past[i], f64::from(past[i]) / mean)?;
        }
        Ok(())
    }
}
