//! `plan`: which requests would go elsewhere if files were applied.

use serde_json::Value;

use super::change::placed;
use crate::app::Context;
use crate::args::Plan;
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::manifest::Manifest;
use crate::show::table::Table;
use crate::show::{self, items, object, word};

/// Shows the plan.
///
/// # Errors
/// What the change itself would be refused for.
pub(crate) async fn run(context: &Context, args: &Plan) -> Result<Done, Failure> {
    let manifest = Manifest::read(&args.files.paths)?;
    let ask = Ask::post(&["plan"]).with_yaml(manifest.text()).harmless();
    let answer = placed(context.client.json(&ask).await, &manifest)?;
    show::answer(args.show.output, &answer, || told(&answer))?;
    Ok(Done::Yes)
}

fn told(plan: &Value) -> String {
    let mut objects = Table::new(&["OBJECT", "WHAT", "FIELDS"]);
    for change in items(plan, "/wouldChange") {
        objects.row([object(change), word(change, "/verb"), word(change, "/fields")]);
    }
    let mut requests = Table::new(&["METHOD", "REQUEST", "MATCH", "BEFORE", "AFTER"]);
    for request in items(plan, "/requests") {
        requests.row([
            word(request, "/method"),
            address(request),
            word(request, "/match"),
            word(request, "/before"),
            word(request, "/after"),
        ]);
    }
    match (objects.text(), requests.text()) {
        (objects, _) if objects.is_empty() => "nothing would change\n".to_owned(),
        (objects, requests) if requests.is_empty() => {
            format!("{objects}\nno request would go elsewhere\n")
        }
        (objects, requests) => {
            let more = match plan["more"].as_u64() {
                None | Some(0) => String::new(),
                Some(more) => format!("and {more} more\n"),
            };
            format!("{objects}\n{requests}{more}")
        }
    }
}

/// `shop.test:8080/cart`.
fn address(request: &Value) -> String {
    let part = |at, otherwise: &str| match word(request, at).as_str() {
        "-" => otherwise.to_owned(),
        word => word.to_owned(),
    };
    let port = part("/port", "");
    let port = if port.is_empty() { port } else { format!(":{port}") };
    format!("{}{port}{}", part("/host", "*"), part("/path", "/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_names_objects_and_requests() {
        let plan = json!({
            "wouldChange": [{ "kind": "HTTPRoute", "namespace": "shop", "name": "r",
                              "verb": "put", "fields": ["spec.rules[0]"] }],
            "requests": [{ "host": "shop.test", "port": 8080, "path": "/x", "method": "GET",
                           "match": "path prefix /x", "before": null, "after": "Service shop/a:80" }],
            "more": 7,
        });
        let text = told(&plan);
        for words in [
            "HTTPRoute shop/r   put",
            "shop.test:8080/x",
            "-        Service shop/a:80",
            "\nand 7 more\n",
        ] {
            assert!(text.contains(words), "no '{words}' in\n{text}");
        }
        assert_eq!(told(&json!({ "wouldChange": [], "requests": [] })), "nothing would change\n");
    }
}
