//! The command line as a whole, without the program.

use clap::{CommandFactory, Parser};

use super::*;
use crate::cli::{Cli, ProbeArgs};
use crate::config::{Lengths, MaxNewTokens, ModelChoice, StopRule, Surroundings};
use crate::gate::GateKind;
use crate::model::DeviceChoice;
use crate::prompt::PromptTemplate;
use crate::prompt::reference_span::SpanRule;

fn parse(line: &str) -> Result<ProfileConfig> {
    let words: Vec<&str> = std::iter::once("headprof").chain(line.split_whitespace()).collect();
    let cli = Cli::try_parse_from(&words).expect("clap takes the line");
    let command = words.iter().map(|w| (*w).to_owned()).collect();
    let surroundings = Surroundings { command, ..Surroundings::default() };
    ProfileConfig::new(&cli.profile, &surroundings)
}

#[test]
fn the_command_line_has_no_contradiction_in_itself() {
    Cli::command().debug_assert();
}

#[test]
fn the_snake_case_spellings_are_the_same() {
    let a = parse(
        "--model_path m --haystack_dir h --min_len 100 --max_len 300 --context_intervals 3 \
         --gpu 1 --top_k_infscore 5 --depths 0.1,0.5,0.9",
    )
    .unwrap();
    assert_eq!(a.probes.model, ModelChoice::Dir("m".into()));
    assert_eq!(a.probes.haystack_dir, Some("h".into()));
    assert_eq!(a.probes.lengths, Lengths::Asked(vec![100, 200, 300]));
    assert_eq!((a.probes.compute.device, a.top_k), (DeviceChoice::Cuda(1).into(), 5));
    assert_eq!(a.probes.depths, [0.1, 0.5, 0.9]);
}

#[test]
fn defaults() {
    let c = parse("").unwrap();
    assert_eq!(c.probes.model, ModelChoice::NeedleLlama);
    assert_eq!(c.probes.lengths, Lengths::Default(vec![256, 512, 1024]));
    assert_eq!((c.probes.depths.len(), c.probes.repeats, c.top_k), (10, 1, 10));
    assert_eq!(
        (c.probes.gate.kind, c.probes.stop, c.probes.span_rule),
        (GateKind::Rouge, None, None)
    );
    assert_eq!(c.probes.max_new_tokens, MaxNewTokens::Default);
    assert_eq!(
        (c.probes.max_new_tokens.of(9, false), c.probes.max_new_tokens.of(9, true)),
        (32, 1056)
    );
    let usual = score::registry().iter().filter(|score| score.info().needs == Needs::Rows);
    assert_eq!(c.scores.len(), usual.count());
    assert_eq!(parse("--model needle-llama").unwrap().probes.model, ModelChoice::NeedleLlama);
    assert_eq!(
        parse("--max-len 2048").unwrap().probes.lengths,
        Lengths::Asked(vec![256, 1152, 2048])
    );
}

#[test]
fn one_compat_brings_its_references_defaults_and_options_override_them() {
    let r2 = parse("--compat headkv-r2").unwrap();
    assert_eq!(r2.probes.gate.kind, GateKind::F1);
    assert!(r2.probes.template.text().starts_with("Based on the content of the book"));
    assert_eq!(
        (r2.probes.max_new_tokens.of(7, true), r2.probes.stop),
        (7, Some(StopRule::EosOrNewlineToken))
    );
    assert_eq!(r2.probes.span_rule, Some(SpanRule::BestWindow));
    let dili = parse("--compat dililazykv").unwrap();
    assert!(dili.probes.template.text().contains("answer the question: {question}"));
    assert_eq!(
        (dili.probes.max_new_tokens.of(7, true), dili.probes.stop),
        (100, Some(StopRule::Eos))
    );
    let copy = parse("--compat retrieval-head").unwrap();
    assert_eq!(
        (copy.probes.max_new_tokens.of(7, true), copy.probes.stop),
        (50, Some(StopRule::NewlineToken))
    );
    assert_eq!(copy.probes.span_rule, Some(SpanRule::FirstWindow));
    let on = parse("--compat retrieval-head --stop-newline on").unwrap();
    assert_eq!(on.probes.stop, Some(StopRule::EosOrLineBreak));
    let mine =
        parse("--compat headkv-r2 --gate exact --max-new-tokens 9 --stop-newline off").unwrap();
    assert_eq!(
        (mine.probes.gate.kind, mine.probes.max_new_tokens.of(7, true)),
        (GateKind::Exact, 9)
    );
    assert_eq!(mine.probes.stop, Some(StopRule::Eos));
    // Two references have no common wording.
    let two = parse("--compat headkv-r2,dililazykv").unwrap();
    assert_eq!(two.probes.template, PromptTemplate::default());
    assert_eq!((two.probes.stop, two.probes.span_rule), (None, None));
}

