//! The layer × head heatmap: one cell per attention head, the ten best outlined.
//!
//! Layers along x, heads along y with head 0 on top, viridis: the orientation of the pictures of
//! Retrieval_Head, HeadKV and DiliLazyKV.

use super::Picture;
use super::colormap::{BLUE_RED, ColorMap, Rgb, VIRIDIS, text_on};
use super::font;
use super::furniture::{MARGIN, TICK_EM, cell_number, color_bar, header, note};
use super::grid::{Axis, CellGrid, widest};
use super::scene::{Align, Rect, Scene, Text};
use crate::HeadMatrix;
use crate::error::{Error, Result};

/// How many heads are outlined.
const OUTLINED: usize = 10;

/// The widest map, in points, that another is put beside.
const WIDEST_BESIDE: f64 = 1000.0;

/// A head that may as well have a score of 0.
const UNSURE: Rgb = [0xd4, 0xd4, 0xd4];

/// The words of a heatmap, and which of its heads are sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatmapCaption<'a> {
    /// Score and model: `inf — needle-llama`.
    pub title: &'a str,
    /// What was measured: `135 of 135 probes · lengths 256–2048 · mean per head`.
    pub subtitle: &'a str,
    /// Beside the colour bar: the score with its unit.
    pub score_label: &'a str,
    /// Lower and upper ends of the heads' 95 % intervals, `[L, H]`, where they are known: a head
    /// whose interval contains 0 is grey.
    pub ends: Option<[&'a HeadMatrix; 2]>,
    /// Whether the values are differences, of which the farthest from 0 are outlined and not the
    /// highest.
    pub difference: bool,
}

/// Draws `scores`, `[L, H]`: x = layer, y = head.
///
/// Colours run from 0 to the largest value; where all are 0, from 0 to 1, and the picture says so.
/// Values of both signs have blue below 0 and red above, as far as the farthest from 0.
///
/// # Errors
/// [`Error::Bug`] if the matrix has no heads or the drawing fails.
pub fn head_heatmap(scores: &HeadMatrix, meta: &HeatmapCaption) -> Result<Picture> {
    Picture::of(&scene(scores, meta)?)
}

/// Draws two maps as one picture, each with its own scale: side by side, or one above the other
/// where they are wider than high.
///
/// # Errors
/// As [`head_heatmap`].
pub fn head_heatmap_pair(pair: [(&HeadMatrix, HeatmapCaption); 2]) -> Result<Picture> {
    Picture::of(&pair_scene(pair)?)
}

pub(super) fn pair_scene([first, second]: [(&HeadMatrix, HeatmapCaption); 2]) -> Result<Scene> {
    let (mut both, other) = (scene(first.0, &first.1)?, scene(second.0, &second.1)?);
    both.title = format!("{} | {}", both.title, other.title);
    let (width, height) = (f64::from(both.size.0), f64::from(both.size.1));
    let offset = if width > WIDEST_BESIDE { (0.0, height) } else { (width, 0.0) };
    both.put(other, offset);
    Ok(both)
}

/// Where the cell of a head lies in the PNG of a matrix of `layers` × `heads`: the pixel `(x, y)`
/// in its middle.
#[cfg(test)]
pub(super) fn cell_center(layers: usize, heads: usize, layer: usize, head: usize) -> (u32, u32) {
    grid(layers, heads).cell_center(layer, head)
}

/// The values at the lower and the upper end of the colour bar, and its colours: around 0 where
/// there are values below it, and for a `difference`.
pub fn scale(scores: &HeadMatrix, difference: bool) -> ((f64, f64), ColorMap) {
    let (low, high) = scores
        .values()
        .iter()
        .fold((0.0_f64, 0.0_f64), |(low, high), &v| (low.min(v.into()), high.max(v.into())));
    let farthest = high.max(-low);
    match (low < 0.0 || difference, farthest > 0.0) {
        (true, true) => ((-farthest, farthest), BLUE_RED),
        (true, false) => ((-1.0, 1.0), BLUE_RED),
        (false, true) => ((0.0, high), VIRIDIS),
        (false, false) => ((0.0, 1.0), VIRIDIS),
    }
}

fn grid(layers: usize, heads: usize) -> CellGrid {
    CellGrid::new(layers, heads, widest(&numbers(heads)))
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|i| i.to_string()).collect()
}

