//! Depth × length heatmaps side by side, one panel per method: where a method loses what another
//! keeps.

use super::Picture;
use super::colormap::{CIVIDIS, text_on};
use super::depth_length::{DepthLengthCell, RowAxis, Sides, draw_missing, place};
use super::font;
use super::furniture::{
    BAR_ROOM, HEADER, LABEL_EM, MARGIN, TICK, TICK_EM, color_bar, header, label_step, outline,
};
use super::grid::widest;
use super::scene::{AXIS, Align, GREY_INK, Rect, Scene, Text};
use crate::error::{Error, Result};

/// The scale of shares.
const SCALE: (f64, f64) = (0.0, 1.0);
/// Height of a panel's own title.
const TITLE: f64 = 26.0;
/// Width that panels take for the sake of their titles, at most.
const WIDEST_TITLE: f64 = 200.0;
/// Between panels.
const GAP: f64 = 22.0;
/// Below the panels: tick labels and the axis label.
const FOOT: f64 = 62.0;

/// One method's map.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel<'a> {
    /// The method and, in a few signs, how it did.
    pub title: &'a str,
    /// Its cells.
    pub cells: &'a [DepthLengthCell],
}

/// The words of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelsCaption<'a> {
    /// What and whose.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: &'a str,
    /// Beside the colour bar.
    pub value_label: &'a str,
    /// What the rows of each map are.
    pub rows: RowAxis<'a>,
}

/// Sizes that all panels share.
struct Layout {
    columns: usize,
    rows: usize,
    cell: (f64, f64),
    left: f64,
    panel: (f64, f64),
}

impl Layout {
    /// For panels beside depth labels `labels` points wide, whose titles take `titles` points.
    fn new(panels: usize, sides: &Sides, labels: f64, titles: f64) -> Self {
        // Nearly square as a whole, a little wider than high.
        let columns = (1..=panels).find(|c| c * c * 2 >= panels * 3).unwrap_or(panels);
        let (across, down) = (sides.lengths.len() as f64, sides.depths.len() as f64);
        let width = (180.0 / across).floor().clamp(4.0, 56.0).max((titles / across).ceil());
        let height = (170.0 / down).floor().clamp(4.0, 40.0);
        Self {
            columns,
            rows: panels.div_ceil(columns),
            cell: (width, height),
            left: (MARGIN + 34.0 + labels).ceil(),
            panel: (width * across, height * down),
        }
    }

    /// The map of panel `i`.
    fn map(&self, i: usize) -> Rect {
        let (column, row) = ((i % self.columns) as f64, (i / self.columns) as f64);
        Rect::new(
            self.left + column * (self.panel.0 + GAP),
            HEADER + TITLE + row * (self.panel.1 + TITLE + GAP),
            self.panel.0,
            self.panel.1,
        )
    }

    /// All maps together, with the titles between them.
    fn all(&self) -> Rect {
        let last = self.map(self.columns * self.rows - 1);
        let (x, y) = (self.left, HEADER + TITLE);
        Rect::new(x, y, last.right() - x, last.bottom() - y)
    }
}

/// Draws one map per panel on the same scale; x = context length, y = depth, 0 on top.
///
/// # Errors
/// [`Error::Bug`] if there are no panels, one has no cells, two cells of the same place or a value
/// that is not finite, or if the drawing fails.
pub fn panels(panels: &[Panel], meta: &PanelsCaption) -> Result<Picture> {
    Picture::of(&scene(panels, meta)?)
}

pub(super) fn scene(panels: &[Panel], meta: &PanelsCaption) -> Result<Scene> {
    let bad = |c: &DepthLengthCell| !c.depth.is_finite() || c.value.is_some_and(|v| !v.is_finite());
    if panels.is_empty() || panels.iter().any(|p| p.cells.is_empty() || p.cells.iter().any(bad)) {
        return Err(Error::bug("a picture of panels needs cells with finite numbers in each"));
    }
    let cells: Vec<DepthLengthCell> = panels.iter().flat_map(|p| p.cells).copied().collect();
    let sides = Sides::of(&cells);
    let labels = sides.row_labels(meta.rows);
    let titles: Vec<String> = panels.iter().map(|p| p.title.to_owned()).collect();
    let titles = widest(&titles).min(WIDEST_TITLE);
    let layout = Layout::new(panels.len(), &sides, widest(&labels), titles);
    let all = layout.all();
    let width = (all.right() + BAR_ROOM + MARGIN).max(640.0);
    let mut scene = Scene::new(meta.title, width, all.bottom() + FOOT + MARGIN);
    header(&mut scene, meta.title, meta.subtitle, layout.left, width - layout.left - MARGIN);
    for (i, panel) in panels.iter().enumerate() {
        let values = place(panel.cells, &sides)?;
        let map = layout.map(i);
        draw_map(&mut scene, &layout, map, sides.lengths.len(), &values);
        let (title, em) = font::fit(panel.title, map.width, TICK_EM, 9.0);
        scene.text(Text::new(&title, map.x, map.y - 7.0, em, Align::Start));
    }
    draw_axes(&mut scene, &layout, panels.len(), &sides, meta.rows);
    color_bar(&mut scene, all, CIVIDIS, SCALE, meta.value_label);
    Ok(scene)
}

