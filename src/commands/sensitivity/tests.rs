//! Groups, yardsticks and what is said of them, by data whose truth is known.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::analysis::{FactorResult, LevelResult, ScoreSensitivity};
use super::factor::Factor;
use super::groups::Groups;
use super::read::{Record, Status, Values};
use super::variants::{Known, Variant, planned};
use super::yardstick::{self, Alike, Chance, Found};
use super::{config, report};
use crate::cli::{Cli, Command};
use crate::config::Surroundings;
use crate::score;

const HEADS: usize = 40;
const NEEDLES: usize = 8;
const DEPTHS: usize = 5;
const LENGTHS: usize = 2;

fn record(needle: usize, depth: usize, length: usize) -> Record {
    Record {
        id: format!("{needle}-{depth}-{length}"),
        needle_id: format!("n{needle}"),
        task: None,
        context_length: 256 << length,
        depth_asked: Some(depth as f64 / 8.0),
        answer: Some("a".to_owned()),
        judged: None,
        gold: "a".to_owned(),
        status: Status::Accepted,
    }
}

/// Every needle at every depth and length.
fn records() -> Vec<Record> {
    let places =
        |needle| (0..DEPTHS).flat_map(move |d| (0..LENGTHS).map(move |l| record(needle, d, l)));
    (0..NEEDLES).flat_map(places).collect()
}

fn values(probes: Vec<Vec<f32>>) -> Values {
    Values { stem: "m_inf".to_owned(), layers: 4, heads: HEADS / 4, probes }
}

/// Head `h` is worth `h` in every probe, and noise of this size; `planted` changes a probe.
fn probes(seed: u64, noise: f32, planted: impl Fn(&Record, &mut [f32])) -> (Vec<Record>, Values) {
    let mut rng = StdRng::seed_from_u64(seed);
    let all = records();
    let one = |record: &Record| {
        let mut own: Vec<f32> =
            (0..HEADS).map(|h| h as f32 + noise * (rng.random::<f32>() - 0.5)).collect();
        planted(record, &mut own);
        own
    };
    let made = all.iter().map(one).collect();
    (all, values(made))
}

fn levels(
    factor: Factor,
    all: &[Record],
    values: &Values,
    seed: u64,
) -> (Groups, yardstick::Levels) {
    let groups = Groups::of(factor, &all.iter().collect::<Vec<_>>(), &[256, 512]);
    let found = yardstick::levels(values, &groups.level, &groups.strata, seed);
    (groups, found)
}

#[test]
fn probes_are_grouped_by_one_factor_and_stratified_by_the_others() {
    let all = records();
    let own: Vec<&Record> = all.iter().collect();
    let depths = Groups::of(Factor::Depth, &own, &[256, 512]);
    assert_eq!(depths.names, ["0", "0.13", "0.25", "0.38", "0.5"]);
    assert_eq!(depths.sizes(), [NEEDLES * LENGTHS; DEPTHS]);
    let lengths = Groups::of(Factor::Length, &own, &[256, 512]);
    assert_eq!(
        (&lengths.names[..], &lengths.sizes()[..]),
        (&["256".to_owned(), "512".to_owned()][..], &[NEEDLES * DEPTHS; LENGTHS][..])
    );
    // Those of one stratum agree in all but the level.
    for (factor, groups) in [(Factor::Depth, &depths), (Factor::Length, &lengths)] {
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                let alike = a.needle_id == b.needle_id
                    && match factor {
                        Factor::Depth => a.context_length == b.context_length,
                        _ => a.depth_asked == b.depth_asked,
                    };
                assert_eq!(groups.strata[i] == groups.strata[j], alike);
            }
        }
    }
    // A published row is counted under the length that it is at most; a story under its task.
    let mut story = record(0, 0, 0);
    (story.task, story.depth_asked, story.context_length) = (Some("qa2".to_owned()), None, 300);
    let mut other = story.clone();
    (other.needle_id, other.task) = ("n9".to_owned(), Some("qa1".to_owned()));
    let both = [&story, &other];
    assert_eq!(Groups::of(Factor::Needle, &both, &[256, 512]).names, ["qa1", "qa2"]);
    assert_eq!(Groups::of(Factor::Length, &both, &[256, 512]).names, ["512"]);
    assert_eq!(Groups::of(Factor::Depth, &both, &[256, 512]).names, ["none"]);
}

