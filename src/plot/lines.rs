//! Lines with error bars over a logarithmic x axis: accuracy against the budget or the bytes that
//! it costs, one line per method, with FullKV as a level across the picture.

use super::Picture;
use super::font;
use super::furniture::{HEADER, LABEL_EM, MARGIN, TICK, TICK_EM, header, outline, round_values};
use super::grid::widest;
use super::scene::{AXIS, Align, GREY_INK, Rect, Scene, Text};
use super::series::{LEGEND_ROW, SAMPLE, color, draw_legend, marker, stroke};
use crate::error::{Error, Result};

const PLOT: (f64, f64) = (640.0, 420.0);
const LIGHT: [u8; 3] = [0xe2, 0xe2, 0xe2];

/// One value of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinePoint {
    /// Along x, above 0.
    pub x: f64,
    /// Along y.
    pub y: f64,
    /// The interval around `y`, if there is one.
    pub interval: Option<[f64; 2]>,
}

/// One method.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its values, in ascending order of x.
    pub points: Vec<LinePoint>,
}

/// The words of the picture and its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinesCaption<'a> {
    /// What and whose.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: &'a str,
    /// Along x, with its unit.
    pub x_label: &'a str,
    /// Along y.
    pub y_label: &'a str,
    /// Largest value of the scale; the smallest is 0.
    pub highest: f64,
    /// A level drawn across: its name and value.
    pub level: Option<(&'a str, f64)>,
}

/// From values to points.
struct Axes {
    plot: Rect,
    x: (f64, f64),
    highest: f64,
}

impl Axes {
    fn x(&self, x: f64) -> f64 {
        let (low, high) = (self.x.0.ln(), self.x.1.ln());
        let t = if high > low { (x.ln() - low) / (high - low) } else { 0.5 };
        self.plot.x + t * self.plot.width
    }

    fn y(&self, y: f64) -> f64 {
        self.plot.bottom() - y.clamp(0.0, self.highest) / self.highest * self.plot.height
    }
}

/// Draws the lines; x from a little below the smallest to a little above the largest value,
/// logarithmic, y from 0 to [`LinesCaption::highest`].
///
/// # Errors
/// [`Error::Bug`] if there is no point, a number is not finite or an x is not above 0, or the
/// drawing fails.
pub fn lines(lines: &[Line], meta: &LinesCaption) -> Result<Picture> {
    Picture::of(&scene(lines, meta)?)
}

pub(super) fn scene(lines: &[Line], meta: &LinesCaption) -> Result<Scene> {
    let all = || lines.iter().flat_map(|l| &l.points);
    let bad = |p: &LinePoint| {
        let ends = p.interval.unwrap_or_default();
        !(p.x > 0.0 && p.x.is_finite() && p.y.is_finite() && ends.iter().all(|v| v.is_finite()))
    };
    if all().next().is_none() || all().any(bad) || meta.highest <= 0.0 {
        return Err(Error::bug("a line plot needs points that are finite, with x above 0"));
    }
    let (low, high) = all().fold((f64::INFINITY, 0.0f64), |(a, b), p| (a.min(p.x), b.max(p.x)));
    let (ticks, decimals) = round_values(0.0, meta.highest, 5.0);
    let labels: Vec<String> = ticks.iter().map(|v| format!("{v:.decimals$}")).collect();

    let left = MARGIN + 48.0 + widest(&labels);
    let names = lines.iter().map(|l| font::width(l.name, LABEL_EM)).fold(0.0, f64::max);
    let legend = names.clamp(100.0, 280.0);
    let plot = Rect::new(left, HEADER, PLOT.0, PLOT.1);
    let legend_x = plot.right() + 28.0;
    let width = (legend_x + SAMPLE + 10.0 + legend + MARGIN).ceil();
    let height = (plot.bottom() + 80.0).max(HEADER + lines.len() as f64 * LEGEND_ROW + MARGIN);
    let axes = Axes { plot, x: (low / 1.15, high * 1.15), highest: meta.highest };

    let mut scene = Scene::new(meta.title, width, height.max(600.0));
    header(&mut scene, meta.title, meta.subtitle, left, width - left - MARGIN);
    draw_axes(&mut scene, &axes, &x_ticks(lines), (&ticks, &labels), meta);
    if let Some((name, value)) = meta.level {
        let y = axes.y(value);
        stroke_level(&mut scene, &axes, y);
        // Above the line, or below it where there is no room above.
        let above = y - 5.0;
        let room = above - font::CAP_EM * TICK_EM > plot.y;
        let baseline = if room { above } else { y + 5.0 + font::CAP_EM * TICK_EM };
        let text = Text::new(name, plot.x + 6.0, baseline, TICK_EM, Align::Start);
        scene.text(text.color(GREY_INK));
    }
    for (i, line) in lines.iter().enumerate() {
        draw_line(&mut scene, &axes, i, lines.len(), line);
        draw_legend(&mut scene, (legend_x, legend), i, line.name);
    }
    Ok(scene)
}

