//! What keeps a core busy is done in turn, and keeps nobody from what costs little.

use std::time::Duration;

use super::*;

/// Does `work` while all turns are taken, and sees that it waits for one; then it has it.
fn waits_for_a_turn<'a, T: 'a>(
    app: &'a App,
    work: impl Future<Output = T> + 'a,
) -> impl Future<Output = T> + 'a {
    let mut work = Box::pin(work);
    async move {
        let all = u32::try_from(app.cores.available_permits()).unwrap();
        let held = Arc::clone(&app.cores).acquire_many_owned(all).await.unwrap();
        // The app has one, who holds all turns another, and who waits for one a third.
        let is_waiting = async {
            while Arc::strong_count(&app.cores) < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = &mut work => panic!("it waited for no turn"),
            waiting = tokio::time::timeout(Duration::from_secs(60), is_waiting) => waiting.unwrap(),
        }
        app.world().await.unwrap();
        drop(held);
        work.await
    }
}

#[tokio::test]
async fn whatever_is_judged_waits_for_its_turn() {
    let bed = Bed::shop().await;
    let (sara, edits) = (op("sara"), || read(&service("shop")).unwrap());
    let app = &bed.app;
    waits_for_a_turn(app, app.change_plan(&sara, edits())).await.unwrap();
    waits_for_a_turn(app, app.change_dry_run(&sara, edits())).await.unwrap();
    let made = waits_for_a_turn(app, app.change_commit(&sara, edits())).await.unwrap();
    waits_for_a_turn(app, app.change_revert(&sara, made.revision)).await.unwrap();
}
