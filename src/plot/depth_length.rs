//! The depth × length heatmap of the answers: how well needles were found, by place and context
//! length (the picture of "needle in a haystack", Kamradt 2023).

use super::Picture;
use super::colormap::{CIVIDIS, Rgb, text_on};
use super::font;
use super::furniture::{MARGIN, TICK_EM, color_bar, header, note};
use super::grid::{Axis, CellGrid, widest};
use super::scene::{AXIS, Align, Rect, Scene, Text};
use crate::error::{Error, Result};

/// A cell without data.
const NO_DATA: Rgb = [0xe6, 0xe6, 0xe6];
const HATCH: Rgb = [0xb0, 0xb0, 0xb0];

/// The scale of gate values and pass rates.
const SCALE: (f64, f64) = (0.0, 1.0);

/// What the rows of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAxis<'a> {
    /// Depths, 0 (start of the context) on top.
    Depths,
    /// Kinds of probes, the first on top.
    Kinds {
        /// What they are, for the axis: `task`.
        axis: &'a str,
        /// The name of each.
        names: &'a [String],
    },
}

/// All probes of one row and one context length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthLengthCell {
    /// Depth asked for, 0 (start of the context) to 1 (end); the index of the name where rows are
    /// [`RowAxis::Kinds`].
    pub depth: f64,
    /// Context length, in tokens.
    pub length: usize,
    /// Mean over the probes, 0 to 1; `None` where no probe gave an answer.
    pub value: Option<f64>,
    /// How many probes gave an answer.
    pub probes: usize,
}

/// The words of a depth × length heatmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthLengthCaption<'a> {
    /// What and whose: `answers — needle-llama`.
    pub title: &'a str,
    /// What was measured: `gate rouge ≥ 0.5 · 120 of 135 probes passed`.
    pub subtitle: &'a str,
    /// Beside the colour bar: `mean gate value` or `share of answers that pass`.
    pub value_label: &'a str,
    /// What the rows are.
    pub rows: RowAxis<'a>,
}

/// The sides of the map: depths and lengths that occur, ascending.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sides {
    pub(super) depths: Vec<f64>,
    pub(super) lengths: Vec<usize>,
}

impl RowAxis<'_> {
    /// The name of the axis.
    pub(super) fn axis(&self) -> &str {
        match self {
            Self::Depths => "depth (0 = start)",
            Self::Kinds { axis, .. } => axis,
        }
    }
}

