//! What every picture has around its data: header, ticks, number formats, the colour bar.

use super::colormap::ColorMap;
use super::font;
use super::scene::{AXIS, Align, GREY_INK, INK, Rect, Scene, Text};

/// Empty border of a picture, in points.
pub const MARGIN: f64 = 24.0;
/// Height of the header with title and subtitle, in points.
pub const HEADER: f64 = 80.0;
/// Em of tick labels and of values in cells.
pub const TICK_EM: f64 = 13.0;
/// Em of axis labels.
pub const LABEL_EM: f64 = 15.0;
/// Length of a tick mark.
pub const TICK: f64 = 5.0;
/// From the right edge of a map to its colour bar.
const BAR_GAP: f64 = 20.0;
/// Width of the colour bar.
const BAR: f64 = 20.0;
/// Room that a colour bar with its labels takes to the right of a map.
pub const BAR_ROOM: f64 = BAR_GAP + BAR + 90.0;

/// Title and subtitle from `x` on, not wider than `width`: shrunk, then with an ellipsis.
pub fn header(scene: &mut Scene, title: &str, subtitle: &str, x: f64, width: f64) {
    let (title, em) = font::fit(title, width, 22.0, 15.0);
    scene.text(Text::new(&title, x, MARGIN + 16.0, em, Align::Start));
    let (subtitle, em) = font::fit(subtitle, width, 14.0, 11.0);
    scene.text(Text::new(&subtitle, x, MARGIN + 40.0, em, Align::Start).color(GREY_INK));
}

/// The step between labelled columns (or rows): the smallest of 1, 2, 5, 10, 20, 50… times
/// (1, 2, 4, 8, 16… if `binary`) `pitch` that leaves `room` points for a label.
pub fn label_step(pitch: f64, room: f64, binary: bool) -> usize {
    let mut step = 1;
    let mut round = 0;
    while (step as f64) * pitch < room {
        step = if binary {
            step * 2
        } else {
            round += 1;
            [1, 2, 5][round % 3] * 10_usize.pow((round / 3) as u32)
        };
    }
    step
}

/// Round values from `low` to `high`: multiples of 1, 2 or 5 times a power of ten, about `wanted`
/// of them, together with the number of decimals they need.
pub fn round_values(low: f64, high: f64, wanted: f64) -> (Vec<f64>, usize) {
    let rough = (high - low) / wanted;
    let power = rough.log10().floor();
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * 10_f64.powf(power))
        .into_iter()
        .find(|s| *s >= rough * (1.0 - 1e-9))
        .unwrap_or(rough);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    ((first..=last).map(|i| i as f64 * step).collect(), decimals)
}

/// `value` with three significant digits and no trailing zeros: `0.943`, `1`, `0.0153`, `12.3`;
/// below 0.001 and from 100,000 on as `1.2e-5`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// How the values of a map whose largest is `high` are printed inside its cells.
pub fn cell_number(value: f64, high: f64) -> String {
    match high.abs() {
        h if h >= 100_000.0 => format!("{value:.0e}"),
        h if h >= 10.0 => format!("{value:.0}"),
        h if h >= 0.1 => format!("{value:.2}"),
        h if h >= 0.01 => format!("{value:.3}"),
        // A thousandth of the largest value has the colour of 0.
        h if value.abs() <= h / 1000.0 => "0".into(),
        _ => format!("{value:.0e}"),
    }
}

