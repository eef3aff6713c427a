//! Published rows of BABILong (Kuratov et al. 2024, arXiv 2406.10149) as probes: contexts that come
//! with their facts in them, which have to be found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::datasets::files_below;
use crate::error::{Error, Result};
use crate::job::RowsFile;
use crate::needle::PublishedContext;
use crate::system::digest::sha256;
use crate::tasks::babilong::babi::BabiTask;
use crate::tasks::babilong::babi::facts;
use crate::tasks::babilong::babi::facts::find_facts;
use crate::tasks::babilong::rows::BabilongRow;
use crate::tasks::text_inputs::{no_rows, without_name};

/// Files with rows, by their extension.
const EXTENSIONS: [&str; 3] = ["json", "jsonl", "arrow"];
/// Files that lie beside rows in the published folders.
const NO_ROWS: [&str; 4] = ["dataset_info.json", "state.json", "dataset_dict.json", "prompts.json"];

/// The rows of some files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// One per row, in the order of the files' paths and of their rows.
    pub contexts: Vec<PublishedContext>,
    /// The files.
    pub files: Vec<PublishedFile>,
    /// What the user should know of them.
    told: Vec<String>,
}

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Hash of its content.
    pub sha256: String,
    /// Rows taken.
    pub rows: usize,
    /// How many of them have no known supporting facts.
    pub unknown: usize,
    /// Rows left out, which another has been before.
    pub repeated: usize,
}

impl Published {
    /// Reads `path`, a file or a folder of such; of each file at most `most` rows, and only files
    /// of `tasks` if any are named. The task is what the path says: `qa1/1k.json`, `1k_qa1.jsonl`.
    /// Of rows that are the same word for word, as some published ones are, the first is taken.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file and the row, if a file says no task, and if there are no
    /// rows, also of one of `tasks` alone.
    pub fn load(path: &Path, tasks: Option<&[BabiTask]>, most: Option<usize>) -> Result<Self> {
        if !path.exists() {
            return Err(Error::data("there is no such file or folder")
                .at(path.display())
                .got("nothing")
                .expected(
                    "rows of BABILong: a .json, .jsonl or .arrow file, or a folder of such",
                ));
        }
        let given_file = !path.is_dir();
        let files = match given_file {
            true => vec![path.to_owned()],
            false => files_below(path, &has_rows)?,
        };
        let mut published = Self { contexts: Vec::new(), files: Vec::new(), told: Vec::new() };
        let (mut of_no_task, mut seen) = (Vec::new(), BTreeSet::new());
        for file in files {
            let task = match task_of(&file) {
                Some(task) => task,
                None if given_file && tasks.is_some_and(|t| t.len() == 1) => {
                    tasks.unwrap_or(&[])[0]
                }
                None if !given_file => {
                    of_no_task.push(file);
                    continue;
                }
                None => {
                    return Err(Error::data("the file does not say which task its rows are of")
                        .at(file.display())
                        .got("no qa1 to qa20 in its path")
                        .expected("a path such as qa1/1k.json or 1k_qa1.jsonl")
                        .advice("--task babilong:qa1, if that is what they are"));
                }
            };
            if tasks.is_none_or(|tasks| tasks.contains(&task)) {
                published.add(&file, task, most, &mut seen)?;
            }
        }
        published.told.extend(without_name(&of_no_task, "of a task of BABILong"));
        let has = |task: &&BabiTask| {
            published.contexts.iter().any(|context| context.task == task.sub_task())
        };
        if let Some(missing) = tasks.unwrap_or(&[]).iter().find(|task| !has(task)) {
            return Err(no_rows(path, &format!("of {}", missing.name())));
        }
        if published.contexts.is_empty() {
            return Err(Error::data("there are no rows of BABILong")
                .at(path.display())
                .got("no file of a task")
                .expected(
                    "files such as qa1/1k.json, 1k_qa1.jsonl or qa1/data-00000-of-00001.arrow",
                ));
        }
        Ok(published)
    }