impl Sides {
    pub(super) fn of(cells: &[DepthLengthCell]) -> Self {
        let mut depths: Vec<f64> = cells.iter().map(|c| c.depth).collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let mut lengths: Vec<usize> = cells.iter().map(|c| c.length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Self { depths, lengths }
    }

    /// The names of the rows.
    pub(super) fn row_labels(&self, rows: RowAxis) -> Vec<String> {
        match rows {
            RowAxis::Depths => self.depth_labels(),
            RowAxis::Kinds { names, .. } => {
                let name = |d: &f64| names.get(*d as usize).cloned().unwrap_or_default();
                self.depths.iter().map(name).collect()
            }
        }
    }

    fn depth_labels(&self) -> Vec<String> {
        // Three decimals tell many even depths (0.111…) apart; fewer where all depths are round.
        let exact = |d: &f64, decimals: i32| {
            let scaled = d * 10_f64.powi(decimals);
            (scaled - scaled.round()).abs() < 1e-9
        };
        let enough = (0..3).find(|&n| self.depths.iter().all(|d| exact(d, n))).unwrap_or(3);
        self.depths.iter().map(|d| format!("{d:.0$}", enough as usize)).collect()
    }

    pub(super) fn length_labels(&self) -> Vec<String> {
        self.lengths.iter().map(usize::to_string).collect()
    }

    fn grid(&self, rows: RowAxis) -> CellGrid {
        CellGrid::new(self.lengths.len(), self.depths.len(), widest(&self.row_labels(rows)))
    }
}

/// Draws the cells: x = context length, y = depth with 0 (start of the context) on top, or kinds.
/// What the grid of depths and lengths has no value for is hatched.
///
/// # Errors
/// [`Error::Bug`] if there are no cells, two of the same place, or a number that is not finite, or
/// if the drawing fails.
pub fn depth_length(cells: &[DepthLengthCell], meta: &DepthLengthCaption) -> Result<Picture> {
    Picture::of(&scene(cells, meta)?)
}

/// Where the cell of `depth` and `length` lies in the PNG of these cells: the pixel `(x, y)` in its
/// middle; `None` if there is no such depth or length.
#[cfg(test)]
pub(super) fn cell_center(
    cells: &[DepthLengthCell],
    depth: f64,
    length: usize,
) -> Option<(u32, u32)> {
    let sides = Sides::of(cells);
    let column = sides.lengths.iter().position(|&l| l == length)?;
    let row = sides.depths.iter().position(|&d| d == depth)?;
    Some(sides.grid(RowAxis::Depths).cell_center(column, row))
}

pub(super) fn scene(cells: &[DepthLengthCell], meta: &DepthLengthCaption) -> Result<Scene> {
    if cells.is_empty() {
        return Err(Error::bug("a depth x length heatmap needs at least one cell"));
    }
    if let Some(c) = cells.iter().find(|c| !c.depth.is_finite() || c.value.is_some_and(bad)) {
        return Err(Error::bug("a depth x length heatmap got a number that is not finite")
            .got(format!("{c:?}")));
    }
    let sides = Sides::of(cells);
    let grid = sides.grid(meta.rows);
    let values = place(cells, &sides)?;
    let mut scene = Scene::new(meta.title, grid.picture.0, grid.picture.1);
    let left = grid.map.x;
    header(&mut scene, meta.title, meta.subtitle, left, grid.picture.0 - left - MARGIN);
    draw_cells(&mut scene, &grid, &values);
    grid.draw_axes(
        &mut scene,
        &Axis { label: "context length (tokens)", ticks: &sides.length_labels(), binary: false },
        &Axis { label: meta.rows.axis(), ticks: &sides.row_labels(meta.rows), binary: false },
    );
    color_bar(&mut scene, grid.map, CIVIDIS, SCALE, meta.value_label);
    let next = note(&mut scene, left, grid.note_baseline(), &probes_note(cells), None);
    if values.contains(&None) {
        note(&mut scene, next, grid.note_baseline(), "no data", Some(&draw_missing));
    }
    Ok(scene)
}

fn bad(value: f64) -> bool {
    !value.is_finite()
}

/// The values, `[depths * lengths]` row-major.
pub(super) fn place(cells: &[DepthLengthCell], sides: &Sides) -> Result<Vec<Option<f64>>> {
    let columns = sides.lengths.len();
    let mut taken = vec![false; columns * sides.depths.len()];
    let mut values = vec![None; taken.len()];
    for cell in cells {
        let column = sides.lengths.partition_point(|&l| l < cell.length);
        let row = sides.depths.partition_point(|&d| d < cell.depth);
        let i = row * columns + column;
        if taken[i] {
            return Err(Error::bug("two cells of a heatmap have the same depth and length")
                .at(format!("depth {}, {} tokens", cell.depth, cell.length)));
        }
        taken[i] = true;
        values[i] = cell.value;
    }
    Ok(values)
}

fn draw_cells(scene: &mut Scene, grid: &CellGrid, values: &[Option<f64>]) {
    let (width, height) = grid.cell_size();
    // "0.00" is as wide as any value between 0 and 1.
    let legible = height >= 20.0 && width >= font::width("0.00", TICK_EM) + 8.0;
    for (i, value) in values.iter().enumerate() {
        let cell = grid.cell(i % grid.columns, i / grid.columns);
        let Some(value) = *value else {
            draw_missing(scene, cell);
            continue;
        };
        let color = CIVIDIS.on_scale(value, SCALE);
        scene.fill(cell, color);
        if legible {
            let (x, y) = cell.center();
            let text = Text::centered(&format!("{value:.2}"), x, y, TICK_EM, Align::Middle);
            scene.text(text.color(text_on(color)));
        }
    }
}

/// Light grey, hatched from lower left to upper right.
pub(super) fn draw_missing(scene: &mut Scene, cell: Rect) {
    const GAP: f64 = 8.0;
    scene.fill(cell, NO_DATA);
    // Lines x + y = s, cut at the cell's edges.
    let mut s = cell.x + cell.y + GAP / 2.0;
    while s < cell.right() + cell.bottom() {
        let from_x = (s - cell.bottom()).max(cell.x);
        let to_x = (s - cell.y).min(cell.right());
        scene.line(vec![(from_x, s - from_x), (to_x, s - to_x)], 1.0, HATCH);
        s += GAP;
    }
    if cell.width.min(cell.height) < 15.0 {
        scene.frame(cell, 1.0, AXIS);
    }
}

/// How many probes stand behind a cell.
fn probes_note(cells: &[DepthLengthCell]) -> String {
    let counts = cells.iter().filter(|c| c.value.is_some()).map(|c| c.probes);
    let (least, most) = counts.fold((usize::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
    match (least, most) {
        (_, 0) => "no answers".into(),
        (1, 1) => "each cell: one probe".into(),
        (a, b) if a == b => format!("each cell: mean of {a} probes"),
        (a, b) => format!("each cell: mean of {a}–{b} probes"),
    }
}
