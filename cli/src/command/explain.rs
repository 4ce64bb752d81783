//! `explain`: the way of a request through the proxies, and what decided at each.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::app::Context;
use crate::args::Explain;
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::when::when;
use crate::show::{self, items, object, printable, word};

/// So long it is asked again for a request that the server does not know: proxies tell of one up to
/// half a second after its end.
const LATE: Duration = Duration::from_secs(3);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// Explains a request.
///
/// # Errors
/// If there is none of this id, or none that may be seen.
pub(crate) async fn run(context: &Context, args: &Explain) -> Result<Done, Failure> {
    let way = way(context, &args.request, LATE).await?;
    show::answer(args.show.output, &way, || told(&way))?;
    Ok(Done::Yes)
}

/// The way of a request, as soon as the server knows of it, asked for so long.
async fn way(context: &Context, id: &str, late: Duration) -> Result<Value, Failure> {
    let deadline = Instant::now() + late;
    let mut is_said = false;
    loop {
        let asked = context.client.json(&Ask::get(&["requests", id])).await;
        let is_unknown = matches!(&asked, Err(Failure::Refused(problem)) if problem.status == 404);
        if !is_unknown || Instant::now() + PAUSE >= deadline {
            return asked;
        }
        if !is_said {
            let seconds = late.as_secs();
            show::note(format_args!(
                "the server knows no such request yet; asking again for {seconds} s"
            ));
            is_said = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One paragraph a hop: its words, and below them what they do not say.
fn told(way: &Value) -> String {
    let id = printable(&word(way, "/id"));
    let mut text = format!("request {id} began {}\n", when(way, "/at"));
    for (place, hop) in items(way, "/hops").iter().enumerate() {
        let mut lines: Vec<_> =
            items(hop, "/words").iter().map(|words| printable(&word(words, ""))).collect();
        lines.push(timed(hop));
        lines.extend(facts(hop));
        text.push_str(&format!("\n{}. {}\n", place + 1, lines.join("\n   ")));
    }
    text
}

/// When a hop began and how long it took, with what was asked where that may be seen.
fn timed(hop: &Value) -> String {
    let [began, took] = ["began", "took"].map(|field| span(hop[field].as_u64().unwrap_or(0)));
    let mut text = format!("after {began}, for {took}");
    if hop["hidden"] == false {
        let [method, host, path] =
            ["/method", "/host", "/path"].map(|at| printable(&word(hop, at)));
        // A connection has no path.
        let path = if path == "-" { String::new() } else { path };
        text.push_str(&format!(": {method} {host}{path}"));
    }
    text
}

/// A line for each thing that is known of a hop.
fn facts(hop: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |head: &str, value: String| {
        if value != "-" {
            lines.push(format!("{head:<9}{}", printable(&value)));
        }
    };
    if hop["route"].is_object() {
        let rule = match word(hop, "/rule") {
            none if none == "-" => String::new(),
            rule => format!(", {rule}"),
        };
        line("route", format!("{}{rule}", object(&hop["route"])));
    }
    line("peer", word(hop, "/peer"));
    line("caller", word(hop, "/caller"));
    let ran = items(hop, "/vector").iter();
    let ran = ran.map(|one| format!("{} at {}", word(one, "/scope"), word(one, "/revision")));
    let ran = ran.collect::<Vec<_>>().join(", ");
    line("ran", if ran.is_empty() { "-".to_owned() } else { ran });
    lines
}

/// A length of time that is given in microseconds.
fn span(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::args::Colour;
    use crate::client::fake::{Act, Fake, good, problem};
    use crate::show::Paint;

    #[test]
    fn each_hop_is_a_paragraph_that_begins_with_its_words() {
        let edge = json!({
            "hidden": false,
            "began": 0,
            "took": 12_345,
            "words": [
                "gateway edge of east denied it with 403 access_denied: no allow rule of level 1 \
                 matches (rule 'clerks' would have needed callers apikey:clerk and saw nobody)",
                "what would allow it: a key",
            ],
            "method": "GET",
            "host": "shop.test",
            "path": "/orders\u{1b}[2J",
            "route": { "kind": "HTTPRoute", "namespace": "shop", "name": "front" },
            "rule": "rule 1",
            "caller": "apikey:reader",
            "peer": null,
            "vector": [
                { "scope": "platform", "revision": 7 },
                { "scope": "workspace/shop", "revision": 8 },
            ],
        });
        let hidden = json!({
            "hidden": true,
            "began": 500,
            "took": 2_500_000,
            "words": ["a hop of workspace bank, which you may not see"],
            "scope": "workspace/bank",
        });
        let way = json!({ "id": "r-1", "at": "just now", "hops": [edge, hidden] });
        let wanted = "\
request r-1 began just now

1. gateway edge of east denied it with 403 access_denied: no allow rule of level 1 matches \
(rule 'clerks' would have needed callers apikey:clerk and saw nobody)
   what would allow it: a key
   after 0 us, for 12.3 ms: GET shop.test/orders\\u{1b}[2J
   route    HTTPRoute shop/front, rule 1
   caller   apikey:reader
   ran      platform at 7, workspace/shop at 8

2. a hop of workspace bank, which you may not see
   after 500 us, for 2.5 s
";
        assert_eq!(told(&way), wanted);
    }

    fn none() -> Act {
        problem("404 Not Found", "not-found", "")
    }

    fn context(fake: &Fake) -> Context {
        let paint = Paint::new(Colour::Never);
        Context { client: fake.client(), paint, kept: None, file: None, has_own_token: false }
    }

    async fn asked(acts: &[Act]) -> (Result<Value, Failure>, usize) {
        let fake = Fake::new(acts).await;
        let context = context(&fake);
        let found = way(&context, "r/1", LATE).await;
        let requests = fake.requests.await.unwrap();
        assert!(requests.iter().all(|one| one.starts_with("GET /api/v1/requests/r%2F1 ")));
        (found, requests.len())
    }

    #[tokio::test]
    async fn a_request_that_is_told_late_is_asked_for_again() {
        let (found, asks) = asked(&[none(), none(), good("{\"hops\":[]}")]).await;
        assert_eq!((found.unwrap(), asks), (json!({ "hops": [] }), 3));
        let (found, asks) = asked(&[problem("403 Forbidden", "forbidden", "")]).await;
        assert!(found.is_err() && asks == 1);
    }

    #[tokio::test]
    async fn of_a_request_that_nobody_tells_there_is_none_in_the_end() {
        let late = 2 * PAUSE;
        let fake = Fake::new(&vec![none(); 3]).await;
        let context = context(&fake);
        let failure = way(&context, "r-1", late).await.unwrap_err();
        assert_eq!(failure.number(), 1);
    }
}
