//! What the console asks of the door that REST has: who comes for a page, and signing in and out by a
//! form, which works before any script runs.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use time::OffsetDateTime;

use super::problem::Problem;
use super::{Rest, ask, guard, session};
use crate::app::{Op, SignIn, Use};
use crate::authn::{Caller, Proof, is_platform_admin, secret};
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
    /// When.
    pub now: OffsetDateTime,
    /// The request, as the log names it.
    pub request_id: String,
    address: IpAddr,
    agent: String,
}

impl Visit {
    /// What the visitor asks, with a reason in their words.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for nobody, [`Refusal::Invalid`] where nobody may say so much.
    pub fn op(&self, message: String) -> Result<Op, Refusal> {
        let caller = self.caller.as_ref().ok_or(Refusal::Unauthenticated)?;
        Ok(caller.op(&self.request_id, self.now, ask::said(message)?))
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
        let is_admin = self.is_admin(caller.as_ref()).await.map_err(turned)?;
        let address = guard::address(&self.settings, parts);
        let agent = agent(&parts.headers);
        Ok(Visit { caller, is_admin, now, request_id, address, agent })
    }

    async fn is_admin(&self, caller: Option<&Caller>) -> Result<bool, Problem> {
        let Some(caller) = caller else { return Ok(false) };
        Ok(is_platform_admin(&caller.rights(&*self.app.world().await?)))
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

/// The status by which REST refuses; what only the log helps with is logged.
pub fn status(refusal: &Refusal) -> StatusCode {
    Problem::from(refusal).status()
}
