//! Compares this build with what transformers computed for the same checkpoint.
//!
//! `golden.json` (written by `scripts/make_golden.py`) holds a prompt, the greedy continuation, and
//! for the prompt's last token and every generated one the logits and all attention rows. The same
//! ids are run here, the golden's own continuation fed back, so that a row is compared even where
//! an earlier greedy choice differs.

use std::fmt;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use serde::Serialize;

use crate::cli::VerifyArgs;
use crate::config::{ComputeConfig, ModelChoice, Surroundings};
use crate::error::{Error, Result};
use crate::hub;
use crate::job::{self, Session};
use crate::model::full_rows::{FullRows, LayerRows};
use crate::model::{Llama, ModelConfig};
use crate::system::Reporter;

mod golden;

use golden::Golden;

/// Prompt tokens per prefill pass.
const CHUNK: usize = 512;

/// How far apart two computations of the same model may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerances {
    /// Logits, relative to the largest |logit| of the golden.
    pub logits: f32,
    /// Attention weights, absolute.
    pub attention: f32,
    /// Share of greedy ids, of the answer and in the prompt together, that must be equal and not
    /// merely as good.
    pub equal_ids: f64,
}

impl Tolerances {
    /// What rounding explains. In 16 bits a number has 8 (bf16) or 11 (f16) significant bits, and
    /// errors add up over the layers. What passes for a tie is then so wide that most wrong ids
    /// would, too: there nine of ten ids must be the same.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::F64 => Self { logits: 1e-4, attention: 1e-5, equal_ids: 0.0 },
            _ => Self { logits: 5e-2, attention: 2e-2, equal_ids: 0.9 },
        }
    }
}

/// A largest difference and where it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The difference.
    pub largest: f32,
    /// Where: row, and token id or layer, head and key.
    pub place: String,
}

/// How many greedy ids agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Ids compared.
    pub total: usize,
    /// Ids that are equal.
    pub equal: usize,
    /// Ids that differ, but whose logits here are equal within the tolerance.
    pub tied: usize,
}

impl Agreement {
    /// Whether every id is equal, or as good.
    pub fn complete(&self) -> bool {
        self.equal + self.tied == self.total
    }
}

/// What [`verify`] measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The checkpoint's folder.
    pub model: String,
    /// The golden file.
    pub golden: String,
    /// The version of transformers that wrote it, if it says so.
    pub transformers: Option<String>,
    /// `model_type` of the checkpoint.
    pub family: String,
    /// Layers, `L`.
    pub layers: usize,
    /// Query heads per layer, `H`.
    pub heads: usize,
    /// Where this build computed: `cpu` or `cuda:N`.
    pub device: String,
    /// Type of weights and activations here.
    pub dtype: String,
    /// Tokens of the prompt, `T`.
    pub prompt_tokens: usize,
    /// Queries compared: the prompt's last token and all but the last generated one.
    pub rows: usize,
    /// Largest difference of logits, relative to the largest |logit| of the golden.
    pub logits: Difference,
    /// Largest difference of attention weights.
    pub attention: Difference,
    /// Greedy ids after each compared row.
    pub greedy: Agreement,
    /// Greedy ids after each token of the prompt.
    pub argmax: Agreement,
    /// What is allowed.
    pub tolerances: Tolerances,
    /// Whether all are within the tolerances.
    pub passed: bool,
}

impl Verification {
    /// Whether this build computes what transformers computes, within the tolerances.
    pub fn passed(&self) -> bool {
        self.passed
    }
}

/// What to verify, without contradictions.
#[derive(Debug, Clone)]
pub struct VerifyConfig {
    /// The checkpoint: a folder, or an id of the hub.
    pub model: ModelChoice,
    /// What transformers computed; `None` for `golden.json` in the folder.
    pub golden: Option<PathBuf>,
    /// What to compute on.
    pub compute: ComputeConfig,
    /// Whom to tell.
    pub reporter: Reporter,
}

