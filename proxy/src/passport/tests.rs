//! What a gateway says of who is calling, and who is believed with it.

use std::time::Duration;

use model::cluster::Reach;
use model::revocation::{Revocation, Whom};
use model::{Key, Kind};
use serde_json::{Map, json};

use super::*;
use crate::identity::tests::authority::{Authority, Installation, TRUST, life};
use crate::mesh::Membership;
use crate::mesh::tests::member;

const HOUR: Duration = Duration::from_secs(3600);

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn gateway(cluster: &str) -> Peer {
    Peer::Gateway { cluster: name(cluster), name: name("edge") }
}

fn workload(account: &str) -> Peer {
    let service_account = name(account);
    Peer::Workload { cluster: name("east"), namespace: name("shop"), service_account }
}

fn clerk(workspace: Option<&str>) -> User {
    let principal = Arc::new(Principal::ApiKey { name: "clerk".to_owned() });
    User { workspace: workspace.map(name), api: None, principal }
}

fn ann(claims: serde_json::Value) -> User {
    let claims = serde_json::from_value::<Map<_, _>>(claims).unwrap();
    let subject = Some("ann".to_owned());
    let principal = Principal::Jwt { issuer: "https://id.example".to_owned(), subject, claims };
    User { workspace: None, api: None, principal: Arc::new(principal) }
}

fn shown(value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(PASSPORT, value.clone())])
}

/// A gateway and an application of one installation, and what each has of passports.
struct Bed {
    installation: Installation,
    edge: Membership,
    orders: Membership,
    minting: Passports,
    reading: Passports,
    now: SystemTime,
}

impl Bed {
    fn new() -> Self {
        let installation = Installation::new();
        let (east, hour) = (&installation.east, life(HOUR));
        Bed {
            edge: member(&installation, east, &gateway("east"), hour),
            orders: member(&installation, east, &workload("orders"), hour),
            minting: Passports::new(1),
            reading: Passports::new(1),
            now: SystemTime::now(),
            installation,
        }
    }

    fn mint(&self, users: &[User], now: SystemTime) -> Option<HeaderValue> {
        self.minting.mint(0, users, &self.edge.now().unwrap(), now)
    }

    fn read(&self, value: &HeaderValue, from: &Peer, now: SystemTime) -> Result<Carried, Refused> {
        let credentials = self.orders.now();
        let read = self.reading.read(0, &shown(value), from, credentials.as_deref(), now);
        read.map(Option::unwrap)
    }

    /// What becomes of one that `peer` mints by a certificate of `by`.
    fn minted_by(&self, by: &Authority, peer: &Peer) -> Option<Refused> {
        let other = member(&self.installation, by, peer, life(HOUR)).now().unwrap();
        // Past the check that keeps anybody but a gateway from minting.
        let value = mint::Minted::default().value(&[clerk(None)], &other, seconds(self.now));
        self.read(&value.unwrap(), peer, self.now).err()
    }
}

#[test]
fn what_a_gateway_mints_is_believed_from_it_and_from_whom_it_was_given_to() {
    let bed = Bed::new();
    let value = bed.mint(&[clerk(Some("shop"))], bed.now).unwrap();
    let edge = gateway("east");
    let carried = bed.read(&value, &edge, bed.now).unwrap();
    assert_eq!(carried.passport.users, [clerk(Some("shop"))]);
    // Whoever took it somewhere on the way.
    let front = workload("storefront");
    assert_eq!(bed.read(&value, &front, bed.now).unwrap_err(), Refused::NotTheirs(edge.clone()));
    let onward = carried.onward(&front, TRUST, bed.now).unwrap();
    let carried = bed.read(&onward, &front, bed.now).unwrap();
    assert_eq!(carried.via, std::slice::from_ref(&front));
    assert_eq!(bed.read(&onward, &edge, bed.now).unwrap_err(), Refused::NotTheirs(front.clone()));
    let last = carried.onward(&workload("orders"), TRUST, bed.now).unwrap();
    let carried = bed.read(&last, &workload("orders"), bed.now).unwrap();
    assert_eq!(carried.via, [front, workload("orders")]);
}

#[test]
fn one_is_given_out_for_a_minute_and_holds_for_five() {
    let bed = Bed::new();
    let users = [clerk(None)];
    let later = |seconds| bed.now + Duration::from_secs(seconds);
    let first = bed.mint(&users, bed.now).unwrap();
    assert_eq!(bed.mint(&users, later(59)).unwrap(), first);
    assert_ne!(bed.mint(&users, later(60)).unwrap(), first);
    assert!(bed.read(&first, &gateway("east"), later(299)).is_ok());
    let carried = bed.read(&first, &gateway("east"), later(299)).unwrap();
    assert_eq!(bed.read(&first, &gateway("east"), later(300)).unwrap_err(), Refused::Ended);
    assert_eq!(carried.onward(&workload("orders"), TRUST, later(300)), None);
    // Nor by who did not see it before.
    let orders = bed.orders.now();
    let fresh = Passports::new(1);
    let read = fresh.read(0, &shown(&first), &gateway("east"), orders.as_deref(), later(300));
    assert_eq!(read.unwrap_err(), Refused::Ended);
}

