//! A program under measurement: started on its core, read from /proc, ended with its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// How long a program may take to end when asked to.
const GOODBYE: Duration = Duration::from_secs(3);
/// The same where what it writes down as it ends is wanted: its length hangs on the disk.
const WRITING: Duration = Duration::from_secs(60);

/// The core of the subject; load and upstream share the other.
pub(super) const SUBJECT_CORE: usize = 0;
/// The core of load and upstream.
pub(super) const OTHER_CORE: usize = 1;

/// `program`, pinned to a core where there are two, and ended by the kernel if we end first.
pub(super) fn pinned(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if has_two_cores() {
        command.args(["taskset", "-c", &core.to_string()]);
    }
    command.arg(program);
    command
}

/// Whether subject and load can have a core each.
pub(super) fn has_two_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// What one core did since the machine started, or all together, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreTime {
    busy: u64,
    /// What the hypervisor gave to others while something wanted to run here; it counts as busy, too.
    stolen: u64,
    idle: u64,
}

impl CoreTime {
    /// Of the core of load and upstream.
    pub(super) fn of_load() -> Result<Self> {
        let core = if has_two_cores() { OTHER_CORE } else { SUBJECT_CORE };
        Self::read(&std::fs::read_to_string("/proc/stat")?, &format!("cpu{core} "))
    }

    /// Of all cores together.
    pub(super) fn of_all() -> Result<Self> {
        Self::read(&std::fs::read_to_string("/proc/stat")?, "cpu ")
    }

    /// Reads the line `cpu1 user nice system idle iowait irq softirq steal ...` (proc(5)) that starts like this.
    fn read(text: &str, start: &str) -> Result<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        let line = line.with_context(|| format!("no {start}in /proc/stat"))?;
        let ticks =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>();
        let [user, nice, system, idle, wait, irq, soft, steal] = ticks?[..] else {
            bail!("a short line in /proc/stat: {line}");
        };
        let busy = user + nice + system + irq + soft + steal;
        Ok(Self { busy, stolen: steal, idle: idle + wait })
    }

    /// Percent of the time from `before` to now that the core was busy.
    pub(super) fn busy_since(self, before: Self) -> f64 {
        percent(self.busy - before.busy, self.ticks_since(before))
    }

    /// Percent of the time from `before` to now that the hypervisor took.
    pub(super) fn stolen_since(self, before: Self) -> f64 {
        percent(self.stolen - before.stolen, self.ticks_since(before))
    }

    fn ticks_since(self, before: Self) -> u64 {
        self.busy - before.busy + self.idle - before.idle
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// A running program, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    dir: PathBuf,
    ticks_per_second: f64,
}

impl Process {
    /// Starts it with stdout and stderr in files of the folder `dir`.
    pub(super) fn start(command: &mut Command, dir: &Path) -> Result<Self> {
        let ticks = shell::output(Command::new("getconf").arg("CLK_TCK"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout"))?)
            .stderr(File::create(dir.join("stderr"))?)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, dir: dir.to_owned(), ticks_per_second: ticks.trim().parse()? })
    }

    /// Fails if the program has ended, with the last lines that it wrote to stderr.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = std::fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
            let tail: Vec<_> = said.lines().rev().take(3).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            bail!("it ended with {status}: {}", tail.join(" | "));
        }
        Ok(())
    }

    /// What it wrote to stdout so far.
    pub(super) fn stdout(&self) -> Result<String> {
        let file = self.dir.join("stdout");
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// Seconds of CPU that the program and its children have used, user and system.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0;
        for pid in self.family()? {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            ticks += field(&stat, 11)? + field(&stat, 12)?;
        }
        Ok(ticks as f64 / self.ticks_per_second)
    }

    /// KiB of memory that the program and its children share with nobody and no file.
    pub(super) fn rss_anon_kib(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.family()? {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let value = line.and_then(|line| line.split_whitespace().next());
            sum += value.context("no RssAnon in /proc/PID/status")?.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// The program's process and all that descend from it.
    pub(super) fn family(&self) -> Result<Vec<u64>> {
        let mut parents = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            // Some other process may end between the listing and the reading.
            if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                parents.push((pid, field(&stat, 1)?));
            }
        }
        let mut family = vec![u64::from(self.child.id())];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        Ok(family)
    }
}

impl Process {
    /// Asks it to end; fails where it has to be killed, since what it had to write down then is lost.
    pub(super) fn end(mut self) -> Result<()> {
        ensure!(self.say_goodbye(WRITING), "{} had to be killed", self.dir.display());
        Ok(())
    }

    /// Whether it ended when asked to, within that time; else it is killed.
    fn say_goodbye(&mut self, patience: Duration) -> bool {
        if let Ok(Some(_)) = self.child.try_wait() {
            return true;
        }
        let pid = self.child.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
        let deadline = Instant::now() + patience;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _forced = self.child.kill();
                let _ended = self.child.wait();
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.say_goodbye(GOODBYE);
    }
}

/// A field of /proc/PID/stat, counted from 0 after the program's name (which may hold spaces).
fn field(stat: &str, index: usize) -> Result<u64> {
    let (_, rest) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let value = rest.split_whitespace().nth(index).context("a short /proc/PID/stat")?;
    // The state, at 0, is a letter; nothing else that is asked for is.
    value.parse().with_context(|| format!("field {index} of /proc/PID/stat is {value}"))
}

#[cfg(test)]
mod tests;
