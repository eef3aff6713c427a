//! `<model>_<score>_heads.meta.json`: everything that made a head_score file.
//!
//! Two runs of one program with the same inputs differ under `run` alone.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Seconds;
use super::inputs::Inputs;
use super::job::Job;
use super::probes::Probed;
use super::record::Status;
use super::statistics::{ScoreResult, ScoreStatistics};
use crate::head_matrix::HeadMatrix;
use crate::machine;
use crate::model::Llama;
use crate::needle::Needle;
use crate::plan::ProbeId;
use crate::run_config::{MaxNewTokens, RunConfig};

/// What a run was made of and what came out.
pub(super) struct Made<'a> {
    pub config: &'a RunConfig,
    pub inputs: &'a Inputs,
    pub job: &'a Job,
    pub model: &'a Llama,
    pub probed: &'a Probed,
}

/// The content of the file.
#[derive(Debug, Serialize)]
pub(super) struct Meta<'a> {
    headprof: &'static str,
    command: &'a [String],
    score: ScoreMeta,
    statistics: &'a ScoreStatistics,
    heads: HeadsMeta,
    probes: ProbesMeta,
    gate: GateMeta<'a>,
    model: ModelMeta<'a>,
    tokenizer: TokenizerMeta<'a>,
    haystack: HaystackMeta<'a>,
    needles: NeedlesMeta<'a>,
    grid: GridMeta<'a>,
    prompt: PromptMeta<'a>,
    device: &'a str,
    dtype: String,
    run: RunMeta,
}

/// Every head: mean over the accepted probes, its standard error and 95 % bootstrap interval, each
/// `[L][H]`; only means where there is a single probe.
#[derive(Debug, Serialize)]
struct HeadsMeta {
    mean: Vec<Vec<f32>>,
    std_error: Option<Vec<Vec<f32>>>,
    low_95: Option<Vec<Vec<f32>>>,
    high_95: Option<Vec<Vec<f32>>>,
}

impl HeadsMeta {
    fn of(result: &ScoreResult) -> Self {
        let rows = |m: &HeadMatrix| m.values().chunks(m.heads()).map(<[f32]>::to_vec).collect();
        let spread = result.spread.as_ref();
        Self {
            mean: rows(&result.mean),
            std_error: spread.map(|s| rows(&s.std_error)),
            low_95: spread.map(|s| rows(&s.low)),
            high_95: spread.map(|s| rows(&s.high)),
        }
    }
}

#[derive(Debug, Serialize)]
struct ScoreMeta {
    name: &'static str,
    title: &'static str,
    formula: &'static str,
    source: &'static str,
    score_rows: String,
    top_k_infscore: usize,
    compat: String,
}

/// How many probes there were, and which of them the values of the head_score file belong to.
#[derive(Debug, Serialize)]
struct ProbesMeta {
    accepted: usize,
    rejected: usize,
    failed: usize,
    accepted_ids: Vec<ProbeId>,
    rejected_ids: Vec<ProbeId>,
    failed_ids: Vec<ProbeId>,
}

#[derive(Debug, Serialize)]
struct GateMeta<'a> {
    name: &'a str,
    threshold: f64,
}

#[derive(Debug, Serialize)]
struct ModelMeta<'a> {
    name: &'a str,
    dir: Option<String>,
    sha256: &'a str,
    model_type: &'static str,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    max_position_embeddings: usize,
    parameters: u64,
}

#[derive(Debug, Serialize)]
struct TokenizerMeta<'a> {
    sha256: &'a str,
    vocab_size: usize,
    bos: Option<u32>,
}

#[derive(Debug, Serialize)]
struct HaystackMeta<'a> {
    /// `None` for the bundled essays.
    dir: Option<String>,
    files: Vec<FileMeta<'a>>,
    skipped: Vec<SkippedMeta<'a>>,
    tokens: usize,
    /// The most times that one prompt used the haystack up.
    cycles: usize,
}

#[derive(Debug, Serialize)]
struct FileMeta<'a> {
    name: &'a str,
    sha256: &'a str,
    words: usize,
}

#[derive(Debug, Serialize)]
struct SkippedMeta<'a> {
    name: &'a str,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct NeedlesMeta<'a> {
    /// `None` for the bundled needles.
    path: Option<String>,
    needles: Vec<NeedleMeta<'a>>,
}

#[derive(Debug, Serialize)]
struct NeedleMeta<'a> {
    id: &'a str,
    /// Of needle, question, answer and real_needle, each followed by a line break.
    sha256: String,
}

