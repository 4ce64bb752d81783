//! Which answers are right: what was in force when, and what each version allows.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use e2e::Reply;
use e2e::trust::{Authority, Certificate};
use rustls::pki_types::CertificateDer;

use crate::pace::Pace;
use crate::plan::{COPIES, ORIGINS, Places, Plan, SECURE_HOST};

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
    /// How steadily answers come.
    pub(crate) pace: Pace,
    /// The newest version that was written, before it was.
    written: AtomicU64,
    /// The version below which none is in force any more.
    confirmed: AtomicU64,
    /// The newest version that each caller has seen on all its connections.
    seen: Vec<AtomicU64>,
    certificates: Mutex<HashMap<Vec<u8>, u64>>,
    tables: Mutex<HashMap<String, u64>>,
    asked: AtomicU64,
    served: AtomicU64,
    turned_away: AtomicU64,
    handshakes: AtomicU64,
    failed: AtomicU64,
    misrouted: AtomicU64,
    stopped: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Judge {
    pub(crate) fn new(plan: Plan, places: Places, authority: Authority, callers: usize) -> Self {
        Judge {
            plan,
            places,
            authority,
            pace: Pace::new(),
            written: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            seen: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            certificates: Mutex::default(),
            tables: Mutex::default(),
            asked: AtomicU64::new(0),
            served: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            misrouted: AtomicU64::new(0),
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

    /// A request is to be sent: once, however often it has to be. Which of all it is.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    /// Judges an answer to `/rROUTE` that was asked for when `since` was in force; gives its
    /// version where it is right. Its origin has to have been `told` this.
    pub(crate) fn answer(&self, route: u64, told: &str, since: u64, reply: &Reply) -> Option<u64> {
        if reply.status != 200 {
            self.fail(&format!("/r{route}: {} {}", reply.status, reply.text()));
            return None;
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        match self.fault(route, told, since, reply) {
            Ok(version) => Some(version),
            Err(fault) => {
                self.misrouted.fetch_add(1, Ordering::Relaxed);
                self.keep(format!("/r{route} since {since}: {fault}; {:?}", reply.headers));
                None
            }
        }
    }

    /// Whether the answer is that nobody listens at `place` any more, and some version that may be in force
    /// has it so: connections that were open there are judged by it, too. It is to be asked elsewhere.
    pub(crate) fn is_turned_away(&self, place: SocketAddr, since: u64, reply: &Reply) -> bool {
        let is_told = reply.status == 404 && reply.json()["reason"] == "no_listener";
        let goes = |version| self.places.moving(version)[1] == place;
        let is_right = is_told && (since..=self.newest()).any(goes);
        self.turned_away.fetch_add(u64::from(is_right), Ordering::Relaxed);
        is_right
    }

    fn fault(&self, route: u64, was_told: &str, since: u64, reply: &Reply) -> Result<u64, String> {
        if reply.header("x-told") != was_told {
            return Err(format!("it answers '{}', not '{was_told}'", reply.header("x-told")));
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
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        let known = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let version = shown.and_then(|shown| known.get(shown.as_ref()).copied());
        drop(known);
        let written = self.newest();
        if !version.is_some_and(|version| (since..=written).contains(&version)) {
            self.misrouted.fetch_add(1, Ordering::Relaxed);
            self.keep(format!("a certificate of version {version:?}, not of {since} to {written}"));
        }
    }

    /// A request or handshake that brought no answer.
    pub(crate) fn fail(&self, fault: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.keep(format!("failed: {fault}"));
    }

    fn keep(&self, fault: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < KEPT {
            faults.push(fault);
        }
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether each request that was to be sent has its answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.asked.load(Ordering::Relaxed) == self.served()
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.failed.load(Ordering::Relaxed) == 0 && self.misrouted.load(Ordering::Relaxed) == 0
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

    /// All counts in one line.
    pub(crate) fn summary(&self) -> String {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).len();
        format!(
            "{} requests, {} answered, {} failed, {} misrouted; {} turned away where nobody \
             listens any more and sent elsewhere; {} tables seen, {} handshakes",
            self.asked.load(Ordering::Relaxed),
            self.served(),
            self.failed.load(Ordering::Relaxed),
            self.misrouted.load(Ordering::Relaxed),
            self.turned_away.load(Ordering::Relaxed),
            tables,
            self.handshakes.load(Ordering::Relaxed)
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

/// What an origin was told in tests of the judge.
#[cfg(test)]
const TOLD: &str = "GET /r2?n=1 1";

/// An answer of `version` by `origin`, as the gateway would label it.
#[cfg(test)]
fn labelled(version: u64, origin: &str, backend: &str, route: u64, table: &str) -> Reply {
    let debug = format!("table={table} route=shop/r{route}/0 backend=shop/{backend}:80");
    let named = [
        ("x-version", version.to_string()),
        ("x-origin", origin.to_owned()),
        ("x-told", TOLD.to_owned()),
    ];
    let headers = named.into_iter().chain([("heddle-debug", debug)]);
    let headers = headers.map(|(name, value)| {
        let value = value.parse().expect("a header value");
        (http::HeaderName::from_static(name), value)
    });
    Reply {
        version: http::Version::HTTP_11,
        status: 200,
        headers: headers.collect(),
        body: bytes::Bytes::new(),
        trailers: None,
    }
}

#[test]
fn every_way_to_stray_is_noticed() {
    let plan = Plan { seed: 3 };
    // A version in which one origin of a Service with some weight is ready and the other is not.
    let with_weight = |version, wanted| {
        let weights = plan.weights(version, 2);
        weights.iter().position(|weight| (*weight > 0) == wanted)
    };
    let found = (5..100).find_map(|version| {
        let (given, spared) = (with_weight(version, true)?, with_weight(version, false)?);
        let ready = plan.ready(version, given as u64);
        let is_ready_at = |wanted| ready.iter().position(|is_ready| *is_ready == wanted);
        Some((version, given, spared, is_ready_at(true)?, is_ready_at(false)?))
    });
    let (version, given, spared, ready, idle) = found.expect("chance gives one of a hundred");
    let named = |index: usize, copy: usize| format!("{}{}", ORIGINS[index], COPIES[copy]);
    let (well, ill) = (named(given, ready), named(given, idle));
    let other = named(spared, 0);
    let (given, spared) = (ORIGINS[given], ORIGINS[spared]);
    let judge = || {
        let nowhere = Places::new(std::iter::empty(), [1, 2]);
        let judge = Judge::new(plan, nowhere, Authority::new(), 1);
        judge.written(version + 1);
        judge
    };
    let right = labelled(version, &well, given, 2, "t5");
    assert_eq!(judge().answer(2, TOLD, version - 1, &right), Some(version));
    let strays = judge();
    assert_eq!(strays.answer(2, "GET /r2?n=2 2", version - 1, &right), None, "another's answer");
    assert!(!strays.is_clean());
    for (what, since, reply) in [
        ("an old version", version + 1, right.clone()),
        ("a version to come", 4, labelled(version + 2, &well, given, 2, "t7")),
        ("a backend without weight", 4, labelled(version, &other, spared, 2, "t5")),
        ("an endpoint that is not ready", 4, labelled(version, &ill, given, 2, "t5")),
        ("an origin that nobody knows", 4, labelled(version, "o9", given, 2, "t5")),
        ("a label that lies", 4, labelled(version, &well, spared, 2, "t5")),
        ("another route", 4, labelled(version, &well, given, 3, "t5")),
        ("no status 200", 4, Reply { status: 503, ..right.clone() }),
    ] {
        let judge = judge();
        assert_eq!(judge.answer(2, TOLD, since, &reply), None, "{what}");
        assert!(!judge.is_clean(), "{what}");
    }
    let judge = judge();
    judge.answer(2, TOLD, version - 1, &right);
    let twice = labelled(version + 1, &well, given, 2, "t5");
    assert_eq!(judge.answer(2, TOLD, version - 1, &twice), None, "one table, twice");
}

#[test]
fn only_where_a_version_has_nobody_listen_may_callers_be_turned_away() {
    let places = Places::new(std::iter::empty(), [1, 2]);
    let judge = Judge::new(Plan { seed: 3 }, places, Authority::new(), 1);
    judge.written(7);
    let [now, before] = judge.places.moving(7);
    let plain = labelled(7, "o0", "o0", 2, "t7");
    let told = |status, reason: &str| Reply {
        status,
        body: format!("{{\"reason\":\"{reason}\"}}").into(),
        ..plain.clone()
    };
    let away = told(404, "no_listener");
    assert!(judge.is_turned_away(before, 7, &away));
    // Version 6 may be in force yet, which has the listener there.
    assert!(judge.is_turned_away(now, 6, &away));
    assert!(!judge.is_turned_away(now, 7, &away));
    assert!(!judge.is_turned_away(before, 7, &told(404, "no_route")));
    assert!(!judge.is_turned_away(before, 7, &told(503, "no_listener")));
    assert!(!judge.is_turned_away(SocketAddr::from(([127, 0, 0, 1], 3)), 6, &away));
}
