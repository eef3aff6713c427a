use std::fs;

use super::*;
use crate::tokenizer::samples::{byte_level, llama2};

/// Nothing before a prompt's first text.
fn nothing(tokenizer: &Tokenizer) -> Lead {
    Lead::new(tokenizer, "", "").unwrap()
}

fn load(text: &[u8]) -> Result<Vec<Needle>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("needles.jsonl");
    fs::write(&file, text).unwrap();
    Needle::load(&file)
}

#[test]
fn the_bundled_list_is_the_folder() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("needles");
    let bundled = Needle::bundled().unwrap();
    assert_eq!(bundled, Needle::load(&dir).unwrap());
    assert_eq!(bundled.len(), 18);
    let ids: Vec<&str> = bundled[15..].iter().map(|n| n.id.as_str()).collect();
    assert_eq!(ids, ["campus", "phd", "tom"]);
    assert_eq!(bundled[17].answer, "Tom started high school in 2020.");
}

#[test]
fn the_answers_of_our_own_needles_are_in_the_needles() {
    // Word by word, so that the gate measures retrieval and not paraphrase.
    let own = Needle::bundled().unwrap();
    for n in &own[..15] {
        let plain = |s: &str| s.to_lowercase().replace(['.', ','], "");
        let (needle, answer) = (plain(&n.needle), plain(&n.answer));
        let said: Vec<&str> = needle.split_whitespace().collect();
        // "To Vienna by train" and "In Lisbon on Thursday" are pieces of the needle too.
        assert!(answer.split_whitespace().all(|w| said.contains(&w)), "{n:?}");
        assert!(n.question.ends_with('?') && n.needle.ends_with('.'), "{n:?}");
    }
}

#[test]
fn files_of_the_references_load() {
    let text = br#"{"needle": "Mr Grey is known because he sings.", "question": "Why ?", "real_needle": "Because he sings."}
{"needle": " Ann likes tea. Bob is 9. ", "question": "What?", "real_needle": "Ann likes tea.", "answer": "tea"}
{"needle": "Tom was born in 2005.", "question": "When?", "answer": "In 2005. ", "extra": [1]}
"#;
    let n = load(text).unwrap();
    let fields: Vec<(&str, &str, &str, Option<&str>)> =
        n.iter().map(|n| (&*n.id, &*n.needle, &*n.answer, n.real_needle.as_deref())).collect();
    assert_eq!(
        fields,
        [
            (
                "needles-1",
                "Mr Grey is known because he sings.",
                "Because he sings.",
                Some("Because he sings.")
            ),
            ("needles-2", "Ann likes tea. Bob is 9.", "tea", Some("Ann likes tea.")),
            ("needles-3", "Tom was born in 2005.", "In 2005.", None),
        ]
    );
}

#[test]
fn blank_lines_crlf_and_bom_are_tolerated_and_lines_are_counted() {
    let text = b"\xef\xbb\xbf\r\n{\"id\": 7, \"needle\": \"a\", \"question\": \"b\", \"answer\": \"c\"}\r\n  \r\n{\"needle\": \"d\", \"question\": \"e\", \"answer\": \"f\"}";
    let n = load(text).unwrap();
    let ids: Vec<&str> = n.iter().map(|n| n.id.as_str()).collect();
    assert_eq!(ids, ["7", "needles-4"]);
    assert_eq!(n[0].answer, "c");
}

