//! What the schema of an HTTPRoute cannot say.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};

use super::{
    BackendRef, FilterType, Header, HeaderModifier, HttpBackendRef, HttpFilter, HttpMatch,
    HttpRoute, HttpRule, ParentRef, PathMatch, PathMatchType, PathModifier, PathModifierType,
    RequestMirror, RequestRedirect, Timeouts, ValueMatchType,
};
use crate::expression::Expressions;
use crate::header::{is_of_connection, is_of_cors, is_of_origin};
use crate::invalid::Checker;
use crate::{Name, path};

impl HttpRoute {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.unenforced("useDefaultGateways", spec.use_default_gateways.as_ref());
            let own = &self.metadata.namespace;
            at.each("parentRefs", &spec.parent_refs, |at, parent| parent.check(at, own));
            if self.is_of_services() && !spec.parent_refs.iter().all(ParentRef::is_service) {
                let text = "a route attaches to Gateways and ListenerSets, or to Services, not to both; \
                            write one for each";
                at.fault_in("parentRefs", text);
            }
            let mut expressions = Expressions::default();
            at.each("rules", &spec.rules, |at, rule| rule.check(at, &mut expressions));
            let mut names = BTreeSet::new();
            at.each("rules", &spec.rules, |at, rule| {
                if self.is_of_services() && rule.session_persistence.is_some() {
                    let text = "sessions are kept by gateways, and this route attaches to Services; \
                                remove it";
                    at.fault_in("sessionPersistence", text);
                }
                if let Some(name) = &rule.name
                    && !names.insert(name)
                {
                    at.fault_in("name", format!("a rule '{name}' stands above"));
                }
            });
        });
    }
}

impl ParentRef {
    fn check(&self, at: &mut Checker, own: &Name) {
        if self.is_service() {
            self.check_service(at, own);
        } else if self.kind == "Service" {
            at.fault_in("group", "a Service is of the empty group; write group: \"\"");
        } else if !self.is_set() && (self.group != super::gateway_group() || self.kind != "Gateway")
        {
            let text = "a route attaches to a Gateway or a ListenerSet, or to a Service of the empty group";
            at.fault_in("kind", text);
        }
    }

    fn check_service(&self, at: &mut Checker, own: &Name) {
        if self.section_name.is_some() {
            at.fault_in(
                "sectionName",
                "a Service has no sections; name one of its ports by 'port'",
            );
        }
        if self.namespace.as_ref().is_some_and(|namespace| namespace != own) {
            let text = format!(
                "this version attaches routes to Services of their own namespace only; write the \
                 route beside the Service, or name one of '{own}'"
            );
            at.fault_in("namespace", text);
        }
    }
}

impl HttpRule {
    fn check(&self, at: &mut Checker, expressions: &mut Expressions) {
        at.each("matches", &self.matches, |at, one| one.check(at, expressions));
        check_filters(at, &self.filters, &self.matches);
        at.each("backendRefs", &self.backend_refs, |at, backend| backend.check(at, &self.matches));
        self.check_beside_filters(at);
        if let Some(timeouts) = &self.timeouts {
            at.within("timeouts", |at| timeouts.check(at));
        }
        if let Some(retry) = &self.retry {
            at.within("retry", |at| retry.check(at));
        }
        if let Some(session) = &self.session_persistence {
            at.within("sessionPersistence", |at| session.check(at));
        }
    }

    /// What the rule's filters leave no room for at its backends.
    fn check_beside_filters(&self, at: &mut Checker) {
        let has = |filters: &[HttpFilter], kind| filters.iter().any(|one| one.kind == kind);
        let says = |kind| has(&self.filters, kind);
        if says(FilterType::RequestRedirect) && !self.backend_refs.is_empty() {
            at.fault_in("backendRefs", "a rule that redirects has no backends; remove them");
        }
        if says(FilterType::RequestRedirect) && self.session_persistence.is_some() {
            let text = "a rule that redirects keeps no session; remove it";
            at.fault_in("sessionPersistence", text);
        }
        if says(FilterType::Cors) {
            check_beside_cors(at, &self.filters);
        }
        at.each("backendRefs", &self.backend_refs, |at, backend| {
            if says(FilterType::UrlRewrite) && has(&backend.filters, FilterType::UrlRewrite) {
                let text = "the rule rewrites already; rewrite there or at its backends";
                at.fault_in("filters", text);
            }
            if has(&backend.filters, FilterType::Cors) {
                let text = "CORS belongs to the rule, since who asks for it is answered before a \
                            backend is drawn";
                at.fault_in("filters", text);
            }
            if says(FilterType::Cors) {
                check_beside_cors(at, &backend.filters);
            }
        });
    }
}

/// Who may read answers is said in one place.
fn check_beside_cors(at: &mut Checker, filters: &[HttpFilter]) {
    at.each("filters", filters, |at, filter| {
        let Some(modifier) = &filter.response_header_modifier else { return };
        for name in modifier.names().filter(|name| is_of_cors(&name.to_ascii_lowercase())) {
            let text = format!("'{name}' is written by the rule's CORS filter; say it there");
            at.fault_in("responseHeaderModifier", text);
        }
    });
}

