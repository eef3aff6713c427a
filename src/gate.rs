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
//! | `exact` | 1 if the normalised texts are the same, else 0 | value = 1 | SQuAD's exact match |
//! | `label` | 1 if of the task's labels the answer names the gold ones, else 0 | value = 1 | BABILong (Kuratov et al. 2024), corrected |
//! | `none` | 1 if there is an answer, else 0 | always | |
//!
//! No gate here knows what a sentence means; [`GateKind`] says what each lets through. An empty
//! answer has the value 0 under every gate.

use crate::error::{Error, Result};
use crate::needle::Needle;
use crate::text::{babilong, exact, f1, normalize, rouge};
use std::fmt;
use std::str::FromStr;

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

impl<'a> From<&'a Needle> for Expected<'a> {
    fn from(needle: &'a Needle) -> Self {
        let labels = needle.task().map_or(&[][..], |task| task.labels());
        Self { gold: &needle.answer, question: &needle.question, labels }
    }
}

/// Decides whether the answer of a probe counts.
pub trait AnswerGate {
    /// The name on the command line and in records, e.g. `rouge`.
    fn name(&self) -> &str;

    /// What [`value`](Self::value) must exceed; for `exact` reach, for `none` nothing.
    fn threshold(&self) -> f64;

    /// How near `answer` is to the gold answer, 0 to 1. An answer that is empty or white space has 0.
    ///
    /// Takes `&mut self` for gates that keep a model or a cache.
    ///
    /// # Errors
    /// [`Error::Data`] if nothing of `gold` is left for this gate to compare with, so that no
    /// answer could pass or fail.
    fn value(&mut self, answer: &str, expected: &Expected) -> Result<f64>;

