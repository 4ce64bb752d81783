//! Which document stands for each object, and what is wrong with each.
//!
//! Of several with one name the first counts, files in their order, whether it is good or not:
//! else an edit that breaks it would put another one in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::policy::TargetKind;
use model::{Document, Invalid, Key, Kind, Resource};
use table::{Assembly, Input, Refused};

use super::fault::{Fault, Instead};
use super::file::File;

/// A document and what it counts for.
#[derive(Debug)]
pub(super) struct Standing<'f> {
    path: &'f Path,
    file: &'f File,
    pub(super) document: &'f Document,
    /// Whether another one of its name stands before it.
    pub(super) is_dropped: bool,
    /// All that is wrong with it by itself.
    pub(super) faults: Vec<Invalid>,
}

/// Every document of the files, in their order.
pub(super) fn standings<'f>(
    files: impl Iterator<Item = (&'f PathBuf, &'f File)>,
) -> Vec<Standing<'f>> {
    let mut first: BTreeMap<&Key, (&Path, usize)> = BTreeMap::new();
    let mut all = Vec::new();
    for (path, file) in files {
        for document in &file.good {
            let before = document.key.as_ref().and_then(|key| first.get(key)).copied();
            if let Some(key) = &document.key {
                first.entry(key).or_insert((path, document.line));
            }
            all.push(Standing::new(path, file, document, before));
        }
    }
    all
}

impl<'f> Standing<'f> {
    /// A document, and where the one stands that counts instead.
    fn new(
        path: &'f Path,
        file: &'f File,
        document: &'f Document,
        before: Option<(&Path, usize)>,
    ) -> Self {
        let mut faults = document.result.as_ref().err().cloned().unwrap_or_default();
        match (before, &document.result) {
            (Some((path, line)), _) => faults.push(left_out(document, path, line)),
            (None, Ok(resource)) => faults.extend(faults_here(document, resource)),
            (None, Err(_)) => {}
        }
        Standing { path, file, document, is_dropped: before.is_some(), faults }
    }

    /// The object, if nothing is wrong with it by itself.
    pub(super) fn sound(&self) -> Option<&'f Resource> {
        self.document.result.as_ref().ok().filter(|_| self.faults.is_empty())
    }

    /// Whether it lies in this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// The line of a fault of this document.
    fn line_of(&self, invalid: &Invalid) -> usize {
        let within = |text| model::line_of(text, self.document.key.as_ref()?, &invalid.path);
        let exact = || {
            // From its own first line on: else all documents before it would be read for each of its faults.
            let before = self.document.line.saturating_sub(1);
            let lines = self.file.text.split_inclusive('\n').take(before);
            let begin = lines.map(str::len).sum::<usize>();
            let below = within(&self.file.text[begin..]).map(|line| line + before);
            // One of a list does not stand by itself.
            below.or_else(|| within(&self.file.text))
        };
        invalid.line.or_else(exact).unwrap_or(self.document.line)
    }

    /// What is wrong with it, told with its place.
    pub(super) fn told(&self, invalid: &Invalid, assembly: &Assembly) -> Fault {
        let is_kept = self.document.key.as_ref().is_some_and(|key| assembly.kept.contains(key));
        let instead = match (self.is_dropped, is_kept) {
            (true, _) => Instead::Namesake,
            (false, true) => Instead::LastGood,
            (false, false) => Instead::Nothing,
        };
        let invalid = Invalid { line: Some(self.line_of(invalid)), ..invalid.clone() };
        Fault { instead, ..Fault::new(Some(self.path), invalid).of(self.document) }
    }
}

