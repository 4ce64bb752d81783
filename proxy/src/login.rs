//! Browsers that log in at a provider of OpenID Connect, and the sessions that begin there.
//!
//! ```text
//! browser              gateway                     provider
//!    ├─ a page ───────────> no session: a trip begins
//!    <─ 302, trip's cookie ┤
//!    ├─ logs in ──────────────────────────────────────>
//!    <─ 302: code, state ──────────────────────────────┤
//!    ├─ code, state, trip ─> any gateway opens the trip
//!    │                     ├─ code, verifier ──────────>
//!    │                     <─ ID token ────────────────┤
//!    <─ 303, session's cookie
//! ```
//!
//! What a trip and a session hold lies with the browser, [sealed](vault) by what the gateways of one Gateway share:
//! so any of them goes on with what another began, and none has to remember anybody.
//! Whose path, page and token it is, `policy` says; here it is done.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, EXPIRES, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::cookie;
use model::login::is_loopback;
use outward::Reach;
use policy::{Answer, Facts, LoggedIn, Login, Reason, Scheme, Visit};

use cookies::Jar;
use provider::{Failed, Provider};
use renewal::Renewals;
use rooms::Rooms;
use session::{Session, Trip};

use crate::revoked::{Ended, Revoked};

pub(crate) use vault::Vault;

mod cookies;
mod provider;
mod renewal;
mod rooms;
mod session;
mod vault;

#[cfg(test)]
mod tests;

/// How long a request waits for the renewal of a session that is over without one: longer than the provider may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same where the session holds yet; what comes later is for the next request.
const SHORT: Duration = Duration::from_secs(1);

/// What a process knows of logins beside what browsers bring.
#[derive(Debug)]
pub(crate) struct Logins {
    provider: Provider,
    /// Sessions that logged out, among all else that counts no more.
    revoked: Arc<Revoked>,
    /// Trips that came back.
    used: Ended,
    renewals: Renewals,
    /// Room for questions for who comes back, which strangers may fill.
    returning: Rooms,
    /// The same for sessions that are renewed.
    renewing: Rooms,
}

/// A browser's request, as logins look at it.
#[derive(Debug)]
pub(crate) struct Browser<'a> {
    /// What seals at the Gateway by which it came.
    pub(crate) vault: Arc<Vault>,
    /// What the browser speaks, with us or with who stands before us.
    pub(crate) scheme: Scheme,
    /// The host as the browser names it, with its port where it names one.
    pub(crate) authority: &'a str,
    pub(crate) facts: &'a Facts<'a>,
}

/// Whose sessions a browser brought, and what it is to keep in their place.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) sessions: Vec<LoggedIn>,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// What comes of a visit.
#[derive(Debug)]
pub(crate) enum Visited {
    Sessions(Brought),
    Answered(Answer),
}

impl Logins {
    /// Asks providers where `reach` leads; who logged out is in `revoked`.
    pub(crate) fn new(reach: Reach, revoked: Arc<Revoked>) -> Self {
        Logins {
            provider: Provider::new(reach),
            revoked,
            used: Ended::default(),
            renewals: Renewals::default(),
            returning: Rooms::default(),
            renewing: Rooms::default(),
        }
    }

    /// Does what a request has to do with logins.
    pub(crate) async fn visit(self: &Arc<Self>, browser: &Browser<'_>, visit: &Visit) -> Visited {
        match visit {
            Visit::Return(login) => Visited::Answered(self.come_back(browser, login).await),
            Visit::Leave(logins) => Visited::Answered(self.leave(browser, logins)),
            Visit::Sessions(logins) => Visited::Sessions(self.brought(browser, logins).await),
        }
    }

