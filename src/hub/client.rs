//! The requests to a hub, all through the crate hf-hub.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFRepository, RepoTypeModel};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::announced::{Announced, is_hex};
use super::errors::{Contact, Failure, HubRequest, cause};
use super::id::is_commit;
use super::wanted::Listing;
use crate::error::{Error, Result};

/// How long an answer, or the next part of one, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often hf-hub repeats a request that got no answer, and the base of the pauses between.
const REPEATS: usize = 3;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 200 });

/// One repository of a hub.
pub struct Client {
    runtime: Runtime,
    repository: HFRepository<RepoTypeModel>,
    /// For errors.
    pub contact: Contact,
}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// The hub refuses the file.
    Refused(Error),
    /// The connection did not hold.
    Lost(String),
    /// The hub does not continue files.
    NoRanges,
    /// The hub sends this many bytes, or more than that, not as many as announced.
    OtherLength(u64),
    /// The bytes cannot be written.
    Disk(io::Error),
}

/// The rest of a file from a byte on.
pub struct Rest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its commit.
    pub commit: &'a str,
    /// The first byte.
    pub from: u64,
    /// The length of the whole file.
    pub size: u64,
}

impl Client {
    /// Prepares requests; sends none.
    ///
    /// # Errors
    /// [`Error::Model`] where requests cannot be made on this machine.
    pub fn new(contact: Contact) -> Result<Self> {
        let failed = |e: String| {
            Error::model("requests to the hub cannot be made")
                .at(&contact.endpoint)
                .got(e)
                .advice("check HF_ENDPOINT and the root certificates (SSL_CERT_FILE)")
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let mut client = HFClient::builder()
            .endpoint(&contact.endpoint)
            .cache_dir(&contact.cache)
            .user_agent(concat!("headprof/", env!("CARGO_PKG_VERSION")))
            .retry_max_attempts(REPEATS)
            .retry_base_delay(PAUSE);
        if let Some(token) = &contact.token {
            client = client.token(token.secret());
        }
        let client = client.build().map_err(|e| failed(cause(&e)))?;
        let repository = client.model(contact.id.org(), contact.id.name());
        Ok(Self { runtime, repository, contact })
    }

    /// The commit that the revision is.
    pub fn commit(&self) -> std::result::Result<String, Failure> {
        let asked = HubRequest::Commit;
        let revision = self.contact.id.revision();
        let info =
            self.answer(asked, async { self.repository.info().revision(revision).send().await })?;
        match info.sha {
            Some(commit) if is_commit(&commit) => Ok(commit),
            other => Err(self.odd(asked, format!("sha {other:?}"), "the 40 digits of a commit")),
        }
    }

    /// The files in the folder of `commit`.
    pub fn listing(&self, commit: &str) -> std::result::Result<Listing, Failure> {
        let entries = self.answer(HubRequest::Listing, async {
            let mut stream = Box::pin(self.repository.list_tree().revision(commit).send()?);
            let mut entries = Vec::new();
            while let Some(entry) = stream.next().await {
                entries.push(entry?);
            }
            Ok::<_, hf_hub::HFError>(entries)
        })?;
        let files = entries.into_iter().filter_map(|entry| match entry {
            RepoTreeEntry::File { path, size, oid, lfs, .. } if !path.contains('/') => {
                Some((path, Announced { size, oid, lfs: lfs.is_some() }))
            }
            _ => None,
        });
        Ok(files.collect())
    }

    /// Checks that the hash of a listed file can be one.
    ///
    /// # Errors
    /// [`Error::Model`] if not. To those without access a hub may list asterisks; what the hub says
    /// about the file itself is then told instead.
    pub fn check_oid(&self, name: &str, commit: &str, file: &Announced) -> Result<()> {
        if is_hex(&file.oid, 40) {
            return Ok(());
        }
        let first = Rest { name, commit, from: 0, size: file.size };
        match self.body(&first, &mut |_| Err(io::Error::other("not wanted"))) {
            Err(Stop::Refused(e)) => Err(e),
            _ => {
                let got = format!("{:?} as its git object", file.oid);
                Err(self.odd(HubRequest::File(name), got, "40 hexadecimal digits").error)
            }
        }
    }

    /// Hands the rest of a file to `sink`, part by part.
    pub fn body(
        &self,
        rest: &Rest<'_>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> std::result::Result<(), Stop> {
        let Rest { name, commit, from, size } = *rest;
        let left = size - from;
        let other_length = |n: u64| match from {
            0 => Stop::OtherLength(n),
            _ => Stop::NoRanges,
        };
        let silent = || Stop::Lost(format!("nothing came for {} s", PATIENCE.as_secs()));
        self.runtime.block_on(async {
            let range = (from > 0).then_some(from..size);
            let sent = self.repository.download_file_stream();
            let sent = sent.filename(name).revision(commit).maybe_range(range).send();
            let (length, mut parts) = match timeout(PATIENCE, sent).await {
                Err(_) => return Err(silent()),
                Ok(Err(e)) => {
                    let failure = self.contact.failure(&e, HubRequest::File(name));
                    return Err(match failure.passing {
                        Some(why) => Stop::Lost(why),
                        None => Stop::Refused(failure.error),
                    });
                }
                Ok(Ok(opened)) => opened,
            };
            if let Some(n) = length.filter(|&n| n != left) {
                return Err(other_length(n));
            }
            let mut received = 0;
            loop {
                let part = match timeout(PATIENCE, parts.next()).await {
                    Err(_) => return Err(silent()),
                    Ok(None) if received == left => return Ok(()),
                    Ok(None) => return Err(Stop::Lost("the connection ended early".to_owned())),
                    Ok(Some(Err(e))) => return Err(Stop::Lost(cause(&e))),
                    Ok(Some(Ok(part))) => part,
                };
                received += part.len() as u64;
                if received > left {
                    return Err(other_length(from + received));
                }
                sink(&part).map_err(Stop::Disk)?;
            }
        })
    }

    /// Waits for an answer.
    fn answer<T>(
        &self,
        asked: HubRequest<'_>,
        request: impl Future<Output = hf_hub::HFResult<T>>,
    ) -> std::result::Result<T, Failure> {
        match self.runtime.block_on(async { timeout(PATIENCE, request).await }) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(self.contact.failure(&e, asked)),
            Err(_) => {
                let why = format!("no answer within {} s", PATIENCE.as_secs());
                Err(self.contact.unreachable(&why, asked))
            }
        }
    }

    fn odd(&self, asked: HubRequest<'_>, got: String, expected: &str) -> Failure {
        let error = Error::model("the answer is not one of a Hugging Face hub")
            .at(self.contact.place(asked))
            .got(got)
            .expected(expected)
            .advice("check HF_ENDPOINT");
        Failure { error, passing: None }
    }
}