fn stroke_level(scene: &mut Scene, axes: &Axes, y: f64) {
    scene.fill(Rect::new(axes.plot.x, y - 0.75, axes.plot.width, 1.5), GREY_INK);
}

/// Every x that occurs, ascending.
fn x_ticks(lines: &[Line]) -> Vec<f64> {
    let mut ticks: Vec<f64> = lines.iter().flat_map(|l| l.points.iter().map(|p| p.x)).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    ticks
}

fn draw_axes(
    scene: &mut Scene,
    axes: &Axes,
    x_ticks: &[f64],
    (ticks, labels): (&[f64], &[String]),
    meta: &LinesCaption,
) {
    let plot = axes.plot;
    for (value, label) in ticks.iter().zip(labels) {
        let y = axes.y(*value);
        scene.fill(Rect::new(plot.x, y - 0.5, plot.width, 1.0), LIGHT);
        scene.fill(Rect::new(plot.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
        scene.text(Text::centered(label, plot.x - TICK - 5.0, y, TICK_EM, Align::End));
    }
    let mut free_from = f64::NEG_INFINITY;
    for &value in x_ticks {
        let x = axes.x(value);
        scene.fill(Rect::new(x - 0.5, plot.bottom() + 1.0, 1.0, TICK), AXIS);
        let label = value.round().to_string();
        let half = font::width(&label, TICK_EM) / 2.0;
        if x - half > free_from {
            let baseline = plot.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
            scene.text(Text::new(&label, x, baseline, TICK_EM, Align::Middle));
            free_from = x + half + 6.0;
        }
    }
    scene.frame(outline(plot), 1.0, AXIS);
    let (x, y) = plot.center();
    let (label, em) = font::fit(meta.x_label, plot.width, LABEL_EM, 11.0);
    scene.text(Text::new(&label, x, plot.bottom() + 52.0, em, Align::Middle));
    let (label, em) = font::fit(meta.y_label, plot.height, LABEL_EM, 11.0);
    let left = plot.x - TICK - 5.0 - widest(labels) - 14.0;
    scene.text(Text::new(&label, left, y, em, Align::Middle).upright());
}

fn draw_line(scene: &mut Scene, axes: &Axes, i: usize, count: usize, line: &Line) {
    // Lines of different methods meet at the same x: their error bars stand side by side.
    let shift = (i as f64 - (count as f64 - 1.0) / 2.0) * (28.0 / count as f64).min(5.0);
    let at = |p: &LinePoint| (axes.x(p.x) + shift, axes.y(p.y));
    for point in &line.points {
        if let Some([low, high]) = point.interval {
            let (x, _) = at(point);
            let (top, bottom) = (axes.y(high), axes.y(low));
            scene.fill(Rect::new(x - 0.5, top, 1.0, (bottom - top).max(0.0)), color(i));
        }
    }
    let points: Vec<(f64, f64)> = line.points.iter().map(at).collect();
    if points.len() > 1 {
        stroke(scene, &points, i);
    }
    points.into_iter().for_each(|point| marker(scene, point, i));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta<'a>() -> LinesCaption<'a> {
        LinesCaption {
            title: "t",
            subtitle: "s",
            x_label: "budget (tokens per head)",
            y_label: "accuracy",
            highest: 1.0,
            level: Some(("FullKV", 0.9)),
        }
    }

    #[test]
    fn equal_factors_are_equally_far_apart() {
        let plot = Rect::new(100.0, 80.0, 600.0, 400.0);
        let axes = Axes { plot, x: (16.0, 1024.0), highest: 1.0 };
        // 16, 64, 256, 1024: thirds of the axis. Half of the scale is half of its height.
        assert!((axes.x(64.0) - 300.0).abs() < 1e-9 && (axes.x(256.0) - 500.0).abs() < 1e-9);
        assert_eq!((axes.y(0.5), axes.y(7.0)), (280.0, 80.0));
        assert_eq!(Axes { x: (5.0, 5.0), ..axes }.x(5.0), 400.0);
    }

    #[test]
    fn every_line_is_named_and_every_x_has_a_tick() {
        let point = |x| LinePoint { x, y: 0.5, interval: Some([0.4, 0.6]) };
        let all = [
            Line { name: "snapkv", points: vec![point(16.0), point(64.0)] },
            Line { name: "headkv", points: vec![point(32.0)] },
        ];
        let scene = scene(&all, &meta()).unwrap();
        let texts: Vec<&str> = scene.texts().map(|t| t.content.as_str()).collect();
        for wanted in ["snapkv", "headkv", "16", "32", "64", "FullKV", "accuracy"] {
            assert!(texts.contains(&wanted), "{wanted} in {texts:?}");
        }
    }

    #[test]
    fn nothing_to_draw_or_no_numbers_are_bugs() {
        let nan = LinePoint { x: 1.0, y: f64::NAN, interval: None };
        let zero = LinePoint { x: 0.0, y: 1.0, interval: None };
        for points in [vec![], vec![nan], vec![zero]] {
            let line = Line { name: "a", points };
            assert_eq!(scene(&[line], &meta()).unwrap_err().exit_code(), 1);
        }
    }
}
