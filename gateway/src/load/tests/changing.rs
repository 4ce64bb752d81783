//! Nothing that happens to files opens a door, and what is meant happens soon. Time is an argument.

use std::os::unix::fs::symlink;

use http::{HeaderMap, Method};
use policy::chain::Verdict;
use policy::{Facts, Layer, Scheme};

use super::*;

pub(super) const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: heddle, listeners: [{ name: web, port: 80, protocol: HTTP }] }
---
apiVersion: v1
kind: Service
metadata: { name: app, namespace: shop }
spec: { ports: [{ port: 80 }] }
";

/// A route for `/NAME` and everything below.
pub(super) fn route(name: &str) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: {name}, namespace: shop }}
spec:
  parentRefs: [{{ name: edge }}]
  rules:
    - matches: [{{ path: {{ value: /{name} }} }}]
      backendRefs: [{{ name: app, port: 80 }}]
"
    )
}

/// A policy that denies GET on the route of that name, by its last line.
pub(super) fn policy(name: &str) -> String {
    format!(
        "\
apiVersion: heddle.dev/v1alpha1
kind: AccessPolicy
metadata: {{ name: {name}, namespace: shop }}
spec:
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name} }}]
  rules:
    - name: anybody
      when: {{}}
    - name: nobody
      action: Deny
      when: {{ methods: [GET] }}
"
    )
}

pub(super) fn join(documents: &[String]) -> String {
    documents.join("---\n")
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closed,
    Absent,
}

/// A configuration in a folder and the time that it is told.
pub(super) struct Scene {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: Config,
    pub(super) now: Instant,
}

