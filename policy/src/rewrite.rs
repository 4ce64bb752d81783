//! A new path or host, for rewrites and redirects (Gateway API, `HTTPPathModifier`).

use std::borrow::Cow;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use model::Hostname;
use model::path;
use model::route::{PathModifier, PathModifierType, UrlRewrite};

use crate::chain::ChainError;

/// What would come of a request's target is longer than any target may be, or none at all. Its
/// head may not be sent: a backend would get another path than the one that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the changed target would be too long, or no target")]
pub struct TargetTooLong;

/// How a path is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathChange {
    /// The whole path becomes this.
    Full(Box<str>),
    /// The matched prefix becomes this; kept without the slash at its end.
    Prefix(Box<str>),
}

impl PathChange {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`ChainError::Path`] where the new path is missing or no path.
    pub fn compile(from: &PathModifier) -> Result<Self, ChainError> {
        let text = match from.kind {
            PathModifierType::ReplaceFullPath => &from.replace_full_path,
            PathModifierType::ReplacePrefixMatch => &from.replace_prefix_match,
        };
        let text = text.as_deref().unwrap_or_default();
        let fault = |_| ChainError::Path(text.to_owned());
        let path = path::normalise(text).map_err(fault)?;
        Ok(match from.kind {
            PathModifierType::ReplaceFullPath => PathChange::Full(path.into()),
            PathModifierType::ReplacePrefixMatch => {
                PathChange::Prefix(path.strip_suffix('/').unwrap_or(&path).into())
            }
        })
    }

    /// The path that `path` becomes, where `prefix` is what the rule matched (`None`: the root).
    pub fn apply<'a>(&'a self, path: &str, prefix: Option<&str>) -> Cow<'a, str> {
        match self {
            PathChange::Full(whole) => Cow::Borrowed(whole),
            PathChange::Prefix(new) => {
                let old = prefix.unwrap_or_default();
                let old = old.strip_suffix('/').unwrap_or(old);
                let rest = path.strip_prefix(old).unwrap_or(path);
                match (new.is_empty(), rest.is_empty()) {
                    (true, true) => Cow::Borrowed("/"),
                    (false, true) => Cow::Borrowed(new),
                    (_, false) => Cow::Owned(format!("{new}{rest}")),
                }
            }
        }
    }
}

/// A change of path and host on the way to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    path: Option<PathChange>,
    host: Option<(Authority, HeaderValue)>,
}

impl Rewrite {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`ChainError`] for a path or host that is none.
    pub fn compile(from: &UrlRewrite) -> Result<Self, ChainError> {
        let path = from.path.as_ref().map(PathChange::compile).transpose()?;
        Ok(Rewrite { path, host: from.hostname.as_ref().map(authority).transpose()? })
    }

    /// Changes `head`, all of it or nothing; the query stays.
    ///
    /// # Errors
    /// [`TargetTooLong`] where nothing that could be sent would come of it.
    pub fn apply(
        &self,
        head: &mut http::request::Parts,
        prefix: Option<&str>,
    ) -> Result<(), TargetTooLong> {
        let mut parts = head.uri.clone().into_parts();
        if let Some((authority, _)) = &self.host
            && parts.authority.is_some()
        {
            parts.authority = Some(authority.clone());
        }
        if let Some(change) = &self.path {
            parts.path_and_query = Some(changed(change, &head.uri, prefix)?);
        }
        let uri = Uri::from_parts(parts).map_err(|_| TargetTooLong)?;
        if let Some((_, value)) = &self.host {
            head.headers.try_insert(HOST, value.clone()).map_err(|_| TargetTooLong)?;
        }
        head.uri = uri;
        Ok(())
    }
}

/// The path as `change` has it, with the query that `uri` came with.
fn changed(
    change: &PathChange,
    uri: &Uri,
    prefix: Option<&str>,
) -> Result<PathAndQuery, TargetTooLong> {
    // The same form as was judged, or the prefix that matched might not be found again.
    let path = path::normalise(uri.path()).map_err(|_| TargetTooLong)?;
    let path = change.apply(&path, prefix);
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    PathAndQuery::try_from(text).map_err(|_| TargetTooLong)
}

fn authority(host: &Hostname) -> Result<(Authority, HeaderValue), ChainError> {
    let fault = || ChainError::Host(host.to_string());
    if host.suffix().is_some() {
        return Err(fault());
    }
    let authority = Authority::try_from(host.as_str()).map_err(|_| fault())?;
    let value = HeaderValue::from_str(host.as_str()).map_err(|_| fault())?;
    Ok((authority, value))
}

#[cfg(test)]
mod tests;
