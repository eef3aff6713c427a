//! [`Paths`]: what a run reads and writes, by its options. A file that it would write twice, or
//! over one that it reads, is refused before anything is read.

use std::path::{Path, PathBuf};

use crate::cli::{ModelArgs, ProbeArgs, TaskArgs};
use crate::error::{Error, Result};

/// What is read of a checkpoint's folder besides its weights.
const CHECKPOINT_FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "model.safetensors.index.json",
];

/// The paths of a run.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    inputs: Vec<Input>,
    /// Option and file.
    outputs: Vec<(&'static str, PathBuf)>,
    /// Option and a folder that is filled with files whose names are not known yet.
    folders: Vec<(&'static str, PathBuf)>,
}

/// A file that is read, or a folder and what is read in it.
#[derive(Debug)]
struct Input {
    option: &'static str,
    path: PathBuf,
    /// Extension of the files that are read in a folder, and whether also those below it.
    read: (&'static str, Depth),
}

/// Which files of a folder are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Those in it.
    In,
    /// Those below it, too.
    Below,
}

impl Paths {
    /// What every command reads that runs a model over prompts.
    pub fn of_probes(args: &ProbeArgs) -> Self {
        let paths = Self::default()
            .reads("--needles", args.needles.as_deref(), ("jsonl", Depth::In))
            .reads("--haystack-dir", args.haystack_dir.as_deref(), ("txt", Depth::Below));
        paths.and_of_model(&args.model)
    }

    /// Adds the files of a checkpoint's folder.
    pub fn and_of_model(self, args: &ModelArgs) -> Self {
        let Some(folder) = args.name.as_deref().map(Path::new) else { return self };
        let files = CHECKPOINT_FILES.iter().map(|name| folder.join(name));
        let all = files.fold(self, |all, file| all.reads("--model", Some(&file), ("", Depth::In)));
        all.reads("--model", Some(folder), ("safetensors", Depth::In))
    }

    /// Adds what a task reads.
    pub fn and_of_task(self, args: &TaskArgs) -> Self {
        let rows = self.reads("--task-data", args.task_data.as_deref(), ("jsonl", Depth::In));
        let prompts = args.prompts.iter().map(|path| Some(path.as_path()));
        prompts.fold(rows, |all, path| all.reads("--prompts", path, ("json", Depth::In)))
    }

    /// Adds a file that is read, or a folder in which files of this extension are.
    pub fn reads(
        mut self,
        option: &'static str,
        path: Option<&Path>,
        read: (&'static str, Depth),
    ) -> Self {
        let input = |path: &Path| Input { option, path: real(path), read };
        self.inputs.extend(path.map(input));
        self
    }

    /// Adds a file that is written.
    pub fn writes(mut self, option: &'static str, path: Option<&Path>) -> Self {
        self.outputs.extend(path.map(|path| (option, path.to_owned())));
        self
    }

    /// Adds a folder that is filled.
    pub fn fills(mut self, option: &'static str, folder: &Path) -> Self {
        self.folders.push((option, folder.to_owned()));
        self
    }

    /// Whether every output has a path of its own.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the two options.
    pub fn check(&self) -> Result<()> {
        for Input { option, path, .. } in &self.inputs {
            let among = |(_, folder): &&(&str, PathBuf)| path.parent() == Some(&*real(folder));
            if let Some((other, _)) = self.folders.iter().find(among) {
                return Err(Error::usage("what is read lies among outputs that may replace it")
                    .at(format!("{option} and {other}"))
                    .got(path.display())
                    .expected("a folder of its own")
                    .advice("another --out"));
            }
        }
        for (i, (option, path)) in self.outputs.iter().enumerate() {
            let output = real(path);
            let refused = |what: &str, other: &str| {
                Err(Error::usage(what)
                    .at(format!("{option} and {other}"))
                    .got(path.display())
                    .expected("a path for each")
                    .advice("another path, or another --out"))
            };
            if let Some((other, _)) = self.outputs[..i].iter().find(|(_, p)| real(p) == output) {
                return refused("two outputs would be one file", other);
            }
            if let Some((other, _)) = self.folders.iter().find(|(_, f)| output.starts_with(real(f)))
            {
                return refused("an output would lie among others that may replace it", other);
            }
            if let Some(input) = self.inputs.iter().find(|input| input.path == output) {
                return refused("an output would replace what is read", input.option);
            }
            if let Some(input) = self.inputs.iter().find(|input| input.takes(&output)) {
                return refused("an output would be read by the next run", input.option);
            }
        }
        Ok(())
    }
}

impl Input {
    /// Whether the file would be read as one of the folder's.
    fn takes(&self, file: &Path) -> bool {
        let (extension, depth) = self.read;
        file.extension().is_some_and(|e| e == extension)
            && match depth {
                Depth::In => file.parent() == Some(&self.path),
                Depth::Below => file.starts_with(&self.path),
            }
    }
}

/// `path` without links, as far as it exists, and from the root on.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(paths: &Paths, says: &[&str]) {
        let e = paths.check().unwrap_err();
        assert_eq!(e.exit_code(), 2);
        for part in says {
            assert!(e.to_string().contains(part), "{e}");
        }
    }

    #[test]
    fn an_output_on_another_or_on_an_input_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("data/below")).unwrap();
        std::fs::write(at("data/rows.jsonl"), "").unwrap();
        let jsonl = |depth| ("jsonl", depth);
        let inputs = |depth| {
            let rows = at("data/rows.jsonl");
            Paths::default().reads("--task-data", Some(&at("data")), jsonl(depth)).reads(
                "--needles",
                Some(&rows),
                jsonl(Depth::In),
            )
        };
        let write = |depth, name: &str| inputs(depth).writes("--export-probes", Some(&at(name)));
        for (name, depth) in [
            ("data/other.txt", Depth::Below),
            ("other.jsonl", Depth::Below),
            ("data/below/x.jsonl", Depth::In),
            ("not/yet/there.jsonl", Depth::Below),
        ] {
            assert!(write(depth, name).check().is_ok(), "{name}");
        }
        let one = "would replace what is read";
        refused(&write(Depth::In, "data/rows.jsonl"), &[one, "--export-probes and --needles"]);
        refused(&write(Depth::In, "data/below/../rows.jsonl"), &[one]);
        let next = "would be read by the next run";
        refused(&write(Depth::In, "data/new.jsonl"), &[next, "--task-data"]);
        refused(&write(Depth::Below, "data/below/new.jsonl"), &[next]);
        let twice = write(Depth::In, "probes.jsonl")
            .writes("--out", Some(&at("probes.jsonl")))
            .fills("--out", &at("plots"));
        refused(&twice, &["two outputs would be one file", "probes.jsonl", "--out and --export"]);
        let read = inputs(Depth::In).fills("--out", &at("data"));
        refused(&read, &["among outputs that may replace it", "--needles and --out"]);
        let among = write(Depth::In, "plots/x.json").fills("--out", &at("plots"));
        refused(&among, &["among others", "--export-probes and --out"]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("data/rows.jsonl"), at("link.jsonl")).unwrap();
            refused(&write(Depth::In, "link.jsonl"), &[one]);
        }
    }
}
