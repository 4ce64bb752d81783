//! Whom a node believes, and what it keeps of itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authority::{Authority, Installation, TRUST, life};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::trust::{self, CONTROL, ServerCheck};
use super::*;

pub(crate) mod authority;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the check says of a server that shows this certificate with its issuer and root.
fn judge(
    anchor: Anchor,
    certificate: &[u8],
    issuer: &Authority,
    root: &Authority,
) -> Result<(), Distrust> {
    let check = ServerCheck::new(anchor, Arc::new(default_provider()));
    let der = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
    let others = [der(&issuer.der), der(&root.der)];
    let name = ServerName::try_from(CONTROL).unwrap();
    let checked = check.verify_server_cert(&der(certificate), &others, &name, &[], UnixTime::now());
    checked.map(|_| ()).map_err(|error| trust::reason(&error).unwrap_or_else(|| panic!("{error}")))
}

#[test]
fn the_control_plane_is_known_by_its_root() {
    let (ours, others) = (Installation::new(), Installation::new());
    let uri = format!("spiffe://hub.{TRUST}/control");
    let (control, _) = ours.hub.server(&uri, life(DAY));
    let by_print = Anchor::Root(ours.fingerprint());
    let by_root = Anchor::Roots { roots: vec![ours.root.der.clone()], trust: TRUST.to_owned() };
    for anchor in [by_print.clone(), by_root.clone()] {
        assert_eq!(judge(anchor, &control, &ours.hub, &ours.root), Ok(()));
    }
    let (stranger, _) = others.hub.server(&uri, life(DAY));
    let other = judge(by_print, &stranger, &others.hub, &others.root).unwrap_err();
    assert!(matches!(other, Distrust::OtherRoot { .. }), "{other}");
    assert!(other.to_string().contains("heddle join-token create"), "{other}");
    let other = judge(by_root, &stranger, &others.hub, &others.root);
    assert_eq!(other, Err(Distrust::Stranger));
}

#[test]
fn while_one_root_follows_another_the_server_is_known_by_either() {
    let (old, new, thief) = (Installation::new(), Installation::new(), Installation::new());
    let uri = format!("spiffe://hub.{TRUST}/control");
    let roots = [&old, &new].map(|one| one.root.der.clone());
    let both = || Anchor::Roots { roots: roots.to_vec(), trust: TRUST.to_owned() };
    for one in [&old, &new] {
        let (control, _) = one.hub.server(&uri, life(DAY));
        assert_eq!(judge(both(), &control, &one.hub, &one.root), Ok(()));
        // A cluster of neither vouches for the control plane.
        let (minted, _) = one.east.server(&uri, life(DAY));
        let judged = judge(both(), &minted, &one.east, &one.root);
        assert_eq!(judged, Err(Distrust::NotVouched(format!("hub.{TRUST}"))));
    }
    let (strange, _) = thief.hub.server(&uri, life(DAY));
    assert_eq!(judge(both(), &strange, &thief.hub, &new.root), Err(Distrust::Stranger));
    // Once the old one is retired, what lies under it is a stranger's.
    let check = ServerCheck::new(both(), Arc::new(default_provider()));
    assert_eq!(check.name(), wire::server_under(&old.fingerprint().to_string()));
    check.trusts(Anchor::Roots { roots: roots[1..].to_vec(), trust: TRUST.to_owned() });
    assert_eq!(check.name(), wire::server_under(&new.fingerprint().to_string()));
    let (control, _) = old.hub.server(&uri, life(DAY));
    let others = [&old.hub, &old.root].map(|one| CertificateDer::from(one.der.clone()));
    let name = ServerName::try_from(CONTROL).unwrap();
    let judged = check.verify_server_cert(&control.into(), &others, &name, &[], UnixTime::now());
    let reason = judged.err().and_then(|error| trust::reason(&error));
    assert_eq!(reason, Some(Distrust::Stranger));
}

#[test]
fn the_root_above_an_authority_is_found_by_its_key_alone() {
    let (old, new) = (Installation::new(), Installation::new());
    let roots = [&old, &new].map(|one| one.root.der.clone());
    assert_eq!(above(&old.east.der, &roots), Some(old.fingerprint()));
    assert_eq!(above(&new.east.der, &roots), Some(new.fingerprint()));
    assert_eq!(above(&Installation::new().east.der, &roots), None);
    let forged = old.west.forged("root.heddle.test", &format!("east.{TRUST}"));
    assert_eq!(above(&forged, &roots), None);
}

