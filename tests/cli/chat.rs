//! Chat templates: `--chat`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{fails, headprof, needles, stderr, text};

/// needle-llama in a folder, with a chat template.
fn chat_model(dir: &Path, template: &str) -> PathBuf {
    let model = dir.join("chat-llama");
    fs::create_dir(&model).unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/needle-llama");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(own.join(file), model.join(file)).unwrap();
    }
    let config = serde_json::json!({"chat_template": template, "bos_token": "<s>"});
    fs::write(model.join("tokenizer_config.json"), config.to_string()).unwrap();
    model
}

/// The prompts of a run, with their needle's tokens.
fn prompts(dir: &Path, model: &Path, chat: &[&str]) -> Vec<(Vec<u64>, Vec<u64>)> {
    let (needles, exported) = (needles(dir), dir.join("exported.jsonl"));
    let given =
        ["--model", text(model), "--needles", text(&needles), "--out", text(dir), "--fresh"];
    let grid = ["--lengths", "192", "--depths", "0,0.5,1", "--gate", "none", "--no-plots"];
    let rest = ["--max-new-tokens", "2", "--export-probes", text(&exported)];
    let output = headprof(&[&given[..], &grid, &rest, chat].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = |path: &Path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let spans = lines(&dir.join("probes.jsonl"));
    let ids = lines(&exported);
    assert_eq!((ids.len(), spans.len()), (6, 6));
    let number = |v: &Value| v.as_u64().unwrap();
    ids.iter()
        .zip(&spans)
        .map(|(probe, record)| {
            let ids: Vec<u64> = probe["ids"].as_array().unwrap().iter().map(number).collect();
            let span = &record["needle_spans"][0];
            let needle = number(&span[0]) as usize..number(&span[1]) as usize;
            let needle = ids[needle].to_vec();
            (ids, needle)
        })
        .collect()
}

/// The prompt has the length asked for, begins and ends as the template says, and its needle is the
/// needle.
#[test]
fn a_prompt_is_a_message_where_the_model_has_a_template() {
    let dir = tempfile::tempdir().unwrap();
    let model =
        chat_model(dir.path(), "{{ bos_token }}</s>{{ messages[0].content }}</s>{{ '</s>' }}");
    let chat = prompts(dir.path(), &model, &[]);
    let meta = dir.path().join("head_score/chat-llama_inf_heads.meta.json");
    let meta: Value = serde_json::from_str(&fs::read_to_string(&meta).unwrap()).unwrap();
    assert_eq!(meta["prompt"]["chat"]["before"], "<s></s>");
    assert_eq!(meta["prompt"]["chat"]["file"], "tokenizer_config.json");
    let plain = prompts(dir.path(), &model, &["--chat", "never"]);
    for ((ids, needle), (plain_ids, plain_needle)) in chat.iter().zip(&plain) {
        assert_eq!((ids.len(), plain_ids.len()), (192, 192));
        assert_eq!((ids[..2].to_vec(), ids[190..].to_vec()), (vec![0, 1], vec![1, 1]));
        assert!(!plain_ids[1..].contains(&1));
        assert_eq!(needle, plain_needle);
        // The question stands before the template's end.
        assert_eq!(ids[175..190], plain_ids[177..192]);
    }
    // The embedded model has no template.
    fails(&["--chat", "always"], 2, &["no chat template", "--chat never"]);
}

#[test]
fn a_broken_template_is_named_before_the_weights_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let model = chat_model(dir.path(), "{% if %}");
    fs::remove_file(model.join("model.safetensors")).unwrap();
    let args = ["--model", text(&model), "--out", text(dir.path())];
    fails(&args, 4, &["tokenizer_config.json", "cannot be rendered", "--chat never"]);
}

/// An option is told, recorded and shown; one that the template never reads is refused.
#[test]
fn options_are_told_to_the_template() {
    let dir = tempfile::tempdir().unwrap();
    let template = "{{ bos_token }}{{ messages[0].content }}{{ mood }}\
                    {% if enable_thinking %}<think>{% endif %}";
    let model = chat_model(dir.path(), template);
    prompts(dir.path(), &model, &["--chat-option", "mood=good"]);
    let meta = dir.path().join("head_score/chat-llama_inf_heads.meta.json");
    let meta: Value = serde_json::from_str(&fs::read_to_string(&meta).unwrap()).unwrap();
    let chat = &meta["prompt"]["chat"];
    assert_eq!(chat["after"], "good");
    assert_eq!(chat["options"], serde_json::json!({"enable_thinking": false, "mood": "good"}));

    let shown = headprof(&[
        "--model",
        text(&model),
        "--lengths",
        "2048",
        "--depths",
        "0",
        "--dry-run",
        "--chat-option",
        "enable_thinking=true",
    ]);
    let out = String::from_utf8(shown.stdout.clone()).unwrap();
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert!(out.contains("enable_thinking=true") && out.contains("at most 1056"), "{out}");
    assert!(stderr(&shown).contains("thinks before it answers"), "{}", stderr(&shown));

    let args = ["--model", text(&model), "--out", text(dir.path()), "--chat-option", "moood=1"];
    fails(&args, 2, &["never reads", "--chat-option moood", "enable_thinking", "mood"]);
}

/// Thinking that does not end leaves no answer, and the record says so.
#[test]
fn thinking_without_an_end_is_told_in_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let model = chat_model(dir.path(), "{{ bos_token }}{{ messages[0].content }}<think>\n");
    let needles = needles(dir.path());
    let given = ["--model", text(&model), "--needles", text(&needles), "--out", text(dir.path())];
    let grid = ["--lengths", "192", "--depths", "0.5", "--max-new-tokens", "2", "--no-plots"];
    // No probe passes.
    fails(&[&given[..], &grid].concat(), 6, &[]);
    let lines = fs::read_to_string(dir.path().join("probes.jsonl")).unwrap();
    assert!(!lines.is_empty());
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["status"], "rejected");
        assert_eq!((&record["judged"], &record["thinking"]["ended"]), (&"".into(), &false.into()));
        assert!(record["reason"].as_str().unwrap().contains("did not end"), "{line}");
    }
}
