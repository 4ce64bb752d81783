//! Signing in by providers: who comes in, as whom, with which groups, and who does not.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use time::Duration;

use super::*;
use crate::authn::{Caller, Proof};
use crate::login::Failure;
use crate::login::fake::{Brought, Fake, Key as ProviderKey, SECRET, Signing};
use crate::login::token::Wrong;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A provider with a Secret of its own.
fn provider(name: &str, issuer: &str, more: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Secret
metadata: {{ name: {name}-login, namespace: heddle }}
stringData: {{ client-secret: \"{SECRET}\\n\" }}
---
apiVersion: heddle.dev/v1alpha1
kind: LoginProvider
metadata: {{ name: {name} }}
spec:
  title: The {name}
  issuer: {issuer}
  clientId: heddle
  clientSecretRef: {{ name: {name}-login }}
  contact: ask@example.com
{more}"
    )
}

async fn with(fake: &Fake) -> Bed {
    let bed = Bed::shop().await;
    bed.put("root", &provider("corp", &fake.issuer, "")).await.unwrap();
    bed
}

/// A browser that went to a provider and signed in there.
struct Away {
    provider: &'static str,
    brought: Brought,
    cookie: String,
}

impl Bed {
    async fn start(&self, provider: &str) -> Result<crate::app::LoginStarted, Failure> {
        let start = LoginStart {
            provider: provider.to_owned(),
            origin: "https://heddle.example".to_owned(),
            wanted: "/fleet".to_owned(),
            address: HERE,
            now: now(),
        };
        self.app.login_start(start).await
    }

    async fn go(&self, fake: &Fake, provider: &'static str) -> Away {
        let started = self.start(provider).await.unwrap();
        let brought = fake.visit(&started.to);
        assert_eq!(brought.back, format!("https://heddle.example/sign-in/{provider}/callback"));
        Away { provider, brought, cookie: started.cookie }
    }

    async fn come(
        &self,
        away: &Away,
        change: impl FnOnce(&mut LoginEnd),
    ) -> Result<Caller, Failure> {
        let mut end = LoginEnd {
            provider: away.provider.to_owned(),
            state: away.brought.state.clone(),
            code: Some(away.brought.code.clone()),
            error: None,
            issuer: None,
            cookie: away.cookie.clone(),
            address: HERE,
            agent: "a browser".to_owned(),
            now: now(),
        };
        change(&mut end);
        let (signed_in, wanted) = self.app.login_end(end).await?;
        assert_eq!(wanted, "/fleet");
        let cookie = &signed_in.cookie;
        let caller = self.app.caller_by_cookie(cookie, crate::app::Use::Person, now()).await;
        let caller = caller.unwrap().expect("the session is there");
        assert_eq!((&caller.id, &caller.groups), (&signed_in.caller.id, &signed_in.caller.groups));
        Ok(caller)
    }

    /// All of it.
    async fn sign_in(&self, fake: &Fake, provider: &'static str) -> Result<Caller, Failure> {
        let away = self.go(fake, provider).await;
        self.come(&away, |_| {}).await
    }

    async fn is_good(&self, caller: &Caller) -> bool {
        self.app.caller_is_good(caller, now()).await.unwrap()
    }
}

fn wrong(come: Result<Caller, Failure>) -> Wrong {
    match come {
        Err(Failure::Unbelieved { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn somebody_comes_in_under_the_name_that_the_provider_begins() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    let first = bed.sign_in(&fake, "corp").await.unwrap();
    assert_eq!(first.name.as_str(), "corp-alice");
    assert_eq!(first.from, Some(name("corp")));
    // A name there is not who somebody is.
    fake.says(|says| says.claims = json!({ "preferred_username": "root" }));
    let again = bed.sign_in(&fake, "corp").await.unwrap();
    assert_eq!((again.id, again.name), (first.id, first.name));
    let told = bed.app.store().audit_list(None, 3).await.unwrap();
    let told: Vec<_> =
        told.iter().map(|one| (one.entry.verb.as_str(), one.entry.actor.as_str())).collect();
    assert_eq!(
        told,
        [("sign in", "corp-alice"), ("sign in", "corp-alice"), ("create", "corp-alice")]
    );
}

#[tokio::test]
async fn keys_of_rsa_and_clients_without_a_secret_are_good_too() {
    let fake = Fake::start().await;
    fake.says(|says| says.key = ("r".to_owned(), ProviderKey::rsa()));
    let bed = Bed::new().await;
    let public = format!(
        "
apiVersion: heddle.dev/v1alpha1
kind: LoginProvider
metadata: {{ name: corp }}
spec: {{ issuer: \"{}\", clientId: heddle }}
",
        fake.issuer
    );
    bed.put("root", &public).await.unwrap();
    bed.sign_in(&fake, "corp").await.unwrap();
}

#[tokio::test]
async fn a_token_is_believed_only_whole_in_time_and_for_this_try() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    for (claims, expected) in [
        (json!({ "nonce": "another" }), Wrong::Nonce),
        (json!({ "nonce": null }), Wrong::Nonce),
        (json!({ "aud": "another" }), Wrong::Audience),
        (json!({ "aud": ["heddle", "another"] }), Wrong::Audience),
        (json!({ "azp": "another" }), Wrong::Audience),
        (json!({ "iss": "https://another.example" }), Wrong::Issuer),
        (json!({ "exp": 1 }), Wrong::Expired),
        (json!({ "sub": "" }), Wrong::Form),
    ] {
        fake.says(|says| says.claims = claims.clone());
        assert_eq!(wrong(bed.sign_in(&fake, "corp").await), expected, "{claims}");
    }
    assert!(bed.app.store().user_list("", "", 10).await.unwrap().is_empty(), "nobody was made");
    let told = bed.app.store().audit_list(None, 1).await.unwrap().remove(0).entry;
    assert_eq!((told.verb.as_str(), told.outcome.as_str()), ("sign in", "refused"));
    assert_eq!(told.detail, "from 127.0.0.1 by corp: not believed");
    fake.says(|says| says.claims = json!({}));
    bed.sign_in(&fake, "corp").await.unwrap();
}

#[tokio::test]
async fn only_a_key_that_the_provider_alone_has_signs() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    for signing in [Signing::Nothing, Signing::Shared(SECRET), Signing::Shared("heddle")] {
        fake.says(|says| says.signing = signing);
        assert_eq!(wrong(bed.sign_in(&fake, "corp").await), Wrong::Signature, "{signing:?}");
    }
}

#[tokio::test]
async fn keys_that_follow_others_are_asked_for_and_not_again_and_again() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    bed.sign_in(&fake, "corp").await.unwrap();
    assert_eq!(fake.says.lock().unwrap().keys_asked, 1);
    fake.says(|says| says.key = ("second".to_owned(), ProviderKey::elliptic()));
    let later = now() + Duration::seconds(6);
    let away = bed.go(&fake, "corp").await;
    bed.come(&away, |end| end.now = later).await.unwrap();
    assert_eq!(fake.says.lock().unwrap().keys_asked, 2);
    // A forger who names keys that nobody has does not make us ask more often.
    for _ in 0..3 {
        let away = bed.go(&fake, "corp").await;
        fake.says(|says| says.key = ("forged".to_owned(), ProviderKey::elliptic()));
        assert_eq!(wrong(bed.come(&away, |end| end.now = later).await), Wrong::Signature);
    }
    assert_eq!(fake.says.lock().unwrap().keys_asked, 2);
}

#[tokio::test]
async fn a_try_is_ended_once_in_time_and_by_the_browser_that_began_it() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    bed.put("root", &provider("home", &fake.issuer, "")).await.unwrap();
    let away = bed.go(&fake, "corp").await;
    let over = |come: Result<Caller, Failure>| matches!(come, Err(Failure::Over));
    assert!(over(bed.come(&away, |end| end.cookie = "another".to_owned()).await));
    assert!(over(bed.come(&away, |end| end.state = "another".to_owned()).await));
    let eleven = now() + Duration::minutes(11);
    assert!(over(bed.come(&away, |end| end.now = eleven).await));
    bed.come(&away, |_| {}).await.unwrap();
    assert!(over(bed.come(&away, |_| {}).await), "twice");
    let away = bed.go(&fake, "corp").await;
    assert!(over(bed.come(&away, |end| end.provider = "home".to_owned()).await));
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_none() {
    let fake = Fake::start().await;
    fake.says(|says| says.names_issuer = true);
    let bed = with(&fake).await;
    for other in [None, Some("https://another.example".to_owned())] {
        let away = bed.go(&fake, "corp").await;
        let come = bed.come(&away, |end| end.issuer = other.clone()).await;
        assert_eq!(wrong(come), Wrong::Issuer, "{other:?}");
    }
    let away = bed.go(&fake, "corp").await;
    bed.come(&away, |end| end.issuer = Some(fake.issuer.clone())).await.unwrap();
}

#[tokio::test]
async fn a_refusal_there_is_told_in_words_that_cannot_be_anything_else() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    let away = bed.go(&fake, "corp").await;
    let said = Some("access_denied<script>".to_owned());
    let come = bed.come(&away, |end| (end.code, end.error) = (None, said)).await;
    let Err(Failure::Declined { title, word }) = come else { panic!("{come:?}") };
    assert_eq!((title.as_str(), word.as_str()), ("The corp", "access_deniedscript"));
}

#[tokio::test]
async fn nobody_comes_to_a_name_that_is_somebody_elses() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let bed = with(&fake).await;
    bed.put("root", &provider("home", &other.issuer, "  prefix: \"\"\n")).await.unwrap();
    let taken = |come: Result<Caller, Failure>| match come {
        Err(Failure::Taken { name, .. }) => name.to_string(),
        other => panic!("{other:?}"),
    };
    bed.app.user_create(&op("root"), "alice", None).await.unwrap();
    assert_eq!(taken(bed.sign_in(&other, "home").await), "alice", "a user with a password");
    bed.sign_in(&fake, "corp").await.unwrap();
    fake.says(|says| says.claims = json!({ "sub": "8" }));
    assert_eq!(taken(bed.sign_in(&fake, "corp").await), "corp-alice", "of another subject");
    other.says(|says| says.claims = json!({ "preferred_username": "corp-bob" }));
    assert_eq!(taken(bed.sign_in(&other, "home").await), "corp-bob", "whom nobody has yet");
    other.says(|says| says.claims = json!({ "preferred_username": "bob" }));
    assert_eq!(bed.sign_in(&other, "home").await.unwrap().name.as_str(), "bob");
    other.says(|says| says.claims = json!({ "sub": "9", "preferred_username": "@" }));
    assert!(matches!(bed.sign_in(&other, "home").await, Err(Failure::NoName { .. })));
    bed.app.user_disable(&op("root"), "bob").await.unwrap();
    other.says(|says| says.claims = json!({ "sub": "10", "preferred_username": "bob" }));
    assert_eq!(taken(bed.sign_in(&other, "home").await), "bob", "who is shut out");
}

#[tokio::test]
async fn one_subject_at_two_providers_is_two_people() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let bed = with(&fake).await;
    bed.put("root", &provider("home", &other.issuer, "")).await.unwrap();
    let corp = bed.sign_in(&fake, "corp").await.unwrap();
    let home = bed.sign_in(&other, "home").await.unwrap();
    assert_eq!((corp.name.as_str(), home.name.as_str()), ("corp-alice", "home-alice"));
    assert_ne!(corp.id, home.id);
    let used = bed.app.login_provider_use(&op("root")).await.unwrap();
    let used: Vec<_> = used.iter().map(|one| (one.name.as_str(), one.users)).collect();
    assert_eq!(used, [("corp", 1), ("home", 1)]);
    assert!(matches!(bed.app.login_provider_use(&op("sara")).await, Err(Refusal::None(_))));
}

