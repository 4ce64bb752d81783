//! `plan`: which requests would go elsewhere if files were applied.

use serde_json::Value;

use super::change::{asked, placed};
use crate::app::Context;
use crate::args::Plan;
use crate::failure::{Done, Failure};
use crate::manifest::Manifest;
use crate::show::table::Table;
use crate::show::{self, Paint, count, items, object, printable, word};

/// What is said where no request is answered in another way: only of what was tried.
const UNCHANGED: &str = "\
no request that was tried would be answered in another way
tried: for each match of a route one request without credentials, a GET where the match names no method
not tried: other methods, callers who prove who they are, calls between services";

/// Shows the plan.
///
/// # Errors
/// What the change itself would be refused for.
pub(crate) async fn run(context: &Context, args: &Plan) -> Result<Done, Failure> {
    let manifest = Manifest::read(&args.files.paths)?;
    let ask = asked("plan", &manifest, &manifest.documents()).harmless();
    let answer = placed(context.client.json(&ask).await, &manifest)?;
    show::answer(args.show.output, &answer, || told(context.paint, &answer))?;
    Ok(Done::Yes)
}

fn told(paint: Paint, plan: &Value) -> String {
    let mut objects = Table::new(&["OBJECT", "WHAT", "FIELDS"]);
    for change in items(plan, "/wouldChange") {
        objects.row([object(change), word(change, "/verb"), word(change, "/fields")]);
    }
    let objects = objects.text();
    if objects.is_empty() {
        return "nothing would change\n".to_owned();
    }
    let requests: String =
        items(plan, "/requests").iter().map(|request| rerouted(paint, request)).collect();
    if requests.is_empty() {
        return format!("{objects}\n{UNCHANGED}\n");
    }
    let more = match plan["more"].as_u64() {
        None | Some(0) => String::new(),
        Some(more) => format!("\nand {}\n", count(more as usize, "more request")),
    };
    format!("{objects}{requests}{more}")
}

/// A request, and below it where it goes and where it would go.
fn rerouted(paint: Paint, request: &Value) -> String {
    let head = format!("{} {}", word(request, "/method"), address(request));
    let head = paint.bold(&printable(&head));
    let mut text = format!("\n{head} ({})\n", printable(&word(request, "/match")));
    let line = |sign: &str, at| match word(request, at).as_str() {
        "-" => format!("{sign} nothing is there for it"),
        words => format!("{sign} {}", printable(words)),
    };
    text.push_str(&(paint.red(&line("-", "/before")) + "\n"));
    text.push_str(&(paint.green(&line("+", "/after")) + "\n"));
    text
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
    use crate::args::Colour;

    #[test]
    fn a_plan_names_objects_and_requests() {
        let plan = json!({
            "wouldChange": [{ "kind": "HTTPRoute", "namespace": "shop", "name": "r",
                              "verb": "put", "fields": ["spec.rules[0]"] }],
            "requests": [{ "host": "shop.test", "port": 8080, "path": "/x", "method": "GET",
                           "match": "path prefix /x", "before": null, "after": "Service shop/a:80" }],
            "more": 7,
        });
        let text = told(Paint::new(Colour::Never), &plan);
        let wanted = "\
OBJECT             WHAT   FIELDS
HTTPRoute shop/r   put    spec.rules[0]

GET shop.test:8080/x (path prefix /x)
- nothing is there for it
+ Service shop/a:80

and 7 more requests
";
        assert_eq!(text, wanted);
        let nothing = json!({ "wouldChange": [], "requests": [] });
        assert_eq!(told(Paint::new(Colour::Never), &nothing), "nothing would change\n");
    }
}
