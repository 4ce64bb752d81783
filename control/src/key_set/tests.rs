//! When keys are fetched, how long they hold, and whom nodes are told to believe.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::test::{Bed, op};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Two keys as issuers publish them.
const OLD: &str = r#"{"keys":[{"crv":"Ed25519","kid":"old","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const NEW: &str = r#"{"keys":[{"crv":"Ed25519","kid":"new","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn row(fetched: Option<i64>, tried: i64, failures: i64) -> KeySet {
    KeySet { url: "https://a.example/keys".to_owned(), fetched, tried, failures, fault: None }
}

#[test]
fn keys_are_fetched_each_five_minutes_and_sooner_where_that_failed() {
    for (row, wanted) in [
        (row(Some(99 * SECOND), 99 * SECOND, 0), 300),
        // Somebody is at it; who went away meanwhile is not waited for long.
        (row(None, 99 * SECOND, 0), 20),
        (row(Some(0), 99 * SECOND, 0), 20),
        (row(None, 99 * SECOND, 1), 20),
        (row(None, 99 * SECOND, 2), 40),
        (row(None, 99 * SECOND, 4), 160),
        (row(None, 99 * SECOND, 5), 300),
        (row(None, 99 * SECOND, i64::MAX), 300),
    ] {
        assert_eq!(next(&row) - row.tried, wanted * SECOND, "{row:?}");
        assert!(!is_due(&row, row.tried) && is_due(&row, next(&row)), "{row:?}");
    }
    // By a clock that was ahead somebody tried tomorrow, by another one that goes a little fast just now; and
    // somebody wants it at once.
    assert!(is_due(&row(None, DAY, 0), 0) && !is_due(&row(None, 600 * SECOND, 0), 0));
    assert!(is_due(&row(None, 0, 0), 1_000 * DAY));
}

#[test]
fn keys_hold_for_a_day_after_they_were_fetched_last() {
    let fetched = row(Some(DAY), DAY, 9);
    assert!(holds(&fetched, 2 * DAY - 1) && !holds(&fetched, 2 * DAY));
    assert!(!holds(&row(None, DAY, 0), DAY));
    assert!(
        !holds(&row(Some(9 * DAY), DAY, 0), DAY),
        "a clock was ahead, and nobody knows how old they are"
    );
}

/// An issuer on loopback, whose answer can be changed.
struct Issuer {
    url: String,
    answer: Arc<Mutex<String>>,
}

impl Issuer {
    async fn start(keys: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(keys.to_owned()));
        let said = Arc::clone(&answer);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 1024];
                let _ = stream.read(&mut head).await.unwrap();
                let body = said.lock().unwrap().clone();
                let text = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        Issuer { url, answer }
    }

    fn say(&self, keys: &str) {
        *self.answer.lock().unwrap() = keys.to_owned();
    }
}

fn policy(url: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\nmetadata: {{ name: staff, namespace: platform }}\n\
         spec:\n  targetRefs: [{{ kind: HTTPRoute, name: orders }}]\n  methods:\n    - name: staff\n      jwt: \
         {{ issuer: 'https://a.example', audiences: [orders], jwksUrl: '{url}' }}\n"
    )
}

/// A keeper over a store, by a clock that is set by hand.
struct Watch {
    keeper: Arc<Keeper>,
    now: Arc<Mutex<OffsetDateTime>>,
    _leave: watch::Sender<bool>,
    leaving: watch::Receiver<bool>,
}

impl Watch {
    fn over(bed: &Bed, listed: &str) -> Self {
        let now = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
        let clock = {
            let now = Arc::clone(&now);
            Clock::of(move || *now.lock().unwrap())
        };
        let reach = Reach::new(vec![listed.parse().unwrap()]);
        let keeper = Arc::new(Keeper::new(Arc::clone(&bed.app), clock, reach));
        let (leave, leaving) = watch::channel(false);
        Watch { keeper, now, _leave: leave, leaving }
    }

    /// Looks after so many seconds, waits for what that began, and looks at what came of it.
    async fn look_after(&self, seconds: i64) {
        *self.now.lock().unwrap() += time::Duration::seconds(seconds);
        for _ in 0..2 {
            let mut fetching = Fetching::default();
            self.keeper.look(&mut fetching, &self.leaving).await.unwrap();
            while fetching.tasks.join_next().await.is_some() {}
        }
    }

    fn told(&self, url: &str) -> Option<String> {
        self.keeper.known().borrow().keys(url).map(str::to_owned)
    }
}

#[tokio::test]
async fn what_a_policy_names_is_fetched_followed_and_forgotten_with_it() {
    let bed = Bed::new().await;
    bed.put(crate::test::TRAFFIC).await;
    let issuer = Issuer::start(OLD).await;
    let watch = Watch::over(&bed, "127.0.0.1/32");
    watch.look_after(0).await;
    assert_eq!(watch.told(&issuer.url), None, "nobody named it");
    bed.put(&policy(&issuer.url)).await;
    watch.look_after(0).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    // What an issuer says in between is heard in time, and what is no key set changes nothing.
    issuer.say(NEW);
    watch.look_after(299).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    watch.look_after(2).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(NEW));
    issuer.say("<html>");
    watch.look_after(301).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(NEW));
    let shown = bed.app.key_set_list(&op(), None, 10).await.unwrap().items;
    let known = shown[0].known.as_ref().unwrap();
    let fault = format!("what lies at {} is no JWK Set", issuer.url);
    assert!(known.failures == 1 && known.fault.as_ref().unwrap().starts_with(&fault), "{known:?}");
    // Nobody heard for a day, and what was taken back must not be believed for ever.
    watch.look_after(86_400).await;
    assert_eq!(watch.told(&issuer.url), None);
    issuer.say(OLD);
    watch.look_after(301).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    // What nothing names is remembered for a while, so that a change that is taken back shuts nobody out.
    bed.delete((Kind::AuthnPolicy, "platform", "staff")).await;
    watch.look_after(3_600).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    watch.look_after(86_400).await;
    assert_eq!(watch.told(&issuer.url), None);
    assert_eq!(bed.store.key_set_list().await.unwrap(), []);
}

