//! A joined node's life, on a thread of its own: join, serve what was kept, follow, renew, keep.
//!
//! Everything that may take long (assembling, sealing, a handshake) is a future beside the loop, so
//! that heartbeats go on.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::Name;
use model::identity::Peer;
use model::workload::Workload;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};
use wire::{Rejection, Standing, Trust, Vector};

use super::compiler::{Compiler, Seat};
use super::counter::Counter;
use super::held::{Held, Objects, Served};
use super::keeper::Keeper;
use super::leaver::Leaver;
use super::link::{Heard, Link};
use super::member::{Ground, Next, anchor, left};
use super::revoked::Kept;
use super::session::{Action, Event, Now, Session};
use super::speaker::{self, Wanted};
use super::status::{Source, written};
use super::teller::Teller;
use super::{Error, Ready, Update, application, lane, secrets, unopened};
use crate::identity::{
    Away, Certificate, Dialer, EnrollError, Fingerprint, Identity, Shown, above,
};
use crate::mesh::Papers;

/// The kind of node that is a gateway.
pub(super) const GATEWAY: &str = "gateway";

/// Something that goes on beside the loop.
pub(super) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

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
            life.revoked.write(&life.identity);
            life.keeper.end(Arc::clone(&life.identity)).await;
        }
        Err(error) => {
            // Whoever would hear it is gone if this fails.
            let _ = ground.updates.send(Update::Failed(error)).await;
        }
    }
}

