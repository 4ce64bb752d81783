//! Which pages of other origins may read answers (Gateway API, `HTTPCORSFilter`; Fetch standard,
//! "CORS protocol").
//!
//! A browser asks before it sends what a page could not send before there was CORS: that *preflight*
//! is answered here, and the backend never hears of it.
//! Of every other request the answer says who may read it, whoever gives that answer.
//! Nothing here lets a request pass or keeps it out: a browser does, going by what it is told.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::header::is_of_cors;
use model::route::{self, CorsMethod, Origin};

use crate::chain::{Answer, ChainError};
use crate::explain::{HeaderLine, HeaderStory};
use crate::facts::{Facts, Layer};
use crate::reason::Reason;

/// All that a filter may say in an answer.
const SAID: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];
static STAR: HeaderValue = HeaderValue::from_static("*");
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
/// Whether there is a method asked for tells a preflight, so its answer goes by that, too.
const BY_WHAT_IS_ASKED: HeaderValue =
    HeaderValue::from_static("access-control-request-method, access-control-request-headers");

/// A CORS filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<Origin>,
    has_credentials: bool,
    methods: List,
    headers: List,
    exposed: List,
    max_age: HeaderValue,
}

/// A list of a filter, as an answer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum List {
    Nothing,
    All,
    These(HeaderValue),
}

/// The origin whose pages may read the answers to one request, as they are told; nobody's where all
/// are told alike, or none may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reader(Option<Box<HeaderValue>>);

impl Cors {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`ChainError`] for an origin or a header's name that is none.
    pub fn compile(from: &route::Cors) -> Result<Self, ChainError> {
        let origin =
            |text: &String| Origin::parse(text).map_err(|_| ChainError::Origin(text.clone()));
        let methods: Vec<_> = from.allow_methods.iter().copied().map(CorsMethod::as_str).collect();
        Ok(Cors {
            origins: from.allow_origins.iter().map(origin).collect::<Result<_, _>>()?,
            has_credentials: from.allow_credentials,
            methods: List::compile(&methods)?,
            headers: List::compile(&from.allow_headers)?,
            exposed: List::compile(&from.expose_headers)?,
            max_age: HeaderValue::from(from.max_age),
        })
    }

    /// Who may read the answers to a request.
    pub(crate) fn reader(&self, facts: &Facts<'_>) -> Reader {
        if self.is_for_everybody() {
            return Reader(None);
        }
        let allowed = origin(facts).filter(|origin| self.allows(origin));
        Reader(allowed.map(|origin| Box::new(origin.clone())))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|text| self.origins.iter().any(|one| one.matches(text)))
    }

    /// Whether all are told the same: that everybody may read, without credentials.
    fn is_for_everybody(&self) -> bool {
        !self.has_credentials && self.origins.contains(&Origin::All)
    }

    /// The answer to a preflight, but for what every answer says.
    pub(crate) fn preflight(&self, facts: &Facts<'_>, reader: &Reader) -> Option<Answer> {
        let asked = facts.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if *facts.method != Method::OPTIONS || !is_cross(facts) {
            return None;
        }
        let mut headers = vec![(VARY, BY_WHAT_IS_ASKED)];
        if self.allowed(reader).is_none() {
            let detail = Some("its origin is none of those that the CORS filter allows".into());
            return Some(Answer { headers, detail, ..Answer::new(Reason::Preflight) });
        }
        let asked = std::iter::once(asked);
        let methods = self.methods.told(self.has_credentials, asked);
        headers.extend(methods.map(|value| (ACCESS_CONTROL_ALLOW_METHODS, value)));
        let asked = facts.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let names = self.headers.told(self.has_credentials, asked);
        headers.extend(names.map(|value| (ACCESS_CONTROL_ALLOW_HEADERS, value)));
        headers.push((ACCESS_CONTROL_MAX_AGE, self.max_age.clone()));
        Some(Answer { headers, ..Answer::new(Reason::Preflight) })
    }

    /// Whom an answer allows to read it, if it allows anybody.
    fn allowed<'a>(&self, reader: &'a Reader) -> Option<&'a HeaderValue> {
        match self.is_for_everybody() {
            true => Some(&STAR),
            false => reader.0.as_deref(),
        }
    }

    /// What every answer says of who may read it.
    pub(crate) fn said(
        &self,
        reader: &Reader,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let allowed = self.allowed(reader);
        let credentials = self.has_credentials.then(|| HeaderValue::from_static("true"));
        let exposed = self.exposed.told(self.has_credentials, std::iter::empty()).next();
        let allowed = allowed.map(|origin| {
            let origin = (ACCESS_CONTROL_ALLOW_ORIGIN, Some(origin.clone()));
            let credentials = (ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
            [origin, credentials, (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)]
        });
        allowed.into_iter().flatten().filter_map(|(name, value)| Some((name, value?)))
    }

    /// By what the answer to another page would differ.
    pub(crate) fn varies(&self) -> Option<(HeaderName, HeaderValue)> {
        (!self.is_for_everybody()).then_some((VARY, BY_ORIGIN))
    }

    /// Puts what is said here in the place of what a backend says of it.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, reader: &Reader) {
        let theirs = headers.keys().filter(|name| is_of_cors(name.as_str()));
        for name in theirs.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
        let names_all = self.has_credentials && self.exposed == List::All;
        let exposed =
            if names_all && self.allowed(reader).is_some() { names(headers) } else { None };
        let exposed = exposed.map(|names| (ACCESS_CONTROL_EXPOSE_HEADERS, names));
        for (name, value) in self.said(reader).chain(exposed) {
            let _full = headers.try_insert(name, value);
        }
        if let Some((name, value)) = self.varies().filter(|_| !varies_by_origin(headers)) {
            let _full = headers.try_append(name, value);
        }
    }

    /// Tells what would be done to the head of an answer.
    pub(crate) fn story(&self, facts: &Facts<'_>) -> HeaderStory {
        let line = |(name, value): (HeaderName, HeaderValue)| HeaderLine {
            name: name.to_string(),
            value: Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        };
        let reader = self.reader(facts);
        let mut set: Vec<_> = self.said(&reader).map(line).collect();
        if self.has_credentials && self.exposed == List::All && !set.is_empty() {
            let value = Some("the name of every header of the answer".to_owned());
            set.push(HeaderLine { name: ACCESS_CONTROL_EXPOSE_HEADERS.to_string(), value });
        }
        let is_set = |name: &&HeaderName| set.iter().any(|line| line.name == name.as_str());
        let remove = SAID.iter().filter(|name| !is_set(name)).map(HeaderName::to_string).collect();
        HeaderStory { add: self.varies().map(line).into_iter().collect(), remove, set }
    }
}

