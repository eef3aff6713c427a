//! `headprof observe`: attention and the lengths of values, of one head as a picture, of all heads
//! as a table.
//!
//! ```text
//! ObserveConfig ─► context ─► ids ─► Llama ─┬► AttentionMap ─────────────┐
//!                                           └► TokenStats ─┬► HeadView ──┴► picture, CSV
//!                                                          └► HeadSinks… ─► table, CSV, JSON
//! ```
//!
//! Guo et al. 2024 (VATP, <https://arxiv.org/abs/2406.12335>) saw that the first tokens of a
//! context get much attention and have short values; this shows whether that holds for a model. No
//! `T x T` matrix is kept.

mod config;
mod context;
mod report;
mod sinks;
mod view;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use config::ObserveConfig;
pub use context::context;
pub use report::Observed;
pub use sinks::{HeadSinks, SinkSummary, by_share, head_sinks, rows_behind};
pub use view::{HeadView, NORMS};

use crate::config::default_chunk_tokens;
use crate::error::Result;
use crate::eviction::{QueryRows, TokenStats, Wanted};
use crate::job::{self, MemoryEstimate};
use crate::model::{AttentionMap, Compute, Llama, MapOf, ModelConfig};
use crate::plot::{MapCells, ObserveCaption, ObservedHead, Picture, observed_head};
use crate::system::atomic;

/// Cells along a side of a map, at most.
const MAP_CELLS: usize = 128;

/// Observes and writes the files.
///
/// # Errors
/// [`crate::Error::Usage`] for a head or a length that the model does not have,
/// [`crate::Error::Data`] for the context, and the errors of model, memory and files.
pub fn run(config: &ObserveConfig) -> Result<Observed> {
    let session = job::open(&config.compute, &[], &config.reporter)?;
    let plots = config.out.join("plots");
    let tables = config.out.join("observe");
    let _made = atomic::usable_folders([&config.out, &tables])?;
    let _made_too = config.head.map(|_| atomic::usable_folder(&plots)).transpose()?;
    let shape = session.shape(&config.model)?.config;
    config.check_head(&shape)?;
    if let (Some(length), None) = (config.length, &config.context) {
        // The essays are repeated; another text may be shorter.
        config.check_tokens(length, &shape)?;
    }
    let files = session.model(&config.model)?;
    let shape = &files.config;
    let ids = context(&files.tokenizer, config.context.as_deref(), config.most_tokens(shape))?;
    files.check_ids(&ids)?;
    config.check_tokens(ids.len(), shape)?;
    session.tell_window(&files, ids.len());
    check_memory(shape, &session.compute, ids.len())?;

    let model = session.load(&files)?;
    let (stats, map) = read(&model, &ids, config)?;
    let heads = head_sinks(&stats, config.sinks, config.norm)?;
    let mut observed = Observed {
        model: files.name.clone(),
        model_sha256: model.sha256().to_owned(),
        context: config.context.as_ref().map(|path| path.display().to_string()),
        tokens: ids.len(),
        sinks: config.sinks,
        value_norm: config.norm.name(),
        head: config.head.map(|(layer, head)| heads[layer * stats.heads + head]),
        summary: None,
        heads: Vec::new(),
        files: Vec::new(),
    };
    if let (Some(head), Some(map)) = (observed.head, map) {
        let window = shape.sliding_window[head.layer];
        let view = HeadView::new(&stats, (head.layer, head.head), window, config.norm)?;
        let name = format!("L{}H{}", head.layer, head.head);
        let picture = draw(&observed, &head, &view, &map)?;
        let stem = plots.join(format!("{}_observe_{name}", files.name));
        observed.files.extend(picture.save(&stem)?);
        let path = tables.join(format!("{}_{name}.csv", files.name));
        observed.files.push(written(path, &report::tokens_csv(&ids, &view))?);
    }
    if config.all {
        observed.summary = Some(SinkSummary::new(&heads, config.sinks, ids.len()));
        let path = tables.join(format!("{}_sinks.csv", files.name));
        observed.files.push(written(path, &report::sinks_csv(&heads))?);
        observed.heads = heads;
    }
    Ok(observed)
}

/// One pass over `ids`: statistics of all heads, and the map of one.
fn read(
    model: &Llama,
    ids: &[u32],
    config: &ObserveConfig,
) -> Result<(TokenStats, Option<AttentionMap>)> {
    let mut row_sums = BTreeSet::from([rows_behind(config.sinks, ids.len())]);
    row_sums.extend(config.head.map(|_| QueryRows::All));
    let wanted = Wanted { row_sums, value_norms: true, ..Wanted::default() };
    let chunk = default_chunk_tokens(model.compute());
    match config.head {
        Some((layer, head)) => {
            let of = MapOf { layer, head, cells: MAP_CELLS };
            let (stats, map) = model.prefill_with_map(ids, chunk, &wanted, of)?;
            Ok((stats, Some(map)))
        }
        None => {
            let mut cache = model.new_cache(ids.len());
            Ok((model.prefill(ids, &mut cache, chunk, &wanted)?.1, None))
        }
    }
}

/// Checks `tokens` tokens against the memory that is free.
fn check_memory(shape: &ModelConfig, compute: &Compute, tokens: usize) -> Result<()> {
    let mut estimate = MemoryEstimate::new(shape, compute, default_chunk_tokens(compute));
    let per_layer = (shape.heads as u64).saturating_mul(4);
    let norms = (shape.kv_heads as u64).saturating_mul(12);
    let stats = per_layer.saturating_add(norms).saturating_mul(shape.layers as u64);
    estimate.per_token_bytes = estimate.per_token_bytes.saturating_add(stats);
    estimate.check_free(compute, tokens, 0)
}

fn draw(
    observed: &Observed,
    head: &HeadSinks,
    view: &HeadView,
    map: &AttentionMap,
) -> Result<Picture> {
    let weighted = format!("attention × {}", observed.value_norm);
    let names = NORMS.map(|norm| norm.name());
    let norms = [0, 1, 2].map(|i| (names[i], &view.norms[i][..]));
    let drawn = ObservedHead {
        map: MapCells { cells: map.cells, side: map.side, means: &map.means },
        attention: &view.attention,
        norms,
        weighted: (&weighted, &view.weighted),
        sinks: observed.sinks,
    };
    let meta = ObserveCaption {
        title: &format!(
            "layer {}, head {} (values of KV head {}) — {}",
            head.layer, head.head, head.kv_head, observed.model
        ),
        subtitle: &format!("{} tokens · {}", observed.tokens, observed.in_words(head)),
    };
    observed_head(&drawn, &meta)
}

/// Writes `text` to `path`, and hands the path back.
fn written(path: PathBuf, text: &str) -> Result<PathBuf> {
    atomic::write(Path::new(&path), text.as_bytes())?;
    Ok(path)
}