#[test]
fn bad_lines_name_line_and_field() {
    let good = r#"{"needle": "a", "question": "b", "answer": "c"}"#;
    // (second line, what the error says after the file's name)
    let cases = [
        (r#"{"needle": "a""#, ":2: column"),
        (r#"["a"]"#, ":2\n"),
        (r#"{"question": "b", "answer": "c"}"#, ":2: needle"),
        (r#"{"needle": " ", "question": "b", "answer": "c"}"#, ":2: needle"),
        (r#"{"needle": "a", "question": "", "answer": "c"}"#, ":2: question"),
        (r#"{"needle": "a", "question": "b"}"#, ":2: answer"),
        (r#"{"needle": "a", "question": "b", "answer": "", "real_needle": ""}"#, ":2: answer"),
        (r#"{"needle": "a", "question": "b", "answer": ["c"]}"#, ":2: answer"),
        (r#"{"needle": 3, "question": "b", "answer": "c"}"#, ":2: needle"),
        (r#"{"needle": "a", "question": "b", "answer": "c", "id": true}"#, ":2: id"),
    ];
    for (line, says) in cases {
        let e = load(format!("{good}\n{line}\n").as_bytes()).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains(&format!("needles.jsonl{says}")), "{line}: {e}");
    }
    let e = load(b"{\"needle\": \"\xff\"}").unwrap_err();
    assert!(e.to_string().contains("needles.jsonl: byte 12"), "{e}");
}

#[test]
fn the_same_id_twice_is_an_error_across_files() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"id": "x", "needle": "a", "question": "b", "answer": "c"}"#;
    fs::write(dir.path().join("b.jsonl"), line.replace("\"a\"", "\"second\"")).unwrap();
    fs::write(dir.path().join("a.jsonl"), line).unwrap();
    fs::write(dir.path().join("notes.txt"), "not a needle").unwrap();
    let e = Needle::load(dir.path()).unwrap_err();
    assert_eq!(e.exit_code(), 3);
    let text = e.to_string();
    assert!(text.contains("a.jsonl:1 and ") && text.contains("b.jsonl:1"), "{text}");
    assert!(text.contains("id x"), "{text}");

    fs::write(dir.path().join("b.jsonl"), line.replace("\"x\"", "\"y\"")).unwrap();
    let ids: Vec<String> = Needle::load(dir.path()).unwrap().into_iter().map(|n| n.id).collect();
    assert_eq!(ids, ["x", "y"]);
}

#[test]
fn no_needles_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing.jsonl")] {
        let e = Needle::load(&path).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains(&path.display().to_string()), "{e}");
    }
    assert!(load(b"\n \n").unwrap_err().to_string().contains("only blank lines"));
}

fn needle(text: &str, real_needle: Option<&str>) -> Needle {
    Needle {
        id: "n".to_owned(),
        needle: text.to_owned(),
        question: "Q?".to_owned(),
        answer: "A".to_owned(),
        real_needle: real_needle.map(str::to_owned),
    }
}

#[test]
fn tokens_depend_on_the_placement() {
    let tokens = needle("The wall and the boat", Some("wall and"))
        .tokenise(llama2(), &nothing(llama2()))
        .unwrap();
    let id = |s: &str| llama2().token_id(s).unwrap();
    let tail = [id("▁wall"), id("▁and"), id("▁the"), id("▁boat")];
    let with = |head: &[u32]| [head, &tail].concat();
    let placed = |p| (tokens.placed(p).ids.clone(), tokens.placed(p).span.clone());
    assert_eq!(placed(Placement::Start), (with(&[id("▁The")]), 1..3));
    assert_eq!(placed(Placement::Sentence), (with(&[id("▁The")]), 1..3));
    // After a line break there is no "▁": "The" is three letters in this vocabulary.
    assert_eq!(placed(Placement::Line), (with(&[id("T"), id("h"), id("e")]), 3..5));
    let blank = &tokens.before_blank_line(Placement::Line).ids;
    assert_eq!(blank[blank.len() - 2..], [id("<0x0A>"), id("<0x0A>")]);
}

#[test]
fn the_span_is_the_real_needle_or_everything() {
    for t in [byte_level(), llama2()] {
        let text = "The boats lie along the old wall.";
        let whole = needle(text, None).tokenise(t, &nothing(t)).unwrap();
        let reworded = needle(text, Some("Because of the wall.")).tokenise(t, &nothing(t)).unwrap();
        let part = needle(text, Some("along the old")).tokenise(t, &nothing(t)).unwrap();
        for p in [Placement::Start, Placement::Line, Placement::Sentence] {
            assert_eq!(whole.placed(p).span, 0..whole.placed(p).ids.len());
            assert_eq!(reworded.placed(p), whole.placed(p));
            let PlacedNeedle { ids, span } = part.placed(p);
            assert_eq!(*ids, whole.placed(p).ids);
            assert_eq!(t.decode(&ids[span.clone()]).unwrap().trim(), "along the old");
            assert!(t.decode(&ids[..span.start]).unwrap().ends_with("boats lie"));
        }
    }
}