#[test]
fn who_shows_the_root_of_another_beside_his_own_certificate_is_not_believed() {
    let (ours, others) = (Installation::new(), Installation::new());
    let uri = format!("spiffe://hub.{TRUST}/control");
    let (stranger, _) = others.hub.server(&uri, life(DAY));
    let judged = judge(Anchor::Root(ours.fingerprint()), &stranger, &others.hub, &ours.root);
    assert_eq!(judged, Err(Distrust::Stranger));
}

#[test]
fn a_cluster_vouches_for_no_control_plane_and_a_node_is_none() {
    let ours = Installation::new();
    let anchor = || Anchor::Roots { roots: vec![ours.root.der.clone()], trust: TRUST.to_owned() };
    let uri = format!("spiffe://hub.{TRUST}/control");
    let (minted, _) = ours.east.server(&uri, life(DAY));
    let judged = judge(anchor(), &minted, &ours.east, &ours.root);
    assert_eq!(judged, Err(Distrust::NotVouched(format!("hub.{TRUST}"))));
    let uri = format!("spiffe://hub.{TRUST}/node/gateway/edge");
    let (node, _) = ours.hub.server(&uri, life(DAY));
    let judged = judge(anchor(), &node, &ours.hub, &ours.root).unwrap_err();
    assert!(matches!(judged, Distrust::NotControl { .. }), "{judged}");
}

#[test]
fn a_cluster_cannot_write_itself_the_name_of_the_hub() {
    let ours = Installation::new();
    let uri = format!("spiffe://hub.{TRUST}/control");
    let (minted, _) = ours.east.server(&uri, life(DAY));
    let forged = ours.east.forged(&format!("east.{TRUST}"), &format!("hub.{TRUST}"));
    let anchors = [
        Anchor::Root(ours.fingerprint()),
        Anchor::Roots { roots: vec![ours.root.der.clone()], trust: TRUST.to_owned() },
    ];
    for anchor in anchors {
        let check = ServerCheck::new(anchor, Arc::new(default_provider()));
        let others = [&forged, &ours.east.der, &ours.root.der];
        let others = others.map(|der| CertificateDer::from(der.clone()));
        let (leaf, name) = (CertificateDer::from(minted.clone()), ServerName::try_from(CONTROL));
        let judged = check.verify_server_cert(&leaf, &others, &name.unwrap(), &[], UnixTime::now());
        let reason = judged.err().and_then(|error| trust::reason(&error));
        assert_eq!(reason, Some(Distrust::NotVouched(format!("hub.{TRUST}"))));
    }
}

#[test]
fn a_certificate_out_of_its_time_tells_of_the_clocks() {
    let ours = Installation::new();
    let anchor = || Anchor::Root(ours.fingerprint());
    let uri = format!("spiffe://hub.{TRUST}/control");
    let now = SystemTime::now();
    for (life, word) in [([now - DAY, now - DAY / 2], "ended"), ([now + DAY, now + DAY * 2], "yet")]
    {
        let (control, _) = ours.hub.server(&uri, life);
        let judged = judge(anchor(), &control, &ours.hub, &ours.root).unwrap_err().to_string();
        assert!(judged.contains(word) && judged.contains("clock"), "{judged}");
    }
}

#[test]
fn a_folder_keeps_who_the_node_is_from_others() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    let key = NodeKey::make().unwrap();
    let identity = Installation::new().identity(&key, DAY);
    let folder = Folder::open(&path).unwrap();
    assert!(folder.key().unwrap().is_none() && folder.identity().unwrap().is_none());
    folder.keep_key(&key).unwrap();
    folder.keep_identity(&identity).unwrap();
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("key.pem"), mode("identity.json")), (0o700, 0o600, 0o600));
    assert!(matches!(Folder::open(&path), Err(FolderError::Taken(_))));
    drop(folder);
    let folder = Folder::open(&path).unwrap();
    assert_eq!(folder.identity().unwrap().unwrap(), identity);
    assert_eq!(folder.key().unwrap().unwrap().public(), key.public());
    assert!(identity.check(key.public()).is_ok());
    assert!(identity.check(NodeKey::make().unwrap().public()).is_err());
}

#[test]
fn a_folder_that_others_can_read_or_that_is_damaged_says_so() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    folder.keep_key(&NodeKey::make().unwrap()).unwrap();
    let key = place.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let told = folder.key().unwrap_err().to_string();
    assert!(told.contains("chmod 600"), "{told}");
    fs::write(&key, "no key").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(place.path().join("identity.json"), "{}").unwrap();
    for told in [folder.key().unwrap_err(), folder.identity().unwrap_err()] {
        assert!(told.to_string().contains("join anew"), "{told}");
    }
}
