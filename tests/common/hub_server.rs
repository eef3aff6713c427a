//! A hub on the loopback, with one repository and as many faults as a test asks for.
//!
//! It answers as huggingface.co does: small files by a relative redirect, LFS files by a redirect
//! to another host (localhost for 127.0.0.1) whose answer has none of the hub's headers, listings
//! with the git objects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The commit of `main` where a test makes no others.
pub const COMMIT: &str = "1111111111111111111111111111111111111111";

/// What the hub holds and does wrong.
#[derive(Default)]
pub struct Hub {
    /// `ORG/NAME`.
    pub id: String,
    /// Branches and tags, each with its commit.
    pub revisions: BTreeMap<String, String>,
    /// Commit → name → content.
    pub trees: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Names of files that are in LFS.
    pub lfs: BTreeSet<String>,
    /// Part of a path → status, code and message of the refusal.
    pub refusals: Vec<(String, u16, &'static str, &'static str)>,
    /// Name → what is sent in the place of its content.
    pub sent: BTreeMap<String, Vec<u8>>,
    /// Name → after how many bytes the connection ends, and how many times still.
    pub cuts: BTreeMap<String, (usize, usize)>,
    /// Whether ranges are answered with the whole file.
    pub no_ranges: bool,
    /// The hash in listings, in the place of the right one.
    pub oid: Option<&'static str>,
    /// `METHOD path range`, in order.
    pub requests: Vec<String>,
    /// Paths and the tokens that were sent with them, in order.
    pub tokens: Vec<(String, Option<String>)>,
}

/// A running hub; gone when it is dropped.
pub struct HubServer {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    hub: Arc<Mutex<Hub>>,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl HubServer {
    /// Serves `files` as the commit [`COMMIT`] of `main`.
    pub fn new(id: &str, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        let hub = Hub {
            id: id.to_owned(),
            revisions: [("main".to_owned(), COMMIT.to_owned())].into(),
            trees: [(COMMIT.to_owned(), files.collect())].into(),
            ..Hub::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (hub, stop) = (Arc::new(Mutex::new(hub)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&hub), Arc::clone(&stop));
        let listener = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A client that goes away is no fault of the hub.
                thread::spawn(move || drop(answer(stream, &shared)));
            }
        });
        Self { endpoint: format!("http://{address}"), hub, stop, listener: Some(listener) }
    }

    /// The hub, to look at or to change.
    pub fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().expect("no request panics")
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.hub().requests)
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.endpoint.trim_start_matches("http://"));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

struct Request {
    method: String,
    path: String,
    /// First and last byte.
    range: Option<(usize, usize)>,
}

fn answer(stream: TcpStream, hub: &Mutex<Hub>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let (mut range, mut token) = (None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let ends = value.trim_start_matches("bytes=").split_once('-');
                range = ends.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            }
            "authorization" => token = Some(value.trim_start_matches("Bearer ").to_owned()),
            _ => {}
        }
    }
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let shown = range.map(|(a, b)| format!(" {a}-{b}")).unwrap_or_default();
    let request = Request { method, path, range };
    let mut hub = hub.lock().expect("no request panics");
    hub.requests.push(format!("{} {}{shown}", request.method, request.path));
    hub.tokens.push((request.path.clone(), token));
    let answer = hub.answer(&request, &format!("http://localhost:{}", stream.local_addr()?.port()));
    drop(hub);
    answer.send(&request, stream)
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// After how many bytes of the body the connection ends.
    cut: Option<usize>,
}

impl Answer {
    fn new(status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body, cut: None }
    }

    fn refusal(status: u16, code: &str, message: &str) -> Self {
        let mut headers = vec![("X-Error-Message", message.to_owned())];
        if !code.is_empty() {
            headers.push(("X-Error-Code", code.to_owned()));
        }
        Self::new(status, headers, Vec::new())
    }

    fn send(self, request: &Request, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len())])?;
        }
        stream.flush()?;
        stream.shutdown(Shutdown::Write)
    }
}

