//! The cache of one repository, in the layout that Hugging Face's tools share:
//!
//! ```text
//! models--ORG--NAME/blobs/<hash>                  contents
//!                  /snapshots/<commit>/<file>     links to them
//!                  /refs/<revision>               the commit that a revision was
//!                  /.no_exist/<commit>/<file>     files that the commit does not have
//! .locks/models--ORG--NAME/<hash>.lock            held while a content is downloaded
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::announced::Announced;
use super::contents::{Contents, ONNX};
use super::id::{HubId, is_commit};
use super::wanted::{INDEX, WEIGHTS};
use crate::error::{Error, Result};
use crate::gguf::siblings;
use crate::model::shard_names;
use crate::system::atomic;

/// How often a lock that another process holds is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// The folder of one repository.
pub struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
    /// The GGUF files that are meant, if it is not a whole checkpoint.
    gguf: Vec<String>,
}

/// What the cache holds of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Every file that matters, and which of the others there are is known.
    All,
    /// Enough to load the model; whether the repository has these files too is not known.
    Enough(Vec<&'static str>),
    /// These files are missing.
    Lacks(Vec<String>),
}

/// Keeps other processes from downloading the same file, until it is dropped.
pub struct Lock {
    _file: Option<File>,
}

impl RepoCache {
    /// The folder of `id` within `cache`. Nothing is created.
    pub fn new(cache: &Path, id: &HubId) -> Self {
        let name = format!("models--{}--{}", id.org(), id.name());
        let gguf = id.file().map(siblings).unwrap_or_default();
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name), gguf }
    }

    /// The folder of the repository.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the files of `commit`.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that `revision` was when it was last downloaded.
    pub fn commit_of(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Records what `revision` is now.
    ///
    /// # Errors
    /// [`Error::Resources`] if the file cannot be written.
    pub fn set_commit_of(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(revision);
        if self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        self.create_parent(&path)?;
        atomic::write(&path, commit.as_bytes())
    }

    /// What there is of `commit`; of its weights only if they matter.
    ///
    /// # Errors
    /// [`Error::Model`] for an index that cannot be read or leads out of the folder.
    pub fn held(&self, commit: &str, contents: Contents, weights: bool) -> Result<Held> {
        let dir = self.snapshot(commit);
        // A link without its content does not exist.
        let here = |name: &str| dir.join(name).exists();
        if !self.gguf.is_empty() {
            let lacks = self.gguf.iter().filter(|name| !here(name)).cloned().collect::<Vec<_>>();
            return Ok(if lacks.is_empty() { Held::All } else { Held::Lacks(lacks) });
        }
        let required = contents.required().iter().filter(|name| !here(name));
        let mut lacks: Vec<String> = required.map(|name| (*name).to_owned()).collect();
        if weights && !here(contents.weights()) {
            match (contents, fs::read(dir.join(INDEX))) {
                (Contents::Checkpoint, Ok(text)) => {
                    let shards = shard_names(&text, &dir.join(INDEX).display().to_string())?;
                    lacks.extend(shards.into_iter().filter(|shard| !here(shard)));
                }
                (Contents::Checkpoint, Err(_)) => lacks.push(format!("{WEIGHTS} or {INDEX}")),
                (Contents::Embedding, _) => lacks.push(ONNX.to_owned()),
            }
        }
        if !lacks.is_empty() {
            return Ok(Held::Lacks(lacks));
        }
        let unknown: Vec<&str> = contents
            .optional()
            .iter()
            .copied()
            .filter(|name| !here(name) && !self.absence(commit, name).exists())
            .collect();
        Ok(if unknown.is_empty() { Held::All } else { Held::Enough(unknown) })
    }

    /// Whether `name` of `commit` is there with `size` bytes.
    pub fn has(&self, commit: &str, name: &str, size: u64) -> bool {
        fs::metadata(self.snapshot(commit).join(name)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// The commits of which there is anything, for messages.
    pub fn commits(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut commits: Vec<String> = names.filter(|name| is_commit(name)).collect();
        commits.sort();
        commits
    }

    /// Notes that `commit` has no file `name`.
    ///
    /// # Errors
    /// [`Error::Resources`] if that cannot be written.
    pub fn set_absent(&self, commit: &str, name: &str) -> Result<()> {
        let path = self.absence(commit, name);
        if path.exists() {
            return Ok(());
        }
        self.create_parent(&path)?;
        atomic::write(&path, b"")
    }

    /// The name of the blob that is `file`, wherever it was downloaded.
    pub fn blob_of(&self, file: &Announced) -> Option<String> {
        let entries = fs::read_dir(self.folder.join("blobs")).ok()?.flatten();
        let mut names = entries.filter_map(|entry| {
            let (name, size) =
                (entry.file_name().into_string().ok()?, entry.metadata().ok()?.len());
            file.is_blob(&name, size).then_some(name)
        });
        names.next()
    }

    /// Where the first bytes of `file` are kept while it is incomplete.
    ///
    /// # Errors
    /// [`Error::Resources`] if the folder cannot be created.
    pub fn partial(&self, file: &Announced) -> Result<PathBuf> {
        let path = self.folder.join("blobs").join(format!("{}.incomplete", file.oid));
        self.create_parent(&path)?;
        Ok(path)
    }

    /// Makes the complete `partial` the blob `blob`.
    ///
    /// # Errors
    /// [`Error::Resources`] if it cannot be renamed.
    pub fn keep(&self, partial: &Path, blob: &str) -> Result<()> {
        let path = self.folder.join("blobs").join(blob);
        fs::rename(partial, &path).map_err(|e| cannot_write(&path, &e))
    }

    /// Makes `name` of `commit` a link to `blob`, or a copy where there are no links.
    ///
    /// # Errors
    /// [`Error::Resources`] if that cannot be written.
    pub fn link(&self, commit: &str, name: &str, blob: &str) -> Result<()> {
        let path = self.snapshot(commit).join(name);
        self.create_parent(&path)?;
        let replaced = match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => self.make_link(&path, blob),
        };
        match replaced {
            // Another process, at the same file.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map_err(|e| cannot_write(&path, &e)),
        }
    }

    #[cfg(unix)]
    fn make_link(&self, path: &Path, blob: &str) -> io::Result<()> {
        std::os::unix::fs::symlink(Path::new("../../blobs").join(blob), path)
    }

    #[cfg(not(unix))]
    fn make_link(&self, path: &Path, blob: &str) -> io::Result<()> {
        fs::copy(self.folder.join("blobs").join(blob), path).map(drop)
    }

    /// Waits until no other process downloads `file`; `waiting` is called once if that takes time.
    /// On file systems without locks nothing is waited for.
    ///
    /// # Errors
    /// [`Error::Resources`] if the file of the lock cannot be created.
    pub fn lock(&self, file: &Announced, waiting: impl FnOnce()) -> Result<Lock> {
        let path = self.locks.join(format!("{}.lock", file.oid));
        self.create_parent(&path)?;
        let lock = File::create(&path).map_err(|e| cannot_write(&path, &e))?;
        let mut waiting = Some(waiting);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(lock) }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(tell) = waiting.take() {
                        tell();
                    }
                    thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::Error(_)) => return Ok(Lock { _file: None }),
            }
        }
    }

    fn absence(&self, commit: &str, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(name)
    }

    fn create_parent(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|e| cannot_write(parent, &e))
    }
}

