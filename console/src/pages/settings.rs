//! Settings: where one is signed in.

use control::Refusal;
use control::app::Session;
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{head, table, when_micros};

const HEADS: [&str; 5] = ["Browser", "Began", "Used", "Ends", "End it"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Asked { app, visit, caller, .. } = &asked;
    let op = asked.op();
    let sessions = app.session_list(caller, &op, None).await?;
    let (own, csrf) =
        (caller.session().map(str::to_owned), visit.csrf().unwrap_or_default().to_owned());
    let now = op.now;
    drawn(move || draw(&sessions, own.as_deref(), &csrf, now).into_any())
}

fn draw(sessions: &[Session], own: Option<&str>, csrf: &str, now: OffsetDateTime) -> impl IntoView {
    let rows = sessions.iter().map(|session| row(session, own, csrf, now)).collect_view();
    view! {
        {head("Settings".to_owned(), "Where you are signed in.".to_owned())}
        <div id="live">
            <section class="card" id="sessions" aria-labelledby="sessions-title">
                <h2 id="sessions-title">"Sessions"</h2>
                {table("sessions-title".to_owned(), &HEADS, rows)}
            </section>
        </div>
    }
}

fn row(session: &Session, own: Option<&str>, csrf: &str, now: OffsetDateTime) -> impl IntoView {
    let agent = match session.agent.as_str() {
        "" => "something that does not say what it is".to_owned(),
        agent => agent.to_owned(),
    };
    let end = if own == Some(session.id.as_str()) {
        "this one".into_any()
    } else {
        view! {
            <form method="post" action="/settings/sessions/end">
                <input type="hidden" name="csrf" value=csrf.to_owned() />
                <input type="hidden" name="id" value=session.id.clone() />
                <button class="quiet">"End"</button>
            </form>
        }
        .into_any()
    };
    view! {
        <tr id=format!("session-{}", session.id)>
            <th scope="row">{agent}</th>
            <td>{when_micros(session.created, now)}</td>
            <td>{when_micros(session.seen, now)}</td>
            <td>{when_micros(session.expires, now)}</td>
            <td>{end}</td>
        </tr>
    }
}
