//! Answer gates: whether the model answered, so that a probe may feed the scores.
//!
//! A head that attends to the needle while the model gives a wrong answer did not retrieve
//! anything. Each published score comes with a gate, a number for the answer and a threshold that
//! it must exceed; only probes that pass are accepted:
//!
//! | [`GateKind`] | value of an answer | passes | source |
//! |---|---|---|---|
//! | `rouge` | ROUGE-1 recall of the gold answer, stemmed | value > 0.5 | Retrieval_Head (Wu et al. 2024) |
//! | `f1` | token F1 | value > 0.5 | HeadKV-R2 (Fu et al. 2024) |
//! | `semantic` | cosine of sentence embeddings | value > 0.2 | DiliLazyKV |
//! | `exact` | 1 if the normalised texts are the same, else 0 | value = 1 | SQuAD's exact match |
//! | `label` | 1 if of the task's labels the answer names the gold ones, else 0 | value = 1 | BABILong (Kuratov et al. 2024), corrected |
//! | `none` | 1 if there is an answer, else 0 | always | |
//!
//! No gate knows whether a sentence is true; [`GateKind`] says what each lets through. An empty
//! answer has the value 0 under every gate.

pub mod onnxruntime;
pub mod semantic;

#[cfg(feature = "semantic")]
mod embedder;
#[cfg(feature = "semantic")]
mod model_folder;
#[cfg(feature = "semantic")]
mod runtime;
#[cfg(feature = "semantic")]
mod semantic_gate;

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::metrics::{babilong, exact, f1, normalize, rouge};
use crate::needle::ProbeText;
use std::fmt;
use std::str::FromStr;

use semantic::{EmbeddingIdentity, SemanticConfig};
#[cfg(feature = "semantic")]
use semantic_gate::open as open_semantic;

/// What an answer is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The right answer.
    pub gold: &'a str,
    /// What was asked.
    pub question: &'a str,
    /// All answers there are, for tasks that choose one of a few; else empty.
    pub labels: &'a [&'a str],
}

impl<'a> From<&'a ProbeText> for Expected<'a> {
    fn from(text: &'a ProbeText) -> Self {
        let labels = text.task().map_or(&[][..], |task| task.labels);
        Self { gold: text.answer(), question: text.question(), labels }
    }
}

/// Decides whether the answer of a probe counts.
pub trait AnswerGate: Send + Sync {
    /// The name on the command line and in records, e.g. `rouge`.
    fn name(&self) -> &str;

    /// What [`value`](Self::value) must exceed; for `exact` reach, for `none` nothing.
    fn threshold(&self) -> f64;

    /// Checks, without an answer, that one could pass or fail.
    ///
    /// # Errors
    /// [`Error::Data`] if nothing of `gold` is left for this gate to compare with.
    fn check(&self, expected: &Expected) -> Result<()>;

    /// How near `answer` is to the gold answer, 0 to 1; -1 to 1 for `semantic`. An answer that is
    /// empty or white space has 0.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::Model`] where an embedding model fails.
    fn value(&self, answer: &str, expected: &Expected) -> Result<f64>;

    /// Whether an answer with this value feeds the scores.
    fn passes(&self, value: f64) -> bool;

    /// The embeddings that are compared, if any are.
    fn embedding(&self) -> Option<&EmbeddingIdentity> {
        None
    }

    /// What an answer has to reach, in words: `gate rouge > 0.5`.
    fn rule(&self) -> String {
        match self.name() {
            name @ ("exact" | "label" | "none") => format!("gate {name}"),
            name => format!("gate {name} > {}", self.threshold()),
        }
    }
}