impl VerifyConfig {
    /// Validates `args`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn new(args: &VerifyArgs, surroundings: &Surroundings) -> Result<Self> {
        let model = match ModelChoice::new(Some(&args.model), &args.hub, surroundings)? {
            // A folder of that name: the embedded model has no golden file.
            ModelChoice::NeedleLlama => ModelChoice::Dir(PathBuf::from(&args.model)),
            ModelChoice::Hub(_) if args.golden.is_none() => {
                return Err(Error::usage("a model of the hub comes without a golden.json")
                    .at("headprof verify")
                    .got(&args.model)
                    .expected(
                        "a second argument: the file that scripts/make_golden.py wrote for it",
                    ));
            }
            other => other,
        };
        Ok(Self {
            model,
            golden: args.golden.clone(),
            compute: ComputeConfig::new(&args.compute)?,
            reporter: Reporter { quiet: false, json: args.json },
        })
    }
}

/// Verifies the checkpoint of `config`.
///
/// # Errors
/// As [`verify`], and those of device and hub.
pub fn run(config: &VerifyConfig) -> Result<Verification> {
    let session = job::open(&config.compute, &[], &config.reporter)?;
    let dir = match &config.model {
        ModelChoice::Hub(model) => hub::fetch(model)?.dir,
        ModelChoice::Dir(dir) => dir.clone(),
        ModelChoice::NeedleLlama => {
            return Err(Error::bug("the embedded model has no golden.json"));
        }
    };
    verify(&dir, config.golden.as_deref(), &session)
}

/// Runs the checkpoint in `dir` over the ids of `golden` (default: `golden.json` in `dir`) and
/// compares.
///
/// # Errors
/// [`Error::Data`] naming the key if the golden file cannot be used with this checkpoint,
/// [`Error::Model`] if the checkpoint cannot be used. A difference is no error, but a report that
/// has not [passed](Verification::passed).
pub fn verify(dir: &Path, golden: Option<&Path>, session: &Session) -> Result<Verification> {
    let config = ModelConfig::from_dir(dir)?;
    let path = golden.map_or_else(|| dir.join("golden.json"), Path::to_owned);
    // Read first: a mistake in it should not cost the time to load a large model.
    let golden = Golden::read(&path, &config)?;
    let model = session.load_folder(dir)?;
    let compute = &session.compute;
    let tolerances = Tolerances::of(compute.dtype);
    let mut comparison = Comparison::new(&golden, tolerances);
    comparison.rows(&model)?;
    comparison.prompt(&model)?;
    let passed = comparison.passed();
    Ok(Verification {
        model: dir.display().to_string(),
        golden: path.display().to_string(),
        transformers: golden.transformers.clone(),
        family: config.family.name().to_owned(),
        layers: config.layers,
        heads: config.heads,
        device: compute.name.clone(),
        dtype: compute.dtype.name().to_owned(),
        prompt_tokens: golden.input_ids.len(),
        rows: golden.generated.len(),
        logits: comparison.logits,
        attention: comparison.attention,
        greedy: comparison.greedy,
        argmax: comparison.argmax,
        tolerances,
        passed,
    })
}

/// The comparison as it goes on.
struct Comparison<'a> {
    golden: &'a Golden,
    tolerances: Tolerances,
    /// Largest |logit| of the golden.
    scale: f32,
    logits: Difference,
    attention: Difference,
    greedy: Agreement,
    argmax: Agreement,
}

impl<'a> Comparison<'a> {
    fn new(golden: &'a Golden, tolerances: Tolerances) -> Self {
        let largest = golden.logits_last.iter().flatten().fold(0f32, |m, v| m.max(v.abs()));
        let none = Difference { largest: 0.0, place: "nowhere".to_owned() };
        let agreement = Agreement { total: 0, equal: 0, tied: 0 };
        Self {
            golden,
            tolerances,
            scale: if largest > 0.0 { largest } else { 1.0 },
            logits: none.clone(),
            attention: none,
            greedy: agreement,
            argmax: agreement,
        }
    }

