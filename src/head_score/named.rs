//! `--head-score NAME` and `NAME:SCORE`: the scores of a model that lie in a folder of its name,
//! such as those that come with headprof.

use std::path::{Component, Path, PathBuf};

use super::file_name;
use crate::error::{Error, Result};
use crate::score;

/// Where the folders are.
pub const FOLDER: &str = "head_score";
/// The score where a name comes without one: HeadKV's own.
const USUAL: &str = "retrieval_reasoning";

/// The file that `asked` means: a file of that path, or `folder/NAME/NAME_SCORE_heads.json`. What
/// is neither is handed back, for whoever reads it to say so.
///
/// # Errors
/// [`Error::Usage`] for a model that has scores, but not that one, and for a name of no score.
pub fn file(asked: &Path, folder: &Path) -> Result<PathBuf> {
    let plain = |name: &str| {
        matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)])
    };
    let Some(text) = asked.to_str().filter(|_| !asked.exists() || asked.is_dir()) else {
        return Ok(asked.to_owned());
    };
    let (name, score) = text.split_once(':').unwrap_or((text, USUAL));
    let own = folder.join(name);
    if !plain(name) || !own.is_dir() {
        return Ok(asked.to_owned());
    }
    let score = score::by_name(score).map_err(|e| e.at("--head-score").got(text))?;
    let found = own.join(file_name(name, score.name()));
    match found.is_file() {
        true => Ok(found),
        false => Err(Error::usage(format!("{name} has no file of the score {}", score.name()))
            .at(format!("--head-score {text}"))
            .got(listed(&own))
            .expected(found.display())),
    }
}

/// The names in `folder` that [`file`] takes, for a message.
fn listed(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with("_heads.json")).collect();
    names.sort();
    if names.is_empty() { "no score file".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_files_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("tiny-1b");
        std::fs::create_dir(&own).unwrap();
        for score in ["retrieval_reasoning", "inf"] {
            std::fs::write(own.join(file_name("tiny-1b", score)), "{}").unwrap();
        }
        let of = |asked: &str| file(Path::new(asked), dir.path());
        let found = |score: &str| own.join(file_name("tiny-1b", score));
        assert_eq!(of("tiny-1b").unwrap(), found("retrieval_reasoning"));
        assert_eq!(of("tiny-1b:inf").unwrap(), found("inf"));
        let e = of("tiny-1b:lazy").unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("tiny-1b_inf_heads.json"), "{e}");
        let e = of("tiny-1b:mood").unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--head-score"), "{e}");
        // A path, and what is nothing, stay as they are.
        let path = found("inf");
        assert_eq!(of(path.to_str().unwrap()).unwrap(), path);
        for other in ["other", "../tiny-1b", "no/such.json"] {
            assert_eq!(of(other).unwrap(), PathBuf::from(other));
        }
    }
}
