//! Speaks to the server: one request, one answer, within a time; repeated where that is safe.
//!
//! A read is repeated, and so is a change that carries an `Idempotency-Key`: the server makes that
//! one once, however often it is told, so a cut connection leaves nothing unclear.
//! No redirect is followed, since it might carry the token elsewhere.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::Failure;

mod address;
mod answer;
mod ask;
mod attempt;
mod tls;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub(crate) use address::Address;
pub(crate) use answer::Answer;
pub(crate) use ask::Ask;
pub(crate) use tls::Trust;

use attempt::Missed;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// First pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So long a change is tried on a server that takes no connection, as one that starts anew.
const STARTING: Duration = Duration::from_secs(3);
/// Most items that the server gives at once.
const PAGE: usize = 500;
/// More pages than this no list has.
const PAGES: usize = 100_000;

/// One server, and as whom it is asked.
#[derive(Debug)]
pub(crate) struct Client {
    address: Address,
    trust: Option<Trust>,
    bearer: Option<HeaderValue>,
    timeout: Duration,
    /// What to do where the server does not know who asks.
    sign_in: String,
}

impl Client {
    /// Asks the server at `address`, each time for `timeout` at most.
    ///
    /// # Errors
    /// If the address is one of TLS and the certificates in `ca` cannot be read.
    pub(crate) fn new(
        address: Address,
        ca: Option<&std::path::Path>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let trust = if address.is_secure() { Some(Trust::load(ca)?) } else { None };
        let sign_in = "sign in: heddle login".to_owned();
        Ok(Client { address, trust, bearer: None, timeout, sign_in })
    }

    /// Shows `token` with each request.
    ///
    /// # Errors
    /// If it is no token.
    pub(crate) fn with_token(mut self, token: &str) -> Result<Self, Failure> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::Failed("the token holds what no token holds".to_owned()))?;
        bearer.set_sensitive(true);
        self.bearer = Some(bearer);
        Ok(self)
    }

    /// What to tell whoever the server does not know.
    pub(crate) fn with_sign_in(mut self, words: String) -> Self {
        self.sign_in = words;
        self
    }

    /// The server's address.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks, and gives the JSON of a good answer; null where it has no body.
    ///
    /// # Errors
    /// What the server refused; or that none answered in time.
    pub(crate) async fn json(&self, ask: &Ask) -> Result<Value, Failure> {
        self.send(ask).await?.json()
    }

    /// All items of a list, page by page, with the last page's other fields.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub(crate) async fn list(&self, ask: &Ask) -> Result<Value, Failure> {
        self.pages(ask, None).await
    }

    /// The first `limit` items of a long list, with the last page's other fields.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub(crate) async fn first(&self, ask: &Ask, limit: usize) -> Result<Value, Failure> {
        self.pages(ask, Some(limit)).await
    }

    async fn pages(&self, ask: &Ask, limit: Option<usize>) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let rest = limit.map(|limit| (limit - items.len()).min(PAGE).to_string());
            let page = ask.clone().query_if("limit", rest.as_deref());
            let mut answer = self.json(&page.query_if("cursor", cursor.as_deref())).await?;
            let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) else {
                return Err(Failure::Failed("the server sent a list without items".to_owned()));
            };
            items.extend(more);
            let next = answer["next"].as_str().map(str::to_owned);
            cursor = next.filter(|_| limit.is_none_or(|limit| items.len() < limit));
            if cursor.is_none() {
                items.truncate(limit.unwrap_or(usize::MAX));
                answer["items"] = Value::Array(items);
                return Ok(answer);
            }
        }
        Err(Failure::Failed("the server's list does not end".to_owned()))
    }

    /// Asks until there is an answer that counts, or the time is over.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let deadline = begun + self.timeout + ask.patience();
        let mut pause = FIRST_PAUSE;
        let mut cut = false;
        loop {
            let request = self.request(ask)?;
            let attempt = attempt::attempt(&self.address, self.trust.as_ref(), request);
            let (why, after) = match timeout_at(deadline, attempt).await {
                Ok(Ok(answer)) if answer.is_unavailable() => {
                    cut = true;
                    (answer.told(), answer.retry_after())
                }
                Ok(Ok(answer)) => return answer.checked(&self.sign_in),
                Ok(Err(Missed::Unsent(why))) => (why, None),
                Ok(Err(Missed::Cut(why))) => {
                    cut = true;
                    (why, None)
                }
                Err(_) => {
                    let waited = (self.timeout + ask.patience()).as_secs_f32();
                    let why = format!("{} did not answer within {waited} s", self.address);
                    return Err(ask.missed(why, true));
                }
            };
            let next = Instant::now() + after.map_or(pause, |after| after.max(FIRST_PAUSE));
            let last = if cut { deadline } else { deadline.min(begun + ask.starting(STARTING)) };
            if !ask.repeats() || next >= last {
                return Err(ask.missed(why, cut));
            }
            sleep(next - Instant::now()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = ask.request(&self.address)?;
        let agent = concat!("heddle/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(bearer) = self.bearer.as_ref().filter(|_| !ask.is_anonymous()) {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        }
        Ok(request)
    }
}

/// The pause that an answer asks for, where it is given in seconds.
fn retry_after(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}
