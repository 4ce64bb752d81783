//! `key-set`: keys of issuers that the server fetches.

use serde_json::{Value, json};

use crate::app::Context;
use crate::args::Show;
use crate::args::people::{KeySet, KeySetFetch};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, printable, word};

/// Lists them, or has some fetched.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(context: &Context, args: &KeySet) -> Result<Done, Failure> {
    match args {
        KeySet::List(show) => list(context, *show).await,
        KeySet::Fetch(args) => fetch(context, args).await,
    }
}

async fn list(context: &Context, show: Show) -> Result<Done, Failure> {
    let answer = context.client.list(&Ask::get(&["key-sets"])).await?;
    let sets = items(&answer, "/items");
    show::answer(show.output, &answer, || told(sets))?;
    if sets.is_empty() {
        show::note("no AuthnPolicy that you may see names keys by jwksUrl");
    }
    Ok(Done::Yes)
}

async fn fetch(context: &Context, args: &KeySetFetch) -> Result<Done, Failure> {
    let ask = Ask::post(&["key-sets", "fetch"]).with_json(&json!({ "url": args.url }));
    let answer = context.client.json(&ask).await?;
    show::answer(args.show.output, &answer, || told(std::slice::from_ref(&answer["keySet"])))?;
    show::note(match answer["due"] == true {
        true => "they are fetched within a second or two; the table shows those of before",
        false => "they were tried within the last 10 s, or are about to be",
    });
    Ok(Done::Yes)
}

fn told(sets: &[Value]) -> String {
    let mut table = Table::new(&["URL", "POLICIES", "KEYS", "FETCHED", "TRIED", "NEXT"]);
    let mut faults = String::new();
    for set in sets {
        let url = word(set, "/url");
        let list = |at: &str| {
            let words = items(set, at).iter().filter_map(Value::as_str);
            words.collect::<Vec<_>>().join(", ")
        };
        let keys = match set["holds"] == true {
            true => list("/keyIds"),
            false => "none that holds".to_owned(),
        };
        let [fetched, tried, next] = ["/fetched", "/tried", "/next"].map(|at| when(set, at));
        if let Some(fault) = set["fault"].as_str() {
            let times = word(set, "/failures");
            let fault = printable(&format!("{url}: {times} times in vain, last: {fault}"));
            faults.push_str(&format!("{fault}\n"));
        }
        table.row([url, list("/policies"), keys, fetched, tried, next]);
    }
    [table.text(), faults]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_which_keys_there_are_and_why_there_are_none() {
        let good = json!({ "url": "https://a.example/keys", "policies": ["shop/orders", "shop/web"],
            "holds": true, "keyIds": ["k1", "k2"], "fetched": null, "tried": null, "next": null,
            "failures": 0, "fault": null });
        let bad = json!({ "url": "https://b.example/keys", "policies": ["shop/orders"],
            "holds": false, "keyIds": ["old"], "fetched": null, "tried": null, "next": null,
            "failures": 3, "fault": "https://b.example answered 404 Not Found" });
        let wanted = "\
URL                      POLICIES                KEYS              FETCHED   TRIED   NEXT
https://a.example/keys   shop/orders, shop/web   k1, k2            -         -       -
https://b.example/keys   shop/orders             none that holds   -         -       -

https://b.example/keys: 3 times in vain, last: https://b.example answered 404 Not Found
";
        assert_eq!(told(&[good, bad]), wanted);
    }
}
