//! Says "look again" when a configuration may have changed: by the kernel's word, and by a timer
//! for file systems that give none.

use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// A word is followed by others: so long they are gathered.
const GATHER: Duration = Duration::from_millis(50);
/// How often the files are looked at without any word.
const TIMER: Duration = Duration::from_secs(5);

/// Watches a configuration.
#[derive(Debug)]
pub(crate) struct Watch {
    word: mpsc::Receiver<()>,
    /// `None` where the kernel refused: then there is the timer alone.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches `path` and, for a file, the folder it lies in, since editors and Kubernetes replace
    /// files rather than write them.
    pub(crate) fn on(path: &Path) -> Self {
        let (say, word) = mpsc::channel(1);
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watcher = watcher(folder, say).inspect_err(|error| {
            let (folder, every) = (folder.display(), TIMER.as_secs());
            tracing::warn!(
                "{folder} cannot be watched, so it is looked at every {every} s: {error}"
            );
        });
        Watch { word, _watcher: watcher.ok() }
    }

    /// Ends when it is time to look again: at a word, after `within` if that is said, or when the
    /// timer says so.
    pub(crate) async fn changed(&mut self, within: Option<Duration>) {
        let timer = sleep(within.map_or(TIMER, |within| within.min(TIMER)));
        tokio::pin!(timer);
        tokio::select! {
            () = &mut timer => return,
            word = self.word.recv() => match word {
                Some(()) => sleep(GATHER).await,
                // Nobody is left who could give a word.
                None => timer.await,
            },
        }
        while self.word.try_recv().is_ok() {}
    }
}

/// Has the kernel `say` a word on each change in `folder`.
fn watcher(folder: &Path, say: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if !event.is_ok_and(|event| is_reading(event.kind)) {
            // Full means that the word is already there.
            let _ = say.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Whether somebody only read, as we do ourselves at each look.
fn is_reading(event: EventKind) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    event.is_access() && event != written
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn without_anybody_to_give_a_word_the_timer_goes_on() {
        let (_, word) = mpsc::channel(1);
        let mut watch = Watch { word, _watcher: None };
        let (began, within) = (Instant::now(), Duration::from_millis(20));
        for _ in 0..3 {
            watch.changed(Some(within)).await;
        }
        assert!(began.elapsed() >= 3 * within, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_watched_is_looked_at_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::on(&folder.path().join("absent").join("edge.yaml"));
        assert!(watch._watcher.is_none());
        watch.changed(Some(Duration::ZERO)).await;
    }

    #[tokio::test]
    async fn reading_a_file_gives_no_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.yaml");
        std::fs::write(&file, "").unwrap();
        let mut watch = Watch::on(folder.path());
        std::fs::read(&file).unwrap();
        let (began, within) = (Instant::now(), Duration::from_millis(200));
        watch.changed(Some(within)).await;
        assert!(began.elapsed() >= within, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_word_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::on(folder.path());
        let began = Instant::now();
        std::fs::write(folder.path().join("edge.yaml"), "").unwrap();
        watch.changed(None).await;
        assert!(began.elapsed() < TIMER);
    }
}
