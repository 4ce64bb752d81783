//! A join token: `ID.SECRET.FINGERPRINT`, as the control plane prints it once.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use model::secret::SecretBytes;

/// Lets a new node in, and says by which root it knows the server.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    id: String,
    secret: SecretBytes,
    root: Fingerprint,
}

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no join token; it never says which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: {0}; give it whole, as `heddle join-token create` printed it")]
pub struct NoToken(&'static str);

/// Why the token that was given cannot be read; the token itself is in none of it.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// The file cannot be read.
    #[error("reading the join token in {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("reading the join token from standard input")]
    Input(#[source] io::Error),
    /// It is none.
    #[error(transparent)]
    None(#[from] NoToken),
}

impl JoinToken {
    /// What a command line gives: the token itself, `@FILE`, or `-` for standard input.
    ///
    /// # Errors
    /// [`GivenError`].
    pub fn given(word: &str) -> Result<Self, GivenError> {
        let text = match word.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|source| GivenError::File { path: file.into(), source })?,
            None if word == "-" => {
                io::read_to_string(io::stdin().lock()).map_err(GivenError::Input)?
            }
            None => word.to_owned(),
        };
        Ok(text.parse()?)
    }

    /// Which token it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The root under which the server's certificate must lie.
    pub fn root(&self) -> Fingerprint {
        self.root
    }

    /// What is to be sent to the server and to nobody else.
    pub(crate) fn secret(&self) -> String {
        String::from_utf8_lossy(self.secret.expose()).into_owned()
    }
}

impl FromStr for JoinToken {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let mut parts = text.trim().split('.');
        let (Some(id), Some(secret), Some(root), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoToken("it has three parts with two dots between them"));
        };
        let is_hex = |byte: u8| byte.is_ascii_hexdigit();
        if id.len() != 32 || !id.bytes().all(is_hex) {
            return Err(NoToken("its first part is 32 hexadecimal digits"));
        }
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if secret.len() != 43 || !secret.bytes().all(is_base64) {
            return Err(NoToken("its second part is 43 letters of base64url"));
        }
        let root = Fingerprint::parse(root);
        let root = root.ok_or(NoToken("its third part is 64 hexadecimal digits"))?;
        Ok(JoinToken { id: id.to_owned(), secret: SecretBytes::new(secret), root })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Fingerprint {
    /// Of a certificate, DER.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }

    /// The digest itself.
    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Fingerprint(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wire::digest::hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f5c8a1b27c3d8e4f5a6b7c8d9e0f";
    const SECRET: &str = "marker_-abcdefghijklmnopqrstuvwxyz012345678";

    #[test]
    fn a_token_is_taken_apart_and_its_secret_is_never_shown() {
        let root = "ab".repeat(32);
        let token: JoinToken = format!(" {ID}.{SECRET}.{root}\n").parse().unwrap();
        assert_eq!((token.id(), token.secret().as_str()), (ID, SECRET));
        assert_eq!(token.root().to_string(), root);
        assert!(!format!("{token:?}").contains("marker"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_saying_it() {
        let root = "ab".repeat(32);
        for text in [
            String::new(),
            format!("{ID}.{SECRET}"),
            format!("{ID}.{SECRET}.{root}.x"),
            format!("{ID}x.{SECRET}.{root}"),
            format!("{ID}.{SECRET}=.{root}"),
            format!("{ID}.{SECRET}.{}", "xy".repeat(32)),
            format!("{ID}.{SECRET}.{}", "é".repeat(32)),
        ] {
            let error = text.parse::<JoinToken>().unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains("heddle join-token create"), "{said}");
            assert!(!said.contains("marker") && !said.contains(ID), "{said}");
        }
    }
}