#[tokio::test]
async fn keys_end_also_where_the_store_cannot_be_asked() {
    let bed = Bed::new().await;
    bed.put(crate::test::TRAFFIC).await;
    let issuer = Issuer::start(OLD).await;
    bed.put(&policy(&issuer.url)).await;
    let watch = Watch::over(&bed, "127.0.0.1/32");
    watch.look_after(0).await;
    bed.store.close().await;
    watch.keeper.expire();
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    *watch.now.lock().unwrap() += time::Duration::days(1);
    let looked = watch.keeper.look(&mut Fetching::default(), &watch.leaving).await;
    assert!(looked.is_err());
    watch.keeper.expire();
    assert_eq!(watch.told(&issuer.url), None);
}

#[tokio::test]
async fn slow_answers_to_one_workspace_hold_up_no_other() {
    let mut fetching = Fetching::default();
    let mut begin = |at: usize, workspace: &str| {
        let scope = Scope::Workspace(model::Name::parse(workspace).unwrap());
        let has_room = fetching.has_room(&scope);
        let task = fetching.tasks.spawn(std::future::pending()).id();
        fetching.under_way.insert(format!("https://{at}.example/keys"), (task, scope));
        has_room
    };
    for at in 0..OF_ONE {
        assert!(begin(at, "shop"));
    }
    assert!(!begin(OF_ONE, "shop"));
    for at in OF_ONE + 1..AT_ONCE {
        assert!(begin(at, &format!("w{at}")));
    }
    assert!(!begin(AT_ONCE, "bank"), "these are all that there may be");
}

#[tokio::test]
async fn what_ended_makes_room_however_it_ended() {
    let mut fetching = Fetching::default();
    let scope = Scope::Workspace(model::Name::parse("shop").unwrap());
    for at in 0..OF_ONE {
        let task = fetching.tasks.spawn(async move { assert!(at > 1, "it panics") }).id();
        fetching.under_way.insert(at.to_string(), (task, scope.clone()));
    }
    let held = fetching.tasks.spawn(std::future::pending()).id();
    fetching.under_way.insert("held".to_owned(), (held, scope.clone()));
    while fetching.under_way.len() > 1 {
        tokio::task::yield_now().await;
        fetching.settle();
    }
    assert!(fetching.under_way.contains_key("held"));
}

#[test]
fn of_what_nothing_names_a_few_are_remembered_for_a_day() {
    let at = |at: usize, tried: i64| KeySet { url: at.to_string(), ..row(None, tried, 0) };
    let mut held: Vec<_> = (0..LEFT + 2).map(|url| at(url, DAY + url as i64)).collect();
    held.push(at(1_000, 1));
    held.push(at(1_001, 0));
    let gone = |named: &str| {
        let gone = over(&held, |url| url == named, DAY + 1);
        gone.map(|row| row.url.clone()).collect::<Vec<_>>()
    };
    assert_eq!(gone("1000"), ["1", "0", "1001"]);
    assert_eq!(gone("0"), ["1", "1000", "1001"]);
}

#[tokio::test]
async fn a_second_server_has_keys_that_it_did_not_fetch() {
    let bed = Bed::new().await;
    bed.put(crate::test::TRAFFIC).await;
    let issuer = Issuer::start(OLD).await;
    bed.put(&policy(&issuer.url)).await;
    Watch::over(&bed, "127.0.0.1/32").look_after(0).await;
    // It may not even go there.
    let other = Watch::over(&bed, "10.0.0.0/8");
    other.look_after(0).await;
    assert_eq!(other.told(&issuer.url).as_deref(), Some(OLD));
}

#[tokio::test]
async fn nobody_has_us_go_where_the_platform_lists_nothing() {
    let bed = Bed::new().await;
    bed.put(crate::test::TRAFFIC).await;
    let issuer = Issuer::start(OLD).await;
    bed.put(&policy(&issuer.url)).await;
    let watch = Watch::over(&bed, "10.0.0.0/8");
    watch.look_after(0).await;
    assert_eq!(watch.told(&issuer.url), None);
    let rows = bed.store.key_set_list().await.unwrap();
    assert!(rows[0].fault.as_ref().unwrap().contains("--fetch-from"), "{rows:?}");
}

#[tokio::test]
async fn who_may_change_a_policy_has_its_keys_fetched_at_once() {
    let bed = Bed::new().await;
    bed.put(crate::test::TRAFFIC).await;
    let issuer = Issuer::start(OLD).await;
    bed.put(&policy(&issuer.url)).await;
    let watch = Watch::over(&bed, "127.0.0.1/32");
    watch.look_after(0).await;
    issuer.say(NEW);
    assert!(
        !bed.app.key_set_fetch(&op(), &issuer.url).await.unwrap().0,
        "it was tried a moment ago"
    );
    watch.look_after(1).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(OLD));
    let later = crate::Op { now: op().now + time::Duration::seconds(11), ..op() };
    assert!(bed.app.key_set_fetch(&later, &issuer.url).await.unwrap().0);
    watch.look_after(11).await;
    assert_eq!(watch.told(&issuer.url).as_deref(), Some(NEW));
    let refused = bed.app.key_set_fetch(&op(), "https://other.example/keys").await;
    assert!(matches!(refused, Err(Refusal::None(_))), "{refused:?}");
}
