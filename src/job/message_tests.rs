//! Prompts are, id for id, what encoding their text as a whole gives.

use serde_json::{Value, json};

use super::{Inputs, Job, ModelFiles, NeedleSpans};
use crate::chat::{Chat, ChatTemplate};
use crate::cli::ProbeArgs;
use crate::config::{AnswerDefaults, ModelChoice, ProbeConfig, Surroundings};
use crate::haystack::Haystack;
use crate::job::{ProbeTexts, TextsOrigin};
use crate::needle::{Needle, ProbeText, PublishedContext, SubTask};
use crate::score::References;
use crate::tokenizer::{Tokenizer, samples};

/// How the question part begins.
const QUESTION: &str = "\nBased on the content of the book";

/// A kind of chat model: its name, its tokenizer, its template, and what stands right before and
/// right behind a message.
struct Kind {
    name: &'static str,
    tokenizer: Tokenizer,
    template: &'static str,
    around: [&'static str; 2],
}

fn with_special(mut json: Value, tokens: &[&str]) -> Tokenizer {
    let added = json["added_tokens"].as_array_mut().unwrap();
    for (i, token) in tokens.iter().enumerate() {
        let mut special = added[0].clone();
        special["id"] = json!(900 + i);
        special["content"] = json!(token);
        added.push(special);
    }
    samples::load(&json).unwrap()
}

fn kinds() -> Vec<Kind> {
    let chatml = "{% for m in messages %}{{ '<|start|>' + m.role + '\\n' + m.content + '<|end|>\\n' }}{% endfor %}<|start|>assistant\n";
    let zephyr = "{% for m in messages %}{{ '<|user|>\\n' + m.content + '</s>\\n' }}{% endfor %}<|assistant|>\n";
    let inst = "<s>{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endfor %}";
    let glued = "<s>{% for m in messages %}{{ '[INST]' + m.content + '[/INST]' }}{% endfor %}";
    let vicuna =
        "<s>A chat. {% for m in messages %}{{ 'USER: ' + m.content }}{% endfor %} ASSISTANT:";
    let llama3 = "<|bos|>{% for m in messages %}{{ '<|head|>user<|/head|>\\n\\n' + m.content | trim + '<|eot|>' }}{% endfor %}<|head|>assistant<|/head|>\n\n";
    let kind = |name, tokenizer, template, around| Kind { name, tokenizer, template, around };
    let llama2 = || samples::load(&samples::llama2_json()).unwrap();
    let class = samples::llama2_of_its_class;
    let controls = || with_special(samples::llama2_json(), &["[INST]", "[/INST]"]);
    let marks = ["<|head|>", "<|/head|>", "<|eot|>", "<|start|>", "<|end|>"];
    let bytes = || with_special(samples::byte_level_json(), &marks);
    let mut without_bos = samples::byte_level_json();
    without_bos["post_processor"] = Value::Null;
    // GPT-2's rule for words, by which a blank line before a word is two tokens.
    let mut gpt2 = without_bos.clone();
    gpt2["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false,
        "trim_offsets": true, "use_regex": true});
    vec![
        kind("Llama 2", llama2(), inst, ["[INST] ", " [/INST]"]),
        kind("Llama 2 of its class", class(), inst, ["[INST] ", " [/INST]"]),
        kind("Mistral, marks are tokens", controls(), inst, ["[INST] ", " [/INST]"]),
        kind("Mistral, nothing between", controls(), glued, ["[INST]", "[/INST]"]),
        kind("Vicuna", llama2(), vicuna, ["USER: ", " ASSISTANT:"]),
        kind("Vicuna of its class", class(), vicuna, ["USER: ", " ASSISTANT:"]),
        kind("Zephyr", llama2(), zephyr, ["<|user|>\n", "</s>"]),
        kind("Zephyr of its class", class(), zephyr, ["<|user|>\n", "</s>"]),
        kind("Llama 3", bytes(), llama3, ["<|/head|>\n\n", "<|eot|>"]),
        kind("Qwen", with_special(without_bos, &marks), chatml, ["user\n", "<|end|>"]),
        kind("SmolLM2", with_special(gpt2, &marks), chatml, ["user\n", "<|end|>"]),
    ]
}

