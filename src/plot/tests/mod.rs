//! The pictures as their readers see them: pixels of the decoded PNG, elements of the SVG, and the
//! places of all texts.

use super::colormap::{BLUE_RED, CIVIDIS, Rgb, VIRIDIS};
use super::scene::{Rect, Scene, Shape};
use super::*;
use crate::HeadMatrix;

mod charts;
mod signs;

const META: HeatmapCaption = HeatmapCaption {
    title: "inf — needle-llama",
    subtitle: "135 of 135 probes · lengths 256–2048 · mean per head",
    score_label: "inf (mean per head)",
    ends: None,
    difference: false,
};
const CURVE: CurveCaption =
    CurveCaption { title: "sorted head scores", subtitle: "135 probes", score_label: "score" };
const ANSWERS: DepthLengthCaption = DepthLengthCaption {
    title: "answers — needle-llama",
    subtitle: "gate rouge ≥ 0.5",
    value_label: "mean gate value",
    rows: RowAxis::Depths,
};

/// A decoded PNG.
pub(super) struct Pixels {
    width: u32,
    rgb: Vec<u8>,
}

impl Pixels {
    pub(super) fn of(picture: &Picture) -> Self {
        let mut reader = png::Decoder::new(&picture.png[..]).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        rgb.truncate(info.buffer_size());
        Self { width: info.width, rgb }
    }

    pub(super) fn at(&self, (x, y): (u32, u32)) -> Rgb {
        let i = (y as usize * self.width as usize + x as usize) * 3;
        [self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]]
    }
}

/// A smooth matrix with a few strong heads, `[layers, heads]`, the largest value `top`.
fn sample(layers: usize, heads: usize, top: f32) -> HeadMatrix {
    let values = (0..layers * heads).map(|i| {
        // A multiplicative hash: spread, repeatable, without a generator.
        let u = (i as u32 + 1).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32;
        top * u.powi(12)
    });
    HeadMatrix::new(layers, heads, values.collect()).unwrap()
}

