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

#[derive(Deserialize)]
struct Goldens {
    context: Json,
    cases: Vec<Golden>,
}

#[derive(Deserialize)]
struct Golden {
    template: String,
    before_message: Option<String>,
}

/// What transformers made of expressions that published templates have.
#[test]
fn goldens_of_expressions() {
    let Some([file]) = crate::goldens::find(["real/chat_expressions.json"]) else { return };
    let data: Goldens = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let Json::Map(context) = data.context else { panic!("no context") };
    for Golden { template, before_message } in &data.cases {
        let got = render(template, &context);
        assert_eq!(got.as_ref().ok(), before_message.as_ref(), "{template}: {got:?}");
    }
    assert_eq!(data.cases.len(), 141);
}

/// Hostile templates end, and the stack holds.
#[test]
fn templates_that_would_run_on_end() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    let many = "a + ".repeat(5000);
    for template in [
        "{% for i in range(100000) %}{% for j in range(100000) %}.{% endfor %}{% endfor %}".to_owned(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% for x in [[[]]] recursive %}{{ loop([x]) }}{% endfor %}".to_owned(),
        "{{ 'x' * 1000000000000 }}".to_owned(),
        "{% set n = namespace(a='x') %}{% for i in range(99) %}{% set n.a = n.a ~ n.a %}{% endfor %}".to_owned(),
        "{% set n = namespace(a=[]) %}{% for i in range(99999) %}{% set n.a = [n.a] %}{% endfor %}".to_owned(),
        "{% set n = namespace() %}{% set n.a = [n] %}{{ n }}".to_owned(),
        "{% set n = namespace(a=[1]) %}{% for i in range(90) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a == n.a + [] }}".to_owned(),
        format!("{{{{ {} }}}}", deep("(", ")", 5000)),
        format!("{{{{ {} }}}}", deep("[", "]", 5000)),
        format!("{{{{ {many}a }}}}"),
        format!("{{{{ {}1 }}}}", "not ".repeat(5000)),
        format!("{{{{ {}1 }}}}", "-".repeat(5000)),
        "{% if 1 %}".repeat(5000),
        format!("{{{{ a{} }}}}", ".b".repeat(5000)),
        format!("{{{{ a{} }}}}", "|string".repeat(5000)),
        "{{ '%1000000000d' % 1 }}".to_owned(),
        "{{ 'a'.center(100000000000) }}".to_owned(),
        "{{ 2 ** 1000000 }}".to_owned(),
    ] {
        let head: String = template.chars().take(60).collect();
        assert!(render(&template, &[]).is_err(), "{head}");
    }
    // Many namespaces that hold one another are dropped one by one.
    let chain = "{% set n = namespace(last=0) %}{% for i in range(30000) %}{% set m = namespace() %}\
                 {% set m.x = 1 %}{% set n.last = m %}{% endfor %}ok";
    assert_eq!(render(chain, &[]).unwrap(), "ok");
}
