//! What the console asks of the door that REST has: who comes for a page, and signing in and out by a
//! form or by a login provider, which works before any script runs.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use model::Kind;
use model::access::Rights;
use model::role::Verb;
use serde::Deserialize;
use time::OffsetDateTime;

use super::problem::Problem;
use super::{Rest, ask, guard, session};
use crate::app::{LoginEnd, LoginStart, Op, SignIn, Use};
use crate::authn::{Caller, Proof, is_platform_admin, secret};
use crate::login::Failure;
use crate::moment::{self, micros};
use crate::{App, Refusal};

/// What a page sends that looks again by itself, so that a session in which nobody does anything ends.
const LOOK: HeaderName = HeaderName::from_static("x-heddle-look");

/// Somebody who came for a page.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Who, if they are signed in.
    pub caller: Option<Caller>,
    /// Whether they may do everything.
    pub is_admin: bool,
    /// Whether they may do anything at all.
    pub has_rights: bool,
    rights: Arc<Rights>,
    /// When.
    pub now: OffsetDateTime,
    /// The request, as the log names it.
    pub request_id: String,
    address: IpAddr,
    agent: String,
    /// Scheme and host under which they came.
    origin: String,
    /// What they kept while they were away at a login provider; nothing where they were not.
    away: Kept,
}

/// A secret of a browser.
#[derive(Clone)]
struct Kept(String);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

/// What a login provider sends somebody back with.
#[derive(Default, Deserialize)]
pub struct Back {
    /// What they were sent there with.
    #[serde(default)]
    state: String,
    /// What a token is given for.
    code: Option<String>,
    /// Why there is none.
    error: Option<String>,
    /// Whose answer it is.
    iss: Option<String>,
}

impl std::fmt::Debug for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Back")
    }
}

impl Visit {
    /// Scheme and host under which they came; nothing where that is not told.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the visitor asks, with a reason in their words.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for nobody, [`Refusal::Invalid`] where nobody may say so much.
    pub fn op(&self, message: String) -> Result<Op, Refusal> {
        let caller = self.caller.as_ref().ok_or(Refusal::Unauthenticated)?;
        Ok(caller.op(&self.request_id, self.now, ask::said(message)?))
    }

    /// Whether they may do this with some object of a kind somewhere.
    pub fn does(&self, verb: Verb, kind: Kind) -> bool {
        self.rights.does(verb, kind)
    }

    /// Where the visitor is.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What a form of the visitor's carries to show that a page of ours made it; none for nobody.
    pub fn csrf(&self) -> Option<&str> {
        match &self.caller.as_ref()?.by {
            Proof::Session { csrf, .. } => Some(csrf),
            Proof::Token { .. } => None,
        }
    }

    /// Whether a form carries just that.
    pub fn made(&self, csrf: &str) -> bool {
        self.csrf().is_some_and(|own| secret::are_same(own, csrf))
    }
}

impl Rest {
    /// The use cases.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Who comes; `is_form` where they send one.
    ///
    /// # Errors
    /// The answer for whoever comes by a name that is not ours, or from a page of another site.
    pub async fn visit(&self, parts: &Parts, is_form: bool) -> Result<Visit, Box<Response>> {
        let request_id = guard::request_id(&parts.headers);
        let turned = |problem: Problem| Box::new(problem.response(&request_id));
        guard::host(&self.settings, parts).map_err(turned)?;
        if is_form {
            guard::origin(parts).map_err(turned)?;
        }
        let now = moment::time(micros(OffsetDateTime::now_utc()));
        // A page is for people: who comes with a token is nobody here.
        let used = if parts.headers.contains_key(LOOK) { Use::Page } else { Use::Person };
        let caller = guard::visitor(&self.app, &self.settings, &parts.headers, now, used).await;
        let caller = caller.map_err(turned)?;
        let rights = self.rights(caller.as_ref()).await.map_err(turned)?;
        let (is_admin, has_rights) = (is_platform_admin(&rights), !rights.is_empty());
        let address = guard::address(&self.settings, parts);
        let agent = agent(&parts.headers);
        let origin = guard::own_origin(&self.settings, parts).unwrap_or_default();
        let away = guard::cookie(guard::login_cookie_name(&self.settings), &parts.headers);
        let away = Kept(away.unwrap_or_default().to_owned());
        let rights = Arc::new(rights);
        Ok(Visit {
            caller,
            is_admin,
            has_rights,
            rights,
            now,
            request_id,
            address,
            agent,
            origin,
            away,
        })
    }

