//! The key file outlives whoever writes it at once, and gives nothing to whoever changed a byte.

use super::{Keyring, SealError};

#[test]
fn keys_that_are_added_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys").join("seal.json");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Keyring::open(&path).unwrap().add().unwrap());
        }
    });
    assert_eq!(Keyring::open(&path).unwrap().ids().len(), 8);
}

#[test]
fn a_changed_byte_a_cut_or_another_row_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keyring::open(&folder.path().join("seal.json")).unwrap();
    assert!(matches!(keys.seal("row", b"x"), Err(SealError::Unknown(_))), "there is no key yet");
    keys.add().unwrap();
    let sealed = keys.seal("row", b"value").unwrap();
    assert_eq!(keys.open_sealed("row", &sealed).unwrap(), b"value");
    let again = keys.seal("row", b"value").unwrap();
    assert_ne!(sealed.bytes, again.bytes, "equal values do not look equal");
    for at in 0..sealed.bytes.len() {
        let mut changed = sealed.clone();
        changed.bytes[at] ^= 1;
        assert!(matches!(keys.open_sealed("row", &changed), Err(SealError::Altered(_))), "{at}");
        changed.bytes.truncate(at);
        assert!(matches!(keys.open_sealed("row", &changed), Err(SealError::Altered(_))), "{at}");
    }
    assert!(matches!(keys.open_sealed("other", &sealed), Err(SealError::Altered(_))));
}
