//! What a budget is divided by: head scores with their sidecar, or utility curves, and whose heads
//! they are.

use std::path::{Path, PathBuf};

use crate::budget::{Allocator, Needs, UtilityCurves, UtilityFile};
use crate::cli::AllocateArgs;
use crate::error::{Error, Result};
use crate::gguf;
use crate::head_score::{self, HeadScoreFile, named, sidecar};
use crate::heads::HeadMatrix;
use crate::heads::{CacheHeads, Granularity};
use crate::hub::HubId;
use crate::score;

/// The model of `--head-choice` where none is named.
const DEFAULT_MODEL: &str = "needle-llama";

/// Most query heads of all layers together: a thousand times the largest models'.
const MOST_HEADS: usize = 1 << 24;

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AllocateInputs {
    /// Whose budgets.
    pub heads: CacheHeads,
    /// Whether the number of KV heads is known.
    pub kv_heads_known: bool,
    /// Scores of the query heads, `[L, H]`.
    pub scores: Option<HeadMatrix>,
    /// Utility curves, `[L, S]`.
    pub curves: Option<UtilityCurves>,
    /// The file that was read.
    pub path: Option<PathBuf>,
    /// For titles and file names: the file's stem, or the heads.
    pub name: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl AllocateInputs {
    /// Reads what `allocator` needs, and the shape of the heads from it or from the options.
    ///
    /// # Errors
    /// [`Error::Usage`] if something was not given, [`Error::Data`] if a file cannot be used or is
    /// of another model.
    pub(super) fn read(allocator: &dyn Allocator, args: &AllocateArgs) -> Result<Self> {
        if allocator.needs() == Needs::Utility {
            return Self::of_curves(allocator, args);
        }
        match score_file(args)? {
            Some(path) => Self::of_scores(&path, args),
            None if allocator.needs() == Needs::HeadScores => {
                Err(Error::usage(format!("{} needs head scores", allocator.name()))
                    .at("--head-score, --head-choice")
                    .got("neither")
                    .expected("a head_score file, as headprof writes it into head_score/")
                    .advice(
                        "profile the model first (headprof --model DIR), then --head-choice inf",
                    ))
            }
            None => Self::of_shape(args),
        }
    }

    fn of_scores(path: &Path, args: &AllocateArgs) -> Result<Self> {
        let expected = args.layers.zip(args.heads);
        let read = HeadScoreFile::read(path, expected).map_err(|e| match path.exists() {
            true => e,
            false => e.expected("the scores of a model that was profiled").advice(
                "profile it first, or name with --head-score a file, or a model that has a \
                     folder of its name in head_score/",
            ),
        })?;
        let scores = read.file.mean();
        let (layers, heads) = (scores.layers(), scores.heads());
        for (option, asked, there) in
            [("--layers", args.layers, layers), ("--heads", args.heads, heads)]
        {
            if asked.is_some_and(|asked| asked != there) {
                return Err(Error::data("a head_score file has another size")
                    .at(path.display())
                    .got(format!("{layers} layers x {heads} heads"))
                    .expected(format!("{option} {}", asked.unwrap_or_default())));
            }
        }
        let mut notes: Vec<String> =
            read.warnings.iter().map(|w| format!("{}: {w}", path.display())).collect();
        let asked = asked_model(args);
        let known =
            sidecar::kv_heads(path, (layers, heads), asked.as_deref(), args.force, &mut notes)?;
        let kv_heads = args.kv_heads.or(known);
        let heads = cache_heads(layers, heads, kv_heads, args)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            heads,
            kv_heads_known: kv_heads.is_some(),
            scores: Some(scores),
            curves: None,
            path: Some(path.to_owned()),
            name,
            notes,
        })
    }

    fn of_curves(allocator: &dyn Allocator, args: &AllocateArgs) -> Result<Self> {
        let name = allocator.name();
        let missing = |option: &str, what: &str| {
            Error::usage(format!("{name} needs utility curves and the length of the prompt"))
                .at(option)
                .got("nothing")
                .expected(what)
        };
        let path = args.utility.as_ref();
        let path = path.ok_or_else(|| missing("--utility", "a file of utility curves"))?;
        if args.prompt_tokens.is_none() {
            return Err(missing("--prompt-tokens", "how many tokens the fractions are of"));
        }
        let file = UtilityFile::read(path)?;
        let asked: Option<Granularity> = args.granularity.map(Into::into);
        if asked.is_some_and(|asked| asked != file.granularity) {
            return Err(Error::data("the utility curves are of other heads than asked for")
                .at(path.display())
                .got(file.granularity.name())
                .expected(format!("--granularity {}", asked.unwrap_or_default().name())));
        }
        let mut notes = Vec::new();
        sidecar::check_model(
            path,
            &file.model,
            asked_model(args).as_deref(),
            args.force,
            &mut notes,
        )?;
        let (layers, stored) = (file.curves.layers(), file.curves.heads());
        let shape = match file.granularity {
            Granularity::KvHead => (args.layers, args.kv_heads),
            Granularity::QueryHead => (args.layers, args.heads),
        };
        if shape.0.is_some_and(|l| l != layers) || shape.1.is_some_and(|s| s != stored) {
            return Err(Error::data("the utility curves have another size than asked for")
                .at(path.display())
                .got(format!("{layers} layers x {stored} heads")));
        }
        Ok(Self {
            heads: CacheHeads {
                layers,
                heads: stored,
                kv_heads: stored,
                granularity: file.granularity,
            },
            kv_heads_known: file.granularity == Granularity::KvHead,
            scores: None,
            curves: Some(file.curves),
            path: Some(path.clone()),
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            notes,
        })
    }

    fn of_shape(args: &AllocateArgs) -> Result<Self> {
        let (Some(layers), Some(heads)) = (args.layers, args.heads) else {
            return Err(Error::usage("it is not known how many heads there are")
                .at("--layers, --heads")
                .got("no head_score file and not both options")
                .expected("--layers L --heads H, or --head-score FILE"));
        };
        let heads = cache_heads(layers, heads, args.kv_heads, args)?;
        Ok(Self {
            heads,
            kv_heads_known: args.kv_heads.is_some(),
            scores: None,
            curves: None,
            path: None,
            name: format!("{}x{}", heads.layers, heads.heads),
            notes: Vec::new(),
        })
    }
}