/// The colour bar of `map`, exactly as high as it, with both ends labelled and `label` beside it.
pub fn color_bar(
    scene: &mut Scene,
    map: Rect,
    colors: ColorMap,
    (low, high): (f64, f64),
    label: &str,
) {
    let bar = Rect::new(map.right() + BAR_GAP, map.y, BAR, map.height);
    // One strip per point of height, coloured by the value of its middle.
    let strips = bar.height.round() as usize;
    for i in 0..strips {
        let t = 1.0 - (i as f64 + 0.5) / strips as f64;
        let height = bar.height / strips as f64;
        let strip = Rect::new(bar.x, bar.y + i as f64 * height, bar.width, height);
        scene.fill(strip, colors.at(t));
    }
    scene.frame(outline(bar), 1.0, AXIS);

    let y_of = |v: f64| bar.bottom() - (v - low) / (high - low) * bar.height;
    let (between, decimals) = round_values(low, high, (bar.height / 60.0).clamp(2.0, 6.0));
    // The ends have their own labels: what comes too near to them gives way.
    let free = |v: f64| (y_of(v) - bar.y).min(bar.bottom() - y_of(v)) > 1.3 * TICK_EM;
    let mut ticks: Vec<(f64, String)> =
        between.into_iter().filter(|v| free(*v)).map(|v| (v, format!("{v:.decimals$}"))).collect();
    ticks.push((low, number(low)));
    ticks.push((high, number(high)));
    let widest = ticks.iter().map(|(_, t)| font::width(t, TICK_EM)).fold(0.0, f64::max);
    for (value, text) in ticks {
        let y = y_of(value);
        // The mark of an end lies inside the frame's height.
        let mark = (y - 0.5).clamp(bar.y, bar.bottom() - 1.0);
        scene.fill(Rect::new(bar.right() + 1.0, mark, TICK, 1.0), AXIS);
        let x = bar.right() + TICK + 5.0;
        scene.text(Text::centered(&text, x, y, TICK_EM, Align::Start));
    }
    let (label, em) = font::fit(label, map.height, LABEL_EM, 11.0);
    let (_, middle) = bar.center();
    let x = bar.right() + TICK + 5.0 + widest + 10.0 + font::CAP_EM * em;
    scene.text(Text::new(&label, x, middle, em, Align::Middle).upright());
}

/// The frame around `rect`: one point wide, just outside it.
pub fn outline(rect: Rect) -> Rect {
    rect.inset(-1.0)
}

/// Draws a sample of what a note explains into a square.
pub type Swatch<'a> = &'a dyn Fn(&mut Scene, Rect);

/// A note at the foot of a picture: a swatch drawn by `swatch` in the given square, then `text`.
/// Returns where the next note can begin.
pub fn note(scene: &mut Scene, x: f64, baseline: f64, text: &str, swatch: Option<Swatch>) -> f64 {
    const SIDE: f64 = 14.0;
    let mut at = x;
    if let Some(swatch) = swatch {
        let middle = baseline - font::CAP_EM * TICK_EM / 2.0;
        swatch(scene, Rect::new(x, (middle - SIDE / 2.0).round(), SIDE, SIDE));
        at += SIDE + 8.0;
    }
    scene.text(Text::new(text, at, baseline, TICK_EM, Align::Start).color(INK));
    at + font::width(text, TICK_EM) + 24.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_steps_are_round() {
        // A label needs 25 points; columns are 10 apart: 3 columns, so 4 or 5.
        assert_eq!(label_step(10.0, 25.0, true), 4);
        assert_eq!(label_step(10.0, 25.0, false), 5);
        assert_eq!(label_step(40.0, 25.0, true), 1);
        let steps: Vec<usize> = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
            .iter()
            .map(|room| label_step(1.0, *room, false))
            .collect();
        assert_eq!(steps, [1, 2, 5, 10, 20, 50, 100]);
    }

    #[test]
    fn round_values_are_multiples_of_1_2_5() {
        let (v, decimals) = round_values(0.0, 1.0, 5.0);
        assert_eq!(
            v.iter().map(|x| format!("{x:.decimals$}")).collect::<Vec<_>>(),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        // 0 to 0.0153 in about five: a step of 0.005 (0.002 would give eight).
        let (v, decimals) = round_values(0.0, 0.0153, 5.0);
        assert_eq!((v.len(), decimals), (4, 3));
        let (v, _) = round_values(-0.5, 0.5, 5.0);
        assert_eq!(v.len(), 5, "-0.4 -0.2 0 0.2 0.4");
    }

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.94274, "0.943"),
            (0.0153, "0.0153"),
            (12.345, "12.3"),
            (1234.0, "1234"),
            (100.0, "100"),
            (0.00012, "1.2e-4"),
            (-0.5, "-0.5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(cell_number(0.5, 1.0), "0.50");
        assert_eq!(cell_number(0.0, 0.0001), "0");
        assert_eq!(cell_number(0.00004, 0.0001), "4e-5");
        assert_eq!(cell_number(37.2, 99.0), "37");
        assert_eq!(cell_number(1388.0, 6208.0), "1388");
        assert_eq!(cell_number(250_000.0, 250_000.0), "2e5");
    }
}
