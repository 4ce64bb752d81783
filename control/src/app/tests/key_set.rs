//! Keys of issuers: who sees where they lie, and who has them fetched.

use super::*;

const URL: &str = "https://login.example/keys";

#[tokio::test]
async fn who_may_only_read_a_policy_has_nothing_fetched() {
    let bed = Bed::shop().await;
    let views = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: { name: views, namespace: shop }\n\
                 spec: { subjects: [{ user: vera }], role: viewer }\n";
    bed.put("root", views).await.unwrap();
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: all, namespace: shop }\n\
                 spec:\n  parentRefs: [{ name: edge, namespace: platform }]\n  rules: [{ filters: [{ \
                 type: RequestRedirect, requestRedirect: { hostname: shop.example } }] }]\n";
    bed.put("sara", route).await.unwrap();
    let policy = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\nmetadata: {{ name: staff, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: all }}]\n  methods:\n    - name: staff\n      jwt: \
         {{ issuer: 'https://login.example', audiences: [orders], jwksUrl: '{URL}' }}\n"
    );
    bed.put("sara", &policy).await.unwrap();
    let listed = async |user: &str| {
        let page = bed.app.key_set_list(&op(user), None, 10).await.unwrap();
        page.items.into_iter().map(|one| (one.url, one.policies.len())).collect::<Vec<_>>()
    };
    let fetch = async |user: &str| bed.app.key_set_fetch(&op(user), URL).await;
    for user in ["sara", "vera"] {
        assert_eq!(listed(user).await, [(URL.to_owned(), 1)], "{user}");
    }
    assert!(!fetch("sara").await.unwrap().0, "nobody went for it yet, and somebody is about to");
    let refused = fetch("vera").await;
    let Err(Refusal::Denied(denied)) = refused else { panic!("{refused:?}") };
    assert!(matches!(&denied[0].1, Denied::Forbidden { verb: Verb::Update, .. }), "{denied:?}");
    // Who may not read it is told what is told of one that is not there.
    assert_eq!(listed("bert").await, []);
    let told =
        |refused: Result<_, Refusal>| refused.map(|_: (bool, _)| ()).unwrap_err().to_string();
    let nothing = bed.app.key_set_fetch(&op("bert"), "https://other.example/keys").await;
    assert_eq!(told(fetch("bert").await), told(nothing));
}
