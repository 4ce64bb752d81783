//! Random secrets, and what is derived from them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How every API token begins, so that scanners for leaked secrets know one.
pub(crate) const TOKEN: &str = "hdl_";

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoChance;

/// 32 random bytes in base64url: 43 characters.
pub(crate) fn random() -> Result<String, NoChance> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(bytes)
}

/// What unsafe requests of the session with this cookie must carry. Whoever knows it does not know
/// the cookie.
pub(crate) fn csrf(cookie: &str) -> String {
    store::digest(format!("heddle csrf\0{cookie}").as_bytes())
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn are_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_have_the_length_that_they_promise() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        assert!(!csrf(&one).contains(&one));
        assert!(are_same(&one, &one.clone()) && !are_same(&one, &other));
    }
}
