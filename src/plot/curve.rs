//! The sorted head-score curve: how few heads carry a score. Rank on x, score on y, one line per
//! score.

use super::Picture;
use super::colormap::Rgb;
use super::font;
use super::furniture::{HEADER, LABEL_EM, MARGIN, TICK, TICK_EM, header, outline, round_values};
use super::scene::{AXIS, Align, Rect, Scene, Text};
use super::series::{LEGEND_ROW, SAMPLE, draw_legend, marker, stroke};
use crate::HeadMatrix;
use crate::error::{Error, Result};

/// Up to this many heads the axis is linear; above, a logarithmic one gives the few best heads,
/// which are the point of the picture, most of the room.
const LINEAR_UP_TO: usize = 16;

const PLOT: (f64, f64) = (640.0, 420.0);

/// The words of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurveCaption<'a> {
    /// What and whose: `head scores, sorted — needle-llama`.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: &'a str,
    /// Along y: `score (mean per head)`.
    pub score_label: &'a str,
}

/// Draws one line per `(name, [L, H])`: x = rank of the head (1 = best), y = its score, from 0 (or
/// the smallest value, if that is negative) to 1 or the largest value. More than 16 heads are
/// drawn over the logarithm of the rank.
///
/// # Errors
/// [`Error::Bug`] if there is no series, one has no heads, or the drawing fails.
pub fn score_curve(series: &[(&str, &HeadMatrix)], meta: &CurveCaption) -> Result<Picture> {
    Picture::of(&scene(series, meta)?)
}

/// From rank and score to points.
struct Axes {
    plot: Rect,
    ranks: usize,
    low: f64,
    high: f64,
}

impl Axes {
    fn logarithmic(&self) -> bool {
        self.ranks > LINEAR_UP_TO
    }

    fn x(&self, rank: usize) -> f64 {
        let t = match self.ranks {
            1 => 0.5,
            n if self.logarithmic() => (rank as f64).ln() / (n as f64).ln(),
            n => (rank - 1) as f64 / (n - 1) as f64,
        };
        self.plot.x + t * self.plot.width
    }

    fn y(&self, score: f64) -> f64 {
        self.plot.bottom() - (score - self.low) / (self.high - self.low) * self.plot.height
    }

    /// Ranks with a label: all, or on a logarithmic axis 1, 2 and 5 times the powers of
    /// ten.
    fn rank_ticks(&self) -> Vec<usize> {
        if !self.logarithmic() {
            return (1..=self.ranks).collect();
        }
        // Two labels a factor of two apart need some 45 points of the axis.
        let between: &[usize] = if self.ranks < 10_000 { &[1, 2, 5] } else { &[1] };
        let all = self.powers().flat_map(|p| between.iter().map(move |m| m * p));
        let mut ticks: Vec<usize> = all.filter(|&r| r <= self.ranks).collect();
        // The last rank too, where it is far enough from the label before it.
        if ticks.last().is_some_and(|&r| self.x(self.ranks) - self.x(r) > 45.0) {
            ticks.push(self.ranks);
        }
        ticks
    }

    /// The powers of ten among the ranks.
    fn powers(&self) -> impl Iterator<Item = usize> {
        let last = self.ranks;
        std::iter::successors(Some(1_usize), |r| r.checked_mul(10)).take_while(move |&r| r <= last)
    }
}

pub(super) fn scene(series: &[(&str, &HeadMatrix)], meta: &CurveCaption) -> Result<Scene> {
    let ranks = series.iter().map(|(_, m)| m.values().len()).max().unwrap_or(0);
    if ranks == 0 || series.iter().any(|(_, m)| m.values().is_empty()) {
        return Err(Error::bug("a score curve needs at least one series with at least one head"));
    }
    let all = || series.iter().flat_map(|(_, m)| m.values().iter().map(|&v| f64::from(v)));
    let (low, high) = (all().fold(0.0, f64::min), all().fold(1.0, f64::max));
    let (ticks, decimals) = round_values(low, high, 5.0);
    let tick_labels: Vec<String> = ticks.iter().map(|v| format!("{v:.decimals$}")).collect();

    let left = MARGIN + 48.0 + super::grid::widest(&tick_labels);
    let names = series.iter().map(|(n, _)| font::width(n, LABEL_EM)).fold(0.0, f64::max);
    let legend = names.clamp(100.0, 280.0);
    let plot = Rect::new(left, HEADER, PLOT.0, PLOT.1);
    let legend_x = plot.right() + 28.0;
    let width = (legend_x + SAMPLE + 10.0 + legend + MARGIN).ceil();
    let legend_rows = series.len() as f64 * LEGEND_ROW + MARGIN;
    let height = (plot.bottom() + 80.0).max(HEADER + legend_rows);
    let axes = Axes { plot, ranks, low, high };

    let mut scene = Scene::new(meta.title, width, height.max(600.0));
    header(&mut scene, meta.title, meta.subtitle, left, width - left - MARGIN);
    draw_axes(&mut scene, &axes, &ticks, &tick_labels, meta);
    for (i, (name, matrix)) in series.iter().enumerate() {
        draw_series(&mut scene, &axes, i, series.len(), matrix);
        draw_legend(&mut scene, (legend_x, legend), i, name);
    }
    Ok(scene)
}

