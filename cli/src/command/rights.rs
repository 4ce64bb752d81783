//! `auth can-i` and `transfer`: what may be done, and giving an Api away.

use serde_json::json;

use super::change;
use crate::app::Context;
use crate::args::people::{Auth, CanI};
use crate::args::{Output, Transfer};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::{self, printable, word};

/// Answers a question about rights.
///
/// # Errors
/// If the server does not answer it, as to whoever asks for another without being an admin.
pub(crate) async fn auth(context: &Context, args: &Auth) -> Result<Done, Failure> {
    let Auth::CanI(args) = args;
    can_i(context, args).await
}

async fn can_i(context: &Context, args: &CanI) -> Result<Done, Failure> {
    let key = args.object.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?;
    let mut body = json!(key);
    body["verb"] = args.verb.as_str().into();
    if let Some(field) = &args.field {
        body["field"] = field.as_str().into();
    }
    if let Some(api) = &args.api {
        body["api"] = api.as_str().into();
    }
    if let Some(whom) = &args.whom {
        body["as"] = whom.as_str().into();
    }
    let ask = Ask::post(&["access", "review"]).with_json(&body).harmless();
    let answer = context.client.json(&ask).await?;
    let Some(is_allowed) = answer["allowed"].as_bool() else {
        return Err(Failure::Failed("the server said neither yes nor no".to_owned()));
    };
    if args.show.output == Output::Table {
        let yes = if is_allowed { "yes" } else { "no" };
        // The reason names the objects of `by`, too.
        let line = match word(&answer, "/reason").as_str() {
            "-" => yes.to_owned(),
            reason => format!("{yes}: {}", printable(reason)),
        };
        show::result(&(line + "\n"))?;
    } else {
        show::answer(args.show.output, &answer, String::new)?;
    }
    Ok(Done::when(is_allowed))
}

/// Gives an Api to another team.
///
/// # Errors
/// If it may not be done.
pub(crate) async fn transfer(context: &Context, args: &Transfer) -> Result<Done, Failure> {
    let namespace = args.namespace.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| model::Kind::Api.default_namespace());
    let mut body = json!({ "api": { "namespace": namespace, "name": args.api }, "to": args.to });
    if let Some(message) = &args.message {
        body["message"] = message.as_str().into();
    }
    let ask = Ask::post(&["transfers"]).with_json(&body).keyed();
    let answer = context.client.json(&ask).await?;
    show::answer(args.show.output, &answer, || {
        let done = format!("Api {namespace}/{} now belongs to {}\n", args.api, args.to);
        done + &change::revision(&answer)
    })?;
    Ok(Done::Yes)
}
