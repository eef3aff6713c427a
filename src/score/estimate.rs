//! [`Estimate`]: a mean with its interval, and how tables show it.

use serde::Serialize;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the prompts.
    pub mean: f64,
    /// The interval `[low, high]`; `None` for a single prompt, which says nothing about that.
    pub interval_95: Option<[f64; 2]>,
}

impl Estimate {
    /// The interval cut to what the quantity can be.
    pub fn within(self, lowest: f64, highest: f64) -> Self {
        let cut = |ends: [f64; 2]| ends.map(|end| end.clamp(lowest, highest));
        Self { interval_95: self.interval_95.map(cut), ..self }
    }

    /// `1.25 [0.50, 2.00]`, with so many decimals.
    pub fn text(self, decimals: usize) -> String {
        let interval = self.interval_95.map_or_else(String::new, |[low, high]| {
            format!(" [{low:.decimals$}, {high:.decimals$}]")
        });
        format!("{:.decimals$}{interval}", self.mean)
    }

    /// A share in percent: `87.5 [81.0, 93.1]`.
    pub fn percent(self) -> String {
        self.times(100.0).text(1)
    }

    /// A difference of shares in points: `-12.5 [-20.0, -5.1]`.
    pub fn points(self) -> String {
        let Self { mean, interval_95 } = self.times(100.0);
        let interval =
            interval_95.map_or_else(String::new, |[low, high]| format!(" [{low:+.1}, {high:+.1}]"));
        format!("{mean:+.1}{interval}")
    }

    /// The same in short: `-12.5 *`, or `-12.5  ` where the interval contains 0.
    pub fn starred(self) -> String {
        let sure = self.interval_95.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
        format!("{:+.1} {}", 100.0 * self.mean, if sure { '*' } else { ' ' })
    }

    /// Three cells of a CSV: mean, low, high, in full; empty where there is none.
    pub fn cells(estimate: Option<Self>) -> [String; 3] {
        let interval = estimate.and_then(|e| e.interval_95);
        let [low, high] = interval.map_or([None, None], |ends| ends.map(Some));
        [estimate.map(|e| e.mean), low, high]
            .map(|value| value.map_or_else(String::new, |v| v.to_string()))
    }

    fn times(self, factor: f64) -> Self {
        let interval_95 = self.interval_95.map(|ends| ends.map(|end| factor * end));
        Self { mean: factor * self.mean, interval_95 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_by_hand() {
        let loss = Estimate { mean: -0.125, interval_95: Some([-0.2, -0.051]) };
        assert_eq!(loss.points(), "-12.5 [-20.0, -5.1]");
        assert_eq!(loss.starred(), "-12.5 *");
        assert_eq!(Estimate::cells(Some(loss)), ["-0.125", "-0.2", "-0.051"]);
        let share = Estimate { mean: 0.875, interval_95: Some([0.81, 1.02]) };
        assert_eq!(share.within(0.0, 1.0).percent(), "87.5 [81.0, 100.0]");
        let unsure = Estimate { mean: 0.05, interval_95: Some([-0.01, 0.11]) };
        assert_eq!(
            (unsure.starred(), unsure.text(2)),
            ("+5.0  ".into(), "0.05 [-0.01, 0.11]".into())
        );
        let alone = Estimate { mean: 0.5, interval_95: None };
        assert_eq!((alone.percent(), alone.points()), ("50.0".into(), "+50.0".into()));
        assert_eq!(Estimate::cells(Some(alone)), ["0.5", "", ""]);
        assert_eq!(Estimate::cells(None), ["", "", ""]);
    }
}
