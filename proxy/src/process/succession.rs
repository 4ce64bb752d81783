//! How a process takes the place of the one before it, and gives its own to the next.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use tokio::time::Instant;

use super::handover::{Heir, Stands, Stock, Use};
use super::{FLUSH, Phase, Process, ProcessError, Stop};
use crate::bind::Inlet;
use crate::counts::Keeper;

impl Process {
    /// Says to whoever asks that a table serves, and takes connections from now on: until then the process
    /// before did, if there was one. Says no if this one was told to stop: then that one serves on.
    ///
    /// # Errors
    /// If that one does not give way, as it does not where it has in force what this one's `stock` lacks, or
    /// others could not follow this one.
    pub async fn ready(&mut self, stop: &mut Stop, stock: &Stock) -> Result<bool, ProcessError> {
        // Else the one before would leave, and this one right after it.
        if stop.was_told().await {
            return Ok(false);
        }
        self.place.serve(stock).await?;
        self.accept();
        self.readiness.set(Phase::Serving);
        stop.notice = Some((Arc::clone(&self.readiness), self.notice));
        Ok(true)
    }

    /// Ends when another process wants to follow this one.
    ///
    /// # Errors
    /// If, before this one serves, the process before says that it serves on.
    pub async fn called(&mut self) -> Result<Heir, ProcessError> {
        loop {
            match self.place.called().await? {
                Some(heir) => return Ok(heir),
                None => self.stand_in(),
            }
        }
    }

    /// Takes connections before this process is ready, as one that nobody was before does, if the one before is
    /// gone.
    pub(super) fn stand_in(&mut self) {
        if self.applied && !self.accepts && self.place.is_left() {
            tracing::warn!("taking connections before everything is ready, since nobody else does");
            self.accept();
        }
    }

    fn accept(&mut self) {
        self.accepts = true;
        self.proxy.count_on();
        self.proxy.accept();
        self.admin.iter().for_each(|admin| admin.accept());
    }

    /// Gives what it has open to the next process and waits until that serves; then this one has to [`end`].
    /// Else it serves on, as it does where the next one lacks what is in force by this one's `stock`.
    /// `let_go` ends what uses the state folder, all but what quotas count.
    ///
    /// [`end`]: Process::end
    pub async fn hand_over(&mut self, heir: Heir, stock: &Stock, let_go: impl FnMut()) -> bool {
        tracing::info!("another process wants to follow; serving on until it serves");
        let began = Instant::now();
        self.place.lend();
        let keeper = self.proxy.keeper();
        let yields = || keeper.into_iter().for_each(Keeper::let_go);
        match heir.follow(&self.sockets(), stock, let_go, yields).await {
            Ok(()) => {
                tracing::info!("the other process serves");
                self.place.0 = Stands::Followed;
                true
            }
            Err(error) => {
                self.proxy.keeper().into_iter().for_each(Keeper::take_back);
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "the other process does not follow; serving on");
                self.place.take_back(began.elapsed());
                false
            }
        }
    }

    fn sockets(&self) -> Vec<(Use, BorrowedFd<'_>)> {
        let traffic = self.proxy.sockets().map(|socket| match socket {
            Inlet::Tcp(socket) => (Use::Traffic, socket.as_fd()),
            Inlet::Udp(socket) => (Use::Datagrams, socket.as_fd()),
        });
        let admin = self.admin.iter().map(|admin| (Use::Admin, admin.listener().as_fd()));
        let door = match &self.place.0 {
            Stands::Serving(door) | Stands::Lent(door) => Some((Use::Door, door.socket())),
            Stands::Alone | Stands::First(_) | Stands::After(_) | Stands::Followed => None,
        };
        traffic.chain(admin).chain(door).collect()
    }

    /// Finishes what is under way within the bound, and ends.
    pub fn end(self) {
        let seconds = self.drain.as_secs();
        tracing::info!(seconds, "stopping; finishing what is under way");
        self.readiness.set(Phase::Draining);
        let mut admin = self.admin;
        match self.place.0 {
            Stands::Followed => {
                // Whoever asks how the gateway is means the one that serves.
                drop(admin.take());
                self.proxy.leave(self.drain);
            }
            Stands::Lent(door) => {
                // Whoever goes on has the file, too.
                self.proxy.keeper().into_iter().for_each(Keeper::let_go);
                // It is found at the door and asked at the admin port from now on, if it comes to something. What
                // waits at the other sockets is still served here, since it may not.
                drop((door, admin.take()));
                self.proxy.drain(self.drain);
            }
            Stands::Serving(door) => {
                door.close();
                self.proxy.drain(self.drain);
            }
            Stands::Alone | Stands::First(_) | Stands::After(_) => self.proxy.drain(self.drain),
        }
        if !self.telemetry.stop(FLUSH) {
            tracing::warn!("not all logs and spans could be written");
        }
        drop(admin);
    }
}
