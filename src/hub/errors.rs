//! What the hub refuses, and what keeps it from answering, as sentences.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;

use hf_hub::HFError;

use super::environment::Token;
use super::id::{DEFAULT_REVISION, HubId};
use crate::error::Error;

/// Whom requests go to, and about what.
pub struct Contact {
    /// The model.
    pub id: HubId,
    /// The address of the hub.
    pub endpoint: String,
    /// The token that is sent along.
    pub token: Option<Token>,
    /// The folder of downloaded models.
    pub cache: PathBuf,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub enum HubRequest<'a> {
    /// The commit of the revision.
    Commit,
    /// The names and sizes of all files.
    Listing,
    /// A file.
    File(&'a str),
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// In full.
    pub error: Error,
    /// Why, where it may be different the next time.
    pub passing: Option<String>,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoRepository,
    Gated,
    NoAccess,
    BadToken,
    NoRevision,
    NoFile,
    Busy,
    Trouble,
    Other,
}

/// An answer that is a refusal.
struct HubRefusal {
    status: u16,
    code: Option<String>,
    message: Option<String>,
}

impl fmt::Display for HubRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)?;
        self.code.iter().try_for_each(|code| write!(f, ", {code}"))?;
        self.message.iter().try_for_each(|message| write!(f, ": {message}"))
    }
}

impl Contact {
    /// The place of an error: who was asked for what.
    pub fn place(&self, asked: HubRequest<'_>) -> String {
        let Self { id, endpoint, .. } = self;
        match asked {
            HubRequest::Commit => {
                format!("{endpoint}, asked for the commit of {}@{}", id.repository(), id.revision())
            }
            HubRequest::Listing => format!("{endpoint}, asked for the list of files of {id}"),
            HubRequest::File(name) => format!("{endpoint}, asked for {name} of {id}"),
        }
    }

    /// The failure of a request as the error of hf-hub tells it.
    pub fn failure(&self, e: &HFError, asked: HubRequest<'_>) -> Failure {
        match (answer(e), e) {
            (Some(answer), _) => self.refused(&answer, asked),
            (None, HFError::Request { source, .. }) if !source.is_decode() => {
                self.unreachable(&cause(e), asked)
            }
            _ => Failure {
                error: Error::model("the answer is not one of a Hugging Face hub")
                    .at(self.place(asked))
                    .got(cause(e))
                    .expected("what huggingface.co answers")
                    .advice("check HF_ENDPOINT, and whether a proxy asks for a login"),
                passing: None,
            },
        }
    }

    /// There was no answer.
    pub fn unreachable(&self, why: &str, asked: HubRequest<'_>) -> Failure {
        let Self { id, endpoint, cache, .. } = self;
        Failure {
            error: Error::model(format!("the hub cannot be reached for {}", id.repository()))
                .at(self.place(asked))
                .got(why)
                .expected(format!("an answer, or a complete {id} in {}", cache.display()))
                .advice(
                    "check the network, HF_ENDPOINT and the proxy (HTTPS_PROXY); on a machine \
                     without network download into the same cache elsewhere and use --offline or \
                     HF_HUB_OFFLINE=1, or name a folder",
                ),
            passing: Some(format!("{endpoint} cannot be reached ({why})")),
        }
    }

    fn refused(&self, answer: &HubRefusal, asked: HubRequest<'_>) -> Failure {
        let Self { id, endpoint, token, .. } = self;
        let (repository, page) = (id.repository(), format!("{endpoint}/{}", id.repository()));
        let from = token.as_ref().map_or("HF_TOKEN", |token| token.from());
        let refusal = refusal(answer, token.is_some(), asked, id);
        let (what, advice) = match refusal {
            Refusal::NoRepository => (
                match token {
                    None => format!("the hub has no public model {repository}"),
                    Some(_) => format!("the hub has no model {repository} that the token may see"),
                },
                format!(
                    "check the name at {page}; for a private model set HF_TOKEN to a token that \
                     may read it; for a folder check the path: {repository} is none here"
                ),
            ),
            Refusal::Gated => (
                format!("{repository} is gated: its licence has to be accepted first"),
                format!(
                    "accept the licence at {page}, make a token at {endpoint}/settings/tokens, and \
                     set HF_TOKEN to it"
                ),
            ),
            Refusal::NoAccess => (
                format!("the token has no access to {repository}"),
                format!(
                    "ask for access at {page} with the account of the token ({from}); a \
                     fine-grained token also needs the right to read gated repositories"
                ),
            ),
            Refusal::BadToken => (
                format!("the hub refuses the token, asked for {repository}"),
                format!(
                    "make a new token at {endpoint}/settings/tokens and set HF_TOKEN to it, or \
                     take the present one away ({from}) if the model is public"
                ),
            ),
            Refusal::NoRevision => (
                format!("{repository} has no revision {}", id.revision()),
                format!("a branch, a tag or a whole commit of {page}"),
            ),
            Refusal::NoFile => (
                format!("{repository} does not have a file that it lists"),
                format!("run the same command again; if that does not help, see {page}/tree/main"),
            ),
            Refusal::Busy => (
                format!("the hub wants fewer requests, asked for {repository}"),
                "wait some minutes and run the same command again; with HF_TOKEN more requests are \
                 allowed"
                    .to_owned(),
            ),
            Refusal::Trouble => (
                format!("the hub cannot answer at the moment, asked for {repository}"),
                "run the same command again later; --offline takes what the cache has".to_owned(),
            ),
            Refusal::Other => (
                format!("the hub refuses what was asked for {repository}"),
                format!("see {page}, and check HF_ENDPOINT and the proxy"),
            ),
        };
        let passing = matches!(refusal, Refusal::Busy | Refusal::Trouble);
        Failure {
            error: Error::model(what).at(self.place(asked)).got(answer).advice(advice),
            passing: passing.then(|| format!("{endpoint} answers {answer}")),
        }
    }
}

