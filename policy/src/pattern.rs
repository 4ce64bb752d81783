//! Compiled comparisons of path, header and query parameter, for routes and access rules alike.
//!
//! Regular expressions run in linear time, mean the whole value, and are bounded in size.

use std::fmt;

use http::{HeaderMap, HeaderName};
use model::expression::{Expression, ExpressionError};
use model::path::{self, PathError};
use model::route::{
    GrpcMethodMatch, GrpcMethodMatchType, HeaderMatch, PathMatch, PathMatchType, QueryMatch,
    ValueMatchType,
};

/// Why a comparison cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The path has no normal form, so no request could match it.
    #[error("'{path}' matches no request: {fault}")]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong.
        fault: PathError,
    },
    /// No regular expression, or too large a one.
    #[error("'{pattern}' is no regular expression that can be used here: {fault}")]
    Regex {
        /// The expression as written.
        pattern: String,
        /// What is wrong.
        fault: ExpressionError,
    },
    /// No header name.
    #[error("'{0}' is no header name")]
    HeaderName(String),
}

/// A path to compare with.
#[derive(Debug, Clone)]
pub struct PathPattern(Path);

#[derive(Debug, Clone)]
enum Path {
    Exact(Box<str>),
    /// Without the slash at its end, but for the root.
    Prefix(Box<str>),
    Regex(Expression),
    Call(Box<Call>),
}

/// A gRPC call of which not both service and method are known letter by letter.
#[derive(Debug, Clone)]
struct Call {
    service: Option<Text>,
    method: Option<Text>,
}

impl PathPattern {
    /// Compiles `from`, its path brought to normal form.
    ///
    /// # Errors
    /// [`PatternError`] where the path has no normal form or the expression is none.
    pub fn compile(from: &PathMatch) -> Result<Self, PatternError> {
        let normal = |path: &str| match path::normalise(path) {
            Ok(path) => Ok(path.into_owned()),
            Err(fault) => Err(PatternError::Path { path: path.to_owned(), fault }),
        };
        Ok(PathPattern(match from.kind {
            PathMatchType::Exact => Path::Exact(normal(&from.value)?.into()),
            PathMatchType::PathPrefix => {
                let path = normal(&from.value)?;
                let path = path.strip_suffix('/').unwrap_or(&path);
                Path::Prefix(if path.is_empty() { "/".into() } else { path.into() })
            }
            PathMatchType::RegularExpression => Path::Regex(expression(&from.value)?),
        }))
    }

    /// Compiles which method of which service a gRPC call is for: `/SERVICE/METHOD`.
    ///
    /// # Errors
    /// [`PatternError`] where a name has no normal form or an expression is none.
    pub fn of_call(from: &GrpcMethodMatch) -> Result<Self, PatternError> {
        let (service, method) = (from.service.as_deref(), from.method.as_deref());
        let path = match (from.kind, service, method) {
            (GrpcMethodMatchType::Exact, Some(service), Some(method)) => {
                PathMatch { kind: PathMatchType::Exact, value: format!("/{service}/{method}") }
            }
            (GrpcMethodMatchType::Exact, Some(service), None) => {
                PathMatch { kind: PathMatchType::PathPrefix, value: format!("/{service}") }
            }
            (kind, service, method) => {
                let kind = match kind {
                    GrpcMethodMatchType::Exact => ValueMatchType::Exact,
                    GrpcMethodMatchType::RegularExpression => ValueMatchType::RegularExpression,
                };
                let text = |text: Option<&str>| text.map(|text| Text::compile(kind, text));
                let (service, method) = (text(service).transpose()?, text(method).transpose()?);
                return Ok(PathPattern(Path::Call(Box::new(Call { service, method }))));
            }
        };
        PathPattern::compile(&path)
    }

