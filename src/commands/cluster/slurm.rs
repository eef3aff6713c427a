//! A script for sbatch: an array of jobs, one per shard.

use std::fmt::Write;

use super::job::Job;
use crate::cli::SlurmArgs;
use crate::error::{Error, Result};
use crate::system::shell::{comment, quoted};

/// The script.
///
/// # Errors
/// [`Error::Usage`] for values that a line of `#SBATCH` cannot hold.
pub(super) fn script(job: &Job, args: &SlurmArgs) -> Result<String> {
    let Job { shards, .. } = job;
    let mut text = format!(
        "#!/bin/bash\n\
         # headprof in {shards} shards, an array of SLURM: `sbatch FILE`, where this is FILE.\n\
         {}",
        directives(job, args)?
    );
    text += &format!(
        "\n\
         # The ids of the array are shards of {shards}, also where only some are submitted again.\n\
         export HEADPROF_SHARDS={shards}\n"
    );
    text += &job.default_out("the folder that the script is submitted from");
    text += &format!(
        "# `exec`, so that signals reach headprof instead of the shell.\n\
         exec {} --shard auto\n",
        job.command()
    );
    text +=
        "\n# When all shards have ended, in whatever way, merge them; JOBID is what sbatch said:\n";
    text +=
        &comment(&format!("sbatch --dependency=afterany:JOBID --wrap {}", quoted(&job.merge())));
    text += "# While shards are missing, merging ends with exit code 6 and names them. Submit those\n\
             # again by their numbers, such as 3 and 7:\n";
    text += &comment("sbatch --array=3,7 FILE");
    Ok(text)
}

/// The lines that sbatch reads.
fn directives(job: &Job, args: &SlurmArgs) -> Result<String> {
    let at_once = job.at_once.map_or(String::new(), |n| format!("%{n}"));
    let mut lines = String::new();
    let mut line = |option: &str, value: &str| {
        let _ = writeln!(lines, "#SBATCH {option}{value}");
    };
    line("--job-name=", checked("--job-name", &args.job_name)?);
    line("--array=", &format!("1-{}{at_once}", job.shards));
    line("--nodes=", "1");
    line("--ntasks=", "1");
    line("--output=", &format!("{}-%A_%a.log", args.job_name));
    line("--open-mode=", "append");
    let cores = args.cpus_per_task.map(|n| n.to_string());
    let asked = [
        ("--time", &args.time),
        ("--partition", &args.partition),
        ("--account", &args.account),
        ("--gpus-per-task", &args.gpus_per_task),
        ("--gres", &args.gres),
        ("--cpus-per-task", &cores),
        ("--mem", &args.mem),
    ];
    for (option, value) in asked {
        if let Some(value) = value {
            line(&format!("{option}="), checked(option, value)?);
        }
    }
    for other in &args.sbatch {
        if !other.starts_with('-') {
            return Err(Error::usage("this is not an option of sbatch")
                .at("--sbatch")
                .got(format!("{other:?}"))
                .expected("--name=value, such as --sbatch=--constraint=a100"));
        }
        line("", checked("--sbatch", other)?);
    }
    lines += "# A minute before the time limit headprof itself is asked to stop: it ends with 130.\n\
              #SBATCH --signal=B:TERM@60\n\
              # After preemption or the loss of a node the shard begins again and goes on from\n\
              # its journal.\n\
              #SBATCH --requeue\n";
    Ok(lines)
}

