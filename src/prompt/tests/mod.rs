mod borders;

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::haystack::Haystack;
use crate::needle::Needle;
use crate::tokenizer::samples::{byte_level, llama2};

fn haystack(texts: &[&str]) -> Haystack {
    let dir = tempfile::tempdir().unwrap();
    for (i, text) in texts.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{i:03}.txt")), text).unwrap();
    }
    Haystack::load_dir(dir.path(), false).unwrap()
}

fn needle(text: &str) -> Needle {
    Needle {
        id: "n".to_owned(),
        needle: text.to_owned(),
        question: "Where is it?".to_owned(),
        answer: "There.".to_owned(),
        real_needle: None,
    }
}

/// Nothing before a prompt's first text.
fn nothing(tokenizer: &Tokenizer) -> Lead {
    Lead::new(tokenizer, "", "").unwrap()
}

/// Haystacks that begin as their stream does.
fn no_heads() -> &'static Heads {
    static NONE: OnceLock<Heads> = OnceLock::new();
    NONE.get_or_init(Heads::default)
}

/// Everything of a probe, owned.
struct Case {
    tokenizer: &'static Tokenizer,
    haystack: HaystackTokens,
    needle: NeedleTokens,
    question: Vec<u32>,
}

impl Case {
    fn new(tokenizer: &'static Tokenizer, haystack: &Haystack, needle: &Needle) -> Self {
        Self {
            tokenizer,
            haystack: haystack.tokenise(tokenizer).unwrap(),
            needle: needle.tokenise(tokenizer, &nothing(tokenizer)).unwrap(),
            question: PromptTemplate::default().tokenise(tokenizer, &needle.question, "").unwrap(),
        }
    }

    fn parts(&self) -> PromptParts<'_> {
        PromptParts {
            prefix: &[],
            bos: self.tokenizer.bos(),
            haystack: &self.haystack,
            heads: no_heads(),
            needle: &self.needle,
            question: &self.question,
            last: None,
        }
    }

    fn text(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids).unwrap()
    }
}

/// What holds for every prompt, whatever went in.
fn check_invariants(case: &Case, p: &Prompt, context_length: usize) {
    assert_eq!(p.ids.len(), context_length);
    let bos = case.tokenizer.bos().unwrap();
    assert_eq!(p.ids[0], bos);
    assert_eq!(p.ids.iter().filter(|&&id| id == bos).count(), 1);
    assert!(p.ids.ends_with(&case.question));
    // The span holds the needle as one of the placements has it.
    let [span] = &p.needle[..] else { panic!("{:?}", p.needle) };
    let is_there = |placed: &PlacedNeedle| p.ids[span.clone()] == placed.ids[placed.span.clone()];
    assert!(Placement::ALL.iter().any(|&at| {
        is_there(case.needle.placed(at)) || is_there(case.needle.before_blank_line(at))
    }));
    assert_eq!(p.ids[p.before_question..], case.question);
    assert!(span.end <= p.before_question);
    assert!((0.0..=1.0).contains(&p.depth_reached) && p.haystack_cycles >= 1);
}

