//! `--head-score NAME` and `NAME:SCORE`: scores by the name of their model, those that come with
//! headprof, in a folder of that name, and those that a profile wrote.

use std::path::{Component, Path, PathBuf};

use super::file_name;
use crate::error::{Error, Result};
use crate::score;

/// Where they are.
pub const FOLDER: &str = "head_score";
/// The score of `headprof ablate --each`, which is of no profile.
pub const ABLATION: &str = "ablation";
/// The score where a name comes without one: HeadKV's own.
const USUAL: &str = "retrieval_reasoning";

/// The file that `asked` means: a file of that path, `folder/NAME_SCORE_heads.json`, or
/// `folder/NAME/NAME_SCORE_heads.json`. A path of nothing is handed back, for whoever reads it to
/// say so.
///
/// # Errors
/// [`Error::Usage`] at `option` for a name without scores there, and for a name of no score.
pub fn file(asked: &Path, folder: &Path, option: &str) -> Result<PathBuf> {
    let Some(text) = asked.to_str().filter(|_| !asked.is_file()) else {
        return Ok(asked.to_owned());
    };
    let (name, score) = text.split_once(':').unwrap_or((text, USUAL));
    let parts: Vec<Component> = Path::new(name).components().collect();
    if !matches!(parts[..], [Component::Normal(_)]) || name.ends_with(".json") {
        return Ok(asked.to_owned());
    }
    let score = match score {
        ABLATION => ABLATION,
        _ => score::by_name(score).map_err(|e| e.at(option).got(text))?.name(),
    };
    let own = folder.join(name);
    let file = file_name(name, score);
    let places = [folder.join(&file), own.join(&file)];
    match places.iter().find(|place| place.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(Error::usage(format!("there are no scores {score} of {name}"))
            .at(format!("{option} {text}"))
            .got(listed(if own.is_dir() { &own } else { folder }))
            .expected(format!("{} or {}", places[0].display(), places[1].display()))
            .advice("profile the model first, or give a head_score file")),
    }
}

/// The name of a score file without what all of them end with: `m_inf` of
/// `head_score/m_inf_heads.json`.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".json").unwrap_or(&name);
    name.strip_suffix("_heads").unwrap_or(name).to_owned()
}

/// The first of `namings` that names no two alike.
pub fn telling_apart<const N: usize>(namings: [Vec<String>; N]) -> Vec<String> {
    let different = |names: &Vec<String>| (1..names.len()).all(|i| !names[..i].contains(&names[i]));
    let (fallback, found) = (namings[N - 1].clone(), namings.into_iter().find(different));
    found.unwrap_or(fallback)
}

/// The score files in `folder`, and the names that have a folder of their own, for a message.
fn listed(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let wanted = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        (name.ends_with("_heads.json") || entry.path().is_dir()).then_some(name)
    });
    let mut names: Vec<String> = wanted.collect();
    names.sort();
    match names.len() {
        0 => format!("no score file in {}", folder.display()),
        _ => names.join(", "),
    }
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
        let of = |asked: &str| file(Path::new(asked), dir.path(), "--head-score");
        let found = |score: &str| own.join(file_name("tiny-1b", score));
        assert_eq!(of("tiny-1b").unwrap(), found("retrieval_reasoning"));
        assert_eq!(of("tiny-1b:inf").unwrap(), found("inf"));
        std::fs::write(own.join(file_name("tiny-1b", ABLATION)), "{}").unwrap();
        assert_eq!(of("tiny-1b:ablation").unwrap(), found(ABLATION));
        let e = of("tiny-1b:lazy").unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("tiny-1b_inf_heads.json"), "{e}");
        let e = of("tiny-1b:mood").unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("--head-score"), "{e}");
        let e = of("other").unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("tiny-1b"), "{e}");
        let e = file(Path::new("other"), &own.join("none"), "--head-score").unwrap_err();
        assert!(e.to_string().contains("no score file in"), "{e}");
        // As a profile writes them.
        let flat = dir.path().join(file_name("mine", "inf"));
        std::fs::write(&flat, "{}").unwrap();
        assert_eq!(of("mine:inf").unwrap(), flat);
        // Paths stay as they are.
        let path = found("inf");
        assert_eq!(of(path.to_str().unwrap()).unwrap(), path);
        for other in ["other.json", "../tiny-1b", "no/such.json"] {
            assert_eq!(of(other).unwrap(), PathBuf::from(other));
        }
    }
}
