//! Downloads from a hub on the loopback, and what can go wrong with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::environment::Environment;
use super::{Contents, HubId, HubModel, Snapshot, fetch};
use crate::error::{Error, Result};

#[path = "../../../tests/common/hub_server.rs"]
mod hub_server;

mod faults;

use hub_server::{COMMIT, HubServer, git_object};

const ID: &str = "acme/tiny";
const NEXT: &str = "2222222222222222222222222222222222222222";
const WEIGHTS: &[u8] = b"weights of a model, which are not looked at here";
const FILES: [(&str, &[u8]); 7] = [
    ("README.md", b"# tiny"),
    ("config.json", b"{\"a\": 1}"),
    ("consolidated.00.pth", b"0"),
    ("model.safetensors", WEIGHTS),
    ("pytorch_model.bin", b"0"),
    ("tokenizer.json", b"{}"),
    ("tokenizer_config.json", b""),
];

/// A hub and an empty cache.
struct Setting {
    server: HubServer,
    cache: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        Self::of(&FILES)
    }

    fn of(files: &[(&str, &[u8])]) -> Self {
        Self { server: HubServer::new(ID, files), cache: tempfile::tempdir().unwrap() }
    }

    /// Two shards and an index, which names them thrice.
    fn sharded(weight_map: &str) -> Self {
        let index = format!("{{\"weight_map\": {weight_map}}}");
        Self::of(&[
            ("config.json", b"{\"a\": 1}"),
            ("model-1.safetensors", b"first shard"),
            ("model-2.safetensors", b"second shard"),
            ("model.safetensors.index.json", index.as_bytes()),
            ("other.safetensors", b"not in the index"),
            ("tokenizer.json", b"{}"),
        ])
    }

    /// As hubs keep weights.
    fn lfs(self) -> Self {
        let mut hub = self.server.hub();
        hub.lfs = ["model.safetensors", "model-1.safetensors", "model-2.safetensors"]
            .map(str::to_owned)
            .into();
        drop(hub);
        self
    }

    fn model(&self, id: &str) -> HubModel {
        HubModel {
            id: HubId::parse(id).unwrap(),
            contents: Contents::Checkpoint,
            environment: Environment {
                endpoint: Some(self.server.endpoint.clone()),
                cache: Some(self.cache.path().to_owned()),
                ..Environment::default()
            },
            offline: false,
            quiet: true,
            weights: true,
        }
    }

    fn fetch(&self, id: &str) -> Result<Snapshot> {
        fetch(&self.model(id))
    }

    fn offline(&self, id: &str) -> Result<Snapshot> {
        fetch(&HubModel { offline: true, ..self.model(id) })
    }

    #[track_caller]
    fn fails(&self, id: &str, says: &[&str]) -> Error {
        told(self.fetch(id), says)
    }

    fn repository(&self) -> PathBuf {
        self.cache.path().join("models--acme--tiny")
    }

    /// The names in `blobs`.
    fn blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.repository().join("blobs")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The path of the incomplete file with this content.
    fn partial(&self, content: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(format!("{}.incomplete", git_object(content)))
    }

    /// The bodies that were asked for since the last call: file and range.
    fn bodies(&self) -> Vec<String> {
        let of_body = |request: String| {
            let rest = request.strip_prefix("GET ")?;
            let path = rest.strip_prefix("/cdn/").or_else(|| rest.strip_prefix("/resolve-cache/"));
            Some(path?.split_once('/')?.1.to_owned())
        };
        self.server.requests().into_iter().filter_map(of_body).collect()
    }
}

#[track_caller]
fn told(result: Result<Snapshot>, says: &[&str]) -> Error {
    let e = result.expect_err("this has to fail");
    assert_eq!(e.exit_code(), 4, "{e}");
    for part in says {
        assert!(e.to_string().contains(part), "no {part:?} in {e}");
    }
    e
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn what_is_needed_is_downloaded_once() {
    for setting in [Setting::new(), Setting::new().lfs()] {
        let snapshot = setting.fetch(ID).unwrap();
        let origin = &snapshot.origin;
        assert_eq!((origin.id.as_str(), origin.revision.as_str()), (ID, "main"));
        assert_eq!(origin.commit, COMMIT);
        assert!(snapshot.dir.ends_with(format!("models--acme--tiny/snapshots/{COMMIT}")));
        let wanted =
            ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
        assert_eq!(
            setting.bodies(),
            [wanted[0], wanted[1], wanted[3]],
            "an empty file has no body"
        );
        for (name, content) in FILES {
            assert_eq!(snapshot.dir.join(name).exists(), wanted.contains(&name), "{name}");
            if wanted.contains(&name) {
                assert_eq!(read(&snapshot.dir, name), content);
            }
        }
        let reference = setting.repository().join("refs/main");
        assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);

        assert_eq!(setting.fetch(ID).unwrap(), snapshot);
        let api = format!("/api/models/{ID}");
        let asked = [format!("GET {api}/revision/main"), format!("GET {api}/tree/{COMMIT}")];
        assert_eq!(setting.server.requests(), asked);
        // A commit does not change: nothing has to be asked.
        let pinned = setting.fetch(&format!("{ID}@{COMMIT}")).unwrap();
        assert_eq!((pinned.dir, pinned.origin.commit), (snapshot.dir, COMMIT.to_owned()));
        assert_eq!(setting.server.requests(), [""; 0]);
    }
}

