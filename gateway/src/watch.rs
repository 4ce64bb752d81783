//! Says "look again" when a configuration may have changed: by the kernel's word, and by a timer
//! for file systems that give none.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// How long the files must lie still before they are read.
const STILL: Duration = Duration::from_millis(100);
/// A change is read after this long even if the files never lie still.
const AT_LATEST: Duration = Duration::from_secs(1);
/// How often the files are looked at without any word.
const TIMER: Duration = Duration::from_secs(5);

/// Watches a configuration.
#[derive(Debug)]
pub(crate) struct Watch {
    word: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches `path` and, for a file, the folder it lies in, since editors and Kubernetes replace
    /// files rather than write them.
    ///
    /// # Errors
    /// If the kernel refuses the watch.
    pub(crate) fn on(path: &Path) -> Result<Self> {
        let (say, word) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |_| {
            // Full means that the word is already there.
            let _ = say.try_send(());
        })
        .context("starting to watch the configuration")?;
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("watching {}", folder.display()))?;
        Ok(Watch { word, _watcher: watcher })
    }

    /// Ends when it is time to look again.
    pub(crate) async fn changed(&mut self) {
        if tokio::time::timeout(TIMER, self.word.recv()).await.is_err() {
            return;
        }
        let calm = async {
            while let Ok(Some(())) = tokio::time::timeout(STILL, self.word.recv()).await {}
        };
        // Past the bound it is read all the same.
        drop(tokio::time::timeout(AT_LATEST, calm).await);
    }
}
