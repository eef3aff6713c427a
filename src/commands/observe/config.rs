//! [`ObserveConfig`]: the options of `headprof observe`, parsed and validated.

use std::path::PathBuf;

use crate::cli::ObserveArgs;
use crate::config::{
    AtOption, ComputeConfig, Depth, ModelChoice, Paths, Surroundings, at_least_one,
};
use crate::error::{Error, Result};
use crate::eviction::ValueNorm;
use crate::model::ModelConfig;
use crate::plan::{check_tokens, parse_lengths};
use crate::system::Reporter;

/// Tokens where none are asked for.
const DEFAULT_LENGTH: usize = 512;

/// What to observe, without contradictions.
#[derive(Debug, Clone)]
pub struct ObserveConfig {
    /// The model.
    pub model: ModelChoice,
    /// What to compute on.
    pub compute: ComputeConfig,
    /// `(layer, head)` to draw.
    pub head: Option<(usize, usize)>,
    /// Whether all heads are tabulated.
    pub all: bool,
    /// First tokens that count as sinks, `F`, at least 1.
    pub sinks: usize,
    /// The norm that goes with the attention: of the value itself, hence not
    /// [`ValueNorm::Projected`] or [`ValueNorm::Off`].
    pub norm: ValueNorm,
    /// The text; `None` = the bundled essays.
    pub context: Option<PathBuf>,
    /// Tokens asked for.
    pub length: Option<usize>,
    /// Whether a length beyond the model's is run.
    pub allow_extrapolation: bool,
    /// Output folder.
    pub out: PathBuf,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl ObserveConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &ObserveArgs, surroundings: &Surroundings) -> Result<Self> {
        let norm: ValueNorm = args.value_norm.parse().at_option("--value-norm")?;
        if matches!(norm, ValueNorm::Off | ValueNorm::Projected) {
            return Err(Error::usage("this is no norm of the values that a head reads")
                .at("--value-norm")
                .got(norm)
                .expected("l1, l2 or linf"));
        }
        let head = args.layer.zip(args.head);
        if head.is_none() && !args.all {
            return Err(Error::usage("there is no head to observe")
                .at("--layer, --head, --all")
                .got("none of them")
                .expected("--layer L --head H, --all or both"));
        }
        Paths::default()
            .and_of_model(&args.model)
            .reads("--context", args.context.as_deref(), ("", Depth::In))
            .fills("--out", &args.out.join("observe"))
            .fills("--out", &args.out.join("plots"))
            .check()?;
        Ok(Self {
            model: ModelChoice::of(&args.model, surroundings)?,
            compute: ComputeConfig::new(&args.model.compute)?,
            head,
            all: args.all,
            sinks: at_least_one("--sink-len", Some(args.sink_len))?.unwrap_or(1),
            norm,
            context: args.context.clone(),
            length: args.length.as_deref().map(length).transpose()?,
            allow_extrapolation: args.allow_extrapolation,
            out: args.out.clone(),
            reporter: Reporter { quiet: false, json: args.json },
        })
    }

    /// Most tokens to read with a model of shape `c`.
    pub fn most_tokens(&self, c: &ModelConfig) -> usize {
        self.length.unwrap_or(DEFAULT_LENGTH.min(c.max_positions))
    }

    /// Checks that a model of shape `c` has the head to draw.
    ///
    /// # Errors
    /// [`Error::Usage`] saying how many layers and heads there are.
    pub fn check_head(&self, c: &ModelConfig) -> Result<()> {
        let Some((layer, head)) = self.head else { return Ok(()) };
        let missing = |what: &str, option: &str, got: usize, count: usize| {
            Err(Error::usage(format!("the model has no such {what}"))
                .at(option)
                .got(got)
                .expected(format!("0 to {}: there are {count} {what}s", count.saturating_sub(1))))
        };
        match (layer < c.layers, head < c.heads) {
            (false, _) => missing("layer", "--layer", layer, c.layers),
            (_, false) => missing("head", "--head", head, c.heads),
            _ => Ok(()),
        }
    }

    /// Checks a context of `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is longer than a model of shape `c` is made for, or has nothing
    /// behind the sinks.
    pub fn check_tokens(&self, tokens: usize, c: &ModelConfig) -> Result<()> {
        if tokens > c.max_positions && !self.allow_extrapolation {
            return Err(Error::usage("the context is longer than the model is made for")
                .at("--length")
                .got(format!("{tokens} tokens"))
                .expected(format!("at most max_position_embeddings = {}", c.max_positions))
                .advice(format!("--length {}, or --allow-extrapolation", c.max_positions)));
        }
        if tokens <= self.sinks {
            return Err(Error::usage("the context ends with the sinks")
                .at("--sink-len")
                .got(format!("{tokens} tokens and {} sinks", self.sinks))
                .expected("fewer sinks than tokens")
                .advice("a smaller --sink-len, or a longer context"));
        }
        Ok(())
    }
}

