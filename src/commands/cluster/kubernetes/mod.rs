//! A manifest for kubectl: an Indexed Job whose pods are the shards.

use std::fmt::Write;
use std::path::{Component, Path};

use super::job::Job;
use crate::cli::KubernetesArgs;
use crate::error::{Error, Result};
use crate::system::shell::comment;

/// Names of pods are the Job's, `-` and an index of up to five digits, in a label of 63 characters.
const LONGEST_NAME: usize = 57;

/// The manifest.
///
/// # Errors
/// [`Error::Usage`] for names that Kubernetes refuses, and results beside the volume.
pub(super) fn manifest(job: &Job, args: &KubernetesArgs) -> Result<String> {
    check_name(&args.name)?;
    check_mount(&args.mount)?;
    check_out(&job.out, &args.mount)?;
    for (option, text) in [("--image", &args.image), ("--claim", &args.claim)] {
        if text.is_empty() {
            return Err(Error::usage("this has a name").at(option).got("\"\""));
        }
    }
    let Job { shards, .. } = job;
    let KubernetesArgs { retries, .. } = args;
    let parallelism = job.at_once.unwrap_or(*shards).min(*shards);
    let [name, image, mount, claim, program] =
        [&args.name, &args.image, &args.mount, &args.claim, &job.program].map(|text| yaml(text));
    let program = program.replace('$', "$$");
    let mut arguments = String::new();
    for word in job.options.iter().map(String::as_str).chain(["--shard", "auto"]) {
        // Kubernetes would put a variable's value in the place of `$(NAME)`; `$$` is a dollar.
        let _ = writeln!(arguments, "            - {}", yaml(&word.replace('$', "$$")));
    }
    let limits = limits(args);
    let default_out = job.default_out(&format!("the volume, which is mounted at {mount}"));
    let merge = comment(&job.merge());
    Ok(format!(
        "# headprof in {shards} shards, an Indexed Job of Kubernetes 1.31 or later:\n\
         # `kubectl apply -f FILE`, where this is FILE.\n\
         {default_out}\
         apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {parallelism}
  # A shard that failed begins again so often, and goes on from its journal.
  backoffLimitPerIndex: {retries}
  podFailurePolicy:
    rules:
      # A pod that was preempted or whose node was drained has not failed.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: \"True\"
      # Wrong options, data or models do not get better.
      - action: FailIndex
        onExitCodes:
          operator: In
          values: [2, 3, 4]
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 30
      containers:
        - name: headprof
          image: {image}
          workingDir: {mount}
          command:
            - {program}
          args:
{arguments}          env:
            # Kubernetes says the index of a pod and not how many there are.
            - name: HEADPROF_SHARDS
              value: \"{shards}\"
{limits}          volumeMounts:
            - name: results
              mountPath: {mount}
      volumes:
        # All shards write to this volume: ReadWriteMany, unless they share a node.
        - name: results
          persistentVolumeClaim:
            claimName: {claim}
# When the Job has ended, merge where the volume is mounted. While shards are missing, that ends\n\
         # with exit code 6; then delete the Job and apply FILE again: what is done is not done twice.\n\
         {merge}"
    ))
}

/// What a pod may use; nothing where nothing was said.
fn limits(args: &KubernetesArgs) -> String {
    let gpus = args.gpus.map(|n| n.to_string());
    let limits =
        [("cpu", &args.cpu), ("memory", &args.memory), (args.gpu_resource.as_str(), &gpus)];
    let lines: String = limits
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
        .map(|(name, value)| format!("              {}: {}\n", yaml(name), yaml(value)))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("          resources:\n            limits:\n{lines}"),
    }
}

/// A string as JSON writes it, which YAML reads. What YAML calls a line break or does not print,
/// and JSON does not mind, is written as its number.
fn yaml(text: &str) -> String {
    let hidden = |c: char| {
        matches!(
            c,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    let mut quoted = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        match hidden(c) {
            true => quoted += &format!("\\u{:04x}", u32::from(c)),
            false => quoted.push(c),
        }
    }
    quoted
}

/// The name of a Job whose pods have names, too.
fn check_name(name: &str) -> Result<()> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()].map(|b| b.is_some_and(inner));
    let all = name.bytes().all(|b| inner(b) || b == b'-');
    match all && ends == [true, true] && name.len() <= LONGEST_NAME {
        true => Ok(()),
        false => Err(Error::usage("this cannot be the name of a Job")
            .at("--name")
            .got(format!("{name:?}"))
            .expected(format!(
                "at most {LONGEST_NAME} of a-z, 0-9 and -, the first and the last no -"
            ))),
    }
}

fn check_mount(mount: &str) -> Result<()> {
    match mount.starts_with('/') && !mount.contains(':') && only_goes_down(Path::new(mount)) {
        true => Ok(()),
        false => Err(Error::usage("a volume cannot be mounted there")
            .at("--mount")
            .got(format!("{mount:?}"))
            .expected("an absolute path without .. and :")),
    }
}

/// What is written beside the volume is gone with its pod.
fn check_out(out: &str, mount: &str) -> Result<()> {
    // An absolute path replaces what it is joined to.
    let there = Path::new(mount).join(out);
    match there.starts_with(mount) && only_goes_down(&there) {
        true => Ok(()),
        false => Err(Error::usage("these results would be gone with their pod")
            .at("--out")
            .got(format!("{out:?}"))
            .expected(format!("a folder on the volume: relative, or below {mount}"))
            .advice("another --out, or another --mount")),
    }
}

fn only_goes_down(path: &Path) -> bool {
    !path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests;
