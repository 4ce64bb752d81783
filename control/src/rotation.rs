//! How one root follows another: what may be done next, and which nodes hold it back.
//!
//! ```text
//! resting ── begin ──> trusting ── advance ──> moving ── advance ──> resting
//!    ^                    │                    │   ^
//!    └──────abandon ──────┘                    └───┘ abandon: back to the old root, by the same way
//! ```
//!
//! | phase | nodes trust | signs | goes on once every node |
//! |---|---|---|---|
//! | resting | the root | the root | |
//! | trusting | both | the old one | said that it trusts the new one |
//! | moving | both | the new one | has certificates and a kept state under the new one |
//!
//! The phase is nowhere but in the states of the roots, so it is the same for every server and after
//! every crash. All of it is decided here, from what is known, without asking anybody.

use store::authority::State;
use store::node::{Node, Standing};

use crate::ca::{Root, Roots};
use crate::moment::rfc3339;

/// How far a rotation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Resting,
    /// Nodes learn to trust the new root.
    Trusting,
    /// Nodes get certificates under the new root.
    Moving,
}

impl Phase {
    /// The phase that roots in these states are in.
    pub fn of(roots: &Roots) -> Self {
        match (roots.in_state(State::Coming), roots.in_state(State::Leaving)) {
            (Some(_), _) => Phase::Trusting,
            (None, Some(_)) => Phase::Moving,
            (None, None) => Phase::Resting,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Resting => "resting",
            Phase::Trusting => "trusting",
            Phase::Moving => "moving",
        }
    }
}

/// What somebody wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Make a new root.
    Begin,
    /// Take the next step, once no node holds it back.
    Advance,
    /// Take the next step whatever nodes hold it back.
    Force,
    /// Go back to the old root.
    Abandon,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which state of an authority follows which.
    pub moves: &'static [(State, State)],
    /// Whether a root is to be made that is coming.
    pub makes_root: bool,
    /// The nodes that are left behind.
    pub left: Vec<Holding>,
}

/// A node that holds a rotation back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its cluster.
    pub cluster: String,
    /// Why.
    pub why: Why,
    /// Since when, in microseconds since 1970.
    pub since: i64,
    /// When it was last heard of.
    pub seen: i64,
}

/// Why a node holds a rotation back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It never said under which roots it lives.
    #[error("it has not said yet which roots it trusts, or its software is too old to")]
    Silent,
    /// It does not trust the new root.
    #[error("it does not trust the new root yet")]
    Distrusts,
    /// Its certificate lies under another root.
    #[error("its certificate is not under the new root yet")]
    Certificate,
    /// That of its workload does.
    #[error("the certificate of its workload is not under the new root yet")]
    Workload,
    /// The state on its disk is signed under another root.
    #[error("the state on its disk is not signed under the new root yet")]
    Kept,
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One is under way.
    #[error(
        "a rotation of the root is under way ({}); go on with it by `heddle authority advance`, or \
         give it up by `heddle authority abandon`",
        .0.as_str()
    )]
    UnderWay(Phase),
    /// None is.
    #[error("no rotation of the root is under way; `heddle authority rotate` begins one")]
    Resting,
    /// It is in another phase than somebody thinks.
    #[error(
        "the rotation of the root is {}, and not {}; look at `heddle authority show` and ask again",
        .is.as_str(), .wanted.as_str()
    )]
    Elsewhere {
        /// The phase that it is in.
        is: Phase,
        /// The one that was meant to be left.
        wanted: Phase,
    },
    /// Nodes hold it back.
    #[error("{}", held_back(*.phase, .holding))]
    Held {
        /// What they hold back.
        phase: Phase,
        /// Which they are.
        holding: Vec<Holding>,
    },
}