/// A team that a group of `provider` is, and what it may.
fn weavers(provider: &str) -> String {
    format!(
        "---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: {{ name: weavers }}
spec: {{ groups: [{{ provider: {provider}, name: Weavers }}] }}
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: {{ name: weavers, namespace: shop }}
spec: {{ subjects: [{{ team: weavers }}], role: viewer }}
"
    )
}

#[tokio::test]
async fn groups_give_what_their_teams_may_to_sessions_tokens_and_reviews() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    fake.says(|says| says.claims = json!({ "groups": ["Weavers"] }));
    let caller = bed.sign_in(&fake, "corp").await.unwrap();
    let may = async |caller: &Caller| !caller.rights(&bed.app.world().await.unwrap()).is_empty();
    assert!(!may(&caller).await, "nobody maps it");
    bed.put("root", &weavers("home")).await.unwrap();
    assert!(!may(&caller).await, "of another provider");
    bed.put("root", &weavers("corp")).await.unwrap();
    assert!(may(&caller).await);
    let review = Review {
        verb: Verb::Read,
        key: Key::new(Kind::ConfigMap, name("shop"), name("any")),
        field: None,
        api: None,
        user: Some(caller.name.clone()),
    };
    let reviewed = async || bed.app.access_review(&op("root"), &review).await.unwrap().allowed;
    assert!(reviewed().await);
    let new =
        NewToken { name: "ci".to_owned(), lasts: Duration::hours(1), scope: None, role: None };
    let (_, token) =
        bed.app.token_create(&caller, &caller.op("r", now(), String::new()), new).await.unwrap();
    let by_token = bed.app.caller_by_token(&token, now()).await.unwrap().unwrap();
    assert!(matches!(by_token.by, Proof::Token { .. }) && may(&by_token).await);
    // The next time the provider says otherwise: that holds for all that is open, too.
    assert!(bed.is_good(&caller).await && bed.is_good(&by_token).await);
    fake.says(|says| says.claims = json!({}));
    bed.sign_in(&fake, "corp").await.unwrap();
    assert!(!bed.is_good(&caller).await && !bed.is_good(&by_token).await);
    let by_token = bed.app.caller_by_token(&token, now()).await.unwrap().unwrap();
    assert!(!may(&by_token).await && !reviewed().await);
}

