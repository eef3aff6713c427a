//! A picture as a value, before any file format: fills, lines, dots and texts in points.
//!
//! The origin is the upper left corner, y grows downwards, one point is one unit of the SVG and
//! [`super::PNG_SCALE`] pixels of the PNG. Shapes are drawn in order.

use super::colormap::Rgb;
use super::font;

/// Ink of titles and labels.
pub const INK: Rgb = [0x1a, 0x1a, 0x1a];
/// Secondary text: subtitles and notes. Contrast 7.0 on white.
pub const GREY_INK: Rgb = [0x59, 0x59, 0x59];
/// Frames and tick marks.
pub const AXIS: Rgb = [0x40, 0x40, 0x40];

/// A rectangle in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Rect {
    /// A rectangle from its upper left corner and its size.
    pub fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { x, y, width, height }
    }

    /// Right edge.
    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Lower edge.
    pub fn bottom(&self) -> f64 {
        self.y + self.height
    }

    /// Its middle, `(x, y)`.
    pub fn center(&self) -> (f64, f64) {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// This rectangle with every edge moved inwards by `d`.
    pub fn inset(&self, d: f64) -> Self {
        Self::new(self.x + d, self.y + d, self.width - 2.0 * d, self.height - 2.0 * d)
    }
}

/// Which point of a text its position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// The first letter.
    Start,
    /// The middle.
    Middle,
    /// The end of the last letter.
    End,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What it says, already [`font::printable`].
    pub content: String,
    /// Position along x, in points.
    pub x: f64,
    /// The baseline, in points.
    pub y: f64,
    /// Size of an em, in points.
    pub em: f64,
    /// Colour.
    pub color: Rgb,
    /// Which end `x` (or, if `upright`, `y`) is.
    pub align: Align,
    /// Reads from bottom to top: turned by 90 degrees to the left around `(x, y)`.
    pub upright: bool,
}

impl Text {
    /// A horizontal text in [`INK`] with its baseline at `y`.
    pub fn new(content: &str, x: f64, y: f64, em: f64, align: Align) -> Self {
        let content = font::printable(content);
        Self { content, x, y, em, color: INK, align, upright: false }
    }

    /// The same text with digits and capitals centred on `y` instead of standing on it.
    pub fn centered(content: &str, x: f64, y: f64, em: f64, align: Align) -> Self {
        Self::new(content, x, y + font::CAP_EM * em / 2.0, em, align)
    }

    /// In another colour.
    pub fn color(self, color: Rgb) -> Self {
        Self { color, ..self }
    }

    /// Turned so that it reads from bottom to top; the baseline is then at `x`.
    pub fn upright(self) -> Self {
        Self { upright: true, ..self }
    }

    /// The area that its letters can cover, in points.
    #[cfg(test)]
    pub fn bounds(&self) -> Rect {
        let length = font::width(&self.content, self.em);
        let (up, down) = (font::CAP_EM * self.em, font::DESCENT_EM * self.em);
        let before = match self.align {
            Align::Start => 0.0,
            Align::Middle => length / 2.0,
            Align::End => length,
        };
        if self.upright {
            // Turned left, "before" points down and "up" points left.
            Rect::new(self.x - up, self.y + before - length, up + down, length)
        } else {
            Rect::new(self.x - before, self.y - up, length, up + down)
        }
    }
}

/// One thing to draw.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A filled rectangle.
    Fill(Rect, Rgb),
    /// Straight lines through the points.
    Line {
        /// `(x, y)` in points.
        points: Vec<(f64, f64)>,
        /// Width in points.
        width: f64,
        /// Colour.
        color: Rgb,
    },
    /// A filled polygon.
    Polygon(Vec<(f64, f64)>, Rgb),
    /// A text.
    Text(Text),
}

