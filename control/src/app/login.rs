//! Signing in by a login provider, from the way there to the session; and what is known of who comes
//! that way.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::Name;
use model::login::LoginProvider;
use store::Entry;
use store::identity::Identity;
use store::login::Login;
use store::user::User;
use time::{Duration, OffsetDateTime};

use super::session::SignedIn;
use super::{App, Op};
use crate::authn::{Caller, secret};
use crate::login::Failure;
use crate::login::provider::{self, Failed, Try};
use crate::login::token::{self, Person};
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::world::World;

mod known;

pub(super) use known::stands;

/// How long somebody may be away at a provider.
const AWAY: Duration = Duration::minutes(10);
/// How many may be at once; those who left first make room.
const MOST: i64 = 10_000;

/// Who wants to sign in by a provider.
#[derive(Debug)]
pub struct LoginStart {
    /// The provider's name.
    pub provider: String,
    /// Scheme and host under which they reached us.
    pub origin: String,
    /// Where they want to go: a path.
    pub wanted: String,
    /// Where they are.
    pub address: IpAddr,
    /// When.
    pub now: OffsetDateTime,
}

/// The way to a provider.
pub struct LoginStarted {
    /// The URL to which the browser goes.
    pub to: String,
    /// What it keeps, to show that it is the same when it is back.
    pub cookie: String,
}

impl std::fmt::Debug for LoginStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginStarted").finish_non_exhaustive()
    }
}

/// Who is back from a provider.
pub struct LoginEnd {
    /// The provider's name, as the path says it.
    pub provider: String,
    /// `state` of the query.
    pub state: String,
    /// `code`, which the provider has a token for.
    pub code: Option<String>,
    /// `error`, where there is none.
    pub error: Option<String>,
    /// `iss`: whose answer it is (RFC 9207).
    pub issuer: Option<String>,
    /// What the browser kept.
    pub cookie: String,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser calls itself.
    pub agent: String,
    /// When.
    pub now: OffsetDateTime,
}

impl std::fmt::Debug for LoginEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginEnd").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A provider as platform admins see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInUse {
    /// Its name.
    pub name: Name,
    /// Its issuer.
    pub issuer: String,
    /// How many users came by it, ever.
    pub users: i64,
}

/// Path of the page to which a provider sends people back.
fn callback(provider: &str) -> String {
    format!("/sign-in/{provider}/callback")
}

