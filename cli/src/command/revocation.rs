//! `revoke`: shutting somebody out before their credentials end.

use serde_json::{Value, json};

use crate::app::Context;
use crate::args::people::{HowRevoked, Revocation, RevokeNamed, RevokeUser};
use crate::args::span;
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, printable, word};

/// Shuts somebody out, lists who is, and lets them in again.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(context: &Context, args: &Revocation) -> Result<Done, Failure> {
    match args {
        Revocation::User(RevokeUser { issuer, subject, sign_out, how }) => {
            let user = json!({ "issuer": issuer, "subject": subject });
            create(context, &json!({ "user": user, "signsOut": sign_out }), how).await?;
        }
        Revocation::Consumer(args) => create(context, &named("consumer", args), &args.how).await?,
        Revocation::Key(args) => create(context, &named("apiKey", args), &args.how).await?,
        Revocation::List(show) => {
            let answer = context.client.list(&Ask::get(&["revocations"])).await?;
            show::answer(show.output, &answer, || table(items(&answer, "/items")))?;
        }
        Revocation::Lift(args) => {
            context.client.json(&Ask::delete(&["revocations", &args.id])).await?;
            show::result(&format!("revocation {} lifted\n", printable(&args.id)))?;
        }
    }
    Ok(Done::Yes)
}

fn named(what: &str, args: &RevokeNamed) -> Value {
    let namespace = args.namespace.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| model::Kind::Consumer.default_namespace());
    json!({ what: { "namespace": namespace, "name": args.name } })
}

async fn create(context: &Context, whom: &Value, how: &HowRevoked) -> Result<(), Failure> {
    let mut body = whom.clone();
    body["note"] = json!(how.message);
    if let Some(lasts) = how.lasts {
        body["lasts"] = json!(span::told(lasts));
    }
    let made = context.client.json(&Ask::post(&["revocations"]).with_json(&body)).await?;
    let text = || {
        let out = if made["signsOut"] == true { "signed out" } else { "shut out" };
        let ends = match made["ends"].is_null() {
            true => "until it is lifted".to_owned(),
            false => format!("until {}", when(&made, "/ends")),
        };
        let ends = if made["signsOut"] == true { "and may sign in anew".to_owned() } else { ends };
        let (whom, id) = (whom_of(&made), word(&made, "/id"));
        printable(&format!("{whom} is {out} {ends}; lift it with `heddle revoke lift {id}`\n"))
    };
    show::answer(how.show.output, &made, text)
}

/// Who it is, in words.
fn whom_of(one: &Value) -> String {
    let lies = |at: &str| format!("{}/{}", word(&one[at], "/namespace"), word(&one[at], "/name"));
    match one {
        one if one["user"].is_object() => {
            format!("user {}#{}", word(one, "/user/issuer"), word(one, "/user/subject"))
        }
        one if one["consumer"].is_object() => format!("consumer {}", lies("consumer")),
        one if one["apiKey"].is_object() => format!("key {}", lies("apiKey")),
        one => format!("node {}", word(one, "/node")),
    }
}

fn table(all: &[Value]) -> String {
    let mut table = Table::new(&["ID", "WHO", "WHAT", "SINCE", "ENDS", "BY", "WHY"]);
    for one in all {
        let what = if one["signsOut"] == true { "signed out" } else { "shut out" };
        let [id, by, why] = ["/id", "/by", "/note"].map(|at| word(one, at));
        let [since, ends] = ["/at", "/ends"].map(|at| when(one, at));
        table.row([id, whom_of(one), what.to_owned(), since, ends, by, why]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_shut_out_is_told_with_why() {
        let user = json!({ "id": "1", "user": { "issuer": "https://a.example", "subject": "ann" },
            "at": null, "ends": null, "by": "root", "note": "left", "signsOut": false });
        let key = json!({ "id": "2", "apiKey": { "namespace": "shop", "name": "clerk" },
            "at": null, "ends": null, "by": "sara", "note": "", "signsOut": false });
        let node = json!({ "id": "3", "node": "n-1", "at": null, "ends": null, "by": "root",
            "note": "east gateway edge", "signsOut": false });
        let out = json!({ "id": "4", "user": { "issuer": "i", "subject": "s" }, "at": null,
            "ends": null, "by": "root", "note": "", "signsOut": true });
        let wanted = "\
ID   WHO                          WHAT         SINCE   ENDS   BY     WHY
1    user https://a.example#ann   shut out     -       -      root   left
2    key shop/clerk               shut out     -       -      sara   -
3    node n-1                     shut out     -       -      root   east gateway edge
4    user i#s                     signed out   -       -      root   -
";
        assert_eq!(table(&[user, key, node, out]), wanted);
    }
}
