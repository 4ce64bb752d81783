//! What an operator sees: metrics, logs, health, the configuration in force.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::client::{bytes, nothing, request};
use e2e::trust::Authority;
use e2e::{Connection, Setup, wait, yaml};

use crate::scene::{HOST, answered, open_shop, refused, shop};

const REQUESTS: &str = "heddle_requests_total";

#[tokio::test]
async fn metrics_count_exactly_what_was_sent() {
    let (_origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::path_route("missing", "/missing", "nowhere"))
        .arguments(&["--workers", "2"])
        .start()
        .await;
    let paths = [("/", 30), ("/status/404", 7), ("/missing", 5), ("/a%00b", 3)];
    for (path, count) in paths {
        for index in 0..count {
            let mut connection = if index % 2 == 0 {
                Connection::h1(gateway.web()).await.unwrap()
            } else {
                Connection::h2c(gateway.web()).await.unwrap()
            };
            connection.send(request("GET", HOST, path).body(nothing()).unwrap()).await.unwrap();
        }
    }
    for (labels, count) in [
        (&[][..], 45.0),
        (&["reason=\"ok\""], 37.0),
        (&["reason=\"backend_missing\""], 5.0),
        (&["reason=\"path_invalid\""], 3.0),
    ] {
        wait::until(&format!("{count} of {labels:?}"), || async {
            (gateway.metric(REQUESTS, labels).await == count).then_some(())
        })
        .await;
    }
    let page = gateway.admin("/metrics").await.unwrap();
    assert!(page.text().contains("# TYPE"), "{}", page.text());
    assert!(page.text().trim_end().ends_with("# EOF"), "OpenMetrics ends with # EOF");
    let lines = || gateway.access_log().lines().count();
    wait::until_true("a line for each", || lines() >= 45).await;
    assert_eq!(lines(), 45);
}

#[tokio::test]
async fn a_log_line_says_all_of_a_request() {
    let (origin, gateway) = open_shop().await;
    let asked = request("POST", HOST, "/echo?token=hidden").header("user-agent", "tests/1");
    let reply = gateway.send(asked.body(bytes("twelve bytes")).unwrap()).await;
    let line = answered(&gateway, &reply, "shop").await;
    for (field, value) in [
        ("source", serde_json::json!("127.0.0.1")),
        ("method", "POST".into()),
        ("host", HOST.into()),
        ("path", "/echo".into()),
        ("status", 200.into()),
        ("backend", "shop/shop:80".into()),
        ("endpoint", origin.address.to_string().into()),
        ("attempts", 1.into()),
        ("bytes_in", 12.into()),
        ("bytes_out", 12.into()),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(line["route"].as_str().is_some_and(|route| route.starts_with("shop/all")), "{line}");
    assert!(line["duration_us"].as_u64() > Some(0), "{line}");
    let time = line["time"].as_str().unwrap_or_default();
    assert!(time.len() >= 20 && time.ends_with('Z'), "{time}");
    assert!(!line.to_string().contains("hidden"), "a query may hold secrets: {line}");
}

#[tokio::test]
async fn a_log_cannot_be_forged_by_a_request() {
    let (_origin, gateway) = open_shop().await;
    let path = "/x%22%7d%0a%7b%22reason%22";
    let headers = [("user-agent", "a\"} {\"status\":1\\")];
    let reply = gateway.get_with(HOST, path, &headers).await;
    let line = gateway.logged(&reply).await;
    assert_eq!(line["status"], reply.status);
    assert_eq!(gateway.access_log().lines().count(), 1);
}

#[tokio::test]
async fn the_dump_shows_the_configuration_and_no_secret() {
    let (origin, authority) = (e2e::Origin::start("shop").await, Authority::new());
    let certificate = authority.sign(HOST);
    let (web, tls) = (e2e::program::free_port(), e2e::program::free_port());
    let key = "a-marker-key-that-must-stay-inside";
    let policy = yaml::policy(
        "keys-only",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         rules: [{ name: any-key, when: { callers: [{}] } }]",
    );
    let gateway = Setup::bare()
        .listener("web", web, yaml::http("web", web))
        .listener("tls", tls, yaml::https("tls", tls, HOST, "cert"))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(yaml::secret("keys", &[("ann", key)]))
        .with(yaml::tls_secret("cert", &certificate))
        .with(yaml::keys("keys-only", "HTTPRoute, name: all", "keys"))
        .with(policy)
        .start()
        .await;
    let reply = gateway.get_with(HOST, "/", &[("x-api-key", key)]).await;
    answered(&gateway, &reply, "shop").await;
    let wrong = format!("{key}-not");
    let reply = gateway.get_with(HOST, "/", &[("x-api-key", &wrong)]).await;
    refused(&gateway, &reply, 401, "credential_invalid").await;

    let dump = gateway.admin("/config").await.unwrap();
    assert_eq!(dump.status, 200);
    assert!(dump.json().is_object(), "{}", dump.text());
    for word in ["keys-only", "edge", "sha256:"] {
        assert!(dump.text().contains(word), "no {word} in the dump");
    }
    let debug = reply.header("heddle-debug");
    let digest = debug.split(' ').find_map(|part| part.strip_prefix("table="));
    let digest = digest.unwrap_or_else(|| panic!("a refusal names no table: '{debug}'"));
    assert!(dump.text().contains(digest), "the dump does not name table {digest}");

    let body: String = certificate.key.lines().filter(|line| !line.starts_with("--")).collect();
    let metrics = gateway.admin("/metrics").await.unwrap().text();
    for (place, text) in [
        ("/config", dump.text()),
        ("/metrics", metrics),
        ("stderr", gateway.stderr()),
        ("access log", gateway.access_log()),
    ] {
        for secret in [key, &STANDARD.encode(key), &body[..40]] {
            assert!(!text.contains(secret), "a secret is in {place}");
        }
    }
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let (_origin, gateway) = open_shop().await;
    for path in ["/healthz", "/readyz", "/metrics", "/config"] {
        assert_eq!(gateway.admin(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(gateway.admin("/elsewhere").await.unwrap().status, 404);
    // What is of the admin address is nobody else's.
    assert_eq!(gateway.get(HOST, "/readyz").await.origin(), "shop");
}

#[tokio::test]
async fn nobody_is_led_to_the_admin_port() {
    let other = Setup::new().start().await;
    let gateway = Setup::new()
        .with(yaml::service("other", &[other.admin]))
        .with(yaml::path_route("other", "/config", "other"))
        .start()
        .await;
    let own = yaml::service("own", &[gateway.admin]);
    gateway.write("own.yaml", &yaml::join(&[own, yaml::path_route("own", "/own", "own")]));
    gateway.until_said("an endpoint is this process's admin port: left out").await;
    let reply = gateway.get(HOST, "/own").await;
    refused(&gateway, &reply, 503, "no_endpoint").await;
    let reply = gateway.get(HOST, "/config").await;
    assert_eq!((reply.status, reply.text().contains("inForce")), (403, false), "{reply:?}");
}
