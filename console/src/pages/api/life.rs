//! Where in its life an Api is, and moving it on, with those first whom that touches.

use control::Refusal;
use control::app::ApiInFull;
use leptos::prelude::*;
use model::api::Lifecycle;
use model::{Key, Kind};
use serde_json::Value;
use time::OffsetDateTime;

use super::place;
use crate::edit::{change, set, wrong};
use crate::form::{Done, Form, Line, Sent};
use crate::pages::Asked;
use crate::parts::count;

pub(super) fn form(asked: &Asked, api: &ApiInFull, key: &Key) -> Option<AnyView> {
    if !api.may.lead {
        return None;
    }
    let spec = &api.row.api.spec;
    let form = Form::new(asked, format!("{}/life", place(key)));
    let words = Lifecycle::ALL.map(|life| (life.as_str().to_owned(), life.to_string()));
    let is = spec.lifecycle.as_str();
    let date = |date: Option<OffsetDateTime>| date.map(|at| at.date().to_string());
    let (sunset, successor) =
        (date(spec.sunset).unwrap_or_default(), spec.successor.clone().unwrap_or_default());
    let (callers, more) = (api.callers.iter().take(5), api.callers.len().saturating_sub(5));
    let callers: Vec<_> = callers
        .map(|(who, _)| who.clone().unwrap_or_else(|| "whoever has no credential".to_owned()))
        .collect();
    let touched = match (callers.is_empty(), more) {
        (true, _) => "Nobody called it in the last 15 minutes that you may know of.".to_owned(),
        (false, 0) => format!("A move touches those who called lately: {}.", callers.join(", ")),
        (false, more) => format!(
            "A move touches those who called lately: {} and {}.",
            callers.join(", "),
            count(more, "other")
        ),
    };
    let stage =
        Line { field: "lifecycle", label: "Stage", path: "spec.lifecycle", is, ..Line::default() };
    let sunset = Line {
        field: "sunset",
        label: "May be gone from",
        path: "spec.sunset",
        is: &sunset,
        hint: Some("a day, of one that is deprecated or retired"),
        kind: "date",
        ..Line::default()
    };
    let successor = Line {
        field: "successor",
        label: "What comes after it",
        path: "spec.successor",
        is: &successor,
        hint: Some("an address, of one that is deprecated or retired"),
        ..Line::default()
    };
    let fields = view! {
        <p>{touched}</p>
        {form.choice(stage, &words)}
        {form.text(sunset)}
        {form.text(successor)}
        {(spec.lifecycle.answers()).then(|| view! {
            <label class="tick">
                <input type="checkbox" name="sure" value="yes" />
                " Its callers may be answered 404 or 410 at once, as by a draft or a retired Api"
            </label>
        })}
        {form.told("sure").map(|words| view! { <p class="fault">{words}</p> })}
        {form.why("life-why")}
        <button>"Move it"</button>
    };
    let card = view! {
        <section class="card" id="life-of" aria-labelledby="life-title">
            <h2 id="life-title">"Life"</h2>
            <p class="faint">
                "A draft answers nobody; a published Api answers; a deprecated one says in each answer that \
                 it will be gone; a retired one answers 410."
            </p>
            {form.draw(Some(api.row.generation), fields)}
        </section>
    };
    Some(card.into_any())
}

/// Moves the Api in its life.
pub(crate) async fn go(sent: Sent) -> Result<Done, Refusal> {
    let key = sent.asked.key(Kind::Api)?;
    let wanted = sent.fields.get("lifecycle");
    let stage = Lifecycle::ALL.into_iter().find(|life| life.as_str() == wanted);
    let Some(stage) = stage else {
        let words = "choose Draft, Published, Deprecated or Retired".to_owned();
        return Err(wrong([("spec.lifecycle".to_owned(), words)]));
    };
    let is_sure = sent.fields.get("sure") == "yes";
    let today = sent.asked.visit.now.date().to_string();
    let day = |day: &str| format!("{day}T00:00:00Z");
    let receipt = change(&sent, &key, |body| {
        let said = |body: &Value, field: &str| body["spec"][field].as_str().map(str::to_owned);
        let was = said(body, "lifecycle").unwrap_or_default();
        let answered = Lifecycle::ALL.into_iter().any(|one| one.as_str() == was && one.answers());
        if answered && !stage.answers() && !is_sure {
            let words = format!(
                "one that is {stage} does not answer any more; tick the box if that is meant"
            );
            return Err(wrong([("sure".to_owned(), words)]));
        }
        let has_left =
            Lifecycle::ALL.into_iter().any(|one| one.as_str() == was && one.is_leaving());
        set(body, "lifecycle", Some(stage.as_str()));
        // A day that nobody touched keeps its hour.
        let sunset = said(body, "sunset")
            .filter(|sunset| sent.fields.word("sunset").is_some_and(|day| sunset.starts_with(day)));
        let sunset = sunset.or_else(|| sent.fields.word("sunset").map(day));
        set(body, "sunset", sunset.as_deref());
        set(body, "successor", sent.fields.word("successor"));
        match (has_left, stage.is_leaving()) {
            (false, true) => set(body, "deprecated", Some(&day(&today))),
            (_, false) => set(body, "deprecated", None),
            (true, true) => {}
        }
        Ok(())
    });
    Ok(Done::saved(&place(&key), &receipt.await?))
}
