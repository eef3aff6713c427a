use super::samples::{self, byte_level, llama2};
use super::*;

#[test]
fn the_byte_level_sample_round_trips_any_text() {
    let t = byte_level();
    for text in ["The boats, 4817.\n\nHé 🦀 <|bos|> \t end", "", " a", "\n"] {
        let e = t.encode_with_offsets(text).unwrap();
        assert_eq!(t.decode(&e.ids).unwrap(), text);
        assert_eq!(e.ids.len(), e.offsets.len());
    }
}

/// A character of several tokens is the last one's.
#[test]
fn pieces_put_together_are_the_text() {
    let text = "The boats: Zoë 漢 🦀 end\n";
    for tokenizer in [byte_level(), llama2()] {
        let ids = tokenizer.encode(text).unwrap();
        let pieces = tokenizer.pieces(&ids).unwrap();
        assert_eq!((pieces.len(), pieces.concat().as_str()), (ids.len(), text));
        assert!(pieces.iter().any(|piece| piece.ends_with('🦀')), "{pieces:?}");
        assert!(pieces.iter().any(String::is_empty), "{pieces:?}");
    }
    let bos = byte_level().bos().unwrap();
    assert_eq!(byte_level().pieces(&[bos, bos]).unwrap(), ["<|bos|>", "<|bos|>"]);
    assert!(byte_level().pieces(&[]).unwrap().is_empty());
}

#[test]
fn bos_is_what_the_tokenizer_puts_in_front() {
    assert_eq!(byte_level().bos(), byte_level().token_id("<|bos|>"));
    assert!(byte_level().bos().is_some());
    assert_eq!(llama2().bos(), Some(1));
    // No post-processor: no BOS (Qwen2).
    let mut json = samples::byte_level_json();
    json["post_processor"] = serde_json::Value::Null;
    assert_eq!(samples::load(&json).unwrap().bos(), None);
    // EOS behind the text only (no BOS) is not a BOS.
    let mut json = samples::byte_level_json();
    let single = json["post_processor"]["single"].as_array_mut().unwrap();
    single.reverse();
    assert_eq!(samples::load(&json).unwrap().bos(), None);
    // Two in front: refused.
    let mut json = samples::byte_level_json();
    let single = json["post_processor"]["single"].as_array_mut().unwrap();
    single.insert(0, single[0].clone());
    let e = samples::load(&json).unwrap_err();
    assert_eq!(e.exit_code(), 4);
    assert!(e.to_string().contains("2 tokens in front"), "{e}");
}

#[test]
fn no_special_token_comes_out_of_text() {
    for (t, spelled) in [(byte_level(), "a <|bos|> b"), (llama2(), "a <s> b")] {
        let ids = t.encode(spelled).unwrap();
        assert!(!ids.is_empty() && !ids.contains(&t.bos().unwrap()), "{ids:?}");
        // What the tokenizer's own BOS decodes to is nothing.
        assert_eq!(t.decode(&[t.bos().unwrap()]).unwrap(), "");
    }
}

#[test]
fn truncation_and_padding_of_the_file_are_ignored() {
    let mut json = samples::byte_level_json();
    json["truncation"] = serde_json::json!({"direction": "Right", "max_length": 4,
        "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|bos|>"});
    let text = "The boats lie along the wall.";
    let (plain, set) = (byte_level(), samples::load(&json).unwrap());
    assert!(plain.encode(text).unwrap().len() > 4);
    assert_eq!(set.encode(text).unwrap(), plain.encode(text).unwrap());
    assert_eq!(set.bos(), plain.bos());
}

