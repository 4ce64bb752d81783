//! One open stream: what we say goes in, what control says comes out, until either end is gone.

use std::future::poll_fn;

use futures::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};
use wire::client::ConfigClient;
use wire::{ControlFrame, NodeFrame};

use crate::identity::{Away, Dialer};

/// So many frames of ours wait to be sent; a greeting of a million objects is as many.
const SAID: usize = 1_024;
/// So many frames of control wait to be taken; the rest waits in its connection.
const HEARD: usize = 16;

/// An open stream; closed when dropped.
#[derive(Debug)]
pub(crate) struct Link {
    say: mpsc::Sender<NodeFrame>,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

/// Why a stream ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) why: String,
    /// Whether the server knows nobody by our certificate.
    pub(crate) is_unknown: bool,
}

/// What came out of a stream.
#[derive(Debug)]
pub(crate) enum Heard {
    Frame(ControlFrame),
    /// Nothing more will come, for this reason.
    End(End),
}

impl Link {
    /// Opens a stream on a connection of its own.
    pub(crate) async fn open(dialer: &Dialer) -> Result<Self, Away> {
        let connection = dialer.dial().await?;
        let client = ConfigClient::new(connection);
        let mut client =
            client.max_decoding_message_size(wire::FRAME).max_encoding_message_size(wire::FRAME);
        let (say, mut said) = mpsc::channel(SAID);
        let (tell, heard) = mpsc::channel(HEARD);
        let task = tokio::spawn(async move {
            let frames = stream::poll_fn(move |context| said.poll_recv(context));
            // The server may wait for our first frame before it answers.
            let end = match client.stream(Request::new(frames)).await {
                Ok(answer) => pump(answer.into_inner(), &tell).await,
                Err(status) => told(&status),
            };
            // Nobody listens any more if this fails.
            let _ = tell.send(Heard::End(end)).await;
        });
        Ok(Link { say, heard, task })
    }

    /// Says something; `false` if the server takes nothing any more.
    pub(crate) fn say(&self, frame: NodeFrame) -> bool {
        self.say.try_send(frame).is_ok()
    }

    /// What control says next.
    pub(crate) async fn hear(&mut self) -> Heard {
        let next = poll_fn(|context| self.heard.poll_recv(context)).await;
        next.unwrap_or_else(|| Heard::End(End::of("the stream broke off")))
    }
}

async fn pump(mut frames: tonic::Streaming<ControlFrame>, tell: &mpsc::Sender<Heard>) -> End {
    loop {
        match frames.message().await {
            Ok(Some(frame)) => {
                if tell.send(Heard::Frame(frame)).await.is_err() {
                    return End::of("nobody listens");
                }
            }
            Ok(None) => return End::of("the server ended the stream"),
            Err(status) => return told(&status),
        }
    }
}

fn told(status: &Status) -> End {
    let why = format!("the server ended the stream ({:?}: {})", status.code(), status.message());
    End { why, is_unknown: status.code() == Code::Unauthenticated }
}

impl End {
    fn of(why: &str) -> Self {
        End { why: why.to_owned(), is_unknown: false }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