impl Scene {
    pub(super) fn start(files: &[(&str, String)]) -> Self {
        let folder = folder(files);
        fs::write(folder.path().join("shop.yaml"), SHOP).unwrap();
        let mut config = Config::at(folder.path());
        let loaded = config.first(|_| ()).unwrap();
        assert_eq!(shown(&loaded, folder.path()), Vec::<String>::new());
        Scene { folder, config, now: Instant::now() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Looks for so long, as often as asked to and at least every 100 ms; all that was told.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<String> {
        let (until, mut told) = (self.now + time, Vec::new());
        loop {
            let loaded = self.config.look(self.now).unwrap();
            told.extend(shown(&loaded, self.folder.path()));
            if self.now == until {
                return told;
            }
            let step = loaded.again.unwrap_or(STILL).min(STILL);
            assert!(step > Duration::ZERO, "it would spin");
            self.now = until.min(self.now + step);
        }
    }

    /// What becomes of a GET on `/NAME`.
    pub(super) fn door(&self, name: &str) -> Door {
        let (path, headers) = (format!("/{name}"), HeaderMap::new());
        let facts = Facts {
            layer: Layer::Request,
            now: 0,
            source: [127, 0, 0, 1].into(),
            scheme: Scheme::Http,
            port: 80,
            host: "shop.test",
            method: &Method::GET,
            path: &path,
            query: None,
            headers: &headers,
            peer: None,
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        };
        let Ok(found) = self.config.table().unwrap().find(&facts) else { return Door::Absent };
        match found.rule.chain.uncounted(&facts, found.prefix) {
            Verdict::Pass(_) => Door::Open,
            Verdict::Answer(_) => Door::Closed,
        }
    }
}

/// Shorter than any removal takes.
pub(super) const MOMENT: Duration = Duration::from_millis(1900);

#[test]
fn an_edit_counts_after_two_looks_and_a_removal_after_the_grace() {
    let both = join(&[route("a"), policy("a")]);
    let mut scene = Scene::start(&[("a.yaml", both.clone())]);
    assert_eq!(scene.door("a"), Door::Closed);
    scene.write("a.yaml", &both.replace("[GET]", "[PUT]"));
    scene.pass(STILL);
    assert_eq!(scene.door("a"), Door::Open);
    scene.write("a.yaml", &both);
    scene.pass(STILL);
    assert_eq!(scene.door("a"), Door::Closed);
    // Taken out on purpose.
    scene.write("a.yaml", &route("a"));
    scene.pass(MOMENT);
    assert_eq!(scene.door("a"), Door::Closed);
    scene.pass(GRACE - MOMENT);
    assert_eq!(scene.door("a"), Door::Open);
    assert_eq!(scene.config.look(scene.now).unwrap().again, None);
}

#[test]
fn a_file_cut_off_anywhere_opens_nothing() {
    let whole = join(&[route("a"), policy("a"), route("b"), policy("b")]);
    let mut scene = Scene::start(&[("a.yaml", whole.clone())]);
    for end in 0..whole.len() {
        scene.write("a.yaml", &whole[..end]);
        scene.pass(MOMENT);
        assert_eq!([scene.door("a"), scene.door("b")], [Door::Closed; 2], "{}", &whole[..end]);
    }
    scene.write("a.yaml", &whole);
    scene.pass(STILL);
    assert_eq!([scene.door("a"), scene.door("b")], [Door::Closed; 2]);
}

#[test]
fn a_cut_in_the_last_line_is_no_edit() {
    let sources = "when:\n        sources:\n          - 10.0.0.0/24";
    let whole = policy("a").replace("when: { methods: [GET] }\n", sources);
    let mut scene = Scene::start(&[("p.yaml", whole.clone()), ("r.yaml", route("a"))]);
    scene.write("p.yaml", whole.strip_suffix('4').unwrap());
    scene.pass(MOMENT);
    assert_eq!(scene.config.files[&scene.path("p.yaml")].text, whole);
}

#[test]
fn an_edited_text_that_is_cut_off_before_a_rule_opens_nothing() {
    let whole = format!("# one\n{}", join(&[route("a"), policy("a")]));
    let mut scene = Scene::start(&[("a.yaml", whole.clone())]);
    let end = whole.find("    - name: nobody").unwrap();
    scene.write("a.yaml", &whole[..end].replace("# one", "# seven"));
    scene.pass(MOMENT);
    assert_eq!(scene.door("a"), Door::Closed);
    scene.pass(GRACE - MOMENT);
    assert_eq!(scene.door("a"), Door::Open);
}

#[test]
fn a_longer_text_cut_off_anywhere_opens_nothing() {
    let both = join(&[route("a"), policy("a")]);
    let whole = join(&[both.clone(), route("b"), policy("b")]);
    for end in both.len()..whole.len() {
        let mut scene = Scene::start(&[("a.yaml", both.clone())]);
        scene.write("a.yaml", &whole[..end]);
        scene.pass(MOMENT);
        assert_eq!([scene.door("a"), scene.door("b")], [Door::Closed, Door::Absent], "{end}");
    }
}

#[test]
fn a_new_file_that_is_still_written_opens_nothing() {
    let whole = join(&[route("a"), policy("a")]);
    let mut scene = Scene::start(&[]);
    for end in 0..whole.len() {
        scene.write("a.yaml", &whole[..end]);
        scene.pass(MOMENT);
        assert_ne!(scene.door("a"), Door::Open, "{}", &whole[..end]);
    }
    scene.write("a.yaml", &whole);
    scene.pass(GRACE);
    assert_eq!(scene.door("a"), Door::Closed);
}

#[test]
fn a_new_file_with_a_policy_nobody_can_name_gives_nothing_and_holds_up_nobody() {
    let both = join(&[route("a"), policy("a")]);
    let name = both.rfind("name: a,").unwrap();
    for (number, bad) in [
        both.replace("AccessPolicy", "AccessPolcy"),
        both.replace("heddle.dev/v1alpha1", "hedle.dev/v1alpha1"),
        format!("{}nam: a,{}", &both[..name], &both[name + 8..]),
        both.replace("when: {}", "when: {"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut scene = Scene::start(&[("z.yaml", route("z"))]);
        scene.write("a.yaml", &bad);
        scene.write("z.yaml", &format!("{}---\n{}", route("z"), route("y")));
        let told = scene.pass(GRACE + PATIENCE);
        let doors = ["a", "y", "z"].map(|name| scene.door(name));
        assert_eq!(doors, [Door::Absent, Door::Open, Door::Open], "{number}: {told:#?}");
        assert!(!told.is_empty() && told.iter().all(|line| line.starts_with("a.yaml:")));
        assert!(told.iter().all(|line| line.contains("nothing of this file is in force")));
        // Told once, and taken when mended.
        assert_eq!(scene.pass(PATIENCE), Vec::<String>::new());
        scene.write("a.yaml", &both);
        scene.pass(GRACE);
        assert_eq!(scene.door("a"), Door::Closed);
    }
}

#[test]
fn a_file_deleted_and_written_anew_never_loses_its_policy() {
    let mut scene = Scene::start(&[("p.yaml", policy("a")), ("r.yaml", route("a"))]);
    for _ in 0..3 {
        scene.remove("p.yaml");
        scene.pass(MOMENT);
        assert_eq!(scene.door("a"), Door::Closed);
        // Back, but mistyped; then right.
        scene.write("p.yaml", &policy("a").replace("AccessPolicy", "AccesPolicy"));
        assert!(!scene.pass(MOMENT).is_empty());
        assert_eq!(scene.door("a"), Door::Closed);
        scene.write("p.yaml", &policy("a"));
        scene.pass(MOMENT);
        assert_eq!(scene.door("a"), Door::Closed);
    }
    scene.remove("p.yaml");
    scene.pass(GRACE);
    assert_eq!(scene.door("a"), Door::Open);
}

#[test]
fn an_unreadable_file_keeps_its_content_and_the_others_are_taken() {
    let mut scene = Scene::start(&[("a.yaml", join(&[route("a"), policy("a")]))]);
    let damage: [fn(&Path); 3] = [
        |path| fs::write(path, b"\xff\xfe").unwrap(),
        |path| fs::File::create(path).unwrap().set_len(super::reading::FILE_BYTES + 1).unwrap(),
        |path| symlink("nowhere.yaml", path).unwrap(),
    ];
    for (number, damage) in damage.into_iter().enumerate() {
        scene.remove("a.yaml");
        damage(&scene.path("a.yaml"));
        let name = format!("b{number}");
        scene.write(&format!("{name}.yaml"), &route(&name));
        let told = scene.pass(GRACE);
        assert_eq!([scene.door("a"), scene.door(&name)], [Door::Closed, Door::Open]);
        assert!(told.iter().all(|line| line.starts_with("a.yaml: cannot be read: ")), "{told:?}");
        assert!(!told.is_empty());
        assert_eq!(scene.pass(PATIENCE), Vec::<String>::new(), "told again");
    }
    scene.remove("a.yaml");
    scene.write("a.yaml", &join(&[route("a"), policy("a")]));
    scene.pass(STILL);
    assert_eq!(scene.config.files[&scene.path("a.yaml")].broken.len(), 0);
}

#[test]
fn changes_made_together_are_taken_together() {
    let (routes, policies) = (join(&[route("a"), route("c")]), join(&[policy("a"), policy("c")]));
    let mut scene = Scene::start(&[("r.yaml", routes.clone()), ("p.yaml", policies)]);
    // The one alone would be a plain edit; the other loses a policy and must wait.
    scene.write("r.yaml", &routes.replace("value: /a", "value: /b"));
    scene.write("p.yaml", &policy("a"));
    let doors = |scene: &Scene| ["a", "b", "c"].map(|name| scene.door(name));
    scene.pass(MOMENT);
    assert_eq!(doors(&scene), [Door::Closed, Door::Absent, Door::Closed]);
    scene.pass(GRACE - MOMENT);
    assert_eq!(doors(&scene), [Door::Absent, Door::Closed, Door::Open]);
}

#[test]
fn a_file_that_never_lies_still_holds_up_the_others_for_a_while_only() {
    let mut scene = Scene::start(&[("a.yaml", join(&[route("a"), policy("a")]))]);
    scene.write("b.yaml", &route("b"));
    let looks = 2 * PATIENCE.as_millis() / (STILL / 2).as_millis();
    for number in 0..looks {
        scene.write("a.yaml", &format!("# {number}\n{}", route("a")));
        scene.now += STILL / 2;
        scene.config.look(scene.now).unwrap();
        assert_eq!(scene.door("a"), Door::Closed);
    }
    assert_eq!(scene.door("b"), Door::Open);
}

#[test]
fn a_configuration_that_was_away_begins_its_waits_anew() {
    let mut scene = Scene::start(&[("p.yaml", policy("a")), ("r.yaml", route("a"))]);
    scene.remove("p.yaml");
    scene.pass(MOMENT);
    let (here, outside) = (scene.folder.path().to_owned(), tempfile::tempdir().unwrap());
    let away = outside.path().join("away");
    fs::rename(&here, &away).unwrap();
    scene.now += GRACE;
    scene.config.look(scene.now).unwrap_err();
    fs::rename(&away, &here).unwrap();
    scene.pass(MOMENT);
    assert_eq!(scene.door("a"), Door::Closed);
}

#[test]
fn the_first_load_waits_for_files_to_lie_still() {
    let whole = join(&[route("a"), policy("a")]);
    let folder = folder(&[("shop.yaml", SHOP.to_owned()), ("a.yaml", route("a"))]);
    let mut config = Config::at(folder.path());
    let mut pauses = 0;
    let loaded = config.first(|_| {
        pauses += 1;
        if pauses < 3 {
            fs::write(folder.path().join("a.yaml"), &whole[..whole.len() - 3 + pauses]).unwrap();
        } else {
            fs::write(folder.path().join("a.yaml"), &whole).unwrap();
        }
    });
    assert_eq!((loaded.unwrap().objects, pauses), (4, 4));
    let mut number = 0;
    let error = Config::at(folder.path()).first(|_| {
        number += 1;
        fs::write(folder.path().join("a.yaml"), format!("# {number}\n{whole}")).unwrap();
    });
    assert!(error.unwrap_err().to_string().contains("goes on changing"));
}

#[test]
fn the_first_load_refuses_a_file_that_cannot_be_read() {
    let folder = folder(&[("a.yaml", service("a"))]);
    fs::write(folder.path().join("b.yaml"), b"\xff").unwrap();
    let error = Config::at(folder.path()).first(|_| ()).unwrap_err().to_string();
    assert!(error.contains("b.yaml: cannot be read: "), "{error}");
}