#[test]
fn offsets_are_bytes_and_keep_the_leading_space() {
    // "é" is two bytes: " wall" begins at byte 3, with its space.
    let e = byte_level().encode_with_offsets("hé wall").unwrap();
    assert!(e.offsets.iter().any(|o| o.0 == 3), "{:?}", e.offsets);
    assert_eq!(e.offsets.last().unwrap().1, 8);
    // ByteLevel's trim_offsets would hide the space.
    let mut json = samples::byte_level_json();
    json["post_processor"] = serde_json::json!({"type": "ByteLevel",
        "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let trimmed = samples::load(&json).unwrap().encode_with_offsets("hé wall").unwrap();
    assert_eq!(trimmed, e);
}

#[test]
fn encode_after_drops_the_prefix_of_sentencepiece() {
    let t = llama2();
    let id = |s: &str| t.token_id(s).unwrap();
    // Alone: the normaliser's "▁" in front. After a line break: none.
    assert_eq!(t.encode("The").unwrap(), [id("▁The")]);
    assert_eq!(t.encode_after("\n", "The").unwrap().ids, [id("T"), id("h"), id("e")]);
    // The space of the text is the "▁", once.
    let e = t.encode_after(".", " The wall").unwrap();
    assert_eq!(e.ids, [id("▁The"), id("▁wall")]);
    assert_eq!(e.offsets, [(0, 4), (4, 9)]);
    // A line break after a full stop is the byte alone.
    assert_eq!(t.encode_after(".", "\n").unwrap().ids, [id("<0x0A>")]);
    assert_eq!(t.encode_after("", "The").unwrap().ids, [id("▁The")]);
}

#[test]
fn encode_after_falls_back_where_a_token_straddles() {
    let t = byte_level();
    // Letters merge across the border: "boat" + "s" is one token in this vocabulary.
    let word = samples::a_word_that_is_one_token(t);
    let (head, tail) = word.split_at(word.len() - 1);
    assert_eq!(t.encode(&word).unwrap().len(), 1);
    assert_eq!(t.encode_after(head, tail).unwrap(), t.encode_with_offsets(tail).unwrap());
    // No merge across a space: the same as alone, offsets in the text itself.
    assert_eq!(
        t.encode_after(".", " The boats").unwrap(),
        t.encode_with_offsets(" The boats").unwrap()
    );
}

#[test]
fn newline_ids_of_both_kinds() {
    let t = byte_level();
    let ids = t.newline_ids();
    assert!(ids.contains(&t.token_id("Ċ").unwrap()));
    for id in 0..t.vocab_size() as u32 {
        let text = t.inner.decode(&[id], false).unwrap();
        assert_eq!(ids.contains(&id), text.contains('\n'), "{id} {text:?}");
    }
    let t = llama2();
    assert_eq!(t.newline_ids().iter().copied().collect::<Vec<_>>(), [3 + 10]);
}

#[test]
fn not_a_tokenizer_names_the_place() {
    for bytes in [&b""[..], b"{}", b"[1,2", b"\xff\xfe", b"{\"model\":null}"] {
        let e = Tokenizer::from_bytes(bytes, "m/tokenizer.json").unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains("m/tokenizer.json"), "{e}");
    }
    let e = Tokenizer::from_file(Path::new("no/such/tokenizer.json")).unwrap_err();
    assert_eq!(e.exit_code(), 4);
    assert!(e.to_string().contains("no/such/tokenizer.json"), "{e}");
}

/// A decoder that takes a character off the end of an empty text, at which the library panics.
#[test]
fn a_decoder_that_fails_is_an_error() {
    let mut json = samples::llama2_json();
    json["decoder"] = serde_json::json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": ""},
        {"type": "Strip", "content": " ", "start": 0, "stop": 1}]});
    let tokenizer = samples::load(&json).unwrap();
    let space = tokenizer.token_id("▁").unwrap();
    let e = tokenizer.decode(&[space]).unwrap_err();
    assert_eq!(e.exit_code(), 4, "{e}");
    assert!(e.to_string().contains(&format!("[{space}]")), "{e}");
}