/// What to do about `act`, as the roots are and as nodes last said of themselves.
///
/// # Errors
/// [`Refused`].
pub fn decide(roots: &Roots, nodes: &[Node], act: Act) -> Result<Decision, Refused> {
    let phase = Phase::of(roots);
    let none = Vec::new();
    let (moves, makes_root): (&'static [_], _) = match (phase, act) {
        (Phase::Resting, Act::Begin) => (&[], true),
        (Phase::Trusting | Phase::Moving, Act::Begin) => return Err(Refused::UnderWay(phase)),
        (Phase::Resting, Act::Advance | Act::Force | Act::Abandon) => {
            return Err(Refused::Resting);
        }
        (Phase::Trusting, Act::Advance | Act::Force) => {
            (&[(State::Active, State::Leaving), (State::Coming, State::Active)], false)
        }
        (Phase::Moving, Act::Advance | Act::Force) => (&[(State::Leaving, State::Gone)], false),
        (Phase::Trusting, Act::Abandon) => (&[(State::Coming, State::Gone)], false),
        // What lies under the new root by now comes back as it went.
        (Phase::Moving, Act::Abandon) => {
            (&[(State::Active, State::Leaving), (State::Leaving, State::Active)], false)
        }
    };
    let left = match act {
        Act::Begin | Act::Abandon => none,
        Act::Advance | Act::Force => holding(roots, nodes),
    };
    if act == Act::Advance && !left.is_empty() {
        return Err(Refused::Held { phase, holding: left });
    }
    Ok(Decision { moves, makes_root, left })
}

/// The nodes that hold the next step back.
pub fn holding<'n>(roots: &Roots, nodes: impl IntoIterator<Item = &'n Node>) -> Vec<Holding> {
    let held = nodes.into_iter().filter_map(|node| {
        let (why, since) = match Phase::of(roots) {
            Phase::Resting => return None,
            Phase::Trusting => {
                let new = roots.in_state(State::Coming)?;
                (distrusts(node.standing.as_ref(), new)?, new.since)
            }
            Phase::Moving => {
                let new = roots.signs();
                (lags(node.standing.as_ref(), new)?, new.since)
            }
        };
        Some(Holding {
            id: node.id.clone(),
            name: node.name.clone(),
            kind: node.kind.clone(),
            cluster: node.cluster.clone(),
            why,
            since: since.max(node.first_seen),
            seen: node.last_seen,
        })
    });
    held.collect()
}

fn distrusts(standing: Option<&Standing>, new: &Root) -> Option<Why> {
    let Some(standing) = standing else { return Some(Why::Silent) };
    (!standing.trusts.contains(&new.fingerprint)).then_some(Why::Distrusts)
}

fn lags(standing: Option<&Standing>, new: &Root) -> Option<Why> {
    let Some(standing) = standing else { return Some(Why::Silent) };
    let is_under = |root: &String| *root == new.fingerprint;
    if !standing.trusts.contains(&new.fingerprint) {
        Some(Why::Distrusts)
    } else if !is_under(&standing.certificate) {
        Some(Why::Certificate)
    } else if !standing.workload.iter().all(is_under) {
        Some(Why::Workload)
    } else if !standing.state.iter().all(is_under) {
        Some(Why::Kept)
    } else {
        None
    }
}

fn held_back(phase: Phase, holding: &[Holding]) -> String {
    let lines = holding.iter().map(|one| {
        let Holding { name, kind, cluster, why, since, seen, .. } = one;
        let (since, seen) = (rfc3339(*since), rfc3339(*seen));
        format!("{name} ({kind} of {cluster}): {why}; since {since}, last heard of {seen}")
    });
    let forced = match phase {
        Phase::Resting | Phase::Trusting => {
            "with --force it goes on without them: until such a node comes back and learns of the \
             new root, it refuses proxies whose certificates lie under it"
        }
        Phase::Moving => {
            "with --force it goes on without them: such a node is not let in any more, is refused \
             by all others, and comes back only by a new join token"
        }
    };
    let lines: Vec<_> = lines.collect();
    let count = lines.len();
    format!(
        "{count} node{} hold{} the rotation back; bring them back, or have those that are gone \
         forgotten by `heddle node delete`\n{}\n{forced}",
        if count == 1 { "" } else { "s" },
        if count == 1 { "s" } else { "" },
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests;
