//! [`Observed`]: what was observed, for people, as JSON and as CSV.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::sinks::{HeadSinks, SinkSummary, by_share};
use super::view::HeadView;

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
                 these the sinks' median {} norm is below that of all tokens",
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
            Some(ratio) => format!("{ratio:.2} times that of all tokens"),
            None => "0, as that of all tokens".to_owned(),
        };
        format!(
            "{share:.1} % of the attention on the sinks, their median {} norm {norm}",
            self.value_norm
        )
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let norm = self.value_norm;
        let (of_sinks, of_all) = (format!("{norm} sinks"), format!("{norm} all"));
        writeln!(
            f,
            "\n{:>7} {:>8} {:>11} {of_sinks:>11} {of_all:>11} {:>7}",
            "head", "KV head", "on sinks %", "ratio"
        )?;
        for row in by_share(&self.heads).iter().take(LISTED) {
            let head = format!("{}-{}", row.layer, row.head);
            let ratio = row.norm_ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
            writeln!(
                f,
                "{head:>7} {:>8} {:>11.1} {:>11.4} {:>11.4} {ratio:>7}",
                row.kv_head,
                100.0 * row.sink_share,
                row.sink_norm,
                row.median_norm
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
    let mut text = "layer,head,kv_head,sink_share,sink_norm,median_norm,norm_ratio\n".to_owned();
    for h in heads {
        let ratio = h.norm_ratio.map_or_else(String::new, |r| r.to_string());
        text.push_str(&format!(
            "{},{},{},{},{},{},{ratio}\n",
            h.layer, h.head, h.kv_head, h.sink_share, h.sink_norm, h.median_norm
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
