//! What is sealed opens in its place, with its key, and nowhere else.

use model::secret::SecretBytes;
use store::authority::{Authority, Kind, State};
use store::seal::{RotateError, SealError};
use store::session_secret::{SessionSecret, Step};
use store::{OpenError, Put, Store};

use super::{key, put, puts};
use crate::Bed;

const MARKER: &[u8] = b"marker-3b1f-of-a-secret";

async fn two_secrets(store: &Store) {
    let secret =
        |name: &str, value: &[u8]| Put { secret: Some(SecretBytes::new(value)), ..put(name, "1") };
    store.commit(&puts([secret("a", MARKER), secret("b", b"other")])).await.unwrap();
    let authority = Authority {
        id: "root".to_owned(),
        cluster: String::new(),
        kind: Kind::Root,
        certificate: "PEM".to_owned(),
        created: 1,
        expires: 2,
        state: State::Active,
        since: 1,
    };
    store.authority_settle(&authority, MARKER, 0).await.unwrap();
    let secret = SessionSecret { id: "today".to_owned(), begins: 1 };
    let new = [(secret, SecretBytes::new(MARKER))];
    let step = Step { seen: &[], gone: &[], new: &new };
    assert!(store.session_secret_step(&step, None).await.unwrap());
}

#[tokio::test]
async fn a_secret_opens_and_is_nowhere_in_the_clear() {
    let bed = Bed::fresh().await;
    two_secrets(&bed.store).await;
    let opened = bed.store.secret(&key("a"), 1).await.unwrap();
    assert_eq!(opened.as_deref(), Some(MARKER));
    assert_eq!(bed.store.secret(&key("a"), 2).await.unwrap(), None);
    // A backup holds every table of either database in one file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    bed.store.backup(&file).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.windows(4).any(|window| window == b"shop"), "the file holds the rows");
    assert!(!bytes.windows(MARKER.len()).any(|window| window == MARKER));
}

#[tokio::test]
async fn a_sealed_value_does_not_open_in_another_row() {
    let bed = Bed::fresh().await;
    two_secrets(&bed.store).await;
    bed.tamper(
        "UPDATE sealed SET sealed = (SELECT sealed FROM sealed WHERE name = 'b') \
         WHERE name = 'a'",
    )
    .await;
    let moved = bed.store.secret(&key("a"), 1).await;
    assert!(matches!(moved, Err(RotateError::Seal(SealError::Altered(_)))), "{moved:?}");
    assert_eq!(bed.store.secret(&key("b"), 1).await.unwrap().as_deref(), Some(&b"other"[..]));
}

#[tokio::test]
async fn rotation_seals_everything_anew() {
    let bed = Bed::fresh().await;
    two_secrets(&bed.store).await;
    let other = Store::open(&bed.location()).await.unwrap();
    let before = bed.store.keys().ids();
    assert_eq!(bed.store.seal_rotate().await.unwrap(), 4);
    let after = bed.store.keys().ids();
    assert_eq!((before.len(), after.len()), (1, 2));
    for store in [&bed.store, &other, &Store::open(&bed.location()).await.unwrap()] {
        assert_eq!(store.secret(&key("a"), 1).await.unwrap().as_deref(), Some(MARKER));
        assert_eq!(store.authority_key("root").await.unwrap().as_deref(), Some(MARKER));
        let today = store.session_secret("today").await.unwrap();
        assert_eq!(today.as_ref().map(SecretBytes::expose), Some(MARKER));
    }
    // The old key is needed no more: a file with the newest alone opens all.
    let file = keys_file(&bed);
    let text = std::fs::read_to_string(&file).unwrap();
    let mut keys: serde_json::Value = serde_json::from_str(&text).unwrap();
    keys["keys"].as_array_mut().unwrap().remove(0);
    std::fs::write(&file, keys.to_string()).unwrap();
    let store = Store::open(&bed.location()).await.unwrap();
    assert_eq!(store.secret(&key("b"), 1).await.unwrap().as_deref(), Some(&b"other"[..]));
}

#[tokio::test]
async fn a_store_whose_keys_are_gone_is_not_opened() {
    let bed = Bed::fresh().await;
    two_secrets(&bed.store).await;
    let file = keys_file(&bed);
    std::fs::remove_file(&file).unwrap();
    let opened = Store::open(&bed.location()).await.map(drop);
    assert!(matches!(opened, Err(OpenError::Seal(SealError::Unknown(_)))), "{opened:?}");
    assert!(!file.exists(), "no new key hides that the old one is lost");
    std::fs::write(&file, "{}").unwrap();
    let opened = Store::open(&bed.location()).await.map(drop);
    assert!(matches!(opened, Err(OpenError::Seal(SealError::Damaged(_)))), "{opened:?}");
}

fn keys_file(bed: &Bed) -> std::path::PathBuf {
    match bed.location() {
        store::Location::Folder(folder) | store::Location::Postgres { folder, .. } => {
            folder.join("keys/seal.json")
        }
    }
}
