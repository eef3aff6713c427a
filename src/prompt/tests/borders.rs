//! Where a needle stands among sentences that are long, or not of ASCII.

use super::*;

#[test]
fn where_the_next_sentence_is_far_a_line_or_a_word_is_nearer() {
    // 200 words without a full stop, then lines, then one word without end.
    let words = "the boat of the wall ".repeat(40);
    let lines = "the wall of the boat\n".repeat(40);
    let one_word = "boat".repeat(200);
    let t = llama2();
    let text = format!("The wall. {words}. {lines}. {one_word}.");
    let case = Case::new(t, &haystack(&[&text]), &needle("The old map is here."));
    let m = case.haystack.ids().len();
    let parts = case.parts();
    let length = m + parts.region(1000, Placement::Sentence).abs_diff(1000);
    let mut seen = Vec::new();
    for i in 1..20 {
        let depth = f64::from(i) / 20.0;
        let p = parts.assemble(length, depth, 0).unwrap();
        check_invariants(&case, &p, length);
        // No farther than a sentence may be; where none is near, no farther than a word.
        let off = (p.depth_reached - depth).abs() * m as f64;
        assert!(off < if i == 2 { 2.0 } else { 70.0 }, "{depth}: {off}");
        let span = p.needle[0].clone();
        let (before, after) = (case.text(&p.ids[..span.start]), case.text(&p.ids[span.end..]));
        seen.push((before.ends_with('\n'), after.starts_with("boat"), before));
    }
    // Among the words none is cut in two, among the lines the needle is a line.
    let at = |depth: f64| &seen[(depth * 20.0) as usize - 1];
    assert!(!at(0.1).0 && at(0.1).2.ends_with(|c: char| c.is_ascii_lowercase()));
    assert!(seen.iter().filter(|s| s.0).count() >= 2, "{seen:?}");
}

#[test]
fn among_chinese_sentences_the_needle_is_one() {
    let sentences = "春天，木匠在桥边等待渡船。夏天来了！他说：「回家。」";
    let case = Case::new(
        byte_level(),
        &haystack(&[&sentences.repeat(30)]),
        &needle("秘密代码是四八一七。"),
    );
    for i in 1..10 {
        let depth = f64::from(i) / 10.0;
        let p = case.parts().assemble(1500, depth, 0).unwrap();
        check_invariants(&case, &p, 1500);
        assert!((p.depth_reached - depth).abs() < 0.03, "{depth}: {}", p.depth_reached);
        let span = p.needle[0].clone();
        let before = case.text(&p.ids[..span.start]);
        assert!(before.ends_with(['。', '！', '」']), "{before:?}");
        assert!(case.text(&p.ids).contains("秘密代码是四八一七。"));
        assert!(!case.text(&p.ids[span]).starts_with(' '));
    }
}
