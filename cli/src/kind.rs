//! What kinds and objects are called on the command line: `HTTPRoute`, `httproutes`, `route`, `rt`;
//! `route/orders`, `route/shop/orders`.

use std::fmt;

use model::{Key, Kind, Name};

/// Further words for a kind, beside its name and the plural of that.
const fn short(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gateway => &["gw"],
        Kind::ListenerSet => &["ls"],
        Kind::HttpRoute => &["route", "routes", "rt"],
        Kind::GrpcRoute => &["grpc"],
        Kind::TlsRoute => &["tls"],
        Kind::TcpRoute => &["tcp"],
        Kind::UdpRoute => &["udp"],
        Kind::ReferenceGrant => &["refgrant", "refgrants"],
        Kind::Namespace => &["ns"],
        Kind::Service => &["svc"],
        Kind::EndpointSlice => &["eps", "endpoints"],
        Kind::Workload => &["wl"],
        Kind::Secret => &["sec"],
        Kind::ConfigMap => &["cm"],
        Kind::Consumer => &[],
        Kind::AuthnPolicy => &["authn"],
        Kind::AccessPolicy => &["policy", "policies", "ap"],
        Kind::RateLimitPolicy => &["rl", "ratelimit", "ratelimits"],
        Kind::TrafficPolicy => &["tp"],
        Kind::BackendTlsPolicy => &["btls"],
        Kind::Api => &[],
        Kind::Claim => &[],
        Kind::Workspace => &["ws"],
        Kind::Cluster => &[],
        Kind::Team => &[],
        Kind::Role => &[],
        Kind::Grant => &[],
        Kind::LoginProvider => &["login"],
    }
}

/// The kind that `word` calls, in whatever case.
///
/// # Errors
/// Names the nearest word, or all kinds.
pub(crate) fn kind(word: &str) -> Result<Kind, String> {
    let lower = word.to_ascii_lowercase();
    Kind::ALL.into_iter().find(|kind| words(*kind).contains(&lower)).ok_or_else(|| {
        let known: Vec<String> = Kind::ALL.into_iter().flat_map(words).collect();
        let known = known.iter().map(String::as_str);
        match model::nearest(&lower, known) {
            Some(near) => format!("there is no kind '{word}'; did you mean '{near}'?"),
            None => format!("there is no kind '{word}'; there are {}", list()),
        }
    })
}

/// Every word that calls `kind`, in lower case.
fn words(kind: Kind) -> Vec<String> {
    let name = kind.as_str().to_ascii_lowercase();
    let plural = match name.strip_suffix("cy") {
        Some(stem) => format!("{stem}cies"),
        None => format!("{name}s"),
    };
    let further = short(kind).iter().map(|&word| word.to_owned());
    [name, plural].into_iter().chain(further).collect()
}

fn list() -> String {
    Kind::ALL.map(Kind::as_str).join(", ")
}

/// One object as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    /// Where one was written before the name.
    pub(crate) namespace: Option<Name>,
    pub(crate) name: Name,
}

impl Named {
    /// Its key: the namespace written with it, or `namespace`, or the one of its kind.
    ///
    /// # Errors
    /// If two namespaces were written and they differ.
    pub(crate) fn key(&self, namespace: Option<&Name>) -> Result<Key, String> {
        if let (Some(one), Some(other)) = (&self.namespace, namespace)
            && one != other
        {
            return Err(format!("{self} does not lie in the namespace '{other}'"));
        }
        let written = self.namespace.as_ref().or(namespace);
        let namespace = written.cloned().unwrap_or_else(|| self.kind.default_namespace());
        Ok(Key::new(self.kind, namespace, self.name.clone()))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}", self.name)
    }
}

/// Reads `KIND/NAME` or `KIND/NAMESPACE/NAME`.
///
/// # Errors
/// Says how it is written, or what is wrong with a part of it.
pub(crate) fn named(text: &str) -> Result<Named, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (word, namespace, name) = match parts[..] {
        [word, name] => (word, None, name),
        [word, namespace, name] => (word, Some(namespace), name),
        _ => return Err("write it as KIND/NAME or KIND/NAMESPACE/NAME".to_owned()),
    };
    Ok(Named {
        kind: kind(word)?,
        namespace: namespace.map(self::name).transpose()?,
        name: self::name(name)?,
    })
}

/// Reads a name.
///
/// # Errors
/// Says what a name is.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_answer_to_their_name_plural_and_short_words_in_any_case() {
        for (word, wanted) in [
            ("HTTPRoute", Kind::HttpRoute),
            ("httproutes", Kind::HttpRoute),
            ("route", Kind::HttpRoute),
            ("gw", Kind::Gateway),
            ("Gateways", Kind::Gateway),
            ("svc", Kind::Service),
            ("accesspolicies", Kind::AccessPolicy),
            ("policy", Kind::AccessPolicy),
            ("apis", Kind::Api),
            ("ws", Kind::Workspace),
        ] {
            assert_eq!(kind(word), Ok(wanted), "{word}");
        }
    }

    #[test]
    fn no_word_means_two_kinds() {
        let mut all: Vec<String> = Kind::ALL.into_iter().flat_map(words).collect();
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before, "{all:?}");
    }

    #[test]
    fn a_mistyped_kind_is_told_the_nearest() {
        let told = kind("htproute").unwrap_err();
        assert_eq!(told, "there is no kind 'htproute'; did you mean 'httproute'?");
        assert!(kind("zebra-crossing").unwrap_err().contains("there are Gateway, ListenerSet"));
    }

    #[test]
    fn an_object_is_named_with_or_without_its_namespace() {
        let shop = Name::parse("shop").unwrap();
        let short = named("route/r").unwrap();
        assert_eq!(short.key(Some(&shop)).unwrap().to_string(), "HTTPRoute shop/r");
        assert_eq!(short.key(None).unwrap().to_string(), "HTTPRoute default/r");
        let long = named("route/shop/r").unwrap();
        assert_eq!(long.key(None).unwrap().to_string(), "HTTPRoute shop/r");
        assert!(long.key(Some(&Name::parse("other").unwrap())).is_err());
        assert_eq!(named("team/t").unwrap().key(None).unwrap().to_string(), "Team heddle/t");
        for wrong in ["route", "route/a/b/c", "route/", "route/UPPER", "zebra/x"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
