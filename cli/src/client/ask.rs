//! One request as it is made up, before it is known how often it will be sent.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;

use super::Address;
use crate::failure::Failure;

/// Below this stands everything that the command line asks.
const BASE: &str = "/api/v1";

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    patience: Duration,
    is_keyed: bool,
    is_harmless: bool,
    is_anonymous: bool,
}

impl Ask {
    fn new(method: Method, segments: &[&str]) -> Self {
        let mut path = BASE.to_owned();
        for segment in segments {
            path.push('/');
            encode(segment, &mut path);
        }
        Ask {
            method,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            patience: Duration::ZERO,
            is_keyed: false,
            is_harmless: false,
            is_anonymous: false,
        }
    }

    /// GET what lies at `segments` below the API's base.
    pub(crate) fn get(segments: &[&str]) -> Self {
        Ask::new(Method::GET, segments)
    }

    /// POST to it.
    pub(crate) fn post(segments: &[&str]) -> Self {
        Ask::new(Method::POST, segments)
    }

    /// PUT it.
    pub(crate) fn put(segments: &[&str]) -> Self {
        Ask::new(Method::PUT, segments)
    }

    /// DELETE it.
    pub(crate) fn delete(segments: &[&str]) -> Self {
        Ask::new(Method::DELETE, segments)
    }

    /// With `name=value` in the query.
    pub(crate) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// The same, where there is a value.
    pub(crate) fn query_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a JSON body.
    pub(crate) fn with_json(self, body: &Value) -> Self {
        self.with_body("application/json", body.to_string())
    }

    /// With a body of YAML.
    pub(crate) fn with_yaml(self, body: &str) -> Self {
        self.with_body("application/yaml", body.to_owned())
    }

    fn with_body(mut self, sort: &'static str, body: String) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static(sort)));
        self.body = body.into();
        self
    }

    /// Names the change, so that it is made once however often it is sent.
    pub(crate) fn keyed(mut self) -> Self {
        let key = uuid::Uuid::now_v7().to_string();
        let key = HeaderValue::from_str(&key).expect("a UUID is letters, digits and hyphens");
        self.headers.push((HeaderName::from_static("idempotency-key"), key));
        self.is_keyed = true;
        self
    }

    /// Changes nothing, though it is a POST.
    pub(crate) fn harmless(mut self) -> Self {
        self.is_harmless = true;
        self
    }

    /// Without the token.
    pub(crate) fn anonymous(mut self) -> Self {
        self.is_anonymous = true;
        self
    }

    /// The server may hold the answer back for so long, beyond what any answer may take.
    pub(crate) fn waiting(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    /// Whether sending it twice does no more than sending it once.
    pub(super) fn repeats(&self) -> bool {
        self.is_keyed || !self.is_change()
    }

    fn is_change(&self) -> bool {
        !self.is_harmless && self.method != Method::GET
    }

    /// How long to try where no connection is taken: reading can as well be told to try again.
    pub(super) fn starting(&self, longest: Duration) -> Duration {
        if self.is_keyed { longest } else { Duration::ZERO }
    }

    /// That it was not answered, as `why` says; `cut` if the server may have got it.
    pub(super) fn missed(&self, why: String, cut: bool) -> Failure {
        let unclear = "\nwhether it was done is not known: look before you try again";
        Failure::Unreachable(if self.is_change() && cut { why + unclear } else { why })
    }

    /// As it goes out to the server at `address`.
    pub(super) fn request(&self, address: &Address) -> Result<Request<Full<Bytes>>, Failure> {
        let mut target = self.path.clone();
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            encode(value, &mut target);
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(target)
            .header(HOST, address.authority())
            .header(ACCEPT, "application/json, application/problem+json")
            .body(Full::new(self.body.clone()))
            .map_err(|error| Failure::of("making the request", error))?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }
}

/// Writes `word` so that it is one segment of a path or one value of a query.
fn encode(word: &str, to: &mut String) {
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                to.push(char::from(byte));
            }
            _ => write!(to, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stays_one_segment_and_one_value() {
        let ask = Ask::get(&["users", "a/b?c"]).query("message", "x & y=ü").query_if("scope", None);
        let request = ask.request(&Address::parse("http://s:1").unwrap()).unwrap();
        assert_eq!(request.uri(), "/api/v1/users/a%2Fb%3Fc?message=x%20%26%20y%3D%C3%BC");
        assert_eq!(request.headers()["host"], "s:1");
    }

    #[test]
    fn only_reads_and_named_changes_are_repeated() {
        assert!(Ask::get(&["x"]).repeats());
        assert!(Ask::post(&["x"]).keyed().repeats());
        for once in [Ask::post(&["x"]), Ask::put(&["x"]), Ask::delete(&["x"])] {
            assert!(!once.repeats());
            let told = once.missed("cut".to_owned(), true).to_string();
            assert!(told.contains("not known"), "{told}");
        }
    }
}
