//! Workspaces as those see them who may read something there.

use axum::response::Response;
use model::Name;
use model::role::RoleRule;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::problem::Problem;
use super::resource::ResourceShape;
use crate::Refusal;
use crate::app::{GivenRole, HeldClaim, WorkspaceInFull, WorkspaceListing, WorkspaceRow};

/// A workspace in short.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WorkspaceInShort")]
pub(super) struct WorkspaceShape {
    name: Name,
    title: String,
    /// The namespaces that are its own.
    namespaces: Vec<Name>,
    /// Whether it denies what none of its policies speaks of.
    denies_by_default: bool,
    /// Whom to ask about it.
    owners: Vec<String>,
}

/// A workspace with its roles and claims.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WorkspaceInFull")]
pub(super) struct FullShape {
    #[serde(flatten)]
    row: WorkspaceShape,
    /// The Grants that hold in it alone, as far as you may read them.
    roles: Vec<RoleShape>,
    /// Its Claims, as far as you may read them.
    claims: Vec<ClaimShape>,
    /// The namespaces in which you may claim.
    may_claim: Vec<Name>,
}

/// A role that is given.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GivenRole")]
pub(super) struct RoleShape {
    grant: ResourceShape,
    /// What the role allows; null where there is no such role.
    rules: Option<Vec<RoleRule>>,
    generation: i64,
    /// Whether you may delete the Grant.
    may_take: bool,
}

/// A Claim.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HeldClaim")]
struct ClaimShape {
    claim: ResourceShape,
    generation: i64,
    /// Whether you may take it away.
    may_release: bool,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<Name> = ask.page()?;
    let listing = WorkspaceListing {
        text: ask.word("search").map(str::to_owned),
        after: page.after,
        limit: usize::try_from(page.limit).unwrap_or_default(),
    };
    let found = ask.app().workspace_list(&ask.op()?, &listing).await?;
    let next = found.next.as_ref().and_then(ask::cursor);
    let items = found.items.into_iter().map(row).collect();
    Ok(answer::ok(&Listed::<WorkspaceShape> { items, next }))
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let none = |_| Refusal::None("such workspace".to_owned());
    let name = Name::parse(ask.part("name")).map_err(none)?;
    let found = ask.app().workspace_show(&ask.op()?, &name).await?;
    let WorkspaceInFull { row: own, roles, claims, may_claim } = found;
    let claim = |HeldClaim { claim, generation, may_release }| ClaimShape {
        claim: ResourceShape(model::Resource::Claim(claim).to_json()),
        generation,
        may_release,
    };
    Ok(answer::ok(&FullShape {
        row: row(own),
        roles: roles.into_iter().map(role).collect(),
        claims: claims.into_iter().map(claim).collect(),
        may_claim,
    }))
}

pub(super) async fn team_roles(ask: Ask) -> Result<Response, Problem> {
    let none = |_| Refusal::None("such Team".to_owned());
    let name = Name::parse(ask.part("name")).map_err(none)?;
    let found = ask.app().team_roles(&ask.op()?, &name).await?;
    let items = found.into_iter().map(role).collect();
    Ok(answer::ok(&Listed::<RoleShape> { items, next: None }))
}

pub(super) fn role(given: GivenRole) -> RoleShape {
    let GivenRole { grant, rules, generation, may_take } = given;
    RoleShape {
        grant: ResourceShape(model::Resource::Grant(grant).to_json()),
        rules: rules.map(|rules| rules.to_vec()),
        generation,
        may_take,
    }
}

fn row(found: WorkspaceRow) -> WorkspaceShape {
    let WorkspaceRow { name, title, namespaces, denies, owners } = found;
    WorkspaceShape { name, title, namespaces, denies_by_default: denies, owners }
}
