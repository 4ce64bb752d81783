//! `history` and `rollback`: what was changed, and taking it back.

use serde_json::{Value, json};

use super::{change, receipt};
use crate::app::Context;
use crate::args::{History, Output, Rollback};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, object, word};

/// More objects than this of one change stand not in a table.
const OBJECTS: usize = 4;

/// Lists changes, or the versions of one object.
///
/// # Errors
/// If the object is not there, or may not be seen.
pub(crate) async fn history(context: &Context, args: &History) -> Result<Done, Failure> {
    let limit = args.limit.count();
    let answer = match &args.object {
        Some(named) => {
            let key = named.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?;
            let [namespace, name] = [&key.namespace, &key.name].map(model::Name::as_str);
            let ask = Ask::get(&["history", key.kind.as_str(), namespace, name]);
            context.client.first(&ask, limit).await?
        }
        None => {
            let scope = args.scope.as_ref().map(ToString::to_string);
            let ask = Ask::get(&["changes"]).query_if("scope", scope.as_deref());
            context.client.first(&ask, limit).await?
        }
    };
    show::answer(args.show.output, &answer, || match &args.object {
        Some(_) => versions(items(&answer, "/items")),
        None => changes(items(&answer, "/items")),
    })?;
    if items(&answer, "/items").is_empty() {
        show::note("no change that you may see");
    }
    Ok(Done::Yes)
}

fn versions(items: &[Value]) -> String {
    let mut table = Table::new(&["REVISION", "GENERATION", "WHAT", "BY", "WHEN", "MESSAGE"]);
    for version in items {
        table.row([
            word(version, "/revision"),
            word(version, "/generation"),
            word(version, "/verb"),
            word(version, "/actor"),
            when(version, "/at"),
            word(version, "/message"),
        ]);
    }
    table.text()
}

fn changes(changes: &[Value]) -> String {
    let mut table = Table::new(&["REVISION", "WHEN", "BY", "OBJECTS", "MESSAGE"]);
    for change in changes {
        let objects = items(change, "/objects");
        let mut names: Vec<_> = objects.iter().take(OBJECTS).map(told).collect();
        if objects.len() > OBJECTS {
            names.push(format!("and {} more", objects.len() - OBJECTS));
        }
        table.row([
            word(change, "/revision"),
            when(change, "/at"),
            word(change, "/actor"),
            names.join(", "),
            why(change),
        ]);
    }
    table.text()
}

/// `HTTPRoute shop/r`, with a minus before it if it was deleted.
fn told(changed: &Value) -> String {
    let sign = if changed["verb"] == "delete" { "-" } else { "" };
    format!("{sign}{}", object(changed))
}

fn why(change: &Value) -> String {
    match (word(change, "/reverts"), word(change, "/message")) {
        (none, message) if none == "-" => message,
        (revision, none) if none == "-" => format!("takes back {revision}"),
        (revision, message) => format!("takes back {revision}: {message}"),
    }
}

/// Takes a revision back.
///
/// # Errors
/// If a later change touched the same objects, or it may not be done.
pub(crate) async fn rollback(context: &Context, args: &Rollback) -> Result<Done, Failure> {
    let body = match &args.message {
        Some(message) => json!({ "message": message }),
        None => json!({}),
    };
    let ask =
        Ask::post(&["changes", &args.revision.to_string(), "revert"]).with_json(&body).keyed();
    let answer = context.client.json(&ask).await.map_err(|failure| match failure {
        Failure::Refused(mut problem) if problem.sort() == "conflict" => {
            let remedy = "a later change touched it; see which, and roll that one back first: \
                          heddle history";
            problem.remedy = Some(remedy.to_owned());
            Failure::Refused(problem)
        }
        other => other,
    })?;
    if args.show.output == Output::Table {
        let lines = items(&answer, "/changed").iter().map(|changed| {
            let name = object(changed);
            match changed["generation"].as_i64() {
                Some(generation) => format!("{name} restored (generation {generation})\n"),
                None => format!("{name} deleted\n"),
            }
        });
        show::result(&(lines.collect::<String>() + &change::revision(&answer)))?;
    }
    receipt::finish(context, answer, args.wait, args.show.output).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_did_and_what_it_takes_back() {
        let objects: Vec<_> = ["a", "b", "c", "d", "e", "f"]
            .map(|name| json!({ "kind": "Service", "namespace": "shop", "name": name, "verb": "delete" }))
            .to_vec();
        let change = json!({ "revision": 9, "actor": "alice", "reverts": 7, "message": "oops",
                             "at": "x", "objects": objects });
        let text = changes(&[change]);
        for words in ["-Service shop/a, -Service shop/b", "and 2 more", "takes back 7: oops"] {
            assert!(text.contains(words), "no '{words}' in\n{text}");
        }
    }
}
