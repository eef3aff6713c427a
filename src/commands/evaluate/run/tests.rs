use super::*;
use crate::budget::BudgetOptions;
use crate::eviction::{EvictionOptions, by_name};
use crate::generate::Stop;
use crate::heads::Granularity;
use crate::model::{Compute, embedded};

const TOKENS: usize = 300;
const ANSWER: usize = 5;

fn settings(methods: &[&str], budgets: &[usize]) -> Vec<Setting> {
    let methods: Vec<_> = methods.iter().map(|name| by_name(name).unwrap()).collect();
    let options = EvictionOptions::new(BudgetOptions::default());
    Setting::all(&methods, budgets, 0, &options, None).unwrap()
}

fn case() -> Case {
    Case {
        id: "a".into(),
        group: "g".into(),
        about: "g".into(),
        part: None,
        prompt: (0..TOKENS as u32).map(|i| 2 + i * 7919 % 2000).collect(),
        before_question: None,
        depths: Vec::new(),
        gold: String::new(),
        haystack_cycles: 0,
        max_new_tokens: ANSWER,
        stop: Stop::default(),
    }
}

/// Runs `with` on a runner for `settings`, and an empty record.
fn with_runner<R>(settings: &[Setting], with: impl FnOnce(&Runner, &mut PromptRecord) -> R) -> R {
    let model = embedded::needle_llama(&Compute::cpu()).unwrap();
    let tokenizer = embedded::needle_llama_tokenizer().unwrap();
    let c = model.config();
    let heads = c.cache_heads(Granularity::KvHead);
    let runner = Runner {
        model: &model,
        tokenizer: &tokenizer,
        settings,
        heads,
        evidence: &Evidence::default(),
        replay: None,
        chunk: 64,
        batch: None,
        reporter: Reporter { quiet: true, json: false },
    };
    let mut record = PromptRecord {
        id: String::new(),
        group: String::new(),
        about: String::new(),
        place: String::new(),
        part: None,
        prompt_tokens: TOKENS,
        depths: Vec::new(),
        gold: String::new(),
        haystack_cycles: 0,
        prefill_secs: 0.0,
        kv_bytes_peak: 0,
        outcomes: Ok(Vec::new()),
    };
    with(&runner, &mut record)
}

/// Answers and bytes of everything but the clock.
fn without_times(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.into_iter().map(|o| Outcome { compress_secs: 0.0, decode_secs: 0.0, ..o }).collect()
}

#[test]
fn both_orders_answer_alike() {
    let methods = ["full", "streaming_llm", "h2o", "snapkv", "pyramidkv", "adakv", "snapkv+vatp"];
    let settings = settings(&methods, &[40, 400]);
    with_runner(&settings, |runner, record| {
        let (case, wanted, interrupt) =
            (case(), Setting::wanted(runner.settings), Interrupt::default());
        let by_layer = runner.layer_by_layer(&case, &wanted, &interrupt, record).unwrap();
        let by_setting = runner.setting_by_setting(&case, &wanted, &interrupt, record).unwrap();
        assert_eq!(by_layer.len(), settings.len());
        assert_eq!(without_times(by_layer), without_times(by_setting));
    });
}

/// Equal to the bit on the processor, in both orders; no more bytes at a time than those of the
/// largest.
#[test]
fn settings_answer_together_as_alone() {
    let methods =
        ["full", "streaming_llm", "h2o", "snapkv", "adakv", "snapkv+vatp", "scissorhands"];
    let settings = settings(&methods, &[40, 100]);
    with_runner(&settings, |runner, record| {
        let (case, wanted, interrupt) =
            (case(), Setting::wanted(runner.settings), Interrupt::default());
        let mut answered = |batch| {
            let runner = Runner {
                batch,
                model: runner.model,
                tokenizer: runner.tokenizer,
                evidence: &Evidence::default(),
                ..*runner
            };
            record.kv_bytes_peak = 0;
            let by_setting = runner.setting_by_setting(&case, &wanted, &interrupt, record).unwrap();
            let bytes = record.kv_bytes_peak;
            let by_layer = runner.layer_by_layer(&case, &wanted, &interrupt, record).unwrap();
            (without_times(by_setting), without_times(by_layer), bytes)
        };
        let (alone, together, four) = (answered(Some(1)), answered(None), answered(Some(4)));
        assert_eq!(alone.0.len(), 13);
        for other in [&alone.1, &together.0, &together.1, &four.0, &four.1] {
            assert_eq!(&alone.0, other);
        }
        assert!(together.2 <= alone.2 && four.2 > alone.2, "{} {}", together.2, four.2);
        // The full cache alone, then five that hold less together than it does, and so on.
        assert_eq!(runner.group(0, &case), 1);
        let of_rest = runner.group(1, &case);
        let kept = |n: usize| settings[1..=n].iter().map(|s| runner.kept(s, &case)).sum::<usize>();
        let full = runner.kept(&settings[0], &case);
        assert!(of_rest > 1 && kept(of_rest) <= full && kept(of_rest + 1) > full);
    });
    // Without FullKV among them the full cache is the measure all the same: 44 + 44 + 104 + 104 of
    // 300 tokens a list.
    let settings = self::settings(&["snapkv", "adakv", "pyramidkv"], &[40, 100]);
    with_runner(&settings[..], |runner, _| assert_eq!(runner.group(0, &case()), 4));
}

/// needle-llama: 6 layers of 4 KV heads, 256 bytes for a token's key and value. Lists have room for
/// the 4 tokens of an answer that are fed back.
#[test]
fn one_setting_holds_one_full_layer_and_its_budget_to_the_byte() {
    const LAYERS: u64 = 6;
    const LAYER_TOKEN: u64 = 4 * 256;
    let (t, room) = (TOKENS as u64, ANSWER as u64 - 1);
    let one_layer = |kept: u64| (t + LAYERS * (kept + room)) * LAYER_TOKEN;
    let all_layers = |kept: u64| LAYERS * (t + kept + room) * LAYER_TOKEN;
    for (methods, budgets, expected) in [
        (&["snapkv"][..], &[40][..], one_layer(40)),
        (&["adakv"], &[40], one_layer(40)),
        // What is kept is as much as the full cache, or four times half of it: one after the other.
        (&["full"], &[40], all_layers(t)),
        (&["snapkv", "adakv"], &[150, 200], all_layers(200)),
    ] {
        let settings = settings(methods, budgets);
        with_runner(&settings, |runner, record| {
            let (case, wanted, interrupt) =
                (case(), Setting::wanted(runner.settings), Interrupt::default());
            runner.case(&case, &wanted, &interrupt, record).unwrap();
            assert_eq!(record.kv_bytes_peak, expected, "{methods:?}");
        });
    }
}
