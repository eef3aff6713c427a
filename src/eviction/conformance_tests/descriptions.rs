//! Names, documentation, and that nothing registered is left unused.

use super::*;

#[test]
fn names_are_unique_and_every_method_is_described() {
    let mut names: Vec<String> = Vec::new();
    for method in registry() {
        names.push(method.name().to_owned());
        names.extend(method.aliases().iter().map(|alias| alias.to_lowercase()));
        assert!(!method.title().is_empty() && method.source().contains("https://"));
        if let Some(token_score) = method.token_score() {
            let info = token_score.info();
            assert!(!info.title.is_empty() && !info.formula.is_empty());
            assert!(info.source.contains("https://"));
            assert_eq!(method.vatp(), method.name().ends_with(Vatp::SUFFIX));
            assert_eq!(info.formula.contains("||v"), method.vatp());
            let mut options = sample(12, 4).options;
            for norm in NORMS {
                options.value_norm = norm;
                let wanted = method.wanted(&options);
                let (projected, off) = (norm == ValueNorm::Projected, norm == ValueNorm::Off);
                assert_eq!(wanted.value_norms, method.vatp() && !projected && !off);
                assert_eq!(wanted.projected_norms, method.vatp() && projected);
            }
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// VATP multiplies attention: whoever says that there is a form with it looks at some.
#[test]
fn every_token_score_has_a_method_and_with_attention_one_with_vatp() {
    let options = sample(12, 4).options;
    for token_score in token_scores() {
        let info = token_score.info();
        let method = by_name(info.method).unwrap();
        assert_eq!(method.token_score().map(TokenScore::name), Some(info.name));
        assert!(!method.vatp());
        let with_vatp = by_name(&format!("{}{}", info.method, Vatp::SUFFIX));
        assert_eq!(with_vatp.is_ok_and(Method::vatp), info.vatp_formula.is_some());
        assert_eq!(token_score.queries(&options).is_some(), info.vatp_formula.is_some());
    }
}

#[test]
fn every_allocator_has_a_method() {
    for allocator in crate::budget::registry() {
        let uses =
            |method: &&Method| method.allocator().is_some_and(|a| a.name() == allocator.name());
        assert!(registry().iter().any(|m| uses(&m)), "{}", allocator.name());
    }
}

#[test]
fn every_method_has_a_row_in_the_docs() {
    let docs = include_str!("../../../docs/eviction.md");
    for method in registry() {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` | ", method.name())));
        let row = row.unwrap_or_else(|| panic!("{}", method.name()));
        for alias in method.aliases() {
            assert!(row.contains(alias), "{}: {alias}", method.name());
        }
        if let (Some(token_score), Some(allocator)) = (method.token_score(), method.allocator()) {
            assert!(row.contains(token_score.name()) && row.contains(allocator.name()), "{row}");
        }
    }
}
