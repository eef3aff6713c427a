use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::eviction::{QueryRows, ValueNorm};
use crate::model::Compute;
use crate::model::NoRows;
use crate::model::full_rows::{FullRows, LayerRows};
use crate::model::planted;

/// The folders of all small checkpoints.
pub fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert_eq!(all.len(), 12);
    all
}

/// Ids that all of them have.
pub fn prompt(tokens: usize) -> Vec<u32> {
    (0..tokens as u32).map(|i| (i * 37 + i / 5) % 96).collect()
}

fn wanted(rows: &[QueryRows]) -> Wanted {
    Wanted {
        row_sums: rows.iter().copied().collect(),
        value_norms: true,
        projected_norms: false,
        replay: false,
    }
}

/// The rows of all of `ids`, one [`LayerRows`] per layer.
fn full_rows(model: &Llama, ids: &[u32]) -> Vec<LayerRows> {
    let mut rows = FullRows::default();
    let mut cache = model.new_cache(ids.len());
    model.run(ids, &mut cache, 16, ids.len(), &mut rows).unwrap();
    rows.take()
}

/// `[L, H, T]`: the last `n` of `rows` added up in f64.
fn column_sums(rows: &[LayerRows], n: usize) -> Vec<f32> {
    let mut sums = Vec::new();
    for layer in rows {
        for h in 0..layer.heads {
            let counted = layer.queries.saturating_sub(n)..layer.queries;
            let sum = |j| counted.clone().map(|i| f64::from(layer.row(h, i)[j])).sum::<f64>();
            sums.extend((0..layer.keys).map(|j| sum(j) as f32));
        }
    }
    sums
}

/// Entries agree to `1e-5` of themselves or of 1.
fn assert_close(got: &[f32], want: &[f32], about: &str) {
    assert_eq!(got.len(), want.len(), "{about}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{about}, {i}: {got} {want}");
    }
}

#[test]
fn sums_are_those_of_the_whole_rows_whatever_the_chunks_and_blocks() {
    const TOKENS: usize = 70;
    let sets = [QueryRows::Last(1), QueryRows::Last(9), QueryRows::Last(400), QueryRows::All];
    for dir in fixtures() {
        let host = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let ids = prompt(TOKENS);
        let rows = full_rows(&host, &ids);
        let want: BTreeMap<QueryRows, Vec<f32>> =
            [1, 9, 70, 70].into_iter().zip(sets).map(|(n, s)| (s, column_sums(&rows, n))).collect();
        let device = Compute { on_host: false, ..Compute::cpu() };
        let device = Llama::from_dir(&dir, &device).unwrap();
        // 4 heads and 70 keys: blocks of one query, of three, of a whole chunk.
        for (chunk, at_once) in [(1, 1), (7, 900), (64, 900), (64, 1 << 20)] {
            for model in [&host, &device] {
                let about = format!("{}, chunk {chunk}, {at_once} at once", dir.display());
                let mut cache = model.new_cache(TOKENS);
                let (logits, stats) = model
                    .prefill_in_blocks(&ids, &mut cache, chunk, &wanted(&sets), at_once, None)
                    .unwrap();
                for (set, want) in &want {
                    assert_close(&stats.row_sums[set], want, &format!("{about}, {set:?}"));
                }
                assert_eq!((stats.tokens, cache.len()), (TOKENS, TOKENS));
                let mut cache = model.new_cache(TOKENS);
                let mut plain = Vec::new();
                let mut visit = |_, logits: &[f32]| {
                    plain = logits.to_vec();
                    Ok(())
                };
                model.each_logits(&ids, chunk, &mut visit).unwrap();
                assert_eq!(logits, plain, "{about}");
                // Only the last token is followed behind the last layer here.
                let last = model.run(&ids, &mut cache, chunk, 0, &mut NoRows).unwrap();
                assert_close(&last, &plain, &about);
            }
        }
    }
}

#[test]
fn norms_are_those_of_the_cached_values() {
    for dir in fixtures() {
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let (c, ids) = (model.config(), prompt(30));
        // Room beyond the prompt, which must not be counted.
        let mut cache = model.new_cache(33);
        let (_, stats) = model.prefill(&ids, &mut cache, 16, &wanted(&[])).unwrap();
        assert!(stats.row_sums.is_empty());
        for layer in 0..c.layers {
            let values: Vec<f32> = cache.values(layer).into_data().try_into_vec().unwrap();
            for (norm, of) in [
                (ValueNorm::L1, (|v| v.iter().map(|x| x.abs()).sum()) as fn(&[f32]) -> f32),
                (ValueNorm::L2, |v| v.iter().map(|x| x * x).sum::<f32>().sqrt()),
                (ValueNorm::LInf, |v| v.iter().fold(0.0, |m, x| m.max(x.abs()))),
            ] {
                let want: Vec<f32> = values.chunks(c.head_dim).map(of).collect();
                assert_eq!(want.len(), c.kv_heads * ids.len());
                assert!(want.iter().all(|v| *v > 0.0));
                assert_close(stats.value_norms(norm, layer).unwrap(), &want, "norms");
            }
        }
    }
}

