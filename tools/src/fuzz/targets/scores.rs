//! Head scores, their sidecars, utility curves.

use headprof::Result;
use headprof::budget::UtilityFile;
use headprof::head_score::{HeadScoreFile, sidecar};
use serde_json::json;

use super::seeds::bytes;
use crate::fuzz::Target;
use crate::fuzz::target::alone;

/// A head_score file: what is accepted is written again.
pub static HEAD_SCORE: Target = Target {
    name: "head-score",
    reads: "head_score JSON",
    seeds: || {
        let lists: &[u8] = br#"{"0-0": [0.5, 1], "0-1": [0.25, 0], "1-0": [1e-3], "1-1": [0]}"#;
        let numbers: &[u8] = br#"{"0-0": 0.5, "0-1": 1, "1-0": 0, "1-1": 2.5e3}"#;
        let wrapped: &[u8] = br#"{"dili": {"0-0": [1], "0-1": [2], "1-0": [3], "1-1": [4]}}"#;
        [lists, numbers, wrapped].map(<[u8]>::to_vec).to_vec()
    },
    beside: alone,
    read: |folder, input| {
        let path = folder.put("m_inf_heads.json", input);
        HeadScoreFile::read(&path, Some((2, 2))).map(drop)?;
        let read = HeadScoreFile::read(&path, None)?.file;
        let again = folder.put("again.json", read.to_json_line().as_bytes());
        let again = HeadScoreFile::read(&again, None)?.file;
        assert_eq!(read, again, "what was written reads back otherwise");
        let _ = read.mean();
        Ok(())
    },
};

/// The sidecar of a head_score file.
pub static SIDECAR: Target = Target {
    name: "sidecar",
    reads: "head_score sidecar JSON",
    seeds: || {
        vec![bytes(&json!({
            "model": {"name": "m", "layers": 2, "heads": 2, "kv_heads": 1, "sha256": "ab"},
            "needles": {"needles": [{"id": "a", "sha256": "cd"}, {"id": "b", "sha256": "ef"}]},
            "seconds": 0.5, "command": ["headprof", "--seed", "1"],
        }))]
    },
    beside: alone,
    read: |folder, input| {
        let scores = folder.path().join("m_inf_heads.json");
        folder.put("m_inf_heads.meta.json", input);
        let mut notes = Vec::new();
        let _ = (sidecar::model_sha256(&scores), sidecar::needles(&scores));
        let read = |force, notes: &mut Vec<String>| -> Result<()> {
            sidecar::kv_heads(&scores, (2, 2), Some("m"), force, notes).map(drop)
        };
        read(true, &mut notes)?;
        read(false, &mut notes)
    },
};

/// Utility curves.
pub static UTILITY: Target = Target {
    name: "utility",
    reads: "utility curves JSON",
    seeds: || {
        vec![bytes(&json!({
            "format": "headprof-utility", "version": 1, "model": "m", "token_score": "window",
            "granularity": "kv_head", "fractions": [0.125, 1.0],
            "utilities": [[[0.25, 0.75], [0.0, 0.125]], [[0.25, 0.25], [1e-30, 1e30]]],
        }))]
    },
    beside: alone,
    read: |folder, input| UtilityFile::read(&folder.put("curves.json", input)).map(drop),
};
