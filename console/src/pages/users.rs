//! Users who sign in here, for platform admins: made, given another password, shut out.

use control::Refusal;
use control::app::{NewPassword, User};
use leptos::prelude::*;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::form::{Done, Form, Line, Sent};
use crate::islands::copy::Copy;
use crate::parts::{Mood, empty, escaped, head, mood, saved, search, table, when_micros};

/// Users of one page.
const PAGE: i64 = 100;

const HEADS: [&str; 3] = ["User", "State", "Made"];

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// The last of the page before.
    #[serde(default)]
    after: String,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let users = read(&asked).await?;
    drawn(move || draw(&asked, &users, None).into_any())
}

async fn read(asked: &Asked) -> Result<Vec<User>, Refusal> {
    let Wanted { search, after } = asked.query();
    asked.app.user_list(&asked.op(), search.trim(), &after, PAGE).await
}

fn draw(asked: &Asked, users: &[User], told: Option<AnyView>) -> AnyView {
    let now = asked.visit.now;
    let rows = users.iter().map(|user| row(user, now)).collect_view();
    let is_full = i64::try_from(users.len()).is_ok_and(|users| users == PAGE);
    let wanted: Wanted = asked.query();
    let more = users.last().filter(|_| is_full).map(|last| {
        let (search, after) = (escaped(&wanted.search), escaped(&last.name));
        let to = format!("/users?search={search}&after={after}");
        view! { <p><a href=to>"More users"</a></p> }
    });
    let is_part = !(wanted.search.is_empty() && wanted.after.is_empty());
    let filter = (is_part || is_full).then(|| search("/users", &wanted.search, "Name", ()));
    let nothing = match wanted.after.is_empty() {
        true => "No user is called like this.",
        false => "There are no more users like this.",
    };
    let all = is_part.then(|| view! { <p><a href="/users">"Show all"</a></p> });
    view! {
        {head("Users".to_owned(), "Who may sign in; what they may do their teams and roles say.".to_owned())}
        {told}
        {saved(asked)}
        {filter}
        <div id="live">
            <section class="card" id="users" aria-labelledby="users-title">
                <h2 id="users-title">"Users"</h2>
                {if users.is_empty() {
                    empty(nothing, all).into_any()
                } else {
                    table("users-title".to_owned(), &HEADS, rows).into_any()
                }}
                {more}
            </section>
            {new_form(asked)}
            {reset_form(asked)}
            {out_form(asked)}
        </div>
    }
    .into_any()
}

fn row(user: &User, now: OffsetDateTime) -> AnyView {
    let state = match user.disabled {
        true => mood(Mood::Bad, "shut out".to_owned()),
        false => mood(Mood::Good, "may sign in".to_owned()),
    };
    view! {
        <tr id=format!("user-{}", user.name)>
            <th scope="row">{user.name.clone()}</th>
            <td>{state}</td>
            <td>{when_micros(user.created, now)}</td>
        </tr>
    }
    .into_any()
}

fn new_form(asked: &Asked) -> AnyView {
    let form = Form::new(asked, "/users/new".to_owned());
    let hint = Some("lower-case letters, digits and hyphens");
    let name = Line {
        field: "name",
        label: "Name",
        path: "name",
        hint,
        required: true,
        ..Line::default()
    };
    let fields = view! {
        {form.text(name)}
        <button>"Make the user, and show a password"</button>
    };
    view! {
        <section class="card" id="new" aria-labelledby="new-title">
            <h2 id="new-title">"A new user"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

fn reset_form(asked: &Asked) -> AnyView {
    let form = Form::new(asked, "/users/password".to_owned());
    let line = |field, label, path, kind| Line {
        field,
        label,
        path,
        kind,
        required: true,
        ..Line::default()
    };
    let fields = view! {
        {form.text(line("user", "User", "user", "text"))}
        {form.text(line("password", "The new password", "password", "password"))}
        <button>"Give it, and end their sessions"</button>
    };
    view! {
        <section class="card" id="reset" aria-labelledby="reset-title">
            <h2 id="reset-title">"Another password"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

fn out_form(asked: &Asked) -> AnyView {
    let form = Form::new(asked, "/users/disable".to_owned());
    let hint = Some("typed, since it is for good: the name is not given again");
    let (field, label, path) = ("out", "Who is to be shut out", "name");
    let name = Line { field, label, path, hint, required: true, ..Line::default() };
    let fields = view! {
        {form.text(name)}
        <button>"Shut this user out for good"</button>
    };
    view! {
        <section class="card" id="out" aria-labelledby="out-title">
            <h2 id="out-title">"Shut a user out"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

/// Makes a user, and tells their password once.
pub(crate) async fn new(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    let (user, password) =
        asked.app.user_create(&asked.op(), fields.get("name").trim(), None).await?;
    let users = read(&asked).await?;
    Ok(Done::Told(Box::new(move || {
        let told = view! {
            <section class="card saved" aria-labelledby="made-title">
                <h2 id="made-title">{format!("The password of '{}' is told this once", user.name)}</h2>
                <Copy text=password.clone().unwrap_or_default() />
                <p>"They sign in with it, and change it in their settings. What they may do, a team says that they are a member of."</p>
            </section>
        };
        draw(&asked, &users, Some(told.into_any())).into_any()
    })))
}

/// Gives a user another password.
pub(crate) async fn password(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    let new = NewPassword {
        user: fields.get("user").trim().to_owned(),
        password: fields.get("password").to_owned(),
        current: None,
        address: asked.visit.address(),
    };
    asked.app.user_password(&asked.caller, &asked.op(), new).await?;
    Ok(Done::To("/users?done=password".to_owned()))
}

/// Shuts a user out for good.
pub(crate) async fn disable(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    asked.app.user_disable(&asked.op(), fields.get("out").trim()).await?;
    Ok(Done::To("/users?done=out".to_owned()))
}
