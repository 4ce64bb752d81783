//! What was typed into a form whose own page cannot be shown: kept on the page that says so.

use leptos::prelude::*;

use crate::form::Fields;
use crate::pages::sign_in::with_wanted;

/// In the place of what a form leads to, for who is not signed in any more. Sent again from here, once
/// they are, it comes back to its page, filled in.
pub(crate) fn signed_out(action: &str, here: &str, fields: &Fields) -> AnyView {
    let again = fields.typed().map(|(name, value)| {
        view! { <textarea name=name.to_owned() hidden=true readonly>{value.to_owned()}</textarea> }
    });
    view! {
        <section class="card narrow" aria-labelledby="signed-out">
            <h1 id="signed-out">"You are signed out"</h1>
            <p class="lead" role="alert">"Nothing was saved. What you typed is kept on this page; passwords are not."</p>
            <ol>
                <li>
                    <a href=with_wanted("/sign-in", here) target="_blank">"Sign in in another tab"</a>
                    ", and come back to this one."
                </li>
                <li>
                    "Then go on: the form comes back with what you typed, for you to save."
                    <form method="post" action=action.to_owned()>
                        {again.collect_view()}
                        <button>"Go on"</button>
                    </form>
                </li>
            </ol>
            {draw(fields)}
        </section>
    }
    .into_any()
}

/// All of it, to be read and copied; nothing where nothing was typed.
pub(crate) fn draw(fields: &Fields) -> Option<AnyView> {
    let told = fields.typed().filter(|(name, value)| *name != "generation" && !value.is_empty());
    let all: Vec<_> = told
        .enumerate()
        .map(|(nth, (name, value))| {
            let rows = value.lines().count().clamp(1, 20).to_string();
            let id = format!("kept-{nth}");
            view! {
                <label for=id.clone()>{name.to_owned()}</label>
                <textarea id=id rows=rows readonly spellcheck="false">{value.to_owned()}</textarea>
            }
        })
        .collect();
    (!all.is_empty()).then(|| {
        view! {
            <details open>
                <summary>"What you typed"</summary>
                <div class="fields">{all}</div>
            </details>
        }
        .into_any()
    })
}
