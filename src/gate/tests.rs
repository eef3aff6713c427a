//! What each gate lets through, by hand.

use super::*;

fn build(kind: GateKind, threshold: Option<f64>) -> Result<Box<dyn AnswerGate>> {
    GateConfig::new(kind, threshold)?.open()
}

/// All but `semantic`, which needs a library.
const WORDS: [GateKind; 5] =
    [GateKind::Rouge, GateKind::F1, GateKind::Exact, GateKind::Label, GateKind::None];

fn expected(gold: &str) -> Expected<'_> {
    Expected { gold, question: "Where is Mary?", labels: &["garden", "kitchen", "office"] }
}

/// The value of an answer and whether it passes, with the default threshold.
fn judge(kind: GateKind, answer: &str, gold: &str) -> (f64, bool) {
    let gate = build(kind, None).unwrap();
    let value = gate.value(answer, &expected(gold)).unwrap();
    (value, gate.passes(value))
}

#[test]
fn names_round_trip() {
    for kind in GateKind::ALL {
        assert_eq!(kind.to_string().parse::<GateKind>().unwrap(), kind);
    }
    for kind in WORDS {
        assert_eq!(build(kind, None).unwrap().name(), kind.name());
    }
    let e = "ROUGE".parse::<GateKind>().unwrap_err();
    assert_eq!(e.exit_code(), 2);
    assert!(e.to_string().contains("rouge, f1, semantic, exact, label, none"), "{e}");
}

#[test]
fn rouge_is_recall_and_strict() {
    // 2 of 4 gold words: 0.5, not above it. 3 of 4: passes, whatever else is said.
    assert_eq!(judge(GateKind::Rouge, "red cat", "red cat blue dog"), (0.5, false));
    assert_eq!(judge(GateKind::Rouge, "red cats and a dog, too", "red cat blue dog"), (0.75, true));
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
    for kind in WORDS {
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
    // Cosines go down to -1.
    let semantic = |threshold| GateConfig::new(GateKind::Semantic, threshold);
    assert_eq!(semantic(None).unwrap().threshold, 0.2);
    for t in [-1.0, -0.5, 0.0, 0.999] {
        assert_eq!(semantic(Some(t)).unwrap().threshold, t);
    }
    for t in [1.0, -1.1, 20.0, f64::NAN] {
        let e = semantic(Some(t)).unwrap_err();
        assert_eq!(e.exit_code(), 2, "{t}");
        assert!(e.to_string().contains("from -1 up to"), "{e}");
    }
    for kind in [GateKind::Exact, GateKind::Label, GateKind::None] {
        let e = build(kind, Some(0.5)).err().unwrap();
        assert_eq!(e.exit_code(), 2, "{kind}");
        assert!(e.to_string().contains(kind.name()), "{e}");
    }
    // A threshold that was given decides: 2 of 4 words exceed 0.4, but no words at all do
    // not exceed 0.
    let gate = build(GateKind::Rouge, Some(0.4)).unwrap();
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