    /// A browser comes back from the provider.
    async fn come_back(&self, browser: &Browser<'_>, login: &Login) -> Answer {
        let now = browser.facts.now;
        if browser.facts.method != Method::GET {
            return refused("a browser comes back by GET".to_owned(), Vec::new());
        }
        let said = Said::read(browser.facts.query.unwrap_or_default());
        let trip = said.state.as_ref().and_then(|state| browser.trip(login, state));
        let Some(trip) = trip else {
            let why = "nothing was begun that this ends: it was used already, took more than ten minutes, or began \
                       in another browser";
            return refused(why.to_owned(), Vec::new());
        };
        let jar = browser.jar(login);
        let over: Vec<_> = jar.no_trip(&trip.state).into_iter().collect();
        if said.issuer.as_ref().is_some_and(|issuer| issuer != login.issuer()) {
            return refused("another provider sent it back (its 'iss')".to_owned(), over);
        }
        let code = match (said.error, said.code) {
            (Some(word), _) => return refused(format!("the provider declined: {word}"), over),
            (None, None) => return refused("it brings no code".to_owned(), over),
            (None, Some(code)) => code,
        };
        let Some(_room) = self.returning.room(login) else {
            return unreached("too many ask the provider at once".to_owned(), over);
        };
        if !self.used.end(trip.state.clone(), trip.end(), now) {
            return refused("this try to log in was used already".to_owned(), over);
        }
        let session = match self.provider.redeem(login, &trip, code).await {
            Ok(tokens) => match login.named(tokens.id_token.as_bytes(), Some(&trip.nonce), now) {
                Ok(claims) => Session::new(claims, &tokens, now),
                Err(wrong) => return refused(wrong.to_string(), over),
            },
            Err(failed) => return failed.answer(over),
        };
        let kept = session.and_then(|session| browser.kept(login, &jar, &session));
        match kept {
            Some(cookies) => sent(Reason::LoggedIn, trip.to, [over, cookies].concat()),
            None => refused(
                format!(
                    "its session has more bytes than browsers keep ({}): have the provider say less in its ID token",
                    cookies::MOST
                ),
                over,
            ),
        }
    }

    /// A browser logs out.
    fn leave(&self, browser: &Browser<'_>, logins: &[Arc<Login>]) -> Answer {
        let headers = browser.facts.headers;
        if !browser.asks_itself() {
            let why = "another site, or nobody who says where they are, asks to log out";
            return refused(why.to_owned(), Vec::new());
        }
        let mut cookies = Vec::new();
        for login in logins {
            let jar = browser.jar(login);
            if let Some((session, _)) = browser.session(login, &jar) {
                self.revoked.log_out(session.id.clone(), session.end(login), browser.facts.now);
            }
            cookies.extend(jar.nothing(headers));
        }
        let home = browser.url("/");
        let out = |login: &Arc<Login>| provider::out(login.end_session_url.as_ref()?, login, &home);
        let to = logins.iter().find_map(out);
        sent(Reason::LoggedOut, to.unwrap_or_else(|| "/".to_owned()), cookies)
    }

    /// The sessions that a browser brought, each renewed where that is due.
    async fn brought(self: &Arc<Self>, browser: &Browser<'_>, logins: &[Arc<Login>]) -> Brought {
        let (mut brought, now) = (Brought::default(), browser.facts.now);
        for login in logins {
            let jar = browser.jar(login);
            let Some((old, is_old_key)) = browser.session(login, &jar) else { continue };
            if !self.holds(login, &old, now) {
                continue;
            }
            let renewed = self.renewed(login, &old, now).await;
            let is_to_be_kept = is_old_key || renewed.is_some();
            let session = renewed.unwrap_or(old);
            // Meanwhile somebody may have logged out, or the time be over.
            if session.is_stale(now) || !self.holds(login, &session, now) {
                continue;
            }
            if is_to_be_kept {
                brought.cookies.extend(browser.kept(login, &jar, &session).into_iter().flatten());
            }
            let since = session.began;
            let (login, principal) = (Arc::clone(login), Arc::new(login.principal(session.claims)));
            brought.sessions.push(LoggedIn { login, principal, since });
        }
        brought
    }