/// A value that is one word to sbatch, which splits lines at spaces, reads quotes and ends a line
/// at `#`.
fn checked<'a>(option: &str, value: &'a str) -> Result<&'a str> {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || "\"'\\#".contains(c);
    match value.is_empty() || value.contains(breaks) {
        false => Ok(value),
        true => Err(Error::usage("a line of #SBATCH cannot hold this")
            .at(option)
            .got(format!("{value:?}"))
            .expected("one word without spaces, quotes, \\ and #")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{ClusterArgs, Engine};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        cluster: ClusterArgs,
    }

    fn printed(options: &[&str], behind: &[&str]) -> Result<String> {
        let words = [&["cluster", "slurm", "--shards", "8"], options, &["--"], behind].concat();
        match Line::try_parse_from(words).unwrap().cluster.engine {
            Engine::Slurm(args) => script(&Job::new(&args.sharded).unwrap(), &args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_script_is_printed_whole() {
        let options = ["--time", "2:00:00", "--gpus-per-task", "1", "--at-once", "4"];
        let more = ["--partition", "gpu", "--cpus-per-task", "8", "--mem", "32G"];
        let other = ["--sbatch=--constraint=a100|h100", "--sbatch=--qos=low"];
        let behind = ["--model", "my model", "--out", "results"];
        let options = [&options[..], &more, &other].concat();
        let expected = "\
#!/bin/bash
# headprof in 8 shards, an array of SLURM: `sbatch FILE`, where this is FILE.
#SBATCH --job-name=headprof
#SBATCH --array=1-8%4
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --output=headprof-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --time=2:00:00
#SBATCH --partition=gpu
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --constraint=a100|h100
#SBATCH --qos=low
# A minute before the time limit headprof itself is asked to stop: it ends with 130.
#SBATCH --signal=B:TERM@60
# After preemption or the loss of a node the shard begins again and goes on from
# its journal.
#SBATCH --requeue

# The ids of the array are shards of 8, also where only some are submitted again.
export HEADPROF_SHARDS=8
# `exec`, so that signals reach headprof instead of the shell.
exec headprof --model 'my model' --out results --shard auto

# When all shards have ended, in whatever way, merge them; JOBID is what sbatch said:
#   sbatch --dependency=afterany:JOBID --wrap 'headprof merge results'
# While shards are missing, merging ends with exit code 6 and names them. Submit those
# again by their numbers, such as 3 and 7:
#   sbatch --array=3,7 FILE
";
        assert_eq!(printed(&options, &behind).unwrap(), expected);
    }

    #[test]
    fn what_is_not_given_is_not_printed() {
        let text = printed(&[], &["--out", "x"]).unwrap();
        for option in ["--time", "--partition", "--account", "--gp", "--gres", "--cpus", "--mem"] {
            assert!(!text.contains(&format!("#SBATCH {option}")), "{option}: {text}");
        }
        assert!(text.contains("#SBATCH --array=1-8\n"));
        assert!(!text.contains("no --out"));
        let without = printed(&["--gres", "gpu:1", "--account", "me"], &[]).unwrap();
        assert!(without.contains("# There is no --out: results go to the folder"), "{without}");
        assert!(without.contains("#SBATCH --gres=gpu:1\n#") && without.contains("--account=me\n"));
        assert!(without.contains("\nexec headprof --shard auto\n"), "{without}");
        assert!(without.contains("--wrap 'headprof merge .'"), "{without}");
    }

    #[test]
    fn a_merge_is_quoted_twice() {
        let text = printed(&[], &["--out", "it's"]).unwrap();
        // `headprof merge 'it'\''s'` is the command, in which every quote is written '\''.
        let wrap = r"--wrap 'headprof merge '\''it'\''\'\'''\''s'\'''";
        assert!(text.contains(wrap), "{text}");
    }

    #[test]
    fn values_that_would_be_other_lines_are_refused() {
        let bad = [
            ("--job-name", "a b"),
            ("--partition", "a\n#SBATCH --array=1-2"),
            ("--mem", ""),
            ("--time", "1#2"),
            ("--account", "\"me\""),
            ("--gres", "gpu:1\\"),
            ("--sbatch", "--comment=a b"),
            ("--sbatch", "constraint"),
        ];
        for (option, value) in bad {
            let e = printed(&[&format!("{option}={value}")], &[]).unwrap_err();
            assert_eq!(e.exit_code(), 2);
            let text = e.to_string();
            assert!(text.contains(&format!("where     {option}\n")), "{text}");
        }
    }
}
