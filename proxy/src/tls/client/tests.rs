//! What backends are told of certificates, whatever stands in them.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::*;

fn told(name: DistinguishedName, names: Vec<SanType>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.subject_alt_names = names;
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let client = Client::of(made.der()).unwrap();
    let told = client.told.to_str().unwrap();
    let rest = told.strip_prefix(&format!("Hash={};", client.fingerprint)).unwrap();
    rest.to_owned()
}

fn named(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(of, text)| name.push(of.clone(), *text));
    name
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

#[test]
fn a_subject_is_told_with_its_last_part_first_and_other_names_behind() {
    let name = named(&[(DnType::OrganizationName, "Acme Ltd"), (DnType::CommonName, "till 7")]);
    let names = vec![dns("till.acme.example"), uri("spiffe://acme.example/till")];
    let wanted =
        "Subject=\"CN=till 7,O=Acme Ltd\";URI=spiffe://acme.example/till;DNS=till.acme.example";
    assert_eq!(told(name, names), wanted);
}

#[test]
fn policies_know_of_names_as_they_are_compared() {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![dns("Till.ACME.example"), uri("spiffe://acme.example/Till")];
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let client = Client::of(made.der()).unwrap();
    assert_eq!(*client.fingerprint, wire::digest::hex(&client.facts.sha256));
    assert_eq!(client.facts.dns, [Box::<str>::from("till.acme.example")]);
    assert_eq!(client.facts.uris, [Box::<str>::from("spiffe://acme.example/Till")]);
}

#[test]
fn nothing_in_a_name_passes_for_another_element() {
    let name = named(&[(DnType::CommonName, "a\";Hash=0;URI=\"spiffe://root, \\é ")]);
    let wanted = concat!(
        "Subject=\"CN=a\\22\\3BHash\\3D0\\3BURI\\3D\\22spiffe://root\\2C \\5C\\C3\\A9\\20\";",
        "URI=\"x:a;Hash=\\\"b\\\\\"",
    );
    assert_eq!(told(name, vec![uri("x:a;Hash=\"b\\"), uri("x:a b"), uri("x:a\r\nb")]), wanted);
}

#[test]
fn names_beyond_the_bound_are_left_out() {
    let names = (0..200).map(|n| dns(&format!("{n:0>60}.example"))).collect();
    let told = told(named(&[(DnType::CommonName, "a")]), names);
    assert!(told.len() <= MOST && told.len() > MOST / 2, "{}", told.len());
    assert!(told.ends_with(".example"), "{told}");
}

#[test]
fn what_no_authority_can_have_is_a_fault_of_its_config_map() {
    let map = |data: &[(&str, &str)]| {
        let data: serde_json::Map<_, _> =
            data.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
        serde_json::from_value(serde_json::json!({ "metadata": { "name": "a" }, "data": data }))
            .unwrap()
    };
    let leaf = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let odd = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
    for (data, wanted) in [
        (vec![("plan", "no certificate")], None),
        (vec![("ca.crt", &*made)], None),
        (vec![("ca.crt", "")], Some("holds no PEM certificate")),
        (vec![("ca.crt", "no")], Some("holds no PEM certificate")),
        (vec![("ca.crt", odd)], Some("certificate 1 is none")),
        (vec![("ca.crt", &*leaf)], Some("certificate 1 is none")),
        (vec![("ca.crt", &*format!("{made}{odd}"))], Some("certificate 2 is none")),
    ] {
        let faults = check(&map(&data));
        assert_eq!(faults.len(), usize::from(wanted.is_some()), "{data:?} {faults:?}");
        if let (Some(wanted), Some(fault)) = (wanted, faults.first()) {
            assert_eq!(fault.path, "data['ca.crt']");
            assert!(fault.reason.contains(wanted), "{}", fault.reason);
        }
    }
}
