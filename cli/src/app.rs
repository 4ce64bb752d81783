//! From arguments to a command with what it needs: the server, the token, the place of the login.

use std::env;
use std::path::PathBuf;

use crate::args::{Args, Command, Everywhere};
use crate::client::{Address, Client};
use crate::command::{
    access, audit, authority, change, completion, consumer, diff, explain, fleet, join, key_set,
    look, node, past, plan, revocation, rights, session_secret, sign, token, traffic, user,
};
use crate::failure::{Done, Failure};
use crate::kept::{self, Kept};
use crate::show::{self, Paint};

/// The server of whoever names none.
const SERVER: &str = "http://127.0.0.1:7080";
/// Names a token that is used in the place of the kept one.
const TOKEN: &str = "HEDDLE_TOKEN";

/// What commands need.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) paint: Paint,
    /// What `login` kept, for whichever server.
    pub(crate) kept: Option<Kept>,
    /// Where it is kept.
    pub(crate) file: Option<PathBuf>,
    /// Whether the token is that of the environment.
    pub(crate) has_own_token: bool,
}

impl Context {
    /// Where to keep a login.
    pub(crate) fn file(&self) -> Result<PathBuf, Failure> {
        self.file.clone().map_or_else(kept::path, Ok)
    }
}

/// Does what the arguments ask.
///
/// # Errors
/// Why it was not done.
pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("starting", error))?;
    runtime.block_on(command(args))
}

async fn command(Args { everywhere, command }: Args) -> Result<Done, Failure> {
    // These need no server.
    match &command {
        Command::Completion(args) => return completion::run(args),
        Command::Version => {
            show::result(concat!("heddle ", env!("CARGO_PKG_VERSION"), "\n"))?;
            return Ok(Done::Yes);
        }
        _ => {}
    }
    // A login replaces what is kept, so it matters not whether that can be read.
    let mends = matches!(command, Command::Login(_));
    let file = kept::path().ok();
    let kept = match file.as_deref().map(kept::read) {
        Some(Err(_)) if mends => None,
        kept => kept.transpose()?.flatten(),
    };
    let context = &context(&everywhere, file, kept)?;
    match command {
        Command::Login(args) => sign::login(context, &args).await,
        Command::Logout => sign::logout(context).await,
        Command::Whoami(args) => sign::whoami(context, args).await,
        Command::Apply(args) => change::apply(context, &args).await,
        Command::Get(args) => look::get(context, &args).await,
        Command::Describe(args) => look::describe(context, &args).await,
        Command::Delete(args) => change::delete(context, &args).await,
        Command::Diff(args) => diff::run(context, &args).await,
        Command::Plan(args) => plan::run(context, &args).await,
        Command::Explain(args) => explain::run(context, &args).await,
        Command::Traffic(args) => traffic::run(context, &args).await,
        Command::History(args) => past::history(context, &args).await,
        Command::Rollback(args) => past::rollback(context, &args).await,
        Command::Status(args) => fleet::status(context, args).await,
        Command::Transfer(args) => rights::transfer(context, &args).await,
        Command::Auth(args) => rights::auth(context, &args).await,
        Command::Access(args) => access::run(context, &args).await,
        Command::Consumer(args) => consumer::run(context, &args).await,
        Command::Token(args) => token::run(context, &args).await,
        Command::User(args) => user::run(context, &args).await,
        Command::JoinToken(args) => join::run(context, &args).await,
        Command::Node(args) => node::run(context, &args).await,
        Command::Authority(args) => authority::run(context, &args).await,
        Command::SessionSecret(args) => session_secret::run(context, &args).await,
        Command::Revoke(args) => revocation::run(context, &args).await,
        Command::KeySet(args) => key_set::run(context, &args).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Completion(_) | Command::Version => Ok(Done::Yes),
    }
}

fn context(
    everywhere: &Everywhere,
    file: Option<PathBuf>,
    kept: Option<Kept>,
) -> Result<Context, Failure> {
    let read = |text: &str| Address::parse(text).map_err(|why| Failure::of(text, why));
    let address = match (&everywhere.server, &kept) {
        (Some(address), _) => address.clone(),
        (None, Some(kept)) => read(&kept.server)?,
        (None, None) => read(SERVER)?,
    };
    let client = Client::new(address, everywhere.ca.as_deref(), everywhere.timeout)?;
    let own = env::var(TOKEN).ok().map(|token| token.trim().to_owned());
    let own = own.filter(|token| !token.is_empty());
    let has_own_token = own.is_some();
    let client = with_token(client, own.as_deref(), kept.as_ref())?;
    let paint = Paint::new(everywhere.color);
    Ok(Context { client, paint, kept, file, has_own_token })
}

/// Gives `client` its token. A kept one goes to the server that gave it and to no other.
fn with_token(client: Client, own: Option<&str>, kept: Option<&Kept>) -> Result<Client, Failure> {
    if let Some(token) = own {
        let words = format!(
            "{TOKEN} is no token that this server takes; make one: heddle token create NAME"
        );
        return Ok(client.with_token(token)?.with_sign_in(words));
    }
    let server = client.address().to_string();
    match kept {
        Some(kept) if kept.server == server => client.with_token(&kept.token),
        Some(kept) => {
            let words = format!(
                "you are signed in to {}, not to {server}; sign in: heddle login --server {server}",
                kept.server
            );
            Ok(client.with_sign_in(words))
        }
        None => Ok(client),
    }
}