    /// Whether an answer with this value feeds the scores.
    fn passes(&self, value: f64) -> bool;

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
    pub const ALL: [Self; 5] = [Self::Rouge, Self::F1, Self::Exact, Self::Label, Self::None];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rouge => "rouge",
            Self::F1 => "f1",
            Self::Exact => "exact",
            Self::Label => "label",
            Self::None => "none",
        }
    }

    /// The published threshold; `None` for gates that have none to choose.
    pub fn default_threshold(self) -> Option<f64> {
        match self {
            Self::Rouge | Self::F1 => Some(0.5),
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

/// The gate of a kind; `threshold` overrides the published one.
///
/// # Errors
/// [`Error::Usage`] if the threshold is not in `[0, 1)` (nothing exceeds 1), or if the gate has no
/// threshold.
pub fn build(kind: GateKind, threshold: Option<f64>) -> Result<Box<dyn AnswerGate>> {
    match (kind.default_threshold(), threshold) {
        (None, Some(given)) => Err(Error::usage(format!("the gate \"{kind}\" has no threshold"))
            .at("--gate-threshold")
            .got(given)
            .expected("no threshold")
            .advice("leave --gate-threshold out, or choose --gate rouge or --gate f1")),
        (Some(_), Some(given)) if !(0.0..1.0).contains(&given) => {
            let error = Error::usage("the gate's threshold is out of range")
                .at("--gate-threshold")
                .got(given)
                .expected("a number from 0 up to, but not, 1: answers must exceed it");
            Err(if given > 1.0 && given < 100.0 {
                error.advice(format!("give a fraction, e.g. {} for {given} %", given / 100.0))
            } else {
                error
            })
        }
        (default, given) => Ok(Box::new(WordGate {
            kind,
            // Exact and label take the values 0 and 1; `none` compares with nothing.
            threshold: given.or(default).unwrap_or(match kind {
                GateKind::Exact | GateKind::Label => 1.0,
                _ => 0.0,
            }),
        })),
    }
}

/// The gates of [`GateKind`]: pure functions of two strings.
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

    fn value(&mut self, answer: &str, expected: &Expected) -> Result<f64> {
        let Expected { gold, question, labels } = *expected;
        let comparable = match self.kind {
            GateKind::Rouge => !rouge::tokens(gold).is_empty(),
            GateKind::F1 | GateKind::Exact => !normalize::normalize_answer(gold).is_empty(),
            GateKind::Label => {
                let known = |part: &str| labels.iter().any(|l| l.eq_ignore_ascii_case(part));
                known(gold) || gold.split(',').all(known)
            }
            GateKind::None => true,
        };
        if !comparable {
            let what = if self.kind == GateKind::Label { "label" } else { "word" };
            return Err(Error::data(format!(
                "the gate \"{}\" finds no {what} in the gold answer, so that no answer could pass",
                self.kind
            ))
            .got(format!("{gold:?}"))
            .expected(match self.kind {
                GateKind::Rouge => "a word of the letters a-z or the digits 0-9",
                GateKind::Label => "an answer of one of bAbI's tasks",
                _ => "a word other than a, an and the",
            })
            .advice("choose another --gate, or change the answer that is expected"));
        }
        if answer.trim().is_empty() {
            return Ok(0.0);
        }
        Ok(match self.kind {
            GateKind::Rouge => rouge::rouge_1(answer, gold).recall,
            GateKind::F1 => f1::token_f1(answer, gold).f1,
            GateKind::Exact => f64::from(u8::from(exact::exact_match(answer, gold))),
            GateKind::Label => {
                f64::from(u8::from(babilong::corrected_correct(answer, gold, question, labels)))
            }
            GateKind::None => 1.0,
        })
    }

    fn passes(&self, value: f64) -> bool {
        match self.kind {
            GateKind::Rouge | GateKind::F1 => value > self.threshold,
            GateKind::Exact | GateKind::Label => value >= self.threshold,
            GateKind::None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(gold: &str) -> Expected<'_> {
        Expected { gold, question: "Where is Mary?", labels: &["garden", "kitchen", "office"] }
    }

    /// The value of an answer and whether it passes, with the default threshold.
    fn judge(kind: GateKind, answer: &str, gold: &str) -> (f64, bool) {
        let mut gate = build(kind, None).unwrap();
        let value = gate.value(answer, &expected(gold)).unwrap();
        (value, gate.passes(value))
    }

    #[test]
    fn names_round_trip() {
        for kind in GateKind::ALL {
            assert_eq!(kind.to_string().parse::<GateKind>().unwrap(), kind);
            assert_eq!(build(kind, None).unwrap().name(), kind.name());
        }
        let e = "ROUGE".parse::<GateKind>().unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("rouge, f1, exact, label, none"), "{e}");
    }

    #[test]
    fn rouge_is_recall_and_strict() {
        // 2 of 4 gold words: 0.5, not above it. 3 of 4: passes, whatever else is said.
        assert_eq!(judge(GateKind::Rouge, "red cat", "red cat blue dog"), (0.5, false));
        assert_eq!(
            judge(GateKind::Rouge, "red cats and a dog, too", "red cat blue dog"),
            (0.75, true)
        );
    }

    #[test]
    fn f1_counts_the_words_beyond_the_answer() {
        // 1 common of 1 and 3 words: 2 / 4, not above 0.5. 2 common of 2 and 3: 4 / 5.
        assert_eq!(judge(GateKind::F1, "red", "red cat blue"), (0.5, false));
        assert_eq!(judge(GateKind::F1, "the red cat", "red cat blue"), (0.8, true));
        // 1 common of 9 and 1: 2 / 10, where ROUGE recall is 1.
        let rambling = "one two three four five six seven eight kitchen";
        assert_eq!(judge(GateKind::F1, rambling, "kitchen"), (0.2, false));
        assert_eq!(judge(GateKind::Rouge, rambling, "kitchen"), (1.0, true));
    }

    #[test]
    fn exact_passes_the_same_words_only() {
        assert_eq!(judge(GateKind::Exact, " The kitchen.\n", "kitchen"), (1.0, true));
        assert_eq!(judge(GateKind::Exact, "in the kitchen", "kitchen"), (0.0, false));
    }

    #[test]
    fn labels_must_be_the_gold_ones_and_no_others() {
        assert_eq!(judge(GateKind::Label, "Mary went to the kitchen.", "kitchen"), (1.0, true));
        assert_eq!(judge(GateKind::Label, "the kitchen or the office", "kitchen"), (0.0, false));
        assert_eq!(judge(GateKind::Label, "the cellar", "kitchen"), (0.0, false));
    }

    /// What the documentation of [`GateKind`] says is let through.
    #[test]
    fn a_wrong_year_passes_rouge_and_f1_but_not_exact() {
        let (answer, gold) = ("Tom started high school in 1999", "Tom started high school in 2020");
        assert_eq!(judge(GateKind::Rouge, answer, gold), (5.0 / 6.0, true));
        assert_eq!(judge(GateKind::F1, answer, gold), (5.0 / 6.0, true));
        assert_eq!(judge(GateKind::Exact, answer, gold), (0.0, false));
    }

    #[test]
    fn an_empty_answer_has_value_zero() {
        for kind in GateKind::ALL {
            for answer in ["", " \n\t"] {
                let (value, passes) = judge(kind, answer, "kitchen");
                assert_eq!(value, 0.0, "{kind}");
                assert_eq!(passes, kind == GateKind::None, "{kind}");
            }
        }
        assert_eq!(judge(GateKind::None, "nonsense", "kitchen"), (1.0, true));
    }

    #[test]
    fn a_gold_answer_without_words_is_an_error_and_no_zero() {
        for (kind, gold) in [
            (GateKind::Rouge, "東京"),
            (GateKind::Rouge, ""),
            (GateKind::F1, "The."),
            (GateKind::Exact, "A"),
            (GateKind::Label, "cellar"),
        ] {
            let e = build(kind, None).unwrap().value("some answer", &expected(gold)).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{kind} {gold}");
            assert!(e.to_string().contains(&format!("{gold:?}")), "{e}");
        }
        assert_eq!(judge(GateKind::F1, "東京", "東京"), (1.0, true));
        assert_eq!(judge(GateKind::None, "some answer", ""), (1.0, true));
    }

    #[test]
    fn thresholds_are_checked() {
        for kind in [GateKind::Rouge, GateKind::F1] {
            assert_eq!(build(kind, None).unwrap().threshold(), 0.5);
            for t in [0.0, 0.25, 0.999] {
                assert_eq!(build(kind, Some(t)).unwrap().threshold(), t);
            }
            for t in [1.0, -0.1, 50.0, f64::NAN, f64::INFINITY] {
                let e = build(kind, Some(t)).err().unwrap();
                assert_eq!(e.exit_code(), 2, "{kind} {t}");
                assert_eq!(e.to_string().contains("0.5 for 50 %"), t == 50.0, "{e}");
            }
        }
        for kind in [GateKind::Exact, GateKind::Label, GateKind::None] {
            let e = build(kind, Some(0.5)).err().unwrap();
            assert_eq!(e.exit_code(), 2, "{kind}");
            assert!(e.to_string().contains(kind.name()), "{e}");
        }
        // A threshold that was given decides: 2 of 4 words exceed 0.4, but no words at all do
        // not exceed 0.
        let mut gate = build(GateKind::Rouge, Some(0.4)).unwrap();
        let value = gate.value("red cat", &expected("red cat blue dog")).unwrap();
        assert!(gate.passes(value));
        assert!(!build(GateKind::F1, Some(0.0)).unwrap().passes(0.0));
    }

    /// The values of the reference's accumulation golden: 80 %, 50 % and 50.0001 %.
    #[test]
    fn the_published_threshold_is_strict() {
        let gate = build(GateKind::Rouge, None).unwrap();
        assert_eq!([0.8, 0.5, 0.500_001].map(|v| gate.passes(v)), [true, false, true]);
    }
}
