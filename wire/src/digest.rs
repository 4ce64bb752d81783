//! What both sides compute alike: digests of objects and of all that is held, and what is signed.

use sha2::{Digest as _, Sha256};

use crate::{Key, Vector};

/// SHA-256 of these bytes, such as a certificate's for its fingerprint.
pub fn bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of an object's body with all by which a node closes what it cannot read: the schema,
/// whether it is a policy, and its targets. Words are told with their lengths, so no two objects
/// give the same bytes.
pub fn object(schema: u32, policy: bool, targets: &[Key], body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("heddle-object-v1\n{schema} {policy} {}\n", targets.len()));
    for target in targets {
        for word in [&target.kind, &target.namespace, &target.name] {
            hash.update(format!("{} {word}\n", word.len()));
        }
    }
    hash.update(body);
    hash.finalize().into()
}

/// SHA-256 of everything held; `held` in the order of keys, each with its generation and the
/// [`object`] digest.
pub fn held<'k>(held: impl IntoIterator<Item = (&'k Key, i64, &'k [u8; 32])>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (key, generation, digest) in held {
        for word in [&key.kind, &key.namespace, &key.name] {
            hash.update(word);
            hash.update(b"\n");
        }
        hash.update(generation.to_string());
        hash.update(b"\n");
        hash.update(hex(digest));
        hash.update(b"\n");
    }
    hash.finalize().into()
}

/// The bytes that control signs for one node: that it is to run `vector`, which is the objects of
/// `digest`, as of `issued_at` microseconds since 1970.
pub fn statement(node: &str, issued_at: i64, vector: &Vector, digest: &[u8; 32]) -> Vec<u8> {
    let mut text = format!("heddle-vector-v1\n{node}\n{issued_at}\n");
    for (scope, revision) in vector {
        text.push_str(&format!("{scope}={revision}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(digest);
    bytes
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
    // Without a format for each byte: every state digests every object's digest in this form.
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}
