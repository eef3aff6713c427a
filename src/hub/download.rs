//! One file, downloaded so that what is cut off goes on where it ended, and that only what the hub
//! announced gets a name in the cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::announced::{Announced, Differs};
use super::cache::{RepoCache, cannot_write};
use super::client::{Client, Rest, Stop};
use super::errors::HubRequest;
use super::view::FileView;
use crate::error::{Error, Result};
use crate::system::terminal::note;

/// How often in a row a connection may be lost without a byte gained.
const TRIES: u32 = 5;

/// How often one may be lost in all.
const MOST_TRIES: u32 = 100;

/// The pause after a loss; twice as long after every further one without a byte gained.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// Downloads files of one repository into the cache.
pub struct Downloader<'a> {
    /// Whom to ask.
    pub client: &'a Client,
    /// Where to keep it.
    pub cache: &'a RepoCache,
    /// The commit.
    pub commit: &'a str,
    /// Whether nothing is printed.
    pub quiet: bool,
}

impl Downloader<'_> {
    /// Makes sure that the snapshot has the file `name`; only what is not in the cache is
    /// downloaded.
    ///
    /// # Errors
    /// [`Error::Model`] if the hub refuses the file, the connection does not hold or the file is
    /// another than announced, [`Error::Resources`] if the cache cannot be written to.
    pub fn get(&self, name: &str, file: &Announced) -> Result<()> {
        if self.cache.has(self.commit, name, file.size) {
            return Ok(());
        }
        self.client.check_oid(name, self.commit, file)?;
        let _lock = self.cache.lock(file, || {
            if !self.quiet {
                note(&format!("another process downloads {name}; waiting for it"));
            }
        })?;
        // Of another commit, or downloaded while the lock was waited for.
        let blob = match self.cache.blob_of(file) {
            Some(blob) => blob,
            None => self.download(name, file)?,
        };
        self.cache.link(self.commit, name, &blob)
    }

    /// The name of the blob that was made.
    fn download(&self, name: &str, file: &Announced) -> Result<String> {
        let partial = self.cache.partial(file)?;
        let disk = |e: io::Error| cannot_write(&partial, &e);
        let view = FileView::new(&self.client.contact.id, name, file.size, self.quiet);
        // Whether all bytes are of this call: an earlier one may have left damage.
        let mut fresh = !partial.exists();
        loop {
            self.fill(name, file, &partial, &view, &mut fresh)?;
            match file.check(&partial).map_err(disk)? {
                Ok(blob) => {
                    self.cache.keep(&partial, &blob)?;
                    view.finish();
                    return Ok(blob);
                }
                Err(differs) => {
                    fs::remove_file(&partial).map_err(disk)?;
                    if fresh {
                        return Err(self.wrong(name, differs));
                    }
                    fresh = true;
                }
            }
        }
    }

    /// Appends to `partial` until it is as long as the file.
    fn fill(
        &self,
        name: &str,
        file: &Announced,
        partial: &Path,
        view: &FileView,
        fresh: &mut bool,
    ) -> Result<()> {
        let disk = |e: io::Error| cannot_write(partial, &e);
        let (mut lost, mut lost_in_all) = (0, 0);
        loop {
            let mut out = appending(partial, file.size).map_err(disk)?;
            let from = out.metadata().map_err(disk)?.len();
            view.start(from);
            if from == file.size {
                return Ok(());
            }
            let mut at = from;
            let rest = Rest { name, commit: self.commit, from, size: file.size };
            let stopped = self.client.body(&rest, &mut |part| {
                out.write_all(part)?;
                at += part.len() as u64;
                view.set(at);
                Ok(())
            });
            let why = match stopped {
                Ok(()) => return out.sync_all().map_err(disk),
                Err(Stop::Refused(e)) => return Err(e),
                Err(Stop::Disk(e)) => return Err(disk(e)),
                Err(Stop::OtherLength(n)) => {
                    fs::remove_file(partial).map_err(disk)?;
                    let (got, expected) = (format!("{n} bytes"), format!("{} bytes", file.size));
                    return Err(self.wrong(name, Differs { got, expected }));
                }
                Err(Stop::NoRanges) => {
                    out.set_len(0).map_err(disk)?;
                    *fresh = true;
                    "the hub does not continue files".to_owned()
                }
                Err(Stop::Lost(why)) => why,
            };
            lost = if at > from { 1 } else { lost + 1 };
            lost_in_all += 1;
            if lost >= TRIES || lost_in_all >= MOST_TRIES {
                return Err(self.interrupted(name, file, at, &why));
            }
            thread::sleep(PAUSE * 2_u32.pow(lost - 1));
        }
    }

    fn interrupted(&self, name: &str, file: &Announced, kept: u64, why: &str) -> Error {
        let id = &self.client.contact.id;
        Error::model(format!("the download of {name} of {} was interrupted", id.repository()))
            .at(self.client.contact.place(HubRequest::File(name)))
            .got(format!("{why}, again and again; {kept} of {} bytes are kept", file.size))
            .expected("a connection that holds")
            .advice("run the same command again: it goes on where this one ended")
    }

    fn wrong(&self, name: &str, differs: Differs) -> Error {
        let id = &self.client.contact.id;
        Error::model(format!("{name} of {} is not what the hub announced", id.repository()))
            .at(self.client.contact.place(HubRequest::File(name)))
            .got(differs.got)
            .expected(differs.expected)
            .advice(
                "the file was removed; run the same command again, and if that does not help, \
                 check HF_ENDPOINT and the proxy: something on the way changes files",
            )
    }
}

/// `path`, open at its end; begun again if it is longer than `size`.
fn appending(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    Ok(file)
}
