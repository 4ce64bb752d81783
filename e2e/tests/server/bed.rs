//! Folders and databases of one test, with something in them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use e2e::program::{self, Ended};
use e2e::server;
use model::secret::SecretBytes;
use store::authority::{Authority, Kind, State};
use store::user::User;
use store::{Commit, Entry, Key, Location, Put, Scope, Store, Write};

/// What the store holds after [`fill`]: two commits, one of which says more, a login and a user.
pub(crate) const ENTRIES: &str = "5 entries, chain holds\n";

/// What a server writes at its first start: the first admin, and that they may do everything.
pub(crate) const FIRST: &str = "2 entries, chain holds\n";

/// What the filled store has sealed.
pub(crate) const SECRET: &[u8] = b"what nobody reads";

/// A folder of one test.
pub(crate) struct Bed(tempfile::TempDir);

impl Bed {
    pub(crate) fn new() -> Self {
        Bed(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as an argument.
    pub(crate) fn word(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A store in the folder `name`, filled.
    pub(crate) async fn filled(&self, name: &str) -> String {
        fill(&Location::Folder(self.path(name))).await;
        self.word(name)
    }

    /// Runs `heddle-server` over the folder `name`, to its end.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Ended {
        run(&[&["--data", &self.word(name)], arguments].concat())
    }

    /// Gives the folder `to` the keys of the folder `from`.
    pub(crate) fn bring_keys(&self, from: &str, to: &str) {
        std::fs::create_dir_all(self.path(to).join("keys")).unwrap();
        let file = |name| self.path(name).join("keys/seal.json");
        std::fs::copy(file(from), file(to)).unwrap();
    }

    /// What is in the folder `name`.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name)).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }
}

/// Runs `heddle-server` to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    program::ended(server::command().args(arguments))
}

/// It did what was asked, and said this.
pub(crate) fn done(ended: &Ended) -> &str {
    assert_eq!(ended.code, 0, "{ended:?}");
    &ended.stdout
}

/// It was refused with `code`, said nothing on stdout, and all of `words` on stderr.
pub(crate) fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no '{word}' in: {}", ended.stderr);
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A database of its own on the server that the suite lends.
pub(crate) struct Database {
    pub(crate) url: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        let name = format!("heddle_{since}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        psql(&lent(), &format!("CREATE DATABASE {name}"));
        let (address, _) = lent().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.len())).unwrap();
        Database { url: format!("{address}/{name}") }
    }

    /// The address with this password, which the server does not ask for.
    pub(crate) fn with_password(&self, password: &str) -> String {
        self.url.replacen('@', &format!(":{password}@"), 1)
    }

    /// Does what the store never would, behind its back.
    pub(crate) fn tamper(&self, sql: &str) {
        psql(&self.url, sql);
    }
}

fn lent() -> String {
    std::env::var("HEDDLE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("HEDDLE_TEST_POSTGRES names no server; `cargo xtask test --only store` starts one")
    })
}

fn psql(url: &str, sql: &str) {
    let mut psql = Command::new("psql");
    let ended = program::ended(psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url]));
    assert_eq!(ended.code, 0, "{sql}: {ended:?}");
}

/// Opens the store at `at`, writes [`ENTRIES`] and closes it.
///
/// There is a user, so that a server over it has nobody to make.
pub(crate) async fn fill(at: &Location) {
    let store = Store::open(at).await.unwrap();
    for (revision, body) in [(1, "one"), (2, "two")] {
        let entry = said("approve");
        let audit = if revision == 1 { vec![entry] } else { Vec::new() };
        let put = Write::Put(Box::new(route(body)));
        let commit = Commit {
            at: revision,
            actor: "alice".into(),
            writes: vec![put],
            audit,
            ..Commit::default()
        };
        store.commit(&commit).await.unwrap();
    }
    store.audit_append(&[said("login")]).await.unwrap();
    store.user_create(&alice(), &said("create")).await.unwrap();
    store.authority_settle(&authority(), SECRET, 0).await.unwrap();
    store.close().await;
}

/// What [`fill`] wrote is there, and its secrets open.
pub(crate) async fn holds_all(at: &Location) {
    let store = Store::open_existing(at).await.unwrap();
    assert_eq!(store.history(&route("").key, None, 9).await.unwrap().len(), 2);
    assert_eq!(store.secret(&route("").key, 2).await.unwrap().as_deref(), Some(SECRET));
    assert_eq!(store.authority_key("root").await.unwrap().as_deref(), Some(SECRET));
    store.close().await;
}

fn said(verb: &str) -> Entry {
    Entry { at: 1, actor: "alice".into(), verb: verb.into(), ..Entry::default() }
}

fn alice() -> User {
    let (id, name) = ("u1".to_owned(), "alice".to_owned());
    User {
        id,
        name,
        password: Some("none that anybody has".to_owned()),
        disabled: false,
        created: 1,
        updated: 1,
    }
}

fn route(body: &str) -> Put {
    let [cluster, kind, namespace, name] = ["here", "HTTPRoute", "shop", "files"].map(String::from);
    Put {
        key: Key { cluster, kind, namespace, name },
        expected: None,
        body: format!("{{\"spec\":\"{body}\"}}"),
        scope: Scope::Platform,
        owner_team: String::new(),
        source: "user".into(),
        labels: Default::default(),
        references: Vec::new(),
        claims: Vec::new(),
        grants: Vec::new(),
        secret: Some(SecretBytes::new(SECRET)),
    }
}

fn authority() -> Authority {
    Authority {
        id: "root".into(),
        cluster: "here".into(),
        kind: Kind::Root,
        certificate: "PEM".into(),
        created: 1,
        expires: 2,
        state: State::Active,
        since: 1,
    }
}
