//! One head as VATP looks at it: its attention, the attention that each token receives, the lengths
//! of the values, and both together (Guo et al. 2024, <https://arxiv.org/abs/2406.12335>).
//!
//! ```text
//! attention, T x T in cells   │ attention that a token receives
//! norms of the values         │ attention x norm, as shares
//! ```
//!
//! Attention and norms span orders of magnitude, so that all scales are logarithmic.

mod log_scale;
mod map;
mod token_lines;

use super::Picture;
use super::furniture::{HEADER, MARGIN, header, note};
use super::scene::{Rect, Scene, Shape};
use super::series;
use crate::error::{Error, Result};
use token_lines::{TokenLine, TokenPanel};

/// Places of the panels: of the map, its square; the lines stand on the right of it and below.
const MAP: Rect = Rect { x: 100.0, y: HEADER + 28.0, width: 352.0, height: 352.0 };
const RIGHT: Rect = Rect { x: 676.0, y: MAP.y, width: 440.0, height: MAP.height };
const LOWER: Rect = Rect { x: MAP.x, y: MAP.y + MAP.height + 88.0, width: 440.0, height: 260.0 };
const LOWER_RIGHT: Rect = Rect { x: RIGHT.x, y: LOWER.y, width: RIGHT.width, height: LOWER.height };

/// The series of a line, by its meaning; vermilion, number 1, marks the sinks.
const ATTENTION: usize = 0;
const SINKS: usize = 1;
const NORMS: [usize; 3] = [4, 2, 3];
const WEIGHTED: usize = 4;
/// Attention where it is only there to compare with: light, wide and underneath.
const BESIDE: usize = 6;
const THIN: f64 = 1.2;
const WIDE: f64 = 3.6;

/// A head's attention in square cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapCells<'a> {
    /// Cells along a side.
    pub cells: usize,
    /// Tokens along a side of a cell.
    pub side: usize,
    /// `[cells, cells]`, row = queries; `None` where nothing is seen.
    pub means: &'a [Option<f64>],
}

/// What is drawn of a head; the numbers per token are `[T]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObservedHead<'a> {
    /// Its attention.
    pub map: MapCells<'a>,
    /// Attention that each token receives, mean over the queries that see it.
    pub attention: &'a [f64],
    /// Norms of the values, each with its name, from the largest to the smallest.
    pub norms: [(&'a str, &'a [f64]); 3],
    /// The name of attention times a norm, and the shares of it; empty if all products are 0.
    pub weighted: (&'a str, &'a [f64]),
    /// The first so many tokens are marked.
    pub sinks: usize,
}

/// The words of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObserveCaption<'a> {
    /// Which head of which model.
    pub title: &'a str,
    /// What it looked at.
    pub subtitle: &'a str,
}

/// Draws the four panels.
///
/// # Errors
/// [`Error::Bug`] if there are fewer than two tokens, the lengths do not fit each other, a number
/// is negative or not finite, or the drawing fails.
pub fn observed_head(head: &ObservedHead, meta: &ObserveCaption) -> Result<Picture> {
    Picture::of(&scene(head, meta)?)
}

fn scene(head: &ObservedHead, meta: &ObserveCaption) -> Result<Scene> {
    check(head)?;
    let width = RIGHT.right() + MARGIN;
    let mut scene = Scene::new(meta.title, width, LOWER.bottom() + 84.0 + MARGIN);
    header(&mut scene, meta.title, meta.subtitle, MAP.x, RIGHT.right() - MAP.x);

    map::draw(&mut scene, MAP, &head.map, head.attention.len(), head.sinks);
    let line = |name, series, values| TokenLine { name, series, width: THIN, values };
    let sinks = head.sinks;
    TokenPanel {
        plot: RIGHT,
        title: "attention that a token receives",
        label: "attention (mean over the queries that see it)",
        sinks,
        lines: vec![line("", ATTENTION, head.attention)],
    }
    .draw(&mut scene);
    TokenPanel {
        plot: LOWER,
        title: "length of its value",
        label: "norm of the value",
        sinks,
        lines: head.norms.iter().zip(NORMS).map(|((name, v), s)| line(*name, s, *v)).collect(),
    }
    .draw(&mut scene);

    let total: f64 = head.attention.iter().sum();
    let shares: Vec<f64> =
        head.attention.iter().map(|a| a / total.max(f64::MIN_POSITIVE)).collect();
    let (name, weighted) = head.weighted;
    TokenPanel {
        plot: LOWER_RIGHT,
        title: "both together",
        label: "share of the sum over all tokens",
        sinks,
        lines: vec![
            TokenLine { width: WIDE, ..line("attention", BESIDE, &shares) },
            line(name, WEIGHTED, weighted),
        ],
    }
    .draw(&mut scene);
    draw_notes(&mut scene, sinks);
    Ok(scene)
}

