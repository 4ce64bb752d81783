//! The table of all operations.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use time::OffsetDateTime;

use super::answer::Listed;
use super::ask::Ask;
use super::problem::Problem;
use super::resource::ResourceShape;
use super::{
    access, access_request, api, audit, authority, change, endpoint, join_token, key_set, login,
    node, openapi, request, resource, revocation, session, session_secret, stream, token, traffic,
    user, workspace,
};
use crate::authn::Caller;
use crate::{App, Refusal};

/// Bytes of a body, where an operation says nothing else.
const BODY: usize = 64 << 10;

/// Bytes of a name and a password.
const SIGN_IN: usize = 8 << 10;

/// Bytes of a change.
const CHANGE: usize = 8 << 20;

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: Verb,
    /// Below the base, with parameters in braces.
    pub(super) path: &'static str,
    /// The use case.
    pub(super) id: &'static str,
    /// What it does, for people.
    pub(super) summary: &'static str,
    pub(super) who: Who,
    pub(super) query: &'static [Parameter],
    /// Headers that say more about the request.
    pub(super) headers: &'static [Parameter],
    /// What is sent: its types and its form.
    pub(super) body: Option<Form>,
    /// Other media types than JSON in which it may be sent.
    pub(super) also: Option<&'static str>,
    /// What it gives.
    pub(super) answers: &'static [(u16, &'static str, Option<Form>)],
    /// Bytes of a body.
    pub(super) most: usize,
    /// How long it may wait for what is to happen.
    pub(super) waits: Duration,
    pub(super) run: Run,
}

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// As OpenAPI writes it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Delete => "delete",
        }
    }
}

/// Who is let in. What they may do is for the use case to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Anybody, also nobody we know.
    Anybody,
    /// Any user.
    User,
    /// Platform admins; for others there is no such operation.
    Admin,
}

/// A word of the query, or a header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
}

/// The schema of a body.
pub(super) type Form = fn(&mut SchemaGenerator) -> Schema;

type Run = fn(Ask) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

impl Who {
    /// Whether it must be somebody.
    pub(super) fn is_somebody(self) -> bool {
        match self {
            Who::Anybody => false,
            Who::User | Who::Admin => true,
        }
    }

    /// The caller, if they are let in.
    pub(super) async fn lets_in(
        self,
        app: &App,
        caller: Option<Caller>,
        request_id: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Caller>, Problem> {
        match (self, caller) {
            (Who::Anybody, caller) => Ok(caller),
            (Who::User | Who::Admin, None) => Err(Refusal::Unauthenticated.into()),
            (Who::User, Some(caller)) => Ok(Some(caller)),
            (Who::Admin, Some(caller)) => {
                let op = caller.op(request_id, now, String::new());
                app.admin(&op, Refusal::nothing).await?;
                Ok(Some(caller))
            }
        }
    }
}

impl Operation {
    const fn new(
        method: Verb,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        run: Run,
    ) -> Self {
        Operation {
            method,
            path,
            id,
            summary,
            who: Who::User,
            query: &[],
            headers: &[],
            body: None,
            also: None,
            answers: &[],
            most: BODY,
            waits: Duration::ZERO,
            run,
        }
    }

    const fn who(self, who: Who) -> Self {
        Operation { who, ..self }
    }

    const fn query(self, query: &'static [Parameter]) -> Self {
        Operation { query, ..self }
    }

    const fn takes(self, body: Form) -> Self {
        Operation { body: Some(body), ..self }
    }

    const fn headers(self, headers: &'static [Parameter]) -> Self {
        Operation { headers, ..self }
    }

    const fn also(self, also: &'static str) -> Self {
        Operation { also: Some(also), ..self }
    }

    const fn most(self, most: usize) -> Self {
        Operation { most, ..self }
    }

    const fn waits(self, waits: Duration) -> Self {
        Operation { waits, ..self }
    }

    const fn gives(self, answers: &'static [(u16, &'static str, Option<Form>)]) -> Self {
        Operation { answers, ..self }
    }
}

/// The form of `T`.
fn form<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The form of a page of `T`.
fn page<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Listed<T>>()
}

const fn word(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says }
}

