//! Compares this build with what transformers computed for the same checkpoint.
//!
//! `golden.json` (written by `scripts/make_golden.py`) holds a prompt, the greedy continuation, and
//! for the prompt's last token and every generated one the logits and all attention rows. The same
//! ids are run here, the golden's own continuation fed back, so that a row is compared even where
//! an earlier greedy choice differs.

use std::path::{Path, PathBuf};

use crate::cli::VerifyArgs;
use crate::config::{ComputeConfig, ModelChoice, Surroundings};
use crate::error::{Error, Result};
use crate::gguf::Place;
use crate::hub;
use crate::job::{self, Session};
use crate::model::full_rows::{FullRows, LayerRows};
use crate::model::{Llama, ModelConfig};
use crate::system::Reporter;

pub mod golden;
mod report;

use golden::Golden;
use report::enough_equal;
pub use report::{Agreement, Difference, Tolerances, TorchError, Verification};

/// Prompt tokens per prefill pass.
const CHUNK: usize = 512;

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
    let path = match &config.model {
        ModelChoice::Hub(model) => hub::fetch(model)?.path(),
        ModelChoice::Dir(dir) => dir.clone(),
        ModelChoice::NeedleLlama => {
            return Err(Error::bug("the embedded model has no golden.json"));
        }
    };
    verify(&path, config.golden.as_deref(), &session)
}

/// Runs the checkpoint at `path`, a folder or a GGUF file, over the ids of `golden` (default:
/// `golden.json` in the folder, or beside the file) and compares.
///
/// # Errors
/// [`Error::Data`] naming the key if the golden file cannot be used with this checkpoint,
/// [`Error::Model`] if the checkpoint cannot be used. A difference is no error, but a report that
/// has not [passed](Verification::passed).
pub fn verify(path: &Path, golden: Option<&Path>, session: &Session) -> Result<Verification> {
    let place = Place::open(path)?;
    let config = ModelConfig::at(&place)?;
    let beside = match &place {
        Place::Folder(dir) => dir.join("golden.json"),
        Place::Gguf(gguf) => gguf.path().with_file_name("golden.json"),
    };
    let golden_path = golden.map_or(beside, Path::to_owned);
    // Read first: a mistake in it should not cost the time to load a large model.
    let golden = Golden::read(&golden_path, &config)?;
    let model = session.load_place(&place)?;
    let compute = &session.compute;
    let tolerances = Tolerances::of(compute.dtype);
    let mut comparison = Comparison::new(&golden, tolerances);
    comparison.rows(&model)?;
    comparison.prompt(&model)?;
    let (passed, large_scores) = (comparison.passed(), comparison.large_scores());
    Ok(Verification {
        model: path.display().to_string(),
        golden: golden_path.display().to_string(),
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
        large_scores,
        torch_f32: golden.torch_f32.clone(),
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
    /// [`Golden::largest_scores`].
    sizes: Vec<f32>,
    logits: Difference,
    attention: Difference,
    greedy: Agreement,
    argmax: Agreement,
}

impl<'a> Comparison<'a> {
    fn new(golden: &'a Golden, tolerances: Tolerances) -> Self {
        let largest = golden.logits_last.iter().flatten().fold(0f32, |m, v| m.max(v.abs()));
        let agreement = Agreement { total: 0, equal: 0, tied: 0 };
        let sizes = golden.largest_scores();
        let largest_size = sizes.last().copied().unwrap_or(0.0);
        let torch = golden.torch_f32.as_ref().map(|error| error.logits);
        let logits = tolerances.or_as_torch(tolerances.logits, largest_size, torch);
        Self {
            golden,
            tolerances,
            scale: if largest > 0.0 { largest } else { 1.0 },
            sizes,
            logits: Difference::none(logits),
            attention: Difference::none(tolerances.attention),
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
            let place = || format!("row {row}, token id {id}");
            self.logits.add(difference, self.logits.tolerance, place);
        }
    }

    /// A golden row that is shorter than ours holds the last keys; what it lacks must be 0 here.
    fn compare_layer(&mut self, row: usize, layer: usize, ours: &LayerRows) -> Result<()> {
        let theirs = &self.golden.attention[row][layer];
        if ours.heads != theirs.len() || ours.queries != 1 {
            return Err(Error::bug("attention rows have an unexpected shape")
                .got(format!("{} heads, {} queries", ours.heads, ours.queries)));
        }
        let torch = self.golden.torch_f32.as_ref().map(|error| error.attention[layer]);
        let t = self.tolerances;
        let tolerance = t.or_as_torch(t.attention, self.sizes[layer], torch);
        for (head, theirs) in theirs.iter().enumerate() {
            let ours = ours.row(head, 0);
            let hidden = ours.len() - theirs.len();
            for (key, ours) in ours.iter().enumerate() {
                let theirs = key.checked_sub(hidden).map_or(0.0, |key| theirs[key]);
                let place = || format!("row {row}, layer {layer}, head {head}, key {key}");
                self.attention.add((ours - theirs).abs(), tolerance, place);
            }
        }
        Ok(())
    }

    /// The largest size of a score, where rounding alone explains more than the tolerance.
    fn large_scores(&self) -> Option<f32> {
        self.sizes.last().copied().filter(|size| self.tolerances.is_explained_by_rounding(*size))
    }

    fn passed(&self) -> bool {
        self.logits.is_within()
            && self.attention.is_within()
            && self.greedy.complete()
            && self.argmax.complete()
            && enough_equal(self.greedy, self.argmax, self.tolerances)
    }
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

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

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
        let mut session = Session::new(Compute::cpu(), &reporter);
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