/// The head_score file that was asked for.
fn score_file(args: &AllocateArgs) -> Result<Option<PathBuf>> {
    let of_model = |score: &str| {
        let model = asked_model(args).unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        args.head_score_dir.join(head_score::file_name(&model, score))
    };
    let chosen = args.head_choice.as_deref().map(|choice| match score::by_name(choice) {
        Ok(score) if score.info().main => of_model(score.name()),
        _ => PathBuf::from(choice),
    });
    match &args.head_score {
        Some(asked) => named::file(asked, &args.head_score_dir, "--head-score").map(Some),
        None => Ok(chosen),
    }
}

/// The model asked for, as a profile of it names its files: of an id of the hub the last part, of a
/// GGUF file its name.
fn asked_model(args: &AllocateArgs) -> Option<String> {
    args.model.as_deref().map(name_in_files)
}

fn name_in_files(model: &str) -> String {
    // A path, or what is behind the colon of `ORG/NAME:FILE.gguf`.
    let file = model.rsplit(':').next().and_then(|path| Path::new(path).file_name()?.to_str());
    let of_file = file.and_then(gguf::name_of_file).map(str::to_owned);
    let of_hub = || HubId::parse(model).map(|id| id.name().to_owned());
    of_file.or_else(of_hub).unwrap_or_else(|| model.to_owned())
}

/// The heads of a model of this shape, for the granularity asked for.
fn cache_heads(
    layers: usize,
    heads: usize,
    kv_heads: Option<usize>,
    args: &AllocateArgs,
) -> Result<CacheHeads> {
    let all = layers.checked_mul(heads).filter(|all| (1..=MOST_HEADS).contains(all));
    if all.is_none() {
        return Err(Error::usage("there is no model of this many heads")
            .at("--layers, --heads")
            .got(format!("{layers} layers x {heads} heads"))
            .expected(format!("from 1 to {MOST_HEADS} together")));
    }
    if let Some(n) = kv_heads.filter(|n| *n == 0 || !heads.is_multiple_of(*n)) {
        return Err(Error::usage("query heads cannot share this many KV heads evenly")
            .at("--kv-heads")
            .got(format!("{n} KV heads, {heads} query heads"))
            .expected(format!("a divisor of {heads}")));
    }
    let granularity = match (args.granularity.map(Granularity::from), kv_heads) {
        (Some(Granularity::KvHead), None) => {
            return Err(Error::usage("it is not known how many KV heads there are")
                .at("--granularity kv_head")
                .got("a head_score file without a sidecar that says so, and no --kv-heads")
                .expected("num_key_value_heads of the model's config.json")
                .advice("add --kv-heads G"));
        }
        (Some(granularity), _) => granularity,
        (None, Some(_)) => Granularity::KvHead,
        (None, None) => Granularity::QueryHead,
    };
    Ok(CacheHeads { layers, heads, kv_heads: kv_heads.unwrap_or(heads), granularity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_as_a_profile_calls_them() {
        for (model, name) in [
            ("needle-llama", "needle-llama"),
            ("meta-llama/Llama-3.2-1B", "Llama-3.2-1B"),
            ("meta-llama/Llama-3.2-1B@main", "Llama-3.2-1B"),
            ("models/tiny-Q4_0.gguf", "tiny-Q4_0"),
            ("/a/b/big-00002-of-00003.gguf", "big"),
            ("acme/tiny-GGUF@v1:tiny-Q4_0.gguf", "tiny-Q4_0"),
        ] {
            assert_eq!(name_in_files(model), name, "{model}");
        }
    }
}