#[tokio::test]
async fn with_its_provider_a_user_is_gone_and_comes_back() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    fake.says(|says| says.claims = json!({ "groups": ["Weavers"] }));
    bed.put("root", &weavers("corp")).await.unwrap();
    let caller = bed.sign_in(&fake, "corp").await.unwrap();
    let away = bed.go(&fake, "corp").await;
    let key = || Key::new(Kind::LoginProvider, name("heddle"), name("corp"));
    bed.delete("root", key()).await.unwrap();
    assert!(!bed.is_good(&caller).await);
    assert!(matches!(bed.come(&away, |_| {}).await, Err(Failure::NoProvider(_))));
    assert!(matches!(bed.start("corp").await, Err(Failure::NoProvider(_))));
    // Under another issuer the same subject is another person, whose name is taken.
    let other = Fake::start().await;
    bed.put("root", &provider("corp", &other.issuer, "")).await.unwrap();
    assert!(!bed.is_good(&caller).await);
    assert!(matches!(bed.sign_in(&other, "corp").await, Err(Failure::Taken { .. })));
    bed.put("root", &provider("corp", &fake.issuer, "")).await.unwrap();
    assert!(bed.is_good(&caller).await);
}

#[tokio::test]
async fn who_is_shut_out_stays_out_and_no_password_lets_anybody_in() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    let caller = bed.sign_in(&fake, "corp").await.unwrap();
    let change = crate::app::NewPassword {
        user: "corp-alice".to_owned(),
        password: "a password that is long".to_owned(),
        current: None,
        address: HERE,
    };
    let root = Caller {
        id: "r".to_owned(),
        name: name("root"),
        from: None,
        groups: BTreeSet::new(),
        by: caller.by.clone(),
    };
    let refused = bed.app.user_password(&root, &op("root"), change).await.unwrap_err();
    assert!(refused.to_string().contains("signs in by a login provider alone"), "{refused}");
    for password in ["", "a password that is long"] {
        let sign_in = crate::app::SignIn {
            user: "corp-alice".to_owned(),
            password: password.to_owned(),
            address: HERE,
            agent: String::new(),
            now: now(),
        };
        let refused = bed.app.session_create(sign_in).await;
        assert!(matches!(refused, Err(Refusal::WrongPassword)), "{refused:?}");
    }
    bed.app.user_disable(&op("root"), "corp-alice").await.unwrap();
    assert!(!bed.is_good(&caller).await);
    assert!(matches!(bed.sign_in(&fake, "corp").await, Err(Failure::Disabled { .. })));
}

