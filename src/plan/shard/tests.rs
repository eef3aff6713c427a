use super::*;

/// The environment of these `NAME=value` alone.
fn environment(lines: &str) -> impl Fn(&str) -> Option<String> + '_ {
    move |name| {
        let values = lines.split_whitespace().filter_map(|line| line.split_once('='));
        values.filter(|(n, _)| *n == name).map(|(_, value)| value.to_owned()).next()
    }
}

fn auto(lines: &str) -> Result<(Shard, String)> {
    Shard::auto(&environment(lines))
}

/// The shard, as text, and the variables that are said to have decided.
#[track_caller]
fn is(lines: &str, shard: &str, by: &str) {
    let (got, why) = auto(lines).unwrap();
    assert_eq!(got.to_string(), shard, "{lines}");
    assert_eq!(why, format!("this is shard {shard}, by {by}"));
}

/// Refused as usage, with the variable as its place, and these words.
#[track_caller]
fn refused(lines: &str, place: &str, says: &[&str]) {
    let e = auto(lines).unwrap_err();
    assert_eq!(e.exit_code(), 2, "{e}");
    let text = e.to_string();
    assert!(text.contains(&format!("where     {place}\n")), "{text}");
    for part in says {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn array(id: &str, min: usize, max: usize, step: usize, count: usize) -> String {
    format!(
        "SLURM_ARRAY_TASK_ID={id} SLURM_ARRAY_TASK_MIN={min} SLURM_ARRAY_TASK_MAX={max} \
         SLURM_ARRAY_TASK_STEP={step} SLURM_ARRAY_TASK_COUNT={count}"
    )
}

#[test]
fn a_shard_is_one_of_how_many() {
    for text in ["1/1", "2/3", "100000/100000"] {
        let shard: Shard = text.parse().unwrap();
        assert_eq!(shard.to_string(), text);
    }
    let shard: Shard = "02/13".parse().unwrap();
    assert_eq!((shard.index(), shard.count()), (2, 13));
    let bad = [
        "0/3",
        "4/3",
        "1/0",
        "1/100001",
        "1",
        "/",
        "1/",
        "/3",
        "+1/3",
        "-1/3",
        "1/3/3",
        " 1/3",
        "1/3 ",
        "1.0/3",
        "",
        "a/b",
        "99999999999999999999/3",
    ];
    for text in bad {
        let e = text.parse::<Shard>().unwrap_err();
        assert_eq!(e.exit_code(), 2, "{text}");
        let says = e.to_string();
        assert!(says.contains("where     --shard\n"), "{says}");
        assert!(says.contains(&format!("got       {text:?}\n")), "{says}");
        assert!(says.contains("expected  i/n with 1 <= i <= n <= 100000"), "{says}");
    }
}

#[test]
fn a_slurm_array_is_numbered_from_its_first_id() {
    is(
        &array("2", 1, 3, 1, 3),
        "2/3",
        "SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_STEP=1, \
         SLURM_ARRAY_TASK_COUNT=3, SLURM_ARRAY_TASK_MAX=3",
    );
    let shard =
        |id, min, max, step, count| auto(&array(id, min, max, step, count)).unwrap().0.to_string();
    // --array=0-15, as many users begin.
    assert_eq!(shard("0", 0, 15, 1, 16), "1/16");
    assert_eq!(shard("15", 0, 15, 1, 16), "16/16");
    // --array=0-8:2 is 0, 2, 4, 6, 8: (6 - 0) / 2 + 1 = 4.
    assert_eq!(shard("6", 0, 8, 2, 5), "4/5");
    // --array=5-9:3 is 5 and 8.
    assert_eq!(shard("8", 5, 8, 3, 2), "2/2");
    assert_eq!(shard("7", 7, 7, 1, 1), "1/1");
    // An engine that does not tell the last id.
    let without = "SLURM_ARRAY_TASK_ID=4 SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_STEP=2 \
                   SLURM_ARRAY_TASK_COUNT=3";
    assert_eq!(auto(without).unwrap().0.to_string(), "2/3");
}

#[test]
fn shards_that_are_submitted_again_keep_their_numbers() {
    // --array=3,7 of 8: SLURM says a step of 1 and a count of 2, and both ids would be renumbered.
    let again = format!("{} HEADPROF_SHARDS=8", array("7", 3, 7, 1, 2));
    is(&again, "7/8", "SLURM_ARRAY_TASK_ID=7, HEADPROF_SHARDS=8");
    let one = format!("{} HEADPROF_SHARDS=8", array("7", 7, 7, 1, 1));
    is(&one, "7/8", "SLURM_ARRAY_TASK_ID=7, HEADPROF_SHARDS=8");
    refused(&array("7", 3, 7, 1, 2), SLURM_ID, &["not one range", "HEADPROF_SHARDS=n"]);
    // 1-3,7
    refused(&array("1", 1, 7, 1, 4), SLURM_ID, &["not one range", "SLURM_ARRAY_TASK_COUNT=4"]);
}

#[test]
fn a_slurm_id_beyond_the_shards_is_refused() {
    let of = |id: &str| format!("{} HEADPROF_SHARDS=3", array(id, 0, 3, 1, 4));
    refused(&of("0"), SLURM_ID, &["HEADPROF_SHARDS=3", "SLURM_ARRAY_TASK_ID from 1 to 3"]);
    refused(&of("4"), SLURM_ID, &["SLURM_ARRAY_TASK_ID=4", "from 1 to 3"]);
    refused(&array("9", 1, 3, 1, 3), SLURM_ID, &["not of this array"]);
    refused(&array("0", 1, 3, 1, 3), SLURM_ID, &["not of this array"]);
    // 3 is none of 0, 2, 4.
    refused(&array("3", 0, 4, 2, 3), SLURM_ID, &["not of this array"]);
    refused(&array("1", 0, 2, 0, 3), SLURM_ID, &["SLURM_ARRAY_TASK_STEP=0"]);
    refused(&array("200000", 1, 200_000, 1, 200_000), SLURM_ID, &["1 to 100000 shards"]);
}

#[test]
fn a_missing_or_bad_variable_is_named() {
    refused("SLURM_ARRAY_TASK_ID=1", SLURM_MIN, &["SLURM_ARRAY_TASK_ID=1 without"]);
    let no_step = "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=3";
    refused(no_step, SLURM_STEP, &["HEADPROF_SHARDS=n"]);
    let no_count = "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=1";
    refused(no_count, SLURM_COUNT, &[]);
    refused(&array("x", 1, 3, 1, 3), SLURM_ID, &["\"x\""]);
    refused("HQ_TASK_ID= HEADPROF_SHARDS=3", HYPERQUEUE_ID, &["not a number", "\"\""]);
    refused("HQ_TASK_ID=1 HEADPROF_SHARDS=three", SHARDS_VARIABLE, &["\"three\""]);
    refused("HQ_TASK_ID=1 HEADPROF_SHARDS=", SHARDS_VARIABLE, &["\"\""]);
    refused("JOB_COMPLETION_INDEX=-1 HEADPROF_SHARDS=3", KUBERNETES_INDEX, &["\"-1\""]);
    refused("HQ_TASK_ID=1 HEADPROF_SHARDS=0", HYPERQUEUE_ID, &["1 to 100000 shards"]);
    refused("SKYPILOT_NODE_RANK=0 SKYPILOT_NUM_NODES=two", SKYPILOT_NODES, &["\"two\""]);
}

#[test]
fn tasks_of_hyperqueue_begin_at_1() {
    is("HQ_TASK_ID=3 HEADPROF_SHARDS=3", "3/3", "HQ_TASK_ID=3, HEADPROF_SHARDS=3");
    // What is no array has task 0.
    refused("HQ_TASK_ID=0 HEADPROF_SHARDS=3", HYPERQUEUE_ID, &["HQ_TASK_ID from 1 to 3"]);
    refused("HQ_TASK_ID=4 HEADPROF_SHARDS=3", HYPERQUEUE_ID, &["HQ_TASK_ID from 1 to 3"]);
    refused("HQ_TASK_ID=1", SHARDS_VARIABLE, &["HQ_TASK_ID=1 without HEADPROF_SHARDS"]);
}

#[test]
fn indexes_of_kubernetes_begin_at_0() {
    let by = "JOB_COMPLETION_INDEX=0, HEADPROF_SHARDS=3";
    is("JOB_COMPLETION_INDEX=0 HEADPROF_SHARDS=3", "1/3", by);
    assert_eq!(auto("JOB_COMPLETION_INDEX=2 HEADPROF_SHARDS=3").unwrap().0.to_string(), "3/3");
    let beyond = "JOB_COMPLETION_INDEX=3 HEADPROF_SHARDS=3";
    refused(beyond, KUBERNETES_INDEX, &["JOB_COMPLETION_INDEX from 0 to 2"]);
    refused("JOB_COMPLETION_INDEX=0", SHARDS_VARIABLE, &["JOB_COMPLETION_INDEX=0 without"]);
}

#[test]
fn nodes_of_skypilot_begin_at_0() {
    let by = "SKYPILOT_NODE_RANK=1, SKYPILOT_NUM_NODES=2";
    is("SKYPILOT_NODE_RANK=1 SKYPILOT_NUM_NODES=2", "2/2", by);
    // Fewer nodes than last time: the shards are still of 4.
    let fewer = "SKYPILOT_NODE_RANK=1 SKYPILOT_NUM_NODES=2 HEADPROF_SHARDS=4";
    is(fewer, "2/4", "SKYPILOT_NODE_RANK=1, HEADPROF_SHARDS=4");
    let beyond = "SKYPILOT_NODE_RANK=2 SKYPILOT_NUM_NODES=2";
    refused(beyond, SKYPILOT_RANK, &["SKYPILOT_NODE_RANK from 0 to 1"]);
    refused("SKYPILOT_NODE_RANK=0", SKYPILOT_NODES, &["SKYPILOT_NODE_RANK=0 without"]);
}

#[test]
fn engines_within_engines_must_agree() {
    // Two tasks of HyperQueue on a worker that is task 1 of an array of SLURM.
    let worker = "SLURM_ARRAY_TASK_ID=1 HEADPROF_SHARDS=3 HQ_TASK_ID=";
    is(&format!("{worker}1"), "1/3", "SLURM_ARRAY_TASK_ID=1, HEADPROF_SHARDS=3");
    let differ = ["1/3 by SLURM_ARRAY_TASK_ID=1, HEADPROF_SHARDS=3; 2/3 by HQ_TASK_ID=2"];
    refused(&format!("{worker}2"), "--shard auto", &differ);
}

#[test]
fn what_is_told_goes_before_what_is_found() {
    let slurm = array("3", 1, 3, 1, 3);
    let told = format!("{slurm} HEADPROF_SHARD=1/2");
    is(&told, "1/2", "HEADPROF_SHARD=1/2");
    refused("HEADPROF_SHARD=3/2", SHARD_VARIABLE, &["\"3/2\""]);
    // The variable is not to look for itself.
    refused("HEADPROF_SHARD=auto", SHARD_VARIABLE, &["\"auto\""]);

    let chosen = |option, lines: &str| {
        let chosen = Shard::chosen(option, &environment(lines)).unwrap();
        chosen.map(|(shard, why)| (shard.to_string(), why.is_some()))
    };
    assert_eq!(chosen(Some("2/5"), &told), Some(("2/5".to_owned(), false)));
    assert_eq!(chosen(None, &told), Some(("1/2".to_owned(), true)));
    assert_eq!(chosen(Some("auto"), &told), Some(("1/2".to_owned(), true)));
    assert_eq!(chosen(Some("auto"), &slurm), Some(("3/3".to_owned(), true)));
    // Engines are looked for only where that is asked for.
    assert_eq!(chosen(None, &slurm), None);
    assert_eq!(chosen(None, "HEADPROF_SHARDS=3"), None);
    let bad = Shard::chosen(Some("2"), &environment("")).unwrap_err();
    assert_eq!(bad.exit_code(), 2);
    assert!(Shard::chosen(None, &environment("HEADPROF_SHARD=0/1")).is_err());
}

#[test]
fn variables_of_training_programs_say_nothing() {
    let e = auto("RANK=1 WORLD_SIZE=4 SLURM_PROCID=1 SLURM_NTASKS=4 HEADPROF_SHARDS=4");
    let text = e.unwrap_err().to_string();
    assert!(text.contains("nothing in the environment"), "{text}");
    assert!(text.contains("RANK and WORLD_SIZE are not read"), "{text}");
}
