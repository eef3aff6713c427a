//! Downloads from a hub on the loopback, and what can go wrong with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::environment::Environment;
use super::{HubId, HubModel, Snapshot, fetch};
use crate::error::{Error, Result};

#[path = "../../tests/common/hub_server.rs"]
mod hub_server;

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
            ("config.json", b"{}"),
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
            environment: Environment {
                endpoint: Some(self.server.endpoint.clone()),
                cache: Some(self.cache.path().to_owned()),
                ..Environment::default()
            },
            offline: false,
            quiet: true,
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
    assert_eq!(setting.fetch(ID).unwrap().origin.commit, NEXT);
    assert_eq!(setting.offline(ID).unwrap().origin.commit, NEXT);
    assert_eq!(setting.offline(&format!("{ID}@{COMMIT}")).unwrap().dir, main.dir);
    setting.fails("acme/tiny@v9", &["acme/tiny has no revision v9", "RevisionNotFound"]);
}

#[test]
fn refusals_are_told_apart() {
    let token = |setting: &Setting, says: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "hf_secret").unwrap();
        let mut model = setting.model(ID);
        model.environment.token_files = vec![file.clone()];
        let e = told(fetch(&model), says).to_string();
        assert!(!e.contains("hf_secret"), "{e}");
        assert!(setting.server.hub().tokens.iter().all(|t| t.as_deref() == Some("hf_secret")));
        e.contains(file.to_str().unwrap())
    };
    let refusing = |part: &str, status, code, message| {
        let setting = Setting::new().lfs();
        setting.server.hub().refusals.push((part.to_owned(), status, code, message));
        setting
    };
    let commit = format!("asked for the commit of {ID}@main");

    let none = refusing("/api/", 401, "RepoNotFound", "Repository not found");
    let endpoint = none.server.endpoint.clone();
    let page = format!("{endpoint}/{ID}");
    none.fails(ID, &["no public model acme/tiny", &commit, &endpoint, &page, "HF_TOKEN", "folder"]);
    let none = refusing("/api/", 404, "RepoNotFound", "Repository not found");
    token(&none, &["no model acme/tiny that the token may see"]);

    let message = "Access to model acme/tiny is restricted";
    let gated = refusing("/resolve/", 401, "GatedRepo", message);
    let page = format!("{}/{ID}", gated.server.endpoint);
    gated
        .fails(ID, &["is gated", "asked for config.json of acme/tiny", message, &page, "HF_TOKEN"]);
    let gated = refusing("/resolve/", 403, "GatedRepo", message);
    let names_the_file = token(&gated, &["the token has no access to acme/tiny", message]);
    assert!(names_the_file);

    let bad = refusing("/api/", 401, "", "Invalid credentials in Authorization header");
    let names_the_file = token(&bad, &["the hub refuses the token", "settings/tokens"]);
    assert!(names_the_file);

    let busy = refusing("/api/", 429, "", "Too many requests");
    busy.fails(ID, &["fewer requests", "429"]);
    let trouble = refusing("/api/", 503, "", "maintenance");
    trouble.fails(ID, &["cannot answer at the moment", "503", "--offline"]);
    let gone = refusing("/resolve/", 404, "EntryNotFound", "Entry not found");
    gone.fails(ID, &["does not have a file that it lists", "config.json"]);
    let no_hub = refusing("/api/", 200, "", "");
    no_hub.fails(ID, &["not one of a Hugging Face hub", "HF_ENDPOINT"]);
}

#[test]
fn asterisks_for_hashes_are_told_as_the_refusal_behind_them() {
    let setting = Setting::new();
    let refusal = ("/resolve/".to_owned(), 401, "GatedRepo", "restricted");
    setting.server.hub().oid = Some("****************************************");
    setting.server.hub().refusals.push(refusal);
    setting.fails(ID, &["is gated"]);
    setting.server.hub().refusals.clear();
    setting.fails(ID, &["not one of a Hugging Face hub", "****", "40 hexadecimal digits"]);
}

#[test]
fn files_that_are_not_there_are_named() {
    let without = |name: &str| {
        let files: Vec<_> = FILES.into_iter().filter(|file| file.0 != name).collect();
        Setting::of(&files)
    };
    let safetensors = ["no weights as safetensors", "pytorch_model.bin", "consolidated.00.pth"];
    without("model.safetensors").fails(ID, &safetensors);
    without("config.json").fails(ID, &["acme/tiny has no config.json", COMMIT]);
    without("tokenizer.json").fails(ID, &["acme/tiny has no tokenizer.json"]);
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    for setting in [Setting::new(), Setting::new().lfs()] {
        let cut = |after, times| {
            setting.server.hub().cuts.insert("model.safetensors".into(), (after, times))
        };
        let last = WEIGHTS.len() - 1;
        // Each time ten bytes come; then the connection holds.
        cut(10, 2);
        let dir = setting.fetch(ID).unwrap().dir;
        assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
        let bodies = setting.bodies();
        let ranges = [String::new(), format!(" 10-{last}"), format!(" 20-{last}")];
        assert_eq!(bodies[2..], ranges.map(|range| format!("model.safetensors{range}")));
    }
}