#[cfg(unix)]
#[test]
fn blobs_have_the_names_that_other_tools_give_them() {
    use sha2::{Digest, Sha256};
    let setting = Setting::new().lfs();
    let dir = setting.fetch(ID).unwrap().dir;
    let link = |name: &str| fs::read_link(dir.join(name)).unwrap();
    let weights = format!("../../blobs/{:x}", Sha256::digest(WEIGHTS));
    assert_eq!(link("model.safetensors"), Path::new(&weights));
    let config = format!("../../blobs/{}", git_object(b"{\"a\": 1}"));
    assert_eq!(link("config.json"), Path::new(&config));
    assert!(setting.blobs().iter().all(|name| !name.contains("incomplete")));
}

#[test]
fn shards_are_those_of_the_index() {
    let map =
        r#"{"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}"#;
    let setting = Setting::sharded(map).lfs();
    let dir = setting.fetch(ID).unwrap().dir;
    let bodies = setting.bodies();
    assert_eq!(
        bodies[2..],
        ["model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"]
    );
    assert_eq!(read(&dir, "model-2.safetensors"), b"second shard");
    assert!(!dir.join("other.safetensors").exists());
}

#[test]
fn an_index_cannot_lead_out_of_the_folder_or_to_what_is_not_there() {
    for (name, says) in [
        ("../../x", "outside the checkpoint's folder"),
        ("/etc/hostname", "outside the checkpoint's folder"),
        ("model-3.safetensors", "lacks a shard"),
    ] {
        let setting =
            Setting::sharded(&format!(r#"{{"a": "model-1.safetensors", "b": "{name}"}}"#));
        setting.fails(ID, &[says, name]);
        let bodies = setting.bodies();
        assert!(bodies.iter().all(|body| !body.contains("model-")), "{bodies:?}");
        told(setting.offline(ID), &["not in the cache"]);
    }
}

#[test]
fn a_revision_is_recorded_as_its_commit() {
    let setting = Setting::new().lfs();
    let mut hub = setting.server.hub();
    let mut files = hub.trees[COMMIT].clone();
    files.insert("config.json".to_owned(), b"{\"a\": 2}".to_vec());
    hub.trees.insert(NEXT.to_owned(), files);
    hub.revisions.insert("refs/pr/1".to_owned(), NEXT.to_owned());
    drop(hub);
    let main = setting.fetch(ID).unwrap();
    setting.bodies();
    let pr = setting.fetch("acme/tiny@refs/pr/1").unwrap();
    assert_eq!((main.origin.commit.as_str(), pr.origin.commit.as_str()), (COMMIT, NEXT));
    assert_eq!(pr.origin.revision, "refs/pr/1");
    assert_eq!(read(&pr.dir, "config.json"), b"{\"a\": 2}");
    assert_eq!(read(&main.dir, "config.json"), b"{\"a\": 1}");
    assert_eq!(setting.bodies(), ["config.json"], "the rest is known by its hashes");
    // The branch moves.
    setting.server.hub().revisions.insert("main".to_owned(), NEXT.to_owned());
    assert_eq!(setting.offline(ID).unwrap(), main);
    // A look at it without its weights leaves the older commit to whoever has no network.
    let looked = HubModel { weights: false, ..setting.model(ID) };
    assert_eq!(fetch(&looked).unwrap().origin.commit, NEXT);
    assert_eq!(setting.offline(ID).unwrap(), main);
    assert_eq!(setting.fetch(ID).unwrap().origin.commit, NEXT);
    assert_eq!(setting.offline(ID).unwrap().origin.commit, NEXT);
    assert_eq!(setting.offline(&format!("{ID}@{COMMIT}")).unwrap().dir, main.dir);
    setting.fails("acme/tiny@v9", &["acme/tiny has no revision v9", "RevisionNotFound"]);
}

#[test]
fn offline_sends_no_request() {
    let setting = Setting::sharded(r#"{"a": "model-1.safetensors", "b": "model-2.safetensors"}"#);
    told(
        setting.offline(ID),
        &["acme/tiny is not in the cache", "nothing of this model", "HF_HUB_OFFLINE"],
    );
    let pinned = format!("{ID}@{COMMIT}");
    told(setting.offline(&pinned), &["not complete", "no config.json"]);
    assert_eq!(setting.server.requests(), [""; 0]);
    let snapshot = setting.fetch(ID).unwrap();
    setting.server.requests();
    assert_eq!(setting.offline(ID).unwrap(), snapshot);
    let mut by_variable = setting.model(ID);
    by_variable.environment.offline = true;
    assert_eq!(fetch(&by_variable).unwrap(), snapshot);
    assert_eq!(setting.offline(&pinned).unwrap().dir, snapshot.dir);
    told(setting.offline("acme/tiny@v1"), &["other commits of it", COMMIT, "acme/tiny@COMMIT"]);
    fs::remove_file(snapshot.dir.join("model-2.safetensors")).unwrap();
    told(setting.offline(ID), &["not complete in the cache", "no model-2.safetensors", COMMIT]);
    assert_eq!(setting.server.requests(), [""; 0]);
}

#[test]
fn processes_at_the_same_time_download_once() {
    let setting = Setting::new().lfs();
    thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(|| setting.fetch(ID).unwrap())).collect();
        for one in all {
            let dir = one.join().unwrap().dir;
            assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
        }
    });
    let mut bodies = setting.bodies();
    bodies.sort();
    assert_eq!(bodies, ["config.json", "model.safetensors", "tokenizer.json"]);
}

