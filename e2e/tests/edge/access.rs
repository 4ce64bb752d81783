//! Who is let in: keys, tokens, sources; and that a refused request reaches nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::client::{nothing, request};
use e2e::raw::Raw;
use e2e::token::{Issuer, encode, now};
use e2e::{Gateway, Origin, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, refused, shop};

const CLERK: &str = "the-clerks-own-marker-key";
const AUDITOR: &str = "the-auditors-own-marker-key";
const AUDIENCE: &str = "shop";

/// Callers by key and by token, and a source that is never let in.
async fn guarded(issuer: &Issuer) -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    let policy = yaml::policy(
        "guard",
        &format!(
            "
            targetRefs: [{{ kind: HTTPRoute, name: all }}]
            rules:
              - name: anyone-looks
                when: {{ methods: [GET], paths: [{{ value: /public }}] }}
              - name: clerks-order
                when:
                  methods: [POST]
                  paths: [{{ type: Exact, value: /orders }}]
                  callers: [{{ apiKey: clerk }}]
              - name: readers-read
                when:
                  paths: [{{ value: /staff }}]
                  callers: [{{ issuer: '{}', claims: [{{ name: roles, value: reader }}] }}]
              - name: never-from-there
                action: Deny
                when: {{ sources: [203.0.113.0/24] }}",
            issuer.name
        ),
    );
    let authn = yaml::authn(
        "guard",
        &format!(
            "
            targetRefs: [{{ kind: HTTPRoute, name: all }}]
            methods:
              - {{ name: keys, apiKey: {{ secretRef: {{ name: keys }} }} }}
              - name: token
                jwt: {{ issuer: '{}', audiences: [{AUDIENCE}], jwks: '{}' }}",
            issuer.name,
            issuer.jwks(),
        ),
    );
    let setup = setup
        .with(yaml::secret("keys", &[("clerk", CLERK), ("auditor", AUDITOR)]))
        .with(authn)
        .with(policy)
        .arguments(&["--trust-forwarded", "127.0.0.1/32"]);
    (origin, setup.start().await)
}