/// A picture: its size in points and what is drawn on white.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Width and height in points.
    pub size: (u32, u32),
    /// The title, for those who cannot see the picture.
    pub title: String,
    /// What to draw, in order.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// An empty picture.
    pub fn new(title: &str, width: f64, height: f64) -> Self {
        let size = (width.ceil() as u32, height.ceil() as u32);
        Self { size, title: font::printable(title), shapes: Vec::new() }
    }

    /// Adds a filled rectangle.
    pub fn fill(&mut self, rect: Rect, color: Rgb) {
        self.shapes.push(Shape::Fill(rect, color));
    }

    /// Adds a frame of `width` points inside `rect`: four fills, sharp in every format.
    pub fn frame(&mut self, rect: Rect, width: f64, color: Rgb) {
        let Rect { x, y, .. } = rect;
        self.fill(Rect::new(x, y, rect.width, width), color);
        self.fill(Rect::new(x, rect.bottom() - width, rect.width, width), color);
        self.fill(Rect::new(x, y, width, rect.height), color);
        self.fill(Rect::new(rect.right() - width, y, width, rect.height), color);
    }

    /// Adds straight lines through `points`.
    pub fn line(&mut self, points: Vec<(f64, f64)>, width: f64, color: Rgb) {
        self.shapes.push(Shape::Line { points, width, color });
    }

    /// Adds a text.
    pub fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }

    /// Adds what another picture draws, moved by `(dx, dy)` points, and grows to hold it.
    pub fn put(&mut self, other: Scene, (dx, dy): (f64, f64)) {
        let (width, height) = (f64::from(other.size.0) + dx, f64::from(other.size.1) + dy);
        self.size = (self.size.0.max(width.ceil() as u32), self.size.1.max(height.ceil() as u32));
        let moved = |rect: Rect| Rect { x: rect.x + dx, y: rect.y + dy, ..rect };
        let all = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
            points.into_iter().map(|(x, y)| (x + dx, y + dy)).collect()
        };
        self.shapes.extend(other.shapes.into_iter().map(|shape| match shape {
            Shape::Fill(rect, color) => Shape::Fill(moved(rect), color),
            Shape::Line { points, width, color } => {
                Shape::Line { points: all(points), width, color }
            }
            Shape::Polygon(points, color) => Shape::Polygon(all(points), color),
            Shape::Text(text) => Shape::Text(Text { x: text.x + dx, y: text.y + dy, ..text }),
        }));
    }

    /// All texts.
    #[cfg(test)]
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.shapes.iter().filter_map(|s| match s {
            Shape::Text(t) => Some(t),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_a_text_follow_alignment_and_turning() {
        // "00" at an em of 20: 25.45 long, capitals 14.58 high, 4.72 below the baseline.
        let b = Text::new("00", 100.0, 50.0, 20.0, Align::End).bounds();
        assert!((b.right() - 100.0).abs() < 1e-9 && (b.width - 25.45).abs() < 0.05);
        assert!((b.y - (50.0 - 14.58)).abs() < 0.01 && (b.bottom() - 54.72).abs() < 0.01);
        // Upright from (100, 50): the text runs upwards from y = 50, its capitals point left.
        let b = Text::new("00", 100.0, 50.0, 20.0, Align::Start).upright().bounds();
        assert!((b.bottom() - 50.0).abs() < 1e-9 && (b.height - 25.45).abs() < 0.05);
        assert!((b.x - (100.0 - 14.58)).abs() < 0.01 && (b.right() - 104.72).abs() < 0.01);
    }

    #[test]
    fn a_frame_stays_inside_its_rectangle() {
        let mut scene = Scene::new("t", 10.0, 10.0);
        let rect = Rect::new(2.0, 3.0, 5.0, 4.0);
        scene.frame(rect, 1.0, INK);
        assert_eq!(scene.shapes.len(), 4);
        for s in &scene.shapes {
            let Shape::Fill(r, _) = s else { panic!("not a fill: {s:?}") };
            assert!(r.x >= rect.x && r.right() <= rect.right());
            assert!(r.y >= rect.y && r.bottom() <= rect.bottom());
        }
    }
}
