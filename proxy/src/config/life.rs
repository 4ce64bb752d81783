//! A joined node's life, on a thread of its own: join, serve what was kept, follow, renew, keep.
//!
//! Everything that may take long (assembling, sealing, a handshake) is a future beside the loop, so
//! that heartbeats go on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wire::{ControlFrame, Rejection, Vector};

use super::compiler::Compiler;
use super::held::Held;
use super::last_good;
use super::link::{Heard, Link};
use super::session::{Action, Event, Now, Session};
use super::status::{Source, Status};
use super::{Error, Ready, Settings, Update};
use crate::identity::{
    Anchor, Asking, Away, Dialer, EnrollError, Folder, Identity, JoinToken, NodeKey, Shown, again,
    due,
};

/// The state is kept at most so often.
const KEEPING: Duration = Duration::from_secs(1);
/// At the end a state that is being kept is waited for so long.
const LAST: Duration = Duration::from_secs(3);
/// The longest wait between two tries to join.
const JOINING: Duration = Duration::from_secs(10);

type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the node lives by.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) settings: Arc<Settings>,
    pub(super) folder: Arc<Folder>,
    pub(super) key: Arc<NodeKey>,
    pub(super) status: Arc<Status>,
    pub(super) updates: mpsc::Sender<Update>,
    pub(super) stop: CancellationToken,
}

/// Lives until told to stop, or until it turns out that it cannot join.
pub(super) async fn run(ground: Ground, identity: Option<Identity>) {
    let stop = ground.stop.clone();
    let joined = tokio::select! {
        joined = ground.identity(identity) => joined,
        () = stop.cancelled() => return,
    };
    let life = match joined {
        Ok(identity) => Life::begin(ground.clone(), identity),
        Err(error) => Err(error),
    };
    match life {
        Ok(mut life) => {
            life.serve_last_good().await;
            life.follow().await;
            life.keep_at_the_end().await;
        }
        Err(error) => {
            // Whoever would hear it is gone if this fails.
            let _ = ground.updates.send(Update::Failed(error)).await;
        }
    }
}

impl Ground {
    /// Who the node is: as it was kept, or as it joins.
    async fn identity(&self, kept: Option<Identity>) -> Result<Identity, Error> {
        let identity = match kept {
            Some(identity) => return Ok(identity),
            None => self.join().await?,
        };
        self.folder.keep_identity(&identity)?;
        tracing::info!(node = identity.uri(), id = identity.node, "joined");
        Ok(identity)
    }

