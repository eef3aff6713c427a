//! What a model is asked: our own wording for every data set, or the user's.
//!
//! The wording of LongBench belongs to its authors and is not here. Who compares with published
//! numbers names their files (`dataset2prompt.json`, `dataset2maxlen.json`): another wording makes
//! other scores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::dataset::LongBenchDataset;
use super::version_2;
use crate::error::{Error, Result};
use crate::system::text::utf8_text;
use crate::tasks::longbench::rows::LongBenchRow;

/// The names of the places for a row's text and its question.
const CONTEXT: &str = "context";
const INPUT: &str = "input";

/// Prompt templates, and lengths of answers, by the names of data sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LongBenchPrompts {
    templates: BTreeMap<String, String>,
    max_new_tokens: BTreeMap<String, usize>,
    /// The file that a template is from, by data set.
    sources: BTreeMap<String, String>,
}

impl LongBenchPrompts {
    /// Our own wording.
    pub fn own() -> Self {
        Self::default()
    }

    /// Templates and lengths of a JSON file. It is an object by data set, of texts with `{context}`
    /// in them (`dataset2prompt.json`), of numbers (`dataset2maxlen.json`), or an object with both
    /// under `prompts` and `max_gen`. What the file does not name stays our own.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            Error::data("the prompts cannot be read").at(&place).got(e).expected("a JSON file")
        })?;
        let mut prompts = Self::parse(&utf8_text(&bytes, &place)?).map_err(|e| e.within(&place))?;
        let named = prompts.templates.keys().map(|name| (name.clone(), place.clone()));
        prompts.sources = named.collect();
        Ok(prompts)
    }

    /// What all files of a list say; of two that name a data set, the last.
    ///
    /// # Errors
    /// As [`LongBenchPrompts::read`].
    pub fn read_all(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Self::own();
        for path in paths {
            let Self { templates, max_new_tokens, sources } = Self::read(path)?;
            all.templates.extend(templates);
            all.max_new_tokens.extend(max_new_tokens);
            all.sources.extend(sources);
        }
        Ok(all)
    }

    fn parse(text: &str) -> Result<Self> {
        let expected = "an object of prompt templates by data set";
        let value: Value = serde_json::from_str(text).map_err(|e| {
            Error::data("the prompts are not JSON")
                .at(format!("line {}, column {}", e.line(), e.column()))
                .got(e)
                .expected(expected)
        })?;
        let Value::Object(fields) = value else {
            return Err(Error::data("the prompts are not an object").expected(expected));
        };
        let mut prompts = Self::default();
        match fields.get("prompts").or(fields.get("max_gen")).is_some_and(Value::is_object) {
            true => {
                for key in ["prompts", "max_gen"] {
                    if let Some(Value::Object(inner)) = fields.get(key) {
                        prompts.add(inner).map_err(|e| e.within(key))?;
                    }
                }
            }
            false => prompts.add(&fields)?,
        }
        match prompts.templates.is_empty() && prompts.max_new_tokens.is_empty() {
            true => {
                Err(Error::data("there are no prompts").got("an empty object").expected(expected))
            }
            false => Ok(prompts),
        }
    }

    fn add(&mut self, fields: &Map<String, Value>) -> Result<()> {
        for (name, value) in fields {
            let count = || value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            match value {
                Value::String(template) => {
                    check(template).map_err(|e| e.at(name))?;
                    self.templates.insert(name.clone(), template.clone());
                }
                _ => {
                    let tokens = count().ok_or_else(|| {
                        Error::data("this is neither a prompt template nor a number of tokens")
                            .at(name)
                            .got(value)
                            .expected("a text, or a whole number above 0")
                    })?;
                    self.max_new_tokens.insert(name.clone(), tokens);
                }
            }
        }
        Ok(())
    }

    /// The prompt of a row: the template of its data set with the row's text and question in it.
    pub fn render(&self, dataset: &LongBenchDataset, row: &LongBenchRow) -> String {
        let text = |piece| match piece {
            Piece::Place(CONTEXT) => row.context.as_str(),
            Piece::Place(INPUT) => row.input.as_str(),
            Piece::Text(text) | Piece::Place(text) => text,
        };
        pieces(self.template(dataset)).into_iter().map(text).collect()
    }

    /// Whether the prompts of a data set have a place for a row's `input`.
    pub fn ask(&self, dataset: &LongBenchDataset) -> bool {
        pieces(self.template(dataset)).contains(&Piece::Place(INPUT))
    }

    /// Most tokens of an answer.
    pub fn max_new_tokens(&self, dataset: &LongBenchDataset) -> usize {
        self.max_new_tokens.get(dataset.name).copied().unwrap_or(dataset.max_new_tokens)
    }

    /// Whose wording the prompt of a data set has: a file, or headprof.
    pub fn wording(&self, dataset: &LongBenchDataset) -> &str {
        self.sources.get(dataset.name).map_or("headprof", String::as_str)
    }

    fn template(&self, dataset: &LongBenchDataset) -> &str {
        self.templates.get(dataset.name).map_or_else(|| own(dataset.name), String::as_str)
    }
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// What stands here, by its name in braces.
    Place(&'a str),
}

