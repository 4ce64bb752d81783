//! The secrets by which gateways seal sessions, of TLS and of rules, so that each opens what another sealed.

use std::fmt;

use model::secret::SecretBytes;

use crate::frame::{Malformed, key};
use crate::proto::config as proto;
use crate::{GATEWAYS, Key, SECRET, SECRETS};

/// By what a node seals sessions; of several parts the last one says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSecrets {
    /// By Gateway, [`GATEWAYS`](crate::GATEWAYS) at most in a frame.
    pub gateways: Vec<GatewaySessions>,
    /// Whether another part follows.
    pub more: bool,
}

/// The secrets of one Gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewaySessions {
    /// Which.
    pub gateway: Key,
    /// The first one seals, each opens.
    pub secrets: Vec<SecretBytes>,
}

/// Shows whose they are, and nothing of them.
impl fmt::Debug for GatewaySessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewaySessions").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// The message has no other.
impl fmt::Debug for proto::GatewaySessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewaySessions").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl From<SessionSecrets> for proto::SessionSecrets {
    fn from(sessions: SessionSecrets) -> Self {
        let one = |one: GatewaySessions| proto::GatewaySessions {
            gateway: Some(one.gateway.into()),
            secrets: one.secrets.iter().map(|secret| secret.expose().to_vec()).collect(),
        };
        let gateways = sessions.gateways.into_iter().map(one).collect();
        proto::SessionSecrets { gateways, more: sessions.more }
    }
}

impl TryFrom<proto::SessionSecrets> for SessionSecrets {
    type Error = Malformed;

    fn try_from(sessions: proto::SessionSecrets) -> Result<Self, Malformed> {
        let proto::SessionSecrets { gateways, more } = sessions;
        if gateways.len() > GATEWAYS {
            return Err(Malformed::Many(gateways.len()));
        }
        let gateways = gateways.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(SessionSecrets { gateways, more })
    }
}

impl TryFrom<proto::GatewaySessions> for GatewaySessions {
    type Error = Malformed;

    fn try_from(one: proto::GatewaySessions) -> Result<Self, Malformed> {
        let gateway = key(one.gateway)?;
        match one.secrets.len() {
            0 => return Err(Malformed::Missing("secrets")),
            1..=SECRETS => {}
            many => return Err(Malformed::Many(many)),
        }
        if let Some(odd) = one.secrets.iter().find(|secret| secret.len() != SECRET) {
            return Err(Malformed::Secret(odd.len()));
        }
        let secrets = one.secrets.into_iter().map(SecretBytes::new).collect();
        Ok(GatewaySessions { gateway, secrets })
    }
}
