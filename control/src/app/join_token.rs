//! Join tokens: what lets new nodes in.

use model::{Invalid, Name};
use store::authority::State;
use store::join::JoinToken;
use time::Duration;

use super::user::fault;
use super::{App, Op};
use crate::authn::secret;
use crate::ca::Roots;
use crate::moment::micros;
use crate::refusal::Refusal;

/// How long a join token lasts at most.
const LONGEST: Duration = Duration::hours(720);
/// Nodes that one token may let in.
const USES: i64 = 10_000;
/// After so long every server has seen which root signs.
const SEEN: Duration = Duration::seconds(5);
/// The kinds of node that join.
const KINDS: [&str; 2] = ["gateway", "mesh"];

/// A join token that is to be.
#[derive(Debug)]
pub struct NewJoinToken {
    /// The cluster that nodes join.
    pub cluster: String,
    /// The kind of node.
    pub kind: String,
    /// The names of nodes that it is good for; `*` at the end stands for anything.
    pub pattern: String,
    /// How many nodes it lets in.
    pub uses: i64,
    /// How long it lasts.
    pub lasts: Duration,
}

impl App {
    /// All join tokens, oldest first, for a platform admin.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn join_token_list(&self, op: &Op) -> Result<Vec<JoinToken>, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        Ok(self.store.join_token_list().await?)
    }

    /// Makes a join token, and tells it this once: `ID.SECRET.FINGERPRINT`, of which the last part
    /// is the root by which a node knows us.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn join_token_create(
        &self,
        op: &Op,
        new: NewJoinToken,
    ) -> Result<(JoinToken, String), Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let faults = of_new(&new);
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let fingerprint = self.root_fingerprint(op).await?;
        let secret = secret::random()?;
        let token = JoinToken {
            id: uuid::Uuid::now_v7().simple().to_string(),
            hash: store::digest(secret.as_bytes()),
            cluster: new.cluster,
            kind: new.kind,
            pattern: new.pattern,
            uses_left: new.uses,
            created: micros(op.now),
            expires: micros(op.now + new.lasts),
            revoked: None,
        };
        let detail = format!("{} {} {}", token.cluster, token.kind, token.pattern);
        let said = op.said("create", &format!("join token {}", token.id), detail);
        self.store.join_token_create(&token, &said).await?;
        let words = format!("{}.{secret}.{fingerprint}", token.id);
        Ok((token, words))
    }

    /// Revokes a join token for good.
    ///
    /// # Errors
    /// [`Refusal::None`] where there is none.
    pub async fn join_token_revoke(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let none = || Refusal::None("such join token".to_owned());
        self.admin(op, none).await?;
        let known = self.store.join_token_list().await?.iter().any(|token| token.id == id);
        if !known {
            return Err(none());
        }
        let said = op.said("revoke", &format!("join token {id}"), String::new());
        self.store.join_token_revoke(id, &said).await?;
        Ok(())
    }

    /// The fingerprint of the root by which a node that joins now knows us: the one that signs, or
    /// for a moment the one before, until every server has seen that another one signs.
    async fn root_fingerprint(&self, op: &Op) -> Result<String, Refusal> {
        let held = self.store.authority_list(Some("")).await?;
        let roots = Roots::read(&held).map_err(|error| Refusal::Store(Box::new(error)))?;
        let roots = roots.ok_or(Refusal::NoRoot)?;
        let is_seen = roots.signs().since < micros(op.now - SEEN);
        let before = roots.in_state(State::Leaving).filter(|_| !is_seen);
        Ok(before.unwrap_or(roots.signs()).fingerprint.clone())
    }
}

fn of_new(new: &NewJoinToken) -> Vec<Invalid> {
    let mut faults = Vec::new();
    // It becomes a label of the cluster's trust domain.
    if new.cluster.len() > 63 || new.cluster.contains('.') || Name::parse(&new.cluster).is_err() {
        let text = "a cluster's name is lower-case letters, digits and '-', 1 to 63 long";
        faults.push(fault("cluster", text));
    }
    if new.cluster == crate::world::HUB {
        let text = "'hub' is the control plane itself; nodes belong to a cluster of another name";
        faults.push(fault("cluster", text));
    }
    if !KINDS.contains(&new.kind.as_str()) {
        let nearest = model::nearest(&new.kind, KINDS.into_iter());
        let text = format!("'{}' is no kind of node: {}", new.kind, KINDS.join(", "));
        faults.push(Invalid { nearest, ..fault("kind", text) });
    }
    let stem = new.pattern.strip_suffix('*').unwrap_or(&new.pattern);
    let letters =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if new.pattern.is_empty() || new.pattern.len() > 253 || !stem.bytes().all(letters) {
        faults.push(fault("pattern", "a name of a node, of which '*' may be the end"));
    }
    if !(1..=USES).contains(&new.uses) {
        faults.push(fault("uses", format!("a join token lets 1 to {USES} nodes in")));
    }
    if new.lasts <= Duration::ZERO || new.lasts > LONGEST {
        faults.push(fault("expiresIn", "a join token lasts more than nothing and at most 720h"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_node_joins_the_control_planes_own_cluster() {
        let faults = |cluster: &str| {
            let (kind, pattern) = ("gateway".to_owned(), "*".to_owned());
            let (cluster, lasts) = (cluster.to_owned(), Duration::hours(1));
            of_new(&NewJoinToken { cluster, kind, pattern, uses: 1, lasts })
        };
        assert!(faults("east").is_empty());
        let [fault] = &faults("hub")[..] else { panic!("one fault") };
        assert!(fault.reason.contains("control plane"), "{}", fault.reason);
    }
}