/// A template in pieces, read as Python's `str.format` reads it: doubled braces are text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        pieces.push(Piece::Text(&rest[..at]));
        rest = &rest[at..];
        let name = rest.strip_prefix('{').and_then(|behind| behind.split_once('}'));
        let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        match name.filter(|(name, _)| !name.is_empty() && is_name(name)) {
            _ if rest.starts_with("{{") || rest.starts_with("}}") => {
                pieces.push(Piece::Text(&rest[..1]));
                rest = &rest[2..];
            }
            Some((name, behind)) => {
                pieces.push(Piece::Place(name));
                rest = behind;
            }
            None => {
                pieces.push(Piece::Text(&rest[..1]));
                rest = &rest[1..];
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Refuses a template without a place for the text, and one with a place that nothing goes to.
fn check(template: &str) -> Result<()> {
    let expected = format!("a text with {{{CONTEXT}}} in it, and {{{INPUT}}}");
    let pieces = pieces(template);
    let other = pieces.iter().find_map(|piece| match piece {
        Piece::Place(name) if ![CONTEXT, INPUT].contains(name) => Some(name),
        Piece::Place(_) | Piece::Text(_) => None,
    });
    match other {
        Some(name) => Err(Error::data("a prompt template has a place that nothing goes to")
            .got(format!("{{{name}}}"))
            .expected(expected)
            .advice("braces that are text are doubled: {{ and }}")),
        None if !pieces.contains(&Piece::Place(CONTEXT)) => {
            Err(Error::data("a prompt template has no place for the text")
                .got(format!("{template:?}"))
                .expected(expected))
        }
        None => Ok(()),
    }
}

/// Our own template of a data set.
fn own(name: &str) -> &'static str {
    match name {
        "narrativeqa" => {
            "Below is a long story: a book or the script of a film.\n\n{context}\n\nWith the story \
             in mind, reply to this question in a few words and add nothing.\n{input}\nReply:"
        }
        "qasper" => {
            "Below is a research paper.\n\n{context}\n\nReply to a question about the paper, in one \
             short sentence at most. Where yes or no is the reply, say only that. Where the paper \
             does not tell, say: unanswerable\n{input}\nReply:"
        }
        "multifieldqa_en" => {
            "Below is a document.\n\n{context}\n\nReply to a question about the document with the \
             reply alone.\n{input}\nReply:"
        }
        "hotpotqa" | "2wikimqa" | "musique" => {
            "Below are several articles.\n\n{context}\n\nReply to a question for which facts from \
             more than one article are needed. Give the reply alone, without reasons.\n{input}\n\
             Reply:"
        }
        "gov_report" => {
            "Below is an official report.\n\n{context}\n\nSum the report up on about a page.\n\
             The report in short:"
        }
        "qmsum" => {
            "Below is what was said in a meeting.\n\n{context}\n\nSay in a few sentences what the \
             meeting has on this request.\n{input}\nReply:"
        }
        "multi_news" => {
            "Below are articles about one event.\n\n{context}\n\nSum all of them up on about a \
             page.\nThe news in short:"
        }
        "trec" => "Every question has a type, as in these cases.\n\n{context}\n{input}",
        "triviaqa" => {
            "A question follows every passage, and the shortest reply follows the question.\n\n\
             {context}\n\n{input}"
        }
        "samsum" => "After every dialogue stands what it was about.\n\n{context}\n\n{input}",
        "passage_count" => {
            "Some of these paragraphs stand here more than once.\n\n{context}\n\nHow many are left \
             if every paragraph is counted once? Reply with the number alone.\nNumber:"
        }
        "passage_retrieval_en" => {
            "Below are numbered paragraphs.\n\n{context}\n\nThis sums one of them up:\n\n{input}\n\n\
             Which one? Reply in the form: Paragraph 7\nReply:"
        }
        "lcc" => "Code, and the line that comes next.\n{context}The next line:\n",
        "repobench-p" => {
            "Files of a project, and the line that comes next.\n{context}{input}The next line:\n"
        }
        "lsht" => "每条新闻都有一个类别，如下例所示。\n\n{context}\n{input}",
        "passage_retrieval_zh" => {
            "以下段落均有编号。\n\n{context}\n\n这是其中一段的概要：\n\n{input}\n\n它属于哪一段？\
             请按此格式回答：段落7\n回答："
        }
        version_2::NAME => {
            "Below is a long text.\n\n{context}\n\nOf the choices under this question about the \
             text, one is right.\n{input}\n\nSay which, in this form: The correct answer is (A)\n\
             Reply:"
        }
        "comprehension_and_reasoning"
        | "multiple_information_retrieval"
        | "timeline_reorder"
        | "computation" => {
            "Below is a long document.\n\n{context}\n\nReply to a question about the document; what \
             the reply needs stands in several places of it. Give the reply alone.\n{input}\nReply:"
        }
        _ => "{context}\n\n{input}",
    }
}

#[cfg(test)]
mod tests {
    use super::super::LONGBENCH;
    use super::*;
    use crate::tasks::loogle::LOOGLE;

    fn row(context: &str, input: &str) -> LongBenchRow {
        LongBenchRow {
            id: "a".to_owned(),
            input: input.to_owned(),
            context: context.to_owned(),
            answers: vec!["x".to_owned()],
            dataset: "lcc".to_owned(),
            all_classes: Vec::new(),
            in_e: false,
            part: None,
            place: String::new(),
        }
    }

    fn set(name: &str) -> &'static LongBenchDataset {
        LONGBENCH.find(name).unwrap()
    }

    #[test]
    fn every_set_has_a_wording_with_text_and_question_once() {
        // Sets whose rows have no question.
        let without = ["gov_report", "multi_news", "passage_count", "lcc"];
        let prompts = LongBenchPrompts::own();
        for dataset in LONGBENCH.datasets.iter().chain(LOOGLE.datasets) {
            let prompt = prompts.render(dataset, &row("<text {input}>", "<question>"));
            assert_eq!(prompt.matches("<text {input}>").count(), 1, "{prompt}");
            let questions = usize::from(!without.contains(&dataset.name));
            assert_eq!(prompt.matches("<question>").count(), questions, "{prompt}");
            assert!(prompt.len() > "<text {input}><question>".len() + 20, "{prompt}");
            assert_eq!(prompts.wording(dataset), "headprof");
        }
    }

    #[test]
    fn files_of_all_three_forms_are_read() {
        let prompts =
            LongBenchPrompts::parse(r#"{"lcc": "A {context} {{b}} {input}!{ }"}"#).unwrap();
        assert_eq!(prompts.render(set("lcc"), &row("{input}", "q")), "A {input} {b} q!{ }");
        assert_eq!(prompts.max_new_tokens(set("lcc")), 64);
        let numbers = LongBenchPrompts::parse(r#"{"lcc": 7}"#).unwrap();
        assert_eq!(numbers.max_new_tokens(set("lcc")), 7);
        assert_eq!(numbers.max_new_tokens(set("trec")), 64);
        let both = r#"{"source": "x", "prompts": {"lcc": "{context}"}, "max_gen": {"lcc": 9}}"#;
        let both = LongBenchPrompts::parse(both).unwrap();
        assert_eq!(both.render(set("lcc"), &row("c", "q")), "c");
        assert_eq!(both.max_new_tokens(set("lcc")), 9);
    }

    #[test]
    fn bad_files_are_named() {
        for (text, parts) in [
            ("{", ["not JSON", "line 1"]),
            ("[]", ["not an object", "templates"]),
            ("{}", ["no prompts", "empty"]),
            (r#"{"lcc": "no place"}"#, ["lcc", "{context}"]),
            (r#"{"lcc": "{{context}}"}"#, ["lcc", "no place"]),
            (r#"{"lcc": "{context} {Q}"}"#, ["lcc", "{Q}"]),
            (r#"{"lcc": 0}"#, ["lcc", "above 0"]),
            (r#"{"prompts": {"lcc": null}}"#, ["prompts: lcc", "null"]),
        ] {
            let e = LongBenchPrompts::parse(text).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(parts.iter().all(|p| e.to_string().contains(p)), "{e}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompts.json");
        assert_eq!(LongBenchPrompts::read(&path).unwrap_err().exit_code(), 3);
        std::fs::write(&path, r#"{"lcc": "{context}"}"#).unwrap();
        let prompts = LongBenchPrompts::read(&path).unwrap();
        assert!(prompts.wording(set("lcc")).ends_with("prompts.json"));
        assert_eq!(prompts.wording(set("trec")), "headprof");
        // Lengths of a second file beside the wording of the first.
        let lengths = dir.path().join("lengths.json");
        std::fs::write(&lengths, r#"{"lcc": 7, "trec": 8}"#).unwrap();
        let both = LongBenchPrompts::read_all(&[path, lengths]).unwrap();
        assert!(both.wording(set("lcc")).ends_with("prompts.json"));
        assert_eq!((both.max_new_tokens(set("lcc")), both.max_new_tokens(set("trec"))), (7, 8));
        assert_eq!(both.wording(set("trec")), "headprof");
    }
}
