//! What a server answered, and whether it is one that Heddle's server gives.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, response};
use serde_json::Value;

use crate::failure::Failure;
use crate::problem::Problem;
use crate::show::printable;

/// Most letters of a stranger's answer that a message quotes.
const QUOTED: usize = 80;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn new(head: response::Parts, body: Bytes) -> Self {
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the server, or what stands before it, cannot answer just now.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    }

    /// When to try again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        super::retry_after(&self.headers).map(Duration::from_secs)
    }

    /// The answer itself if it is good.
    ///
    /// # Errors
    /// The problem that it tells of, with `sign_in` as the remedy of 401; or that no Heddle server
    /// answers like this.
    pub(super) fn checked(self, sign_in: &str) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let Some(mut problem) = self.problem() else { return Err(Failure::Failed(self.told())) };
        if self.status == StatusCode::UNAUTHORIZED {
            problem.remedy = Some(sign_in.to_owned());
        }
        Err(problem.into())
    }

    /// Its JSON; null where it has no body.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| Failure::Failed(self.told()))
    }

    fn problem(&self) -> Option<Problem> {
        let sort = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        if !sort.starts_with("application/problem+json") {
            return None;
        }
        let mut problem = Problem::read(&self.body)?;
        problem.status = self.status.as_u16();
        problem.retry_after = super::retry_after(&self.headers);
        Some(problem)
    }

    /// It in words, for a server that does not answer as it should.
    pub(super) fn told(&self) -> String {
        if let Some(problem) = self.problem() {
            let words = if problem.detail.is_empty() { problem.title } else { problem.detail };
            return format!("the server answered {}: {}", self.status, words);
        }
        let text = String::from_utf8_lossy(&self.body);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        let quoted: Option<String> = first.map(|line| line.chars().take(QUOTED).collect());
        let ask = "is this a Heddle server?";
        match quoted {
            Some(line) => {
                let line = printable(&line);
                format!("the answer {} is not of Heddle's API ({line}); {ask}", self.status)
            }
            None => format!("the answer {} is empty; {ask}", self.status),
        }
    }
}
