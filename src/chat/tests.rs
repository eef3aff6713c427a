use std::path::Path;

use super::*;
use crate::tokenizer::samples;
use serde_json::{Value, json};

/// Templates of the kinds that models have, in our own words but of their structure: headers of
/// Llama 3, marks of Qwen (ChatML), brackets of Llama 2 and of Mistral.
const LLAMA3: &str = "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- set date_string = strftime_now('%d %b %Y') %}\n{%- endif %}\n{%- for message in messages %}\n    {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|eot|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|head|>assistant<|/head|>\\n\\n' }}\n{%- endif %}\n";
const CHATML: &str = "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<|start|>system\\nBe of use.<|eot|>\\n' }}{% endif %}{{ '<|start|>' + message.role + '\\n' + message.content + '<|eot|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{% generation %}{{ '<|start|>assistant\\n' }}{% endgeneration %}{% endif %}";
const LLAMA2: &str = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}{% endif %}{% endfor %}";
const MISTRAL: &str = "{{ bos_token }}{%- set ns = namespace(index=0) -%}{%- for message in messages -%}{%- set ns.index = ns.index + 1 -%}{{ '[INST] ' ~ message['content'] ~ ' [/INST]' }}{%- endfor -%}";

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn config(template: &str, bos: &str) -> String {
    json!({"chat_template": template, "bos_token": bos, "eos_token": {"content": "</s>"}})
        .to_string()
}

fn template(template: &str, bos: &str) -> ChatTemplate {
    let dir = folder(&[("tokenizer_config.json", &config(template, bos))]);
    ChatTemplate::from_dir(dir.path(), &ChatOptions::new()).unwrap().unwrap()
}

/// The byte-level sample with the special tokens of the templates above.
fn byte_level() -> Tokenizer {
    let mut json = samples::byte_level_json();
    let added = json["added_tokens"].as_array_mut().unwrap();
    for (i, name) in ["<|head|>", "<|/head|>", "<|eot|>", "<|start|>"].into_iter().enumerate() {
        let mut token = added[0].clone();
        token["id"] = Value::from(600 + i);
        token["content"] = Value::from(name);
        added.push(token);
    }
    samples::load(&json).unwrap()
}

#[test]
fn what_stands_around_a_message() {
    let llama3 = template(LLAMA3, "<|bos|>");
    assert_eq!(llama3.before(), "<|bos|><|head|>user<|/head|>\n\n");
    assert_eq!(llama3.after(), "<|eot|><|head|>assistant<|/head|>\n\n");
    let chatml = template(CHATML, "");
    assert_eq!(chatml.before(), "<|start|>system\nBe of use.<|eot|>\n<|start|>user\n");
    assert_eq!(chatml.after(), "<|eot|>\n<|start|>assistant\n");
    let llama2 = template(LLAMA2, "<s>");
    assert_eq!((llama2.before(), llama2.after()), ("<s>[INST] ", " [/INST]"));
    let mistral = template(MISTRAL, "<s>");
    assert_eq!((mistral.before(), mistral.after()), ("<s>[INST] ", " [/INST]"));
    let trims = [&llama3, &chatml, &llama2, &mistral].map(ChatTemplate::trims);
    assert_eq!(trims, [true, false, true, false]);
}

/// A mark takes the spaces beside it away where it says so.
#[test]
fn marks_of_what_an_assistant_says_print_nothing() {
    let marked = "A  {%- generation -%}  {{ messages[0].content }}  {%- endgeneration %} B";
    let marked = template(marked, "");
    assert_eq!((marked.before(), marked.after()), ("A", " B"));
}

/// Nothing is offered to the model but the message: what templates ask about is there, and none.
#[test]
fn there_are_no_tools_and_no_documents() {
    let asks = "{% if tools is not none %}T{% endif %}{% if documents is not none %}D{% endif %}";
    let asked = template(&format!("{asks}A {{{{ messages[0].content }}}} B"), "");
    assert_eq!((asked.before(), asked.after()), ("A ", " B"));
}

/// The day is the same on every day.
#[test]
fn dates_are_fixed() {
    let dated = template("{{ strftime_now('%d %b %Y, %H:%M:%S') }} {{ messages[0].content }}", "");
    assert_eq!(dated.before(), "26 Jul 2024, 12:00:00 ");
}

