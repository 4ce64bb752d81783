//! A secret value is where it is used and nowhere else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{fleet, server};

use crate::scene::Scene;

const MARKER: &str = "marker-that-is-in-no-file-of-anybody";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_stands_in_no_file_and_no_answer() {
    let mut scene = Scene::new(fleet::Plan::default()).await;
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
         stringData: {{ clerk: {MARKER} }}\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
         metadata: {{ name: keys, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: all }}]\n  \
         methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: keys }} }} }}]\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: keys, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: all }}]\n  \
         rules: [{{ name: clerk, when: {{ callers: [{{ apiKey: clerk }}] }} }}]\n"
    );
    let revision = scene.fleet.change(&text).await;
    scene.fleet.until_everywhere(revision).await;
    // It is in use, so it has been everywhere that it goes.
    assert_eq!(status(&scene, "none").await, 401);
    assert_eq!(status(&scene, MARKER).await, 200);
    for path in [
        "/resources?limit=500",
        &format!("/changes/{revision}"),
        "/history/Secret/shop/keys",
        "/audit",
        "/nodes",
    ] {
        let shown = scene.fleet.get(path).await.to_string();
        assert!(is_clean(shown.as_bytes()), "{path} shows it");
    }
    let config = scene.gateway.admin("/config").await.expect("/config answers");
    assert!(is_clean(&config.body), "/config shows it");
    let backup = scene.fleet.path("backup");
    let data = scene.fleet.data().display().to_string();
    let backup = backup.display().to_string();
    let mut command = server::command();
    let made = e2e::program::ended(command.args(["--data", &data, "backup", &backup]));
    assert_eq!(made.code, 0, "{made:?}");
    let said = scene.fleet.server().stderr();
    assert!(is_clean(said.as_bytes()), "the server's log shows it");
    // The database, its log, the backup, the gateway's state and logs.
    let folder = scene.fleet.path("");
    let looked = walk(&folder);
    assert!(looked > 8, "{looked} files in {}", folder.display());
}

async fn status(scene: &Scene, key: &str) -> u16 {
    use e2e::client::{Connection, nothing, request};
    let asked = request("GET", crate::scene::SHOP, "/").header("x-api-key", key);
    let asked = asked.body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    connection.send(asked).await.expect("an answer").status
}

/// Looks into every file below `folder`; how many there are.
fn walk(folder: &Path) -> usize {
    let mut looked = 0;
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            looked += walk(&path);
        } else {
            let bytes = std::fs::read(&path).expect("the file can be read");
            assert!(is_clean(&bytes), "{} holds it", path.display());
            looked += 1;
        }
    }
    looked
}

fn is_clean(bytes: &[u8]) -> bool {
    let encoded = STANDARD.encode(MARKER);
    [MARKER.as_bytes(), encoded.as_bytes()]
        .iter()
        .all(|form| !bytes.windows(form.len()).any(|window| window == *form))
}
