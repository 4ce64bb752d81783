//! What every address of the console answers, asked without a socket.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request};
use control::app::Use;
use control::keep::{self, Location};
use control::rest::Settings;
use control::{App, Op};
use model::Name;
use model::access::Actor;
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::*;

mod access;
mod lists;
mod login;

const PASSWORD: &str = "a password that is long";
const MARKER: &str = "marker-that-must-not-show";

/// A console over a store of its own.
struct Bed {
    app: Arc<App>,
    router: Router,
    folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = keep::open(&Location::Folder(folder.path().to_owned())).await.unwrap();
        let app = Arc::new(App::new(store));
        let file = folder.path().join("admin-password");
        let now = OffsetDateTime::now_utc();
        app.user_found(Some(PASSWORD.to_owned()), &file, now).await.unwrap();
        let (_, stopped) = tokio::sync::watch::channel(false);
        let rest = Rest::new(Arc::clone(&app), Settings::default(), stopped);
        let site = Site(PathBuf::from("no-such-folder"));
        Bed { app, router: router(&site, &rest, "127.0.0.1:7081".parse().unwrap()), folder }
    }

    async fn ask(&self, request: Builder, body: &str) -> Answer {
        let request = request.header("host", "localhost").body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = to_bytes(body, 8 << 20).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask(Request::get(path).header("cookie", cookie), "").await
    }

    async fn send(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        self.ask(request, form).await
    }

    /// The cookie of a session of the admin's.
    async fn sign_in(&self) -> String {
        let form = format!("user=admin&password={}", PASSWORD.replace(' ', "+"));
        let answer = self.send("/sign-in", "", &form).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
        let set = answer.header("set-cookie").to_owned();
        assert!(set.contains("HttpOnly; SameSite=Lax"), "{set}");
        set.split(';').next().unwrap().to_owned()
    }
}

/// What a user asks for now, past the console.
fn op(user: &str) -> Op {
    Op {
        actor: Actor { user: Name::parse(user).unwrap(), groups: Default::default() },
        limit: None,
        request_id: "r".to_owned(),
        now: OffsetDateTime::now_utc(),
        message: String::new(),
        once: None,
    }
}