/// Heads whose attention is known by construction: row `i` of a diffuse head is `1 / (i + 1)`
/// everywhere, and the previous-token head gives each token's whole weight to the one before.
#[test]
fn planted_heads_receive_what_they_must() {
    const TOKENS: usize = 40;
    let model = planted::build(1).unwrap().load(&Compute::cpu()).unwrap();
    let ids: Vec<u32> =
        [planted::BOS].into_iter().chain((1..TOKENS as u32).map(|i| 2 + i * 7)).collect();
    let mut cache = model.new_cache(TOKENS);
    let sets = wanted(&[QueryRows::All, QueryRows::Last(3)]);
    let (_, stats) = model.prefill(&ids, &mut cache, 16, &sets).unwrap();
    let layer = stats.row_sums(QueryRows::All, 0).unwrap();
    let (diffuse, previous) = (&layer[..TOKENS], &layer[TOKENS..2 * TOKENS]);
    let want: Vec<f32> =
        (0..TOKENS).map(|j| (j..TOKENS).map(|i| 1.0 / (i + 1) as f32).sum()).collect();
    assert_close(diffuse, &want, "diffuse");
    // The first token's query sees itself alone, the second's the first.
    for (j, sum) in previous.iter().enumerate() {
        let want = [2.0, 1.0, 0.0][usize::from(j > 0) + usize::from(j == TOKENS - 1)];
        assert!((sum - want).abs() < 1e-2, "{j}: {sum}");
    }
    let last = &stats.row_sums(QueryRows::Last(3), 0).unwrap()[TOKENS..2 * TOKENS];
    for (j, sum) in last.iter().enumerate() {
        let want = f32::from(u8::from((TOKENS - 4..TOKENS - 1).contains(&j)));
        assert!((sum - want).abs() < 1e-2, "{j}: {sum}");
    }
}

/// Means over squares of whole rows, on the host and as on a device. Of 70 tokens in at most 1, 7,
/// 16 or 99 cells, a cell has 70, 10, 5 or 1 to a side; 16 cells fit, 14 are needed.
#[test]
fn a_map_is_the_mean_of_the_whole_rows_whatever_the_chunks_and_blocks() {
    const TOKENS: usize = 70;
    for dir in fixtures() {
        let host = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let device = Compute { on_host: false, ..Compute::cpu() };
        let device = Llama::from_dir(&dir, &device).unwrap();
        let (c, ids) = (host.config(), prompt(TOKENS));
        let finenesses = [(1, 70, 1), (7, 10, 7), (16, 5, 14), (99, 1, 70)];
        let blocks = [(1, 1), (7, 100), (64, 900), (64, 1 << 20)];
        for (i, ((most, side, cells), (chunk, at_once))) in
            finenesses.into_iter().zip(blocks).enumerate()
        {
            let of = MapOf { layer: i % c.layers, head: c.heads - 1 - i % c.heads, cells: most };
            let window = c.sliding_window[of.layer];
            for model in [&host, &device] {
                let rows = full_rows(model, &ids);
                let about = format!("{}, {of:?}, chunk {chunk}, {at_once} at once", dir.display());
                let (stats, map) = model
                    .map_in_blocks(&ids, chunk, &wanted(&[QueryRows::All]), of, at_once)
                    .unwrap();
                assert_eq!((map.tokens, map.side, map.cells), (TOKENS, side, cells), "{about}");
                assert_eq!(stats.row_sums(QueryRows::All, 0).unwrap().len(), c.heads * TOKENS);
                for (row, column) in (0..cells).flat_map(|r| (0..cells).map(move |c| (r, c))) {
                    let (mut sum, mut pairs) = (0.0, 0);
                    for i in (row * side..(row + 1) * side).filter(|i| *i < TOKENS) {
                        for j in (column * side..(column + 1) * side).filter(|j| *j <= i) {
                            if window.is_none_or(|w| i - j < w) {
                                sum += f64::from(rows[of.layer].row(of.head, i)[j]);
                                pairs += 1;
                            }
                        }
                    }
                    let got = map.mean(row, column);
                    assert_eq!(got.is_some(), pairs > 0, "{about}: {row}, {column}");
                    let off = (got.unwrap_or(0.0) - sum / f64::from(pairs.max(1))).abs();
                    assert!(off < 1e-6, "{about}: {row}, {column} is off by {off}");
                }
            }
        }
    }
}