#[test]
fn depths_that_two_decimals_do_not_tell_apart_are_told_in_full() {
    let at = |depth: f64| Record { depth_asked: Some(depth), ..record(0, 0, 0) };
    let (a, b) = (at(0.501), at(0.502));
    assert_eq!(Groups::of(Factor::Depth, &[&a, &b], &[256]).names, ["0.501", "0.502"]);
}

/// Four heads, two probes of each of two levels.
#[test]
fn correlation_and_shared_heads_by_hand() {
    let four = |v: [f32; 4]| v.to_vec();
    let own = Values {
        stem: String::new(),
        layers: 1,
        heads: 4,
        probes: vec![
            four([1.0, 2.0, 3.0, 0.0]),
            four([3.0, 2.0, 3.0, 0.0]),
            four([2.0, 1.0, 4.0, 1.0]),
            four([2.0, 1.0, 2.0, 3.0]),
        ],
    };
    let found = yardstick::levels(&own, &[0, 0, 1, 1], &[0, 1, 0, 1], 1);
    // Means 2 2 3 0 and 2 1 3 2: ranks 1.5 1.5 3 0 and 1.5 0 3 1.5, deviations from 1.5:
    // 0 0 1.5 -1.5 and 0 -1.5 1.5 0: 2.25 / 4.5.
    let alike = found.levels[0].alike.unwrap();
    assert!((alike.rho - 0.5).abs() < 1e-12, "{alike:?}");
    // A head at 0 is not among the best of anything.
    assert_eq!((alike.top_shared, alike.top_of), (3, 3));
    assert_eq!(found.levels[1].alike, found.levels[0].alike);
    // One probe is too few, on either side.
    let few = yardstick::levels(&own, &[0, 1, 1, 1], &[0; 4], 1);
    assert_eq!(few.levels, [Found::default(); 2]);
    assert_eq!(few.p, None);
}

/// Needle 3 has best heads of its own; nothing depends on depth or length.
#[test]
fn a_needle_with_heads_of_its_own_is_marked_and_no_depth_is() {
    let (all, values) = probes(1, 30.0, |record, own| {
        if record.needle_id == "n3" {
            own[..10].iter_mut().for_each(|value| *value += 40.0);
        }
    });
    let (groups, found) = levels(Factor::Needle, &all, &values, 7);
    let marked: Vec<bool> = found.levels.iter().map(|level| level.differs().unwrap()).collect();
    let own = groups.names.iter().position(|name| name == "n3").unwrap();
    assert!(marked[own], "{:?}", found.levels[own]);
    assert!(found.p.unwrap() < 0.05 && found.stratified);
    let level = found.levels[own];
    let (alike, chance) = (level.alike.unwrap(), level.chance.unwrap());
    assert!(alike.top_shared < chance.top_shared_low, "{alike:?} {chance:?}");
    assert!(alike.rho < chance.rho_low && chance.rho_low <= chance.rho_mean);
    assert!(chance.rho_mean <= chance.rho_high && chance.draws == yardstick::DRAWS);
    for factor in [Factor::Depth, Factor::Length] {
        let (_, found) = levels(factor, &all, &values, 7);
        assert!(found.p.unwrap() >= 0.05, "{factor:?}: {found:?}");
    }
}

/// What is drawn keeps the places of a level: an effect of depth is none of the needle.
#[test]
fn a_depth_with_heads_of_its_own_is_an_effect_of_depth_alone() {
    let (all, values) = probes(2, 30.0, |record, own| {
        if record.depth_asked == Some(0.0) {
            own[..10].iter_mut().for_each(|value| *value += 40.0);
        }
    });
    let (_, found) = levels(Factor::Depth, &all, &values, 3);
    assert_eq!(found.levels[0].differs(), Some(true));
    assert!(found.p.unwrap() < 0.05);
    for factor in [Factor::Needle, Factor::Length] {
        let (_, found) = levels(factor, &all, &values, 3);
        assert!(found.p.unwrap() >= 0.05, "{factor:?}: {found:?}");
    }
}

