//! Where the Redis is by which proxies count together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::process::words::Hidden;

/// A Redis, or what speaks its protocol, such as Valkey: one server, or what stands for one. Not a Redis Cluster.
#[derive(Clone)]
pub struct Redis {
    given: Hidden,
    authorities: Option<PathBuf>,
    /// Where it is, without what proves who asks.
    shown: String,
    /// How long a request waits for it.
    pub(super) deadline: Duration,
}

/// Why it cannot be told where a Redis is.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The file with its address cannot be read.
    #[error("cannot read {}, which is to hold the address of a Redis", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no address of one.
    #[error(
        "--redis, or HEDDLE_REDIS, names no Redis: it is redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], with TLS \
         rediss://, or unix:///PATH[?db=NUMBER&user=USER&pass=PASSWORD]; what is special in a password is percent-encoded"
    )]
    Address,
    /// It says that whoever answers is believed.
    #[error(
        "what names a Redis says '#insecure': who answers is to be known, by the roots that browsers trust or by \
         --redis-ca"
    )]
    Insecure,
    /// The certificates that it is to be known by cannot be read.
    #[error("cannot read {}, which is to hold the certificates of who vouches for a Redis", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// They are none.
    #[error("{} holds no certificates in PEM by which a Redis could be known", path.display())]
    NoAuthorities {
        /// Which file.
        path: PathBuf,
    },
    /// Certificates are told, and nothing that would show one.
    #[error("--redis-ca says by whom a Redis is vouched for, and none is told that is rediss://")]
    NoTls,
}

impl Redis {
    /// How long a request waits for what is counted together where nothing else is said: 100 ms.
    pub const DEADLINE: Duration = Duration::from_millis(100);

    /// By the address that is `given`, or that stands in the file behind an `@`. One that is spoken to by TLS is
    /// known by `authorities`, certificates in PEM, or by the roots that browsers trust. Files are read anew for each
    /// connection, so that a password or an authority may change.
    ///
    /// # Errors
    /// [`RedisError`], which shows nothing of the address: a password may be in it.
    pub fn given(given: &Hidden, authorities: Option<&Path>) -> Result<Self, RedisError> {
        let mut redis = Redis {
            given: given.clone(),
            authorities: authorities.map(Path::to_owned),
            shown: String::new(),
            deadline: Redis::DEADLINE,
        };
        redis.shown = redis.client()?.get_connection_info().addr().to_string();
        Ok(redis)
    }

    /// The same where a request waits for so long.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Redis { deadline, ..self }
    }

    /// By what is told now.
    pub(super) fn client(&self) -> Result<Client, RedisError> {
        let text = match self.given.0.strip_prefix('@') {
            None => self.given.0.clone(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| RedisError::File { path: path.into(), source })?,
        };
        let text = text.trim();
        // What is wrong with it would be told in its own words.
        let info = text.into_connection_info().map_err(|_| RedisError::Address)?;
        let settings = info.redis_settings();
        let is_socket = matches!(info.addr(), ConnectionAddr::Unix(_));
        // What would be passed over in silence: words behind a '?', which are of sockets alone, and a user without a
        // password.
        let is_odd = text.contains('?') && !is_socket
            || settings.username().is_some() && settings.password().is_none();
        if is_odd || settings.db() < 0 {
            return Err(RedisError::Address);
        }
        let is_tls = match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(RedisError::Insecure),
            ConnectionAddr::TcpTls { .. } => true,
            _ => false,
        };
        // Many questions go over one connection: none waits until another is answered.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = match &self.authorities {
            None => Client::open(info),
            Some(_) if !is_tls => return Err(RedisError::NoTls),
            Some(path) => {
                let tls = TlsCertificates { client_tls: None, root_cert: Some(roots(path)?) };
                Client::build_with_tls(info, tls)
            }
        };
        client.map_err(|_| RedisError::Address)
    }
}

/// Certificates, as they stand in a file.
fn roots(path: &Path) -> Result<Vec<u8>, RedisError> {
    let read = std::fs::read(path);
    let root = read.map_err(|source| RedisError::Authorities { path: path.into(), source })?;
    let known: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&root).collect();
    match known.is_ok_and(|known| !known.is_empty()) {
        true => Ok(root),
        false => Err(RedisError::NoAuthorities { path: path.into() }),
    }
}

/// Host and port, without what proves who asks.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, authorities: Option<&Path>) -> String {
        match Redis::given(&Hidden(text.to_owned()), authorities) {
            Ok(redis) => format!("{redis:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "rediss://heddle:marker@redis.example:6380/1\n").unwrap();
        for (given, shown) in [
            ("redis://127.0.0.1", "Redis(127.0.0.1:6379)"),
            ("redis://heddle:marker@redis.example/3", "Redis(redis.example:6379)"),
            (&format!("@{}", file.path().display()), "Redis(redis.example:6380)"),
            ("unix:///run/redis.sock", "Redis(/run/redis.sock)"),
            ("unix:///run/redis.sock?db=1&pass=marker", "Redis(/run/redis.sock)"),
            ("redis://[::1]:7/1", "Redis(::1:7)"),
            ("redis://us%40er:p%2Fw@h", "Redis(h:6379)"),
        ] {
            assert_eq!(said(given, None), shown);
        }
        for odd in [
            "marker",
            "http://marker",
            "redis://:marker@",
            "redis://h:marker/",
            "redis://h/marker",
            "redis://h/-1",
            "redis://h?db=2",
            "redis://marker@h",
            "redis://marker:@h",
            "",
        ] {
            let said = said(odd, None);
            assert!(said.starts_with("--redis, or HEDDLE_REDIS, names no Redis"), "{odd}: {said}");
            assert!(!said.contains("marker"), "{said}");
        }
        assert!(said("rediss://marker/#insecure", None).contains("--redis-ca"));
        assert!(said("@/nowhere/at/all", None).contains("/nowhere/at/all"));
    }

    #[test]
    fn authorities_are_certificates_of_a_redis_that_shows_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = |text| said(text, Some(file.path()));
        assert!(said("redis://h").contains("rediss://"));
        assert!(said("rediss://h").contains("holds no certificates"));
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        std::fs::write(file.path(), root.pem()).unwrap();
        assert_eq!(said("rediss://h"), "Redis(h:6379)");
    }

    #[test]
    fn a_file_may_change_and_is_read_anew() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "redis://one").unwrap();
        let redis = Redis::given(&Hidden(format!("@{}", file.path().display())), None).unwrap();
        std::fs::write(file.path(), "redis://other:1").unwrap();
        let client = redis.client().unwrap();
        assert_eq!(client.get_connection_info().addr().to_string(), "other:1");
        assert!(client.get_connection_info().tcp_settings().nodelay());
        std::fs::write(file.path(), "nothing").unwrap();
        assert!(redis.client().is_err());
    }
}