    /// The prompt's last token and the golden's own continuation: logits and attention rows.
    fn rows(&mut self, model: &Llama) -> Result<()> {
        let (golden, slack) = (self.golden, self.slack());
        let (prompt, generated) = (&golden.input_ids, &golden.generated);
        let mut cache = model.new_cache(prompt.len() + generated.len());
        let mut sink = FullRows::default();
        let mut next: &[u32] = prompt;
        for (row, id) in generated.iter().enumerate() {
            let logits = model.run(next, &mut cache, CHUNK, 1, &mut sink)?;
            self.compare_logits(row, &logits);
            count(&mut self.greedy, &logits, *id, slack);
            for (layer, ours) in sink.take().iter().enumerate() {
                self.compare_layer(row, layer, ours)?;
            }
            next = std::slice::from_ref(id);
        }
        Ok(())
    }

    /// Greedy ids after every token of the prompt.
    fn prompt(&mut self, model: &Llama) -> Result<()> {
        let (slack, golden) = (self.slack(), self.golden);
        let argmax = &mut self.argmax;
        model.each_logits(&golden.input_ids, CHUNK, &mut |i, logits| {
            count(argmax, logits, golden.logits_all_argmax[i], slack);
            Ok(())
        })
    }

    /// Two logits this close may swap places within the tolerance: each can move by half of it.
    fn slack(&self) -> f32 {
        2.0 * self.tolerances.logits * self.scale
    }

    fn compare_logits(&mut self, row: usize, ours: &[f32]) {
        for (id, (ours, theirs)) in ours.iter().zip(&self.golden.logits_last[row]).enumerate() {
            let difference = (ours - theirs).abs() / self.scale;
            if difference > self.logits.largest {
                let place = format!("row {row}, token id {id}");
                self.logits = Difference { largest: difference, place };
            }
        }
    }

    /// A golden row that is shorter than ours holds the last keys; what it lacks must be 0 here.
    fn compare_layer(&mut self, row: usize, layer: usize, ours: &LayerRows) -> Result<()> {
        let theirs = &self.golden.attention[row][layer];
        if ours.heads != theirs.len() || ours.queries != 1 {
            return Err(Error::bug("attention rows have an unexpected shape")
                .got(format!("{} heads, {} queries", ours.heads, ours.queries)));
        }
        for (head, theirs) in theirs.iter().enumerate() {
            let ours = ours.row(head, 0);
            let hidden = ours.len() - theirs.len();
            for (key, ours) in ours.iter().enumerate() {
                let theirs = key.checked_sub(hidden).map_or(0.0, |key| theirs[key]);
                let difference = (ours - theirs).abs();
                if difference > self.attention.largest {
                    let place = format!("row {row}, layer {layer}, head {head}, key {key}");
                    self.attention = Difference { largest: difference, place };
                }
            }
        }
        Ok(())
    }

    fn passed(&self) -> bool {
        self.logits.largest <= self.tolerances.logits
            && self.attention.largest <= self.tolerances.attention
            && self.greedy.complete()
            && self.argmax.complete()
            && enough_equal(self.greedy, self.argmax, self.tolerances)
    }
}

/// Whether as many ids are equal as `tolerances` want.
fn enough_equal(greedy: Agreement, argmax: Agreement, tolerances: Tolerances) -> bool {
    let (equal, total) = (greedy.equal + argmax.equal, greedy.total + argmax.total);
    equal as f64 >= tolerances.equal_ids * total as f64
}