/// Tokens around a message and those of the message are the tokens of the whole text.
#[test]
fn tokens_are_those_of_the_whole_text() {
    let byte_level = byte_level();
    for (source, bos) in [(LLAMA3, "<|bos|>"), (CHATML, "")] {
        let chat = Chat::new(template(source, bos), &byte_level).unwrap();
        let text = "The boats lie along the wall. Where?\nAnswer:";
        let whole = format!("{}{text}{}", chat.template.before(), chat.template.after());
        let message = chat.message(&byte_level, text).unwrap();
        let ids = [&message.before[..], &message.text.ids, &message.after].concat();
        assert_eq!(ids, byte_level.encode_markup(&whole).unwrap(), "{whole}");
        assert_eq!(message.text, byte_level.encode_with_offsets(text).unwrap());
        assert_eq!(chat.bos, byte_level.bos().filter(|_| !bos.is_empty()));
        // The marks are tokens; the same letters in a message are not.
        let eot = byte_level.token_id("<|eot|>").unwrap();
        assert!(message.after.contains(&eot));
        let spelled = chat.message(&byte_level, "a <|eot|> b").unwrap();
        assert!(!spelled.text.ids.contains(&eot), "{spelled:?}");
        assert_eq!((spelled.before, spelled.after), (message.before, message.after));
    }
}

/// The template's space before a message goes into the message's first word, as SentencePiece has
/// it: `[INST] The wall` is `▁[INST] ▁The ▁wall` in pieces, and the piece `▁The` is the message's.
#[test]
fn a_space_before_a_message_is_its_first_words() {
    let llama2 = samples::llama2();
    let id = |token: &str| llama2.token_id(token).unwrap();
    for source in [LLAMA2, MISTRAL] {
        let chat = Chat::new(template(source, "<s>"), llama2).unwrap();
        assert_eq!(chat.bos, llama2.bos());
        let message = chat.message(llama2, "The wall").unwrap();
        assert_eq!(message.text.ids, [id("▁The"), id("▁wall")]);
        assert_eq!(message.text.offsets, [(0, 3), (3, 8)]);
        let before: Vec<u32> = ["<s>", "▁", "[", "I", "N", "S", "T", "]"].map(id).to_vec();
        assert_eq!(message.before, before);
        let after = ["▁", "[", "/", "I", "N", "S", "T", "]"].map(id);
        assert_eq!(message.after, after);
    }
}

#[test]
fn templates_are_found_where_transformers_finds_them() {
    let open = |files: &[(&str, &str)]| {
        ChatTemplate::from_dir(folder(files).path(), &ChatOptions::new()).unwrap()
    };
    let of = |text: &str| config(&format!("{text}{{{{ messages[0].content }}}}"), "");
    let jinja = ("chat_template.jinja", "J{{ messages[0].content }}");
    let json = of("O");
    let json = ("chat_template.json", json.as_str());
    let own = of("C");
    let own = ("tokenizer_config.json", own.as_str());
    for (files, before, file) in [
        (&[jinja, json, own][..], "J", "chat_template.jinja"),
        (&[json, own], "O", "chat_template.json"),
        (&[own], "C", "tokenizer_config.json"),
    ] {
        let template = open(files).unwrap();
        assert_eq!((template.before(), template.file()), (before, file));
    }
    let named = json!({"chat_template": [
        {"name": "tools", "template": "x"},
        {"name": "default", "template": "D{{ messages[0].content }}"},
    ]});
    assert_eq!(open(&[("tokenizer_config.json", &named.to_string())]).unwrap().before(), "D");
    assert_eq!(open(&[]), None);
    assert_eq!(open(&[("tokenizer_config.json", "{}")]), None);
}

#[test]
fn bad_templates_are_errors_of_the_model() {
    for (text, part) in [
        ("{% for %}", "line 1"),
        ("{{ raise_exception('only tools') }}", "only tools"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "2 times"),
        ("fixed", "0 times"),
        ("{% for i in range(10000) %}{% for j in range(10000) %}.{% endfor %}{% endfor %}", "fuel"),
        ("{{ messages[0].content.nothing() }}", "nothing"),
    ] {
        let dir = folder(&[("tokenizer_config.json", &config(text, "<s>"))]);
        let e = ChatTemplate::from_dir(dir.path(), &ChatOptions::new()).unwrap_err();
        assert_eq!(e.exit_code(), 4, "{text}");
        let e = e.to_string();
        assert!(e.contains(part) && e.contains("tokenizer_config.json"), "{text}: {e}");
        assert!(e.contains("--chat never"), "{e}");
    }
    for (file, text, part) in [
        ("tokenizer_config.json", "{", ":1:"),
        ("tokenizer_config.json", r#"{"chat_template": 3}"#, "a string"),
        ("tokenizer_config.json", r#"{"chat_template": [{"name": "x"}]}"#, "named default"),
    ] {
        let e = ChatTemplate::from_dir(folder(&[(file, text)]).path(), &ChatOptions::new())
            .unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains(part), "{e}");
    }
}

#[test]
fn the_mode_decides() {
    let dir = folder(&[("tokenizer_config.json", &config(MISTRAL, "<s>"))]);
    let (tokenizer, none) = (samples::llama2(), tempfile::tempdir().unwrap());
    let open = |mode, dir: Option<&Path>| {
        let place = dir.map(|dir| Place::Folder(dir.to_owned()));
        Chat::open(mode, &ChatOptions::new(), place.as_ref(), tokenizer)
    };
    assert!(open(ChatMode::Auto, Some(dir.path())).unwrap().is_some());
    assert!(open(ChatMode::Always, Some(dir.path())).unwrap().is_some());
    assert_eq!(open(ChatMode::Never, Some(dir.path())).unwrap(), None);
    assert_eq!(open(ChatMode::Auto, Some(none.path())).unwrap(), None);
    assert_eq!(open(ChatMode::Auto, None).unwrap(), None);
    for dir in [Some(none.path()), None] {
        let e = open(ChatMode::Always, dir).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("--chat"), "{e}");
    }
}