    /// The same, as far as it is told without asking anybody: what is under way is not ended by a renewal that is due.
    pub(crate) fn known<'l>(
        &self,
        browser: &Browser<'_>,
        logins: impl Iterator<Item = &'l Arc<Login>>,
    ) -> Vec<LoggedIn> {
        let known = logins.filter_map(|login| {
            let (session, _) = browser.session(login, &browser.jar(login))?;
            let holds = self.holds(login, &session, browser.facts.now);
            let since = session.began;
            let (login, principal) = (Arc::clone(login), Arc::new(login.principal(session.claims)));
            holds.then_some(LoggedIn { login, principal, since })
        });
        known.collect()
    }

    fn holds(&self, login: &Login, session: &Session, now: i64) -> bool {
        now < session.end(login) && !self.revoked.sessions.has(&session.id)
    }

    /// The session in the place of one that is due, or was renewed already; none where there is no other.
    async fn renewed(
        self: &Arc<Self>,
        login: &Arc<Login>,
        old: &Session,
        now: i64,
    ) -> Option<Session> {
        if !old.is_renewable() {
            return None;
        }
        // What is newer is known where it was renewed, however long ago the browser was answered.
        if !old.is_due(now) {
            let slot = self.renewals.known(&old.id)?;
            let known = slot.try_lock().ok().and_then(|slot| slot.known());
            return known.filter(|known| known.is_newer(old));
        }
        let slot = self.renewals.slot(&old.id);
        let (logins, login) = (Arc::clone(self), Arc::clone(login));
        let (brought, is_stale) = (old.clone(), old.is_stale(now));
        // Whoever goes meanwhile takes nothing with them: the provider may have replaced what was shown.
        let asking = tokio::spawn(async move {
            let mut slot = slot.lock().await;
            let newest = slot.newest(brought);
            if newest.is_due(now) && slot.may_ask() {
                match logins.ask_again(&login, &newest, now).await {
                    Ok(renewed) => slot.keep(renewed),
                    Err(failed) => slot.fail(&failed),
                }
            }
            slot.known()
        });
        let patience = if is_stale { PATIENCE } else { SHORT };
        let known = tokio::time::timeout(patience, asking).await.ok()?.ok()??;
        known.is_newer(old).then_some(known)
    }

    async fn ask_again(&self, login: &Login, old: &Session, now: i64) -> Result<Session, Failed> {
        let refused = |why: &str| Err(Failed::Refused(why.to_owned()));
        let Some(_room) = self.renewing.room(login) else {
            return Err(Failed::Unreached("too many ask the provider at once".to_owned()));
        };
        let Some(refresh) = &old.refresh else { return refused("it has nothing to ask by") };
        let renewed = self.provider.renew(login, refresh).await;
        let renewed = renewed.and_then(|tokens| {
            let claims = match tokens.id_token.is_empty() {
                true => old.claims.clone(),
                false => match login.named(tokens.id_token.as_bytes(), None, now) {
                    Ok(claims) if claims.get("sub") == old.claims.get("sub") => claims,
                    Ok(_) => return refused("its ID token names somebody else"),
                    Err(wrong) => return refused(&wrong.to_string()),
                },
            };
            Ok(old.renewed(claims, &tokens, now))
        });
        if let Err(why) = &renewed {
            tracing::debug!(login = &*login.id, %why, "a session is not renewed");
        }
        renewed
    }
}

/// Sends a browser to where it logs in; `instead` where it cannot.
pub(crate) fn begin(browser: &Browser<'_>, login: &Login, instead: Answer) -> Answer {
    let jar = browser.jar(login);
    if !browser.is_private() {
        let why = "a browser logs in over TLS alone, unless it is on the gateway's own machine";
        return Answer { detail: Some(why.into()), ..instead };
    }
    let back = browser.url(&login.callback);
    let begun = Trip::new(back, browser.wanted(), browser.facts.now).and_then(|trip| {
        let sealed =
            browser.vault.seal(&browser.of_trip(login), &trip.to_bytes()?, browser.facts.now)?;
        let door = provider::door(login, &trip)?;
        let mut cookies = jar.trips_to_forget(browser.facts.headers);
        cookies.push(jar.trip(&trip.state, &sealed)?);
        Some((door, cookies))
    });
    let Some((door, cookies)) = begun else {
        let why = "where the browser logs in is no URL, or no randomness is to be had";
        return Answer { detail: Some(why.into()), ..instead };
    };
    sent(Reason::LoginBegun, door, cookies)
}

impl<'a> Browser<'a> {
    fn jar(&self, login: &Login) -> Jar {
        Jar::new(login, self.scheme)
    }

