use super::*;
use crate::needle::Needle;

fn needle(id: &str, text: &str) -> ProbeText {
    asking(id, text, "Q?", "A.")
}

fn asking(id: &str, text: &str, question: &str, answer: &str) -> ProbeText {
    ProbeText::Needle(Needle {
        id: id.to_owned(),
        needle: text.to_owned(),
        question: question.to_owned(),
        answer: answer.to_owned(),
        real_needle: None,
    })
}

fn key(p: &Probe) -> (usize, usize, f64, u32) {
    (p.needle, p.context_length, p.depth.unwrap(), p.repeat)
}

#[test]
fn stories_are_scattered_each_in_its_own_part_of_the_haystack() {
    let stories = [needle("a", "one"), needle("b", "two")];
    let plan = Plan::of_stories("in", &stories, &[512, 1024], 2, 0).unwrap();
    assert_eq!(plan.probes.len(), 8);
    assert!(plan.probes.iter().all(|p| p.depth.is_none()));
    // The same story begins at the same place at every length.
    let seeds =
        |n| -> Vec<u64> { plan.probes.iter().filter(|p| p.needle == n).map(|p| p.seed).collect() };
    assert_eq!(seeds(0)[..2], seeds(0)[2..]);
    let distinct: std::collections::BTreeSet<u64> = plan.probes.iter().map(|p| p.seed).collect();
    assert_eq!(distinct.len(), 4);
    let depths = plan.probes[0].fact_depths(50);
    assert!(depths.is_sorted() && depths.iter().all(|d| (0.0..1.0).contains(d)));
    // Half of the facts on each side, more or less.
    let early = depths.iter().filter(|&&d| d < 0.5).count();
    assert!((10..40).contains(&early), "{early}");
    assert_eq!(depths, plan.probes[0].fact_depths(50));
    assert_ne!(depths, plan.probes[1].fact_depths(50));
}

#[test]
fn probes_are_in_the_order_needle_length_depth_repeat() {
    let needles = [needle("a", "one"), needle("b", "two")];
    let plan = Plan::new("in", &needles, &[512, 1024], &[0.0, 1.0], 2, 0).unwrap();
    let order: Vec<(usize, usize, f64, u32)> = plan.probes.iter().map(key).collect();
    let mut expected = Vec::new();
    for n in 0..2 {
        for t in [512, 1024] {
            for d in [0.0, 1.0] {
                expected.extend([(n, t, d, 0), (n, t, d, 1)]);
            }
        }
    }
    assert_eq!(order, expected);
    assert!(plan.probes.iter().enumerate().all(|(i, p)| p.index == i));
}

