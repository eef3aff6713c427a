//! The axes of a plan: context lengths and depths, from the command line.

use std::iter::successors;

use crate::error::{Error, Result};

/// More context lengths than this is a slip of the keyboard.
const MOST_LENGTHS: usize = 10_000;

/// More tokens than this, in a context or in an answer, are a slip of the keyboard: no model is
/// made for them, and sums of such numbers cannot overflow.
pub const MOST_TOKENS: usize = 1 << 24;

/// One axis: ascending, every value once, not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid<T> {
    /// The values.
    pub values: Vec<T>,
    /// What the user should know: values that were given twice.
    pub notes: Vec<String>,
}

impl<T: PartialEq + PartialOrd + std::fmt::Display> Grid<T> {
    /// Sorts and merges values that can all be compared; `what` names the axis in the note.
    fn new(mut values: Vec<T>, what: &str) -> Self {
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let given = values.len();
        values.dedup();
        let notes = if values.len() < given {
            let list: Vec<String> = values.iter().map(T::to_string).collect();
            vec![format!(
                "{given} {what} given, {} of them different: {}",
                values.len(),
                list.join(", ")
            )]
        } else {
            Vec::new()
        };
        Self { values, notes }
    }
}

/// Context lengths in tokens: `512,1k..8k:1k` is 512 and 1024, 2048, 3072, … 8192; `1k..8k` is
/// 1024, 2048, 4096, 8192. `k` is 1024; without a step a range doubles, and it includes its end
/// where that is hit.
///
/// # Errors
/// [`Error::Usage`] naming the part that is not a length, or is above [`MOST_TOKENS`].
pub fn parse_lengths(text: &str) -> Result<Grid<usize>> {
    let mut values = Vec::new();
    for part in items(text) {
        let bad = |what: &str| {
            Error::usage(format!("{what} in the context lengths"))
                .got(format!("{part:?}"))
                .expected(
                    "lengths such as 512 or 8k, ranges such as 1k..32k (doubling) or 1k..8k:1k",
                )
        };
        let length = |s: &str| {
            let what = "there is something that is not a number of tokens";
            let length = parse_length(s).ok_or_else(|| bad(what))?;
            check_tokens("--lengths", length)
        };
        let Some((from, rest)) = part.split_once("..") else {
            values.push(length(part)?);
            continue;
        };
        let (to, step) = match rest.split_once(':') {
            Some((to, step)) => (to, Some(length(step)?)),
            None => (rest, None),
        };
        let (from, to) = (length(from)?, length(to)?);
        if to < from {
            return Err(bad("a range ends before it begins"));
        }
        let Some(step) = step else {
            let double = |length: &usize| length.checked_mul(2);
            values.extend(successors(Some(from), double).take_while(|length| *length <= to));
            continue;
        };
        if (to - from) / step + values.len() >= MOST_LENGTHS {
            return Err(bad("there are too many values").advice("a larger step"));
        }
        values.extend((from..=to).step_by(step));
    }
    if values.is_empty() {
        return Err(Error::usage("there are no context lengths")
            .got(format!("{text:?}"))
            .expected("lengths such as 512,1k..8k:1k"));
    }
    Ok(Grid::new(values, "context lengths"))
}

/// `tokens`, if that is a number of tokens that a context or an answer can have.
///
/// # Errors
/// [`Error::Usage`] naming `option` if there are more than [`MOST_TOKENS`].
pub fn check_tokens(option: &str, tokens: usize) -> Result<usize> {
    if tokens <= MOST_TOKENS {
        return Ok(tokens);
    }
    Err(Error::usage("this is more tokens than any model takes")
        .at(option)
        .got(tokens)
        .expected(format!("at most {MOST_TOKENS} (16384k)")))
}

/// A number of tokens that is not 0; `2k` = 2048.
fn parse_length(text: &str) -> Option<usize> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => (text, 1),
    };
    // `parse` would take a plus sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<usize>().ok()?.checked_mul(factor).filter(|&n| n > 0)
}

