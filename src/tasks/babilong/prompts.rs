//! [`TaskTemplates`]: what is put around a story, by its task: an instruction and worked examples,
//! in our own words or from a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::{Error, Result, json_kind};
use crate::prompt::PromptTemplate;
use crate::system::digest::sha256;
use crate::system::text::utf8_text;
use crate::tasks::babilong::babi::BabiTask;

/// Where BABILong puts a task's texts (Kuratov et al. 2024, `babilong/prompts.py`).
const LAYOUT: &str = "{instruction}\n\n{examples}\n\n{post_prompt}\n\n<context>\n{context}\n\
                      </context>\n\nQuestion: {question}";
/// The texts of a task that a layout has places for.
const TEXTS: [&str; 3] = ["instruction", "examples", "post_prompt"];
/// Names of a layout in the file: BABILong's own, and in short.
const LAYOUT_KEYS: [&str; 2] = ["DEFAULT_TEMPLATE", "template"];
/// Names of the tasks' texts in the file, where they do not stand at its top.
const PROMPTS_KEYS: [&str; 2] = ["DEFAULT_PROMPTS", "prompts"];
const EXPECTED: &str =
    "an object with a template, or instruction, examples and post_prompt, by task";

/// An instruction and two or three worked examples for each task, as BABILong has, in words of our
/// own. Names and places of the examples are none of the stories'.
const BUNDLED: &str = include_str!("prompts.json");
/// How files about a run call them.
const BUNDLED_NAME: &str = "bundled";

/// Templates of some of BABILong's tasks. Nobody else's wording is a part of headprof; whoever
/// wants BABILong's numbers brings BABILong's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskTemplates {
    templates: BTreeMap<BabiTask, PromptTemplate>,
    files: Vec<(PathBuf, String)>,
}

impl TaskTemplates {
    /// The templates in JSON files; of two that have a task, the last file's.
    ///
    /// A file is an object by task (`qa1`), of templates with `{context}` and `{question}` in them,
    /// or of objects with the texts `instruction`, `examples` and `post_prompt`. These go into a
    /// layout: the file's `template`, or BABILong's. BABILong's `DEFAULT_TEMPLATE` and
    /// `DEFAULT_PROMPTS`, written out as JSON, are such a file. White space at both ends of a
    /// template is dropped, as there.
    ///
    /// # Errors
    /// [`Error::Data`] naming file and task.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for path in paths {
            let place = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| {
                Error::data("the prompts cannot be read").at(&place).got(e).expected("a JSON file")
            })?;
            let text = utf8_text(&bytes, &place)?;
            all.templates.extend(templates(&text).map_err(|e| e.within(&place))?);
            all.files.push((path.clone(), sha256(&bytes)));
        }
        Ok(all)
    }

    /// Our own, of every task.
    ///
    /// # Errors
    /// [`Error::Bug`] if they cannot be used, which a test would find.
    pub fn bundled() -> Result<Self> {
        let templates = templates(BUNDLED).map_err(|e| Error::bug(e.one_line()))?;
        let file = (PathBuf::from(BUNDLED_NAME), sha256(BUNDLED));
        Ok(Self { templates, files: vec![file] })
    }

    /// The templates by the names of their tasks; the files and their SHA-256, in the order given.
    pub fn into_parts(self) -> (BTreeMap<&'static str, PromptTemplate>, Vec<(PathBuf, String)>) {
        let by_name = self.templates.into_iter().map(|(task, text)| (task.name(), text));
        (by_name.collect(), self.files)
    }
}

fn templates(text: &str) -> Result<BTreeMap<BabiTask, PromptTemplate>> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        Error::data("the prompts are not JSON")
            .at(format!("line {}, column {}", e.line(), e.column()))
            .got(e)
            .expected(EXPECTED)
    })?;
    let Value::Object(fields) = &value else {
        let wrong = Error::data("the prompts are not an object");
        return Err(wrong.got(json_kind(&value)).expected(EXPECTED));
    };
    let layout = match LAYOUT_KEYS.iter().find_map(|key| fields.get(*key).map(|v| (key, v))) {
        None => LAYOUT,
        Some((_, Value::String(layout))) => layout,
        Some((key, other)) => return Err(no_text(other).at(*key)),
    };
    let nested = PROMPTS_KEYS.iter().find_map(|key| Some((*key, fields.get(*key)?.as_object()?)));
    let found = match nested {
        Some((key, inner)) => of_tasks(inner, layout).map_err(|e| e.within(key))?,
        None => of_tasks(fields, layout)?,
    };
    match found.is_empty() {
        false => Ok(found),
        true => Err(Error::data("there is no prompt of a task")
            .got(format!("the keys {}", fields.keys().cloned().collect::<Vec<_>>().join(", ")))
            .expected(EXPECTED)),
    }
}

/// The templates of all keys that name a task; files have other keys beside them.
fn of_tasks(
    fields: &Map<String, Value>,
    layout: &str,
) -> Result<BTreeMap<BabiTask, PromptTemplate>> {
    let mut found = BTreeMap::new();
    for (key, value) in fields {
        let Ok(task) = key.parse::<BabiTask>() else { continue };
        let template = match value {
            Value::String(template) => template.clone(),
            Value::Object(texts) => laid_out(layout, texts).map_err(|e| e.within(key))?,
            other => return Err(no_text(other).at(key).expected(EXPECTED)),
        };
        let has_context = template.contains(crate::prompt::CONTEXT);
        let template = PromptTemplate::new(template.trim())
            .map_err(|e| Error::data("a task's prompt cannot be used").at(key).got(e))?;
        if !has_context {
            return Err(Error::data("a task's prompt has no place for the story")
                .at(key)
                .got(format!("{:?}", template.text()))
                .expected("a text with {context} in it"));
        }
        found.insert(task, template);
    }
    Ok(found)
}

