//! `access`: asks for what one may not do, and decides on what others ask for.

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::change;
use crate::app::Context;
use crate::args::access::{Access, Grant, List, Refuse, Request, State};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, object, printable, word};

/// Where requests are.
const REQUESTS: &str = "access-requests";

/// Asks, lists, grants, refuses and withdraws.
///
/// # Errors
/// What the server refuses; to whoever may not know of a request there is none.
pub(crate) async fn run(context: &Context, args: &Access) -> Result<Done, Failure> {
    match args {
        Access::Request(args) => request(context, args).await?,
        Access::List(args) => list(context, args).await?,
        Access::Grant(args) => grant(context, args).await?,
        Access::Refuse(args) => refuse(context, args).await?,
        Access::Withdraw(args) => {
            context.client.json(&Ask::delete(&[REQUESTS, &args.id])).await?;
            show::result(&format!("access request {} withdrawn\n", printable(&args.id)))?;
        }
    }
    Ok(Done::Yes)
}

async fn request(context: &Context, args: &Request) -> Result<(), Failure> {
    let key = args.object.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?;
    let mut body = json!(key);
    body["verb"] = args.verb.as_str().into();
    if let Some(field) = &args.field {
        body["field"] = field.as_str().into();
    }
    if let Some(message) = &args.message {
        body["message"] = message.as_str().into();
    }
    let answer = context.client.json(&Ask::post(&[REQUESTS]).with_json(&body)).await?;
    show::answer(args.show.output, &answer, || {
        let (id, who) = (word(&answer, "/id"), whom(&answer));
        printable(&format!("access request {id} is open; {who} may grant it")) + "\n"
    })
}

async fn list(context: &Context, args: &List) -> Result<(), Failure> {
    let state = args.state.to_possible_value();
    let state = state.as_ref().map(|state| state.get_name()).filter(|_| args.state != State::All);
    let ask = Ask::get(&[REQUESTS]).query_if("state", state);
    let answer = context.client.list(&ask).await?;
    show::answer(args.show.output, &answer, || table(items(&answer, "/items")))
}

async fn grant(context: &Context, args: &Grant) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(role) = &args.role {
        body["role"] = role.as_str().into();
    }
    if let Some(message) = &args.message {
        body["message"] = message.as_str().into();
    }
    let ask = Ask::post(&[REQUESTS, &args.id, "grant"]).with_json(&body).keyed();
    let answer = context.client.json(&ask).await?;
    show::answer(args.show.output, &answer, || {
        let grants = items(&answer, "/changed").iter().map(object).collect::<Vec<_>>().join(", ");
        let done = format!("access request {} granted by {grants}", args.id);
        printable(&done) + "\n" + &change::revision(&answer)
    })
}

async fn refuse(context: &Context, args: &Refuse) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(message) = &args.message {
        body["message"] = message.as_str().into();
    }
    context.client.json(&Ask::post(&[REQUESTS, &args.id, "refuse"]).with_json(&body)).await?;
    show::result(&format!("access request {} refused\n", printable(&args.id)))
}

/// Who may decide, in words.
fn whom(request: &Value) -> String {
    let all = items(request, "/ask").iter().map(|one| word(one, ""));
    all.collect::<Vec<_>>().join(" or ")
}

/// What granting it gives: a role, or rules.
fn gives(request: &Value) -> String {
    let rule = |rule: &Value| {
        let words = ["/verbs", "/kinds", "/fields"].map(|at| word(rule, at));
        words.into_iter().filter(|words| words != "-").collect::<Vec<_>>().join(" ")
    };
    let rules: Vec<_> = items(request, "/proposal/rules").iter().map(rule).collect();
    match word(request, "/proposal/role") {
        role if role == "-" && !rules.is_empty() => rules.join("; "),
        role => role,
    }
}

fn table(requests: &[Value]) -> String {
    let heads =
        ["ID", "BY", "WHAT", "OBJECT", "FIELD", "ASKED", "STATE", "GIVES", "APIS", "MESSAGE"];
    let mut table = Table::new(&heads);
    for request in requests {
        let [id, by, verb, field] = ["/id", "/user", "/verb", "/field"].map(|at| word(request, at));
        let [state, apis, message] =
            ["/state", "/proposal/apis", "/message"].map(|at| word(request, at));
        let (asked, gives) = (when(request, "/created"), gives(request));
        table.row([id, by, verb, object(request), field, asked, state, gives, apis, message]);
    }
    table.text()
}
