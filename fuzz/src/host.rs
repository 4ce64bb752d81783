//! The normal form of hosts, against a reading of the same rules from the other end.

use std::net::Ipv6Addr;

use policy::host::normalise;

/// Whether a host has a normal form, and which.
pub fn host(data: &[u8]) {
    let raw = &*String::from_utf8_lossy(data);
    let got = normalise(raw);
    let wanted = naive(raw);
    assert_eq!(got.as_deref().ok(), wanted.as_deref(), "the normal form of {raw:?}: {got:?}");
    let Ok(normal) = got else { return };
    assert_eq!(normalise(&normal).as_deref(), Ok(&*normal), "a normal form is its own");
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let odd = if normal.starts_with('[') { "[]:." } else { "-_." };
    let is_plain = |byte: u8| is_known(byte) || odd.as_bytes().contains(&byte);
    assert!(normal.bytes().all(is_plain), "{normal:?} has an odd letter");
    assert!((1..=253).contains(&normal.len()), "{normal:?} is of no host's length");
}

fn naive(raw: &str) -> Option<String> {
    // The last colon parts the port, but for one within brackets.
    let (name, port) = match raw.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (raw, ""),
    };
    let number = port.bytes().try_fold(0_u64, |number, byte| {
        let digit = char::from(byte).to_digit(10)?;
        Some((number * 10 + u64::from(digit)).min(65_536))
    });
    number.filter(|number| *number <= 65_535)?;
    if let Some(inside) = name.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let name = name.to_ascii_lowercase();
    let mut labels: Vec<_> = name.split('.').collect();
    if labels.len() > 1 && labels.last() == Some(&"") {
        labels.pop();
    }
    let letters = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    let is_label = |label: &&str| !label.is_empty() && label.chars().all(|c| letters.contains(c));
    let name = labels.join(".");
    (labels.iter().all(is_label) && name.len() <= 253).then_some(name)
}
