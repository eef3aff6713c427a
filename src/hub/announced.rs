//! What the hub announces about a file, and whether bytes on disk are that file.
//!
//! A listing names every file by its git object. Of a small file that is the file itself: SHA-1 of
//! `blob <size>\0` and the content. Of a large one it is its LFS pointer, a text of three lines
//! that holds the SHA-256 and the size of the content; so the content's SHA-256 determines the
//! pointer, and the pointer's SHA-1 has to be the one that is announced. (hf-hub 1.0.0 does not
//! hand on the SHA-256 that the listing also has under `lfs.oid`.)

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::system::digest::hex;

/// Bytes that are hashed at a time.
const BLOCK: usize = 1 << 20;

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Length in bytes.
    pub size: u64,
    /// SHA-1 of the git object, 40 hexadecimal digits.
    pub oid: String,
    /// Whether the git object is an LFS pointer.
    pub lfs: bool,
}

/// How a file differs from what was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// What it is.
    pub got: String,
    /// What was announced.
    pub expected: String,
}

impl Announced {
    /// The name under which the cache keeps a file with this content: its SHA-256 for LFS files,
    /// else its git object.
    ///
    /// # Errors
    /// If the file cannot be read; inside, how it differs.
    pub fn check(&self, file: &Path) -> io::Result<Result<String, Differs>> {
        let size = file.metadata()?.len();
        if size != self.size {
            let (got, expected) = (format!("{size} bytes"), format!("{} bytes", self.size));
            return Ok(Err(Differs { got, expected }));
        }
        let (own, oid) = match self.lfs {
            true => {
                let sha256 = hashed::<Sha256>(file, Sha256::new())?;
                let pointer = pointer_oid(&sha256, size);
                (sha256, pointer)
            }
            false => {
                let oid = hashed::<Sha1>(file, blob_header(size))?;
                (oid.clone(), oid)
            }
        };
        Ok(match oid == self.oid {
            true => Ok(own),
            false => Err(Differs {
                got: match self.lfs {
                    true => format!("SHA-256 {own}, whose LFS pointer is git object {oid}"),
                    false => format!("git object {oid}"),
                },
                expected: format!("git object {}", self.oid),
            }),
        })
    }

    /// Whether a blob of the cache is this file, by its name and size alone.
    pub fn is_blob(&self, name: &str, size: u64) -> bool {
        size == self.size
            && match self.lfs {
                true => is_hex(name, 64) && pointer_oid(name, size) == self.oid,
                false => name == self.oid,
            }
    }
}

/// Whether `text` is `digits` lower-case hexadecimal digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-1 of the git object of an LFS pointer.
fn pointer_oid(sha256: &str, size: u64) -> String {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
    hex(&blob_header(pointer.len() as u64).chain_update(pointer).finalize())
}

/// The beginning of a git object's hash.
fn blob_header(size: u64) -> Sha1 {
    Sha1::new().chain_update(format!("blob {size}\0"))
}

fn hashed<H: Digest>(file: &Path, mut hash: H) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(size: u64, oid: &str, lfs: bool) -> Announced {
        Announced { size, oid: oid.to_owned(), lfs }
    }

    #[test]
    fn pointers_of_files_on_the_hub() {
        // git object, SHA-256 and size as the hub lists them: ggml-tiny.bin of
        // ggerganov/whisper.cpp, and model.safetensors of Qwen2.5-0.5B.
        for (oid, sha256, size) in [
            (
                "d144f735b005ae8cbfa04a49e22fe40faa24dbec",
                "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21",
                77_691_713,
            ),
            (
                "d7db405a3f0d9bf1ba5bdd4e4211db8022ebe4eb",
                "fdf756fa7fcbe7404d5c60e26bff1a0c8b8aa1f72ced49e7dd0210fe288fb7fe",
                988_097_824,
            ),
        ] {
            let file = announced(size, oid, true);
            assert!(file.is_blob(sha256, size));
            assert!(!file.is_blob(sha256, size - 1));
            assert!(!file.is_blob(&sha256.replace('0', "1"), size));
        }
    }

    #[test]
    fn small_files_are_their_git_object() {
        // `printf 'hello\n' | git hash-object --stdin`
        let oid = "ce013625030ba8dba906f756967f9e9ca394464a";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(announced(6, oid, false).check(&path).unwrap(), Ok(oid.to_owned()));
        let e = announced(7, oid, false).check(&path).unwrap().unwrap_err();
        assert_eq!((e.got.as_str(), e.expected.as_str()), ("6 bytes", "7 bytes"));
        std::fs::write(&path, "hallo\n").unwrap();
        let e = announced(6, oid, false).check(&path).unwrap().unwrap_err();
        assert!(e.expected.contains(oid) && !e.got.contains(oid), "{e:?}");
        assert!(
            announced(6, oid, false).is_blob(oid, 6) && !announced(6, oid, true).is_blob(oid, 6)
        );
    }

    #[test]
    fn large_files_are_their_pointer() {
        // SHA-256 of "hello\n"; the pointer's object by `printf 'version
        // https://git-lfs.github.com/spec/v1\noid sha256:…\nsize 6\n' | git hash-object --stdin`
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let oid = "fa61e1ef71c9908c0926776a4aa3504b3a27f159";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(announced(6, oid, true).check(&path).unwrap(), Ok(sha256.to_owned()));
        std::fs::write(&path, "hellp\n").unwrap();
        assert!(announced(6, oid, true).check(&path).unwrap().is_err());
    }
}
