//! A panel with one number per token: lines over the position, the sinks dotted.

use super::dot;
use super::log_scale::LogScale;
use crate::plot::font;
use crate::plot::furniture::{LABEL_EM, TICK, TICK_EM, outline, round_values};
use crate::plot::scene::{AXIS, Align, GREY_INK, Rect, Scene, Text};
use crate::plot::series;

/// The largest value over the smallest that is told apart.
const MOST: f64 = 1e6;
/// Room for dots between frame and lines.
const PAD: f64 = 8.0;
const LIGHT: [u8; 3] = [0xe2, 0xe2, 0xe2];
/// Points of a line per point of width; more tokens share them.
const POINTS: f64 = 2.0;
/// Length of a line's sample in the legend.
const SAMPLE: f64 = 20.0;

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenLine<'a> {
    /// Its name in the legend; none if it is empty.
    pub name: &'a str,
    /// Its colour.
    pub series: usize,
    /// Its width in points.
    pub width: f64,
    /// `[T]`, or nothing if there is nothing to draw.
    pub values: &'a [f64],
}

/// Lines over the same tokens.
#[derive(Debug, Clone)]
pub(super) struct TokenPanel<'a> {
    pub plot: Rect,
    pub title: &'a str,
    /// Along y.
    pub label: &'a str,
    /// The first so many tokens are dotted.
    pub sinks: usize,
    pub lines: Vec<TokenLine<'a>>,
}

impl TokenPanel<'_> {
    pub fn draw(&self, scene: &mut Scene) {
        let all = self.lines.iter().flat_map(|l| l.values.iter().copied());
        let scale = LogScale::of(all, MOST).with_room();
        self.draw_axes(scene, &scale);
        for line in &self.lines {
            // Piece by piece: where a line turns back sharply, the join of its edges is a long
            // spike.
            for piece in self.points(line.values, &scale).windows(2) {
                scene.line(piece.to_vec(), line.width, series::color(line.series));
            }
        }
        for line in &self.lines {
            for (j, value) in line.values.iter().take(self.sinks).enumerate() {
                dot(scene, self.point(j, *value, line.values.len(), &scale));
            }
        }
        scene.frame(outline(self.plot), 1.0, AXIS);
        let room = self.draw_legend(scene);
        let (title, em) = font::fit(self.title, room, LABEL_EM, 11.0);
        scene.text(Text::new(&title, self.plot.x, self.plot.y - 10.0, em, Align::Start));
        if self.lines.iter().all(|l| l.values.iter().all(|v| *v == 0.0)) {
            let (x, y) = self.plot.center();
            let text = Text::centered("every value is 0", x, y, LABEL_EM, Align::Middle);
            scene.text(text.color(GREY_INK));
        }
    }

    /// Where token `j` of `tokens` with `value` lies.
    fn point(&self, j: usize, value: f64, tokens: usize, scale: &LogScale) -> (f64, f64) {
        let along = j as f64 / (tokens.max(2) - 1) as f64;
        let x = self.plot.x + PAD + along * (self.plot.width - 2.0 * PAD);
        (x, self.plot.bottom() - scale.part(value) * self.plot.height)
    }

    /// A line through `values`. Of tokens that share a point of the picture, the smallest and the
    /// largest.
    fn points(&self, values: &[f64], scale: &LogScale) -> Vec<(f64, f64)> {
        let most = (self.plot.width * POINTS) as usize;
        let share = values.len().div_ceil(most);
        let point = |j: usize| self.point(j, values[j], values.len(), scale);
        if share < 2 {
            return (0..values.len()).map(point).collect();
        }
        // Two points of each group, so that groups have twice as many tokens.
        let groups = (0..values.len()).step_by(2 * share);
        let mut points = Vec::new();
        for first in groups {
            let group = first..(first + 2 * share).min(values.len());
            let lower = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
            let (Some(low), Some(high)) = (group.clone().min_by(lower), group.max_by(lower)) else {
                continue;
            };
            points.extend([low.min(high), low.max(high)].map(point));
        }
        points
    }

    fn draw_axes(&self, scene: &mut Scene, scale: &LogScale) {
        let plot = self.plot;
        let mut widest = 0.0_f64;
        for (value, text) in scale.ticks() {
            let y = plot.bottom() - scale.part(value) * plot.height;
            widest = widest.max(font::width(&text, TICK_EM));
            scene.fill(Rect::new(plot.x, y - 0.5, plot.width, 1.0), LIGHT);
            scene.fill(Rect::new(plot.x - 1.0 - TICK, y - 0.5, TICK, 1.0), AXIS);
            scene.text(Text::centered(&text, plot.x - TICK - 5.0, y, TICK_EM, Align::End));
        }
        let tokens = self.lines.iter().map(|l| l.values.len()).max().unwrap_or(0);
        let (positions, _) = round_values(0.0, (tokens.max(2) - 1) as f64, 5.0);
        for position in positions.into_iter().filter(|p| p.fract() == 0.0) {
            let (x, _) = self.point(position as usize, 0.0, tokens, scale);
            scene.fill(Rect::new(x - 0.5, plot.bottom() + 1.0, 1.0, TICK), AXIS);
            let baseline = plot.bottom() + TICK + 5.0 + font::CAP_EM * TICK_EM;
            let text = format!("{position:.0}");
            scene.text(Text::new(&text, x, baseline, TICK_EM, Align::Middle));
        }
        let (x, y) = plot.center();
        scene.text(Text::new("position", x, plot.bottom() + 47.0, LABEL_EM, Align::Middle));
        let (label, em) = font::fit(self.label, plot.height, LABEL_EM, 10.0);
        let left = plot.x - TICK - 5.0 - widest - 12.0;
        scene.text(Text::new(&label, left, y, em, Align::Middle).upright());
    }

    /// Names the lines at the right end of the title's row; returns the room that the title has.
    fn draw_legend(&self, scene: &mut Scene) -> f64 {
        let mut x = self.plot.right();
        let baseline = self.plot.y - 10.0;
        for line in self.lines.iter().rev().filter(|l| !l.name.is_empty()) {
            scene.text(Text::new(line.name, x, baseline, TICK_EM, Align::End));
            x -= font::width(line.name, TICK_EM) + 6.0;
            let y = baseline - font::CAP_EM * TICK_EM / 2.0;
            scene.line(
                vec![(x - SAMPLE, y), (x, y)],
                line.width.max(2.4),
                series::color(line.series),
            );
            x -= SAMPLE + 14.0;
        }
        x - self.plot.x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tokens_keep_their_extremes() {
        let plot = Rect::new(0.0, 0.0, 100.0, 50.0);
        let panel = TokenPanel { plot, title: "", label: "", sinks: 0, lines: vec![] };
        let scale = LogScale { low: 0.1, high: 10.0 };
        let mut values = vec![1.0; 10_000];
        (values[5003], values[9999]) = (10.0, 0.1);
        let points = panel.points(&values, &scale);
        // 200 points for 10,000 tokens: 50 tokens to a point.
        assert!(points.len() <= 200, "{}", points.len());
        let (low, high) =
            points.iter().fold((0.0, 50.0), |(l, h): (f64, f64), p| (l.max(p.1), h.min(p.1)));
        assert_eq!((low, high), (50.0, 0.0));
        assert!(points.windows(2).all(|w| w[1].0 >= w[0].0));
        let few = panel.points(&values[..200], &scale);
        assert_eq!((few.len(), few[0].0, few[199].0), (200, PAD, 100.0 - PAD));
    }
}