#[test]
fn a_small_prompt_by_hand() {
    // Tokens of the Llama-2 sample; a blank line is 2 tokens. Cycle of the haystack, 10 tokens:
    // T h e ▁wall . ▁The ▁boat . \n \n, sentences begin at 0, 5 and 8.
    let t = llama2();
    let id = |s: &str| t.token_id(s).unwrap();
    let (the, wall, boat, dot, nl) = (id("▁The"), id("▁wall"), id("▁boat"), id("."), id("<0x0A>"));
    let the3 = [id("T"), id("h"), id("e")];
    let haystack = haystack(&["The wall. The boat."]).tokenise(t).unwrap();
    let needle = needle("The boat of the wall.").tokenise(t, &nothing(t)).unwrap();
    let n = [the, boat, id("▁of"), id("▁the"), wall, dot];
    let q = [nl, nl];
    let parts = PromptParts {
        bos: Some(1),
        prefix: &[],
        haystack: &haystack,
        heads: no_heads(),
        needle: &needle,
        question: &q,
        last: None,
    };
    // Largest placement is after a line (8 tokens: "The" is three), + BOS + question 2 + blank
    // line 2 + 1 of haystack.
    assert_eq!(parts.smallest_context_length(), 14);

    // T = 21: m = 21 - 1 - 2 - 6 = 12 tokens of haystack, so the first two of cycle 2 are in.
    let cycle = [&the3[..], &[wall, dot, the, boat, dot, nl, nl]].concat();
    // Depth 0: BOS, needle, blank line (of the 12), 10 of haystack.
    let p = parts.assemble(21, 0.0, 0).unwrap();
    assert_eq!(p.ids, [&[1], &n[..], &[nl, nl], &cycle, &q].concat());
    assert_eq!((p.needle, p.depth_reached, p.haystack_cycles), (vec![1..7], 0.0, 1));

    // Depth 0.4: 4.8 tokens; the nearest border is 5, with a space of its own.
    let p = parts.assemble(21, 0.4, 0).unwrap();
    let again = &cycle[..2];
    assert_eq!(p.ids, [&[1], &cycle[..5], &n, &cycle[5..], again, &q].concat());
    assert_eq!((p.needle, p.depth_reached, p.haystack_cycles), (vec![6..12], 5.0 / 12.0, 2));
    assert_eq!(p.depth_asked, Some(0.4));

    // Depth 0.8: 9.6 tokens; 10 begins the file again, without a space: the needle stands after
    // the blank line (8 tokens, so m = 10) and then nothing is left for its own blank line. So 8.
    let p = parts.assemble(21, 0.8, 0).unwrap();
    assert_eq!(p.ids, [&[1], &cycle[..8], &n, &cycle[8..], again, &q].concat());
    assert_eq!(p.needle, vec![9..15]);

    // T = 25: m = 16, or 14 after a line. Depth 0.7: 11.2 and 9.8 tokens; 10 is nearest now.
    let p = parts.assemble(25, 0.7, 0).unwrap();
    let n_line = [&the3[..], &n[1..]].concat();
    assert_eq!(p.ids, [&[1], &cycle[..], &n_line, &[nl, nl], &cycle[..2], &q].concat());
    assert_eq!((p.needle, p.depth_reached), (vec![11..19], 10.0 / 14.0));

    // Depth 1: the end of the haystack, wherever that is.
    let p = parts.assemble(21, 1.0, 0).unwrap();
    assert_eq!(p.ids, [&[1], &cycle[..], again, &n, &q].concat());
    assert_eq!((p.needle, p.depth_reached), (vec![13..19], 1.0));

    // Of a needle right before the question only a part may be what is scored: the question begins
    // behind all of it.
    let last = PlacedNeedle { ids: [&n[..], &q].concat(), span: 1..3 };
    let p = PromptParts { last: Some(&last), ..parts }.assemble(21, 1.0, 0).unwrap();
    assert_eq!((p.needle, p.before_question), (vec![14..16], 19));

    // Offset 1: the next sentence is at 5, and brings its space, so no blank line at depth 0.
    let p = parts.assemble(21, 0.0, 1).unwrap();
    assert_eq!(p.ids, [&[1], &n[..], &cycle[5..], &cycle[..7], &q].concat());
    assert_eq!((p.needle, p.haystack_cycles), (vec![1..7], 2));
}

#[test]
fn sentences_stay_whole_around_the_needle() {
    // Both tokenizers, all depths: the text before the needle ends a sentence or a file, and
    // whitespace separates the needle from what follows.
    let hay = Haystack::bundled().unwrap();
    for t in [byte_level(), llama2()] {
        let case = Case::new(t, &hay, &needle("The old map is kept in the bedroom."));
        let mut borders = 0;
        for i in 0..10 {
            let p = case.parts().assemble(3000, f64::from(i) / 9.0, 0).unwrap();
            check_invariants(&case, &p, 3000);
            assert!((p.depth_reached - p.depth_asked.unwrap()).abs() < 0.1, "{p:?}");
            let span = p.needle[0].clone();
            let (before, after) = (case.text(&p.ids[..span.start]), case.text(&p.ids[span.end..]));
            if i == 0 {
                assert_eq!(before, "");
            } else if i < 9 {
                assert!(before.trim_end().ends_with(['.', '!', '?']), "{before:?}");
                borders += 1;
            }
            // The decoder of Llama 2 takes one leading space away; look at the whole text.
            let whole = case.text(&p.ids);
            let at = whole.find("is kept in the bedroom.").unwrap() + 23;
            assert!(whole[at..].starts_with([' ', '\n']), "{after:?}");
        }
        assert_eq!(borders, 8);
    }
}

