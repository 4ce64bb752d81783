//! Alarms ring at their time, whoever had them before.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How long `alarm` takes to ring from now on.
async fn rings_after(alarm: impl Future<Output = ()>) -> Duration {
    let before = Instant::now();
    alarm.await;
    before.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_alarm_rings_at_its_time() {
    let alarms = Alarms::default();
    let alarm = alarms.at(Instant::now() + 3 * SECOND);
    assert_eq!(rings_after(alarm).await.as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_lent_again_rings_at_its_new_time_alone() {
    let alarms = Alarms::default();
    for bound in [3, 5, 1, 7] {
        let mut alarm = alarms.at(Instant::now() + bound * SECOND);
        assert_eq!(alarms.lock().len(), 0, "the one that came back is lent");
        assert!(futures::poll!(&mut alarm).is_pending());
        tokio::time::advance(SECOND / 2).await;
        drop(alarm);
        assert_eq!(alarms.lock().len(), 1);
    }
    assert_eq!(rings_after(alarms.at(Instant::now() + 20 * SECOND)).await.as_secs(), 20);
    assert_eq!(rings_after(alarms.at(Instant::now() + 2 * SECOND)).await.as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_ran_out_unused_can_be_lent() {
    let alarms = Alarms::default();
    let mut alarm = alarms.at(Instant::now() + SECOND);
    assert!(futures::poll!(&mut alarm).is_pending());
    drop(alarm);
    tokio::time::advance(5 * SECOND).await;
    assert_eq!(rings_after(alarms.at(Instant::now() + SECOND)).await.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_moved_rings_when_it_was_moved_to() {
    let alarms = Alarms::default();
    let mut alarm = alarms.at(Instant::now() + SECOND);
    alarm.move_to(Instant::now() + 4 * SECOND);
    assert_eq!(rings_after(&mut alarm).await.as_secs(), 4);
    alarm.move_to(Instant::now() + 2 * SECOND);
    assert_eq!(rings_after(&mut alarm).await.as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn hyper_moves_what_it_was_lent() {
    let alarms = Alarms::default();
    let mut lent = rt::Timer::sleep(&alarms, SECOND);
    rt::Timer::reset(&alarms, &mut lent, (Instant::now() + 6 * SECOND).into_std());
    assert_eq!(rings_after(&mut lent).await.as_secs(), 6);
    drop(lent);
    assert_eq!(alarms.lock().len(), 1);
}

#[tokio::test]
async fn a_bounded_number_is_kept() {
    let alarms = Alarms::default();
    let until = Instant::now() + SECOND;
    let lent: Vec<_> = (0..SPARE + 10).map(|_| alarms.at(until)).collect();
    drop(lent);
    assert_eq!(alarms.lock().len(), SPARE);
}
