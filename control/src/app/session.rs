//! Signing in and out, and who asks by a cookie or a token.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::Name;
use store::Entry;
use store::identity::Identity;
use store::session::Session;
use time::{Duration, OffsetDateTime};

use super::{App, Op, login};
use crate::authn::attempts::Attempts;
use crate::authn::{Caller, Narrowed, Proof, secret};
use crate::moment::{self, micros};
use crate::refusal::Refusal;

/// How long a session lasts.
const LIFE: Duration = Duration::hours(12);
/// How long a session lasts without being used.
const IDLE: Duration = Duration::hours(1);
/// How often it is noted that a session or a token is used.
const NOTED: Duration = Duration::minutes(1);
/// How long the note of it may take.
const SOON: std::time::Duration = std::time::Duration::from_secs(1);
/// Sessions of one user at once; the one used longest ago makes room.
const SESSIONS: usize = 50;

/// By whom a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Somebody does something, so that it goes on.
    Person,
    /// A page looks again, and perhaps nobody is there.
    Page,
}

/// Who wants to sign in.
pub struct SignIn {
    /// The name of the user.
    pub user: String,
    /// Their password.
    pub password: String,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser calls itself.
    pub agent: String,
    /// When.
    pub now: OffsetDateTime,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A session that begins.
pub struct SignedIn {
    /// Who.
    pub caller: Caller,
    /// The secret that proves it.
    pub cookie: String,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl App {
    /// Signs in.
    ///
    /// # Errors
    /// [`Refusal::WrongPassword`], whatever of the two is wrong; [`Refusal::TooManyAttempts`].
    pub async fn session_create(&self, asked: SignIn) -> Result<SignedIn, Refusal> {
        let SignIn { user: name, password, address, agent, now } = asked;
        let attempts: &Attempts = &self.authn.attempts;
        attempts.enter(&name, address, now).map_err(Refusal::TooManyAttempts)?;
        let user = self.store.user_named(&name).await?.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let fits = self.authn.passwords.verify(password.clone(), hash.clone()).await?;
        let at = micros(now);
        let said = |outcome: &str, name: &str| Entry {
            at,
            actor: name.to_owned(),
            verb: "sign in".to_owned(),
            object: "session".to_owned(),
            outcome: outcome.to_owned(),
            detail: format!("from {address}"),
        };
        let name = user.as_ref().and_then(|user| Name::parse(&user.name).ok());
        let (Some(user), Some(name), true) = (user, name.clone(), fits) else {
            // What was typed as a name may be a password: only names of users are written down.
            let name = name.as_ref().map_or("", Name::as_str);
            self.store.audit_append(&[said("refused", name)]).await?;
            return Err(Refusal::WrongPassword);
        };
        attempts.succeed(name.as_str(), address);
        self.authn.first.used(name.as_str(), &password);
        let cookie = secret::random()?;
        let session = new_session(&user.id, &cookie, &agent, now);
        self.store.session_sweep(at).await?;
        let done = said("done", name.as_str());
        // Whoever was given another password meanwhile did not sign in with it.
        if !self.store.session_create(&session, &hash.unwrap_or_default(), &done).await? {
            return Err(Refusal::WrongPassword);
        }
        self.session_room(&user.id, &done).await?;
        let who = Who { id: user.id, name, from: None, groups: BTreeSet::new() };
        Ok(SignedIn { caller: who.in_session(session, &cookie), cookie })
    }

    /// Begins a session of who comes from a provider; none where they may not sign in.
    pub(super) async fn session_enter(
        &self,
        identity: &Identity,
        agent: &str,
        done: &Entry,
    ) -> Result<Option<SignedIn>, Refusal> {
        let cookie = secret::random()?;
        let session = new_session(&identity.user, &cookie, agent, moment::time(done.at));
        self.store.session_sweep(done.at).await?;
        if !self.store.identity_enter(identity, &session, done).await? {
            return Ok(None);
        }
        self.session_room(&identity.user, done).await?;
        let who = self.user_of(&identity.user).await?;
        Ok(who.map(|who| SignedIn { caller: who.in_session(session, &cookie), cookie }))
    }

    /// Ends the sessions that make room for the one that `done` tells of.
    async fn session_room(&self, user: &str, done: &Entry) -> Result<(), Refusal> {
        for old in self.store.session_list(user, done.at).await?.iter().skip(SESSIONS) {
            let ended = Entry { outcome: "ended for a newer one".to_owned(), ..done.clone() };
            self.store.session_end(&old.id, &ended).await?;
        }
        Ok(())
    }

    /// Who asks by this cookie; none if there is no such session, or not any more. What a page asks by
    /// itself is no [`Use`] of it.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn caller_by_cookie(
        &self,
        cookie: &str,
        used: Use,
        now: OffsetDateTime,
    ) -> Result<Option<Caller>, Refusal> {
        let at = micros(now);
        let id = store::digest(cookie.as_bytes());
        let found = self.store.session(&id, at).await?;
        let Some(session) = found.filter(|session| is_awake(session, now)) else { return Ok(None) };
        let Some(who) = self.user_of(&session.user).await? else { return Ok(None) };
        if used == Use::Person && at - session.seen >= micros_of(NOTED) {
            let touched = self.store.session_touch(&session.id, at, session.expires);
            noted(touched).await;
        }
        Ok(Some(who.in_session(session, cookie)))
    }