pub(super) fn scene(scores: &HeadMatrix, meta: &HeatmapCaption) -> Result<Scene> {
    let (layers, heads) = (scores.layers(), scores.heads());
    if layers == 0 || heads == 0 {
        return Err(Error::bug("a heatmap needs at least one head")
            .got(format!("{layers} layers x {heads} heads")));
    }
    let grid = grid(layers, heads);
    let (scale, colors) = scale(scores, meta.difference);
    let mut scene = Scene::new(meta.title, grid.picture.0, grid.picture.1);
    let left = grid.map.x;
    header(&mut scene, meta.title, meta.subtitle, left, grid.picture.0 - left - MARGIN);
    let unsure = |layer: usize, head: usize| {
        meta.ends
            .is_some_and(|[low, high]| low.get(layer, head) <= 0.0 && high.get(layer, head) >= 0.0)
    };
    draw_cells(&mut scene, &grid, scores, (scale, colors), &unsure);
    let next = draw_best(&mut scene, &grid, scores, (colors, meta.difference));
    let (left, any) =
        (next.unwrap_or(left), (0..layers * heads).any(|i| unsure(i / heads, i % heads)));
    if any {
        let text = "grey: not told apart from 0 (95 %)";
        let swatch = |scene: &mut Scene, swatch: Rect| scene.fill(swatch, UNSURE);
        note(&mut scene, left, grid.note_baseline(), text, Some(&swatch));
    }
    grid.draw_axes(
        &mut scene,
        &Axis { label: "layer", ticks: &numbers(layers), binary: true },
        &Axis { label: "head", ticks: &numbers(heads), binary: true },
    );
    color_bar(&mut scene, grid.map, colors, scale, meta.score_label);
    Ok(scene)
}

/// The cells and, where they are large enough, their values.
fn draw_cells(
    scene: &mut Scene,
    grid: &CellGrid,
    scores: &HeadMatrix,
    (scale, colors): ((f64, f64), ColorMap),
    unsure: &dyn Fn(usize, usize) -> bool,
) {
    let (width, height) = grid.cell_size();
    let label = |v: f64| cell_number(v, scale.1);
    let longest = scores.values().iter().map(|&v| font::width(&label(v.into()), TICK_EM));
    let legible = height >= 22.0 && longest.fold(0.0, f64::max) + 10.0 <= width;
    for layer in 0..grid.columns {
        for head in 0..grid.rows {
            let value = f64::from(scores.get(layer, head));
            let cell = grid.cell(layer, head);
            let color = match unsure(layer, head) {
                true => UNSURE,
                false => colors.on_scale(value, scale),
            };
            scene.fill(cell, color);
            if legible {
                let (x, y) = cell.center();
                let text = Text::centered(&label(value), x, y, TICK_EM, Align::Middle);
                scene.text(text.color(text_on(color)));
            }
        }
    }
}

/// Outlines the best heads, or those that differ most, and says so; returns where the next note can
/// begin, if one was written. A score of 0 is nobody's best.
fn draw_best(
    scene: &mut Scene,
    grid: &CellGrid,
    scores: &HeadMatrix,
    (colors, difference): (ColorMap, bool),
) -> Option<f64> {
    let (left, baseline) = (grid.map.x, grid.note_baseline());
    let best = if difference { farthest(scores) } else { scores.top(OUTLINED) };
    let best: Vec<_> = best.into_iter().filter(|&(_, _, v)| v > 0.0).collect();
    if best.is_empty() {
        let none = if difference { "no head differs" } else { "no head has a score above 0" };
        return Some(note(scene, left, baseline, none, None));
    }
    // Outlining every head says nothing.
    if grid.columns * grid.rows <= OUTLINED {
        return None;
    }
    let (width, _) = grid.cell_size();
    let line = if width >= 20.0 { 2.0 } else { 1.0 };
    let cells: Vec<Rect> = best.iter().map(|&(l, h, _)| grid.cell(l, h)).collect();
    outline_cells(scene, &cells, line);
    let text = match best.len() {
        OUTLINED if difference => "outlined: the ten that differ most".to_string(),
        n if difference => format!("outlined: the {n} that differ"),
        OUTLINED => "outlined: ten highest heads".to_string(),
        1 => "outlined: the only head above 0".to_string(),
        n => format!("outlined: the {n} heads above 0"),
    };
    let swatch = |scene: &mut Scene, swatch: Rect| {
        scene.fill(swatch, colors.at(1.0));
        outline_cells(scene, &[swatch], 2.0);
    };
    Some(note(scene, left, baseline, &text, Some(&swatch)))
}

/// As [`HeadMatrix::top`], by the distance from 0.
fn farthest(scores: &HeadMatrix) -> Vec<(usize, usize, f32)> {
    let distances = scores.values().iter().map(|v| v.abs()).collect();
    let distances = HeadMatrix::new(scores.layers(), scores.heads(), distances);
    distances.map(|distances| distances.top(OUTLINED)).unwrap_or_default()
}

/// Black within white: one of the two stands out on every colour of the map. All white first, so
/// that it does not cover the black of a neighbour.
fn outline_cells(scene: &mut Scene, cells: &[Rect], line: f64) {
    for cell in cells {
        scene.frame(cell.inset(-line), line, [255; 3]);
    }
    for cell in cells {
        scene.frame(*cell, line, [0; 3]);
    }
}
