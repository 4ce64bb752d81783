//! A length of time, to the second.

use std::fmt;

use model::policy::TimeMatch;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970, from and until; open at an end where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span([Option<i64>; 2]);

/// Where a moment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    /// Before it, with when it begins.
    Before(i64),
    Within,
    /// Behind it, with when it was over.
    Behind(i64),
}

impl Span {
    /// All times.
    pub(crate) const ALWAYS: Self = Span([None, None]);

    pub(crate) fn compile(from: &TimeMatch) -> Self {
        Span([from.from, from.until].map(|at| at.map(OffsetDateTime::unix_timestamp)))
    }

    pub(crate) fn holds(self, now: i64) -> bool {
        self.lies(now) == Lies::Within
    }

    /// Where `now` lies.
    pub(crate) fn lies(self, now: i64) -> Lies {
        let Span([from, until]) = self;
        match (from.filter(|from| now < *from), until.filter(|until| now >= *until)) {
            (Some(from), _) => Lies::Before(from),
            (None, Some(until)) => Lies::Behind(until),
            (None, None) => Lies::Within,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(|at| at.map(Moment)) {
            [Some(from), Some(until)] => write!(f, "{from} until {until}"),
            [Some(from), None] => write!(f, "from {from} on"),
            [None, Some(until)] => write!(f, "until {until}"),
            [None, None] => f.write_str("at any time"),
        }
    }
}

/// Seconds since 1970, shown as it is written in an object (RFC 3339).
pub(crate) struct Moment(pub(crate) i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment(unix) = *self;
        let at = OffsetDateTime::from_unix_timestamp(unix).ok();
        match at.and_then(|at| at.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => unix.fmt(f),
        }
    }
}
