//! The arguments of what concerns people and programs: signing in, rights, tokens, users, audit.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use model::{Name, Scope};

use super::span::span;
use super::{Limit, Namespace, Show, scope};
use crate::kind::{Named, name, named};

#[derive(Debug, ClapArgs)]
pub(crate) struct Login {
    /// Who signs in; asked for where it is not said.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Read the password from standard input instead of asking on the terminal.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Rights.
#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Say whether something may be done, and why; exit 1 if not.
    CanI(CanI),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CanI {
    /// What is to be done.
    #[arg(value_enum, ignore_case = true)]
    pub(crate) verb: Verb,
    /// With which object.
    #[arg(value_name = "KIND/NAME", value_parser = named)]
    pub(crate) object: Named,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// With this field of it, such as spec.rules.
    #[arg(long, value_name = "PATH")]
    pub(crate) field: Option<String>,
    /// As part of this Api, if the object is not there yet or is to move.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) api: Option<Name>,
    /// By whom, if not by you; for admins of the platform.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) whom: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// What may be done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    #[value(aliases = ["get", "list"])]
    Read,
    Create,
    Update,
    Delete,
    Transfer,
    Use,
}

impl Verb {
    /// As the server calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verb::Read => "Read",
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
            Verb::Transfer => "Transfer",
            Verb::Use => "Use",
        }
    }
}

/// API tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is printed once.
    Create(TokenCreate),
    /// List your tokens.
    List(Show),
    /// End a token.
    Revoke(Revoke),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TokenCreate {
    /// What it is for, such as the name of a pipeline.
    pub(crate) name: String,
    /// How long it is good for.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span)]
    pub(crate) expires: Duration,
    /// Only within it: platform or workspace/NAME.
    #[arg(long, value_parser = scope)]
    pub(crate) scope: Option<Scope>,
    /// No more than this role gives.
    #[arg(long, value_enum)]
    pub(crate) role: Option<RoleName>,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Roles that are there by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    Viewer,
    Editor,
    Owner,
    Admin,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Revoke {
    /// Its id, as the list shows it.
    pub(crate) id: String,
}

/// Users.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make a user; a password is made and printed once, unless one is given.
    Create(UserCreate),
    /// List the users.
    List(Show),
    /// Disable a user for good, and end their sessions and tokens; the name is not given again.
    Revoke(UserRevoke),
    /// Set a password: yours, or as an admin of the platform somebody's.
    Password(UserPassword),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UserCreate {
    /// The name to sign in by.
    pub(crate) name: String,
    /// Read the password from standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UserRevoke {
    /// The user.
    pub(crate) name: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UserPassword {
    /// The user; you, where none is said.
    pub(crate) name: Option<String>,
    /// Read it from standard input: for yourself the current password on one line and the new one
    /// on the next, for others the new one.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Who is shut out, at every gateway and proxy at once, before their credentials end.
#[derive(Debug, Subcommand)]
pub(crate) enum Revocation {
    /// Shut out whom tokens of an issuer name, or sign them out; for admins of the platform.
    User(RevokeUser),
    /// Shut out a Consumer, for who may change it.
    Consumer(RevokeNamed),
    /// Shut out who has an API key, for who may change the AuthnPolicy that takes it.
    Key(RevokeNamed),
    /// List who is shut out.
    List(Show),
    /// Let somebody in again.
    Lift(Revoke),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RevokeUser {
    /// The issuer, as tokens say it (`iss`).
    pub(crate) issuer: String,
    /// What it calls the user (`sub`).
    pub(crate) subject: String,
    /// Only what they proved so far counts no more: they may sign in anew.
    #[arg(long)]
    pub(crate) sign_out: bool,
    #[command(flatten)]
    pub(crate) how: HowRevoked,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RevokeNamed {
    /// Its name: that of the Consumer, or the one that goes with the key.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    #[command(flatten)]
    pub(crate) how: HowRevoked,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HowRevoked {
    /// How long it lasts; until it is lifted, where nothing is said.
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) lasts: Option<Duration>,
    /// Why, for who reads the list and the audit.
    #[arg(long, short, default_value = "", hide_default_value = true)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Keys of issuers that the server fetches.
#[derive(Debug, Subcommand)]
pub(crate) enum KeySet {
    /// List where they lie, and whether they are to be had.
    List(Show),
    /// Have them fetched at once, as when an issuer changed them out of turn; for who may change a policy that names
    /// them.
    Fetch(KeySetFetch),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeySetFetch {
    /// Where they lie, as the policy has it.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Tokens by which nodes join.
#[derive(Debug, Subcommand)]
pub(crate) enum JoinToken {
    /// Make a join token; it is printed once.
    Create(JoinTokenCreate),
    /// List the join tokens.
    List(Show),
    /// End a join token.
    Revoke(Revoke),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JoinTokenCreate {
    /// The cluster that nodes join.
    #[arg(long)]
    pub(crate) cluster: String,
    /// What sort of node.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) kind: NodeKind,
    /// Node names that it is good for; a `*` may stand at the end.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    pub(crate) name: String,
    /// How many nodes may join by it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How long it is good for.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    pub(crate) expires: Duration,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// Sorts of node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeKind {
    #[default]
    Gateway,
    Mesh,
}

/// Nodes that joined.
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Forget a node: it is waited for no more, and comes back only by a new join token.
    Delete(NodeDelete),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct NodeDelete {
    /// Its name as `heddle status` shows it, or its id.
    pub(crate) name: String,
    /// The cluster that it joined, where nodes of several have this name.
    #[arg(long)]
    pub(crate) cluster: Option<String>,
}

/// The roots and what follows from them.
#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// Show roots, intermediates, and what holds a rotation back.
    Show(Show),
    /// Make a new root, which all nodes learn to trust.
    Rotate(Show),
    /// Go on once no node holds it back: sign by the new root; then retire the old one.
    Advance(Advance),
    /// Give a rotation up and go back to the old root.
    Abandon(Show),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Advance {
    /// Leave behind the nodes that hold it back; what becomes of them is said without it.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// By what gateways seal sessions, of TLS and of rules.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionSecret {
    /// Have another one seal before the day is over.
    Rotate(SecretRotate),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SecretRotate {
    /// Have nothing open any more that those of before sealed, as when somebody may know them.
    #[arg(long)]
    pub(crate) forget: bool,
    #[command(flatten)]
    pub(crate) show: Show,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    #[command(flatten)]
    pub(crate) limit: Limit,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// More than reading.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that the audit is as it was written; exit 1 if not.
    Verify(Show),
}