    /// Joins by the token, again and again while the server is away.
    async fn join(&self) -> Result<Identity, Error> {
        let Some(token) = &self.settings.token else {
            return Err(Error::NoIdentity(self.folder.path().to_owned()));
        };
        let mut told = String::new();
        let mut failures = 0;
        loop {
            match self.try_join(token).await {
                Ok(identity) => return Ok(identity),
                Err(error) if error.may_pass() => {
                    let why = error.to_string();
                    self.status.change(|standing| standing.trouble = Some(why.clone()));
                    if told != why {
                        tracing::warn!("cannot join yet: {why}; it is tried again");
                        told = why;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            failures += 1;
            sleep(again(failures, JOINING * 10, rand::random())).await;
        }
    }

    async fn try_join(&self, token: &JoinToken) -> Result<Identity, EnrollError> {
        let dialer = self.stranger(Anchor::Root(token.root()))?;
        let asking = self.asking(&dialer);
        asking.join(token, &self.settings.kind, &self.settings.name).await
    }

    /// Opens connections on which the node shows no certificate.
    fn stranger(&self, anchor: Anchor) -> Result<Dialer, EnrollError> {
        self.dialer(anchor, &Arc::default())
    }

    fn dialer(&self, anchor: Anchor, shown: &Arc<Shown>) -> Result<Dialer, EnrollError> {
        let dialer = Dialer::new(&self.settings.server, anchor, shown);
        dialer.map_err(|error| EnrollError::Unfit(error.to_string()))
    }

    fn asking<'n>(&'n self, dialer: &'n Dialer) -> Asking<'n> {
        Asking { dialer, key: &self.key, version: &self.settings.version }
    }

    /// Waits until the certificate is due and comes back with the next, however long it takes.
    async fn renewed(self, identity: Arc<Identity>, dialer: Dialer) -> Identity {
        let (mut failures, mut told) = (0, String::new());
        sleep(until_due(&identity)).await;
        loop {
            let left = left(&identity);
            let asked = match left {
                Duration::ZERO => self.come_back(&identity).await,
                _ => self.asking(&dialer).renew(&identity).await,
            };
            let asked = match asked {
                Err(EnrollError::Refused(why)) => self.by_token(&identity, why).await,
                other => other,
            };
            match asked {
                Ok(next) => return next,
                Err(error) => {
                    let why = error.to_string();
                    let what = if left.is_zero() { "has ended" } else { "is to be renewed" };
                    let why = format!("the certificate {what}: {why}");
                    self.status.change(|standing| standing.trouble = Some(why.clone()));
                    if told != why {
                        tracing::warn!("{why}; it is tried again");
                        told = why;
                    }
                }
            }
            failures += 1;
            sleep(again(failures, left.max(JOINING), rand::random())).await;
        }
    }

    /// Asks for a certificate by the one that has ended.
    async fn come_back(&self, identity: &Identity) -> Result<Identity, EnrollError> {
        let dialer = self.stranger(anchor(identity))?;
        self.asking(&dialer).rejoin(identity).await
    }

    /// Joins anew, where the server knows this node no more (`why`) and there is a token.
    async fn by_token(&self, identity: &Identity, why: String) -> Result<Identity, EnrollError> {
        let Some(token) = &self.settings.token else {
            let remedy = "start this gateway with a new token by --join";
            return Err(EnrollError::Refused(format!("{why}; {remedy}")));
        };
        let dialer = self.stranger(Anchor::Root(token.root()))?;
        self.asking(&dialer).join(token, &identity.kind, &identity.name).await
    }
}

fn anchor(identity: &Identity) -> Anchor {
    Anchor::Roots { roots: identity.roots.clone(), trust: identity.trust.clone() }
}

/// How long the certificate lives yet.
fn left(identity: &Identity) -> Duration {
    let ends = identity.ends().unwrap_or(SystemTime::UNIX_EPOCH);
    ends.duration_since(SystemTime::now()).unwrap_or_default()
}

fn until_due(identity: &Identity) -> Duration {
    let Ok(certificate) = identity.certificate() else { return Duration::ZERO };
    let due = due(certificate.not_before, certificate.not_after, rand::random());
    due.duration_since(SystemTime::now()).unwrap_or_default()
}

/// What came of a state.
#[derive(Debug)]
struct Done {
    compiler: Compiler,
    rejected: Vec<Rejection>,
    /// Whether the main loop is still there.
    is_applied: bool,
}

/// A node that has an identity.
struct Life {
    ground: Ground,
    identity: Arc<Identity>,
    shown: Arc<Shown>,
    dialer: Dialer,
    session: Session,
    compiler: Option<Compiler>,
    link: Option<Link>,
    opening: Option<Doing<Result<Link, Away>>>,
    taking: Option<Doing<Done>>,
    renewing: Doing<Identity>,
    keeping: Option<Doing<Result<Arc<Held>, String>>>,
    /// What is in force and not on disk yet.
    unkept: Option<Arc<Held>>,
    /// When it may be kept.
    keep_at: Instant,
    /// Why the stream was lost, as it was last told.
    told: String,
}

impl Life {
    fn begin(ground: Ground, identity: Identity) -> Result<Self, Error> {
        let identity = Arc::new(identity);
        let shown = Arc::<Shown>::default();
        let shows = shown.show(&identity, &ground.key);
        shows.map_err(|error| EnrollError::Unfit(error.to_string()))?;
        let dialer = ground.dialer(anchor(&identity), &shown)?;
        let version = &ground.settings.version;
        let held = Arc::new(Held::nothing());
        let session = Session::new(Arc::clone(&identity), version, held, Instant::now());
        let renewing = ground.clone().renewed(Arc::clone(&identity), dialer.clone());
        let life = Life {
            renewing: Box::pin(renewing),
            ground,
            identity,
            shown,
            dialer,
            session,
            compiler: Some(Compiler::default()),
            link: None,
            opening: None,
            taking: None,
            keeping: None,
            unkept: None,
            keep_at: Instant::now(),
            told: String::new(),
        };
        life.tell_identity();
        Ok(life)
    }

    fn tell_identity(&self) {
        let (node, ends) = (Arc::clone(&self.identity), self.identity.ends().ok());
        self.ground.status.change(|standing| {
            standing.node = Some(node);
            standing.ends = ends;
            standing.trouble = None;
        });
    }

    /// Puts in force what was kept on disk, before the server is asked.
    async fn serve_last_good(&mut self) {
        let sealed = match self.ground.folder.last_good() {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return,
            Err(error) => {
                return tracing::error!("{error}; nothing is served until the server is there");
            }
        };
        let file = self.ground.folder.path().join("last-good");
        let file = file.display();
        let opened = last_good::open(&sealed, &self.identity, &self.ground.key, SystemTime::now());
        let held = match opened {
            Ok(held) => Arc::new(held),
            Err(refusal) => {
                self.ground.status.change(|standing| {
                    standing.unkept = Some(format!("last-good was refused: {refusal}"));
                });
                return tracing::error!("{file} is not served: {refusal}");
            }
        };
        tracing::info!(objects = held.objects.len(), "serving what was kept in {file}");
        let version = self.ground.settings.version.clone();
        let node = Arc::clone(&self.identity);
        self.session = Session::new(node, &version, Arc::clone(&held), Instant::now());
        let compiler = self.compiler.take().unwrap_or_default();
        let done = self.take(compiler, held, Source::Disk).await;
        self.compiler = Some(done.compiler);
    }

    /// Does what the session says, until told to stop.
    async fn follow(&mut self) {
        let stop = self.ground.stop.clone();
        loop {
            let wakes = self.session.wakes();
            let keeps = self.unkept.is_some() && self.keeping.is_none();
            let event = tokio::select! {
                () = stop.cancelled() => return,
                heard = hear(&mut self.link) => self.heard(heard),
                opened = done(&mut self.opening) => self.opened(opened),
                taken = done(&mut self.taking) => {
                    if !taken.is_applied {
                        return;
                    }
                    self.compiler = Some(taken.compiler);
                    self.unkept = Some(Arc::clone(self.session.taking().unwrap_or(self.session.held())));
                    Some(Event::Taken(taken.rejected))
                }
                next = &mut self.renewing => {
                    self.renew(next);
                    None
                }
                kept = done(&mut self.keeping) => {
                    self.kept(kept);
                    None
                }
                () = sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {
                    Some(Event::Tick)
                }
                () = sleep_until(self.keep_at), if keeps => {
                    self.keep();
                    None
                }
            };
            if let Some(event) = event {
                self.on(event);
            }
        }
    }

    fn on(&mut self, event: Event) {
        let now = Now { at: Instant::now(), wall: SystemTime::now(), dice: rand::random() };
        for action in self.session.on(event, now) {
            if !self.act(action) {
                self.lose("the server takes nothing any more");
                self.session.on(Event::Lost, now);
                break;
            }
        }
        let is_connected = self.session.is_connected();
        self.ground.status.change(|standing| standing.is_connected = is_connected);
    }

    /// Does it; `false` if the server takes nothing any more.
    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Open => self.open(),
            Action::Say(frame) => {
                return self.link.as_ref().is_none_or(|link| link.say(frame));
            }
            Action::Take(state) => {
                let compiler = self.compiler.take().unwrap_or_default();
                self.taking = Some(Box::pin(self.take(compiler, state, Source::Server)));
            }
            Action::Refused(why) => {
                tracing::error!("a state from the server was refused as a whole: {why}");
                self.ground.status.change(|standing| standing.refused += 1);
            }
            Action::Close(why) => {
                self.link = None;
                self.tell_lost(&why);
            }
        }
        true
    }

    /// Opens the stream, unless the certificate has ended: then another one is asked for first.
    fn open(&mut self) {
        let dialer = self.dialer.clone();
        let has_ended = left(&self.identity).is_zero();
        self.opening = Some(Box::pin(async move {
            match has_ended {
                true => Err(Away::Ended),
                false => Link::open(&dialer).await,
            }
        }));
    }

    fn opened(&mut self, opened: Result<Link, Away>) -> Option<Event> {
        self.opening = None;
        match opened {
            Ok(link) => {
                self.link = Some(link);
                Some(Event::Opened)
            }
            // The stream of before, if there is one, goes on.
            Err(_) if self.link.is_some() => None,
            Err(away) => {
                self.tell_lost(&away.to_string());
                Some(Event::Lost)
            }
        }
    }

    fn heard(&mut self, heard: Heard) -> Option<Event> {
        match heard {
            Heard::Frame(frame) => {
                if !self.told.is_empty() {
                    tracing::info!("the server is there");
                    self.told.clear();
                }
                self.ground.status.change(|standing| {
                    standing.heard = Some(SystemTime::now());
                    standing.trouble = None;
                    if let ControlFrame::Heartbeat(heartbeat) = &frame {
                        standing.confirm(&heartbeat.vector);
                    }
                });
                Some(Event::Frame(frame))
            }
            Heard::End(why) => {
                self.lose(&why);
                Some(Event::Lost)
            }
        }
    }

    fn lose(&mut self, why: &str) {
        self.link = None;
        self.tell_lost(why);
    }

    /// Tells, once for each reason, why the server is not heard.
    fn tell_lost(&mut self, why: &str) {
        self.ground.status.change(|standing| standing.trouble = Some(why.to_owned()));
        if self.told != why {
            tracing::warn!("{why}; what is in force is served on, and the server is tried again");
            self.told = why.to_owned();
        }
    }

    /// Puts a state in force: assembles it beside the loop, and waits until it is applied.
    fn take(
        &self,
        mut compiler: Compiler,
        state: Arc<Held>,
        source: Source,
    ) -> impl Future<Output = Done> + Send + use<> {
        let (updates, status) = (self.ground.updates.clone(), Arc::clone(&self.ground.status));
        async move {
            let held = Arc::clone(&state);
            let compiled = tokio::task::spawn_blocking(move || {
                let compiled = compiler.compile(&held);
                (compiler, compiled)
            });
            let Ok((compiler, compiled)) = compiled.await else {
                // A panic was told by its hook. Without a compiler there is nothing to go on with.
                return Done {
                    compiler: Compiler::default(),
                    rejected: Vec::new(),
                    is_applied: false,
                };
            };
            let (applied, done) = oneshot::channel();
            let (table, faults) = (compiled.table, compiled.faults);
            let ready = Ready { table, faults, applied };
            let is_sent = updates.send(Update::Table(ready)).await.is_ok();
            let is_applied = is_sent && done.await.is_ok();
            let rejected = compiled.rejected;
            if is_applied {
                status.change(|standing| {
                    standing.take(&state, source);
                    standing.rejected = Arc::new(rejected.clone());
                    standing.resources = compiled.resources;
                    standing.kept = Arc::new(compiled.kept);
                });
            }
            Done { compiler, rejected, is_applied }
        }
    }

    /// Goes on with another certificate: the stream is opened anew by it before the old one is let
    /// go.
    fn renew(&mut self, next: Identity) {
        let is_another = next.node != self.identity.node;
        let vector = if is_another { Vector::new() } else { self.identity.vector.clone() };
        let next = Identity { vector, ..next };
        if let Err(error) = self.ground.folder.keep_identity(&next) {
            tracing::error!("{error}; the new certificate is lost if this process ends");
        }
        match self.shown.show(&next, &self.ground.key) {
            Ok(()) => tracing::info!(ends = ?next.ends().ok(), "the certificate was renewed"),
            Err(error) => tracing::error!("the new certificate cannot be shown: {error}"),
        }
        let is_same_root = next.roots == self.identity.roots;
        self.identity = Arc::new(next);
        if !is_same_root {
            match self.ground.dialer(anchor(&self.identity), &self.shown) {
                Ok(dialer) => self.dialer = dialer,
                Err(error) => tracing::error!("the new roots are of no use: {error}"),
            }
        }
        if is_another {
            // What is held was signed for another node: all is sent anew, and signed for this one.
            self.link = None;
            let (node, held) = (Arc::clone(&self.identity), Arc::new(Held::nothing()));
            let version = &self.ground.settings.version;
            self.session = Session::new(node, version, held, Instant::now());
        }
        self.session.renewed(Arc::clone(&self.identity));
        let ground = self.ground.clone();
        self.renewing = Box::pin(ground.renewed(Arc::clone(&self.identity), self.dialer.clone()));
        self.tell_identity();
        if self.link.is_some() {
            self.open();
        } else if self.opening.is_none() {
            self.session.hurry(Instant::now());
        }
    }

    /// Begins to keep what is in force.
    fn keep(&mut self) {
        let Some(held) = self.unkept.take() else { return };
        let (folder, key) = (Arc::clone(&self.ground.folder), Arc::clone(&self.ground.key));
        let node = Arc::clone(&self.identity);
        self.keep_at = Instant::now() + KEEPING;
        self.keeping = Some(Box::pin(async move {
            let kept = tokio::task::spawn_blocking(move || {
                let sealed =
                    last_good::seal(&held, &node, &key).map_err(|error| error.to_string())?;
                folder.keep_last_good(&sealed).map_err(|error| full(&error))?;
                Ok(held)
            });
            kept.await.unwrap_or_else(|_| Err("keeping the state broke off".to_owned()))
        }));
    }

    /// Remembers which state was kept, so that no older one is served from disk.
    fn kept(&mut self, kept: Result<Arc<Held>, String>) {
        self.keeping = None;
        let kept = kept.and_then(|held| {
            let identity =
                Identity { vector: held.vector.clone(), ..Identity::clone(&self.identity) };
            self.ground.folder.keep_identity(&identity).map_err(|error| full(&error))?;
            self.identity = Arc::new(identity);
            Ok(())
        });
        if let Err(why) = &kept {
            tracing::error!("{why}; the state is served on from memory");
        }
        self.ground.status.change(|standing| standing.unkept = kept.err());
    }

    /// Keeps what was not kept yet, when nothing else is to be done any more.
    async fn keep_at_the_end(&mut self) {
        if self.keeping.is_some() {
            let kept = timeout(LAST, done(&mut self.keeping)).await;
            self.kept(kept.unwrap_or_else(|_| Err("the disk takes too long".to_owned())));
        }
        let Some(held) = self.unkept.take() else { return };
        let sealed = last_good::seal(&held, &self.identity, &self.ground.key);
        let kept = match sealed {
            Ok(sealed) => self.ground.folder.keep_last_good(&sealed).map_err(|error| full(&error)),
            Err(error) => Err(error.to_string()),
        };
        self.kept(kept.map(|()| held));
    }
}

/// An error with its causes, on one line.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// The next word of a stream; never, if there is none.
async fn hear(link: &mut Option<Link>) -> Heard {
    match link {
        Some(link) => link.hear().await,
        None => std::future::pending().await,
    }
}

/// What is being done, once it is done, and then it is not any more; never, if there is nothing.
async fn done<T>(doing: &mut Option<Doing<T>>) -> T {
    let result = match doing {
        Some(doing) => doing.await,
        None => std::future::pending().await,
    };
    *doing = None;
    result
}