#[test]
fn rows_that_compat_fixes_are_not_silently_ignored() {
    let notes = |line| parse(line).unwrap().notes;
    let told = notes("--compat dililazykv --score-rows decode");
    assert!(told.len() == 1 && told[0].contains("--score-rows changes nothing"), "{told:?}");
    assert!(notes("--compat dililazykv").is_empty());
    assert!(notes("--compat headkv-r2 --score-rows decode").is_empty());
}

#[test]
fn stop_rules_are_sets_of_ids() {
    let llama2 = crate::tokenizer::samples::llama2();
    let byte = llama2.token_id("<0x0A>").unwrap();
    let sorted = |mut ids: Vec<u32>| {
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(StopRule::Eos.ids(&[9, 2], llama2), [2, 9]);
    assert_eq!(StopRule::NewlineToken.ids(&[2], llama2), [byte]);
    assert_eq!(StopRule::EosOrNewlineToken.ids(&[2], llama2), sorted(vec![2, byte]));
    // A byte-level vocabulary has line breaks, but not this token.
    let byte_level = crate::tokenizer::samples::byte_level();
    assert!(StopRule::NewlineToken.ids(&[2], byte_level).is_empty());
    assert_eq!(StopRule::EosOrNewlineToken.ids(&[2], byte_level), [2]);
    let all = StopRule::EosOrLineBreak.ids(&[2], byte_level);
    assert!(all.len() > 1 && all.contains(&2), "{all:?}");
    // A chat model ends its turn itself.
    assert_eq!(StopRule::usual(true), StopRule::Eos);
    assert_eq!(StopRule::usual(false), StopRule::EosOrLineBreak);
}

#[test]
fn scores_are_in_the_order_of_the_registry_and_each_once() {
    let c = parse("--scores inf,retrieval,inf").unwrap();
    let names: Vec<&str> = c.scores.iter().map(|s| s.name()).collect();
    assert_eq!(names, ["retrieval", "inf"]);
}

#[test]
fn mistakes_are_usage_errors_that_name_the_option() {
    for (line, says) in [
        ("--depths 50", "did you mean 0.5?"),
        ("--depths 1.5", "--depths"),
        ("--depths -0.1,0.5", "\"-0.1\""),
        ("--depths NaN", "NaN"),
        ("--lengths 1k..8k:0", "--lengths"),
        ("--min-len 9 --max-len 8", "--min-len"),
        ("--context-intervals 0", "--context-intervals"),
        ("--scores retreival", "--scores"),
        ("--scores ,", "--scores"),
        ("--gate cosine", "--gate"),
        ("--gate exact --gate-threshold 0.5", "--gate-threshold"),
        ("--gate-threshold 50", "0.5 for 50 %"),
        ("--gate-model x", "--gate rouge"),
        ("--gate f1 --onnxruntime x.so", "--onnxruntime"),
        ("--gate semantic --gate-threshold -1.5", "from -1 up to"),
        ("--gate semantic --gate-threshold 1", "--gate-threshold"),
        ("--score-rows prefill", "--score-rows"),
        ("--compat snapkv", "--compat"),
        ("--template Question", "{question}"),
        ("--max-new-tokens 0", "--max-new-tokens"),
        ("--max-new-tokens 18446744073709551615", "at most 16777216"),
        ("--lengths 18446744073709551615", "at most 16777216"),
        ("--max-len 16777217", "at most 16777216"),
        ("--top-k-infscore 0", "--top-k-infscore"),
        ("--repeats 0", "--repeats"),
        ("--threads 0", "--threads"),
        ("--chunk 0", "--chunk"),
        ("--device gpu", "--device"),
        ("--dtype bf16", "--dtype"),
    ] {
        let e = parse(line).err().unwrap_or_else(|| panic!("{line} was taken"));
        assert_eq!(e.exit_code(), 2, "{line}");
        assert!(e.to_string().contains(says), "{line}: {e}");
    }
}

#[test]
fn a_template_may_spell_its_line_breaks() {
    let args = ProfileArgs {
        probes: ProbeArgs {
            template: Some("\\nQ: {question}\\nA:".into()),
            repeats: 1,
            ..ProbeArgs::default()
        },
        top_k_infscore: 10,
        ..ProfileArgs::default()
    };
    let c = ProfileConfig::new(&args, &Surroundings::default()).unwrap();
    assert_eq!(c.probes.template.text(), "\nQ: {question}\nA:");
}

#[test]
fn what_exists_is_a_folder_and_what_looks_like_an_id_is_one() {
    let model = |name: &str| parse(&format!("--model {name}")).unwrap().probes.model;
    // Cargo runs tests in the folder of the package, which has these two.
    assert_eq!(model("models/needle-llama"), ModelChoice::Dir("models/needle-llama".into()));
    for path in ["src", "no-such-folder", "./acme/tiny", "/acme/tiny", "acme/tiny/x", "acme/tiny@"]
    {
        assert_eq!(model(path), ModelChoice::Dir(path.into()));
    }
    let ModelChoice::Hub(tiny) = model("acme/tiny@v1 --offline") else { panic!("no id") };
    assert_eq!((tiny.id.to_string().as_str(), tiny.offline), ("acme/tiny@v1", true));
    assert_eq!(
        parse("--model acme/tiny").unwrap().probes.lengths,
        parse("--model src").unwrap().probes.lengths
    );
}

#[cfg(feature = "semantic")]
#[test]
fn the_semantic_gate_has_its_model_and_its_warning() {
    use crate::gate::semantic::{DEFAULT_MODEL, EmbeddingSource};
    use crate::hub::Contents;

    let gate = |line: &str| {
        let config = parse(&format!("--gate semantic {line}")).unwrap();
        (config.probes.gate.clone(), config.notes)
    };
    let model = |line: &str| gate(line).0.semantic.unwrap().model;
    let (default, notes) = gate("--offline");
    assert_eq!((default.kind, default.threshold), (GateKind::Semantic, 0.2));
    assert!(notes.len() == 1 && notes[0].contains("> 0.2 judges the topic"), "{notes:?}");
    let EmbeddingSource::Hub(hub) = default.semantic.unwrap().model else { panic!("no id") };
    assert_eq!((hub.id.to_string().as_str(), hub.offline), (DEFAULT_MODEL, true));
    assert_eq!(hub.contents, Contents::Embedding);
    assert_eq!(model("--gate-model src"), EmbeddingSource::Dir("src".into()));
    assert_eq!(model("--gate-model /no/such"), EmbeddingSource::Dir("/no/such".into()));
    let EmbeddingSource::Hub(hub) = model("--gate-model acme/bert@v1") else { panic!("no id") };
    assert_eq!(hub.id.to_string(), "acme/bert@v1");
    // From here on nothing is said, and the option goes before the variable.
    let (strict, notes) = gate("--gate-threshold 0.6 --onnxruntime a/ort.so");
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(strict.semantic.unwrap().runtime.option, Some("a/ort.so".into()));
    assert_eq!(parse("").unwrap().probes.gate.semantic, None);
}