    /// How many rows there are and how many of them have no known supporting facts.
    pub fn notes(&self) -> Vec<String> {
        let of = |file: &PublishedFile| {
            let (path, found) = (file.path.display(), file.rows - file.unknown);
            let repeated = match file.repeated {
                0 => String::new(),
                n => format!("; left out because they repeat rows before them: {n}"),
            };
            format!(
                "{path}: the facts behind the answer were found in {found} of {} rows{repeated}",
                file.rows
            )
        };
        self.told.iter().cloned().chain(self.files.iter().map(of)).collect()
    }

    /// Adds the rows of a file that are not `seen` yet.
    fn add(
        &mut self,
        file: &Path,
        task: BabiTask,
        most: Option<usize>,
        seen: &mut BTreeSet<String>,
    ) -> Result<()> {
        let rows = BabilongRow::read(file, &mut self.told)?;
        let name = name_of(file);
        let (mut count, mut unknown, mut repeated) = (0, 0, 0);
        for (number, row) in rows.into_iter().take(most.unwrap_or(usize::MAX)).enumerate() {
            let context = found(task, row, format!("{name}-{}", number + 1));
            let (text, question) = (&context.text, &context.question);
            if !seen.insert(sha256([text, "\0", question, "\0", &context.answer].concat())) {
                repeated += 1;
                continue;
            }
            count += 1;
            unknown += usize::from(context.supporting.is_empty());
            self.contexts.push(context);
        }
        let bytes = std::fs::read(file)
            .map_err(|e| Error::data("the file cannot be read again").at(file.display()).got(e))?;
        let sha256 = sha256(bytes);
        let path = file.to_owned();
        self.files.push(PublishedFile { path, sha256, rows: count, unknown, repeated });
        Ok(())
    }
}

impl PublishedFile {
    /// The file as it is recorded.
    pub fn rows_file(self) -> RowsFile {
        RowsFile { path: self.path.display().to_string(), sha256: self.sha256, rows: self.rows }
    }
}

/// Finds the facts of a row and tells the supporting ones from the others.
fn found(task: BabiTask, row: BabilongRow, id: String) -> PublishedContext {
    let BabilongRow { input: text, question, target, place } = row;
    let (question, answer) = (question.trim().to_owned(), target.trim().to_owned());
    let ranges = find_facts(&text);
    let facts: Vec<&str> = ranges.iter().map(|r| &text[r.clone()]).collect();
    let chosen = facts::supporting(task, &facts, &question, &answer).unwrap_or_default();
    let (supporting, distractors): (Vec<_>, Vec<_>) =
        ranges.into_iter().enumerate().partition(|(i, _)| chosen.contains(i));
    let ranges = |of: Vec<(usize, Range<usize>)>| of.into_iter().map(|(_, r)| r).collect();
    PublishedContext {
        id,
        task: task.sub_task(),
        place,
        text,
        supporting: ranges(supporting),
        distractors: ranges(distractors),
        question,
        answer,
    }
}

/// The last `qa1` to `qa20` in a path.
fn task_of(path: &Path) -> Option<BabiTask> {
    let text = path.to_string_lossy();
    let found = text.match_indices("qa").filter_map(|(at, _)| {
        let digits: String = text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        format!("qa{digits}").parse().ok()
    });
    found.last()
}

/// A name for the rows of a file: its stem, after the folder's name where that says more.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut name = stem;
    for folder in file.ancestors().skip(1).take(2) {
        if task_of(Path::new(&name)).is_some() && name.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        let Some(part) = folder.file_name() else { break };
        name = format!("{}/{name}", part.to_string_lossy());
    }
    name
}