#[test]
fn one_ends_with_the_token_that_its_caller_came_with() {
    let bed = Bed::new();
    let at = seconds(bed.now);
    for (exp, lasts) in [(at + 100, 100), (at + 1000, 300), (at - 5, 10)] {
        let value = bed.mint(&[ann(json!({ "exp": exp }))], bed.now).unwrap();
        let carried = bed.read(&value, &gateway("east"), bed.now).unwrap();
        assert_eq!(carried.passport.ends, at + lasts);
    }
}

#[test]
fn one_ends_with_the_certificate_by_which_it_was_minted() {
    let mut bed = Bed::new();
    let (east, soon) = (&bed.installation.east, life(Duration::from_secs(30)));
    bed.edge = member(&bed.installation, east, &gateway("east"), soon);
    let value = bed.mint(&[clerk(None)], bed.now).unwrap();
    let later = |seconds| bed.now + Duration::from_secs(seconds);
    assert!(bed.read(&value, &gateway("east"), later(20)).is_ok());
    assert_eq!(bed.read(&value, &gateway("east"), later(40)).unwrap_err(), Refused::Ended);
}

#[test]
fn whoever_is_no_gateway_of_the_cluster_mints_nothing_that_is_believed() {
    let bed = Bed::new();
    let Installation { east, west, .. } = &bed.installation;
    assert_eq!(bed.minted_by(east, &gateway("east")), None);
    assert_eq!(bed.minted_by(west, &gateway("west")), None);
    let orders = workload("orders");
    let no_gateway = Refused::Nobody(Nobody::NoGateway(orders.clone()));
    assert_eq!(bed.minted_by(east, &orders), Some(no_gateway));
    let stolen = Refused::Nobody(Nobody::NotVouched);
    assert_eq!(bed.minted_by(west, &gateway("east")), Some(stolen));
    let others = Installation::new();
    let stranger = Refused::Nobody(Nobody::Unproven);
    assert_eq!(bed.minted_by(&others.east, &gateway("east")), Some(stranger));
    // A workload does not even try.
    let orders = bed.orders.now().unwrap();
    assert_eq!(bed.minting.mint(0, &[clerk(None)], &orders, bed.now), None);
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let bed = Bed::new();
    let edge = gateway("east");
    let good = bed.mint(&[clerk(None)], bed.now).unwrap().to_str().unwrap().to_owned();
    let other = bed.mint(&[clerk(Some("shop"))], bed.now).unwrap().to_str().unwrap().to_owned();
    let read = |text: &str| {
        bed.read(&HeaderValue::try_from(text).unwrap(), &edge, bed.now).map(|_| ()).unwrap_err()
    };
    let (payload, rest) = good.split_once('.').unwrap();
    // What another one says, under the signature of this one, also once this one is known.
    let swapped = format!("{}.{rest}", other.split_once('.').unwrap().0);
    assert_eq!(read(&swapped), Refused::Signature);
    assert!(bed.read(&HeaderValue::try_from(&*good).unwrap(), &edge, bed.now).is_ok());
    assert_eq!(read(&swapped), Refused::Signature);
    for odd in ["", "a", "a.b", payload, &format!("{good}.AA"), &format!("{good} nobody")] {
        let refused = read(odd);
        assert!(matches!(refused, Refused::Odd | Refused::Nobody(_)), "{odd}: {refused}");
    }
    let once = shown(&HeaderValue::try_from(&*good).unwrap());
    let mut twice = once.clone();
    twice.append(PASSPORT, HeaderValue::try_from(&*good).unwrap());
    let read = |headers: &HeaderMap, credentials: Option<&Credentials>| {
        bed.reading.read(0, headers, &edge, credentials, bed.now)
    };
    assert_eq!(read(&twice, bed.orders.now().as_deref()).unwrap_err(), Refused::Several);
    assert_eq!(read(&once, None).unwrap_err(), Refused::Unready);
    assert!(read(&HeaderMap::new(), None).unwrap().is_none());
}

