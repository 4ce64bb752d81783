//! Headers that are not a user's to choose: those of the connection, and those that the gateway
//! writes itself.

/// Whether a header frames a message, says where it goes, or ends at each hop (RFC 9110, section
/// 7.6.1, with its old companions). `name` is in lower case.
///
/// `Proxy-Authorization` is none of them: it is a credential, meant for whoever asks for it.
pub fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a header says where a request comes from, or for whom: other proxies believe what a gateway
/// says there. `name` is in lower case.
pub(crate) fn is_of_origin(name: &str) -> bool {
    matches!(name, "forwarded" | "x-forwarded-for" | "x-real-ip" | "heddle-passport")
        || is_of_certificate(name)
}

/// Whether a header says which certificate a caller showed (RFC 9440, and what Envoy calls it).
fn is_of_certificate(name: &str) -> bool {
    matches!(name, "x-forwarded-client-cert" | "client-cert" | "client-cert-chain")
}

/// Whether a header of an answer says which pages of other origins may read it, or what they may send
/// (Fetch standard, section 3.3.3). `name` is in lower case.
pub fn is_of_cors(name: &str) -> bool {
    name.starts_with("access-control-")
}

/// A header's name as backends may read it: in lower case, and with `-` for whatever is neither letter nor digit,
/// which CGI and what is made like it cannot tell apart (RFC 3875, section 4.1.18).
pub fn spelling(name: &str) -> String {
    let read =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.bytes().map(|byte| char::from(read(byte))).collect()
}

/// Why no header of this [`spelling`] may tell a backend who is calling. `None` where one may.
pub(crate) fn why_not_told(name: &str) -> Option<&'static str> {
    match name {
        "authorization" | "proxy-authorization" | "cookie" => Some("credentials stand in it"),
        name if is_of_connection(name) => Some("it belongs to the connection"),
        "traceparent" | "tracestate" | "x-request-id" => Some("the gateway writes it"),
        "date" | "origin" | "range" | "referer" | "user-agent" | "via" | "cache-control" => {
            Some("it says something else")
        }
        name if ["accept", "content-", "if-", "access-control-", "sec-"]
            .iter()
            .any(|begins| name.starts_with(begins)) =>
        {
            Some("it says something else")
        }
        name if is_of_origin(name)
            || name.starts_with("x-forwarded-")
            || name.starts_with("heddle-") =>
        {
            Some("the gateway writes it")
        }
        _ => None,
    }
}

/// Why no access rule may ask for a header, and what to ask for instead: a backend does not get
/// it, or gets another value than the one that came. `None` where a rule may.
pub(crate) fn why_not_judged(name: &str) -> Option<&'static str> {
    match &*name.to_ascii_lowercase() {
        "host" => Some("HTTP/2 has no such header; write 'hosts'"),
        "x-forwarded-host" => Some("the gateway writes it anew; write 'hosts'"),
        "forwarded" | "x-forwarded-for" | "x-real-ip" => {
            Some("the gateway replaces what strangers say of where they come from; write 'sources'")
        }
        "x-forwarded-proto" | "x-forwarded-port" => {
            Some("the gateway writes it anew; attach the policy to the listener (sectionName)")
        }
        "traceparent" | "tracestate" | "x-request-id" => Some("the gateway writes it anew"),
        name if is_of_certificate(name) => Some(
            "the gateway replaces what strangers say of certificates; ask for one by \
             spec.tls.frontend of the Gateway",
        ),
        name if is_of_connection(name) => {
            Some("it belongs to the connection and does not go on to the backend")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Checker;
    use crate::policy::AccessPolicy;

    /// The faults of a policy with a rule on the header `name`.
    fn asked_for(name: &str) -> Vec<(String, String)> {
        let when = json!({ "headers": [{ "name": name, "value": "a" }] });
        let targets = json!([{ "kind": "Gateway", "name": "edge" }]);
        let policy = json!({
            "metadata": { "name": "p" },
            "spec": { "targetRefs": targets, "rules": [{ "name": "r", "when": when }] },
        });
        let policy: AccessPolicy = serde_json::from_value(policy).unwrap();
        let mut at = Checker::default();
        policy.check(&mut at);
        at.faults()
    }

    #[test]
    fn no_rule_asks_for_a_header_that_goes_on_otherwise_or_not_at_all() {
        for (name, hint) in [
            ("Host", "write 'hosts'"),
            ("X-Forwarded-Host", "write 'hosts'"),
            ("forwarded", "write 'sources'"),
            ("x-forwarded-for", "write 'sources'"),
            ("x-real-ip", "write 'sources'"),
            ("x-forwarded-proto", "attach the policy to the listener"),
            ("x-forwarded-port", "attach the policy to the listener"),
            ("x-request-id", "the gateway writes it anew"),
            ("traceparent", "the gateway writes it anew"),
            ("tracestate", "the gateway writes it anew"),
            ("x-forwarded-client-cert", "ask for one by spec.tls.frontend"),
            ("Client-Cert", "ask for one by spec.tls.frontend"),
            ("Connection", "belongs to the connection"),
            ("keep-alive", "belongs to the connection"),
            ("proxy-connection", "belongs to the connection"),
            ("TE", "belongs to the connection"),
            ("trailer", "belongs to the connection"),
            ("transfer-encoding", "belongs to the connection"),
            ("upgrade", "belongs to the connection"),
            ("content-length", "belongs to the connection"),
        ] {
            let faults = asked_for(name);
            assert_eq!(faults.len(), 1, "{name}");
            assert_eq!(faults[0].0, "spec.rules[0].when.headers[0].name");
            assert!(faults[0].1.contains(name) && faults[0].1.contains(hint), "{faults:?}");
        }
    }

    #[test]
    fn rules_ask_for_whatever_goes_on_as_it_came() {
        for name in ["x-tenant", "authorization", "proxy-authorization", "x-forwarded-user"] {
            assert_eq!(asked_for(name), [], "{name}");
        }
    }
}
