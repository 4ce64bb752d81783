//! Objects: lists, one of them, one put or taken away, and what became of it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use model::{Invalid, Key, Kind, Name, Scope, nearest};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, Listed};
use super::ask::{Ask, Page};
use super::change;
use super::problem::Problem;
use crate::app::{Listing, PastVersion, user::fault};
use crate::moment::{micros, rfc3339};
use crate::{Edit, Expect, Refusal};

/// An object of any kind, as `model/schema/heddle.schema.json` has it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ResourceShape(pub(super) Value);

impl JsonSchema for ResourceShape {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Resource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An object of any kind; heddle.schema.json has the schema of each. \
                Values of Secrets are shown as digests.",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata"],
            "properties": {
                "apiVersion": { "type": "string" },
                "kind": { "type": "string" },
                "metadata": { "type": "object" },
                "spec": { "type": "object" },
            },
        })
    }
}

/// A page of objects.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ResourceList {
    items: Vec<ResourceShape>,
    /// Where the next page begins; null on the last one.
    next: Option<String>,
    /// The revision at which they were read.
    revision: i64,
}

/// A version of an object.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PastVersion")]
pub(super) struct PastVersionShape {
    revision: i64,
    generation: i64,
    /// `put` or `delete`.
    verb: String,
    actor: String,
    at: String,
    message: String,
}

/// A key as a cursor.
#[derive(Serialize, Deserialize)]
struct Behind(Kind, Name, Name);

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<Behind> = ask.page()?;
    let mut listing = listing(&ask)?;
    listing.limit = usize::try_from(page.limit).unwrap_or_default();
    listing.after = page.after.map(|Behind(kind, namespace, name)| Key::new(kind, namespace, name));
    let found = ask.app().resource_list(&ask.op()?, &listing).await?;
    let next = found.next.map(|key| Behind(key.kind, key.namespace, key.name));
    Ok(answer::ok(&ResourceList {
        items: found.items.into_iter().map(|one| ResourceShape(one.body)).collect(),
        next: next.and_then(|next| super::ask::cursor(&next)),
        revision: found.revision,
    }))
}

fn listing(ask: &Ask) -> Result<Listing, Problem> {
    let (mut listing, mut faults) = (Listing::default(), Vec::new());
    if let Some(word) = ask.word("kind") {
        listing.kind = Kind::parse(word);
        if listing.kind.is_none() {
            let nearest = nearest(word, Kind::ALL.iter().map(|kind| kind.as_str()));
            let text = format!("'{word}' is no kind");
            faults.push(Invalid { nearest, ..fault("kind", text) });
        }
    }
    match ask.word("namespace").map(Name::parse).transpose() {
        Ok(namespace) => listing.namespace = namespace,
        Err(error) => faults.push(fault("namespace", error.to_string())),
    }
    match scope(ask) {
        Ok(scope) => listing.scope = scope,
        Err(wrong) => faults.push(fault("scope", wrong)),
    }
    listing.text = ask.word("search").map(str::to_owned);
    if let Some(label) = ask.word("label") {
        listing.label = label.split_once('=').map(|(name, value)| (name.into(), value.into()));
        if listing.label.is_none() {
            faults.push(fault("label", "a label is written name=value"));
        }
    }
    if faults.is_empty() { Ok(listing) } else { Err(Problem::invalid(faults)) }
}

/// The scope that the query names, or why it is none.
pub(super) fn scope(ask: &Ask) -> Result<Option<Scope>, String> {
    ask.word("scope").map(|word| Scope::try_from(word.to_owned())).transpose()
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let key = key(&ask)?;
    let revision = match ask.word("revision").map(str::parse::<i64>) {
        None => None,
        Some(Ok(revision)) => Some(revision),
        Some(Err(_)) => {
            let wrong = fault("revision", "a revision is a whole number");
            return Err(Problem::invalid(vec![wrong]));
        }
    };
    let found = ask.app().resource_show(&ask.op()?, &key, revision).await?;
    let tag = tag(found.generation);
    let has_it = ask.header(&header::IF_NONE_MATCH).is_some_and(|held| {
        let mut held = held.split(',').map(|one| one.trim().trim_start_matches("W/"));
        held.any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
    });
    let mut response = if has_it {
        let mut response = answer::done();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        answer::ok(&ResourceShape(found.body))
    };
    response.headers_mut().insert(header::ETAG, tag);
    // Asked for again each time, and told that nothing changed.
    let again = HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, again);
    Ok(response)
}

