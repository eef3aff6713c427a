//! How the series of a line plot are told apart: colour, dashes, markers, legend.

use super::colormap::Rgb;
use super::font;
use super::furniture::{HEADER, LABEL_EM};
use super::scene::{Align, Scene, Shape, Text};

/// Okabe and Ito's palette (2008, <https://jfly.uni-koeln.de/color/>) without its yellow, which is
/// too light for lines on white.
const COLORS: [Rgb; 7] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0x00, 0x00, 0x00],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
];

/// Lengths of dash and gap in turn, in points; colours and dashes have coprime counts, so that 35
/// lines differ.
const DASHES: [&[f64]; 5] = [&[], &[10.0, 5.0], &[2.5, 3.5], &[12.0, 4.0, 2.5, 4.0], &[18.0, 5.0]];

/// Width of a line, in points.
const LINE: f64 = 2.0;
/// Length of a line's sample in the legend.
pub const SAMPLE: f64 = 44.0;
/// Height of a row of the legend.
pub const LEGEND_ROW: f64 = 28.0;

/// The colour of series `i`.
pub fn color(i: usize) -> Rgb {
    COLORS[i % COLORS.len()]
}

/// Series `i` in a legend that begins at `x` under the header and has `room` points for `name`.
pub fn draw_legend(scene: &mut Scene, (x, room): (f64, f64), i: usize, name: &str) {
    let y = HEADER + 14.0 + i as f64 * LEGEND_ROW;
    stroke(scene, &[(x, y), (x + SAMPLE, y)], i);
    marker(scene, (x + SAMPLE / 2.0, y), i);
    let (name, em) = font::fit(name, room, LABEL_EM, 11.0);
    scene.text(Text::centered(&name, x + SAMPLE + 10.0, y, em, Align::Start));
}

/// Draws the line of series `i` with its colour and dashes.
pub fn stroke(scene: &mut Scene, points: &[(f64, f64)], i: usize) {
    for dash in dashes(points, DASHES[i % DASHES.len()]) {
        scene.line(dash, LINE, COLORS[i % COLORS.len()]);
    }
}

/// Cuts a line into dashes: `pattern` is the length of a dash, a gap, a dash…; empty: no cuts.
fn dashes(points: &[(f64, f64)], pattern: &[f64]) -> Vec<Vec<(f64, f64)>> {
    if pattern.is_empty() || points.len() < 2 {
        return vec![points.to_vec()];
    }
    let mut done = Vec::new();
    let mut dash = vec![points[0]];
    let (mut part, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut walked = 0.0;
        while length - walked > left {
            walked += left;
            let t = walked / length;
            let cut = (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t);
            if part % 2 == 0 {
                dash.push(cut);
                done.push(std::mem::take(&mut dash));
            } else {
                dash = vec![cut];
            }
            part = (part + 1) % pattern.len();
            left = pattern[part];
        }
        left -= length - walked;
        if part % 2 == 0 {
            dash.push(to);
        }
    }
    if dash.len() > 1 {
        done.push(dash);
    }
    done
}

/// The mark of series `i`: a disc, square, triangle, diamond or triangle on its tip.
pub fn marker(scene: &mut Scene, (x, y): (f64, f64), i: usize) {
    let corners = |angles: &[f64], radius: f64| -> Vec<(f64, f64)> {
        let corner = |a: &f64| {
            let (sin, cos) = a.to_radians().sin_cos();
            (x + radius * cos, y + radius * sin)
        };
        angles.iter().map(corner).collect()
    };
    let shape = match i % 5 {
        0 => corners(&(0..24).map(|k| f64::from(k) * 15.0).collect::<Vec<_>>(), 5.0),
        1 => corners(&[45.0, 135.0, 225.0, 315.0], 6.0),
        2 => corners(&[-90.0, 30.0, 150.0], 6.5),
        3 => corners(&[0.0, 90.0, 180.0, 270.0], 6.5),
        _ => corners(&[90.0, 210.0, 330.0], 6.5),
    };
    scene.shapes.push(Shape::Polygon(shape, COLORS[i % COLORS.len()]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_walk_around_corners() {
        // A path of 3 to the right and 3 down, dashes of 2, gaps of 1: 0-2 drawn, 2-3 gap, 3-5
        // drawn, 5-6 gap.
        let path = [(0.0, 0.0), (3.0, 0.0), (3.0, 3.0)];
        let got = dashes(&path, &[2.0, 1.0]);
        assert_eq!(got.len(), 2, "{got:?}");
        assert_eq!(got[0], [(0.0, 0.0), (2.0, 0.0)]);
        assert_eq!((got[1][0], *got[1].last().unwrap()), ((3.0, 0.0), (3.0, 2.0)));
        assert_eq!(dashes(&path, &[]), [path.to_vec()]);
    }
}
