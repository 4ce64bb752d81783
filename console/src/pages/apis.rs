//! The catalogue of Apis: whose each is, where in its life, and how its requests go.

use control::Refusal;
use control::app::{ApiListing, ApiOrder, ApiRow};
use leptos::prelude::*;
use model::api::Lifecycle;
use model::{Key, Kind, Name};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{
    Mood, empty, escaped, head_of_counts, millis, mood, percent, rate, search, select, table, when,
};

/// Apis of one page.
const PAGE: usize = 50;

const HEADS: [&str; 8] =
    ["Api", "Owner", "Life", "Requests", "Errors", "Slowest callee", "Routes", "Last change"];

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// `own`; everybody's where nothing is said.
    #[serde(default)]
    of: String,
    #[serde(default)]
    life: String,
    #[serde(default)]
    order: String,
    /// The last of the page before, as NAMESPACE/NAME.
    #[serde(default)]
    after: String,
}

impl Wanted {
    fn listing(&self) -> ApiListing {
        let after = self.after.split_once('/').and_then(|(namespace, name)| {
            Some(Key::new(Kind::Api, Name::parse(namespace).ok()?, Name::parse(name).ok()?))
        });
        ApiListing {
            text: Some(self.search.trim().to_owned()).filter(|text| !text.is_empty()),
            owner: None,
            own: self.of == "own",
            lifecycle: Lifecycle::ALL.into_iter().find(|life| life.to_string() == self.life),
            order: ApiOrder::parse(&self.order).unwrap_or_default(),
            after,
            limit: PAGE,
        }
    }

    fn is_filtered(&self) -> bool {
        ![&self.search, &self.of, &self.life].into_iter().all(String::is_empty)
    }

    /// Where the page behind this one is.
    fn next(&self, last: &Key) -> String {
        let Wanted { search, of, life, order, .. } = self;
        let after = format!("{}/{}", last.namespace, last.name);
        let said = [("search", search), ("of", of), ("life", life), ("order", order)];
        let said = said.into_iter().chain([("after", &after)]);
        let said = said.filter(|(_, word)| !word.is_empty());
        let said: Vec<_> = said.map(|(name, word)| format!("{name}={}", escaped(word))).collect();
        format!("/apis?{}", said.join("&"))
    }
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (wanted, op): (Wanted, _) = (asked.query(), asked.op());
    let page = asked.app.api_list(&op, wanted.listing()).await?;
    let now = op.now;
    drawn(move || {
        let lead = "What teams offer, whose it is, and how its requests went in the last minute.";
        let more = page.next.as_ref().map(|last| {
            view! { <p><a href=wanted.next(last)>"More Apis"</a></p> }
        });
        let nothing = match wanted.is_filtered() {
            true => "No Api that you may see is like this.",
            false => "There is no Api that you may see.",
        };
        view! {
            {head_of_counts("Apis".to_owned(), lead.to_owned())}
            {filter(&wanted)}
            <div id="live">
                <section class="card" id="apis" aria-labelledby="apis-title">
                    <h2 id="apis-title">"Catalogue"</h2>
                    {if page.items.is_empty() {
                        let all = view! { <p><a href="/apis">"Show all"</a></p> };
                        empty(nothing, wanted.is_filtered().then_some(all)).into_any()
                    } else {
                        catalogue("apis-title", &page.items, now).into_any()
                    }}
                    {more}
                </section>
            </div>
        }
        .into_any()
    })
}

fn filter(wanted: &Wanted) -> AnyView {
    let lives = std::iter::once((String::new(), "in any stage".to_owned()));
    let lives = lives.chain(Lifecycle::ALL.map(|life| (life.to_string(), life.to_string())));
    let orders = ApiOrder::ALL.map(|(_, word)| (word.to_owned(), format!("by {word}")));
    let of =
        [(String::new(), "of everybody".to_owned()), ("own".to_owned(), "of my teams".to_owned())];
    let more = view! {
        {select("of", "Whose", &of, &wanted.of)}
        {select("life", "Stage of life", &lives.collect::<Vec<_>>(), &wanted.life)}
        {select("order", "Order", &orders, &wanted.order)}
    };
    search("/apis", &wanted.search, "Name, title or owner", more)
}

/// Apis, each with the way to all of it.
pub(super) fn catalogue(
    heading: &str,
    apis: &[ApiRow],
    now: OffsetDateTime,
) -> impl IntoView + use<> {
    let rows = apis.iter().map(|api| row(api, now)).collect_view();
    table(heading.to_owned(), &HEADS, rows)
}

/// Where an Api is shown.
pub(crate) fn place(key: &Key) -> String {
    format!("/apis/{}/{}", key.namespace, key.name)
}

/// Where a stage of life stands.
pub(super) fn life(lifecycle: Lifecycle) -> impl IntoView {
    let is = match lifecycle {
        Lifecycle::Published => Mood::Good,
        Lifecycle::Draft | Lifecycle::Deprecated => Mood::Poor,
        Lifecycle::Retired => Mood::Bad,
    };
    mood(is, lifecycle.to_string())
}

/// The share of errors, as far as there is something to be had a share of.
pub(super) fn errors(api: &ApiRow) -> AnyView {
    let ratio = api.requests.error_ratio();
    match (api.requests.sum.requests(), api.requests.sum.errors()) {
        (0, _) => view! { <span class="faint">"none"</span> }.into_any(),
        (_, 0) => mood(Mood::Good, "0 %".to_owned()).into_any(),
        (_, _) => mood(Mood::Bad, percent(ratio)).into_any(),
    }
    .into_any()
}

fn row(api: &ApiRow, now: OffsetDateTime) -> AnyView {
    let spec = &api.api.spec;
    let title = (!spec.title.is_empty()).then(|| {
        view! { <p class="faint small">{spec.title.clone()}</p> }
    });
    let slowest = api.requests.slowest.as_ref().map(|(backend, p99)| {
        view! { {backend.clone()} " " <span class="faint">{format!("p99 {}", millis(*p99))}</span> }
    });
    let changed = api.changed.as_ref().map(|changed| {
        let to = format!("/changes/{}", changed.revision);
        view! { <a href=to>{when(changed.at, now)}</a> " by " {changed.actor.clone()} }
    });
    view! {
        <tr id=format!("api:{}/{}", api.key.namespace, api.key.name)>
            <th scope="row">
                <a href=place(&api.key)>{format!("{}/{}", api.key.namespace, api.key.name)}</a>
                {title}
            </th>
            <td><a href=format!("/teams/{}", spec.owner)>{spec.owner.to_string()}</a></td>
            <td>{life(spec.lifecycle)}</td>
            <td>{rate(api.requests.rate())}</td>
            <td>{errors(api)}</td>
            <td>{slowest}</td>
            <td>{api.routes}</td>
            <td class="long">{changed}</td>
        </tr>
    }
    .into_any()
}