pub(super) async fn put(ask: Ask) -> Result<Response, Problem> {
    let (key, expected) = (key(&ask)?, expected(&ask)?);
    let read = |ask: &Ask| crate::read(change::text(&ask.body)?).map_err(Problem::invalid);
    let (ask, mut edits) = ask.read(read).await?;
    let Some(Edit::Put { resource, .. }) = edits.pop().filter(|_| edits.is_empty()) else {
        let wrong = fault("", "the body is to be one object");
        return Err(Problem::invalid(vec![wrong]));
    };
    let said = resource.key();
    if said != key {
        let reason = format!("the path says {key}");
        let wrong = Invalid { key: Some(said), ..fault("metadata", reason) };
        return Err(Problem::invalid(vec![wrong]));
    }
    let was = ask.app().world().await?.objects.get(&key).map(|object| object.generation);
    let edits = vec![Edit::Put { resource, expected }];
    let (receipt, mut response) = changed(&ask, edits).await?;
    let generation = receipt.changed.first().and_then(|(_, generation)| *generation).or(was);
    if let Some(generation) = generation {
        response.headers_mut().insert(header::ETAG, tag(generation));
    }
    let is_new = was.is_none() && !receipt.changed.is_empty();
    *response.status_mut() = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(response)
}

pub(super) async fn delete(ask: Ask) -> Result<Response, Problem> {
    let (key, expected) = (key(&ask)?, expected(&ask)?);
    let (_, mut response) = changed(&ask, vec![Edit::Delete { key, expected }]).await?;
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

async fn changed(ask: &Ask, edits: Vec<Edit>) -> Result<(crate::Receipt, Response), Problem> {
    let op = change::op(ask, ask.word("message").unwrap_or_default().to_owned())?;
    let made = ask.app().change_commit(&op, edits).await;
    let receipt = made.map_err(|refusal| Problem::from(refusal).of_precondition())?;
    let response = change::answer(&receipt);
    Ok((receipt, response))
}

pub(super) async fn history(ask: Ask) -> Result<Response, Problem> {
    let page: Page<i64> = ask.page()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let (op, key) = (ask.op()?, key(&ask)?);
    let found = ask.app().resource_history(&op, &key, page.after, limit).await?;
    let next = found.next.and_then(|next| super::ask::cursor(&next));
    Ok(answer::ok(&Listed { items: found.items.into_iter().map(past).collect(), next }))
}

fn past(version: PastVersion) -> PastVersionShape {
    PastVersionShape {
        revision: version.revision,
        generation: version.generation,
        verb: version.deed.as_str().to_owned(),
        actor: version.actor,
        at: rfc3339(micros(version.at)),
        message: version.message,
    }
}

/// The object that the path names. What no object is called, there is none of.
fn key(ask: &Ask) -> Result<Key, Problem> {
    let (kind, namespace, name) = (ask.part("kind"), ask.part("namespace"), ask.part("name"));
    let found = (Kind::parse(kind), Name::parse(namespace).ok(), Name::parse(name).ok());
    match found {
        (Some(kind), Some(namespace), Some(name)) => Ok(Key::new(kind, namespace, name)),
        (None, _, _) => Err(Refusal::None(format!("kind '{kind}'")).into()),
        (Some(_), _, _) => Err(Refusal::None(format!("{kind} {namespace}/{name}")).into()),
    }
}

/// What must be there before, as the headers say it.
fn expected(ask: &Ask) -> Result<Expect, Problem> {
    let wrong = |name, text| Err(Problem::invalid(vec![fault(name, text)]));
    let (is, is_not) = (ask.header(&header::IF_MATCH), ask.header(&header::IF_NONE_MATCH));
    for (name, read) in [(header::IF_MATCH, is), (header::IF_NONE_MATCH, is_not)] {
        if ask.headers.get_all(&name).iter().count() != usize::from(read.is_some()) {
            return wrong(name.as_str(), "wants one line of visible ASCII");
        }
    }
    match (is, is_not) {
        (None, None) => Ok(Expect::Any),
        (None, Some("*")) => Ok(Expect::Absent),
        (None, Some(_)) => wrong("If-None-Match", "'*' alone has a meaning here"),
        (Some(_), Some(_)) => wrong("If-Match", "stands beside If-None-Match; send one of them"),
        (Some(is), None) => {
            let number = is.strip_prefix('"').and_then(|is| is.strip_suffix('"'));
            match number.and_then(|number| number.parse().ok()) {
                Some(generation) => Ok(Expect::Generation(generation)),
                None => {
                    wrong("If-Match", "wants the ETag that the object was read with, like \"3\"")
                }
            }
        }
    }
}

fn tag(generation: i64) -> HeaderValue {
    let text = format!("\"{generation}\"");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
