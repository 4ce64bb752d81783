//! Only what control said to this node, as it was kept, is served from disk.

use std::time::Duration;

use wire::Vector;

use super::*;
use crate::config::session::tests::{envelope, objects};
use crate::identity::tests::authority::Installation;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MARKER: &str = "n-marker";

struct Bed {
    installation: Installation,
    key: NodeKey,
    node: Identity,
}

impl Bed {
    fn new() -> Self {
        let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
        let node = installation.identity(&key, DAY);
        Bed { installation, key, node }
    }

    fn state(&self, revision: i64) -> Held {
        let objects = objects(&[envelope("a", revision), envelope(MARKER, 1)]);
        let vector: Vector = [(Scope::Platform, revision)].into_iter().collect();
        let digest = held::digest(&objects);
        let proof = self.installation.east.proof(&self.node.node, 5, &vector, &digest);
        Held { objects, vector, digest, proof: Some(proof) }
    }

    fn sealed(&self, held: &Held) -> Vec<u8> {
        self.sealed_with(held, &[])
    }

    fn sealed_with(&self, held: &Held, good: &[Envelope]) -> Vec<u8> {
        let served = Served { state: Arc::new(held.clone()), good: objects(good) };
        seal(&served, &self.node, &self.key).unwrap()
    }

    fn open(&self, file: &[u8]) -> Result<Served, Refusal> {
        open(file, &self.node, &self.key, SystemTime::now())
    }
}

#[test]
fn what_was_kept_is_served_again_and_hidden_meanwhile() {
    let mut bed = Bed::new();
    let state = bed.state(4);
    let file = bed.sealed(&state);
    assert!(!file.windows(MARKER.len()).any(|at| at == MARKER.as_bytes()));
    bed.node.vector = state.vector.clone();
    assert_eq!(*bed.open(&file).unwrap().state, state);
}

#[test]
fn older_forms_are_kept_beside_the_state_and_only_of_what_is_in_it() {
    let bed = Bed::new();
    let state = bed.state(4);
    let older = envelope("a", 2);
    let served = bed.open(&bed.sealed_with(&state, std::slice::from_ref(&older))).unwrap();
    assert_eq!(*served.state, state);
    assert_eq!(served.good, objects(std::slice::from_ref(&older)));
    let shown: Vec<_> = served.objects().values().map(|one| one.generation).collect();
    assert_eq!((shown, older.generation), (vec![2, 1], 2));
    let file = bed.sealed_with(&state, &[envelope("gone", 1)]);
    assert!(matches!(bed.open(&file), Err(Refusal::Damaged(_))));
}

#[test]
fn each_way_to_be_of_no_use_has_its_name() {
    let bed = Bed::new();
    let state = bed.state(4);
    let file = bed.sealed(&state);
    let told = |refused: Result<Served, Refusal>| {
        let refused = refused.unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("server") || told.contains("--state"), "{told}");
        refused
    };
    assert!(matches!(told(bed.open(b"")), Refusal::Damaged(_)));
    assert!(matches!(
        told(bed.open(&file[..60.min(file.len())])),
        Refusal::Damaged(_) | Refusal::Tampered
    ));
    assert!(matches!(told(bed.open(&file[..MAGIC.len() + 3])), Refusal::Damaged(_)));
    for at in [file.len() - 1, file.len() / 2, MAGIC.len() + bed.node.node.len() + 2] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert_eq!(told(bed.open(&changed)), Refusal::Tampered);
    }
    let mut other = Bed::new();
    other.node.node = "0192-other".to_owned();
    let foreign = other.sealed(&state);
    assert_eq!(told(bed.open(&foreign)), Refusal::Foreign("0192-other".to_owned()));
    let same_name = Bed::new();
    assert_eq!(told(bed.open(&same_name.sealed(&state))), Refusal::Tampered);
}

#[test]
fn what_control_did_not_say_to_this_node_is_refused_though_it_is_sealed() {
    let bed = Bed::new();
    let mut unsigned = bed.state(4);
    unsigned.proof = None;
    let refused = bed.open(&bed.sealed(&unsigned));
    assert_eq!(refused, Err(Refusal::Unproven(Unproven::Unsigned)));
    let mut west = bed.state(4);
    west.proof = Some(bed.installation.west.proof(&bed.node.node, 5, &west.vector, &west.digest));
    let refused = bed.open(&bed.sealed(&west));
    assert_eq!(refused, Err(Refusal::Unproven(Unproven::Stranger)));
    let mut other = bed.state(4);
    other.proof = Some(bed.installation.east.proof("0192-other", 5, &other.vector, &other.digest));
    let refused = bed.open(&bed.sealed(&other));
    assert_eq!(refused, Err(Refusal::Unproven(Unproven::Signature)));
}

#[test]
fn an_older_state_is_refused_by_what_the_node_remembers() {
    let mut bed = Bed::new();
    let old = bed.sealed(&bed.state(3));
    bed.node.vector = bed.state(4).vector;
    let refused = bed.open(&old).unwrap_err();
    assert_eq!(refused, Refusal::Older { scope: Scope::Platform, found: 3, wanted: 4 });
    assert!(refused.to_string().contains("platform at 3, not 4"), "{refused}");
    assert!(bed.open(&bed.sealed(&bed.state(5))).is_ok());
}

#[test]
fn what_was_signed_under_another_root_counts_as_long_as_that_is_trusted() {
    let mut bed = Bed::new();
    let file = bed.sealed(&bed.state(4));
    let (old, next) = (bed.installation.root.der.clone(), Installation::new().root.der);
    for (roots, is_served) in [
        (vec![old.clone(), next.clone()], true),
        (vec![next.clone(), old.clone()], true),
        (vec![next], false),
    ] {
        bed.node.roots = roots;
        assert_eq!(bed.open(&file).is_ok(), is_served);
    }
    assert!(matches!(bed.open(&file), Err(Refusal::Unproven(Unproven::Stranger))));
}
