//! [`HeadScores`]: the head_score files whose budgets are compared, and what rows call them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::head_score::named;
use crate::score;

/// What names them.
const OPTION: &str = "--head-score";

/// Files of head scores, in the order asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadScores {
    files: Vec<PathBuf>,
    names: Vec<String>,
}

impl HeadScores {
    /// Of what `--head-score` was given: files or names ([`named::file`]), each alone or several
    /// with commas between them.
    ///
    /// # Errors
    /// As [`named::file`]; [`Error::Usage`] for a list of nothing.
    pub fn new(asked: &[PathBuf]) -> Result<Self> {
        let mut files: Vec<PathBuf> = Vec::new();
        for one in asked.iter().flat_map(|asked| split(asked)) {
            let file = named::file(&one, Path::new(named::FOLDER), OPTION)?;
            if !files.contains(&file) {
                files.push(file);
            }
        }
        if files.is_empty() && !asked.is_empty() {
            return Err(Error::usage("there are no head scores in the list")
                .at(OPTION)
                .got(asked.iter().map(|a| a.display().to_string()).collect::<Vec<_>>().join(" "))
                .expected("a file or a name, or several with commas between them"));
        }
        let names = names(&files);
        Ok(Self { files, names })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// What rows call them, each differently.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The words of a list; a file whose name has a comma is one.
fn split(asked: &Path) -> Vec<PathBuf> {
    match asked.to_str().filter(|text| text.contains(',') && !asked.is_file()) {
        None => vec![asked.to_owned()],
        Some(text) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(PathBuf::from).collect()
        }
    }
}

/// The score that each file's name ends with; where that does not tell all apart, the files' names;
/// and where these do not, either, their paths.
fn names(files: &[PathBuf]) -> Vec<String> {
    let score = |path: &PathBuf| {
        let stem = named::stem(path);
        let known = score::registry().iter().map(|s| s.name()).chain([named::ABLATION]);
        let ends =
            |name: &&str| stem.strip_suffix(name).is_some_and(|m| m.is_empty() || m.ends_with('_'));
        known.filter(ends).max_by_key(|name| name.len()).map_or(stem.clone(), str::to_owned)
    };
    let by_score = files.iter().map(score).collect();
    let by_name = files.iter().map(|path| named::stem(path)).collect();
    let by_path = files.iter().map(|path| path.display().to_string()).collect();
    named::telling_apart([by_score, by_name, by_path])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<String> {
        names(&files.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn rows_are_called_by_the_score_as_long_as_that_tells_them_apart() {
        let (inf, longer) = ("a/m_inf_heads.json", "a/m_retrieval_reasoning_l1_heads.json");
        assert_eq!(of(&[inf, longer, "mine.json"]), ["inf", "retrieval_reasoning_l1", "mine"]);
        assert_eq!(of(&["m_ablation_heads.json", "inf.json"]), ["ablation", "inf"]);
        // Not the end of a word.
        assert_eq!(of(&["chief_heads.json", "xinf_heads.json"]), ["chief", "xinf"]);
        assert_eq!(of(&[inf, "a/n_inf_heads.json"]), ["m_inf", "n_inf"]);
        assert_eq!(of(&[inf, "b/m_inf_heads.json"]), [inf, "b/m_inf_heads.json"]);
    }

    #[test]
    fn lists_have_commas_unless_they_are_files() {
        let asked = ["a.json, b.json,,a.json".into(), PathBuf::from("c.json")];
        let scores = HeadScores::new(&asked).unwrap();
        let files: Vec<&Path> = scores.files().collect();
        assert_eq!(files, ["a.json", "b.json", "c.json"].map(Path::new));
        let dir = tempfile::tempdir().unwrap();
        let one = dir.path().join("a,b.json");
        std::fs::write(&one, "{}").unwrap();
        assert_eq!(HeadScores::new(std::slice::from_ref(&one)).unwrap().files, [one]);
        assert!(HeadScores::new(&[]).unwrap().is_empty());
        let e = HeadScores::new(&[",".into()]).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--head-score"), "{e}");
    }
}