/// Counts whether `logits` choose `id`, or something within `slack` of it.
fn count(agreement: &mut Agreement, logits: &[f32], id: u32, slack: f32) {
    let chosen = crate::generate::argmax(logits);
    agreement.total += 1;
    if chosen == id {
        agreement.equal += 1;
    } else if logits[chosen as usize] - logits[id as usize] <= slack {
        agreement.tied += 1;
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.transformers {
            Some(version) => format!(" (transformers {version})"),
            None => String::new(),
        };
        writeln!(f, "model     {}", self.model)?;
        writeln!(f, "golden    {}{by}", self.golden)?;
        writeln!(
            f,
            "here      {}, {} layers x {} heads, {} on {}; {} prompt tokens, {} rows",
            self.family,
            self.layers,
            self.heads,
            self.dtype,
            self.device,
            self.prompt_tokens,
            self.rows
        )?;
        writeln!(f)?;
        writeln!(f, "{:<28} {:>12} {:>12}", "largest difference", "measured", "tolerance")?;
        let t = self.tolerances;
        for (what, difference, tolerance) in [
            ("logits / largest |logit|", &self.logits, t.logits),
            ("attention weights", &self.attention, t.attention),
        ] {
            let verdict = verdict(difference.largest <= tolerance);
            let (largest, place) = (difference.largest, &difference.place);
            writeln!(f, "{what:<28} {largest:>12.1e} {tolerance:>12.0e}  {verdict:<6}  {place}")?;
        }
        for (what, agreement) in
            [("greedy ids of the answer", self.greedy), ("greedy ids in the prompt", self.argmax)]
        {
            let equal = format!("{}/{}", agreement.equal, agreement.total);
            let verdict = verdict(agreement.complete());
            write!(f, "{what:<28} {equal:>12} {:>12}  {verdict:<6}", agreement.total)?;
            match agreement.tied {
                0 => writeln!(f)?,
                n => writeln!(f, "  {n} more differ by a tie only")?,
            }
        }
        if t.equal_ids > 0.0 {
            let (equal, total) =
                (self.greedy.equal + self.argmax.equal, self.greedy.total + self.argmax.total);
            let share = 100.0 * equal as f64 / total.max(1) as f64;
            let verdict = verdict(enough_equal(self.greedy, self.argmax, t));
            let wanted = format!(">= {:.0} %", 100.0 * t.equal_ids);
            let share = format!("{share:.1} %");
            writeln!(f, "{:<28} {share:>12} {wanted:>12}  {verdict}", "greedy ids without ties")?;
        }
        writeln!(f)?;
        match self.passed {
            true => writeln!(f, "This build computes what transformers computes."),
            false => writeln!(f, "This build does NOT compute what transformers computes."),
        }
    }
}

fn verdict(within: bool) -> &'static str {
    if within { "ok" } else { "DIFFERS" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Compute;

    #[test]
    fn in_16_bits_nine_of_ten_ids_must_be_equal_not_only_tied() {
        let agreement = |equal, tied| Agreement { total: equal + tied, equal, tied };
        let (f32, bf16) = (Tolerances::of(DType::F32), Tolerances::of(DType::BF16));
        // 9 + 81 of 10 + 90; then one less.
        assert!(enough_equal(agreement(9, 1), agreement(81, 9), bf16));
        assert!(!enough_equal(agreement(8, 2), agreement(81, 9), bf16));
        assert!(enough_equal(agreement(0, 10), agreement(0, 90), f32));
    }

    /// The processor can compute in bf16, too, if slowly.
    #[test]
    fn a_report_in_16_bits_says_how_many_ids_are_equal() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen3");
        let reporter = Reporter::default();
        let mut session = Session { compute: Compute::cpu(), reporter: &reporter };
        let line = "greedy ids without ties";
        let report = verify(&dir, None, &session).unwrap();
        assert!(report.passed() && !report.to_string().contains(line), "{report}");
        session.compute.dtype = DType::BF16;
        let mut report = verify(&dir, None, &session).unwrap();
        assert!(report.passed() && report.to_string().contains(line), "{report}");
        // Rounding is there; else this would not be bf16.
        assert!(report.logits.largest > 1e-4, "{report}");
        // 5 + 48 ids, of which 41 and 5 are equal: 86.8 %.
        report.argmax = Agreement { total: 48, equal: 41, tied: 7 };
        assert!(report.to_string().contains("86.8 %      >= 90 %  DIFFERS"), "{report}");
    }
}