#[test]
fn ids_depend_on_the_content_only() {
    let id = |n: &ProbeText, t: usize, d: f64, seed: u64| {
        Plan::new("in", std::slice::from_ref(n), &[t], &[d], 1, seed).unwrap().probes[0].id
    };
    let a = needle("a", "one");
    let base = id(&a, 512, 0.5, 0);
    assert_eq!(base, id(&needle("renamed", "one"), 512, 0.5, 0));
    // In a larger plan the same probe has the same id.
    let both = [needle("z", "zero"), a.clone()];
    let large = Plan::new("in", &both, &[256, 512], &[0.1, 0.5], 3, 0);
    let found = large.unwrap().probes.into_iter().find(|p| key(p) == (1, 512, 0.5, 0));
    assert_eq!(found.unwrap().id, base);
    let other_question = asking("a", "one", "R?", "A.");
    let other_answer = asking("a", "one", "Q?", "B.");
    // Parts do not run together: "one" + "Q?" is not "oneQ" + "?".
    let shifted = asking("a", "oneQ", "?", "A.");
    let elsewhere = Plan::new("other", std::slice::from_ref(&a), &[512], &[0.5], 1, 0);
    let all = [
        base,
        elsewhere.unwrap().probes[0].id,
        id(&a, 513, 0.5, 0),
        id(&a, 512, 0.25, 0),
        id(&a, 512, 0.5, 1),
        id(&other_question, 512, 0.5, 0),
        id(&other_answer, 512, 0.5, 0),
        id(&shifted, 512, 0.5, 0),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn ids_are_stable_from_version_to_version() {
    // Journals of earlier versions are matched by these. Computed apart from this code, with
    // Python's hashlib, from the description of `digest`.
    let plan = Plan::new("in", &[needle("a", "one")], &[512], &[0.5], 2, 0).unwrap();
    assert_eq!(plan.probes[0].id.to_string(), "1f0ad1cfb3ae23cf");
    assert_eq!(plan.probes[1].id.to_string(), "1b1f1b120d1631ab");
}

#[test]
fn ids_are_written_and_read_as_hex() {
    let id = ProbeId(0x00ab);
    assert_eq!(id.to_string(), "00000000000000ab");
    assert_eq!(serde_json::to_string(&id).unwrap(), "\"00000000000000ab\"");
    assert_eq!(serde_json::from_str::<ProbeId>("\"00000000000000ab\"").unwrap(), id);
    for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000abc"] {
        assert_eq!(bad.parse::<ProbeId>().unwrap_err().exit_code(), 3, "{bad}");
    }
}

#[test]
fn repetitions_begin_elsewhere_in_the_haystack() {
    let offsets = |seed| -> Vec<usize> {
        let plan = Plan::new("in", &[needle("a", "one")], &[512], &[0.5], 4, seed).unwrap();
        plan.probes.iter().map(|p| p.offset(25_000)).collect()
    };
    assert_eq!(offsets(0)[0], 0);
    for seed in [0, 1] {
        let distinct: std::collections::BTreeSet<_> = offsets(seed).into_iter().collect();
        assert_eq!(distinct.len(), 4);
        assert!(distinct.iter().all(|&o| o < 25_000));
    }
    assert_ne!(offsets(0)[1], offsets(1)[1]);
}

#[test]
fn empty_or_endless_plans_are_refused() {
    let n = [needle("a", "one")];
    for (needles, lengths, depths, repeats, says) in [
        (&n[..0], &[512][..], &[0.5][..], 1, "no needles"),
        (&n, &[], &[0.5], 1, "no context lengths"),
        (&n, &[512], &[], 1, "no depths"),
        (&n, &[512], &[0.5], 0, "no repetitions"),
        (&n, &[512, 513], &[0.1, 0.5], u32::MAX, "4294967295 repetitions"),
    ] {
        let e = Plan::new("in", needles, lengths, depths, repeats, 0).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains(says), "{e}");
    }
}

#[test]
fn the_same_needle_under_two_ids_is_refused() {
    let twice = [needle("a", "one"), needle("b", "one")];
    let e = Plan::new("in", &twice, &[512], &[0.5], 1, 0).unwrap_err();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("needles a and b"), "{e}");
}

#[test]
fn a_row_that_is_there_twice_is_one_probe() {
    let rows = [needle("a", "one"), needle("b", "two"), needle("c", "one")];
    let plan = Plan::of_contexts("in", &rows, &[(0, 64), (1, 80), (2, 64)]);
    let found: Vec<_> = plan.probes.iter().map(|p| (p.index, p.needle, p.twins.len())).collect();
    assert_eq!(found, [(0, 0, 1), (1, 1, 0)]);
    assert_eq!(plan.places(), 3);
}

#[test]
fn two_answers_to_one_question_are_refused() {
    let twice = [asking("a", "one", "Q?", "A."), asking("b", "one", "Q?", "B.")];
    let e = Plan::new("in", &twice, &[512], &[0.5], 1, 0).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("needles a and b"), "{e}");
    let other = [asking("a", "one", "Q?", "A."), asking("b", "one", "R?", "B.")];
    assert!(Plan::new("in", &other, &[512], &[0.5], 1, 0).is_ok());
}