/// A file or folder of the cache cannot be written.
pub fn cannot_write(path: &Path, e: &io::Error) -> Error {
    Error::resources("the cache of downloaded models cannot be written to")
        .at(path.display())
        .got(e)
        .expected("a folder with the right to write and room for the model")
        .advice(match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some disk space, or set HF_HOME to a folder on another disk; a rerun goes on \
                 with what is already there"
            }
            _ => "set HF_HOME to a folder of yours; --offline only reads",
        })
}

#[cfg(test)]
mod tests {
    use super::super::contents::EMBEDDING_FILES;
    use super::super::wanted::{CONFIG, OPTIONAL, TOKENIZER};
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache(dir: &Path) -> RepoCache {
        RepoCache::new(dir, &HubId::parse("acme/tiny").unwrap())
    }

    fn put(cache: &RepoCache, name: &str, text: &str) {
        let blobs = cache.folder.join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("b-{name}")), text).unwrap();
        cache.link(COMMIT, name, &format!("b-{name}")).unwrap();
    }

    #[test]
    fn a_commit_is_held_when_model_and_tokenizer_are_and_the_rest_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let lacks = |names: &[&str]| Held::Lacks(names.iter().map(|n| (*n).to_owned()).collect());
        let weights = "model.safetensors or model.safetensors.index.json";
        assert_eq!(
            cache.held(COMMIT, Contents::Checkpoint, true).unwrap(),
            lacks(&[CONFIG, TOKENIZER, weights])
        );
        put(&cache, CONFIG, "{}");
        put(&cache, TOKENIZER, "{}");
        assert_eq!(cache.held(COMMIT, Contents::Checkpoint, true).unwrap(), lacks(&[weights]));
        assert_eq!(
            cache.held(COMMIT, Contents::Checkpoint, false).unwrap(),
            Held::Enough(OPTIONAL.to_vec())
        );
        put(&cache, INDEX, r#"{"weight_map": {"a": "1.st", "b": "2.st"}}"#);
        put(&cache, "1.st", "1");
        assert_eq!(cache.held(COMMIT, Contents::Checkpoint, true).unwrap(), lacks(&["2.st"]));
        put(&cache, "2.st", "2");
        assert_eq!(
            cache.held(COMMIT, Contents::Checkpoint, true).unwrap(),
            Held::Enough(OPTIONAL.to_vec())
        );
        put(&cache, OPTIONAL[0], "{}");
        OPTIONAL[1..].iter().for_each(|name| cache.set_absent(COMMIT, name).unwrap());
        assert_eq!(cache.held(COMMIT, Contents::Checkpoint, true).unwrap(), Held::All);
        // A link whose content is gone is not there.
        fs::remove_file(cache.folder.join("blobs/b-2.st")).unwrap();
        assert_eq!(cache.held(COMMIT, Contents::Checkpoint, true).unwrap(), lacks(&["2.st"]));
        assert!(cache.has(COMMIT, "1.st", 1) && !cache.has(COMMIT, "1.st", 2));
        assert_eq!(cache.commits(), [COMMIT]);
    }

    #[test]
    fn an_embedding_model_is_held_with_its_five_files() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let held = |weights| cache.held(COMMIT, Contents::Embedding, weights).unwrap();
        // An index of safetensors says nothing about it.
        put(&cache, INDEX, r#"{"weight_map": {}}"#);
        EMBEDDING_FILES.iter().for_each(|name| put(&cache, name, "{}"));
        assert_eq!((held(true), held(false)), (Held::Lacks(vec![ONNX.to_owned()]), Held::All));
        put(&cache, ONNX, "onnx");
        assert_eq!(held(true), Held::All);
        fs::remove_file(cache.snapshot(COMMIT).join("special_tokens_map.json")).unwrap();
        assert_eq!(held(true), Held::Lacks(vec!["special_tokens_map.json".to_owned()]));
    }

    #[test]
    fn revisions_may_have_slashes_and_bad_refs_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        assert_eq!(cache.commit_of("refs/pr/1"), None);
        cache.set_commit_of("refs/pr/1", COMMIT).unwrap();
        assert_eq!(cache.commit_of("refs/pr/1").as_deref(), Some(COMMIT));
        let at = dir.path().join("models--acme--tiny/refs/refs/pr/1");
        assert_eq!(fs::read_to_string(&at).unwrap(), COMMIT);
        fs::write(&at, "../../elsewhere").unwrap();
        assert_eq!(cache.commit_of("refs/pr/1"), None);
    }

    #[test]
    fn a_lock_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = Announced { size: 1, oid: "0".repeat(40), lfs: false };
        let held = cache(dir.path()).lock(&file, || {}).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let second = scope.spawn(|| {
                cache(dir.path()).lock(&file, move || tell.send(()).unwrap()).map(drop).unwrap();
            });
            told.recv().unwrap();
            assert!(!second.is_finished());
            drop(held);
            second.join().unwrap();
        });
    }
}