/// Each filter of a list, and which may stand beside each other.
fn check_filters(at: &mut Checker, filters: &[HttpFilter], matches: &[HttpMatch]) {
    at.each("filters", filters, |at, filter| filter.check(at, matches));
    let count = |kind| filters.iter().filter(|filter| filter.kind == kind).count();
    for (kind, word) in [
        (FilterType::RequestHeaderModifier, "RequestHeaderModifier"),
        (FilterType::ResponseHeaderModifier, "ResponseHeaderModifier"),
        (FilterType::RequestRedirect, "RequestRedirect"),
        (FilterType::UrlRewrite, "URLRewrite"),
        (FilterType::Cors, "CORS"),
    ] {
        if count(kind) > 1 {
            at.fault_in("filters", format!("{word} may stand once among the filters of one place"));
        }
    }
    if count(FilterType::RequestRedirect) > 0 && count(FilterType::UrlRewrite) > 0 {
        at.fault_in("filters", "RequestRedirect and URLRewrite exclude each other");
    }
}

impl HttpMatch {
    fn check(&self, at: &mut Checker, expressions: &mut Expressions) {
        at.within("path", |at| self.path.check(at, expressions));
        let mut names = BTreeSet::new();
        at.each("headers", &self.headers, |at, header| {
            check_header_name(at, &header.name);
            if !names.insert(header.name.to_ascii_lowercase()) {
                at.fault_in("name", format!("header '{}' stands above", header.name));
            }
            if header.kind == ValueMatchType::RegularExpression {
                expressions.check(at, "value", &header.value);
            }
        });
        let mut names = BTreeSet::new();
        at.each("queryParams", &self.query_params, |at, param| {
            if !names.insert(&param.name) {
                at.fault_in("name", format!("query parameter '{}' stands above", param.name));
            }
            if param.kind == ValueMatchType::RegularExpression {
                expressions.check(at, "value", &param.value);
            }
        });
    }
}

impl PathMatch {
    /// Reports a path that could match nothing or that could mean two things.
    pub(crate) fn check(&self, at: &mut Checker, expressions: &mut Expressions) {
        match self.kind {
            PathMatchType::RegularExpression => expressions.check(at, "value", &self.value),
            PathMatchType::Exact | PathMatchType::PathPrefix => {
                at.within("value", |at| check_path(at, &self.value))
            }
        }
    }
}

/// A path begins with `/`, has no dot segments, doubled slashes, escaped slashes or fragment, and has
/// a normal form.
pub(crate) fn check_path(at: &mut Checker, path: &str) {
    if !path.starts_with('/') {
        at.fault(format!("'{path}' must begin with '/'"));
    }
    let odd = ["//", "/./", "/../", "%2f", "%2F", "#", "?"].into_iter();
    let odd: Vec<_> = odd.filter(|odd| path.contains(odd)).collect();
    for odd in &odd {
        at.fault(format!("'{odd}' may not stand in a path"));
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        at.fault("a path may not end in a dot segment");
    } else if path.starts_with('/')
        && odd.is_empty()
        && let Err(error) = path::normalise(path)
    {
        at.fault(error.to_string());
    }
}

/// A header name by RFC 9110.
pub(crate) fn check_header_name(at: &mut Checker, name: &str) {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        at.fault_in("name", format!("'{name}' is no header name (RFC 9110, section 5.1)"));
    }
}

impl HttpFilter {
    fn check(&self, at: &mut Checker, matches: &[HttpMatch]) {
        self.check_fields_agree(at);
        at.unenforced("externalAuth", self.external_auth.as_ref());
        at.unenforced("extensionRef", self.extension_ref.as_ref());
        if let Some(modifier) = &self.request_header_modifier {
            at.within("requestHeaderModifier", |at| modifier.check(at));
        }
        if let Some(modifier) = &self.response_header_modifier {
            at.within("responseHeaderModifier", |at| modifier.check(at));
        }
        if let Some(mirror) = &self.request_mirror {
            at.within("requestMirror", |at| mirror.check(at));
        }
        if let Some(redirect) = &self.request_redirect {
            at.within("requestRedirect", |at| redirect.check(at, matches));
        }
        if let Some(cors) = &self.cors {
            at.within("cors", |at| cors.check(at));
        }
        if let Some(path) = self.url_rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()) {
            at.within("urlRewrite", |at| at.within("path", |at| path.check(at, matches)));
        }
    }

    /// Exactly the field that `type` names is set.
    fn check_fields_agree(&self, at: &mut Checker) {
        let fields = [
            (
                FilterType::RequestHeaderModifier,
                "requestHeaderModifier",
                self.request_header_modifier.is_some(),
            ),
            (
                FilterType::ResponseHeaderModifier,
                "responseHeaderModifier",
                self.response_header_modifier.is_some(),
            ),
            (FilterType::RequestMirror, "requestMirror", self.request_mirror.is_some()),
            (FilterType::RequestRedirect, "requestRedirect", self.request_redirect.is_some()),
            (FilterType::UrlRewrite, "urlRewrite", self.url_rewrite.is_some()),
            (FilterType::Cors, "cors", self.cors.is_some()),
            (FilterType::ExternalAuth, "externalAuth", self.external_auth.is_some()),
            (FilterType::ExtensionRef, "extensionRef", self.extension_ref.is_some()),
        ];
        for (kind, field, is_set) in fields {
            if kind == self.kind && !is_set {
                at.fault(format!("the type names '{field}', which is missing"));
            }
            if kind != self.kind && is_set {
                at.fault_in(field, "does not belong to this filter's type");
            }
        }
    }
}