#[tokio::test]
async fn tries_are_counted_until_they_come_to_something() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    for _ in 0..25 {
        bed.sign_in(&fake, "corp").await.unwrap();
    }
    for _ in 0..20 {
        bed.start("corp").await.unwrap();
    }
    assert!(matches!(bed.start("corp").await, Err(Failure::TooMany(_))));
}

#[tokio::test]
async fn a_provider_that_is_away_or_is_not_ours_is_told_with_whom_to_ask() {
    let fake = Fake::start().await;
    let bed = with(&fake).await;
    let away = bed.go(&fake, "corp").await;
    let both = provider("corp", &fake.issuer, "");
    let (secret, _) = both.rsplit_once("---").unwrap();
    bed.put("root", &secret.replace(SECRET, "another")).await.unwrap();
    let refused = bed.come(&away, |_| {}).await.unwrap_err();
    let shown = format!("{refused} {refused:?}");
    assert!(shown.contains("invalid_client") && shown.contains("ask@example.com"), "{shown}");
    assert!(!shown.contains(SECRET) && !shown.contains("another"), "{shown}");
    let issuer = fake.issuer.clone();
    drop(fake);
    let bed = Bed::new().await;
    bed.put("root", &provider("corp", &issuer, "")).await.unwrap();
    let refused = bed.start("corp").await.unwrap_err();
    assert!(matches!(refused, Failure::Away { .. }), "{refused:?}");
}

