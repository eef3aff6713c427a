use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Data {
    context: Json,
    cases: Vec<(String, Option<String>)>,
    /// Templates that print places in memory.
    places: Vec<String>,
    refused: Vec<String>,
}

fn fixture() -> (Data, Vec<(String, Json)>) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat/expressions.json");
    let data: Data = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let Json::Map(context) = data.context.clone() else { panic!("no context") };
    (data, context)
}

/// Templates come out as in jinja2, and fail where they fail there.
#[test]
fn templates_come_out_as_in_jinja2() {
    let (data, context) = fixture();
    let wrong = |(template, expected): &(String, Option<String>)| {
        let got = render(template, &context);
        let same = match (&got, expected) {
            (Ok(text), Some(expected)) => text == expected,
            (Err(_), None) => true,
            _ => false,
        };
        (!same).then(|| format!("{template}\n    expected {expected:?}\n    got {got:?}"))
    };
    let wrong: Vec<String> = data.cases.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(data.cases.len() > 8000, "{}", data.cases.len());
}

/// What jinja2 would render and is not supported says so.
#[test]
fn what_is_not_supported_is_named() {
    let (data, context) = fixture();
    for template in data.refused.iter().chain(&data.places) {
        let fault = render(template, &context).unwrap_err();
        assert!(
            fault.unsupported && fault.what.contains("not supported here"),
            "{template}: {fault:?}"
        );
    }
    assert!(data.refused.len() > 10 && !data.places.is_empty());
}