    /// Whether `path`, in normal form, is meant.
    pub fn matches(&self, path: &str) -> bool {
        match &self.0 {
            Path::Exact(wanted) => path == &**wanted,
            Path::Prefix(prefix) => has_prefix(path, prefix),
            Path::Regex(regex) => regex.is_match(path.as_bytes()),
            Path::Call(call) => call.is_for(path),
        }
    }

    /// Whether `path`, to which an index led by [`prefix`](Self::prefix) or [`exact`](Self::exact), is
    /// meant; by itself it says all but of calls.
    pub fn confirms(&self, path: &str) -> bool {
        match &self.0 {
            Path::Call(call) => call.is_for(path),
            Path::Exact(_) | Path::Prefix(_) | Path::Regex(_) => true,
        }
    }

    /// The method of any service's, letter by letter, if that is what is meant.
    pub fn method_alone(&self) -> Option<&[u8]> {
        match &self.0 {
            Path::Call(call) => match &**call {
                Call { service: None, method: Some(Text::Exact(method)) } => Some(method),
                _ => None,
            },
            Path::Exact(_) | Path::Prefix(_) | Path::Regex(_) => None,
        }
    }

    /// How many letters of expressions it has, if there are any.
    pub fn expression_len(&self) -> Option<usize> {
        match &self.0 {
            Path::Regex(regex) => Some(regex.as_str().chars().count()),
            Path::Call(call) => {
                let parts = [&call.service, &call.method].into_iter().flatten();
                let lens = parts.filter_map(|part| match part {
                    Text::Regex(regex) => Some(regex.as_str().chars().count()),
                    Text::Exact(_) => None,
                });
                lens.reduce(|all, one| all + one)
            }
            Path::Exact(_) | Path::Prefix(_) => None,
        }
    }

    /// The prefix, if it is one: no slash at its end, but for the root.
    pub fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Path::Prefix(prefix) => Some(prefix),
            Path::Exact(_) | Path::Regex(_) | Path::Call(_) => None,
        }
    }

    /// The whole path, if it is one.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Path::Exact(path) => Some(path),
            Path::Prefix(_) | Path::Regex(_) | Path::Call(_) => None,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Path::Exact(path) => write!(f, "exactly {path}"),
            Path::Prefix(prefix) => write!(f, "prefix {prefix}"),
            Path::Regex(regex) => write!(f, "pattern {}", regex.as_str()),
            Path::Call(call) => write!(f, "{call}"),
        }
    }
}

impl Call {
    fn is_for(&self, path: &str) -> bool {
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/'))
        else {
            return false;
        };
        let fits = |wanted: &Option<Text>, name: &str| {
            !name.is_empty() && wanted.as_ref().is_none_or(|wanted| wanted.matches(name.as_bytes()))
        };
        !method.contains('/') && fits(&self.service, service) && fits(&self.method, method)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, part) in [("service", &self.service), (", method", &self.method)] {
            match part {
                None => write!(f, "{what} any")?,
                Some(Text::Exact(name)) => write!(f, "{what} {}", String::from_utf8_lossy(name))?,
                Some(Text::Regex(regex)) => write!(f, "{what} pattern {}", regex.as_str())?,
            }
        }
        Ok(())
    }
}

/// Whole elements only: `/a` means `/a`, `/a/` and `/a/b`, not `/ab`.
fn has_prefix(path: &str, prefix: &str) -> bool {
    prefix == "/"
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.as_bytes()[0] == b'/')
}

/// A value to compare with.
#[derive(Debug, Clone)]
enum Text {
    Exact(Box<[u8]>),
    Regex(Expression),
}

impl Text {
    fn compile(kind: ValueMatchType, value: &str) -> Result<Self, PatternError> {
        Ok(match kind {
            ValueMatchType::Exact => Text::Exact(value.as_bytes().into()),
            ValueMatchType::RegularExpression => Text::Regex(expression(value)?),
        })
    }

    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Text::Exact(wanted) => value == &**wanted,
            Text::Regex(regex) => regex.is_match(value),
        }
    }
}

