//! Signing in: by a password, or by a login provider.

use leptos::prelude::*;

use crate::parts::escaped;

/// What is shown of a try before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried {
    /// Where to go once signed in: a path of ours.
    pub(crate) to: String,
    /// The name that was typed, which is not lost.
    pub(crate) user: String,
    /// Why it failed.
    pub(crate) fault: Option<String>,
}

/// A login provider that is offered.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) title: String,
}

/// An address with where to go behind it.
pub(crate) fn with_wanted(address: &str, to: &str) -> String {
    match to {
        "" | "/" => address.to_owned(),
        to => {
            format!("{address}?to={}", escaped(to))
        }
    }
}

pub(crate) fn draw(tried: Tried, offers: &[Offer]) -> AnyView {
    let Tried { to, user, fault } = tried;
    let described = fault.is_some().then_some("fault");
    let offers = offers.iter().map(|offer| {
        let href = with_wanted(&format!("/sign-in/{}", offer.name), &to);
        view! { <a class="button" href=href>{format!("Sign in with {}", offer.title)}</a> }
    });
    let offers = offers.collect_view();
    view! {
        <section class="card narrow" aria-labelledby="sign-in">
            <h1 id="sign-in">"Sign in"</h1>
            {fault.map(|words| view! { <p class="fault" id="fault" role="alert">{words}</p> })}
            <form class="fields" method="post" action="/sign-in">
                <input type="hidden" name="to" value=to />
                <label for="user">"User"</label>
                <input
                    id="user"
                    name="user"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    value=user
                    aria-describedby=described
                />
                <label for="password">"Password"</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="current-password"
                    required
                    aria-describedby=described
                />
                <button>"Sign in"</button>
            </form>
            <div class="offers">{offers}</div>
        </section>
    }
    .into_any()
}
