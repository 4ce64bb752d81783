//! How a node becomes a member of the mesh, and stays one: it joins, renews, and comes back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wire::Resting;

use super::status::Status;
use super::{Error, Settings, Update};
use crate::decisions::Decisions;
use crate::identity::{
    Anchor, Asking, Certificate, Dialer, EnrollError, Folder, Identity, JoinToken, NodeKey, Shown,
    again, due,
};
use crate::tls::tickets::Told;
use crate::traffic::Traffic;
use crate::{ApplyError, Membership};

/// The longest wait between two tries to join.
const JOINING: Duration = Duration::from_secs(10);

/// How often it is looked whether the certificate is due.
const LOOK: Duration = Duration::from_secs(60);

/// What the node lives by.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) settings: Arc<Settings>,
    pub(super) folder: Arc<Folder>,
    pub(super) key: Arc<NodeKey>,
    pub(super) status: Arc<Status>,
    pub(super) updates: mpsc::Sender<Update>,
    /// The ports of the table in force that are not open.
    pub(super) unopened: watch::Receiver<Vec<ApplyError>>,
    /// The endpoints that get no requests.
    pub(super) resting: watch::Receiver<Vec<Resting>>,
    /// As whom the process speaks in the mesh.
    pub(super) membership: Arc<Membership>,
    /// What is to be told of requests.
    pub(super) decisions: Arc<Decisions>,
    /// What is counted of them.
    pub(super) traffic: Arc<Traffic>,
    /// By what sessions are sealed.
    pub(super) told: Arc<Told>,
    pub(super) stop: CancellationToken,
    /// The server knows this node no more: the certificate is due at once.
    pub(super) due: Arc<Notify>,
}

impl Ground {
    /// Who the node is: as it was kept, or as it joins.
    pub(super) async fn identity(&self, kept: Option<Identity>) -> Result<Identity, Error> {
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

    pub(super) fn dialer(&self, anchor: Anchor, shown: &Arc<Shown>) -> Result<Dialer, EnrollError> {
        let dialer = Dialer::new(&self.settings.server, anchor, shown);
        dialer.map_err(|error| EnrollError::Unfit(error.to_string()))
    }

    pub(super) fn asking<'n>(&'n self, dialer: &'n Dialer) -> Asking<'n> {
        Asking { dialer, key: &self.key, version: &self.settings.version }
    }

    /// Waits until the certificate is due and comes back with the next, however long it takes.
    pub(super) async fn renewed(self, identity: Arc<Identity>, dialer: Dialer) -> Next {
        let (mut failures, mut told) = (0, String::new());
        tokio::select! {
            () = until_due(&identity) => {}
            () = self.due.notified() => {}
        }
        loop {
            let left = left(&identity);
            let asked = match left {
                Duration::ZERO => self.come_back(&identity, &dialer).await,
                _ => self.asking(&dialer).renew(&identity).await,
            };
            let asked = match asked {
                Ok(identity) => Ok(Next { identity, is_anew: false }),
                Err(why) if why.is_final() => {
                    let joined = self.by_token(&identity, why).await;
                    joined.map(|identity| Next { identity, is_anew: true })
                }
                Err(why) => Err(why),
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
    async fn come_back(
        &self,
        identity: &Identity,
        dialer: &Dialer,
    ) -> Result<Identity, EnrollError> {
        let dialer = dialer.stranger();
        let dialer = dialer.map_err(|error| EnrollError::Unfit(error.to_string()))?;
        self.asking(&dialer).rejoin(identity).await
    }

    /// Joins anew, where the server and this node know each other no more (`why`) and there is a
    /// token.
    async fn by_token(
        &self,
        identity: &Identity,
        why: EnrollError,
    ) -> Result<Identity, EnrollError> {
        let Some(token) = &self.settings.token else {
            let EnrollError::Refused(why) = why else { return Err(why) };
            let remedy = "start it with a new token by --join";
            return Err(EnrollError::Refused(format!("{why}; {remedy}")));
        };
        let dialer = self.stranger(Anchor::Root(token.root()))?;
        self.asking(&dialer).join(token, &identity.kind, &identity.name).await
    }
}

/// Who a node is from now on.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) identity: Identity,
    /// Whether it joined anew, and so has other roots; else those count that its stream told it.
    pub(super) is_anew: bool,
}

/// By what a node that joined knows the server.
pub(super) fn anchor(identity: &Identity) -> Anchor {
    Anchor::Roots { roots: identity.roots.clone(), trust: identity.trust.clone() }
}

/// How long the certificate lives yet.
pub(super) fn left(identity: &Identity) -> Duration {
    let ends = identity.ends().unwrap_or(SystemTime::UNIX_EPOCH);
    ends.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Waits until the certificate is due by the clock on the wall, which alone goes on while the
/// machine sleeps.
async fn until_due(identity: &Identity) {
    let Ok(certificate) = identity.certificate() else { return };
    until_due_of(&certificate).await;
}

/// The same of any certificate.
pub(super) async fn until_due_of(certificate: &Certificate) {
    let due = due(certificate.not_before, certificate.not_after, rand::random());
    while let Ok(left) = due.duration_since(SystemTime::now()) {
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}