/// A header to compare with. Several lines of it count as one, joined by `,` (RFC 9110, 5.3).
#[derive(Debug, Clone)]
pub struct HeaderPattern {
    name: HeaderName,
    value: Text,
}

impl HeaderPattern {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`PatternError`] where name or expression is none.
    pub fn compile(from: &HeaderMatch) -> Result<Self, PatternError> {
        let name = HeaderName::from_bytes(from.name.as_bytes())
            .map_err(|_| PatternError::HeaderName(from.name.clone()))?;
        Ok(HeaderPattern { name, value: Text::compile(from.kind, &from.value)? })
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Whether the header is there and has the value. Allocates only for an expression over
    /// several lines.
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(&self.name).iter().map(|line| line.as_bytes());
        let Some(first) = lines.next() else { return false };
        match (&self.value, lines.next()) {
            (Text::Exact(wanted), None) => first == &**wanted,
            (Text::Regex(regex), None) => regex.is_match(first),
            (Text::Exact(wanted), Some(_)) => {
                equals_joined(wanted, headers.get_all(&self.name).iter().map(|l| l.as_bytes()))
            }
            (Text::Regex(regex), Some(_)) => regex.is_match(&joined(headers, &self.name)),
        }
    }
}

/// Names the header alone: its value may be meant to be known to few.
impl fmt::Display for HeaderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Text::Exact(_) => write!(f, "the value asked for in '{}'", self.name),
            Text::Regex(_) => write!(f, "a value of the pattern asked for in '{}'", self.name),
        }
    }
}

/// Whether `wanted` is `lines` with a comma between each two.
fn equals_joined<'a>(wanted: &[u8], lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut rest = Some(wanted);
    for (index, line) in lines.enumerate() {
        if index > 0 {
            rest = rest.and_then(|rest| rest.strip_prefix(b","));
        }
        rest = rest.and_then(|rest| rest.strip_prefix(line));
    }
    rest.is_some_and(<[u8]>::is_empty)
}

/// All lines of a header as one value.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    lines.join(&b',')
}

/// A query parameter to compare with; of several with its name, the first counts.
#[derive(Debug, Clone)]
pub struct QueryPattern {
    name: Box<[u8]>,
    value: Text,
}

impl QueryPattern {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`PatternError`] where the expression is none.
    pub fn compile(from: &QueryMatch) -> Result<Self, PatternError> {
        let value = Text::compile(from.kind, &from.value)?;
        Ok(QueryPattern { name: from.name.as_bytes().into(), value })
    }

    /// Whether the parameter is there and has the value. Allocates only for an expression.
    pub fn matches(&self, query: Option<&str>) -> bool {
        let pairs = query.unwrap_or_default().split('&');
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            decode(name).eq(self.name.iter().copied()).then_some(value)
        });
        let (Some(value), false) = (values.next(), query.is_none()) else { return false };
        match &self.value {
            Text::Exact(wanted) => decode(value).eq(wanted.iter().copied()),
            Text::Regex(regex) => regex.is_match(&decode(value).collect::<Vec<u8>>()),
        }
    }
}

/// The bytes that a part of a query means: escapes decoded, `+` a space; a `%` that begins no
/// escape stands for itself.
pub(crate) fn decode(text: &str) -> impl Iterator<Item = u8> + '_ {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        Some(match (byte, digit(at), digit(at + 1)) {
            (b'+', _, _) => b' ',
            (b'%', Some(high), Some(low)) => {
                at += 2;
                u8::try_from(high * 16 + low).unwrap_or(byte)
            }
            _ => byte,
        })
    })
}

fn expression(pattern: &str) -> Result<Expression, PatternError> {
    let refuse = |fault| PatternError::Regex { pattern: pattern.to_owned(), fault };
    Expression::compile(pattern).map_err(refuse)
}

#[cfg(test)]
mod tests;
