//! Header changes of a filter, names and values parsed once.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::route::{Header, HeaderModifier};

use crate::chain::ChainError;

/// Header changes, in the order set, add, remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChange {
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
    pub(crate) remove: Vec<HeaderName>,
}

/// Whether a header's value may prove who somebody is, so that no story shows it.
pub(crate) fn is_credential(name: &HeaderName) -> bool {
    use http::header::{COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE].contains(name) || name == "x-api-key"
}

/// Whether the request's own `Connection` takes the header off before the backend (RFC 9110,
/// section 7.6.1); these three the proxy lets nobody take off.
pub(crate) fn is_nominated(name: &HeaderName, headers: &HeaderMap) -> bool {
    if [HOST, CONTENT_LENGTH, AUTHORIZATION].contains(name) {
        return false;
    }
    let lines = headers.get_all(CONNECTION).iter();
    let mut words = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(name.as_str()))
}

impl HeaderChange {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`ChainError::Header`] for a name or value that is none.
    pub fn compile(from: &HeaderModifier) -> Result<Self, ChainError> {
        let all = |headers: &[Header]| headers.iter().map(parse).collect::<Result<_, _>>();
        Ok(HeaderChange {
            set: all(&from.set)?,
            add: all(&from.add)?,
            remove: from.remove.iter().map(|text| name(text)).collect::<Result<_, _>>()?,
        })
    }

    /// Changes `headers`. A map that is full (32,768 entries) takes nothing more.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            let _full = headers.try_insert(name, value.clone());
        }
        for (name, value) in &self.add {
            let _full = headers.try_append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

fn parse(header: &Header) -> Result<(HeaderName, HeaderValue), ChainError> {
    let value = HeaderValue::from_str(&header.value);
    let value = value.map_err(|_| ChainError::Header(header.name.clone()))?;
    Ok((name(&header.name)?, value))
}

fn name(text: &str) -> Result<HeaderName, ChainError> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| ChainError::Header(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn set_replaces_add_appends_and_remove_takes_every_line() {
        let change = HeaderChange::compile(&HeaderModifier {
            set: vec![header("X-Set", "new")],
            add: vec![header("x-add", "two")],
            remove: vec!["X-Gone".to_owned()],
        });
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-set", "a"), ("x-set", "b"), ("x-add", "one"), ("x-gone", "1"), ("x-gone", "2")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        change.unwrap().apply(&mut headers);
        let all = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("x-set"), ["new"]);
        assert_eq!(all("x-add"), ["one", "two"]);
        assert!(all("x-gone").is_empty());
    }

    #[test]
    fn connection_nominates_what_stands_in_any_of_its_lines() {
        let mut headers = HeaderMap::new();
        for line in ["keep-alive, X-A", "x-b ,host,authorization, content-length"] {
            headers.append(CONNECTION, HeaderValue::from_static(line));
        }
        headers.append(CONNECTION, HeaderValue::from_bytes(b"x-c, \xff").unwrap());
        for (name, wanted) in [
            ("x-a", true),
            ("x-b", true),
            ("x-c", false),
            ("x", false),
            ("host", false),
            ("authorization", false),
            ("content-length", false),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(is_nominated(&name, &headers), wanted, "{name}");
            assert!(!is_nominated(&name, &HeaderMap::new()));
        }
    }

    #[test]
    fn what_is_no_header_does_not_compile() {
        for bad in [header("a b", "x"), header("a", "x\r\ny: z")] {
            let change = HeaderModifier { set: vec![bad], ..HeaderModifier::default() };
            assert!(matches!(HeaderChange::compile(&change), Err(ChainError::Header(_))));
        }
    }
}
