//! A shell script that runs one shard, and the lines by which engines run it for all of them.
//!
//! The words of the command line stand in the script once, for one shell. In a line for GNU
//! parallel they would be read by two shells, and `{}` among them would be replaced.

use super::job::Job;
use crate::system::shell::comment;

/// The script.
pub(super) fn script(job: &Job) -> String {
    let Job { shards, .. } = job;
    // A process takes all cores, so that more than one pays where each has a GPU.
    let at_once = job.at_once.unwrap_or(1);
    let mut text = format!(
        "#!/bin/bash\n\
         # headprof in {shards} shards. Where this is FILE, `bash FILE 2` runs shard 2, and\n\
         # `bash FILE` the shard that an engine says. All shards, by one of these:\n"
    );
    let jobs = format!("parallel --jobs {at_once}");
    let forms = [
        ("here, one after the other", format!("for i in $(seq {shards}); do bash FILE $i; done")),
        ("here, by GNU parallel", format!("{jobs} bash FILE ::: $(seq {shards})")),
        (
            "here, one for each of 4 GPUs",
            format!(
                "parallel --jobs 4 'CUDA_VISIBLE_DEVICES=$(({{%}} - 1)) bash FILE {{}}' \
                 ::: $(seq {shards})"
            ),
        ),
        (
            "HyperQueue, a GPU each",
            format!("hq submit --array 1-{shards} --resource gpus/nvidia=1 bash FILE"),
        ),
        ("SkyPilot, a task with", format!("num_nodes: {shards}\nworkdir: .\nrun: bash FILE")),
        (
            "dstack, a task with",
            format!("nodes: {shards}\ncommands:\n  - bash FILE $((DSTACK_NODE_RANK + 1))"),
        ),
    ];
    for (what, line) in forms {
        text += &format!("# {what}:\n{}", comment(&line));
    }
    text += &job.default_out("the folder that the script is run in");
    text += &format!(
        "\n\
         # What an engine counts are shards of {shards}, also where only some run again.\n\
         export HEADPROF_SHARDS={shards}\n\
         if [ $# -gt 0 ]; then shard=$1/{shards}; else shard=auto; fi\n\
         exec {} --shard \"$shard\"\n\
         \n\
         # When the shards have ended, merge them. While some are missing, that ends with exit\n\
         # code 6 and names them:\n",
        job.command()
    );
    text + &comment(&job.merge())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(at_once: Option<usize>, options: &[&str]) -> Job {
        Job {
            shards: 3,
            at_once,
            program: "headprof".to_owned(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            out: "results".to_owned(),
            out_is_default: false,
        }
    }

    #[test]
    fn a_script_is_printed_whole() {
        let expected = "\
#!/bin/bash
# headprof in 3 shards. Where this is FILE, `bash FILE 2` runs shard 2, and
# `bash FILE` the shard that an engine says. All shards, by one of these:
# here, one after the other:
#   for i in $(seq 3); do bash FILE $i; done
# here, by GNU parallel:
#   parallel --jobs 2 bash FILE ::: $(seq 3)
# here, one for each of 4 GPUs:
#   parallel --jobs 4 'CUDA_VISIBLE_DEVICES=$(({%} - 1)) bash FILE {}' ::: $(seq 3)
# HyperQueue, a GPU each:
#   hq submit --array 1-3 --resource gpus/nvidia=1 bash FILE
# SkyPilot, a task with:
#   num_nodes: 3
#   workdir: .
#   run: bash FILE
# dstack, a task with:
#   nodes: 3
#   commands:
#     - bash FILE $((DSTACK_NODE_RANK + 1))

# What an engine counts are shards of 3, also where only some run again.
export HEADPROF_SHARDS=3
if [ $# -gt 0 ]; then shard=$1/3; else shard=auto; fi
exec headprof --model 'a b' --out results --shard \"$shard\"

# When the shards have ended, merge them. While some are missing, that ends with exit
# code 6 and names them:
#   headprof merge results
";
        assert_eq!(script(&job(Some(2), &["--model", "a b", "--out", "results"])), expected);
    }

    #[test]
    fn without_a_number_shards_run_one_by_one() {
        let text = script(&Job { out_is_default: true, ..job(None, &[]) });
        assert!(text.contains("#   parallel --jobs 1 bash FILE ::: $(seq 3)\n"), "{text}");
        assert!(text.contains("\n# There is no --out: results go to the folder that"), "{text}");
    }
}
