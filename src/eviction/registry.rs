//! Every method by name, made from the token scores and the allocators that there are.
//!
//! ```text
//! full
//! each token score under the budget that is the same for all heads      streaming_llm, h2o, ...
//! each other allocator with SnapKV's token score                        pyramidkv, adakv, ...
//! those of them with VATP that look at attention and say so             h2o+vatp, ...
//! ```

use std::sync::LazyLock;

use super::method::{Method, Rule};
use super::snapkv::SnapKv;
use super::{TokenScore, Vatp, token_scores};
use crate::budget;
use crate::budget::uniform::Uniform;
use crate::error::{Error, Result};

/// The token score of the methods that differ in their budgets alone.
static WINDOW: SnapKv = SnapKv;

/// Every method, in the order in which they are reported: first the published ones, then those
/// that look at attention with VATP.
pub fn registry() -> &'static [Method] {
    static REGISTRY: LazyLock<Vec<Method>> = LazyLock::new(|| {
        let mut methods = vec![full()];
        methods.extend(token_scores().iter().map(|score| of_token_score(*score)));
        methods.extend(budget::registry().iter().filter_map(|a| of_allocator(*a)));
        let with_vatp: Vec<Method> = methods.iter().filter_map(with_vatp).collect();
        methods.extend(with_vatp);
        methods
    });
    &REGISTRY
}

fn full() -> Method {
    Method {
        name: "full".to_owned(),
        aliases: &["FullKV"],
        title: "keeps everything".to_owned(),
        source: "Vaswani et al. 2017, https://arxiv.org/abs/1706.03762",
        default: true,
        rule: None,
    }
}

/// The same number of tokens for all heads: the method that a token score is known as.
fn of_token_score(token_score: &'static dyn TokenScore) -> Method {
    let info = token_score.info();
    Method {
        name: info.method.to_owned(),
        aliases: info.aliases,
        title: format!("{}, the same number for all heads", info.title),
        source: info.source,
        default: info.default,
        rule: Some(Rule { token_score, allocator: &Uniform }),
    }
}

/// SnapKV's token score under another budget.
fn of_allocator(allocator: &'static dyn budget::Allocator) -> Option<Method> {
    let info = allocator.info();
    let method = info.method?;
    Some(Method {
        name: info.name.to_owned(),
        aliases: info.aliases,
        title: method.title.to_owned(),
        source: info.source,
        default: method.default,
        rule: Some(Rule { token_score: &WINDOW, allocator }),
    })
}

/// The same with VATP, where there is such a method.
fn with_vatp(method: &Method) -> Option<Method> {
    let rule = method.rule?;
    if rule.allocator.info().method.is_some_and(|method| !method.vatp) {
        return None;
    }
    Some(Method {
        name: format!("{}{}", method.name, Vatp::SUFFIX),
        aliases: &[],
        title: format!("{}, attention times the norm of the value", method.name),
        source: Vatp::SOURCE,
        default: false,
        rule: Some(Rule { token_score: vatp(rule.token_score)?, ..rule }),
    })
}

/// `token_score` with VATP, if it looks at attention.
fn vatp(token_score: &dyn TokenScore) -> Option<&'static dyn TokenScore> {
    static WITH_VATP: LazyLock<Vec<Vatp>> =
        LazyLock::new(|| token_scores().iter().filter_map(|score| Vatp::of(*score)).collect());
    let found = WITH_VATP.iter().find(|vatp| vatp.name() == token_score.name())?;
    Some(found)
}

/// The method that is called `name`, by itself or by a reference, in capitals or not; with
/// `+vatp` behind it, its variant that weighs attention by values.
///
/// # Errors
/// [`Error::Usage`] with the names there are.
pub fn by_name(name: &str) -> Result<&'static Method> {
    let lower = name.to_lowercase();
    let (base, suffix) = match lower.strip_suffix(Vatp::SUFFIX) {
        Some(base) => (base, Vatp::SUFFIX),
        None => (lower.as_str(), ""),
    };
    let is_called = |method: &&Method| {
        let mut known = method.aliases().iter().copied().chain([method.name()]);
        known.any(|known| known.eq_ignore_ascii_case(base))
    };
    let found = registry().iter().find(is_called).and_then(|method| {
        let full_name = format!("{}{suffix}", method.name);
        registry().iter().find(|method| method.name == full_name)
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = registry().iter().map(Method::name).collect();
        Error::usage("there is no such eviction method")
            .got(format!("\"{name}\""))
            .expected(format!("one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_the_references_names() {
        let pairs = [
            ("FullKV", "full"),
            ("StreamLLM", "streaming_llm"),
            ("StreamingLLM", "streaming_llm"),
            ("ReasonKV", "headkv"),
            ("ReasonSnapKV", "headkv"),
            ("pyramid", "pyramidkv"),
            ("AdativeKV", "adakv"),
            ("ada-pyramidkv", "ada_pyramidkv"),
            ("Ada-Pyramid", "ada_pyramidkv"),
            ("SNAPKV", "snapkv"),
            ("ReasonKV+VATP", "headkv+vatp"),
            ("H2O+vatp", "h2o+vatp"),
        ];
        for (alias, name) in pairs {
            assert_eq!(by_name(alias).unwrap().name(), name);
        }
        for method in registry() {
            assert_eq!(by_name(method.name()).unwrap().name(), method.name());
        }
    }

    /// Others may stand between them.
    #[test]
    fn methods_are_reported_in_this_order() {
        let expected = [
            "full",
            "streaming_llm",
            "h2o",
            "scissorhands",
            "snapkv",
            "pyramidkv",
            "adakv",
            "ada_pyramidkv",
            "headkv",
            "dililazykv",
            "dililazykv_variance",
            "lukv",
            "h2o+vatp",
            "scissorhands+vatp",
            "snapkv+vatp",
            "pyramidkv+vatp",
            "adakv+vatp",
            "headkv+vatp",
            "dililazykv+vatp",
        ];
        let names = registry().iter().map(Method::name);
        assert_eq!(names.filter(|name| expected.contains(name)).collect::<Vec<_>>(), expected);
        for none in ["streaming_llm+vatp", "ada_pyramidkv+vatp", "lukv+vatp", "uniform"] {
            assert!(registry().iter().all(|method| method.name() != none), "{none}");
        }
    }

    #[test]
    fn titles_and_sources_follow_from_the_parts() {
        let of = |name: &str| {
            let method = by_name(name).unwrap();
            (method.title(), method.source())
        };
        let snapkv = "SnapKV, https://arxiv.org/abs/2404.14469";
        let title = "tokens that the window looks at, the same number for all heads";
        assert_eq!(of("snapkv"), (title, snapkv));
        let headkv = "HeadKV, https://arxiv.org/abs/2410.19258";
        assert_eq!(of("headkv"), ("as snapkv, more for heads with high head scores", headkv));
        let title = "headkv, attention times the norm of the value";
        assert_eq!(of("headkv+vatp"), (title, Vatp::SOURCE));
    }

    #[test]
    fn an_unknown_name_lists_the_names_there_are() {
        for name in ["snapvk", "full+vatp", "streaming_llm+vatp", "+vatp", "h2o+vatp+vatp", ""] {
            let error = by_name(name).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("headkv+vatp"), "{error}");
        }
    }
}
