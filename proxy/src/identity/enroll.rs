//! How a node comes by its certificate: by a token, by the one it has, or by the one that ended.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use tonic::{Code, Request, Status};
use wire::client::IdentityClient;
use wire::{Certified, Join, Rejoin, Renew, Speak};

use super::connection::{Away, Connection, Dialer};
use super::key::{KeyError, NodeKey};
use super::node::{Identity, Spoken};
use super::token::JoinToken;
use super::trust::Distrust;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Clocks that differ by more are told.
const SKEW: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// There is no connection.
    #[error(transparent)]
    Away(#[from] Away),
    /// The server does not want this node, and says why.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// The server could not answer.
    #[error("the server could not answer: {0}")]
    Failed(String),
    /// What the server certified is not what was asked for.
    #[error("the server's certificate for this node is of no use: {0}")]
    Unfit(String),
    /// There is no request.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl EnrollError {
    /// Whether the two know each other no more, so that only another token helps.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            EnrollError::Refused(_)
                | EnrollError::Away(Away::Distrusted { why: Distrust::Stranger, .. })
        )
    }

    /// Whether trying again later may do.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            EnrollError::Away(Away::Unreachable { .. }) | EnrollError::Failed(_) => true,
            EnrollError::Away(Away::Distrusted { .. } | Away::Refused { .. } | Away::Ended)
            | EnrollError::Refused(_)
            | EnrollError::Unfit(_)
            | EnrollError::Key(_) => false,
        }
    }
}

/// A node that asks.
#[derive(Debug)]
pub(crate) struct Asking<'n> {
    pub(crate) dialer: &'n Dialer,
    pub(crate) key: &'n NodeKey,
    pub(crate) version: &'n str,
}

impl Asking<'_> {
    /// By a token, as a node of this kind and name.
    pub(crate) async fn join(
        &self,
        token: &JoinToken,
        kind: &str,
        name: &str,
    ) -> Result<Identity, EnrollError> {
        let join = Join {
            token_id: token.id().to_owned(),
            token_secret: token.secret(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: self.version.to_owned(),
            csr: self.key.request()?,
            now: micros(SystemTime::now()),
        };
        let mut client = self.client().await?;
        let certified = answer(client.join(Request::new(join))).await?;
        self.accept(certified, kind, name)
    }

    /// By the certificate that the connection shows.
    pub(crate) async fn renew(&self, identity: &Identity) -> Result<Identity, EnrollError> {
        let renew = Renew {
            csr: self.key.request()?,
            version: self.version.to_owned(),
            now: micros(SystemTime::now()),
        };
        let mut client = self.client().await?;
        let certified = answer(client.renew(Request::new(renew))).await?;
        self.next(identity, certified)
    }

    /// By the certificate that has ended.
    pub(crate) async fn rejoin(&self, identity: &Identity) -> Result<Identity, EnrollError> {
        let certificate = identity.chain.first().cloned().unwrap_or_default();
        let rejoin = Rejoin {
            certificate,
            csr: self.key.request()?,
            version: self.version.to_owned(),
            now: micros(SystemTime::now()),
        };
        let mut client = self.client().await?;
        let certified = answer(client.rejoin(Request::new(rejoin))).await?;
        self.next(identity, certified)
    }

    /// As the workload that this node stands for, by the certificate that the connection shows.
    pub(crate) async fn speak(&self) -> Result<Spoken, EnrollError> {
        let speak = Speak { csr: self.key.request()?, now: micros(SystemTime::now()) };
        let mut client = self.client().await?;
        let spoken = answer(client.speak(Request::new(speak))).await?;
        tell_skew(spoken.now);
        Ok(Spoken { chain: spoken.chain })
    }

    async fn client(&self) -> Result<IdentityClient<Connection>, EnrollError> {
        let connection = self.dialer.dial().await?;
        Ok(IdentityClient::new(connection).max_decoding_message_size(wire::FRAME))
    }

    fn next(&self, identity: &Identity, certified: Certified) -> Result<Identity, EnrollError> {
        let next = self.accept(certified, &identity.kind, &identity.name)?;
        if next.node != identity.node {
            let (now, then) = (&next.node, &identity.node);
            return Err(EnrollError::Unfit(format!("it calls this node {now}, not {then}")));
        }
        Ok(Identity { vector: identity.vector.clone(), ..next })
    }

    fn accept(
        &self,
        certified: Certified,
        kind: &str,
        name: &str,
    ) -> Result<Identity, EnrollError> {
        tell_skew(certified.now);
        let identity = Identity::certified(certified, kind, name);
        let checked = identity.check(self.key.public());
        checked.map_err(|error| EnrollError::Unfit(error.to_string()))?;
        Ok(identity)
    }
}

/// Waits for the answer, but not for ever.
async fn answer<T>(
    asked: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, EnrollError> {
    let answered = timeout(ANSWER, asked).await;
    let answered = answered.map_err(|_| EnrollError::Failed("no answer in 10 s".to_owned()))?;
    answered.map(tonic::Response::into_inner).map_err(|status| match status.code() {
        Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::PermissionDenied
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Unimplemented => EnrollError::Refused(status.message().to_owned()),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => EnrollError::Failed(told(&status)),
    })
}

fn told(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Tells when the two clocks differ by more than is good.
fn tell_skew(server: i64) {
    let ours = micros(SystemTime::now());
    let skew = Duration::from_micros(ours.abs_diff(server));
    if skew > SKEW {
        let way = if ours > server { "ahead of" } else { "behind" };
        let seconds = skew.as_secs();
        tracing::warn!(
            seconds,
            "this machine's clock is {seconds} s {way} the server's; set it, or certificates will \
             seem to have ended"
        );
    }
}

/// Microseconds since 1970.
pub(crate) fn micros(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
