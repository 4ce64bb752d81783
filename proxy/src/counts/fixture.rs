//! Limits as they are written, what goes into their counts, and a real Redis.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::limit::RateLimitPolicy;
use policy::limit::{Charge, Limit, compile};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Redis;
use crate::process::words::Hidden;

pub(super) fn limits(all: &[Value]) -> Vec<Arc<Limit>> {
    limits_in("shop", all)
}

pub(super) fn limits_in(namespace: &str, all: &[Value]) -> Vec<Arc<Limit>> {
    let spec = json!({ "targetRefs": [{ "kind": "Gateway", "name": "edge" }], "limits": all });
    let policy = json!({ "metadata": { "name": "p", "namespace": namespace }, "spec": spec });
    let policy: RateLimitPolicy = serde_json::from_value(policy).unwrap();
    compile(&policy).unwrap().limits().to_vec()
}

pub(super) fn limit(name: &str, requests: u32) -> Value {
    json!({ "name": name, "requests": requests, "window": "60s" })
}

/// The same, with what else is written of it.
pub(super) fn with(mut limit: Value, more: Value) -> Value {
    let (Value::Object(limit_of), Value::Object(more)) = (&mut limit, more) else {
        panic!("two objects")
    };
    limit_of.extend(more);
    limit
}

pub(super) fn charge(limit: &Arc<Limit>, name: &str) -> Charge {
    Charge { limit: Arc::clone(limit), name: name.as_bytes().to_vec() }
}

/// A Redis of one's own, at a socket in a folder; it ends with this.
pub(super) struct Server {
    folder: TempDir,
    child: Child,
}

impl Server {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let child = spawn(&socket(&folder));
        Server { folder, child }
    }

    pub(super) fn restart(&mut self) {
        self.stop();
        self.child = spawn(&socket(&self.folder));
    }

    pub(super) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(super) fn redis(&self) -> Redis {
        let url = format!("unix://{}", socket(&self.folder).display());
        Redis::given(&Hidden(url), None).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("redis")
}

/// One that takes connections.
fn spawn(socket: &Path) -> Child {
    let mut serve = Command::new("redis-server");
    serve.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
    serve.stdout(Stdio::null());
    let child = serve.spawn().expect("redis-server, which `cargo xtask test` installs");
    let began = Instant::now();
    while UnixStream::connect(socket).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "redis-server takes no connection");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}
