//! The one font of all pictures, part of the program: no fonts of the system are needed.
//!
//! A subset of DejaVu Sans (Latin, Greek, Cyrillic, dashes, arrows); `fonts/LICENSE-DejaVu.txt`
//! is its licence.

use plotters::style::{FontDesc, FontStyle, register_font};
use std::sync::Once;

/// What an SVG viewer looks for, in this order; also the name of the font inside the program.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Arial, sans-serif";

/// Height of the font's line (ascent - descent, `hhea` table: 1901 + 483) in ems of 2048 units:
/// the "size" of the bitmap backend is this height, not the em.
pub const LINE_EM: f64 = 2384.0 / 2048.0;

/// Height of a digit or capital in ems.
pub const CAP_EM: f64 = 1493.0 / 2048.0;

/// How far letters such as `g` reach below the baseline, in ems.
#[cfg(test)]
pub const DESCENT_EM: f64 = 483.0 / 2048.0;

static DEJAVU: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");

/// The font with lines of `size` pixels, in plotters' sense of a size.
pub fn font(size: f64) -> FontDesc<'static> {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // Should the bytes not be a font, drawing the first text returns plotters' error.
        let _ = register_font(FAMILY, FontStyle::Normal, DEJAVU);
    });
    FontDesc::from((FAMILY, size))
}

/// Width of `text` with an em of `em` points, in points.
///
/// Characters that the font does not have count as one em, the widest that a viewer's other fonts
/// usually have them.
pub fn width(text: &str, em: f64) -> f64 {
    // Layout boxes are whole numbers: measure at a large size for three digits.
    const UNITS: f64 = 1000.0;
    let known: String = text.chars().filter(|&c| has(c)).collect();
    let unknown = text.chars().count() - known.chars().count();
    // Without a font nothing can be drawn either, and that is where the error is reported.
    let ((left, _), (right, _)) = font(UNITS * LINE_EM).layout_box(&known).unwrap_or_default();
    (f64::from(right - left) / UNITS + unknown as f64) * em
}

/// Whether the subset has `c`: the ranges it was made with.
fn has(c: char) -> bool {
    matches!(c,
        ' '..='~' | '\u{a0}'..='\u{17f}' | '\u{384}'..='\u{3ce}' | '\u{400}'..='\u{45f}'
        | '\u{2010}'..='\u{2015}' | '\u{2018}'..='\u{201e}' | '\u{2020}'..='\u{2022}' | '\u{2026}'
        | '\u{2190}'..='\u{2195}' | '\u{2212}' | '\u{2248}' | '\u{2260}' | '\u{2264}' | '\u{2265}')
}

/// `text` made to fit into `max_width` points: first smaller, from `em` down to `min_em`, then with
/// an ellipsis in its middle (the ends of paths and model names say most). Returns text and em.
pub fn fit(text: &str, max_width: f64, em: f64, min_em: f64) -> (String, f64) {
    let text = printable(text);
    let natural = width(&text, em);
    if natural <= max_width {
        return (text, em);
    }
    // Rounded down to tenths, so that the font size is as wide as was computed or narrower.
    let smaller = (em * max_width / natural * 10.0).floor() / 10.0;
    if smaller >= min_em {
        return (text, smaller);
    }
    let chars: Vec<char> = text.chars().collect();
    let shortened = |keep: usize| -> String {
        let head = keep.div_ceil(2);
        let tail = &chars[chars.len() - (keep - head)..];
        chars[..head].iter().chain(['…'].iter()).chain(tail).collect()
    };
    let (mut fits, mut too_long) = (0, chars.len());
    while too_long - fits > 1 {
        let middle = fits.midpoint(too_long);
        if width(&shortened(middle), min_em) <= max_width {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    (shortened(fits), min_em)
}

/// `text` without what a picture cannot show and XML 1.0 forbids: control characters and line
/// breaks become spaces, the two noncharacters go.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_advance_of_the_font() {
        // DejaVu Sans: every digit is 1303 of 2048 units wide, so "00" at an em of 20 is
        // 2 * 1303 / 2048 * 20 = 25.449.
        assert!((width("00", 20.0) - 25.449).abs() < 0.05, "{}", width("00", 20.0));
        assert_eq!(width("", 20.0), 0.0);
        // Not in the font: one em each.
        assert!((width("頭注", 10.0) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn fits_by_shrinking_then_by_an_ellipsis() {
        let name = "meta-llama/Meta-Llama-3.1-405B-Instruct-a-very-long-suffix";
        assert_eq!(fit(name, 2000.0, 20.0, 14.0), (name.to_string(), 20.0));
        let full = width(name, 20.0);
        let (text, em) = fit(name, full * 0.8, 20.0, 14.0);
        assert!(text == name && (15.9..=16.0).contains(&em), "{text} {em}");
        let (text, em) = fit(name, full * 0.3, 20.0, 14.0);
        assert_eq!(em, 14.0);
        assert!(text.starts_with("meta") && text.ends_with("suffix") && text.contains('…'));
        assert!(width(&text, em) <= full * 0.3);
        // One more character would be too long: nothing is cut without need.
        assert!(width(&text, em) > full * 0.3 - 2.0 * 14.0);
        assert_eq!(fit("abc", 0.0, 20.0, 14.0).0, "…");
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{0}\u{ffff}"), "a [31m b ");
    }
}