fn draw_map(scene: &mut Scene, layout: &Layout, map: Rect, columns: usize, values: &[Option<f64>]) {
    let (width, height) = layout.cell;
    let em = 11.0;
    let legible = height >= 15.0 && width >= font::width(".00", em) + 6.0;
    for (i, value) in values.iter().enumerate() {
        let (column, row) = ((i % columns) as f64, (i / columns) as f64);
        let cell = Rect::new(map.x + column * width, map.y + row * height, width, height);
        let Some(value) = *value else {
            draw_missing(scene, cell);
            continue;
        };
        let color = CIVIDIS.on_scale(value, SCALE);
        scene.fill(cell, color);
        if legible {
            let (x, y) = cell.center();
            let number = format!("{value:.2}");
            // ".75" and "1.0" are as wide as each other.
            let text = number.strip_prefix('0').map_or("1.0", |rest| rest);
            let text = Text::centered(text, x, y, em, Align::Middle);
            scene.text(text.color(text_on(color)));
        }
    }
    scene.frame(outline(map), 1.0, AXIS);
}

/// Ticks at the left and lower edges of the whole; the axes' names once.
fn draw_axes(scene: &mut Scene, layout: &Layout, panels: usize, sides: &Sides, rows: RowAxis) {
    let (lengths, labels) = (sides.length_labels(), sides.row_labels(rows));
    let (width, height) = layout.cell;
    for i in 0..panels {
        let map = layout.map(i);
        if i % layout.columns == 0 {
            for row in (0..labels.len()).step_by(label_step(height, 1.25 * TICK_EM, false)) {
                let y = map.y + (row as f64 + 0.5) * height;
                scene.fill(Rect::new(map.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
                let text = Text::centered(&labels[row], map.x - TICK - 5.0, y, TICK_EM, Align::End);
                scene.text(text);
            }
        }
        // The lowest panel of its column.
        if i + layout.columns >= panels {
            let room = widest(&lengths) + 6.0;
            for column in (0..lengths.len()).step_by(label_step(width, room, false)) {
                let x = map.x + (column as f64 + 0.5) * width;
                scene.fill(Rect::new(x - 0.5, map.bottom() + 1.0, 1.0, TICK), AXIS);
                let y = map.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
                scene.text(Text::new(&lengths[column], x, y, TICK_EM, Align::Middle));
            }
        }
    }
    let all = layout.all();
    let (x, y) = all.center();
    let below = all.bottom() + 48.0;
    let label = "context length (tokens)";
    let (label, em) = font::fit(label, all.width.max(200.0), LABEL_EM, 10.0);
    scene.text(Text::new(&label, x, below, em, Align::Middle).color(GREY_INK));
    let left = layout.left - TICK - 5.0 - widest(&labels) - 12.0;
    let (label, em) = font::fit(rows.axis(), all.height, LABEL_EM, 10.0);
    scene.text(Text::new(&label, left, y, em, Align::Middle).upright().color(GREY_INK));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(value: f64) -> Vec<DepthLengthCell> {
        let mut all = Vec::new();
        for depth in [0.1, 0.5, 0.9] {
            for length in [512, 1024] {
                all.push(DepthLengthCell { depth, length, value: Some(value), probes: 4 });
            }
        }
        all
    }

    #[test]
    fn panels_tile_without_overlap_and_inside_the_picture() {
        let (a, b) = (cells(0.25), cells(1.0));
        let names: Vec<String> = (0..7).map(|i| format!("method-{i}")).collect();
        let list: Vec<Panel> = names
            .iter()
            .enumerate()
            .map(|(i, title)| Panel { title, cells: if i % 2 == 0 { &a } else { &b } })
            .collect();
        let meta = PanelsCaption {
            title: "t",
            subtitle: "s",
            value_label: "share",
            rows: RowAxis::Depths,
        };
        let scene = scene(&list, &meta).unwrap();
        let layout = Layout::new(7, &Sides::of(&a), 20.0, 70.0);
        // 4 x 4 x 2 = 32 >= 21, 3 x 3 x 2 = 18 is not.
        assert_eq!((layout.columns, layout.rows), (4, 2));
        for i in 0..7 {
            for j in 0..i {
                let (a, b) = (layout.map(i), layout.map(j));
                let apart = a.x >= b.right() || b.x >= a.right();
                assert!(apart || a.y >= b.bottom() || b.y >= a.bottom(), "{i} and {j}");
            }
        }
        for text in scene.texts() {
            let b = text.bounds();
            let inside = b.x >= 0.0 && b.right() <= f64::from(scene.size.0);
            assert!(inside && b.bottom() <= f64::from(scene.size.1), "{text:?}");
        }
        let texts: Vec<&str> = scene.texts().map(|t| t.content.as_str()).collect();
        assert!(names.iter().all(|n| texts.contains(&n.as_str())));
        assert!(texts.contains(&".25") && texts.contains(&"1.0"));
    }

    #[test]
    fn no_panels_or_no_numbers_are_bugs() {
        let meta = PanelsCaption {
            title: "t",
            subtitle: "s",
            value_label: "share",
            rows: RowAxis::Depths,
        };
        assert_eq!(scene(&[], &meta).unwrap_err().exit_code(), 1);
        let nan = cells(f64::NAN);
        let panel = Panel { title: "a", cells: &nan };
        assert_eq!(scene(&[panel], &meta).unwrap_err().exit_code(), 1);
    }
}
