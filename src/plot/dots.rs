//! Panels of dots side by side, one per factor: a value for each of its levels on one scale, over a
//! grey bar of what chance alone would give.

use super::Picture;
use super::colormap::Rgb;
use super::font;
use super::furniture::{
    HEADER, LABEL_EM, MARGIN, TICK, TICK_EM, header, label_step, note, outline, round_values,
};
use super::grid::widest;
use super::scene::{AXIS, Align, GREY_INK, Rect, Scene, Text};
use super::series::marker;
use crate::error::{Error, Result};

/// Height of a panel, and its width where few levels stand in it.
const PANEL: (f64, f64) = (300.0, 200.0);
/// Panels in a row.
const COLUMNS: usize = 3;
/// Height of a panel's own title.
const TITLE: f64 = 30.0;
/// Room that upright labels take below a panel, at most.
const LONGEST_LABEL: f64 = 110.0;
/// Em of labels that stand upright.
const UPRIGHT_EM: f64 = 11.0;
/// The legend below all panels.
const FOOT: f64 = 34.0;
/// What is above 1, as a share of what is below.
const HEADROOM: f64 = 0.05;
/// Smallest range of the scale.
const RANGE: f64 = 0.2;

const LIGHT: Rgb = [0xe2, 0xe2, 0xe2];
/// What chance gives.
const BAND: Rgb = [0xbd, 0xbd, 0xbd];

/// One level of a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot<'a> {
    /// Its name, along x.
    pub label: &'a str,
    /// Its value.
    pub y: f64,
    /// What chance alone would give, lower and upper end.
    pub band: Option<[f64; 2]>,
    /// Whether it differs by more than chance.
    pub marked: bool,
}

/// One factor.
#[derive(Debug, Clone, PartialEq)]
pub struct DotPanel<'a> {
    /// Which, and how it did.
    pub title: &'a str,
    /// Its levels, in order.
    pub dots: Vec<Dot<'a>>,
}

/// The words of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DotsCaption<'a> {
    /// What and whose.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: &'a str,
    /// Along y.
    pub y_label: &'a str,
    /// What the grey bars are.
    pub band_label: &'a str,
    /// What a dot beyond its bar is, and one that is not.
    pub dot_labels: [&'a str; 2],
}

/// Where the panels are.
struct Layout {
    columns: usize,
    left: f64,
    gap: f64,
    /// Height of the labels below each row of panels.
    labels: Vec<f64>,
}

impl Layout {
    fn new(panels: &[DotPanel], ticks: f64) -> Self {
        let columns = panels.len().min(COLUMNS);
        let below = |panel: &DotPanel| match is_upright(panel) {
            true => {
                let longest = panel.dots.iter().map(|dot| font::width(dot.label, UPRIGHT_EM));
                TICK + 10.0 + longest.fold(0.0, f64::max).min(LONGEST_LABEL)
            }
            false => 28.0,
        };
        let row = |row: &[DotPanel]| row.iter().map(below).fold(0.0, f64::max);
        Self {
            columns,
            left: (MARGIN + 40.0 + ticks).ceil(),
            gap: (ticks + 32.0).ceil(),
            labels: panels.chunks(columns.max(1)).map(row).collect(),
        }
    }

    fn panel(&self, i: usize) -> Rect {
        let (column, row) = (i % self.columns, i / self.columns);
        let above: f64 = self.labels[..row].iter().map(|labels| PANEL.1 + labels + TITLE).sum();
        let x = self.left + column as f64 * (PANEL.0 + self.gap);
        Rect::new(x, HEADER + TITLE + above, PANEL.0, PANEL.1)
    }
}

/// Whether the labels of a panel have no room beside each other.
fn is_upright(panel: &DotPanel) -> bool {
    let pitch = PANEL.0 / panel.dots.len() as f64;
    panel.dots.iter().any(|dot| font::width(dot.label, TICK_EM) > pitch - 8.0)
}

/// Draws one panel per factor, all on one scale, which ends at 1.
///
/// # Errors
/// [`Error::Bug`] if there is no panel, one has no dot, a number is not finite or above 1, or the
/// drawing fails.
pub fn dots(panels: &[DotPanel], meta: &DotsCaption) -> Result<Picture> {
    Picture::of(&scene(panels, meta)?)
}

