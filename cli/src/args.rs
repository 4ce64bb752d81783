//! The command line.
//!
//! There is no flag for a token or a password: others on a machine see its processes' arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use model::{Kind, Name, Scope};

use crate::client::Address;
use crate::kind::{Named, kind, name, named};

pub(crate) mod access;
pub(crate) mod consumer;
pub(crate) mod output;
pub(crate) mod people;
pub(crate) mod span;
mod traffic;

#[cfg(test)]
mod tests;

pub(crate) use output::{GetOutput, Output, Show};
pub(crate) use traffic::Traffic;

use access::Access;
use consumer::Consumer;
use people::{
    Audit, Auth, Authority, JoinToken, KeySet, Login, Node, Revocation, SessionSecret, Token, User,
};
use span::span;

/// The command line of Heddle: shows and edits what the control plane keeps.
#[derive(Debug, Parser)]
#[command(
    name = "heddle",
    version,
    after_help = "\
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable.\n\
HEDDLE_TOKEN is used in the place of what `heddle login` keeps."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What may stand before or after any command.
#[derive(Debug, ClapArgs)]
pub(crate) struct Everywhere {
    /// The server; by default the one that you signed in to, or http://127.0.0.1:7080.
    #[arg(long, global = true, env = "HEDDLE_SERVER", value_name = "URL",
          value_parser = Address::parse)]
    pub(crate) server: Option<Address>,
    /// A PEM file with the certificates that the server's must come from, instead of the platform's.
    #[arg(long, global = true, env = "HEDDLE_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Longest wait for an answer, repetitions included.
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub(crate) timeout: Duration,
    /// Whether results have colours.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Colour,
}

/// When results have colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in and keep a token for this machine.
    Login(Login),
    /// Revoke the token that `login` made, and forget it.
    Logout,
    /// Say who you are to the server.
    Whoami(Show),
    /// Make what files say so, as one change: all of it or nothing.
    Apply(Apply),
    /// List objects of a kind, or show one.
    Get(Get),
    /// Tell what there is to know of one object.
    Describe(Describe),
    /// Delete objects, as one change.
    Delete(Delete),
    /// Show what differs between files and what is there; exit 1 if anything does.
    Diff(Diff),
    /// Say which requests would go elsewhere if files were applied.
    Plan(Plan),
    /// Tell the way of a request through the proxies, and what decided at each.
    Explain(Explain),
    /// Tell what was requested in the last minutes, by whom, and how it ended.
    Traffic(Traffic),
    /// List changes, or the versions of one object.
    History(History),
    /// Take a revision back, as a new change.
    Rollback(Rollback),
    /// Show the nodes, what each has, and what each lacks.
    Status(Show),
    /// Give an Api to another team.
    Transfer(Transfer),
    /// Ask about rights.
    #[command(subcommand)]
    Auth(Auth),
    /// Ask for access, and decide on what others ask for.
    #[command(subcommand)]
    Access(Access),
    /// Keys of Consumers, who call what the gateways serve.
    #[command(subcommand)]
    Consumer(Consumer),
    /// Shut somebody out who calls what the gateways serve, before their credentials end.
    #[command(subcommand)]
    Revoke(Revocation),
    /// API tokens.
    #[command(subcommand)]
    Token(Token),
    /// Users, for admins of the platform.
    #[command(subcommand)]
    User(User),
    /// Tokens by which nodes join, for admins of the platform.
    #[command(subcommand)]
    JoinToken(JoinToken),
    /// Nodes that joined, for admins of the platform.
    #[command(subcommand)]
    Node(Node),
    /// The roots that nodes trust, and their rotation, for admins of the platform.
    #[command(subcommand)]
    Authority(Authority),
    /// The secrets by which gateways seal sessions, for admins of the platform.
    #[command(subcommand)]
    SessionSecret(SessionSecret),
    /// Keys of issuers that the server fetches for AuthnPolicies.
    #[command(subcommand)]
    KeySet(KeySet),
    /// Read the audit, for admins of the platform.
    Audit(Audit),
    /// Print what a shell needs to complete these commands.
    Completion(Completion),
    /// Print the version.
    Version,
}

/// Files.
#[derive(Debug, ClapArgs)]
pub(crate) struct Files {
    /// A YAML or JSON file, a folder of them, or `-` for standard input; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

/// Whether to wait until nodes have a change.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Wait {
    /// Wait until every node that the change concerns has it; exit 1 if that takes longer.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          default_missing_value = "60s", value_parser = span)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) wait: Wait,
    /// Why; kept with the change.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Say what would happen, and change nothing.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Get {
    /// A kind, such as route, httproutes or HTTPRoute; or KIND/NAME.
    #[arg(value_name = "KIND", value_parser = several)]
    pub(crate) what: Several,
    /// One object.
    #[arg(value_parser = name)]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name"])]
    pub(crate) all_namespaces: bool,
    /// Only what has this label.
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE", value_parser = label,
          conflicts_with = "name")]
    pub(crate) label: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: GetOutput,
}

/// A kind, or one object of it.
#[derive(Debug, Clone)]
pub(crate) enum Several {
    Of(Kind),
    One(Named),
}

fn several(text: &str) -> Result<Several, String> {
    if text.contains('/') {
        return named(text).map(Several::One);
    }
    kind(text).map(Several::Of)
}

fn label(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    parts.map(|_| text.to_owned()).ok_or_else(|| "write it as KEY=VALUE".to_owned())
}

/// A namespace.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Namespace {
    /// The namespace; `default` where none is said.
    #[arg(short, long, value_parser = name)]
    pub(crate) namespace: Option<Name>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Describe {
    /// The object.
    #[arg(value_name = "KIND/NAME", value_parser = named)]
    pub(crate) object: Named,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
}

#[derive(Debug, ClapArgs)]
#[group(id = "target", required = true, multiple = false, args = ["objects", "paths"])]
pub(crate) struct Delete {
    /// The objects.
    #[arg(value_name = "KIND/NAME", value_parser = named)]
    pub(crate) objects: Vec<Named>,
    /// Whatever these files describe; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    #[command(flatten)]
    pub(crate) wait: Wait,
    /// Why; kept with the change.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// The `x-request-id` of its answer.
    #[arg(value_name = "REQUEST-ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) request: String,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct History {
    /// One object; all changes without it.
    #[arg(value_name = "KIND/NAME", value_parser = named, conflicts_with = "scope")]
    pub(crate) object: Option<Named>,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// Only changes within it: platform or workspace/NAME.
    #[arg(long, value_parser = scope)]
    pub(crate) scope: Option<Scope>,
    #[command(flatten)]
    pub(crate) limit: Limit,
    #[command(flatten)]
    pub(crate) show: Show,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::try_from(text.to_owned())
}

/// How many lines of a long list.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Limit {
    /// At most so many, newest first.
    #[arg(long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

impl Limit {
    /// As a count.
    pub(crate) fn count(self) -> usize {
        self.limit as usize
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    /// The revision to take back, as `history` lists it.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: u64,
    /// Why; kept with the change.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Transfer {
    /// The Api.
    #[arg(value_name = "API", value_parser = name)]
    pub(crate) api: Name,
    /// The team that gets it.
    #[arg(long, value_name = "TEAM", value_parser = name)]
    pub(crate) to: Name,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// Why; kept with the change.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completion {
    /// For which shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Shells that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}
