//! Waiting for a condition, never for a time: each wait has a deadline and says what did not come.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that should be done in a moment. Machines under load are slow.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `probe` gives something.
///
/// # Panics
/// Where nothing came within [`DEADLINE`]: says `what`.
pub async fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = within(what, probe()).await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "within {DEADLINE:?} it did not happen: {what}");
        sleep(PAUSE).await;
    }
}

/// The same for a plain condition.
///
/// # Panics
/// Where it does not hold within [`DEADLINE`].
pub async fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || std::future::ready(holds().then_some(()))).await;
}

/// The same for one that has to be asked for.
///
/// # Panics
/// Where it does not hold within [`DEADLINE`].
pub async fn until_true_of(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !within(what, holds()).await {
        assert!(began.elapsed() < DEADLINE, "within {DEADLINE:?} it did not happen: {what}");
        sleep(PAUSE).await;
    }
}

/// What `future` gives.
///
/// # Panics
/// Where it takes longer than [`DEADLINE`]: says `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(DEADLINE, future).await else {
        panic!("took longer than {DEADLINE:?}: {what}");
    };
    done
}
