//! Every method by name.

use super::TokenScore;
use super::method::{Method, Rule};
use super::scissorhands::Scissorhands;
use super::streaming_llm::StreamingLlm;
use crate::budget::Allocator;
use crate::budget::ada_pyramidkv::AdaPyramidKv;
use crate::budget::adakv::AdaKv;
use crate::budget::dililazykv::DiliLazyKv;
use crate::budget::dililazykv_variance::DiliLazyKvVariance;
use crate::budget::headkv::HeadKv;
use crate::budget::lukv::LuKv;
use crate::budget::pyramidkv::PyramidKv;
use crate::budget::uniform::Uniform;
use crate::error::{Error, Result};
use crate::eviction::h2o::ColumnSums;
use crate::eviction::snapkv::WindowScore;

/// What the name of a method that weighs attention by values ends in.
pub const VATP_SUFFIX: &str = "+vatp";

const SNAPKV: &str = "SnapKV, https://arxiv.org/abs/2404.14469";
const VATP: &str = "VATP, https://arxiv.org/abs/2406.12335";
const DILILAZYKV: &str = "DiliLazyKV, https://openreview.net/forum?id=ye4rjRYBPj";

static WINDOW: WindowScore = WindowScore { vatp: false };
static WINDOW_VATP: WindowScore = WindowScore { vatp: true };

/// Every method, in the order in which they are reported: first the published ones, then those
/// that look at attention with VATP.
pub fn registry() -> &'static [Method] {
    static REGISTRY: &[Method] = &[
        Method {
            name: "full",
            aliases: &["FullKV"],
            title: "keeps everything",
            source: "Vaswani et al. 2017, https://arxiv.org/abs/1706.03762",
            rule: None,
        },
        method(
            "streaming_llm",
            &["StreamingLLM", "StreamLLM"],
            "first and last tokens, the same number for all heads",
            "StreamingLLM, https://arxiv.org/abs/2309.17453",
            &StreamingLlm,
            &Uniform,
        ),
        method(
            "h2o",
            &[],
            "tokens that all queries look at, the same number for all heads",
            "H2O, https://arxiv.org/abs/2306.14048",
            &ColumnSums { vatp: false },
            &Uniform,
        ),
        method(
            "scissorhands",
            &[],
            "tokens that the last 400 queries look at, the same number for all heads",
            "Scissorhands, https://arxiv.org/abs/2305.17118",
            &Scissorhands { vatp: false },
            &Uniform,
        ),
        method(
            "snapkv",
            &[],
            "tokens that the window looks at, the same number for all heads",
            SNAPKV,
            &WINDOW,
            &Uniform,
        ),
        method(
            "pyramidkv",
            &[],
            "as snapkv, more in early layers, less in late ones",
            "PyramidKV, https://arxiv.org/abs/2406.02069",
            &WINDOW,
            &PyramidKv,
        ),
        method(
            "adakv",
            &["AdativeKV", "AdaptiveKV", "Ada-SnapKV"],
            "as snapkv, the heads of a layer compete for places",
            "AdaKV, https://arxiv.org/abs/2407.11550",
            &WINDOW,
            &AdaKv,
        ),
        method(
            "ada_pyramidkv",
            &["Ada-PyramidKV", "Ada-Pyramid"],
            "as pyramidkv, the heads of a layer compete for its places",
            "AdaKV, https://arxiv.org/abs/2407.11550",
            &WINDOW,
            &AdaPyramidKv,
        ),
        method(
            "headkv",
            &["ReasonKV"],
            "as snapkv, more for heads with high head scores",
            "HeadKV, https://arxiv.org/abs/2410.19258",
            &WINDOW,
            &HeadKv,
        ),
        method(
            "dililazykv",
            &[],
            "as headkv, with a boost for layers of low scores",
            DILILAZYKV,
            &WINDOW,
            &DiliLazyKv,
        ),
        method(
            "dililazykv_variance",
            &[],
            "as dililazykv, by the variance of the scores that its paper describes",
            DILILAZYKV,
            &WINDOW,
            &DiliLazyKvVariance,
        ),
        method(
            "lukv",
            &["LU-KV"],
            "as snapkv, places go where the next token is worth most",
            "LU-KV, https://arxiv.org/abs/2602.08585",
            &WINDOW,
            &LuKv,
        ),
        method(
            "h2o+vatp",
            &[],
            "h2o, attention times the norm of the value",
            VATP,
            &ColumnSums { vatp: true },
            &Uniform,
        ),
        method(
            "scissorhands+vatp",
            &[],
            "scissorhands, attention times the norm of the value",
            VATP,
            &Scissorhands { vatp: true },
            &Uniform,
        ),
        method(
            "snapkv+vatp",
            &[],
            "snapkv, attention times the norm of the value",
            VATP,
            &WINDOW_VATP,
            &Uniform,
        ),
        method(
            "pyramidkv+vatp",
            &[],
            "pyramidkv, attention times the norm of the value",
            VATP,
            &WINDOW_VATP,
            &PyramidKv,
        ),
        method(
            "adakv+vatp",
            &[],
            "adakv, attention times the norm of the value",
            VATP,
            &WINDOW_VATP,
            &AdaKv,
        ),
        method(
            "headkv+vatp",
            &[],
            "headkv, attention times the norm of the value",
            VATP,
            &WINDOW_VATP,
            &HeadKv,
        ),
        method(
            "dililazykv+vatp",
            &[],
            "dililazykv, attention times the norm of the value",
            VATP,
            &WINDOW_VATP,
            &DiliLazyKv,
        ),
    ];
    REGISTRY
}

const fn method(
    name: &'static str,
    aliases: &'static [&'static str],
    title: &'static str,
    source: &'static str,
    token_score: &'static dyn TokenScore,
    allocator: &'static dyn Allocator,
) -> Method {
    Method { name, aliases, title, source, rule: Some(Rule { token_score, allocator }) }
}

/// The method that is called `name`, by itself or by a reference, in capitals or not; with
/// `+vatp` behind it, its variant that weighs attention by values.
///
/// # Errors
/// [`Error::Usage`] with the names there are.
pub fn by_name(name: &str) -> Result<&'static Method> {
    let lower = name.to_lowercase();
    let (base, suffix) = match lower.strip_suffix(VATP_SUFFIX) {
        Some(base) => (base, VATP_SUFFIX),
        None => (lower.as_str(), ""),
    };
    let is_called = |method: &&Method| {
        let known = std::iter::once(&method.name).chain(method.aliases);
        known.into_iter().any(|known| known.eq_ignore_ascii_case(base))
    };
    let found = registry().iter().find(is_called).and_then(|method| {
        let full_name = format!("{}{suffix}", method.name);
        registry().iter().find(|method| method.name == full_name)
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = registry().iter().map(|method| method.name).collect();
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

    #[test]
    fn an_unknown_name_lists_the_names_there_are() {
        for name in ["snapvk", "full+vatp", "streaming_llm+vatp", "+vatp", "h2o+vatp+vatp", ""] {
            let error = by_name(name).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("headkv+vatp"), "{error}");
        }
    }
}
