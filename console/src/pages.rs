//! One page a file: what it asks, and how it is drawn.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::Uri;
use control::authn::Caller;
use control::rest::Visit;
use control::{App, Op, Refusal};
use leptos::prelude::AnyView;
use model::{Key, Kind, Name};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::form::Tried;

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod apis;
pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod find;
pub(crate) mod fleet;
pub(crate) mod kept;
pub(crate) mod login;
pub(crate) mod newcomer;
pub(crate) mod object;
pub(crate) mod overview;
pub(crate) mod policies;
pub(crate) mod policy;
pub(crate) mod refused;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod team;
pub(crate) mod teams;
#[cfg(debug_assertions)]
pub(crate) mod ui;
pub(crate) mod users;
pub(crate) mod workspace;
pub(crate) mod workspaces;

/// A page that somebody who is signed in asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) app: Arc<App>,
    pub(crate) visit: Visit,
    pub(crate) caller: Caller,
    /// What stands in the places of the braces in its path, in their order.
    pub(crate) parts: Vec<String>,
    pub(crate) uri: Uri,
    /// Where nodes reach this server, as far as it knows: an address with a port.
    pub(crate) nodes: String,
    /// What was sent from it and refused.
    pub(crate) tried: Option<Arc<Tried>>,
}

impl Asked {
    /// What use cases are asked by.
    pub(crate) fn op(&self) -> Op {
        self.caller.op(&self.visit.request_id, self.visit.now, String::new())
    }

    /// What stands in the place of the braces of this number.
    pub(crate) fn part(&self, at: usize) -> &str {
        self.parts.get(at).map_or("", String::as_str)
    }

    /// The object of the namespace and the name that its path has.
    ///
    /// # Errors
    /// [`Refusal::None`] where no object has such a name.
    pub(crate) fn key(&self, kind: Kind) -> Result<Key, Refusal> {
        let name =
            |at| Name::parse(self.part(at)).map_err(|_| Refusal::None(format!("such {kind}")));
        Ok(Key::new(kind, name(0)?, name(1)?))
    }

    /// What its forms carry.
    pub(crate) fn csrf(&self) -> String {
        self.visit.csrf().unwrap_or_default().to_owned()
    }

    /// What a filter of the page says; nothing where it says what none of them can.
    pub(crate) fn query<T: DeserializeOwned + Default>(&self) -> T {
        Query::try_from_uri(&self.uri).map(|Query(query)| query).unwrap_or_default()
    }
}

/// An object as addresses name it.
pub(crate) fn word(key: &Key) -> String {
    format!("{}/{}/{}", key.kind, key.namespace, key.name)
}

/// The object that a word of an address names; none where it is no such word.
pub(crate) fn key<'de, D: Deserializer<'de>>(word: D) -> Result<Option<Key>, D::Error> {
    Ok(of_word(&String::deserialize(word)?))
}

/// The same.
pub(crate) fn of_word(word: &str) -> Option<Key> {
    let mut parts = word.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    match (Kind::parse(part()), Name::parse(part()), Name::parse(part())) {
        (Some(kind), Ok(namespace), Ok(name)) => Some(Key::new(kind, namespace, name)),
        _ => None,
    }
}

/// What comes of a page that is asked for.
pub(crate) enum Drawn {
    /// It is drawn so.
    Page(Box<dyn Fn() -> AnyView + Send + Sync>),
    /// It is to be found there.
    Elsewhere(String),
}

/// A page that `draw` makes of what was asked.
pub(crate) fn drawn(draw: impl Fn() -> AnyView + Send + Sync + 'static) -> Result<Drawn, Refusal> {
    Ok(Drawn::Page(Box::new(draw)))
}
