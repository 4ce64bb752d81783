//! `token`: what programs show in the place of a password.

use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::people::{Token, TokenCreate};
use crate::args::{Output, span};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::{is_sooner, when};
use crate::show::{self, items, printable, word};

/// Makes, lists and revokes tokens.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(context: &Context, args: &Token) -> Result<Done, Failure> {
    match args {
        Token::Create(args) => create(context, args).await?,
        Token::List(show) => {
            let answer = context.client.list(&Ask::get(&["tokens"])).await?;
            show::answer(show.output, &answer, || table(items(&answer, "/items")))?;
        }
        Token::Revoke(args) => {
            context.client.json(&Ask::delete(&["tokens", &args.id])).await?;
            show::result(&format!("token {} revoked\n", printable(&args.id)))?;
        }
    }
    Ok(Done::Yes)
}

async fn create(context: &Context, args: &TokenCreate) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name, "expiresIn": span::told(args.expires) });
    if let Some(scope) = &args.scope {
        body["scope"] = scope.to_string().into();
    }
    if let Some(role) = args.role.and_then(|role| role.to_possible_value()) {
        body["role"] = role.get_name().into();
    }
    let made = context.client.json(&Ask::post(&["tokens"]).with_json(&body)).await?;
    once(&made, "token", args.show.output, || {
        let (id, ends) = (word(&made, "/id"), when(&made, "/expires"));
        let why = match is_sooner(&made, "/expires", args.expires) {
            true => ", with the token that made it",
            false => "",
        };
        format!("token {id} ends {ends}{why}; it is shown this once")
    })
}

/// Prints what was made and is never shown again: by itself on standard output, so that it can be
/// piped, and what it is on standard error.
pub(super) fn once(
    made: &Value,
    field: &str,
    output: Output,
    what: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let Some(secret) = made.get(field).and_then(Value::as_str) else {
        return Err(Failure::Failed(format!("the server made a {field} and did not show it")));
    };
    if output == Output::Table {
        show::note(printable(&what()));
        return show::result(&format!("{}\n", printable(secret)));
    }
    show::answer(output, made, String::new)
}

fn table(tokens: &[Value]) -> String {
    let mut table =
        Table::new(&["ID", "NAME", "SCOPE", "ROLE", "CREATED", "EXPIRES", "REVOKED", "SEEN"]);
    for token in tokens {
        let [id, name, scope, role] = ["/id", "/name", "/scope", "/role"].map(|at| word(token, at));
        let [created, expires, revoked, seen] =
            ["/created", "/expires", "/revoked", "/seen"].map(|at| when(token, at));
        table.row([id, name, scope, role, created, expires, revoked, seen]);
    }
    table.text()
}