#[tokio::test]
async fn only_who_may_do_everything_says_who_says_who_people_are() {
    let bed = Bed::shop().await;
    bed.put(
        "root",
        "
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: almost, namespace: heddle }
spec: { rules: [{ kinds: [LoginProvider, Secret], verbs: [Read, Create, Update, Delete] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: almost, namespace: heddle }
spec: { subjects: [{ user: sara }], role: almost }
",
    )
    .await
    .unwrap();
    let corp = provider("corp", "https://id.example.com", "");
    let refused = bed.put("sara", &corp).await.unwrap_err().to_string();
    assert!(refused.contains("only who may do everything"), "{refused}");
    bed.put("root", &corp).await.unwrap();
    let twin = provider("home", "https://home.example.com", "  prefix: corp-\n");
    let refused = bed.put("root", &twin).await.unwrap_err().to_string();
    assert!(refused.contains("names of users of LoginProvider heddle/corp begin so"), "{refused}");
    let (_, alone) = corp.rsplit_once("---").unwrap();
    let unmatched = alone.replace("corp", "none");
    let refused = bed.put("root", &unmatched).await.unwrap_err().to_string();
    assert!(refused.contains("there is no Secret heddle/none-login"), "{refused}");
}

#[tokio::test]
async fn the_example_of_the_docs_is_taken_as_it_stands() {
    let docs = include_str!("../../../../docs/login.md");
    let (_, rest) = docs.split_once("```yaml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    Bed::new().await.put("root", text).await.unwrap();
}
