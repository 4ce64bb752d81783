//! Switching protocols: only where it was asked for, and until an end that both sides can bear.

use std::time::{Duration, Instant};

use e2e::client::{nothing, request};
use e2e::{Connection, Gateway, Scripted, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, open_shop, refused, shop};

type Socket = WebSocketStream<TcpStream>;

/// A WebSocket through `gateway`, and the id of its request.
async fn socket(gateway: &Gateway) -> (Socket, String) {
    let asked = format!("ws://{HOST}/ws").into_client_request().expect("a request");
    let stream = TcpStream::connect(gateway.web()).await.expect("a connection");
    let opened = tokio_tungstenite::client_async(asked, stream);
    let (socket, response) = wait::within("the handshake", opened).await.expect("a tunnel");
    let id = response.headers()["x-request-id"].to_str().expect("an id is text");
    (socket, id.to_owned())
}

/// Sends `words` and waits for them to come back.
async fn echoed(socket: &mut Socket, words: &str) {
    let cut =
        |what: &dyn std::fmt::Debug| -> ! { panic!("'{words}': the tunnel is cut: {what:?}") };
    if let Err(error) = socket.send(Message::text(words)).await {
        cut(&error);
    }
    match wait::within("the echo", socket.next()).await {
        Some(Ok(back)) => assert_eq!(back, Message::text(words)),
        other => cut(&other),
    }
}

/// Waits until new callers are refused, which is after draining began.
async fn until_drained(gateway: &Gateway) {
    let web = gateway.web();
    wait::until("new callers to be refused", || async {
        TcpStream::connect(web).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_lives_on_while_the_gateway_drains() {
    let (_origin, mut gateway) = open_shop().await;
    let (mut socket, id) = socket(&gateway).await;
    echoed(&mut socket, "before").await;
    gateway.terminate();
    until_drained(&gateway).await;
    for words in ["one", "two", "three"] {
        echoed(&mut socket, words).await;
    }
    assert!(gateway.try_exit().is_none(), "it ended under a tunnel");
    socket.close(None).await.unwrap();
    while wait::within("the close", socket.next()).await.is_some() {}
    drop(socket);
    let began = Instant::now();
    assert_eq!(gateway.exited().await, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?} after its end", began.elapsed());
    assert_eq!(gateway.logged_as(&id).await["status"], 101);
}

#[tokio::test]
async fn a_tunnel_ends_with_the_drain_timeout() {
    let (_origin, setup) = shop().await;
    let mut gateway = setup.arguments(&["--drain-timeout", "1s"]).start().await;
    let (mut socket, id) = socket(&gateway).await;
    echoed(&mut socket, "before").await;
    let began = Instant::now();
    gateway.terminate();
    while let Some(Ok(_)) = wait::within("the cut", socket.next()).await {}
    assert_eq!(gateway.exited().await, 0);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    // What was cut is told.
    let line = gateway.logged_as(&id).await;
    assert_eq!((&line["status"], &line["reason"]), (&101.into(), &"drained".into()), "{line}");
}

#[tokio::test]
async fn a_tunnel_is_cut_by_a_table_that_forbids_it() {
    let (_origin, gateway) = open_shop().await;
    let (mut socket, id) = socket(&gateway).await;
    echoed(&mut socket, "before").await;
    // A table that lets it live.
    gateway.write("note.yaml", &yaml::path_route("other", "/other", "shop"));
    gateway.until_said("table in force").await;
    echoed(&mut socket, "between").await;
    let deny = "targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: all }]\n\
                rules: [{ name: shut, action: Deny, when: { methods: [GET] } }]";
    gateway.write("policy.yaml", &yaml::policy("shut", deny));
    while let Some(Ok(_)) = wait::within("the cut", socket.next()).await {}
    let line = gateway.logged_as(&id).await;
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&101.into(), &"access_denied".into()),
        "{line}"
    );
    assert_eq!(gateway.get(HOST, "/").await.status, 403);
}

#[tokio::test]
async fn a_tunnel_into_another_namespace_is_cut_when_its_grant_goes_and_by_nothing_else() {
    let origin = e2e::Origin::start("books").await;
    let bank = |document: &str| document.replace("namespace: shop", "namespace: bank");
    let across = |to: &str| {
        let backends = format!("backendRefs: [{{ name: {to}, namespace: bank, port: 80 }}]");
        yaml::route("across", &format!("rules: [{{ {backends} }}]"))
    };
    let head = yaml::document("gateway.networking.k8s.io/v1", "ReferenceGrant", "lends", "");
    let grant = bank(&head)
        + "spec:\n  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }]\n  \
           to: [{ group: '', kind: Service }]\n";
    let gateway = Setup::new()
        .with(bank(&yaml::service("books", &[origin.address])))
        .with(bank(&yaml::service("others", &[origin.address])))
        .file("across.yaml", across("books"))
        .file("grant.yaml", grant)
        .start()
        .await;
    let (mut socket, id) = socket(&gateway).await;
    echoed(&mut socket, "before").await;
    // A route that leads elsewhere now takes nobody off.
    gateway.write("across.yaml", &across("others"));
    wait::until_true_of("a request to lead elsewhere", async || {
        gateway.get(HOST, "/").await.header("heddle-debug").contains("backend=bank/others:80")
    })
    .await;
    echoed(&mut socket, "between").await;
    gateway.write("across.yaml", &across("books"));
    std::fs::remove_file(gateway.file("grant.yaml")).expect("the grant's file is there");
    while let Some(Ok(_)) = wait::within("the cut", socket.next()).await {}
    assert_eq!(gateway.logged_as(&id).await["backend"], "bank/books:80");
}

/// A backend that switches to the protocol `other`, whatever it is asked.
async fn odd() -> (Scripted, Gateway) {
    let answer = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nsecret";
    let backend = Scripted::start(answer).await;
    let setup = Setup::new().with(yaml::service("odd", &[backend.address]));
    (backend, setup.with(yaml::path_route("all", "/", "odd")).start().await)
}

#[tokio::test]
async fn a_switch_to_another_protocol_than_was_asked_for_is_a_502() {
    let (_backend, gateway) = odd().await;
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    let reply = gateway.get_with(HOST, "/", &headers).await;
    refused(&gateway, &reply, 502, "upstream_protocol").await;
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let (_backend, gateway) = odd().await;
    for headers in
        [&[][..], &[("upgrade", "other")], &[("connection", "upgrade"), ("upgrade", "h2c")]]
    {
        let reply = gateway.get_with(HOST, "/", headers).await;
        assert_eq!(reply.status, 502, "asked with {headers:?}: {reply:?}");
        refused(&gateway, &reply, 502, "upstream_protocol").await;
    }
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    let sent = connection.send(request("GET", HOST, "/").body(nothing()).unwrap());
    let reply = wait::within("an answer over HTTP/2", sent).await.unwrap();
    refused(&gateway, &reply, 502, "upstream_protocol").await;
}

#[tokio::test]
async fn a_tunnel_that_falls_silent_for_longer_than_its_service_may_is_closed() {
    let (_origin, setup) = shop().await;
    let quiet = yaml::traffic("shop", "timeouts: { streamIdle: 1s }");
    let gateway = setup.with(quiet).start().await;
    let (mut socket, id) = socket(&gateway).await;
    echoed(&mut socket, "before").await;
    let end = wait::within("the end of the tunnel", socket.next()).await;
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    assert_eq!(gateway.logged_as(&id).await["detail"], "closed after silence");
}
