//! Where the cells of a heatmap lie, one exact rectangle per cell, and the axes around them.

use super::font;
use super::furniture::{BAR_ROOM, HEADER, LABEL_EM, MARGIN, TICK, TICK_EM, label_step, outline};
use super::scene::{AXIS, Align, Rect, Scene, Text};

/// What a small grid is stretched to fill: the usual smallest picture, in points.
pub const SMALL_PICTURE: (f64, f64) = (900.0, 600.0);

/// Height that a picture of one or two rows keeps, in points.
const MIN_HEIGHT: f64 = 400.0;

/// Below a map: tick labels, the axis label, the notes.
const FOOT: f64 = 84.0;

/// Left of a map: the axis label and the gap to the tick labels.
const LEFT: f64 = 56.0;

/// The cells of a heatmap: column 0 on the left, row 0 on top; whole points, no gaps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellGrid {
    /// All cells together, in points.
    pub map: Rect,
    /// Number of columns.
    pub columns: usize,
    /// Number of rows.
    pub rows: usize,
    /// Width and height of the picture, in points.
    pub picture: (f64, f64),
}

impl CellGrid {
    /// Lays out `columns` × `rows` cells (each at least 1) beside row labels `row_label_width`
    /// points wide.
    ///
    /// Cells are squares of 10 to 40 points as the grid gets smaller (below 10 only from 129
    /// columns or rows on); a small grid is stretched, to 2 : 1 at most, to fill [`SMALL_PICTURE`].
    pub fn new(columns: usize, rows: usize, row_label_width: f64) -> Self {
        let (c, r) = (columns as f64, rows as f64);
        let left = MARGIN + LEFT + row_label_width.ceil();
        let smallest = (1280.0 / c.max(r)).floor().clamp(1.0, 10.0);
        let square = (1100.0 / c).min(800.0 / r).floor().clamp(smallest, 40.0);
        // What a small picture leaves for the map, per cell.
        let wide = ((SMALL_PICTURE.0 - left - BAR_ROOM - MARGIN) / c).floor().max(square);
        let high = ((SMALL_PICTURE.1 - HEADER - FOOT - MARGIN) / r).floor().max(square);
        let (width, height) = (c * wide.min(2.0 * high), r * high.min(2.0 * wide));
        let picture = (
            (left + width + BAR_ROOM + MARGIN).max(SMALL_PICTURE.0),
            (HEADER + height + FOOT + MARGIN).max(MIN_HEIGHT),
        );
        // A map narrower than a small picture stands in its middle, with its colour bar.
        let spare = picture.0 - (left + width + BAR_ROOM + MARGIN);
        let map = Rect::new(left + (spare / 2.0).floor(), HEADER, width, height);
        Self { map, columns, rows, picture }
    }

    /// Width and height of a cell, in points.
    pub fn cell_size(&self) -> (f64, f64) {
        (self.map.width / self.columns as f64, self.map.height / self.rows as f64)
    }

    /// One cell, in points.
    pub fn cell(&self, column: usize, row: usize) -> Rect {
        let (width, height) = self.cell_size();
        let (x, y) = (self.map.x + column as f64 * width, self.map.y + row as f64 * height);
        Rect::new(x, y, width, height)
    }

    /// The middle of a cell in the PNG, `(x, y)` in pixels.
    #[cfg(test)]
    pub fn cell_center(&self, column: usize, row: usize) -> (u32, u32) {
        let (x, y) = self.cell(column, row).center();
        let pixel = |points: f64| (points * f64::from(super::PNG_SCALE)) as u32;
        (pixel(x), pixel(y))
    }

    /// Baseline of the notes below the map.
    pub fn note_baseline(&self) -> f64 {
        self.map.bottom() + FOOT
    }

    /// Draws the frame, the tick marks and as many labels as have room; label 0 always has.
    pub fn draw_axes(&self, scene: &mut Scene, x: &Axis, y: &Axis) {
        let map = self.map;
        let (width, height) = self.cell_size();
        scene.frame(outline(map), 1.0, AXIS);

        let room = widest(x.ticks) + 8.0;
        for i in (0..self.columns).step_by(label_step(width, room, x.binary)) {
            let (middle, _) = self.cell(i, 0).center();
            scene.fill(Rect::new(middle - 0.5, map.bottom() + 1.0, 1.0, TICK), AXIS);
            let baseline = map.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
            scene.text(Text::new(&x.ticks[i], middle, baseline, TICK_EM, Align::Middle));
        }
        for i in (0..self.rows).step_by(label_step(height, 1.25 * TICK_EM, y.binary)) {
            let (_, middle) = self.cell(0, i).center();
            scene.fill(Rect::new(map.x - 1.0 - TICK, middle - 0.5, TICK, 1.0), AXIS);
            let end = map.x - TICK - 5.0;
            scene.text(Text::centered(&y.ticks[i], end, middle, TICK_EM, Align::End));
        }
        let (middle_x, middle_y) = map.center();
        let (label, em) = font::fit(x.label, map.width.max(300.0), LABEL_EM, 10.0);
        scene.text(Text::new(&label, middle_x, map.bottom() + 47.0, em, Align::Middle));
        let (label, em) = font::fit(y.label, map.height, LABEL_EM, 10.0);
        let left = map.x - TICK - 5.0 - widest(y.ticks) - 16.0;
        scene.text(Text::new(&label, left, middle_y, em, Align::Middle).upright());
    }
}

/// What stands along one side of a map.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// The name of the quantity, with its unit.
    pub label: &'a str,
    /// One text per column (or row).
    pub ticks: &'a [String],
    /// Leave out labels in powers of two (heads, layers) instead of 2, 5, 10.
    pub binary: bool,
}

/// Width of the widest of `labels`, in points.
pub fn widest(labels: &[String]) -> f64 {
    labels.iter().map(|t| font::width(t, TICK_EM)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_squares_of_10_to_40_points_and_small_grids_are_stretched() {
        let size = |columns, rows| CellGrid::new(columns, rows, 20.0).cell_size();
        // 32 rows in 800 points: 25; 80 columns and 64 rows: 800 / 64 = 12.5, whole points: 12.
        assert_eq!(size(32, 32), (25.0, 25.0));
        assert_eq!(size(80, 64), (12.0, 12.0));
        assert_eq!(size(128, 128), (10.0, 10.0));
        assert_eq!(size(256, 16), (5.0, 10.0));
        // 900 - (24 + 56 + 20) - 130 - 24 = 646 over 6 columns: 107; 600 - 80 - 84 - 24 = 412 over
        // 8 rows: 51; at most twice as wide as high: 102.
        assert_eq!(size(6, 8), (102.0, 51.0));
        // One row of thirty: 1100 / 30 = 36 wide, twice that high.
        assert_eq!(size(30, 1), (36.0, 72.0));
    }

    #[test]
    fn cells_tile_the_map() {
        let grid = CellGrid::new(3, 4, 10.0);
        assert_eq!((grid.cell(0, 0).x, grid.cell(0, 0).y), (grid.map.x, grid.map.y));
        assert_eq!(grid.cell(1, 0).x, grid.cell(0, 0).right());
        assert_eq!(grid.cell(0, 1).y, grid.cell(0, 0).bottom());
        assert_eq!(grid.cell(2, 3).right(), grid.map.right());
        assert_eq!(grid.cell(2, 3).bottom(), grid.map.bottom());
        assert!(grid.picture.0 >= 900.0 && grid.picture.1 >= MIN_HEIGHT);
    }
}