/// What came of a state.
#[derive(Debug)]
struct Done {
    compiler: Compiler,
    rejected: Vec<Rejection>,
    /// [`Served::good`].
    good: Objects,
    /// As whom the node is to speak in the mesh.
    peer: Option<Peer>,
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
    /// As whom it is to speak in the mesh.
    speaks: watch::Sender<Wanted>,
    renewing: Doing<Next>,
    /// The issuer's certificate of what it speaks by as a workload.
    spoken: watch::Receiver<Option<Vec<u8>>>,
    /// When to ask for a certificate under the root that signs, where this one lies under another.
    moves: Option<Instant>,
    /// Within which time that is done.
    spread: Duration,
    keeper: Keeper,
    /// Who is shut out.
    revoked: Kept,
    /// Ready when that is to be written.
    writing: Doing<()>,
    /// What the table in force was made from, and what it could not take.
    in_force: Option<(Served, Vec<Rejection>)>,
    /// Where the application beside it does not answer.
    silent: watch::Receiver<BTreeSet<u16>>,
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
        let compiler = Compiler::of(seat(&identity));
        let peer = None;
        let (trust, roots) = (identity.trust.clone(), identity.roots.clone().into());
        let spread = Duration::ZERO;
        let wanted = Wanted { peer, trust, roots, spread, dialer: dialer.clone() };
        let (speaks, wanted) = watch::channel(wanted);
        let (told, spoken) = watch::channel(None);
        let teller = Teller::new(Arc::clone(&ground.decisions));
        tokio::spawn(lane::run(teller, wanted.clone()));
        let counter = Counter::new(Arc::clone(&ground.traffic));
        tokio::spawn(lane::run(counter, wanted.clone()));
        // Before anything is served.
        let revoked = Kept::begin(ground.clone(), &identity);
        let writing = Box::pin(revoked.is_due());
        if identity.kind == GATEWAY {
            let leaver = Leaver::new(Arc::clone(&ground.membership.revoked));
            tokio::spawn(lane::run(leaver, wanted.clone()));
        }
        if identity.kind != GATEWAY {
            tokio::spawn(speaker::run(ground.clone(), wanted, told));
        }
        let (tell, silent) = watch::channel(BTreeSet::new());
        if let Some(own) =
            Name::parse(&identity.name).ok().and_then(|name| Workload::of_node(&name))
            && identity.kind != GATEWAY
        {
            tokio::spawn(application::run(own, Arc::clone(&ground.status), tell));
        }
        let life = Life {
            renewing: Box::pin(renewing),
            keeper: Keeper::new(ground.clone()),
            revoked,
            writing,
            ground,
            identity,
            shown,
            dialer,
            session,
            compiler: Some(compiler),
            link: None,
            opening: None,
            taking: None,
            speaks,
            spoken,
            moves: None,
            spread,
            in_force: None,
            silent,
            told: String::new(),
        };
        life.tell_identity();
        Ok(life)
    }

    fn tell_identity(&self) {
        self.speak_as_gateway();
        let (node, ends) = (Arc::clone(&self.identity), self.identity.ends().ok());
        self.ground.status.change(|standing| {
            standing.node = Some(node);
            standing.ends = ends;
            standing.trouble = None;
        });
    }

    /// A gateway speaks in the mesh by its node's certificate.
    fn speak_as_gateway(&self) {
        let identity = &self.identity;
        let Some(peer) = gateway(identity) else { return };
        let Identity { trust, chain, roots, .. } = &**identity;
        let papers = Papers { peer: &peer, trust, chain, roots };
        if let Err(unfit) = self.ground.membership.show(&papers, &self.ground.key) {
            tracing::error!("the node's certificate is of no use in the mesh: {unfit}");
        }
    }

    /// Puts in force what was kept on disk, before the server is asked.
    async fn serve_last_good(&mut self) {
        secrets::kept(&self.identity, &self.ground);
        let Some(served) = self.keeper.kept(&self.identity) else { return };
        let state = Arc::clone(&served.state);
        let version = self.ground.settings.version.clone();
        let node = Arc::clone(&self.identity);
        self.session = Session::new(node, &version, Arc::clone(&state), Instant::now());
        // What cannot be read keeps the form that was served before, as if there had been no end.
        let seat = seat(&self.identity);
        let compiler = tokio::task::spawn_blocking(move || Compiler::after(&served, seat));
        let compiler = compiler.await.unwrap_or_default();
        let done = self.take(compiler, Arc::clone(&state), Source::Disk).await;
        let served = Served { state, good: done.good };
        self.in_force = done.is_applied.then_some((served, done.rejected));
        self.speak_as(done.peer);
        self.show_rejected();
        self.compiler = Some(done.compiler);
    }

    /// Speaks in the mesh as the table says, if this node stands for a workload.
    fn speak_as(&self, peer: Option<Peer>) {
        self.speaks.send_if_modified(|wanted| {
            let is_news = wanted.peer != peer;
            wanted.peer = peer;
            is_news
        });
    }

    /// Believes these roots from now on: connections of all sorts are opened by them, and what is
    /// open under others ends.
    fn believe(&mut self, trust: Trust) {
        let is_root = |der: &Vec<u8>| Certificate::read(der).is_ok_and(|root| root.is_authority);
        if !trust.roots.iter().all(is_root) {
            return tracing::error!(
                "the server told of a root that is none; they stay as they were"
            );
        }
        self.spread = Duration::from_millis(trust.spread.into());
        if trust.roots != self.identity.roots {
            let next = Identity { roots: trust.roots, ..Identity::clone(&self.identity) };
            // What is not kept would be forgotten at the next start, and must not be said.
            if let Err(error) = self.ground.folder.keep_identity(&next) {
                return tracing::error!("{error}; the roots stay as they were");
            }
            tracing::info!(roots = next.roots.len(), "other roots are trusted");
            self.identity = Arc::new(next);
            self.follow_roots();
            self.tell_identity();
        }
        self.hurry();
        self.stand();
    }

    /// Whatever goes by the node's roots goes by those of now.
    fn follow_roots(&mut self) {
        self.dialer.trusts(anchor(&self.identity));
        self.session.renewed(Arc::clone(&self.identity));
        let (trust, roots) = (self.identity.trust.clone(), &self.identity.roots);
        let (roots, spread) = (Arc::from(&roots[..]), self.spread);
        self.speaks.send_modify(|wanted| {
            (wanted.trust, wanted.roots, wanted.spread) = (trust, roots, spread);
        });
    }

    /// Has the certificate followed soon, if another root signs than the one above it.
    fn hurry(&mut self) {
        let Identity { chain, roots, .. } = &*self.identity;
        let signs = roots.first().map(|root| Fingerprint::of(root));
        let is_under = chain.get(1).and_then(|issuer| above(issuer, roots)) == signs;
        let soon = || Instant::now() + self.spread.mul_f64(rand::random());
        self.moves = (!is_under).then(soon);
    }

    /// Tells the server under which roots this node lives.
    fn stand(&mut self) {
        let Identity { chain, roots, .. } = &*self.identity;
        let under = |issuer: &[u8]| above(issuer, roots).map_or([0; 32], Fingerprint::bytes);
        let standing = Standing {
            trusts: roots.iter().map(|root| Fingerprint::of(root).bytes()).collect(),
            certificate: chain.get(1).map_or([0; 32], |issuer| under(issuer)),
            workload: self.spoken.borrow().as_deref().map(under),
            state: self.keeper.signer().map(under),
        };
        self.on(Event::Stands(standing));
    }

    /// Does what the session says, until told to stop.
    async fn follow(&mut self) {
        let stop = self.ground.stop.clone();
        let mut unopened = self.ground.unopened.clone();
        let mut resting = self.ground.resting.clone();
        let mut spoken = self.spoken.clone();
        loop {
            let wakes = self.session.wakes();
            let event = tokio::select! {
                () = stop.cancelled() => return,
                heard = hear(&mut self.link) => self.heard(heard),
                opened = done(&mut self.opening) => self.opened(opened),
                taken = done(&mut self.taking) => {
                    if !taken.is_applied {
                        return;
                    }
                    self.compiler = Some(taken.compiler);
                    self.speak_as(taken.peer);
                    if let Some(state) = self.session.taking() {
                        let served = Served { state: Arc::clone(state), good: taken.good };
                        self.keeper.note(served.clone());
                        self.in_force = Some((served, taken.rejected));
                    }
                    Some(Event::Taken(self.show_rejected()))
                }
                Ok(()) = unopened.changed() => Some(Event::Rejects(self.show_rejected())),
                Ok(()) = self.silent.changed() => {
                    Some(Event::Silent(self.silent.borrow_and_update().clone()))
                }
                Ok(()) = resting.changed() => {
                    Some(Event::Resting(resting.borrow_and_update().clone()))
                }
                // Who the node is does not change under an assembly, which holds the compiler.
                next = &mut self.renewing, if self.taking.is_none() => {
                    self.renew(next);
                    None
                }
                node = self.keeper.turn(&self.identity) => {
                    self.identity = node;
                    self.stand();
                    None
                }
                Ok(()) = spoken.changed() => {
                    self.stand();
                    None
                }
                () = &mut self.writing => {
                    // What comes while it is written is written next.
                    self.writing = Box::pin(self.revoked.is_due());
                    self.revoked.write(&self.identity);
                    None
                }
                () = sleep_until(self.moves.unwrap_or_else(Instant::now)), if self.moves.is_some() => {
                    self.moves = None;
                    self.ground.due.notify_one();
                    None
                }
                () = sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {
                    Some(Event::Tick)
                }
            };
            if let Some(event) = event {
                self.on(event);
            }
        }
    }

    /// Shows what of the state in force is not served as it was sent, ports and objects, and gives it.
    fn show_rejected(&self) -> Vec<Rejection> {
        let Some((served, rejected)) = &self.in_force else { return Vec::new() };
        let status = &self.ground.status;
        let ports = unopened::rejections(&self.ground.unopened.borrow(), served, status);
        let all = ports.into_iter().chain(rejected.iter().cloned());
        let all: Vec<_> = all.take(wire::REJECTIONS).collect();
        status.change(|standing| standing.rejected = Arc::new(all.clone()));
        all
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
            Action::Believe(trust) => self.believe(trust),
            Action::Share(sessions) => secrets::share(&sessions, &self.identity, &self.ground),
            Action::ShutOut(out) => self.revoked.shut_out(out),
            Action::LogOut(sessions) => self.revoked.log_out(&sessions),
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
                // Where the roots were rotated without this node, a token lets it in again.
                if matches!(away, Away::Distrusted { .. }) && self.ground.settings.token.is_some() {
                    self.ground.due.notify_one();
                }
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
                });
                Some(Event::Frame(frame))
            }
            Heard::End(end) => {
                if end.is_unknown {
                    self.ground.due.notify_one();
                }
                self.lose(&end.why);
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
        let decisions = Arc::clone(&self.ground.decisions);
        let is_same = |served: &Served| served.state.objects == state.objects;
        let same = self.in_force.as_ref().filter(|(served, _)| is_same(served)).cloned();
        async move {
            if let Some((Served { good, .. }, rejected)) = same {
                // As after each new stream: only what is said of the objects is new.
                status.change(|standing| standing.take(&state, source));
                decisions.runs(&state.vector);
                let peer = compiler.peer();
                return Done { compiler, rejected, good, peer, is_applied: true };
            }
            let objects = state.objects.clone();
            let compiled = tokio::task::spawn_blocking(move || {
                let compiled = compiler.compile(&objects);
                (compiler, compiled)
            });
            let Ok((compiler, compiled)) = compiled.await else {
                // A panic was told by its hook. Without a compiler there is nothing to go on with.
                return Done {
                    compiler: Compiler::default(),
                    rejected: Vec::new(),
                    good: Objects::new(),
                    peer: None,
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
                decisions.runs(&state.vector);
                status.change(|standing| {
                    standing.take(&state, source);
                    standing.resources = compiled.resources;
                    standing.kept = Arc::new(compiled.kept);
                });
            }
            let (good, peer) = (compiled.good, compiler.peer());
            Done { compiler, rejected, good, peer, is_applied }
        }
    }

    /// Goes on with another certificate: the stream is opened anew by it before the old one is let
    /// go.
    fn renew(&mut self, next: Next) {
        let Next { identity: next, is_anew } = next;
        let is_another = next.node != self.identity.node;
        let vector = if is_another { Vector::new() } else { self.identity.vector.clone() };
        // An answer that took long may know less of roots than the stream told since.
        let roots = if is_anew { next.roots } else { self.identity.roots.clone() };
        let next = Identity { vector, roots, ..next };
        if let Err(error) = self.ground.folder.keep_identity(&next) {
            tracing::error!("{error}; the new certificate is lost if this process ends");
        }
        match self.shown.show(&next, &self.ground.key) {
            Ok(()) => {
                let ends = next.ends().ok().and_then(written).unwrap_or_default();
                tracing::info!(ends, "the certificate was renewed");
            }
            Err(error) => tracing::error!("the new certificate cannot be shown: {error}"),
        }
        self.identity = Arc::new(next);
        if is_another {
            // What is held was signed for another node: all is sent anew, and signed for this one.
            self.link = None;
            self.keeper = Keeper::new(self.ground.clone());
            let (node, held) = (Arc::clone(&self.identity), Arc::new(Held::nothing()));
            let version = &self.ground.settings.version;
            self.session = Session::new(node, version, held, Instant::now());
            self.silent.mark_changed();
        }
        match is_anew {
            true => self.follow_roots(),
            false => self.session.renewed(Arc::clone(&self.identity)),
        }
        let ground = self.ground.clone();
        self.renewing = Box::pin(ground.renewed(Arc::clone(&self.identity), self.dialer.clone()));
        self.tell_identity();
        self.hurry();
        self.stand();
        if self.link.is_some() {
            self.open();
        } else if self.opening.is_none() {
            self.session.hurry(Instant::now());
        }
    }
}

/// For whom a node's tables are made.
fn seat(identity: &Identity) -> Seat {
    let name = Name::parse(&identity.name).ok().filter(|_| identity.kind != GATEWAY);
    let stands_for = name.and_then(|name| Workload::of_node(&name));
    Seat { cluster: Name::parse(&identity.cluster).ok(), stands_for }
}

/// As whom a gateway speaks.
fn gateway(identity: &Identity) -> Option<Peer> {
    let (cluster, name) = (Name::parse(&identity.cluster).ok()?, Name::parse(&identity.name).ok()?);
    (identity.kind == GATEWAY).then_some(Peer::Gateway { cluster, name })
}

/// The next word of a stream; never, if there is none.
async fn hear(link: &mut Option<Link>) -> Heard {
    match link {
        Some(link) => link.hear().await,
        None => std::future::pending().await,
    }
}

/// What is being done, once it is done, and then it is not any more; never, if there is nothing.
pub(super) async fn done<T>(doing: &mut Option<Doing<T>>) -> T {
    let result = match doing {
        Some(doing) => doing.await,
        None => std::future::pending().await,
    };
    *doing = None;
    result
}
