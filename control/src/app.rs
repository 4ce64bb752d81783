//! The use cases: one door for every change.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use model::access::{Actor, Rights};
use model::role::{Grant, GrantSpec, RoleRule, Subject};
use model::{Kind, Meta, Name, Resource, Scope};
use store::{CommitError, Once, Store};
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;

use crate::authn::{Authn, is_platform_admin};
use crate::draft::Draft;
use crate::edit::{Edit, Expect};
use crate::fleet::{Figures, Fleet};
use crate::login::provider::Providers;
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::traffic::Traffic;
use crate::world::World;

mod access;
mod access_request;
mod api;
mod audit;
mod authority;
mod change;
mod commit;
mod endpoint;
mod first;
mod fleet;
mod join_token;
mod key_set;
mod login;
mod node;
mod past;
mod plan;
mod request;
mod resource;
mod revocation;
mod rollout;
mod roster;
mod session;
mod session_secret;
mod sight;
mod token;
mod traffic;
pub(crate) mod user;
mod workspace;

use roster::Roster;

pub(crate) use access_request::FIELD;

pub use access::{Review, Reviewed};
pub use access_request::{AccessDecision, AccessRequest, NewAccessRequest, Proposal, Requested};
pub use api::{
    Access, ApiInFull, ApiListing, ApiOrder, ApiRoute, ApiRow, Changed, Flow, May, Split,
};
pub use audit::AuditListing;
pub use authority::Authorities;
pub use commit::Receipt;
pub use endpoint::{EndpointNow, Endpoints, PortEndpoints, RestingAt};
pub use first::First;
pub use fleet::{Held, Live, Rejected, Silent};
pub use join_token::NewJoinToken;
pub use key_set::KeySetNow;
pub use login::{LoginEnd, LoginStart, LoginStarted, ProviderInUse};
pub use node::{NodeCounts, NodeListing, NodePage, NodePlace};
pub use past::{Deed, PastChange, PastObject, Touched};
pub use plan::{Plan, Rerouted, Would};
pub use request::{Ended, HiddenHop, Hop, ShownHop, Way};
pub use resource::{Listing, Page, PastVersion, Shown};
pub use revocation::{NewRevocation, RevocationNow};
pub use rollout::{Rolled, Rollout};
pub use session::{SignIn, SignedIn, Use};
pub use store::access_request::State as AccessState;
pub use store::audit::Record;
pub use store::decision::Teller;
pub use store::session::Session;
pub use store::token::Token;
pub use store::user::User;
pub use token::NewToken;
pub use traffic::{Part, Row, Rows, Sum, Wanted};
pub use user::NewPassword;
pub use wire::Decision;
pub use workspace::{GivenRole, HeldClaim, WorkspaceInFull, WorkspaceListing, WorkspaceRow};

/// The control plane over one store.
#[derive(Debug)]
pub struct App {
    store: Store,
    world: RwLock<Arc<World>>,
    /// Held by who brings the world up to date, so that it is read once for all who ask.
    following: tokio::sync::Mutex<()>,
    authn: Authn,
    /// What login providers say of themselves.
    providers: Providers,
    /// Held together by those who try a change for the first time, and alone by who lost such a try to
    /// them, so that nobody who changes much keeps others from changing anything.
    changing: tokio::sync::RwLock<()>,
    /// A turn for each core.
    cores: Arc<Semaphore>,
    /// The nodes of this server, once it serves some.
    fleet: OnceLock<Arc<Fleet>>,
    /// How long certificates of its nodes last, then.
    certified: OnceLock<Duration>,
    roster: Roster,
    /// What nodes count of requests.
    traffic: Arc<Traffic>,
    /// When answers to earlier requests were last swept, in microseconds since 1970.
    swept: AtomicI64,
}

/// One request to change something.
#[derive(Debug, Clone)]
pub struct Op {
    /// Who asks.
    pub actor: Actor,
    /// What their token is narrowed to, if they came with one: where, and to which rules.
    pub limit: Option<(Option<Scope>, Arc<[RoleRule]>)>,
    /// The request that it came with.
    pub request_id: String,
    /// When.
    pub now: OffsetDateTime,
    /// Why, in the actor's words.
    pub message: String,
    /// What makes a change happen once, however often it is asked for within a day.
    pub once: Option<Once>,
}

