//! [`PlanFile`]: `plan.json`, what a run is about, so that everyone who works on it does the same.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command_of_shard;
use crate::error::{Error, Result};
use crate::plan::MOST_SHARDS;
use crate::system::{digest, text};

/// Characters of a value in a message, at most.
const SHOWN: usize = 60;
/// Differences that are told one by one, at most.
const TOLD: usize = 8;

/// The content of `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// The program's version.
    pub headprof: String,
    /// What kind of run: `profile`, `evaluate`.
    pub kind: String,
    /// Number of shards, 1 or more: frozen, whatever a cluster says later.
    pub shards: usize,
    /// All that decides about the results. Two runs with equal fingerprints are the same run.
    pub fingerprint: Value,
    /// What outputs say beside the results.
    pub facts: Value,
    /// Names of the probes, or prompts, in their order.
    pub probes: Vec<String>,
    /// Whose they are, from 1; nothing where there is one shard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shard_of: Vec<usize>,
}

impl PlanFile {
    /// Reads the file at `path`, and its [`PlanFile::identity`]; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file if it is no plan.
    pub fn read(path: &Path) -> Result<Option<(Self, String)>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let e = Error::data("the plan of the run cannot be read").at(path.display()).got(e);
                return Err(e.advice("check the permissions, or choose another --out"));
            }
        };
        let plan = Self::parse(&bytes).map_err(|e| e.within(path.display()))?;
        let identity = plan.identity()?;
        Ok(Some((plan, identity)))
    }

    /// SHA-256 of what makes two plans the same run: all but the facts, in which the command and
    /// the places of files are those of whoever wrote the plan.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn identity(&self) -> Result<String> {
        let Self { headprof, kind, shards, fingerprint, probes, shard_of, .. } = self;
        let all = serde_json::to_vec(&(headprof, kind, shards, fingerprint, probes, shard_of));
        all.map(digest::sha256).map_err(|e| Error::bug("a plan cannot be written as JSON").got(e))
    }

    /// The plan that a file's content says.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no plan.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |got: String| {
            Error::data("this is no plan of a run")
                .got(got)
                .expected("a plan.json that headprof wrote")
                .advice("restore the file, or start over with --fresh or another --out")
        };
        let plan: Self =
            serde_json::from_slice(text::without_bom(bytes)).map_err(|e| bad(e.to_string()))?;
        let shards = plan.shard_of.len();
        if plan.shards == 0
            || plan.shards > MOST_SHARDS
            || (plan.shards > 1 || shards > 0) && shards != plan.probes.len()
        {
            return Err(bad(format!("{} shards for {} probes", plan.shards, plan.probes.len())));
        }
        match plan.shard_of.iter().find(|&&shard| shard == 0 || shard > plan.shards) {
            Some(shard) => Err(bad(format!("shard {shard} of {}", plan.shards))),
            None => Ok(plan),
        }
    }

    /// The facts, as the kind of run has them.
    ///
    /// # Errors
    /// [`Error::Data`] if they are others.
    pub fn facts<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.facts).map_err(|e| {
            Error::data("the plan of the run does not say what runs of this kind say")
                .at(format!("{}: facts", self.kind))
                .got(e)
                .expected("what this version of headprof writes")
                .advice("the version that wrote it, or start over with --fresh or another --out")
        })
    }

    /// As it is written.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form in JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::bug("a plan cannot be written as JSON").got(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The command that began the run, if the facts have one.
    fn command(&self) -> Option<String> {
        let words: Vec<String> = serde_json::from_value(self.facts.get("command")?.clone()).ok()?;
        Some(command_of_shard(&words, 1, 1))
    }

    /// Which shard a probe is of, from 1.
    pub fn shard_of(&self, index: usize) -> usize {
        self.shard_of.get(index).copied().unwrap_or(1)
    }

    /// Refuses to go on where `fingerprint` is another; `unknown`, paths such as `model.sha256`,
    /// are not compared.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what differs.
    pub fn check(&self, at: &Path, fingerprint: &Value, unknown: &[&str]) -> Result<()> {
        let mut all = Vec::new();
        differences("", &self.fingerprint, fingerprint, &mut all);
        all.retain(|(path, _)| !unknown.contains(&path.as_str()));
        if all.is_empty() {
            return Ok(());
        }
        let more = all.len().saturating_sub(TOLD);
        let mut told: Vec<String> =
            all.into_iter().take(TOLD).map(|(path, text)| format!("{path}: {text}")).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Err(Error::usage("the output folder holds another run of this kind")
            .at(at.display())
            .got(told.join("\n"))
            .expected(match self.command() {
                Some(command) => format!("what it was begun with: {command}"),
                None => "what it was begun with".to_owned(),
            })
            .advice("another --out; the same options, to go on; or --fresh, to start over here"))
    }
}

