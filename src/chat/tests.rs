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
    ChatTemplate::from_dir(dir.path()).unwrap().unwrap()
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
        let message = "The boats lie along the wall. Where?\nAnswer:";
        let whole = format!("{}{message}{}", chat.template.before(), chat.template.after());
        let mut ids: Vec<u32> = chat.bos.into_iter().chain(chat.before.clone()).collect();
        ids.extend(byte_level.encode(message).unwrap());
        ids.extend(&chat.after);
        assert_eq!(ids, byte_level.encode_markup(&whole).unwrap(), "{whole}");
        assert_eq!(chat.bos, byte_level.bos().filter(|_| !bos.is_empty()));
        assert_eq!(chat.tokens() + byte_level.encode(message).unwrap().len(), ids.len());
        // The marks are tokens; the same letters in a message are not.
        assert!(chat.after.contains(&byte_level.token_id("<|eot|>").unwrap()));
        assert!(!byte_level.encode("<|eot|>").unwrap().contains(&602));
    }
}

/// SentencePiece puts a space before the message's first word: the template's own is not doubled.
#[test]
fn a_space_before_a_message_is_not_doubled() {
    let llama2 = samples::llama2();
    for source in [LLAMA2, MISTRAL] {
        let chat = Chat::new(template(source, "<s>"), llama2).unwrap();
        assert_eq!(chat.bos, llama2.bos());
        let message = "The wall";
        let mut ids = chat.before.clone();
        ids.extend(llama2.encode(message).unwrap());
        ids.extend(&chat.after);
        assert_eq!(llama2.decode(&ids).unwrap().trim(), "[INST] The wall [/INST]");
    }
}

#[test]
fn templates_are_found_where_transformers_finds_them() {
    let open = |files: &[(&str, &str)]| ChatTemplate::from_dir(folder(files).path()).unwrap();
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
        let e = ChatTemplate::from_dir(dir.path()).unwrap_err();
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
        let e = ChatTemplate::from_dir(folder(&[(file, text)]).path()).unwrap_err();
        assert_eq!(e.exit_code(), 4);
        assert!(e.to_string().contains(part), "{e}");
    }
}

#[test]
fn the_mode_decides() {
    let dir = folder(&[("tokenizer_config.json", &config(MISTRAL, "<s>"))]);
    let (tokenizer, none) = (samples::llama2(), tempfile::tempdir().unwrap());
    let open = |mode, dir| Chat::open(mode, dir, tokenizer);
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
