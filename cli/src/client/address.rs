//! Where the server is: `http://HOST[:PORT]` or `https://HOST[:PORT]`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

/// A server's address. Shown without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    is_secure: bool,
    /// Lower case; an IPv6 address without its brackets.
    host: String,
    port: u16,
    has_default_port: bool,
}

impl Address {
    /// Reads `http://HOST[:PORT]`, also with `https`.
    ///
    /// # Errors
    /// Says how it is written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const RIGHT: &str = "write it as http://HOST:PORT or https://HOST:PORT";
        let uri: http::Uri = text.parse().map_err(|_| RIGHT.to_owned())?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(RIGHT.to_owned()),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| RIGHT.to_owned())?;
        if authority.as_str().contains('@') {
            // A password here would be seen by everybody on this machine.
            return Err(format!("{RIGHT}, without a user"));
        }
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(format!("{RIGHT}, without a path"));
        }
        let default = if is_secure { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default,
            _ => authority.port_u16().ok_or_else(|| RIGHT.to_owned())?,
        };
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        Ok(Address { is_secure, host, port, has_default_port: port == default })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether what is said to it leaves this machine in the clear.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.is_secure && !self.is_loopback()
    }

    fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.is_localhost(),
        }
    }

    /// These names mean this machine, whatever a resolver says (RFC 6761).
    fn is_localhost(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        host == "localhost" || host.ends_with(".localhost")
    }

    /// The host as TLS wants it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The value of the header `Host`.
    pub(super) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.has_default_port { host } else { format!("{host}:{}", self.port) }
    }

    /// Connects to the first of its addresses that takes a connection.
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = if self.is_localhost() {
            let ips = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            ips.map(|ip| SocketAddr::new(ip, self.port)).to_vec()
        } else {
            lookup_host((self.host.as_str(), self.port)).await?.collect()
        };
        let mut why = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut first = true;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                // The first says most: it is the one that was meant.
                Err(error) if first => (why, first) = (error, false),
                Err(_) => {}
            }
        }
        Err(why)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_in_one_form() {
        for (text, shown, exposed) in [
            ("http://127.0.0.1:7080", "http://127.0.0.1:7080", false),
            ("http://127.0.0.1:7080/", "http://127.0.0.1:7080", false),
            ("https://Heddle.Test", "https://heddle.test", false),
            ("https://heddle.test:443", "https://heddle.test", false),
            ("http://heddle.test", "http://heddle.test", true),
            ("http://console.localhost:7080", "http://console.localhost:7080", false),
            ("http://[::1]:7080", "http://[::1]:7080", false),
            ("http://notlocalhost:1", "http://notlocalhost:1", true),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_exposed()), (shown, exposed));
        }
        for wrong in [
            "",
            "127.0.0.1:7080",
            "ftp://x",
            "http://",
            "http://x:port",
            "http://x:99999",
            "http://alice:secret@x",
            "http://x/api",
            "http://x/?y",
        ] {
            let told = Address::parse(wrong).unwrap_err();
            assert!(told.starts_with("write it as"), "{wrong}: {told}");
            assert!(!told.contains("secret"));
        }
    }
}