#[derive(Debug, Serialize)]
struct GridMeta<'a> {
    context_lengths: &'a [usize],
    depths: &'a [f64],
    repeats: u32,
    seed: u64,
}

#[derive(Debug, Serialize)]
struct PromptMeta<'a> {
    template: &'a str,
    /// The same for all needles; `None` where `--compat` sets it by needle.
    max_new_tokens: Option<usize>,
    stop: &'static str,
    eos_ids: &'a [u32],
    chunk_tokens: usize,
}

/// What differs from run to run.
#[derive(Debug, Serialize)]
struct RunMeta {
    created: String,
    seconds: Seconds,
    threads: usize,
    peak_rss_bytes: Option<u64>,
}

impl<'a> Meta<'a> {
    pub fn new(
        made: &'a Made<'a>,
        result: &'a ScoreResult,
        seconds: Seconds,
        peak_rss_bytes: Option<u64>,
    ) -> Self {
        let Made { config, inputs, job, model, probed } = made;
        let shape = model.config();
        Self {
            headprof: env!("CARGO_PKG_VERSION"),
            command: &config.command,
            score: ScoreMeta {
                name: result.score.name(),
                title: result.score.title(),
                formula: result.score.formula(),
                source: result.score.source(),
                score_rows: config.score_options.rows.to_string(),
                top_k_infscore: config.top_k,
                compat: config.score_options.compat.to_string(),
            },
            statistics: &result.statistics,
            heads: HeadsMeta::of(result),
            probes: ProbesMeta {
                accepted: probed.count(Status::Accepted),
                rejected: probed.count(Status::Rejected),
                failed: probed.count(Status::Failed),
                accepted_ids: probed.ids(Status::Accepted),
                rejected_ids: probed.ids(Status::Rejected),
                failed_ids: probed.ids(Status::Failed),
            },
            gate: GateMeta { name: &probed.gate_name, threshold: probed.gate_threshold },
            model: ModelMeta {
                name: &inputs.model.name,
                dir: inputs.model.dir.as_ref().map(|d| d.display().to_string()),
                sha256: model.sha256(),
                model_type: shape.family.name(),
                layers: shape.layers,
                heads: shape.heads,
                kv_heads: shape.kv_heads,
                head_dim: shape.head_dim,
                max_position_embeddings: shape.max_positions,
                parameters: shape.parameters(),
            },
            tokenizer: TokenizerMeta {
                sha256: inputs.model.tokenizer.sha256(),
                vocab_size: inputs.model.tokenizer.vocab_size(),
                bos: inputs.model.tokenizer.bos(),
            },
            haystack: HaystackMeta {
                dir: config.haystack_dir.as_ref().map(|d| d.display().to_string()),
                files: inputs
                    .haystack
                    .files()
                    .iter()
                    .map(|f| FileMeta { name: &f.name, sha256: &f.sha256, words: f.words })
                    .collect(),
                skipped: inputs
                    .haystack
                    .skipped()
                    .iter()
                    .map(|f| SkippedMeta { name: &f.name, reason: &f.reason })
                    .collect(),
                tokens: job.haystack_tokens(),
                cycles: probed.records.iter().map(|r| r.haystack_cycles).max().unwrap_or(0),
            },
            needles: NeedlesMeta {
                path: config.needles.as_ref().map(|p| p.display().to_string()),
                needles: inputs
                    .needles
                    .iter()
                    .map(|n| NeedleMeta { id: &n.id, sha256: needle_sha256(n) })
                    .collect(),
            },
            grid: GridMeta {
                context_lengths: &job.context_lengths,
                depths: &config.depths,
                repeats: config.repeats,
                seed: config.seed,
            },
            prompt: PromptMeta {
                template: config.template.text(),
                max_new_tokens: match config.max_new_tokens {
                    MaxNewTokens::Fixed(n) => Some(n),
                    MaxNewTokens::Compat(_) => None,
                },
                stop: config.stop.name(),
                eos_ids: &shape.eos,
                chunk_tokens: config.chunk_tokens(model.compute()),
            },
            device: &model.compute().name,
            dtype: format!("{:?}", model.compute().dtype).to_lowercase(),
            run: RunMeta {
                created: machine::utc_now(),
                seconds,
                threads: rayon::current_num_threads(),
                peak_rss_bytes,
            },
        }
    }
}

fn needle_sha256(needle: &Needle) -> String {
    let mut hash = Sha256::new();
    let real = needle.real_needle.as_deref().unwrap_or_default();
    for part in [&needle.needle, &needle.question, &needle.answer, real] {
        hash.update(part.as_bytes());
        hash.update(b"\n");
    }
    format!("{:x}", hash.finalize())
}
