//! Changes: made, planned, listed, shown, taken back, and how far each has come.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use model::{Invalid, Key, Kind, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::node::{NodeStateShape, RejectedShape};
use super::problem::Problem;
use super::resource::{self, ResourceShape};
use super::{BASE, node};
use crate::app::user::fault;
use crate::app::{PastChange, PastObject, Plan, Rolled};
use crate::edit::{EDITS, told};
use crate::moment::{micros, rfc3339};
use crate::{Edit, Expect, Once, Op, Receipt};

mod few;

use few::Few;

/// The header of a request that may be sent twice and is done once.
pub(super) const ONCE: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is to be changed, all of it or nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewChange<'a> {
    /// Why.
    message: Option<String>,
    /// What.
    #[serde(borrow)]
    #[schemars(with = "Vec<EditShape<'a>>", length(max = 5000))]
    edits: Few<'a>,
}

/// One object's change: `put` or `delete`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Edit")]
struct EditShape<'a> {
    /// It is to be like this.
    #[serde(borrow)]
    #[schemars(with = "Option<ResourceShape>")]
    put: Option<&'a RawValue>,
    /// It is to be gone.
    delete: Option<KeyShape>,
    /// What must be there before; anything may, if nothing is said.
    expected: Option<ExpectedShape>,
}

/// Names an object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Key")]
pub(super) struct KeyShape {
    kind: Kind,
    namespace: Name,
    name: Name,
}

