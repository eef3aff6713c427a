//! `model.safetensors.index.json` that leads astray.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::tiny::{Tiny, file, write_config};
use super::{load, refused};

/// A folder whose index sends every tensor to `name`.
fn with_index(index: &Value) -> TempDir {
    let dir = Tiny::default().folder_without_weights();
    std::fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

fn all_in(name: &str) -> Value {
    let tensors = Tiny::default().tensors;
    let map: serde_json::Map<_, _> = tensors.into_iter().map(|t| (t.name, json!(name))).collect();
    json!({"metadata": {}, "weight_map": map})
}

fn write_weights(path: &Path) {
    std::fs::write(path, file(&Tiny::default().tensors)).unwrap();
}

#[test]
fn shards_are_read_from_the_folder() {
    let dir = with_index(&all_in("a.safetensors"));
    write_weights(&dir.path().join("a.safetensors"));
    load(dir.path()).unwrap();

    // Half here, half there; and one that both hold.
    let mut tensors = Tiny::default().tensors;
    let second = tensors.split_off(9);
    let mut index = all_in("a.safetensors");
    for t in &second {
        index["weight_map"][&t.name] = json!("b.safetensors");
    }
    let dir = with_index(&index);
    std::fs::write(dir.path().join("a.safetensors"), file(&tensors)).unwrap();
    std::fs::write(dir.path().join("b.safetensors"), file(&second)).unwrap();
    load(dir.path()).unwrap();
    tensors.push(second[0].clone());
    std::fs::write(dir.path().join("a.safetensors"), file(&tensors)).unwrap();
    refused(load(dir.path()), &["stored twice", &second[0].name, "a.safetensors", "b.safetensors"]);
    // The index names a shard that was not downloaded.
    std::fs::remove_file(dir.path().join("b.safetensors")).unwrap();
    refused(load(dir.path()), &["missing", "b.safetensors"]);
    // No index at all, no weights at all.
    std::fs::remove_file(dir.path().join("model.safetensors.index.json")).unwrap();
    refused(load(dir.path()), &["no weights", "model.safetensors"]);
}

/// The file that each name leads to is there and good: only the name is at fault.
#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("model");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    write_config(&dir, &Tiny::default().config);
    let outside = outer.path().join("x.safetensors");
    write_weights(&outside);
    write_weights(&dir.join("sub/x.safetensors"));
    let absolute = outside.display().to_string();
    for name in [
        "../x.safetensors",
        "../../x",
        &absolute,
        "sub/x.safetensors",
        "sub/../../x.safetensors",
        "..",
        ".",
        "",
        "..\\x.safetensors",
    ] {
        std::fs::write(dir.join("model.safetensors.index.json"), all_in(name).to_string()).unwrap();
        refused(load(&dir), &["outside the checkpoint's folder", "index.json", name]);
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused_and_those_of_the_hub_cache_are_not() {
    use std::os::unix::fs::symlink;

    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("secret");
    write_weights(&outside);
    let dir = with_index(&all_in("a.safetensors"));
    let link = dir.path().join("a.safetensors");
    symlink(&outside, &link).unwrap();
    refused(load(dir.path()), &["outside the checkpoint's folder", "secret"]);
    // A link inside the folder is fine, one that leads nowhere is missing.
    std::fs::remove_file(&link).unwrap();
    write_weights(&dir.path().join("b.safetensors"));
    symlink("b.safetensors", &link).unwrap();
    load(dir.path()).unwrap();
    std::fs::remove_file(dir.path().join("b.safetensors")).unwrap();
    refused(load(dir.path()), &["missing", "a.safetensors"]);

    // models--x/snapshots/1/a.safetensors -> ../../blobs/0: as the hub's cache lays it out.
    let cache = outer.path().join("models--x");
    let snapshot = cache.join("snapshots/1");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(cache.join("blobs")).unwrap();
    write_config(&snapshot, &Tiny::default().config);
    let index = snapshot.join("model.safetensors.index.json");
    std::fs::write(index, all_in("a.safetensors").to_string()).unwrap();
    write_weights(&cache.join("blobs/0"));
    let link = snapshot.join("a.safetensors");
    symlink("../../blobs/0", &link).unwrap();
    load(&snapshot).unwrap();
    // Out of the cache's own folder is out, also from there.
    std::fs::remove_file(&link).unwrap();
    symlink("../../../secret", &link).unwrap();
    refused(load(&snapshot), &["outside the checkpoint's folder"]);
}

#[test]
fn an_index_that_is_no_index_is_refused() {
    for (index, named) in [
        (json!([]), "weight_map"),
        (json!({"weight_map": []}), "weight_map"),
        (json!({"weight_map": {}}), "at least one shard"),
        (json!({"weight_map": {"model.norm.weight": 3}}), "weight_map.model.norm.weight"),
        (json!({"weight_map": {"model.norm.weight": null}}), "weight_map.model.norm.weight"),
    ] {
        refused(load(with_index(&index).path()), &[named, "index.json"]);
    }
    let dir = Tiny::default().folder_without_weights();
    std::fs::write(dir.path().join("model.safetensors.index.json"), "{\"weight_map\":").unwrap();
    refused(load(dir.path()), &["not JSON", "index.json"]);
}
