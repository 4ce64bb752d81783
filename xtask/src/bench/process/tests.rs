//! What the kernel says of processes and processors is read right.

use super::*;

const STAT: &str = "\
cpu  100 0 100 800 0 0 0 0 0 0
cpu0 90 0 60 300 0 0 0 0 0 0
cpu1 10 1 40 500 20 2 6 1 0 0
cpu10 1 1 1 1 1 1 1 1 0 0
intr 4711
";

#[test]
fn busy_is_what_is_neither_idle_nor_waiting() -> Result<()> {
    let before = CoreTime::read(STAT, 1)?;
    let after = CoreTime::read(&STAT.replace("cpu1 10 1 40 500", "cpu1 40 1 70 530"), 1)?;
    // 60 ticks busy of 90.
    assert!((after.busy_since(before) - 66.7).abs() < 0.1);
    assert!(CoreTime::read(STAT, 7).is_err());
    Ok(())
}