const CURSOR: Parameter = word("cursor", "Where the page begins: `next` of the page before.");
const LIMIT: Parameter = word("limit", "Items of the page, 1 to 500; 100 if nothing is said.");
const PAGE: &[Parameter] = &[CURSOR, LIMIT];
const MESSAGE: Parameter = word("message", "Why, in your words.");
const EXPECT: Parameter = word(
    "expectGeneration",
    "`true` to change an object only if it is of the `metadata.generation` that is sent of it, where \
     one is.",
);
const ONCE: Parameter = word(
    "Idempotency-Key",
    "Within a day the same request with the same key is done once, and answered as it was.",
);
const EXPECTED: &[Parameter] = &[
    word("If-Match", "The ETag that the object was read with."),
    word("If-None-Match", "`*`, if it is not to be there yet."),
    ONCE,
];
const OBJECT: &str = "/resources/{kind}/{namespace}/{name}";
const DONE: &[(u16, &str, Option<Form>)] = &[(204, "It is done.", None)];

const TRAFFIC: &[Parameter] = &[
    word("workspace", "Of what belongs to this workspace."),
    word("namespace", "Of what lies in this namespace."),
    word("api", "Of routes of this Api."),
    word("route", "Of this route, as NAMESPACE/NAME."),
    word("backend", "Sent to this Service, or Workload, as NAMESPACE/NAME or with `:PORT`."),
    word("caller", "Of this caller, as answers name it."),
    word("node", "Counted by the node of this name."),
    word("cluster", "Counted in this cluster."),
    word("side", "Counted there: edge, outbound or inbound."),
    word("window", "Of so long, at most 15m; 1m if nothing is said."),
    word("step", "In steps of so long too: of 2s for a window up to 1m, else of 30s, or several."),
    word(
        "by",
        "What tells rows apart besides the side: route, rule, backend, caller, node, cluster, with \
         commas between; route,backend,caller if nothing is said.",
    ),
];

use Verb::{Delete, Get, Post, Put};