impl App {
    /// The providers by which anybody may sign in, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn login_provider_list(&self) -> Result<Vec<Arc<LoginProvider>>, Refusal> {
        Ok(known::providers(&*self.world().await?).cloned().collect())
    }

    /// The same with how many came by each, for a platform admin.
    ///
    /// # Errors
    /// [`Refusal::None`] for others.
    pub async fn login_provider_use(&self, op: &Op) -> Result<Vec<ProviderInUse>, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let counts: BTreeMap<_, _> = self.store.identity_counts().await?;
        let world = self.world().await?;
        let used = known::providers(&world).map(|one| ProviderInUse {
            name: one.metadata.name.clone(),
            issuer: one.spec.issuer.clone(),
            users: counts.get(one.metadata.name.as_str()).copied().unwrap_or(0),
        });
        Ok(used.collect())
    }

    /// Begins to sign in: where the browser goes, and what it keeps meanwhile.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn login_start(&self, start: LoginStart) -> Result<LoginStarted, Failure> {
        let LoginStart { provider: name, origin, wanted, address, now } = start;
        let world = self.world().await?;
        let provider = known::provider(&world, &name)?;
        self.authn.attempts.enter_from(address, now).map_err(Failure::TooMany)?;
        self.providers.keep(known::providers(&world).map(|one| one.spec.issuer.as_str()));
        let known = self.providers.known(provider, now).await;
        let known = known.map_err(|error| away(&world, provider, error))?;
        let (cookie, state) = (secret::random()?, secret::random()?);
        let login = Login {
            id: store::digest(state.as_bytes()),
            browser: store::digest(cookie.as_bytes()),
            provider: name.clone(),
            origin: origin.clone(),
            wanted,
            created: micros(now),
            expires: micros(now + AWAY),
        };
        self.store.login_create(&login, MOST).await?;
        let asked = Try { back: origin + &callback(&name), cookie: &cookie };
        let to = known.door(provider, &asked, state);
        let to = to.map_err(|error| away(&world, provider, error))?;
        Ok(LoginStarted { to, cookie })
    }

    /// Ends it: a session, and where its user wanted to go.
    ///
    /// # Errors
    /// [`Failure`]; of tries that were begun here the audit tells, too.
    pub async fn login_end(&self, end: LoginEnd) -> Result<(SignedIn, String), Failure> {
        let (id, browser) =
            (store::digest(end.state.as_bytes()), store::digest(end.cookie.as_bytes()));
        let login = self.store.login_take(&id, &browser, micros(end.now)).await?;
        let login = login.filter(|login| login.provider == end.provider).ok_or(Failure::Over)?;
        let world = self.world().await?;
        let provider = known::provider(&world, &login.provider)?;
        let back = Returned { world: &world, provider, login: &login, end: &end };
        match self.login_done(&back).await {
            Ok(signed_in) => {
                self.authn.attempts.succeed_from(end.address);
                Ok((signed_in, login.wanted))
            }
            Err((name, failure)) => {
                if !matches!(failure, Failure::Refused(_)) {
                    let mut said = said(&end, "refused", name.as_deref().unwrap_or_default());
                    said.detail = format!("{}: {}", said.detail, failure.word());
                    self.store.audit_append(&[said]).await?;
                }
                Err(failure)
            }
        }
    }

    /// The session; else why there is none, with the name of a user where one is known.
    async fn login_done(&self, back: &Returned<'_>) -> Result<SignedIn, (Option<String>, Failure)> {
        let nobody = |failure: Failure| (None, failure);
        let person = self.login_proved(back).await.map_err(nobody)?;
        let found = self.login_found(back, &person).await.map_err(nobody)?;
        let (user, identity) = match found {
            Some(found) => found,
            None => self.login_new(back, &person).await.map_err(nobody)?,
        };
        let named = |failure: Failure| (Some(user.name.clone()), failure);
        if user.disabled {
            return Err(named(back.disabled(&user)));
        }
        let done = said(back.end, "done", &user.name);
        let entered = self.session_enter(&identity, &back.end.agent, &done).await;
        let entered = entered.map_err(|refusal| named(refusal.into()))?;
        entered.ok_or_else(|| named(back.disabled(&user)))
    }

    /// Whom the provider says that they are.
    async fn login_proved(&self, back: &Returned<'_>) -> Result<Person, Failure> {
        let Returned { world, provider, login, end } = back;
        let known = self.providers.known(provider, end.now).await;
        let known = known.map_err(|error| away(world, provider, error))?;
        if !known.may_answer(end.issuer.as_deref()) {
            return Err(back.unbelieved(token::Wrong::Issuer));
        }
        if let Some(error) = &end.error {
            let (title, word) = (provider.title().to_owned(), provider::word(error));
            return Err(Failure::Declined { title, word });
        }
        let code = end.code.clone().filter(|code| !code.is_empty()).ok_or(Failure::Over)?;
        let secret = known::client_secret(world, provider).map_err(|e| away(world, provider, e))?;
        let asked =
            Try { back: login.origin.clone() + &callback(&login.provider), cookie: &end.cookie };
        let said = self.providers.redeem(provider, secret, &asked, code, end.now).await;
        let said = said.map_err(|failed| match failed {
            Failed::Away(error) => away(world, provider, error),
            Failed::Wrong(why) => back.unbelieved(why),
        })?;
        token::person(&said, &provider.spec.claims).map_err(|why| back.unbelieved(why))
    }

    /// The user whom the provider's subject was before, with what it says now.
    async fn login_found(
        &self,
        back: &Returned<'_>,
        person: &Person,
    ) -> Result<Option<(User, Identity)>, Failure> {
        let (own, issuer) = (&back.provider.metadata.name, &back.provider.spec.issuer);
        let found = self.store.identity(own.as_str(), issuer, &person.subject).await?;
        let Some(identity) = found else { return Ok(None) };
        let (groups, seen) = (person.groups.clone(), micros(back.end.now));
        let user = self.store.user(&identity.user).await?;
        Ok(user.map(|user| (user, Identity { groups, seen, ..identity })))
    }

    /// A user for who was never here, under a name that is nobody's.
    async fn login_new(
        &self,
        back: &Returned<'_>,
        person: &Person,
    ) -> Result<(User, Identity), Failure> {
        let Returned { world, provider, end, .. } = back;
        let name = provider.user(&person.word).ok_or_else(|| back.nameless())?;
        if !known::is_own(world, provider, &name) {
            return Err(back.taken(name));
        }
        let at = micros(end.now);
        let user = User {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.to_string(),
            password: None,
            disabled: false,
            created: at,
            updated: at,
        };
        let identity = Identity {
            provider: provider.metadata.name.to_string(),
            issuer: provider.spec.issuer.clone(),
            subject: person.subject.clone(),
            user: user.id.clone(),
            groups: person.groups.clone(),
            created: at,
            seen: at,
        };
        let object = format!("user {name}");
        let said = Entry { verb: "create".to_owned(), object, ..said(end, "done", name.as_str()) };
        match self.store.identity_create(&user, &identity, &said).await {
            Ok(()) => Ok((user, identity)),
            // The same person may have been quicker in another tab.
            Err(store::Error::Conflict(_)) => {
                self.login_found(back, person).await?.ok_or_else(|| back.taken(name))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whom somebody asks who may do nothing yet: the contact of the provider that they come from,
    /// and who owns the platform.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn whom_to_ask(&self, caller: &Caller) -> Result<Vec<String>, Refusal> {
        let world = self.world().await?;
        let own = caller.from.as_ref().and_then(|name| known::provider(&world, name.as_str()).ok());
        let contact = own.map(|own| own.spec.contact.clone()).filter(|text| !text.is_empty());
        Ok(contact.into_iter().chain(known::keepers(&world)).collect())
    }
}

/// Somebody who is back from a provider, and all that was known when they came.
struct Returned<'a> {
    world: &'a World,
    provider: &'a LoginProvider,
    login: &'a Login,
    end: &'a LoginEnd,
}

