//! A [`Scene`] drawn through plotters: SVG text and PNG bytes.
//!
//! plotters' backends know whole pixels only, so both draw on a finer grid: the SVG's `viewBox` is
//! in quarter points, and the PNG is drawn at four pixels per point and then averaged down to
//! two, which also smooths edges and places letters to half a pixel.

use super::colormap::Rgb;
use super::font;
use super::scene::{Align, Rect, Scene, Shape, Text};
use crate::error::{Error, Result};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, RGBColor, ShapeStyle, TextStyle};
use std::fmt::Display;

/// Pixels of a PNG per point: 2 for sharp letters on today's screens and in print.
pub const PNG_SCALE: u32 = 2;

/// Grid steps of the backends per point.
const FINE: u32 = 4;

/// Where a backend puts the letters of a text: plotters' two backends disagree.
struct Letters {
    /// plotters' font size of an em of 1.
    size: f64,
    /// How far below the anchor `VPos::Top` the baseline comes to lie, in ems.
    baseline: f64,
}

/// `plotters-svg` writes `font-size = size / 1.24` and `dy = 0.76em` for `VPos::Top`.
const SVG_LETTERS: Letters = Letters { size: 1.24, baseline: 0.76 };

/// plotters' `ab_glyph` fonts are `size` high per line and have the baseline at `size / 2`.
const BITMAP_LETTERS: Letters = Letters { size: font::LINE_EM, baseline: font::LINE_EM / 2.0 };

/// The picture as an SVG document.
///
/// # Errors
/// [`Error::Bug`] if the drawing fails; nothing outside the program is involved.
pub fn svg(scene: &Scene) -> Result<String> {
    let (width, height) = scene.size;
    let fine = (width * FINE, height * FINE);
    let mut body = String::new();
    draw(&mut SVGBackend::with_string(&mut body, fine), scene, &SVG_LETTERS)?;
    let (_, shapes) = body.split_once('>').ok_or_else(|| Error::bug("an SVG has no first tag"))?;
    // plotters states two defaults on every shape; without them the file is a third smaller. Texts
    // cannot contain these strings: their quotation marks are escaped.
    let shapes = shapes.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "");
    let title = escape(&scene.title);
    // Cells touch: without `crispEdges` a viewer that scales shows light seams between them.
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\">\n<title>{title}</title>\n\
         <style>rect{{shape-rendering:crispEdges}}</style>{shapes}",
        fine.0, fine.1
    ))
}

/// The picture as a PNG file, [`PNG_SCALE`] pixels per point.
///
/// # Errors
/// [`Error::Bug`] if the drawing or the encoding fails; nothing outside the program is involved.
pub fn png(scene: &Scene) -> Result<Vec<u8>> {
    let (width, height) = (scene.size.0 * PNG_SCALE, scene.size.1 * PNG_SCALE);
    let pixels = pixels(scene)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Flat areas and letters: half as large as with the encoder's own settings.
    encoder.set_compression(png::Compression::Default);
    encoder.set_filter(png::FilterType::Paeth);
    // 96 points per inch, as CSS has it; 39.37 inches per metre.
    let per_metre = (96.0 * f64::from(PNG_SCALE) * 39.370_08).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: per_metre,
        yppu: per_metre,
        unit: png::Unit::Meter,
    }));
    let failed = |e: png::EncodingError| Error::bug("a PNG could not be encoded").got(e);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// The pixels of the PNG, `[height, width, 3]`.
fn pixels(scene: &Scene) -> Result<Vec<u8>> {
    let (width, height) = (scene.size.0 * FINE, scene.size.1 * FINE);
    let mut fine = vec![255; width as usize * height as usize * 3];
    draw(&mut BitMapBackend::with_buffer(&mut fine, (width, height)), scene, &BITMAP_LETTERS)?;
    let step = (FINE / PNG_SCALE) as usize;
    let row = width as usize * 3;
    let mut coarse = Vec::with_capacity(fine.len() / (step * step));
    for band in fine.chunks_exact(row * step) {
        for x in (0..row).step_by(3 * step) {
            for channel in 0..3 {
                let mut sum = 0;
                for dy in 0..step {
                    for dx in 0..step {
                        sum += usize::from(band[dy * row + x + dx * 3 + channel]);
                    }
                }
                // A mean of bytes is a byte.
                coarse.push(((sum + step * step / 2) / (step * step)) as u8);
            }
        }
    }
    Ok(coarse)
}

fn draw<B: DrawingBackend>(backend: &mut B, scene: &Scene, letters: &Letters) -> Result<()> {
    let (width, height) = scene.size;
    fill(backend, &Rect::new(0.0, 0.0, f64::from(width), f64::from(height)), [255; 3])?;
    for shape in &scene.shapes {
        match shape {
            Shape::Fill(rect, color) => fill(backend, rect, *color)?,
            Shape::Line { points, width, color } => {
                let style = style(*color).stroke_width(grid(*width).max(1) as u32);
                drawn(backend.draw_path(points.iter().map(|&p| grid_point(p)), &style))?;
            }
            Shape::Polygon(points, color) => {
                let points = points.iter().map(|&p| grid_point(p));
                drawn(backend.fill_polygon(points, &style(*color)))?;
            }
            Shape::Text(text) => draw_text(backend, text, letters)?,
        }
    }
    drawn(backend.present())
}

fn drawn(result: std::result::Result<(), impl Display>) -> Result<()> {
    result.map_err(|e| Error::bug("a picture could not be drawn").got(e))
}

fn fill<B: DrawingBackend>(backend: &mut B, rect: &Rect, color: Rgb) -> Result<()> {
    let upper_left = grid_point((rect.x, rect.y));
    let lower_right = grid_point((rect.right(), rect.bottom()));
    drawn(backend.draw_rect(upper_left, lower_right, &style(color), true))
}

fn draw_text<B: DrawingBackend>(backend: &mut B, text: &Text, letters: &Letters) -> Result<()> {
    let horizontal = match text.align {
        Align::Start => HPos::Left,
        Align::Middle => HPos::Center,
        Align::End => HPos::Right,
    };
    // Even, so that half of it, which the bitmap backend uses, is a whole number.
    let size = (text.em * letters.size * f64::from(FINE) / 2.0).round() * 2.0;
    let rise = text.em * letters.baseline;
    let (turn, anchor) = if text.upright {
        (FontTransform::Rotate270, (text.x - rise, text.y))
    } else {
        (FontTransform::None, (text.x, text.y - rise))
    };
    let color = rgb(text.color);
    let style = TextStyle::from(font::font(size).transform(turn))
        .color(&color)
        .pos(Pos::new(horizontal, VPos::Top));
    drawn(backend.draw_text(&text.content, &style, grid_point(anchor)))
}

fn rgb([r, g, b]: Rgb) -> RGBColor {
    RGBColor(r, g, b)
}

fn style(color: Rgb) -> ShapeStyle {
    ShapeStyle::from(&rgb(color)).filled()
}

/// Points to grid steps.
fn grid(points: f64) -> i32 {
    (points * f64::from(FINE)).round() as i32
}

fn grid_point((x, y): (f64, f64)) -> (i32, i32) {
    (grid(x), grid(y))
}

/// `text` as the content of an XML element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