impl List {
    /// Of words, or of a star.
    fn compile(words: &[impl AsRef<str>]) -> Result<Self, ChainError> {
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        if words.is_empty() {
            return Ok(List::Nothing);
        }
        if words.contains(&"*") {
            return Ok(List::All);
        }
        for word in &words {
            let name = HeaderName::from_bytes(word.as_bytes());
            name.map_err(|_| ChainError::Header((*word).to_owned()))?;
        }
        let line = words.join(", ");
        HeaderValue::from_str(&line).map(List::These).map_err(|_| ChainError::Header(line))
    }

    /// What is told of it. A star counts for a star only without credentials (Fetch standard,
    /// section 3.3.4); with them what was asked for is told in its place.
    fn told<'a>(
        &self,
        has_credentials: bool,
        asked: impl Iterator<Item = &'a HeaderValue>,
    ) -> impl Iterator<Item = HeaderValue> {
        let (own, asked) = match self {
            List::Nothing => (None, None),
            List::All if has_credentials => (None, Some(asked.cloned())),
            List::All => (Some(STAR.clone()), None),
            List::These(words) => (Some(words.clone()), None),
        };
        own.into_iter().chain(asked.into_iter().flatten())
    }
}

/// Whose page sends a request, as its browser says. Who says it twice says nothing.
fn origin<'a>(facts: &Facts<'a>) -> Option<&'a HeaderValue> {
    let mut said = facts.headers.get_all(ORIGIN).iter().filter(|_| facts.layer == Layer::Request);
    said.next().filter(|_| said.next().is_none())
}

/// Whether a browser sends a request for a page of some origin.
fn is_cross(facts: &Facts<'_>) -> bool {
    facts.layer == Layer::Request && facts.headers.contains_key(ORIGIN)
}

/// The names of all headers, in one line.
fn names(headers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    HeaderValue::try_from(names.join(", ")).ok().filter(|line| !line.is_empty())
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VARY).iter();
    let mut words = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    words.any(|word| word.trim() == "*" || word.trim().eq_ignore_ascii_case("origin"))
}

#[cfg(test)]
mod tests;