#[test]
fn at_a_paragraph_the_needle_is_a_paragraph() {
    let text = "The boats lie along the wall.\n\n".repeat(12);
    let case = Case::new(byte_level(), &haystack(&[&text]), &needle("The old map is here."));
    for depth in [0.0, 0.3, 0.6] {
        let p = case.parts().assemble(200, depth, 0).unwrap();
        check_invariants(&case, &p, 200);
        let whole = case.text(&p.ids);
        let before = if depth == 0.0 { "" } else { "wall.\n\n" };
        let around = format!("{before}The old map is here.\n\nThe boats");
        assert!(whole.contains(&around), "{whole:?}");
    }
}

#[test]
fn without_sentences_the_needle_stands_exactly_at_its_depth() {
    let words = "boat wall and the of ".repeat(40);
    let case = Case::new(llama2(), &haystack(&[&words]), &needle("The boat."));
    let parts = case.parts();
    let m = parts.region(150, Placement::Sentence);
    let p = parts.assemble(150, 0.5, 0).unwrap();
    check_invariants(&case, &p, 150);
    assert_eq!(p.needle[0].start, 1 + (0.5 * m as f64).round() as usize);
}

#[test]
fn a_context_that_is_too_short_names_the_smallest() {
    let case = Case::new(byte_level(), &Haystack::bundled().unwrap(), &needle("The boat is old."));
    let parts = case.parts();
    let smallest = parts.smallest_context_length();
    for depth in [0.0, 0.5, 1.0] {
        check_invariants(&case, &parts.assemble(smallest, depth, 0).unwrap(), smallest);
        for short in [0, smallest - 1] {
            let e = parts.assemble(short, depth, 0).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            assert!(e.to_string().contains(&format!("at least {smallest}")), "{e}");
        }
    }
}

