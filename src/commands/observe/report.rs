//! [`Observed`]: what was observed, for people, as JSON and as CSV.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::sinks::{HeadSinks, SinkSummary, by_share};
use super::view::HeadView;
use crate::plot::furniture::number;

/// How many heads are listed.
const LISTED: usize = 10;

/// What `headprof observe` tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observed {
    /// The model's name.
    pub model: String,
    /// SHA-256 of its weights.
    pub model_sha256: String,
    /// The file that was read; `None` = the bundled essays.
    pub context: Option<String>,
    /// Tokens read, `T`.
    pub tokens: usize,
    /// First tokens that count as sinks, `F`.
    pub sinks: usize,
    /// The norm of the values.
    pub value_norm: &'static str,
    /// The head that was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadSinks>,
    /// All heads in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<SinkSummary>,
    /// All heads, layer by layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadSinks>,
    /// The files written.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.context.as_deref().unwrap_or("the bundled essays");
        writeln!(f, "model     {}", self.model)?;
        writeln!(f, "context   {} tokens of {text}", self.tokens)?;
        writeln!(f, "sinks     {}", first_tokens(self.sinks))?;
        if let Some(head) = &self.head {
            writeln!(f, "head      {}-{}: {}", head.layer, head.head, self.in_words(head))?;
        }
        if let Some(summary) = &self.summary {
            self.write_table(f)?;
            writeln!(
                f,
                "\n{} of {} heads have more than 50 % of their attention on the sinks; in {} of \
                 these the sinks' {} norm, weighted by that attention, is below the median of all \
                 tokens",
                summary.on_sinks, summary.heads, summary.on_sinks_below_median, self.value_norm
            )?;
            let even = 100.0 * summary.even_share;
            writeln!(f, "(a head that looks at every token alike has {even:.1} % there)")?;
        }
        self.files.iter().try_for_each(|path| writeln!(f, "wrote     {}", path.display()))
    }
}

impl Observed {
    /// One head in half a line, also for its picture.
    pub(super) fn in_words(&self, head: &HeadSinks) -> String {
        let share = 100.0 * head.sink_share;
        let norm = match head.norm_ratio {
            Some(ratio) => format!("{ratio:.2} times the median"),
            None => format!("{}, the median 0", number(head.sink_norm)),
        };
        format!("{share:.1} % of the attention on the sinks, their {} norm {norm}", self.value_norm)
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let norm = self.value_norm;
        let (of_sinks, of_all) = (format!("{norm} sinks"), format!("{norm} all"));
        writeln!(
            f,
            "\n{:>7} {:>8} {:>11} {of_sinks:>11} {of_all:>11} {:>7} {:>10} {:>6}",
            "head", "KV head", "on sinks %", "ratio", "top token", "its %"
        )?;
        for row in by_share(&self.heads).iter().take(LISTED) {
            let head = format!("{}-{}", row.layer, row.head);
            let ratio = row.norm_ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
            writeln!(
                f,
                "{head:>7} {:>8} {:>11.1} {:>11.4} {:>11.4} {ratio:>7} {:>10} {:>6.1}",
                row.kv_head,
                100.0 * row.sink_share,
                row.sink_norm,
                row.median_norm,
                row.top_token,
                100.0 * row.top_share
            )?;
        }
        Ok(())
    }
}

/// The sinks in words.
pub(super) fn first_tokens(sinks: usize) -> String {
    match sinks {
        1 => "the first token".to_owned(),
        n => format!("the first {n} tokens"),
    }
}

/// One line per head, numbers in full.
pub(super) fn sinks_csv(heads: &[HeadSinks]) -> String {
    let mut text =
        "layer,head,kv_head,sink_share,sink_norm,median_norm,norm_ratio,top_token,top_share\n"
            .to_owned();
    for h in heads {
        let ratio = h.norm_ratio.map_or_else(String::new, |r| r.to_string());
        text.push_str(&format!(
            "{},{},{},{},{},{},{ratio},{},{}\n",
            h.layer,
            h.head,
            h.kv_head,
            h.sink_share,
            h.sink_norm,
            h.median_norm,
            h.top_token,
            h.top_share
        ));
    }
    text
}

/// One line per token of a head, numbers in full; `weighted` is empty where all products are 0.
pub(super) fn tokens_csv(ids: &[u32], view: &HeadView) -> String {
    let mut text = "position,id,attention,l1,l2,linf,weighted\n".to_owned();
    let [l1, l2, linf] = &view.norms;
    for (j, id) in ids.iter().enumerate() {
        let weighted = view.weighted.get(j).map_or_else(String::new, f64::to_string);
        text.push_str(&format!(
            "{j},{id},{},{},{},{},{weighted}\n",
            view.attention[j], l1[j], l2[j], linf[j]
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Observed {
        let head = |head, sink_share, sink_norm, median_norm, norm_ratio| HeadSinks {
            layer: 0,
            head,
            kv_head: 0,
            sink_share,
            sink_norm,
            median_norm,
            norm_ratio,
            top_token: 2,
            top_share: 0.5,
        };
        let heads = vec![head(0, 0.25, 3.0, 2.0, Some(1.5)), head(1, 0.75, 0.0, 0.0, None)];
        Observed {
            model: "m".into(),
            model_sha256: "0".into(),
            context: None,
            tokens: 64,
            sinks: 1,
            value_norm: "l2",
            head: Some(heads[0]),
            summary: Some(SinkSummary::new(&heads, 1, 64)),
            heads,
            files: vec!["a.csv".into()],
        }
    }

    #[test]
    fn the_table_is_sorted_and_the_file_is_not() {
        let observed = observed();
        let text = observed.to_string();
        let place = |head: &str| text.find(&format!("    {head} ")).expect(head);
        assert!(place("0-1") < place("0-0"), "{text}");
        for part in [
            "64 tokens of the bundled essays",
            "the first token\n",
            "head      0-0: 25.0 % of the attention",
            "1 of 2 heads have more than 50 %",
            "in 0 of these the sinks' l2 norm, weighted by that attention,",
            "wrote     a.csv",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let csv = sinks_csv(&observed.heads);
        let lines: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(lines, ["0,0,0,0.25,3,2,1.5,2,0.5", "0,1,0,0.75,0,0,,2,0.5"]);
    }

    #[test]
    fn a_head_without_a_ratio_is_described_too() {
        let observed = observed();
        let words = |head: &HeadSinks| observed.in_words(head);
        assert!(words(&observed.heads[0]).ends_with("their l2 norm 1.50 times the median"));
        let odd = HeadSinks { sink_norm: 4.25, ..observed.heads[1] };
        assert!(words(&odd).ends_with("their l2 norm 4.25, the median 0"));
    }

    #[test]
    fn a_line_per_token_with_nothing_where_there_are_no_shares() {
        let mut view = HeadView {
            attention: vec![0.5, 1.0],
            norms: [vec![3.0, 4.0], vec![2.0, 2.5], vec![1.0, 1.5]],
            weighted: vec![0.25, 0.75],
        };
        let lines = |view: &HeadView| -> Vec<String> {
            tokens_csv(&[7, 9], view).lines().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(lines(&view), ["0,7,0.5,3,2,1,0.25", "1,9,1,4,2.5,1.5,0.75"]);
        view.weighted.clear();
        assert_eq!(lines(&view), ["0,7,0.5,3,2,1,", "1,9,1,4,2.5,1.5,"]);
    }
}