/// One level in twenty of those that are like any other is marked, and one factor in twenty.
#[test]
fn noise_is_marked_once_in_twenty_times() {
    let (mut marked, mut all, mut factors, mut runs) = (0, 0, 0, 0);
    for seed in 0..60 {
        let (records, values) = probes(100 + seed, 60.0, |_, _| {});
        let (_, found) = levels(Factor::Needle, &records, &values, seed);
        marked += found.levels.iter().filter(|level| level.differs() == Some(true)).count();
        all += found.levels.len();
        factors += usize::from(found.p.unwrap() < 0.05);
        runs += 1;
    }
    let share = marked as f64 / all as f64;
    println!("{marked} of {all} levels, {factors} of {runs} factors");
    // 480 levels: standard error 1 %, more as those of a factor hang together.
    assert!((0.02..=0.09).contains(&share), "{share}");
    assert!(factors <= 9, "{factors} of {runs}");
}

/// Labels are shuffled among all where strata leave nothing to shuffle.
#[test]
fn without_probes_that_agree_in_all_else_all_are_drawn_from() {
    let (all, values) = probes(3, 30.0, |_, _| {});
    let needles = Groups::of(Factor::Needle, &all.iter().collect::<Vec<_>>(), &[256, 512]);
    let alone: Vec<usize> = (0..all.len()).collect();
    let found = yardstick::levels(&values, &needles.level, &alone, 1);
    assert!(!found.stratified);
    let chance = found.levels[0].chance.unwrap();
    assert!(chance.rho_low < chance.rho_high, "{chance:?}");
}

#[test]
fn what_a_gate_lets_through_is_compared_with_as_many_at_random() {
    // Probes of the first half of the needles have other heads; a gate that lets these alone
    // through chooses heads, one that lets every other probe through does not.
    let (all, values) = probes(4, 30.0, |record, own| {
        if record.needle_id.as_str() < "n4" {
            own[..10].iter_mut().for_each(|value| *value += 40.0);
        }
    });
    let everything = |own: bool| [true, own];
    let chosen: Vec<[bool; 2]> =
        all.iter().map(|r| everything(r.needle_id.as_str() < "n4")).collect();
    let any: Vec<[bool; 2]> = (0..all.len()).map(|i| everything(i % 2 == 0)).collect();
    assert_eq!(yardstick::choices(&values, &chosen, 5).differs(), Some(true));
    assert_eq!(yardstick::choices(&values, &any, 5).differs(), Some(false));
    let one: Vec<[bool; 2]> = (0..all.len()).map(|i| everything(i == 0)).collect();
    assert_eq!(yardstick::choices(&values, &one, 5), Found::default());
}

#[test]
fn halves_share_no_needle_where_there_are_four() {
    // Each needle has heads of its own: halves of needles differ, halves of probes do not.
    let (all, values) = probes(6, 1.0, |record, own| {
        let needle: usize = record.needle_id[1..].parse().unwrap();
        own[5 * needle..5 * needle + 5].iter_mut().for_each(|value| *value += 100.0);
    });
    let number: Vec<usize> =
        all.iter().map(|r| r.needle_id[1..].parse::<usize>().unwrap()).collect();
    let mean = |draws: Vec<Option<Alike>>| {
        draws.iter().flatten().map(|alike| alike.rho).sum::<f64>() / draws.len() as f64
    };
    let by_needle = mean(yardstick::halves(&values, &number, 1));
    let by_probe = mean(yardstick::halves(&values, &vec![0; all.len()], 1));
    assert!(by_needle < 0.0 && by_probe > 0.3, "{by_needle} {by_probe}");
}

fn known() -> Known {
    Known {
        top_k: 10,
        rows: "all".to_owned(),
        compat: "none".to_owned(),
        chat: Some(false),
        all_count: Some(false),
    }
}

#[test]
fn only_what_can_matter_is_run() {
    let (inf, reasoning) =
        (score::by_name("inf").unwrap(), score::by_name("retrieval_reasoning").unwrap());
    let folders = |scores: &[&'static dyn score::HeadScore], known: &Known| -> Vec<String> {
        planned(&Factor::ALL, scores, known).variants.iter().map(Variant::folder).collect()
    };
    assert_eq!(folders(&[reasoning], &known()), ["gate-none", "chat-always"]);
    assert_eq!(
        folders(&[reasoning, inf], &known()),
        ["gate-none", "top-k-5", "top-k-20", "rows-last-prompt", "rows-decode", "chat-always"]
    );
    let other = Known {
        top_k: 1,
        compat: "dililazykv".to_owned(),
        chat: Some(true),
        all_count: Some(true),
        ..known()
    };
    assert_eq!(folders(&[inf], &other), ["top-k-2", "chat-never"]);
    assert_eq!(planned(&Factor::ALL, &[inf], &other).notes[0].0, Factor::Rows);
    assert!(planned(&[Factor::Needle], &[inf], &known()).variants.is_empty());
}