fn check(head: &ObservedHead) -> Result<()> {
    let tokens = head.attention.len();
    let cells = &head.map;
    let long = head.norms.iter().all(|(_, norm)| norm.len() == tokens)
        && [0, tokens].contains(&head.weighted.1.len())
        && cells.side > 0
        && cells.cells == tokens.div_ceil(cells.side)
        && cells.means.len() == cells.cells * cells.cells;
    let lines = head.norms.iter().flat_map(|(_, norm)| norm.iter());
    let lines = lines.chain(head.attention).chain(head.weighted.1).copied();
    let mut numbers = lines.chain(cells.means.iter().flatten().copied());
    match tokens > 1 && long && numbers.all(|v| v.is_finite() && v >= 0.0) {
        true => Ok(()),
        false => Err(Error::bug("a head cannot be drawn")
            .got(format!("{tokens} tokens, {} x {} cells", cells.cells, cells.cells))
            .expected("two tokens or more, a finite number of 0 or above for each")),
    }
}

fn draw_notes(scene: &mut Scene, sinks: usize) {
    let baseline = LOWER.bottom() + 84.0;
    let text = match sinks {
        1 => "the first token (sink)".to_owned(),
        n => format!("the first {n} tokens (sinks)"),
    };
    let x = note(
        scene,
        MAP.x,
        baseline,
        &text,
        Some(&|scene: &mut Scene, swatch: Rect| {
            dot(scene, swatch.center());
        }),
    );
    note(
        scene,
        x,
        baseline,
        "all scales are logarithmic; what is 0 is drawn at the lower end",
        None,
    );
}