/// A diffuse row `i` is `1 / (i + 1)` everywhere. Five tokens in cells of two: rows 0 and 1 have
/// the weights 1; 1/2, 1/2, of mean 2/3. Rows 2 and 3 before them 1/3, 1/3; 1/4, 1/4, of mean 7/24,
/// and among themselves 1/3; 1/4, 1/4, of mean 5/18. The last row is 1/5. What lies ahead is not
/// there.
#[test]
fn a_map_by_hand() {
    let model = planted::build(1).unwrap().load(&Compute::cpu()).unwrap();
    let of = MapOf { layer: 0, head: 0, cells: 3 };
    let ids = [planted::BOS, 7, 9, 11, 13];
    let (_, map) = model.prefill_with_map(&ids, 16, &Wanted::default(), of).unwrap();
    assert_eq!((map.side, map.cells), (2, 3));
    let want = [
        [Some(2.0 / 3.0), None, None],
        [Some(7.0 / 24.0), Some(5.0 / 18.0), None],
        [Some(0.2), Some(0.2), Some(0.2)],
    ];
    for (got, want) in map.means.iter().zip(want.iter().flatten()) {
        assert_eq!(got.is_some(), want.is_some());
        assert!((got.unwrap_or(0.0) - want.unwrap_or(0.0)).abs() < 1e-6, "{got:?} {want:?}");
    }
    let nobody = MapOf { layer: 2, ..of };
    let e = model.prefill_with_map(&ids, 16, &Wanted::default(), nobody).unwrap_err();
    assert!(e.exit_code() == 1 && e.to_string().contains("2 layers x 4 heads"), "{e}");
}

/// A question after a context that has been run before: its rows see both.
#[test]
fn a_prompt_may_be_run_in_two_parts() {
    let model = Llama::from_dir(&fixtures()[0], &Compute::cpu()).unwrap();
    let ids = prompt(40);
    let whole = model.prefill(&ids, &mut model.new_cache(40), 16, &wanted(&[QueryRows::Last(10)]));
    let mut cache = model.new_cache(40);
    model.run(&ids[..30], &mut cache, 16, 0, &mut NoRows).unwrap();
    let refused = |cache: &mut KvCache, rows| {
        let e = model.prefill(&ids[30..], cache, 16, &wanted(&[rows])).unwrap_err();
        assert!(e.exit_code() == 1 && e.to_string().contains("30 of 40"), "{e}");
        assert_eq!(cache.len(), 30);
    };
    refused(&mut cache, QueryRows::Last(11));
    refused(&mut cache, QueryRows::All);
    let (_, parts) =
        model.prefill(&ids[30..], &mut cache, 16, &wanted(&[QueryRows::Last(10)])).unwrap();
    let (_, whole) = whole.unwrap();
    assert_eq!(parts.tokens, 40);
    let rows = QueryRows::Last(10);
    assert_close(&parts.row_sums[&rows], &whole.row_sums[&rows], "sums");
    for layer in 0..2 {
        let norms = |stats: &TokenStats| stats.value_norms(ValueNorm::L1, layer).unwrap().to_vec();
        assert_close(&norms(&parts), &norms(&whole), "norms");
    }
    let nothing = model.prefill(&[], &mut cache, 16, &Wanted::default()).unwrap_err();
    assert_eq!(nothing.exit_code(), 1);
}

/// The last row of a prompt, as transformers computed it; the fixtures and, where they are there,
/// models with weights of usual size.
#[test]
fn the_last_row_is_that_of_transformers() {
    for dir in fixtures().into_iter().chain(crate::goldens::checkpoints()) {
        let text = std::fs::read(dir.join("golden.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let numbers = |v: &serde_json::Value| -> Vec<f64> {
            v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
        };
        let ids: Vec<u32> = numbers(&golden["input_ids"]).iter().map(|id| *id as u32).collect();
        let model = Llama::from_dir(&dir, &Compute::cpu()).unwrap();
        let c = model.config();
        let rows = QueryRows::Last(1);
        let (_, stats) =
            model.prefill(&ids, &mut model.new_cache(ids.len()), 16, &wanted(&[rows])).unwrap();
        for layer in 0..c.layers {
            let sums = stats.row_sums(rows, layer).unwrap();
            for (h, sums) in sums.chunks(ids.len()).enumerate() {
                // The golden row covers the window alone.
                let want = numbers(&golden["attention"][0][layer][h]);
                let (outside, seen) = sums.split_at(ids.len() - want.len());
                assert!(outside.iter().all(|w| *w == 0.0));
                let want: Vec<f32> = want.iter().map(|w| *w as f32).collect();
                let place = format!("{}, layer {layer}, head {h}", dir.display());
                assert_close(seen, &want, &place);
            }
        }
    }
}
