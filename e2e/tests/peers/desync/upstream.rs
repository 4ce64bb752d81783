//! An upstream that is a program of its own, behind something that keeps each byte that goes to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use e2e::program::free_port;
use e2e::wait;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::strict::Request;

/// What came to an upstream.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) whole: Vec<Request>,
    pub(super) broken: Vec<String>,
    pub(super) is_odd: bool,
}

/// What came on a connection, and whether that has ended.
#[derive(Default)]
struct Talk {
    bytes: Vec<u8>,
    ended: bool,
}

type Heard = Arc<Mutex<Vec<Talk>>>;

/// An upstream behind something that keeps what goes to it.
pub(super) struct Upstream {
    pub(super) name: &'static str,
    program: Child,
    heard: Heard,
    /// Where it says which requests it saw.
    log: std::path::PathBuf,
    _folder: TempDir,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _gone_already = self.program.kill();
        let _gone_already = self.program.wait();
    }
}

const NGINX: &str = "daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/error;
events {}
http {
  log_format seen '$request_method $request_uri';
  access_log FOLDER/seen seen;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT;
    location / { return 200 $request_uri; }
  }
}";

const NODE: &str = "
const fs = require('fs');
require('http').createServer((request, response) => {
  fs.appendFileSync('FOLDER/seen', `${request.method} ${request.url}\\n`);
  request.resume().on('end', () => response.end(request.url));
}).listen(PORT, '127.0.0.1');";

impl Upstream {
    /// Starts it; gives where it is reached as well.
    pub(super) async fn start(name: &'static str) -> (Self, SocketAddr) {
        let (folder, port) = (TempDir::new().expect("a folder"), free_port());
        let path = folder.path().to_string_lossy().into_owned();
        let text = if name == "nginx" { NGINX } else { NODE };
        let text = text.replace("FOLDER", &path).replace("PORT", &port.to_string());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", name]);
        if name == "nginx" {
            let config = folder.path().join("nginx.conf");
            std::fs::write(&config, text).expect("a folder to write to");
            command.arg("-p").arg(folder.path()).arg("-c").arg(config);
        } else {
            command.args(["-e", &text]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let program = command.spawn().expect("nginx and node (of packages of these names) start");
        let there = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait::until("the upstream to listen", || async { TcpStream::connect(there).await.ok() })
            .await;
        let (heard, log) = (Heard::default(), folder.path().join("seen"));
        let address = tap(there, Arc::clone(&heard)).await;
        (Upstream { name, program, heard, log, _folder: folder }, address)
    }

    /// What came since the last time: the requests that are whole, the targets of those that were broken off, and
    /// whether anything else came, or something that is neither yet.
    pub(super) fn heard(&self) -> Came {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut came = Came::default();
        for Talk { bytes, ended } in heard.iter_mut() {
            let mut rest = &bytes[..];
            while let Some((request, behind)) = Request::read(rest) {
                came.whole.push(request);
                rest = behind;
            }
            match Request::head(rest) {
                Some(head) if *ended => came.broken.push(head.target.to_owned()),
                Some(_) => came.is_odd = true,
                None => came.is_odd |= !rest.is_empty(),
            }
            // What is not over is looked at again.
            let length = if *ended || rest.is_empty() { 0 } else { rest.len() };
            *bytes = bytes.split_off(bytes.len() - length);
        }
        came
    }

    /// How many connections came.
    pub(super) fn connections(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The targets of the requests that it says it saw.
    pub(super) fn seen(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
    }
}

/// A way to `there` that keeps what goes to it.
async fn tap(there: SocketAddr, heard: Heard) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, there, Arc::clone(&heard)));
        }
    });
    address
}

async fn carry(client: TcpStream, there: SocketAddr, heard: Heard) -> std::io::Result<()> {
    let with = |change: &mut dyn FnMut(&mut Vec<Talk>)| {
        change(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let mut at = 0;
    with(&mut |all| {
        at = all.len();
        all.push(Talk::default());
    });
    let upstream = TcpStream::connect(there).await?;
    let ((mut from, mut back), (mut answers, mut to)) =
        (client.into_split(), upstream.into_split());
    let answering = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        with(&mut |all| all[at].bytes.extend_from_slice(&piece[..length]));
        to.write_all(&piece[..length]).await?;
    }
    with(&mut |all| all[at].ended = true);
    to.shutdown().await?;
    let _gone = answering.await;
    Ok(())
}