/// `intervals` context lengths, evenly spaced from `min` to `max` and rounded half to even, as
/// `round(linspace(min, max, intervals))` of the references has them.
///
/// # Errors
/// [`Error::Usage`] if `min` is above `max`, `max` above [`MOST_TOKENS`], or `intervals` is 0 or
/// too large.
pub fn even_lengths(min: usize, max: usize, intervals: usize) -> Result<Grid<usize>> {
    if min > max {
        return Err(Error::usage("the smallest context length is above the largest")
            .at("--min-len, --max-len")
            .got(format!("{min} and {max}"))
            .expected("--min-len at most --max-len"));
    }
    if !(1..=MOST_LENGTHS).contains(&intervals) {
        return Err(Error::usage("this is not a number of context lengths")
            .at("--context-intervals")
            .got(intervals)
            .expected(format!("1 to {MOST_LENGTHS}")));
    }
    check_tokens("--max-len", max)?;
    let last = intervals - 1;
    let step = (max - min) as f64 / last.max(1) as f64;
    let value = |i: usize| match i {
        _ if last > 0 && i == last => max,
        _ => (min as f64 + i as f64 * step).round_ties_even() as usize,
    };
    Ok(Grid::new((0..intervals).map(value).collect(), "context lengths"))
}

/// Depths as fractions, separated by commas or spaces: `0.1,0.5,0.9`.
///
/// # Errors
/// [`Error::Usage`] naming the part that is not a fraction from 0 to 1.
pub fn parse_depths(text: &str) -> Result<Grid<f64>> {
    let mut values = Vec::new();
    for part in items(text) {
        let bad = || {
            Error::usage("a depth is not a fraction")
                .at("--depths")
                .got(format!("{part:?}"))
                .expected("fractions from 0 (start) to 1 (end), such as 0.1,0.5,0.9")
        };
        let number = part.strip_suffix('%').unwrap_or(part);
        let percent = part != number;
        let depth: f64 = number.parse().map_err(|_| bad())?;
        if !percent && (0.0..=1.0).contains(&depth) {
            // Of -0.0, which is in the range, this makes 0.0: the id of a probe is over the bits.
            values.push(depth.abs());
        } else if (2.0..=100.0).contains(&depth) || (percent && (0.0..2.0).contains(&depth)) {
            // Percent, as the references' own depths are.
            return Err(bad().advice(format!("did you mean {}?", depth / 100.0)));
        } else {
            return Err(bad());
        }
    }
    if values.is_empty() {
        return Err(Error::usage("there are no depths")
            .at("--depths")
            .got(format!("{text:?}"))
            .expected("fractions such as 0.1,0.5,0.9"));
    }
    Ok(Grid::new(values, "depths"))
}

