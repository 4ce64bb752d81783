//! The HTML document around the application, which only the server writes.

use leptos::prelude::*;
use leptos_meta::MetaTags;

use crate::app::App;

/// A whole page, ready to be hydrated.
pub(crate) fn shell(options: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                // An empty icon, so that browsers do not ask for one that is not there.
                <link rel="icon" href="data:," />
                <link rel="stylesheet" href="/pkg/console.css" />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
