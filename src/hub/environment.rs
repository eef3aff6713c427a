//! [`Environment`]: what the variables of Hugging Face's own tools say about endpoint, cache and
//! token. They are read by the program and handed on; nothing here looks at the process.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The hub of `HF_ENDPOINT` where that is not set.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where models of the hub come from and where they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `HF_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `HF_HUB_CACHE`, `HF_HOME/hub` or what stands for it.
    pub cache: Option<PathBuf>,
    /// `HF_TOKEN`.
    pub token: Option<Token>,
    /// Files that may hold a token, the first first: `HF_TOKEN_PATH`, `HF_HOME/token`.
    pub token_files: Vec<PathBuf>,
    /// `HF_HUB_OFFLINE`.
    pub offline: bool,
}

/// A token and where it is from. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    from: String,
}

impl Environment {
    /// Reads the variables through `variable`. Where none names a folder, the cache is that of
    /// Hugging Face's tools: `~/.cache/huggingface/hub`.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &str| {
            set(name).map(|v| v.to_string_lossy().trim().to_owned()).filter(|v| !v.is_empty())
        };
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").map(|home| home.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let implicit = !text("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value));
        let token = text("HF_TOKEN").map(|secret| Token { secret, from: "HF_TOKEN".to_owned() });
        let files = path("HF_TOKEN_PATH").into_iter().chain(home.map(|home| home.join("token")));
        Self {
            endpoint: text("HF_ENDPOINT"),
            cache,
            token: token.filter(|_| implicit),
            token_files: if implicit { files.collect() } else { Vec::new() },
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        }
    }

    /// The address of the hub, without a slash at its end.
    ///
    /// # Errors
    /// [`Error::Model`] for one that no request can be sent to.
    pub fn endpoint(&self) -> Result<&str> {
        let endpoint = self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT).trim_end_matches('/');
        match endpoint.starts_with("https://") || endpoint.starts_with("http://") {
            true => Ok(endpoint),
            false => Err(Error::model("the address of the hub is no address")
                .at("HF_ENDPOINT")
                .got(format!("{endpoint:?}"))
                .expected(format!("an address such as {DEFAULT_ENDPOINT}"))
                .advice("correct HF_ENDPOINT, or unset it")),
        }
    }

    /// The folder of downloaded models.
    ///
    /// # Errors
    /// [`Error::Model`] where no variable leads to one.
    pub fn cache(&self) -> Result<&Path> {
        self.cache.as_deref().ok_or_else(|| {
            Error::model("there is no folder for models of the hub")
                .at("HF_HUB_CACHE, HF_HOME, HOME")
                .got("none of them is set")
                .advice("set HF_HOME to a folder with room for the model")
        })
    }

    /// The token: that of `HF_TOKEN`, or of the first file that holds one.
    pub fn token(&self) -> Option<Token> {
        let in_file = |path: &PathBuf| {
            let secret = fs::read_to_string(path).ok()?.trim().to_owned();
            (!secret.is_empty()).then(|| Token { secret, from: path.display().to_string() })
        };
        self.token.clone().or_else(|| self.token_files.iter().find_map(in_file))
    }
}

impl Token {
    /// The token itself.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The variable or the file that it is from.
    pub fn from(&self) -> &str {
        &self.from
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token from {}", self.from)
    }
}

/// The values that Hugging Face's tools take for yes.
fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_is_where_hugging_faces_tools_have_it() {
        let cache = |set: &[(&str, &str)]| read(set).cache.map(|c| c.display().to_string());
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b"),
            ("HF_HOME", "/c"),
            ("XDG_CACHE_HOME", "/d"),
            ("HOME", "/e"),
        ];
        let expected = ["/a", "/b", "/c/hub", "/d/huggingface/hub", "/e/.cache/huggingface/hub"];
        for (first, expected) in expected.iter().enumerate() {
            assert_eq!(cache(&all[first..]).as_deref(), Some(*expected));
        }
        assert_eq!(cache(&[("HF_HOME", ""), ("HOME", "/e")]), cache(&[("HOME", "/e")]));
        let e = read(&[]).cache().unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("HF_HOME"), "{e}");
    }

    #[test]
    fn the_token_is_the_first_of_variable_named_file_and_file_of_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        let named = dir.path().join("named");
        fs::write(dir.path().join("token"), "of-home\n").unwrap();
        fs::write(&named, "of-file\n").unwrap();
        let named = named.to_str().unwrap();
        let secret = |set: &[(&str, &str)]| read(set).token().map(|t| t.secret().to_owned());
        let all = [("HF_TOKEN", " of-variable "), ("HF_TOKEN_PATH", named), ("HF_HOME", home)];
        assert_eq!(secret(&all).as_deref(), Some("of-variable"));
        assert_eq!(secret(&all[1..]).as_deref(), Some("of-file"));
        assert_eq!(secret(&all[2..]).as_deref(), Some("of-home"));
        assert_eq!(secret(&[("HF_HOME", "/no/such")]), None);
        let disabled = [&all[..], &[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]].concat();
        assert_eq!(secret(&disabled), None);
        let not = [&all[..], &[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")]].concat();
        assert_eq!(secret(&not).as_deref(), Some("of-variable"));
        let printed = format!("{:?}", read(&all));
        assert!(printed.contains("HF_TOKEN") && !printed.contains("of-variable"), "{printed}");
    }

    #[test]
    fn offline_and_endpoint() {
        for (value, offline) in
            [("1", true), ("YES", true), ("On", true), ("0", false), ("", false)]
        {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).offline, offline, "{value}");
        }
        assert_eq!(read(&[]).endpoint().unwrap(), DEFAULT_ENDPOINT);
        assert_eq!(read(&[("HF_ENDPOINT", "http://x:1/")]).endpoint().unwrap(), "http://x:1");
        let e = read(&[("HF_ENDPOINT", "x")]).endpoint().unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("HF_ENDPOINT"), "{e}");
    }
}
