use serde_json::json;

use super::*;

#[test]
fn a_fingerprint_has_no_places_and_all_inputs() {
    let provenance = json!({
        "model": {"name": "m", "dir": "/a", "hub": {"id": "x"}, "sha256": "s"},
        "source": {"kind": "published", "path": "/b", "files": [{"path": "c", "sha256": "t"}]},
        "haystack": {"dir": null, "files": [{"name": "a.txt", "sha256": "u"}], "cycles": 3},
        "grid": {"depths": [0.5], "places": 9, "prompts": 8},
        "prompt": {"chat": {"file": "f", "options": {"path": "mine"}}},
        "device": "cpu",
        "dtype": "f32",
    });
    let expected = json!({
        "model": {"name": "m", "sha256": "s"},
        "source": {"kind": "published", "files": [{"sha256": "t"}]},
        "haystack": {"files": [{"name": "a.txt", "sha256": "u"}]},
        "grid": {"depths": [0.5]},
        "prompt": {"chat": {"file": "f", "options": {"path": "mine"}}},
        "dtype": "f32",
    });
    assert_eq!(fingerprint(&provenance), Ok(expected));
    let mut all = provenance.clone();
    set_outcome(&mut all, 5, "cpu, cuda:0", "f32");
    assert_eq!((&all["haystack"]["cycles"], &all["device"]), (&json!(5), &json!("cpu, cuda:0")));
    // Prompts that bring their own text have no haystack to count.
    let mut none = json!({"haystack": null, "device": "x", "dtype": "y"});
    set_outcome(&mut none, 5, "cpu", "f32");
    assert_eq!(none, json!({"haystack": null, "device": "cpu", "dtype": "f32"}));
}