#[test]
fn what_goes_round_in_a_ring_ends() {
    let bed = Bed::new();
    let mut value = bed.mint(&[clerk(None)], bed.now).unwrap();
    let mut from = gateway("east");
    for _ in 0..LINKS {
        let carried = bed.read(&value, &from, bed.now).unwrap();
        from = workload("orders");
        value = carried.onward(&from, TRUST, bed.now).unwrap();
    }
    let carried = bed.read(&value, &from, bed.now).unwrap();
    assert_eq!(carried.onward(&from, TRUST, bed.now), None);
    let long = format!("{} {}", value.to_str().unwrap(), from.uri(TRUST));
    let refused = bed.read(&HeaderValue::try_from(long).unwrap(), &from, bed.now).unwrap_err();
    assert_eq!(refused, Refused::Handed);
}

#[test]
fn nobody_mints_one_that_holds_for_longer_than_a_gateway_would() {
    let bed = Bed::new();
    let edge = bed.edge.now().unwrap();
    let read = |issued: u64, ends: u64| {
        let passport = Passport { issued, ends, users: vec![clerk(None)] };
        let value = mint::written(&passport, &edge).unwrap();
        bed.read(&value, &gateway("east"), bed.now).map(|_| ())
    };
    let now = seconds(bed.now);
    assert_eq!(read(now, now + 300), Ok(()));
    assert_eq!(read(now, now + 301), Err(Refused::Long));
    assert_eq!(read(now + 301, now + 310), Err(Refused::Long));
    assert_eq!(read(now - 400, now - 100), Err(Refused::Ended));
}

#[test]
fn more_than_can_be_carried_is_not_cut_but_left_out() {
    let bed = Bed::new();
    let long = ann(json!({ "roles": "r".repeat(9000) }));
    assert_eq!(bed.mint(&[long], bed.now), None);
    assert_eq!(bed.mint(&[], bed.now), None);
}

#[test]
fn users_count_in_the_workspace_to_which_they_proved_themselves() {
    let bed = Bed::new();
    let mut table = Table::default();
    table.knows_workspaces = true;
    for (namespace, workspace) in [("shop", "shop"), ("shop-more", "shop"), ("bank", "bank")] {
        table.workspaces.insert(name(namespace), name(workspace));
    }
    let proof = |namespace: &str, user: &User| Proof {
        principal: Arc::clone(&user.principal),
        policy: Arc::new(Key::new(Kind::AccessPolicy, name(namespace), name("p"))),
        api: None,
    };
    let believed =
        |user: &User| Believed { principal: Arc::clone(&user.principal), api: user.api.clone() };
    let (clerk, ann) = (clerk(Some("shop")), ann(json!({})));
    let proofs = [
        proof("platform", &ann),
        proof("shop", &ann),
        proof("shop", &clerk),
        proof("shop", &clerk),
    ];
    let users = users(&proofs, &table);
    assert_eq!(users, [ann.clone(), clerk.clone()]);
    let value = bed.mint(&users, bed.now).unwrap();
    let carried = bed.read(&value, &gateway("east"), bed.now).unwrap();
    let both = [believed(&ann), believed(&clerk)];
    for (namespace, believed) in
        [("shop", &both[..]), ("shop-more", &both[..]), ("bank", &both[..1]), ("infra", &both[..1])]
    {
        assert_eq!(carried.users_for(&table, &name(namespace)), believed, "{namespace}");
    }
    // A gateway of a cluster where the workspace is not knows nobody of it.
    table.reaches.insert(name("shop"), Arc::new(Reach::In([name("west")].into())));
    assert_eq!(carried.users_for(&table, &name("shop")), both[..1]);
    table.reaches.insert(name("shop"), Arc::new(Reach::In([name("east")].into())));
    assert_eq!(carried.users_for(&table, &name("shop")), both);
    // A namespace that may be of a workspace that cannot be read is not the platform's.
    table.knows_workspaces = false;
    assert_eq!(
        super::users(&proofs, &table),
        [User { workspace: Some(name("shop")), ..ann }, clerk]
    );
}

#[test]
fn a_passport_says_of_which_api_somebody_is_known() {
    let bed = Bed::new();
    let mut table = Table::default();
    table.knows_workspaces = true;
    table.workspaces.insert(name("shop"), name("shop"));
    let clerk = clerk(Some("shop"));
    let proof = |namespace: &str, api: Option<&str>| Proof {
        principal: Arc::clone(&clerk.principal),
        policy: Arc::new(Key::new(Kind::AccessPolicy, name(namespace), name("p"))),
        api: api.map(name),
    };
    let apis = |proofs: &[Proof]| {
        let users = users(proofs, &table);
        let value = bed.mint(&users, bed.now).unwrap();
        let carried = bed.read(&value, &gateway("east"), bed.now).unwrap();
        let believed = carried.users_for(&table, &name("shop")).into_iter();
        believed.map(|user| user.api.map(|api| api.to_string())).collect::<Vec<_>>()
    };
    let [alpha, beta] = ["alpha", "beta"].map(|api| Some(api.to_owned()));
    assert_eq!(apis(&[proof("shop", Some("alpha")), proof("shop", Some("beta"))]), [alpha, beta]);
    // Whom the workspace itself knows, or the platform, counts for every Api.
    assert_eq!(apis(&[proof("shop", None), proof("shop", Some("alpha"))]), [None]);
    assert_eq!(apis(&[proof("infra", Some("alpha"))]), [None]);
}