fn options(of: &[(&str, TemplateValue)]) -> ChatOptions {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Of our own making, in the way of templates that turn the thinking off with an empty one.
const THINKER: &str = "{{ messages[0].content }}\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n{% endif %}{{ mood }}";

#[test]
fn options_are_told_and_an_unread_one_is_refused() {
    let dir = folder(&[("chat_template.jinja", THINKER)]);
    let open = |of: &[(&str, TemplateValue)]| ChatTemplate::from_dir(dir.path(), &options(of));
    // Thinking is off where nothing is said.
    let off = open(&[]).unwrap().unwrap();
    assert_eq!((off.after(), off.thinks()), ("\n<think>\n\n</think>\n", false));
    assert_eq!(*off.options(), options(&[("enable_thinking", TemplateValue::from(false))]));
    let on =
        [("enable_thinking", TemplateValue::from(true)), ("mood", TemplateValue::from("good"))];
    let on = open(&on).unwrap().unwrap();
    assert_eq!((on.after(), on.thinks()), ("\ngood", true));
    assert_eq!(on.options().len(), 2);
    let e = open(&[("enable_thinkng", TemplateValue::from(true))]).unwrap_err();
    assert_eq!(e.exit_code(), 2);
    for part in ["--chat-option enable_thinkng", "enable_thinking, mood", "chat_template.jinja"] {
        assert!(e.to_string().contains(part), "{e}");
    }
    // A template that asks for the option and has no marks is told nothing of its own accord.
    let asks = template("{{ enable_thinking is defined }}{{ messages[0].content }}", "");
    assert_eq!((asks.before(), asks.options().len()), ("False", 0));
    // One that begins the thinking itself.
    let begins = template("{{ messages[0].content }}<x>\n<think>\n", "");
    assert!(begins.thinks());
}

#[test]
fn options_without_a_template_are_refused() {
    let (tokenizer, none) = (samples::llama2(), tempfile::tempdir().unwrap());
    let with = folder(&[("chat_template.jinja", THINKER)]);
    let mood = options(&[("mood", TemplateValue::from(1))]);
    let open = |mode, dir: Option<&Path>| {
        let place = dir.map(|dir| Place::Folder(dir.to_owned()));
        Chat::open(mode, &mood, place.as_ref(), tokenizer)
    };
    for (mode, dir) in [
        (ChatMode::Never, Some(with.path())),
        (ChatMode::Auto, Some(none.path())),
        (ChatMode::Auto, None),
    ] {
        let e = open(mode, dir).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--chat-option mood"), "{e}");
    }
    assert!(open(ChatMode::Auto, Some(with.path())).unwrap().is_some());
}

/// Special tokens are those of special_tokens_map.json, then of tokenizer_config.json, then of the
/// class.
#[test]
fn special_tokens_are_where_transformers_has_them() {
    let shows = "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token is defined }}{{ messages[0].content }}";
    let config = json!({"chat_template": shows, "eos_token": {"content": "E"},
        "tokenizer_class": "LlamaTokenizerFast"});
    let config = config.to_string();
    let before = |files: &[(&str, &str)]| {
        let opened = ChatTemplate::from_dir(folder(files).path(), &ChatOptions::new());
        opened.unwrap().unwrap().before().to_owned()
    };
    assert_eq!(before(&[("tokenizer_config.json", &config)]), "<s>E<unk>False");
    let map = r#"{"eos_token": {"content": "M"}, "pad_token": "P"}"#;
    let both = [("tokenizer_config.json", config.as_str()), ("special_tokens_map.json", map)];
    assert_eq!(before(&both), "<s>M<unk>True");
    let other = config.replace("LlamaTokenizerFast", "PreTrainedTokenizerFast");
    assert_eq!(before(&[("tokenizer_config.json", &other)]), "EFalse");
}

/// Asks whether there are tools in a way that fails where nothing counts as a list.
#[test]
fn what_is_asked_of_nothing_is_answered() {
    let asks = "{%- if tools is iterable and tools|length > 0 %}T{% endif %}\
                {%- if documents is sequence %}D{% endif %}A {{ messages[0].content }}";
    assert_eq!(template(asks, "").before(), "A ");
}