/// Where two values differ, and how: `(path, "this, there that")`.
fn differences(path: &str, there: &Value, here: &Value, all: &mut Vec<(String, String)>) {
    match (there, here) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                differences(&path, &of(a), &of(b), all);
            }
        }
        (a, b) if a == b => {}
        (Value::Array(a), Value::Array(b)) if a.iter().chain(b).any(|v| v.is_object()) => {
            let text = match a.len() == b.len() {
                true => {
                    let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
                    format!("{differ} of {} are others", b.len())
                }
                false => format!("{}, there {}", b.len(), a.len()),
            };
            all.push((path.to_owned(), text));
        }
        (a, b) => all.push((path.to_owned(), format!("{}, there {}", shown(b), shown(a)))),
    }
}

/// A value in a few characters.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.escape_debug().to_string(),
        value => value.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> PlanFile {
        PlanFile {
            headprof: "0.1.0".to_owned(),
            kind: "profile".to_owned(),
            shards: 2,
            fingerprint: json!({
                "model": {"sha256": "aa", "name": "m"},
                "grid": {"depths": [0.1, 0.5]},
                "needles": [{"id": "a"}, {"id": "b"}],
            }),
            facts: json!({"command": ["headprof", "--depths", "0.1 0.5"]}),
            probes: vec!["x".to_owned(), "y".to_owned()],
            shard_of: vec![1, 2],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        assert_eq!(PlanFile::read(&path), Ok(None));
        let bytes = plan().to_bytes().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let identity = plan().identity().unwrap();
        assert_eq!(PlanFile::read(&path), Ok(Some((plan(), identity.clone()))));
        let elsewhere = PlanFile { facts: json!({"command": ["other"]}), ..plan() };
        assert_eq!(elsewhere.identity().unwrap(), identity);
        let other = PlanFile { shard_of: vec![2, 1], ..plan() };
        assert_ne!(other.identity().unwrap(), identity);
        assert_eq!(
            (plan().shard_of(1), PlanFile { shard_of: vec![], ..plan() }.shard_of(1)),
            (2, 1)
        );
    }

    #[test]
    fn what_differs_is_named() {
        let at = Path::new("out/journal/profile/plan.json");
        assert_eq!(plan().check(at, &plan().fingerprint, &[]), Ok(()));
        let other = json!({
            "model": {"sha256": "bb", "name": "m", "extra": 1},
            "grid": {"depths": [0.1, 0.9]},
            "needles": [{"id": "a"}, {"id": "c"}],
        });
        let e = plan().check(at, &other, &["model.sha256"]).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        let text = e.to_string();
        for part in [
            "grid.depths: [0.1,0.9], there [0.1,0.5]",
            "model.extra: 1, there nothing",
            "needles: 1 of 2 are others",
            "headprof --depths '0.1 0.5'",
            "--fresh",
            "--out",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains("sha256"), "{text}");
        let e = plan().check(at, &other, &[]).unwrap_err().to_string();
        assert!(e.contains("model.sha256: bb, there aa"), "{e}");
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let good: Value = serde_json::from_slice(&plan().to_bytes().unwrap()).unwrap();
        let with = |key: &str, value: Value| {
            let mut plan = good.clone();
            plan[key] = value;
            plan.to_string()
        };
        for (bytes, says) in [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (with("shards", json!(0)), "0 shards"),
            (with("shards", json!(-1)), "invalid value"),
            (with("shards", json!(1_000_000_000_000_000_000u64)), "shards for 2 probes"),
            (with("shard_of", json!([1])), "2 shards for 2 probes"),
            (with("shard_of", json!([1, 3])), "shard 3 of 2"),
            (with("probes", json!({})), "invalid type"),
            ("[".repeat(100_000), "invalid type"),
            (with("facts", json!("DEEP")).replace("\"DEEP\"", &"[".repeat(100_000)), "recursion"),
        ] {
            let e = PlanFile::parse(bytes.as_bytes()).unwrap_err();
            assert_eq!(e.exit_code(), 3);
            assert!(e.to_string().contains(says), "{e}");
        }
    }
}
