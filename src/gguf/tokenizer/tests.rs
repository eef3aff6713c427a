use std::sync::Arc;

use crate::chat::{ChatOptions, ChatTemplate};
use crate::gguf::Place;
use crate::gguf::samples::{add_bytes, add_pieces, opened, repository, sample};
use crate::gguf::writer::GgufWriter;
use crate::tokenizer::{Tokenizer, samples};

fn tokenizer(file: &GgufWriter) -> Tokenizer {
    Tokenizer::at(&Place::Gguf(Arc::new(opened(file).unwrap()))).unwrap()
}

const TEXTS: [&str; 9] = [
    "The wall of the boat",
    " leading space, trailing space ",
    "2024: $1,234.56 (7%)",
    "naïve café — “quoted” … Überstraße 東京",
    "don't we'll I'M",
    "two\n\nparagraphs\r\nand\ttabs   and    runs",
    "a <s> that </s> is spelled, <|bos|> too",
    "🙂 emoji 👩‍👩‍👧",
    "x",
];

#[test]
fn tokenizers_are_those_that_a_folder_has() {
    let mut pieces = GgufWriter::default();
    pieces.text("general.architecture", "qwen2");
    let mut bytes = pieces.clone();
    add_pieces(&mut pieces, &samples::llama2_json());
    add_bytes(&mut bytes, &samples::byte_level_json(), "llama-bpe");
    for (file, folder) in [(&pieces, samples::llama2()), (&bytes, samples::byte_level())] {
        let tokenizer = tokenizer(file);
        assert_eq!(tokenizer.bos(), folder.bos());
        assert_eq!(tokenizer.vocab_size(), folder.vocab_size());
        let essay = std::fs::read_to_string(repository().join("haystack/02-bread.txt")).unwrap();
        for text in TEXTS.into_iter().chain([&*essay]) {
            let want = folder.encode_with_offsets(text).unwrap();
            assert_eq!(tokenizer.encode_with_offsets(text).unwrap(), want, "{text:?}");
            assert_eq!(tokenizer.decode(&want.ids).unwrap(), folder.decode(&want.ids).unwrap());
        }
    }
    // A space in front, or not; BOS in front, or not.
    pieces.flag("tokenizer.ggml.add_space_prefix", false);
    pieces.flag("tokenizer.ggml.add_bos_token", false);
    let bare = tokenizer(&pieces);
    assert_eq!(
        (bare.bos(), bare.decode(&bare.encode(" The").unwrap()).unwrap()),
        (None, " The".into())
    );
    assert_ne!(bare.encode("The wall").unwrap(), samples::llama2().encode("The wall").unwrap());
}

/// How each rule cuts, by hand: pieces of a text are looked at through a vocabulary of bytes and
/// the merges that would join what a rule keeps apart.
#[test]
fn rules_for_words_cut_as_their_models_do() {
    let alphabet = &samples::byte_level_json()["model"]["vocab"];
    let mut tokens: Vec<String> = alphabet.as_object().unwrap().keys().cloned().collect();
    tokens.retain(|token| token.chars().count() == 1);
    tokens.sort();
    let joined = ["12", "123", "1234", "Ġ1", "'s", "it's", "a.", "ĊĊ", ".ĊĊ", "é", "/Ċ"];
    let merges =
        ["1 2", "12 3", "123 4", "Ġ 1", "' s", "i t", "it 's", "a .", "Ċ Ċ", ". ĊĊ", "/ Ċ"];
    let mut all = tokens.clone();
    all.extend(joined.map(str::to_owned).into_iter().filter(|token| token != "é"));
    all.push("it".to_owned());
    // Llama's and Qwen's rules keep line breaks with the marks before them; Tekken's slashes, too.
    for (pre, numbers, spaced, breaks, slash) in [
        ("llama-bpe", &["123", "4"][..], &["Ġ", "1"][..], &[".ĊĊ"][..], &["/Ċ"][..]),
        ("qwen2", &["1", "2", "3", "4"], &["Ġ", "1"], &[".ĊĊ"], &["/Ċ"]),
        ("smollm", &["1", "2", "3", "4"], &["Ġ", "1"], &[".", "ĊĊ"], &["/", "Ċ"]),
        ("gpt-2", &["1234"], &["Ġ1"], &[".", "ĊĊ"], &["/", "Ċ"]),
        ("tekken", &["1", "2", "3", "4"], &["Ġ", "1"], &[".ĊĊ"], &["/Ċ"]),
    ] {
        let mut file = GgufWriter::default();
        file.text("general.architecture", "qwen2");
        file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
        file.texts("tokenizer.ggml.tokens", &all).texts("tokenizer.ggml.merges", &merges);
        file.flag("tokenizer.ggml.add_bos_token", false);
        let tokenizer = tokenizer(&file);
        let names = |text: &str| -> Vec<&str> {
            let ids = tokenizer.encode(text).unwrap();
            ids.into_iter().map(|id| &*all[id as usize]).collect()
        };
        assert_eq!(names("1234"), numbers, "{pre}");
        assert_eq!(names(" 1"), spaced, "{pre}");
        assert_eq!(names(".\n\n"), breaks, "{pre}");
        assert_eq!(names("/\n"), slash, "{pre}");
        // "é" as two characters is one for the rule that brings texts into form NFC.
        let composed = tokenizer.encode("e\u{301}").unwrap() == tokenizer.encode("\u{e9}").unwrap();
        assert_eq!(composed, pre == "qwen2", "{pre}");
    }
}

#[test]
fn a_chat_template_is_told_the_tokens_of_its_file() {
    let mut file = sample();
    let at = |file: &GgufWriter| {
        let place = Place::Gguf(Arc::new(opened(file).unwrap()));
        ChatTemplate::at(&place, &ChatOptions::new())
    };
    assert_eq!(at(&file).unwrap(), None);
    file.text(
        "tokenizer.chat_template",
        "{{ bos_token }}U {{ messages[0].content }}{{ eos_token }}",
    );
    let template = at(&file).unwrap().unwrap();
    assert_eq!((template.before(), template.after()), ("<s>U ", "</s>"));
    assert_eq!(template.file(), "tokenizer.chat_template");
    file.text("tokenizer.chat_template", "{% for %}");
    let e = at(&file).unwrap_err().to_string();
    assert!(e.contains("model.gguf: tokenizer.chat_template"), "{e}");
}
