//! Certificates and keys that fit, or do not.

use base64::Engine as _;

use super::*;

fn pair() -> (SecretBytes, SecretBytes) {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    (SecretBytes::new(made.cert.pem()), SecretBytes::new(made.signing_key.serialize_pem()))
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ((chain, key), (other, _)) = (pair(), pair());
    assert!(certified(&chain, &key).is_ok());
    assert!(matches!(certified(&other, &key), Err(Error::Mismatch)));
    assert!(matches!(certified(&SecretBytes::new("no"), &key), Err(Error::NoCertificate)));
    assert!(matches!(certified(&chain, &SecretBytes::new("no")), Err(Error::NoKey)));
}

#[test]
fn each_entry_that_is_wrong_is_told_at_its_own_place() {
    let pem = |bytes: &SecretBytes| String::from_utf8(bytes.expose().to_vec()).unwrap();
    let ((chain, key), (_, other)) = (pair(), pair());
    let (chain, key, other) = (pem(&chain), pem(&key), pem(&other));
    let cases: [(&str, &str, &[&str]); 4] = [
        (&chain, &key, &[]),
        ("no", "no", &["stringData['tls.crt']", "stringData['tls.key']"]),
        ("no", &key, &["stringData['tls.crt']"]),
        (&chain, &other, &["stringData['tls.key']"]),
    ];
    for (chain, key, wanted) in cases {
        let secret = serde_json::json!({
            "metadata": { "name": "a" },
            "type": TLS_SECRET,
            "stringData": { "tls.crt": chain, "tls.key": key },
        });
        let faults = check(&serde_json::from_value(secret).unwrap());
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, wanted);
    }
}

/// A DER sequence of 256 bytes or more.
fn sequence(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], &length[..], content].concat()
}

/// The same certificate as X.509 had it first: no version, no extensions.
fn version_1(der: &[u8]) -> Vec<u8> {
    const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];
    let (_, modern) = X509Certificate::from_der(der).unwrap();
    let signed = modern.tbs_certificate.as_ref();
    let key = modern.public_key().raw;
    let begin = signed.windows(5).position(|at| at == VERSION_3).unwrap() + VERSION_3.len();
    let end = signed.windows(key.len()).position(|at| at == key).unwrap() + key.len();
    let tail = der.windows(signed.len()).position(|at| at == signed).unwrap() + signed.len();
    sequence(&[&sequence(&signed[begin..end])[..], &der[tail..]].concat())
}

#[test]
fn a_certificate_of_version_1_is_served() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let old = version_1(made.cert.der());
    let (_, read) = X509Certificate::from_der(&old).unwrap();
    assert_eq!(read.version(), x509_parser::x509::X509Version::V1);
    let pem = |der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        SecretBytes::new(format!(
            "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
        ))
    };
    let key = SecretBytes::new(made.signing_key.serialize_pem());
    assert!(certified(&pem(&old), &key).is_ok());
    assert!(matches!(certified(&pem(&old), &pair().1), Err(Error::Mismatch)));
    assert!(matches!(certified(&pem(b"no"), &key), Err(Error::OddCertificate(_))));
}

#[test]
fn a_wildcard_of_a_certificate_is_for_one_label() {
    let is_for = |name: &str, host: &str| {
        let stated = Stated { begins: 0, ends: 0, hosts: vec![name.to_owned()] };
        stated.is_for(&Hostname::parse(host).unwrap())
    };
    for (name, host) in [
        ("a.test", "a.test"),
        ("*.a.test", "b.a.test"),
        ("*.a.test", "*.a.test"),
        ("b.a.test", "*.a.test"),
        ("*.b.a.test", "*.a.test"),
    ] {
        assert!(is_for(name, host), "{name} {host}");
    }
    for (name, host) in [
        ("a.test", "b.test"),
        ("*.a.test", "a.test"),
        ("*.a.test", "c.b.a.test"),
        ("a.test", "*.a.test"),
        ("*.test", "*.a.test"),
    ] {
        assert!(!is_for(name, host), "{name} {host}");
    }
}