fn draw_axes(
    scene: &mut Scene,
    axes: &Axes,
    ticks: &[f64],
    labels: &[String],
    meta: &CurveCaption,
) {
    const LIGHT: Rgb = [0xe2, 0xe2, 0xe2];
    let plot = axes.plot;
    for (value, label) in ticks.iter().zip(labels) {
        let y = axes.y(*value);
        scene.fill(Rect::new(plot.x, y - 0.5, plot.width, 1.0), LIGHT);
        scene.fill(Rect::new(plot.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
        scene.text(Text::centered(label, plot.x - TICK - 5.0, y, TICK_EM, Align::End));
    }
    let labelled = axes.rank_ticks();
    for &rank in &labelled {
        let x = axes.x(rank);
        scene.fill(Rect::new(x - 0.5, plot.y, 1.0, plot.height), LIGHT);
        scene.fill(Rect::new(x - 0.5, plot.bottom() + 1.0, 1.0, TICK), AXIS);
        let baseline = plot.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
        scene.text(Text::new(&rank.to_string(), x, baseline, TICK_EM, Align::Middle));
    }
    if axes.logarithmic() {
        for rank in axes.powers().flat_map(|p| (2..10).map(move |m| m * p)) {
            if rank <= axes.ranks {
                let mark = Rect::new(axes.x(rank) - 0.5, plot.bottom() + 1.0, 1.0, TICK / 2.0);
                scene.fill(mark, AXIS);
            }
        }
    }
    scene.frame(outline(plot), 1.0, AXIS);
    let (x, y) = plot.center();
    let kind = if axes.logarithmic() { ", logarithmic" } else { "" };
    let label = format!("head rank (1 = best of {}{kind})", axes.ranks);
    scene.text(Text::new(&label, x, plot.bottom() + 52.0, LABEL_EM, Align::Middle));
    let (label, em) = font::fit(meta.score_label, plot.height, LABEL_EM, 11.0);
    let left = plot.x - TICK - 5.0 - super::grid::widest(labels) - 14.0;
    scene.text(Text::new(&label, left, y, em, Align::Middle).upright());
}

fn draw_series(scene: &mut Scene, axes: &Axes, i: usize, count: usize, matrix: &HeadMatrix) {
    let mut sorted = matrix.values().to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let point = |rank: usize| (axes.x(rank), axes.y(f64::from(sorted[rank - 1])));
    // On a logarithmic axis thousands of ranks share the last points: one per half point is enough.
    let mut points = vec![point(1)];
    for rank in 2..=sorted.len() {
        let next = point(rank);
        if rank == sorted.len() || points.last().is_none_or(|last| next.0 - last.0 >= 0.5) {
            points.push(next);
        }
    }
    stroke(scene, &points, i);
    // Markers of different series stand at different places, so that they show where lines meet.
    const APART: f64 = 80.0;
    let mut due = axes.plot.x + APART * i as f64 / count as f64;
    for rank in 1..=sorted.len() {
        let at = point(rank);
        if at.0 >= due {
            marker(scene, at, i);
            due = at.0 + APART;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_scores_find_their_points() {
        let plot = Rect::new(100.0, 80.0, 640.0, 420.0);
        let few = Axes { plot, ranks: 5, low: 0.0, high: 1.0 };
        assert_eq!((few.x(1), few.x(3), few.x(5)), (100.0, 420.0, 740.0));
        assert_eq!((few.y(0.0), few.y(1.0)), (500.0, 80.0));
        // 1024 heads, logarithmic: rank 32 = sqrt(1024) is in the middle.
        let many = Axes { plot, ranks: 1024, low: 0.0, high: 1.0 };
        assert!((many.x(32) - 420.0).abs() < 1e-9);
        assert_eq!(many.rank_ticks(), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);
        assert_eq!(few.rank_ticks(), [1, 2, 3, 4, 5]);
        assert_eq!(Axes { ranks: 48, ..few }.rank_ticks(), [1, 2, 5, 10, 20, 48]);
    }
}