async fn send(
    gateway: &Gateway,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
) -> e2e::Reply {
    let mut asked = request(method, HOST, path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    gateway.send(asked.body(nothing()).expect("a well-formed request")).await
}

#[tokio::test]
async fn only_the_right_key_opens_and_only_its_own_door() {
    let (origin, gateway) = guarded(&Issuer::new("https://login.test")).await;
    let (order, mut replies) = (("POST", "/orders"), Vec::new());
    for (case, headers, status, reason) in [
        (order, &[][..], 401, "credential_missing"),
        (order, &[("x-api-key", "not-a-key-of-anybody")], 401, "credential_invalid"),
        (order, &[("x-api-key", "")], 401, "credential_invalid"),
        (order, &[("x-api-key", "clerk")], 401, "credential_invalid"),
        (order, &[("x-api-key", CLERK), ("x-api-key", AUDITOR)], 401, "credential_invalid"),
        (order, &[("x-api-key", AUDITOR)], 403, "access_denied"),
        (("GET", "/orders"), &[("x-api-key", CLERK)], 403, "access_denied"),
        (("POST", "/orders/1"), &[("x-api-key", CLERK)], 403, "access_denied"),
        (("POST", "/public"), &[("x-api-key", CLERK)], 403, "access_denied"),
        // Shown where it is read, and wrong: refused even where none is needed.
        (("GET", "/public"), &[("x-api-key", "not-a-key-of-anybody")], 401, "credential_invalid"),
    ] {
        let reply = send(&gateway, case, headers).await;
        assert_eq!(reply.header("www-authenticate").is_empty(), status == 403, "{case:?}");
        replies.push((reply, case, status, reason));
    }
    for (reply, case, status, reason) in replies {
        let line = refused(&gateway, &reply, status, reason).await;
        assert_eq!((&line["method"], &line["path"]), (&case.0.into(), &case.1.into()));
        let told = line["detail"].as_str().unwrap_or_default();
        let has_cause = told.starts_with("the key in the header 'x-api-key' is refused: ");
        assert_eq!(has_cause, reason == "credential_invalid", "{line}");
    }
    assert_eq!(origin.count(), 0);

    let reply = send(&gateway, order, &[("x-api-key", CLERK)]).await;
    let line = answered(&gateway, &reply, "shop").await;
    assert!(line["rule"].to_string().contains("clerks-order"), "{line}");
    assert!(line["principal"].to_string().contains("clerk"), "{line}");
    assert_eq!(origin.last().header("x-api-key"), "", "the key went to the backend");
    let reply = send(&gateway, ("GET", "/public/x"), &[]).await;
    let line = answered(&gateway, &reply, "shop").await;
    assert!(line["rule"].to_string().contains("anyone-looks"), "{line}");
    assert_eq!(origin.count(), 2);
    for text in [gateway.access_log(), gateway.stderr()] {
        assert!(!text.contains(CLERK) && !text.contains(AUDITOR), "a key is in a log");
    }
}

#[tokio::test]
async fn a_token_is_believed_only_whole_and_in_time() {
    let issuer = Issuer::new("https://login.test");
    let (origin, gateway) = guarded(&issuer).await;
    let good = issuer.token("ann", AUDIENCE, 60);
    let parts: Vec<&str> = good.split('.').collect();
    let claims = json!({ "iss": issuer.name, "sub": "eve", "aud": AUDIENCE, "exp": now() + 60, "roles": ["reader"] });
    let header = json!({ "alg": "EdDSA", "kid": "k1" });
    let without_end =
        json!({ "iss": issuer.name, "sub": "ann", "aud": AUDIENCE, "roles": ["reader"] });
    let early = json!({ "iss": issuer.name, "sub": "ann", "aud": AUDIENCE, "exp": now() + 600, "nbf": now() + 300, "roles": ["reader"] });
    let (stranger, mut replies) = (Issuer::new(&issuer.name), Vec::new());
    let signature = "its signature does not hold";
    for (detail, token) in [
        ("it expired at ", issuer.token("ann", AUDIENCE, -120)),
        // Other claims under an old signature.
        (signature, format!("{}.{}.{}", parts[0], encode(&claims), parts[2])),
        (signature, format!("{}.{}.", parts[0], parts[1])),
        (
            "its algorithm 'none' is not accepted",
            format!("{}.{}.", encode(&json!({ "alg": "none" })), encode(&claims)),
        ),
        (
            "its algorithm 'HS256' is not accepted",
            issuer.sign(&json!({ "alg": "HS256", "kid": "k1" }), &claims),
        ),
        (signature, stranger.token("ann", AUDIENCE, 60)),
        ("no key that fits", issuer.sign(&json!({ "alg": "EdDSA", "kid": "k2" }), &claims)),
        ("it is meant for another audience", issuer.token("ann", "bank", 60)),
        (
            "nobody here knows its issuer",
            Issuer::new("https://evil.test").token("ann", AUDIENCE, 60),
        ),
        ("its claim 'exp' is missing", issuer.sign(&header, &without_end)),
        ("it is not valid before ", issuer.sign(&header, &early)),
        ("its three parts cannot be read", "nonsense".to_owned()),
        ("its header cannot be read", "a.b.c".to_owned()),
    ] {
        let shown = format!("Bearer {token}");
        let reply = send(&gateway, ("GET", "/staff"), &[("authorization", &shown)]).await;
        assert_eq!(reply.status, 401, "{detail}: {reply:?}");
        replies.push((detail, reply));
    }
    for (detail, reply) in replies {
        let line = refused(&gateway, &reply, 401, "credential_invalid").await;
        let told = line["detail"].as_str().unwrap_or_default();
        assert!(
            told.starts_with("the token in the header 'authorization' is refused: ")
                && told.contains(detail),
            "{line}"
        );
    }
    let plain = issuer.sign(
        &header,
        &json!({ "iss": issuer.name, "sub": "bob", "aud": AUDIENCE, "exp": now() + 60, "roles": [] }),
    );
    let shown = format!("Bearer {plain}");
    let reply = send(&gateway, ("GET", "/staff"), &[("authorization", &shown)]).await;
    refused(&gateway, &reply, 403, "access_denied").await;
    assert_eq!(origin.count(), 0);

    let shown = format!("Bearer {good}");
    let reply = send(&gateway, ("GET", "/staff"), &[("authorization", &shown)]).await;
    let line = answered(&gateway, &reply, "shop").await;
    assert!(line["rule"].to_string().contains("readers-read"), "{line}");
    assert!(line["principal"].to_string().contains("ann"), "{line}");
    let shown = format!("bearer {good}");
    let reply = send(&gateway, ("GET", "/staff"), &[("Authorization", &shown)]).await;
    answered(&gateway, &reply, "shop").await;
    assert!(!gateway.access_log().contains(parts[2]), "a token is in the log");
}

#[tokio::test]
async fn a_denied_source_is_denied_whatever_it_holds() {
    let (origin, gateway) = guarded(&Issuer::new("https://login.test")).await;
    let from = ("x-forwarded-for", "203.0.113.77");
    for (case, headers) in
        [(("GET", "/public"), &[from][..]), (("POST", "/orders"), &[from, ("x-api-key", CLERK)])]
    {
        let reply = send(&gateway, case, headers).await;
        let line = refused(&gateway, &reply, 403, "access_denied").await;
        assert!(line["rule"].to_string().contains("never-from-there"), "{line}");
        assert_eq!(line["source"], "203.0.113.77");
    }
    assert_eq!(origin.count(), 0);
    let reply = send(&gateway, ("GET", "/public"), &[("x-forwarded-for", "203.0.114.1")]).await;
    answered(&gateway, &reply, "shop").await;
}

#[tokio::test]
async fn a_key_in_a_query_or_cookie_opens_and_goes_to_no_backend() {
    let (origin, setup) = shop().await;
    let authn = yaml::authn(
        "known",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         methods:\n  - name: keys\n    apiKey:\n      \
         from: [{ query: key }, { cookie: key }]\n      secretRef: { name: keys }\n\
         require: Any",
    );
    let keys = yaml::secret("keys", &[("clerk", CLERK)]);
    let gateway = setup.with(keys).with(authn).start().await;
    for (target, cookie, sent) in [
        (format!("/a?b=1&key={CLERK}&c=2"), "d=1".to_owned(), ("/a?b=1&c=2", "d=1")),
        (format!("/a?k%65y={CLERK}"), String::new(), ("/a", "")),
        ("/a?b=1".to_owned(), format!("d=1; key={CLERK}"), ("/a?b=1", "d=1")),
    ] {
        let cookie = [("cookie", cookie.as_str())];
        let headers = if cookie[0].1.is_empty() { &[][..] } else { &cookie };
        let reply = send(&gateway, ("GET", &target), headers).await;
        answered(&gateway, &reply, "shop").await;
        let seen = origin.last();
        assert_eq!((seen.target.as_str(), seen.header("cookie")), sent, "{target}");
    }
    let nobody = send(&gateway, ("GET", "/a?key=wrong"), &[]).await;
    refused(&gateway, &nobody, 401, "credential_invalid").await;
    let none = send(&gateway, ("GET", "/a"), &[]).await;
    let line = refused(&gateway, &none, 401, "credential_missing").await;
    assert!(!gateway.access_log().contains(CLERK), "{line:?}");
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn a_consumer_is_known_by_each_of_its_keys_while_that_holds() {
    const FILE: &str = "consumers.yaml";
    let [old, new] = ["an-old-marker-key-of-acme", "a-new-marker-key-of-acme"];
    let acme = |until: &str| yaml::consumer("acme", &[("old", old, until), ("new", new, "")]);
    let (origin, setup) = shop().await;
    let authn = yaml::authn(
        "known",
        "
        targetRefs: [{ kind: HTTPRoute, name: all }]
        methods:
          - name: customers
            apiKey: { from: [{ header: x-api-key }, { basic: shop }], consumers: {} }
            toHeaders: [{ header: x-customer }]",
    );
    let policy = yaml::policy(
        "known",
        "
        targetRefs: [{ kind: HTTPRoute, name: all }]
        rules:
          - name: acme
            when: { callers: [{ consumer: { name: acme } }] }
          - name: backends-own
            when: { paths: [{ value: /own }] }",
    );
    let setup = setup.with(authn).with(policy);
    let gateway = setup.file(FILE, acme("until: '2100-01-01T00:00:00Z'")).start().await;
    let get = ("GET", "/");
    let basic =
        |user: &str, key: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{key}")));
    for key in [old, new] {
        for headers in [("x-api-key", key), ("authorization", &*basic("acme", key))] {
            let line = answered(&gateway, &send(&gateway, get, &[headers]).await, "shop").await;
            assert_eq!(line["principal"], "consumer:shop/acme", "{line}");
            let seen = origin.last();
            let told = ["x-customer", "x-api-key", "authorization"].map(|name| seen.header(name));
            assert_eq!(told, ["acme", "", ""]);
        }
    }
    let others = basic("globex", new);
    let reply = send(&gateway, get, &[("authorization", &*others)]).await;
    refused(&gateway, &reply, 401, "credential_invalid").await;
    let nobody = send(&gateway, get, &[]).await;
    let challenges: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(
        challenges,
        ["ApiKey header=\"x-api-key\"", "Basic realm=\"shop\", charset=\"UTF-8\""]
    );
    refused(&gateway, &nobody, 401, "credential_missing").await;
    // What is the backend's stays the backend's.
    let reply = send(&gateway, ("GET", "/own"), &[("authorization", "Bearer its-own")]).await;
    answered(&gateway, &reply, "shop").await;
    assert_eq!(origin.last().header("authorization"), "Bearer its-own");

    gateway.write(FILE, &acme("until: '2020-01-01T00:00:00Z'"));
    wait::until_true_of("the old key to end", async || {
        send(&gateway, get, &[("x-api-key", old)]).await.status == 401
    })
    .await;
    let line = refused(
        &gateway,
        &send(&gateway, get, &[("x-api-key", old)]).await,
        401,
        "credential_invalid",
    )
    .await;
    assert!(line["detail"].to_string().contains("it held until 2020-01-01T00:00:00Z"), "{line}");
    answered(&gateway, &send(&gateway, get, &[("x-api-key", new)]).await, "shop").await;
    let config = gateway.admin("/config").await.expect("it answers");
    let (log, config) = (gateway.access_log(), String::from_utf8_lossy(&config.body));
    for key in [old, new] {
        assert!(!log.contains(key) && !config.contains(key), "{key} is shown");
    }
}

#[tokio::test]
async fn a_key_that_two_consumers_have_proves_neither_and_both_are_told() {
    let (_origin, setup) = shop().await;
    let [shared, own] = ["a-key-that-two-of-them-have", "a-key-that-one-of-them-has"];
    let authn = yaml::authn(
        "known",
        "
        targetRefs: [{ kind: HTTPRoute, name: all }]
        methods: [{ name: customers, apiKey: { consumers: {} } }]
        require: Any",
    );
    let gateway = setup
        .with(authn)
        .with(yaml::consumer("acme", &[("shared", shared, ""), ("own", own, "")]))
        .with(yaml::consumer("globex", &[("shared", shared, "")]))
        .start()
        .await;
    let reply = send(&gateway, ("GET", "/"), &[("x-api-key", shared)]).await;
    let line = refused(&gateway, &reply, 401, "credential_invalid").await;
    assert!(line["detail"].to_string().contains("more than one Consumer has it"), "{line}");
    answered(&gateway, &send(&gateway, ("GET", "/"), &[("x-api-key", own)]).await, "shop").await;
    let said = gateway.stderr();
    for name in ["acme", "globex"] {
        let told =
            format!("Consumer shop/{name}: spec.keys[0].sha256: another Consumer has the same");
        assert!(said.contains(&told), "no '{told}' in\n{said}");
    }
}

#[tokio::test]
async fn whom_a_rule_would_hit_is_told_before_it_denies() {
    let (_origin, setup) = shop().await;
    let audit = "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
                 rules: [{ name: no-posts, action: Audit, when: { methods: [POST] } }]";
    let gateway = setup.with(yaml::policy("trial", audit)).start().await;
    for (method, audited) in [("GET", json!(null)), ("POST", json!("shop/trial/no-posts"))] {
        let reply = send(&gateway, (method, "/"), &[]).await;
        let line = answered(&gateway, &reply, "shop").await;
        assert_eq!((&line["audited"], &line["rule"]), (&audited, &json!(null)), "{line}");
    }
}

#[tokio::test]
async fn the_backend_is_told_who_is_calling_by_nobody_but_the_gateway() {
    let issuer = Issuer::new("https://login.test");
    let origin = Origin::start("shop").await;
    // By HTTP/2, which passes all trailers on.
    let setup = Setup::new()
        .with(yaml::service_speaking("shop", "kubernetes.io/h2c", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"));
    let authn = yaml::authn(
        "known",
        &format!(
            "
            targetRefs: [{{ kind: HTTPRoute, name: all }}]
            methods:
              - name: keys
                apiKey: {{ secretRef: {{ name: keys }} }}
                toHeaders: [{{ header: x-user }}]
              - name: token
                jwt: {{ issuer: '{}', audiences: [{AUDIENCE}], jwks: '{}', forward: false }}
                toHeaders: [{{ header: x-user }}, {{ header: x-roles, claim: roles }}]",
            issuer.name,
            issuer.jwks(),
        ),
    );
    let keys = yaml::secret("keys", &[("clerk", CLERK)]);
    let gateway = setup.with(keys).with(authn).start().await;
    let token = format!("Bearer {}", issuer.token("ann", AUDIENCE, 60));
    let (key, token) = (("x-api-key", CLERK), ("authorization", &*token));
    let lies = [("x-user", "admin"), ("X_User", "admin"), ("x.user", "admin"), ("X-Roles", "root")];
    let nominated = ("connection", "x-user, x-roles, keep-alive");
    for (shown, user, roles) in [
        (&[][..], "", ""),
        (&[key], "clerk", ""),
        (&[token], "ann", "reader"),
        // The first method that knows somebody tells, and nobody has the roles of another.
        (&[key, token], "clerk", ""),
    ] {
        for more in [&[][..], &lies, &[nominated]] {
            let headers = [shown, more].concat();
            answered(&gateway, &send(&gateway, ("GET", "/"), &headers).await, "shop").await;
            let seen = origin.last();
            let told = ["x-user", "x-roles", "x_user", "x.user"].map(|name| seen.header(name));
            assert_eq!(told, [user, roles, "", ""], "{headers:?}");
        }
    }
    // Nor does a trailer, which backends may put with the headers.
    let trailers = "x-user: admin\r\nX_Roles: root\r\nx-sum: 42\r\n\r\n";
    let mut raw = Raw::connect(gateway.web()).await;
    let head = format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n");
    raw.write(format!("{head}\r\n3\r\nabc\r\n0\r\n{trailers}")).await;
    let answer = String::from_utf8(raw.rest().await).expect("text");
    assert!(answer.ends_with("3 x-sum=42"), "{answer}");
}

#[tokio::test]
async fn a_tunnel_is_judged_again_by_what_came_and_not_by_what_is_told() {
    let (_origin, setup) = shop().await;
    let telling = yaml::authn(
        "known",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         methods:\n  - name: keys\n    apiKey: { secretRef: { name: keys } }\n    \
         toHeaders: [{ header: x-user }]",
    );
    let liars = yaml::policy(
        "liars",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         rules: [{ name: no-liars, action: Deny, when: { headers: [{ name: x-user, value: clerk }] } }]",
    );
    let keys = yaml::secret("keys", &[("clerk", CLERK)]);
    let gateway = setup.with(keys).with(telling).with(liars).start().await;
    let liar = send(&gateway, ("GET", "/"), &[("x-api-key", CLERK), ("x-user", "clerk")]).await;
    refused(&gateway, &liar, 403, "access_denied").await;
    let mut asked = format!("ws://{HOST}/ws").into_client_request().unwrap();
    asked.headers_mut().insert("x-api-key", CLERK.parse().unwrap());
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(asked, stream).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let back = wait::within("an echo", socket.next()).await.expect("one more").unwrap();
        assert_eq!(back, Message::text(text));
        // Another table, by which it is judged once more.
        let other = yaml::path_route("other", &format!("/other-{text}"), "shop");
        let table =
            async || gateway.admin("/config").await.unwrap().json()["inForce"]["table"].to_string();
        let before = table().await;
        gateway.write("other.yaml", &other);
        wait::until_true_of("another table", async || table().await != before).await;
    }
}

#[tokio::test]
async fn every_level_must_let_pass() {
    let (origin, setup) = shop().await;
    let level = |name: &str, target: &str, method: &str| {
        yaml::policy(
            name,
            &format!(
                "targetRefs: [{{ kind: {target} }}]\n\
                 rules: [{{ name: {name}, when: {{ methods: [{method}] }} }}]"
            ),
        )
    };
    let gateway = setup
        .with(level("outer", "Gateway, name: edge", "GET, POST"))
        .with(level("inner-get", "HTTPRoute, name: all", "GET"))
        .with(level("inner-put", "HTTPRoute, name: all", "PUT"))
        .start()
        .await;
    for (method, status) in [("GET", 200), ("POST", 403), ("PUT", 403), ("DELETE", 403)] {
        let reply = send(&gateway, (method, "/"), &[]).await;
        assert_eq!(reply.status, status, "{method}: {reply:?}");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_closes_its_target_and_nothing_else() {
    let (origin, setup) = shop().await;
    let unreadable = yaml::policy(
        "newer",
        "targetRefs: [{ kind: HTTPRoute, name: admin }]\n\
         rules: [{ name: some, when: { moonPhase: full } }]",
    );
    let gateway =
        setup.with(yaml::path_route("admin", "/admin", "shop")).with(unreadable).start().await;
    let reply = send(&gateway, ("GET", "/admin"), &[]).await;
    refused(&gateway, &reply, 503, "policy_unreadable").await;
    assert_eq!(origin.count(), 0);
    let reply = send(&gateway, ("GET", "/"), &[]).await;
    answered(&gateway, &reply, "shop").await;
    gateway.until_said("moonPhase").await;
}

#[tokio::test]
async fn a_deny_rule_for_a_key_that_is_gone_opens_nothing() {
    let keys = |entries: &[(&str, &str)]| yaml::secret("keys", entries);
    let guard = yaml::policy(
        "guard",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         rules: [{ name: not-the-auditor, action: Deny, when: { callers: [{ apiKey: auditor }] } }]",
    );
    let (origin, setup) = shop().await;
    let before = keys(&[("clerk", CLERK), ("auditor", AUDITOR)]);
    let known = yaml::keys("known", "HTTPRoute, name: all", "keys");
    let gateway = setup.with(known).with(guard).file("keys.yaml", before).start().await;
    let reply = send(&gateway, ("GET", "/"), &[("x-api-key", AUDITOR)]).await;
    refused(&gateway, &reply, 403, "access_denied").await;

    // The auditor's key goes on under another name.
    gateway.write("keys.yaml", &keys(&[("clerk", CLERK), ("auditors", AUDITOR)]));
    gateway.until_said("did you mean 'auditors'?").await;
    for headers in [&[("x-api-key", AUDITOR)][..], &[("x-api-key", CLERK)], &[]] {
        let reply = send(&gateway, ("GET", "/"), headers).await;
        refused(&gateway, &reply, 503, "policy_unreadable").await;
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn refusals_do_not_tell_what_would_be_right() {
    let (_origin, gateway) = guarded(&Issuer::new("https://login.test")).await;
    for case in [("POST", "/orders"), ("GET", "/nowhere")] {
        let reply = send(&gateway, case, &[("x-api-key", AUDITOR)]).await;
        let told = format!("{:?} {}", reply.headers, reply.text());
        for word in ["clerk", "guard", "keys", "login.test", "203.0.113"] {
            assert!(!told.contains(word), "'{word}' in {told}");
        }
    }
}