/// The gates by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateKind {
    /// ROUGE-1 recall with Porter stemming; threshold 0.5, strict.
    ///
    /// The share of the gold answer's words that the answer has, so that long answers are not
    /// punished. It does not catch a wrong value in a right sentence ("Tom started high school in
    /// 1999" against "… in 2020" has 5 of 6 words), a negation, another order of the words, or an
    /// answer that recites the whole haystack. It sees `a-z` and `0-9` only.
    Rouge,
    /// Token F1 of the normalised answers; threshold 0.5, strict.
    ///
    /// Words beyond the gold answer cost precision, so that rambling fails, and with it a right
    /// but long answer. It does not catch a wrong value in a right sentence, a negation or another
    /// order of the words either, and does not stem (`ride` and `rides` differ).
    F1,
    /// Cosine of sentence embeddings; threshold 0.2, strict. See [`semantic`].
    ///
    /// It lets answers in other words through. At 0.2 it only catches answers off the topic: not a
    /// wrong answer to the same question, not a negation. It does not see what is behind the first
    /// [`semantic::MAX_TOKENS`] tokens.
    Semantic,
    /// The same text but for case, ASCII punctuation, articles and white space.
    ///
    /// It lets nothing wrong through, but rejects every right answer in other words: for labels
    /// and single values.
    Exact,
    /// Of the task's labels the answer names exactly those of the gold answer; labels that the
    /// question names do not count.
    ///
    /// For stories alone. It catches every other label, but not a right one in a wrong sentence
    /// ("not the kitchen"). See [`babilong::corrected_correct`].
    Label,
    /// No gate: every probe counts, also wrong and empty answers.
    None,
}

impl GateKind {
    /// Every gate, in the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Rouge, Self::F1, Self::Semantic, Self::Exact, Self::Label, Self::None];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rouge => "rouge",
            Self::F1 => "f1",
            Self::Semantic => "semantic",
            Self::Exact => "exact",
            Self::Label => "label",
            Self::None => "none",
        }
    }

    /// One line for people: which answers pass.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rouge => "the answer has enough of the expected words, stemmed (ROUGE-1 recall)",
            Self::F1 => "enough words in common, and not many others (token F1)",
            Self::Semantic => "the sentence embeddings are alike (needs ONNX Runtime)",
            Self::Exact => "the same text but for case, punctuation, articles and white space",
            Self::Label => "the answer names the right one of the task's labels (stories)",
            Self::None => "every answer, right or wrong",
        }
    }

    /// The published threshold; `None` for gates that have none to choose.
    pub fn default_threshold(self) -> Option<f64> {
        match self {
            Self::Rouge | Self::F1 => Some(0.5),
            Self::Semantic => Some(semantic::DEFAULT_THRESHOLD),
            Self::Exact | Self::Label | Self::None => None,
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GateKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::usage("there is no such answer gate")
                .at("--gate")
                .got(format!("{name:?}"))
                .expected(format!("one of {}", Self::ALL.map(Self::name).join(", ")))
        })
    }
}

/// A gate that was asked for, without contradictions.
#[derive(Debug, Clone, PartialEq)]
pub struct GateConfig {
    /// Which.
    pub kind: GateKind,
    /// What the value must exceed; see [`AnswerGate::threshold`].
    pub threshold: f64,
    /// What `semantic` is made of; `None` for the others.
    pub semantic: Option<SemanticConfig>,
}

impl GateConfig {
    /// The gate of a kind; `threshold` overrides the published one.
    ///
    /// # Errors
    /// [`Error::Usage`] if the threshold is out of range (0 to 1, -1 to 1 for `semantic`, without
    /// the 1, which nothing exceeds), or if the gate has no threshold.
    pub fn new(kind: GateKind, threshold: Option<f64>) -> Result<Self> {
        let least = if kind == GateKind::Semantic { -1.0 } else { 0.0 };
        let threshold = match (kind.default_threshold(), threshold) {
            (None, Some(given)) => {
                return Err(Error::usage(format!("the gate \"{kind}\" has no threshold"))
                    .at("--gate-threshold")
                    .got(given)
                    .expected("no threshold")
                    .advice("leave --gate-threshold out, or choose --gate rouge, f1 or semantic"));
            }
            (Some(_), Some(given)) if !(least..1.0).contains(&given) => {
                let error = Error::usage("the gate's threshold is out of range")
                    .at("--gate-threshold")
                    .got(given)
                    .expected(format!(
                        "a number from {least} up to, but not, 1: answers must exceed it"
                    ));
                return Err(if given > 1.0 && given < 100.0 {
                    error.advice(format!("give a fraction, e.g. {} for {given} %", given / 100.0))
                } else {
                    error
                });
            }
            // Exact and label take the values 0 and 1; `none` compares with nothing.
            (default, given) => given.or(default).unwrap_or(match kind {
                GateKind::Exact | GateKind::Label => 1.0,
                _ => 0.0,
            }),
        };
        Ok(Self { kind, threshold, semantic: None })
    }