#[test]
fn a_depth_that_is_not_a_fraction_is_refused() {
    let case = Case::new(byte_level(), &Haystack::bundled().unwrap(), &needle("The boat is old."));
    for depth in [-0.1, 1.1, 50.0, f64::NAN, f64::INFINITY] {
        assert_eq!(case.parts().assemble(200, depth, 0).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn real_needles_have_their_own_span() {
    let n = Needle {
        real_needle: Some("in the bedroom".to_owned()),
        ..needle("The old map is kept in the bedroom.")
    };
    let case = Case::new(byte_level(), &Haystack::bundled().unwrap(), &n);
    for depth in [0.0, 0.4, 1.0] {
        let p = case.parts().assemble(500, depth, 77).unwrap();
        check_invariants(&case, &p, 500);
        assert_eq!(case.text(&p.ids[p.needle[0].clone()]), " in the bedroom");
        assert_eq!(p.needle.len(), 1);
    }
}

#[test]
fn a_template_has_one_place_for_the_question() {
    for bad in ["no place", "{question} {question}", "{Question}", ""] {
        let e = PromptTemplate::new(bad).unwrap_err();
        assert_eq!(e.exit_code(), 2);
    }
    let t = PromptTemplate::new("\nQ: {question}\nA:").unwrap();
    // A question with the placeholder in it is not filled again.
    assert_eq!(t.render("{question}?"), "\nQ: {question}?\nA:");
    assert_eq!(
        PromptTemplate::default().render("Why?"),
        "\nBased on the content of the book, Question: Why?\nAnswer:"
    );
    let ids = PromptTemplate::default().tokenise(byte_level(), "Why?", "").unwrap();
    assert_eq!(byte_level().decode(&ids).unwrap(), PromptTemplate::default().render("Why?"));
}

/// The references' probe with their tokenizer: the same needle tokens, and a prompt of every case's
/// length that keeps the invariants.
#[test]
fn probe_goldens() {
    let found = crate::goldens::find([
        "scores/probe/probe_cases.json",
        "scores/probe/tokenizer.json",
        "scores/probe/haystack",
    ]);
    let Some([cases, tokenizer, haystack]) = found else { return };
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    let text = |key: &str| golden[key].as_str().unwrap();
    let tokenizer = Tokenizer::from_file(&tokenizer).unwrap();
    let haystack = Haystack::load_dir(&haystack, false).unwrap().tokenise(&tokenizer).unwrap();
    let expected = |case: &serde_json::Value| -> Vec<u32> {
        serde_json::from_value(case["needle_ids"].clone()).unwrap()
    };
    let mut ran = 0;
    for case in golden["cases"].as_array().unwrap() {
        let r2 = case["script"].as_str().unwrap().contains("r2");
        let prefix = if r2 { "r2_" } else { "" };
        let n = needle(text(&format!("{prefix}needle")).trim());
        // R2 files give the span of `real_needle`, the others that of the needle.
        let real = golden[format!("{prefix}real_needle")].as_str().unwrap();
        let candidates = [&n.needle, real, text(&format!("{prefix}needle"))]
            .map(|s| tokenizer.encode(s).unwrap());
        assert!(candidates.contains(&expected(case)), "{case}");
        let needle = n.tokenise(&tokenizer, &nothing(&tokenizer)).unwrap();
        let question = PromptTemplate::default()
            .tokenise(&tokenizer, text(&format!("{prefix}question")), "")
            .unwrap();
        let bos = tokenizer.bos();
        assert_eq!(bos.map(u64::from), golden["bos"].as_u64());
        let parts = PromptParts {
            bos,
            prefix: &[],
            haystack: &haystack,
            heads: no_heads(),
            needle: &needle,
            question: &question,
            last: None,
        };
        let length = case["prompt_ids"].as_array().unwrap().len();
        if length >= parts.smallest_context_length() {
            let depth = case["depth_percent"].as_f64().unwrap() / 100.0;
            let p = parts.assemble(length, depth, 0).unwrap();
            let found = tokenizer.decode(&p.ids[p.needle[0].clone()]).unwrap();
            assert_eq!(found.trim(), n.needle);
            ran += 1;
        }
    }
    println!("probe goldens: {ran} prompts");
    assert!(ran > 0);
}

fn bundled_tokens(t: &'static Tokenizer) -> &'static HaystackTokens {
    static TOKENS: [OnceLock<HaystackTokens>; 2] = [OnceLock::new(), OnceLock::new()];
    let which = usize::from(t.bos() == Some(1));
    TOKENS[which].get_or_init(|| Haystack::bundled().unwrap().tokenise(t).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any text, any needle, any length, depth and offset.
    #[test]
    fn length_and_span_hold(
        texts in prop::collection::vec("[a-zA-Zé.!? \n\"<>|🦀-]{1,60}x", 1..4),
        needle_text in "[a-zA-Zé. ]{0,20}[a-z][.!]?",
        question in "[a-zA-Z ?]{0,20}",
        more in 0usize..400,
        depth in 0.0f64..=1.0,
        offset in 0usize..1000,
        sentencepiece: bool,
    ) {
        let t = if sentencepiece { llama2() } else { byte_level() };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let n = Needle { question, ..needle(needle_text.trim()) };
        let case = Case::new(t, &haystack(&texts), &n);
        let length = case.parts().smallest_context_length() + more;
        for depth in [depth, 0.0, 1.0] {
            let p = case.parts().assemble(length, depth, offset).unwrap();
            check_invariants(&case, &p, length);
            if depth == 0.0 || depth == 1.0 {
                prop_assert_eq!(p.depth_reached, depth);
            }
        }
    }

    /// In prose the needle is never far from where it was asked to be, and no border is nearer.
    #[test]
    fn the_nearest_border_is_taken(
        length in 400usize..4000,
        depth in 0.01f64..0.99,
        offset in 0usize..50_000,
        sentencepiece: bool,
    ) {
        let t = if sentencepiece { llama2() } else { byte_level() };
        let n = needle("The old map is kept in the bedroom.");
        let case = Case {
            tokenizer: t,
            haystack: bundled_tokens(t).clone(),
            needle: n.tokenise(t, &nothing(t)).unwrap(),
            question: PromptTemplate::default().tokenise(t, &n.question, "").unwrap(),
        };
        let p = case.parts().assemble(length, depth, offset).unwrap();
        check_invariants(&case, &p, length);
        let start = case.haystack.beginning(offset);
        let m = case.parts().region(length, Placement::Sentence);
        let before = p.needle[0].start - 1;
        let wanted = depth * m as f64;
        let best = case
            .haystack
            .borders_in(BorderKind::Sentence, start, 0..=m)
            // Nearer to the end there may be no room for the blank line.
            .filter(|s| s.token + 8 <= m)
            .map(|s| (s.token as f64 - wanted).abs())
            .fold(f64::INFINITY, f64::min);
        // `m` of the chosen placement may differ by the placements' difference in tokens.
        prop_assert!((before as f64 - wanted).abs() <= best + 8.0);
    }
}