#[test]
fn one_that_was_believed_is_none_any_more_once_its_root_is_retired() {
    let bed = Bed::new();
    let value = bed.mint(&[clerk(None)], bed.now).unwrap();
    assert!(bed.read(&value, &gateway("east"), bed.now).is_ok());
    // Known by its text, and yet checked again by who trusts other roots.
    let next = Installation::new();
    let orders = member(&next, &next.east, &workload("orders"), life(HOUR)).now();
    let again = bed.reading.read(0, &shown(&value), &gateway("east"), orders.as_deref(), bed.now);
    assert!(matches!(again, Err(Refused::Nobody(_))), "{again:?}");
}

#[test]
fn what_a_gateway_minted_that_was_shut_out_is_believed_no_more() {
    let bed = Bed::new();
    let edge = gateway("east");
    let value = bed.mint(&[clerk(None)], bed.now).unwrap();
    assert!(bed.read(&value, &edge, bed.now).is_ok(), "and it is remembered");
    // The authority of these tests calls a node by its name.
    let whom = |id: String| Revocation { whom: Whom::Node { id }, before: None, until: None };
    bed.orders.revoked.shut_out(&[whom("another".to_owned())]);
    assert!(bed.read(&value, &edge, bed.now).is_ok());
    bed.orders.revoked.shut_out(&[whom(edge.uri(TRUST))]);
    let refused = bed.read(&value, &edge, bed.now).unwrap_err();
    assert_eq!(refused, Refused::Nobody(Nobody::Revoked));
    let fresh = bed.mint(&[clerk(Some("shop"))], bed.now).unwrap();
    assert_eq!(bed.read(&fresh, &edge, bed.now).unwrap_err(), refused, "nor is another one");
    bed.orders.revoked.shut_out(&[]);
    assert!(bed.read(&value, &edge, bed.now).is_ok());
}

#[test]
fn a_passport_is_of_whoever_is_shut_out_by_their_workspace_and_when_they_proved_it() {
    let bed = Bed::new();
    let now = i64::try_from(seconds(bed.now)).unwrap();
    let mut table = Table::default();
    table.workspaces.insert(name("orders"), name("shop"));
    table.workspaces.insert(name("vault"), name("bank"));
    let is_out = |user: User, whom: Whom, before: Option<i64>| {
        let value = bed.mint(&[ann(json!({})), user], bed.now).unwrap();
        let carried = bed.read(&value, &gateway("east"), bed.now).unwrap();
        let revoked = policy::Revoked::new(&[Revocation { whom, before, until: None }]);
        carried.revoked(&revoked, &table, now).is_some()
    };
    let key = |namespace: &str| Whom::ApiKey { namespace: name(namespace), name: "clerk".into() };
    assert!(is_out(clerk(Some("shop")), key("orders"), None));
    assert!(!is_out(clerk(Some("shop")), key("vault"), None));
    assert!(!is_out(clerk(Some("shop")), key("platform"), None));
    assert!(is_out(clerk(None), key("platform"), None), "which is no workspace's");
    assert!(!is_out(clerk(None), key("orders"), None));
    let whom =
        |subject: &str| Whom::User { issuer: "https://id.example".into(), subject: subject.into() };
    assert!(is_out(clerk(None), whom("ann"), None), "whoever else it speaks of");
    assert!(!is_out(clerk(None), whom("bob"), None));
    let later = ann(json!({ "iat": now + 10 }));
    assert!(is_out(clerk(None), whom("ann"), Some(now - 1)), "it says nothing of when");
    let only = |before| {
        let value = bed.mint(std::slice::from_ref(&later), bed.now).unwrap();
        let carried = bed.read(&value, &gateway("east"), bed.now).unwrap();
        let whom = whom("ann");
        let revoked =
            policy::Revoked::new(&[Revocation { whom, before: Some(before), until: None }]);
        carried.revoked(&revoked, &table, now).is_some()
    };
    assert!(only(now + 1), "it was minted before");
    assert!(!only(now) && !only(now - 1), "they proved it later");
    assert!(only(now + 10), "they proved it before");
}
