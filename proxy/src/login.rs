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

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::login::is_loopback;
use outward::Reach;
use policy::{Answer, Facts, LoggedIn, Login, Reason, Scheme, Visit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use cookies::Jar;
use ended::Ended;
use provider::{Failed, Provider};
use renewal::Renewals;
use session::{Session, Trip};

pub(crate) use vault::Vault;

mod cookies;
mod ended;
mod provider;
mod renewal;
mod session;
mod vault;

#[cfg(test)]
mod tests;

/// How many questions to providers are under way at once for one namespace; more browsers are told to try again.
const AT_ONCE: usize = 64;

/// What a process knows of logins beside what browsers bring.
#[derive(Debug)]
pub(crate) struct Logins {
    provider: Provider,
    ended: Ended,
    renewals: Renewals,
    /// Room for questions to providers that policies of a namespace name: one that is slow takes none of another's.
    rooms: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
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
    /// Asks providers where `reach` leads.
    pub(crate) fn new(reach: Reach) -> Self {
        Logins {
            provider: Provider::new(reach),
            ended: Ended::default(),
            renewals: Renewals::default(),
            rooms: Mutex::default(),
        }
    }

    /// Does what a request has to do with logins.
    pub(crate) async fn visit(self: &Arc<Self>, browser: &Browser<'_>, visit: &Visit) -> Visited {
        match visit {
            Visit::Return(logins) => Visited::Answered(self.come_back(browser, logins).await),
            Visit::Leave(logins) => Visited::Answered(self.leave(browser, logins)),
            Visit::Sessions(logins) => Visited::Sessions(self.brought(browser, logins).await),
        }
    }

    /// A browser comes back from the provider.
    async fn come_back(&self, browser: &Browser<'_>, logins: &[Arc<Login>]) -> Answer {
        let now = browser.facts.now;
        if browser.facts.method != Method::GET {
            return refused("a browser comes back by GET".to_owned(), Vec::new());
        }
        let said = Said::read(browser.facts.query.unwrap_or_default());
        let found = said.state.as_ref().and_then(|state| {
            logins.iter().find_map(|login| Some((login, browser.trip(login, state)?)))
        });
        let Some((login, trip)) = found else {
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
        let Some(_room) = self.room(login) else {
            return unreached("too many ask the provider at once".to_owned(), over);
        };
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
        const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        let headers = browser.facts.headers;
        let is_own = browser.facts.method == Method::GET || browser.facts.method == Method::POST;
        if !is_own || headers.get(&SITE).is_some_and(|site| site == "cross-site") {
            return refused("another site asks to log out".to_owned(), Vec::new());
        }
        let mut cookies = Vec::new();
        for login in logins {
            let jar = browser.jar(login);
            if let Some((session, _)) = browser.session(login, &jar) {
                self.ended.end(session.id.clone(), session.end(login), browser.facts.now);
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
            let found = browser.session(login, &jar);
            let found = found.filter(|(session, _)| self.holds(login, session, now));
            let Some((mut session, mut is_to_be_kept)) = found else { continue };
            if session.is_due(now) {
                match self.renewed(login, &session, now).await {
                    Some(renewed) => (session, is_to_be_kept) = (renewed, true),
                    None if session.is_stale(now) => continue,
                    None => {}
                }
            }
            if is_to_be_kept {
                brought.cookies.extend(browser.kept(login, &jar, &session).into_iter().flatten());
            }
            let (login, principal) = (Arc::clone(login), Arc::new(login.principal(session.claims)));
            brought.sessions.push(LoggedIn { login, principal });
        }
        brought
    }

    /// Room for one question to a provider; none where as many are under way for its namespace as may be.
    fn room(&self, login: &Login) -> Option<OwnedSemaphorePermit> {
        let namespace = login.id.split('/').next().unwrap_or_default();
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(namespace.into());
        let room = room.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        Arc::clone(room).try_acquire_owned().ok()
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
            let (login, principal) = (Arc::clone(login), Arc::new(login.principal(session.claims)));
            holds.then_some(LoggedIn { login, principal })
        });
        known.collect()
    }

    fn holds(&self, login: &Login, session: &Session, now: i64) -> bool {
        now < session.end(login) && !self.ended.has(&session.id)
    }

    /// A session that the provider was asked for anew; none where it does not say so.
    async fn renewed(
        self: &Arc<Self>,
        login: &Arc<Login>,
        old: &Session,
        now: i64,
    ) -> Option<Session> {
        let slot = self.renewals.slot(&old.id)?;
        let (logins, login, old) = (Arc::clone(self), Arc::clone(login), old.clone());
        // Whoever goes meanwhile takes nothing with them: the provider may have replaced what was shown.
        let asking = tokio::spawn(async move {
            let mut slot = slot.lock().await;
            if let Some(renewed) = slot.of(&old) {
                return renewed;
            }
            let renewed = logins.ask_again(&login, &old, now).await;
            slot.keep(&old, renewed.clone());
            renewed
        });
        asking.await.ok().flatten()
    }

    async fn ask_again(&self, login: &Login, old: &Session, now: i64) -> Option<Session> {
        let _room = self.room(login)?;
        let told = |why: String| {
            tracing::debug!(login = &*login.id, why, "a session is not renewed");
            None
        };
        let tokens = match self.provider.renew(login, old.refresh.as_ref()?).await {
            Ok(tokens) => tokens,
            Err(failed) => return told(failed.to_string()),
        };
        let claims = match tokens.id_token.is_empty() {
            true => old.claims.clone(),
            false => match login.named(tokens.id_token.as_bytes(), None, now) {
                Ok(claims) if claims.get("sub") == old.claims.get("sub") => claims,
                Ok(_) => return told("it names somebody else".to_owned()),
                Err(wrong) => return told(wrong.to_string()),
            },
        };
        Some(old.renewed(claims, &tokens, now))
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
        let sealed = browser.vault.seal(&trip_of(login), &trip.to_bytes()?, browser.facts.now)?;
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

    /// What was asked for, to which the browser comes back: within this host.
    fn wanted(&self) -> String {
        let query = self.facts.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.facts.path)
    }

    /// The trip that is known by a state, while there is time for it.
    fn trip(&self, login: &Login, state: &str) -> Option<Trip> {
        let jar = self.jar(login);
        let sealed = jar.find_trip(self.facts.headers, state)?;
        let trip = Trip::of_bytes(&self.vault.open(&trip_of(login), sealed)?.body)?;
        (trip.state == state && trip.holds(self.facts.now)).then_some(trip)
    }

    /// The session that was brought, and whether it is to be sealed anew.
    fn session(&self, login: &Login, jar: &Jar) -> Option<(Session, bool)> {
        let opened = self.vault.open(&login.seal, &jar.find(self.facts.headers)?)?;
        Some((Session::of_bytes(&opened.body)?, opened.is_old_key))
    }

    /// What the browser is to keep of a session; none where it would not.
    fn kept(&self, login: &Login, jar: &Jar, session: &Session) -> Option<Vec<HeaderValue>> {
        let now = self.facts.now;
        let sealed = self.vault.seal(&login.seal, &session.to_bytes()?, now)?;
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

/// As whose a trip is sealed, so that none opens as a session.
fn trip_of(login: &Login) -> String {
    format!("trip {}", login.seal)
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

/// Has an answer that passes give a browser what it is to keep.
pub(crate) fn keep(cookies: Vec<HeaderValue>, headers: &mut HeaderMap) {
    if cookies.is_empty() {
        return;
    }
    let private = HeaderValue::from_static("no-cache=\"set-cookie\"");
    headers.append(CACHE_CONTROL, private);
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
}