pub(super) fn scene(panels: &[DotPanel], meta: &DotsCaption) -> Result<Scene> {
    let all = || panels.iter().flat_map(|panel| &panel.dots);
    let values =
        || all().flat_map(|dot| std::iter::once(dot.y).chain(dot.band.into_iter().flatten()));
    let empty = panels.is_empty() || panels.iter().any(|panel| panel.dots.is_empty());
    if empty || values().any(|v| !v.is_finite() || v > 1.0 + 1e-9) {
        return Err(Error::bug("panels of dots need dots in each, with numbers up to 1"));
    }
    let low = values().fold(1.0 - RANGE, f64::min);
    let low = (low * 10.0 - 1e-9).floor() / 10.0;
    // A dot at 1 is a whole one.
    let high = 1.0 + HEADROOM * (1.0 - low);
    let (ticks, decimals) = round_values(low, 1.0, 5.0);
    let tick_labels: Vec<String> = ticks.iter().map(|v| format!("{v:.decimals$}")).collect();

    let layout = Layout::new(panels, widest(&tick_labels));
    let last = layout.panel(panels.len() - 1);
    let width = (layout.panel(layout.columns - 1).right() + MARGIN).max(760.0);
    let height = last.bottom() + layout.labels.last().unwrap_or(&0.0) + FOOT + MARGIN;
    let mut scene = Scene::new(meta.title, width, height);
    header(&mut scene, meta.title, meta.subtitle, layout.left, width - layout.left - MARGIN);
    for (i, panel) in panels.iter().enumerate() {
        let rect = layout.panel(i);
        let y = |v: f64| rect.bottom() - (v - low) / (high - low) * rect.height;
        for (value, label) in ticks.iter().zip(&tick_labels) {
            let y = y(*value);
            scene.fill(Rect::new(rect.x, y - 0.5, rect.width, 1.0), LIGHT);
            scene.fill(Rect::new(rect.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
            scene.text(Text::centered(label, rect.x - TICK - 5.0, y, TICK_EM, Align::End));
        }
        draw_dots(&mut scene, rect, panel, &y);
        scene.frame(outline(rect), 1.0, AXIS);
        draw_labels(&mut scene, rect, panel);
        let (title, em) = font::fit(panel.title, rect.width, LABEL_EM, 11.0);
        scene.text(Text::new(&title, rect.x, rect.y - 9.0, em, Align::Start));
        if i % layout.columns == 0 {
            let (label, em) = font::fit(meta.y_label, rect.height, LABEL_EM, 11.0);
            let x = rect.x - TICK - 5.0 - widest(&tick_labels) - 14.0;
            let (_, middle) = rect.center();
            scene.text(Text::new(&label, x, middle, em, Align::Middle).upright().color(GREY_INK));
        }
    }
    draw_legend(&mut scene, (layout.left, height - MARGIN), meta);
    Ok(scene)
}

fn draw_dots(scene: &mut Scene, rect: Rect, panel: &DotPanel, y: &dyn Fn(f64) -> f64) {
    let pitch = rect.width / panel.dots.len() as f64;
    let bar = (0.62 * pitch).clamp(2.0, 22.0);
    for (i, dot) in panel.dots.iter().enumerate() {
        let x = rect.x + (i as f64 + 0.5) * pitch;
        if let Some([low, high]) = dot.band {
            // Also where chance gives one value alone.
            let height = (y(low) - y(high)).max(2.0);
            scene.fill(Rect::new(x - bar / 2.0, y(high), bar, height), BAND);
        }
    }
    for (i, dot) in panel.dots.iter().enumerate() {
        let x = rect.x + (i as f64 + 0.5) * pitch;
        marker(scene, (x, y(dot.y)), usize::from(dot.marked));
    }
}

/// The names of the levels, as many as have room.
fn draw_labels(scene: &mut Scene, rect: Rect, panel: &DotPanel) {
    let pitch = rect.width / panel.dots.len() as f64;
    let upright = is_upright(panel);
    let room = if upright { 1.35 * UPRIGHT_EM } else { 0.0 };
    for i in (0..panel.dots.len()).step_by(label_step(pitch, room, false)) {
        let x = rect.x + (i as f64 + 0.5) * pitch;
        scene.fill(Rect::new(x - 0.5, rect.bottom() + 1.0, 1.0, TICK), AXIS);
        let top = rect.bottom() + TICK + 5.0;
        let text = match upright {
            true => {
                let (label, em) =
                    font::fit(panel.dots[i].label, LONGEST_LABEL, UPRIGHT_EM, UPRIGHT_EM);
                let x = x + font::CAP_EM * em / 2.0;
                Text::new(&label, x, top, em, Align::End).upright()
            }
            false => {
                let baseline = top + font::CAP_EM * TICK_EM;
                Text::new(panel.dots[i].label, x, baseline, TICK_EM, Align::Middle)
            }
        };
        scene.text(text);
    }
}

fn draw_legend(scene: &mut Scene, (x, baseline): (f64, f64), meta: &DotsCaption) {
    let [marked, plain] = meta.dot_labels;
    let bar: super::furniture::Swatch = &|scene, square| scene.fill(square, BAND);
    let dot = |i: usize| move |scene: &mut Scene, square: Rect| marker(scene, square.center(), i);
    let x = note(scene, x, baseline, marked, Some(&dot(1)));
    let x = note(scene, x, baseline, plain, Some(&dot(0)));
    note(scene, x, baseline, meta.band_label, Some(bar));
}

#[cfg(test)]
mod tests {
    use super::super::scene::Shape;
    use super::super::tests::assert_legible;
    use super::*;

    const META: DotsCaption = DotsCaption {
        title: "what the ranking of heads depends on — needle-llama, retrieval_reasoning",
        subtitle: "540 probes",
        y_label: "rank correlation with the others",
        band_label: "5 % to 95 % of random probes",
        dot_labels: ["below chance", "as chance"],
    };

    fn panel<'a>(title: &'a str, names: &'a [String]) -> DotPanel<'a> {
        let dot = |(i, label): (usize, &'a String)| Dot {
            label,
            y: 0.95 - 0.04 * (i % 7) as f64,
            band: Some([0.85, 0.97]),
            marked: i % 7 > 3,
        };
        DotPanel { title, dots: names.iter().enumerate().map(dot).collect() }
    }

    #[test]
    fn panels_of_all_sizes_are_legible() {
        let names = |n: usize, what: &str| (0..n).map(|i| format!("{what}{i}")).collect::<Vec<_>>();
        let long = names(18, "a-needle-with-a-name-of-many-words-");
        let (few, many) = (names(3, "0."), names(120, "n"));
        for (lists, rows) in [
            (vec![&few], 1),
            (vec![&few, &few], 1),
            (vec![&long, &few, &many, &few, &few, &few, &few], 3),
        ] {
            let panels: Vec<DotPanel> = lists.iter().map(|names| panel("needle", names)).collect();
            let scene = scene(&panels, &META).unwrap();
            assert_legible(&scene);
            let titles = scene.texts().filter(|text| text.content == "needle").count();
            assert_eq!(titles, panels.len());
            let axes = scene.texts().filter(|text| text.content == META.y_label).count();
            assert_eq!(axes, rows);
        }
    }

    /// A dot for every level that has a value, a square where it is marked, a bar for every level.
    #[test]
    fn every_level_has_its_dot_and_its_bar() {
        let names: Vec<String> = (0..7).map(|i| i.to_string()).collect();
        let scene = scene(&[panel("depth", &names)], &META).unwrap();
        let corners = scene.shapes.iter().filter_map(|shape| match shape {
            Shape::Polygon(points, _) => Some(points.len()),
            _ => None,
        });
        let corners: Vec<usize> = corners.collect();
        // Seven, of them three marked; two more in the legend.
        assert_eq!(corners.iter().filter(|n| **n == 24).count(), 4 + 1);
        assert_eq!(corners.iter().filter(|n| **n == 4).count(), 3 + 1);
        let bars =
            scene.shapes.iter().filter(|s| matches!(s, Shape::Fill(_, color) if *color == BAND));
        assert_eq!(bars.count(), 7 + 1);
        // Higher values stand higher: 0.95 of the first, 0.87 of the third.
        let heights: Vec<f64> = scene
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Polygon(points, _) => {
                    Some(points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64)
                }
                _ => None,
            })
            .collect();
        let (first, third) = (heights[0], heights[2]);
        // The scale goes from 0.7 to a little above 1: 200 points for 0.315.
        assert!((third - first - 0.08 / 0.315 * 200.0).abs() < 1e-6, "{first} {third}");
    }

    #[test]
    fn nothing_to_draw_or_no_numbers_are_bugs() {
        let dot = |y: f64| Dot { label: "a", y, band: None, marked: false };
        let of = |dots: Vec<Dot<'static>>| vec![DotPanel { title: "t", dots }];
        for panels in [vec![], of(vec![]), of(vec![dot(f64::NAN)]), of(vec![dot(1.5)])] {
            assert_eq!(scene(&panels, &META).unwrap_err().exit_code(), 1);
        }
    }
}