/// What a form of this page carries.
fn csrf(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn nobody_who_is_not_signed_in_gets_any_page_or_does_anything() {
    let bed = Bed::new().await;
    for page in door::paths() {
        let page = page.replace(['{', '}'], "");
        let turned = bed.get(&page, "heddle-session=none").await;
        assert_eq!(turned.status, StatusCode::SEE_OTHER, "{page}");
        assert!(turned.header("location").starts_with("/sign-in"), "{page}");
    }
    for form in sent::paths().chain(["/sign-out"]) {
        let form = form.replace(['{', '}'], "");
        let turned = bed.send(&form, "", "csrf=&id=1").await;
        assert_eq!(turned.status, StatusCode::SEE_OTHER, "{form}");
        assert!(turned.header("location").starts_with("/sign-in"), "{form}");
    }
}

#[tokio::test]
async fn what_no_database_keeps_and_no_revision_is_reaches_neither() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    let csrf = csrf(&bed.get("/settings", &cookie).await.text).to_owned();
    let refused = bed.send("/sign-in", "", "user=a%00b&password=x").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let id = format!("csrf={csrf}&id=a%00b");
    assert_eq!(
        bed.send("/settings/sessions/end", &cookie, &id).await.status,
        StatusCode::BAD_REQUEST
    );
    for path in ["/requests/a%00b", "/changes/0", "/changes/-1", "/changes/x"] {
        assert_eq!(bed.get(path, &cookie).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for revision in ["0", "-9223372036854775808", "9223372036854775807"] {
        let path = format!("/changes/{revision}/revert");
        let answer = bed.send(&path, &cookie, &format!("csrf={csrf}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{revision}");
    }
    let long = format!("csrf={csrf}&message={}", "x".repeat(5_000));
    let answer = bed.send("/changes/1/revert", &cookie, &long).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("wants at most 4096 bytes"), "{}", answer.text);
}

#[tokio::test]
async fn nobody_sees_a_page_before_they_sign_in_and_then_they_see_the_one_they_wanted() {
    let bed = Bed::new().await;
    let turned = bed.get("/fleet?x=1&y=2", "").await;
    let wanted = "/sign-in?to=%2Ffleet%3Fx%3D1%26y%3D2";
    assert_eq!((turned.status, turned.header("location")), (StatusCode::SEE_OTHER, wanted));
    let form = bed.get(wanted, "").await;
    assert!(form.text.contains("name=\"to\" value=\"/fleet?x=1&amp;y=2\""), "{}", form.text);
    let sent = format!("user=admin&password={}&to=/fleet", PASSWORD.replace(' ', "+"));
    let signed_in = bed.send("/sign-in", "", &sent).await;
    assert_eq!(signed_in.header("location"), "/fleet");
    // Who is signed in already goes on, and to nobody else's page.
    let cookie = bed.sign_in().await;
    for (to, on) in [
        ("/settings", "/settings"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("/%0d%0ax", "/"),
    ] {
        let answer = bed.get(&format!("/sign-in?to={to}"), &cookie).await;
        assert_eq!(answer.header("location"), on, "{to}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_name_that_was_typed_is_kept() {
    let bed = Bed::new().await;
    let answer = bed.send("/sign-in", "", "user=%22admin&password=wrong&to=/fleet").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("the user or the password is wrong"), "{}", answer.text);
    assert!(answer.text.contains("value=\"&quot;admin\""), "{}", answer.text);
    assert!(answer.text.contains("name=\"to\" value=\"/fleet\""), "{}", answer.text);
    assert_eq!(answer.header("set-cookie"), "");
}

#[tokio::test]
async fn every_page_is_whole_before_any_script_runs_and_says_what_browsers_may_do() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    for page in door::paths() {
        let (page, status) = match page {
            "/changes/{revision}" => ("/changes/1", StatusCode::OK),
            // Nobody made any.
            "/apis/{namespace}/{name}" => ("/apis/shop/books", StatusCode::NOT_FOUND),
            "/objects/{kind}/{namespace}/{name}" => {
                ("/objects/Api/shop/books", StatusCode::NOT_FOUND)
            }
            "/policies/{namespace}/{name}" => ("/policies/shop/books", StatusCode::NOT_FOUND),
            "/authn/{namespace}/{name}" => ("/authn/shop/books", StatusCode::NOT_FOUND),
            "/limits/{namespace}/{name}" => ("/limits/shop/books", StatusCode::NOT_FOUND),
            "/teams/{name}" => ("/teams/weavers", StatusCode::NOT_FOUND),
            "/workspaces/{name}" => ("/workspaces/loom", StatusCode::NOT_FOUND),
            "/changes/{revision}/receipt" => ("/changes/1/receipt", StatusCode::OK),
            // No proxy told of any.
            "/requests/{id}" => ("/requests/r-1", StatusCode::NOT_FOUND),
            page => (page, StatusCode::OK),
        };
        let answer = bed.get(page, &cookie).await;
        assert_eq!(answer.status, status, "{page}");
        assert!(answer.text.contains("<h1"), "{page}: {}", answer.text);
        let is_placed = answer.text.contains("aria-current=\"page\"");
        assert_eq!(is_placed, status == StatusCode::OK, "{page}");
        let policy = answer.header("content-security-policy");
        let (_, nonce) = policy.split_once("'nonce-").unwrap();
        let nonce = nonce.split('\'').next().unwrap();
        let scripts = answer.text.matches("<script").count();
        let marked = answer.text.matches(&format!("nonce=\"{nonce}\"")).count();
        assert!(scripts > 0 && scripts == marked, "{page}: {}", answer.text);
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        let scripts = policy.split(';').find(|part| part.contains("script-src")).unwrap();
        assert_eq!(scripts.trim(), format!("script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'"));
        assert_eq!(answer.header("cache-control"), "no-store");
        // Another answer has another.
        let again = bed.get(page, &cookie).await;
        assert!(!again.header("content-security-policy").contains(nonce));
    }
}

#[tokio::test]
async fn a_form_that_no_page_of_this_session_made_does_nothing() {
    let bed = Bed::new().await;
    let (own, other) = (bed.sign_in().await, bed.sign_in().await);
    let page = bed.get("/settings", &own).await.text;
    let others = bed.get("/settings", &other).await.text;
    for form in [String::new(), "csrf=".to_owned(), format!("csrf={}", csrf(&others))] {
        let answer = bed.send("/sign-out", &own, &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{form}");
    }
    let from_elsewhere = Request::post("/sign-out")
        .header("cookie", &own)
        .header("origin", "http://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = bed.ask(from_elsewhere, &format!("csrf={}", csrf(&page))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    for form in sent::paths() {
        let form = form.replace(['{', '}'], "");
        let answer = bed.send(&form, &own, &format!("csrf={}", csrf(&others))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{form}");
        // Whoever loads the answer of a form again comes to its page.
        let answer = bed.get(&form, &own).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{form}");
        assert!(form.starts_with(answer.header("location")), "{form}");
    }
    assert_eq!(bed.get("/", &own).await.status, StatusCode::OK);
    let answer = bed.send("/sign-out", &own, &format!("csrf={}", csrf(&page))).await;
    assert_eq!(answer.header("location"), "/sign-in");
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(bed.get("/", &own).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bed.get("/", &other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_change_is_shown_field_by_field_and_what_cannot_be_taken_back_is_refused() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    let page = bed.get("/changes/1", &cookie).await.text;
    assert!(page.contains("spec.role"), "{page}");
    let form = format!("csrf={}&message=a+mistake", csrf(&page));
    let refused = bed.send("/changes/1/revert", &cookie, &form).await;
    // The first change makes the admin who takes it back.
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(bed.get("/changes/2", &cookie).await.status, StatusCode::NOT_FOUND);
    let elsewhere = bed.get("/requests?id=%20a%2Fb%20", &cookie).await;
    assert_eq!(elsewhere.header("location"), "/requests/a%2Fb");
    drop(bed);
}

#[tokio::test]
async fn a_session_in_which_only_a_page_looks_ends_as_if_nobody_used_it() {
    let bed = Bed::new().await;
    let begun = OffsetDateTime::now_utc();
    for (used, lasts) in [(Use::Page, false), (Use::Person, true)] {
        let cookie = bed.sign_in().await;
        let (_, cookie) = cookie.split_once('=').unwrap();
        let after = |minutes| begun + time::Duration::minutes(minutes);
        assert!(bed.app.caller_by_cookie(cookie, used, after(50)).await.unwrap().is_some());
        let then = bed.app.caller_by_cookie(cookie, used, after(70)).await.unwrap();
        assert_eq!(then.is_some(), lasts, "{used:?}");
    }
}

#[tokio::test]
async fn another_session_is_ended_from_the_settings() {
    let bed = Bed::new().await;
    let (own, other) = (bed.sign_in().await, bed.sign_in().await);
    let page = bed.get("/settings", &own).await.text;
    let (_, rest) = page.split_once("name=\"id\" value=\"").expect("the other session");
    let id = rest.split('"').next().unwrap();
    assert_eq!(page.matches("name=\"id\"").count(), 1, "one's own is not offered");
    let form = format!("csrf={}&id={id}", csrf(&page));
    let answer = bed.send("/settings/sessions/end", &own, &form).await;
    assert_eq!(answer.header("location"), "/settings?done=ended");
    assert_eq!(bed.get("/", &other).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bed.get("/", &own).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_path_is_a_page_with_404_and_an_unknown_file_none() {
    let bed = Bed::new().await;
    let answer = bed.get("/nothing/here", "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text.contains("No such page</h1>"), "{}", answer.text);
    let answer = bed.get("/pkg/nothing.js", "").await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::NOT_FOUND, ""));
    let elsewhere = Request::get("/").header("host", "evil.example").body(Body::empty());
    let answer = bed.router.clone().oneshot(elsewhere.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    drop(bed.folder);
}

#[test]
fn a_folder_without_the_browsers_half_is_refused_by_name() {
    let refused = Site::open(Path::new("no-such-folder")).unwrap_err().to_string();
    assert!(refused.contains("no-such-folder/pkg/console.js"), "{refused}");
    assert!(refused.contains("cargo xtask wasm"), "{refused}");
}

/// What the console calls of the use cases, as its sources say it.
fn called(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { called(&path, found) } else { called_in(&path, found) }
    }
}

fn called_in(file: &Path, found: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    for (at, word) in text.match_indices("app") {
        let rest = text[at + word.len()..].trim_start_matches("()").trim_start();
        let Some(rest) = rest.strip_prefix('.').map(str::trim_start) else { continue };
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        if rest.starts_with('(') {
            found.insert(name.to_owned());
        }
    }
}

#[test]
fn the_console_calls_nothing_that_rest_does_not_have() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = BTreeSet::new();
    called(&sources.join("pages"), &mut used);
    called_in(&sources.join("edit.rs"), &mut used);
    let document = control::rest::document();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|methods| methods.as_object().unwrap().values());
    let known: Vec<_> =
        operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert!(used.len() > 30, "{used:?}");
    let unknown: Vec<_> = used.iter().filter(|one| !known.contains(&one.as_str())).collect();
    assert!(unknown.is_empty(), "REST has no operation for {unknown:?}");
}

impl Bed {
    /// Sends a form as a browser does from a page of ours.
    async fn send_from_page(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("origin", "http://localhost")
            .header("content-type", "application/x-www-form-urlencoded");
        self.ask(request, form).await
    }
}

#[tokio::test]
async fn what_was_typed_comes_back_when_the_session_is_over_or_another_one() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    let old = csrf(&bed.get("/teams", &cookie).await.text).to_owned();
    let typed = format!("csrf={old}&name=weavers&members=ann%0Abo&password=secret-{MARKER}");
    // Signed out: it is kept on the answer, and no password is.
    let kept = bed.send_from_page("/teams/-/new", "", &typed).await;
    assert_eq!(kept.status, StatusCode::UNAUTHORIZED);
    assert!(kept.text.contains("You are signed out") && kept.text.contains(">ann\nbo</textarea>"));
    assert!(kept.text.contains("href=\"/sign-in?to=%2Fteams\""), "{}", kept.text);
    assert!(!kept.text.contains(MARKER) && !kept.text.contains(&old));
    // Whoever cannot say that a page of ours sends it is shown nothing of it.
    let turned = bed.send("/teams/-/new", "", &typed).await;
    assert_eq!(turned.status, StatusCode::SEE_OTHER);
    // Nor is much kept for who may be anybody.
    let many = "a&".repeat(5_000);
    let refused = bed.send_from_page("/teams/-/new", "", &many).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let refused = bed.send_from_page("/teams/-/new", "", &"a".repeat(600 << 10)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let refused = bed.send_from_page("/teams/-/new", &cookie, &"a&".repeat(20_000)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    // Signed in anew: the page comes with what was typed, and can be sent.
    let anew = bed.sign_in().await;
    let back = bed.send_from_page("/teams/-/new", &anew, &typed).await;
    assert_eq!(back.status, StatusCode::FORBIDDEN);
    assert!(back.text.contains("You signed in anew") && back.text.contains("value=\"weavers\""));
    assert!(!back.text.contains(MARKER));
    let new = csrf(&back.text).to_owned();
    assert_ne!(new, old);
    assert_eq!(bed.get("/teams/weavers", &anew).await.status, StatusCode::NOT_FOUND);
    let sent = format!("csrf={new}&name=weavers&members=");
    let saved = bed.send_from_page("/teams/-/new", &anew, &sent).await;
    assert!(saved.header("location").starts_with("/teams/weavers?saved="), "{}", saved.text);
}

#[tokio::test]
async fn what_was_typed_comes_back_where_its_page_is_gone_or_it_is_too_much() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    let csrf = csrf(&bed.get("/teams", &cookie).await.text).to_owned();
    let typed = format!("csrf={csrf}&generation=1&members=ann%0Abo");
    let gone = bed.send_from_page("/teams/nobody/change", &cookie, &typed).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.text.contains("What you typed") && gone.text.contains(">ann\nbo</textarea>"));
    // An object may have 512 KiB, each byte of it written as three.
    let large = "%C3%BC".repeat(260 << 10);
    let told = bed
        .send_from_page(
            "/policies/-/new/yaml",
            &cookie,
            &format!("csrf={csrf}&yaml={large}&act=save"),
        )
        .await;
    assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(told.text.contains("üü"));
    let huge = "a".repeat(3 << 20);
    let told = bed
        .send_from_page("/policies/-/new/yaml", &cookie, &format!("csrf={csrf}&yaml={huge}"))
        .await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(told.text.contains("<h1 id=\"refused\">That was not taken</h1>"), "{}", told.text);
}
