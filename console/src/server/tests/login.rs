//! Login providers as pages show them, and who may do nothing yet. Coming in by one is for the tests in
//! a browser.

use super::*;

/// A provider at which nobody listens.
const CORP: &str = "
apiVersion: heddle.dev/v1alpha1
kind: LoginProvider
metadata: { name: corp }
spec:
  title: Example <Corp>
  issuer: http://127.0.0.1:1
  clientId: heddle
  contact: ask@example.com
";

impl Bed {
    async fn with_corp() -> Self {
        let bed = Bed::new().await;
        bed.app.change_commit(&op("admin"), control::read(CORP).unwrap()).await.unwrap();
        bed
    }
}

#[tokio::test]
async fn each_provider_has_a_button_that_keeps_where_one_wanted_to_go() {
    let bed = Bed::with_corp().await;
    let page = bed.get("/sign-in?to=%2Ffleet%3Fx%3D1", "").await.text;
    let link = "href=\"/sign-in/corp?to=%2Ffleet%3Fx%3D1\"";
    assert!(page.contains(link) && page.contains("Sign in with Example &lt;Corp&gt;"), "{page}");
    let wrong = bed.send("/sign-in", "", "user=admin&password=wrong&to=/fleet").await.text;
    assert!(wrong.contains("href=\"/sign-in/corp?to=%2Ffleet\""), "{wrong}");
    assert!(!Bed::new().await.get("/sign-in", "").await.text.contains("/sign-in/corp"));
}

#[tokio::test]
async fn who_does_not_come_in_is_told_why_and_where_to_begin_again() {
    let bed = Bed::with_corp().await;
    let told = |answer: &Answer, status: StatusCode, words: &str| {
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(words), "{}", answer.text);
        assert!(answer.text.contains("href=\"/sign-in"), "{}", answer.text);
        assert!(!answer.header("content-security-policy").is_empty());
    };
    let away = bed.get("/sign-in/corp?to=%2Ffleet", "").await;
    told(&away, StatusCode::BAD_GATEWAY, "tell ask@example.com");
    assert!(away.text.contains("href=\"/sign-in?to=%2Ffleet\""), "{}", away.text);
    let none = bed.get("/sign-in/none", "").await;
    told(&none, StatusCode::NOT_FOUND, "there is no login provider");
    for query in ["", "?state=a&code=b", "?state=a&error=access_denied", "?state=a&state=b"] {
        let path = format!("/sign-in/corp/callback{query}");
        let over = bed.get(&path, "heddle-login=c").await;
        told(&over, StatusCode::BAD_REQUEST, "this try to sign in is over");
        let set = over.header("set-cookie");
        assert!(set.starts_with("heddle-login=;") && set.contains("Max-Age=0"), "{set}");
    }
    let cookie = bed.sign_in().await;
    let on = bed.get("/sign-in/corp?to=%2Ffleet", &cookie).await;
    assert_eq!((on.status, on.header("location")), (StatusCode::SEE_OTHER, "/fleet"));
}

#[tokio::test]
async fn tries_from_one_address_are_counted() {
    let bed = Bed::with_corp().await;
    for _ in 0..20 {
        assert_eq!(bed.get("/sign-in/corp", "").await.status, StatusCode::BAD_GATEWAY);
    }
    let answer = bed.get("/sign-in/corp", "").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn who_may_do_nothing_yet_sees_whom_to_ask_and_their_settings() {
    let bed = Bed::with_corp().await;
    bed.app.user_create(&op("admin"), "sara", Some(PASSWORD.to_owned())).await.unwrap();
    let form = format!("user=sara&password={}", PASSWORD.replace(' ', "+"));
    let set = bed.send("/sign-in", "", &form).await;
    let cookie = set.header("set-cookie").split(';').next().unwrap().to_owned();
    for page in door::paths() {
        let answer = bed.get(&page.replace(['{', '}'], ""), &cookie).await;
        if page == "/settings" {
            assert_eq!(answer.status, StatusCode::OK);
            assert!(!answer.text.contains("Login providers"), "{}", answer.text);
            assert!(!answer.text.contains("href=\"/fleet\""), "{}", answer.text);
            continue;
        }
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{page}");
        assert!(answer.text.contains("<strong>sara</strong>"), "{}", answer.text);
        assert!(answer.text.replace("&#x27;", "'").contains("user 'admin'"), "{}", answer.text);
        assert!(answer.text.contains("action=\"/sign-out\""), "{}", answer.text);
    }
}

#[tokio::test]
async fn platform_admins_see_the_providers_in_their_settings() {
    let bed = Bed::with_corp().await;
    let page = bed.get("/settings", &bed.sign_in().await).await.text;
    for word in ["Login providers", "id=\"provider:corp\"", "http://127.0.0.1:1", "<td>0</td>"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}
