//! One short request: what is asked for, and what has to come back.

use std::time::Instant;

use e2e::Reply;
use e2e::client::{Payload, bytes, nothing, request, streamed};
use e2e::soak::{self, mix};
use futures::stream;
use http::Request;

use crate::plan::{ROUTES, SECURE_HOST};
use crate::tally::{Class, Tally};

/// What is to be known by the head of an answer.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) class: Class,
    pub(crate) route: u64,
    /// What its origin says that it was asked.
    pub(crate) told: String,
}

/// A request to a route, and when it was to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) route: u64,
    pub(crate) due: Instant,
    /// Which of all it is.
    pub(crate) number: u64,
    pub(crate) what: What,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The origin's name.
    Plain,
    /// These many bytes back, which are sent with their length, or in pieces and without.
    Upload { method: &'static str, length: usize, in_pieces: bool },
    /// These many bytes, which come in pieces.
    Download { length: usize },
}

impl What {
    /// Of 64 requests two bring a body and one fetches one, of 1 byte to 512 KiB: as often small as large.
    pub(crate) fn by_chance(chance: u64) -> Self {
        let [kind, order, rest] = [1, 2, 3].map(|which| mix(chance ^ which));
        let least = 1 << (order % 19);
        let length = (least + rest % least) as usize;
        let method = if order & 1 << 40 == 0 { "PUT" } else { "POST" };
        match kind % 64 {
            part @ (0 | 1) => What::Upload { method, length, in_pieces: part == 1 },
            2 => What::Download { length },
            _ => What::Plain,
        }
    }

    pub(crate) fn class(self) -> Class {
        match self {
            What::Plain => Class::Plain,
            What::Upload { .. } => Class::Upload,
            What::Download { .. } => Class::Download,
        }
    }
}

impl Asked {
    /// One to any route, which is number so much of all by what `tally` has.
    pub(crate) fn by_chance(chance: u64, due: Instant, tally: &Tally) -> Self {
        let what = What::by_chance(chance);
        Asked { route: chance % ROUTES, due, number: tally.asked(what.class()), what }
    }

    pub(crate) fn request(&self) -> Request<Payload> {
        let asked = request(self.method(), SECURE_HOST, &self.target());
        let body = match self.what {
            What::Plain | What::Download { .. } => nothing(),
            What::Upload { length, in_pieces: true, .. } => {
                streamed(stream::iter(soak::pieces(soak::bytes(self.number, length))))
            }
            What::Upload { length, .. } => bytes(soak::bytes(self.number, length)),
        };
        asked.header("x-number", self.number).body(body).expect("a well-formed request")
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let told = format!("{} {} {}", self.method(), self.target(), self.number);
        Wanted { class: self.what.class(), route: self.route, told }
    }

    /// Whether the body is what has to come, to the byte.
    pub(crate) fn is_whole(&self, reply: &Reply) -> bool {
        match self.what {
            What::Plain => reply.body == reply.origin(),
            What::Upload { length, .. } | What::Download { length } => {
                reply.body == soak::bytes(self.number, length)
            }
        }
    }

    fn method(&self) -> &'static str {
        match self.what {
            What::Plain | What::Download { .. } => "GET",
            What::Upload { method, .. } => method,
        }
    }

    fn target(&self) -> String {
        let Asked { route, number, .. } = self;
        match self.what {
            What::Plain => format!("/r{route}?n={number}"),
            What::Upload { .. } => format!("/echo/r{route}?n={number}"),
            What::Download { length } => format!("/pieces/r{route}/{length}?n={number}"),
        }
    }
}

#[test]
fn most_are_plain_and_bodies_are_of_every_size() {
    let all: Vec<_> = (0..64_000).map(What::by_chance).collect();
    let of = |class| all.iter().filter(|what| what.class() == class).count();
    assert!((1800..2200).contains(&of(Class::Upload)), "{}", of(Class::Upload));
    assert!((900..1100).contains(&of(Class::Download)), "{}", of(Class::Download));
    let lengths = all.iter().filter_map(|what| match what {
        What::Plain => None,
        What::Upload { length, .. } | What::Download { length } => Some(*length),
    });
    let lengths: Vec<_> = lengths.collect();
    assert_eq!(lengths.iter().min(), Some(&1));
    assert!(lengths.iter().max() > Some(&(400 << 10)) && lengths.iter().max() < Some(&(512 << 10)));
}
