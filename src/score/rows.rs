//! Which rows of an observation count, and the mean of a number over them.

use super::{HeadStats, Observation, Reference, RowStats, ScoreOptions, ScoreRows};
use crate::error::{Error, Result};
use crate::heads::HeadMatrix;

/// The rows that `options` choose for a score that follows `reference`.
///
/// DiliLazyKV's code looks at every row but drops those that are longer than the prompt, that is,
/// all but row 0; its compat mode therefore uses row 0 whatever `options.rows` says.
fn chosen_rows<'a>(
    observation: &'a Observation,
    options: &ScoreOptions,
    reference: Reference,
) -> Result<&'a [RowStats]> {
    let first_row_only = reference == Reference::DililazyKv && options.compat.contains(reference);
    let rows = if first_row_only { ScoreRows::LastPrompt } else { options.rows };
    let answer = observation.answer_rows();
    let chosen = match rows {
        ScoreRows::LastPrompt => 0..1,
        ScoreRows::All => 0..answer,
        // A one-token answer leaves the stop token's row alone: better that than nothing.
        ScoreRows::Decode if answer == 1 => 1..observation.rows.len().min(2),
        ScoreRows::Decode => 1..answer,
    };
    if chosen.is_empty() {
        return Err(Error::evidence("an answer has no decode rows to score")
            .got(format!("{} generated token", observation.generated.len()))
            .expected("at least 2 generated tokens for the score rows \"decode\"")
            .advice("use --score-rows all"));
    }
    Ok(&observation.rows[chosen])
}

/// The mean over the chosen rows of `per_row(stats, keys)`, `[L, H]`; `keys` is the row's length.
pub(super) fn mean_over_rows(
    observation: &Observation,
    options: &ScoreOptions,
    reference: Reference,
    per_row: impl Fn(&HeadStats, usize) -> f64,
) -> Result<HeadMatrix> {
    observation.check()?;
    let rows = chosen_rows(observation, options, reference)?;
    let mean = |head: usize| {
        let sum: f64 = rows.iter().map(|row| per_row(&row.heads[head], row.keys)).sum();
        (sum / rows.len() as f64) as f32
    };
    let values = (0..observation.layers * observation.heads).map(mean).collect();
    HeadMatrix::new(observation.layers, observation.heads, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One head; the row of token `t` has `needle_mass = 10^t`.
    fn observation(rows: usize, stopped: bool) -> Observation {
        let row = |t: usize| RowStats {
            keys: 4 + t,
            heads: vec![HeadStats { needle_mass: 10f32.powi(t as i32), ..HeadStats::default() }],
        };
        Observation {
            layers: 1,
            heads: 1,
            prompt: vec![0; 4],
            needle: std::iter::once(1..3).collect(),
            generated: vec![7; rows],
            stopped,
            rows: (0..rows).map(row).collect(),
            top_k: 2,
            question: None,
            attribution: None,
        }
    }

    fn mean(o: &Observation, rows: ScoreRows, compat: &str) -> Result<f32> {
        let options = ScoreOptions { rows, compat: compat.parse().unwrap() };
        let matrix =
            mean_over_rows(o, &options, Reference::DililazyKv, |s, _| f64::from(s.needle_mass))?;
        Ok(matrix.get(0, 0))
    }

    #[test]
    fn the_stop_tokens_row_is_left_out() {
        let stopped = observation(4, true);
        assert_eq!(mean(&stopped, ScoreRows::LastPrompt, ""), Ok(1.0));
        assert_eq!(mean(&stopped, ScoreRows::Decode, ""), Ok(55.0));
        assert_eq!(mean(&stopped, ScoreRows::All, ""), Ok(37.0));
        let cut_off = observation(3, false);
        assert_eq!(mean(&cut_off, ScoreRows::Decode, ""), Ok(55.0));
        assert_eq!(mean(&cut_off, ScoreRows::All, ""), Ok(37.0));
    }

    #[test]
    fn the_stop_tokens_row_counts_where_it_is_all_there_is() {
        assert_eq!(mean(&observation(1, true), ScoreRows::All, ""), Ok(1.0));
        assert_eq!(mean(&observation(2, true), ScoreRows::Decode, ""), Ok(10.0));
        for stopped in [false, true] {
            let error = mean(&observation(1, stopped), ScoreRows::Decode, "").unwrap_err();
            assert_eq!(error.exit_code(), 6);
        }
    }

    #[test]
    fn dililazykv_looks_at_the_first_row_only() {
        for rows in [ScoreRows::LastPrompt, ScoreRows::Decode, ScoreRows::All] {
            assert_eq!(mean(&observation(4, true), rows, "dililazykv"), Ok(1.0));
        }
        assert_eq!(mean(&observation(4, true), ScoreRows::All, "retrieval-head"), Ok(37.0));
    }

    #[test]
    fn an_observation_that_contradicts_itself_is_a_bug() {
        type Change = fn(&mut Observation);
        let changes: [Change; 7] = [
            |o| o.rows.clear(),
            |o| o.generated.push(1),
            |o| o.heads = 2,
            |o| o.rows[1].keys = 3,
            |o| o.needle[0] = 2..2,
            |o| o.needle[0] = 2..5,
            |o| o.top_k = 0,
        ];
        for change in changes {
            let mut o = observation(3, false);
            assert!(o.check().is_ok());
            change(&mut o);
            assert_eq!(o.check().unwrap_err().exit_code(), 1, "{o:?}");
        }
    }
}
