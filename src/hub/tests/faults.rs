//! Refusals, lost connections, wrong bytes.

use std::fs;

use super::hub_server::{COMMIT, git_object};
use super::{FILES, ID, Setting, WEIGHTS, fetch, read, told};

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
        assert!(setting.server.hub().tokens.iter().all(|t| t.1.as_deref() == Some("hf_secret")));
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
            let snapshots = setting.repository().join("snapshots");
            assert!(!snapshots.join(COMMIT).join("model.safetensors").exists());
        }
        setting.server.hub().sent.clear();
        let dir = setting.fetch(ID).unwrap().dir;
        assert_eq!(read(&dir, "model.safetensors"), WEIGHTS);
    }
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
fn a_cache_that_cannot_be_written_to_costs_exit_code_5() {
    let setting = Setting::new();
    fs::write(setting.repository(), "a file where the folder has to be").unwrap();
    let e = setting.fetch(ID).unwrap_err();
    assert_eq!(e.exit_code(), 5, "{e}");
    assert!(e.to_string().contains("HF_HOME"), "{e}");
}
