//! Models by their id on a hub, which here is a server on the loopback with needle-llama.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{BINARY, ended, files_in, needles, stderr, text};

#[path = "../common/hub_server.rs"]
pub mod hub_server;

use hub_server::{COMMIT, HubServer};

const ID: &str = "acme/needle-llama";

fn serve() -> HubServer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/needle-llama");
    let files: Vec<(String, Vec<u8>)> =
        files_in(&dir).into_iter().map(|n| (n.clone(), fs::read(dir.join(n)).unwrap())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let server = HubServer::new(ID, &files);
    server.hub().lfs = ["model.safetensors".to_owned()].into();
    server
}

/// Runs with a cache in `home` and, where it still runs, a hub at `endpoint`.
pub fn headprof(home: &Path, endpoint: &str, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    for name in
        ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"]
    {
        command.env_remove(name);
    }
    command
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", endpoint)
        .env("NO_PROXY", "127.0.0.1,localhost");
    command.envs(variables.iter().copied()).args(args).stdin(Stdio::null());
    command.output().expect("headprof runs")
}

/// One probe of each of two needles.
fn profile<'a>(id: &'a str, needles: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let grid = ["--lengths", "128", "--depths", "0.5", "--gate", "none", "--max-new-tokens", "3"];
    let rest = ["--model", id, "--needles", text(needles), "--no-plots", "--out", text(out)];
    [&grid[..], &rest].concat()
}

#[test]
fn a_model_of_the_hub_is_profiled_and_again_without_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (home, needles) = (dir.path().join("home"), needles(dir.path()));
    let [first, second, folder] = ["first", "second", "folder"].map(|name| dir.path().join(name));
    let server = serve();
    let endpoint = server.endpoint.clone();

    let output =
        headprof(&home, &endpoint, &[("HF_TOKEN", "hf_x")], &profile(ID, &needles, &first));
    ended(&output, 0, &["downloading acme/needle-llama: config.json", "model.safetensors, 9"]);
    let tokens = std::mem::take(&mut server.hub().tokens);
    // Where the hub redirects to, the token is not sent.
    let redirected = |path: &str| path.starts_with("/cdn/");
    assert!(tokens.iter().any(|(path, _)| redirected(path)));
    for (path, token) in &tokens {
        assert_eq!(token.as_deref(), (!redirected(path)).then_some("hf_x"), "{path}");
    }
    drop(server);

    let offline = [("HF_HUB_OFFLINE", "yes")];
    let output = headprof(&home, &endpoint, &offline, &profile(ID, &needles, &second));
    ended(&output, 0, &[]);
    assert!(!stderr(&output).contains("downloading"), "{}", stderr(&output));
    let local = concat!(env!("CARGO_MANIFEST_DIR"), "/models/needle-llama");
    ended(&headprof(&home, &endpoint, &[], &profile(local, &needles, &folder)), 0, &[]);

    let scores = |out: &Path| {
        let names = files_in(&out.join("head_score"));
        let scores = names.into_iter().filter(|name| !name.ends_with(".meta.json"));
        let read = |name: String| (fs::read(out.join("head_score").join(&name)).unwrap(), name);
        scores.map(read).collect::<Vec<_>>()
    };
    assert!(!scores(&first).is_empty());
    assert_eq!(scores(&first), scores(&second));
    assert_eq!(scores(&first), scores(&folder));

    let model = |out: &Path| -> Value {
        let path = out.join("head_score/needle-llama_inf_heads.meta.json");
        let mut meta: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        meta["model"].take()
    };
    let hub = serde_json::json!({"id": ID, "revision": "main", "commit": COMMIT});
    assert_eq!((&model(&first)["hub"], &model(&first)["dir"]), (&hub, &Value::Null));
    assert_eq!(model(&first), model(&second));
    assert_eq!(model(&folder).get("hub"), None);

    // The other commands take the same ids.
    let verify = ["verify", &format!("{ID}@{COMMIT}"), "--offline"];
    let none = dir.path().join("none.json");
    let golden = ["verify", &format!("{ID}@{COMMIT}"), text(&none), "--offline"];
    ended(&headprof(&home, &endpoint, &[], &verify), 2, &["without a golden.json", ID]);
    ended(&headprof(&home, &endpoint, &[], &golden), 3, &["none.json"]);
    let out = dir.path().join("other");
    let pinned = format!("{ID}@{COMMIT}");
    let common = ["--model", &pinned, "--offline", "--out", text(&out)];
    let run = |args: &[&str]| headprof(&home, &endpoint, &[], &[args, &common].concat());
    ended(&run(&["observe", "--all", "--length", "32"]), 0, &[]);
    let grid = ["--lengths", "128", "--depths", "0.5", "--needles", text(&needles)];
    let evaluate = ["evaluate", "--methods", "full", "--no-plots", "--max-new-tokens", "3"];
    ended(&run(&[&evaluate[..], &grid].concat()), 0, &[]);
    let scores = text(&first.join("head_score")).to_owned();
    let allocate = ["allocate", "--model", ID, "--head-choice", "inf", "--head-score-dir", &scores];
    ended(&headprof(&home, &endpoint, &[], &allocate), 0, &[]);
}

#[test]
fn quiet_downloads_say_nothing_and_refusals_cost_exit_code_4() {
    let dir = tempfile::tempdir().unwrap();
    let (home, out) = (dir.path().join("home"), dir.path().join("out"));
    let needles = needles(dir.path());
    let server = serve();
    let run = |id: &str, extra: &[&str]| {
        headprof(&home, &server.endpoint, &[], &[&profile(id, &needles, &out)[..], extra].concat())
    };
    ended(&run(ID, &["--offline"]), 4, &["is not in the cache, and no request is sent", "HF_HOME"]);
    assert_eq!(server.requests(), [""; 0]);
    ended(&run("acme/nothing", &[]), 4, &["no public model acme/nothing", &server.endpoint]);
    ended(&run("acme/needle-llama@v2", &[]), 4, &["acme/needle-llama has no revision v2"]);
    ended(&run("no/such/folder", &[]), 4, &["there is no such model", "ORG/NAME@REVISION"]);
    let refusal = ("/resolve/".to_owned(), 401, "GatedRepo", "restricted");
    server.hub().refusals.push(refusal);
    ended(&run(ID, &[]), 4, &["is gated", "HF_TOKEN"]);
    server.hub().refusals.clear();
    // The connection ends in the middle of the weights; the program asks for the rest.
    server.hub().cuts.insert("model.safetensors".into(), (1 << 20, 1));
    let output = run(ID, &["--quiet"]);
    ended(&output, 0, &[]);
    assert_eq!(stderr(&output), "");
    assert!(server.requests().iter().any(|r| r.contains("model.safetensors 1048576-")));
}
