//! What pages are put together from, each part in each of its states: for who builds the console.

use control::Refusal;
use leptos::prelude::*;
use time::Duration;

use super::{Asked, Drawn, drawn};
use crate::islands::copy::Copy;
use crate::islands::weights::{Weight, Weights};
use crate::parts::{Mood, empty, head, millis, mood, percent, rate, table, when};

/// The colours, by their names in the stylesheet.
const COLOURS: [&str; 9] =
    ["ground", "card", "ink", "faint", "line", "accent", "good", "poor", "bad"];

const HEADS: [&str; 3] = ["Name", "State", "When"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    drawn(move || {
        view! {
            {head("Parts".to_owned(), "Each part of the console, in each of its states.".to_owned())}
            <div id="live">
                {colours()}
                {words()}
                {fields()}
                {tables(&asked)}
                {islands()}
            </div>
        }
        .into_any()
    })
}

fn part(id: &'static str, name: &'static str, body: AnyView) -> AnyView {
    let heading = format!("{id}-title");
    view! {
        <section class="card" id=id aria-labelledby=heading.clone()>
            <h2 id=heading.clone()>{name}</h2>
            {body}
        </section>
    }
    .into_any()
}

fn colours() -> AnyView {
    let colours = COLOURS.map(|name| {
        view! {
            <li><svg class=format!("swatch of-{name}") aria-hidden="true"></svg> <code>{format!("--{name}")}</code></li>
        }
    });
    let colours = view! { <ul class="swatches">{colours.into_iter().collect_view()}</ul> };
    part("colours", "Colours", colours.into_any())
}

fn words() -> AnyView {
    let words = view! {
        <p class="lead">"A lead says what a page is for."</p>
        <p>"Text, with a " <a href="/ui">"link"</a> ", " <code>"code"</code> " and " <span class="faint">"what matters less"</span> "."</p>
        <p>
            {mood(Mood::Good, "good".to_owned())} " " {mood(Mood::Poor, "poor".to_owned())} " "
            {mood(Mood::Bad, "bad".to_owned())}
        </p>
        <p>{rate(17.2)} ", " {percent(0.804)} ", " {millis(2_900)}</p>
        <p class="saved">"Something was done."</p>
        <div class="fault"><p>"Something was refused."</p></div>
        {empty("There is nothing.", view! { <p><a href="/ui">"The way on"</a></p> })}
    };
    part("words", "Words", words.into_any())
}

fn fields() -> AnyView {
    let fields = view! {
        <div class="fields">
            <label for="ui-text">"A line of text " <span class="hint">"what it is for"</span></label>
            <input id="ui-text" value="typed" />
            <label for="ui-wrong">"One that is wrong"</label>
            <input id="ui-wrong" value="Typed!" aria-invalid="true" aria-describedby="ui-fault" />
            <p class="fault" id="ui-fault">"'Typed!' is not a name: lower-case letters, digits, '-' and '.'"</p>
            <label for="ui-lines">"Several lines"</label>
            <textarea id="ui-lines" rows="3"></textarea>
            <label for="ui-word">"One of several words"</label>
            <select id="ui-word"><option>"Allow"</option><option>"Deny"</option></select>
            <label class="check"><input type="checkbox" />"Yes or no"</label>
            <p class="row">
                <button type="button">"The thing to do"</button>
                <button type="button" class="quiet">"Another"</button>
                <button type="button" class="danger">"What cannot be undone"</button>
            </p>
        </div>
    };
    part("fields", "Fields and buttons", fields.into_any())
}

fn tables(asked: &Asked) -> AnyView {
    let now = asked.visit.now;
    let rows =
        [(Mood::Good, "up to date", 3), (Mood::Poor, "behind", 300), (Mood::Bad, "away", 90_000)];
    let rows = rows.map(|(is, word, ago)| {
        view! {
            <tr>
                <th scope="row">"bookshop/catalog"</th>
                <td>{mood(is, word.to_owned())}</td>
                <td>{when(now - Duration::seconds(ago), now)}</td>
            </tr>
        }
    });
    let rows = rows.into_iter().collect_view();
    let diff = view! {
        <ul class="diff">
            <li class="gone"><span class="sign">"−"</span> <code>"spec.owner"</code> ": " <code>"orders"</code></li>
            <li class="come"><span class="sign">"+"</span> <code>"spec.owner"</code> ": " <code>"catalog"</code></li>
        </ul>
    };
    part(
        "tables",
        "Tables and differences",
        (table("tables-title".to_owned(), &HEADS, rows), diff).into_any(),
    )
}

fn islands() -> AnyView {
    let weights = [("v1", "80"), ("v2", "20")].map(|(version, typed)| Weight {
        id: format!("ui-{version}"),
        field: format!("weight-{version}"),
        backend: format!("bookshop/catalog-{version}:80"),
        typed: typed.to_owned(),
        fault: None,
    });
    let islands = view! {
        <Weights weights=weights.to_vec() />
        <h3>"To copy"</h3>
        <Copy text="heddle get apis -A".to_owned() />
    };
    part("islands", "What comes alive", islands.into_any())
}
