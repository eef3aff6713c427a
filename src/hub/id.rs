//! `ORG/NAME`, `ORG/NAME@REVISION`, and either with `:FILE.gguf`: model repositories on the hub.

use std::fmt;

/// The revision of an id that names none.
pub const DEFAULT_REVISION: &str = "main";

/// Most characters of an organisation or a name, as on the hub.
const LONGEST_PART: usize = 96;

/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// A model repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    org: String,
    name: String,
    // Boxed: this is a part of values that are mostly without it.
    revision: Option<Box<str>>,
    file: Option<Box<str>>,
}

impl HubId {
    /// Reads `ORG/NAME` or `ORG/NAME@REVISION`, where the revision is a branch, a tag or a commit,
    /// with or without `:FILE.gguf` behind it; `None` for what cannot be the name of a repository.
    ///
    /// The names are those that the hub allows: letters, digits, `-`, `_` and `.`, no `--` or `..`,
    /// neither `-` nor `.` at an end.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, file) = match text.split_once(':') {
            Some((text, file)) => (text, Some(file)),
            None => (text, None),
        };
        let (path, revision) = match text.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (text, None),
        };
        let (org, name) = path.split_once('/')?;
        let legal = legal_part(org)
            && legal_part(name)
            && !name.ends_with(".git")
            && revision.is_none_or(legal_revision)
            && file.is_none_or(legal_file);
        legal.then(|| Self {
            org: org.to_owned(),
            name: name.to_owned(),
            revision: revision.map(Box::from),
            file: file.map(Box::from),
        })
    }

    /// The GGUF file of the repository that is meant, if one is.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The organisation or user.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The name of the repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision asked for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// The commit, where the revision is one.
    pub fn commit(&self) -> Option<&str> {
        self.revision.as_deref().filter(|revision| is_commit(revision))
    }

    /// `ORG/NAME`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.org, self.name)
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.file {
            Some(file) => write!(f, ":{file}"),
            None => Ok(()),
        }
    }
}

/// Whether `text` is the full name of a commit: 40 lower-case hexadecimal digits. Names of folders
/// are made from it.
pub fn is_commit(text: &str) -> bool {
    text.len() == COMMIT_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn legal_part(part: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !part.is_empty()
        && part.len() <= LONGEST_PART
        && part.bytes().all(usual)
        && !part.contains("--")
        && !part.contains("..")
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
}

/// The name of a GGUF file that is in no folder.
fn legal_file(file: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+');
    file.ends_with(".gguf") && !file.starts_with('.') && file.bytes().all(usual)
}

/// A name that git allows, and that is a path of plain names: the cache has a file of it.
fn legal_revision(revision: &str) -> bool {
    let usual =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'+' | b'#');
    revision.bytes().all(usual)
        && !revision.starts_with('-')
        && revision.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.contains("..")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_and_without_a_revision() {
        let id = HubId::parse("meta-llama/Llama-3.1-8B-Instruct").unwrap();
        assert_eq!((id.org(), id.name()), ("meta-llama", "Llama-3.1-8B-Instruct"));
        assert_eq!((id.revision(), id.commit()), ("main", None));
        assert_eq!(id.to_string(), "meta-llama/Llama-3.1-8B-Instruct");

        let pr = HubId::parse("a/b_1@refs/pr/3").unwrap();
        assert_eq!((pr.repository().as_str(), pr.revision()), ("a/b_1", "refs/pr/3"));
        assert_eq!(pr.to_string(), "a/b_1@refs/pr/3");

        let file = HubId::parse("a/b@v1:model-Q4_K_M.gguf").unwrap();
        assert_eq!((file.revision(), file.file()), ("v1", Some("model-Q4_K_M.gguf")));
        assert_eq!(file.to_string(), "a/b@v1:model-Q4_K_M.gguf");
        assert_eq!(HubId::parse("a/b:model.gguf").unwrap().repository(), "a/b");
        for text in [
            "a/b:",
            "a/b:model",
            "a/b:.gguf",
            "a/b:x/model.gguf",
            "a/b:../m.gguf",
            "a/b:m.gguf:n.gguf",
        ] {
            assert_eq!(HubId::parse(text), None, "{text:?}");
        }

        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned = HubId::parse(&format!("a/b@{commit}")).unwrap();
        assert_eq!(pinned.commit(), Some(commit));
        assert_eq!(HubId::parse(&format!("a/b@{}", &commit[1..])).unwrap().commit(), None);
    }

    #[test]
    fn what_is_no_id() {
        for text in [
            "", "gpt2", "a/", "/a", "a/b/c", "./a", "../a", "~/a", "a/.b", "a/b.", "a/-b",
            "a--b/c", "a/b..c", "a/b c", "a/b@", "a/b@x y", "a/b@../x", "a/b@/x", "a/b@x/",
            "a/b@-x", "a/b@.x", "a/b@x..y", "a/b.git", "a\\b/c", "C:/x", "日/本",
        ] {
            assert_eq!(HubId::parse(text), None, "{text:?}");
        }
        let long = "x".repeat(LONGEST_PART);
        assert!(HubId::parse(&format!("a/{long}")).is_some());
        assert_eq!(HubId::parse(&format!("a/{long}x")), None);
    }
}
