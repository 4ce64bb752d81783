//! What somebody gets who may do nothing yet, in the place of every page but the settings: who they are,
//! and whom to ask.

use control::Refusal;
use leptos::prelude::*;

use super::{Asked, Drawn, drawn};

/// What stands above it.
pub(crate) const HEAD: &str = "You may do nothing here yet";

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Asked { app, caller, .. } = asked;
    let whom = app.whom_to_ask(&caller).await?;
    let from = caller.from.as_ref().map(ToString::to_string);
    let groups: Vec<_> = caller.groups.into_iter().map(|(_, group)| group).collect();
    let name = caller.name.to_string();
    drawn(move || draw(&name, from.as_deref(), &groups, &whom).into_any())
}

fn draw(name: &str, from: Option<&str>, groups: &[String], whom: &[String]) -> impl IntoView {
    let told = from.map(|from| {
        let words = match groups {
            [] => format!("{from} names no group of yours."),
            _ => format!("{from} names these groups of yours, none of which gives rights here:"),
        };
        let groups = list("groups", groups);
        view! { <p>{words}</p> {groups} }
    });
    let asked = match whom {
        [] => "Ask whoever runs this installation to let you in.",
        _ => "One of these can let you in:",
    };
    view! {
        <section class="card narrow" aria-labelledby="newcomer">
            <h1 id="newcomer">{HEAD}</h1>
            <p class="lead">"You are signed in as "<strong>{name.to_owned()}</strong>"."</p>
            {told}
            <p>{asked}</p>
            {list("whom", whom)}
        </section>
    }
}

fn list(id: &'static str, items: &[String]) -> Option<impl IntoView + use<>> {
    let rows = items.iter().map(|item| view! { <li>{item.clone()}</li> }).collect_view();
    (!items.is_empty()).then(|| view! { <ul id=id>{rows}</ul> })
}