/// What the documents give to a table. One that is left out is refused rather than absent: should
/// the one before it turn out to be of no use, policies close what either was meant for.
pub(super) fn input(standings: &[Standing<'_>]) -> Input {
    let mut input = Input::default();
    for standing in standings {
        let document = standing.document;
        match standing.sound() {
            Some(resource) => input.resources.push(resource.clone()),
            None => input.refused.push(Refused {
                // What is refused for its kind alone has no say in what becomes of others.
                key: document.key.clone().filter(|key| is_read(key.kind)),
                raw: document.raw.clone().or(written(document)),
                faults: standing.faults.clone(),
            }),
        }
    }
    input
}

/// What an accepted document said, but for secrets.
fn written(document: &Document) -> Option<serde_json::Value> {
    document.result.as_ref().ok().map(Resource::to_json)
}

fn left_out(document: &Document, path: &Path, line: usize) -> Invalid {
    let place = format!("{}:{line}", path.display());
    Invalid {
        key: document.key.clone(),
        path: "metadata.name".to_owned(),
        line: Some(document.line),
        reason: format!("the object at {place} has this name already; this one is left out"),
        nearest: None,
    }
}

/// What is wrong with an object that a gateway is to serve by itself.
fn faults_here(document: &Document, resource: &Resource) -> Vec<Invalid> {
    match resource {
        Resource::Secret(secret) => proxy::tls::check(secret),
        Resource::ConfigMap(map) => proxy::tls::check_authorities(map),
        Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => on_services(document, resource),
        Resource::HttpRoute(_)
        | Resource::GrpcRoute(_)
        | Resource::TlsRoute(_)
        | Resource::TcpRoute(_)
        | Resource::UdpRoute(_) => of_services(document, resource),
        Resource::Gateway(_)
        | Resource::ListenerSet(_)
        | Resource::ReferenceGrant(_)
        | Resource::Namespace(_)
        | Resource::Consumer(_)
        | Resource::AuthnPolicy(_)
        | Resource::TrafficPolicy(_)
        | Resource::BackendTlsPolicy(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_) => Vec::new(),
        Resource::Workload(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_)
        | Resource::Team(_)
        | Resource::Role(_)
        | Resource::Grant(_)
        | Resource::LoginProvider(_) => vec![not_here(document)],
    }
}

/// Targets that nobody asks here: policies of Services are asked by proxies of the mesh.
fn on_services(document: &Document, policy: &Resource) -> Vec<Invalid> {
    let targets = policy.guarded().into_iter().flatten().enumerate();
    let on_services = targets.filter(|(_, target)| target.kind == TargetKind::Service);
    let fault = |(index, _)| Invalid {
        path: format!("spec.targetRefs[{index}].kind"),
        reason:
            "a gateway that reads files asks no policy of a Service; attach it to a Gateway or \
                 a route, or join a server"
                .to_owned(),
        ..not_here(document)
    };
    on_services.map(fault).collect()
}

/// Parents whose callers no gateway sees: proxies of the mesh follow the routes of Services.
fn of_services(document: &Document, route: &Resource) -> Vec<Invalid> {
    let parents = route.parent_refs().iter().enumerate();
    let services = parents.filter(|(_, parent)| parent.is_service());
    let fault = |(index, _)| Invalid {
        path: format!("spec.parentRefs[{index}].kind"),
        reason: "a gateway that reads files serves no routes of a Service, which lead what \
                 applications send; attach it to a Gateway, or join a server"
            .to_owned(),
        ..not_here(document)
    };
    services.map(fault).collect()
}

/// Whether a gateway that reads files takes objects of this kind.
pub(super) fn is_read(kind: Kind) -> bool {
    match kind {
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Consumer
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy => true,
        Kind::Workload
        | Kind::Api
        | Kind::Claim
        | Kind::Workspace
        | Kind::Cluster
        | Kind::Team
        | Kind::Role
        | Kind::Grant
        | Kind::LoginProvider => false,
    }
}

/// An object that would have no effect, which its author should know.
fn not_here(document: &Document) -> Invalid {
    Invalid {
        key: document.key.clone(),
        path: String::new(),
        line: Some(document.line),
        reason: "is for the control plane; a gateway that reads files enforces none of it"
            .to_owned(),
        nearest: None,
    }
}