/// What `answer` means. A hub says 401 also for a repository that does not exist, lest it tells
/// which private ones do; the code in its headers tells more than the status.
fn refusal(answer: &HubRefusal, token: bool, asked: HubRequest<'_>, id: &HubId) -> Refusal {
    let says = |text: &str| answer.message.as_ref().is_some_and(|m| m.contains(text));
    if answer.status == 401 && says("Invalid credentials") {
        return Refusal::BadToken;
    }
    match (answer.code.as_deref(), answer.status) {
        (Some("GatedRepo"), _) => {
            if token {
                Refusal::NoAccess
            } else {
                Refusal::Gated
            }
        }
        (Some("RepoNotFound"), _) => Refusal::NoRepository,
        (Some("RevisionNotFound"), _) => Refusal::NoRevision,
        (Some("EntryNotFound"), _) => Refusal::NoFile,
        (_, 401) => {
            if token {
                Refusal::BadToken
            } else {
                Refusal::NoRepository
            }
        }
        (_, 403) => {
            if token {
                Refusal::NoAccess
            } else {
                Refusal::Gated
            }
        }
        (_, 404) => match asked {
            HubRequest::Commit if id.revision() == DEFAULT_REVISION => Refusal::NoRepository,
            HubRequest::Commit | HubRequest::Listing => Refusal::NoRevision,
            HubRequest::File(_) => Refusal::NoFile,
        },
        (_, 429) => Refusal::Busy,
        (_, 408 | 500..) => Refusal::Trouble,
        _ => Refusal::Other,
    }
}

/// The refusal in an error, if there was an answer at all.
fn answer(e: &HFError) -> Option<HubRefusal> {
    let context = match e {
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context }
        | HFError::RateLimited { context, .. } => Some(context),
        HFError::RepoNotFound { context, .. }
        | HFError::RevisionNotFound { context, .. }
        | HFError::EntryNotFound { context, .. } => context.as_ref(),
        _ => None,
    }?;
    Some(HubRefusal {
        status: context.status.as_u16(),
        code: context.error_code.clone(),
        message: context.server_message.clone().filter(|m| !m.is_empty()),
    })
}

/// The innermost cause, which says more than what it led to.
pub fn cause(e: &HFError) -> String {
    let mut told = e.to_string();
    let mut source = e.source();
    while let Some(inner) = source {
        told = inner.to_string();
        source = inner.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, code: &str, message: &str, token: bool, id: &str) -> Refusal {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        let answer = HubRefusal { status, code: text(code), message: text(message) };
        refusal(&answer, token, HubRequest::Commit, &HubId::parse(id).unwrap())
    }

    #[test]
    fn the_code_says_more_than_the_status() {
        use Refusal::*;
        for (status, code, message, token, expected) in [
            // Without a token the hub does not tell whether a repository exists.
            (401, "RepoNotFound", "Repository not found", false, NoRepository),
            (401, "", "Invalid username or password.", false, NoRepository),
            (404, "RepoNotFound", "Repository not found", true, NoRepository),
            (401, "GatedRepo", "Access to model a/b is restricted", false, Gated),
            (403, "GatedRepo", "not in the authorized list", true, NoAccess),
            (403, "", "", true, NoAccess),
            (403, "", "", false, Gated),
            (401, "", "Invalid credentials in Authorization header", true, BadToken),
            (401, "", "", true, BadToken),
            (404, "RevisionNotFound", "Invalid rev id: x", true, NoRevision),
            (404, "EntryNotFound", "", false, NoFile),
            (429, "", "", false, Busy),
            (503, "", "", false, Trouble),
            (410, "", "", false, Other),
        ] {
            let got = meaning(status, code, message, token, "a/b");
            assert_eq!(got, expected, "{status} {code} {message} {token}");
        }
        assert_eq!(meaning(404, "", "", false, "a/b"), NoRepository);
        assert_eq!(meaning(404, "", "", false, "a/b@v1"), NoRevision);
    }
}
