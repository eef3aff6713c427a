//! From an id to a folder of files.

use std::fs;

use super::cache::{Held, RepoCache};
use super::client::Client;
use super::download::Downloader;
use super::errors::{Contact, Failure};
use super::wanted::{FirstFiles, INDEX, check_shards, gguf_files};
use super::{HubId, HubModel, Origin, Snapshot};
use crate::error::{Error, Result};
use crate::model::shard_names;
use crate::system::Reporter;

/// Most commits that a message lists.
const LISTED: usize = 3;

/// See [`super::fetch`].
pub fn fetch(model: &HubModel) -> Result<Snapshot> {
    let HubModel { id, contents, environment, offline, quiet, weights } = model;
    let folder = environment.cache()?;
    let cache = RepoCache::new(folder, id);
    if *offline || environment.offline {
        return from_cache(&cache, model, *quiet);
    }
    if let Some(commit) = id.commit()
        && cache.held(commit, *contents, *weights)? == Held::All
    {
        return Ok(snapshot(&cache, id, commit));
    }
    let client = Client::new(Contact {
        id: id.clone(),
        endpoint: environment.endpoint()?.to_owned(),
        token: environment.token(),
        cache: folder.to_owned(),
    })?;
    let found = client.commit().and_then(|commit| Ok((client.listing(&commit)?, commit)));
    let (listing, commit) = match found {
        Ok(found) => found,
        // What was downloaded before is better than nothing, as long as it is said.
        Err(Failure { error, passing: Some(why) }) => {
            let held = from_cache(&cache, model, true).map_err(|_| error)?;
            let commit = &held.origin.commit;
            let reporter = Reporter { quiet: *quiet, json: false };
            reporter.note(&format!("{why}; {id} is taken from the cache, commit {commit}"));
            return Ok(held);
        }
        Err(Failure { error, passing: None }) => return Err(error),
    };
    let downloader = Downloader { client: &client, cache: &cache, commit: &commit, quiet: *quiet };
    let get = |name: &str| match listing.get(name) {
        Some(file) => downloader.get(name, file),
        None => Err(Error::bug(format!("{name} is wanted but not listed"))),
    };
    if let Some(file) = id.file() {
        // All that a model needs is in there, so that the weights come with whatever is wanted.
        gguf_files(&listing, id, &commit, file)?.iter().try_for_each(|name| get(name))?;
        // What other files are there for is that of the commit that they are of.
        if id.commit().is_none() && cache.commit_of(id.revision()).is_none() {
            cache.set_commit_of(id.revision(), &commit)?;
        }
        return Ok(snapshot(&cache, id, &commit));
    }
    let wanted = FirstFiles::of(&listing, id, &commit, *contents)?;
    // The weights come last: where they are, everything is.
    wanted.small.iter().try_for_each(|name| get(name))?;
    wanted.absent.iter().try_for_each(|name| cache.set_absent(&commit, name))?;
    if *weights && wanted.weights != INDEX {
        get(wanted.weights)?;
    } else if *weights {
        get(INDEX)?;
        let path = cache.snapshot(&commit).join(INDEX);
        let place = path.display().to_string();
        let text = fs::read(&path)
            .map_err(|e| Error::model("the index cannot be read").at(&place).got(e))?;
        let shards = shard_names(&text, &place)?;
        check_shards(&shards, &listing, id, &commit)?;
        shards.iter().try_for_each(|shard| get(shard))?;
    }
    // Without weights, an older commit that has them stays what is used without a network.
    let complete = |commit: &String| {
        matches!(cache.held(commit, *contents, true), Ok(Held::All | Held::Enough(_)))
    };
    let older = cache.commit_of(id.revision()).filter(|_| !weights).filter(complete);
    if id.commit().is_none() && older.is_none() {
        cache.set_commit_of(id.revision(), &commit)?;
    }
    Ok(snapshot(&cache, id, &commit))
}

fn snapshot(cache: &RepoCache, id: &HubId, commit: &str) -> Snapshot {
    Snapshot {
        dir: cache.snapshot(commit),
        origin: Origin {
            id: id.repository(),
            revision: id.revision().to_owned(),
            commit: commit.to_owned(),
            file: id.file().map(str::to_owned),
        },
    }
}

/// What the cache has of `id`, without any request.
///
/// # Errors
/// [`Error::Model`] if that is not enough to load the model.
fn from_cache(cache: &RepoCache, model: &HubModel, quiet: bool) -> Result<Snapshot> {
    let HubModel { id, contents, weights, .. } = model;
    let advice = format!(
        "run once where there is a network, without --offline and HF_HUB_OFFLINE, with the same \
         cache (HF_HOME); or name a folder, or a commit that is in the cache ({}@COMMIT)",
        id.repository()
    );
    let commit = id.commit().map(str::to_owned).or_else(|| cache.commit_of(id.revision()));
    let Some(commit) = commit else {
        let commits = cache.commits();
        let got = match commits.len() {
            0 => "nothing of this model".to_owned(),
            n => format!("other commits of it: {}", commits[..n.min(LISTED)].join(", ")),
        };
        return Err(Error::model(format!("{id} is not in the cache, and no request is sent"))
            .at(cache.folder().display())
            .got(got)
            .expected(format!("the commit of revision {} and its files", id.revision()))
            .advice(advice));
    };
    let holds = |commit: &String| matches!(cache.held(commit, *contents, *weights), Ok(Held::All));
    // Of a GGUF file the cache may have another commit's.
    let commit = match id.file().is_some() && id.commit().is_none() && !holds(&commit) {
        true => cache.commits().into_iter().find(holds).unwrap_or(commit),
        false => commit,
    };
    match cache.held(&commit, *contents, *weights)? {
        Held::All => {}
        Held::Enough(unknown) => Reporter { quiet, json: false }.note(&format!(
            "whether {id} has {} is not known without a request; the cache does not have it",
            unknown.join(", ")
        )),
        Held::Lacks(files) => {
            return Err(Error::model(format!("{id} is not complete in the cache"))
                .at(cache.snapshot(&commit).display())
                .got(format!("no {}", files.join(", no ")))
                .expected(id.file().map_or(contents.files(), str::to_owned))
                .advice(advice));
        }
    }
    Ok(snapshot(cache, id, &commit))
}
