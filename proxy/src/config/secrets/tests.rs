//! What was kept of sessions opens for its node alone, and not for long.

use super::*;
use crate::identity::tests::authority::Installation;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn sessions() -> Vec<GatewaySessions> {
    let (namespace, name) = ("shop".to_owned(), "edge".to_owned());
    let gateway = Key { kind: "Gateway".to_owned(), namespace, name };
    let secrets = [1, 2].map(|byte| SecretBytes::new([byte; SECRET])).into();
    vec![GatewaySessions { gateway, secrets }]
}

#[test]
fn what_was_kept_opens_for_a_day_and_is_hidden_meanwhile() {
    let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
    let (node, now) = (installation.identity(&key, DAY), SystemTime::now());
    let file = seal(&sessions(), &node, &key, now).unwrap();
    assert!(!file.windows(4).any(|at| at == b"edge" || at == [1; 4] || at == b"AQEB"));
    let opened = |at: SystemTime| open(&file, &node, &key, at);
    assert_eq!(opened(now + DAY / 2), Some(sessions()));
    assert_eq!(opened(now + DAY), None);
}

#[test]
fn what_was_changed_or_is_of_another_node_opens_nothing() {
    let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
    let (node, now) = (installation.identity(&key, DAY), SystemTime::now());
    let file = seal(&sessions(), &node, &key, now).unwrap();
    let other = NodeKey::make().unwrap();
    assert_eq!(open(&file, &node, &other, now), None, "another key");
    let named = Identity { node: "another".to_owned(), ..node.clone() };
    assert_eq!(open(&file, &named, &key, now), None, "another node");
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert_eq!(open(&changed, &node, &key, now), None, "byte {at}");
        assert_eq!(open(&file[..at], &node, &key, now), None, "{at} bytes");
    }
}
