//! Passwords: hashed by argon2id, few at once, and never compared in a time that tells something.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use super::secret::{self, NoChance};

/// Each takes 19 MiB and a core: more at once would take the machine from everybody else.
const AT_ONCE: usize = 2;

/// How many may wait for their turn.
const WAITING: usize = 32;

/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// Bytes of a password, at least and at most.
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Too many sign in at once.
    #[error("too many sign in at once")]
    Busy,
    /// There is no salt.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// The hash could not be computed.
    #[error("the password could not be hashed")]
    Hash,
}

/// The hasher, with its turns.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Semaphore,
}

/// The hash of a password that nobody has, so that an unknown user takes as long as a known one.
/// Made once per process; nothing can be seen of the sharing.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hash(&secret::random().ok()?).ok());

impl Passwords {
    pub(crate) fn new() -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Passwords { turns, queue: Semaphore::new(AT_ONCE + WAITING) }
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether it is the password of this hash. Where there is no hash, the answer takes as long
    /// and is no.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        self.in_turn(move || {
            let known = hash.is_some();
            let hash = hash.or_else(|| NOBODYS.clone()).ok_or(Error::Hash)?;
            let fits = Argon2::default().verify_password(password.as_bytes(), hash.as_str());
            Ok(fits.is_ok() && known)
        })
        .await?
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _queued = self.queue.try_acquire().map_err(|_| Error::Busy)?;
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?;
        // The turn ends with the work, also where nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        working.await.map_err(|_| Error::Hash)
    }
}

fn hash(password: &str) -> Result<String, Error> {
    let salt = secret::bytes::<16>()?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|_| Error::Hash)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let fits = async |password: &str, hash: Option<&String>| {
            passwords.verify(password.to_owned(), hash.cloned()).await.unwrap()
        };
        assert!(fits("correct horse", Some(&hash)).await);
        assert!(!fits("correct horsf", Some(&hash)).await);
        assert!(!fits("correct horse", None).await);
        assert!(!fits("", Some(&"no hash".to_owned())).await);
    }
}
