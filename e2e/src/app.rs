//! A service of the bookshop, as a process of its own: what a test can kill.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::{program, wait};

/// A running service, which ends when this is dropped.
#[derive(Debug)]
pub struct App {
    child: Child,
    arguments: Vec<String>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl App {
    /// Starts `bookshop` with `arguments` at an address, and waits until it listens.
    ///
    /// # Panics
    /// Where it is not built, or does not listen.
    pub async fn start(address: SocketAddr, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut app = App { child: spawn(address, &arguments), arguments, address };
        app.until_listening().await;
        app
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGKILL.
    ///
    /// # Panics
    /// Where it has ended before.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// Where it does not listen.
    pub async fn restart(&mut self) {
        self.child = spawn(self.address, &self.arguments);
        self.until_listening().await;
    }

    async fn until_listening(&mut self) {
        let address = self.address;
        let listens = || std::net::TcpStream::connect(address).is_ok();
        wait::until_true("a service of the bookshop to listen", listens).await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

fn spawn(address: SocketAddr, arguments: &Vec<String>) -> Child {
    // Ended by the kernel if the test is killed before it can.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program::bookshop());
    command.args(["--listen", &address.to_string()]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("setpriv (of util-linux) starts")
}
