//! Tickets of sessions, each good only where the same is asked of callers as where it was given.
//!
//! A session that is resumed proves again what it proved at first, so one that began where nothing was asked,
//! or where others were believed, must not be resumed where something is.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::gateway::FrontendValidationMode;
use rustls::server::ProducesTickets;
use table::ClientValidation;

const LENGTH: usize = 32;

/// Tickets for one sort of listeners.
#[derive(Debug)]
pub(super) struct Bound {
    by: Arc<dyn ProducesTickets>,
    /// Of all that is asked.
    asked: [u8; LENGTH],
}

impl Bound {
    pub(super) fn new(by: &Arc<dyn ProducesTickets>, asked: Option<&ClientValidation>) -> Self {
        let mut hash = Context::new(&SHA256);
        if let Some(asked) = asked {
            hash.update(match asked.mode {
                FrontendValidationMode::AllowValidOnly => b"needed",
                FrontendValidationMode::AllowInsecureFallback => b"wanted",
            });
            for authority in &asked.authorities {
                hash.update(&authority.pem.len().to_be_bytes());
                hash.update(authority.pem.as_bytes());
            }
        }
        let asked = hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        Bound { by: Arc::clone(by), asked }
    }
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        self.by.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.by.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.by.encrypt(&[&self.asked[..], session].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let opened = self.by.decrypt(ticket)?;
        opened.strip_prefix(&self.asked[..]).map(<[u8]>::to_vec)
    }
}
