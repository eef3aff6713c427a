//! The statistics of one attention row: one pass, against a sort of the whole row, as the published
//! scripts find their largest weights.

use std::hint::black_box;

use headprof::Result;
use headprof::score::{HeadStats, NeedleMask, head_stats};

use super::noise;
use super::turns::Turns;

const TOP_K: usize = 10;
/// Tokens of the needle.
const NEEDLE: usize = 24;

pub fn bench(turns: &Turns) -> Result<()> {
    for keys in [1024, 16_384] {
        // Every other weight is the largest so far: the worst for one pass, and no order that a
        // sort would notice.
        let mut rising = softmax(keys);
        rising.sort_by(f32::total_cmp);
        rising.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        for (kind, row) in [("", softmax(keys)), (", rising", rising)] {
            let start = keys / 2;
            let needle = NeedleMask::new(&[start..start + NEEDLE])?;
            assert_eq!(head_stats(&row, &needle, TOP_K)?, by_sorting(&row, &needle, TOP_K));
            turns.compare(
                &format!("row statistics, {keys} keys{kind}"),
                "stable sort of the row",
                || head_stats(black_box(&row), &needle, TOP_K),
                || by_sorting(black_box(&row), &needle, TOP_K),
            );
        }
    }
    Ok(())
}

/// A row as a head has it: few large weights.
fn softmax(keys: usize) -> Vec<f32> {
    let mut row: Vec<f32> = noise(keys).iter().map(|score| (12.0 * score).exp()).collect();
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|weight| *weight /= sum);
    row
}

fn by_sorting(row: &[f32], needle: &NeedleMask, top_k: usize) -> HeadStats {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
    let inside = |i: &&u32| needle.contains(**i as usize);
    let weight = |i: &u32| f64::from(row[*i as usize]);
    let (top, top_n) = (&order[..top_k], &order[..needle.tokens()]);
    HeadStats {
        argmax: order[0],
        top_k_in_needle: top.iter().filter(inside).count() as u32,
        top_k_mass: top.iter().map(weight).sum::<f64>() as f32,
        top_k_needle_mass: top.iter().filter(inside).map(weight).sum::<f64>() as f32,
        top_n_needle_mass: top_n.iter().filter(inside).map(weight).sum::<f64>() as f32,
        needle_mass: (0..row.len() as u32).filter(|i| inside(&i)).map(|i| weight(&i)).sum::<f64>()
            as f32,
    }
}
