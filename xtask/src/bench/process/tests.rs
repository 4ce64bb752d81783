//! What the kernel says of processes and processors is read right.

use super::*;

const STAT: &str = "\
cpu  100 1 100 800 20 2 6 1 0 0
cpu0 90 0 60 300 0 0 0 0 0 0
cpu1 10 1 40 500 20 2 6 1 0 0
cpu10 1 1 1 1 1 1 1 1 0 0
intr 4711
";

#[test]
fn busy_is_what_is_neither_idle_nor_waiting() -> Result<()> {
    let before = CoreTime::read(STAT, "cpu1 ")?;
    let after = CoreTime::read(&STAT.replace("cpu1 10 1 40 500", "cpu1 40 1 70 530"), "cpu1 ")?;
    // 60 ticks busy of 90.
    assert!((after.busy_since(before) - 66.7).abs() < 0.1);
    assert!(CoreTime::read(STAT, "cpu7 ").is_err());
    Ok(())
}

#[test]
fn what_is_stolen_is_told_of_all_cores_together() -> Result<()> {
    let before = CoreTime::read(STAT, "cpu ")?;
    let later = STAT.replace("cpu  100 1 100 800 20 2 6 1 0 0", "cpu  140 1 100 850 20 2 6 11 0 0");
    let after = CoreTime::read(&later, "cpu ")?;
    // 10 ticks of 100 stolen, which nobody here could use: with 40 of work half were busy.
    assert!((after.stolen_since(before) - 10.0).abs() < 0.1);
    assert!((after.busy_since(before) - 50.0).abs() < 0.1);
    Ok(())
}
