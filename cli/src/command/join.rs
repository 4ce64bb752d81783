//! `join-token`: what lets nodes in.

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::token::once;
use crate::app::Context;
use crate::args::people::{JoinToken, JoinTokenCreate};
use crate::args::span;
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, count, items, printable, word};

/// Makes, lists and revokes join tokens.
///
/// # Errors
/// What the server refuses; to whoever is no admin of the platform there are none.
pub(crate) async fn run(context: &Context, args: &JoinToken) -> Result<Done, Failure> {
    match args {
        JoinToken::Create(args) => create(context, args).await?,
        JoinToken::List(show) => {
            let answer = context.client.list(&Ask::get(&["join-tokens"])).await?;
            show::answer(show.output, &answer, || table(items(&answer, "/items")))?;
        }
        JoinToken::Revoke(args) => {
            context.client.json(&Ask::delete(&["join-tokens", &args.id])).await?;
            show::result(&format!("join token {} revoked\n", printable(&args.id)))?;
        }
    }
    Ok(Done::Yes)
}

async fn create(context: &Context, args: &JoinTokenCreate) -> Result<(), Failure> {
    let kind = args.kind.to_possible_value();
    let body = json!({
        "cluster": args.cluster,
        "kind": kind.as_ref().map(|kind| kind.get_name()),
        "pattern": args.name,
        "uses": args.uses,
        "expiresIn": span::told(args.expires),
    });
    let made = context.client.json(&Ask::post(&["join-tokens"]).with_json(&body)).await?;
    once(&made, "token", args.show.output, || {
        let (id, ends) = (word(&made, "/id"), when(&made, "/expires"));
        let uses = count(args.uses as usize, "node");
        format!("join token {id} lets {uses} in and ends {ends}; it is shown this once")
    })
}

fn table(tokens: &[Value]) -> String {
    let heads = ["ID", "CLUSTER", "KIND", "NAMES", "USES LEFT", "CREATED", "EXPIRES", "REVOKED"];
    let mut table = Table::new(&heads);
    for token in tokens {
        let [id, cluster, kind, pattern, uses] =
            ["/id", "/cluster", "/kind", "/pattern", "/usesLeft"].map(|at| word(token, at));
        let [created, expires, revoked] =
            ["/created", "/expires", "/revoked"].map(|at| when(token, at));
        table.row([id, cluster, kind, pattern, uses, created, expires, revoked]);
    }
    table.text()
}