    /// Makes the gate; loads what it needs.
    ///
    /// # Errors
    /// [`Error::Model`] for what `semantic` needs and cannot load.
    pub fn open(&self) -> Result<Box<dyn AnswerGate>> {
        match (self.kind, &self.semantic) {
            (GateKind::Semantic, None) => {
                Err(Error::bug("the gate \"semantic\" is asked for without a model"))
            }
            (GateKind::Semantic, Some(config)) => open_semantic(config, self.threshold),
            _ => Ok(Box::new(WordGate { kind: self.kind, threshold: self.threshold })),
        }
    }
}

/// This build has no embeddings.
///
/// # Errors
/// Always, as [`semantic::supported`].
#[cfg(not(feature = "semantic"))]
fn open_semantic(_: &SemanticConfig, _: f64) -> Result<Box<dyn AnswerGate>> {
    semantic::supported()?;
    Err(Error::bug("a gate that is not built in was asked for"))
}

/// The gates of [`GateKind`] but `semantic`: pure functions of two strings.
#[derive(Debug)]
struct WordGate {
    kind: GateKind,
    threshold: f64,
}

impl AnswerGate for WordGate {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn check(&self, expected: &Expected) -> Result<()> {
        let Expected { gold, labels, .. } = *expected;
        let comparable = match self.kind {
            GateKind::Rouge => !rouge::tokens(gold).is_empty(),
            GateKind::F1 | GateKind::Exact => !normalize::normalize_answer(gold).is_empty(),
            GateKind::Label => {
                let known = |part: &str| labels.iter().any(|l| l.eq_ignore_ascii_case(part));
                known(gold) || gold.split(',').all(known)
            }
            GateKind::Semantic | GateKind::None => true,
        };
        if comparable {
            return Ok(());
        }
        let what = if self.kind == GateKind::Label { "label" } else { "word" };
        Err(Error::data(format!(
            "the gate \"{}\" finds no {what} in the gold answer, so that no answer could pass",
            self.kind
        ))
        .got(format!("{gold:?}"))
        .expected(match self.kind {
            GateKind::Rouge => "a word of the letters a-z or the digits 0-9",
            GateKind::Label => "an answer that is one of the task's labels",
            _ => "a word other than a, an and the",
        })
        .advice("choose another --gate, or change the answer that is expected"))
    }

    fn value(&self, answer: &str, expected: &Expected) -> Result<f64> {
        self.check(expected)?;
        if answer.trim().is_empty() {
            return Ok(0.0);
        }
        let Expected { gold, question, labels } = *expected;
        Ok(match self.kind {
            GateKind::Rouge => rouge::rouge_1(answer, gold).recall,
            GateKind::F1 => f1::token_f1(answer, gold).f1,
            GateKind::Exact => f64::from(u8::from(exact::exact_match(answer, gold))),
            GateKind::Label => {
                f64::from(u8::from(babilong::corrected_correct(answer, gold, question, labels)))
            }
            GateKind::None => 1.0,
            GateKind::Semantic => return Err(Error::bug("words do not judge meaning")),
        })
    }

    fn passes(&self, value: f64) -> bool {
        match self.kind {
            GateKind::Rouge | GateKind::F1 | GateKind::Semantic => value > self.threshold,
            GateKind::Exact | GateKind::Label => value >= self.threshold,
            GateKind::None => true,
        }
    }
}
