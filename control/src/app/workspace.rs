//! Workspaces as those see them who may read something there: who may do what, and what is held.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::access::Asked;
use model::claim::Claim;
use model::role::{Grant, RoleRule, Verb};
use model::workspace::{DefaultAccess, Workspace};
use model::{Key, Kind, Name, Resource, Scope};

use super::node::reads_any;
use super::resource::Page;
use super::sight::Sight;
use super::{App, Op};
use crate::draft::api_of;
use crate::refusal::Refusal;

/// Which workspaces a list shows: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceListing {
    /// Whose name, title or namespaces have this in them, whatever the case of its letters.
    pub text: Option<String>,
    /// Those behind this one, by name.
    pub after: Option<Name>,
    /// At most so many.
    pub limit: usize,
}

/// A workspace in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Its name.
    pub name: Name,
    /// What people read.
    pub title: String,
    /// The namespaces that are its own.
    pub namespaces: Vec<Name>,
    /// Whether it denies what none of its policies speaks of.
    pub denies: bool,
    /// Whom to ask about it: the teams and users that own it.
    pub owners: Vec<String>,
}

/// A workspace with its roles and claims.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkspaceInFull {
    /// In short.
    pub row: WorkspaceRow,
    /// The Grants that hold in it alone and may be read.
    pub roles: Vec<GivenRole>,
    /// The Claims that may be read.
    pub claims: Vec<HeldClaim>,
    /// The namespaces in which who asks may claim.
    pub may_claim: Vec<Name>,
}

/// A role that is given in a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenRole {
    /// What gives it.
    pub grant: Arc<Grant>,
    /// What it allows; none where there is no such role.
    pub rules: Option<Arc<[RoleRule]>>,
    /// The generation of the Grant.
    pub generation: i64,
    /// Whether who asks may delete the Grant.
    pub may_take: bool,
}

/// A Claim as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldClaim {
    /// What it says.
    pub claim: Arc<Claim>,
    /// Its generation.
    pub generation: i64,
    /// Whether who asks may take it away.
    pub may_release: bool,
}

impl App {
    /// The workspaces in which who asks may read something, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn workspace_list(
        &self,
        op: &Op,
        listing: &WorkspaceListing,
    ) -> Result<Page<WorkspaceRow, Name>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let all = sight.world.of_kind(Kind::Workspace).filter(|(key, one)| {
            let Resource::Workspace(workspace) = &one.resource else { return false };
            listing.after.as_ref().is_none_or(|after| key.name > *after)
                && listing.text.as_ref().is_none_or(|text| has(workspace, text))
        });
        let mut rows = all.filter_map(|(key, _)| row(&sight, &key.name));
        let items: Vec<_> = rows.by_ref().take(listing.limit).collect();
        let next = rows.next().and(items.last()).map(|last| last.name.clone());
        Ok(Page { items, next, revision: sight.world.revision })
    }

    /// A workspace with its roles and claims.
    ///
    /// # Errors
    /// [`Refusal::None`], also where nothing of it may be read.
    pub async fn workspace_show(&self, op: &Op, name: &Name) -> Result<WorkspaceInFull, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let row = row(&sight, name).ok_or_else(|| Refusal::None("such workspace".to_owned()))?;
        let (directory, own) = (&sight.world.directory, Scope::Workspace(name.clone()));
        let is_own = |key: &Key| directory.scope(&key.namespace) == own;
        let roles = roles(&sight, |key, _| is_own(key));
        let may = |verb, key: &Key| {
            let asked = Asked { verb, key, scope: &own, api: None, changed: &[] };
            sight.rights.permit(&asked).is_ok()
        };
        let claims = sight
            .world
            .of_kind(Kind::Claim)
            .filter(|(key, one)| is_own(key) && sight.sees(key, one));
        let claims = claims.filter_map(|(key, one)| match &one.resource {
            Resource::Claim(claim) => Some(HeldClaim {
                claim: Arc::clone(claim),
                generation: one.generation,
                may_release: may(Verb::Delete, key),
            }),
            _ => None,
        });
        let claims = claims.collect();
        let free = |namespace: &Name| Key::new(Kind::Claim, namespace.clone(), name.clone());
        let may_claim = row.namespaces.iter().filter(|one| may(Verb::Create, &free(one)));
        let may_claim = may_claim.cloned().collect();
        Ok(WorkspaceInFull { row, roles, claims, may_claim })
    }

    /// The roles that Grants give to a Team, as far as they may be read.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn team_roles(&self, op: &Op, team: &Name) -> Result<Vec<GivenRole>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let is_to = |grant: &Grant| {
            grant.spec.subjects.iter().any(|subject| subject.team.as_ref() == Some(team))
        };
        Ok(roles(&sight, |_, grant| is_to(grant)))
    }
}

/// What such Grants give, as far as they may be read.
pub(super) fn roles(sight: &Sight, is_such: impl Fn(&Key, &Grant) -> bool) -> Vec<GivenRole> {
    let directory = &sight.world.directory;
    let roles = sight.world.of_kind(Kind::Grant).filter_map(|(key, one)| {
        let Resource::Grant(grant) = &one.resource else { return None };
        if !is_such(key, grant) || !sight.sees(key, one) {
            return None;
        }
        let (scope, api) = (&directory.scope(&key.namespace), api_of(&one.resource));
        let (verb, api) = (Verb::Delete, api.as_ref());
        Some(GivenRole {
            grant: Arc::clone(grant),
            rules: directory.given(grant),
            generation: one.generation,
            may_take: sight.rights.permit(&Asked { verb, key, scope, api, changed: &[] }).is_ok(),
        })
    });
    roles.collect()
}

fn has(workspace: &Workspace, text: &str) -> bool {
    let text = text.to_lowercase();
    let names = workspace.namespaces().chain([&workspace.metadata.name]);
    workspace.spec.title.to_lowercase().contains(&text)
        || names.into_iter().any(|name| name.as_str().contains(&text))
}

/// A workspace in short, if something of it may be read.
fn row(sight: &Sight, name: &Name) -> Option<WorkspaceRow> {
    let (world, scope) = (&sight.world, Scope::Workspace(name.clone()));
    let key = Key::new(Kind::Workspace, Kind::Workspace.default_namespace(), name.clone());
    let Resource::Workspace(workspace) = &world.objects.get(&key)?.resource else { return None };
    if !reads_any(&sight.rights, &scope) {
        return None;
    }
    // Of a namespace that two workspaces name, one has it.
    let own = workspace.namespaces().filter(|one| world.directory.scope(one) == scope);
    Some(WorkspaceRow {
        name: name.clone(),
        title: workspace.spec.title.clone(),
        namespaces: own.cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        denies: workspace.spec.access == DefaultAccess::Deny,
        owners: world.directory.owners(&scope),
    })
}
