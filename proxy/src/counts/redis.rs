//! Where the Redis is by which proxies count together.

use std::fmt;
use std::path::{Path, PathBuf};

use redis::{Client, ErrorKind, TlsCertificates};

use crate::process::words::Hidden;

/// A Redis, or what speaks its protocol, such as Valkey: one server, or what stands for one. Not a Redis Cluster.
#[derive(Clone)]
pub struct Redis(Client);

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
        "what names a Redis is none of its addresses ({0}): it is redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], with TLS rediss://, or unix:///PATH"
    )]
    Address(&'static str),
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
    #[error("certificates are told by which a Redis is known, and its address is not rediss://")]
    NoTls,
}

impl Redis {
    /// By the address that is `given`, or that stands in the file behind an `@`. One that is spoken to by TLS is
    /// known by `authorities`, certificates in PEM, or by the roots that browsers trust.
    ///
    /// # Errors
    /// [`RedisError`], which shows nothing of the address: a password may be in it.
    pub fn given(given: &Hidden, authorities: Option<&Path>) -> Result<Self, RedisError> {
        let text = match given.0.strip_prefix('@') {
            None => given.0.clone(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| RedisError::File { path: path.into(), source })?,
        };
        let text = text.trim();
        let Some(path) = authorities else {
            return Client::open(text).map(Redis).map_err(|error| odd(&error));
        };
        if !text.starts_with("rediss://") {
            return Err(RedisError::NoTls);
        }
        let root = std::fs::read(path)
            .map_err(|source| RedisError::Authorities { path: path.into(), source })?;
        let none = || RedisError::NoAuthorities { path: path.into() };
        let known = rustls::pki_types::pem::PemObject::pem_slice_iter(&root);
        let known: Vec<rustls::pki_types::CertificateDer<'_>> =
            known.collect::<Result<_, _>>().map_err(|_| none())?;
        if known.is_empty() {
            return Err(none());
        }
        let tls = TlsCertificates { client_tls: None, root_cert: Some(root) };
        Client::build_with_tls(text, tls).map(Redis).map_err(|error| odd(&error))
    }

    pub(super) fn client(&self) -> &Client {
        &self.0
    }
}

/// What is wrong with an address, in no words that stand in it.
fn odd(error: &redis::RedisError) -> RedisError {
    RedisError::Address(match error.kind() {
        ErrorKind::InvalidClientConfig => "it does not parse",
        _ => "it is of no use",
    })
}

/// Host and port, without what proves who asks.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get_connection_info().addr().fmt(f)
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
        ] {
            assert_eq!(said(given, None), shown);
        }
        for odd in [
            "marker",
            "http://marker",
            "redis://:marker@",
            "redis://h:marker/",
            "redis://h/marker",
            "",
        ] {
            let said = said(odd, None);
            assert!(said.starts_with("what names a Redis is none"), "{odd}: {said}");
            assert!(!said.contains("marker"), "{said}");
        }
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
}