    /// Whether nobody between reads what is sent.
    fn is_private(&self) -> bool {
        self.scheme == Scheme::Https || is_loopback(self.facts.host)
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme.as_str(), self.authority)
    }

    /// Whether somebody at this very site asks, or by their own hand: by GET only where the browser says so (Fetch
    /// Metadata, section 2.4).
    fn asks_itself(&self) -> bool {
        const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        let headers = self.facts.headers;
        match headers.get(&SITE).map(HeaderValue::as_bytes) {
            Some(site) => {
                let is_asked = [Method::GET, Method::POST].contains(self.facts.method);
                is_asked && (site == b"same-origin" || site == b"none")
            }
            None => {
                let own = self.url("");
                let is_own = headers.get(ORIGIN).is_some_and(|origin| origin == own.as_str());
                self.facts.method == Method::POST && is_own
            }
        }
    }

    /// What was asked for, to which the browser comes back: within this host.
    fn wanted(&self) -> String {
        let query = self.facts.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.facts.path)
    }

    /// As what a session is sealed: browsers bring it to the host alone that gave it, so that a copy opens at no other.
    fn of_session(&self, login: &Login) -> String {
        format!("session\n{}\n{}", login.seal, self.facts.host)
    }

    /// As what a trip is sealed, so that none opens as a session.
    fn of_trip(&self, login: &Login) -> String {
        format!("trip\n{}\n{}", login.seal, self.facts.host)
    }

    /// The trip that is known by a state, while there is time for it.
    fn trip(&self, login: &Login, state: &str) -> Option<Trip> {
        if !self.is_private() {
            return None;
        }
        let jar = self.jar(login);
        let sealed = jar.find_trip(self.facts.headers, state)?;
        let trip = Trip::of_bytes(&self.vault.open(&self.of_trip(login), sealed)?.body)?;
        (trip.state == state && trip.holds(self.facts.now)).then_some(trip)
    }

    /// The session that was brought, and whether it is to be sealed anew.
    fn session(&self, login: &Login, jar: &Jar) -> Option<(Session, bool)> {
        // Over plain HTTP anybody between could have set it.
        if !self.is_private() {
            return None;
        }
        let opened = self.vault.open(&self.of_session(login), &jar.find(self.facts.headers)?)?;
        Some((Session::of_bytes(&opened.body)?, opened.is_old_key))
    }

    /// What the browser is to keep of a session; none where it would not.
    fn kept(&self, login: &Login, jar: &Jar, session: &Session) -> Option<Vec<HeaderValue>> {
        let now = self.facts.now;
        let sealed = self.vault.seal(&self.of_session(login), &session.to_bytes()?, now)?;
        jar.session(&sealed, session.end(login) - now, self.facts.headers)
    }
}

impl Failed {
    fn answer(self, over: Vec<HeaderValue>) -> Answer {
        match self {
            Failed::Refused(why) => refused(why, over),
            Failed::Unreached(why) => unreached(why, over),
        }
    }
}

/// What a provider says in the query of a browser that it sends back (RFC 6749, section 4.1.2, and RFC 9207).
#[derive(Debug, Default)]
struct Said {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Said {
    fn read(query: &str) -> Self {
        let mut said = Said::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "code" => &mut said.code,
                "state" => &mut said.state,
                "error" => &mut said.error,
                "iss" => &mut said.issuer,
                _ => continue,
            };
            // Of what stands there twice, nobody says which is meant: the first one counts.
            place.get_or_insert_with(|| value.into_owned());
        }
        said.error = said.error.map(|error| provider::word(&error));
        said
    }
}

/// A redirect, with what the browser is to keep.
fn sent(reason: Reason, to: String, cookies: Vec<HeaderValue>) -> Answer {
    match HeaderValue::try_from(to) {
        Ok(to) => {
            let mut answer = with_cookies(Answer::new(reason), cookies);
            answer.headers.push((LOCATION, to));
            answer
        }
        Err(_) => refused("where it would be sent is no URL".to_owned(), cookies),
    }
}

fn refused(why: String, cookies: Vec<HeaderValue>) -> Answer {
    let answer = Answer { detail: Some(why.into()), ..Answer::new(Reason::LoginRefused) };
    with_cookies(answer, cookies)
}

fn unreached(why: String, cookies: Vec<HeaderValue>) -> Answer {
    let answer = Answer { detail: Some(why.into()), ..Answer::new(Reason::LoginUnreached) };
    with_cookies(answer, cookies)
}

/// Nobody between keeps what is one browser's.
fn with_cookies(mut answer: Answer, cookies: Vec<HeaderValue>) -> Answer {
    answer.headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer.headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    answer
}

/// Has an answer give a browser what it is to keep.
pub(crate) fn keep(cookies: &[HeaderValue], headers: &mut HeaderMap) {
    if cookies.is_empty() {
        return;
    }
    // No cache between gives one person's session to others, whatever word of whose it obeys.
    let is_for_caches = |name: &&HeaderName| {
        let name = name.as_str();
        name == "surrogate-control" || name.ends_with("cdn-cache-control")
    };
    let others: Vec<_> = headers.keys().filter(is_for_caches).cloned().collect();
    others.iter().chain([&EXPIRES]).for_each(|name| drop(headers.remove(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie.clone());
    }
}

/// Takes off cookies of our names that a backend or a filter sets: else who owns one route of a host could have
/// everybody be whom they want at the others.
pub(crate) fn strip(headers: &mut HeaderMap) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let is_ours = |line: &HeaderValue| {
        let name = line.as_bytes().split(|byte| matches!(byte, b'=' | b';')).next();
        name.is_some_and(|name| cookie::is_of_login(name.trim_ascii()))
    };
    if !headers.get_all(SET_COOKIE).iter().any(is_ours) {
        return;
    }
    let kept: Vec<_> =
        headers.get_all(SET_COOKIE).iter().filter(|line| !is_ours(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}