/// `"absent"`, or a generation.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Expected")]
enum ExpectedShape {
    /// Nothing.
    Absent(Absent),
    /// This generation.
    Generation(OfGeneration),
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Absent {
    /// Nothing.
    Absent,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfGeneration {
    generation: i64,
}

/// What became of a change.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangeAnswer {
    /// Its revision; the last one there was, if nothing changed.
    revision: i64,
    /// The objects that changed.
    changed: Vec<ChangedObject>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChangedObject {
    kind: Kind,
    namespace: Name,
    name: Name,
    /// The generation that it has; null for one that is gone.
    generation: Option<i64>,
}

/// A change that was made, as far as you may see it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    revision: i64,
    at: String,
    actor: String,
    message: String,
    request_id: String,
    /// The revision that it took back.
    reverts: Option<i64>,
    scopes: Vec<String>,
    objects: Vec<TouchedObject>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TouchedObject {
    kind: Kind,
    namespace: Name,
    name: Name,
    /// `put` or `delete`.
    verb: String,
}

/// A change with what it did.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeInFull {
    revision: i64,
    at: String,
    actor: String,
    message: String,
    request_id: String,
    reverts: Option<i64>,
    scopes: Vec<String>,
    objects: Vec<ObjectInFull>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ObjectInFull {
    #[serde(flatten)]
    touched: TouchedObject,
    before: Option<ResourceShape>,
    after: Option<ResourceShape>,
    /// The fields that differ, where it was there before and after.
    fields: Vec<String>,
    /// The last revision that changed it, if that is not this one: to be taken back first.
    later: Option<i64>,
}

/// What a change would come to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanAnswer {
    would_change: Vec<WouldChange>,
    /// Requests that would go elsewhere.
    requests: Vec<Rerouted>,
    /// How many more there are than are named.
    more: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WouldChange {
    #[serde(flatten)]
    touched: TouchedObject,
    fields: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rerouted {
    host: String,
    port: u16,
    path: String,
    method: String,
    r#match: String,
    before: Option<String>,
    after: Option<String>,
}

/// How far a revision has come.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangeReceipt {
    revision: i64,
    /// When it was committed.
    accepted: String,
    /// Whether every node runs it that was heard of in the last ten minutes.
    complete: bool,
    nodes: Vec<NodeReceipt>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeReceipt {
    id: String,
    name: String,
    cluster: String,
    kind: String,
    state: NodeStateShape,
    /// When it applied the revision, or a later one.
    applied: Option<String>,
    rejected: Vec<RejectedShape>,
}

/// Why something is taken back.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRevert {
    message: Option<String>,
}

/// An Api that is to be another team's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTransfer {
    api: ApiName,
    /// The Team.
    to: Name,
    message: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApiName {
    namespace: Name,
    name: Name,
}

pub(super) async fn commit(ask: Ask) -> Result<Response, Problem> {
    let is_dry = flag(&ask, "dryRun")?;
    let (ask, (edits, message)) = ask.read(wanted).await?;
    let op = op(&ask, message)?;
    if is_dry {
        let receipt = ask.app().change_dry_run(&op, edits).await?;
        let mut response = answer(&receipt);
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(header::LOCATION);
        return Ok(response);
    }
    Ok(answer(&ask.app().change_commit(&op, edits).await?))
}

pub(super) async fn plan(ask: Ask) -> Result<Response, Problem> {
    let (ask, (edits, message)) = ask.read(wanted).await?;
    let Plan { objects, requests, more } =
        ask.app().change_plan(&ask.op_because(message)?, edits).await?;
    let would = objects.into_iter().map(|one| WouldChange {
        touched: touched(one.key, one.deed.as_str()),
        fields: one.fields,
    });
    let requests = requests.into_iter().map(|one| Rerouted {
        host: one.host,
        port: one.port,
        path: one.path,
        method: one.method,
        r#match: one.matched,
        before: one.before,
        after: one.after,
    });
    Ok(answer::ok(&PlanAnswer {
        would_change: would.collect(),
        requests: requests.collect(),
        more,
    }))
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<i64> = ask.page()?;
    let scope = resource::scope(&ask);
    let scope = scope.map_err(|wrong| Problem::invalid(vec![fault("scope", wrong)]))?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let op = ask.op()?;
    let found = ask.app().change_list(&op, scope.as_ref(), page.after, limit).await?;
    let next = found.next.and_then(|next| ask::cursor(&next));
    Ok(answer::ok(&Listed { items: found.items.into_iter().map(change).collect(), next }))
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let (found, objects) = ask.app().change_show(&ask.op()?, revision(&ask)?).await?;
    let Change { revision, at, actor, message, request_id, reverts, scopes, .. } = change(found);
    let objects = objects.into_iter().map(in_full).collect();
    let found = ChangeInFull { revision, at, actor, message, request_id, reverts, scopes, objects };
    Ok(answer::ok(&found))
}

pub(super) async fn revert(ask: Ask) -> Result<Response, Problem> {
    let NewRevert { message } = ask.json_or_default()?;
    let revision = revision(&ask)?;
    let op = op(&ask, message.unwrap_or_default())?;
    Ok(answer(&ask.app().change_revert(&op, revision).await?))
}

pub(super) async fn transfer(ask: Ask) -> Result<Response, Problem> {
    let NewTransfer { api, to, message } = ask.json()?;
    let key = Key::new(Kind::Api, api.namespace, api.name);
    let op = op(&ask, message.unwrap_or_default())?;
    Ok(answer(&ask.app().api_transfer(&op, &key, &to).await?))
}

pub(super) async fn receipt(ask: Ask) -> Result<Response, Problem> {
    let wait = ask.word("wait").map(|word| ask::duration("wait", word)).transpose()?;
    let wait = wait.unwrap_or(Duration::ZERO);
    let found = ask.app().change_receipt(&ask.op()?, revision(&ask)?, wait).await?;
    Ok(answer::ok(&ChangeReceipt {
        revision: found.revision,
        accepted: rfc3339(micros(found.accepted)),
        complete: found.complete,
        nodes: found.nodes.into_iter().map(rolled).collect(),
    }))
}

/// What is to be changed, in either form, and why.
fn wanted(ask: &Ask) -> Result<(Vec<Edit>, String), Problem> {
    let message = ask.word("message").unwrap_or_default().to_owned();
    let sort = ask.header(&header::CONTENT_TYPE).unwrap_or("application/json");
    let sort = sort.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (mut edits, message) = match sort.as_str() {
        "application/json" => of_json(&ask.body, message)?,
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            (crate::read(text(&ask.body)?).map_err(Problem::invalid)?, message)
        }
        other => {
            let text =
                format!("'{other}' is not read here; send application/json or application/yaml");
            return Err(Problem::malformed(text));
        }
    };
    few(edits.len())?;
    if flag(ask, "expectGeneration")? {
        edits.iter_mut().for_each(expect_written);
    }
    Ok((edits, message))
}

/// Expects the generation that the object itself says it has, where nothing else is expected.
fn expect_written(edit: &mut Edit) {
    if let Edit::Put { resource, expected: expected @ Expect::Any } = edit
        && let Some(generation) = resource.meta().generation
    {
        *expected = Expect::Generation(generation);
    }
}

/// Whether a word of the query is `true`.
pub(super) fn flag(ask: &Ask, name: &str) -> Result<bool, Problem> {
    match ask.word(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::invalid(vec![fault(name, "is true or false")])),
    }
}

fn of_json(body: &[u8], message: String) -> Result<(Vec<Edit>, String), Problem> {
    let body = text(body)?;
    let change: NewChange<'_> = ask::json(body.as_bytes())?;
    few(change.edits.count)?;
    let (mut edits, mut faults) = (Vec::new(), Vec::new());
    let mut line = Line { body, offset: 0, breaks: 0 };
    for (place, edit) in change.edits.kept.into_iter().enumerate() {
        let expected = match edit.expected {
            None => Expect::Any,
            Some(ExpectedShape::Absent(Absent::Absent)) => Expect::Absent,
            Some(ExpectedShape::Generation(of)) => Expect::Generation(of.generation),
        };
        match (edit.put, edit.delete) {
            (Some(put), None) => match put_of(&mut line, put, expected) {
                Ok(edit) => edits.push(edit),
                Err(mut wrong) => faults.append(&mut wrong),
            },
            (None, Some(KeyShape { kind, namespace, name })) => {
                edits.push(Edit::Delete { key: Key::new(kind, namespace, name), expected });
            }
            (Some(_), Some(_)) | (None, None) => {
                faults.push(fault(&format!("edits[{place}]"), "wants one of put and delete"));
            }
        }
    }
    if faults.is_empty() {
        Ok((edits, change.message.unwrap_or(message)))
    } else {
        Err(Problem::invalid(told(faults)))
    }
}

