//! Chat templates.

use headprof::chat::{ChatOptions, ChatTemplate};
use serde_json::json;

use super::seeds::bytes;
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// Templates of our own that use what published ones use.
const TEMPLATES: [&str; 3] = [
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + \
     message['content'] | trim + eos_token }}{% endfor %}{% if add_generation_prompt %}\
     {{ '<|assistant|>\\n' }}{% endif %}",
    "{%- if messages[0].role == 'system' -%}{%- set first = messages[0].content -%}\
     {%- set rest = messages[1:] -%}{%- else -%}{%- set first = '' -%}\
     {%- set rest = messages -%}{%- endif -%}{%- for m in rest -%}\
     {%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}\
     {{- raise_exception('roles must alternate') -}}{%- endif -%}\
     {{- '[INST] ' ~ first ~ m.content ~ ' [/INST]' -}}{%- endfor -%}",
    "{%- macro turn(role, text) -%}<{{ role }}>{{ text }}</{{ role }}>{%- endmacro -%}\
     {%- set ns = namespace(n=0) -%}{%- for m in messages -%}\
     {%- set ns.n = ns.n + 1 -%}{{- turn(m.role, m.content) -}}\
     {%- if m.tool_calls is defined -%}{{ m.tool_calls | tojson(indent=2) }}{%- endif -%}\
     {%- endfor -%}{%- if enable_thinking is defined and not enable_thinking -%}\
     <think>\n\n</think>{%- endif -%}{{ ns.n if ns.n > 3 }}{{ 'a b'.split(' ') | join(', ') }}",
];

/// `chat_template.jinja`.
pub static TEMPLATE: Target = Target {
    name: "chat-template",
    reads: "chat_template.jinja",
    seeds: || TEMPLATES.map(|text| text.as_bytes().to_vec()).to_vec(),
    beside: || {
        vec![("tokenizer_config.json", bytes(&json!({"bos_token": "<s>", "eos_token": "</s>"})))]
    },
    read: |folder, input| {
        folder.put("chat_template.jinja", input);
        ChatTemplate::from_dir(folder.path(), &ChatOptions::new()).map(drop)
    },
};

/// `tokenizer_config.json` with a template and special tokens.
pub static TOKENIZER_CONFIG: Target = Target {
    name: "tokenizer-config",
    reads: "tokenizer_config.json",
    seeds: || {
        let token = json!({"content": "</s>", "lstrip": false, "special": true});
        let text = json!({"chat_template": TEMPLATES[0], "bos_token": "<s>", "eos_token": token,
            "tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": null});
        let list = json!({"chat_template": [
            {"name": "tool_use", "template": "x"},
            {"name": "default", "template": TEMPLATES[2]}], "model_max_length": 1e30});
        vec![bytes(&text), bytes(&list), bytes(&json!({"bos_token": null}))]
    },
    beside: alone,
    read: |folder, input| {
        folder.put("tokenizer_config.json", input);
        ChatTemplate::from_dir(folder.path(), &ChatOptions::new()).map(drop)
    },
};
