//! What pages are put together from.

use leptos::prelude::*;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::islands::live::Live;
use crate::pages::Asked;
use crate::server::{Here, Refused};

/// How something is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Poor,
    Bad,
}

impl Mood {
    fn class(self) -> &'static str {
        match self {
            Mood::Good => "mood good",
            Mood::Poor => "mood poor",
            Mood::Bad => "mood bad",
        }
    }
}

/// A state in a word, which its colour only repeats.
pub(crate) fn mood(mood: Mood, word: String) -> AnyView {
    view! { <span class=mood.class()>{word}</span> }.into_any()
}

/// The head of a page: its name, and that it is kept up.
pub(crate) fn head(name: String, lead: String) -> impl IntoView {
    let here = use_context::<Here>().map(|Here(here)| here);
    head_of(name, lead, here, None)
}

/// The same of a page that shows what passes fast.
pub(crate) fn head_of_counts(name: String, lead: String) -> impl IntoView {
    let here = use_context::<Here>().map(|Here(here)| here);
    head_of(name, lead, here, Some(2_000))
}

/// The same for a page of which only what another one draws is kept up.
pub(crate) fn head_from(name: String, lead: String, from: String) -> impl IntoView {
    head_of(name, lead, Some(from), None)
}

fn head_of(name: String, lead: String, from: Option<String>, beat: Option<i32>) -> AnyView {
    view! {
        <div class="head">
            <div>
                <h1>{name}</h1>
                <p class="lead">{lead}</p>
            </div>
            <Live from beat />
        </div>
        {use_context::<Refused>().map(|Refused(tried)| tried.told())}
    }
    .into_any()
}

/// Requests a second.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "none".to_owned(),
        ..10.0 => format!("{rate:.1}/s"),
        _ => format!("{rate:.0}/s"),
    }
}

/// A share of 1 as it is read.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Microseconds as they are read.
pub(crate) fn millis(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// A word as it stands in the query of an address.
pub(crate) fn escaped(word: &str) -> String {
    form_urlencoded::byte_serialize(word.as_bytes()).collect()
}

/// That a form of the page did something, where one just did.
pub(crate) fn saved(asked: &Asked) -> impl IntoView + use<> {
    let Saved { saved, done } = asked.query();
    let done = DONE.iter().find(|(word, _)| *word == done);
    let done = done.map(|(_, words)| view! { <p class="saved" role="status">{*words}</p> });
    let saved = saved.map(|revision| {
        let to = format!("/changes/{revision}");
        view! {
            <p class="saved" role="status">
                "Saved: " <a href=to>{format!("revision {revision}")}</a>
                " tells how far it has come, and takes it back."
            </p>
        }
    });
    (done, saved)
}

#[derive(Debug, Default, Deserialize)]
struct Saved {
    saved: Option<i64>,
    #[serde(default)]
    done: String,
}

/// What was done that is no revision, by the word that stands in the address.
const DONE: [(&str, &str); 5] = [
    ("same", "It was so already: nothing was changed."),
    ("password", "The password is another now, and their sessions are over."),
    ("out", "They are shut out: their sessions are over, their tokens revoked."),
    ("revoked", "The token is revoked."),
    ("ended", "The session is over."),
];

/// What a list is searched by: its address says it. `more` are further fields.
pub(crate) fn search(
    of: &'static str,
    text: &str,
    placeholder: &'static str,
    more: impl IntoView,
) -> AnyView {
    view! {
        <form class="filter" method="get" action=of role="search">
            <input
                name="search"
                type="search"
                value=text.to_owned()
                placeholder=placeholder
                aria-label="Search"
            />
            {more}
            <button>"Show"</button>
        </form>
    }
    .into_any()
}

/// One of several words of a filter.
pub(crate) fn select(
    name: &'static str,
    label: &'static str,
    words: &[(String, String)],
    is: &str,
) -> AnyView {
    let words = words.iter().map(|(word, shown)| {
        view! { <option value=word.clone() selected=*word == is>{shown.clone()}</option> }
    });
    view! { <select name=name aria-label=label>{words.collect_view()}</select> }.into_any()
}

/// So many of something.
pub(crate) fn count(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// What stands where there is nothing.
pub(crate) fn empty(words: &'static str, next: impl IntoView) -> AnyView {
    view! {
        <div class="empty">
            <p>{words}</p>
            {next}
        </div>
    }
    .into_any()
}

/// A table that scrolls by itself where it is wide, under the heading of this id.
pub(crate) fn table(
    heading: String,
    heads: &'static [&'static str],
    rows: impl IntoView,
) -> AnyView {
    let heads = heads.iter().map(|head| view! { <th scope="col">{*head}</th> }).collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-labelledby=heading>
            <table>
                <thead>
                    <tr>{heads}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// A time in microseconds since 1970, as [`when`] shows it.
pub(crate) fn when_micros(micros: i64, now: OffsetDateTime) -> impl IntoView {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000);
    when(at.unwrap_or(OffsetDateTime::UNIX_EPOCH), now)
}

/// A time, in words as of `now`, with the time itself for whoever asks.
pub(crate) fn when(at: OffsetDateTime, now: OffsetDateTime) -> AnyView {
    let exact = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    view! { <time datetime=exact.clone() title=exact>{distance(at - now)}</time> }.into_any()
}

/// `3 min ago`, `in 7 h`.
fn distance(span: time::Duration) -> String {
    let seconds = span.whole_seconds();
    let long = match seconds.unsigned_abs() {
        0..=1 => return "now".to_owned(),
        seconds @ 2..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if seconds < 0 { format!("{long} ago") } else { format!("in {long}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_told_in_one_unit() {
        for (seconds, words) in [
            (0, "now"),
            (-3, "3 s ago"),
            (-119, "119 s ago"),
            (-7_199, "119 min ago"),
            (7_200, "in 2 h"),
            (-172_800, "2 days ago"),
        ] {
            assert_eq!(distance(time::Duration::seconds(seconds)), words);
        }
    }
}
