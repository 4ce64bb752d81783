//! Tokens of who is signed in: made, told once, revoked.

use control::Refusal;
use control::app::{NewToken, Token};
use leptos::prelude::*;
use time::OffsetDateTime;

use crate::edit::wrong;
use crate::form::{Done, Form, Line, Sent};
use crate::islands::copy::Copy;
use crate::pages::Asked;
use crate::parts::{Mood, empty, mood, table, when_micros};

const HEADS: [&str; 6] = ["Token", "For", "Made", "Used", "Ends", "Revoke it"];

/// The card of all tokens, with the form that makes one.
pub(super) fn draw(asked: &Asked, tokens: &[Token], now: OffsetDateTime) -> AnyView {
    let csrf = asked.csrf();
    let rows: Vec<_> = tokens.iter().rev().map(|token| row(token, &csrf, now)).collect();
    let form = Form::new(asked, "/settings/tokens/new".to_owned());
    let line =
        |field, label, path, is, hint| Line { field, label, path, is, hint, ..Line::default() };
    let name = line("name", "What it is for", "name", "", None);
    let days = line("days", "Days that it lasts", "expiresIn", "30", None);
    let scope = line(
        "scope",
        "Where it may be used",
        "scope",
        "",
        Some("platform, or workspace/NAME; everywhere if nothing is said"),
    );
    let role = line("role", "What it may do at most", "role", "", None);
    let roles = [
        ("", "all that you may do"),
        ("viewer", "viewer"),
        ("editor", "editor"),
        ("owner", "owner"),
    ];
    let roles = roles.map(|(word, shown)| (word.to_owned(), shown.to_owned()));
    let fields = view! {
        {form.text(Line { required: true, ..name })}
        {form.text(Line { required: true, ..days })}
        {form.text(scope)}
        {form.choice(role, &roles)}
        <button>"Make a token"</button>
    };
    view! {
        <section class="card" id="tokens" aria-labelledby="tokens-title">
            <h2 id="tokens-title">"Tokens"</h2>
            <p class="faint">"A program that sends one acts as you, within what the token is for."</p>
            {if rows.is_empty() {
                empty("You have none.", ()).into_any()
            } else {
                table("tokens-title".to_owned(), &HEADS, rows).into_any()
            }}
            <h3>"A new token"</h3>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

fn row(token: &Token, csrf: &str, now: OffsetDateTime) -> AnyView {
    let at = |micros: Option<i64>| micros.map(|micros| when_micros(micros, now));
    let is_over =
        token.expires.is_some_and(|ends| i128::from(ends) * 1000 < now.unix_timestamp_nanos());
    let end = match (token.revoked, is_over) {
        (Some(_), _) => mood(Mood::Bad, "revoked".to_owned()).into_any(),
        (None, true) => mood(Mood::Poor, "over".to_owned()).into_any(),
        (None, false) => view! {
            <form method="post" action="/settings/tokens/revoke">
                <input type="hidden" name="csrf" value=csrf.to_owned() />
                <input type="hidden" name="id" value=token.id.clone() />
                <button class="quiet" aria-label=format!("Revoke {}", token.name)>"Revoke"</button>
            </form>
        }
        .into_any(),
    };
    view! {
        <tr id=format!("token-{}", token.id)>
            <th scope="row">{token.name.clone()}</th>
            <td>{narrowed(&token.scopes)}</td>
            <td>{when_micros(token.created, now)}</td>
            <td>{at(token.seen)}</td>
            <td>{at(token.expires)}</td>
            <td>{end}</td>
        </tr>
    }
    .into_any()
}

/// What a token is narrowed to, in words.
fn narrowed(scopes: &str) -> String {
    let read: serde_json::Value = serde_json::from_str(scopes).unwrap_or_default();
    let word = |field: &str| read[field].as_str().map(str::to_owned);
    match (word("role"), word("scope")) {
        (None, None) => "all that you may do".to_owned(),
        (Some(role), None) => role,
        (None, Some(scope)) => format!("all, in {scope}"),
        (Some(role), Some(scope)) => format!("{role} in {scope}"),
    }
}

/// Makes a token, and tells it this once.
pub(crate) async fn new(sent: Sent) -> Result<Done, Refusal> {
    let fields = &sent.fields;
    let Ok(days) = fields.get("days").trim().parse::<i64>() else {
        return Err(wrong([("expiresIn".to_owned(), "wants a whole number of days".to_owned())]));
    };
    let new = NewToken {
        name: fields.get("name").trim().to_owned(),
        lasts: time::Duration::days(days.clamp(0, 10_000)),
        scope: fields.word("scope").map(str::to_owned),
        role: fields.word("role").map(str::to_owned),
    };
    let op = sent.asked.op();
    let (token, secret) = sent.asked.app.token_create(&sent.asked.caller, &op, new).await?;
    let shown = super::read(&sent.asked).await?;
    let asked = sent.asked;
    Ok(Done::Told(Box::new(move || {
        let told = view! {
            <section class="card saved" aria-labelledby="token-title">
                <h2 id="token-title">{format!("The token '{}' is told this once", token.name)}</h2>
                <Copy text=secret.clone() />
            </section>
        };
        super::draw(&asked, &shown, Some(told.into_any())).into_any()
    })))
}

/// Revokes a token for good.
pub(crate) async fn revoke(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    match asked.app.token_revoke(&asked.caller, &asked.op(), fields.get("id")).await {
        // One that went meanwhile is what is wanted.
        Ok(()) | Err(Refusal::None(_)) => Ok(Done::To("/settings?done=revoked".to_owned())),
        Err(refusal) => Err(refusal),
    }
}