    async fn rights(&self, caller: Option<&Caller>) -> Result<Rights, Problem> {
        let Some(caller) = caller else { return Ok(Rights::default()) };
        Ok(caller.rights(&*self.app.world().await?))
    }

    /// Begins to sign in by a login provider: where the browser goes, and what `Set-Cookie` says.
    ///
    /// # Errors
    /// As [`App::login_start`].
    pub async fn login_start(
        &self,
        visit: &Visit,
        provider: String,
        wanted: String,
    ) -> Result<(String, HeaderValue), Failure> {
        let Visit { now, address, origin, .. } = visit.clone();
        let start = LoginStart { provider, origin, wanted, address, now };
        let started = self.app.login_start(start).await.inspect_err(noted)?;
        Ok((started.to, self.login_cookie(&started.cookie)))
    }

    /// Ends it: where they wanted to go, and what `Set-Cookie` says.
    ///
    /// # Errors
    /// As [`App::login_end`].
    pub async fn login_end(
        &self,
        visit: &Visit,
        provider: String,
        back: Back,
    ) -> Result<(String, HeaderValue), Failure> {
        let Visit { now, address, agent, away: Kept(cookie), .. } = visit.clone();
        let Back { state, code, error, iss: issuer } = back;
        let end = LoginEnd { provider, state, code, error, issuer, cookie, address, agent, now };
        let (signed_in, wanted) = self.app.login_end(end).await.inspect_err(noted)?;
        Ok((wanted, session::cookie(&self.settings, &signed_in.cookie)))
    }

    /// What `Set-Cookie` says of who is back, however that ended.
    pub fn login_over(&self) -> HeaderValue {
        self.login_cookie("")
    }

    fn login_cookie(&self, value: &str) -> HeaderValue {
        let name = guard::login_cookie_name(&self.settings);
        session::set_cookie(&self.settings, name, value, 600)
    }

    /// Signs in; what `Set-Cookie` says.
    ///
    /// # Errors
    /// As [`App::session_create`].
    pub async fn sign_in(
        &self,
        visit: &Visit,
        user: String,
        password: String,
    ) -> Result<HeaderValue, Refusal> {
        let Visit { now, address, agent, .. } = visit.clone();
        let signed_in =
            self.app.session_create(SignIn { user, password, address, agent, now }).await?;
        Ok(session::cookie(&self.settings, &signed_in.cookie))
    }

    /// Signs out; what `Set-Cookie` says.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn sign_out(&self, visit: &Visit) -> Result<HeaderValue, Refusal> {
        if let Some(caller) = &visit.caller
            && let Some(id) = caller.session()
        {
            match self.app.session_end(caller, &visit.op(String::new())?, id).await {
                // It ended meanwhile, which is what is wanted.
                Ok(()) | Err(Refusal::None(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(session::cookie(&self.settings, ""))
    }
}

fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.unwrap_or_default().to_owned()
}

/// What only the log helps with is logged: what a provider did instead.
fn noted(failure: &Failure) {
    if let Failure::Away { source, .. } = failure {
        let mut causes = vec![source.to_string()];
        let mut next = std::error::Error::source(source);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        tracing::warn!("a login provider is of no use: {}", causes.join(": "));
    }
}

/// The status of a page on which somebody is told why they did not come in by a login provider.
pub fn login_status(failure: Failure) -> StatusCode {
    match failure {
        Failure::NoProvider(_) => StatusCode::NOT_FOUND,
        Failure::Away { .. } | Failure::Unbelieved { .. } => StatusCode::BAD_GATEWAY,
        Failure::Over => StatusCode::BAD_REQUEST,
        Failure::Declined { .. }
        | Failure::NoName { .. }
        | Failure::Taken { .. }
        | Failure::Disabled { .. } => StatusCode::FORBIDDEN,
        Failure::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Failure::Refused(refusal) => status(&refusal),
    }
}

/// The status by which REST refuses; what only the log helps with is logged.
pub fn status(refusal: &Refusal) -> StatusCode {
    Problem::from(refusal).status()
}
