//! Which answers are right: what was in force when, and what each version allows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use e2e::Reply;
use e2e::trust::{Authority, Certificate};
use rustls::pki_types::CertificateDer;

use crate::asked::{Asked, Wanted};
use crate::caller::Spot;
use crate::lasting::Lines;
use crate::pace::Pace;
use crate::plan::{COPIES, ORIGINS, Places, Plan, SECURE_HOST};
use crate::tally::{Class, Tally, Wrong};

/// How many faults are kept in words.
const KEPT: usize = 20;

/// Knows what is right and counts what is not.
#[derive(Debug)]
pub(crate) struct Judge {
    plan: Plan,
    /// Where everything is.
    pub(crate) places: Places,
    /// Signs the certificates.
    pub(crate) authority: Authority,
    /// What was asked, and what came of it.
    pub(crate) tally: Tally,
    /// How steadily answers come.
    pub(crate) pace: Pace,
    /// What lasts.
    pub(crate) lines: Lines,
    /// The newest version that was written, before it was.
    written: AtomicU64,
    /// The version below which none is in force any more.
    confirmed: AtomicU64,
    /// The newest version that each caller has seen on all its connections.
    seen: Vec<AtomicU64>,
    certificates: Mutex<HashMap<Vec<u8>, u64>>,
    tables: Mutex<HashMap<String, u64>>,
    turned_away: AtomicU64,
    stopped: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Judge {
    pub(crate) fn new(plan: Plan, places: Places, authority: Authority, callers: usize) -> Self {
        Judge {
            plan,
            places,
            authority,
            tally: Tally::default(),
            pace: Pace::new(),
            lines: Lines::default(),
            written: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            seen: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            certificates: Mutex::default(),
            tables: Mutex::default(),
            turned_away: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            faults: Mutex::default(),
        }
    }

    /// The file of `version`, with a certificate that is known from here on.
    pub(crate) fn text(&self, version: u64) -> String {
        let certificate: Certificate = self.authority.sign(SECURE_HOST);
        let mut known = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(certificate.der.to_vec(), version);
        self.plan.text(version, &certificate, &self.places)
    }

    /// The least version that a request that is sent now may meet.
    pub(crate) fn in_force(&self) -> u64 {
        self.confirmed.load(Ordering::SeqCst)
    }

    /// The newest version that may be in force.
    pub(crate) fn newest(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    pub(crate) fn written(&self, version: u64) {
        self.written.store(version, Ordering::SeqCst);
    }

    pub(crate) fn confirm(&self, version: u64) {
        self.confirmed.store(version, Ordering::SeqCst);
    }

    pub(crate) fn saw(&self, caller: usize, version: u64) {
        self.seen[caller].store(version, Ordering::SeqCst);
    }

    pub(crate) fn seen_by_all(&self) -> u64 {
        self.seen.iter().map(|seen| seen.load(Ordering::SeqCst)).min().unwrap_or(0)
    }

    /// Judges an answer to what was asked for when `since` was in force; gives its version where it is right.
    pub(crate) fn answer(&self, asked: &Asked, since: u64, reply: &Reply) -> Option<u64> {
        let wanted = asked.wanted();
        if reply.status != 200 {
            let told = format!("{asked:?}: {} {}", reply.status, reply.text());
            self.wrong(wanted.class, Wrong::Failed, &told);
            return None;
        }
        let version = self.led(&wanted, since, reply)?;
        if !asked.is_whole(reply) {
            let told = format!("{asked:?}: {} bytes, and not these", reply.body.len());
            self.wrong(wanted.class, Wrong::Damaged, &told);
            return None;
        }
        self.tally.right(wanted.class);
        Some(version)
    }

    /// Judges by its head where an answer came from; gives its version where that is right.
    pub(crate) fn led(&self, wanted: &Wanted, since: u64, reply: &Reply) -> Option<u64> {
        let led = self.stray(wanted, since, reply);
        let told = |stray| format!("{wanted:?} since {since}: {stray}; {:?}", reply.headers);
        led.map_err(|stray| self.wrong(wanted.class, Wrong::Misrouted, &told(stray))).ok()
    }

    /// Takes what came back for message `number`, which is the same or not.
    pub(crate) fn message(&self, class: Class, number: u64, is_same: bool) {
        if is_same {
            self.tally.right(class);
        } else {
            self.wrong(class, Wrong::Damaged, &format!("another message came for {number}"));
        }
    }

    /// Whether the answer is that nobody listens any more where a connection leads, and some version that may
    /// be in force has it so, which is newer than the one that opened it: connections that were open there are
    /// judged by it, too. It is to be asked elsewhere.
    pub(crate) fn is_turned_away(&self, spot: Spot, since: u64, reply: &Reply) -> bool {
        let is_told = reply.status == 404 && reply.json()["reason"] == "no_listener";
        let goes = |version| self.places.moving(version)[1] == spot.place;
        let is_right = is_told && (since.max(spot.opened + 1)..=self.newest()).any(goes);
        self.turned_away.fetch_add(u64::from(is_right), Ordering::Relaxed);
        is_right
    }

    fn stray(&self, wanted: &Wanted, since: u64, reply: &Reply) -> Result<u64, String> {
        let route = wanted.route;
        if reply.header("x-told") != wanted.told {
            return Err(format!("it answers '{}'", reply.header("x-told")));
        }
        let version: u64 = reply.header("x-version").parse().map_err(|_| "no version")?;
        let written = self.newest();
        if !(since..=written).contains(&version) {
            return Err(format!("version {version} is not of {since} to {written}"));
        }
        let (index, copy) = told(reply.origin()).ok_or("no known origin")?;
        let origin = ORIGINS[index];
        if self.plan.weights(version, route)[index] == 0 {
            return Err(format!("version {version} gives {origin} nothing of it"));
        }
        if !self.plan.ready(version, index as u64)[copy] {
            return Err(format!("version {version} has {} not ready", reply.origin()));
        }
        let debug = reply.header("heddle-debug");
        let part = |name: &str| debug.split(' ').find_map(|part| part.strip_prefix(name));
        if part("backend=") != Some(&format!("shop/{origin}:80")) {
            return Err(format!("'{debug}' does not name {origin}"));
        }
        if !part("route=").is_some_and(|label| label.starts_with(&format!("shop/r{route}/"))) {
            return Err(format!("'{debug}' does not name route r{route}"));
        }
        let table = part("table=").ok_or("no table is named")?;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let of_table = *tables.entry(table.to_owned()).or_insert(version);
        if of_table != version {
            return Err(format!("table {table} was of version {of_table}, now of {version}"));
        }
        Ok(version)
    }

    /// Judges the certificate of a handshake that began when `since` was in force.
    pub(crate) fn handshake(&self, since: u64, shown: Option<&CertificateDer<'static>>) {
        self.tally.asked(Class::Handshake);
        let known = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let version = shown.and_then(|shown| known.get(shown.as_ref()).copied());
        drop(known);
        let written = self.newest();
        if version.is_some_and(|version| (since..=written).contains(&version)) {
            self.tally.right(Class::Handshake);
        } else {
            let told = format!("a certificate of version {version:?}, not of {since} to {written}");
            self.wrong(Class::Handshake, Wrong::Misrouted, &told);
        }
    }

    /// Something went wrong.
    pub(crate) fn wrong(&self, class: Class, wrong: Wrong, told: &str) {
        self.tally.wrong(class, wrong);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < KEPT {
            faults.push(format!("{class:?} {wrong:?}: {told}"));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.tally.is_clean()
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn faults(&self) -> String {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// How many requests were turned away.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// What is no fault, but tells how much was moved.
    pub(crate) fn summary(&self) -> String {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).len();
        let turned_away = self.turned_away();
        format!(
            "{tables} tables seen, {turned_away} requests turned away where nobody listens any \
             more and sent elsewhere, {} lines ended by a drain",
            self.lines.drained()
        )
    }
}

/// Which Service's origin says this name, and which of the two.
fn told(name: &str) -> Option<(usize, usize)> {
    let all = (0..ORIGINS.len()).flat_map(|index| (0..COPIES.len()).map(move |copy| (index, copy)));
    let mut all =
        all.filter(|(index, copy)| format!("{}{}", ORIGINS[*index], COPIES[*copy]) == name);
    all.next()
}

#[cfg(test)]
mod tests;