/// Depths × lengths with one missing value.
fn answers(depths: usize, lengths: usize) -> Vec<DepthLengthCell> {
    let mut cells = Vec::new();
    for l in 0..lengths {
        for d in 0..depths {
            let depth = d as f64 / (depths - 1).max(1) as f64;
            let value = (1.0 - l as f64 / lengths as f64 * (1.0 - (depth - 0.5).abs())).max(0.0);
            let missing = depths * lengths > 1 && d == depths / 2 && l == lengths - 1;
            let value = (!missing).then_some(value);
            cells.push(DepthLengthCell { depth, length: 1024 * (l + 1), value, probes: 3 });
        }
    }
    cells
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

/// Every text lies inside the picture and on no other text.
pub(super) fn assert_legible(scene: &Scene) {
    let page = Rect::new(0.0, 0.0, scene.size.0.into(), scene.size.1.into());
    let texts: Vec<_> = scene.texts().map(|t| (t, t.bounds())).collect();
    assert!(texts.len() > 6, "only {} texts", texts.len());
    for (i, (text, b)) in texts.iter().enumerate() {
        assert!(text.em >= 10.0, "{text:?} is too small");
        let inside = b.x >= 8.0 && b.y >= 8.0 && b.right() <= page.width - 8.0;
        assert!(inside && b.bottom() <= page.height - 8.0, "{text:?} is cut off: {b:?}");
        for (other, o) in &texts[..i] {
            assert!(!overlap(b, o), "{text:?} covers {other:?}");
        }
    }
}

/// How often `needle` occurs.
fn count(text: &str, needle: &str) -> usize {
    text.matches(needle).count()
}

#[test]
fn each_pixel_has_the_colour_of_its_head() {
    // 3 layers x 4 heads; every value differs, so no swap or reversal of the axes can pass. Twelve
    // different values leave twelve different colours.
    let values: Vec<f32> = (0..12_u8).map(|i| f32::from(i) / 11.0).collect();
    let scores = HeadMatrix::new(3, 4, values).unwrap();
    let picture = head_heatmap(&scores, &META).unwrap();
    let pixels = Pixels::of(&picture);
    let mut seen = std::collections::HashSet::new();
    for layer in 0..3 {
        for head in 0..4 {
            // The value is printed in the middle: look beside it, a quarter of a cell higher.
            let (x, y) = head_heatmap::cell_center(3, 4, layer, head);
            let above = head_heatmap::cell_center(3, 4, layer, 0).1;
            let quarter = (head_heatmap::cell_center(3, 4, layer, 1).1 - above) / 4;
            let got = pixels.at((x, y - quarter));
            let expected = VIRIDIS.at(f64::from(scores.get(layer, head)));
            assert_eq!(got, expected, "layer {layer}, head {head}");
            seen.insert(got);
        }
    }
    assert_eq!(seen.len(), 12);
}

#[test]
fn one_hot_head_lies_right_of_layer_and_below_head_zero() {
    let mut values = vec![0.0; 32 * 16];
    values[20 * 16 + 3] = 0.7;
    let scores = HeadMatrix::new(32, 16, values).unwrap();
    let pixels = Pixels::of(&head_heatmap(&scores, &META).unwrap());
    for layer in 0..32 {
        for head in 0..16 {
            let at = head_heatmap::cell_center(32, 16, layer, head);
            let hot = (layer, head) == (20, 3);
            assert_eq!(pixels.at(at), VIRIDIS.at(if hot { 1.0 } else { 0.0 }), "{layer}-{head}");
        }
    }
    // Absolute directions: layers grow to the right, heads grow downwards.
    let (x, y) = head_heatmap::cell_center(32, 16, 0, 0);
    assert!(head_heatmap::cell_center(32, 16, 1, 0).0 > x);
    assert!(head_heatmap::cell_center(32, 16, 0, 1).1 > y);
}

#[test]
fn heatmaps_of_all_sizes_are_whole_and_legible() {
    for (layers, heads) in [(1, 1), (6, 8), (8, 6), (32, 32), (80, 64), (64, 2), (2, 96)] {
        let scores = sample(layers, heads, 0.9);
        let scene = head_heatmap::scene(&scores, &META).unwrap();
        assert_legible(&scene);
        assert!(scene.size.0 >= 900 && scene.size.1 >= 400);
        let grid = cells_of(&scene, layers * heads);
        assert_eq!(grid, layers * heads, "{layers} x {heads}");
    }
}

#[test]
fn the_largest_heatmap_is_drawn_pixel_for_pixel() {
    let scores = sample(128, 128, 1.0);
    let (scale, colors) = head_heatmap::scale(&scores, false);
    let scene = head_heatmap::scene(&scores, &META).unwrap();
    assert_legible(&scene);
    let picture = head_heatmap(&scores, &META).unwrap();
    let pixels = Pixels::of(&picture);
    for (layer, head) in [(0, 0), (127, 0), (0, 127), (127, 127), (64, 3)] {
        let at = head_heatmap::cell_center(128, 128, layer, head);
        let expected = colors.on_scale(scores.get(layer, head).into(), scale);
        assert_eq!(pixels.at(at), expected);
    }
}

/// Fills as large as the first one, which is the first cell.
fn cells_of(scene: &Scene, at_most: usize) -> usize {
    let fills: Vec<&Rect> = scene
        .shapes
        .iter()
        .filter_map(|s| match s {
            Shape::Fill(r, _) => Some(r),
            _ => None,
        })
        .collect();
    let first = fills[0];
    let cells = fills.iter().filter(|r| (r.width, r.height) == (first.width, first.height));
    cells.count().min(at_most + 1)
}

#[test]
fn the_svg_has_one_rectangle_per_fill_and_one_text_per_text() {
    let scores = sample(32, 32, 0.9);
    let scene = head_heatmap::scene(&scores, &META).unwrap();
    let svg = head_heatmap(&scores, &META).unwrap().svg;
    let fills = scene.shapes.iter().filter(|s| matches!(s, Shape::Fill(..))).count();
    // One more is the white page.
    assert_eq!(count(&svg, "<rect "), fills + 1);
    assert_eq!(count(&svg, "<text "), scene.texts().count());
    // 25 points are 100 quarter points: 1024 cells of the map.
    assert_eq!(count(&svg, "width=\"100\" height=\"100\""), 1024);
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
    for label in ["layer", "head", "inf (mean per head)", "outlined: ten highest heads"] {
        assert!(svg.contains(&format!(">\n{label}\n</text>")), "no {label}");
    }
}

#[test]
fn the_colour_bar_is_as_high_as_the_map_and_its_ends_are_labelled() {
    let scores = sample(32, 32, 0.943);
    let scene = head_heatmap::scene(&scores, &META).unwrap();
    let grid = grid::CellGrid::new(32, 32, grid::widest(&["31".into()]));
    let beyond = |r: &&Rect| r.x > grid.map.right() + 10.0 && r.width == 20.0;
    let strips: Vec<&Rect> = scene
        .shapes
        .iter()
        .filter_map(|s| match s {
            Shape::Fill(r, _) => Some(r),
            _ => None,
        })
        .filter(beyond)
        .collect();
    assert_eq!(strips.first().unwrap().y, grid.map.y);
    assert!((strips.last().unwrap().bottom() - grid.map.bottom()).abs() < 1e-9);
    let high = furniture::number(head_heatmap::scale(&scores, false).0.1);
    for (text, y) in [(high.as_str(), grid.map.y), ("0", grid.map.bottom())] {
        let found = scene.texts().find(|t| t.content == text && t.x > grid.map.right()).unwrap();
        let (_, middle) = found.bounds().center();
        assert!((middle - y).abs() < 4.0, "{text} at {middle}, not {y}");
    }
    // In the pixels: the bar's upper end has the colour of the largest value, the lower of 0.
    let pixels = Pixels::of(&head_heatmap(&scores, &META).unwrap());
    let pixel = |y: f64| pixels.at((strips[0].center().0 as u32 * PNG_SCALE, (y * 2.0) as u32));
    assert_eq!(pixel(grid.map.y + 0.5), VIRIDIS.at(1.0 - 0.5 / 800.0));
    assert_eq!(pixel(grid.map.bottom() - 0.5), VIRIDIS.at(0.5 / 800.0));
}

#[test]
fn hostile_titles_give_valid_documents() {
    let title = "<script>alert(\"x\")</script> & 'שלום' \u{202e}rtl \u{0}\u{1b}[31m\u{ffff} 模型";
    let meta = HeatmapCaption { title, subtitle: title, score_label: title, ..META };
    let scores = sample(6, 8, 1.0);
    let picture = head_heatmap(&scores, &meta).unwrap();
    for svg in [&picture.svg, &score_curve(&[(title, &scores)], &CURVE).unwrap().svg] {
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
        assert!(svg.contains("שלום"));
        assert!(svg.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{ffff}'));
        assert_well_formed(svg);
    }
    assert_legible(&head_heatmap::scene(&scores, &meta).unwrap());
}

/// Two maps make one picture, legible in both arrangements, each cell where its own map has it.
#[test]
fn a_pair_of_maps_is_beside_or_below() {
    for (layers, heads) in [(6, 8), (80, 64)] {
        let (a, b) = (sample(layers, heads, 1.0), sample(layers, heads, 0.2));
        let alone = head_heatmap::scene(&a, &META).unwrap();
        let both = head_heatmap::pair_scene([(&a, META), (&b, META)]).unwrap();
        let (width, height) = alone.size;
        let wide = layers == 80;
        let expected = if wide { (width, 2 * height) } else { (2 * width, height) };
        assert_eq!(both.size, expected);
        assert_legible(&both);
        let pixels = Pixels::of(&head_heatmap_pair([(&a, META), (&b, META)]).unwrap());
        let (x, y) = head_heatmap::cell_center(layers, heads, 1, 2);
        let y = if wide { y } else { y - 16 };
        let scale = PNG_SCALE;
        let second = if wide { (x, y + height * scale) } else { (x + width * scale, y) };
        assert_eq!(
            pixels.at((x, y)),
            VIRIDIS.on_scale(a.get(1, 2).into(), head_heatmap::scale(&a, false).0)
        );
        assert_eq!(
            pixels.at(second),
            VIRIDIS.on_scale(b.get(1, 2).into(), head_heatmap::scale(&b, false).0)
        );
    }
}

/// Tags close in order, every `&` begins one of XML's own entities, attributes are quoted.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a bare > in {text:?}");
        for entity in text.split('&').skip(1) {
            let known = ["lt;", "gt;", "amp;", "quot;", "apos;"];
            assert!(known.iter().any(|k| entity.starts_with(k)), "a bare & before {entity:?}");
        }
        let (tag, after) = after.split_once('>').expect("an open tag");
        assert_eq!(count(tag, "\"") % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing order");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left over: {open:?} {rest:?}");
}

#[test]
fn long_names_are_shortened_not_clipped() {
    let name = "an-organisation-with-a-long-name/".repeat(8);
    let meta = HeatmapCaption { title: &name, subtitle: &name, score_label: &name, ..META };
    assert_legible(&head_heatmap::scene(&sample(6, 8, 1.0), &meta).unwrap());
    assert_legible(&head_heatmap::scene(&sample(80, 64, 1.0), &meta).unwrap());
    let meta = DepthLengthCaption {
        title: &name,
        subtitle: &name,
        value_label: &name,
        rows: RowAxis::Depths,
    };
    assert_legible(&depth_length::scene(&answers(3, 4), &meta).unwrap());
    let meta = CurveCaption { title: &name, subtitle: &name, score_label: &name };
    let scores = sample(6, 8, 1.0);
    assert_legible(&curve::scene(&[(&name, &scores), ("b", &scores)], &meta).unwrap());
}

#[test]
fn equal_input_gives_equal_bytes_and_both_files() {
    let scores = sample(6, 8, 0.5);
    let picture = head_heatmap(&scores, &META).unwrap();
    assert_eq!(picture, head_heatmap(&scores, &META).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let paths = picture.clone().save(&dir.path().join("llama-3.1_inf")).unwrap();
    assert_eq!(paths[0].file_name().unwrap(), "llama-3.1_inf.png");
    assert_eq!(paths[1].file_name().unwrap(), "llama-3.1_inf.svg");
    assert_eq!(std::fs::read(&paths[0]).unwrap(), picture.png);
    assert_eq!(std::fs::read_to_string(&paths[1]).unwrap(), picture.svg);
    let e = picture.save(&dir.path().join("none").join("x")).unwrap_err();
    assert_eq!(e.exit_code(), 5);
}

#[test]
fn notdef_is_drawn_for_characters_that_the_font_lacks() {
    // Bitmaps show an empty box, never an error.
    let meta = HeatmapCaption { title: "模型 🦙", ..META };
    let with = Pixels::of(&head_heatmap(&sample(2, 2, 1.0), &meta).unwrap());
    let without = Pixels::of(
        &head_heatmap(&sample(2, 2, 1.0), &HeatmapCaption { title: "", ..META }).unwrap(),
    );
    assert!(with.rgb != without.rgb);
}
