//! Who opens which token.

use super::*;

const OF: &str = "HTTPRoute/shop/app/0";

fn place() -> Place {
    let address = "10.1.2.3:8080".parse().unwrap();
    Place { service: Mark::of("shop/app:80"), backend: 1, address, began: 1_000, seen: 2_000 }
}

/// Sharing the secrets that are so many times a byte.
fn sharing(bytes: &[u8]) -> Seals {
    let seals = Seals::new().unwrap();
    let secrets: Vec<_> = bytes.iter().map(|byte| vec![*byte; 32]).collect();
    seals.share(Seals::of(&secrets).unwrap());
    seals
}

#[test]
fn each_that_shares_the_key_opens_a_token_and_nobody_else() {
    let token = sharing(&[1, 2]).seal(&place(), OF).unwrap();
    for (bytes, wanted) in
        [(&[1, 2][..], Some(false)), (&[2, 1], Some(true)), (&[1], Some(false)), (&[2, 3], None)]
    {
        let opened = sharing(bytes).open(token.as_bytes(), OF);
        assert_eq!(opened.map(|opened| opened.is_old_key), wanted, "{bytes:?}");
        assert!(opened.is_none_or(|opened| opened.place == place()));
    }
    assert_eq!(Seals::new().unwrap().open(token.as_bytes(), OF), None, "one by itself");
}

#[test]
fn a_process_by_itself_opens_its_own_alone() {
    let (one, other) = (Seals::new().unwrap(), Seals::new().unwrap());
    let token = one.seal(&place(), OF).unwrap();
    assert_eq!(one.open(token.as_bytes(), OF), Some(Opened { place: place(), is_old_key: false }));
    assert_eq!(other.open(token.as_bytes(), OF), None);
}

#[test]
fn a_token_of_another_rule_does_not_open() {
    let seals = sharing(&[1]);
    let token = seals.seal(&place(), OF).unwrap();
    for of in ["HTTPRoute/shop/app/1", "GRPCRoute/shop/app/0", ""] {
        assert_eq!(seals.open(token.as_bytes(), of), None, "{of}");
    }
}

#[test]
fn no_changed_token_is_opened() {
    let seals = sharing(&[1]);
    let token = seals.seal(&place(), OF).unwrap().into_bytes();
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(seals.open(&changed, OF), None, "letter {at}");
        assert_eq!(seals.open(&token[..at], OF), None, "{at} letters");
    }
    for odd in [[&token[..], b"="].concat(), token.repeat(1000), Vec::new(), vec![0xff; TEXT]] {
        assert_eq!(seals.open(&odd, OF), None, "{} bytes", odd.len());
    }
}

#[test]
fn tokens_tell_nothing_and_look_alike() {
    let seals = sharing(&[1]);
    let six = Place { address: "[2001:db8::1]:443".parse().unwrap(), ..place() };
    let tokens = [place(), place(), six].map(|place| seals.seal(&place, OF).unwrap());
    assert!(tokens.iter().all(|token| token.len() == TEXT && token.is_ascii()));
    assert_ne!(tokens[0], tokens[1], "two at one endpoint cannot be told to be so");
    let raw = URL_SAFE_NO_PAD.decode(&tokens[0]).unwrap();
    let body = place().to_bytes();
    assert!(!body.windows(4).any(|part| raw.windows(4).any(|other| other == part)));
    assert_eq!(seals.open(tokens[2].as_bytes(), OF).unwrap().place, six);
}

#[test]
fn a_token_is_known_by_its_looks() {
    let seals = sharing(&[1]);
    let token = seals.seal(&place(), OF).unwrap();
    assert!(seals.is_token(token.as_bytes()));
    assert!(!seals.is_token(&token.as_bytes()[1..]));
    assert!(!seals.is_token(sharing(&[2]).seal(&place(), OF).unwrap().as_bytes()));
}

#[test]
fn sessions_and_tickets_of_one_secret_have_keys_of_their_own() {
    let keyring = crate::tls::tickets::Keyring::new().unwrap();
    let name = model::Name::parse("edge").unwrap();
    let gateway = model::Key::new(model::Kind::Gateway, name.clone(), name);
    let secret = base64::engine::general_purpose::STANDARD.encode([1; 32]);
    keyring.share(&secret).unwrap();
    let token = sharing(&[1]).seal(&place(), OF).unwrap();
    assert!(keyring.sessions_at(&gateway).open(token.as_bytes(), OF).is_some(), "the same secret");
    let raw = URL_SAFE_NO_PAD.decode(token).unwrap();
    let opened = rustls::server::ProducesTickets::decrypt(&keyring, &raw);
    assert_eq!(opened, None);
}