fn inputs(tokenizer: Tokenizer, template: Option<&str>) -> Inputs {
    let needle = Needle {
        id: "key".to_owned(),
        needle: "The key of the boat hangs on the wall.".to_owned(),
        question: "Where is the key?".to_owned(),
        answer: "on the wall".to_owned(),
        real_needle: None,
    };
    let model = ModelFiles { tokenizer, ..ModelFiles::open(&ModelChoice::NeedleLlama).unwrap() };
    let chat = template.map(|t| ChatTemplate::of_source(t).unwrap());
    let chat = chat.map(|template| Chat::new(template, &model.tokenizer).unwrap());
    Inputs {
        haystack: Haystack::bundled().unwrap(),
        probes: ProbeTexts::new(vec![ProbeText::Needle(needle)], TextsOrigin::Needles),
        gate: config("0").gate.open().unwrap(),
        chat,
        model,
    }
}

fn config(depths: &str) -> ProbeConfig {
    let args = ProbeArgs {
        repeats: 4,
        seed: 3,
        lengths: Some("150,400".to_owned()),
        depths: Some(depths.to_owned()),
        ..Default::default()
    };
    let (answers, surroundings) = (AnswerDefaults::default(), Surroundings::default());
    ProbeConfig::new(&args, answers, References::default(), &surroundings).unwrap().0
}

/// The prompts of `inputs` that are not what their text encodes to: what is expected, and what is
/// there, from shortly before the first difference on. With the number of all that are compared.
///
/// Those are not whose haystack is cut right behind a mark. Of that and the question's line break
/// bytes make one token, so that no cut gives both the length and the tokens of the text.
fn different(around: [&str; 2], inputs: &Inputs, depths: &str) -> (Vec<[String; 2]>, usize) {
    let job = Job::new(&config(depths), inputs, NeedleSpans::Known).unwrap();
    let tokenizer = &inputs.model.tokenizer;
    let (before, after) = match &inputs.chat {
        Some(chat) => (chat.template.before(), chat.template.after()),
        None => ("", ""),
    };
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for probe in &job.plan.probes {
        let prompt = job.prompt(probe).unwrap();
        let bos = tokenizer.bos().filter(|_| inputs.chat.is_none());
        let text = tokenizer.decode_with_special(&prompt.ids[bos.as_slice().len()..]);
        let message = match around[0] {
            "" => text.as_str(),
            begin => text.split_once(begin).unwrap().1,
        };
        // A space that is put in front of every piece is written as one more.
        let end = message.rfind(around[1]).unwrap();
        let message = if around[1].is_empty() { message } else { &message[..end] };
        let own = tokenizer.encode_between(before, message.trim_start(), after).unwrap();
        let expected = bos.into_iter().chain([own.before, own.text.ids, own.after].concat());
        let expected: Vec<u32> = expected.collect();
        let haystack = message.rsplit_once(QUESTION).unwrap().0;
        if depths != "1" && haystack.ends_with(|c: char| c.is_ascii_punctuation()) {
            continue;
        }
        compared += 1;
        if expected != prompt.ids {
            let pairs = expected.iter().zip(&prompt.ids);
            let at = pairs.take_while(|(a, b)| a == b).count().saturating_sub(4);
            let shown = [&expected, &prompt.ids]
                .map(|ids| format!("{:?}", &ids[at..ids.len().min(at + 9)]));
            wrong.push(shown);
        }
        assert_eq!(prompt.ids.len(), probe.context_length);
    }
    (wrong, compared)
}

/// Haystack first, needle first, needle last: of every kind every prompt, and every prompt without
/// a template.
#[test]
fn prompts_are_what_their_text_encodes_to() {
    for kind in kinds() {
        let plain = [Some(kind.template), None].map(|t| inputs(kind.tokenizer.clone(), t));
        for (inputs, around) in plain.iter().zip([kind.around, ["", ""]]) {
            for depths in ["0", "0.4,0.7", "1"] {
                let (wrong, prompts) = different(around, inputs, depths);
                assert!(wrong.is_empty() && prompts >= 6, "{} {depths}: {wrong:?}", kind.name);
            }
        }
    }
}

