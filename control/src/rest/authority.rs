//! The authorities, and how one root follows another.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::authority::State;

use super::answer;
use super::ask::Ask;
use super::problem::Problem;
use crate::app::Authorities;
use crate::ca::Root;
use crate::moment::rfc3339;
use crate::rotation::{Act, Holding, Phase};

/// The authorities of the installation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Authorities")]
pub(super) struct AuthoritiesShape {
    phase: PhaseShape,
    /// The one that signs first; also those that were retired.
    roots: Vec<RootShape>,
    intermediates: Vec<IntermediateShape>,
    /// The nodes that hold the next step back.
    holding: Vec<HoldingShape>,
    /// How many nodes there are.
    nodes: usize,
}

/// How far a rotation of the root has come.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RotationPhase")]
pub(super) enum PhaseShape {
    /// There is none.
    Resting,
    /// Nodes learn to trust the new root.
    Trusting,
    /// Nodes get certificates under the new root.
    Moving,
}

/// What an authority is used for.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuthorityState")]
pub(super) enum StateShape {
    /// It is trusted, so that all know it before it signs.
    Coming,
    /// It signs.
    Active,
    /// It is trusted and signs no more.
    Leaving,
    /// Nobody trusts it.
    Gone,
}

/// A root.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Root")]
pub(super) struct RootShape {
    /// Lower-case hexadecimal SHA-256 of its certificate, as join tokens have it.
    fingerprint: String,
    state: StateShape,
    /// Since when.
    since: String,
    created: String,
    expires: String,
}

/// The authority of a cluster, or of the hub.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Intermediate")]
pub(super) struct IntermediateShape {
    cluster: String,
    /// The fingerprint of the root above it.
    root: Option<String>,
    state: StateShape,
    created: String,
    expires: String,
}

/// A node that holds a step back.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HoldingNode")]
pub(super) struct HoldingShape {
    id: String,
    name: String,
    kind: String,
    cluster: String,
    /// Why, in words.
    why: String,
    /// Since when.
    since: String,
    last_seen: String,
}

/// How to go on with a rotation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "RotationAdvance")]
pub(super) struct AdvanceShape {
    /// Whether nodes that hold it back are left behind.
    force: bool,
    /// The phase that is to be left: another one is refused, so that a step is not taken twice.
    from: Option<PhaseShape>,
}

/// A step of a rotation that was taken.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RotationStep")]
pub(super) struct StepShape {
    /// The nodes that were left behind.
    left: Vec<HoldingShape>,
    authority: AuthoritiesShape,
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    Ok(answer::ok(&shape(ask.app().authority_show(&ask.op()?).await?)))
}

pub(super) async fn rotate(ask: Ask) -> Result<Response, Problem> {
    Ok(answer::created(&step(&ask, Act::Begin, None).await?))
}

pub(super) async fn advance(ask: Ask) -> Result<Response, Problem> {
    let AdvanceShape { force, from } = ask.json_or_default()?;
    let act = if force { Act::Force } else { Act::Advance };
    let from = from.map(|from| match from {
        PhaseShape::Resting => Phase::Resting,
        PhaseShape::Trusting => Phase::Trusting,
        PhaseShape::Moving => Phase::Moving,
    });
    Ok(answer::ok(&step(&ask, act, from).await?))
}

pub(super) async fn abandon(ask: Ask) -> Result<Response, Problem> {
    Ok(answer::ok(&step(&ask, Act::Abandon, None).await?))
}

async fn step(ask: &Ask, act: Act, from: Option<Phase>) -> Result<StepShape, Problem> {
    let (left, authority) = ask.app().authority_rotate(&ask.op()?, act, from).await?;
    let left = left.into_iter().map(holding).collect();
    Ok(StepShape { left, authority: shape(authority) })
}

fn shape(all: Authorities) -> AuthoritiesShape {
    let intermediates = all.intermediates.into_iter().map(|(one, root)| IntermediateShape {
        cluster: one.cluster,
        root,
        state: state(one.state),
        created: rfc3339(one.created),
        expires: rfc3339(one.expires),
    });
    AuthoritiesShape {
        phase: match all.phase {
            Phase::Resting => PhaseShape::Resting,
            Phase::Trusting => PhaseShape::Trusting,
            Phase::Moving => PhaseShape::Moving,
        },
        roots: all.roots.into_iter().map(root).collect(),
        intermediates: intermediates.collect(),
        holding: all.holding.into_iter().map(holding).collect(),
        nodes: all.nodes,
    }
}

fn root(root: Root) -> RootShape {
    RootShape {
        fingerprint: root.fingerprint,
        state: state(root.state),
        since: rfc3339(root.since),
        created: rfc3339(root.created),
        expires: rfc3339(root.expires),
    }
}

fn state(state: State) -> StateShape {
    match state {
        State::Coming => StateShape::Coming,
        State::Active => StateShape::Active,
        State::Leaving => StateShape::Leaving,
        State::Gone => StateShape::Gone,
    }
}

fn holding(one: Holding) -> HoldingShape {
    HoldingShape {
        id: one.id,
        name: one.name,
        kind: one.kind,
        cluster: one.cluster,
        why: one.why.to_string(),
        since: rfc3339(one.since),
        last_seen: rfc3339(one.seen),
    }
}
