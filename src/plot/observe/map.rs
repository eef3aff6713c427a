//! The first panel: a head's attention in cells, with its colour bar.

use super::MapCells;
use super::SINKS;
use super::log_scale::LogScale;
use crate::plot::colormap::VIRIDIS;
use crate::plot::font;
use crate::plot::furniture::{LABEL_EM, TICK, TICK_EM, number, outline, round_values};
use crate::plot::scene::{AXIS, Align, Rect, Scene, Text};
use crate::plot::series;

/// The largest value over the smallest that has a colour of its own.
const MOST: f64 = 1e4;
/// From the map to its colour bar.
const BAR_GAP: f64 = 14.0;
const BAR: f64 = 16.0;

/// Draws `cells` of a prompt of `tokens` tokens into the square `area`, or a little less of it: a
/// cell is a whole number of quarter points.
pub(super) fn draw(scene: &mut Scene, area: Rect, cells: &MapCells, tokens: usize, sinks: usize) {
    let size = (area.width * 4.0 / cells.cells as f64).floor().max(1.0) / 4.0;
    let map = Rect::new(area.x, area.y, size * cells.cells as f64, size * cells.cells as f64);
    let scale = LogScale::of(cells.means.iter().flatten().copied(), MOST);
    for (i, mean) in cells.means.iter().enumerate() {
        let Some(mean) = mean else { continue };
        let (row, column) = ((i / cells.cells) as f64, (i % cells.cells) as f64);
        let cell = Rect::new(map.x + column * size, map.y + row * size, size, size);
        scene.fill(cell, VIRIDIS.at(scale.part(*mean)));
    }
    scene.frame(outline(map), 1.0, AXIS);
    draw_axes(scene, map, size / cells.side as f64, tokens);

    // The sinks' columns, above the map.
    let wide = (sinks.min(tokens) as f64 * size / cells.side as f64).max(3.0);
    scene.fill(Rect::new(map.x, map.y - 7.0, wide, 5.0), series::color(SINKS));
    let title = match cells.side {
        1 => "attention".to_owned(),
        n => format!("attention, mean of {n} x {n} tokens"),
    };
    scene.text(Text::new(&title, map.x, map.y - 14.0, LABEL_EM, Align::Start));
    let clipped = cells.means.iter().flatten().any(|mean| *mean < scale.low);
    draw_bar(scene, map, scale, clipped);
}

/// Positions of tokens along both sides; a token is `pitch` points wide.
fn draw_axes(scene: &mut Scene, map: Rect, pitch: f64, tokens: usize) {
    let (positions, _) = round_values(0.0, tokens as f64 - 1.0, 4.0);
    let mut widest = 0.0_f64;
    for position in positions.into_iter().filter(|p| p.fract() == 0.0) {
        let (along, text) = ((position + 0.5) * pitch, format!("{position:.0}"));
        widest = widest.max(font::width(&text, TICK_EM));
        let (x, y) = (map.x + along, map.y + along);
        scene.fill(Rect::new(x - 0.5, map.bottom() + 1.0, 1.0, TICK), AXIS);
        let baseline = map.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
        scene.text(Text::new(&text, x, baseline, TICK_EM, Align::Middle));
        scene.fill(Rect::new(map.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
        scene.text(Text::centered(&text, map.x - TICK - 5.0, y, TICK_EM, Align::End));
    }
    let (x, y) = map.center();
    let (label, em) = font::fit("key (position looked at)", map.width, LABEL_EM, 11.0);
    scene.text(Text::new(&label, x, map.bottom() + 47.0, em, Align::Middle));
    let left = map.x - TICK - 5.0 - widest - 12.0;
    let (label, em) = font::fit("query (position that looks)", map.height, LABEL_EM, 11.0);
    scene.text(Text::new(&label, left, y, em, Align::Middle).upright());
}

/// The colours of `scale`; `clipped`: some values lie below it.
fn draw_bar(scene: &mut Scene, map: Rect, scale: LogScale, clipped: bool) {
    let bar = Rect::new(map.right() + BAR_GAP, map.y, BAR, map.height);
    let strips = bar.height.round() as usize;
    for i in 0..strips {
        let height = bar.height / strips as f64;
        let strip = Rect::new(bar.x, bar.y + i as f64 * height, bar.width, height);
        scene.fill(strip, VIRIDIS.at(1.0 - (i as f64 + 0.5) / strips as f64));
    }
    scene.frame(outline(bar), 1.0, AXIS);
    let y_of = |v: f64| bar.bottom() - scale.part(v) * bar.height;
    // The ends have their own labels: what comes too near to them gives way.
    let free = |v: f64| (y_of(v) - bar.y).min(bar.bottom() - y_of(v)) > 1.3 * TICK_EM;
    let mut ticks: Vec<(f64, String)> =
        scale.ticks().into_iter().filter(|(v, _)| free(*v)).collect();
    ticks.push((scale.low, format!("{}{}", if clipped { "≤ " } else { "" }, number(scale.low))));
    ticks.push((scale.high, number(scale.high)));
    let widest = ticks.iter().map(|(_, t)| font::width(t, TICK_EM)).fold(0.0, f64::max);
    for (value, text) in ticks {
        let y = y_of(value);
        let mark = (y - 0.5).clamp(bar.y, bar.bottom() - 1.0);
        scene.fill(Rect::new(bar.right() + 1.0, mark, TICK, 1.0), AXIS);
        let x = bar.right() + TICK + 5.0;
        scene.text(Text::centered(&text, x, y, TICK_EM, Align::Start));
    }
    let (label, em) = font::fit("share of a query's attention", map.height, LABEL_EM, 11.0);
    let x = bar.right() + TICK + 5.0 + widest + 8.0 + font::CAP_EM * em;
    scene.text(Text::new(&label, x, bar.center().1, em, Align::Middle).upright());
}