#[test]
fn a_rerun_goes_on_where_the_last_one_gave_up() {
    let setting = Setting::new();
    let cut =
        |after, times| setting.server.hub().cuts.insert("model.safetensors".into(), (after, times));
    cut(0, usize::MAX);
    let gave_up = "the download of model.safetensors of acme/tiny was interrupted";
    let e = setting.fails(ID, &[gave_up, "goes on"]);
    assert!(e.to_string().contains(&format!("0 of {} bytes are kept", WEIGHTS.len())), "{e}");
    let partial = setting.partial(WEIGHTS);
    fs::write(&partial, &WEIGHTS[..7]).unwrap();
    setting.fails(ID, &["7 of 48 bytes are kept"]);
    assert_eq!(fs::read(&partial).unwrap(), &WEIGHTS[..7]);
    told(setting.offline(ID), &["acme/tiny is not in the cache"]);
    cut(0, 0);
    setting.bodies();
    let dir = setting.fetch(ID).unwrap().dir;
    assert_eq!(setting.bodies(), ["model.safetensors 7-47"], "complete files are not asked for");
    assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
    assert!(!partial.exists());
}

#[test]
fn a_hub_that_does_not_continue_files_sends_them_again() {
    let setting = Setting::new();
    setting.server.hub().no_ranges = true;
    setting.server.hub().cuts.insert("model.safetensors".into(), (10, 1));
    let dir = setting.fetch(ID).unwrap().dir;
    assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
    assert_eq!(
        setting.bodies()[2..],
        ["model.safetensors", "model.safetensors 10-47", "model.safetensors"]
    );
}

#[test]
fn damage_of_an_earlier_run_is_downloaded_again() {
    let setting = Setting::new();
    fs::create_dir_all(setting.repository().join("blobs")).unwrap();
    let partial = setting.partial(WEIGHTS);
    for damage in [b"other bytes".to_vec(), vec![0; WEIGHTS.len()], vec![0; WEIGHTS.len() + 1]] {
        fs::write(&partial, damage).unwrap();
        let dir = setting.fetch(ID).unwrap().dir;
        assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
        fs::remove_file(dir.join("model.safetensors")).unwrap();
        fs::remove_file(setting.repository().join("blobs").join(git_object(WEIGHTS))).unwrap();
    }
    // A file of the cache of another size than announced is not used either.
    let dir = setting.fetch(ID).unwrap().dir;
    fs::write(dir.join("model.safetensors"), "short").unwrap();
    let dir = setting.fetch(ID).unwrap().dir;
    assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
}

#[test]
fn what_is_not_as_announced_is_removed_and_never_used() {
    for setting in [Setting::new(), Setting::new().lfs()] {
        let mut wrong = WEIGHTS.to_vec();
        wrong[20] ^= 1;
        for (sent, says) in [
            (wrong, "git object"),
            (WEIGHTS[1..].to_vec(), "47 bytes"),
            ([WEIGHTS, b"!"].concat(), "49 bytes"),
        ] {
            setting.server.hub().sent.insert("model.safetensors".into(), sent);
            setting.fails(
                ID,
                &["model.safetensors of acme/tiny is not what the hub announced", says, "removed"],
            );
            assert_eq!(setting.blobs().len(), 3, "{:?}", setting.blobs());
            assert!(
                !setting
                    .repository()
                    .join("snapshots")
                    .join(COMMIT)
                    .join("model.safetensors")
                    .exists()
            );
        }
        setting.server.hub().sent.clear();
        let dir = setting.fetch(ID).unwrap().dir;
        assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
    }
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
fn a_hub_out_of_reach_is_named_unless_the_cache_is_enough() {
    let setting = Setting::new();
    let endpoint = setting.server.endpoint.clone();
    let (model, pinned) = (setting.model(ID), setting.model(&format!("{ID}@{COMMIT}")));
    let snapshot = fetch(&model).unwrap();
    let Setting { server, cache } = setting;
    drop(server);
    assert_eq!(fetch(&model).unwrap(), snapshot);
    assert_eq!(fetch(&pinned).unwrap().dir, snapshot.dir);
    fs::remove_file(snapshot.dir.join("model.safetensors")).unwrap();
    let folder = cache.path().to_str().unwrap();
    told(
        fetch(&model),
        &["cannot be reached for acme/tiny", &endpoint, "refused", folder, "--offline"],
    );

    let mut nowhere = model.clone();
    nowhere.environment.endpoint = Some("http://no-such-host.invalid".to_owned());
    told(fetch(&nowhere), &["cannot be reached", "http://no-such-host.invalid", "HF_ENDPOINT"]);
    nowhere.environment.endpoint = Some("ftp://x".to_owned());
    told(fetch(&nowhere), &["HF_ENDPOINT", "ftp://x"]);
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

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_to_costs_exit_code_5() {
    let setting = Setting::new();
    fs::write(setting.repository(), "a file where the folder has to be").unwrap();
    let e = setting.fetch(ID).unwrap_err();
    assert_eq!(e.exit_code(), 5, "{e}");
    assert!(e.to_string().contains("HF_HOME"), "{e}");
}
