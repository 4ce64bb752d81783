//! The one normal form of a host as it stands in `Host` or `:authority`.
//!
//! ```
//! assert_eq!(policy::host::normalise("Shop.Example.com.:8080").unwrap(), "shop.example.com");
//! assert_eq!(policy::host::normalise("[::1]:80").unwrap(), "[::1]");
//! ```

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Why a host has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// More than 253 characters.
    #[error("the host is longer than 253 characters")]
    Long,
    /// A character that no host name has; a user name before `@` among them.
    #[error("the host has a character that no host name has")]
    Character,
    /// A label between dots is empty.
    #[error("the host has an empty label")]
    Label,
    /// What stands after the colon is no port.
    #[error("what stands after the host's colon is no port")]
    Port,
    /// What stands in brackets is no IPv6 address.
    #[error("what stands in brackets is no IPv6 address")]
    Address,
}

/// The normal form of `raw`: lower case, without port and without one trailing dot.
///
/// # Errors
/// [`HostError`] where there is none.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, HostError> {
    if raw.starts_with('[') {
        return literal(raw);
    }
    let (name, port) = match raw.bytes().position(|byte| byte == b':') {
        Some(colon) => (&raw[..colon], &raw[colon + 1..]),
        None => (raw, ""),
    };
    check_port(port)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    match check_name(name)? {
        Letters::Lower => Ok(Cow::Borrowed(name)),
        Letters::Upper => Ok(Cow::Owned(name.to_ascii_lowercase())),
    }
}

/// Whether a name has letters in upper case.
enum Letters {
    Lower,
    Upper,
}

fn check_name(name: &str) -> Result<Letters, HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > 253 {
        return Err(HostError::Long);
    }
    let (mut before, mut letters) = (b'.', Letters::Lower);
    for byte in name.bytes() {
        match byte {
            b'.' if before == b'.' => return Err(HostError::Label),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {}
            b'A'..=b'Z' => letters = Letters::Upper,
            _ => return Err(HostError::Character),
        }
        before = byte;
    }
    if before == b'.' { Err(HostError::Label) } else { Ok(letters) }
}

/// Digits of a port; nothing after the colon is allowed (RFC 3986, section 3.2.3).
fn check_port(port: &str) -> Result<(), HostError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_empty() || (digits && port.parse::<u16>().is_ok()) {
        Ok(())
    } else {
        Err(HostError::Port)
    }
}

/// `[address]` or `[address]:port`, the address in its one spelling (RFC 5952).
fn literal(raw: &str) -> Result<Cow<'_, str>, HostError> {
    let end = raw.find(']').ok_or(HostError::Address)?;
    let (host, rest) = raw.split_at(end + 1);
    match rest.strip_prefix(':') {
        Some(port) => check_port(port)?,
        None if rest.is_empty() => {}
        None => return Err(HostError::Port),
    }
    let address: Ipv6Addr = host[1..end].parse().map_err(|_| HostError::Address)?;
    let spelled = format!("[{address}]");
    Ok(if spelled == host { Cow::Borrowed(host) } else { Cow::Owned(spelled) })
}

#[cfg(test)]
mod tests;
