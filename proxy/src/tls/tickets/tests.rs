//! Who opens which ticket, and until when.

use base64::Engine as _;

use super::*;

fn line(byte: u8) -> String {
    base64::engine::general_purpose::STANDARD.encode([byte; 48])
}

fn sharing(lines: &[u8]) -> Keyring {
    let keyring = Keyring::new().unwrap();
    let lines: Vec<_> = lines.iter().map(|byte| line(*byte)).collect();
    keyring.share(&lines.join("\n")).unwrap();
    keyring
}

#[test]
fn what_one_seals_each_opens_that_has_the_key() {
    let ticket = sharing(&[1, 2]).encrypt(b"session").unwrap();
    for (lines, opens) in [(&[1][..], true), (&[2, 1], true), (&[2], false)] {
        let opened = sharing(lines).decrypt(&ticket);
        assert_eq!(opened.as_deref(), opens.then_some(&b"session"[..]), "{lines:?}");
    }
    assert_eq!(Keyring::new().unwrap().decrypt(&ticket), None, "one by itself");
}

#[test]
fn one_by_itself_opens_its_own_alone() {
    let (one, other) = (Keyring::new().unwrap(), Keyring::new().unwrap());
    let ticket = one.encrypt(b"session").unwrap();
    assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
    assert_eq!(other.decrypt(&ticket), None);
}

#[test]
fn a_ticket_is_good_for_half_a_day() {
    let keyring = sharing(&[1]);
    let ticket = keyring.seal(b"session", 1_000).unwrap();
    let last = 1_000 + u64::from(LIFETIME) - 1;
    for (now, opens) in [(1_000, true), (last, true), (last + 1, false), (900, true)] {
        assert_eq!(keyring.open(&ticket, now).is_some(), opens, "{now}");
    }
}

#[test]
fn no_changed_ticket_is_opened() {
    let keyring = sharing(&[1]);
    let ticket = keyring.encrypt(b"session").unwrap();
    for place in 0..ticket.len() {
        let mut changed = ticket.clone();
        changed[place] ^= 1;
        assert_eq!(keyring.decrypt(&changed), None, "byte {place}");
    }
    for length in 0..ticket.len() {
        assert_eq!(keyring.decrypt(&ticket[..length]), None, "{length} bytes");
    }
    assert_eq!(keyring.decrypt(&[&ticket[..], b"x"].concat()), None);
}

#[test]
fn what_is_no_list_of_keys_is_told_and_changes_nothing() {
    let keyring = sharing(&[1]);
    let ticket = keyring.encrypt(b"session").unwrap();
    let short = base64::engine::general_purpose::STANDARD.encode([1; 31]);
    let many = vec![line(1); KEYS + 1].join("\n");
    for (text, wanted) in [
        (String::new(), Error::Nothing),
        ("# none\n\n".to_owned(), Error::Nothing),
        (format!("# one\n{}\nno base64!", line(2)), Error::Odd(3)),
        (short, Error::Odd(1)),
        (many, Error::TooMany(KEYS + 1)),
    ] {
        assert_eq!(keyring.share(&text).unwrap_err(), wanted);
        assert!(keyring.decrypt(&ticket).is_some());
    }
    assert!(!format!("{keyring:?}").contains("key:"), "{keyring:?}");
}