impl Returned<'_> {
    fn title(&self) -> String {
        self.provider.title().to_owned()
    }

    fn name(&self) -> Name {
        self.provider.metadata.name.clone()
    }

    fn contact(&self) -> String {
        known::contact(self.world, self.provider)
    }

    fn unbelieved(&self, why: token::Wrong) -> Failure {
        Failure::Unbelieved { title: self.title(), why, contact: self.contact() }
    }

    fn nameless(&self) -> Failure {
        let claim = self.provider.spec.claims.user.clone();
        let (title, provider, contact) = (self.title(), self.name(), self.contact());
        Failure::NoName { title, provider, claim, contact }
    }

    fn taken(&self, name: Name) -> Failure {
        let (title, provider, contact) = (self.title(), self.name(), self.contact());
        Failure::Taken { name, title, provider, contact }
    }

    fn disabled(&self, user: &User) -> Failure {
        Failure::Disabled { name: user.name.clone(), contact: self.contact() }
    }
}

fn away(world: &World, provider: &LoginProvider, source: provider::Error) -> Failure {
    let (title, contact) = (provider.title().to_owned(), known::contact(world, provider));
    Failure::Away { title, contact, source }
}

/// What the audit says of a sign-in.
fn said(end: &LoginEnd, outcome: &str, name: &str) -> Entry {
    Entry {
        at: micros(end.now),
        actor: name.to_owned(),
        verb: "sign in".to_owned(),
        object: "session".to_owned(),
        outcome: outcome.to_owned(),
        detail: format!("from {} by {}", end.address, end.provider),
    }
}
