//! Rows of published benchmarks, and prompts for them.

use headprof::datasets::{python_literal, read_records};
use headprof::tasks::babilong::babi::BabiTask;
use headprof::tasks::babilong::{Published, TaskTemplates};
use headprof::tasks::longbench::{LONGBENCH, LongBenchPrompts};
use headprof::tasks::loogle::LOOGLE;
use headprof::tasks::ruler::rows::RulerRow;
use serde_json::json;

use super::seeds::{bytes, lines};
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// Rows of BABILong, with the facts in them.
pub static BABILONG: Target = Target {
    name: "babilong",
    reads: "rows of BABILong",
    seeds: || {
        let text = "Fog lay on the quay. Mary went to the kitchen. Someone sang. Mary picked up \
                    the apple there. John moved to the garden. The bells rang.";
        let first = json!({"input": text, "question": "Where is Mary? ", "target": "kitchen"});
        let second = json!({"input": text, "question": "Where is John?", "target": "garden"});
        vec![lines(&[first.clone(), second.clone()]), bytes(&json!([first, second]))]
    },
    beside: alone,
    read: |folder, input| {
        // The task decides how facts are looked for: take one that follows from the input.
        let task = BabiTask::ALL[input.len() % 20];
        let path = folder.put(&format!("1k_{}.json", task.name()), input);
        Published::load(&path, None, None).map(|published| drop(published.notes()))
    },
};

/// Rows of LongBench, its two versions.
pub static LONGBENCH_ROWS: Target = Target {
    name: "longbench",
    reads: "rows of LongBench",
    seeds: || {
        let first = json!({"_id": "a1", "input": "Who left?", "context": "Ben left.",
            "answers": ["Ben"], "length": 1234, "dataset": "hotpotqa", "all_classes": null,
            "language": "en"});
        let second = json!({"_id": 7, "question": "Which?", "context": "A text.", "answer": "B",
            "choice_A": "one", "choice_B": "two", "choice_C": "three", "choice_D": "four",
            "length": "short", "domain": "x", "sub_domain": "y", "difficulty": "easy"});
        vec![lines(&[first.clone(), second.clone()]), bytes(&json!({"data": [first, second]}))]
    },
    beside: alone,
    read: |folder, input| {
        let path = folder.put("hotpotqa_e.jsonl", input);
        (LONGBENCH.read)(&path, &LONGBENCH, &mut Vec::new()).map(drop)
    },
};

/// Rows of LooGLE in their three forms.
pub static LOOGLE_ROWS: Target = Target {
    name: "loogle",
    reads: "rows of LooGLE",
    seeds: || {
        let printed = "[{'Q': \"Who's there?\", 'A': 'B\\xe9n', 'S': ['x', 1.5], 'type': \
                       'Computation'}, {'Q': 'When?', 'A': '3', 'S': (), 'type': 'Timeline \
                       reorder'}]";
        let first =
            json!({"input": "A text.", "title": "t", "qa_pairs": printed, "output": "none"});
        let list = json!([{"Q": "Who?", "A": "Ben", "S": ["s"], "type": "Computation"}]);
        let second = json!({"input": "A text.", "title": "t", "qa_pairs": list});
        let third = json!({"context": "A text.", "question": "Who?", "answer": "Ben",
            "task": "Computation", "doc_id": "d"});
        vec![lines(&[first, second]), bytes(&third)]
    },
    beside: alone,
    read: |folder, input| {
        let path = folder.put("longdep_qa.jsonl", input);
        (LOOGLE.read)(&path, &LOOGLE, &mut Vec::new()).map(drop)
    },
};

/// Rows of RULER.
pub static RULER: Target = Target {
    name: "ruler",
    reads: "rows of RULER",
    seeds: || {
        let first = json!({"index": 0, "input": "A text. What is it?", "outputs": ["42", "x"],
            "length": 99, "answer_prefix": " It is"});
        let second = json!({"index": -1, "input": "More", "outputs": ["y"], "gen_prefix": "So "});
        vec![lines(&[first, second])]
    },
    beside: alone,
    read: |folder, input| {
        let rows = RulerRow::read(&folder.put("niah_single_1.jsonl", input), &mut Vec::new())?;
        rows.iter().for_each(|row| drop(row.prompt().plain()));
        Ok(())
    },
};

/// Arrow streams and files; also what else is read as records.
pub static ARROW: Target = Target {
    name: "arrow",
    reads: "records: Arrow, JSON, JSON lines",
    seeds: || {
        let fixtures: [&[u8]; 4] = [
            include_bytes!("../../../../tests/fixtures/arrow/stream.arrow"),
            include_bytes!("../../../../tests/fixtures/arrow/file.arrow"),
            include_bytes!("../../../../tests/fixtures/arrow/large.arrow"),
            include_bytes!("../../../../tests/fixtures/arrow/numbers.arrow"),
        ];
        fixtures.map(<[u8]>::to_vec).to_vec()
    },
    beside: alone,
    read: |folder, input| {
        let rows = read_records(&folder.put("data.arrow", input))?;
        for row in &rows {
            let _ = (row.text("input"), row.label("target"), row.number("index"));
        }
        Ok(())
    },
};

/// Python literals.
pub static PYTHON: Target = Target {
    name: "python-literal",
    reads: "lists as Python prints them",
    seeds: || {
        let texts = [
            r#"[{'Q': "Who's it?", 'A': 'a \'b\' "c"\n\xe9\u00e9\U0001f980', 'S': ['x', ],}]"#,
            "(1, -2.5, [], {}, True, None, False, 1e5)",
        ];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    },
    beside: alone,
    read: |_, input| python_literal::parse(&String::from_utf8_lossy(input)).map(drop),
};

/// Files of prompts: those of BABILong and of LongBench have one form.
pub static PROMPTS: Target = Target {
    name: "prompts",
    reads: "--task-prompts",
    seeds: || {
        let text = "Read.\n{context}\nQ: {question}\nA:";
        let plain = json!({"qa1": text, "hotpotqa": "{context} {input}"});
        let parts = json!({"DEFAULT_TEMPLATE": "{instruction}\n{examples}\n{post_prompt}\n\
            {context}\n{question}", "DEFAULT_PROMPTS": {"qa2": {"instruction": "Read.",
            "examples": "", "post_prompt": "Say a word."}}});
        let pairs = json!({"prompts": {"hotpotqa": "{context}"}, "max_gen": {"hotpotqa": 32}});
        [plain, parts, pairs].iter().map(bytes).collect()
    },
    beside: alone,
    read: |folder, input| {
        let path = folder.put("prompts.json", input);
        let of_babilong = TaskTemplates::read(std::slice::from_ref(&path));
        match of_babilong {
            Ok(_) => Ok(()),
            Err(e) => LongBenchPrompts::read(&path).map(drop).map_err(|_| e),
        }
    },
};