/// The mark of a sink.
fn dot(scene: &mut Scene, (x, y): (f64, f64)) {
    const RADIUS: f64 = 3.5;
    let corner = |k: i32| {
        let (sin, cos) = (f64::from(k) * 22.5).to_radians().sin_cos();
        (x + RADIUS * cos, y + RADIUS * sin)
    };
    scene.shapes.push(Shape::Polygon((0..16).map(corner).collect(), series::color(SINKS)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::PNG_SCALE;
    use crate::plot::tests::{Pixels, assert_legible};

    /// A head of `tokens` tokens in cells of `side`: numbers that fall with the position.
    struct Sample {
        side: usize,
        means: Vec<Option<f64>>,
        attention: Vec<f64>,
        norms: [Vec<f64>; 3],
        weighted: Vec<f64>,
    }

    impl Sample {
        fn new(tokens: usize, side: usize, scale: f64) -> Self {
            let cells = tokens.div_ceil(side);
            let mean = |i: usize| {
                let (row, column) = (i / cells, i % cells);
                (column <= row).then(|| scale / (1.0 + (row - column) as f64 * 3.0))
            };
            let falling = |scale: f64| -> Vec<f64> {
                (0..tokens).map(|j| scale / (1 + j * j % 97) as f64).collect()
            };
            Self {
                side,
                means: (0..cells * cells).map(mean).collect(),
                attention: falling(scale),
                norms: [40.0, 3.0, 0.7].map(|s| falling(s * scale)),
                weighted: falling(if scale > 0.0 { 0.01 } else { 0.0 }),
            }
        }

        fn head(&self) -> ObservedHead<'_> {
            let [l1, l2, linf] = &self.norms;
            ObservedHead {
                map: MapCells {
                    cells: self.attention.len().div_ceil(self.side),
                    side: self.side,
                    means: &self.means,
                },
                attention: &self.attention,
                norms: [("l1", l1), ("l2", l2), ("linf", linf)],
                weighted: ("attention × l1", &self.weighted),
                sinks: 4,
            }
        }
    }

    const META: ObserveCaption =
        ObserveCaption { title: "layer 3, head 5 — needle-llama", subtitle: "512 tokens" };

    #[test]
    fn heads_of_all_lengths_and_sizes_are_legible() {
        for (tokens, side) in [(5, 1), (100, 1), (512, 4), (1000, 8), (16_000, 125)] {
            for scale in [0.0, 1e-6, 0.3, 1.0] {
                let sample = Sample::new(tokens, side, scale);
                assert_legible(&scene(&sample.head(), &META).unwrap());
            }
        }
        let long = "an-organisation-with-a-long-name/".repeat(8);
        let meta = ObserveCaption { title: &long, subtitle: &long };
        assert_legible(&scene(&Sample::new(512, 4, 1.0).head(), &meta).unwrap());
    }

    /// Values that jump up and down by orders of magnitude, token by token.
    #[test]
    fn sharp_turns_stay_inside_their_panels() {
        let mut sample = Sample::new(900, 8, 1.0);
        let jump = |(j, v): (usize, &mut f64)| *v = [1e-5, 1.0, 3e-3][j % 3];
        sample.attention.iter_mut().enumerate().for_each(jump);
        let pixels = Pixels::of(&observed_head(&sample.head(), &META).unwrap());
        // Between the titles of the lower panels and the axes above, where there is no text.
        let (left, right) = (RIGHT.x as u32 + 260, RIGHT.right() as u32);
        for y in [4, MAP.y as u32 - 24, RIGHT.bottom() as u32 + 56] {
            for x in left..right {
                let at = (x * PNG_SCALE, y * PNG_SCALE);
                assert_eq!(pixels.at(at), [255; 3], "{x}, {y}");
            }
        }
    }

    #[test]
    fn every_panel_names_what_it_shows() {
        let sample = Sample::new(512, 4, 1.0);
        let scene = scene(&sample.head(), &META).unwrap();
        let texts: Vec<&str> = scene.texts().map(|t| t.content.as_str()).collect();
        for wanted in [
            "attention, mean of 4 x 4 tokens",
            "attention that a token receives",
            "length of its value",
            "both together",
            "attention × l1",
            "linf",
            "the first 4 tokens (sinks)",
        ] {
            assert!(texts.contains(&wanted), "{wanted} in {texts:?}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_bugs() {
        let sample = Sample::new(8, 2, 1.0);
        let fails = |head: ObservedHead| {
            assert_eq!(scene(&head, &META).unwrap_err().exit_code(), 1);
        };
        let head = sample.head();
        fails(ObservedHead { attention: &head.attention[1..], ..head });
        fails(ObservedHead { map: MapCells { side: 3, ..head.map }, ..head });
        fails(ObservedHead { weighted: ("x", &[f64::NAN; 8]), ..head });
        fails(ObservedHead { weighted: ("x", &[-1.0; 8]), ..head });
        // Products that are all 0 are no shares.
        assert!(scene(&ObservedHead { weighted: ("x", &[]), ..head }, &META).is_ok());
    }

    #[test]
    fn one_dot_per_sink_and_line() {
        let sample = Sample::new(100, 1, 1.0);
        let dots = |sinks: usize| {
            let head = ObservedHead { sinks, ..sample.head() };
            let scene = scene(&head, &META).unwrap();
            let polygons = scene.shapes.iter().filter(|s| matches!(s, Shape::Polygon(..)));
            polygons.count()
        };
        // One line, three and two, and the note.
        assert_eq!((dots(1), dots(4)), (6 + 1, 4 * 6 + 1));
    }
}
