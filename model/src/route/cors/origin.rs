//! Origins, as `allowOrigins` writes them and as browsers say them.
//!
//! ```
//! use model::route::Origin;
//!
//! let below = Origin::parse("https://*.example.com").unwrap();
//! assert!(below.matches("https://a.shop.example.com:443"));
//! assert!(!below.matches("https://example.com"));
//! ```

/// Whose pages an entry of `allowOrigins` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Everybody's, also those without an origin of their own (`null`).
    All,
    /// Those of such origins.
    Of {
        /// In lower case, such as `https`.
        scheme: Box<str>,
        /// Which hosts.
        host: Host,
        /// None where it is the scheme's own.
        port: Option<u16>,
    },
}

/// The hosts of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Every host.
    Any,
    /// Those that end so, in lower case and with the dot at the front.
    Below(Box<str>),
    /// This one, in lower case.
    One(Box<str>),
}

/// Why a text is no entry of `allowOrigins`, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A star where none may stand.
    #[error(
        "in '{0}' the '*' may stand in the place of the first labels alone, as in \
         https://*.example.com"
    )]
    Star(String),
    /// Anything else.
    #[error(
        "'{0}' is no origin; write scheme://host or scheme://host:port and nothing behind it, such \
         as https://shop.example.com, or '*' for all"
    )]
    Form(String),
}

impl Origin {
    /// Parses `text` as it stands in `allowOrigins`.
    ///
    /// # Errors
    /// [`OriginError`], which says what would be right.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Origin::All);
        }
        let form = || OriginError::Form(text.to_owned());
        let (scheme, host, port) = parts(text).ok_or_else(form)?;
        let scheme = scheme.to_ascii_lowercase().into();
        let host = match host.strip_prefix("*.") {
            _ if host == "*" => Host::Any,
            Some(below) if is_name(below) => Host::Below(host[1..].to_ascii_lowercase().into()),
            None if is_name(host) => Host::One(host.to_ascii_lowercase().into()),
            _ if host.contains('*') => return Err(OriginError::Star(text.to_owned())),
            Some(_) | None => return Err(form()),
        };
        Ok(Origin::Of { scheme, host, port })
    }

    /// Whether the pages of `origin`, as a browser says it, are meant.
    pub fn matches(&self, origin: &str) -> bool {
        let Origin::Of { scheme, host, port } = self else { return true };
        parts(origin).is_some_and(|(its_scheme, its_host, its_port)| {
            its_scheme.eq_ignore_ascii_case(scheme) && its_port == *port && host.matches(its_host)
        })
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Host::Any => is_name(host) || is_address(host),
            Host::Below(end) => {
                let front = host.len().saturating_sub(end.len());
                let (labels, rest) = host.as_bytes().split_at(front);
                is_name(host) && !labels.is_empty() && rest.eq_ignore_ascii_case(end.as_bytes())
            }
            Host::One(name) => host.eq_ignore_ascii_case(name),
        }
    }
}

/// Scheme, host and port of an origin; no port where it is the scheme's own.
fn parts(origin: &str) -> Option<(&str, &str, Option<u16>)> {
    let (scheme, rest) = origin.split_once("://")?;
    // The colons of an address in brackets part no port.
    let end = rest.find(']').map_or(0, |end| end + 1);
    let (host, port) = match rest[end..].find(':') {
        Some(colon) => (&rest[..end + colon], Some(number(&rest[end + colon + 1..])?)),
        None => (rest, None),
    };
    let own = [("http", 80), ("https", 443)];
    let is_own =
        |port: &u16| own.iter().any(|(name, own)| own == port && name.eq_ignore_ascii_case(scheme));
    is_scheme(scheme).then(|| (scheme, host, port.filter(|port| !is_own(port))))
}

/// A port: digits alone, and not 0.
fn number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.bytes().all(is_part)
}

/// Labels parted by dots; `_` stands in some, though no DNS name has it.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(is_part))
}

fn is_address(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests;