impl Hub {
    fn answer(&mut self, request: &Request, other: &str) -> Answer {
        let path = request.path.as_str();
        if let Some((_, status, code, message)) =
            self.refusals.iter().find(|(part, ..)| path.contains(part))
        {
            return Answer::refusal(*status, code, message);
        }
        let api = format!("/api/models/{}/", self.id);
        let resolve = format!("/{}/resolve/", self.id);
        if let Some(revision) = path.strip_prefix(&format!("{api}revision/")) {
            let revision = revision.replace("%2F", "/");
            let known = self.trees.contains_key(&revision).then_some(&revision);
            return match self.revisions.get(&revision).or(known) {
                Some(sha) => json_answer(&json!({"id": self.id, "sha": sha})),
                None => Answer::refusal(404, "RevisionNotFound", "Invalid rev id"),
            };
        }
        if let Some(commit) = path.strip_prefix(&format!("{api}tree/")) {
            return match self.trees.get(commit) {
                Some(files) => json_answer(&self.listing(files)),
                None => Answer::refusal(404, "RevisionNotFound", "Invalid rev id"),
            };
        }
        if let Some((commit, name)) = path.strip_prefix(&resolve).and_then(|p| p.split_once('/')) {
            let known = self.trees.get(commit).is_some_and(|files| files.contains_key(name));
            return match (known, self.lfs.contains(name)) {
                (false, _) => Answer::refusal(404, "EntryNotFound", "Entry not found"),
                (true, true) => {
                    let location = ("Location", format!("{other}/cdn/{commit}/{name}"));
                    let commit = ("X-Repo-Commit", commit.to_owned());
                    Answer::new(302, vec![location, commit], Vec::new())
                }
                (true, false) => {
                    let location = format!("/resolve-cache/{commit}/{name}");
                    Answer::new(307, vec![("Location", location)], Vec::new())
                }
            };
        }
        for start in ["/cdn/", "/resolve-cache/"] {
            if let Some((commit, name)) = path.strip_prefix(start).and_then(|p| p.split_once('/')) {
                return self.content(request, commit, name);
            }
        }
        Answer::refusal(404, "RepoNotFound", "Repository not found")
    }

    fn content(&mut self, request: &Request, commit: &str, name: &str) -> Answer {
        let content = self.sent.get(name).unwrap_or(&self.trees[commit][name]);
        let etag = ("ETag", "\"some\"".to_owned());
        let mut answer = match request.range.filter(|_| !self.no_ranges) {
            Some((first, last)) => {
                let last = last.min(content.len() - 1);
                let range = format!("bytes {first}-{last}/{}", content.len());
                let headers = vec![etag, ("Content-Range", range)];
                Answer::new(206, headers, content[first..=last].to_vec())
            }
            None => Answer::new(200, vec![etag], content.clone()),
        };
        if request.method == "GET"
            && let Some((after, times)) = self.cuts.get_mut(name).filter(|cut| cut.1 > 0)
        {
            *times -= 1;
            answer.cut = Some((*after).min(answer.body.len()));
        }
        answer
    }

    fn listing(&self, files: &BTreeMap<String, Vec<u8>>) -> serde_json::Value {
        let entries = files.iter().map(|(name, content)| {
            let size = content.len();
            if !self.lfs.contains(name) {
                let oid = self.oid.map_or_else(|| git_object(content), str::to_owned);
                return json!({"type": "file", "path": name, "size": size, "oid": oid});
            }
            let sha256 = format!("{:x}", Sha256::digest(content));
            let pointer = format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
            );
            let oid = self.oid.map_or_else(|| git_object(pointer.as_bytes()), str::to_owned);
            let lfs = json!({"oid": sha256, "size": size, "pointerSize": pointer.len()});
            json!({"type": "file", "path": name, "size": size, "oid": oid, "lfs": lfs})
        });
        let folder = json!({"type": "directory", "path": "onnx", "oid": "0".repeat(40)});
        entries.chain([folder]).collect()
    }
}

/// The name of a git object that holds `content`.
pub fn git_object(content: &[u8]) -> String {
    let hash = Sha1::new().chain_update(format!("blob {}\0", content.len()));
    format!("{:x}", hash.chain_update(content).finalize())
}

fn json_answer(value: &serde_json::Value) -> Answer {
    Answer::new(
        200,
        vec![("Content-Type", "application/json".to_owned())],
        value.to_string().into(),
    )
}