/// All of them.
pub(super) static OPERATIONS: &[Operation] = &[
    Operation::new(Get, "/openapi.json", "openapi", "This document", |ask| {
        Box::pin(openapi::show(ask))
    })
    .who(Who::Anybody)
    .gives(&[(200, "OpenAPI 3.1.", None)]),
    Operation::new(Post, "/session", "session_create", "Sign in", |ask| {
        Box::pin(session::create(ask))
    })
    .who(Who::Anybody)
    .takes(form::<session::NewSession>)
    .most(SIGN_IN)
    .gives(&[(201, "A session; its cookie is set.", Some(form::<session::StartedSession>))]),
    Operation::new(Get, "/session", "session_show", "Who asks", |ask| Box::pin(session::show(ask)))
        .gives(&[(200, "You.", Some(form::<session::OwnSession>))]),
    Operation::new(Delete, "/session", "session_end", "Sign out", |ask| {
        Box::pin(session::end(ask))
    })
    .gives(DONE),
    Operation::new(Get, "/sessions", "session_list", "Your sessions", |ask| {
        Box::pin(session::list(ask))
    })
    .query(&[word("user", "Of this user instead, for platform admins.")])
    .gives(&[(200, "The last used first.", Some(page::<session::SessionShape>))]),
    Operation::new(Delete, "/sessions/{id}", "session_end_one", "End a session", |ask| {
        Box::pin(session::end_one(ask))
    })
    .gives(DONE),
    Operation::new(
        Get,
        "/login-providers",
        "login_provider_list",
        "Where people may sign in by a browser",
        |ask| Box::pin(login::list(ask)),
    )
    .who(Who::Anybody)
    .gives(&[(200, "By name.", Some(page::<login::Offer>))]),
    Operation::new(
        Get,
        "/login-providers/use",
        "login_provider_use",
        "The login providers, and how many users came by each",
        |ask| Box::pin(login::in_use(ask)),
    )
    .who(Who::Admin)
    .gives(&[(200, "By name.", Some(page::<login::InUse>))]),
    Operation::new(
        Get,
        "/whom-to-ask",
        "whom_to_ask",
        "Whom you ask who may do nothing yet",
        |ask| Box::pin(login::whom(ask)),
    )
    .gives(&[(200, "In words.", Some(page::<String>))]),
    Operation::new(Get, "/users", "user_list", "All users, by name", |ask| {
        Box::pin(user::list(ask))
    })
    .who(Who::Admin)
    .query(&[word("search", "With this in their names."), CURSOR, LIMIT])
    .gives(&[(200, "A page of users.", Some(page::<user::UserShape>))]),
    Operation::new(Post, "/users", "user_create", "Make a user", |ask| Box::pin(user::create(ask)))
        .who(Who::Admin)
        .takes(form::<user::NewUser>)
        .gives(&[(201, "The user.", Some(form::<user::CreatedUser>))]),
    Operation::new(
        Put,
        "/users/{name}/password",
        "user_password",
        "Give a user another password, which ends all their sessions",
        |ask| Box::pin(user::password(ask)),
    )
    .takes(form::<user::NewPasswordShape>)
    .gives(DONE),
    Operation::new(
        Delete,
        "/users/{name}",
        "user_disable",
        "Shut a user out, which ends their sessions and revokes their tokens",
        |ask| Box::pin(user::disable(ask)),
    )
    .who(Who::Admin)
    .gives(DONE),
    Operation::new(Get, "/tokens", "token_list", "Your tokens, oldest first", |ask| {
        Box::pin(token::list(ask))
    })
    .gives(&[(200, "Also those that are no longer good.", Some(page::<token::TokenShape>))]),
    Operation::new(Post, "/tokens", "token_create", "Make a token", |ask| {
        Box::pin(token::create(ask))
    })
    .takes(form::<token::NewTokenShape>)
    .gives(&[(201, "The token, told this once.", Some(form::<token::CreatedToken>))]),
    Operation::new(Delete, "/tokens/{id}", "token_revoke", "Revoke a token", |ask| {
        Box::pin(token::revoke(ask))
    })
    .gives(DONE),
    Operation::new(Get, "/join-tokens", "join_token_list", "Join tokens, oldest first", |ask| {
        Box::pin(join_token::list(ask))
    })
    .who(Who::Admin)
    .gives(&[(200, "All of them.", Some(page::<join_token::JoinTokenShape>))]),
    Operation::new(
        Post,
        "/join-tokens",
        "join_token_create",
        "Make a token that lets nodes in",
        |ask| Box::pin(join_token::create(ask)),
    )
    .who(Who::Admin)
    .takes(form::<join_token::NewJoinTokenShape>)
    .gives(&[(201, "The token, told this once.", Some(form::<join_token::CreatedJoinToken>))]),
    Operation::new(
        Delete,
        "/join-tokens/{id}",
        "join_token_revoke",
        "Revoke a join token",
        |ask| Box::pin(join_token::revoke(ask)),
    )
    .who(Who::Admin)
    .gives(DONE),
    Operation::new(Get, "/resources", "resource_list", "Objects that you may read", |ask| {
        Box::pin(resource::list(ask))
    })
    .query(&[
        word("kind", "Of this kind."),
        word("namespace", "In this namespace."),
        word("scope", "In this scope: platform or workspace/NAME."),
        word("label", "With this label: name=value."),
        word("search", "With this in its name or its namespace's."),
        CURSOR,
        LIMIT,
    ])
    .gives(&[(200, "By kind, namespace and name.", Some(form::<resource::ResourceList>))]),
    Operation::new(Get, OBJECT, "resource_show", "An object", |ask| Box::pin(resource::show(ask)))
        .query(&[word("revision", "As it was at this revision.")])
        .headers(&[word("If-None-Match", "The ETag of what you have.")])
        .gives(&[
            (200, "The object; its ETag is its generation.", Some(form::<ResourceShape>)),
            (304, "You have it.", None),
        ]),
    Operation::new(Put, OBJECT, "resource_put", "Make an object, or change it as a whole", |ask| {
        Box::pin(resource::put(ask))
    })
    .query(&[MESSAGE])
    .headers(EXPECTED)
    .takes(form::<ResourceShape>)
    .also("application/yaml")
    .most(CHANGE)
    .gives(&[
        (200, "What changed.", Some(form::<change::ChangeAnswer>)),
        (201, "It is new.", Some(form::<change::ChangeAnswer>)),
    ]),
    Operation::new(Delete, OBJECT, "resource_delete", "Take an object away", |ask| {
        Box::pin(resource::delete(ask))
    })
    .query(&[MESSAGE])
    .headers(EXPECTED)
    .gives(&[(200, "What changed.", Some(form::<change::ChangeAnswer>))]),
    Operation::new(
        Get,
        "/history/{kind}/{namespace}/{name}",
        "resource_history",
        "What became of an object, newest first",
        |ask| Box::pin(resource::history(ask)),
    )
    .query(PAGE)
    .gives(&[(200, "A page of its versions.", Some(page::<resource::PastVersionShape>))]),
    Operation::new(Post, "/changes", "change_commit", "Change objects, all or none", |ask| {
        Box::pin(change::commit(ask))
    })
    .query(&[word("dryRun", "`true` to be told what would change."), EXPECT, MESSAGE])
    .headers(&[ONCE])
    .takes(form::<change::NewChange<'static>>)
    .also("application/yaml")
    .most(CHANGE)
    .gives(&[
        (200, "Nothing changed, or would change.", Some(form::<change::ChangeAnswer>)),
        (201, "What changed.", Some(form::<change::ChangeAnswer>)),
    ]),
    Operation::new(Get, "/changes", "change_list", "Changes, newest first", |ask| {
        Box::pin(change::list(ask))
    })
    .query(&[word("scope", "What was done in this scope alone."), CURSOR, LIMIT])
    .gives(&[(200, "A page of what you may see.", Some(page::<change::Change>))]),
    Operation::new(Get, "/changes/{revision}", "change_show", "A change", |ask| {
        Box::pin(change::show(ask))
    })
    .gives(&[(200, "With what it did.", Some(form::<change::ChangeInFull>))]),
    Operation::new(
        Post,
        "/changes/{revision}/revert",
        "change_revert",
        "Take back what a change did",
        |ask| Box::pin(change::revert(ask)),
    )
    .headers(&[ONCE])
    .takes(form::<change::NewRevert>)
    .gives(&[(201, "What changed.", Some(form::<change::ChangeAnswer>))]),
    Operation::new(
        Get,
        "/changes/{revision}/receipt",
        "change_receipt",
        "How far a change has come",
        |ask| Box::pin(change::receipt(ask)),
    )
    .query(&[word("wait", "Until it has come everywhere, or so long, at most 2m: like 60s.")])
    .waits(Duration::from_secs(120))
    .gives(&[(200, "What nodes made of it.", Some(form::<change::ChangeReceipt>))]),
    Operation::new(Post, "/plan", "change_plan", "What a change would come to", |ask| {
        Box::pin(change::plan(ask))
    })
    .query(&[EXPECT, MESSAGE])
    .takes(form::<change::NewChange<'static>>)
    .also("application/yaml")
    .most(CHANGE)
    .gives(&[(200, "Objects and requests.", Some(form::<change::PlanAnswer>))]),
    Operation::new(
        Get,
        "/teams/{name}/roles",
        "team_roles",
        "The roles that a Team has, and where",
        |ask| Box::pin(workspace::team_roles(ask)),
    )
    .gives(&[(200, "As far as you may read the Grants.", Some(page::<workspace::RoleShape>))]),
    Operation::new(
        Get,
        "/workspaces",
        "workspace_list",
        "The workspaces in which you may read something",
        |ask| Box::pin(workspace::list(ask)),
    )
    .query(&[word("search", "With this in name, title or namespaces."), CURSOR, LIMIT])
    .gives(&[(200, "By name.", Some(page::<workspace::WorkspaceShape>))]),
    Operation::new(
        Get,
        "/workspaces/{name}",
        "workspace_show",
        "A workspace with its roles and claims",
        |ask| Box::pin(workspace::show(ask)),
    )
    .gives(&[(200, "The workspace.", Some(form::<workspace::FullShape>))]),
    Operation::new(Get, "/apis", "api_list", "The catalogue of Apis", |ask| {
        Box::pin(api::list(ask))
    })
    .query(&[
        word("search", "With this in name, namespace, title or owner."),
        word("owner", "That this Team owns."),
        word("own", "`true` for those that a team owns in which you are."),
        word("lifecycle", "That are there in their life: draft, published, deprecated or retired."),
        word("order", "name, owner, requests, errors or changed; name if nothing is said."),
        CURSOR,
        LIMIT,
    ])
    .gives(&[(200, "Those that you may read.", Some(page::<api::ApiShape>))]),
    Operation::new(
        Get,
        "/apis/{namespace}/{name}",
        "api_show",
        "An Api with its routes, its callers, and what decides about them",
        |ask| Box::pin(api::show(ask)),
    )
    .gives(&[(200, "The Api.", Some(form::<api::FullShape>))]),
    Operation::new(Post, "/transfers", "api_transfer", "Give an Api to another team", |ask| {
        Box::pin(change::transfer(ask))
    })
    .headers(&[ONCE])
    .takes(form::<change::NewTransfer>)
    .gives(&[(201, "What changed.", Some(form::<change::ChangeAnswer>))]),
    Operation::new(
        Post,
        "/access/review",
        "access_review",
        "Whether you may do something",
        |ask| Box::pin(access::review(ask)),
    )
    .takes(form::<access::NewReview>)
    .gives(&[(200, "Yes or no, and why.", Some(form::<access::ReviewAnswer>))]),
    Operation::new(
        Post,
        "/access-requests",
        "access_request_create",
        "Ask for access to an object that you may read",
        |ask| Box::pin(access_request::create(ask)),
    )
    .takes(form::<access_request::NewAccessRequestShape>)
    .gives(&[
        (200, "You asked for the same before.", Some(form::<access_request::AccessRequestShape>)),
        (201, "It is open.", Some(form::<access_request::AccessRequestShape>)),
    ]),
    Operation::new(
        Get,
        "/access-requests",
        "access_request_list",
        "Requests for access: yours, and those that you may decide",
        |ask| Box::pin(access_request::list(ask)),
    )
    .query(&[word("state", "In this state: open, granted, refused or withdrawn."), CURSOR, LIMIT])
    .gives(&[(200, "Newest first.", Some(page::<access_request::AccessRequestShape>))]),
    Operation::new(
        Post,
        "/access-requests/{id}/grant",
        "access_request_grant",
        "Give what was asked for, by one Grant",
        |ask| Box::pin(access_request::grant(ask)),
    )
    .headers(&[ONCE])
    .takes(form::<access_request::NewAccessGrant>)
    .gives(&[(201, "What changed.", Some(form::<change::ChangeAnswer>))]),
    Operation::new(
        Post,
        "/access-requests/{id}/refuse",
        "access_request_refuse",
        "Refuse what was asked for",
        |ask| Box::pin(access_request::refuse(ask)),
    )
    .takes(form::<access_request::NewAccessRefusal>)
    .gives(DONE),
    Operation::new(
        Delete,
        "/access-requests/{id}",
        "access_request_withdraw",
        "Take back what you asked for",
        |ask| Box::pin(access_request::withdraw(ask)),
    )
    .gives(DONE),
    Operation::new(Get, "/watch", "watch", "A stream that says when to look again", |ask| {
        Box::pin(stream::open(ask))
    })
    .gives(&[(200, "Events `revision` and `nodes`, as text/event-stream.", None)]),
    Operation::new(Get, "/nodes", "node_list", "The nodes that you may see", |ask| {
        Box::pin(node::list(ask))
    })
    .query(&[
        word("search", "With this in name or cluster."),
        word("unwell", "`true` for those that are not there, are behind, or have trouble."),
        CURSOR,
        LIMIT,
    ])
    .gives(&[(200, "By cluster, kind and name, at most 200.", Some(page::<node::NodeShape>))]),
    Operation::new(Get, "/nodes/{id}", "node_show", "A node", |ask| Box::pin(node::show(ask)))
        .gives(&[(200, "The node.", Some(form::<node::NodeShape>))]),
    Operation::new(
        Get,
        "/services/{namespace}/{name}/endpoints",
        "endpoint_list",
        "The endpoints of a Service, and why one gets no requests",
        |ask| Box::pin(endpoint::list(ask)),
    )
    .gives(&[(200, "By port and address.", Some(form::<endpoint::EndpointsShape>))]),
    Operation::new(Delete, "/nodes/{id}", "node_forget", "Forget a node", |ask| {
        Box::pin(node::forget(ask))
    })
    .who(Who::Admin)
    .gives(DONE),
    Operation::new(
        Get,
        "/authority",
        "authority_show",
        "The roots and intermediates, and what holds a rotation back",
        |ask| Box::pin(authority::show(ask)),
    )
    .who(Who::Admin)
    .gives(&[(200, "All of them.", Some(form::<authority::AuthoritiesShape>))]),
    Operation::new(
        Post,
        "/authority/rotation",
        "authority_rotate",
        "Make a new root, which nodes learn to trust",
        |ask| Box::pin(authority::rotate(ask)),
    )
    .who(Who::Admin)
    .gives(&[(201, "It is coming.", Some(form::<authority::StepShape>))]),
    Operation::new(
        Post,
        "/authority/rotation/advance",
        "authority_advance",
        "Go on with a rotation: sign by the new root, then retire the old one",
        |ask| Box::pin(authority::advance(ask)),
    )
    .who(Who::Admin)
    .takes(form::<authority::AdvanceShape>)
    .gives(&[(200, "The step that was taken.", Some(form::<authority::StepShape>))]),
    Operation::new(
        Delete,
        "/authority/rotation",
        "authority_abandon",
        "Give a rotation up: back to the old root",
        |ask| Box::pin(authority::abandon(ask)),
    )
    .who(Who::Admin)
    .gives(&[(200, "The step that was taken.", Some(form::<authority::StepShape>))]),
    Operation::new(
        Post,
        "/session-secrets/rotation",
        "session_secret_rotate",
        "Have gateways seal sessions by another secret",
        |ask| Box::pin(session_secret::rotate(ask)),
    )
    .who(Who::Admin)
    .takes(form::<session_secret::RotationShape>)
    .gives(&[(201, "Since when it seals.", Some(form::<session_secret::SecretShape>))]),
    Operation::new(
        Get,
        "/revocations",
        "revocation_list",
        "Who is shut out before their credentials end, and of whom you may know",
        |ask| Box::pin(revocation::list(ask)),
    )
    .gives(&[(200, "The oldest first.", Some(page::<revocation::RevocationShape>))]),
    Operation::new(
        Post,
        "/revocations",
        "revocation_create",
        "Shut somebody out, at every gateway and proxy at once",
        |ask| Box::pin(revocation::create(ask)),
    )
    .takes(form::<revocation::NewRevocationShape>)
    .gives(&[(201, "They are.", Some(form::<revocation::RevocationShape>))]),
    Operation::new(
        Delete,
        "/revocations/{id}",
        "revocation_lift",
        "Let somebody in again",
        |ask| Box::pin(revocation::lift(ask)),
    )
    .gives(DONE),
    Operation::new(
        Get,
        "/key-sets",
        "key_set_list",
        "Keys of issuers that the server fetches, for policies that you may read",
        |ask| Box::pin(key_set::list(ask)),
    )
    .query(&[CURSOR, LIMIT])
    .gives(&[(200, "By URL.", Some(page::<key_set::KeySetShape>))]),
    Operation::new(
        Post,
        "/key-sets/fetch",
        "key_set_fetch",
        "Have keys of an issuer fetched at once",
        |ask| Box::pin(key_set::fetch(ask)),
    )
    .takes(form::<key_set::FetchShape>)
    .gives(&[(200, "Whether they are.", Some(form::<key_set::FetchedShape>))]),
    Operation::new(
        Get,
        "/requests",
        "request_list",
        "The latest requests that you may see",
        |ask| Box::pin(request::list(ask)),
    )
    .query(&[
        word("reason", "That ended for this reason, like access_denied."),
        word("denied", "`true` for those that were denied, for whichever reason."),
        word("failed", "`true` for those that no backend answered, for whichever reason."),
        CURSOR,
        LIMIT,
    ])
    .gives(&[(
        200,
        "Newest first, once for each proxy.",
        Some(page::<request::RequestGlimpse>),
    )]),
    Operation::new(
        Get,
        "/requests/{id}",
        "request_show",
        "The way of a request through the proxies, and what decided at each",
        |ask| Box::pin(request::show(ask)),
    )
    .gives(&[(200, "By its x-request-id.", Some(form::<request::RequestWay>))]),
    Operation::new(
        Get,
        "/traffic",
        "traffic_show",
        "What was requested in the last minutes, as far as you may see it",
        |ask| Box::pin(traffic::show(ask)),
    )
    .query(TRAFFIC)
    .gives(&[(200, "Most requests first.", Some(form::<traffic::TrafficShape>))]),
    Operation::new(
        Get,
        "/traffic/live",
        "traffic_live",
        "The same again and again, as it goes on",
        |ask| Box::pin(traffic::live(ask)),
    )
    .query(TRAFFIC)
    .gives(&[(200, "Events `traffic` each 2 s, as text/event-stream.", None)]),
    Operation::new(Get, "/audit", "audit_list", "The audit, newest first", |ask| {
        Box::pin(audit::list(ask))
    })
    .who(Who::Admin)
    .query(&[
        word("search", "With this in who, what, to what or the words beside it."),
        word("undone", "`true` for those that tell of what was not done."),
        CURSOR,
        LIMIT,
    ])
    .gives(&[(
        200,
        "A page of its rows; of 10,000 at most, so there may be none of which more follow.",
        Some(page::<audit::AuditRow>),
    )]),
    Operation::new(
        Get,
        "/audit/verify",
        "audit_verify",
        "Walk the audit's chain from its first row",
        |ask| Box::pin(audit::verify(ask)),
    )
    .who(Who::Admin)
    .gives(&[(200, "What was found.", Some(form::<audit::AuditChain>))]),
];
