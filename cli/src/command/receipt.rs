//! `--wait`: until every node that a change concerns has it, or the time is over.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::app::Context;
use crate::args::span::told;
use crate::args::{Output, Wait};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::{self, count, items, printable, word};

/// So long the server may hold one answer back.
const ONE_WAIT: Duration = Duration::from_secs(60);
/// Between two questions, if the server does not hold its answers back; in the last of it none is
/// asked.
const PAUSE: Duration = Duration::from_millis(200);

/// Ends a change: waits for the nodes where that was asked, and shows the answer to a program.
///
/// # Errors
/// If the server cannot say who has the change.
pub(crate) async fn finish(
    context: &Context,
    mut answer: Value,
    Wait { wait }: Wait,
    output: Output,
) -> Result<Done, Failure> {
    // Revision 0 is that of a store in which nothing was changed.
    let revision = answer["revision"].as_i64().filter(|revision| *revision > 0);
    let mut done = Done::Yes;
    let mut text = String::new();
    let mut failed = None;
    if let (Some(wait), Some(revision)) = (wait, revision) {
        match receipt(context, revision, wait).await {
            Ok(receipt) => {
                let lacking = lacking(&receipt, revision);
                lacking.iter().for_each(show::note);
                done = Done::when(lacking.is_empty());
                if done == Done::Yes {
                    text = having(&receipt);
                }
                answer["receipt"] = receipt;
            }
            // The change is made all the same, so a program must be told of it.
            Err(failure) => failed = Some(failure),
        }
    }
    show::answer(output, &answer, || text)?;
    failed.map_or(Ok(done), Err)
}

/// The receipt of `revision` when it is complete, or as it is after `wait`.
async fn receipt(context: &Context, revision: i64, wait: Duration) -> Result<Value, Failure> {
    let deadline = Instant::now() + wait;
    loop {
        let begun = Instant::now();
        let rest = deadline.saturating_duration_since(begun).min(ONE_WAIT);
        let ask = Ask::get(&["changes", &revision.to_string(), "receipt"]);
        // Whole seconds, since less is not worth a question.
        let rest = Duration::from_secs(rest.as_millis().div_ceil(1000) as u64);
        let ask = ask.query("wait", &told(rest)).waiting(rest);
        let receipt = context.client.json(&ask).await?;
        if receipt["complete"] == true || Instant::now() + PAUSE >= deadline {
            return Ok(receipt);
        }
        tokio::time::sleep_until(begun + PAUSE).await;
    }
}

fn having(receipt: &Value) -> String {
    match items(receipt, "/nodes").len() {
        0 => "no node is concerned\n".to_owned(),
        nodes => format!("applied by {}\n", count(nodes, "node")),
    }
}

/// A line for each node that lacks the revision, and for each object that one rejected.
fn lacking(receipt: &Value, revision: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for node in items(receipt, "/nodes") {
        let name = printable(&word(node, "/name"));
        let cluster = printable(&word(node, "/cluster"));
        let rejected = items(node, "/rejected");
        for object in rejected {
            lines.push(format!("node {name} ({cluster}) rejected {}", rejection(object)));
        }
        // Of a complete revision, whoever lacks it is long gone.
        if node["applied"].is_null() && rejected.is_empty() && receipt["complete"] != true {
            let state = printable(&word(node, "/state"));
            lines.push(format!("node {name} ({cluster}, {state}) lacks revision {revision}"));
        }
    }
    if receipt["complete"] != true && lines.is_empty() {
        lines.push(format!("not every node has revision {revision} yet"));
    }
    lines
}

/// `HTTPRoute shop/r: spec.rules[0]: reason`.
pub(crate) fn rejection(rejected: &Value) -> String {
    let object = printable(&word(rejected, "/object"));
    let reason = printable(&word(rejected, "/reason"));
    match word(rejected, "/path").as_str() {
        "-" => format!("{object}: {reason}"),
        path => format!("{object}: {}: {reason}", printable(path)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::args::Colour;
    use crate::client::fake::{Act, Fake, good};
    use crate::show::Paint;

    /// What comes of waiting for `wait` on a server that gives these receipts, and how often it was
    /// asked.
    async fn waited(wait: Duration, receipts: &[Value]) -> (Done, usize) {
        let acts: Vec<Act> = receipts.iter().map(|receipt| good(&receipt.to_string())).collect();
        let fake = Fake::new(&acts).await;
        let paint = Paint::new(Colour::Never);
        let context =
            Context { client: fake.client(), paint, kept: None, file: None, has_own_token: false };
        let wait = Wait { wait: Some(wait) };
        let answer = json!({ "revision": 7, "changed": [] });
        let done = finish(&context, answer, wait, Output::Json).await.unwrap();
        let requests = fake.requests.await.unwrap();
        let asks = |request: &String| request.starts_with("GET /api/v1/changes/7/receipt?wait=");
        assert!(requests.iter().all(asks), "{requests:?}");
        (done, requests.len())
    }

    #[tokio::test]
    async fn waiting_ends_when_all_have_it_or_the_time_is_over() {
        let node = |applied: Value, rejected: Value| {
            json!({ "name": "n", "cluster": "c", "state": "connected", "applied": applied,
                    "rejected": rejected })
        };
        let receipt = |complete: bool, node| json!({ "complete": complete, "nodes": [node] });
        let lacks = receipt(false, node(Value::Null, json!([])));
        let has = receipt(true, node(json!("2026-01-01T00:00:00Z"), json!([])));
        let rejection = json!([{ "object": "HTTPRoute shop/r", "path": "", "reason": "no" }]);
        let rejects = receipt(true, node(json!("2026-01-01T00:00:00Z"), rejection));
        let minute = Duration::from_secs(60);
        assert_eq!(waited(minute, &[lacks.clone(), lacks.clone(), has]).await, (Done::Yes, 3));
        assert_eq!(waited(minute, &[rejects]).await, (Done::No, 1));
        assert_eq!(waited(Duration::from_millis(1), &[lacks]).await, (Done::No, 1));
    }

    #[test]
    fn who_lacks_a_revision_and_who_rejected_what_is_named() {
        let receipt = json!({ "complete": false, "nodes": [
            { "name": "a", "cluster": "c", "state": "connected", "applied": "2026-01-01T00:00:00Z",
              "rejected": [] },
            { "name": "b", "cluster": "c", "state": "away", "applied": null, "rejected": [] },
            { "name": "d", "cluster": "c", "state": "connected", "applied": null, "rejected":
              [{ "object": "HTTPRoute shop/r", "path": "spec", "reason": "too new" }] },
        ]});
        assert_eq!(
            lacking(&receipt, 7),
            [
                "node b (c, away) lacks revision 7",
                "node d (c) rejected HTTPRoute shop/r: spec: too new",
            ]
        );
        let done = json!({ "complete": true, "nodes": [receipt["nodes"][0], receipt["nodes"][1]] });
        assert_eq!(lacking(&done, 7), [""; 0]);
        assert_eq!(lacking(&json!({ "complete": false, "nodes": [] }), 7).len(), 1);
    }
}