/// What `--dry-run` asks for: the small files, and nothing of the weights; then the rest.
#[test]
fn a_model_is_looked_at_without_its_weights() {
    let setting = Setting::new();
    let looked = HubModel { weights: false, ..setting.model(ID) };
    let snapshot = fetch(&looked).unwrap();
    let here = |name: &str| snapshot.dir.join(name).exists();
    assert!(here("config.json") && here("tokenizer.json") && !here("model.safetensors"));
    // Again without a request, and the weights are missed by whoever wants them.
    assert_eq!(fetch(&HubModel { offline: true, ..looked }).unwrap(), snapshot);
    let e = setting.offline(ID).unwrap_err();
    assert!(e.to_string().contains("no model.safetensors"), "{e}");
    // As long as there are none of any commit, the branch is followed.
    let mut hub = setting.server.hub();
    let files = hub.trees[COMMIT].clone();
    hub.trees.insert(NEXT.to_owned(), files);
    hub.revisions.insert("main".to_owned(), NEXT.to_owned());
    drop(hub);
    let looked = HubModel { weights: false, ..setting.model(ID) };
    assert_eq!(fetch(&looked).unwrap().origin.commit, NEXT);
    let again = HubModel { offline: true, ..looked };
    assert_eq!(fetch(&again).unwrap().origin.commit, NEXT);
    let whole = fetch(&setting.model(ID)).unwrap();
    assert!(whole.dir.join("model.safetensors").exists());
}

/// What `--gate-model` asks for; with `--dry-run` without the weights.
#[test]
fn an_embedding_model_is_five_files() {
    let small =
        ["config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
    let others = ["README.md", "model.onnx", "model.safetensors", "vocab.txt"];
    let files: Vec<(&str, &[u8])> =
        small.into_iter().chain(others).map(|name| (name, name.as_bytes())).collect();
    let setting = Setting::of(&files);
    let model = HubModel { contents: Contents::Embedding, ..setting.model(ID) };
    let looked = HubModel { weights: false, ..model.clone() };
    fetch(&looked).unwrap();
    let bodies = || {
        let mut bodies = setting.bodies();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(), small);
    let dir = fetch(&model).unwrap().dir;
    assert_eq!(read(&dir, "model.onnx"), b"model.onnx");
    assert_eq!(bodies(), ["model.onnx"]);
    fs::remove_file(dir.join("model.onnx")).unwrap();
    let e = fetch(&HubModel { offline: true, ..model }).unwrap_err();
    assert!(e.to_string().contains("no model.onnx"), "{e}");
}

/// `ORG/NAME:FILE.gguf`: that file and those that belong to it, and nothing else.
#[test]
fn a_gguf_file_is_downloaded_alone() {
    let files: Vec<(&str, &[u8])> = [
        "config.json",
        "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf",
        "half-00001-of-00002.gguf",
        "small-Q4_0.gguf",
    ]
    .map(|name| (name, name.as_bytes()))
    .into();
    let setting = Setting::of(&files);
    let one = format!("{ID}:small-Q4_0.gguf");
    // Without weights a header could not be read either: the file comes all the same.
    let snapshot = fetch(&HubModel { weights: false, ..setting.model(&one) }).unwrap();
    assert_eq!(setting.bodies(), ["small-Q4_0.gguf"]);
    assert_eq!(read(&snapshot.dir, "small-Q4_0.gguf"), b"small-Q4_0.gguf");
    assert_eq!(setting.offline(&one).unwrap(), snapshot);
    setting.fetch(&format!("{ID}@{COMMIT}:big-00001-of-00002.gguf")).unwrap();
    assert_eq!(setting.bodies(), ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]);
    setting.fails(
        &format!("{ID}:half-00001-of-00002.gguf"),
        &["has no half-00002-of-00002.gguf", "small-Q4_0.gguf"],
    );
    setting.fails(&format!("{ID}:other.gguf"), &["has no other.gguf", "small-Q4_0.gguf"]);
    told(
        setting.offline(&format!("{ID}:half-00001-of-00002.gguf")),
        &["not complete in the cache", "no half-00002-of-00002.gguf"],
    );
}