/// One number of tokens, such as `512` or `2k`.
fn length(text: &str) -> Result<usize> {
    let lengths = parse_lengths(text).at_option("--length")?.values;
    match lengths[..] {
        [length] => check_tokens("--length", length),
        _ => Err(Error::usage("one context is read, of one length")
            .at("--length")
            .got(format!("{text:?}"))
            .expected("one number, such as 512")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::model::embedded::needle_llama_config;

    fn parse(line: &str) -> Result<ObserveConfig> {
        let words: Vec<&str> =
            ["headprof", "observe"].into_iter().chain(line.split_whitespace()).collect();
        let cli = Cli::try_parse_from(&words).expect("clap takes the line");
        let Some(Command::Observe(args)) = cli.command else { panic!("not observe") };
        ObserveConfig::new(&args, &Surroundings::default())
    }

    #[test]
    fn a_head_all_or_both() {
        let both = parse("--layer 3 --head 5 --all --length 2k --value-norm linf").unwrap();
        assert_eq!((both.head, both.all, both.length), (Some((3, 5)), true, Some(2048)));
        assert_eq!((both.sinks, both.norm), (4, ValueNorm::LInf));
        let all = parse("--all --sink_len 20").unwrap();
        assert_eq!((all.head, all.sinks, all.length), (None, 20, None));
        let refused = |words: &[&str]| {
            let words = ["headprof", "observe"].iter().chain(words);
            assert!(Cli::try_parse_from(words).is_err());
        };
        refused(&[]);
        refused(&["--layer", "1"]);
        refused(&["--head", "1"]);
        refused(&["--all", "--head", "1"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("--all --value-norm off", "--value-norm"),
            ("--all --value-norm projected", "--value-norm"),
            ("--all --value-norm l3", "--value-norm"),
            ("--all --sink-len 0", "--sink-len"),
            ("--all --length 0", "--length"),
            ("--all --length 64,128", "--length"),
            ("--all --length 99999999", "--length"),
        ] {
            let e = parse(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert_eq!(e.exit_code(), 2, "{line}");
            assert!(e.to_string().contains(named), "{line}: {e}");
        }
    }

    #[test]
    fn heads_and_lengths_are_those_of_the_model() {
        let mut c = needle_llama_config().unwrap();
        (c.layers, c.heads, c.max_positions) = (6, 8, 300);
        let says = |line: &str, words: &str| {
            let e = parse(line).unwrap().check_head(&c).unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(words), "{e}");
        };
        says("--layer 6 --head 0", "there are 6 layers");
        says("--layer 0 --head 8", "there are 8 heads");
        assert!(parse("--layer 5 --head 7").unwrap().check_head(&c).is_ok());

        let config = parse("--all --sink-len 20").unwrap();
        assert_eq!(config.most_tokens(&c), 300);
        assert!(config.check_tokens(300, &c).is_ok() && config.check_tokens(21, &c).is_ok());
        let e = config.check_tokens(301, &c).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--allow-extrapolation"), "{e}");
        let e = config.check_tokens(20, &c).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--sink-len"), "{e}");
        let beyond = parse("--all --length 9k --allow-extrapolation").unwrap();
        assert!(beyond.check_tokens(beyond.most_tokens(&c), &c).is_ok());
    }
}