impl App {
    /// Over `store`.
    pub fn new(store: Store) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        App {
            store,
            world: RwLock::default(),
            changing: tokio::sync::RwLock::default(),
            following: tokio::sync::Mutex::default(),
            authn: Authn::new(),
            providers: Providers::new(),
            cores: Arc::new(Semaphore::new(cores)),
            fleet: OnceLock::new(),
            certified: OnceLock::new(),
            roster: Roster::default(),
            traffic: Arc::default(),
            swept: AtomicI64::new(0),
        }
    }

    /// The store that it is over.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// From now on what `fleet` says of nodes goes before what the store remembers of them.
    pub fn attend(&self, fleet: Arc<Fleet>) {
        let _ = self.fleet.set(fleet);
    }

    /// Nodes are given certificates for so long.
    pub fn certify(&self, lasts: Duration) {
        let _ = self.certified.set(lasts);
    }

    /// What nodes count of requests.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// What is counted of nodes, if this server has some.
    pub(crate) fn figures(&self) -> Option<Figures> {
        self.fleet.get().map(|fleet| fleet.figures())
    }

    /// Whether who asks is a platform admin.
    ///
    /// # Errors
    /// What `none` says, where they are not.
    pub async fn admin(&self, op: &Op, none: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        let world = self.world().await?;
        if is_platform_admin(&rights(op, &world)) { Ok(()) } else { Err(none()) }
    }

    /// Every object as of the last revision.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn world(&self) -> Result<Arc<World>, Refusal> {
        let last = self.store.revision().await?;
        let world = self.last_world();
        if world.revision == last {
            return Ok(world);
        }
        let _one = self.following.lock().await;
        let Some(next) = self.last_world().next(&self.store).await? else {
            return Ok(self.last_world());
        };
        let next = Arc::new(next);
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        Ok(next)
    }

    /// The same as far as this server has heard of commits, without asking the store: for what nodes tell,
    /// hundreds a second, while people wait for the same connections to it.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub(crate) async fn world_heard(&self) -> Result<Arc<World>, Refusal> {
        let world = self.last_world();
        if world.revision > 0 && world.revision >= *self.store.changes().borrow() {
            return Ok(world);
        }
        self.world().await
    }

    /// Does what keeps a core busy where no request and no node waits behind it, as many at once as
    /// there are cores.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = Arc::clone(&self.cores).acquire_owned().await;
        let turn = turn.map_err(|closed| Refusal::Store(Box::new(closed)))?;
        // The turn ends with the work, also where nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        working.await.map_err(|ended| Refusal::Store(Box::new(ended)))
    }

    /// Every object as of the last revision that was looked at.
    fn last_world(&self) -> Arc<World> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a world that a commit made, unless there is a later one.
    fn advance(&self, next: World) {
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        if world.revision < next.revision {
            *world = Arc::new(next);
        }
    }

    /// Makes `admin` the first who may do everything, in an installation in which nobody may do
    /// anything yet; whether it was one.
    ///
    /// # Errors
    /// [`Refusal::Store`], or [`Refusal::Busy`] if others do the same.
    pub async fn found(&self, admin: &Name, now: OffsetDateTime) -> Result<bool, Refusal> {
        let world = self.world().await?;
        let is_there = world.of_kind(Kind::Grant).next().is_some();
        // One that cannot be read gives nothing here, and still is somebody's.
        if is_there || world.unreadable.keys().any(|key| key.kind == Kind::Grant.as_str()) {
            return Ok(false);
        }
        let edits = vec![Edit::Put { resource: first_grant(admin), expected: Expect::Absent }];
        let op = Op {
            actor: Actor { user: admin.clone(), groups: BTreeSet::new() },
            limit: None,
            request_id: String::new(),
            now,
            message: "the first who may do everything".to_owned(),
            once: None,
        };
        let draft = Draft::new(Arc::clone(&world), edits)?;
        match self.store.commit(&commit::commit(&op, &world, &draft, None)).await {
            Ok(_) => Ok(true),
            Err(CommitError::Moved(_) | CommitError::Stale(_)) => Err(Refusal::Busy),
            Err(error) => Err(Refusal::Store(Box::new(error))),
        }
    }
}

impl Op {
    /// What the audit says of it.
    fn said(&self, verb: &str, object: &str, detail: String) -> store::Entry {
        store::Entry {
            at: micros(self.now),
            actor: self.actor.user.to_string(),
            verb: verb.to_owned(),
            object: object.to_owned(),
            outcome: "done".to_owned(),
            detail,
        }
    }
}

fn first_grant(admin: &Name) -> Resource {
    let name = |word| Name::parse(word).expect("a word of lower-case letters is a name");
    let subjects = vec![Subject { user: Some(admin.clone()), team: None }];
    Resource::Grant(Arc::new(Grant {
        metadata: Meta::new(Kind::Team.default_namespace(), name("first-admin")),
        spec: GrantSpec {
            subjects,
            role: Some(name("admin")),
            rules: Vec::new(),
            apis: Vec::new(),
        },
    }))
}

/// What the actor may do as things stand.
fn rights(op: &Op, world: &World) -> Rights {
    let rights = world.directory.rights(&op.actor);
    match &op.limit {
        Some((scope, rules)) => rights.limited(scope.clone(), Arc::clone(rules)),
        None => rights,
    }
}

#[cfg(test)]
mod tests;
