use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    context: ChatOptions,
    /// Template, what becomes of it here, and jinja2's text, or null where jinja2 raises.
    cases: Vec<(String, Kind, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The same text, or an error in both.
    Same,
    /// An error here.
    Refused,
    /// An error there, a text here.
    Lenient,
    /// Another text here.
    Differs,
}

impl Kind {
    fn of(here: &Result<String, String>, there: Option<&String>) -> Self {
        match (here, there) {
            (Ok(here), Some(there)) if here == there => Self::Same,
            (Ok(_), Some(_)) => Self::Differs,
            (Err(_), Some(_)) => Self::Refused,
            (Ok(_), None) => Self::Lenient,
            (Err(_), None) => Self::Same,
        }
    }
}

/// More than a thousand templates of our own: most come out as in jinja2, and the others are known.
#[test]
fn templates_come_out_as_in_jinja2() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat/expressions.json");
    let data: Fixture = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for (template, kind, expected) in &data.cases {
        let got = render(template, &data.context);
        let found = Kind::of(&got, expected.as_ref());
        if found != *kind {
            wrong.push(format!("{template}\n  is {found:?}, not {kind:?}: {got:?}, {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), data.cases.len(), wrong.join("\n"));
    let same = data.cases.iter().filter(|case| case.1 == Kind::Same).count();
    assert!(same >= 790 && data.cases.len() >= 1000, "{same} of {}", data.cases.len());
}

#[derive(Deserialize)]
struct Goldens {
    context: ChatOptions,
    cases: Vec<Golden>,
}

#[derive(Deserialize)]
struct Golden {
    template: String,
    before_message: Option<String>,
}

/// What transformers made of expressions that published templates have. The one that is refused
/// formats with `%`, for which minijinja has no place to add it.
#[test]
fn goldens_of_expressions() {
    let Some([file]) = crate::goldens::find(["real/chat_expressions.json"]) else { return };
    let data: Goldens = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut refused = Vec::new();
    for Golden { template, before_message } in &data.cases {
        match Kind::of(&render(template, &data.context), before_message.as_ref()) {
            Kind::Same => (),
            Kind::Refused => refused.push(template.as_str()),
            other => panic!("{template}: {other:?}"),
        }
    }
    assert_eq!(data.cases.len(), 141);
    assert_eq!(refused, ["{{ '%s-%d' % ('a', 3) }}"]);
}

/// Hostile templates end.
#[test]
fn templates_that_would_run_on_are_errors() {
    let context = ChatOptions::new();
    let steps = "{% for i in range(100000) %}{% for j in range(100000) %}.{% endfor %}{% endfor %}";
    assert!(render(steps, &context).unwrap_err().contains("fuel"));
    for template in [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [[[]]] recursive %}{{ loop([x]) }}{% endfor %}",
        "{{ 'x' * 1000000000000 }}",
        "{% for i in [1] %}{{ loop.cycle() }}{% endfor %}",
        "{{ lipsum(2) }}",
        "{{ strftime_now('%Y %U') }}",
        "{% set n = namespace(x=0) %}{% set n.x = n %}{{ n.x }}",
        "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}\
         {{ n.x|tojson }}",
    ] {
        assert!(render(template, &context).is_err(), "{template}");
    }
}

#[test]
fn a_day_is_told_in_every_form() {
    let day = |format: &str| {
        let template = format!("{{{{ strftime_now('{format}') }}}}");
        render(&template, &ChatOptions::new()).unwrap()
    };
    assert_eq!(day("%d %b %Y"), "26 Jul 2024");
    assert_eq!(day("%A, %B %-d at %H:%M %p: 100%%."), "Friday, July 26 at 12:00 PM: 100%.");
    assert_eq!(day("today"), "today");
}

/// As deep as a template may be long, within a tag and by its tags: an error or a text, and neither
/// the end of the program nor of patience.
#[test]
fn no_template_is_deeper_than_the_stack() {
    let within = [
        ("-", "1"),
        ("not ", "1"),
        ("1-", "1"),
        ("x~", "x"),
        ("(", "1"),
        ("[", "1"),
        ("x|e", ""),
        (".a", ""),
        ("[0]", ""),
        ("()", ""),
        ("1 if x else ", "1"),
        ("x and ", "x"),
        ("1**", "1"),
        ("1<", "1"),
    ];
    for (part, end) in within {
        let of = |bytes: usize| format!("{{{{ {}{end} }}}}", part.repeat(bytes / part.len()));
        let _ = (render(&of(4000), &ChatOptions::new()), names(&of(4000)));
        let long = render(&of(5000), &ChatOptions::new()).unwrap_err();
        assert!(long.contains("besides its quoted texts"), "{part}: {long}");
    }
    for (begin, part, end) in [
        ("{% if x %}", "{% elif x %}", "{% endif %}"),
        ("", "{% if x %}", ""),
        ("", "{% for x in x %}", ""),
        ("", "{% macro x() %}", ""),
        ("", "{{ x }}", ""),
    ] {
        let parts = (LONGEST - begin.len() - end.len()) / part.len();
        let template = [begin, &part.repeat(parts), end].concat();
        let _ = (render(&template, &ChatOptions::new()), names(&template));
    }
    // As deep as range and fuel allow.
    let deep = "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}\
                {% endfor %}{{ n.x }}";
    let _ = render(deep, &ChatOptions::new());
    let long = "x".repeat(LONGEST + 1);
    assert!(render(&long, &ChatOptions::new()).unwrap_err().contains("bytes of template"));
    assert_eq!(render(&long[1..], &ChatOptions::new()).unwrap().len(), LONGEST);
}
