//! The authorities of the installation, and how one root follows another.

use std::borrow::Borrow;

use store::authority::{Authority, Kind, State, Step};
use store::node::Node;

use super::{App, Op};
use crate::ca::{New, Root, Roots, domain_of};
use crate::refusal::Refusal;
use crate::rotation::{self, Act, Decision, Holding, Phase, Refused};

/// The authorities as they are.
#[derive(Debug)]
pub struct Authorities {
    /// How far a rotation has come.
    pub phase: Phase,
    /// The roots, the one that signs first.
    pub roots: Vec<Root>,
    /// The intermediates, each with the fingerprint of the root above it, where that is known.
    pub intermediates: Vec<(Authority, Option<String>)>,
    /// The nodes that hold the next step back.
    pub holding: Vec<Holding>,
    /// How many nodes there are.
    pub nodes: usize,
}

impl App {
    /// The authorities, for a platform admin.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn authority_show(&self, op: &Op) -> Result<Authorities, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let (all, roots) = self.authorities().await?;
        shown(&all, &roots, &self.nodes().await?)
    }

    /// Takes a step of a rotation, out of the phase `from` if that is said, and says so; the nodes that it left behind, and the authorities
    /// as they are then.
    ///
    /// # Errors
    /// [`Refusal::Rotation`] where it may not be taken, [`Refusal::Busy`] if somebody was quicker.
    pub async fn authority_rotate(
        &self,
        op: &Op,
        act: Act,
        from: Option<Phase>,
    ) -> Result<(Vec<Holding>, Authorities), Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let (all, roots) = self.authorities().await?;
        // Nobody is left behind for what an older copy says of them.
        let nodes = self.store.node_list().await?;
        let is = Phase::of(&roots);
        if let Some(wanted) = from.filter(|from| *from != is) {
            return Err(Refusal::Rotation(Refused::Elsewhere { is, wanted }));
        }
        let decision = rotation::decide(&roots, &nodes, act).map_err(Refusal::Rotation)?;
        let new = decision.makes_root.then(|| new_root(&roots, op)).transpose()?;
        let step = Step {
            seen: &all,
            moves: decision.moves,
            new: new.as_ref().map(|(row, key)| (row, &key[..])),
        };
        let said = op.said(verb(act), "root", detail(&roots, &decision));
        if !self.store.authority_step(&step, &said).await.map_err(failed)? {
            return Err(Refusal::Busy);
        }
        let ((all, roots), nodes) = (self.authorities().await?, self.store.node_list().await?);
        Ok((decision.left, shown(&all, &roots, &nodes)?))
    }

    async fn authorities(&self) -> Result<(Vec<Authority>, Roots), Refusal> {
        let all = self.store.authority_list(None).await?;
        let roots = Roots::read(&all).map_err(failed)?.ok_or(Refusal::NoRoot)?;
        Ok((all, roots))
    }
}

fn shown(
    all: &[Authority],
    roots: &Roots,
    nodes: &[impl Borrow<Node>],
) -> Result<Authorities, Refusal> {
    let intermediates = all.iter().filter(|one| one.kind == Kind::Intermediate);
    let with_root = |one: &Authority| {
        let certificate = crate::ca::read(&one.certificate).map_err(failed)?;
        let root = roots.above(&certificate).map(|root| root.fingerprint.clone());
        Ok::<_, Refusal>((one.clone(), root))
    };
    Ok(Authorities {
        phase: Phase::of(roots),
        roots: roots.all().cloned().collect(),
        intermediates: intermediates.map(with_root).collect::<Result<_, _>>()?,
        holding: rotation::holding(roots, nodes.iter().map(Borrow::borrow)),
        nodes: nodes.len(),
    })
}

/// A root for the same trust name, which nothing signs by yet.
fn new_root(roots: &Roots, op: &Op) -> Result<(Authority, Vec<u8>), Refusal> {
    let trust = domain_of(&roots.signs().certificate).ok_or(Refusal::NoRoot)?;
    let new = New::root(&trust, op.now).map_err(failed)?;
    Ok((new.row("", Kind::Root, State::Coming, op.now), new.key))
}

fn verb(act: Act) -> &'static str {
    match act {
        Act::Begin => "rotate",
        Act::Advance => "advance",
        Act::Force => "force",
        Act::Abandon => "abandon",
    }
}

/// What the audit says of a step: from which phase, under which root, and who was left behind.
fn detail(roots: &Roots, decision: &Decision) -> String {
    let (phase, root) = (Phase::of(roots).as_str(), &roots.signs().fingerprint);
    let mut detail = format!("{phase}, root {root}");
    if !decision.left.is_empty() {
        let left = decision.left.iter();
        let left: Vec<_> = left.map(|one| format!("{} {}", one.cluster, one.name)).collect();
        detail.push_str(&format!(", leaving behind {}", left.join(", ")));
    }
    detail
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Refusal {
    Refusal::Store(Box::new(error))
}