/// Whether a file has rows, by its name.
fn has_rows(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e == *x))
        && !NO_ROWS.iter().any(|no| name.ends_with(no))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(input: &str, question: &str, target: &str) -> String {
        serde_json::json!({"input": input, "question": question, "target": target}).to_string()
    }

    #[test]
    fn rows_with_their_facts() {
        let dir = tempfile::tempdir().unwrap();
        let text = "It rained. Mary went to the office. The sea was grey. John moved to the garden. \
                    Mary went back to the kitchen. Nobody spoke.";
        let lines = [
            row(text, "Where is Mary? ", "kitchen"),
            // No fact says so.
            row(text, "Where is Sandra? ", "kitchen"),
        ];
        std::fs::create_dir(dir.path().join("qa1")).unwrap();
        std::fs::write(dir.path().join("qa1/1k.json"), lines.join("\n")).unwrap();
        std::fs::write(dir.path().join("qa1/dataset_info.json"), "{}").unwrap();
        let published = Published::load(dir.path(), None, None).unwrap();
        let file = &published.files[0];
        assert_eq!(file.path, dir.path().join("qa1/1k.json"));
        assert_eq!((file.rows, file.unknown, published.files.len()), (2, 1, 1));
        let first = &published.contexts[0];
        assert!(first.id.ends_with("qa1/1k-1"), "{}", first.id);
        assert_eq!((first.question.as_str(), first.answer.as_str()), ("Where is Mary?", "kitchen"));
        assert_eq!(first.task, BabiTask::Qa1.sub_task());
        let texts = |ranges: &[Range<usize>]| -> Vec<String> {
            ranges.iter().map(|r| text[r.clone()].to_owned()).collect()
        };
        assert_eq!(texts(&first.supporting), ["Mary went back to the kitchen."]);
        assert_eq!(
            texts(&first.distractors),
            ["Mary went to the office.", "John moved to the garden."]
        );
        let one = Published::load(dir.path(), Some(&[BabiTask::Qa1]), Some(1)).unwrap();
        assert_eq!(one.contexts.len(), 1);
        let both = [BabiTask::Qa1, BabiTask::Qa2];
        for tasks in [&both[..], &both[1..]] {
            let e = Published::load(dir.path(), Some(tasks), None).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains("no row of qa2"), "{e}");
        }
        // Nothing is read of a task that is not asked; of what has no task, that is told.
        std::fs::write(dir.path().join("qa2.json"), "").unwrap();
        std::fs::write(dir.path().join("other.json"), "").unwrap();
        let one = Published::load(dir.path(), Some(&both[..1]), None).unwrap();
        assert_eq!(one.contexts.len(), 2);
        assert!(one.notes()[0].contains("other.json is left out"), "{:?}", one.notes());
        let e = Published::load(dir.path(), None, None).unwrap_err();
        assert!(e.to_string().contains("qa2.json"), "{e}");
    }

    /// Ids of probes are by content: a row that is another one word for word is asked once.
    #[test]
    fn rows_that_repeat_are_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let line = |name: &str| row("Mary went to the office.", "Where is Mary?", name);
        let lines = [line("office"), line("kitchen"), line("office")];
        std::fs::write(dir.path().join("qa1.json"), lines.join("\n")).unwrap();
        std::fs::write(dir.path().join("qa1_more.json"), line("kitchen")).unwrap();
        let published = Published::load(dir.path(), None, None).unwrap();
        let of: Vec<_> = published.files.iter().map(|f| (f.rows, f.repeated)).collect();
        assert_eq!((published.contexts.len(), of), (2, vec![(2, 1), (0, 1)]));
        let notes = published.notes();
        assert!(notes[0].contains("1 of 2 rows; left out because"), "{notes:?}");
    }

    #[test]
    fn a_file_must_say_its_task() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rows.jsonl");
        std::fs::write(&file, row("Mary went to the office.", "Where is Mary?", "office")).unwrap();
        let e = Published::load(&file, None, None).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains("--task babilong:qa1"), "{e}");
        let told = Published::load(&file, Some(&[BabiTask::Qa1]), None).unwrap();
        assert_eq!((told.files[0].rows, told.files[0].unknown), (1, 0));
    }

    #[test]
    fn tasks_in_paths() {
        for (path, task) in [
            ("data/qa1/1k.json", Some(BabiTask::Qa1)),
            ("x/1k_qa10.jsonl", Some(BabiTask::Qa10)),
            ("qa3/qa12.json", Some(BabiTask::Qa12)),
            ("qa/rows.json", None),
            ("qa21.json", None),
        ] {
            assert_eq!(task_of(Path::new(path)), task, "{path}");
        }
    }
}
