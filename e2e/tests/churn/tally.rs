//! Counts of what was asked, was answered rightly, and went wrong, class by class.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// How long it may be until an answer or a message counts as lost, however slow the machine is.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Requests without a body.
    Plain,
    /// Requests with one, which comes back.
    Upload,
    /// Requests for one, which comes in pieces.
    Download,
    /// Messages on tunnels, and what opened them.
    Tunnel,
    /// Messages on streams, and what opened them.
    Stream,
    /// Handshakes of TLS, by the certificate.
    Handshake,
}

impl Class {
    const ALL: [Class; 6] = [
        Class::Plain,
        Class::Upload,
        Class::Download,
        Class::Tunnel,
        Class::Stream,
        Class::Handshake,
    ];
    /// Those whose answers come at once and are awaited.
    const SHORT: [Class; 3] = [Class::Plain, Class::Upload, Class::Download];
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It brought no answer, or that of a fault.
    Failed,
    /// It went where no table of its time sends it.
    Misrouted,
    /// Its bytes are not those that were sent.
    Damaged,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    right: AtomicU64,
    wrong: [AtomicU64; 3],
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [Counts; Class::ALL.len()],
    asked: AtomicU64,
}

impl Tally {
    /// One is to be sent: once, however often it has to be. Which of all it is.
    pub(crate) fn asked(&self, class: Class) -> u64 {
        self.counts[class as usize].asked.fetch_add(1, SeqCst);
        self.asked.fetch_add(1, SeqCst)
    }

    pub(crate) fn right(&self, class: Class) {
        self.counts[class as usize].right.fetch_add(1, SeqCst);
    }

    pub(crate) fn wrong(&self, class: Class, wrong: Wrong) {
        self.counts[class as usize].wrong[wrong as usize].fetch_add(1, SeqCst);
    }

    /// How many short requests were answered rightly.
    pub(crate) fn served(&self) -> u64 {
        Class::SHORT.iter().map(|class| self.counts[*class as usize].right.load(SeqCst)).sum()
    }

    /// Whether nothing went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.counts.iter().flat_map(|counts| &counts.wrong).all(|count| count.load(SeqCst) == 0)
    }

    /// Whether some of each class was asked, and all was answered rightly.
    pub(crate) fn is_answered(&self) -> bool {
        let asked = |counts: &Counts| counts.asked.load(SeqCst);
        self.counts.iter().all(|one| asked(one) > 0 && asked(one) == one.right.load(SeqCst))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, counts) in Class::ALL.iter().zip(&self.counts) {
            let [failed, misrouted, damaged] =
                counts.wrong.each_ref().map(|wrong| wrong.load(SeqCst));
            let [asked, right] = [&counts.asked, &counts.right].map(|count| count.load(SeqCst));
            let class = format!("{class:?}");
            writeln!(
                f,
                "  {class:<10}{asked:>9} asked{right:>9} right  {failed} failed, \
                 {misrouted} misrouted, {damaged} damaged"
            )?;
        }
        Ok(())
    }
}

#[test]
fn what_went_wrong_or_was_never_asked_is_seen() {
    let answered = |spared: Option<Class>| {
        let tally = Tally::default();
        for class in Class::ALL.into_iter().filter(|class| Some(*class) != spared) {
            tally.asked(class);
            tally.right(class);
        }
        tally
    };
    let all = answered(None);
    assert!(all.is_answered() && all.is_clean());
    assert_eq!(all.served(), 3, "lines and handshakes do not make up for requests");
    for class in Class::ALL {
        assert!(!answered(Some(class)).is_answered(), "no {class:?} was asked");
        let tally = answered(None);
        tally.asked(class);
        assert!(!tally.is_answered(), "a {class:?} has no answer");
        for wrong in [Wrong::Failed, Wrong::Misrouted, Wrong::Damaged] {
            let tally = answered(None);
            tally.wrong(class, wrong);
            assert!(!tally.is_clean(), "{class:?} {wrong:?}");
        }
    }
}