    /// Who asks by this token; none if it is unknown, over, revoked, or its user disabled.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn caller_by_token(
        &self,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Caller>, Refusal> {
        let at = micros(now);
        if !token.starts_with(secret::TOKEN) {
            return Ok(None);
        }
        let hash = store::digest(token.as_bytes());
        let Some(token) = self.store.token_by_hash(&hash, at).await? else { return Ok(None) };
        let Some(who) = self.user_of(&token.user).await? else { return Ok(None) };
        // What cannot be read gives nothing.
        let Ok(narrowed) = serde_json::from_str::<Narrowed>(&token.scopes) else {
            return Ok(None);
        };
        if token.seen.is_none_or(|seen| at - seen >= micros_of(NOTED)) {
            noted(self.store.token_touch(&token.id, at)).await;
        }
        let by = Proof::Token { id: token.id, expires: token.expires, narrowed };
        Ok(Some(who.proved(by)))
    }

    /// Whether a caller who was let in would still be, and as the same.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn caller_is_good(
        &self,
        caller: &Caller,
        now: OffsetDateTime,
    ) -> Result<bool, Refusal> {
        let at = micros(now);
        // Other groups are other rights: who has them comes anew.
        let who = self.user_of(&caller.id).await?;
        if who.is_none_or(|who| who.groups != caller.groups) {
            return Ok(false);
        }
        match &caller.by {
            Proof::Session { id, .. } => {
                Ok(self.store.session(id, at).await?.is_some_and(|one| is_awake(&one, now)))
            }
            Proof::Token { id, .. } => {
                let tokens = self.store.token_list(&caller.id).await?;
                let good = tokens.iter().find(|token| token.id == *id).is_some_and(|token| {
                    token.revoked.is_none() && token.expires.is_none_or(|expires| expires > at)
                });
                Ok(good)
            }
        }
    }

    /// The sessions of the caller, or of another user for a platform admin; the last used first.
    ///
    /// # Errors
    /// [`Refusal::None`] where the caller may not know of the user.
    pub async fn session_list(
        &self,
        caller: &Caller,
        op: &Op,
        user: Option<&str>,
    ) -> Result<Vec<Session>, Refusal> {
        let id = match user.filter(|user| *user != caller.name.as_str()) {
            None => caller.id.clone(),
            Some(user) => {
                let none = || Refusal::None(format!("user '{user}'"));
                self.admin(op, none).await?;
                self.store.user_named(user).await?.ok_or_else(none)?.id
            }
        };
        let sessions = self.store.session_list(&id, micros(op.now)).await?;
        Ok(sessions.into_iter().filter(|one| is_awake(one, op.now)).collect())
    }

    /// Ends a session of the caller's, or anybody's for a platform admin.
    ///
    /// # Errors
    /// [`Refusal::None`] where there is none that the caller may end.
    pub async fn session_end(&self, caller: &Caller, op: &Op, id: &str) -> Result<(), Refusal> {
        let none = || Refusal::None("such session".to_owned());
        let session = self.store.session(id, micros(op.now)).await?.ok_or_else(none)?;
        if session.user == caller.id {
            caller.whole()?;
        } else {
            self.admin(op, none).await?;
        }
        let said = op.said("sign out", "session", String::new());
        if self.store.session_end(id, &said).await? { Ok(()) } else { Err(none()) }
    }

    /// The groups of a user, as the provider said that they come from; none of anybody else.
    pub(super) async fn groups_of(&self, name: &Name) -> Result<BTreeSet<(Name, String)>, Refusal> {
        let Some(user) = self.store.user_named(name.as_str()).await? else {
            return Ok(BTreeSet::new());
        };
        Ok(self.user_of(&user.id).await?.map(|who| who.groups).unwrap_or_default())
    }

    /// A user who may sign in: by a password, or by a provider that is there as it was.
    async fn user_of(&self, id: &str) -> Result<Option<Who>, Refusal> {
        let Some(user) = self.store.user(id).await?.filter(|user| !user.disabled) else {
            return Ok(None);
        };
        let Ok(name) = Name::parse(&user.name) else { return Ok(None) };
        if user.password.is_some() {
            return Ok(Some(Who { id: user.id, name, from: None, groups: BTreeSet::new() }));
        }
        let Some(identity) = self.store.identity_of(&user.id).await? else { return Ok(None) };
        let from = Name::parse(&identity.provider).ok();
        let world = self.world().await?;
        let from = from.filter(|_| login::stands(&world, &identity));
        Ok(from.map(|from| {
            let groups = identity.groups.into_iter().map(|group| (from.clone(), group)).collect();
            Who { id: user.id, name, from: Some(from), groups }
        }))
    }
}

/// A user who may sign in.
struct Who {
    id: String,
    name: Name,
    from: Option<Name>,
    groups: BTreeSet<(Name, String)>,
}

impl Who {
    fn in_session(self, session: Session, cookie: &str) -> Caller {
        let csrf = secret::csrf(cookie);
        self.proved(Proof::Session { id: session.id, csrf, expires: session.expires })
    }

    fn proved(self, by: Proof) -> Caller {
        let Who { id, name, from, groups } = self;
        Caller { id, name, from, groups, by }
    }
}

fn new_session(user: &str, cookie: &str, agent: &str, now: OffsetDateTime) -> Session {
    Session {
        id: store::digest(cookie.as_bytes()),
        user: user.to_owned(),
        created: micros(now),
        expires: micros(now + LIFE),
        seen: micros(now),
        agent: agent.chars().take(200).collect(),
    }
}

/// Notes that something is used, if that goes soon: it is no reason to turn away who asks.
async fn noted<T>(touched: impl Future<Output = Result<T, store::Error>>) {
    match tokio::time::timeout(SOON, touched).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a use was not noted"),
        Err(_) => tracing::debug!("a use was not noted in time"),
    }
}

fn is_awake(session: &Session, now: OffsetDateTime) -> bool {
    micros(now) - session.seen < micros_of(IDLE)
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.whole_microseconds()).unwrap_or(i64::MAX)
}
