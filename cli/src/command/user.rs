//! `user`: who may sign in.

use serde_json::{Value, json};

use super::token::once;
use crate::app::Context;
use crate::args::Output;
use crate::args::people::{User, UserCreate, UserPassword};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, printable, word};
use crate::terminal::{password, password_from_stdin};

/// Makes, lists and disables users, and sets passwords.
///
/// # Errors
/// What the server refuses; to whoever is no admin of the platform there are no users.
pub(crate) async fn run(context: &Context, args: &User) -> Result<Done, Failure> {
    match args {
        User::Create(args) => create(context, args).await?,
        User::List(show) => {
            let answer = context.client.list(&Ask::get(&["users"])).await?;
            show::answer(show.output, &answer, || table(items(&answer, "/items")))?;
        }
        User::Revoke(args) => {
            context.client.json(&Ask::delete(&["users", &args.name])).await?;
            show::result(&format!("user {} disabled\n", printable(&args.name)))?;
        }
        User::Password(args) => set_password(context, args).await?,
    }
    Ok(Done::Yes)
}

async fn create(context: &Context, args: &UserCreate) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name });
    if args.password_stdin {
        body["password"] = password_from_stdin("password")?.into();
    }
    let made = context.client.json(&Ask::post(&["users"]).with_json(&body)).await?;
    let done = format!("user {} created", printable(&args.name));
    match (args.password_stdin, args.show.output) {
        (true, output) => show::answer(output, &made, || done + "\n"),
        (false, Output::Table) => once(&made, "password", Output::Table, || {
            format!("{done}; the password is shown this once")
        }),
        (false, output) => show::answer(output, &made, String::new),
    }
}

async fn set_password(context: &Context, args: &UserPassword) -> Result<(), Failure> {
    let session = context.client.json(&Ask::get(&["session"])).await?;
    let me = session["user"].as_str().unwrap_or_default();
    let name = args.name.as_deref().unwrap_or(me);
    let ask_for = |question| match args.password_stdin {
        true => password_from_stdin(question),
        false => password(question),
    };
    let mut body = json!({});
    if name == me {
        body["current"] = ask_for("current password")?.into();
    }
    let new = ask_for("new password")?;
    if !args.password_stdin && password("new password again")? != new {
        return Err(Failure::Failed("the two passwords differ; nothing was changed".to_owned()));
    }
    body["password"] = new.into();
    context.client.json(&Ask::put(&["users", name, "password"]).with_json(&body)).await?;
    show::result(&format!("password of {} set\n", printable(name)))
}

fn table(users: &[Value]) -> String {
    let mut table = Table::new(&["NAME", "STATE", "CREATED", "UPDATED"]);
    for user in users {
        let state = if user["disabled"] == true { "disabled" } else { "active" };
        let [created, updated] = ["/created", "/updated"].map(|at| when(user, at));
        table.row([word(user, "/name"), state.to_owned(), created, updated]);
    }
    table.text()
}
