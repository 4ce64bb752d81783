//! Room for questions to providers: those that policies of one namespace name, which may be slow, take none of
//! another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use policy::Login;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many are under way at once for one namespace.
pub(super) const AT_ONCE: usize = 64;

/// By namespace: there are no more than have logins.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<HashMap<Box<str>, Arc<Semaphore>>>);

impl Rooms {
    /// Room for one question; none where as many are under way as may be.
    pub(super) fn room(&self, login: &Login) -> Option<OwnedSemaphorePermit> {
        let namespace = login.policy.namespace.as_str();
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = match rooms.get(namespace) {
            Some(room) => Arc::clone(room),
            None => {
                let room = Arc::new(Semaphore::new(AT_ONCE));
                rooms.insert(namespace.into(), Arc::clone(&room));
                room
            }
        };
        room.try_acquire_owned().ok()
    }
}