/// A layout with a task's texts in their places, from left to right: braces in them are text.
fn laid_out(layout: &str, texts: &Map<String, Value>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = layout;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let key = TEXTS
            .into_iter()
            .find(|key| rest[1..].strip_prefix(key).is_some_and(|behind| behind.starts_with('}')));
        let Some(key) = key else {
            filled.push('{');
            rest = &rest[1..];
            continue;
        };
        match texts.get(key) {
            None => {}
            Some(Value::String(text)) => filled.push_str(text),
            Some(other) => return Err(no_text(other).at(key)),
        }
        rest = &rest[key.len() + 2..];
    }
    Ok(filled + rest)
}

fn no_text(value: &Value) -> Error {
    Error::data("a prompt is no text").got(json_kind(value)).expected("a string")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<BTreeMap<BabiTask, PromptTemplate>> {
        templates(text)
    }

    fn task(name: &str) -> BabiTask {
        name.parse().unwrap()
    }

    #[test]
    fn texts_go_into_the_layout_and_ends_are_trimmed() {
        let own = r#"{"template": "{instruction} {x}\n{context}\n{question}\n", "prompts": {"qa2": {"instruction": " Read {examples}."}}, "source": "us"}"#;
        assert_eq!(
            of(own).unwrap()[&task("qa2")].text(),
            "Read {examples}. {x}\n{context}\n{question}"
        );
        let flat =
            r#"{"qa1": {"instruction": "A", "post_prompt": "C"}, "qa3": "{context}? {question}"}"#;
        let flat = of(flat).unwrap();
        let expected = "A\n\n\n\nC\n\n<context>\n{context}\n</context>\n\nQuestion: {question}";
        assert_eq!(flat[&task("qa1")].text(), expected);
        assert_eq!(flat[&task("qa3")].text(), "{context}? {question}");
        assert_eq!(flat.len(), 2);
    }

    #[test]
    fn bad_files_are_named() {
        for (text, part) in [
            ("{", "line 1"),
            ("[]", "not an object"),
            ("{}", "no prompt of a task"),
            (r#"{"qa21": "{context} {question}"}"#, "no prompt of a task"),
            (r#"{"qa1": 3}"#, "qa1"),
            (r#"{"qa1": {"examples": []}}"#, "qa1: examples"),
            (r#"{"qa1": "{question}"}"#, "no place for the story"),
            (r#"{"qa1": "{context}"}"#, "{question}"),
            (r#"{"template": 1, "qa1": {}}"#, "template"),
            (r#"{"prompts": {"qa1": null}}"#, "prompts: qa1"),
        ] {
            let e = of(text).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{text}");
            assert!(e.to_string().contains(part), "{text}: {e}");
        }
    }

    /// Every task has an instruction and at least two examples, in which no label of its stories
    /// stands (but for words such as yes, and qa20's places and feelings, which belong together),
    /// nor anything that its stories are about: an answer that is taken from them is wrong.
    #[test]
    fn our_own_prompts_are_of_all_tasks_and_give_no_answer_away() {
        use std::collections::BTreeSet;

        use rand::SeedableRng;
        use rand::rngs::StdRng;

        use crate::tasks::babilong::babi::story;

        let words = |text: &str| -> BTreeSet<String> {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        let common = ["yes", "no", "maybe", "none", "one", "nothing", "because", "is"];
        let (bundled, files) = TaskTemplates::bundled().unwrap().into_parts();
        assert_eq!((bundled.len(), files.len()), (20, 1));
        let mut compared = 0;
        for (name, template) in bundled {
            let text = template.text();
            assert!(text.matches("\nAnswer: ").count() >= 2, "{name}");
            assert!(text.ends_with("{context}\n\nQuestion: {question}\nAnswer:"), "{name}");
            let examples = text.split("\n\n").filter(|part| part.starts_with("Notes: "));
            let examples: BTreeSet<String> = examples.flat_map(words).collect();
            let task = task(name);
            let mut rng = StdRng::seed_from_u64(7);
            for _ in 0..50 {
                let story = story(task, task.default_facts(), &mut rng);
                // Names have capitals wherever they stand; answers are what is asked for.
                let names = story.facts.iter().flat_map(|fact| {
                    fact.split(' ').skip(1).filter(|w| w.starts_with(char::is_uppercase))
                });
                let told: BTreeSet<String> =
                    names.chain([&*story.answer]).flat_map(words).collect();
                for word in told.iter().filter(|word| !common.contains(&word.as_str())) {
                    let known = name == "qa20"
                        && ["kitchen", "garden", "bored", "thirsty"].contains(&word.as_str());
                    let step = name == "qa19" && word.len() == 1;
                    assert!(known || step || !examples.contains(word), "{name}: {word}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 500, "{compared}");
    }

    /// BABILong's own file renders as BABILong's own code renders it.
    #[test]
    fn published_prompts_are_rendered_as_published() {
        let Some([path]) = crate::goldens::find(["../data/babilong/prompts.json"]) else { return };
        let text = std::fs::read_to_string(&path).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let all = TaskTemplates::read(&[path]).unwrap();
        let qa1 = &all.templates[&task("qa1")];
        let (before, behind) = qa1.parts();
        let rendered = format!("{before}CTX{}", behind.replace("{question}", "Where is Mary?"));
        assert_eq!(rendered, json["formatted_example"].as_str().unwrap());
        println!("data/babilong/prompts.json: {} tasks", all.templates.len());
        assert_eq!(all.templates.len(), json["DEFAULT_PROMPTS"].as_object().unwrap().len());
    }
}