/// The template's beginning is what it is without a message; nothing is lost between the two.
#[test]
fn a_prompt_begins_with_its_template() {
    for kind in kinds() {
        let inputs = inputs(kind.tokenizer, Some(kind.template));
        let job = Job::new(&config("0,0.5"), &inputs, NeedleSpans::Known).unwrap();
        let tokenizer = &inputs.model.tokenizer;
        let flat = |text: &str| text.split_whitespace().collect::<String>();
        for probe in &job.plan.probes {
            let text = flat(&tokenizer.decode_with_special(&job.prompt(probe).unwrap().ids));
            let template = &inputs.chat.as_ref().unwrap().template;
            assert!(text.starts_with(&flat(template.before())), "{}: {text}", kind.name);
            assert!(text.ends_with(&flat(template.after())), "{}: {text}", kind.name);
        }
    }
}

/// A prompt template that begins before the haystack, with a space at its end.
#[test]
fn the_end_of_a_prefix_is_the_first_words() {
    for kind in kinds() {
        let mut config = config("0,0.5");
        let text = "Read this: {context}\nQuestion: {question}\nAnswer:";
        config.template = crate::prompt::PromptTemplate::new(text).unwrap();
        let inputs = inputs(kind.tokenizer, Some(kind.template));
        let job = Job::new(&config, &inputs, NeedleSpans::Known).unwrap();
        let tokenizer = &inputs.model.tokenizer;
        for probe in &job.plan.probes {
            let prompt = job.prompt(probe).unwrap();
            let text = tokenizer.decode_with_special(&prompt.ids);
            let message = text.split_once(kind.around[0]).unwrap().1;
            let message = message[..message.rfind(kind.around[1]).unwrap()].trim_start();
            let haystack = message.rsplit_once("\nQuestion:").unwrap().0;
            if haystack.ends_with(|c: char| c.is_ascii_punctuation()) {
                continue;
            }
            let own = inputs.chat.as_ref().unwrap().message(tokenizer, message).unwrap();
            let expected = [own.before, own.text.ids, own.after].concat();
            assert_eq!(prompt.ids, expected, "{}: {message}", kind.name);
        }
    }
}

/// A published context is one text with all that is around it.
#[test]
fn contexts_are_what_their_text_encodes_to() {
    let text = "The sea. Mary went to the wall. The boat.";
    let at = text.find("Mary").unwrap();
    let context = PublishedContext {
        id: "qa1-1".to_owned(),
        task: SubTask { number: 0, name: "qa1", labels: &[] },
        place: "qa1.json:1".to_owned(),
        text: text.to_owned(),
        supporting: vec![at..at + "Mary went to the wall.".len()],
        distractors: Vec::new(),
        question: "Where is Mary?".to_owned(),
        answer: "wall".to_owned(),
    };
    for kind in kinds() {
        let mut inputs = inputs(kind.tokenizer, Some(kind.template));
        inputs.probes.texts = vec![ProbeText::Context(context.clone())];
        let config = config("0");
        let job = Job::new(&config, &inputs, NeedleSpans::Known).unwrap();
        let prompt = job.prompt(&job.plan.probes[0]).unwrap();
        let (tokenizer, chat) = (&inputs.model.tokenizer, inputs.chat.as_ref().unwrap());
        let question = config.template.render("Where is Mary?");
        let template = &chat.template;
        let whole = format!("{}{text}{question}{}", template.before(), template.after());
        assert_eq!(prompt.ids, tokenizer.encode_markup(&whole).unwrap(), "{}", kind.name);
        let said = tokenizer.decode(&prompt.ids[prompt.needle[0].clone()]).unwrap();
        assert_eq!(said.trim(), "Mary went to the wall.", "{}", kind.name);
    }
}
