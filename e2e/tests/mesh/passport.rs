//! For whom an application asks: carried from the edge to whoever is asked last, and never borrowed.

use e2e::soak::count;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::cloth::{CLERK, Cloth, PASSPORT, READER, TRACE, orders, send, shop};

/// The id in a `traceparent`.
fn id(trace: &str) -> &str {
    trace.split('-').nth(1).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_known_to_whom_their_application_asks_and_to_nobody_before_or_after() {
    let scene = Cloth::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    assert_eq!(scene.asks(&trace).await, 200);
    // No application ever holds one.
    for seen in [scene.front.last(), scene.orders.last()] {
        assert!(!seen.headers.contains_key(PASSPORT), "{:?}", seen.headers);
    }
    let orders = &scene.nodes[2];
    e2e::wait::until_true("the user in the log of the orders' proxy", || {
        let log = orders.access_log();
        log.contains(r#""principal":"apikey:clerk""#) && log.contains(id(&trace))
    })
    .await;
    let before = scene.orders.count();
    // A trace that was dropped, or made up, or one with a passport that was made up.
    let made_up = format!("00-{}-00f067aa0ba902b7-01", "ab".repeat(16));
    assert_eq!(scene.asks_with(&[]).await, 403);
    assert_eq!(scene.asks(&made_up).await, 403);
    assert_eq!(scene.asks_with(&[(TRACE, &made_up), (PASSPORT, "a.b.c.d")]).await, 403);
    assert_eq!(scene.orders.count(), before);
    // A user whom the rule does not name.
    let (other, reader) = scene.under_way(READER).await;
    assert_eq!(scene.asks(&reader).await, 403);
    // Over, but for a moment; then it tells for nobody.
    scene.front.open_gate();
    for reply in [sent.await, other.await] {
        assert_eq!(reply.expect("it was sent").status, 200);
    }
    assert_eq!(scene.asks(&trace).await, 200);
    e2e::wait::until("the trace to tell for nobody", || async {
        (scene.asks(&trace).await == 403).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_served_as_somebody_whose_request_is_under_way() {
    let scene = Cloth::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    let (mut as_clerk, tries) = (0, count(50));
    for _ in 0..tries {
        // From outside, with the trace and a passport that is none; from another application.
        // Nor may another tracer's header tell the application the trace.
        let b3 = format!("{}-00f067aa0ba902b7-1", id(&trace));
        let outside = [(TRACE, &*trace), (PASSPORT, "a.b.c.d"), ("b3", &b3)];
        let from_outside = scene.get("/echo", READER, &outside).await;
        let at_front = scene.front.last();
        let inside = [(TRACE, &*trace), ("b3", &b3)];
        let from_inside = send(scene.other_sends, "front", "/echo", &inside).await;
        assert_eq!((from_outside.status, from_inside.status), (200, 200));
        for seen in [at_front, scene.front.last()] {
            let shown = seen.header(TRACE).to_owned();
            assert_ne!(id(&shown), id(&trace));
            assert!([PASSPORT, "b3"].iter().all(|name| !seen.headers.contains_key(*name)));
            as_clerk += u32::from(scene.asks(&shown).await != 403);
        }
        // The other application itself may not even ask.
        let direct = send(scene.other_sends, "orders", "/echo", &[(TRACE, &trace)]).await;
        as_clerk += u32::from(direct.status != 403);
    }
    println!("{tries} tries of each kind, {as_clerk} served as the user");
    assert_eq!((as_clerk, scene.orders.count()), (0, 0));
    // Nor did they take anything from whose request it is.
    assert_eq!(scene.asks(&trace).await, 200);
    scene.front.open_gate();
    assert_eq!(sent.await.expect("it was sent").status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_of_a_user_outlives_a_change_and_ends_with_the_rule_that_let_it_in() {
    let scene = Cloth::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    let mut asked = "ws://orders/ws".into_client_request().expect("a request");
    asked.headers_mut().insert(TRACE, trace.parse().expect("a header's value"));
    let stream = TcpStream::connect(scene.front_sends).await.expect("the proxy listens");
    let (mut socket, _) = tokio_tungstenite::client_async(asked, stream).await.expect("a tunnel");
    let mut echoed = async |words: &str| {
        socket.send(Message::text(words)).await.expect("it is open");
        let back = e2e::wait::within("the echo", socket.next()).await;
        matches!(back, Some(Ok(back)) if back == Message::text(words))
    };
    assert!(echoed("one").await);
    let revision =
        scene.fleet.change(&orders("callers: [{ apiKey: clerk }, { apiKey: reader }]")).await;
    scene.fleet.until_everywhere(revision).await;
    assert!(echoed("two").await);
    let revision = scene.fleet.change(&orders("callers: [{ apiKey: reader }]")).await;
    scene.fleet.until_everywhere(revision).await;
    let ended = e2e::wait::within("the end", socket.next()).await;
    assert!(!matches!(ended, Some(Ok(Message::Text(_)))), "{ended:?}");
    scene.front.open_gate();
    sent.await.expect("it was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_one_api_is_nobody_to_another_that_does_not_name_it() {
    let scene = Cloth::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    assert_eq!(scene.asks(&trace).await, 200, "whom the workspace knows, everybody does");
    scene.front.open_gate();
    sent.await.expect("it was sent");
    let api = |name: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: {{ name: {name} }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
             metadata: {{ name: {name}, namespace: shop }}\n\
             spec: {{ owner: {name}, lifecycle: Published }}\n---\n"
        )
    };
    let of = |api: &str, text: &str| {
        let label = format!("namespace: shop, labels: {{ heddle.dev/api: {api} }} }}\nspec:");
        text.replace("namespace: shop }\nspec:", &label)
    };
    let all = shop();
    let edge = all
        .split("---\n")
        .filter(|one| one.contains("kind: HTTPRoute") || one.contains("metadata: { name: edge,"));
    let edge: String = edge.map(|one| of("front", one) + "---\n").collect();
    // The workspace knows a clerk, too, by another key.
    let other = "apiVersion: v1\nkind: Secret\nmetadata: { name: other, namespace: shop }\n\
                 stringData: { clerk: another-key-of-16-bytes }\n---\n\
                 apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
                 metadata: { name: other, namespace: shop }\nspec:\n  \
                 targetRefs: [{ kind: HTTPRoute, name: front }]\n  methods:\n    \
                 - name: keys\n      \
                   apiKey: { from: [{ header: x-other-key }], secretRef: { name: other } }\n---\n";
    let revision = scene.fleet.change(&(api("front") + &edge + other)).await;
    scene.fleet.until_everywhere(revision).await;
    let (sent, trace) = scene.under_way(CLERK).await;
    assert_eq!(scene.asks(&trace).await, 403, "the front's clerk may be anybody");
    let named = orders("callers: [{ apiKey: clerk, api: front }]");
    let revision = scene.fleet.change(&named).await;
    scene.fleet.until_everywhere(revision).await;
    assert_eq!(scene.asks(&trace).await, 200);
    scene.front.open_gate();
    sent.await.expect("it was sent");
}