fn few(edits: usize) -> Result<(), Problem> {
    if edits <= EDITS {
        return Ok(());
    }
    let text = format!("a change has at most {EDITS} edits; this one has {edits}");
    Err(Problem::invalid(vec![fault("edits", text)]))
}

/// How many lines of a body end before a place; counted on from the place before.
struct Line<'b> {
    body: &'b str,
    offset: usize,
    breaks: usize,
}

impl Line<'_> {
    fn before(&mut self, part: &str) -> usize {
        // It is a part of the body, so this is how far in it stands.
        let at = (part.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let between = self.body.get(self.offset..at).unwrap_or_default();
        self.breaks += between.matches('\n').count();
        self.offset = at;
        self.breaks
    }
}

/// The one object of `put`, its faults with their lines in `body`.
fn put_of(place: &mut Line<'_>, put: &RawValue, expected: Expect) -> Result<Edit, Vec<Invalid>> {
    let before = place.before(put.get());
    let mut read = crate::read(put.get()).map_err(|mut faults| {
        for line in faults.iter_mut().filter_map(|one| one.line.as_mut()) {
            *line += before;
        }
        faults
    })?;
    match (read.pop(), read.is_empty()) {
        (Some(Edit::Put { resource, .. }), true) => Ok(Edit::Put { resource, expected }),
        (_, _) => {
            let line = Some(before + 1);
            Err(vec![Invalid { line, ..fault("put", "wants one object") }])
        }
    }
}

/// A body that is text.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))
}

/// The request as use cases take it, with what makes it happen once.
pub(super) fn op(ask: &Ask, message: String) -> Result<Op, Problem> {
    let mut op = ask.op_because(message)?;
    if let Some(key) = ask.headers.get(&ONCE) {
        let good = |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(is_visible);
        let Some(key) = key.to_str().ok().filter(good) else {
            let wrong = fault("Idempotency-Key", "wants 1 to 255 visible characters of ASCII");
            return Err(Problem::invalid(vec![wrong]));
        };
        // What a narrowed token asks is another request than the same by who may do more.
        let digest = store::digest(format!("{} {:?}", ask.digest(), op.limit).as_bytes());
        op.once = Some(Once { key: key.to_owned(), digest });
    }
    Ok(op)
}

fn is_visible(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte)
}

/// 201 with the place of the change, or 200 where nothing changed.
pub(super) fn answer(receipt: &Receipt) -> Response {
    let changed = receipt.changed.iter().map(|(key, generation)| ChangedObject {
        kind: key.kind,
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        generation: *generation,
    });
    let body = ChangeAnswer { revision: receipt.revision, changed: changed.collect() };
    let mut response = match receipt.changed.is_empty() {
        true => answer::ok(&body),
        false => answer::created(&body),
    };
    let place = HeaderValue::from_str(&format!("{BASE}/changes/{}", receipt.revision));
    if let Some(place) = place.ok().filter(|_| !receipt.changed.is_empty()) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    if receipt.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The revision that the path names. What is no number, no revision has.
fn revision(ask: &Ask) -> Result<i64, Problem> {
    let word = ask.part("revision");
    let none = || crate::Refusal::None(format!("revision {word}"));
    Ok(word.parse().ok().filter(|revision| *revision > 0).ok_or_else(none)?)
}

fn touched(key: Key, verb: &str) -> TouchedObject {
    let Key { kind, namespace, name } = key;
    TouchedObject { kind, namespace, name, verb: verb.to_owned() }
}

fn change(found: PastChange) -> Change {
    let objects = found.objects.into_iter().map(|one| touched(one.key, one.deed.as_str()));
    Change {
        revision: found.revision,
        at: rfc3339(micros(found.at)),
        actor: found.actor,
        message: found.message,
        request_id: found.request_id,
        reverts: found.reverts,
        scopes: found.scopes.iter().map(ToString::to_string).collect(),
        objects: objects.collect(),
    }
}

fn in_full(object: PastObject) -> ObjectInFull {
    let PastObject { key, deed, before, after, fields, later, .. } = object;
    let (before, after) = (before.map(ResourceShape), after.map(ResourceShape));
    ObjectInFull { touched: touched(key, deed.as_str()), before, after, fields, later }
}

fn rolled(rolled: Rolled) -> NodeReceipt {
    NodeReceipt {
        id: rolled.id,
        name: rolled.name,
        cluster: rolled.cluster,
        kind: rolled.kind,
        state: node::state(rolled.state),
        applied: rolled.applied.map(|at| rfc3339(micros(at))),
        rejected: rolled.rejected.into_iter().map(node::rejected).collect(),
    }
}
