//! Where keys of issuers lie that policies name by URL, and whether they are to be had.

use std::collections::BTreeMap;

use model::access::Asked;
use model::role::Verb;
use model::{Key, Kind, Resource};
use policy::jwt::PublishedKeys;
use store::key_set::KeySet;

use super::resource::Page;
use super::sight::Sight;
use super::{App, Op};
use crate::draft::api_of;
use crate::key_set::{ahead, holds, next};
use crate::moment::micros;
use crate::refusal::Refusal;

/// How long what was tried is not tried again because somebody wants it, in microseconds.
const REST: i64 = 10_000_000;

/// Keys of an issuer that lie behind a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetNow {
    /// Where they are fetched.
    pub url: String,
    /// The AuthnPolicies that name it and may be read.
    pub policies: Vec<Key>,
    /// What the last ones are called, those that have a name.
    pub ids: Vec<String>,
    /// Whether they are believed.
    pub holds: bool,
    /// What is known of them; none before somebody went for them first.
    pub known: Option<KeySet>,
    /// When they are sought next, in microseconds since 1970.
    pub next: Option<i64>,
}

impl App {
    /// Those URLs that a policy names which may be read, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn key_set_list(
        &self,
        op: &Op,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<KeySetNow, String>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let mut known: BTreeMap<_, _> = self
            .store
            .key_set_list()
            .await?
            .into_iter()
            .map(|row| (row.url.clone(), row))
            .collect();
        let is_behind = |url: &str| after.is_none_or(|after| url > after);
        let mut behind = named(&sight, is_behind).into_iter();
        let mut items = Vec::new();
        for (url, policies) in behind.by_ref().take(limit) {
            let known = known.remove(&url);
            items.push(self.key_set_now(url, policies, known, micros(op.now)).await?);
        }
        let next = behind.next().and(items.last()).map(|last| last.url.clone());
        Ok(Page { items, next, revision: sight.world.revision })
    }

    /// Has keys fetched at once, for who may change a policy that names their URL; whether they are, which they are
    /// not where that was tried a moment ago, and what is known of them until then.
    ///
    /// # Errors
    /// [`Refusal::None`] where no policy names it that may be read, [`Refusal::Denied`] where none may be changed.
    pub async fn key_set_fetch(&self, op: &Op, url: &str) -> Result<(bool, KeySetNow), Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let policies = named(&sight, |one| one == url).remove(url).unwrap_or_default();
        let mut denied = Vec::new();
        for key in &policies {
            let scope = &sight.world.directory.scope(&key.namespace);
            let api = sight.object(key).and_then(|object| api_of(&object.resource));
            let (verb, api) = (Verb::Update, api.as_ref());
            let asked = Asked { verb, key, scope, api, changed: &[] };
            let permitted = sight.world.directory.permit(&sight.rights, &asked);
            denied.extend(permitted.err().map(|denied| (key.clone(), denied)));
        }
        match (policies.len(), denied.len()) {
            (0, _) => return Err(Refusal::None("AuthnPolicy that names keys there".to_owned())),
            (all, denials) if all == denials => return Err(Refusal::Denied(denied)),
            (_, _) => {}
        }
        let now = micros(op.now);
        let said = op.said("fetch", "key-set", url.to_owned());
        let is_due = self.store.key_set_due(url, now - REST..=ahead(now), &said).await?;
        let rows = self.store.key_set_list().await?;
        let known = rows.into_iter().find(|row| row.url == url);
        Ok((is_due, self.key_set_now(url.to_owned(), policies, known, now).await?))
    }

    async fn key_set_now(
        &self,
        url: String,
        policies: Vec<Key>,
        known: Option<KeySet>,
        now: i64,
    ) -> Result<KeySetNow, Refusal> {
        let holds = known.as_ref().is_some_and(|row| holds(row, now));
        let next = known.as_ref().map(|row| next(row).max(now));
        let keys = self.store.key_set_keys(&url).await?;
        let keys = keys.and_then(|keys| PublishedKeys::read(keys.as_bytes()).ok());
        let ids = keys.map(|keys| keys.ids).unwrap_or_default();
        Ok(KeySetNow { url, policies, ids, holds, known, next })
    }
}

/// The policies that name keys behind such a URL and may be read, by URL.
fn named(sight: &Sight, is_such: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<Key>> {
    let mut named = BTreeMap::<_, Vec<_>>::new();
    let policies = sight.world.of_kind(Kind::AuthnPolicy);
    for (key, object) in policies.filter(|(key, object)| sight.sees(key, object)) {
        let Resource::AuthnPolicy(policy) = &object.resource else { continue };
        for (_, url) in policy.key_urls().filter(|(_, url)| is_such(url)) {
            let by = named.entry(url.to_owned()).or_default();
            // One policy may name it twice.
            if by.last() != Some(key) {
                by.push(key.clone());
            }
        }
    }
    named
}