impl HeaderModifier {
    fn check(&self, at: &mut Checker) {
        at.each("set", &self.set, |at, header| header.check(at));
        at.each("add", &self.add, |at, header| header.check(at));
        at.each("remove", &self.remove, |at, name| {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                at.fault(format!("'{name}' is no header name (RFC 9110, section 5.1)"));
            }
        });
        let mut names = BTreeSet::new();
        for name in self.names() {
            let name = name.to_ascii_lowercase();
            if is_of_origin(&name) {
                at.fault(format!(
                    "'{name}' says where a request comes from, which only the proxy may say"
                ));
            }
            if is_of_connection(&name) {
                at.fault(format!("'{name}' belongs to the connection and cannot be changed"));
            }
            if !names.insert(name.clone()) {
                at.fault(format!("header '{name}' is named twice; name it once"));
            }
        }
    }

    /// Every header that it names.
    fn names(&self) -> impl Iterator<Item = &String> {
        self.set.iter().chain(&self.add).map(|header| &header.name).chain(&self.remove)
    }
}

impl Header {
    fn check(&self, at: &mut Checker) {
        check_header_name(at, &self.name);
        if HeaderValue::from_str(&self.value).is_err() {
            at.fault_in("value", "a header value is visible ASCII and spaces");
        }
    }
}

impl RequestMirror {
    fn check(&self, at: &mut Checker) {
        at.within("backendRef", |at| self.backend_ref.check(at));
        if self.percent.is_some() && self.fraction.is_some() {
            at.fault("percent and fraction exclude each other");
        }
        if let Some(fraction) = self.fraction
            && fraction.numerator > fraction.denominator
        {
            at.fault_in("fraction", "the numerator may not be above the denominator");
        }
    }
}

impl RequestRedirect {
    fn check(&self, at: &mut Checker, matches: &[HttpMatch]) {
        if !matches!(self.status_code, 301 | 302 | 303 | 307 | 308) {
            at.fault_in("statusCode", "one of 301, 302, 303, 307, 308");
        }
        if self.hostname.as_ref().is_some_and(|host| host.suffix().is_some()) {
            at.fault_in("hostname", "a redirect goes to one host, not to a wildcard");
        }
        if let Some(path) = &self.path {
            at.within("path", |at| path.check(at, matches));
        }
    }
}

impl PathModifier {
    fn check(&self, at: &mut Checker, matches: &[HttpMatch]) {
        match self.kind {
            PathModifierType::ReplaceFullPath => {
                check_modifier(at, "replaceFullPath", self.replace_full_path.as_deref());
                if self.replace_prefix_match.is_some() {
                    at.fault_in("replacePrefixMatch", "does not belong to type ReplaceFullPath");
                }
            }
            PathModifierType::ReplacePrefixMatch => {
                check_modifier(at, "replacePrefixMatch", self.replace_prefix_match.as_deref());
                if self.replace_full_path.is_some() {
                    at.fault_in("replaceFullPath", "does not belong to type ReplacePrefixMatch");
                }
                if matches.iter().any(|one| one.path.kind != PathMatchType::PathPrefix) {
                    at.fault("ReplacePrefixMatch needs every match of the rule to be a PathPrefix");
                }
            }
        }
    }
}

fn check_modifier(at: &mut Checker, field: &str, path: Option<&str>) {
    match path {
        None => at.fault(format!("the type names '{field}', which is missing")),
        Some("") => {}
        Some(path) => {
            at.within(field, |at| check_path(at, path));
            if http::uri::PathAndQuery::try_from(path).is_err() {
                at.fault_in(field, format!("'{path}' is no path (RFC 3986, section 3.3)"));
            }
        }
    }
}

impl BackendRef {
    fn check(&self, at: &mut Checker) {
        // A kind that nobody knows is a broken reference, answered 500, not an invalid object
        // (Gateway API, `BackendRef`); a Service without a port is invalid.
        if self.group.is_empty() && self.kind == "Service" && self.port.is_none() {
            at.fault_in("port", "a Service needs a port");
        }
    }
}

impl HttpBackendRef {
    fn check(&self, at: &mut Checker, matches: &[HttpMatch]) {
        self.target().check(at);
        check_filters(at, &self.filters, matches);
    }
}

impl Timeouts {
    fn check(&self, at: &mut Checker) {
        if let (Some(whole), Some(each)) = (self.request_bound(), self.backend_bound())
            && each > whole
        {
            at.fault_in("backendRequest", "may not be longer than 'request'");
        }
    }
}
