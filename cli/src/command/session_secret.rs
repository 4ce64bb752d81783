//! `session-secret`: having gateways seal sessions by another secret.

use serde_json::json;

use crate::app::Context;
use crate::args::people::{SecretRotate, SessionSecret};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::{self, printable, word};

/// Has another secret seal.
///
/// # Errors
/// What the server refuses, to whoever is no admin of the platform.
pub(crate) async fn run(context: &Context, args: &SessionSecret) -> Result<Done, Failure> {
    let SessionSecret::Rotate(SecretRotate { forget, show }) = args;
    let ask = Ask::post(&["session-secrets", "rotation"]).with_json(&json!({ "forget": forget }));
    let made = context.client.json(&ask).await?;
    let text =
        || format!("sessions are sealed by another secret from {} on\n", word(&made, "/begins"));
    show::answer(show.output, &made, || printable(&text()))?;
    Ok(Done::Yes)
}
