//! `traffic`: what was requested in the last minutes, by whom, and how it ended.

use std::time::Duration;

use serde_json::Value;

use crate::app::Context;
use crate::args::span::told as time;
use crate::args::{Output, Traffic};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::{self, items, word};

/// Between two answers of `--watch`.
const PACE: Duration = Duration::from_secs(2);
/// Empties a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Tells what was requested, once or again and again.
///
/// # Errors
/// If the server does not tell.
pub(crate) async fn run(context: &Context, args: &Traffic) -> Result<Done, Failure> {
    let ask = asked(args);
    loop {
        let answer = context.client.json(&ask).await?;
        match (args.watch, args.show.output) {
            (true, Output::Json) => show::result(&format!("{answer}\n"))?,
            (true, Output::Table) => show::result(&format!("{}{}\n", clear(), told(&answer)))?,
            (_, output) => show::answer(output, &answer, || told(&answer))?,
        }
        if !args.watch {
            noted(&answer);
            return Ok(Done::Yes);
        }
        tokio::time::sleep(PACE).await;
    }
}

fn asked(args: &Traffic) -> Ask {
    let name = |name: &Option<model::Name>| name.as_ref().map(ToString::to_string);
    let mut ask = Ask::get(&["traffic"]).query("window", &time(args.window));
    for (word, value) in [
        ("workspace", name(&args.workspace)),
        ("namespace", name(&args.namespace)),
        ("api", name(&args.api)),
        ("route", args.route.clone()),
        ("backend", args.backend.clone()),
        ("caller", args.caller.clone()),
        ("node", args.node.clone()),
        ("cluster", args.cluster.clone()),
        ("side", args.side.map(|side| side.word().to_owned())),
    ] {
        ask = ask.query_if(word, value.as_deref());
    }
    ask
}

/// What empties the screen, if there is one.
fn clear() -> &'static str {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { CLEAR } else { "" }
}

/// What a table cannot say.
fn noted(answer: &Value) {
    if items(answer, "/items").is_empty() {
        show::note("nothing was requested in that time that you may see");
    }
    let unheard = items(answer, "/unheard").iter().map(|node| word(node, ""));
    let unheard = unheard.collect::<Vec<_>>().join(", ");
    if !unheard.is_empty() {
        show::note(format_args!(
            "these nodes are connected and have told this server nothing yet: {unheard}"
        ));
    }
    if let Some(more @ 1..) = answer["more"].as_u64() {
        show::note(format_args!("{} left out", show::count(more as usize, "smaller row")));
    }
}

fn told(answer: &Value) -> String {
    let heads =
        ["SIDE", "ROUTE", "BACKEND", "CALLER", "RPS", "REQUESTS", "DENIED", "ERRORS", "P50", "P99"];
    let mut table = Table::new(&heads);
    for row in items(answer, "/items") {
        let rate = row["rate"].as_f64().map_or("-".to_owned(), |rate| format!("{rate:.1}"));
        let [side, backend, caller, requests, denied, errors] =
            ["/side", "/backend", "/caller", "/requests", "/denied", "/errors"]
                .map(|at| word(row, at));
        let took = |at: &str| row[at].as_u64().map_or("-".to_owned(), millis);
        let (p50, p99) = (took("p50"), took("p99"));
        table.row([side, route(row), backend, caller, rate, requests, denied, errors, p50, p99]);
    }
    table.text()
}

/// The route, or whose it is where that is all that may be seen.
fn route(row: &Value) -> String {
    match row["route"].is_object() {
        true => show::object(&row["route"]),
        false => format!("({})", word(row, "/scope")),
    }
}

/// A length of time that is given in microseconds.
fn millis(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{}s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_requests_is_a_line_and_what_may_not_be_seen_says_whose_it_is() {
        let route = json!({ "kind": "HTTPRoute", "namespace": "shop", "name": "front" });
        let edge = json!({ "side": "edge", "scope": "workspace/shop", "route": route,
            "backend": "shop/front:80", "caller": "apikey:clerk", "rate": 12.34, "requests": 740,
            "denied": 1, "errors": 2, "p50": 870, "p99": 12_345 });
        let hidden = json!({ "side": "outbound", "scope": "workspace/bank", "route": null,
            "backend": null, "caller": "workload shop/front of east", "rate": 0.5, "requests": 30,
            "denied": 0, "errors": 0, "p50": null, "p99": null });
        let wanted = "\
SIDE       ROUTE                  BACKEND         CALLER                        RPS    REQUESTS   DENIED   ERRORS   P50     P99
edge       HTTPRoute shop/front   shop/front:80   apikey:clerk                  12.3   740        1        2        870us   12.3ms
outbound   (workspace/bank)       -               workload shop/front of east   0.5    30         0        0        -       -
";
        assert_eq!(told(&json!({ "items": [edge, hidden] })), wanted);
        assert_eq!(told(&json!({ "items": [] })), "");
    }
}
