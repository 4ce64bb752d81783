//! What is looked at before an operation runs: where a request comes from, and who sends it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use http::uri::Authority;
use model::cookie;
use time::OffsetDateTime;

use super::Settings;
use super::answer::REQUEST_ID;
use super::problem::Problem;
use crate::app::Use;
use crate::authn::{Caller, Proof, secret};
use crate::{App, Refusal};

/// The header of unsafe requests that come with a cookie.
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-heddle-csrf");

/// The name of the cookie.
pub(super) fn cookie_name(settings: &Settings) -> &'static str {
    if settings.behind_tls { cookie::SESSION_BEHIND_TLS } else { cookie::SESSION }
}

/// The name of the cookie of who is away at a login provider.
pub(super) fn login_cookie_name(settings: &Settings) -> &'static str {
    if settings.behind_tls { cookie::LOGIN_BEHIND_TLS } else { cookie::LOGIN }
}

/// Scheme and host under which a browser reached us; the host is one that [`host`] let in.
pub(super) fn own_origin(settings: &Settings, parts: &Parts) -> Option<String> {
    let scheme = if settings.behind_tls { "https" } else { "http" };
    // A user before an @ is no part of it.
    let authority = authority(parts)?;
    let authority = authority.as_str().rsplit('@').next()?.to_ascii_lowercase();
    Some(format!("{scheme}://{authority}"))
}

/// The id that the caller gave the request, if it is a good one, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let good = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(good);
    given.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// A page of another site whose name leads to us would be asked for with that name: only names that
/// are ours are let in, and addresses, which nobody can make lead elsewhere.
pub(super) fn host(settings: &Settings, parts: &Parts) -> Result<(), Problem> {
    let Some(authority) = authority(parts) else {
        return Err(Problem::malformed("the request names no host"));
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_ours = is_local(host)
        || host.parse::<IpAddr>().is_ok()
        || settings.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
    if is_ours {
        return Ok(());
    }
    let text =
        "this server does not answer to that host; start it with --host for each of its names";
    Err(Problem::malformed(text))
}

/// Whether a name means this machine, whoever resolves it (RFC 6761, section 6.3).
fn is_local(host: &str) -> bool {
    let top = host.rsplit('.').next().unwrap_or_default();
    top.eq_ignore_ascii_case("localhost")
}

/// Browsers say from whose page a request is sent: from no other than ours.
pub(super) fn origin(parts: &Parts) -> Result<(), Problem> {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return Ok(()) };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let said = host.and_then(|(_, rest)| rest.parse::<Authority>().ok());
    match (said, authority(parts)) {
        (Some(said), Some(own)) if said == own => Ok(()),
        (_, _) => Err(Problem::forbidden("a page of another site sent this request")),
    }
}

fn authority(parts: &Parts) -> Option<Authority> {
    let own = parts.uri.authority().cloned();
    own.or_else(|| parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok())
}

/// Who asks: nobody, where there are no credentials.
///
/// # Errors
/// Where there are some that are not good.
pub(super) async fn caller(
    app: &App,
    settings: &Settings,
    headers: &HeaderMap,
    now: OffsetDateTime,
) -> Result<Option<Caller>, Problem> {
    if let Some(said) = headers.get(header::AUTHORIZATION) {
        let token = said.to_str().ok().and_then(|said| {
            let (scheme, token) = said.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let found = match token {
            Some(token) => app.caller_by_token(token, now).await?,
            None => None,
        };
        return Ok(Some(found.ok_or(Refusal::Unauthenticated)?));
    }
    visitor(app, settings, headers, now, Use::Person).await
}

/// Who asks by a cookie: nobody, where there is none that is good.
pub(super) async fn visitor(
    app: &App,
    settings: &Settings,
    headers: &HeaderMap,
    now: OffsetDateTime,
    used: Use,
) -> Result<Option<Caller>, Problem> {
    match cookie(cookie_name(settings), headers) {
        Some(cookie) => Ok(app.caller_by_cookie(cookie, used, now).await?),
        None => Ok(None),
    }
}

/// The value of a cookie. Behind TLS ours have names that no other host and no plain page can set.
pub(super) fn cookie<'h>(wanted: &str, headers: &'h HeaderMap) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|one| one.split_once('='));
    cookies.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim())
}

/// Who comes with a cookie shows that they could read what we answered: no other site can.
pub(super) fn csrf(caller: &Caller, headers: &HeaderMap) -> Result<(), Problem> {
    let Proof::Session { csrf, .. } = &caller.by else { return Ok(()) };
    let said = headers.get(CSRF).and_then(|said| said.to_str().ok()).unwrap_or_default();
    if secret::are_same(csrf, said) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "the header x-heddle-csrf is not that of this session; GET /session has it",
    ))
}

/// Where a request comes from.
pub(super) fn address(settings: &Settings, parts: &Parts) -> IpAddr {
    let last = || {
        let said = parts.headers.get_all("x-forwarded-for").iter().next_back()?;
        said.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if settings.behind_tls { last().unwrap_or(peer) } else { peer }
}
