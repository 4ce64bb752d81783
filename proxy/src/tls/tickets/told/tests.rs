//! Whose tickets and tokens open where.

use model::secret::SecretBytes;
use model::{Kind, Name};

use super::*;
use crate::session::tests::at;

fn key(name: &str) -> Key {
    Key::new(Kind::Gateway, Name::parse("shop").unwrap(), Name::parse(name).unwrap())
}

fn secrets(name: &str, bytes: &[u8]) -> GatewaySessions {
    let secrets = bytes.iter().map(|byte| SecretBytes::new([*byte; wire::SECRET])).collect();
    GatewaySessions { gateway: (&key(name)).into(), secrets }
}

/// A process that was told this.
fn process(told: &[GatewaySessions]) -> (Arc<Keyring>, Arc<Told>) {
    let shared = Arc::<Told>::default();
    shared.take(told).unwrap();
    (Arc::new(Keyring::following(Arc::clone(&shared)).unwrap()), shared)
}

fn tickets(keyring: &Arc<Keyring>, name: &str) -> Arc<dyn ProducesTickets> {
    keyring.at(&key(name), &key(name))
}

#[test]
fn replicas_of_a_gateway_open_what_another_sealed_and_other_gateways_do_not() {
    let (one, _) = process(&[secrets("edge", &[1, 2]), secrets("other", &[3])]);
    let (replica, _) = process(&[secrets("edge", &[2, 1])]);
    let (elsewhere, _) = process(&[secrets("other", &[3])]);
    let ticket = tickets(&one, "edge").encrypt(b"session").unwrap();
    let opens = |keyring, name| tickets(keyring, name).decrypt(&ticket).is_some();
    assert!(opens(&one, "edge") && opens(&replica, "edge"));
    assert!(!opens(&one, "other"), "also not at another Gateway of the same process");
    assert!(!opens(&elsewhere, "other") && !opens(&elsewhere, "edge"));
    let of = "HTTPRoute/shop/cart/0";
    let reads = |keyring: &Keyring, name: &str, token: &str| {
        keyring.sessions_at(&key(name)).open(token.as_bytes(), of).is_some()
    };
    let made = one.sessions_at(&key("edge")).seal(&at(1, 2), of).unwrap();
    assert!(reads(&one, "edge", &made) && reads(&replica, "edge", &made));
    assert!(!reads(&one, "other", &made) && !reads(&elsewhere, "edge", &made));
    assert!(one.is_token(made.as_bytes()) && !elsewhere.is_token(made.as_bytes()));
}

#[test]
fn what_was_sealed_before_another_secret_opens_until_that_is_gone() {
    let (keyring, told) = process(&[secrets("edge", &[1, 2])]);
    let edge = tickets(&keyring, "edge");
    let ticket = edge.encrypt(b"session").unwrap();
    told.take(&[secrets("edge", &[2, 1, 3])]).unwrap();
    assert!(edge.decrypt(&ticket).is_some());
    let next = edge.encrypt(b"session").unwrap();
    assert_ne!(ticket[..16], next[..16], "another one seals");
    told.take(&[secrets("edge", &[3, 2])]).unwrap();
    assert!(edge.decrypt(&ticket).is_none() && edge.decrypt(&next).is_some());
}

#[test]
fn a_process_that_was_told_nothing_seals_by_its_own() {
    let (keyring, told) = process(&[]);
    let edge = tickets(&keyring, "edge");
    let ticket = edge.encrypt(b"session").unwrap();
    assert!(edge.decrypt(&ticket).is_some());
    told.take(&[secrets("edge", &[1])]).unwrap();
    assert!(edge.decrypt(&ticket).is_none());
    assert!(!format!("{told:?} {edge:?}").contains("key:"));
}

#[test]
fn what_a_file_says_wins() {
    use base64::Engine as _;
    let (keyring, _) = process(&[secrets("edge", &[1])]);
    keyring.share(&base64::engine::general_purpose::STANDARD.encode([9; 48])).unwrap();
    let ticket = tickets(&keyring, "edge").encrypt(b"session").unwrap();
    let other = keyring.at(&key("other"), &key("edge"));
    assert!(other.decrypt(&ticket).is_some(), "one for all Gateways");
}

#[test]
fn nobody_resumes_what_began_at_a_listener_of_somebody_else() {
    let set =
        Key::new(Kind::ListenerSet, Name::parse("shop").unwrap(), Name::parse("edge").unwrap());
    let told = process(&[secrets("edge", &[1])]).0;
    let own = Arc::new(Keyring::new().unwrap());
    for keyring in [told, own] {
        let ticket = keyring.at(&key("edge"), &key("edge")).encrypt(b"session").unwrap();
        assert!(keyring.at(&key("edge"), &key("edge")).decrypt(&ticket).is_some());
        assert!(keyring.at(&key("edge"), &set).decrypt(&ticket).is_none());
    }
}

#[test]
fn what_was_told_long_ago_seals_no_more() {
    let told = Arc::<Told>::default();
    let keyring = Arc::new(Keyring::following(Arc::clone(&told)).unwrap());
    let then = Instant::now().checked_sub(LASTS).unwrap();
    let edge = tickets(&keyring, "edge");
    told.take_at(&[secrets("edge", &[1])], Instant::now()).unwrap();
    let ticket = edge.encrypt(b"session").unwrap();
    told.take_at(&[secrets("edge", &[1])], then).unwrap();
    assert!(edge.decrypt(&ticket).is_none(), "it seals by its own again");
    let own = edge.encrypt(b"session").unwrap();
    told.take_at(&[secrets("edge", &[1])], Instant::now()).unwrap();
    assert!(edge.decrypt(&ticket).is_some() && edge.decrypt(&own).is_none());
}