#[test]
fn a_variant_differs_in_one_option() {
    let line =
        "headprof sensitivity --gate f1 --gate-threshold 0.7 --chat-option a=1 --top-k-infscore 6";
    let cli = <Cli as clap::Parser>::try_parse_from(line.split(' ')).unwrap();
    let Some(Command::Sensitivity(args)) = cli.command else { panic!() };
    let config = config::SensitivityConfig::new(&args, &Surroundings::default()).unwrap();
    let base = config.base_args().unwrap();
    assert!(base.out.ends_with("base"));
    let of = |factor, level: &str| {
        let variant = Variant { factor, level: level.to_owned() };
        variant.args(&base, std::path::Path::new("o")).unwrap()
    };
    let changed = of(Factor::TopK, "3");
    assert_eq!((changed.top_k_infscore, changed.out.to_str()), (3, Some("o/top-k-3")));
    assert_eq!(changed.probes.gate.as_deref(), Some("f1"));
    let gate = of(Factor::Gate, "none").probes;
    assert_eq!((gate.gate.as_deref(), gate.gate_threshold), (Some("none"), None));
    // There is no template to be told an option.
    assert!(of(Factor::Chat, "never").probes.chat_option.is_empty());
    assert_eq!(of(Factor::Chat, "always").probes.chat_option.len(), 1);
}

fn level(name: &str, rho: f64, differs: bool) -> LevelResult {
    let chance = Chance {
        draws: 200,
        rho_mean: 0.9,
        rho_low: 0.85,
        rho_high: 0.95,
        top_shared_mean: 8.25,
        top_shared_low: 7,
        top_shared_high: 10,
    };
    LevelResult {
        level: name.to_owned(),
        probes: 12,
        alike: Some(Alike { rho, top_shared: 6, top_of: 10 }),
        chance: Some(chance),
        p: Some(0.005),
        differs: Some(differs),
        note: None,
    }
}

#[test]
fn the_point_comes_first_and_hostile_names_stay_out_of_tables() {
    let factor = |factor: Factor, differs, levels| FactorResult {
        factor: factor.name(),
        base: None,
        against: factor.against(),
        drawn: factor.chance(),
        p: Some(0.01),
        differs,
        note: differs.is_none().then(|| "one length (256): nothing to compare".to_owned()),
        levels,
    };
    let names = ["=cmd(),\"x\"\n", "ada", "b", "c", "d", "e", "f", "g"];
    let needles = names.iter().enumerate().map(|(i, n)| level(n, 0.99 - 0.05 * i as f64, i == 7));
    let result = ScoreSensitivity {
        score: "inf",
        probes: 96,
        top: vec![[0, 1]],
        factors: vec![
            factor(Factor::Needle, Some(true), needles.collect()),
            factor(Factor::Depth, Some(false), vec![level("0.5", 0.9996, false)]),
            factor(Factor::Length, None, Vec::new()),
            factor(Factor::Chat, Some(true), vec![level("never", 0.97, true)]),
        ],
    };
    let text = report::terminal(&result);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "The ranking of heads depends on: needle (rho down to 0.64).",
            "A little, but more than by chance, on: chat (rho 0.97).",
            "No more than by chance on: depth.",
            "Not compared: length (one length (256): nothing to compare)."
        ]
    );
    // Eight needles: the five least alike, and what the others come to.
    assert!(text.contains("3 more") && text.contains("to 0.99"), "{text}");
    assert!(text.contains("0.64*") && text.contains("8.2") && text.contains("6/10"));
    // What is not 1 is not told as 1.
    assert!(text.contains("0.9996"), "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    let csv = report::csv(&[result]);
    assert_eq!(csv.lines().count(), 1 + 8 + 1 + 1);
    assert!(csv.lines().all(|line| line.split(',').count() == 18), "{csv}");
    assert!(csv.contains("\ninf,needle,0,12,0.99,6,10,200,") && csv.contains("\ninf,needle,ada,"));
    assert!(!csv.contains('='), "{csv}");
}