/// Ten even depths, `i / 9`.
pub fn default_depths() -> Vec<f64> {
    (0..10).map(|i| f64::from(i) / 9.0).collect()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_numbers_and_ranges() {
        let k = 1024;
        let cases: [(&str, Vec<usize>); 8] = [
            ("512", vec![512]),
            ("512,1k..8k:1k", vec![512, k, 2 * k, 3 * k, 4 * k, 5 * k, 6 * k, 7 * k, 8 * k]),
            // The end is in only where a step hits it.
            ("1k..4k:2K", vec![k, 3 * k]),
            (" 300 , 100, ", vec![100, 300]),
            ("7..7:1", vec![7]),
            ("1k..8k", vec![k, 2 * k, 4 * k, 8 * k]),
            ("300..1000,7..7", vec![7, 300, 600]),
            ("100..1000:300", vec![100, 400, 700, 1000]),
        ];
        for (text, expected) in cases {
            let grid = parse_lengths(text).unwrap();
            assert_eq!(grid.values, expected, "{text}");
            assert!(grid.notes.is_empty());
        }
        let grid = parse_lengths("2k,1k..2k:512,1024").unwrap();
        assert_eq!(grid.values, [1024, 1536, 2048]);
        assert_eq!(grid.notes, ["5 context lengths given, 3 of them different: 1024, 1536, 2048"]);
    }

    #[test]
    fn bad_lengths_are_named() {
        for (text, says) in [
            ("", "there are no context lengths"),
            (" , ", "there are no context lengths"),
            ("512,abc", "\"abc\""),
            ("0", "\"0\""),
            ("-5", "\"-5\""),
            ("+5", "\"+5\""),
            ("1.5k", "\"1.5k\""),
            ("k", "\"k\""),
            ("99999999999999999999", "99999999999999999999"),
            ("18446744073709551615k", "18446744073709551615k"),
            ("1k..", "\"1k..\""),
            ("1k..8k:0", "1k..8k:0"),
            ("8k..1k:1k", "ends before it begins"),
            ("1..1000000:1", "too many"),
            ("1..16385k:1k", "at most 16777216"),
            ("..5:1", "..5:1"),
        ] {
            let e = parse_lengths(text).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(says), "{text}: {e}");
        }
    }

    #[test]
    fn lengths_beyond_any_model_are_refused() {
        assert_eq!(parse_lengths("16384k").unwrap().values, [MOST_TOKENS]);
        for text in ["16777217", "18446744073709551615", "1..18446744073709551615:1"] {
            let e = parse_lengths(text).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains("at most 16777216"), "{text}: {e}");
        }
    }

    #[test]
    fn even_lengths_round_half_to_even() {
        // 1 + 4 · i / 8: 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5; the halves go to 2, 2, 4, 4.
        let grid = even_lengths(1, 5, 9).unwrap();
        assert_eq!(grid.values, [1, 2, 3, 4, 5]);
        assert_eq!(grid.notes.len(), 1);
        assert_eq!(even_lengths(10, 15, 3).unwrap().values, [10, 12, 15]);
        assert_eq!(even_lengths(100, 900, 1).unwrap().values, [100]);
        assert_eq!(even_lengths(100, 900, 2).unwrap().values, [100, 900]);
        for (min, max, n, says) in [
            (9, 8, 3, "--min-len"),
            (1, 8, 0, "--context-intervals"),
            (1, 8, 1_000_000, "--context-intervals"),
            (1, usize::MAX, 3, "--max-len"),
        ] {
            let e = even_lengths(min, max, n).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(says), "{e}");
        }
    }

    #[test]
    fn depths_are_fractions() {
        assert_eq!(parse_depths("0.1,0.5,0.9").unwrap().values, [0.1, 0.5, 0.9]);
        assert_eq!(parse_depths("1 0, .25").unwrap().values, [0.0, 0.25, 1.0]);
        let grid = parse_depths("0.5,0.50,0.1,-0").unwrap();
        assert_eq!(grid.values, [0.0, 0.1, 0.5]);
        assert!(grid.values[0].is_sign_positive());
        assert_eq!(grid.notes, ["4 depths given, 3 of them different: 0, 0.1, 0.5"]);
    }

    #[test]
    fn bad_depths_are_named_with_a_hint() {
        for (text, says) in [
            ("50", "did you mean 0.5?"),
            ("0.5 90%", "did you mean 0.9?"),
            ("1.1", "\"1.1\""),
            ("-5%", "\"-5%\""),
            ("-0.1", "\"-0.1\""),
            ("NaN", "\"NaN\""),
            ("inf", "\"inf\""),
            ("half", "\"half\""),
            ("1000", "\"1000\""),
            ("", "there are no depths"),
            (",", "there are no depths"),
        ] {
            let e = parse_depths(text).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(says), "{text}: {e}");
        }
    }

    #[test]
    fn the_default_depths_are_ten_from_start_to_end() {
        let depths = default_depths();
        assert_eq!((depths.len(), depths[0], depths[9]), (10, 0.0, 1.0));
        assert!(depths.windows(2).all(|w| ((w[1] - w[0]) - 1.0 / 9.0).abs() < 1e-12));
    }

    /// The references' grids, without the values that they have twice.
    #[test]
    fn grid_goldens() {
        let Some([path]) = crate::goldens::find(["scores/grids.json"]) else { return };
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        // (key, minimum, maximum, intervals)
        let cases = [
            ("retrieval_head_default", 0, 50_000, 20),
            ("retrieval_head_1000_50000", 1000, 50_000, 20),
            ("headkv_0_10000_n5", 0, 10_000, 5),
            ("depth_10", 0, 100, 10),
            ("mask_script_1000_100000_n40", 1000, 100_000, 40),
            ("structure_default_2048_2048_3", 2048, 2048, 3),
            ("causality_1000_4096_3", 1000, 4096, 3),
            ("causality_depth_3", 0, 100, 3),
        ];
        for (key, min, max, n) in cases {
            let value = golden[key].get("lengths").unwrap_or(&golden[key]);
            let mut expected: Vec<usize> = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(expected.len(), n, "{key}");
            expected.dedup();
            assert_eq!(even_lengths(min, max, n).unwrap().values, expected, "{key}");
        }
        println!("grid goldens: {}", cases.len());
    }
}