/// A vocabulary without the word that stands before a template's end: it has no tokens.
#[test]
fn a_vocabulary_may_lack_a_letter() {
    let mut json = samples::llama2_json();
    json["normalizer"] = serde_json::Value::Null;
    json["model"]["unk_token"] = serde_json::Value::Null;
    json["model"]["byte_fallback"] = false.into();
    json["model"]["vocab"].as_object_mut().unwrap().remove("A").unwrap();
    let tokenizer = samples::load(&json).unwrap();
    let ids = |text| tokenizer.encode(text).unwrap();
    assert_eq!(ids("Ay"), ids("y"));
    let message = tokenizer.encode_between("b", "c<s>", "y").unwrap();
    assert_eq!((message.before, message.after), (ids("b"), ids("y")));
}

#[test]
fn offsets_are_of_whole_characters() {
    // a: 0, é: 1 and 2, 🦀: 3 to 6, 7 the end.
    let text = "aé🦀";
    for (given, whole) in [
        ((0, 1), (0, 1)),
        ((1, 2), (1, 3)),
        ((2, 3), (1, 3)),
        ((2, 4), (1, 7)),
        ((4, 4), (3, 7)),
        ((3, 9), (3, 7)),
        ((9, 9), (7, 7)),
        ((3, 1), (1, 1)),
    ] {
        assert_eq!(whole_characters(text, given), whole, "{given:?}");
    }
}

/// To the largest of all ids the library adds 1.
#[test]
fn the_largest_id_of_all_is_refused() {
    for (id, taken) in [(u32::MAX, false), (u32::MAX - 1, true)] {
        let mut json = samples::llama2_json();
        json["model"]["vocab"]["~"] = id.into();
        for token in json["added_tokens"].as_array_mut().unwrap() {
            token["special"] = false.into();
        }
        match samples::load(&json) {
            Ok(tokenizer) => assert!(taken && tokenizer.vocab_size() == u32::MAX as usize),
            Err(e) => assert!(!taken && e.to_string().contains("impossible id"), "{e}"),
        }
    }
}

/// A template that names a special token which it does not describe, on which the library
/// panics.
#[test]
fn a_template_with_an_unknown_special_token_is_refused() {
    let mut json = samples::llama2_json();
    json["post_processor"]["special_tokens"] = serde_json::json!({});
    let e = samples::load(&json).unwrap_err();
    assert_eq!(e.exit_code(), 4, "{e}");
    let mut json = samples::llama2_json();
    json["post_processor"]["single"][0]["SpecialToken"]["id"] = "<bos>".into();
    assert_eq!(samples::load(&json).unwrap_err().exit_code(), 4);
}

/// Cut off or garbled within the decoder, on which the library panics.
#[test]
fn a_tokenizer_that_ends_anywhere_is_refused() {
    let text = samples::llama2_json().to_string();
    let decoder = text.find("\"decoder\"").unwrap();
    let model = text.find("\"model\"").unwrap();
    for end in (decoder..model).chain((0..text.len()).step_by(997)) {
        let Some(cut) = text.get(..end) else { continue };
        let e = Tokenizer::from_bytes(cut.as_bytes(), "m/tokenizer.json").unwrap_err();
        assert_eq!(e.exit_code(), 4, "{e}");
        assert!(e.to_string().contains("m/tokenizer.json"), "{e}");
    }
    let garbled = text.replacen("\"ByteFallback\"", "\"ByteFallback\"\"x\"", 1);
    assert_ne!(garbled, text);
    assert_eq!(Tokenizer::from_bytes(garbled.as_bytes(), "t").unwrap_err().exit_code(), 4);
}

#[test]
fn sha256_is_of_the_file() {
    let bytes = serde_json::to_vec(&samples::byte_level_json()).unwrap();
    let t = Tokenizer::from_bytes(&bytes, "t").unwrap();
    assert_eq!(t.sha256().len(), 64);
    assert_eq!(t.sha256(), sha256(&bytes));
}
