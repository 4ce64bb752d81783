//! The name by which nodes ask for the server, wherever it is reached.
//!
//! ```text
//! 0a1b...32 digits.control.heddle.internal     I would know you by the root that begins so
//! control.heddle.internal                      I say nothing of roots
//! ```
//!
//! While one root follows another the server has a certificate under each; whoever knows one of them
//! alone says which. What must stand in the certificate is [`SERVER`] either way.

/// The name that every server's certificate has.
pub const SERVER: &str = "control.heddle.internal";

/// So many digits of a root's fingerprint: a label has 63 letters, and these tell roots apart.
const DIGITS: usize = 32;

/// The name by which to ask for a server under the root of this fingerprint, in hexadecimal.
pub fn server_under(fingerprint: &str) -> String {
    let digits = fingerprint.get(..DIGITS).unwrap_or(fingerprint);
    format!("{digits}.{SERVER}")
}

/// Whether somebody who asks for `name` would know a server under the root of this fingerprint.
pub fn asks_for(name: &str, fingerprint: &str) -> bool {
    name == server_under(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_one_root_or_none() {
        let (one, other) = ("ab".repeat(32), "cd".repeat(32));
        let name = server_under(&one);
        assert!(name.split('.').all(|label| label.len() < 64), "{name}");
        assert!(asks_for(&name, &one) && !asks_for(&name, &other));
        assert!(!asks_for(SERVER, &one) && !asks_for("", &one));
    }
}
