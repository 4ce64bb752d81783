//! What is asked for, and the Grant that gives it.

use std::fmt;
use std::sync::Arc;

use model::access::{Asked, allow, builtin};
use model::api::LABEL;
use model::field::FieldPath;
use model::role::{Grant, GrantSpec, RoleRule, Subject, Verb};
use model::{Key, Kind, Meta, Name, Resource, Scope};
use store::access_request::{AccessRequest, State};
use store::user::User;

use crate::World;
use crate::app::Op;
use crate::app::sight::Sight;
use crate::draft::api_of;
use crate::moment::micros;

/// Hexadecimal digits of a request's id in the name of its Grant: those that chance made.
const DIGITS: usize = 12;

/// What somebody wants to do with an object.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) verb: Verb,
    pub(super) key: Key,
    /// Where it is, or was when it was asked for.
    pub(super) scope: Scope,
    /// The field that is to be changed, if there is one.
    changed: Vec<String>,
}

/// The Grant that gives what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its name, in the namespace of the object.
    pub grant: Key,
    /// The role that it gives, where it is one with a name.
    pub role: Option<Name>,
    /// What it gives.
    pub rules: Arc<[RoleRule]>,
    /// The Api for whose objects alone it does; everything of the workspace, if there is none.
    pub apis: Vec<Name>,
}

impl Want {
    pub(super) fn new(verb: Verb, key: Key, scope: Scope, field: String) -> Self {
        let changed = Some(field).filter(|field| !field.is_empty()).into_iter().collect();
        Want { verb, key, scope, changed }
    }

    /// What a stored request asks for; none where this program does not know it.
    pub(super) fn of(row: &AccessRequest) -> Option<Self> {
        let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == row.verb)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == row.kind)?;
        let key = Key::new(kind, Name::parse(&row.namespace).ok()?, Name::parse(&row.name).ok()?);
        Some(Want::new(verb, key, row.scope.clone(), row.field.clone()))
    }

    /// A new request for it, as it is stored.
    pub(super) fn row(&self, op: &Op, user: User, message: String) -> AccessRequest {
        AccessRequest {
            id: uuid::Uuid::now_v7().to_string(),
            user: user.id,
            user_name: user.name,
            scope: self.scope.clone(),
            kind: self.key.kind.to_string(),
            namespace: self.key.namespace.to_string(),
            name: self.key.name.to_string(),
            verb: self.verb.to_string(),
            field: self.changed.first().cloned().unwrap_or_default(),
            message,
            created: micros(op.now),
            state: State::Open,
            decided: None,
        }
    }

    /// The Api that the object belongs to, or is.
    pub(super) fn api(&self, world: &World) -> Option<Name> {
        match world.objects.get(&self.key) {
            Some(object) => api_of(&object.resource),
            // The Api that is to be made is its own.
            None => (self.key.kind == Kind::Api).then(|| self.key.name.clone()),
        }
    }

    pub(super) fn asked<'w>(&'w self, api: Option<&'w Name>) -> Asked<'w> {
        let Want { verb, key, scope, changed } = self;
        Asked { verb: *verb, key, scope, api, changed }
    }

    /// Whether the object may be read.
    pub(super) fn is_read_by(&self, sight: &Sight) -> bool {
        let api = self.api(&sight.world);
        let asked = Asked { verb: Verb::Read, changed: &[], ..self.asked(api.as_ref()) };
        sight.world.directory.permit(&sight.rights, &asked).is_ok()
    }

    /// The Grant that gives it; none where the object is no longer where it was, or in no workspace.
    pub(super) fn proposal(&self, world: &World, id: &str) -> Option<Proposal> {
        let scope = world.directory.scope(&self.key.namespace);
        if scope == Scope::Platform || scope != self.scope {
            return None;
        }
        let api = self.api(world);
        let (role, rules) = self.rules(api.as_ref())?;
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        let name = format!("asked-{}", &digits[digits.len().saturating_sub(DIGITS)..]);
        let grant = Key::new(Kind::Grant, self.key.namespace.clone(), Name::parse(&name).ok()?);
        Some(Proposal { grant, role, rules, apis: api.into_iter().collect() })
    }

    /// Rules for just what is asked for, or the least of the built-in roles where they cannot say it.
    fn rules(&self, api: Option<&Name>) -> Option<(Option<Name>, Arc<[RoleRule]>)> {
        let asked = self.asked(api);
        let least = builtin::least(&asked)?;
        let rule =
            |verb, fields| RoleRule { kinds: vec![self.key.kind], verbs: vec![verb], fields };
        let is_owner = self.changed.iter().any(|place| place == "spec.owner");
        let does = match self.key.kind == Kind::Api && is_owner {
            true => rule(Verb::Transfer, Vec::new()),
            false => {
                // A field that no rule can name would give them all.
                let fields: Option<Vec<_>> = self.changed.iter().map(|one| field(one)).collect();
                rule(self.verb, fields?)
            }
        };
        let reads = (self.verb != Verb::Read).then(|| rule(Verb::Read, Vec::new()));
        let rules: Arc<[RoleRule]> = reads.into_iter().chain([does]).collect();
        match allow(&rules, &asked) {
            true => Some((None, rules)),
            false => builtin::role(&least).map(|rules| (Some(least), rules)),
        }
    }
}

/// `Update of spec.rules on HTTPRoute shop/orders`.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changed.first() {
            Some(field) => write!(f, "{} of {field} on {}", self.verb, self.key),
            None => write!(f, "{} on {}", self.verb, self.key),
        }
    }
}

impl Proposal {
    /// Whether whoever sees this may make it, as the commit would judge it.
    pub(super) fn is_for(&self, sight: &Sight) -> bool {
        let scope = sight.world.directory.scope(&self.grant.namespace);
        sight.rights.gives(&self.grant, &scope, &self.apis, &self.rules)
    }

    /// Who may make it, in words.
    pub(super) fn givers(&self, world: &World) -> Vec<String> {
        let givers = world.directory.givers(&self.grant, &self.apis, &self.rules);
        if givers.is_empty() { vec!["an admin of the platform".to_owned()] } else { givers }
    }

    /// The Grant for this user. It belongs to the Api, so that who owns that may take it back.
    pub(super) fn resource(&self, user: Name) -> Resource {
        let Proposal { grant, role, rules, apis } = self.clone();
        let subjects = vec![Subject { user: Some(user), team: None }];
        let rules = if role.is_some() { Vec::new() } else { rules.to_vec() };
        let mut metadata = Meta::new(grant.namespace, grant.name);
        metadata.labels.extend(apis.iter().map(|api| (LABEL.to_owned(), api.to_string())));
        Resource::Grant(Arc::new(Grant {
            metadata,
            spec: GrantSpec { subjects, role, rules, apis },
        }))
    }

    /// What it gives, in words.
    pub fn gives(&self) -> String {
        match &self.role {
            Some(role) => format!("the role {role}"),
            None => self.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }
}

/// The nearest field that a rule can name: every place of a list stands for the one.
pub(super) fn field(place: &str) -> Option<FieldPath> {
    let mut steps = Vec::new();
    let mut nearest = None;
    for step in place.split('.') {
        let name = step.split('[').next().unwrap_or_default();
        steps.push(format!("{name}{}", "[]".repeat(step.matches('[').count())));
        match steps.join(".").parse() {
            Ok(path) => nearest = Some(path),
            Err(_) => break,
        }
    }
    nearest
}
